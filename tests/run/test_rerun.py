"""What the next run does again: changed files, failed scans, lost files; and what a run says."""

import os

import pandas as pd
import pytest

from refacebench import files, manifest
from refacebench.contracts import Attacker, Subject
from refacebench.run import failures, plan, stamps
from refacebench.run.failures import Place
from refacebench.stages import enrol
from running import bids, job_counts, snakemake

NONE = stamps.Stamps({}, {})


# changed files ------------------------------------------------------------------------------


@pytest.fixture
def scan(tmp_path):
    """A dataset of one scan, as a table, and its file."""
    path = tmp_path / "sub-1_T1w.nii"
    path.write_bytes(b"first content")
    return pd.DataFrame([{"scan": "sub-1", "path": str(path)}]), path


def seen(path):
    """What the inventory knows of a file now."""
    found = {"sub-1": files.checksum(path)}
    return lambda: found


def unread():
    raise AssertionError("no file had to be read")


def test_a_file_that_nobody_touched_keeps_its_stamp_unread(scan):
    table, _ = scan
    first = stamps.find(table, NONE, unread)
    assert stamps.find(table, first, unread) == first
    assert first.settled == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other content"),  # the same size
        lambda path: path.write_bytes(b"the whole content of a repaired file"),
        lambda path: path.unlink(),
    ],
)
def test_another_content_is_another_stamp(scan, change):
    table, path = scan
    first, inventory = stamps.find(table, NONE, unread), seen(path)
    change(path)
    assert stamps.find(table, first, inventory).listed != first.listed


def test_another_content_with_the_size_and_time_of_the_first_is_noticed(scan):
    table, path = scan
    first, inventory, facts = stamps.find(table, NONE, unread), seen(path), path.stat()
    path.write_bytes(b"other content")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert path.stat().st_size == facts.st_size
    assert stamps.find(table, first, inventory).listed != first.listed


def test_a_touched_file_is_read_once_and_keeps_its_stamp(scan):
    table, path = scan
    first, inventory = stamps.find(table, NONE, unread), seen(path)
    os.utime(path, ns=(1, 1))
    touched = stamps.find(table, first, inventory)
    assert touched.listed == first.listed
    assert stamps.find(table, touched, unread) == touched
    # Without a checksum of the inventory (an excluded scan) it may be another one.
    assert stamps.find(table, first, dict).listed != first.listed


def test_a_companion_that_changed_changes_the_stamp(scan, tmp_path):
    table, path = scan
    other = tmp_path / "sub-1_T2w.nii"
    other.write_bytes(b"one")
    table["companions"] = f'[{{"path": "{other}"}}, {{"path": ""}}]'
    first, inventory = stamps.find(table, NONE, unread), seen(path)
    other.write_bytes(b"two")
    assert stamps.find(table, first, inventory).listed != first.listed


def test_stamps_are_in_the_lists_and_in_no_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "seed": 1,
        "batch_size": 2,
        "splits": {"train": 0, "validation": 0, "test": 1},
        "datasets": {"mine": bids(tmp_path / "bids", 3)},
    }
    lists = plan.load(config, "mine", True)
    assert not (tmp_path / "results").exists()
    lists.write()
    before = [lists.digest(name) for name in lists.names]
    assert before[0].startswith("2 scans")
    assert [plan.load(config, "mine", False).digest(name) for name in lists.names] == before
    (tmp_path / "bids/sub-02/anat/sub-02_T1w.nii.gz").write_bytes(b"repaired")
    after = plan.load(config, "mine", True)
    assert [after.digest(name) for name in after.names] == [before[0], after.digest(after.names[1])]
    assert after.digest(after.names[1]) != before[1]
    table = plan.read_list(f"results/plan/mine/{lists.names[0]}.tsv")
    assert "stamp" not in table
    assert "scan" in table


# failed scans -------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stage(name, reasons, variant="null", batch=0):
    """Write a manifest: a scan for each reason, the finished ones' is empty; return its path."""
    out = f"results/{name}/d/{variant}/test-measured-{batch:03d}.tsv"
    table = []
    for number, reason in enumerate(reasons):
        status = "excluded" if reason == "excluded" else "failed" if reason else "ok"
        row = {"scan": f"sub-{batch}{number}", "status": status, "stage": name, "reason": reason}
        path = f"results/{batch}{number}.nii"
        files.write_text("", path)
        table.append({**row, "path": path, "variant": variant})
    manifest.write(pd.DataFrame(table), out)
    failed = [row for row in table if row["status"] == "failed"]
    again = {row["scan"]: row["reason"] for row in failed if row["reason"] == "killed"}
    final = {row["scan"]: row["reason"] for row in failed if row["reason"] != "killed"}
    total = sum(row["status"] != "excluded" for row in table)
    manifest.note_failures(out, again, final, total)
    return out


@pytest.mark.parametrize(
    ("reasons", "retry", "expected"),
    [
        (["", "excluded"], True, 1),
        (["", "killed"], False, 2),
        (["", "no brain"], False, 1),
        (["", "no brain"], True, 2),
    ],
)
def test_a_job_is_done_again_for_what_may_pass_or_for_all(home, reasons, retry, expected):
    out = stage("deface", reasons)
    first = failures.Attempts({}, retry=retry)
    assert first.of(out) == f"attempt {expected}"
    assert first.of(out) == f"attempt {expected}"
    # In a job what was decided is not decided anew.
    assert failures.Attempts(first.counts, look=False).of(out) == f"attempt {expected}"


