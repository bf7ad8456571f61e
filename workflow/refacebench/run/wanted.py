"""Which scans a user wants this time: `only_participants`, `limit`.  Tables in, tables out."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench import vocabulary

#: Begins the reason of a scan that could be used and that the user does not want this time.
NOT_TAKEN = "not taken"


def taken(
    table: pd.DataFrame,
    participants: Sequence[str | int] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the list of scans with those excluded that the user does not want this time.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan: ``participant``, ``status``, ``reason``.
    participants : sequence of str, optional
        Only these, with or without ``sub-``.
    limit : int, optional
        Only so many of those who have a usable scan: the first ones by their names.

    Raises
    ------
    ValueError
        If a named participant has no scan.
    """
    usable = table["status"] == vocabulary.OK
    wanted = {f"sub-{str(label).removeprefix('sub-')}" for label in participants or ()}
    unknown = sorted(wanted - set(table["participant"]))
    if unknown:
        raise ValueError(f"only_participants: there is no scan of {', '.join(unknown[:8])}")
    table = table.copy()
    if wanted:
        others = usable & ~table["participant"].isin(wanted)
        _leave(
            table, others, f"{NOT_TAKEN}: the config's `only_participants` does not name this one"
        )
        usable &= ~others
    if limit is not None:
        first = sorted(table.loc[usable, "participant"].unique())[:limit]
        beyond = usable & ~table["participant"].isin(first)
        _leave(
            table, beyond, f"{NOT_TAKEN}: the config's `limit` takes the first {limit} participants"
        )
    return table


def _leave(table: pd.DataFrame, rows: pd.Series, reason: str) -> None:
    table.loc[rows, "status"] = vocabulary.EXCLUDED
    table.loc[rows, "reason"] = reason
