"""The kit for human raters: balanced questions, a page that works, answers that are read right."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import browser
from refacebench import manifest
from refacebench import raters as program
from refacebench.kit import page as kit_page
from refacebench.kit import questions
from refacebench.results import answers
from refacebench.results import raters as results_raters
from refacebench.results.raters import compute as raters_table
from refacebench.statistics.settings import Settings

SETTINGS = Settings(n_boot=400, seed=3)
VARIANTS = ["original", "a", "a+m"]


def cohort(n=7, variants=VARIANTS, sessions=("ses-1", "ses-2")):
    rows = [
        {"variant": v, "participant": f"sub-{i:02d}", "session": s, "scan": f"sub-{i:02d}_{s}"}
        for v in variants
        for i in range(n)
        for s in sessions
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def key():
    return questions.questions(cohort(), VARIANTS, count=105, block=20, seed=5)


def pictures(key):
    """Return pictures that can be told apart: brightness by place in the list."""
    return {
        place: np.full((16, 16), 10 + i, dtype=np.uint8)
        for i, place in enumerate(questions.used(key))
    }


# questions ----------------------------------------------------------------------------------


def option_columns(key):
    return key[[f"option_{i}" for i in range(1, 6)]]


def test_questions_are_balanced_over_variants_persons_and_places(key):
    assert len(key) == 105
    assert key["question"].is_unique
    assert set(key["variant"].value_counts()) == {35}
    for _, rows in key.groupby("variant"):
        assert set(rows["participant"].value_counts()) == {5}
        assert set(rows["right"].value_counts()) == {7}
        shown = option_columns(rows).stack().str[:6].value_counts()
        assert shown.max() - shown.min() <= 1


def test_uneven_numbers_are_balanced_to_within_one():
    key = questions.questions(cohort(), VARIANTS, count=50, block=20, seed=1)
    counts = key["variant"].value_counts()
    assert len(key) == 50
    assert counts.max() - counts.min() <= 1
    for _, rows in key.groupby("variant"):
        for column in ("participant", "right"):
            n = rows[column].value_counts()
            assert n.max() - n.min() <= 1
    for _, rows in key[key["block"] < 3].groupby("block"):
        assert len(rows) == 20
        n = rows["variant"].value_counts()
        assert n.max() - n.min() <= 1


def test_the_right_option_is_the_person_from_another_session_and_the_others_are_not(key):
    for row in key.to_dict("records"):
        options = [row[f"option_{i}"] for i in range(1, 6)]
        people = [scan[:6] for scan in options]
        assert people[row["right"] - 1] == row["participant"] == row["query"][:6]
        assert len(set(people)) == 5
        assert row["setting"] == "other_session"
        assert options[row["right"] - 1] != row["query"]


def test_one_session_asks_with_the_same_scan():
    key = questions.questions(cohort(sessions=("",)), ["a"], count=14)
    assert set(key["setting"]) == {"same_scan"}


def test_measured_scans_are_asked_with_the_rescans_of_the_originals():
    table = cohort(variants=["a"], sessions=("ses-1",))
    originals = cohort(variants=["original"])
    key = questions.questions(table, ["a"], originals=originals, count=14)
    assert set(key["setting"]) == {"other_session"}
    assert set(key["query"].str[7:]) == {"ses-2"}
    assert set(option_columns(key).stack().str[7:]) == {"ses-1"}


def test_too_few_persons_is_an_error():
    with pytest.raises(ValueError, match="4 persons of variant a"):
        questions.questions(cohort(n=4), ["a"], count=10)


def test_same_seed_same_questions(key):
    shuffled = cohort().sample(frac=1, random_state=0)
    again = questions.questions(shuffled, VARIANTS, count=105, block=20, seed=5)
    pd.testing.assert_frame_equal(again, key)
    other = questions.questions(cohort(), VARIANTS, count=105, block=20, seed=6)
    assert not other.equals(key)


def test_an_unknown_variant_in_the_config_is_named():
    config = {"privacy": {"kit": {"variants": ["a", "zzz"]}}}
    with pytest.raises(ValueError, match="no variant zzz"):
        questions.asked(config, VARIANTS)
    assert questions.asked({}, ["original", "null", "a"]) == ["original", "a"]
    assert questions.variants({"privacy": {"kit": {"variants": ["a", "black"]}}}, VARIANTS) == [
        "original",
        "a",
    ]


# page ---------------------------------------------------------------------------------------


def test_no_page_of_private_faces(key):
    with pytest.raises(ValueError, match="not public"):
        kit_page.page(key, pictures(key), dataset="d", faces="private")


def document_of(page):
    raw = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)
    return json.loads(raw.group(1))


def test_the_page_needs_nothing_and_gives_no_answer_away(key):
    page = kit_page.page(key, pictures(key), dataset="d<i>", faces="public", note="a & b")
    assert not re.search(r"https?:|src=[\"'](?!data:)|<link|@import|url\(", page)
    assert "sub-0" not in page
    assert "ses-1" not in page
    assert "<i>" not in page
    found = document_of(page)
    assert found["kit"] == questions.identity(key)
    assert sorted(q for block in found["blocks"].values() for q in block) == sorted(key["question"])
    assert set(found["questions"][0]) == {"id", "query", "options"}


def test_the_page_shows_the_pictures_of_the_key(key):
    shown = pictures(key)
    found = document_of(kit_page.page(key, shown, dataset="d", faces="public"))
    for asked, row in zip(found["questions"], key.to_dict("records"), strict=True):
        assert asked["id"] == row["question"]
        right = asked["options"][row["right"] - 1]
        place = (row["variant"], row[f"option_{row['right']}"])
        assert found["pictures"][right] == kit_page.encode(shown[place])
        assert found["pictures"][asked["query"]] == kit_page.encode(shown["original", row["query"]])


def test_a_picture_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="not 2-D uint8"):
        kit_page.encode(np.zeros((4, 4)))


needs_browser = pytest.mark.skipif(browser.find() is None, reason="no Chromium on this machine")


@pytest.fixture
def chromium(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    found = browser.Browser(browser.find(), tmp_path / "profile", downloads)
    yield found
    found.close()


@needs_browser
def test_a_rater_answers_stops_comes_back_and_saves(chromium, key, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(kit_page.page(key, pictures(key), dataset="demo", faces="public"))
    part = list(key.loc[key["block"] == 6, "question"])
    assert len(part) == 5
    begin = """
        document.getElementById("rater").value = "r-1";
        document.getElementById("rater").dispatchEvent(new Event("input"));
        document.getElementById("block").value = "6";
        document.getElementById("go").click();
    """
    count = "document.getElementById('count').textContent"
    visible = "document.querySelectorAll('#options img').length === 5 && " + (
        "[...document.querySelectorAll('#ask img')].every(i => i.complete && i.naturalWidth === 16)"
    )

    def at(number):
        chromium.until(f"{count} === 'Question {number} of 5' && {visible}")

    def answer(key_, number):
        # A key counts from the moment on at which the pictures can be seen.
        after = f"{count} !== 'Question {number} of 5' || !document.getElementById('end').hidden"
        at(number)
        for _ in range(200):
            chromium.key(key_)
            if chromium.run(after):
                return
        raise AssertionError("the key does nothing")

    chromium.open(path.as_uri())
    chromium.run("document.getElementById('go').click()")
    assert "name or code" in chromium.run("document.getElementById('complaint').textContent")
    chromium.run(begin)
    for number, choice in enumerate("352", start=1):
        answer(choice, number)
    at(4)
    chromium.key("9")  # no such option
    chromium.key("Backspace")
    answer("1", 3)  # in place of 2
    at(4)
    # The window is closed and opened again: nothing is lost.
    chromium.open("about:blank#away")
    chromium.open(path.as_uri())
    chromium.run(begin)
    at(4)
    answer("4", 4)
    answer("5", 5)
    chromium.until("!document.getElementById('end').hidden")
    chromium.run("document.getElementById('json').click()")
    chromium.run("document.getElementById('csv').click()")
    files = [tmp_path / "downloads" / f"answers_demo_r-1_part6.{kind}" for kind in ("json", "csv")]
    for _ in range(500):
        if all(file.is_file() for file in files):
            break
        chromium.run("new Promise(done => setTimeout(done, 20))")
    for file in files:
        found, problems = answers.read_answers([file], key)
        assert problems.empty
        assert list(found["question"]) == part
        assert list(found["choice"]) == [3, 5, 1, 4, 5]
        assert (found["ms"] >= 0).all()
    # The same part saved twice counts once.
    assert len(answers.read_answers(files, key)[0]) == 5
    asked = {
        event["params"]["request"]["url"].split(":")[0]
        for event in chromium.events
        if event.get("method") == "Network.requestWillBeSent"
    }
    assert asked <= {"file", "data", "blob", "about"}
    assert not [e for e in chromium.events if e.get("method") == "Runtime.exceptionThrown"]


# answers ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path, key):
    """Return a function that writes an answer file."""

    def write(name, answers, **changes):
        content = {
            "format": "refacebench-answers",
            "version": 1,
            "kit": questions.identity(key),
            "rater": "r1",
            "answers": answers,
            **changes,
        }
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return path

    return write


def one(question="q0001", choice=2):
    return {"question": question, "choice": choice, "ms": 800}


@pytest.mark.parametrize(
    ("given", "changes", "reason"),
    [
        ([one(choice=6)], {}, "number from 1 to 5"),
        ([one(choice="2; x")], {}, "number from 1 to 5"),
        ([one(choice=None)], {}, "number from 1 to 5"),
        ([one(choice=1.5)], {}, "number from 1 to 5"),
        ([one(question="q9999")], {}, "unknown question"),
        ([one(question=["q0001"])], {}, "unknown question"),
        (["q0001"], {}, "unknown question"),
        ([one()], {"kit": "other"}, "another kit"),
        ([one()], {"rater": ""}, "name of the rater"),
        ([one()], {"rater": "a b\tc"}, "name of the rater"),
        ([one()], {"version": 2}, "format version 2"),
        ([one()], {"format": "x"}, "not an answer file"),
        (3, {}, "no list of answers"),
        ([one(), one(choice=3)], {}, "twice, and differently"),
    ],
)
def test_a_bad_answer_is_a_row_with_a_reason(saved, key, given, changes, reason):
    path = saved("x.json", given, **changes)
    found, problems = answers.read_answers([path], key)
    assert found.empty
    assert len(problems) == (len(given) if isinstance(given, list) else 1)
    assert set(problems["file"]) == {"x.json"}
    assert problems["reason"].str.contains(reason).all()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", b"", "empty"),
        ("a.json", b"{", "damaged JSON"),
        ("a.json", b"[" * 100_000, "damaged JSON"),
        ("a.json", b"[1, 2]", "not an answer file"),
        ("a.json", b"\xff\xfe\x00", "not a text file"),
        ("a.csv", b"a,b\n1,2\n", "lacks kit"),
        ("a.xlsx", b"PK", "neither"),
        ("gone.json", None, "No such file"),
    ],
)
def test_a_bad_file_is_a_row_with_a_reason_and_the_others_are_read(
    tmp_path, saved, key, name, content, reason
):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    good = saved("good.json", [one()])
    found, problems = answers.read_answers([path, good], key)
    assert len(found) == 1
    assert list(problems["line"]) == [0]
    assert reason in problems["reason"].iloc[0]


def test_a_bad_line_leaves_the_others(tmp_path, key):
    path = tmp_path / "x.csv"
    name = questions.identity(key)
    path.write_text(
        f"kit,rater,block,question,choice,ms\n{name},r,1,q0001,2,5\n{name},r,1,q0002,7,5\n"
        f"{name},r,1\n{name},r,1,q0003,1,\n"
    )
    found, problems = answers.read_answers([path], key)
    assert list(found["question"]) == ["q0001", "q0003"]
    assert list(problems["line"]) == [3, 4]


def test_key_written_and_read_is_the_same_kit(key, tmp_path):
    manifest.write(key, tmp_path / "key.tsv")
    again = answers.read_key(tmp_path / "key.tsv")
    assert questions.identity(again) == questions.identity(key)
    manifest.write(key.drop(columns="right"), tmp_path / "no.tsv")
    with pytest.raises(ValueError, match="lacks right"):
        answers.read_key(tmp_path / "no.tsv")


# rates --------------------------------------------------------------------------------------


def answered(key, chance_right, n_raters=5, seed=0):
    """Return answers of raters who know the person with a probability and guess otherwise."""
    rng = np.random.default_rng(seed)
    rows = []
    for rater in range(n_raters):
        for row in key.to_dict("records"):
            knows = rng.uniform() < chance_right[row["variant"]]
            choice = row["right"] if knows else int(rng.integers(1, 6))
            rows.append({"rater": f"r{rater}", "question": row["question"], "choice": choice})
    return pd.DataFrame(rows)


def test_rates_by_hand(key):
    mine = key[key["variant"] == "a"].head(4)
    wrong = mine["right"] % 5 + 1
    answers = pd.DataFrame(
        {
            "rater": "r",
            "question": [*mine["question"]],
            "choice": [*mine["right"][:1], *wrong[1:]],
        }
    )
    table = raters_table(answers, key, SETTINGS).set_index("variant")
    assert table.loc["a", "rate"] == 0.25
    assert (table.loc["a", ["n_answers", "n_right", "n_raters", "n_asked"]] == [4, 1, 1, 35]).all()
    assert table.loc["a+m", "n_answers"] == 0
    assert np.isnan(table.loc["a+m", "rate"])
    assert np.isnan(table.loc["a+m", "above_chance"])
    assert set(table["chance"]) == {0.2}


def test_nobody_right_still_has_a_wide_interval(key):
    answers = key.assign(rater="r", choice=key["right"] % 5 + 1)[["rater", "question", "choice"]]
    table = raters_table(answers, key, SETTINGS)
    assert (table["rate"] == 0).all()
    # Clopper-Pearson of 0 of 7 persons.
    assert np.allclose(table["high"], 1 - 0.025 ** (1 / 7))
    assert (table["above_chance"] == 0).all()


def test_raters_who_know_are_above_chance_and_guessers_are_not(key):
    truth = {"original": 0.95, "a": 0.0, "a+m": 0.7}
    table = raters_table(answered(key, truth), key, SETTINGS).set_index("variant")
    assert table["above_chance"].to_dict() == {"original": 1.0, "a": 0.0, "a+m": 1.0}
    for variant, known in truth.items():
        expected = known + (1 - known) / 5
        assert table.loc[variant, "low"] <= expected <= table.loc[variant, "high"]
        assert table.loc[variant, "low"] <= table.loc[variant, "rate"] <= table.loc[variant, "high"]
    again = raters_table(answered(key, truth), key, SETTINGS).set_index("variant")
    pd.testing.assert_frame_equal(table, again)


def test_raters_who_differ_widen_the_interval(key):
    rng = np.random.default_rng(0)
    rows = key[key["variant"] == "a"]
    alike, apart = [], []
    for rater in range(6):
        for question, right in zip(rows["question"], rows["right"], strict=True):
            wrong = right % 5 + 1
            alike.append((f"r{rater}", question, right if rng.uniform() < 0.5 else wrong))
            apart.append((f"r{rater}", question, right if rater < 3 else wrong))
    widths = []
    for rows_ in (alike, apart):
        table = pd.DataFrame(rows_, columns=["rater", "question", "choice"])
        hits = table.merge(key, on="question")
        hits["hit"] = (hits["choice"] == hits["right"]).astype(float)
        low, high = results_raters._bootstrap(hits, SETTINGS)
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_program_writes_both_tables(key, saved, tmp_path, capsys):
    manifest.write(key, tmp_path / "key.tsv")
    good, bad = saved("good.json", [one()]), saved("bad.json", [one(choice=0)])
    program.main([str(good), str(bad), "--key", str(tmp_path / "key.tsv"), "--out", str(tmp_path)])
    assert "1 answers of 1 raters in 2 files; 1 rows of problems" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "raters.tsv", sep="\t")) == 3
    assert len(pd.read_csv(tmp_path / "raters_problems.tsv", sep="\t")) == 1
    with pytest.raises(SystemExit, match="raters: "):
        program.main([str(good), "--key", str(tmp_path / "none.tsv")])
