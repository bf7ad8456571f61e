"""Time and memory of one scan, by variant."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import dots
from .style import INK, Look, message_figure, styled

STEP_MARKS = ("o", "D", "s", "^", "v", "P")


@styled
def draw(table: pd.DataFrame, look: Look):
    """Draw the median (mark) and the maximum (end of the line) of each step.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``runtime``.
    look : Look
        Order, names and colours of the variants.

    Returns
    -------
    matplotlib.figure.Figure
        Seconds and peak memory a scan, on logarithmic axes.
    """
    if table.empty:
        return message_figure("No run times were recorded.")
    variants = look.sort(table["variant"])
    steps = list(dict.fromkeys(table["step"]))
    titles = ["Time a scan", "Peak memory a scan"]
    most_steps = int(table.groupby("variant")["step"].nunique().max())
    row = max(dots.ROW, 0.13 * most_steps)
    figure, axes, places = dots.panels(variants, look, titles, row=row, extra=1.3)
    columns = (("seconds_median", "seconds_max"), ("peak_mb_median", "peak_mb_max"))
    for panel, (middle, most) in zip(axes, columns, strict=True):
        for variant, rows in table.groupby("variant", sort=False):
            for lane, (_, line) in enumerate(rows.iterrows()):
                y = places[variant] + 0.6 * ((lane + 0.5) / len(rows) - 0.5)
                mark = STEP_MARKS[steps.index(line["step"]) % len(STEP_MARKS)]
                _median_to_max(panel, y, line[middle], line[most], look.colour(variant), mark)
        _scale(panel, table[[middle, most]])
    axes[0].set_xlabel("seconds")
    axes[1].set_xlabel("megabytes")
    _legend(figure, steps)
    return figure


def _median_to_max(axes, y, middle, most, colour, mark) -> None:
    if not np.isfinite(middle) or middle <= 0:
        return
    if np.isfinite(most):
        axes.plot([middle, most], [y, y], color=colour, linewidth=1.3, zorder=3)
    axes.plot([middle], [y], linestyle="none", marker=mark, markersize=5.5, color=colour, zorder=4)


def _scale(axes, values: pd.DataFrame) -> None:
    """Use a logarithmic axis where the values span more than a factor of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    numbers = values.to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not len(numbers):
        return
    if numbers.max() <= 10 * numbers.min():
        axes.set_xlim(0, 1.08 * numbers.max())
        return
    axes.set_xscale("log")
    axes.set_xlim(0.7 * numbers.min(), 1.4 * numbers.max())
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(figure, steps) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker=STEP_MARKS[i % len(STEP_MARKS)], color=INK, linewidth=1.3,
               markersize=5.5, label=f"{step}: median, line to the maximum")
        for i, step in enumerate(steps)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 4))
