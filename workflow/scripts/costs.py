"""What each stage cost: one table from Snakemake's benchmarks."""

from pathlib import Path

import pandas as pd

from refacebench import manifest
from refacebench.run import log

COLUMNS = ["stage", "dataset", "jobs", "total_s", "longest_job_s", "peak_mb"]


def costs(folder) -> pd.DataFrame:
    """Sum up the benchmark files below ``results/benchmarks``, one row a stage and dataset."""
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        stage, dataset = path.relative_to(folder).parts[:2]
        found = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[0]
        rows.append(
            {
                "stage": stage,
                "dataset": dataset.removesuffix(".tsv"),
                "s": found["s"],
                "peak_mb": found.get("max_rss"),
            }
        )
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    groups = pd.DataFrame(rows).groupby(["stage", "dataset"], sort=False)
    table = groups.agg(
        jobs=("s", "size"),
        total_s=("s", "sum"),
        longest_job_s=("s", "max"),
        peak_mb=("peak_mb", "max"),
    )
    return table.reset_index().sort_values("total_s", ascending=False, kind="stable")[COLUMNS]


def main(snakemake):
    """Write the cost table of everything that ran so far."""
    log.start(snakemake.log[0])
    manifest.write(costs(snakemake.params.folder), snakemake.output[0])


if __name__ == "__main__":
    main(snakemake)
