"""Rates of an attacker if people swapped identities: chance that takes nobody as independent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.galleries import closer
from refacebench.statistics.trials import Trials, nested


@lru_cache(maxsize=4)
def _swaps(strata: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """Return permutations within strata, shape (count, people); the same for all attacks."""
    rng = np.random.default_rng(seed)
    group = np.array(strata, dtype=int)
    swaps = np.empty((count, len(group)), dtype=int)
    for one in np.unique(group):
        people = np.flatnonzero(group == one)
        swaps[:, people] = rng.permuted(np.tile(people, (count, 1)), axis=1)
    swaps.setflags(write=False)
    return swaps


def as_others(t: Trials) -> Trials:
    """Return what each trial would be if its person were another one of the gallery.

    Returns
    -------
    Trials
        ``less`` and ``tied`` of shape (n_trials, n_people), one column a person that the
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
    t = t.only(t.scored)
    group = np.zeros(t.others.shape[1], dtype=int) if strata is None else strata
    swaps = _swaps(tuple(int(g) for g in group), criteria.n_boot, criteria.seed)
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
        drawn = table[np.arange(len(people)), swaps[:, own]]
        count = np.isfinite(drawn).sum(axis=1)
        total = np.nansum(drawn, axis=1)
        rates[name] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return rates
