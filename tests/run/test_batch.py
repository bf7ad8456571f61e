"""The batch loop: nothing vanishes, nothing stops, finished scans are kept."""

import errno
import gzip
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refacebench import contracts, files, manifest
from refacebench.image import nifti
from refacebench.programs import process
from refacebench.run import batch, records
from refacebench.run.stage import Stage, StageError


def rows(tmp_path, n=3):
    table = []
    for i in range(n):
        path = tmp_path / f"scan{i}.txt"
        if not path.exists():
            path.write_text(f"content {i}")
        table.append(
            {
                "dataset": "d",
                "participant": f"sub-00{i}",
                "session": "",
                "scan": f"sub-00{i}",
                "split": "test",
                "age": 30.0 + i,
                "path": str(path),
                "status": "ok",
                "stage": "before",
                "reason": "",
            }
        )
    return pd.DataFrame(table)


STAGE = Stage("s", reads=("scan", "path"), may_add={"path": "a file", "value": "a number"})


def run(table, work, tmp_path, stage=STAGE, **kwargs):
    options = {"method": "m", "version": "1", **kwargs}
    return batch.run_batch(stage, table, work, tmp_path / "out" / "batch.tsv", **options)


def test_every_way_to_fail_becomes_a_row(tmp_path):
    def work(row):
        number = int(row["scan"][-1])
        if number == 1:
            raise contracts.ScanExcluded("not a head")
        if number == 2:
            raise ValueError("bad\nthing\there")
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        if number == 4:
            time.sleep(30)
        if number == 5:
            os._exit(3)
        return {"value": number}

    table = run(rows(tmp_path, 6), work, tmp_path, timeout=1.0)
    assert list(table["status"]) == ["ok", "excluded", "failed", "failed", "failed", "failed"]
    assert table["reason"][1] == "not a head"
    assert table["reason"][2] == "ValueError: bad thing here"
    assert "signal 15" in table["reason"][3]
    assert "no result after 1 s" in table["reason"][4]
    assert "exit 3" in table["reason"][5]
    assert (tmp_path / "out" / "batch.tsv").read_text().count("\n") == 7


def test_rows_that_are_not_ok_pass_through_unchanged(tmp_path):
    table = rows(tmp_path)
    table.loc[1, ["status", "reason"]] = ["excluded", "4-D image"]
    seen = run(table, lambda row: {"value": 1}, tmp_path)
    assert seen.loc[1, "status"] == "excluded"
    assert seen.loc[1, "reason"] == "4-D image"
    assert seen.loc[1, "stage"] == "before"
    assert list(seen["scan"]) == list(table["scan"])


def test_an_input_that_is_gone_is_a_failed_row(tmp_path):
    table = rows(tmp_path)
    os.remove(table["path"][0])
    seen = run(table, lambda row: {}, tmp_path)
    assert list(seen["status"]) == ["failed", "ok", "ok"]
    assert "cannot be read" in seen["reason"][0]


def counting(tmp_path):
    """A work function that leaves a trace of each call and writes one file."""

    def work(row):
        with open(tmp_path / "calls.txt", "a") as handle:
            handle.write(row["scan"] + "\n")
        out = tmp_path / f"{row['scan']}.out"
        out.write_text("result")
        return {"path": str(out), "value": 0.1 + 0.2}

    return work


def calls(tmp_path):
    path = tmp_path / "calls.txt"
    return path.read_text().split() if path.exists() else []


def test_keys_begin_with_a_letter_and_records_without_one_still_hold(tmp_path):
    table = rows(tmp_path)
    first = run(table, counting(tmp_path), tmp_path)
    assert first["key"].str.fullmatch("k[0-9a-f]{16}").all()
    for path in (tmp_path / "out/batch").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"key": record["key"][1:]}))
    again = run(table, counting(tmp_path), tmp_path)
    assert len(calls(tmp_path)) == len(table)
    assert list(again["key"]) == [key[1:] for key in first["key"]]


def test_a_second_run_skips_finished_scans_and_gives_the_same_bytes(tmp_path):
    table, work = rows(tmp_path), counting(tmp_path)
    run(table, work, tmp_path)
    first = (tmp_path / "out" / "batch.tsv").read_bytes()
    (tmp_path / "out" / "batch.tsv").unlink()
    run(table, work, tmp_path)
    assert (tmp_path / "out" / "batch.tsv").read_bytes() == first
    assert len(calls(tmp_path)) == 3


