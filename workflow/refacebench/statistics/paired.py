"""Paired tests on participants' differences, and the corrections for many of them.

Pure functions of arrays.  Everywhere ``differences`` has one value a
participant (sessions averaged before), variant minus original.
"""

from __future__ import annotations

from functools import lru_cache
from math import erfc

import numpy as np

from refacebench.statistics.intervals import NO_INTERVAL, finite, wilson
from refacebench.statistics.power import detectable_shift

#: Differences are compared at this many decimals, so that equal changes tie
#: although their floating-point sums differ in the last digit.
DECIMALS = 9
#: Up to so many differences, without ties and zeros, SciPy's p values are exact.
MOST_EXACT = 50
#: Up to so many differences SciPy goes through all permutations where there are ties or zeros.
MOST_PERMUTED = 13


def _clean(differences) -> np.ndarray:
    return np.round(finite(differences), DECIMALS)


def wilcoxon(
    differences, zero_method: str = "pratt", alternative: str = "two-sided"
) -> tuple[float, float]:
    """Return W and p of the Wilcoxon signed-rank test (:func:`scipy.stats.wilcoxon`).

    SciPy's automatic method: exact up to 50 differences without ties and
    zeros, all permutations up to 13 with them, normal approximation
    otherwise.  Those permutations are counted, not gone through one by one
    (:func:`_counted`), which gives the same p in a thousandth of the time.

    Parameters
    ----------
    differences : sequence of float
        Non-finite ones are left out.
    zero_method : str
        ``pratt`` (default; Pratt 1959), ``wilcox`` or ``zsplit``.
    alternative : str
        ``two-sided``, ``greater`` or ``less``.

    Returns
    -------
    W : float
        The smaller rank sum (two-sided), else that of positive differences.
    p : float
        No difference at all gives ``W = 0, p = 1``; no data gives NaN for both.
    """
    from scipy import stats

    values = _clean(differences)
    if len(values) == 0:
        return np.nan, np.nan
    if not values.any():
        return 0.0, 1.0
    repeated = len(np.unique(np.abs(values))) < len(values) or not values.all()
    counted = repeated and len(values) <= MOST_PERMUTED
    result = stats.wilcoxon(
        values,
        zero_method=zero_method,
        alternative=alternative,
        method="asymptotic" if counted else "auto",
    )
    p = _counted(values, zero_method, alternative) if counted else result.pvalue
    return float(result.statistic), float(p)


def _counted(values: np.ndarray, zero_method: str, alternative: str) -> float:
    """Return p over all signs that the differences may have, zeros and ties included.

    The number of ways to each sum of positive ranks is the coefficient of a product of
    polynomials, one ``1 + x^rank`` a difference (ranks doubled, so that mean ranks are whole).
    """
    from scipy import stats

    if zero_method == "wilcox":
        values = values[values != 0]
    ranks = np.rint(2 * stats.rankdata(np.abs(values))).astype(int)
    ways = np.ones(1)
    for rank in ranks[values != 0]:
        gap = np.zeros(rank)
        ways = np.concatenate([ways, gap]) + np.concatenate([gap, ways])
    mine = ranks[values > 0].sum()
    greater, less = ways[mine:].sum() / ways.sum(), ways[: mine + 1].sum() / ways.sum()
    if alternative == "two-sided":
        return min(1.0, 2 * min(greater, less))
    return greater if alternative == "greater" else less


def rank_biserial(differences) -> float:
    """Return the matched-pairs rank-biserial correlation (Kerby 2014, eq. 4).

    (R+ - R-) / (R+ + R- + R0) over the ranks of the absolute differences; +1
    if every participant's value rises, -1 if every one falls.  Participants
    without a change keep their ranks R0 in the denominator, so that one change
    among many zeros is a small effect.
    """
    values = _clean(differences)
    n = len(values)
    if n == 0:
        return np.nan
    ordered = np.sort(values)
    # (R+ - R-) counts the pairs, each value with itself too, by the sign of their sum.
    positive = n - np.searchsorted(ordered, -values, side="right")
    negative = np.searchsorted(ordered, -values, side="left")
    pairs = (positive - negative).sum() + np.sign(values).sum()
    return float(pairs / (n * (n + 1)))


