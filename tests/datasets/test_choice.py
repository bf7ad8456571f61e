"""Which T1w scans of a session are measured: by entities, by number, by what can be used."""

import json
from pathlib import Path

import pandas as pd
import pytest

from refacebench import files, manifest
from refacebench.contracts import ScanExcluded
from refacebench.datasets import bids
from refacebench.run import methods, plan, spares
from refacebench.stages import prepare

NAMES = ("acq-mprage_run-01", "acq-mprage_run-2", "acq-space_run-1", "", "run-1_echo-1")


def folder(root, names=NAMES, subjects=("sub-1",), sessions=("",)):
    for subject in subjects:
        for session in sessions:
            home = Path(root, subject, session, "anat")
            home.mkdir(parents=True)
            for name in names:
                stem = "_".join(part for part in (subject, session, name, "T1w") if part)
                (home / f"{stem}.nii.gz").write_bytes(b"")
    return {**bids.METHOD.defaults, "path": str(root)}


@pytest.mark.parametrize(
    ("select", "kept"),
    [
        ({}, {0, 1, 2, 3, 4}),
        ({"acquisition": "mprage"}, {0, 1}),
        ({"acq": "acq-mprage", "run": 1}, {0}),
        ({"run": "01"}, {0, 2, 4}),
        ({"run": [1, 2], "acquisition": ["mprage", "space"]}, {0, 1, 2}),
        ({"acquisition": None}, {3, 4}),
        ({"acquisition": ["space", None], "echo": None}, {2, 3}),
        ({"run": 3}, set()),
        ({"acquisition": "MPRAGE"}, set()),
    ],
)
def test_entities_choose_and_what_is_not_chosen_is_a_row_with_a_reason(tmp_path, select, kept):
    table = bids.index({**folder(tmp_path), "select": select}, 1)
    assert len(table) == len(NAMES)
    used = table[table["status"] == "ok"]
    assert set(used["scan"]) == {f"sub-1_{NAMES[n]}".rstrip("_") for n in kept}
    lost = table[table["status"] != "ok"]
    assert lost["reason"].str.startswith("not selected: its name has ").all()


def test_the_reason_says_what_the_name_has_and_what_is_asked_for(tmp_path):
    table = bids.index({**folder(tmp_path, NAMES[2:4]), "select": {"acq": ["mprage", "x"]}}, 1)
    assert list(table["reason"]) == [
        "not selected: its name has no acq-, select asks for acq-mprage or acq-x",
        "not selected: its name has acq-space, select asks for acq-mprage or acq-x",
    ]


def test_sessions_can_be_chosen_by_their_folders(tmp_path):
    options = folder(tmp_path, ("",), sessions=("ses-01", "ses-2"))
    table = bids.index({**options, "select": {"session": 1}}, 1)
    assert list(table.loc[table["status"] == "ok", "scan"]) == ["sub-1_ses-01"]


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ({"colour": "red"}, "no entity 'colour'"),
        (["run"], "not a list of entities"),
        ({"run": True}, "run: True is not a label"),
        ({"run": []}, "run has no label"),
        ({"run": {"a": 1}}, "is not a label"),
    ],
)
def test_a_wrong_choice_is_one_sentence(tmp_path, select, words):
    with pytest.raises(ValueError, match=words):
        bids.index({**folder(tmp_path), "select": select}, 1)


def test_images_that_are_not_selected_lose_their_face_as_companions(tmp_path):
    options = {**folder(tmp_path, NAMES[:3]), "select": {"acq": "space"}, "carry": ["T1w"]}
    table = bids.index(options, 1).set_index("scan")
    (used,) = table.index[table["status"] == "ok"]
    assert used == "sub-1_acq-space_run-1"
    found = {c["name"] for c in json.loads(table.loc[used, "companions"])}
    assert found == {"sub-1_acq-mprage_run-01_T1w", "sub-1_acq-mprage_run-2_T1w"}


# one scan of each session -------------------------------------------------------------------


def config(root, size=3, **entry):
    return {
        "seed": 1,
        "batch_size": size,
        "splits": {"train": 0, "validation": 0, "test": 1},
        "datasets": {"mine": {"type": "bids", "path": str(root), **entry}},
    }