@pytest.mark.parametrize("what", ["version", "params", "input", "output"])
def test_a_scan_runs_again_when_what_it_depends_on_changed(tmp_path, what):
    table, work = rows(tmp_path), counting(tmp_path)
    run(table, work, tmp_path, params={"a": 1})
    kwargs = {"params": {"a": 1}}
    if what == "version":
        kwargs["version"] = "2"
    if what == "params":
        kwargs["params"] = {"a": 2}
    if what == "input":
        (tmp_path / "scan1.txt").write_text("other content")
    if what == "output":
        (tmp_path / "sub-001.out").unlink()
    run(table, work, tmp_path, **kwargs)
    again = calls(tmp_path)[3:]
    expected = ["sub-001"] if what in ("input", "output") else list(table["scan"])
    assert again == expected


#: Ways to fail that say nothing of the scan, by what happens to it.
PASSING = {
    "full": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "quota": lambda: OSError("quota exceeded"),
    "stale": lambda: OSError(errno.ESTALE, "Stale file handle"),
    "denied": lambda: PermissionError(errno.EACCES, "Permission denied"),
    "memory": lambda: MemoryError(),
    "slow": lambda: subprocess.TimeoutExpired("program", 3),
    "program": lambda: contracts.ScanInterrupted("program: signal 9"),
    "gpu": lambda: type("OutOfMemoryError", (RuntimeError,), {})("CUDA"),
}
#: Of the method or the scan.
LASTING = {
    "wrong": lambda: ValueError("no brain"),
    "damaged": lambda: gzip.BadGzipFile("CRC check failed"),
    "words": lambda: RuntimeError("the file says: No space left on device"),
}


def failing(tmp_path, kinds):
    """A work function: each scan fails in its way until the file ``flag`` is there."""

    def work(row):
        with open(tmp_path / "calls.txt", "a") as handle:
            handle.write(row["scan"] + "\n")
        if (tmp_path / "flag").exists():
            return {"value": 1}
        error = kinds[row["scan"]]()
        if error is not None:
            raise error
        return {"value": 1}

    return work


def named(tmp_path, kinds):
    table = rows(tmp_path, len(kinds))
    return table.assign(scan=list(kinds))


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def test_only_failures_that_may_pass_are_tried_again(tmp_path):
    kinds = {**PASSING, **LASTING, "killed": kill, "fine": lambda: None}
    table, work = named(tmp_path, kinds), failing(tmp_path, kinds)
    seen = run(table, work, tmp_path).set_index("scan")["status"]
    assert (seen == "failed").sum() == len(kinds) - 1
    listed = manifest.read_failures(tmp_path / "out" / "batch.tsv")
    assert set(listed["again"]) == {*PASSING, "killed"}
    assert set(listed["final"]) == set(LASTING)
    assert listed["total"] == len(kinds)
    (tmp_path / "flag").write_text("")
    (tmp_path / "calls.txt").unlink()
    again = run(table, work, tmp_path).set_index("scan")
    assert set(calls(tmp_path)) == {*PASSING, "killed"}
    assert set(again.index[again["status"] == "failed"]) == set(LASTING)
    # All of them, where that is asked for.
    records.forget_failures(tmp_path / "out" / "batch.tsv")
    assert set(run(table, work, tmp_path)["status"]) == {"ok"}
    assert not manifest.failures_path(tmp_path / "out" / "batch.tsv").exists()


