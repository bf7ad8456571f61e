"""Overlap of the segmentation of each variant with that of the original, or with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.style import Look, message_figure, ok_rows, pick_segmenter, styled

STRUCTURES = ("brain", "vcsf", "wm", "gm")
TITLES = {"brain": "Brain", "vcsf": "Ventricular CSF", "wm": "White matter", "gm": "Grey matter"}
MEASURES = {"dice": "Dice", "iou": "IoU"}
#: Where both good and very poor overlap are drawn, the axis is stretched near 1.
_STRETCH_BELOW, _STRETCH_ABOVE = 0.97, 0.97
#: ... and where the poorest lies so many times as far from 1 as the median of the others.
_STRETCH_RATIO = 8.0
_NEAREST_TO_ONE = 2e-4
#: All panels have one scale if the values of each fill at least so much of it.
_LEAST_FILLED = 0.15
#: Ticks of a stretched axis, and those of one that shows too little for three of them.
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999)
_CLOSER_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


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
    """Draw mean overlap with its interval, one panel per structure, one row per variant.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``overlap`` (or ``truth``, with ``prefix="truth_"``).
    look : Look
        Order, names and colours of the variants.
    measures : pandas.DataFrame, optional
        The measurement table: adds one point per scan.
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
    beyond, means = False, []
    for panel, structure in zip(axes, structures, strict=True):
        column = f"{prefix}{measure}_{structure}"
        rows = table[table["structure"] == structure]
        expected = dots.cell(rows[rows["variant"] == yardstick], "mean")
        dots.reference(panel, expected)
        told = {variant: _told(rows, variant) for variant in places}
        # Overlap with the originals has an axis that is stretched near 1 instead.
        far = _far(told, expected) if prefix else []
        beyond |= bool(far)
        means.append(rows.loc[~rows["variant"].isin(far), "mean"].dropna())
        for variant, y in places.items():
            if variant in far:
                dots.at_the_edge(panel, y, look, variant, *told[variant], signed=False, digits=2,
                                 middle=expected)  # fmt: skip
                continue
            if column in points:
                values = points.loc[points["variant"] == variant, column]
                dots.scans(panel, y, values, look.colour(variant))
            dots.interval(panel, y, look, variant, *told[variant])
    groups = _groups(axes, means)
    for together in groups:
        _scale([axes[i] for i in together], pd.concat([means[i] for i in together]),
               MEASURES[measure])  # fmt: skip
    dots.counts(axes[-1], places, table)
    line = {"original": "mean of the originals", "null": "mean of the null control"}[yardstick]
    _legend(figure, line if yardstick in places else "", len(points) > 0, beyond, len(groups) > 1)
    return figure


def _told(rows: pd.DataFrame, variant: str) -> list[float]:
    one = rows[rows["variant"] == variant]
    return [dots.cell(one, name) for name in ("mean", "low", "high")]


def _far(told: Mapping[str, Sequence[float]], expected: float) -> list[str]:
    """Return the variants that would make one heap of the others: far from what is expected."""
    if not np.isfinite(expected):
        return []
    return dots.far_out({v: [value - expected for value in told[v]] for v in told})


def _legend(figure, line: str, points: bool, beyond: bool, apart: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [dots.sample("mean, with interval")]
    if points:
        handles.append(dots.sample_scan())
    if line:
        handles.append(Line2D([], [], color=dots.CONTROL_LINE, linewidth=0.9,
                              linestyle=(0, (4, 2)), label=line))  # fmt: skip
    if beyond:
        handles.append(dots.sample_edge())
    if apart:
        handles.append(Line2D([], [], linestyle="none", label="each panel has its own scale"))
    dots.legend(figure, handles)


def _groups(panels: Sequence, means: Sequence[pd.Series]) -> list[list[int]]:
    """Return which panels have one scale: all of them if that can be read, else each its own."""
    known = [n for n, panel in enumerate(panels) if np.isfinite(panel.dataLim.intervalx).all()]
    apart = [[n] for n in range(len(panels))]
    if not known:
        return apart
    place = _place if _is_stretched(pd.concat([means[n] for n in known])) else np.asarray
    ends = np.array([place(panels[n].dataLim.intervalx) for n in known], dtype=float)
    least = _LEAST_FILLED * (ends[:, 1].max() - ends[:, 0].min())
    if (ends[:, 1] - ends[:, 0] < least).any():
        return apart
    return [known, *([n] for n in range(len(panels)) if n not in known)]


def _place(overlap) -> np.ndarray:
    """Return where an overlap lies on a stretched axis: minus the logarithm of what lacks to 1."""
    return -np.log10(np.maximum(1.0 - np.asarray(overlap, dtype=float), _NEAREST_TO_ONE))


def _is_stretched(means: pd.Series) -> bool:
    """Tell whether an axis needs room near 1."""
    if means.empty or means.max() < _STRETCH_ABOVE:
        return False
    short = 1.0 - means
    apart = short.max() > _STRETCH_RATIO * max(short.median(), _NEAREST_TO_ONE)
    return bool(means.min() <= _STRETCH_BELOW or apart)


def _scale(panels: Sequence, means: pd.Series, name: str) -> None:
    """Give panels one scale, stretched near 1 where that is needed."""
    limits = np.array([panel.dataLim.intervalx for panel in panels])
    low, high = limits.min(), limits.max()
    stretched = _is_stretched(means) and bool(np.isfinite(limits).all())
    for panel in panels:
        panel.set_xlabel(name + (" (stretched near 1)" if stretched else ""))
        if stretched:
            _stretch(panel, low, high)
        elif np.isfinite(limits).all():
            room = max(0.04 * (high - low), 0.002)
            panel.set_xlim(max(low - room, 0.0), min(high + room, 1.0 + room))
            panel.locator_params(axis="x", nbins=4)
        else:  # nothing was measured
            panel.set_xlim(0.0, 1.0)


def _stretch(axes, low: float, high: float) -> None:
    """Give an axis room near 1, and few ticks."""
    axes.set_xscale(
        "function",
        functions=(_place, lambda t: 1.0 - 10.0 ** -np.asarray(t, dtype=float)),
    )
    steps = (*_CLOSER_TICKS[:-1], 0.998, 0.999)
    left = max([s for s in steps if s <= low], default=0.0)
    beyond = 1.0 - max((1.0 - high) / 1.4, _NEAREST_TO_ONE)
    right = min([s for s in steps if s >= high], default=beyond)
    shown = [s for s in _TICKS if left <= s <= right]
    if len(shown) < 2:
        shown = [s for s in _CLOSER_TICKS if left <= s <= right]
    labels = [f"{s:g}" for s in shown]
    if right >= 1.0 - 1.001 * _NEAREST_TO_ONE:
        shown, labels = [*shown, right], [*labels, "1"]  # all that is nearer stands here too
    axes.set_xlim(left, right)
    axes.set_xticks(shown, labels, fontsize=7.5)
    # The end of one panel and the start of the next are close to each other.
    ticks = axes.get_xticklabels()
    for tick, end, side in ((ticks[0], left, "left"), (ticks[-1], right, "right")):
        if tick.get_position()[0] == end:
            tick.set_horizontalalignment(side)
