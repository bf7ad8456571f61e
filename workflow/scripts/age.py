"""Predict an age from each image of one variant and batch."""

from refacebench import manifest
from refacebench.run import log, methods, prefixed
from refacebench.stages import age


def main(snakemake):
    """Predict each scan's age; writes the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    age.run_batch(
        manifest.read(snakemake.input.manifest),
        snakemake.output[0],
        methods.choose("age_models", p.name, p.entry),
        snakemake.input.card,
        variant=p.variant,
        version=p.version,
        timeout=p.timeout,
        gpu=bool(p.gpu),
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
