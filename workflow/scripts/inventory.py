"""Check the scans of one batch; a bad one becomes a row with a reason."""

from refacebench import manifest
from refacebench.run import batch, log, plan
from refacebench.stages import inventory


def main(snakemake):
    """Read the batch's list, check each file, write the manifest."""
    log.start(snakemake.log[0])
    p = snakemake.params
    limits = {**inventory.LIMITS, **p.limits}

    def work(row):
        facts = inventory.check_scan(row["path"], limits)
        return {"path": row["path"], "original_path": row["path"], **facts}

    grown = snakemake.input
    rows = manifest.read(grown[0]) if grown else plan.read_list(p.scans)
    batch.run_batch(
        rows,
        work,
        snakemake.output[0],
        stage="inventory",
        method="checks",
        version=p.version,
        params=limits,
        timeout=p.timeout,
        preload=("scipy.ndimage", "skimage.filters"),
    )


if __name__ == "__main__":
    main(snakemake)
