"""How far each variant's surface lies from the true one, on the average face."""

from refacebench.report import figures
from refacebench.run import log, prefixed


def main(snakemake):
    """Draw and write the figure, or one that says that no surface was compared."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    drawn = figures.of_surfaces(given.attacks, given.tables, p.variants, p.faces)
    figures.write({"privacy_map": drawn}, snakemake.output, p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
