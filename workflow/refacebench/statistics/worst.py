"""The worst of several attacks: what can be said of a maximum that was picked from noise.

Pure functions of a table with one row per participant and one column a *route* (an attack
that reaches the variant), values between 0 and 1, NaN where there is no score.  All routes
have the same participants, and may be as dependent as they like.

**What is estimated.**  A route's true value is its mean over participants like these against
this gallery; its *excess* is that mean minus its chance.  The true value of the worst case is
the largest excess of any route.  It is reported as a rate: the excess plus the chance of the
route that looks worst, so that where all routes have one chance it is simply their largest rate.

**Why not the largest observed rate.**  Of ten routes that know nothing one always looks good:
the largest of several noisy rates is too high, and more so the more routes there are.

:func:`picked_elsewhere` is a point estimate without that fault: the worst route is picked on
some participants and judged on the others.  :func:`interval` holds the true value with the
level's probability or more: its lower end is the highest of the routes' lower bounds, each at
its share of the error (Bonferroni); at its upper end the truly worst route's own bound is
enough, so the highest upper bound needs no share.  :func:`any_above_chance` asks whether any
route is above chance, against the distribution of the routes' smallest p value when people
swap identities in all routes at once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import NO_INTERVAL, bound, resample_counts


def picked_elsewhere(table: pd.DataFrame, chances, criteria: Criteria) -> float:
    """Return the worst case as a rate, each participant judged by a route picked on others.

    In each bootstrap resample the route with the largest excess among those drawn is
    picked; it counts for those who were not drawn.  Averaged by participant, then over
    participants.  As nobody has a say in the route by which they are judged, routes at
    chance average to chance however many they are.  The price: where one route is truly
    the worst and it is not always picked, the estimate is somewhat too low.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per participant, one column per route.
    chances : sequence of float
        Chance of each route.

    Returns
    -------
    float
        NaN without a score.  With one route, or one participant, the plain largest value.
    """
    values, chances = _excess(table, chances)
    if not np.isfinite(values).any():
        return np.nan
    worst = int(np.nanargmax(_means(values)))
    if values.shape[1] == 1 or len(values) < 2:
        return float(_means(values)[worst] + chances[worst])
    known = np.isfinite(values)
    counts = resample_counts(len(values), criteria.n_boot, criteria.seed)
    weight = counts @ known.astype(float)
    sums = counts @ np.where(known, values, 0.0)
    mean = np.divide(sums, weight, out=np.full(sums.shape, -np.inf), where=weight > 0)
    best = np.isclose(mean, mean.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    best = best / best.sum(axis=1, keepdims=True)  # routes that tie are picked alike
    left_out = (counts == 0).astype(float)
    uses = left_out.T @ best  # how often each participant is judged by each route
    weight = (uses * known).sum(axis=1)
    sums = (uses * np.where(known, values, 0.0)).sum(axis=1)
    persons = sums[weight > 0] / weight[weight > 0]
    found = persons.mean() if len(persons) else _means(values)[worst]
    return float(np.clip(found + chances[worst], 0.0, 1.0))


def interval(table: pd.DataFrame, chances, criteria: Criteria) -> tuple[float, float]:
    """Return an interval of the worst case as a rate, honest about having been picked.

    Parameters and the meaning of the value as in :func:`picked_elsewhere`.

    Returns
    -------
    low, high : float
        ``low`` above the chance of the worst route says that a route is above its own chance.
    """
    values, chances = _excess(table, chances)
    routes = [column[np.isfinite(column)] for column in values.T]
    routes = [(c + chance, chance) for c, chance in zip(routes, chances, strict=True) if len(c)]
    if not routes:
        return NO_INTERVAL
    error = 1 - criteria.level
    lows, highs = [], []
    for column, chance in routes:
        lows.append(bound(column, error / 2 / len(routes), seed=criteria.seed) - chance)
        highs.append(bound(column, error / 2, upper=True, seed=criteria.seed) - chance)
    chance = chances[int(np.nanargmax(_means(values)))]
    return float(max(0.0, max(lows) + chance)), float(min(1.0, max(highs) + chance))


def above_chance(table: pd.DataFrame, chances, criteria: Criteria) -> float:
    """Return how far above its chance any route may be: the one-sided upper bound of the worst.

    Every route's own bound must lie below a margin before the worst case may be called within
    it.  As the truly worst route is one of them, its own bound at the full level is enough: the
    error is the level's whatever the number of routes (an intersection-union test; Berger 1982,
    Technometrics 24, 295-300).  NaN without a score.
    """
    values, chances = _excess(table, chances)
    found = [
        bound(column + chance, 1 - criteria.level, upper=True, seed=criteria.seed) - chance
        for column, chance in zip((c[np.isfinite(c)] for c in values.T), chances, strict=True)
        if len(column)
    ]
    return float(max(found)) if found else np.nan


def any_above_chance(observed, shuffled) -> float:
    """Return the p value of "some route is above chance", corrected for their number.

    Parameters
    ----------
    observed : sequence of float
        The rate of each route.
    shuffled : numpy.ndarray
        Shape (n_draws, n_routes): the rates where people swapped identities, the same
        swaps in one draw for all routes.

    Notes
    -----
    Each rate becomes a p value among its route's draws, so that routes of different
    chance and spread weigh the same; the smallest one of each draw makes the null
    distribution (Westfall & Young 1993, minP).  The observed rates count as a draw, which
    makes the test exact for any number of draws.
    """
    from scipy.stats import rankdata

    # Sums of the same numbers in another order are ties.
    table = np.round(np.vstack([observed, shuffled]), 9)
    table = table[:, np.isfinite(table[0])]
    if not table.size or len(table) < 2:
        return np.nan
    table = np.where(np.isfinite(table), table, -np.inf)
    smallest = rankdata(-table, method="max", axis=0).min(axis=1)
    return float((smallest <= smallest[0]).mean())


def _excess(table: pd.DataFrame, chances) -> tuple[np.ndarray, np.ndarray]:
    chances = np.asarray(chances, dtype=float)
    return table.to_numpy(dtype=float) - chances, chances


def _means(values: np.ndarray) -> np.ndarray:
    """Return the mean of each column, NaN cells left out; NaN for an empty one."""
    known = np.isfinite(values)
    sums, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(sums, count, out=np.full(len(sums), np.nan), where=count > 0)
