"""How much more often people are identified behind one method than behind another.

Pure functions of the same participants' values behind both, from 0 to 1.  Differences lie between
-1 and 1; their means have Gaffke's bounds (:func:`~refacebench.statistics.intervals.bound`), which
hold in small samples and need no symmetry, and the p value asks the same bounds where they reach
zero, so that interval and test agree.  For plain hits the test is the sign test of those whom only
one method gives away (McNemar's exact one).

**Worst cases.**  Let d(r, s) be the gap between route r to the one method and route s to the
other.  The gap between their worst cases is the largest over r of the smallest over s of d(r, s).
Its upper end is that of the routes' upper ends, each at its share of the error over the routes s
(Bonferroni): for the truly worst r, all d(r, s) lie below their ends at once.  The lower end
likewise, turned round.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.front import surely_larger
from refacebench.statistics.intervals import bound


class Gap(NamedTuple):
    """A difference of two rates, first less second, of ``n`` participants behind both."""

    n: int
    gap: float
    low: float
    high: float
    p: float


#: Nothing to compare.
NO_GAP = Gap(0, np.nan, np.nan, np.nan, np.nan)


def paired_gap(first: pd.Series, second: pd.Series, criteria: Criteria) -> Gap:
    """Return the gap between two attacks; participants without a value in both are left out."""
    first, second = first.align(second, join="inner")
    difference = (first - second).dropna().to_numpy(dtype=float)
    if not len(difference):
        return NO_GAP
    tail = (1 - criteria.level) / 2
    low, high = _ends(difference, tail, tail, criteria)
    p = min(1.0, 2 * min(_sides(difference, criteria)))
    return Gap(len(difference), float(difference.mean()), low, high, p)


class Reached(NamedTuple):
    """What reaches one method: rates by participant (rows) and route (columns), their chances."""

    rates: pd.DataFrame
    chances: np.ndarray


def worst_gap(first: Reached, second: Reached, criteria: Criteria) -> Gap:
    """Return the gap between the worst cases of two methods, each as a rate above its chance.

    Notes
    -----
    The gap itself is that of the routes that look worst, as they are; the interval allows for
    their having been picked.  p is twice that of the side that looks larger, by the same rule
    as its interval's end.
    """
    tables = first.rates.align(second.rates, join="inner", axis=0)
    first, second = (Reached(t, a.chances) for t, a in zip(tables, (first, second), strict=True))
    if first.rates.empty or second.rates.empty:
        return NO_GAP
    found = _between_routes(first, second, criteria)
    if found is None:
        return NO_GAP
    low, high = found["low"].max(axis=0).min(), found["high"].min(axis=1).max()
    larger = found["larger"].min(axis=0).max() * len(first.chances)
    smaller = found["smaller"].min(axis=1).max() * len(second.chances)
    gap = float(np.clip(looks_worst(first)[1] - looks_worst(second)[1], low, high))
    known = [a.rates.notna().any(axis=1) for a in (first, second)]
    n = int((known[0] & known[1]).sum())
    return Gap(n, gap, float(low), float(high), float(min(1.0, 2 * min(larger, smaller))))


def _between_routes(first: Reached, second: Reached, criteria: Criteria) -> dict | None:
    """Return ends and p values for all pairs of routes, shape (routes, routes of the second)."""
    shape = first.rates.shape[1], second.rates.shape[1]
    names = ("low", "high", "larger", "smaller")
    found = {name: np.empty(shape) for name in names}
    tail = (1 - criteria.level) / 2
    for r, s in np.ndindex(shape):
        difference = (first.rates.iloc[:, r] - second.rates.iloc[:, s]).dropna().to_numpy()
        if not len(difference):
            return None
        ends = _ends(difference, tail / shape[0], tail / shape[1], criteria)
        shift = first.chances[r] - second.chances[s]
        values = (*np.subtract(ends, shift), *_sides(difference, criteria, shift))
        for name, value in zip(names, values, strict=True):
            found[name][r, s] = value
    return found


def looks_worst(reached: Reached) -> tuple[float, float]:
    """Return the rate of the route that is farthest above its chance, and how far that is."""
    rates = reached.rates.mean().to_numpy()
    above = rates - reached.chances
    worst = int(above.argmax())
    return float(rates[worst]), float(above[worst])


def _ends(
    difference: np.ndarray, low_tail: float, high_tail: float, criteria: Criteria
) -> tuple[float, float]:
    """Return the ends of an interval of the mean of differences between -1 and 1."""
    values = (difference + 1) / 2
    low = bound(values, low_tail, seed=criteria.seed)
    high = bound(values, high_tail, upper=True, seed=criteria.seed)
    return 2 * low - 1, 2 * high - 1


def _sides(difference: np.ndarray, criteria: Criteria, shift: float = 0.0) -> tuple[float, float]:
    """Return p of "the mean is larger than the shift", and of "it is smaller"."""
    zeros, seed = np.zeros(len(difference)), criteria.seed
    return (
        surely_larger(difference - shift, zeros, -1.0 - shift, seed),
        surely_larger(shift - difference, zeros, -1.0 + shift, seed),
    )
