"""Apply one trained refacing model to the defaced scans of one batch."""

from refacebench import manifest
from refacebench.run import log, methods, prefixed
from refacebench.stages import reface


def main(snakemake):
    """Reface each scan; writes images and the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    reface.run_batch(
        manifest.read(snakemake.input.manifest),
        snakemake.output[0],
        methods.choose("refacers", p.name, p.entry),
        snakemake.input.card,
        p.derivatives,
        variant=p.variant,
        version=p.version,
        timeout=p.timeout,
        gpu=bool(p.gpu),
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
