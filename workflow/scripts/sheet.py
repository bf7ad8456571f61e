"""Slices of one participant for a study: a figure a refaced variant, and all in a paper's width."""

from pathlib import Path

from refacebench.plot import style
from refacebench.report import figures
from refacebench.run import log, prefixed


def main(snakemake):
    """Draw and write the figures."""
    log.start(snakemake.log[0])
    p, out = snakemake.params, snakemake.output
    stems = {Path(path).stem: Path(path).with_suffix("") for path in out.paper}
    # Writing settles a figure for its width, so each width has a figure of its own.
    figures.write(_drawn(snakemake), out.get("figures", []), p.note)
    again = _drawn(snakemake, "slices" in stems)
    for name, stem in stems.items():
        style.save_for_paper(again[name], stem, p.width_mm, p.note)


def _drawn(snakemake, with_slices=False):
    segmented, p = snakemake.input.segmented, snakemake.params
    refaced = [name for name in p.variants if "+" in name]
    sheets = figures.of_sheets(segmented, refaced, p.faces, p.title)
    drawn = {f"study_sheet-{variant}": figure for variant, figure in sheets.items()}
    if with_slices:
        drawn["slices"] = figures.of_example(segmented, p.variants, p.faces, p.title)
    return drawn


if __name__ == "__main__":
    main(prefixed.job(snakemake))
