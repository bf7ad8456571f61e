"""Pictures of one variant and batch for quality control; all of it stays below results/qc."""

from refacebench import manifest
from refacebench.run import log, prefixed
from refacebench.stages import qc


def main(snakemake):
    """Draw each scan; writes pictures and the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    qc.run_batch(
        manifest.read(snakemake.input.images),
        snakemake.output[0],
        p.pictures,
        variant=p.variant,
        viewer_mm=p.viewer_mm,
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
