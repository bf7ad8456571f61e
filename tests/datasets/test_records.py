"""Tables of a BIDS folder: understood, or one sentence that names the file; ages at the session."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from refacebench.datasets import _records, bids

HEADER = "participant_id\tage\tsex\tsite\n"
ROWS = "sub-01\t21\tF\tA\nsub-02\t34.5\tM\tB\n"


def folder(root, sessions=("",), subjects=("sub-01", "sub-02")):
    for subject in subjects:
        for session in sessions:
            home = Path(root) / subject / session / "anat"
            home.mkdir(parents=True, exist_ok=True)
            stem = "_".join(part for part in (subject, session) if part)
            (home / f"{stem}_T1w.nii.gz").write_bytes(b"")
    return Path(root)


def index(root):
    table = bids.index({**bids.METHOD.defaults, "path": str(root)}, 1).set_index("scan")
    return table[table["path"] != ""]


def test_a_table_that_may_not_be_read_is_a_sentence(tmp_path, monkeypatch):
    path = folder(tmp_path) / "participants.tsv"
    path.write_text(HEADER + ROWS)

    def refused(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_records.Path, "read_bytes", refused)
    assert index(tmp_path)["age_note"].str.contains("cannot be read").all()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, ""),
        (ROWS + "sub-03\tn/a\tn/a\t\nsub-04\tunknown\tF\tA\n", ""),
        (ROWS + "sub-03\t18-38\tF\tA\nsub-04\tabout 40\tF\tA\n", "ages (2)"),
        (ROWS + "\t40\tF\tA\n", "rows without participant_id (1)"),
        (ROWS + "sub-02\t35\tM\tB\n", "participants with several rows that differ in age (1)"),
        (ROWS + "sub-02\t34.5\tF\tB\n", "participants with several rows that differ in sex (1)"),
    ],
)
def test_what_is_not_understood_is_counted_in_one_sentence(tmp_path, capsys, rows, said):
    (folder(tmp_path) / "participants.tsv").write_text(HEADER + rows)
    index(tmp_path)
    lines = [line for line in capsys.readouterr().err.splitlines() if "not understood" in line]
    assert [line.partition("not understood: ")[2] for line in lines] == ([said] if said else [])


def test_an_age_by_another_name_is_said_to_be_unread(tmp_path, capsys):
    text = (HEADER + ROWS).replace("age", "age_at_scan", 1)
    (folder(tmp_path) / "participants.tsv").write_text(text)
    assert index(tmp_path)["age"].isna().all()
    said = "no column is called 'age' (age_at_scan is not read)"
    assert said in capsys.readouterr().err


def test_rows_that_disagree_leave_the_age_open(tmp_path):
    (folder(tmp_path) / "participants.tsv").write_text(HEADER + ROWS + "sub-02\t43\tM\tB\n")
    table = index(tmp_path)
    assert table.loc["sub-01", "age"] == 21
    assert np.isnan(table.loc["sub-02", "age"])
    assert "different ages" in table.loc["sub-02", "age_note"]
    assert tuple(table.loc["sub-02", ["sex", "site"]]) == ("M", "B")


def test_a_bare_number_of_two_folders_is_nobody(tmp_path):
    folder(tmp_path, subjects=("sub-1", "sub-01"))
    (tmp_path / "participants.tsv").write_text("participant_id\tage\n01\t30\n001\t40\n")
    table = index(tmp_path)
    assert table.loc["sub-01", "age"] == 30
    assert np.isnan(table.loc["sub-1", "age"])


@pytest.mark.parametrize(
    ("text", "years"),
    [("21,5", 21.5), ("034Y", 34), ("018M", 1.5), (">89", 89), ("89 +", 89), ("≥90", 90)],
)
def test_ages_as_they_come(text, years):
    assert bids.parse_age(text) == years


def test_ages_in_months_are_months(tmp_path):
    (folder(tmp_path) / "participants.tsv").write_text("participant_id\tage\n01\t18\n02\t120\n")
    (tmp_path / "participants.json").write_text(json.dumps({"age": {"Units": "months"}}))
    assert list(index(tmp_path)["age"]) == [1.5, 10.0]
    (tmp_path / "participants.json").write_text("not JSON")
    assert index(tmp_path)["age"].tolist()[0] == 18


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('["age"]'),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_an_odd_file_beside_the_table_neither_hangs_nor_stops(tmp_path, make):
    (folder(tmp_path) / "participants.tsv").write_text(HEADER + ROWS)
    make(tmp_path / "participants.json")
    assert list(index(tmp_path)["age"]) == [21, 34.5]


def test_a_cell_of_any_length_is_read(tmp_path):
    text = (HEADER + ROWS).replace("\t", ",").replace("F,A", "F," + "A" * 200_000)
    (folder(tmp_path) / "participants.tsv").write_text(text)
    assert list(index(tmp_path)["age"]) == [21, 34.5]


# ages at the session ------------------------------------------------------------------------


def two(root, age=40):
    folder(root, ("ses-1", "ses-2"), ("sub-01",))
    (root / "participants.tsv").write_text(f"participant_id\tage\nsub-01\t{age}\n")
    return root


def ages(root):
    table = index(root).set_index("session")
    return table["age"].to_dict(), table["days"].to_dict(), table["age_note"].to_dict()


def write_sessions(root, text):
    (root / "sub-01" / "sub-01_sessions.tsv").write_text(text)


def write_scans(root, session, *rows):
    lines = [f"anat/{name}\t{time}" for name, time in rows]
    path = root / "sub-01" / session / f"sub-01_{session}_scans.tsv"
    path.write_text("\n".join(["filename\tacq_time", *lines]))


def test_a_follow_up_without_a_date_has_no_age(tmp_path):
    found, days, notes = ages(two(tmp_path))
    assert found["ses-1"] == 40
    assert np.isnan(found["ses-2"])
    assert np.isnan(days["ses-2"])
    assert "later session" in notes["ses-2"]
    assert notes["ses-1"] == ""


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("session_id\tage\nses-1\t40\nses-2\t43.5\n", 43.5),
        ("session_id\tage\n2\t43.5\n", 43.5),
        ("session_id\tacq_time\nses-1\t1843-03-01T10:00:00\nses-2\t1846-03-01\n", 43),
        ("session_id\tacq_time\nses-1\t2001-03-01T23:00:00Z\nses-2\t2004-03-01T01:00:00\n", 43),
        ("session_id\tdays\nses-1\t0\nses-2\t1096\n", 43),
        ("session_id\tinterval\nses-1\tn/a\nses-2\t1096\n", 43),
    ],
)
def test_ages_at_the_session(tmp_path, text, second):
    write_sessions(two(tmp_path), text)
    found, days, notes = ages(tmp_path)
    assert found["ses-1"] == 40
    assert found["ses-2"] == pytest.approx(second, abs=0.01)
    assert set(notes.values()) == {""}
    if "age" not in text:
        assert days == {"ses-1": 0, "ses-2": 1096}


def test_scans_tsv_gives_the_date_of_the_t1w_image(tmp_path):
    two(tmp_path)
    late = ("sub-01_ses-1_T2w.nii.gz", "2001-01-01T08:00:00")
    write_scans(tmp_path, "ses-1", late, ("sub-01_ses-1_T1w.nii.gz", "2001-01-03T08:00:00"))
    write_scans(tmp_path, "ses-2", ("sub-01_ses-2_T1w.nii.gz", "2002-01-03T09:00:00"))
    found, days, _ = ages(tmp_path)
    assert days == {"ses-1": 0, "ses-2": 365}
    assert found["ses-2"] == pytest.approx(41, abs=0.01)


@pytest.mark.parametrize(
    "times",
    [("1900-01-01", "1900-01-01"), ("08:15:00", "09:15:00"), ("n/a", "2001-01-01"), ("", "")],
)
def test_times_that_tell_nothing_give_no_days(tmp_path, times):
    rows = "".join(f"ses-{n}\t{time}\n" for n, time in enumerate(times, 1))
    write_sessions(two(tmp_path), "session_id\tacq_time\n" + rows)
    found, days, _ = ages(tmp_path)
    assert np.isnan(found["ses-2"])
    assert not days["ses-2"] > 0


def test_a_table_of_sessions_that_cannot_be_used_is_said_once(tmp_path, capsys):
    write_sessions(two(tmp_path), "")
    write_scans(tmp_path, "ses-1")
    assert np.isnan(ages(tmp_path)[0]["ses-2"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "of sessions" in line]
    assert len(lines) == 1
    assert lines[0].endswith(
        "1 tables of sessions or scans are not used; the first: sub-01_sessions.tsv is empty"
    )


def test_dates_themselves_go_nowhere(tmp_path):
    write_sessions(two(tmp_path), "session_id\tacq_time\nses-1\t2011-05-06\nses-2\t2012-05-06\n")
    text = index(tmp_path).drop(columns="path").to_csv()
    assert "2011" not in text
    assert "2012" not in text


def test_sessions_go_by_their_dates_and_else_by_their_numbers(tmp_path):
    folder(tmp_path, ("ses-post", "ses-pre"), ("sub-01",))
    folder(tmp_path, ("ses-2", "ses-10"), ("sub-02",))
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t40\nsub-02\t50\n")
    write_sessions(tmp_path, "session_id\tacq_time\nses-pre\t2001-01-01\nses-post\t2002-01-01\n")
    table = index(tmp_path)
    assert table.loc["sub-01_ses-pre", "age"] == 40
    assert table.loc["sub-01_ses-post", "age"] == pytest.approx(41, abs=0.01)
    assert table.loc["sub-02_ses-2", "age"] == 50
    assert np.isnan(table.loc["sub-02_ses-10", "age"])


def test_participants_with_a_row_a_session(tmp_path):
    folder(tmp_path, ("ses-17mo", "ses-60mo"), ("sub-01",))
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tsession_id\tage\tsex\nsub-01\tses-17mo\t1.4\tF\nsub-01\tses-60mo\t5\tF\n"
    )
    found, _, _ = ages(tmp_path)
    assert found == {"ses-17mo": 1.4, "ses-60mo": 5.0}


def test_the_shared_tables(tmp_path, monkeypatch, shared):
    monkeypatch.syspath_prepend(str(shared("zoo/cases")))
    sys.modules.pop("tables", None)
    import tables

    adults = [21.0, 34.0, 55.0, 60.0]
    nan = float("nan")
    expected = {
        **dict.fromkeys(("t01", "t02", "t03", "t07", "t08", "t09", "t10", "t11"), adults),
        **{"t13": adults, "t17": adults, "t19": adults, "t04": [0.75, 1.5, 5.5, 10.0]},
        **{"t05": [1.4, 5.0, 1.5, 5.1], "t06": [30.0, 38.0, 40.0, 48.0]},
        **dict.fromkeys(("t12", "t15", "t16", "t22"), [nan] * 4),
        **{"t14": [21.5, 34.0, 89.0, nan], "t18": [21.0, nan, 55.0, 60.0]},
        **{"t20": [21.0, 34.0, 55.0, nan], "t21": None},
    }
    for name, make in tables.ALL.items():
        make(tmp_path / name)
        table = index(tmp_path / name)
        assert (table["status"] == "ok").all(), name
        if expected[name[:3]] is None:
            continue  # an administrator may read anything
        np.testing.assert_array_equal(table["age"], expected[name[:3]], name)
        silent = table["age"].isna() & (table["age_note"] == "")
        assert not silent.any(), name
