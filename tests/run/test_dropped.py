"""Files that were deleted when they had been measured: reruns have nothing to do all the same."""

import json
from pathlib import Path

import pandas as pd
import pytest

from refacebench import files, manifest
from refacebench.release import scans
from refacebench.run import batch, dropped, failures, records
from refacebench.run.stage import Stage

MAKE = Stage("deface", reads=("scan", "path"), adds={"path": "an image", "changed_path": "a mask"})
LOOK = Stage("measure", reads=("scan", "path"), adds={"length": "of the image"})
MADE = "results/deface/d/null/test-measured-000.tsv"
SEEN = "results/measure/d/s/null/test-measured-000.tsv"
SCANS = ("sub-1", "sub-2", "sub-3")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of a run with three scans, as the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for scan in SCANS:
        Path(f"data/{scan}.txt").write_text(scan)
    return tmp_path


def make(scans=SCANS, ending="", calls=None, method="null", fails=()):
    """Make an image and a mask of each scan."""

    def work(row):
        if calls is not None:
            with open("calls.txt", "a") as handle:
                handle.write(f"{row['scan']}\n")
        if row["scan"] in fails:
            raise ValueError("no head")
        home = Path("results/derivatives/d/null", row["scan"])
        files.write_text(f"image of {row['scan']}{ending}", home / "a_T1w.nii.gz")
        files.write_text("mask", home / "a_mask.nii.gz")
        files.write_text("{}", home / "a_T1w.json")
        return {"path": str(home / "a_T1w.nii.gz"), "changed_path": str(home / "a_mask.nii.gz")}

    rows = pd.DataFrame(
        [
            {"scan": scan, "path": f"data/{scan}.txt", "status": "ok", "stage": "x", "reason": ""}
            for scan in scans
        ]
    )
    return batch.run_batch(MAKE, rows, work, MADE, method=method, version="1")


def look(version="1", calls=None):
    """Measure each image."""

    def work(row):
        if calls is not None:
            with open("looks.txt", "a") as handle:
                handle.write(f"{row['scan']}\n")
        return {"length": len(Path(row["path"]).read_text())}

    return batch.run_batch(LOOK, manifest.read(MADE), work, SEEN, method="m", version=version)


def bytes_of(*paths):
    return [Path(path).read_bytes() for path in paths]


def test_a_rerun_after_files_were_deleted_makes_nothing_and_the_same_tables(folder):
    make()
    look()
    before = bytes_of(MADE, SEEN)
    assert dropped.drop(MADE, ["path", "changed_path"]) == 6
    dropped.drop_sidecars(MADE)
    assert [p for p in Path("results/derivatives").rglob("*") if p.is_file()] == []
    make(calls=True)
    look(calls=True)
    assert bytes_of(MADE, SEEN) == before
    assert not Path("calls.txt").exists()
    assert not Path("looks.txt").exists()
    # Nor is a deleted file one that was lost.
    assert failures.Attempts({}, files=True).of(MADE) == "attempt 1"


def test_of_a_batch_with_a_new_scan_only_that_one_is_made(folder):
    make(SCANS[:2])
    look()
    dropped.drop(MADE, ["path"])
    make(calls=True)
    assert list(look(calls=True)["status"]) == ["ok"] * 3
    assert Path("calls.txt").read_text().split() == ["sub-3"]
    assert Path("looks.txt").read_text().split() == ["sub-3"]


def test_who_needs_a_deleted_file_says_so_and_has_it_when_it_was_made_again(folder):
    make()
    look()
    before = bytes_of(MADE, *sorted(Path(MADE).with_suffix("").glob("*.json")))
    dropped.drop(MADE, ["path", "changed_path"], spared=["sub-1"])
    found = look(version="2")
    assert list(found["status"]) == ["ok", "failed", "failed"]
    assert "deleted after it was measured (`keep` in the config)" in found["reason"][1]
    assert manifest.read_failures(SEEN)["again"].keys() == {"sub-2", "sub-3"}
    files.write_text(json.dumps({MADE: ["sub-2"]}), dropped.WANTED)
    make(calls=True)
    assert Path("calls.txt").read_text().split() == ["sub-2"]
    assert bytes_of(MADE, *sorted(Path(MADE).with_suffix("").glob("*.json"))) == before
    assert list(look(version="2")["status"]) == ["ok", "ok", "failed"]
    assert {Path(path).parts[-2] for path in dropped.read(MADE)} == {"sub-3"}


