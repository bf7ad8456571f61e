"""Compare one variant of one batch with its originals."""

from refacebench import manifest
from refacebench.run import log, prefixed
from refacebench.stages import measure


def main(snakemake):
    """Measure each scan; writes the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    measure.run_batch(
        manifest.read(snakemake.input.variant),
        manifest.read(snakemake.input.original),
        snakemake.output[0],
        p.thresholds,
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