def rank_biserial_interval(differences, *, level: float = 0.95) -> tuple[float, float]:
    """Return an interval of :func:`rank_biserial` that does not collapse where all signs agree.

    The effect is twice the share of pairs with a positive sum, less 1.  The interval is Wilson's
    of that share from n / 2 pairs: so many have no participant in common, and for no distribution
    does the share of all pairs vary more than theirs (Hoeffding).  None for fewer than two
    participants.

    References
    ----------
    Hoeffding 1948, Ann Math Stat 19, 293-325.  Newcombe 2006, Stat Med 25, 559-573, does the
    like for two groups.
    """
    n = len(_clean(differences))
    if n < 2:
        return NO_INTERVAL
    low, high = wilson((rank_biserial(differences) + 1) / 2 * n / 2, n / 2, level)
    return 2 * low - 1, 2 * high - 1


def tost(differences_pct, margin_pct: float, zero_method: str = "pratt") -> float:
    """Return the p value of two one-sided signed-rank tests against +- a margin.

    A small p says: the location of the differences lies within the margin
    (Schuirmann 1987; Wellek 2010, sec. 5.1).  It is the larger of the two
    one-sided p values.  NaN without data or margin.
    """
    values = finite(differences_pct)
    if len(values) == 0 or not np.isfinite(margin_pct):
        return np.nan
    return max(_greater(side, zero_method) for side in (values + margin_pct, margin_pct - values))


def _greater(differences, zero_method: str) -> float:
    """Return the one-sided p of :func:`wilcoxon`, without SciPy where that says the same.

    A margin is looked for in many steps, and SciPy's checks take a hundred times the work.
    """
    values = _clean(differences)
    n, sizes = len(values), np.sort(np.abs(values))
    if n and sizes[0] > 0 and (np.diff(sizes) > 0).all():
        order = np.argsort(np.abs(values))
        above = int((np.flatnonzero(values[order] > 0) + 1).sum())
        if n <= MOST_EXACT:
            return float(_rank_sums(n)[above])
        spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return 0.5 * erfc((above - n * (n + 1) / 4) / spread / np.sqrt(2))
    return wilcoxon(values, zero_method, "greater")[1]


@lru_cache(maxsize=64)
def _rank_sums(n: int) -> np.ndarray:
    """Return how likely each sum of positive ranks or a larger one is, signs being alike likely."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        gap = np.zeros(rank)
        chances = (np.concatenate([chances, gap]) + np.concatenate([gap, chances])) / 2
    return np.minimum(np.cumsum(chances[::-1])[::-1], 1.0)


def minimum_detectable(n: int, sd: float, alpha: float, power: float = 0.8) -> float:
    """Return the smallest shift that the two-sided signed-rank test would probably detect.

    :func:`~refacebench.statistics.power.detectable_shift` times the standard deviation of the
    differences.  This holds for normal differences of that standard deviation; with heavier
    tails the signed-rank test detects smaller shifts.

    Parameters
    ----------
    n : int
        Participants.
    sd : float
        Standard deviation of their differences, in the unit of the answer.
    alpha : float
        Level of the single test; for a corrected family ``alpha / family size``.

    Returns
    -------
    float
        Infinite where no data of this size could reach ``alpha``; NaN for fewer than two
        participants.
    """
    if n < 2 or not np.isfinite(sd):
        return np.nan
    effect = detectable_shift(int(n), float(alpha), float(power))
    return effect * float(sd) if np.isfinite(effect) else np.inf


def correct(p_values, method: str) -> np.ndarray:
    """Return p values corrected over a family; NaN stay NaN and do not count.

    Parameters
    ----------
    method : str
        ``holm`` or ``fdr_bh``.  They give what
        :func:`statsmodels.stats.multitest.multipletests` gives, which collects the garbage of
        the whole process at every call, so that hundreds of small families take a minute.
    """
    from statsmodels.stats.multitest import fdrcorrection

    p_values = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p_values), np.nan)
    known = np.isfinite(p_values)
    if known.any():
        mine = p_values[known]
        corrected[known] = _holm(mine) if method == "holm" else fdrcorrection(mine)[1]
    return corrected


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Return Holm's step-down correction (Holm 1979, Scand J Stat 6, 65-70)."""
    order = np.argsort(p_values)
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def repeatability(first, second) -> np.ndarray:
    """Return the absolute difference of two sessions in percent of their mean."""
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    mean = (first + second) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean > 0, np.abs(second - first) / mean * 100, np.nan)
