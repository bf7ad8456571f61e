"""What it costs to make one scan of a variant: seconds and MB.

Of each step that makes a variant (prepare, deface, reface) and of all together (``total``), a
scan; ``seconds_mean`` adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import NO_VALUE, number
from refacebench.plot.style import FAINT, INK, Look, message_figure, styled
from refacebench.results import words
from refacebench.results.cells import by_variant
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.statistics.cohort import pairs
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.summaries import joined, largest, median
from refacebench.vocabulary import TOTAL, UNAVAILABLE, split_variant

#: Steps of the table ``runtime``, in their order, and the one that stands for all together.
TIMED = ("prepare", "deface", "reface")


def compute(
    once: pd.DataFrame, absent: Mapping[str, str], criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return seconds and peak memory a scan of each step that makes a variant, and of all.

    Over the compared scans that went through every step of the variant, so that
    the steps' ``seconds_mean`` add up to that of the step ``total``
    (medians and maxima do not).  ``prepare`` is done once a scan and shared by
    all defacers; whoever uses one method alone pays it once for that method, so
    that it stands in every variant's rows.  The memory of ``total`` is that of
    the hungriest step: steps run one after another.
    """
    rows = []
    for variant in variants:
        if variant != "original" and variant not in absent:
            rows += _runtime_rows(pairs(once, "any", variant, criteria), variant)
    for variant in absent:
        nothing = pd.Series(dtype=float)
        rows.append(_runtime_row(variant, TOTAL, UNAVAILABLE, nothing, nothing))
    place = {name: number for number, name in enumerate(variants)}
    rows.sort(key=lambda row: place.get(row["variant"], len(place)))
    return RESULT.frame(rows)


def _runtime_rows(table: pd.DataFrame, variant: str) -> list[dict[str, Any]]:
    """Return a row per step and one for all; only the steps of which times were recorded."""
    refaced = split_variant(variant)[1] is not None
    steps = [s for s in TIMED if (refaced or s != "reface") and f"{s}_seconds" in table]
    last = "reface" if refaced else "deface"
    seconds = pd.DataFrame(
        {s: pd.to_numeric(table[f"{s}_seconds"], errors="coerce") for s in steps}
    )
    kept = table["ok"] & seconds.notna().all(axis=1)
    if last not in steps:
        return []
    if not kept.any():
        nothing = pd.Series(dtype=float)
        return [_runtime_row(variant, TOTAL, "", nothing, nothing)]
    peaks = pd.DataFrame(
        {s: table.get(f"{s}_peak_mb", pd.Series(np.nan, table.index)) for s in steps}
    )
    peaks = peaks.apply(pd.to_numeric, errors="coerce")[kept]
    seconds, table = seconds[kept], table[kept]
    own = joined(table, "defacer_engine")
    engines = {s: joined(table, f"{s}_engine") or own for s in steps}
    rows = [_runtime_row(variant, s, engines[s], seconds[s], peaks[s]) for s in steps]
    total = seconds.sum(axis=1), peaks.max(axis=1)
    return [*rows, _runtime_row(variant, TOTAL, engines[last], *total)]


def _runtime_row(
    variant: str, step: str, engine: str, seconds: pd.Series, peak_mb: pd.Series
) -> dict[str, Any]:
    return {
        "variant": variant,
        "step": step,
        "engine": engine,
        "n": len(seconds),
        "seconds_mean": float(seconds.mean()) if len(seconds) else np.nan,
        "seconds_median": median(seconds),
        "seconds_max": largest(seconds),
        "peak_mb_median": median(peak_mb),
        "peak_mb_max": largest(peak_mb),
    }


def caption(view: View) -> str:
    """Return the caption of time and memory."""
    return words.folded(
        "What it costs to make one scan of a variant. Bars: mean wall-clock seconds of each step; "
        "the thin line goes on to the slowest scan. The number at its end is not that scan's but "
        "the mean of all steps together, where the bar ends. Right: the memory that the method's "
        "own steps need. Times depend on the machine and on what else ran there.",
        "Means are over the compared scans that went through all steps. The steps' means add up "
        "to that of 'total'; medians and maxima do not. Shared preparation (prepare: brain mask, "
        "head mask, registration) is done once per scan in this run, whatever the number of "
        "methods; it is counted in full for each, as whoever uses one method alone needs it. A "
        "released program that brings its own registration needs less. Memory of the total: that "
        "of the step that needs most. Training of refacing models is not in it (table costs).",
    )


