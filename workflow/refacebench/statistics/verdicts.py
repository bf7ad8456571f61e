"""What is left of which part of the face, how right the verdicts are, and carried contrasts.

Pure functions, tables in, tables out; conventions as in
:mod:`~refacebench.statistics.tables`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from refacebench.metrics.truth import failures
from refacebench.reasons import one_line
from refacebench.statistics.cohort import measure, pairs
from refacebench.statistics.columns import frame
from refacebench.statistics.intervals import clopper_pearson, share
from refacebench.statistics.settings import Settings
from refacebench.vocabulary import EXCLUDED, FAILED, OK

#: Parts of the face in the order of the table, the ears apart.
PARTS = ("nose", "eyes", "mouth", "ears")
#: What stands for all variants together.
ALL = "all"
#: Variants whose verdict says nothing about the automatic one: the originals are not judged.
_NOT_JUDGED = ("original",)


def judged(table: pd.DataFrame, classes: pd.Series) -> dict:
    """Return in how many scans face and brain came out as they should, and out of how many.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a scan with ``ok``, ``face_left`` and ``brain_changed``.
    classes : pandas.Series
        The quality class of each row.

    Returns
    -------
    dict
        ``n_face``, scans that came with a face, a failed one among them;
        ``face_removed``, those that are no Failure I; ``n_brain``, outputs
        whose brain was compared with the original's; ``brain_unchanged``,
        those in which not one voxel of the brain mask is another one.
    """
    # A scan that came without a face and lost brain is a Failure II, but has no face to lose.
    faceless = (classes == "no_face") | (
        (classes == "failure_2") & measure(table, "face_left").isna()
    )
    changed = measure(table, "brain_changed")
    return {
        "n_face": int((~faceless).sum()),
        "face_removed": int((classes.isin(("success", "failure_2")) & ~faceless).sum()),
        "n_brain": int(changed.notna().sum()),
        "brain_unchanged": int((changed == 0).sum()),
    }


def face_parts(once: pd.DataFrame, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return in how many scans each part of the face is left.

    A part is left if more than ``settings.part_left`` of its surface is.  Only
    scans count that have the part in view and were judged; the others are in
    ``n_without``.

    Parameters
    ----------
    once : pandas.DataFrame
        The measurement table with one row a scan and variant, segmenter ``any``.
    """
    rows = []
    for variant in variants:
        if variant == "original":
            continue
        table = pairs(once, "any", variant, settings)
        for part in PARTS:
            values = measure(table, f"face_left_{part}")
            known = values.dropna()
            left = known > settings.part_left
            value, low, high = share(left, table.loc[known.index, "participant"], settings.level)
            rows.append(
                {
                    "variant": variant,
                    "part": part,
                    "n": len(known),
                    "n_without": int(values.isna().sum()),
                    "n_left": int(left.sum()),
                    "left_share": value,
                    "low": low,
                    "high": high,
                    "median_left": float(known.median()) if len(known) else np.nan,
                }
            )
    return frame("face_parts", rows)


def verdict_agreement(
    once: pd.DataFrame, settings: Settings, variants: Sequence[str]
) -> pd.DataFrame:
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
        return frame("verdict_agreement", [])
    judged = {
        variant: agreements(pairs(once, "any", variant, settings))
        for variant in variants
        if variant not in _NOT_JUDGED
    }
    judged = {variant: table for variant, table in judged.items() if len(table)}
    if not judged:
        return frame("verdict_agreement", [])
    rows = []
    groups = {ALL: pd.concat(judged.values()), **judged}
    for failure in ("failure_1", "failure_2"):
        for name, table in groups.items():
            rows.append({"made_by": name, "failure": failure, **rates(table, failure, settings)})
    return frame("verdict_agreement", rows)


def agreements(table: pd.DataFrame) -> pd.DataFrame:
    """Return what was judged and what is true of each scan: 0, 1 or NaN.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a scan with ``quality``, ``face_left``, ``truth_failure_1`` and
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


def rates(table: pd.DataFrame, failure: str, settings: Settings) -> dict:
    """Return the counts, sensitivity and specificity of one failure; see :func:`agreements`."""
    pair = table[[failure, f"truth_{failure}"]].dropna()
    said, true = (pair[name].astype(bool) for name in pair)
    counts = {
        "true_positive": int((said & true).sum()),
        "false_negative": int((~said & true).sum()),
        "true_negative": int((~said & ~true).sum()),
        "false_positive": int((said & ~true).sum()),
    }
    row = {"n": len(pair), "n_not_judged": len(table) - len(pair), **counts}
    for name, hit, miss in (
        ("sensitivity", "true_positive", "false_negative"),
        ("specificity", "true_negative", "false_positive"),
    ):
        total = counts[hit] + counts[miss]
        low, high = clopper_pearson(counts[hit], total, settings.level)
        value = counts[hit] / total if total else np.nan
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def carried(rows: pd.DataFrame | None, variants: Sequence[str]) -> pd.DataFrame:
    """Return what became of the companions of each contrast; empty without any.

    Parameters
    ----------
    rows : pandas.DataFrame or None
        The manifests of the carry stage, one row a companion, with ``made_by``,
        the defacer.
    """
    if rows is None or rows.empty:
        return frame("carried", [])
    result = []
    for variant in variants:
        mine = rows[rows["made_by"] == variant]
        for contrast, table in mine.groupby("contrast", sort=False):
            result.append({"variant": variant, "contrast": contrast, **_carried_row(table)})
    return frame("carried", result)


def _carried_row(table: pd.DataFrame) -> dict:
    done = table[table["status"] == OK]
    missing = (table["status"] == EXCLUDED) & (table["path"].fillna("") == "")

    def numbers(name: str) -> pd.Series:
        values = done[name] if name in done else pd.Series(np.nan, index=done.index)
        return pd.to_numeric(values, errors="coerce")

    by = done["aligned_by"] if "aligned_by" in done else pd.Series("", index=done.index)
    reasons = table.loc[table["status"] != OK, "reason"].value_counts(sort=False)
    return {
        "n": len(table),
        "n_ok": len(done),
        "n_absent": int(missing.sum()),
        "n_excluded": int(((table["status"] == EXCLUDED) & ~missing).sum()),
        "n_failed": int((table["status"] == FAILED).sum()),
        "n_unchanged": int((numbers("changed_voxels") == 0).sum()),
        "n_by_header": int((by == "header").sum()),
        "n_by_registration": int((by == "registration").sum()),
        "nmi_median": numbers("nmi").median(),
        "contrast_nmi_min": numbers("contrast_nmi").min(),
        "shift_mm_max": numbers("shift_mm").max(),
        "rotation_deg_max": numbers("rotation_deg").max(),
        "changed_voxels_median": numbers("changed_voxels").median(),
        "brain_voxels_median": numbers("brain_voxels").median(),
        "brain_changed_max": numbers("brain_changed").max(),
        "reason": one_line("; ".join(f"{count} x {text}" for text, count in reasons.items())),
    }
