"""Time and memory of one scan, by variant."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.figures import dots
from refacebench.figures.style import FAINT, INK, Look, message_figure, styled
from refacebench.statistics.columns import TIMED, TOTAL
from refacebench.vocabulary import UNAVAILABLE

#: The steps as a reader meets them.
STEPS = {"prepare": "shared preparation", "deface": "defacing", "reface": "refacing"}
#: What all methods share has no method's colour.
SHARED = "#c9c9c9"


@styled
def draw(table: pd.DataFrame, look: Look):
    """Draw the mean seconds of a scan, step upon step, and the memory of the method's own steps.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``runtime``.
    look : Look
        Order, names and colours of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not (table["n"] > 0).any():
        return message_figure("No run times were recorded.")
    variants = look.sort(table["variant"])
    titles = ["Time a scan (mean)", "Peak memory a scan"]
    figure, (time, memory), places = dots.panels(
        variants, look, titles, extra=1.3, width_ratios=(3, 2)
    )
    for variant, rows in table.groupby("variant", sort=False):
        rows = rows.set_index("step")
        y = places[variant]
        if not rows.loc[TOTAL, "n"]:
            _nothing(time, y, rows.loc[TOTAL, "engine"])
            continue
        _bar(time, y, rows, look.colour(variant))
        own = hungriest(rows)
        _median_to_max(memory, y, own["peak_mb_median"], own["peak_mb_max"], look, variant)
    _scale(time, table[["seconds_mean", "seconds_max"]], room=1.22)
    _scale(memory, table[["peak_mb_median", "peak_mb_max"]])
    dots.reference(memory, table.loc[table["step"] == "prepare", "peak_mb_median"].max())
    time.set_xlabel("seconds")
    memory.set_xlabel("megabytes of its own steps: median, line to the largest\n"
                      "(dashed: the shared preparation)")  # fmt: skip
    _legend(figure, [s for s in TIMED if (table["step"] == s).any()])
    return figure


def hungriest(rows: pd.DataFrame) -> pd.Series:
    """Return the row of the method's own step that needs most memory; ``rows`` are by step."""
    own = rows[rows.index.isin(TIMED[1:])]
    return own.sort_values("peak_mb_median", kind="stable").iloc[-1]


def _nothing(axes, y: float, engine: str) -> None:
    text = UNAVAILABLE if engine == UNAVAILABLE else "no scan went through"
    axes.text(0.01, y, text, transform=axes.get_yaxis_transform(), fontsize=7.5,
              color=FAINT, va="center")  # fmt: skip


def _bar(axes, y: float, rows: pd.DataFrame, colour: str) -> None:
    """Lay the steps' means end to end; a line goes on to the slowest scan."""
    start = 0.0
    for step in TIMED:
        if step not in rows.index:
            continue
        length = float(rows.loc[step, "seconds_mean"])
        axes.barh(y, length, left=start, height=0.62, color=SHARED if step == "prepare" else colour,
                  hatch="////" if step == "reface" else None, edgecolor="white",
                  linewidth=0.6)  # fmt: skip
        start += length
    most = float(rows.loc[TOTAL, "seconds_max"])
    end = max(start, most)
    axes.plot([start, end], [y, y], color=INK, linewidth=1.0, solid_capstyle="butt", zorder=3)
    axes.annotate(f"{start:.1f} s", (end, y), xytext=(4, 0), textcoords="offset points",
                  fontsize=7.5, va="center", color=INK)  # fmt: skip


def _median_to_max(axes, y, middle, most, look: Look, variant: str) -> None:
    if not np.isfinite(middle) or middle <= 0:
        return
    colour = look.colour(variant)
    if np.isfinite(most):
        axes.plot([middle, most], [y, y], color=colour, linewidth=1.3, zorder=3)
    axes.plot([middle], [y], linestyle="none", marker=look.mark(variant), markersize=5.5,
              color=colour, zorder=4)  # fmt: skip


def _scale(axes, values: pd.DataFrame, room: float = 1.08) -> None:
    """Begin at zero, so that lengths can be compared, and leave room for the label at the end."""
    numbers = values.to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if len(numbers):
        axes.set_xlim(0, room * numbers.max())


def _legend(figure, steps) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colours = {"prepare": SHARED}
    handles = [
        Patch(facecolor=colours.get(step, FAINT), edgecolor="white", label=STEPS[step],
              hatch="////" if step == "reface" else None)
        for step in steps
    ]  # fmt: skip
    handles.append(Line2D([], [], color=INK, linewidth=1.0, label="to the slowest scan"))
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