@pytest.mark.parametrize("how", ["killed", "raised", "over the limit"])
def test_a_scan_without_enough_memory_gets_more_as_long_as_there_are_tries(
    tmp_path, monkeypatch, how
):
    worked_on = tmp_path / "worked_on"

    def work(row):
        with worked_on.open("a") as notes:
            notes.write(row["scan"] + "\n")
        if row["scan"].endswith("1") and process.memory_limit_mb() < 4000:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "raised":
                raise MemoryError
            held = np.ones(300_000_000 // 8)
            time.sleep(20)
            return {"value": float(held[0])}
        return {"value": 1}

    limit = 250 if how == "over the limit" else 2000
    monkeypatch.setattr(process, "_memory_mb", 0.0)
    monkeypatch.setattr(process, "_tries_left", 0)
    process.limit_memory(limit, tries_left=1)
    with pytest.raises(batch.MoreMemoryNeeded, match="1 of 3 scans"):
        run(rows(tmp_path), work, tmp_path)
    assert not (tmp_path / "out" / "batch.tsv").exists()
    process.limit_memory(limit, tries_left=0)
    last = run(rows(tmp_path), work, tmp_path)
    assert list(last["status"]) == ["ok", "failed", "ok"]
    assert {name.strip() for name in last.columns} == set(last.columns)
    process.limit_memory(4000, tries_left=0)
    assert list(run(rows(tmp_path), work, tmp_path)["status"]) == ["ok"] * 3
    assert worked_on.read_text().split() == ["sub-000", "sub-001", "sub-002", *["sub-001"] * 2]


def test_a_failure_that_more_memory_does_not_help_ends_no_job(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_tries_left", 2)

    def work(row):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert set(run(rows(tmp_path), work, tmp_path)["status"]) == {"failed"}


def test_a_failure_that_stays_is_the_same_row_byte_for_byte(tmp_path):
    table, work = named(tmp_path, LASTING), failing(tmp_path, LASTING)
    run(table, work, tmp_path)
    first = (tmp_path / "out" / "batch.tsv").read_bytes()
    run(table, work, tmp_path)
    assert (tmp_path / "out" / "batch.tsv").read_bytes() == first


def test_a_failure_of_another_input_is_tried_again(tmp_path):
    table, work = named(tmp_path, LASTING), failing(tmp_path, LASTING)
    run(table, work, tmp_path)
    (tmp_path / "flag").write_text("")
    Path(table["path"][0]).write_text("a repaired file")
    assert list(run(table, work, tmp_path)["status"]) == ["ok", "failed", "failed"]


def test_failures_of_earlier_stages_and_exclusions_are_not_this_ones(tmp_path):
    def work(row):
        raise contracts.ScanExcluded("not a head")

    table = rows(tmp_path)
    table.loc[1, ["status", "reason"]] = ["failed", "killed"]
    run(table, work, tmp_path)
    assert not manifest.failures_path(tmp_path / "out" / "batch.tsv").exists()


def checked(tmp_path):
    """Rows as they come from the inventory."""
    table = rows(tmp_path)
    return table.assign(original_path=table["path"], checksum=table["path"].map(files.checksum))


def test_an_original_that_was_swapped_since_the_inventory_is_not_used(tmp_path):
    table, work = checked(tmp_path), counting(tmp_path)
    Path(table["path"][1]).write_text("another person")
    seen = run(table, work, tmp_path)
    assert list(seen["status"]) == ["ok", "failed", "ok"]
    assert "the file changed after it was checked" in seen["reason"][1]
    assert calls(tmp_path) == ["sub-000", "sub-002"]
    assert list(manifest.read_failures(tmp_path / "out" / "batch.tsv")["again"]) == ["sub-001"]


def test_an_original_that_is_swapped_under_our_hands_gives_no_result(tmp_path):
    table = checked(tmp_path)

    def work(row):
        if row["scan"] == "sub-001":
            Path(row["path"]).write_text("another person")
        return {"value": 1}

    seen = run(table, work, tmp_path)
    assert list(seen["status"]) == ["ok", "failed", "ok"]
    assert "changed" in seen["reason"][1]


@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_text("res")])
def test_an_output_that_is_gone_or_cut_short_is_made_again(tmp_path, harm):
    table, work = rows(tmp_path), counting(tmp_path)
    run(table, work, tmp_path)
    harm(tmp_path / "sub-001.out")
    run(table, work, tmp_path)
    assert calls(tmp_path)[3:] == ["sub-001"]
    assert (tmp_path / "sub-001.out").read_text() == "result"


