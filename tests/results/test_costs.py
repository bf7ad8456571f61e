"""The table of costs: what jobs took by the kernel's count, their children included."""

import json
import subprocess
import sys

import numpy as np
import pytest

from refacebench.results import costs
from refacebench.run import usage

JOB = """
import pandas as pd, sys
from refacebench.run import batch, log
from refacebench.run.stage import Stage
def work(row):
    import time
    start, big = time.process_time(), bytearray(200 * 2**20)
    while time.process_time() - start < {scan}:
        pass
    return {{"sum": 1}}
log.start("results/logs/made/d/b.log")
rows = pd.DataFrame([dict(scan=f"sub-{{n}}", status="ok", reason="") for n in range(2)])
stage = Stage("made", reads=("scan",), adds=dict(sum="a number"))
batch.run_batch(stage, rows, work, "b.tsv", method="m", version="1", inputs=lambda row: [])
"""


def test_a_job_counts_what_its_scans_took_in_processes_of_their_own(tmp_path):
    done = subprocess.run([sys.executable, "-c", JOB.format(scan=0.6)], cwd=tmp_path)
    assert done.returncode == 0
    taken = usage.read(tmp_path / "results/logs/made/d/b.log")
    assert 1.2 <= taken["scans_cpu_s"] < 2.5
    assert 0 < taken["own_cpu_s"] < 10
    assert taken["peak_mb"] >= 200


def jobs(folder, *found, stage="segment"):
    """Write the benchmark files of a stage's jobs, and the records that they left."""
    for number, (seconds, megabytes, taken) in enumerate(found):
        # Of a job's processes together: what they share is in the first many times.
        measured = f"s\tmax_rss\tmax_pss\tcpu_time\n{seconds}\t9999\t{megabytes}\t0.1\n"
        for kind, name, text in (
            ("benchmarks", f"{number}.tsv", measured),
            ("logs", f"{number}.usage.json", json.dumps(taken)),
        ):
            place = folder / kind / stage / "d" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if taken or kind == "benchmarks":
                place.write_text(text)


def test_seconds_are_summed_over_jobs_and_the_start_is_their_overhead(tmp_path):
    first = {"own_cpu_s": 2.0, "scans_cpu_s": 6.0, "peak_mb": 900.0}
    second = {"own_cpu_s": 1.0, "scans_cpu_s": 3.0, "peak_mb": 500.0}
    jobs(tmp_path, (30.0, 700.0, first), (20.0, 600.0, second))
    row = costs.compute(tmp_path / "benchmarks").iloc[0]
    assert row["jobs"] == 2
    assert row["cpu_s"] == pytest.approx(12.0)
    assert row["overhead_pct"] == pytest.approx(25.0)
    assert row["total_s"] == pytest.approx(50.0)
    assert row["longest_job_s"] == pytest.approx(30.0)
    assert row["peak_mb"] == pytest.approx(900.0)


def test_processes_at_one_time_may_hold_more_than_the_largest(tmp_path):
    jobs(tmp_path, (30.0, 1200.0, {"own_cpu_s": 2.0, "scans_cpu_s": 6.0, "peak_mb": 900.0}))
    assert costs.compute(tmp_path / "benchmarks").iloc[0]["peak_mb"] == pytest.approx(1200.0)


def test_no_sum_is_made_of_jobs_of_which_one_left_no_record(tmp_path):
    taken = {"own_cpu_s": 2.0, "scans_cpu_s": 6.0, "peak_mb": 900.0}
    jobs(tmp_path, (30.0, 700.0, taken), (20.0, 600.0, {}))
    row = costs.compute(tmp_path / "benchmarks").iloc[0]
    assert np.isnan(row["cpu_s"])
    assert np.isnan(row["overhead_pct"])
    assert row["total_s"] == pytest.approx(50.0)


def test_a_stage_without_scans_has_no_overhead(tmp_path):
    taken = {"own_cpu_s": 9.0, "scans_cpu_s": 0.0, "peak_mb": 900.0}
    jobs(tmp_path, (10.0, 700.0, taken), stage="train")
    row = costs.compute(tmp_path / "benchmarks").iloc[0]
    assert row["cpu_s"] == pytest.approx(9.0)
    assert np.isnan(row["overhead_pct"])


def test_every_column_has_a_name_for_readers():
    from refacebench.results.costs import HEADS, RESULT

    assert set(RESULT.columns) <= set(HEADS)
    assert not [head for head in HEADS.values() if "_" in head]
