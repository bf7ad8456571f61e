"""Example slices of one participant of the test split, all variants side by side."""

from refacebench.report import figures
from refacebench.run import log, prefixed


def main(snakemake):
    """Draw and write the figure, or one that says that no scan is there to show."""
    log.start(snakemake.log[0])
    p = snakemake.params
    drawn = figures.of_example(snakemake.input.segmented, p.variants, p.faces, p.title)
    figures.write({"slices": drawn}, snakemake.output, p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