#: The steps as a reader meets them.
STEPS = {"prepare": "shared preparation", "deface": "defacing", "reface": "refacing"}
#: What all methods share has no method's colour.
SHARED = "#c9c9c9"


@styled
def draw(table: pd.DataFrame, look: Look) -> Any:
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
    titles = ["Mean time per scan", "Peak memory per scan"]
    figure, (time, memory), places = dots.panels(
        variants, look, titles, extra=1.3, width_ratios=(3, 2)
    )
    slow = _slow(table)
    _scale(time, table.loc[~table["variant"].isin(slow), ["seconds_mean", "seconds_max"]], 1.32)
    for variant, rows in table.groupby("variant", sort=False):
        rows = rows.set_index("step")
        y = places[variant]
        if not rows.loc[TOTAL, "n"]:
            _nothing(time, y, rows.loc[TOTAL, "engine"])
            continue
        _bar(time, y, rows, look.colour(variant), cut=variant in slow)
        own = hungriest(rows)
        _median_to_max(memory, y, own["peak_mb_median"], own["peak_mb_max"], look, variant)
    _scale(memory, table[["peak_mb_median", "peak_mb_max"]])
    shared = table.loc[table["step"] == "prepare", "peak_mb_median"].max()
    dots.reference(memory, shared)
    time.set_xlabel("seconds")
    memory.set_xlabel("megabytes (the method's own steps)")
    _legend(figure, [s for s in TIMED if (table["step"] == s).any()], bool(slow), shared)
    return figure


def _slow(table: pd.DataFrame) -> list[str]:
    """Return the variants that take so long that beside them no other could be read off."""
    total = table[(table["step"] == TOTAL) & (table["n"] > 0)]
    return dots.far_out({row.variant: (row.seconds_mean,) for row in total.itertuples()})


def hungriest(rows: pd.DataFrame) -> pd.Series:
    """Return the row of the method's own step that needs most memory; ``rows`` are by step."""
    own = rows[rows.index.isin(TIMED[1:])]
    return own.sort_values("peak_mb_median", kind="stable").iloc[-1]


def _nothing(axes: Any, y: float, engine: str) -> None:
    text = UNAVAILABLE if engine == UNAVAILABLE else "no scan went through"
    axes.text(0.01, y, text, transform=axes.get_yaxis_transform(), fontsize=7.5,
              color=FAINT, va="center")  # fmt: skip


def _bar(axes: Any, y: float, rows: pd.DataFrame, colour: str, cut: bool = False) -> None:
    """Lay the steps' means end to end; a line goes on to the slowest scan.

    At its end stands the mean, which is where the bar ends.  A bar that is ``cut`` runs over
    the edge and has its mean written on it.
    """
    start = 0.0
    for step in TIMED:
        if step not in rows.index:
            continue
        length = float(rows.loc[step, "seconds_mean"])
        axes.barh(y, length, left=start, height=0.62, color=SHARED if step == "prepare" else colour,
                  hatch="////" if step == "reface" else None, edgecolor="white",
                  linewidth=0.6)  # fmt: skip
        start += length
    mean = f"mean {start:.1f} s"
    if cut:
        axes.plot([0.985], [y], transform=axes.get_yaxis_transform(), marker=">", color=INK,
                  markersize=6.5, linestyle="none", zorder=4)  # fmt: skip
        axes.text(0.96, y, mean, transform=axes.get_yaxis_transform(), fontsize=7.5,
                  va="center", ha="right", color=INK, zorder=5,
                  bbox={"facecolor": "white", "linewidth": 0, "pad": 1.0})  # fmt: skip
        return
    most = float(rows.loc[TOTAL, "seconds_max"])
    end = max(start, most)
    axes.plot([start, end], [y, y], color=INK, linewidth=1.0, solid_capstyle="butt", zorder=3)
    axes.annotate(mean, (end, y), xytext=(4, 0), textcoords="offset points",
                  fontsize=7.5, va="center", color=INK)  # fmt: skip


