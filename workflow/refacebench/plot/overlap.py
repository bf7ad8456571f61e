"""Overlap of the segmentation of each variant with that of the original, or with the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.style import Look, message_figure, ok_rows, pick_segmenter, styled

STRUCTURES = ("brain", "vcsf", "wm", "gm")
TITLES = {"brain": "Brain", "vcsf": "Ventricular CSF", "wm": "White matter", "gm": "Grey matter"}
MEASURES = {"dice": "Dice", "iou": "IoU"}
#: Where one panel holds both good and very poor overlap, the axis is stretched near 1.
_STRETCH_BELOW, _STRETCH_ABOVE = 0.97, 0.97
#: ... and where the poorest lies so many times as far from 1 as the median of the others.
_STRETCH_RATIO = 8.0
_NEAREST_TO_ONE = 2e-4


@styled
def draw(
    table: pd.DataFrame,
    look: Look,
    measures: pd.DataFrame | None = None,
    *,
    segmenter: str | None = None,
    measure: str = "dice",
    prefix: str = "",
):
    """Draw mean overlap with its interval, one panel a structure, one row per variant.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``overlap`` (or ``truth``, with ``prefix="truth_"``).
    look : Look
        Order, names and colours of the variants.
    measures : pandas.DataFrame, optional
        The measurement table: adds one point a scan.
    segmenter : str, optional
        The first one of the table if left out.
    measure : str
        ``dice`` or ``iou``.
    prefix : str
        In front of the measurement table's column names.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table, segmenter = pick_segmenter(table, segmenter)
    if "measure" in table:
        table = table[table["measure"] == measure]
    if table.empty:
        return message_figure("No scan with a measured overlap.")
    variants = look.sort(table["variant"])
    if not prefix:
        # The original overlaps itself by definition.
        variants = [v for v in variants if v != "original"]
    structures = [s for s in STRUCTURES if s in set(table["structure"])]
    points = ok_rows(measures, segmenter)
    # With true labels the segmenter itself is the yardstick: how well it does on the originals.
    yardstick = "original" if prefix else "null"
    figure, axes, places = dots.panels(variants, look, [TITLES[s] for s in structures])
    for panel, structure in zip(axes, structures, strict=True):
        column = f"{prefix}{measure}_{structure}"
        rows = table[table["structure"] == structure]
        stretched = _stretch(panel, rows["mean"])
        panel.set_xlabel(MEASURES[measure] + (" (stretched near 1)" if stretched else ""))
        dots.reference(panel, dots.cell(rows[rows["variant"] == yardstick], "mean"))
        for variant, y in places.items():
            one = rows[rows["variant"] == variant]
            if column in points:
                values = points.loc[points["variant"] == variant, column]
                dots.scans(panel, y, values, look.colour(variant))
            value, low, high = (dots.cell(one, name) for name in ("mean", "low", "high"))
            dots.interval(panel, y, look, variant, value, low, high)
        _ticks(panel, stretched)
    dots.counts(axes[-1], places, table)
    line = {"original": "mean of the originals", "null": "mean of the null control"}[yardstick]
    _legend(figure, line if yardstick in places else "", len(points) > 0)
    return figure


def _legend(figure, line: str, points: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [dots.sample("mean, with interval")]
    if points:
        handles.append(dots.sample_scan())
    if line:
        handles.append(Line2D([], [], color=dots.CONTROL_LINE, linewidth=0.9,
                              linestyle=(0, (4, 2)), label=line))  # fmt: skip
    dots.legend(figure, handles)


def _stretch(axes, means: pd.Series) -> bool:
    """Give an axis room near 1 (logarithm of one minus the overlap) where that is needed."""
    values = means.dropna()
    if values.empty or values.max() < _STRETCH_ABOVE:
        return False
    short = 1.0 - values
    apart = short.max() > _STRETCH_RATIO * max(short.median(), _NEAREST_TO_ONE)
    if values.min() > _STRETCH_BELOW and not apart:
        return False
    axes.set_xscale(
        "function",
        functions=(
            lambda x: -np.log10(np.maximum(1.0 - np.asarray(x, dtype=float), _NEAREST_TO_ONE)),
            lambda t: 1.0 - 10.0 ** -np.asarray(t, dtype=float),
        ),
    )
    return True


def _ticks(axes, stretched: bool) -> None:
    low, high = axes.dataLim.x0, axes.dataLim.x1
    if not np.isfinite([low, high]).all():  # nothing was measured
        axes.set_xlim(0.0, 1.0)
        return
    if stretched:
        steps = np.array([0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999])
        left = max([s for s in steps if s <= low], default=0.0)
        beyond = 1.0 - max((1.0 - high) / 1.4, _NEAREST_TO_ONE)
        right = min([s for s in steps if s >= high], default=beyond)
        axes.set_xlim(left, right)
        shown = [s for s in (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
                 if left <= s <= right]  # fmt: skip
        labels = [f"{s:g}" for s in shown]
        if right >= 1.0 - 1.001 * _NEAREST_TO_ONE:
            shown, labels = [*shown, right], [*labels, "1"]  # all that is nearer stands here too
        axes.set_xticks(shown, labels, fontsize=7, rotation=45)
        return
    room = max(0.04 * (high - low), 0.002)
    axes.set_xlim(max(low - room, 0.0), min(high + room, 1.0 + room))
    axes.locator_params(axis="x", nbins=4)
