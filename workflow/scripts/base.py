"""Make what all scans of a synthetic cohort share; writes below results/cohort."""

from refacebench.run import log, methods, prefixed
from refacebench.stages import grow


def main(snakemake):
    """Build the base head and describe the cohort as a BIDS folder."""
    log.start(snakemake.log[0])
    p = snakemake.params
    chosen = methods.choose("datasets", p.dataset, p.entry)
    grow.make_base(chosen, p.entry, snakemake.output[0], p.seed)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
