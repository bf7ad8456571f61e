"""What each stage cost, summed up from the benchmarks of its jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number
from refacebench.results.result import COSTS, Printed, Result, View
from refacebench.run import usage


def compute(
    folder: str | Path, counts: Callable[[tuple[str, ...]], bool] = lambda parts: True
) -> pd.DataFrame:
    """Sum up the benchmark files below ``results/benchmarks``, one row per stage and dataset.

    Seconds of CPU are what the jobs wrote beside their logs (:mod:`refacebench.run.usage`); they
    are missing where one of the stage's jobs wrote none.  ``overhead_pct`` is the share that went
    into starting and into tables, of jobs that work on each scan in a process of its own.

    Parameters
    ----------
    folder : path
        The logs lie in the folder ``logs`` beside it.
    counts : callable
        Takes the parts of a file's path below the folder and says whether its job is one of this
        run's: earlier configs leave their files there.
    """
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        parts = path.relative_to(folder).parts
        if not counts(parts):
            continue
        stage, dataset = parts[:2]
        found = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[0]
        log = Path(folder).parent / "logs" / path.relative_to(folder).with_name(f"{path.stem}.log")
        taken = usage.read(log)
        scans = taken.get("scans_cpu_s", np.nan)
        rows.append(
            {
                "stage": stage,
                "dataset": dataset.removesuffix(".tsv"),
                "s": found["s"],
                # Snakemake looks now and then at all processes of a job, which share pages; the
                # kernel misses nothing, but of one process.
                "peak_mb": np.fmax(found.get("max_pss", np.nan), taken.get("peak_mb", np.nan)),
                "cpu_s": taken.get("own_cpu_s", np.nan) + scans,
                "own_s": taken.get("own_cpu_s", np.nan) if scans else np.nan,
            }
        )
    if not rows:
        return RESULT.frame([])
    groups = pd.DataFrame(rows).groupby(["stage", "dataset"], sort=False)
    table = groups.agg(
        jobs=("s", "size"),
        cpu_s=("cpu_s", _all),
        own_s=("own_s", _all),
        total_s=("s", "sum"),
        longest_job_s=("s", "max"),
        peak_mb=("peak_mb", "max"),
    )
    table["overhead_pct"] = 100 * table["own_s"] / table["cpu_s"]
    table = table.reset_index().sort_values("total_s", ascending=False, kind="stable")
    return table[list(RESULT.columns)]


def _all(values: pd.Series) -> float:
    return float(values.sum(skipna=False))


def caption(view: View) -> str:
    """Return the caption of the costs."""
    return (
        "What each stage cost in this run. CPU seconds: of one processor core, all processes of "
        "its jobs together; start-up: the share of them that went into starting Python and "
        "loading packages and networks, not into scans (for stages that work scan by scan); "
        "elapsed seconds: wall-clock time, which grows when other programs run at the same time; "
        "memory: the most that a job held, where what its processes share counts once. Jobs that "
        "were skipped because their results were there cost nothing here."
    )


#: What the columns are called on the page.
HEADS = {
    "stage": "Stage", "dataset": "Data set", "jobs": "Jobs", "cpu_s": "CPU seconds",
    "overhead_pct": "of these start-up (%)", "total_s": "Elapsed seconds, all jobs",
    "longest_job_s": "longest job", "peak_mb": "Memory (MB), most",
}  # fmt: skip


def printed(view: View) -> Printed:
    """Return the table as it is: measures with one decimal, counts without."""
    table = view.rows("costs")
    rows = [[_cell(value) for value in row] for _, row in table.iterrows()]
    return [HEADS[str(c)] for c in table.columns], rows


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return number(value, 1) if np.isfinite(value) else NO_VALUE


RESULT = Result(
    "costs",
    about=__doc__,
    job=COSTS,
    columns="stage dataset jobs cpu_s overhead_pct total_s longest_job_s peak_mb",
    compute=lambda given, _: compute(given),
    caption=caption,
    in_latex=False,
    order=1000,
    printed=printed,
)
