"""What could have been found: the smallest shift, or share of people, that probably shows.

Needed beside every "not significant", which says nothing where the test could not have found
anything either.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Up to so many differences SciPy's p value is exact (without ties and zeros); above, normal.
MOST_EXACT = 50
#: Samples that are drawn: at 80 % power the Monte Carlo standard error is 0.4 points of power.
SAMPLES = 10_000
_CHUNK = 1000


@lru_cache(maxsize=4096)
def detectable_shift(n: int, alpha: float, power: float) -> float:
    """Return the smallest shift, in standard deviations, that the two-sided test would detect.

    For normal differences, with the test as it is made (:func:`~refacebench.statistics.paired.\
wilcoxon`): exact p values for up to :data:`MOST_EXACT` participants, normal ones above.

    Parameters
    ----------
    n : int
        Participants.
    alpha : float
        Level of the single test, of which p must be below it; for a corrected family
        ``alpha / family size``.
    power : float
        How often the shift should be found.

    Returns
    -------
    float
        Infinite where no data of this size could reach ``alpha``.

    Notes
    -----
    The sum of positive ranks is the number of Walsh averages (means of pairs, each value with
    itself too) above zero.  So a sample passes as soon as it is shifted by more than minus its
    c-th largest Walsh average, c being the critical value, and the answer is a quantile of that
    over samples: simulated for few participants.  For many the sum of ranks is normal, with the
    moments of Lehmann 1975, Nonparametrics, sec. 4.2.
    """
    if n > MOST_EXACT:
        return _normal_shift(n, alpha, power)
    critical = critical_sum(n, alpha)
    if not np.isfinite(critical):
        return np.inf
    first, second = np.triu_indices(n)
    place = len(first) - int(critical)
    rng = np.random.default_rng(n)
    needed = []
    for _ in range(SAMPLES // _CHUNK):
        values = rng.standard_normal((_CHUNK, n))
        walsh = (values[:, first] + values[:, second]) / 2
        needed.append(-np.partition(walsh, place, axis=1)[:, place])
    return max(0.0, float(np.quantile(np.concatenate(needed), power)))


def detectable_share(n: int, power: float) -> float:
    """Return the share of people of whom a sample of ``n`` has at least one with a probability.

    >>> round(detectable_share(59, 0.95), 3)
    0.05
    """
    return 1.0 - (1.0 - power) ** (1.0 / n)


@lru_cache(maxsize=4096)
def critical_sum(n: int, alpha: float) -> float:
    """Return the smallest sum of positive ranks with an exact two-sided p below ``alpha``.

    Infinite where there is none.

    >>> critical_sum(13, 0.05), critical_sum(13, 0.05 / 126), critical_sum(5, 0.05)
    (74.0, 91.0, inf)
    """
    ways = np.ones(1)
    for rank in range(1, n + 1):
        gap = np.zeros(rank)
        ways = np.concatenate([ways, gap]) + np.concatenate([gap, ways])
    tails = np.cumsum(ways[::-1])[::-1] / ways.sum()
    passing = np.flatnonzero(2 * tails < alpha)
    return float(passing[0]) if len(passing) else np.inf


def _normal_shift(n: int, alpha: float, power: float) -> float:
    from scipy.optimize import brentq
    from scipy.stats import norm

    null = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    critical = n * (n + 1) / 4 + norm.isf(alpha / 2) * null

    def gap(shift: float) -> float:
        mean, spread = _moments(n, shift)
        return float(norm.cdf((mean - critical) / spread)) - power

    upper = 1.0
    while gap(upper) < 0 and upper < 64:
        upper *= 2
    return float(brentq(gap, 0.0, upper)) if gap(0.0) < 0 <= gap(upper) else 0.0


def _moments(n: int, shift: float) -> tuple[float, float]:
    """Return mean and standard deviation of the sum of positive ranks of shifted normal values."""
    from scipy.special import owens_t
    from scipy.stats import norm

    pair = np.sqrt(2) * shift
    p1, p2 = norm.cdf(shift), norm.cdf(pair)
    p3 = p2 - 2 * owens_t(pair, 1 / np.sqrt(3))  # two pairs that share a value: correlation 1/2
    mean = n * p1 + n * (n - 1) / 2 * p2
    variance = n * (n - 1) * (n - 2) * (p3 - p2**2) + n * p1 * (1 - p1)
    variance += n * (n - 1) / 2 * (2 * (p1 - p2) ** 2 + 3 * p2 * (1 - p2))
    return float(mean), float(np.sqrt(max(variance, 1e-12)))
