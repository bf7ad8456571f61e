"""Training curves of one refacing model."""

import json
from pathlib import Path

import pandas as pd

from refacebench import jobs, manifest
from refacebench.figures import curves, style


def main(snakemake):
    """Draw and write the figure, or one that says why there is no model."""
    jobs.start(snakemake.log[0])
    card = Path(snakemake.input[0])
    facts = json.loads(card.read_text())
    if facts.get("status", manifest.OK) == manifest.OK:
        figure = curves.draw(pd.read_csv(card.with_name("curves.tsv"), sep="\t"), card.parent.name)
    else:
        figure = style.message_figure(f"{card.parent.name}: {facts['reason']}")
    style.save(figure, Path(snakemake.output[0]).with_suffix(""), snakemake.params.note)


if __name__ == "__main__":
    main(snakemake)
