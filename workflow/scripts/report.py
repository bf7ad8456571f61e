"""The report page with all that stands beside it, and the summary that a run ends with."""

import shutil
from pathlib import Path

import refacebench
from refacebench import files, pseudonyms
from refacebench.report import closing, given, methods_text, page, pages, provenance, split
from refacebench.run import leftovers, log, prefixed


def main(snakemake):
    """Read tables and figures; write page, run card, methods text, references and summary."""
    log.start(snakemake.log[0])
    out, p = snakemake.output, snakemake.params
    datasets = given.read(snakemake.input, p)
    title, version = "Refacing benchmark", refacebench.__version__
    names = leftovers.Names(**p.names)
    card = provenance.card(provenance.read(), datasets, p.methods, leftovers.find(names))
    text, bibtex = methods_text.text(datasets)
    context = {"title": title, "version": version, "datasets": datasets}
    context |= {"card": card, "text": (text, bibtex)}
    named = pseudonyms.active()
    made = page.pages(context, 1e6 * p.page_mb)
    home = Path(out.page).parent
    shutil.rmtree(home / split.FOLDER, ignore_errors=True)
    for address, html in made.items():
        files.write_text(named.text(html), home / address if address else out.page)
    files.write_text(named.text(provenance.written(card)), out.card)
    files.write_text(named.text(text), out.methods)
    files.write_text(bibtex, out.references)
    files.write_text(named.text(closing.closing(datasets, out.page)), out.summary)
    for path, words in pages.written(datasets, p.config["segmenters"], p.notes, out).items():
        files.write_text(named.text(words), path)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
