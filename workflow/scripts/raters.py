"""Rates of identification from the answer files of human raters."""

from refacebench.report import raters
from refacebench.results.answers import files_of
from refacebench.run import log, prefixed
from refacebench.statistics.criteria import Criteria


def main(snakemake):
    """Read all answer files of the dataset and write the tables."""
    log.start(snakemake.log[0])
    p = snakemake.params
    paths = files_of(p.answers, snakemake.wildcards.dataset)
    criteria = Criteria.from_config(p.config)
    print(raters.write(paths, snakemake.input.key, snakemake.output, criteria, p.note), flush=True)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
