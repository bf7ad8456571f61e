"""Variants whose program is not on this machine: in every table, in no denominator.

They have no images and no manifests.  Rows with the status ``unavailable`` stand for
them in the measurement table: a scan of such a row did not fail, so it is neither a
crash nor counted, and the variant adds no test to a family.  Tables in, tables out.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from refacebench.vocabulary import OK, RESCAN, SHARED, UNAVAILABLE

#: Begins the note of every such row.
PREFIX = "unavailable: "
_IDENTITY = (
    *("dataset", "participant", "session", "scan", "split", "role", "site", "age", "sex"),
    *("segmenter", "status", "stage", "reason"),
)


def rows(measurements: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each scan, segmenter and unavailable variant.

    Parameters
    ----------
    measurements : pandas.DataFrame
        The measurement table; its originals say which scans there would be.
    reasons : mapping of str to str
        What is missing, by variant.
    """
    originals = measurements[measurements["variant"] == "original"]
    # Rescans and training scans are not compared: no variant of theirs was wanted.
    for column, unused in (("role", (RESCAN,)), ("split", ("train", "validation"))):
        if column in originals:
            originals = originals[~originals[column].isin(unused)]
    originals = originals[[name for name in _IDENTITY if name in originals]]
    lost = (originals["status"] != OK) & originals["stage"].isin(SHARED)
    parts = []
    for variant, reason in reasons.items():
        part = originals.assign(variant=variant, defacer_engine=UNAVAILABLE)
        part.loc[~lost, "status"] = UNAVAILABLE
        part.loc[~lost, "stage"] = "deface"
        part.loc[~lost, "reason"] = PREFIX + reason
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else originals.iloc[:0].assign(variant="")


def reasons_of(measurements: pd.DataFrame) -> dict[str, str]:
    """Return the notes of unavailable variants from the measurement table."""
    added = measurements[measurements["status"] == UNAVAILABLE].drop_duplicates("variant")
    if added.empty:
        return {}
    return dict(zip(added["variant"], added["reason"], strict=True))


def noted(table: pd.DataFrame, notes: Mapping[str, str]) -> pd.DataFrame:
    """Return a result table whose rows of unavailable variants say so, in ``note`` or ``reason``.

    A table that has rows but none of such a variant gets one, with counts of zero.
    """
    column = next((name for name in ("note", "reason") if name in table), "")
    if not notes or table.empty or "variant" not in table or not column:
        return table
    counts = [name for name in table if name == "n" or name.startswith("n_")]
    lines = [
        {"variant": variant, **dict.fromkeys(counts, 0)}
        for variant in notes
        if variant not in set(table["variant"])
    ]
    if lines:
        table = pd.concat([table, pd.DataFrame(lines)], ignore_index=True)
    if "status" in table:  # the flow: every row has its own reason
        return table
    here = table["variant"].isin(list(notes))
    table = table.astype({column: object})
    table.loc[here, column] = table["variant"].map(notes)
    if "engine" in table:
        table = table.astype({"engine": object})
        table.loc[here, "engine"] = UNAVAILABLE
    return table


def present(table: pd.DataFrame) -> pd.DataFrame:
    """Return a result table without the rows of unavailable variants."""
    column = next((name for name in ("note", "reason") if name in table), "")
    if not column or table.empty or "status" in table:
        return table
    return table[~table[column].fillna("").astype(str).str.startswith(PREFIX)]
