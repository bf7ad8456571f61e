"""Tables and figures of the attacks on one dataset."""

from pathlib import Path

import numpy as np

from refacebench import captions, figures, manifest
from refacebench.figures.style import look_of, save
from refacebench.run import log
from refacebench.statistics import columns, latex, likeness, losses, privacy, scores, tradeoff
from refacebench.statistics.settings import Settings

#: With fewer people an average face would still be somebody's.
LEAST_FACES = 10
#: What an attacker adds to its file that measures surfaces.
SURFACE = {"changed_mm", "changed_n", "average_depth"}


def surface_maps(found, public: bool) -> dict:
    """Return the surface distances on the average face, by variant.

    Where faces are private and the gallery is small, the average face is left
    flat: only the distances are shown.
    """
    maps = {}
    before = {
        i.attacker: _seen(i)
        for i in found
        if i.variant == privacy.ORIGINAL and set(i.extra) >= SURFACE
    }
    for item in found:
        if not set(item.extra) >= SURFACE:
            continue
        depth = np.asarray(item.extra["average_depth"], dtype=float)
        if not public and item.gallery["participant"].nunique() < LEAST_FACES:
            depth = np.where(np.isfinite(depth), 0.0, np.nan)
        if item.variant not in (privacy.ORIGINAL, *privacy.RENDERED) and np.isfinite(depth).any():
            distance = np.asarray(item.extra["changed_mm"], dtype=float)
            seen = _seen(item)
            own = before.get(item.attacker, np.ones_like(seen))
            seen = np.divide(seen, own, out=np.zeros_like(seen), where=own > 0)
            maps.setdefault(item.variant, {"distance_mm": distance, "depth": depth, "seen": seen})
    return maps


def _seen(item) -> np.ndarray:
    """Return the share of the scans that were compared which have a surface, by pixel."""
    compared = np.isfinite(item.distance).any(axis=(0, 2)).sum()
    return np.asarray(item.extra["changed_n"], dtype=float) / max(compared, 1)


def read_all(paths, more: list):
    """Read scores one by one; those with more than distances are kept in a list."""
    for path in paths:
        item = scores.read(path)
        if item.extra:
            more.append(item)
        yield item


def main(snakemake):
    """Write the tables as TSV and LaTeX and the figures as PNG and SVG."""
    log.start(snakemake.log[0])
    p, given = snakemake.params, snakemake.input
    settings = Settings.from_config(snakemake.config)
    protocol = privacy.Protocol.from_config(snakemake.config)
    found = []  # those that say more than distances
    results = privacy.evaluate_all(read_all(given.attacks, found), protocol, settings)
    volumes, quality = columns.read(given.volumes), columns.read(given.quality)
    tables = {
        "privacy": privacy.privacy(results),
        "privacy_curves": privacy.curves(results),
        "privacy_warnings": privacy.warnings(results, protocol, settings),
        "privacy_likeness": likeness.likeness(found, settings),
        "tradeoff": tradeoff.tradeoff(results, volumes, protocol, settings, p.floors),
    }

    ledgers = manifest.read_many(given.enrolled), manifest.read_many(given.attacked)
    tables["privacy"] = losses.explained(tables["privacy"], *ledgers)
    tables["tradeoff"] = losses.passed_on(tables["tradeoff"], tables["privacy"])

    def caption(name):
        return captions.PRIVACY[name](tables, settings, config=snakemake.config)

    latex.write_all(tables, snakemake.output.tables, caption, p.note)
    # The volumes' variants too, so that a variant has the same colour in all figures.
    look = look_of(
        {**tables, "volumes": volumes, "quality": quality}, list(snakemake.config["defacers"])
    )
    public = snakemake.config["datasets"][snakemake.wildcards.dataset]["faces"] == "public"
    drawn = figures.draw_privacy(tables, look, surface_maps(found, public))
    for path in map(Path, snakemake.output.figures):
        save(drawn[path.stem], path.with_suffix(""), p.note)
    for message in tables["privacy_warnings"]["message"]:
        print(f"WARNING: {message}", flush=True)


if __name__ == "__main__":
    main(snakemake)
