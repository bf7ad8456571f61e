"""Find how the companions of each T1w scan of one batch lie to it."""

from refacebench import manifest
from refacebench.run import log, prefixed
from refacebench.stages import align


def main(snakemake):
    """Align each companion; writes transforms and the manifest, one row per companion."""
    log.start(snakemake.log[0], snakemake.resources)
    p = snakemake.params
    scans, out = manifest.read(snakemake.input[0]), snakemake.output[0]
    align.run_batch(scans, out, p.derivatives, version=p.version, timeout=p.timeout)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
