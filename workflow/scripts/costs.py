"""What each stage cost: one table from Snakemake's benchmarks."""

from refacebench import manifest
from refacebench.results.costs import compute
from refacebench.run import leftovers, log


def main(snakemake):
    """Write the cost table of everything that this config's jobs took so far."""
    log.start(snakemake.log[0])
    p = snakemake.params
    mine = leftovers.Names(**p.names).knows
    manifest.write(compute(p.folder, mine), snakemake.output[0])


if __name__ == "__main__":
    main(snakemake)
