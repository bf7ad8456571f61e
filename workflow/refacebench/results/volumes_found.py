"""What the tests of a variant's volumes found, counted: values that sentences and cells print."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Volumes:
    """What the tests of a variant's volumes found, of the table ``volumes``.

    ``tested``, ``differ``, ``equivalent`` and ``beyond`` count volumes: those tested, those shown
    to change at all, to stay within their margin, to change by more than it.  The last two and
    ``open`` make up all that were tested.  ``margins``: the smallest and the largest of these.
    ``largest`` is the volume with the largest median change, ``change`` that change in percent,
    with its interval; ``most_changed`` and ``its_change`` are the same of those that are shown to
    change.  ``people``: the most that any test compared.
    """

    tested: int
    differ: int
    equivalent: int
    beyond: int
    margins: tuple[float, float]
    largest: str
    change: float
    low: float
    high: float
    most_changed: str = ""
    its_change: float = np.nan
    people: int = 0

    @property
    def open(self) -> int:
        """How many are shown neither to stay within their margin nor to leave it."""
        return self.tested - self.equivalent - self.beyond


def volumes_of(rows: pd.DataFrame, alpha: float) -> Volumes | None:
    """Return what the tests of a variant's volumes found; None where none was tested.

    Parameters
    ----------
    rows : pandas.DataFrame
        Its rows of the table ``volumes`` by one segmenter.
    alpha : float
        Of the corrected p values.
    """
    if rows.empty:
        return None
    rows = rows[rows["p_holm"].notna() & rows["median_change_pct"].notna()]
    if rows.empty:
        return None
    most = rows.loc[rows["median_change_pct"].abs().idxmax()]
    low, high, margin = (
        pd.to_numeric(rows.get(c, pd.Series(np.nan, index=rows.index)), errors="coerce")
        for c in ("low_joint", "high_joint", "margin_pct")
    )
    changed = rows["p_holm"] < alpha
    beyond = (low > margin) | (high < -margin)
    same = (pd.to_numeric(rows["equivalent"], errors="coerce") == 1) & ~beyond
    change, lower, upper = (
        float(most.get(name, np.nan)) for name in ("median_change_pct", "low", "high")
    )
    return Volumes(
        len(rows),
        int(changed.sum()),
        int(same.sum()),
        int(beyond.sum()),
        (float(margin.min()), float(margin.max())),
        str(most["region"]),
        change,
        lower,
        upper,
        *_most_changed(rows[changed]),
        int(rows["n"].max()) if "n" in rows and rows["n"].notna().any() else 0,
    )


def _most_changed(rows: pd.DataFrame) -> tuple[str, float]:
    """Return the volume that changes most of those that are shown to, and by how much."""
    if rows.empty:
        return "", np.nan
    most = rows.loc[rows["median_change_pct"].abs().idxmax()]
    return str(most["region"]), float(most["median_change_pct"])
