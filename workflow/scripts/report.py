"""The report page and the summary that a run ends with."""

import refacebench
from refacebench import files, pseudonyms
from refacebench.report import page, summary
from refacebench.run import log, place


def main(snakemake):
    """Read tables and figures, write the page and the summary."""
    log.start(snakemake.log[0])
    out = snakemake.output
    datasets = page.read(snakemake.input, snakemake.params)
    title, version = "Refacing benchmark", refacebench.__version__
    text = page.build({"title": title, "version": version, "datasets": datasets})
    named = pseudonyms.active()
    files.write_text(named.text(text), out.page)
    files.write_text(named.text(summary.closing(datasets, out.page)), out.summary)


if __name__ == "__main__":
    main(place.job(snakemake))
