"""The methods text cites what ran, and its BibTeX is read by a parser that is not ours."""

import dataclasses
import re

import bibtexparser
import numpy as np
import pandas as pd
import pytest
import yaml

from reading import SETTINGS, context
from refacebench.contracts import KINDS
from refacebench.programs import catalogue, labelling
from refacebench.report import citations, methods, methods_protection, methods_text
from refacebench.run import methods as found_methods
from refacebench.statistics.protocol import Protocol
from running import ROOT

STUDIES = ROOT / "config/studies"
EVERY = [(kind, name) for kind in KINDS for name in found_methods.available(kind)]


def parsed(text):
    """Return the entries of BibTeX by key, read by an independent parser."""
    parser = bibtexparser.bparser.BibTexParser(common_strings=True, ignore_nonstandard_types=False)
    entries = bibtexparser.loads(text, parser).entries
    # What it cannot read it leaves out.
    assert len(entries) == len(re.findall(r"^@", text, re.M))
    assert len({e["ID"] for e in entries}) == len(entries)
    return {e["ID"]: e for e in entries}


def test_the_file_of_references_is_valid_and_complete():
    entries = parsed("\n\n".join(entry.text for entry in citations.known()))
    assert len(entries) > 30
    for key, entry in entries.items():
        assert entry["title"], key
        assert "source" not in entry, "for us alone"
        if entry["ENTRYTYPE"] != "misc":
            assert {"author", "year"} <= set(entry), key
        assert "doi" not in entry or re.fullmatch(r"10\.\d{4,}/\S+", entry["doi"]), key
    dois = [e["doi"].lower() for e in entries.values() if "doi" in e]
    assert len(dois) == len(set(dois))


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_work_that_a_method_names_has_a_full_entry(kind, name):
    for source in found_methods.declared(kind, name).sources:
        entry = citations.cite(source)
        assert entry is None or not entry.key.startswith("cited-"), source


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_cites_its_paper_with_a_full_entry(path):
    study = yaml.safe_load(path.read_text())["study"]
    assert study["sources"]
    for source in study["sources"]:
        assert not citations.cite(source).key.startswith("cited-"), source


def test_every_program_has_its_page_cited():
    for folder in (catalogue.CATALOGUE, labelling.FOLDER):
        for path in folder.glob("*.yaml"):
            assert "https://" in citations.cite(catalogue.read(path)["page"]).text or (
                "doi" in citations.cite(catalogue.read(path)["page"]).text
            )


@pytest.mark.parametrize(
    "source",
    [
        'A {brace} and a "quote", 50 % & more_of_it \\ # $ ~ ^',
        "https://example.org/a_b?x={1}&y=%20",
        "https://doi.org/10.1000/(a)b_c{d}",
        "doi:10.1000/x",
        "Müller, Zeitschrift 2031",
        "}",
    ],
)
def test_any_text_that_a_users_method_names_becomes_a_valid_entry(source):
    (entry,) = parsed(citations.bibliography([citations.cite(source)])).values()
    assert entry["title"]


def _told(tables, **changes):
    return methods_text.text(context(tables, **changes)["datasets"])


CONFIG = {
    "defacers": {
        "pydeface": {"engine": "native"},
        "quickshear": {"buffer_mm": 10},
        "mideface": {"program": "mideface", "license": "/home/jane/license.txt"},
    },
    "segmenters": {"deepbet_atlas": {}},
    "attackers": {"surface": {}},
}


def test_text_and_references_hold_together_and_name_what_ran(tables):
    ran = methods.taking_part(CONFIG, {}, {})
    text, bibtex = _told(tables, methods=ran, config=CONFIG)
    entries = parsed(bibtex)
    cited = set(re.findall(r"@([\w-]+)", text))
    assert cited == set(entries), "each entry is cited, each citation has an entry"
    for name in ("pydeface", "quickshear", "mideface", "deepbet_atlas", "surface"):
        assert f"- {name} (" in text
    assert "buffer_mm = 10" in text
    assert {"schimke2011", "mideface", "fisch2024", "rusinkiewicz2001", "molder2021"} <= cited
    assert "jane" not in text + bibtex


def test_a_study_of_ratings_says_whose_it_is_and_how_they_were_compared(tables):
    study = {"title": "Doe et al. (2031)", "sources": ["provins2025", "esteban2017"]}
    only = {"other_measures": tables["volumes"], "rater_effects": tables["volumes"]}
    data = {**context(tables, {})["datasets"][0], "tables": only, "brought": True}
    text, references = methods_text.text([{**data, "config": {"study": study}}])
    assert "follows the study of Doe et al. (2031) [@provins2025; @esteban2017]." in text
    assert "same way" not in text, "nothing stands before it"
    assert "Other measures were compared with those of the originals by paired Wilcoxon" in text
    assert "crossed random intercepts" in text
    assert "ICC(A,1)" in text
    assert {"provins2025", "bland1986", "laird1982", "mcgraw1996", "holm1979"} <= set(
        parsed(references)
    )


