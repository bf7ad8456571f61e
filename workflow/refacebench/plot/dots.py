"""Rows of variants with a point and its interval: the form that most figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.plot.numbers import number, with_ends
from refacebench.plot.style import BAND, CONTROL_LABELS, FAINT, INK, WIDTH, Look, new_figure
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import split_variant

#: Height of a row in inches, and the extra gap (in rows) between two defacers.
ROW, GAP = 0.24, 0.4


def positions(variants: Sequence[str]) -> dict[str, float]:
    """Return the y coordinate of each variant, top to bottom, defacers set apart.

    >>> positions(["null", "a", "a+m", "b"])
    {'null': 0.0, 'a': 1.4, 'a+m': 2.4, 'b': 3.8}
    """
    places, y, above = {}, 0.0, None
    for variant in variants:
        group = "" if variant in CONTROL_LABELS else split_variant(variant)[0]
        if above is not None:
            y = round(y + (1.0 if group == above else 1.0 + GAP), 6)
        places[variant] = y
        above = group
    return places


def panels(variants: Sequence[str], look: Look, titles: Sequence[str], width_ratios=None,
           row: float = ROW, extra: float = 1.0):  # fmt: skip
    """Return a figure with one panel per title, all over the same rows.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
    places : dict of str to float
        The y coordinate of each variant.
    """
    places = positions(variants)
    bottom = max(places.values(), default=0.0)
    figure = new_figure(WIDTH, extra + row * (bottom + 1.6))
    axes = figure.subplots(1, len(titles), sharey=True, squeeze=False, width_ratios=width_ratios)
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, loc="left")
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_visible(False)
        for y in places.values():
            # Row lines carry the eye from the label to the point.
            panel.axhline(y, color="#efefef", linewidth=0.8, zorder=0)
    first = axes[0][0]
    first.set_yticks(list(places.values()), look.row_labels(list(places)))
    first.set_ylim(bottom + 0.8, -0.8)
    return figure, list(axes[0]), places


def interval(axes, y: float, look: Look, variant: str, value, low, high, *,
             filled: bool = True, size: float = 6.5, line: float = 1.8) -> None:  # fmt: skip
    """Draw one value with its interval; nothing if the value is missing."""
    if not np.isfinite(value):
        axes.text(0.02, y, "no value", transform=axes.get_yaxis_transform(), fontsize=7,
                  color=FAINT, va="center")  # fmt: skip
        return
    colour = look.colour(variant)
    if np.isfinite(low) and np.isfinite(high):
        axes.plot(
            [low, high], [y, y], color=colour, linewidth=line, solid_capstyle="butt", zorder=3
        )
    axes.plot([value], [y], marker=look.mark(variant), markersize=size, color=colour,
              markerfacecolor=colour if filled else "white", markeredgewidth=1.4,
              linestyle="none", zorder=4, clip_on=False)  # fmt: skip


#: A row that reaches this many times as far from zero as all others is drawn at the edge.
FAR = 4.0


def far_out(rows: Mapping[str, Sequence[float]], factor: float = FAR) -> list[str]:
    """Return the rows that reach so much farther from zero that the others would be one heap.

    Parameters
    ----------
    rows : mapping of str to sequence of float
        Value, low and high by variant; missing ones are NaN.
    factor : float
        How many times as far.

    Returns
    -------
    list of str
        At most half of the rows: else they are no exception.

    >>> far_out({"a": (0.1, -0.2, 0.3), "b": (-0.2, -0.4, 0.1), "c": (8.0, 5.0, 9.0)})
    ['c']
    >>> far_out({"a": (1.0, 0.5, 2.0), "b": (3.0, 1.0, 6.0), "c": (8.0, 5.0, 9.0)})
    []
    """
    reach = {
        name: max(abs(v) for v in values if np.isfinite(v))
        for name, values in rows.items()
        if np.isfinite(values[0])
    }
    order = sorted(reach, key=lambda name: reach[name], reverse=True)
    for count in range(len(order) // 2, 0, -1):
        near, far = reach[order[count]], reach[order[count - 1]]
        if far > factor * near > 0:
            return [name for name in rows if name in order[:count]]
    return []


def at_the_edge(axes, y: float, look: Look, variant: str, value, low, high, *,
                signed: bool = True, digits: int = 1, middle: float = 0.0) -> None:  # fmt: skip
    """Write a value that lies beyond a panel, with its interval and an arrow towards it.

    It stands at the right where the value is above the middle of the others.
    """
    right = value > middle
    text = number(value, digits, signed)
    if np.isfinite(low) and np.isfinite(high):
        text = "{} [{}, {}]".format(*with_ends(value, low, high, digits, signed))
    place = axes.get_yaxis_transform()
    axes.plot([0.985 if right else 0.015], [y], marker=">" if right else "<", markersize=6.5,
              color=look.colour(variant), linestyle="none", transform=place, zorder=4,
              clip_on=False)  # fmt: skip
    axes.text(0.955 if right else 0.045, y, text, fontsize=7, color=INK, va="center",
              ha="right" if right else "left", transform=place, zorder=6,
              bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8})  # fmt: skip


def scans(axes, y: float, values: np.ndarray, colour: str, spread: float = 0.26) -> None:
    """Draw one small point a scan, fanned out by rank so that ties stay visible."""
    # A measure that no scan of a batch has is read back as empty texts.
    values = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=float)
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return
    # A fixed low-discrepancy sequence in place of random jitter: the same bytes every time.
    golden = (np.arange(1, len(values) + 1) * 0.6180339887) % 1.0
    axes.plot(values, y + (golden - 0.5) * 2 * spread, linestyle="none", marker="o",
              markersize=2.6, color=colour, alpha=0.45, markeredgewidth=0, zorder=2,
              clip_on=False)  # fmt: skip


def sample(label: str, *, filled: bool = True, size: float = 6.5, line: float = 1.8):
    """Return a legend's grey mark with an interval, as :func:`interval` draws one."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=FAINT, marker="o", markersize=size, linewidth=line, label=label,
                  markerfacecolor=FAINT if filled else "white", markeredgewidth=1.4)  # fmt: skip


