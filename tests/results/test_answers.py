"""Answer files of raters are read right; what cannot be used has a reason."""

import pytest

from rating import one
from refacebench import manifest
from refacebench.kit import questions
from refacebench.results import answers


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
        ([one()], {"rater": ""}, "rater's name is missing"),
        ([one()], {"rater": "a b\tc"}, "rater's name is missing"),
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
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"[" * 100_000, "not valid JSON"),
        ("a.json", b"[1, 2]", "not an answer file"),
        ("a.json", b"\xff\xfe\x00", "not a text file"),
        ("a.csv", b"a,b\n1,2\n", "a.csv has no column 'kit'"),
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


def test_answers_that_a_spreadsheet_saved_again_are_read(tmp_path, key):
    name = questions.identity(key)
    text = f"Kit;Rater;Block;Question;Choice;ms\r\n{name};r;1;q0001;2;5\r\n\r\n{name};r;1;q0002;7;5"
    (tmp_path / "x.csv").write_bytes(text.encode("utf-16"))
    found, problems = answers.read_answers([tmp_path / "x.csv"], key)
    assert list(found["question"]) == ["q0001"]
    assert list(problems["line"]) == [4]


def test_key_written_and_read_is_the_same_kit(key, tmp_path):
    manifest.write(key, tmp_path / "key.tsv")
    again = answers.read_key(tmp_path / "key.tsv")
    assert questions.identity(again) == questions.identity(key)
    manifest.write(key.drop(columns="right"), tmp_path / "no.tsv")
    with pytest.raises(ValueError, match="lacks right"):
        answers.read_key(tmp_path / "no.tsv")
