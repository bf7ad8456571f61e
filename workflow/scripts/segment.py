"""Segment the images of one variant and batch from scratch."""

from refacebench import manifest
from refacebench.run import log, methods, prefixed
from refacebench.stages import segment


def main(snakemake):
    """Segment each image; writes masks, label images and the manifest with volumes."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    segment.run_batch(
        manifest.read(snakemake.input[0]),
        snakemake.output[0],
        methods.choose("segmenters", p.name, p.entry),
        p.derivatives,
        variant=p.variant,
        shared=p.shared,
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
