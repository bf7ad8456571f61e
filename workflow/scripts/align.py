"""Find how the companions of each T1w scan of one batch lie to it."""

from refacebench import manifest
from refacebench.run import batch, log
from refacebench.stages import carry


def main(snakemake):
    """Align each companion; writes transforms and the manifest, one row a companion."""
    log.start(snakemake.log[0])
    p = snakemake.params
    batch.run_batch(
        carry.rows_of(manifest.read(snakemake.input[0])),
        lambda row: carry.align(row, p.derivatives),
        snakemake.output[0],
        stage="align",
        method="rigid",
        version=p.version,
        inputs=lambda row: [row[k] for k in ("path", "t1w_path", "head_path")],
        timeout=p.timeout,
        preload=("ants", "scipy.ndimage", "skimage.metrics"),
    )


if __name__ == "__main__":
    main(snakemake)
