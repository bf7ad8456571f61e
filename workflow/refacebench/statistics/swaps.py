"""Rates of an attacker if people swapped identities: chance that takes nobody as independent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.galleries import closer
from refacebench.statistics.trials import Trials, nested

#: Draws of the test of one attack: its p value can be as small as one of so many.
TEST_DRAWS = 10_000


@lru_cache(maxsize=8)
def _swaps(strata: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """Return permutations within strata, shape (count, people); the same for all attacks."""
    rng = np.random.default_rng(seed)
    group = np.array(strata, dtype=int)
    swaps = np.empty((count, len(group)), dtype=np.int32)
    for one in np.unique(group):
        people = np.flatnonzero(group == one).astype(np.int32)
        swaps[:, people] = rng.permuted(np.tile(people, (count, 1)), axis=1)
    swaps.setflags(write=False)
    return swaps


def as_others(t: Trials) -> Trials:
    """Return what each trial would be if its person were another one of the gallery.

    Returns
    -------
    Trials
        ``less`` and ``tied`` of shape (n_trials, n_people), one column per person that the
        query is taken for; ``size`` of shape (n_trials, 1).  Not for trials without a score.
    """
    near = t.others.copy()
    near[np.arange(len(t)), t.own] = t.match
    less, tied = closer(near)
    return replace(t, less=less, tied=tied, size=t.size[:, None], others=near)


def shuffled_rates(
    t: Trials,
    worth: Mapping[str, Callable[[Trials], np.ndarray]],
    criteria: Criteria,
    strata: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the rates of completers where people swap identities, one of each draw.

    A draw says of everybody who of the gallery they are, in all their trials.  Attacks
    whose gallery has the same people see the same draws, so that what their rates have
    in common is kept.  That queries share a gallery is kept too: a face that is near to
    everybody's is named first once in every draw.

    Parameters
    ----------
    worth : mapping of str to callable
        What a trial is worth, by the name of the rate.
    strata : numpy.ndarray of int, optional
        The group of each person of the gallery within which identities are swapped
        (:func:`~refacebench.statistics.galleries.strata`); all are one group without it.

    Returns
    -------
    dict of str to numpy.ndarray
        Shape (n_boot,) each.

    Notes
    -----
    For an attack that knows no more than the strata all assignments of identities within them
    are equally likely, so that the observed rate is one draw among these.  With resplits a draw
    that makes two people one counts in those resplits alone that have both: fewer than those of
    the observed rate, so that the draws vary more and the test is conservative.
    """
    return _rates(t, worth, criteria.n_boot, criteria.seed, strata)


def null_rates(
    t: Trials,
    value: Callable[[Trials], np.ndarray],
    seed: int,
    count: int = TEST_DRAWS,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Return one rate of completers where people swap identities, for the test of one attack.

    As :func:`shuffled_rates`, but with enough draws to be corrected for many tests.
    """
    return _rates(t, {"": value}, count, seed, strata)[""]


def _rates(
    t: Trials, worth: Mapping, count: int, seed: int, strata: np.ndarray | None
) -> dict[str, np.ndarray]:
    t = t.only(t.scored)
    group = np.zeros(t.others.shape[1], dtype=int) if strata is None else strata
    swaps = _swaps(tuple(int(g) for g in group), count, seed)
    swapped = as_others(t)
    present = np.isfinite(swapped.others)
    people, mean = nested(t, np.ones(len(t), dtype=bool), (t.resplit, t.query), t.participant)
    own = t.own[np.unique(t.participant, return_index=True)[1]]
    rates = {}
    for name, value in worth.items():
        found = value(swapped)
        known = present & np.isfinite(found)
        weight = mean @ known.astype(float)
        total = mean @ np.where(known, found, 0.0)
        table = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
        rates[name] = _means(table, swaps[:, own])
    return rates


def _means(table: np.ndarray, taken_for: np.ndarray) -> np.ndarray:
    """Return each draw's mean over people, who is taken for whom; NaN where nobody is known."""
    drawn = table[np.arange(len(table)), taken_for]
    count = np.isfinite(drawn).sum(axis=1)
    total = np.nansum(drawn, axis=1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def tail(observed: float, null: np.ndarray) -> float:
    """Return the p value of an observed rate among the rates of :func:`null_rates`.

    The observed rate counts as one of the draws, so that the test holds its level for any
    number of them.  NaN without draws.

    >>> tail(0.5, np.array([0.1, 0.5, 0.2]))
    0.5
    """
    null = null[np.isfinite(null)]
    if not len(null) or not np.isfinite(observed):
        return np.nan
    # Sums of the same numbers in another order are ties.
    return float((1 + (null >= observed - 1e-9).sum()) / (1 + len(null)))


def critical_rate(null: np.ndarray, alpha: float) -> float:
    """Return the smallest rate of the draws that would pass the test at a level.

    1 where only a rate above all draws would pass; infinite where not even that would.
    """
    known = np.sort(null[np.isfinite(null)])
    rates = np.unique(np.round(known, 9))
    reached = len(known) - np.searchsorted(known, rates - 1e-9)
    passing = rates[(1 + reached) / (1 + len(known)) < alpha]
    if len(passing):
        return float(passing[0])
    beyond = len(known) > 0 and known[-1] < 1 - 1e-9 and 1 / (1 + len(known)) < alpha
    return 1.0 if beyond else np.inf