def _median_to_max(
    axes: Any, y: float, middle: float, most: float, look: Look, variant: str
) -> None:
    if not np.isfinite(middle) or middle <= 0:
        return
    colour = look.colour(variant)
    if np.isfinite(most):
        axes.plot([middle, most], [y, y], color=colour, linewidth=1.3, zorder=3)
    axes.plot([middle], [y], linestyle="none", marker=look.mark(variant), markersize=5.5,
              color=colour, zorder=4)  # fmt: skip


def _scale(axes: Any, values: pd.DataFrame, room: float = 1.08) -> None:
    """Begin at zero, so that lengths can be compared, and leave room for the label at the end."""
    numbers = values.to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if len(numbers):
        axes.set_xlim(0, room * numbers.max())


def _legend(figure: Any, steps: Sequence[str], cut: bool, shared: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colours = {"prepare": SHARED}
    handles: list[Any] = [
        Patch(facecolor=colours.get(step, FAINT), edgecolor="white", label=STEPS[step],
              hatch="////" if step == "reface" else None)
        for step in steps
    ]  # fmt: skip
    handles.append(Line2D([], [], color=INK, linewidth=1.0, label="to the slowest scan"))
    if cut:
        handles.append(dots.sample_edge("beyond the axis: mean is written"))
    handles.append(dots.sample("memory: median, line to the largest", size=5.5, line=1.3))
    if np.isfinite(shared):
        handles.append(Line2D([], [], color=FAINT, linewidth=0.9, linestyle=(0, (4, 2)),
                              label="memory of the shared preparation"))  # fmt: skip
    dots.legend(figure, handles)


def printed(view: View) -> Printed:
    """Return one row per variant: the steps' means side by side, so that they can be added up."""
    table, look = view.rows("runtime"), view.look
    columns = ["Variant", "Scans", *[f"{STEPS[step].capitalize()} (s)" for step in TIMED],
               "Together (s)", "Slowest scan (s)", "Memory of the preparation (MB)",
               "of its own steps (MB)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        steps = mine.set_index("step")
        total = steps.loc[TOTAL]
        means = [
            number(steps.loc[step, "seconds_mean"], 1) if step in steps.index else NO_VALUE
            for step in (*TIMED, TOTAL)
        ]
        memory = [NO_VALUE, NO_VALUE]
        if total["n"]:
            shared = _memory(steps.loc["prepare"]) if "prepare" in steps.index else NO_VALUE
            memory = [shared, _memory(hungriest(steps))]
        scans = UNAVAILABLE if total["engine"] == UNAVAILABLE else str(int(total["n"]))
        rows.append([label, scans, *means, number(total["seconds_max"], 1), *memory])
    return columns, rows


def _memory(row: pd.Series) -> str:
    return f"{number(row['peak_mb_median'], 0)} ({number(row['peak_mb_max'], 0)})"


RESULT = Result(
    "runtime",
    about=__doc__,
    job=STATISTICS,
    reads="*_seconds",
    columns="""
        variant step engine n seconds_mean seconds_median seconds_max peak_mb_median peak_mb_max
    """,
    compute=lambda given, _: compute(given.once, given.absent, given.criteria, given.variants),
    caption=caption,
    heading=Heading("runtime", "Time and memory", order=900),
    order=900,
    printed=printed,
    numbers=lambda _: (
        "The numbers in the figure: means of the seconds, medians (and maxima) of the memory."
    ),
    figures=[
        Figure(
            "runtime",
            "Stacked bars: mean seconds per scan of preparation, defacing and refacing; dots with "
            "lines: median and largest memory; one row per variant.",
            lambda view: draw(view.rows("runtime"), view.look),
            title="Time and memory",
        )
    ],
)
