"""Check the scans of one batch; a bad one becomes a row with a reason."""

from refacebench import manifest
from refacebench.run import log, plan, prefixed
from refacebench.stages import inventory


def main(snakemake):
    """Read the batch's list, check each file, write the manifest."""
    log.start(snakemake.log[0], snakemake.resources)
    p, grown = snakemake.params, snakemake.input
    rows = manifest.read(grown[0]) if grown else plan.read_list(p.scans)
    inventory.run_batch(rows, snakemake.output[0], p.limits, version=p.version, timeout=p.timeout)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
