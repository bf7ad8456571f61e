"""What each stage cost: one table from Snakemake's benchmarks."""

from refacebench import manifest
from refacebench.results.costs import compute
from refacebench.run import log, place


def main(snakemake):
    """Write the cost table of everything that ran so far."""
    log.start(snakemake.log[0])
    manifest.write(compute(snakemake.params.folder), snakemake.output[0])


if __name__ == "__main__":
    main(place.job(snakemake))
