"""Exact tests against chance: number of hits, sum of ranks, and what they could detect.

One-sided (more than chance), from independent trials.  Two numbers are easily confused:
:func:`critical`, the smallest *observed* share that would pass a test, and :func:`detectable`, the
smallest *true* rate at which most samples pass it, which is always larger: a true rate at the
critical value passes about half of the time.
"""

from __future__ import annotations

import numpy as np


def poisson_binomial_tail(successes: float, chances) -> float:
    """Return the probability of at least so many successes in independent trials.

    Parameters
    ----------
    successes : float
        Fractions (ties) are rounded down, which makes the test conservative.
    chances : sequence of float
        Probability of success of each trial; equal ones give the binomial tail.
    """
    chances = np.asarray(chances, dtype=float)
    if len(chances) == 0:
        return np.nan
    pmf = _poisson_binomial(chances)
    return float(min(1.0, pmf[int(np.floor(successes + 1e-9)) :].sum()))


def _poisson_binomial(chances: np.ndarray) -> np.ndarray:
    """Return the probabilities of 0, 1, ... successes in independent trials."""
    pmf = np.ones(1)
    for chance in chances:
        pmf = np.convolve(pmf, [1 - chance, chance])
    return pmf


#: Size of the exact null distribution of a sum of ranks above which it is taken as normal.
_EXACT_RANKS = 20_000_000


def rank_sum_tail(ranks, sizes) -> float:
    """Return the probability that ranks from galleries of these sizes sum to so little or less.

    Under ignorance every rank is uniform on 1..size.  Exact (mid-ranks are
    rounded up, which makes the test conservative); normal for sums so large
    that it makes no difference.
    """
    ranks, sizes = np.asarray(ranks, dtype=float), np.asarray(sizes, dtype=int)
    if len(ranks) == 0:
        return np.nan
    total = int(np.ceil(ranks.sum() - 1e-9))
    if len(sizes) * int(sizes.sum()) > _EXACT_RANKS:
        from scipy.stats import norm

        mean, variance = ((sizes + 1) / 2).sum(), ((sizes.astype(float) ** 2 - 1) / 12).sum()
        return float(norm.cdf((total + 0.5 - mean) / np.sqrt(variance)))
    pmf = np.ones(1)
    for size in sizes:  # a uniform on 0..size-1 is added by a moving sum
        sums = np.concatenate([np.cumsum(pmf), np.full(size - 1, pmf.sum())])
        sums[size:] -= np.cumsum(pmf)[: len(sums) - size]
        pmf = np.maximum(sums, 0) / size
    return float(min(1.0, pmf[: max(0, total - len(sizes) + 1)].sum()))


def critical(chances, alpha: float) -> float:
    """Return the smallest share of identified participants that would pass a level.

    Infinite where not even all of them would.
    """
    chances = np.asarray(chances, dtype=float)
    if len(chances) == 0:
        return np.nan
    passing = np.flatnonzero(_tails(chances) < alpha)
    return float(passing[0] / len(chances)) if len(passing) else np.inf


def detectable(chances, alpha: float, power: float) -> float:
    """Return the smallest true rate that :func:`poisson_binomial_tail` finds with a power.

    A share of the people is recognised for certain and the others are guessed, so that each
    one's probability lies the same share of the way from its chance to 1; the rate is the mean
    of these.  Infinite where even a rate of 1 would not pass.

    Parameters
    ----------
    chances : sequence of float
        Chance of each participant.
    alpha, power : float
        Level of the test, and how often it should find the rate.
    """
    chances = np.asarray(chances, dtype=float)
    if len(chances) == 0:
        return np.nan
    hits = critical(chances, alpha) * len(chances)
    if not np.isfinite(hits):
        return np.inf
    least = int(round(hits))
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        share = (low + high) / 2
        found = _tails(chances + share * (1 - chances))[least] >= power
        low, high = (low, share) if found else (share, high)
    return float((chances + high * (1 - chances)).mean())


def _tails(chances: np.ndarray) -> np.ndarray:
    """Return the probabilities of at least 0, 1, ... successes in independent trials."""
    if np.ptp(chances) == 0:  # the same, and quick for many people
        from scipy.stats import binom

        return binom.sf(np.arange(len(chances) + 1) - 1, len(chances), chances[0])
    return np.cumsum(_poisson_binomial(chances)[::-1])[::-1]
