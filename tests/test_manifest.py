"""The batch loop: nothing vanishes, nothing stops, finished scans are kept."""

import os
import signal
import time

import pandas as pd
import pytest

from refacebench import manifest


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


def run(table, work, tmp_path, **kwargs):
    options = {"stage": "s", "method": "m", "version": "1", **kwargs}
    return manifest.run_batch(table, work, tmp_path / "out" / "batch.tsv", **options)


def test_every_way_to_fail_becomes_a_row(tmp_path):
    def work(row):
        number = int(row["scan"][-1])
        if number == 1:
            raise manifest.ScanExcluded("not a head")
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


def test_a_failed_scan_is_tried_again(tmp_path):
    flag = tmp_path / "flag"

    def work(row):
        if not flag.exists():
            raise RuntimeError("disk full")
        return {"value": 1}

    assert set(run(rows(tmp_path), work, tmp_path)["status"]) == {"failed"}
    flag.write_text("")
    assert set(run(rows(tmp_path), work, tmp_path)["status"]) == {"ok"}


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
