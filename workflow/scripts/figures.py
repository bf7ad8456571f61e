"""Figures of one dataset that need only its tables and measurements."""

from pathlib import Path

from refacebench import figures, manifest
from refacebench.figures.style import look_of, save
from refacebench.run import log
from refacebench.statistics import columns
from refacebench.statistics.settings import Settings


def main(snakemake):
    """Draw and write PNG and SVG files."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    tables = {Path(path).stem: columns.read(path) for path in given.tables}
    settings = Settings.from_config(snakemake.config)
    drawn = figures.draw_all(
        tables,
        look_of(tables, list(snakemake.config["defacers"])),
        list(snakemake.config["segmenters"]),
        manifest.read_many(given.measured),
        alpha=settings.alpha,
        threshold_pct=settings.threshold_pct,
        level=settings.level,
    )
    for path in snakemake.output:
        path = Path(path)
        if path.suffix == ".png":
            save(drawn[path.stem], path.with_suffix(""), p.note)


if __name__ == "__main__":
    main(snakemake)