def sample_scan():
    """Return a legend's point of one scan, as :func:`scans` draws one."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker="o", markersize=2.6, color=FAINT,
                  label="one scan")  # fmt: skip


def sample_edge(label: str = "beyond the axis: value and interval are written"):
    """Return a legend's arrow, as :func:`at_the_edge` draws one."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker=">", markersize=6.5, color=FAINT, label=label)


def legend(figure, handles: Sequence, columns: int = 4) -> None:
    """Write a legend below all panels."""
    figure.legend(handles=list(handles), loc="outside lower left", ncols=min(columns, len(handles)))


def counts(axes, places: Mapping[str, float], table: pd.DataFrame) -> None:
    """Write the number of participants, and of failed scans, right of the last panel."""
    numbers = table.drop_duplicates("variant").set_index("variant")
    gone = set(table["variant"]) - set(present(table)["variant"])
    for variant, y in places.items():
        if variant not in numbers.index:
            continue
        n = numbers.loc[variant, "n"]
        failed = numbers.loc[variant].get("n_failed", 0)
        text = f"{int(n)}" if np.isfinite(n) else "0"
        if variant in gone:
            text = "unavailable"
        if np.isfinite(failed) and failed > 0:
            text += f", {int(failed)} failed"
        axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), fontsize=7.5,
                  va="center", color=INK)  # fmt: skip
    axes.text(1.02, 1.0, "n", transform=axes.transAxes, fontsize=8, va="bottom", color=INK)


def reference(axes, value: float, label: str = "", **options) -> None:
    """Draw a thin vertical line; nothing if the value is missing."""
    if np.isfinite(value):
        style = {"color": CONTROL_LINE, "linewidth": 0.9, "linestyle": (0, (4, 2)), "zorder": 1}
        axes.axvline(value, label=label or None, **(style | options))


def band(axes, half_width: float, label: str = "") -> None:
    """Shade the range from minus to plus a margin; nothing if it is missing."""
    if np.isfinite(half_width):
        axes.axvspan(-half_width, half_width, color=BAND, zorder=0, label=label or None)


def cell(rows: pd.DataFrame, column: str) -> float:
    """Return a column of a one-row selection, NaN if there is no row or no column."""
    if rows.empty or column not in rows:
        return float("nan")
    value = pd.to_numeric(rows[column], errors="coerce").iloc[0]
    return float(value)


CONTROL_LINE = FAINT
