"""Training curves of one refacing model, and what it made of a few validation slices."""

from pathlib import Path

from refacebench.plot import style
from refacebench.report import figures
from refacebench.run import log, prefixed


def main(snakemake):
    """Draw and write both figures."""
    log.start(snakemake.log[0])
    p, out = snakemake.params, snakemake.output
    drawn = figures.of_training(snakemake.input.card, p.faces)
    for figure, path in zip(drawn, (out.curves, out.samples), strict=True):
        style.save(figure, Path(path).with_suffix(""), p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
