"""Render the images of one variant and batch; pictures and depth maps stay below results."""

from refacebench import manifest
from refacebench.run import log, prefixed
from refacebench.stages import render


def main(snakemake):
    """Look at each head; writes one file per scan and the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    render.run_batch(
        manifest.read(snakemake.input[0]),
        snakemake.output[0],
        p.views,
        variant=p.variant,
        options=p.options,
        version=p.version,
        timeout=p.timeout,
    )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
