"""How many participants it takes: to say "no better than chance", or to find an attack.

Exact binomial, one pick a participant: each is identified or not, with the same probability.

**Not above chance by more than a margin.**  The one-sided upper bound of the rate
(Clopper-Pearson) must lie below chance plus margin.  With the rate of chance itself, so many people
are needed that this happens as often as the power asks.  Where chance is zero it is the rule of
nobody in n: with 59 people of whom nobody is identified the rate is below 5 % (95 %).

**Above chance.**  The one-sided exact test against chance, for a given true rate.

Power goes up and down with n, as hits are whole numbers: the number that is returned is the
smallest from which on the power is never less.

References
----------
Clopper & Pearson 1934, Biometrika 26, 404-413; Hanley & Lippman-Hand 1983, JAMA 249, 1743-1745
(the rule of three); Chernick & Liu 2002, Am Stat 56, 149-155 (the saw-toothed power).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: More people than this are no plan.
MOST = 200_000


def each(power: float, attacks: int) -> float:
    """Return the power with which each of several attacks must be shown to be near chance.

    Then all of them are, as often as ``power`` asks, whatever they have in common (Bonferroni).

    >>> round(each(0.8, 2), 3)
    0.9
    """
    return 1 - (1 - power) / attacks


def nobody(rate: float, level: float = 0.95) -> int:
    """Return how many participants, none of whom is identified, show that a rate is lower.

    >>> nobody(0.05), nobody(0.01)
    (59, 299)
    """
    _check(rate=rate, level=level)
    return int(np.floor(np.log1p(-level) / np.log1p(-rate))) + 1


def most_hits(n, limit: float, level: float = 0.95) -> np.ndarray:
    """Return the most people identified of n with which the upper bound lies below a limit.

    -1 where not even nobody would do.
    """
    from scipy.stats import binom

    # The upper bound lies below the limit if so few hits are rarer than 1 - level there.
    return (binom.ppf(1 - level, n, limit) - 1).astype(int)


def power_within(n, chance: float, margin: float, level: float = 0.95) -> np.ndarray:
    """Return how often n participants show "not above chance by more than the margin".

    If the truth is chance.
    """
    from scipy.stats import binom

    return binom.cdf(most_hits(n, chance + margin, level), n, chance)


def fewest_hits(n, chance: float, level: float = 0.95) -> np.ndarray:
    """Return the fewest people identified of n that are above chance by the exact test."""
    from scipy.stats import binom

    return (binom.isf(1 - level, n, chance) + 1).astype(int)


def power_above(n, chance: float, rate: float, level: float = 0.95) -> np.ndarray:
    """Return how often n participants show that an attack is above chance, by its true rate."""
    from scipy.stats import binom

    return binom.sf(fewest_hits(n, chance, level) - 1, n, rate)


def people_within(chance: float, margin: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many participants it takes to show "not above chance by more than the margin".

    Raises
    ------
    ValueError
        If a number is out of range, or more than :data:`MOST` people were needed.

    >>> people_within(0.0, 0.05)
    59
    """
    _check(level=level, power=power)
    if not 0 <= chance < 1 or not 0 < margin < 1 - chance:
        raise ValueError("chance and chance plus margin must lie between 0 and 1")
    return _from_which_on(lambda n: power_within(n, chance, margin, level), power)


def people_above(chance: float, rate: float, level: float = 0.95, power: float = 0.8) -> int:
    """Return how many participants it takes to show that an attack is above chance.

    Raises
    ------
    ValueError
        As :func:`people_within`.
    """
    _check(level=level, power=power)
    if not 0 < chance < rate <= 1:
        raise ValueError("the rate to find must lie above chance, and both between 0 and 1")
    return _from_which_on(lambda n: power_above(n, chance, rate, level), power)


def margin_within(n: int, chance: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest margin that n participants can show; NaN where none can be shown."""
    low, high = 0.0, 1 - chance
    if n < 1:
        return np.nan
    while high - low > 1e-5:
        middle = (low + high) / 2
        found = power_within(n, chance, middle, level) >= power
        low, high = (low, middle) if found else (middle, high)
    return high if high < 1 - chance else np.nan


def _check(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1")


def _from_which_on(power_of: Callable[[np.ndarray], np.ndarray], power: float) -> int:
    """Return the smallest n from which on a power is never less."""
    most = 64
    while most <= MOST:
        n = np.arange(1, most + 1)
        short = np.flatnonzero(power_of(n) < power)
        last = n[short[-1]] if len(short) else 0
        # The teeth grow smaller with n: none comes so low again beyond twice as many.
        if 2 * last < most:
            return int(last + 1)
        most *= 2
    raise ValueError(f"more than {MOST // 2} people would be needed")
