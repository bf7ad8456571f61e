"""Does an effect differ between groups of participants?  Pure functions of arrays."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Random allocations of participants to groups.
PERMUTATIONS = 9999


def interaction(values, groups, seed: int = 0, draws: int = PERMUTATIONS) -> tuple[float, float]:
    """Return the Kruskal-Wallis statistic of values by group, and its permutation p.

    Participants change groups at random, so that the level holds in small groups, in which the
    chi-squared approximation does not.  Values are ranked: groups with a spread of their own
    may differ in the test although their middles do not.

    Parameters
    ----------
    values : sequence of float
        One a participant; non-finite ones are left out.
    groups : sequence of str
        The group of each.
    seed, draws : int
        Of the random allocations.

    Returns
    -------
    statistic, p : float
        NaN for fewer than two groups; ``p`` is at least 1 / (draws + 1).

    References
    ----------
    Kruskal & Wallis 1952, J Am Stat Assoc 47, 583-621; Phipson & Smyth 2010, Stat Appl Genet
    Mol Biol 9, 39 (why the p is never 0).
    """
    from scipy import stats

    values, groups = np.asarray(values, float), np.asarray(groups, dtype=str)
    known = np.isfinite(values)
    names, place = np.unique(groups[known], return_inverse=True)
    if len(names) < 2 or known.sum() < 3:
        return np.nan, np.nan
    ranks = stats.rankdata(np.round(values[known], 9))
    n = len(ranks)
    centred = ranks - ranks.mean()
    spread = (centred**2).sum() / (n - 1)
    if spread == 0:
        return 0.0, 1.0
    sizes = np.bincount(place)
    inside = np.eye(len(names))[place] / np.sqrt(sizes)
    found = float(((centred @ inside) ** 2).sum() / spread)
    drawn = ((centred[_orders(n, seed, draws)] @ inside) ** 2).sum(axis=1) / spread
    reached = int((drawn >= found * (1 - 1e-12)).sum())
    return found, (reached + 1) / (draws + 1)


@lru_cache(maxsize=8)
def _orders(n: int, seed: int, draws: int) -> np.ndarray:
    """Return random orders of the participants, shape (draws, n); the same for all measures."""
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (draws, 1)), axis=1)
    orders.setflags(write=False)
    return orders


def bands(ages, edges) -> list[str]:
    """Return the age band of each age: ``under 50``, ``50 to 65``, ``65 and over``; empty for none.

    An age of exactly an edge belongs to the older band.

    >>> bands([49.9, 50, 80, float("nan")], [50, 65])
    ['under 50', '50 to 65', '65 and over', '']
    """
    names = band_names(edges)
    ages = np.asarray(ages, float)
    places = np.searchsorted(np.asarray(sorted(edges), float), ages, side="right")
    return [names[p] if np.isfinite(age) else "" for p, age in zip(places, ages, strict=True)]


def band_names(edges) -> list[str]:
    """Return the names of the age bands in their order; one for no edges."""
    edges = [f"{edge:g}" for edge in sorted(edges)]
    if not edges:
        return ["all ages"]
    between = [f"{a} to {b}" for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return [f"under {edges[0]}", *between, f"{edges[-1]} and over"]
