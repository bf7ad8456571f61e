"""Example slices of one participant of the test split, all variants side by side."""

from pathlib import Path

import pandas as pd

from refacebench import manifest, vocabulary
from refacebench.figures import slices, style
from refacebench.image import nifti
from refacebench.run import log


def example(table: pd.DataFrame) -> str:
    """Return the first scan that every variant has; else the one that most have."""
    counts = table[table["status"] == vocabulary.OK].groupby("scan")["variant"].nunique()
    best = counts[counts == counts.max()]
    return "" if counts.empty else sorted(best.index)[0]


def main(snakemake):
    """Draw and write the figure, or one that says that no scan is there to show."""
    log.start(snakemake.log[0])
    p = snakemake.params
    table = manifest.read_many(snakemake.input)
    scan = example(table)
    stem = Path(snakemake.output[0]).with_suffix("")
    if not scan:
        style.save(style.message_figure("no scan came through: nothing to show"), stem, p.note)
        return
    rows = table[(table["scan"] == scan) & (table["status"] == vocabulary.OK)]
    rows = rows.drop_duplicates("variant").set_index("variant")
    volumes = {variant: nifti.read(rows.loc[variant, "path"]) for variant in rows.index}
    figure = slices.draw(
        nifti.read(rows["original_path"].iloc[0]),
        volumes,
        nifti.read_mask(rows["brain_path"].iloc[0]),
        style.look_of({"variants": rows.reset_index()}, p.defacers),
        faces=p.faces,
        title=p.title,
    )
    style.save(figure, stem, p.note)


if __name__ == "__main__":
    main(snakemake)
