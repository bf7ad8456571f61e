"""Whether a variant's face is closer to the true one than an average face is (Gao et al. 2025).

The attacker measured two distances of every query's person: ``query_true_mm``, from the
query's surface to the true one, and ``query_average_mm``, from the average face
of all other participants to the true one.  A variant that is closer than the
average face gives away something of this very person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, p_value
from refacebench.results import detectable, words
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Printed, Result, View
from refacebench.statistics import paired
from refacebench.statistics.attack_tables import is_control
from refacebench.statistics.cohort import by_participant
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import mean_interval, share
from refacebench.statistics.summaries import draws
from refacebench.vocabulary import ORIGINAL, PICTURE_CONTROLS

DISTANCES = {"true": "query_true_mm", "average": "query_average_mm"}


def compute(found: Sequence[Comparisons], criteria: Criteria) -> pd.DataFrame:
    """Return the table ``privacy_likeness``: one row per attacker and variant that has both.

    ``difference_mm`` is true minus average: below zero the variant is closer.
    Wilcoxon signed-rank over participants' means; Holm's families: the methods, and the
    controls, which would else shelter them.
    ``closer_share``: participants whose variant is closer than the average face.
    """
    rows = [
        _row(scores, criteria)
        for scores in found
        if scores.variant not in (ORIGINAL, *PICTURE_CONTROLS)
        and set(DISTANCES.values()) <= set(scores.extra)
    ]
    table = RESULT.frame(rows)
    table["difference_mde"] = np.nan
    for _, family in table.groupby(table["variant"].map(is_control).astype(bool)):
        table.loc[family.index, "p_holm"] = paired.correct(family["p"], "holm")
        size = int(family["p"].notna().sum())
        table.loc[family.index, "family_size"] = size
        table.loc[family.index, "difference_mde"] = detectable.shifts(
            family["n"], family["difference_sd"], size, criteria
        )
    return table


def _measured(scores: Comparisons) -> list[pd.Series]:
    return [pd.Series(np.asarray(scores.extra[n], dtype=float)) for n in DISTANCES.values()]


def _both(scores: Comparisons) -> pd.Series:
    """Return which queries have both distances."""
    true, average = _measured(scores)
    return true.notna() & average.notna()


def distances(scores: Comparisons) -> dict[str, pd.Series]:
    """Return each participant's mean distances to the true face, and what differs between them.

    Returns
    -------
    dict of str to pandas.Series
        ``true``: from the variant; ``average``: from the average face; ``difference``.  In mm,
        each pixel capped as the attacker's option says.
    """
    persons, (true, average), both = scores.query["participant"], _measured(scores), _both(scores)
    found = {"true": true, "average": average, "difference": true - average}
    return {name: by_participant(values.where(both), persons) for name, values in found.items()}


def _row(scores: Comparisons, criteria: Criteria) -> dict[str, Any]:
    values = distances(scores)
    row: dict[str, Any] = {
        "variant": scores.variant,
        "attacker": scores.attacker,
        "cap_mm": float(scores.extra.get("cap_mm", np.nan)),
        "n": len(values["true"]),
        "n_queries": int(_both(scores).sum()),
        "n_failed": int((~_both(scores)).sum()),
        "p": paired.wilcoxon(values["difference"], criteria.zero_method)[1],
    }
    for name, series in values.items():
        least = -np.inf if name == "difference" else 0.0
        low, high = mean_interval(series, **draws(criteria), least=least)
        mean = float(series.mean()) if len(series) else np.nan
        row |= {f"{name}_mm": mean, f"{name}_low": low, f"{name}_high": high}
    difference = values["difference"]
    row["difference_sd"] = difference.std(ddof=1) if len(difference) > 1 else np.nan
    closer = difference < 0
    row["closer_share"], row["closer_low"], row["closer_high"] = share(
        closer, closer.index, criteria.level
    )
    return row


def caption(view: View) -> str:
    """Return the caption of the distances to the true face."""
    return words.join(
        "Distance in mm of each variant's face to the true one, against that of the average face "
        f"of all other participants (Gao et al. 2025): mean over the face{cap(view)}. A "
        "difference below zero: the variant is nearer to this very person than to others. One "
        "above zero does not mean that nobody is recognised: the attacks say that. Wilcoxon "
        "signed-rank over participants, Holm-corrected over all methods, and apart over the "
        "controls. Intervals are not corrected.",
        words.cohort(view.tables["privacy_likeness"]),
        detectable.missed(
            view.tables["privacy_likeness"]["difference_mde"], "a difference", "mm", view.criteria
        ),
        words.intervals(view.criteria, view.tables["privacy_likeness"]),
    )


def cap(view: View) -> str:
    """Return what counts where the surface is far away or missing, as a part of a sentence."""
    table = view.rows("privacy_likeness")
    known = table["cap_mm"].dropna() if "cap_mm" in table else pd.Series(dtype=float)
    if known.empty:
        return ", far and missing surface counted as no more than a cap"
    return f", where more than {known.max():g} mm and missing surface count as {known.max():g} mm"


def printed(view: View) -> Printed:
    """Return one row per variant."""
    table, look = view.rows("privacy_likeness"), view.look
    columns = ["Variant", "n (failed)", "Distance to the true face (mm)",
               "of the average face (mm)", "Difference (mm)", "Closer than the average face",
               "p (Holm)", "Detectable difference (mm)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        row = mine.iloc[0]
        closer = with_interval(row, "closer_share", "closer_low", "closer_high", 0, scale=100)
        rows.append(
            [
                label,
                count(row),
                with_interval(row, "true_mm", "true_low", "true_high", 2),
                with_interval(row, "average_mm", "average_low", "average_high", 2),
                with_interval(row, "difference_mm", "difference_low", "difference_high", 2, True),
                closer if closer == NO_VALUE else closer.replace(" [", " % [", 1),
                p_value(row["p_holm"]),
                number(row["difference_mde"], 2),
            ]
        )
    return columns, rows


RESULT = Result(
    "privacy_likeness",
    about=__doc__,
    job=ATTACKS,
    columns="""
        variant attacker cap_mm n n_queries n_failed true_mm true_low true_high
        average_mm average_low average_high difference_mm difference_low difference_high
        difference_sd closer_share closer_low closer_high p p_holm family_size difference_mde
    """,
    compute=lambda given, _: compute(given.more, given.criteria),
    caption=caption,
    latex="""
        variant attacker n true_mm average_mm difference_mm difference_low difference_high
        closer_share p_holm
    """,
    heading=HEADING,
    secondary=True,
    order=150,
    printed=printed,
)