def test_a_record_that_cannot_be_written_is_a_failure_of_that_scan_alone(tmp_path, monkeypatch):
    write = files.write_text

    def full(text, path):
        if Path(path).name == "sub-001.json":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        write(text, path)

    monkeypatch.setattr(batch, "write_text", full)
    seen = run(rows(tmp_path), counting(tmp_path), tmp_path)
    assert list(seen["status"]) == ["ok", "failed", "ok"]
    assert "quota" in seen["reason"][1]
    assert list(manifest.read_failures(tmp_path / "out" / "batch.tsv")["again"]) == ["sub-001"]


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    volume = nifti.Volume(np.zeros((2, 2, 2), np.complex256), np.eye(4))
    with pytest.raises(Exception, match="complex256|not supported|data dtype"):
        nifti.write(volume, tmp_path / "a" / "b.nii.gz")
    with pytest.raises(UnicodeEncodeError):
        files.write_text("half \ud800", tmp_path / "a" / "b.tsv")
    assert list((tmp_path / "a").iterdir()) == []


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    (tmp_path / "a").mkdir()
    stale = tmp_path / f"a/.part-{gone}-sub-1_T1w.nii.gz"
    kept = [tmp_path / f".part-{os.getpid()}-b.tsv", tmp_path / "a/b.tsv"]
    for path in (stale, *kept):
        path.write_text("half")
    assert files.remove_parts(tmp_path) == 1
    assert not stale.exists()
    assert all(path.exists() for path in kept)


def test_identifiers_stay_text(tmp_path):
    table = rows(tmp_path).assign(session="01", participant="0012")
    manifest.write(table, tmp_path / "m.tsv")
    seen = manifest.read(tmp_path / "m.tsv")
    assert list(seen["session"]) == ["01"] * 3
    assert list(seen["participant"]) == ["0012"] * 3
    assert list(seen["age"]) == [30.0, 31.0, 32.0]


def test_an_empty_batch_gives_a_table_with_columns(tmp_path):
    seen = run(rows(tmp_path).iloc[:0], lambda row: {}, tmp_path)
    assert len(seen) == 0
    assert "status" in manifest.read(tmp_path / "out" / "batch.tsv")


def test_in_process_and_in_child_give_the_same(tmp_path):
    work = counting(tmp_path)
    child = run(rows(tmp_path), work, tmp_path / "a")
    here = run(rows(tmp_path), work, tmp_path / "b", isolate=False)
    fixed = ["scan", "status", "value", "key"]
    assert child[fixed].equals(here[fixed])


def test_a_checksum_that_looks_like_a_huge_exponent_stays_text(tmp_path):
    # pandas' own conversion of this text takes the whole process down.
    digest = "6e158439314234cf51ed5e9f41695ef7202272b233c1c5f0b793e330352bec45"
    path = tmp_path / "m.tsv"
    path.write_text(f"scan\tchecksum\tcount\tage\nsub-1\t{digest}\t1400123\t6e158439314234\n")
    table = manifest.read(path)
    assert table["checksum"].tolist() == [digest]
    assert table["count"].tolist() == [1400123]
    assert table["count"].dtype == "int64"
    assert table["age"].isna().all()


# what a stage says of its columns ------------------------------------------------------------


def test_a_column_that_is_read_and_not_there_is_an_error_before_any_work(tmp_path):
    stage = Stage("deface", reads=("scan", "brain_path", "head_path"))
    table = rows(tmp_path).assign(head_path="h")
    with pytest.raises(StageError, match="stage deface: its rows lack brain_path$"):
        run(table, counting(tmp_path), tmp_path, stage)
    assert calls(tmp_path) == []
    assert not (tmp_path / "out" / "batch.tsv").exists()
    # Where no scan came so far, columns that only finished scans have may be missing.
    lost = run(table.assign(status="excluded"), counting(tmp_path), tmp_path, stage)
    assert list(lost["status"]) == ["excluded"] * 3


def test_the_work_sees_the_declared_columns_and_the_key_alone(tmp_path):
    stage = Stage("s", reads=("scan",), may_read=("present_*", "gone"), may_add={"saw": ""})
    table = rows(tmp_path).assign(present_nose=1.0, secret="x")
    seen = run(table, lambda row: {"saw": " ".join(row)}, tmp_path, stage)
    assert set(seen["saw"][0].split()) == {"scan", "present_nose", "key"}


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"value": 1, "more": 2}, "stage s: adds more, which it does not declare"),
        ({}, "stage s: did not add value"),
        ({"value": 1, "q_a": 2, "status": "ok"}, ""),
        ({"status": "failed", "reason": "no brain"}, "no brain"),
    ],
)
def test_a_result_with_other_columns_than_declared_is_a_failed_row(tmp_path, result, reason):
    stage = Stage("s", reads=("scan",), adds={"value": "a number"}, may_add={"q_*": "quality"})
    seen = run(rows(tmp_path, 1), lambda row: result, tmp_path, stage).iloc[0]
    assert seen["status"] == ("failed" if reason else "ok")
    assert seen["reason"].endswith(reason)
