"""How right the automatic checks are: their verdict against the one from true labels.

Sensitivity and specificity, by variant and for all; empty without truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.metrics.truth import failures
from refacebench.plot.numbers import number
from refacebench.results import words
from refacebench.results.cells import with_interval
from refacebench.results.result import STATISTICS, Heading, Printed, Result, View
from refacebench.statistics.cohort import pairs
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import clopper_pearson

#: What stands for all variants together.
ALL = "all"
#: Variants whose verdict says nothing about the automatic one: the originals are not judged.
_NOT_JUDGED = ("original",)


def compute(once: pd.DataFrame, criteria: Criteria, variants: Sequence[str]) -> pd.DataFrame:
    """Return how often the automatic verdict finds what the true labels say.

    Sensitivity: of the scans with a true failure, those that were judged so;
    specificity: of those without, those that were judged to have none; with
    exact (Clopper-Pearson) intervals, which take every scan of every variant
    as one independent trial.  ``made_by`` is a variant or ``all``.

    Parameters
    ----------
    once : pandas.DataFrame
        As for :func:`face_parts`; without the columns of
        :data:`refacebench.metrics.truth.COLUMNS` the table is empty.
    """
    if "truth_quality" not in once:
        return RESULT.frame([])
    judged = {
        variant: agreements(pairs(once, "any", variant, criteria))
        for variant in variants
        if variant not in _NOT_JUDGED
    }
    judged = {variant: table for variant, table in judged.items() if len(table)}
    if not judged:
        return RESULT.frame([])
    rows = []
    groups = {ALL: pd.concat(judged.values()), **judged}
    for failure in ("failure_1", "failure_2"):
        for name, table in groups.items():
            rows.append({"made_by": name, "failure": failure, **rates(table, failure, criteria)})
    return RESULT.frame(rows)


def agreements(table: pd.DataFrame) -> pd.DataFrame:
    """Return what was judged and what is true of each scan: 0, 1 or NaN.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan with ``quality``, ``face_left``, ``truth_failure_1`` and
        ``truth_failure_2``.

    Returns
    -------
    pandas.DataFrame
        ``failure_1``, ``failure_2``, ``truth_failure_1``, ``truth_failure_2``, for
        the scans for which there is truth.
    """
    names = ("truth_failure_1", "truth_failure_2")
    truth = {name: pd.to_numeric(table.get(name), errors="coerce") for name in names}
    if any(values is None or np.isscalar(values) for values in truth.values()):
        return pd.DataFrame(columns=["failure_1", "failure_2", *names])
    judged = [failures(str(verdict)) for verdict in table["quality"].fillna("")]
    found = pd.DataFrame(judged, columns=["failure_1", "failure_2"], index=table.index)
    # A Failure II of a scan whose face could not be judged says nothing about Failure I.
    unjudged = pd.to_numeric(table["face_left"], errors="coerce").isna()
    found.loc[unjudged, "failure_1"] = np.nan
    found = found.assign(**truth)
    return found[found[list(names)].notna().any(axis=1)]


def rates(table: pd.DataFrame, failure: str, criteria: Criteria) -> dict[str, Any]:
    """Return the counts, sensitivity and specificity of one failure; see :func:`agreements`."""
    pair = table[[failure, f"truth_{failure}"]].dropna()
    said, true = (pair[name].astype(bool) for name in pair)
    counts = {
        "true_positive": int((said & true).sum()),
        "false_negative": int((~said & true).sum()),
        "true_negative": int((~said & ~true).sum()),
        "false_positive": int((said & ~true).sum()),
    }
    row: dict[str, Any] = {"n": len(pair), "n_not_judged": len(table) - len(pair), **counts}
    for name, hit, miss in (
        ("sensitivity", "true_positive", "false_negative"),
        ("specificity", "true_negative", "false_positive"),
    ):
        total = counts[hit] + counts[miss]
        low, high = clopper_pearson(counts[hit], total, criteria.level)
        value = counts[hit] / total if total else np.nan
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def caption(view: View) -> str:
    """Return the caption of the agreement of the automatic verdict with the truth."""
    table = view.tables["verdict_agreement"]
    if table.empty:
        return "The automatic checks were not held against true labels: there are none."
    return words.join(
        "How often the automatic checks agree with true labels, in scans x variants. Truth: brain "
        "voxels by label; surface of the face by label, placed by the nose's tip and the brain's "
        "centre, without the masks and the registration that the automatic checks use. An "
        "untouched face counts as a Failure I. Sensitivity: share of the true failures that were "
        "found; specificity: share of the scans without failure that were judged so.",
        f"Intervals: {100 * view.criteria.level:g} %, exact (Clopper-Pearson), every scan of every "
        "variant taken as one independent trial: variants of one person are not, so they are too "
        f"narrow; {words.EACH}.",
        "Not compared: scans to which the check gave no verdict or the labels no answer (as where "
        "the nose is out of view). Cells without a number: no such scan in this run. Where a "
        "method spares the mask that judges it, the check of the brain can raise no alarm: there a "
        "specificity of 1 says nothing.",
    )


def printed(view: View) -> Printed:
    """Return one row per failure and variant: scans found and missed, cleared and accused."""
    table, look = view.rows("verdict_agreement"), view.look
    names = {"failure_1": "I: part of the face kept", "failure_2": "II: brain removed"}
    columns = ["Failure", "Made by", "Truly failed: found, missed",
               "Truly right: cleared, accused", "Not compared", "Sensitivity",
               "Specificity"]  # fmt: skip
    counts = (("true_positive", "false_negative"), ("true_negative", "false_positive"))
    rows = []
    for _, row in table.iterrows():
        found = [f"{int(row[a])}, {int(row[b])}" for a, b in counts]
        rates = [
            with_interval(row, name, f"{name}_low", f"{name}_high", 2)
            for name in ("sensitivity", "specificity")
        ]
        made_by = "all variants" if row["made_by"] == "all" else look.label(row["made_by"])
        unjudged = number(row["n_not_judged"], 0)
        rows.append([names[row["failure"]], made_by, *found, unjudged, *rates])
    return columns, rows


RESULT = Result(
    "verdict_agreement",
    about=__doc__,
    empty="the scans have no true labels",
    job=STATISTICS,
    columns="""
        made_by failure n n_not_judged
        true_positive false_negative true_negative false_positive
        sensitivity sensitivity_low sensitivity_high
        specificity specificity_low specificity_high
    """,
    compute=lambda given, _: compute(given.once, given.criteria, given.variants),
    caption=caption,
    heading=Heading(
        "agreement",
        "How accurate these checks are",
        "Do the automatic checks of face and brain find what the true labels say?",
        order=300,
    ),
    order=300,
    printed=printed,
)
