"""Images of other contrasts (T2w, FLAIR) that were lost, as rows of the table ``flow``.

A session that has no such image has no row: nothing was lost.  Pure functions of manifests.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from refacebench.reasons import NO_CONTRAST
from refacebench.results import flow
from refacebench.results.attacked import attacked
from refacebench.results.flow import IDENTITY
from refacebench.vocabulary import OK, split_contrast


def lost(
    inventory: pd.DataFrame, carried: pd.DataFrame | None, ledgers: pd.DataFrame | None
) -> pd.DataFrame:
    """Return a row for each image that lost no face or could not be attacked, and each variant.

    Parameters
    ----------
    inventory : pandas.DataFrame
        Every scan that was found.
    carried : pandas.DataFrame, optional
        The manifests of the carry stage, with ``made_by``, the defacer.
    ledgers : pandas.DataFrame, optional
        The manifests of attacks on other contrasts, under the names of the T1w scans.

    Returns
    -------
    pandas.DataFrame
        Columns as in ``flow``; ``scan`` is the image's own name.
    """
    if carried is None or carried.empty:
        return flow.RESULT.frame([])
    stopped = carried[(carried["status"] != OK) & ~is_absent(carried)]
    rows = [_row(row, row["made_by"], row["contrast"]) for row in stopped.to_dict("records")]
    if ledgers is not None:
        names = carried.drop_duplicates(["t1w", "contrast"]).set_index(["t1w", "contrast"])["scan"]
        found = attacked(inventory, ledgers)
        for row in found[found["status"].isin(flow.LOST)].to_dict("records"):
            variant, contrast = split_contrast(row["variant"])
            row["scan"] = names.get((row["scan"], contrast), f"{row['scan']}_{contrast}")
            rows.append(_row(row, variant, contrast))
    return flow.RESULT.frame(rows)


def is_absent(rows: pd.DataFrame) -> pd.Series:
    """Tell which rows of the carry stage stand for an image that the session does not have."""
    said = [NO_CONTRAST.format(contrast) for contrast in rows["contrast"]]
    return rows["reason"].fillna("") == pd.Series(said, index=rows.index, dtype=object)


def _row(row: dict[str, Any], variant: str, contrast: str) -> dict[str, Any]:
    kept = {name: row.get(name, "") for name in (*IDENTITY, "stage", "status", "reason")}
    return {**kept, "variant": variant, "contrast": contrast}