def test_nothing_is_said_that_did_not_run(tables):
    only = {name: tables[name] for name in ("flow", "quality")}
    text, bibtex = _told(only, methods=[], config={})
    assert "Wilcoxon" not in text
    assert "holm1979" not in parsed(bibtex)
    assert "No attack was made" in text
    assert "clopper1934" in parsed(bibtex)
    for word in ("segmented from scratch", "Faces were put back"):
        assert word not in text


def test_numbers_are_those_of_the_criteria(tables):
    text, _ = _told(tables)
    assert f"{SETTINGS.n_boot} bootstrap samples of participants, seed {SETTINGS.seed}" in text
    n = tables["flow"]["scan"].nunique()
    assert f"{n} T1-weighted scans" in text


def test_splits_rescans_and_the_model_of_brain_age_are_counted(tables):
    """By hand: 12 people are compared, six of them with a rescan; 20 train the model of age."""
    text, _ = _told(tables)
    assert "assigned to the splits: 20 to training and 12 to test." in text
    assert "Of the participants compared, 6 also have a declared rescan, which shows" in text
    flow = tables["flow"]
    once = flow["participant"].isin(set(flow.loc[flow["role"] == "rescan", "participant"]))
    rescanned = {**tables, "flow": flow[once | (flow["split"] != "test")]}
    assert "All 6 participants compared also have a declared rescan" in _told(rescanned)[0]
    assert "Brain age" not in text, "no age was predicted"
    alone = tables["flow"][lambda t: t["split"] == "test"]
    assert "assigned to the splits" not in _told({**tables, "flow": alone})[0]
    ages = tables["brainage"].assign(mae=8.0, n_train=20, mae_train_cv=8.25, correction="cole")
    text, bibtex = _told({**tables, "brainage": ages}, config=CONFIG)
    assert "deepbet_gmm (20 participants, cross-validated error 8.2 years)" in text
    assert "each divided by total intracranial volume" in text
    assert {"hoerl1970", "cole2018"} <= set(parsed(bibtex))
    raw = {**CONFIG, "brain_age": {"divide_by_tiv": False, "correction": "none"}}
    plain = _told({**tables, "brainage": ages.assign(correction="none")}, config=raw)
    assert "intracranial" not in plain[0]
    assert "cole2018" not in plain[1]


def test_the_counts_of_scans_add_up(tables):
    """No scan is left unexplained, whatever became of it."""
    flow = tables["flow"]
    compared = (flow["split"] == "test") & (flow["role"] != "rescan")
    first = flow.loc[compared, "scan"].iloc[0]
    excluded = flow.assign(status=flow["status"].mask(flow["scan"] == first, "excluded"))
    for table, left_out in ((flow, "none was left out"), (excluded, "1 was left out")):
        text, _ = _told({**tables, "flow": table})
        (said,) = re.findall(r"Of the scans, ([^.]*)\.", text)
        assert left_out in said
        numbers = [int(n) for n in re.findall(r"\d+", said)]
        assert sum(numbers) == table["scan"].nunique(), said


def test_the_limits_of_the_checks_are_those_of_the_config(tables):
    """The verdict rests on them; where a check cannot fail, that is said by name."""
    text, _ = _told(tables, config=CONFIG)
    assert "more than 25 % of the original face surface was left" in text
    assert "(ears were measured and did not count)" in text
    assert "more than 0.05 % of the brain mask's volume" in text
    assert "below its outer 4 mm, or more than 1 % in all" in text
    limits = {"face_left": 0.1, "ears_left": 0.2, "brain_rim_mm": 3, "brain_removed_share": 0.002}
    text, _ = _told(tables, config={**CONFIG, "thresholds": {**limits, "volume_change_pct": 3}})
    assert "more than 10 % of the original face surface was left" in text
    assert "(or more than 20 % of the surface of the ears)" in text
    assert "more than 0.2 % of the brain mask's volume" in text
    assert "below its outer 3 mm" in text
    quality = tables["quality"].assign(n_brain=12, brain_unchanged=12, engine="native")
    spared, _ = _told({**tables, "quality": quality})
    touched, _ = _told({**tables, "quality": quality.assign(brain_unchanged=11)})
    (line,) = re.findall(r"Loss of brain is not testable by this check on ([^.]*)\.", spared)
    for name in set(quality["variant"]) - {"null"}:
        assert name in line
    assert "not testable" not in touched
    assert "checked automatically" not in _told({"flow": tables["flow"]})[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "difference, or within 2 % where that bound is larger; volumes with fewer than 5 "),
        ({}, "declared rescan were tested within the fixed margin of 2 %."),
        ({"equivalence_margin": "fixed", "equivalence_margin_pct": 1.5},
         "within the fixed margin of 1.5 %, set before the run."),
    ],
)  # fmt: skip
def test_the_margin_of_equivalence_is_that_of_the_criteria(tables, changes, said):
    text, _ = _told(tables, criteria=dataclasses.replace(SETTINGS, **changes))
    assert said in text


