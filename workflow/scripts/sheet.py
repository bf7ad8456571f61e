"""All slices of one participant in original, defaced and refaced form, a figure a variant."""

from pathlib import Path

from refacebench.report import figures
from refacebench.run import log, prefixed


def main(snakemake):
    """Draw and write the figures."""
    log.start(snakemake.log[0])
    p = snakemake.params
    drawn = figures.of_sheets(snakemake.input.segmented, p.refaced, p.faces, p.title)
    named = {f"study_sheet-{variant}": figure for variant, figure in drawn.items()}
    figures.write(named, map(Path, snakemake.output), p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
