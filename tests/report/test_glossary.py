"""Words of insiders are explained where they are first met, and once."""

import re

import pandas as pd
import pytest
import yaml

from reading import Page, context
from refacebench.report import glossary
from refacebench.report.page import _attackers, build

#: Abbreviations that whoever has MRI data knows, and names of licences, places and packages.
PLAIN = {
    "MRI", "T1w", "MB", "ID", "OK", "FSL", "MIT", "BSD", "FLAIR", "UTC", "JSON", "SHA", "README",
    "DOI", "GPU", "CPU", "II", "ICBM", "BIDS", "ANTs", "PDF", "HTML", "BibTeX",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tables):
    return Page(build(context(tables)))


def names(found):
    return [word.name for _, _, word in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dice of the brain", ["Dice"]),
        ("two dice", []),
        ("the strongest attack and an attack", ["strongest attack", "attacker"]),
        ("registered access only", ["registered access"]),
        ("variants, VARIANT", ["variant", "variant"]),
        ("a/native/b, null_space, re-native", []),
        ("Holm-corrected p", ["Holm"]),
        ("not an official; officially", ["official"]),
        ("CMC and cmc", ["CMC"]),
        ("with the very same scan", ["same-scan attack"]),
        ("rank-1 and rank-biserial", ["rank-1", "rank-biserial"]),
        ("", []),
    ],
)
def test_words_are_found_whole(text, expected):
    assert names(glossary.find(text)) == expected


def test_a_word_is_marked_once_a_section_and_text_is_escaped():
    mark = glossary.Marker()
    first = mark("Dice <b>& Dice</b>")
    assert first == ('<a class="term" href="#word-dice">Dice</a> &lt;b&gt;&amp; Dice&lt;/b&gt;')
    assert mark("Dice") == "Dice"
    mark.section()
    assert "word-dice" in mark("Dice")
    assert [word.name for word in mark.listed()] == ["Dice"]


def test_every_entry_is_a_sentence_and_stands_once():
    given = yaml.safe_load(glossary.WORDS.read_text())
    forms = [f.lower() for word in glossary.words() for f in word.forms]
    assert len(forms) == len(set(forms))
    assert len({word.id for word in glossary.words()}) == len(given)
    for name, entry in given.items():
        assert set(entry) <= {"is", "also", "exact"}, name
        assert entry["is"].endswith("."), name
        assert str(name).lower() not in re.sub(r"[^a-z ]", "", entry["is"].lower()).split()[:1]


def test_what_is_asked_of_a_glossary_is_in_it():
    asked = """variant native official chance bold Holm TOST equivalence rank-1 CMC rank-biserial
        TIV Dice IoU same-scan~attack strongest~attack measuring~stick Pareto~front
        worst~attack Pareto corrected~for~picking~the~strongest~attack"""
    for word in asked.split():
        assert names(glossary.find(word.replace("~", " "))), word


def test_abbreviations_of_the_page_are_explained(page):
    used = set(re.findall(r"\b[A-Z][A-Za-z]?[A-Z][A-Za-z0-9]*\b", page.words)) - PLAIN
    assert used, "nothing was looked at"
    unknown = {word for word in used if not names(glossary.find(word))}
    assert unknown == set()


def test_an_attacker_that_ran_is_explained_by_its_own_sentence():
    methods = [{"kind": "attacker", "name": name, "about": "It lays."} for name in ("surface", "x")]
    ran = {"tables": {"privacy": pd.DataFrame({"attacker": ["surface"]})}, "methods": methods}
    assert _attackers(ran) == [("surface", "It lays.")]
    assert _attackers({"tables": {}, "methods": methods}) == []
    mark = glossary.Marker(glossary.attacker(*told) for told in _attackers(ran))
    told = mark("face surface; attacker surface picks")
    assert '<a class="term" href="#word-attacker-surface">attacker surface</a> picks' in told
    assert told.count("word-attacker") == 1, "the bare name is a common word"
    assert [(word.name, word.meaning) for word in mark.listed()] == [
        ("attacker surface", "It lays.")
    ]


def test_words_lead_to_their_explanation_and_the_list_has_no_other(page):
    led = {a["href"][1:] for tag, a in page.tags if a.get("class") == "term"}
    listed = {a["id"] for tag, a in page.tags if a.get("id", "").startswith("word-")}
    assert len(led) > 25
    assert led == listed
