"""What became of the other images of a session (T2w, FLAIR), by contrast.

Empty unless the dataset has ``carry``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import number
from refacebench.reasons import one_line
from refacebench.results import companions
from refacebench.results.cells import by_variant
from refacebench.results.result import STATISTICS, Heading, Printed, Result, View
from refacebench.vocabulary import EXCLUDED, FAILED, OK


def compute(rows: pd.DataFrame | None, variants: Sequence[str]) -> pd.DataFrame:
    """Return what became of the companions of each contrast; empty without any.

    Parameters
    ----------
    rows : pandas.DataFrame or None
        The manifests of the carry stage, one row per companion, with ``made_by``,
        the defacer.
    """
    if rows is None or rows.empty:
        return RESULT.frame([])
    result = []
    for variant in variants:
        mine = rows[rows["made_by"] == variant]
        for contrast, table in mine.groupby("contrast", sort=False):
            result.append({"variant": variant, "contrast": contrast, **_carried_row(table)})
    return RESULT.frame(result)


def _carried_row(table: pd.DataFrame) -> dict[str, Any]:
    done = table[table["status"] == OK]
    missing = companions.is_absent(table)

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


def caption(view: View) -> str:
    """Return the caption of the carried contrasts."""
    if view.tables["carried"].empty:
        return "Other contrasts of a session: none were carried along."
    return (
        "Other images of a session, set to zero where the mask of the T1w scan's changed voxels "
        "lies on them. n: images that there should be; absent: none in the session; aligned by "
        "their headers or by a rigid registration, whichever has more mutual "
        "information. Brain changed: voxels of "
        "the protected brain that differ in the written file. They are attacked where there are "
        "attackers, and measured in no other way."
    )


def printed(view: View) -> Printed:
    """Return one row per variant and contrast."""
    table, look = view.rows("carried"), view.look
    columns = ["Variant", "Contrast", "Written", "Absent", "Excluded or failed",
               "By header, by registration", "Largest shift (mm)", "Least contrast of the fit",
               "Brain voxels changed (max)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        for _, row in mine.iterrows():
            rows.append(
                [
                    label,
                    str(row["contrast"]),
                    f"{int(row['n_ok'])}/{int(row['n'])}",
                    str(int(row["n_absent"])),
                    str(int(row["n_excluded"] + row["n_failed"])),
                    f"{int(row['n_by_header'])}, {int(row['n_by_registration'])}",
                    number(row["shift_mm_max"], 1),
                    number(row["contrast_nmi_min"], 1),
                    number(row["brain_changed_max"], 0),
                ]
            )
    return columns, rows


HEADING = Heading(
    "carried",
    "Other contrasts",
    "Did the other images of a session lose the face too, and can people be recognised in them?",
    order=400,
)

RESULT = Result(
    "carried",
    about=__doc__,
    empty="no other images were carried along with the scans",
    job=STATISTICS,
    columns="""
        variant contrast n n_ok n_absent n_excluded n_failed n_unchanged
        n_by_header n_by_registration nmi_median contrast_nmi_min shift_mm_max rotation_deg_max
        changed_voxels_median brain_voxels_median brain_changed_max reason
    """,
    compute=lambda given, _: compute(given.carried, given.variants),
    caption=caption,
    latex="""
        variant contrast n n_ok n_absent n_excluded n_failed n_by_header n_by_registration
        contrast_nmi_min shift_mm_max brain_changed_max
    """,
    heading=HEADING,
    order=400,
    printed=printed,
)
