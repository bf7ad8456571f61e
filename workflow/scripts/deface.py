"""Run one defacer over the scans of one batch."""

from refacebench import manifest
from refacebench.run import log, methods, prefixed
from refacebench.stages import deface


def main(snakemake):
    """Deface each scan; writes images, masks of changed voxels and the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    with log.scratch(p.scratch):
        deface.run_batch(
            manifest.read(snakemake.input[0]),
            snakemake.output[0],
            methods.choose("defacers", p.name, p.entry),
            p.derivatives,
            version=p.version,
            seed=p.seed,
            timeout=p.timeout,
        )


if __name__ == "__main__":
    main(prefixed.job(snakemake))
