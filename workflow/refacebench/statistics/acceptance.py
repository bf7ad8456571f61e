"""What a random sample that was looked at says of those that nobody looked at: exact bounds.

Of ``population`` scans ``looked_at`` were drawn at random and looked at, and ``failures`` of them
failed.  How many of the others may fail?  The largest number with which so few failures in the
sample are not rarer than one minus the level: the one-sided exact bound of the hypergeometric
distribution, in which nothing is assumed but that the sample was drawn at random without putting
back.  For a large population it is Clopper & Pearson's.  How often it holds: simulated in
``tests/statistics/test_acceptance.py``.

The bound holds for a sample whose size was fixed before, whatever its scans look like, and so also
within each group of scans that was not formed by the outcome (a stratum).

References
----------
Buonaccorsi 1987, J Am Stat Assoc 82, 1098-1103 (exact bounds from the hypergeometric
distribution); Clopper & Pearson 1934, Biometrika 26, 404-413.
"""

from __future__ import annotations

from typing import NamedTuple


class Bound(NamedTuple):
    """How many of the scans that nobody looked at may fail, and what share of them that is."""

    most: int
    share: float


def left_over(population: int, looked_at: int, failures: int, level: float = 0.95) -> Bound:
    """Return the upper bound of the failures among those that were not looked at.

    Parameters
    ----------
    population, looked_at, failures : int
        All scans, those of them that were drawn and looked at, and those of these that failed.
    level : float
        One-sided coverage.

    Returns
    -------
    Bound
        Zero where everything was looked at; all where nothing was.

    Raises
    ------
    ValueError
        If the numbers cannot be.

    >>> left_over(1000, 59, 0)
    Bound(most=48, share=0.05100956429330499)
    >>> left_over(20, 20, 3)
    Bound(most=0, share=0.0)
    """
    if not 0 <= failures <= looked_at <= population or not 0 < level < 1:
        raise ValueError(
            f"{failures} failures of {looked_at} looked at of {population}, level {level}: "
            "these numbers are impossible"
        )
    from scipy.stats import hypergeom

    rest = population - looked_at
    if rest == 0:
        return Bound(0, 0.0)
    low, high = 0, rest  # how many of the rest fail: low is possible
    while low < high:
        middle = (low + high + 1) // 2
        tail = hypergeom.cdf(failures, population, failures + middle, looked_at)
        low, high = (middle, high) if tail > 1 - level else (low, middle - 1)
    return Bound(low, low / rest)


def needed(population: int, share: float, level: float = 0.95) -> int:
    """Return how many to look at, so that none failing says: less than this share of the others.

    >>> needed(1000, 0.05), needed(100_000, 0.05), needed(13, 0.05)
    (61, 59, 13)
    """
    if not 0 < share < 1 or not 0 < level < 1:
        raise ValueError("share and level must lie between 0 and 1")
    low, high = 0, population
    while low < high:
        middle = (low + high) // 2
        enough = left_over(population, middle, 0, level).share < share
        low, high = (low, middle) if enough else (middle + 1, high)
    return low
