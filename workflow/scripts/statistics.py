"""All tables of one dataset that are made of measurements, from its manifests."""

from refacebench.report import tables
from refacebench.results import catalogue, inputs
from refacebench.results.result import STATISTICS, View
from refacebench.run import log, prefixed


def main(snakemake):
    """Write the tables as TSV and LaTeX."""
    log.start(snakemake.log[0])
    p = snakemake.params
    given = inputs.read_measured(snakemake.input, p)
    found = catalogue.compute(STATISTICS, given)
    view = View(found, given.criteria, thresholds=p.config["thresholds"], scans=given.inventory)
    tables.write(found, snakemake.output, view, p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
