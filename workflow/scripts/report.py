"""The report page and the summary that a run ends with."""

from pathlib import Path

import refacebench
from refacebench import files, pseudonyms
from refacebench.report import page, pages, summary
from refacebench.run import log


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
    told = pages.captions(datasets, snakemake.params.config["segmenters"])
    for path in map(Path, out.captions):
        files.write_text(named.text(told[path.stem]), path)
    by_name = {dataset["name"]: dataset for dataset in datasets}
    for path in map(Path, out.tables):
        name = path.parent.name
        text = pages.table_page(by_name[name], path.stem, snakemake.params.notes[name])
        files.write_text(named.text(text), path)


if __name__ == "__main__":
    main(snakemake)
