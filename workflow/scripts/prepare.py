"""Head mask, brain mask, template registration and face region of each original."""

from refacebench import manifest
from refacebench.run import log, prefixed
from refacebench.stages import prepare


def main(snakemake):
    """Prepare the scans of one batch; writes derivatives and the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    rows, out = manifest.read(snakemake.input[0]), snakemake.output[0]
    prepare.run_batch(rows, out, p.derivatives, p.limits, version=p.version, timeout=p.timeout)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
