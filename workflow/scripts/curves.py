"""Training curves of one refacing model, and what it made of a few validation slices."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import vocabulary
from refacebench.figures import curves, samples, style
from refacebench.run import log


def figures(card: Path, faces: str) -> list:
    """Return both figures, or two that say why there is no model."""
    facts, name = json.loads(card.read_text()), card.parent.name
    if facts.get("status", vocabulary.OK) != vocabulary.OK:
        return [style.message_figure(f"{name}: {facts['reason']}") for _ in range(2)]
    files = sorted((card.parent / "samples").glob("[!.]*.npy"))
    slices = {path.stem: np.load(path, allow_pickle=False) for path in files}
    return [
        curves.draw(pd.read_csv(card.with_name("curves.tsv"), sep="\t"), name),
        samples.draw(slices, facts["picked"]["epoch"], faces, name),
    ]


def main(snakemake):
    """Draw and write both figures."""
    log.start(snakemake.log[0])
    p, out = snakemake.params, snakemake.output
    drawn = figures(Path(snakemake.input[0]), p.faces)
    for figure, path in zip(drawn, (out.curves, out.samples), strict=True):
        style.save(figure, Path(path).with_suffix(""), p.note)


if __name__ == "__main__":
    main(snakemake)