def test_where_nobody_has_a_rescan_the_margin_is_said_to_be_fixed(tables):
    nobody = {**tables, "repeatability": tables["repeatability"].assign(n=0)}
    text, _ = _told(nobody)
    assert "within the fixed margin of 2 %, set before the run." in text
    assert "mean scan-rescan difference" not in text


def test_what_people_to_choose_from_have_in_common_is_counted(tables):
    """That they were matched says little where few people are alike."""
    known = pd.DataFrame(
        [{"knows": "site, sex, age band", "choice": 0.92, "choice_unmatched": 0.97, "rank1": 0.9,
          "matched_on": "site, sex: 5; some alike: 8"}]
    )  # fmt: skip
    protocol = Protocol(match=("site", "sex"))
    said = methods_protection._matched({"privacy_galleries": known}, protocol)
    assert (
        "here, 5 people were compared only with others of the same site and sex; for 8, only"
        in said
    )
    assert said.endswith("Someone who knows only site, sex and age, and has no image, picks the "
                         "right person for 92 % of people.")  # fmt: skip
    nobody = known.assign(matched_on=np.nan)
    assert "here it was of nobody" in methods_protection._matched(
        {"privacy_galleries": nobody}, protocol
    )
    assert "matched on nothing" in methods_protection._matched({}, Protocol(match=()))


def test_other_contrasts_that_were_attacked_are_told():
    table = pd.DataFrame({"contrast": ["T2w", "T2w", "FLAIR"]})
    said = methods_protection._other_contrasts(table)
    assert "T2w and FLAIR images" in said
    assert methods_protection._other_contrasts(table.head(0)) == ""
    assert methods_protection._other_contrasts(None) == ""


def test_only_controls_that_were_attacked_are_told():
    told = methods_protection._controls(["original", "black", "a"])
    assert "untouched originals" in told
    assert "black pictures" in told
    assert "blurred" not in told
    assert "Skull" not in told
    assert "Skull-stripped scans" in methods_protection._controls(["skull_strip"])
    assert methods_protection._controls(["a"]) == ""


def test_controls_weights_of_others_and_models_of_ours_are_each_said_once(tables):
    """A control removes no face, and released weights are no re-implementation."""
    entry = {"engine": "native", "version": "1"}
    made = [
        {**entry, "kind": "defacer", "name": "null", "title": "null control"},
        {**entry, "kind": "defacer", "name": "pydeface", "title": "pydeface", "sources": ["x"]},
        {**entry, "kind": "defacer", "name": "skull_strip", "title": "skull stripping (deepbet)",
         "sources": ["x"], "weights": "deepbet"},
        {**entry, "kind": "refacer", "name": "prior3d", "sources": ["x"],
         "title": found_methods.declared("refacers", "prior3d").title},
    ]  # fmt: skip
    text, _ = methods_text.text([{**context(tables)["datasets"][0], "methods": made}])
    removed = text[text.index("Faces were removed") : text.index("Faces were put back")]
    controls = text[text.index("Controls, which") : text.index("Faces were removed")]
    assert "- null (" in controls
    assert "- skull_strip (" in controls
    assert "- pydeface (" in removed
    assert "null" not in removed
    assert "skull_strip" not in removed
    assert "our own code with deepbet's released weights" in controls
    assert "null control; our own code; version 1" in controls
    assert "re-implementation" not in controls
    (line,) = [line for line in text.split("\n") if line.startswith("- prior3d (")]
    assert line.count("own") == 1, "said once"
    assert "native" not in line


@pytest.mark.parametrize(
    ("kind", "name"),
    [("defacers", "skull_strip"), ("segmenters", "deepbet_atlas"), ("defacers", "deepdefacer"),
     ("attackers", "face_recognition")],
)  # fmt: skip
def test_our_code_with_weights_of_others_says_whose(kind, name):
    found = methods.taking_part({kind: {name: {}}}, {})
    assert found[0]["weights"]