def test_records_in_one_file_hold_as_those_in_many_do(folder):
    make()
    look()
    before = bytes_of(MADE, SEEN)
    every = records.everything(MADE)
    dropped.drop(MADE, ["path", "changed_path"])
    for out in (MADE, SEEN):
        records.pack(out)
    beside = [p.name for p in Path("results").rglob("*.json") if "derivatives" not in p.parts]
    batch_name = Path(MADE).stem
    assert sorted(beside) == [
        f"{batch_name}.{kind}.json" for kind in ("dropped", "records", "records")
    ]
    assert records.everything(MADE) == every
    make(calls=True)
    look(calls=True)
    assert bytes_of(MADE, SEEN) == before
    assert not Path("calls.txt").exists()
    assert not Path("looks.txt").exists()
    # A record that is written later holds against the pack, and is packed in its place.
    assert list(look(version="2")["status"]) == ["failed"] * 3
    files.write_text(json.dumps({MADE: ["sub-2"]}), dropped.WANTED)
    make()
    assert list(look(version="2")["status"]) == ["failed", "ok", "failed"]
    records.pack(SEEN)
    assert {s: r["version"] for s, r in records.everything(SEEN).items()} == {
        **{"sub-1": "1", "sub-2": "2", "sub-3": "1"}
    }


def test_a_packing_that_was_killed_loses_no_record(folder, monkeypatch):
    make()
    every = records.everything(MADE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            records.pack(MADE)
    assert records.everything(MADE) == every
    records.pack(MADE)
    assert records.everything(MADE) == every
    assert not records.place(MADE, "sub-1").exists()


def test_a_failed_scan_whose_record_is_packed_can_be_tried_again(folder):
    make(fails=["sub-2"])
    records.pack(MADE)
    records.forget_failures(MADE)
    make(calls=True)
    assert Path("calls.txt").read_text().split() == ["sub-2"]


def test_what_comes_out_otherwise_the_second_time_is_another_image(folder):
    make()
    dropped.drop(MADE, ["path"])
    look()
    old = manifest.read(SEEN)
    files.write_text(json.dumps({MADE: list(SCANS)}), dropped.WANTED)
    make(ending=", again")
    assert dropped.read(MADE) == {}
    assert (look()["key"] != old["key"]).all()


def test_what_cannot_be_made_again_is_said_and_not_asked_for_twice(folder):
    make()
    look()
    before = bytes_of(MADE)
    dropped.drop(MADE, ["path"])
    files.write_text(json.dumps({MADE: list(SCANS)}), dropped.WANTED)
    make(fails=["sub-2"])
    assert bytes_of(MADE) == before  # the tables that were made from it stand
    found = look(version="2")
    assert list(found["status"]) == ["ok", "failed", "ok"]
    assert "could not be made again: ValueError: no head" in found["reason"][1]
    assert manifest.read_failures(SEEN)["again"] == {}


def test_no_scan_of_the_user_and_nothing_behind_a_link_is_ever_deleted(folder):
    make()
    record = Path(MADE).with_suffix("") / "sub-1.json"
    document = json.loads(record.read_text())
    document["result"] |= {"path": "data/sub-1.txt", "changed_path": "results/plan/x.json"}
    record.write_text(json.dumps(document))
    files.write_text("x", "results/plan/x.json")
    two = Path("results/derivatives/d/null/sub-2/a_T1w.nii.gz")
    two.unlink()
    two.symlink_to((folder / "data/sub-2.txt").resolve())
    assert dropped.drop(MADE, ["*"]) == 3  # sub-2's mask, and both of sub-3
    assert Path("results/plan/x.json").is_file()
    assert [Path(f"data/{scan}.txt").read_text() for scan in SCANS] == list(SCANS)


def test_a_deletion_that_was_killed_has_noted_every_file_before(folder, monkeypatch):
    make()
    before = bytes_of(MADE)

    def killed(path):
        if "sub-2" in str(path):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "refuse_links", killed)  # called before each
        with pytest.raises(KeyboardInterrupt):
            dropped.drop(MADE, ["path", "changed_path"])
    assert len(dropped.read(MADE)) == 6
    make(calls=True)
    assert not Path("calls.txt").exists()
    assert dropped.drop(MADE, ["path", "changed_path"]) > 0
    assert [p for p in Path("results/derivatives").rglob("*.gz") if p.is_file()] == []
    assert bytes_of(MADE) == before


def test_an_export_says_how_a_deleted_image_is_made_again(folder):
    make()
    dropped.drop(MADE, ["path"])
    row, *_ = scans.of_variant(Path("results"), "d", "null").to_dict("records")
    row["variant"] = "null"
    told = scans.against(row, "success", ["success"])
    assert "deleted after it was measured" in told
    assert "--config remake=null" in told