def test_one_scan_of_each_session_is_the_first_that_can_be_used(tmp_path):
    folder(tmp_path, NAMES[:2], ("sub-1", "sub-2"), ("ses-1", "ses-2"))
    table = plan.scans(config(tmp_path, one_scan_per_session=True), "mine")
    assert (table["status"] == "ok").all()
    first = "sub-1_ses-1_acq-mprage_run-01"
    table.loc[table["scan"] == first, ["status", "reason"]] = "excluded", "truncated"
    kept = spares.leave_out(table).set_index("scan")
    assert (kept["status"] == "ok").sum() == 4
    assert kept.loc[first, "reason"] == "truncated"
    assert kept.loc["sub-1_ses-1_acq-mprage_run-2", "status"] == "ok"
    other = kept.loc["sub-2_ses-1_acq-mprage_run-2"]
    assert other["status"] == "excluded"
    assert other["reason"] == (
        "the session's scan is sub-2_ses-1_acq-mprage_run-01 (one_scan_per_session)"
    )


def test_the_choice_is_made_when_the_scans_are_prepared(tmp_path, monkeypatch):
    """The first scan passes the checks, and only then is found to hold no brain."""
    folder(tmp_path / "b", NAMES[:3])
    table = plan.scans(config(tmp_path / "b", one_scan_per_session=True), "mine")
    bad = "sub-1_acq-mprage_run-01"

    def examined(row, out, *limits):
        if row["scan"] == bad:
            raise ScanExcluded("implausible brain")
        return dict.fromkeys(prepare.STAGE.adds, "")

    monkeypatch.setattr(prepare, "run", examined)
    for module in (prepare.extraction, prepare.registration, prepare.face_parts, prepare.pose):
        for name in ("load", "load_brain_extractor"):
            monkeypatch.setattr(module, name, lambda: None, raising=False)
    out = tmp_path / "results/prepare.tsv"
    for _ in range(2):  # finished scans are not made again, and the choice is the same
        made = prepare.run_batch(table, out, tmp_path / "derivatives").set_index("scan")
        assert made["status"].to_dict() == {
            bad: "excluded",
            "sub-1_acq-mprage_run-2": "ok",
            "sub-1_acq-space_run-1": "excluded",
        }
        assert made.loc[bad, "reason"] == "implausible brain"
        assert "the session's scan is sub-1_acq-mprage_run-2" in made["reason"].iloc[2]
        written = manifest.read(out).set_index("scan")
        assert list(written["status"]) == list(made["status"])
        assert not manifest.read_failures(out)["final"]


def test_all_scans_of_a_session_are_judged_in_one_job(tmp_path):
    """And a batch is no larger than it must be."""
    folder(tmp_path, NAMES[:2], [f"sub-{n}" for n in range(4)])
    plainly = plan.scans(config(tmp_path), "mine")
    assert plainly.groupby("batch").size().tolist() == [3, 3, 2]
    together = plan.scans(config(tmp_path, one_scan_per_session=True), "mine")
    assert together.groupby("batch").size().tolist() == [2, 2, 2, 2]
    assert (together.groupby("participant")["batch"].nunique() == 1).all()
    larger = plan.scans(config(tmp_path, 5, one_scan_per_session=True), "mine")
    assert larger.groupby("batch").size().tolist() == [4, 4]
    single = plan.scans(config(tmp_path, 1, one_scan_per_session=True), "mine")
    assert single.groupby("batch").size().tolist() == [2, 2, 2, 2]


def test_without_a_wish_nothing_is_left_out():
    table = pd.DataFrame({"participant": ["a", "a"], "session": "", "scan": ["x", "y"]})
    table["status"] = "ok"
    assert spares.leave_out(table) is table
    assert not spares.matter(table)


def test_the_schema_and_the_method_know_the_same_keys(tmp_path):
    folder(tmp_path)
    with pytest.raises(methods.OptionsRefused, match="no entity 'runs'"):
        plan.scans(config(tmp_path, select={"runs": 1}), "mine")
    schema = files.read_yaml(Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml")
    known = schema["properties"]["datasets"]["additionalProperties"]["properties"]
    assert {"select", "one_scan_per_session"} <= set(known)
