"""Figures of one dataset that need only its tables and measurements."""

from refacebench.report import figures
from refacebench.run import log, prefixed
from refacebench.statistics.criteria import Criteria


def main(snakemake):
    """Draw and write PNG and SVG files."""
    log.start(snakemake.log[0])
    p = snakemake.params
    criteria = Criteria(alpha=p.alpha, level=p.level, threshold_pct=p.threshold_pct)
    drawn = figures.of_measurements(snakemake.input, criteria, p.variants, p.segmenters)
    figures.write(drawn, snakemake.output, p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
