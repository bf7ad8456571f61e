"""Which methods are better than others beyond uncertainty: pairs, the Pareto front, ranks.

Pure functions of arrays.  Two methods that cannot be told apart are not ranked: a method
falls behind only where another is shown to be better in one aim and looks no worse in the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.statistics import paired
from refacebench.statistics.intervals import BOUND_DRAWS, weighed_means


def surely_larger(first, second, least: float = -1.0, seed: int = 0) -> float:
    """Return the p value of "the first values' mean is larger", for paired values.

    The share of :func:`~refacebench.statistics.intervals.weighed_means` of the differences
    that are not above zero, where the value more is ``least``, the smallest difference
    possible.  NaN pairs are left out; NaN without a pair, 1 where the mean is not even larger.
    """
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return np.nan
    if difference.mean() <= 0:
        return 1.0
    means = weighed_means(difference, least, seed)
    return float((1 + (means <= 0).sum()) / (1 + BOUND_DRAWS))


def less_identified(
    mine: pd.DataFrame, other: pd.DataFrame, spread: float = 0.0, seed: int = 0
) -> float:
    """Return the p value of "the worst attack on mine is weaker than the worst one on other's".

    Some route to the other must beat every route to mine: over mine the largest p value
    counts (each must be beaten), over the other's routes the smallest, times their
    number (Bonferroni).  So neither looks better or worse for its number of routes alone.
    It must also beat chance: nobody is safer than where attacks guess.

    Parameters
    ----------
    mine, other : pandas.DataFrame
        One row per participant, one column per route; values from 0 to 1, less the route's chance.
    spread : float
        By how much the routes' chances differ at most.
    """
    mine, other = mine.align(other, join="inner", axis=0)
    if mine.empty or not len(mine.columns) or not len(other.columns):
        return np.nan
    rivals = [mine[own] for own in mine] + [pd.Series(0.0, index=mine.index)]
    found = np.array([_beats_all(other[column], rivals, -1.0 - spread, seed) for column in other])
    known = found[np.isfinite(found)]
    return float(min(1.0, len(found) * known.min())) if len(known) else np.nan


def _beats_all(column: pd.Series, rivals, least: float, seed: int) -> float:
    """Return the largest p value; NaN where a rival has nothing to compare with."""
    largest = 0.0
    for rival in rivals:
        p = surely_larger(column, rival, least, seed)
        if not p < 1.0:
            return p
        largest = max(largest, p)
    return largest


def safer(
    routes: Mapping[str, pd.DataFrame],
    asked: np.ndarray,
    alpha: float,
    spread: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Return who is identified less often than whom: True where the row's method is safer.

    Parameters
    ----------
    routes : mapping of str to pandas.DataFrame
        By method, as for :func:`less_identified`, and so is ``spread``.
    asked : numpy.ndarray of bool
        Shape (n_methods, n_methods): pairs that are compared, chosen without a look at the
        identification.
    alpha : float
        Level of the Holm correction over those pairs.
    """
    tables = list(routes.values())
    pairs = [(a, b) for a, b in np.argwhere(asked) if a != b]
    p_values = [less_identified(tables[a], tables[b], spread, seed) for a, b in pairs]
    found = np.zeros((len(tables), len(tables)), dtype=bool)
    for pair, p in zip(pairs, paired.correct(p_values, "holm"), strict=True):
        found[pair] = p < alpha
    return found


def nearer(low: pd.Series, high: pd.Series) -> np.ndarray:
    """Return whose interval lies wholly below whose: True where the row's does."""
    return high.to_numpy(dtype=float)[:, None] < low.to_numpy(dtype=float)[None, :]


def layers(points: np.ndarray, better: np.ndarray) -> np.ndarray:
    """Return ranks, 1 for the front; those that nothing separates share one.

    One method is ahead of another if it is better beyond uncertainty in one aim at least
    and no worse by its values in all.  Rank 1: nobody is ahead.  Rank 2: nobody is, but
    for those of rank 1; and so on.

    Parameters
    ----------
    points : numpy.ndarray
        Shape (n_methods, n_aims), small is good.
    better : numpy.ndarray of bool
        Shape (n_aims, n_methods, n_methods): the first method is shown to be better.

    >>> nobody = np.zeros((2, 3, 3), dtype=bool)
    >>> points = np.array([[1, 3], [2, 2], [3, 3]])
    >>> layers(points, nobody).tolist()
    [1, 1, 1]
    >>> shown = points.T[:, :, None] < points.T[:, None, :]
    >>> layers(points, shown).tolist()
    [1, 1, 2]
    """
    points = np.asarray(points, dtype=float)
    no_worse = (points[:, None, :] <= points[None, :, :]).all(axis=2)
    ahead = np.asarray(np.asarray(better).any(axis=0) & no_worse)
    np.fill_diagonal(ahead, False)
    ranks = np.zeros(len(points), dtype=int)
    while (ranks == 0).any():
        left = ranks == 0
        behind = ahead[left].any(axis=0)
        now = left & ~behind
        # "Ahead" needs a smaller value, so that no circle is possible; stop if values are odd.
        ranks[now if now.any() else left] = ranks.max() + 1
    return ranks
