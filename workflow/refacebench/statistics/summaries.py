"""Summaries of scans' values, with the participant as the unit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.statistics.cohort import by_participant
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import finite, mean_interval


def draws(criteria: Criteria) -> dict:
    """Return the options of every interval of a mean."""
    return {"seed": criteria.seed, "level": criteria.level}


def summary(
    values: pd.Series,
    participants: pd.Series,
    criteria: Criteria,
    least: float = -np.inf,
    most: float = np.inf,
) -> dict:
    """Return n, n_scans, mean, sd, low and high of scans' values, by participant.

    ``least`` and ``most`` are the values that are possible at all.
    """
    persons = by_participant(values, participants).to_numpy()
    low, high = mean_interval(persons, **draws(criteria), least=least, most=most)
    return {
        "n": len(persons),
        "n_scans": int(values.notna().sum()),
        "mean": persons.mean() if len(persons) else np.nan,
        "sd": persons.std(ddof=1) if len(persons) > 1 else np.nan,
        "low": low,
        "high": high,
    }


def median(values) -> float:
    """Return the median of the finite values; NaN for none."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else np.nan


def spread(values) -> float:
    """Return the standard deviation of the finite values; NaN for fewer than two."""
    values = finite(values)
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def largest(values: pd.Series) -> float:
    """Return the largest value; NaN for none."""
    return float(values.max()) if values.notna().any() else np.nan


def joined(table: pd.DataFrame, name: str) -> str:
    """Return the distinct non-empty entries of a text column, sorted, with commas."""
    if name not in table:
        return ""
    return ", ".join(sorted({str(v) for v in table[name].dropna()} - {""}))
