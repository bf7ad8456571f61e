"""Where each scan of a dataset ended, on the way to the measures and to the attacks."""

from refacebench.report import tables
from refacebench.results import catalogue, inputs
from refacebench.results.result import FLOW, View
from refacebench.run import log, prefixed


def main(snakemake):
    """Write the tables of the flow as TSV and LaTeX."""
    log.start(snakemake.log[0])
    p = snakemake.params
    found = catalogue.compute(FLOW, inputs.read_followed(snakemake.input, p))
    tables.write(found, snakemake.output, View(found), p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
