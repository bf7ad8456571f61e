"""Flags of the same participants under two methods: McNemar's exact test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class McNemar:
    """How many participants are flagged under both methods, under one, and the test.

    Attributes
    ----------
    n, both, only_first, only_second : int
    p : float
        Two-sided and exact (binomial); 1 where no participant changes, NaN without any.
    """

    n: int
    both: int
    only_first: int
    only_second: int
    p: float


def mcnemar(first, second) -> McNemar:
    """Return McNemar's exact test of two flags a participant.

    Parameters
    ----------
    first, second : sequence of float
        1 flagged, 0 not; participants with a NaN in either are left out.

    References
    ----------
    McNemar 1947, Psychometrika 12, 153-157.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]).p
    0.0625
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    known = np.isfinite(first) & np.isfinite(second)
    one, other = first[known] > 0, second[known] > 0
    counts = [(one & other).sum(), (one & ~other).sum(), (~one & other).sum()]
    both, only_first, only_second = map(int, counts)
    n = int(known.sum())
    p = _exact(only_first, only_second) if n else np.nan
    return McNemar(n, both, only_first, only_second, p)


def _exact(b: int, c: int) -> float:
    if b + c == 0:
        return 1.0
    from statsmodels.stats.contingency_tables import mcnemar as exact

    return float(exact([[0, b], [c, 0]], exact=True).pvalue)
