"""In how many scans nose, eyes, mouth, chin or ears are left, by variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.metrics.verdict import THRESHOLDS
from refacebench.plot import dots
from refacebench.plot.numbers import number
from refacebench.plot.style import Look, message_figure, styled
from refacebench.results import missing, words
from refacebench.results.cells import by_variant
from refacebench.results.quality import HEADING
from refacebench.results.result import STATISTICS, Figure, Printed, Result, View
from refacebench.statistics.attack_tables import is_control
from refacebench.statistics.cohort import measure, pairs
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import share
from refacebench.vocabulary import UNDEFACED

#: Parts of the face in the order of the table, the ears apart.
PARTS = ("nose", "eyes", "mouth", "chin", "ears")


def compute(once: pd.DataFrame, criteria: Criteria, variants: Sequence[str]) -> pd.DataFrame:
    """Return in how many scans each part of the face is left.

    A part is left if more than ``criteria.part_left`` of its surface is.  Only
    scans count that have the part in view and were judged; the others are in
    ``n_without``.

    Parameters
    ----------
    once : pandas.DataFrame
        The measurement table with one row per scan and variant, segmenter ``any``.
    """
    rows = []
    for variant in variants:
        if variant == "original":
            continue
        table = pairs(once, "any", variant, criteria)
        for part in PARTS:
            found = counted(table, f"face_left_{part}", criteria.part_left, criteria.level)
            rows.append({"variant": variant, "part": part, **named(found, "left")})
    return RESULT.frame(rows)


def counted(table: pd.DataFrame, column: str, limit: float, level: float) -> dict[str, Any]:
    """Return in how many scans a measure exceeds a limit, with an interval, and its median."""
    values = measure(table, column)
    known = values.dropna()
    over = known > limit
    value, low, high = share(over, table.loc[known.index, "participant"], level)
    return {
        "n": len(known),
        "n_without": int(values.isna().sum()),
        "n_over": int(over.sum()),
        "over_share": value,
        "low": low,
        "high": high,
        "median": float(known.median()) if len(known) else np.nan,
    }


def named(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return what :func:`counted` found under the names of one measure."""
    own = {"n_over": f"n_{what}", "over_share": f"{what}_share", "median": f"median_{what}"}
    return {own.get(name, name): value for name, value in found.items()}


def caption(view: View) -> str:
    """Return the caption of the parts of the face that are left."""
    limit = {**THRESHOLDS, **view.thresholds}
    return words.folded(
        words.join(
            f"Scans in which a part of the original's own face is left: more than "
            f"{100 * view.criteria.part_left:g} % of its surface. Scans that have the part in view "
            f"and were judged; ears are shown for information{_ears_note(limit)}.",
            missing.images(view),
        ),
        "Hollow: controls. The null control leaves the face as it is; skull stripping takes the "
        "whole head away."
        if view.rows("face_parts")["variant"].map(is_control).any()
        else "",
        words.shares(view.criteria),
    )


def _ears_note(limit: Mapping[str, Any]) -> str:
    if limit["ears_left"] >= 1:
        return " and are no Failure I"
    return f", and are a Failure I above {100 * limit['ears_left']:g} %"


#: The parts in the order of the panels, with their names.
TITLES = {part: f"{part.capitalize()} left" for part in PARTS}


@styled
def draw(table: pd.DataFrame, look: Look) -> Any:
    """Draw, for each part of the face, the share of scans in which it is left.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``face_parts``.
    look : Look
        Order, names and colours of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    judged = table[~table["variant"].isin(UNDEFACED)]
    if not (judged["n"] > 0).any():
        return message_figure("No de-identified scan was checked.")
    variants = look.sort(table["variant"])
    figure, panels, places = dots.panels(variants, look, list(TITLES.values()))
    for axes, part in zip(panels, TITLES, strict=True):
        here = table[table["part"] == part]
        for _, row in here.iterrows():
            values = (100 * row[c] for c in ("left_share", "low", "high"))
            hollow = is_control(row["variant"])
            dots.interval(axes, places[row["variant"]], look, row["variant"], *values,
                          filled=not hollow)  # fmt: skip
        axes.set_xlim(-4, 104)
        axes.set_xlabel("share of scans (%)")
    handles = [dots.sample("share of scans, with interval")]
    if any(is_control(variant) for variant in variants):
        handles.append(dots.sample("control", filled=False))
    dots.legend(figure, handles)
    return figure


def printed(view: View) -> Printed:
    """Return one row per variant: scans with each part left, and how much of it."""
    table, look = view.rows("face_parts"), view.look
    parts = list(dict.fromkeys(table["part"]))
    columns = ["Variant", *[f"{p.capitalize()}: left in" for p in parts],
               *[f"{p.capitalize()}: median left (%)" for p in parts]]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        by = mine.set_index("part")
        counts = [f"{int(by.loc[p, 'n_left'])}/{int(by.loc[p, 'n'])}" for p in parts]
        medians = [number(100 * by.loc[p, "median_left"], 0) for p in parts]
        rows.append([label, *counts, *medians])
    return columns, rows


RESULT = Result(
    "face_parts",
    about=__doc__,
    job=STATISTICS,
    reads="face_left_*",
    columns="variant part n n_without n_left left_share low high median_left",
    compute=lambda given, _: compute(given.once, given.criteria, given.variants),
    caption=caption,
    heading=HEADING,
    secondary=True,
    order=210,
    printed=printed,
    figures=[
        Figure(
            "face_parts",
            "Dots with intervals: share of scans in which nose, eyes, mouth, chin and ears "
            "are left, one row per variant.",
            lambda view: draw(view.rows("face_parts"), view.look),
            title="Parts of the face that are left",
        )
    ],
)
