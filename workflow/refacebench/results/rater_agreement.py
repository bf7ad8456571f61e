"""How far each rater's ratings of variant and original agree, and those of all raters.

A study says which measures are ratings (``raters``).  One row per rater, and one (``rater`` all) of
all pairs of ratings as if they were independent: ``bias`` is the mean of variant less original,
``lower`` and ``upper`` the limits that 95 % of the differences would lie between (Bland and
Altman), each with its interval in ``*_low`` and ``*_high``; ``icc`` is ICC(A,1), absolute agreement
of single ratings.  ``n`` counts pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import with_ends
from refacebench.plot.style import FAINT, INK, WIDTH, message_figure, new_figure, styled
from refacebench.results import words
from refacebench.results.other_measures import PREFIX
from refacebench.results.rater_effects import raters_of
from refacebench.results.result import STUDY, Figure, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.statistics import agreement
from refacebench.statistics.cohort import by_participant, each, measure
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import ORIGINAL

ALL = "all"


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str], pattern: str
) -> pd.DataFrame:
    """Return bias, limits of agreement and ICC of each rater and of all of them."""
    rows = []
    for segmenter, variant, table in each(measurements, criteria, variants):
        names = raters_of(measurements, segmenter, pattern)
        if variant == ORIGINAL or not names or table.empty:
            continue
        ratings = {name: _pairs(table, name) for name in names}
        ratings[ALL] = np.concatenate(list(ratings.values()))
        for name, pairs in ratings.items():
            icc, low, high = agreement.icc_a1(pairs, criteria.level)
            rows.append(
                {
                    "variant": variant,
                    "segmenter": segmenter,
                    "rater": name,
                    **agreement.limits(pairs[:, 1] - pairs[:, 0], criteria.level),
                    **{"icc": icc, "icc_low": low, "icc_high": high},
                }
            )
    return RESULT.frame(rows)


def _pairs(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return original and variant of each participant that has both, shape (n, 2)."""
    new, old = measure(table, f"{PREFIX}{name}"), table[f"ref_{PREFIX}{name}"]
    persons = table["participant"]
    both = [by_participant(values, persons) for values in (old.where(new.notna()), new)]
    return np.column_stack([both[0], both[1].reindex(both[0].index)])


def caption(view: View) -> str:
    """Return the caption of the raters' agreement."""
    return words.join(
        "Each rater's rating of the variant less that of the original: bias and limits of "
        "agreement (Bland and Altman), and the agreement of the two ratings (ICC(A,1)). The last "
        "row takes the pairs of all raters as if they were independent, which those of one "
        "participant are not.",
        f"Brackets: {100 * view.criteria.level:g} % intervals, exact for normal differences.",
    )


@styled
def draw(view: View) -> Any:
    """Draw bias and limits of each rater, one panel per variant."""
    table = view.rows("rater_agreement")
    if table.empty:
        return message_figure("There are no ratings.")
    variants = view.look.sort(table["variant"])
    names = list(dict.fromkeys(table["rater"]))
    figure = new_figure(WIDTH, 0.9 + 0.32 * len(names))
    panels = figure.subplots(1, len(variants), squeeze=False, sharey=True)[0]
    for panel, variant in zip(panels, variants, strict=True):
        mine = table[table["variant"] == variant].set_index("rater")
        panel.axvline(0, color=INK, linewidth=0.8)
        for y, name in enumerate(names):
            row = mine.loc[name]
            colour = view.look.colour(variant)
            panel.plot([row["lower"], row["upper"]], [y, y], color=FAINT, linewidth=1.2, marker="|")
            panel.plot([row["bias_low"], row["bias_high"]], [y, y], color=colour, linewidth=3)
            panel.plot([row["bias"]], [y], marker="o", markersize=5, color=colour)
        panel.set_title(view.look.label(variant), loc="left")
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlabel("rating of the variant less that of the original")
    return figure


def printed(view: View) -> Printed:
    """Return one row per rater."""
    rows = []
    for _, row in view.rows("rater_agreement").iterrows():
        rows.append([
            view.look.label(row["variant"]), row["rater"], str(int(row["n"])),
            "{} [{}, {}]".format(*with_ends(row["bias"], row["bias_low"], row["bias_high"], 3)),
            f"{row['lower']:.3f} to {row['upper']:.3f}",
            f"{row['icc']:.3f} [{row['icc_low']:.3f}, {row['icc_high']:.3f}]",
        ])  # fmt: skip
    return ["Variant", "Rater", "Pairs", "Bias", "Limits of agreement", "ICC(A,1)"], rows


RESULT = Result(
    "rater_agreement",
    about=__doc__,
    job=STUDY,
    reads=f"{PREFIX}*",
    columns="""
        variant segmenter rater n bias bias_low bias_high sd lower lower_low lower_high
        upper upper_low upper_high p_normal icc icc_low icc_high
    """,
    compute=lambda given, _: compute(
        given.measurements, given.criteria, given.variants, given.study.get("raters") or ""
    ),
    caption=caption,
    latex="variant rater n bias bias_low bias_high lower upper icc icc_low icc_high",
    heading=HEADING,
    order=31,
    printed=printed,
    figures=[
        Figure(
            "rater_agreement",
            "Dots with lines: bias and limits of agreement of each rater.",
            draw,
            lambda view: (
                "Bias (dot, with its interval) and limits of agreement (line) of each rater's "
                "ratings of the variant against the original."
            ),
            title="Agreement of ratings",
        )
    ],
)
