"""Intervals for means, medians and shares, with the participant as the unit.

Pure functions of arrays.  Callers first average a participant's sessions, so that ten
sessions of one person are one observation and not ten.  How often each interval holds the
truth: ``benchmarks/intervals.py``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

NO_INTERVAL = (np.nan, np.nan)


@lru_cache(maxsize=16)
def resample_counts(n: int, n_boot: int, seed: int) -> np.ndarray:
    """Return how often each of ``n`` participants is drawn in each resample.

    The same ``n`` and seed give the same draws, so that statistics of the same
    participants are compared over the same resamples.

    Returns
    -------
    numpy.ndarray of int
        Shape (n_boot, n); every row sums to ``n``.
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=n_boot)
    counts.setflags(write=False)
    return counts


def quantiles(replicates: np.ndarray, level: float) -> tuple[float, float]:
    """Return the ends of a percentile interval of a level."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def finite(values) -> np.ndarray:
    """Return the finite values."""
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


def mean_interval(
    values, *, level: float = 0.95, seed: int = 0, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float]:
    """Return an interval of the mean of participants' values that holds in small samples.

    Student's interval, whose end towards a long tail is moved out to a bound that allows for
    values further out than any that was seen (:func:`_towards`).  For symmetric values it is a
    little wider than Student's; for skewed ones it holds where Student's and the bootstraps do not
    (``benchmarks/intervals.py``).

    Parameters
    ----------
    values : sequence of float
        One a participant; non-finite ones are left out.
    level : float
        Coverage.
    seed : int
        Of the random weights.
    least, most : float
        Values that are possible at all: no end lies beyond them.

    Returns
    -------
    low, high : float
        ``(nan, nan)`` for fewer than two values: one person says nothing about the spread
        between persons.  Equal values have no width: that nobody differs is all that is known.
    """
    from scipy.stats import t

    values = finite(values)
    n = len(values)
    if n < 2:
        return NO_INTERVAL
    mean = float(values.mean())
    away = values - mean
    tail = (1 - level) / 2
    half = float(t.isf(tail, n - 1) * values.std(ddof=1) / np.sqrt(n))
    low = -max(half, _towards(-away, mean - least, tail, seed))
    high = max(half, _towards(away, most - mean, tail, seed))
    return max(mean + low, min(least, mean)), min(mean + high, max(most, mean))


def _towards(values: np.ndarray, room: float, tail: float, seed: int) -> float:
    """Return how far above zero, the values' mean, the true mean may lie.

    Gaffke's bound (:func:`bounded_mean`) with a largest possible value that is not known and
    therefore guessed from the values' skewness: as far beyond the largest of them as that is
    further from the median than the smallest is, times :data:`REACH` / n.  No further than
    ``room`` allows.
    """
    below, middle, above = np.quantile(values, [0.0, 0.5, 1.0])
    longer = max(0.0, (above - middle) - (middle - below))
    extra = min(above + min(MOST_REACH, REACH / len(values)) * longer, room)
    return float(np.quantile(weighed_means(values, extra, seed), 1 - tail))


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    ``n`` may be an effective sample size and need not be whole.  ``n == 0``
    gives ``(nan, nan)``.

    References
    ----------
    Wilson 1927, J Am Stat Assoc 22, 209-212.
    """
    from scipy.stats import norm

    if not n > 0:
        return NO_INTERVAL
    z = norm.isf((1 - level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return float(low), float(high)


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval of a proportion.

    ``successes`` may be a sum of fractions: the interval is then conservative,
    as no values between 0 and 1 of a given mean vary more than plain 0 and 1.
    ``n == 0`` gives ``(nan, nan)``.

    References
    ----------
    Clopper & Pearson 1934, Biometrika 26, 404-413.
    """
    from scipy.stats import beta

    if not n > 0:
        return NO_INTERVAL
    tail = (1 - level) / 2
    low = beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = beta.isf(tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


#: How far beyond the values :func:`mean_interval` looks: the smallest round numbers with which it
#: holds the mean of lognormal values in over 93 % of samples of 10 (``benchmarks/intervals.py``).
REACH, MOST_REACH = 20.0, 2.0
#: Draws of :func:`bounded_mean`: 25 of them lie below 0.25 %, one of ten shares of 2.5 %.
BOUND_DRAWS = 10_000


@lru_cache(maxsize=4)
def _weights(n: int, seed: int) -> np.ndarray:
    """Return random weights, shape (BOUND_DRAWS, n + 1): positive, of sum 1, all alike likely."""
    rng = np.random.default_rng(seed)
    draws = rng.standard_exponential((BOUND_DRAWS, n + 1), dtype=np.float32)
    draws /= draws.sum(axis=1, keepdims=True)
    draws.setflags(write=False)
    return draws


def bounded_mean(values, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return an interval of the mean of values between 0 and 1 that holds in small samples.

    Plain hits (0 or 1) have the Clopper-Pearson interval.  Fractions have Gaffke's bounds,
    of which that one is the special case: the values are weighed at random, together with one
    value more, which is 0 for the lower end and 1 for the upper one (:func:`weighed_means`).
    A bootstrap has no such value, so that in few participants it never sees the rare large ones.

    References
    ----------
    Gaffke 2005, Math Methods Stat 14, 451-467; Learned-Miller & Thomas 2019, arXiv:1905.06208.
    That the bounds hold for every distribution is conjectured, not proved; for rates of choice
    it is simulated (``benchmarks/worst_case.py``).
    """
    values = finite(values)
    if not len(values):
        return NO_INTERVAL
    tail = (1 - level) / 2
    return bound(values, tail, seed=seed), bound(values, tail, upper=True, seed=seed)


def bound(values, tail: float, *, upper: bool = False, seed: int = 0) -> float:
    """Return one end of :func:`bounded_mean`, which misses with the probability ``tail``."""
    values = np.asarray(values, dtype=float)
    if np.isin(values, (0.0, 1.0)).all():
        return clopper_pearson(float(values.sum()), len(values), 1 - 2 * tail)[int(upper)]
    means = weighed_means(values, float(upper), seed)
    found = float(np.quantile(means, 1 - tail if upper else tail))
    # With few draws a quantile so far out could pass the mean itself.
    return max(found, float(values.mean())) if upper else min(found, float(values.mean()))


def weighed_means(values: np.ndarray, extra: float, seed: int) -> np.ndarray:
    """Return means of values and one more under random weights, shape (BOUND_DRAWS,)."""
    weights = _weights(len(values), seed)
    return weights[:, :-1] @ values.astype(np.float32) + np.float32(extra) * weights[:, -1]


def median_order(n: int, level: float) -> int:
    """Return which order statistics hold the median: the k-th from either end; 0 for none.

    The interval from the k-th smallest to the k-th largest of ``n`` values misses the median
    with the probability of fewer than k heads (or tails) in n throws of a coin.

    >>> median_order(13, 0.95), median_order(5, 0.95)
    (3, 0)
    """
    from scipy.stats import binom

    return int((binom.cdf(np.arange(n // 2), n, 0.5) <= (1 - level) / 2).sum())


def exact_median(values, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the median for any distribution; none for too few values."""
    values = np.sort(finite(values))
    k = median_order(len(values), level)
    return (float(values[k - 1]), float(values[-k])) if k else NO_INTERVAL


def wider(*intervals: tuple[float, float]) -> tuple[float, float]:
    """Return the smallest interval that holds all given ones; those without ends are left out.

    >>> wider((0.2, 0.4), (float("nan"), float("nan")), (0.1, 0.3))
    (0.1, 0.4)
    """
    known = [pair for pair in intervals if np.isfinite(pair).all()]
    if not known:
        return NO_INTERVAL
    return min(pair[0] for pair in known), max(pair[1] for pair in known)


def design_effect(flags, participants) -> float:
    """Return by how much repeated scans of participants inflate a share's variance.

    The ratio of the between-participants variance to the binomial one (Rao &
    Scott 1992, Biometrics 48, 577-585), never below 1.  It is 1 if every
    participant has one scan.  Where the variance says nothing (all flags
    equal, or one participant), sessions count as copies of each other:
    sum of m^2 / sum of m over the participants' numbers of scans m.
    """
    flags = np.asarray(flags, dtype=float)
    _, person = np.unique(np.asarray(participants, dtype=str), return_inverse=True)
    sizes = np.bincount(person)
    if len(flags) == 0 or sizes.max() == 1:
        return 1.0
    n, share, groups = len(flags), flags.mean(), len(sizes)
    if groups == 1 or share in (0.0, 1.0):
        return float((sizes**2).sum() / n)
    residuals = np.bincount(person, weights=flags) - share * sizes
    clustered = groups / (groups - 1) * (residuals**2).sum() / n**2
    return float(np.clip(clustered / (share * (1 - share) / n), 1.0, n))


def share(flags, participants, level: float = 0.95) -> tuple[float, float, float]:
    """Return a share of scans with its Clopper-Pearson interval, widened for repeated scans.

    Exact for one scan a participant.  Otherwise the scans count as so many fewer as
    :func:`design_effect` says.

    Parameters
    ----------
    flags : sequence of bool
        One a scan.
    participants : sequence of str
        Whose scan it is.

    Returns
    -------
    share, low, high : float
        All NaN without scans.

    References
    ----------
    Korn & Graubard 1998, Survey Methodology 24, 193-201.
    """
    flags = np.asarray(flags, dtype=float)
    if len(flags) == 0:
        return (np.nan, *NO_INTERVAL)
    effective = len(flags) / design_effect(flags, participants)
    value = float(flags.mean())
    return (value, *clopper_pearson(value * effective, effective, level))
