"""Equivalence within a margin that is itself an estimate, or is fixed before the run.

Pure functions of arrays; changes and differences are percentages, one value a participant.

A margin that is the mean difference of some rescans is known only as well as they tell it.
Where it comes out too large by chance, a test that takes it for the truth says "equivalent"
too often.  So the claim here is "the changes lie within the *true* mean rescan difference",
and the p value pays for both uncertainties: that of the changes and that of the margin
(:func:`within_rescans`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import finite
from refacebench.statistics.paired import DECIMALS, tost

#: Margins between 0 and the mean difference at which the rescans are asked.
STEPS = 192
#: Rounds in which :func:`lower_bound` looks closer, each 64 times.
ROUNDS = 4


def within(changes, margin_pct: float, zero_method: str = "pratt") -> float:
    """Return the p value of "the changes' location lies within +- a known margin".

    Two one-sided tests, each of them twice: by signs and by signed ranks; the largest p counts.
    The sign test holds for the median of any distribution.  The signed-rank test alone does
    not: skewed changes whose median lies at the margin pass it far too often.  It is kept
    because a median alone would overlook a minority that changes much.

    Parameters
    ----------
    changes : sequence of float
        Non-finite ones are left out.
    margin_pct : float
        NaN gives NaN.
    """
    values = finite(changes)
    if len(values) == 0 or not np.isfinite(margin_pct):
        return np.nan
    return max(_by_signs(values, margin_pct), tost(values, margin_pct, zero_method))


def _by_signs(values: np.ndarray, margin_pct: float) -> float:
    """Return the larger p of the two one-sided sign tests; a value at the margin is outside."""
    below = np.round(values - margin_pct, DECIMALS) < 0
    above = np.round(values + margin_pct, DECIMALS) > 0
    return _heads(len(values))[min(int(below.sum()), int(above.sum()))]


@lru_cache(maxsize=256)
def _heads(n: int) -> tuple[float, ...]:
    """Return the probabilities of at least 0, 1 ... n heads in n throws of a coin."""
    from scipy.stats import binom

    return tuple(binom.sf(np.arange(n + 1) - 1, n, 0.5).tolist())


def chance_below(values, means) -> np.ndarray:
    """Return how likely so large values are where the mean is at most each of some numbers.

    The p value of "the mean is larger than that", for values that cannot be negative: the
    distribution function of Gaffke's weighed means (:func:`.intervals.weighed_means` draws from
    it), here in closed form.  The values and a zero are weighed at random, all weights of sum 1
    alike likely; such a mean is distributed as a B-spline with the values as its knots (Curry &
    Schoenberg 1966, J Analyse Math 17, 71-107), which is summed up from smaller sets of knots.

    Parameters
    ----------
    values : sequence of float
        Not negative.
    means : sequence of float

    Returns
    -------
    numpy.ndarray
        One number a mean, rising from 0 to 1.
    """
    knots = np.sort(np.append(np.asarray(values, dtype=float), 0.0))
    at = np.asarray(means, dtype=float)[:, None]
    found = (knots <= at).astype(float)
    for order in range(1, len(knots)):
        first, last = knots[:-order], knots[order:]
        apart = np.where(last > first, last - first, 1.0)
        share = np.clip(np.where(last > first, (at - first) / apart, at >= first), 0.0, 1.0)
        found = share * found[:, :-1] + (1 - share) * found[:, 1:]
    return found[:, 0]


def lower_bound(values, tail: float) -> float:
    """Return the lower confidence bound of a mean of values that cannot be negative.

    The largest mean that :func:`chance_below` finds less likely than ``tail``; the same as
    the lower end of :func:`.intervals.bound` for values between 0 and 1, without draws.  NaN
    without values.
    """
    values = finite(values)
    if not len(values):
        return np.nan
    low, high = 0.0, float(values.mean())
    for _ in range(ROUNDS):
        grid = np.linspace(low, high, 65)
        # The first point is inside the bound by the round before.
        place = int(np.searchsorted(chance_below(values, grid[1:]) > tail, True))
        low, high = float(grid[place]), float(grid[min(place + 1, 64)])
    return low


class Rescans:
    """The absolute differences between two scans of some participants, as a yardstick.

    Parameters
    ----------
    differences : sequence of float
        Percent, not negative, one a participant; non-finite ones are left out.
    cap_pct : float
        No margin beyond this is tried.
    """

    def __init__(self, differences, cap_pct: float = np.inf):
        self.values = finite(differences)
        self.cap_pct = cap_pct
        top = min(cap_pct, float(self.values.mean())) if len(self.values) else np.nan
        self._margins = np.linspace(0.0, top, STEPS + 1)[1:]
        self._chances = chance_below(self.values, self._margins)

    def p_value(self, changes, zero_method: str = "pratt") -> float:
        """Return the p value of :func:`within_rescans`."""
        values = finite(changes)
        if not len(self.values) or not len(values):
            return np.nan
        # The larger the margin, the surer the changes and the less sure the margin.
        low, high = -1, STEPS - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._is_enough(values, middle, zero_method):
                high = middle
            else:
                low = middle
        p = within(values, float(self._margins[high]), zero_method)
        return max(p, float(self._chances[high]))

    def _is_enough(self, values: np.ndarray, place: int, zero_method: str) -> bool:
        margin, chance = float(self._margins[place]), self._chances[place]
        if _by_signs(values, margin) > chance:  # spares the slower test
            return False
        return within(values, margin, zero_method) <= chance


def within_rescans(changes, differences, cap_pct: float = np.inf, zero_method: str = "pratt"):
    """Return the p value of "the changes lie within the true mean rescan difference and a cap".

    For every margin m there are two p values: that of "the changes lie within m"
    (:func:`within`), which falls with m, and that of "the mean rescan difference is larger than
    m" (:func:`chance_below`), which rises.  The p value is the smallest, over all m, of the
    larger of the two; it is the smallest level a at which the changes are within the
    lower 1 - a confidence bound of the mean rescan difference.

    Why that holds: let M be the true mean rescan difference.  A p value below a needs
    either the changes to look as if they lay within M, or the rescans as if their mean were larger
    than M, and unless the one is sure by far it needs some of both.  For normal estimates the
    error is at most a, whatever their correlation: the test rejects if a weighted mean of two
    standard normal values is larger than the quantile, and no such mean varies more than one of
    them.  In small samples it is simulated (``benchmarks/equivalence.py``).

    Parameters
    ----------
    changes, differences : sequence of float
        Changes of the variant; absolute scan-rescan differences.  They may be of the same
        participants.
    cap_pct : float
        The largest margin.

    Returns
    -------
    float
        NaN without changes or without differences.
    """
    return Rescans(differences, cap_pct).p_value(changes, zero_method)


@dataclass(frozen=True)
class Yardstick:
    """What a volume may change by, and how that is known.

    Attributes
    ----------
    differences : sequence of float
        Absolute scan-rescan differences in percent, one a participant; may be empty.
    criteria : Criteria
    """

    differences: Sequence[float]
    criteria: Criteria

    @cached_property
    def rescans(self) -> Rescans:
        """The differences as a yardstick, capped."""
        return Rescans(self.differences, self.criteria.largest_acceptable_change_pct)

    @property
    def by_rescans(self) -> bool:
        """Whether the margin is that of the rescans."""
        enough = len(self.rescans.values) >= self.criteria.min_rescans
        return enough and self.criteria.equivalence_margin == "rescan"

    @property
    def fixed_pct(self) -> float:
        """The margin that was fixed before the run, capped."""
        criteria = self.criteria
        return min(criteria.equivalence_margin_pct, criteria.largest_acceptable_change_pct)

    @cached_property
    def lower_pct(self) -> float:
        """The lower 1 - alpha confidence bound of the mean difference; NaN without rescans."""
        return lower_bound(self.rescans.values, self.criteria.alpha)

    @property
    def margin(self) -> tuple[float, str]:
        """The margin of one test at alpha, and where it comes from: rescan, config or cap."""
        criteria = self.criteria
        wanted, source = criteria.equivalence_margin_pct, "config"
        if self.by_rescans:
            wanted, source = self.lower_pct, "rescan"
        cap = criteria.largest_acceptable_change_pct
        return (cap, "cap") if wanted > cap else (wanted, source)

    def p_value(self, changes) -> float:
        """Return the p value of "the changes lie within the margin"."""
        if self.by_rescans:
            return self.rescans.p_value(changes, self.criteria.zero_method)
        return self.p_fixed(changes)

    def p_fixed(self, changes) -> float:
        """Return the p value of "the changes lie within the fixed margin"."""
        return within(changes, self.fixed_pct, self.criteria.zero_method)
