"""By how much paired values differ: the Hodges-Lehmann shift and its interval.

Pure functions of arrays, one difference a participant.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from refacebench.statistics.intervals import NO_INTERVAL, finite

#: Up to so many differences the signed-rank distribution is counted; above, it is normal.
MOST_COUNTED = 60


def shift(differences, level: float = 0.95) -> tuple[float, float, float]:
    """Return the Hodges-Lehmann shift of paired differences with its interval.

    The shift is the median of the means of all pairs of differences (each with itself, too).
    The interval holds the shifts that the signed-rank test at ``1 - level`` does not reject; it
    asks for symmetric differences, not for normal ones, and is exact for up to
    :data:`MOST_COUNTED` of them.

    Parameters
    ----------
    differences : sequence of float
        Non-finite ones are left out.
    level : float
        Coverage of the interval.

    Returns
    -------
    shift, low, high : float
        NaN for no difference; no ends where so few differences cannot give the level.

    References
    ----------
    Hodges & Lehmann 1963, Ann Math Stat 34, 598-611; Hollander, Wolfe & Chicken 2014,
    Nonparametric Statistical Methods, sec. 3.2 and 3.3.

    >>> shift([1.0, 2.0, 4.0])[0]
    2.25
    """
    means = pair_means(differences)
    if not len(means):
        return (np.nan, *NO_INTERVAL)
    return (float(np.median(means)), *ends(means, level))


def pair_means(differences) -> np.ndarray:
    """Return the means of all pairs of finite differences, each with itself too, in order."""
    values = finite(differences)
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def ends(means: np.ndarray, level: float) -> tuple[float, float]:
    """Return the interval of a level from the means of pairs; none for too few differences."""
    n = int(np.sqrt(2 * len(means)))  # of n (n + 1) / 2 means
    k = rank_order(n, level)
    return (float(means[k - 1]), float(means[-k])) if k else NO_INTERVAL


@lru_cache(maxsize=1024)
def rank_order(n: int, level: float) -> int:
    """Return which mean of pairs, counted from either end, bounds the interval; 0 for none.

    The interval from the k-th smallest to the k-th largest mean misses with the probability
    that the sum of positive ranks is below k, or as far above.

    >>> rank_order(6, 0.95), rank_order(10, 0.95), rank_order(5, 0.95)
    (1, 9, 0)
    """
    tail = (1 - level) / 2
    if n > MOST_COUNTED:
        from scipy.stats import norm

        spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        # With the continuity correction of one half.
        return max(0, int(np.floor(n * (n + 1) / 4 - norm.isf(tail) * spread + 0.5)))
    ways = np.ones(1)
    for rank in range(1, n + 1):
        gap = np.zeros(rank)
        ways = np.concatenate([ways, gap]) + np.concatenate([gap, ways])
    return int((np.cumsum(ways) / ways.sum() <= tail * (1 + 1e-12)).sum())
