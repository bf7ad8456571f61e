"""Correlation and SSIM of every slice with the original's, where slices are kept.

One row per slice, scan and variant: ``x_mm`` from the middle of the head (positive to the right),
the four measures as in ``similarity``, and ``image``, the number of the slice among those of all
scans, which stand by site and scan: the same slice has the same number in every variant.  Empty
unless the config says ``slice_similarity: true``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.style import FAINT, INK, WIDTH, Look, message_figure, new_figure, styled
from refacebench.results import missing, words
from refacebench.results.result import STUDY, Figure, Result, View
from refacebench.results.study import HEADING
from refacebench.statistics.cohort import once, pairs
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import ORIGINAL, split_variant

MEASURES = ("corr_front", "corr_full", "ssim_front", "ssim_full")
NAMES = {"corr": "correlation", "ssim": "SSIM"}
PLACES = {"front": "front half", "full": "full frame"}


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return one row per slice of every compared scan and variant."""
    single, parts = once(measurements), []
    for variant in variants:
        if variant == ORIGINAL:
            continue
        table = pairs(single, "any", variant, criteria)
        parts += [_of_scan(row, variant) for row in table[table["ok"]].to_dict("records")]
    parts = [part for part in parts if len(part)]
    if not parts:
        return RESULT.frame([])
    found = pd.concat(parts, ignore_index=True)
    places = found[["site", "scan", "x_mm"]].drop_duplicates()
    places = places.sort_values(["site", "scan", "x_mm"], kind="stable", ignore_index=True)
    places["image"] = np.arange(1, len(places) + 1)
    return found.merge(places, on=["site", "scan", "x_mm"])[list(RESULT.columns)]


def _of_scan(row: dict[str, Any], variant: str) -> pd.DataFrame:
    """Return the slices of a scan: its texts of numbers, taken apart."""
    texts = {name: row.get(f"slices_{name}") for name in ("x_mm", *MEASURES)}
    if not all(isinstance(text, str) and text for text in texts.values()):
        return pd.DataFrame()
    numbers = {name: np.array(str(text).split(), float) for name, text in texts.items()}
    site = row.get("site")
    who = {"participant": row["participant"], "scan": row["scan"]}
    return pd.DataFrame(numbers).assign(
        variant=variant, **who, site=site if isinstance(site, str) else ""
    )


def caption(view: View, place: str) -> str:
    """Return the caption of the slices' similarity in one place."""
    table = view.rows("similarity_slices")
    scans = words.plural(table["scan"].nunique(), "scan")
    return words.join(
        f"Correlation and SSIM of each slice with the original's, {PLACES[place]}: "
        f"{words.plural(int(table['image'].max()), 'slice')} of {scans}, scans by site. Points are "
        "slices of defaced and of refaced scans; lines are their means over a site, as the legend "
        "has them, and vertical lines stand between sites.",
        missing.images(view, table.groupby("variant")["scan"].nunique().to_dict()),
    )


@styled
def draw(table: pd.DataFrame, look: Look, place: str) -> Any:
    """Draw the similarity of all slices along their numbers, one row per defacer.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``similarity_slices``.
    look : Look
        Order, names and colours of the variants.
    place : str
        ``front`` or ``full``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if table.empty:
        return message_figure("No similarity of slices was kept.")
    variants = look.sort(table["variant"])
    # Controls and defacers that nothing refaces are no part of the comparison, if others are.
    refaced = {split_variant(v)[0] for v in variants if "+" in v}
    defacers = [v for v in variants if "+" not in v and (v in refaced or not refaced)]
    figure = new_figure(WIDTH, 0.6 + 2.7 * len(defacers))
    panels = figure.subplots(len(defacers), 2, sharex=True, squeeze=False)
    for line, defacer in zip(panels, defacers, strict=True):
        mine = [v for v in variants if split_variant(v)[0] == defacer]
        for panel, measure in zip(line, NAMES, strict=True):
            for number, variant in enumerate(mine):
                rows = table[table["variant"] == variant]
                _points(panel, rows, f"{measure}_{place}", number, look.label(variant))
            _sites(panel, table)
            panel.set_ylabel(NAMES[measure])
            # Above the names of the sites.
            panel.set_title(f"{look.label(defacer)}: {NAMES[measure]}", loc="left", pad=14)
            # Room below the points for the legend.
            low, high = panel.get_ylim()
            lines = sum(text.count("\n") + 1 for text in panel.get_legend_handles_labels()[1])
            panel.set_ylim(low - 0.12 * lines * (high - low), high)
            # On white: the lines between sites end above it.
            panel.legend(loc="lower right", markerscale=2.5, frameon=True, facecolor="white",
                         edgecolor="none", framealpha=1)  # fmt: skip
    for panel in panels[-1]:
        panel.set_xlabel("test slice")
    return figure


#: Colours of a defacer's scans and of the models that reface them.
_HUES = ("#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9")


def _points(axes: Any, rows: pd.DataFrame, column: str, number: int, label: str) -> None:
    colour = _HUES[number % len(_HUES)]
    means = rows.groupby("site", sort=True)[column].mean()
    axes.plot(rows["image"], rows[column], linestyle="none", marker=".", markersize=2.2,
              color=colour, alpha=0.55, label=f"{label}\n{_means(means)}",
              rasterized=True)  # fmt: skip
    for _, site in rows.groupby("site", sort=False):
        ends = [site["image"].min(), site["image"].max()]
        axes.plot(ends, [site[column].mean()] * 2, color=colour, linewidth=1.6)


#: So many sites are named in a legend; of more, only the ends are told.
_NAMED = 3


def _means(means: pd.Series) -> str:
    """Return the means of sites, for a legend.

    >>> _means(pd.Series({"Guys": 0.9114, "HH": 0.85}))
    'mean: Guys 0.911, HH 0.850'
    >>> _means(pd.Series({"": 0.9114}))
    'mean: 0.911'
    """
    if len(means) > _NAMED:
        return f"means of {len(means)} sites: {means.min():.3f} to {means.max():.3f}"
    return "mean: " + ", ".join(f"{site} {mean:.3f}".strip() for site, mean in means.items())


def _sites(axes: Any, table: pd.DataFrame) -> None:
    ends = table.groupby("site", sort=True)["image"].agg(["min", "max"])
    for site, row in ends.iterrows():
        if row["min"] > 1:
            axes.axvline(row["min"] - 0.5, color=INK, linewidth=0.8)
        if site:
            axes.text(row.mean(), 1.0, str(site), transform=axes.get_xaxis_transform(),
                      ha="center", va="bottom", fontsize=7, color=FAINT)  # fmt: skip


def _figure(place: str) -> Figure:
    return Figure(
        f"similarity_slices_{place}",
        f"Points: correlation and SSIM of every slice with the original's, {PLACES[place]}, one "
        "row a defacer, defaced and refaced.",
        lambda view: draw(view.rows("similarity_slices"), view.look, place),
        lambda view: caption(view, place),
        title=f"Similarity of every slice, {PLACES[place]}",
    )


RESULT = Result(
    "similarity_slices",
    about=__doc__,
    job=STUDY,
    reads="slices_*",
    columns="variant participant scan site image x_mm corr_front corr_full ssim_front ssim_full",
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    in_latex=False,  # points of figures, thousands of them
    heading=HEADING,
    order=20,
    figures=[_figure("front"), _figure("full")],
)