def test_a_success_leaves_the_number_as_it_is(home):
    out = stage("deface", ["killed"])
    first = failures.Attempts({})
    assert first.of(out) == "attempt 2"
    stage("deface", [""])
    assert failures.Attempts(first.counts).of(out) == "attempt 2"
    stage("deface", ["killed"])
    assert failures.Attempts(first.counts).of(out) == "attempt 3"


def test_a_lost_output_is_noticed_where_files_are_looked_for(home):
    out = stage("deface", ["", ""])
    assert failures.Attempts({}, files=True).of(out) == "attempt 1"
    (home / "results" / "01.nii").unlink()
    assert failures.Attempts({}).of(out) == "attempt 1"
    assert failures.Attempts({}, files=True).of(out) == "attempt 2"


def test_failures_are_counted_for_each_stage_and_method_over_all_batches(home):
    null, other = Place("deface", "d", "", "null"), Place("deface", "d", "", "other")
    outs = [
        (null, stage("deface", ["", "killed", "excluded", "no chin"], batch=0)),
        (null, stage("deface", ["", "excluded"], batch=1)),
        (other, stage("deface", ["", ""], variant="other")),
        (Place("page", ""), "results/report.html"),
        (Place("costs", ""), "results/tables/costs.tsv"),
    ]
    (found,) = failures.collect(outs)
    assert (found.place.stage, found.place.variant) == ("deface", "null")
    assert (set(found.again), set(found.final), found.total) == ({"sub-01"}, {"sub-03"}, 4)
    assert found.share == 0.5
    assert failures.within([found], 0.5)
    assert not failures.within([found], 0.49)
    assert failures.within([], 0)
    text = failures.summary([found])
    assert "deface (null), dataset d: 2 of 4 failed" in text
    assert "the same command again" in text
    assert "--config retry=true" in text
    assert failures.summary([]) == ""


def test_excluded_scans_hide_no_method_that_failed_on_all_others(home):
    (found,) = failures.collect(
        [(Place("deface", "d"), stage("deface", ["no chin", *["excluded"] * 9]))]
    )
    assert not failures.within([found], 0.99)


def test_an_attacker_says_whom_another_try_may_help(tmp_path):
    def look(subject, options):
        if subject.scan == "sub-1":
            raise OSError(116, "Stale file handle")
        if subject.scan == "sub-2":
            raise ValueError("no face found")
        return {"shape": [1.0]}

    people = [Subject(f"sub-{n}", f"sub-{n}", "", "") for n in range(3)]
    again = {}
    kept, lost = enrol.enrol(
        Attacker(version="1", enrol=look, score=lambda *given: None), people, {}, again=again
    )
    assert list(kept.scan) == ["sub-0"]
    assert set(lost) == {"sub-1", "sub-2"}
    assert set(again) == {"sub-1"}


def test_attacks_are_named_by_attacker_and_variant(home):
    out = "results/attack/d/surface/null.npz"
    files.write_text("", out)
    manifest.note_failures(out, {"sub-1": "Stale file handle"}, {}, 8)
    places = [
        Place.of("attack", {"dataset": "d", "attacker": "surface", "target": target})
        for target in ("null", "other")
    ]
    outs = [out, "results/attack/d/surface/other.npz"]
    (found,) = failures.collect(zip(places, outs, strict=True))
    assert "attack (surface, null), dataset d: 1 of 8 failed" in failures.summary([found])


def test_an_attack_and_its_manifest_are_one_line_and_counted_once(home):
    place = Place.of("attack", {"dataset": "d", "attacker": "surface", "target": "null"})
    outs = [f"results/attack/d/surface/null.{ending}" for ending in ("npz", "tsv")]
    files.write_text("", outs[0])
    manifest.write(pd.DataFrame({"scan": ["sub-0", "sub-1"], "status": "ok"}), outs[1])
    manifest.note_failures(outs[0], {"sub-1": "Stale file handle"}, {}, 2)
    (found,) = failures.collect((place, out) for out in outs)
    assert (len(found.again), found.total) == (1, 2)


# looking changes nothing --------------------------------------------------------------------


def all_files(folder):
    """Names, sizes and times of all files, Snakemake's own aside."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".snakemake" not in path.parts and path.name != "config.yaml"
    }


def test_looking_at_a_run_writes_nothing(tmp_path):
    config = {
        "datasets": {"mine": bids(tmp_path / "bids", 3)},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"quickshear": {}},
    }
    before = all_files(tmp_path)
    assert job_counts(snakemake(tmp_path, "-n", config=config))["inventory"] == 1
    for arguments in (["--summary"], ["--unlock"], ["--lint"], ["--list-rules"]):
        run = snakemake(tmp_path, *arguments, config=config)
        assert run.returncode == 0, run.stderr
    # A second driver by mistake, while the first one works on the same files.
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text("results/report.html\n")
    second = snakemake(tmp_path, config=config)
    assert second.returncode != 0
    assert "LockException" in second.stderr
    assert all_files(tmp_path) == before
