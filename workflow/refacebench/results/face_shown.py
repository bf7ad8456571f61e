"""In how many scans a refaced head shows nose, eyes, mouth and chin, whoever they belong to.

A part is shown if the refaced head fills enough of an average face's part, laid on the scan by the
original's registration (``thresholds: face_present``).  ``n_without``: scans that failed, or whose
original does not show the part either.  ``median_shown``: the share that is filled.  That
says that there is something of the right size in the right place, not that it looks like a face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from refacebench.head.face_parts import FACE_LABELS
from refacebench.metrics.verdict import THRESHOLDS
from refacebench.plot.numbers import NO_VALUE, number
from refacebench.results import missing, words
from refacebench.results.cells import by_variant
from refacebench.results.face_parts import counted, named
from refacebench.results.quality import HEADING
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.statistics.cohort import pairs
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import split_variant


def compute(
    once: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    thresholds: Mapping[str, Any],
) -> pd.DataFrame:
    """Return in how many scans each part of a face is shown, by refaced variant.

    Parameters
    ----------
    once : pandas.DataFrame
        The measurement table with one row per scan and variant, segmenter ``any``.
    thresholds : mapping
        The config's.
    """
    limit = _limit(thresholds)
    rows = []
    for variant in variants:
        if not split_variant(variant)[1]:
            continue
        table = pairs(once, "any", variant, criteria)
        for part in FACE_LABELS:
            found = counted(table, f"face_shown_{part}", limit, criteria.level)
            rows.append({"variant": variant, "part": part, **named(found, "shown")})
    return RESULT.frame(rows)


def _limit(thresholds: Mapping[str, Any]) -> float:
    return {**THRESHOLDS, **thresholds}["face_present"]


def caption(view: View) -> str:
    """Return the caption of the parts of a face that refaced heads show."""
    return words.folded(
        words.join(
            "Scans in which the refaced head shows a part of a face at all, whoever it belongs to: "
            f"it fills more than {100 * _limit(view.thresholds):g} % of an average face's part. "
            "Scans whose original shows the part, too.",
            missing.images(view, variants=view.rows("face_shown")["variant"]),
        ),
        "Filled: there is tissue of the right size in the right place. Whether that looks like a "
        "face is for the eye to say.",
        words.shares(view.criteria),
    )


def printed(view: View) -> Printed:
    """Return one row per refaced variant: scans that show each part, and how much of it."""
    table = view.rows("face_shown")
    columns = ["Refaced variant", *[f"{part.capitalize()}: shown in" for part in FACE_LABELS],
               *[f"{part.capitalize()}: median filled (%)" for part in FACE_LABELS]]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, view.look):
        by = mine.set_index("part").reindex(list(FACE_LABELS))
        counts = [
            f"{int(row.n_shown)}/{int(row.n)}" if pd.notna(row.n) else NO_VALUE  # was not run
            for row in by.itertuples()
        ]
        rows.append([label, *counts, *[number(100 * m, 0) for m in by["median_shown"]]])
    return (columns, rows) if rows else ([], [])


RESULT = Result(
    "face_shown",
    about=__doc__,
    empty="nothing was refaced",
    job=STATISTICS,
    reads="face_shown_*",
    columns="variant part n n_without n_shown shown_share low high median_shown",
    compute=lambda given, _: compute(given.once, given.criteria, given.variants, given.thresholds),
    caption=caption,
    heading=HEADING,
    secondary=True,
    order=215,
    printed=printed,
)
