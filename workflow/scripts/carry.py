"""Carry one defacer's masks over to the companions of the scans of one batch."""

from refacebench import manifest
from refacebench.run import log, prefixed
from refacebench.stages import carry


def main(snakemake):
    """Mask each companion; writes images, masks and the manifest, one row per companion."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    carry.run_batch(
        manifest.read(snakemake.input.deface),
        manifest.read(snakemake.input.align),
        snakemake.output[0],
        p.name,
        p.derivatives,
        margin_mm=p.margin_mm,
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
