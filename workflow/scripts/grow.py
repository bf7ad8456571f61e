"""Grow the scans of one batch of a synthetic cohort; writes below results/cohort."""

from pathlib import Path

from refacebench.run import batch, log, methods, plan


def main(snakemake):
    """Read the batch's list, make each scan, write the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("datasets", p.dataset, p.entry)
    options = chosen.options
    base = Path(p.base)

    def work(row):
        return chosen.method.grow(row, options, p.seed, base, Path(p.bids))

    batch.run_batch(
        plan.read_list(p.scans),
        work,
        snakemake.output[0],
        stage="grow",
        method=p.entry["type"],
        version=p.version,
        params={**options, "seed": p.seed},
        inputs=lambda row: [],
        timeout=p.timeout,
        preload=("scipy.ndimage",),
    )


if __name__ == "__main__":
    main(snakemake)
