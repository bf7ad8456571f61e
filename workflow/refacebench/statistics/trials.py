"""Trials of an attacker: a query among everybody, and what its match's rank is worth.

**Trials.**  A trial is one query scan and one enrolled scan of the same person
(its *match*), among one enrolled scan of every other person, the one that has
the same place in that person's order of sessions as the match has in its own.
So everybody is in the gallery once, and ignorance names the right person once
in the gallery's size.  In the setting ``other_session`` the match comes from
another session than the query; in ``same_scan``, the easier setting of Van der
Goten et al. (2021), it is the original of the very same scan.

**Ties and draws are not sampled.**  Where distances tie, every order of the
tied is equally likely and the expectation over them counts: an attacker that
sees nothing scores chance exactly.  The choice among ``options`` pictures is
the expectation over all sets of distractors: the match at rank r of N beats
m - 1 others drawn without replacement with the hypergeometric probability
C(N - r, m - 1) / C(N - 1, m - 1).

**Unit.**  A participant's trials are averaged first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from refacebench.statistics.comparisons import Comparisons
from refacebench.vocabulary import SAME_SCAN, SETTINGS

#: Distances that differ by less than this share of the largest one are ties:
#: single precision holds no more.
TIE = 1e-6


@dataclass(frozen=True)
class Trials:
    """Trials of one attacker, variant and setting, one entry each.

    Attributes
    ----------
    resplit, query : numpy.ndarray of int
    participant : numpy.ndarray of str
    scored, detected : numpy.ndarray of bool
    less, tied, size : numpy.ndarray of int
        Others that are closer than the match, others as close as the match, and
        people in the gallery with a distance, the match included.
    match : numpy.ndarray of float
        Distance to the match.
    own : numpy.ndarray of int
        Which person of the gallery the match is.
    others : numpy.ndarray of float
        Shape (n_trials, n_people): distances to everybody of the gallery, sorted by
        name; NaN for the match and for those outside the resplit.
    """

    resplit: np.ndarray
    query: np.ndarray
    participant: np.ndarray
    scored: np.ndarray
    detected: np.ndarray
    less: np.ndarray
    tied: np.ndarray
    size: np.ndarray
    match: np.ndarray
    own: np.ndarray
    others: np.ndarray

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self.query)

    def only(self, keep: np.ndarray) -> Trials:
        """Return some of the trials."""
        return Trials(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def trials(scores: Comparisons, setting: str) -> Trials:
    """Return all trials of a setting; none where no query has a match in it.

    Raises
    ------
    ValueError
        If the setting is not one of :data:`SETTINGS`.
    """
    if setting not in SETTINGS:
        raise ValueError(f"unknown setting '{setting}' (known: {', '.join(SETTINGS)})")
    distance = _quantised(scores.distance)
    parts = []
    everybody = np.unique(scores.gallery["participant"].to_numpy(dtype=str))
    for number, matrix in enumerate(distance):
        gallery = scores.gallery
        inside = gallery["participant"].isin(scores.evaluated(number)).to_numpy()
        part = _trials_of(matrix, scores.query, gallery, inside, setting, number)
        # Resplits differ in their people; one column per person in all of them.
        columns = np.searchsorted(everybody, part.pop("people"))
        others = np.full((len(part["query"]), len(everybody)), np.nan)
        others[:, columns] = part["others"]
        own = columns[part["own"]] if len(columns) else part["own"]
        parts.append(part | {"others": others, "own": own})
    return Trials(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _quantised(distance: np.ndarray) -> np.ndarray:
    """Return distances in whole steps of :data:`TIE`, so that rounding errors are ties."""
    known = distance[np.isfinite(distance)]
    step = TIE * np.abs(known).max() if len(known) else 0.0
    return np.round(distance / step) * step if step > 0 else distance


def _trials_of(matrix, query, gallery, inside, setting, number) -> dict:
    order = gallery[inside].assign(column=np.flatnonzero(inside))
    order = order.sort_values(["participant", "session", "scan"], kind="stable")
    place = order.groupby("participant", sort=True).cumcount().to_numpy()
    columns = order["column"].to_numpy()
    people, person = np.unique(order["participant"].to_numpy(dtype=str), return_inverse=True)
    starts = np.searchsorted(person, np.arange(len(people)))
    sizes = np.bincount(person, minlength=len(people))
    scans, sessions = (order[name].to_numpy(dtype=str) for name in ("scan", "session"))
    asked: list[int] = []
    entries: list[int] = []
    persons: list[int] = []
    for row, (scan, participant, session) in enumerate(
        zip(query["scan"], query["participant"], query["session"], strict=True)
    ):
        mine = np.searchsorted(people, participant)
        if mine == len(people) or people[mine] != participant:
            continue
        for entry in range(starts[mine], starts[mine] + sizes[mine]):
            same = scans[entry] == scan
            other = not same and sessions[entry] != session
            if same if setting == SAME_SCAN else other:
                asked.append(row)
                entries.append(entry)
                persons.append(mine)
    rows, found, whose = (np.array(v, dtype=int) for v in (asked, entries, persons))
    # One scan of everybody: the one at the same place, counted round where there are fewer.
    chosen = columns[starts + place[found][:, None] % sizes] if len(rows) else None
    near = matrix[rows[:, None], chosen] if len(rows) else np.empty((0, len(people)))
    match = near[np.arange(len(rows)), whose]
    others = near.copy()
    others[np.arange(len(rows)), whose] = np.nan
    size = np.isfinite(near).sum(axis=1)
    return {
        "resplit": np.full(len(rows), number),
        "query": rows,
        "participant": people[whose] if len(rows) else np.empty(0, dtype=str),
        "scored": np.isfinite(match) & (size > 1),
        "detected": query["detected"].to_numpy(dtype=bool)[rows],
        "less": (others < match[:, None]).sum(axis=1),
        "tied": (others == match[:, None]).sum(axis=1),
        "size": np.where(np.isfinite(match), size, len(people)),
        "match": match,
        "own": whose,
        "others": others,
        "people": people,
    }


# what a trial is worth ----------------------------------------------------------------------


def within(t: Trials, k: int) -> np.ndarray:
    """Return the probability that the match is among the first k, over all orders of ties."""
    return np.clip(k - t.less, 0, t.tied + 1) / (t.tied + 1)


def choice(t: Trials, options: int) -> np.ndarray:
    """Return the probability that the match wins against ``options - 1`` random others.

    The hypergeometric probability of the module's docstring, averaged over
    the ranks that ties leave open; NaN where the gallery has fewer people
    than options.
    """
    from scipy.special import comb

    behind = t.size - t.less
    won = comb(behind, options) - comb(behind - t.tied - 1, options)
    all_sets = comb(t.size - 1, options - 1) * (t.tied + 1)
    return np.divide(won, all_sets, out=np.full(won.shape, np.nan), where=t.size >= options)


def percentile(t: Trials) -> np.ndarray:
    """Return the place of the match in the ranking, 0 first and 1 last; ignorance gives 0.5."""
    return (t.less + t.tied / 2 + 0.5) / t.size


def top_alpha(t: Trials, alphas: np.ndarray) -> np.ndarray:
    """Return the probability that the match is among the first alpha of the gallery.

    Linear between whole ranks, so that ignorance gives the diagonal in a
    gallery of any size; shape (n_trials, n_alphas).
    """
    first, last = t.less / t.size, (t.less + t.tied + 1) / t.size
    return np.clip((alphas[None, :] - first[:, None]) / (last - first)[:, None], 0, 1)


# means by participant -----------------------------------------------------------------------


def nested(t: Trials, keep: np.ndarray, inner: tuple, outer: np.ndarray):
    """Return the groups of ``outer`` and the matrix that averages kept trials into them.

    Every group weighs its members of the innermost level alike, those of the
    next level alike, and so on.
    """
    from scipy.sparse import csr_matrix

    where = np.flatnonzero(keep)
    groups, place = np.unique(outer[where], return_inverse=True)
    weight = np.ones(len(where))
    code = place
    for level in inner:  # from the outer to the inner levels
        finer = _codes(code, level[where])
        # How many finer groups each group has.
        pairs = np.unique(np.stack([code, finer]), axis=1)
        weight /= np.bincount(pairs[0])[code]
        code = finer
    weight /= np.bincount(code)[code] if len(code) else 1
    shape = (len(groups), len(t))
    return groups, csr_matrix((weight, (place, where)), shape=shape)


def _codes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return one code for each pair of codes."""
    _, second = np.unique(second, return_inverse=True)
    pair = first.astype(np.int64) * (second.max(initial=0) + 1) + second
    return np.unique(pair, return_inverse=True)[1]


def by_person(values: np.ndarray, t: Trials, keep: np.ndarray | None = None):
    """Return each participant's mean over resplits of the mean over queries; NaN left out.

    Parameters
    ----------
    values : numpy.ndarray
        One a trial, or shape (n_trials, n) without NaN.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        By participant.
    """
    keep = np.ones(len(t), dtype=bool) if keep is None else keep
    if values.ndim == 1:
        keep = keep & np.isfinite(values)
    people, mean = nested(t, keep, (t.resplit, t.query), t.participant)
    mixed = mean @ np.where(np.isfinite(values), values, 0.0)
    return (pd.Series if values.ndim == 1 else pd.DataFrame)(mixed, index=people)


def by_resplit(values: np.ndarray, t: Trials, keep: np.ndarray | None = None) -> np.ndarray:
    """Return each resplit's mean over its participants, likewise."""
    keep = np.ones(len(t), dtype=bool) if keep is None else keep
    if values.ndim == 1:
        keep = keep & np.isfinite(values)
    _, mean = nested(t, keep, (t.participant, t.query), t.resplit)
    return mean @ np.where(np.isfinite(values), values, 0.0)
