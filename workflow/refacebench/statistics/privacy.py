"""How often attackers name the person: scores in, tables out.

Pure functions of :class:`~refacebench.statistics.scores.Scores`.

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

**Unit.**  A participant's trials are averaged first.  Intervals are over the
participants as queries; the gallery stays as it is.  Rates of identification
(rank 1, rank k) have percentile bootstraps, widened to the Clopper-Pearson
interval of as many participants, since the bootstrap of "nobody" has no width;
choices have the bounds of :func:`~refacebench.statistics.intervals.bounded_mean`.

**No score.**  A query that could not be compared says nothing about what would
have been recognised: it is no success of the method that hid the face.
``*_completers``, all tests, the choice from the other side, rankings (``area``,
ROC) and the worst case (:mod:`~refacebench.statistics.tradeoff`) are of those that
could be compared.  ``rank1``, ``rank_k`` and ``choice`` are of all, those without
a score not named: what was named of all that was tried, and no lower bound of
what is recognisable.  A face that was not *detected* may still have a score (of a
fixed crop) and is no failure; ``rank1_detected`` is of the detected alone.

**Tests.**  Exact and one-sided (more than chance), from one trial a
participant, the first by session that has a score: the number named first
against a sum of Bernoulli variables with 1 / gallery size (binomial where
galleries are equal), and the sum of ranks against a sum of uniform ones.
Participants count as independent.  Holm's family: all variants and attackers of
one setting.  For the worst case people swap identities instead
(:func:`shuffled_rates`), which takes nobody as independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from refacebench.statistics import paired
from refacebench.statistics.columns import frame
from refacebench.statistics.intervals import (
    _quantiles,
    bootstrap_mean,
    bounded_mean,
    clopper_pearson,
    resample_counts,
    share,
    wider,
)
from refacebench.statistics.scores import Scores
from refacebench.statistics.settings import Settings

OTHER_SESSION, SAME_SCAN = "other_session", "same_scan"
PROTOCOLS = (OTHER_SESSION, SAME_SCAN)
ORIGINAL, BLURRED, BLACK = "original", "blurred", "black"
#: The defacer that is a control of the attacks: what is left without any face.
SKULL_STRIP = "skull_strip"
#: Controls that exist as renderings only: there is no such image.
RENDERED = (BLURRED, BLACK)
#: Distances that differ by less than this share of the largest one are ties:
#: single precision holds no more.
TIE = 1e-6
#: Points of the curves.
ALPHAS = np.round(np.linspace(0, 1, 41), 6)
FALSE_ACCEPTS = np.array([0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, *np.linspace(0.1, 1, 19)])
#: Participants x resamples that are held at once.
_CHUNK = 200


@dataclass(frozen=True)
class Protocol:
    """What is asked of the attackers; config keys below ``privacy``.

    Attributes
    ----------
    options : int
        Pictures to choose from, the match among them.
    rank_k : int
        The k of rank-k.
    false_accept : float
        Share of false accepts at which verification is measured.
    measure : str
        What the worst case is taken of: ``choice`` does not depend on the
        gallery's size, ``rank1`` does.
    most_ranks : int
        Ranks up to which the cumulative match characteristic is written.
    """

    options: int = 5
    rank_k: int = 5
    false_accept: float = 0.01
    measure: str = "choice"
    most_ranks: int = 50

    @classmethod
    def from_config(cls, config: Mapping) -> Protocol:
        """Return the protocol of a workflow's config."""
        given = {k: v for k, v in (config.get("privacy") or {}).items() if k != "kit"}
        return cls(**given)

    def __post_init__(self):
        """Check the ranges.

        Raises
        ------
        ValueError
            Names the key.
        """
        for name, least in (("options", 2), ("rank_k", 2), ("most_ranks", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"privacy.{name} must be at least {least}")
        if not 0 < self.false_accept < 1:
            raise ValueError("privacy.false_accept must lie between 0 and 1")
        if self.measure not in ("choice", "rank1"):
            raise ValueError(f"privacy.measure: unknown '{self.measure}' (choice or rank1)")


# trials -------------------------------------------------------------------------------------


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


def trials(scores: Scores, setting: str) -> Trials:
    """Return all trials of a setting; none where no query has a match in it.

    Raises
    ------
    ValueError
        If the setting is not one of :data:`PROTOCOLS`.
    """
    if setting not in PROTOCOLS:
        raise ValueError(f"unknown setting '{setting}' (known: {', '.join(PROTOCOLS)})")
    distance = _quantised(scores.distance)
    parts = []
    everybody = np.unique(scores.gallery["participant"].to_numpy(dtype=str))
    for number, matrix in enumerate(distance):
        gallery = scores.gallery
        inside = gallery["participant"].isin(scores.evaluated(number)).to_numpy()
        part = _trials_of(matrix, scores.query, gallery, inside, setting, number)
        # Resplits differ in their people; one column a person in all of them.
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
    rows, found, whose = [], [], []
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
                rows.append(row)
                found.append(entry)
                whose.append(mine)
    rows, found, whose = (np.array(v, dtype=int) for v in (rows, found, whose))
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


def _all(values: np.ndarray, t: Trials) -> np.ndarray:
    """Return the values with 0 where there is no score: not identified."""
    return np.where(t.scored, values, 0.0)


def _nested(t: Trials, keep: np.ndarray, inner: tuple, outer: np.ndarray):
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
    people, mean = _nested(t, keep, (t.resplit, t.query), t.participant)
    mixed = mean @ np.where(np.isfinite(values), values, 0.0)
    return (pd.Series if values.ndim == 1 else pd.DataFrame)(mixed, index=people)


def by_resplit(values: np.ndarray, t: Trials, keep: np.ndarray | None = None) -> np.ndarray:
    """Return each resplit's mean over its participants, likewise."""
    keep = np.ones(len(t), dtype=bool) if keep is None else keep
    if values.ndim == 1:
        keep = keep & np.isfinite(values)
    _, mean = _nested(t, keep, (t.participant, t.query), t.resplit)
    return mean @ np.where(np.isfinite(values), values, 0.0)


# if people swapped identities ---------------------------------------------------------------


@lru_cache(maxsize=4)
def _swaps(people: int, count: int, seed: int) -> np.ndarray:
    """Return permutations of so many people, shape (count, people); the same for all attacks."""
    rng = np.random.default_rng(seed)
    swaps = rng.permuted(np.tile(np.arange(people), (count, 1)), axis=1)
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
    less, tied = np.zeros(near.shape, dtype=int), np.zeros(near.shape, dtype=int)
    for row, distances in enumerate(near):
        order = np.sort(distances[np.isfinite(distances)])
        less[row] = np.searchsorted(order, distances, side="left")
        tied[row] = np.searchsorted(order, distances, side="right") - less[row] - 1
    return replace(t, less=less, tied=np.maximum(tied, 0), size=t.size[:, None], others=near)


def shuffled_rates(
    t: Trials, worth: Mapping[str, Callable[[Trials], np.ndarray]], settings: Settings
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

    Returns
    -------
    dict of str to numpy.ndarray
        Shape (n_boot,) each.

    Notes
    -----
    Under ignorance all assignments of identities are equally likely, so that the observed
    rate is one draw among these.  With resplits a draw that makes two people one counts in
    those resplits alone that have both: fewer than those of the observed rate, so that the
    draws vary more and the test is conservative.
    """
    t = t.only(t.scored)
    swaps = _swaps(t.others.shape[1], settings.n_boot, settings.seed)
    swapped = as_others(t)
    present = np.isfinite(swapped.others)
    people, mean = _nested(t, np.ones(len(t), dtype=bool), (t.resplit, t.query), t.participant)
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


# receiver operating characteristic ----------------------------------------------------------


class Roc:
    """Accepting pairs below a threshold: true accepts against false accepts.

    Every participant weighs the same, as does every trial of a participant and
    every other of a trial.  The curve has its corners at the distances of
    matches, which suffices: between them only false accepts grow.

    Parameters
    ----------
    t : Trials
        Of one resplit; those without a score are left out.
    """

    def __init__(self, t: Trials):
        t = t.only(t.scored)
        self.people, person = np.unique(t.participant, return_inverse=True)
        self.corners = np.unique(t.match)
        self.n_pairs = int(np.isfinite(t.others).sum())
        shape = (len(self.people), len(self.corners))
        self.parts = {name: np.zeros(shape) for name in ("fa_lt", "fa_le", "ta_lt", "ta_le")}
        weight = 1.0 / np.bincount(person)[person]
        for i, p in enumerate(person):
            others = np.sort(t.others[i][np.isfinite(t.others[i])])
            for side, name in (("left", "fa_lt"), ("right", "fa_le")):
                found = np.searchsorted(others, self.corners, side=side) / len(others)
                self.parts[name][p] += weight[i] * found
            self.parts["ta_lt"][p] += weight[i] * (t.match[i] < self.corners)
            self.parts["ta_le"][p] += weight[i] * (t.match[i] <= self.corners)

    def path(self, counts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return false and true accepts at all corners, shape (n_resamples, n_corners).

        Parameters
        ----------
        counts : numpy.ndarray, optional
            How often each participant is drawn, shape (n_resamples, n_people).
        """
        if counts is None:
            counts = np.ones((1, len(self.people)))
        total = counts.sum(axis=1, keepdims=True)
        mixed = {name: counts @ part / total for name, part in self.parts.items()}
        paths = []
        for kind in ("fa", "ta"):
            path = np.zeros((len(counts), 2 * len(self.corners) + 2))
            path[:, 1:-1:2], path[:, 2:-1:2] = mixed[f"{kind}_lt"], mixed[f"{kind}_le"]
            path[:, -1] = 1.0
            paths.append(path)
        return paths[0], paths[1]


def roc_area(false: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the area under each curve: the probability that a match is closer than another."""
    return (np.diff(false, axis=1) * (true[:, 1:] + true[:, :-1]) / 2).sum(axis=1)


def equal_error_rate(false: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return where false accepts equal false rejects, linear between corners."""
    gap = false + true - 1.0  # rises from -1 to 1
    after = np.argmax(gap >= 0, axis=1)
    rows = np.arange(len(gap))
    low, high = gap[rows, after - 1], gap[rows, after]
    part = -low / (high - low)
    return false[rows, after - 1] + part * (false[rows, after] - false[rows, after - 1])


def true_accepts(false: np.ndarray, true: np.ndarray, level: float) -> np.ndarray:
    """Return the share of true accepts at a share of false ones, linear between corners."""
    rows = np.arange(len(false))
    before = (false <= level + 1e-12).sum(axis=1) - 1
    after = np.minimum(before + 1, false.shape[1] - 1)
    width = false[rows, after] - false[rows, before]
    part = np.divide(level - false[rows, before], width, out=np.zeros(len(rows)), where=width > 0)
    return true[rows, before] + np.clip(part, 0, 1) * (true[rows, after] - true[rows, before])


def _roc_statistics(protocol: Protocol) -> dict:
    return {
        "roc_area": roc_area,
        "eer": equal_error_rate,
        "verified": lambda f, t: true_accepts(f, t, protocol.false_accept),
    }


# tests --------------------------------------------------------------------------------------


def poisson_binomial_tail(successes: float, chances) -> float:
    """Return the probability of at least so many successes in independent trials.

    Parameters
    ----------
    successes : float
        Fractions (ties) are rounded down, which makes the test conservative.
    chances : sequence of float
        Probability of success of each trial; equal ones give the binomial tail.
    """
    chances = np.asarray(chances, dtype=float)
    if len(chances) == 0:
        return np.nan
    pmf = _poisson_binomial(chances)
    return float(min(1.0, pmf[int(np.floor(successes + 1e-9)) :].sum()))


def _poisson_binomial(chances: np.ndarray) -> np.ndarray:
    """Return the probabilities of 0, 1, ... successes in independent trials."""
    pmf = np.ones(1)
    for chance in chances:
        pmf = np.convolve(pmf, [1 - chance, chance])
    return pmf


#: Size of the exact null distribution of a sum of ranks above which it is taken as normal.
_EXACT_RANKS = 20_000_000


def rank_sum_tail(ranks, sizes) -> float:
    """Return the probability that ranks from galleries of these sizes sum to so little or less.

    Under ignorance every rank is uniform on 1..size.  Exact (mid-ranks are
    rounded up, which makes the test conservative); normal for sums so large
    that it makes no difference.
    """
    ranks, sizes = np.asarray(ranks, dtype=float), np.asarray(sizes, dtype=int)
    if len(ranks) == 0:
        return np.nan
    total = int(np.ceil(ranks.sum() - 1e-9))
    if len(sizes) * int(sizes.sum()) > _EXACT_RANKS:
        from scipy.stats import norm

        mean, variance = ((sizes + 1) / 2).sum(), ((sizes.astype(float) ** 2 - 1) / 12).sum()
        return float(norm.cdf((total + 0.5 - mean) / np.sqrt(variance)))
    pmf = np.ones(1)
    for size in sizes:  # a uniform on 0..size-1 is added by a moving sum
        sums = np.concatenate([np.cumsum(pmf), np.full(size - 1, pmf.sum())])
        sums[size:] -= np.cumsum(pmf)[: len(sums) - size]
        pmf = np.maximum(sums, 0) / size
    return float(min(1.0, pmf[: max(0, total - len(sizes) + 1)].sum()))


def _first(t: Trials) -> pd.DataFrame:
    """Return one trial a participant and resplit, the first by session."""
    table = pd.DataFrame(
        {
            "person": t.participant,
            "resplit": t.resplit,
            "hit": within(t, 1),
            "chance": 1.0 / t.size,
            "rank": t.less + t.tied / 2 + 1,
            "size": t.size,
        }
    ).drop_duplicates(["person", "resplit"])
    return table


def _tests(t: Trials) -> dict:
    """Return the exact tests against chance, of participants with a score.

    With resplits a participant's hit is its mean over the resplits, rounded
    down in sum; ranks are tested in the first resplit of each participant.
    """
    first = _first(t.only(t.scored))
    people = first.groupby("person", sort=True)[["hit", "chance"]].mean()
    ranked = first.drop_duplicates("person")
    return {
        "p": poisson_binomial_tail(people["hit"].sum(), people["chance"]),
        "p_area": rank_sum_tail(ranked["rank"], ranked["size"]),
    }


def detectable(chances, alpha: float) -> float:
    """Return the smallest share of identified participants that would pass a level.

    Infinite where not even all of them would.
    """
    chances = np.asarray(chances, dtype=float)
    if len(chances) == 0:
        return np.nan
    tails = np.cumsum(_poisson_binomial(chances)[::-1])[::-1]
    passing = np.flatnonzero(tails < alpha)
    return float(passing[0] / len(chances)) if len(passing) else np.inf


# one attacker, variant and setting ----------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What one attacker did to one variant in one setting.

    Attributes
    ----------
    row : dict
        Its row of the table ``privacy``.
    persons : dict of str to pandas.Series
        ``choice`` and ``rank1`` of each participant, NaN for those without a score;
        ``choice`` is empty where no gallery is large enough.
    shuffled : dict of str to numpy.ndarray
        The rates of both where people swap identities (:func:`shuffled_rates`).
    curves : pandas.DataFrame
        Its rows of the table ``privacy_curves``.
    chances : numpy.ndarray
        Chance of the test trial of each participant with a score.
    """

    row: dict
    persons: dict = field(default_factory=dict)
    shuffled: dict = field(default_factory=dict)
    curves: pd.DataFrame | None = None
    chances: np.ndarray = field(default_factory=lambda: np.empty(0))


def rate_interval(values: pd.Series, settings: Settings) -> tuple[float, float]:
    """Return the interval of a rate of identification over participants.

    Percentile bootstrap, widened to Clopper-Pearson's (conservative where a
    participant's value is a fraction): the bootstrap of "nobody" or "everybody"
    has no width.
    """
    n = len(values)
    exact = clopper_pearson(float(values.sum()), n, settings.level)
    return wider(_boot(values, settings), exact)


def choice_interval(values: pd.Series, settings: Settings) -> tuple[float, float]:
    """Return the interval of a mean of values between 0 and 1."""
    return bounded_mean(values, level=settings.level, seed=settings.seed)


def _boot(values: pd.Series, settings: Settings) -> tuple[float, float]:
    return bootstrap_mean(values, n_boot=settings.n_boot, seed=settings.seed, level=settings.level)


def evaluate(scores: Scores, setting: str, protocol: Protocol, settings: Settings) -> Result:
    """Return everything that one attacker did to one variant in one setting."""
    t = trials(scores, setting)
    identity = {
        "variant": scores.variant,
        "attacker": scores.attacker,
        "version": str(scores.meta.get("version", "")),
        "trained_on": _plain(scores.meta.get("trained_on", "")),
        "setting": setting,
        "k": protocol.rank_k,
        "n_options": protocol.options,
        "false_accept": protocol.false_accept,
        "n_resplits": scores.resplits,
        **_queries(scores, t),
    }
    undetected = _undetected(scores, t, settings) if len(t) else {}
    if not t.scored.any():
        # No rate at all: "not one was identified" would be a claim about an attack that never was.
        row = {**identity, **undetected, "n_completers": 0, "note": _why_none(scores, t, setting)}
        return Result(row, {"rank1": pd.Series(np.nan, index=np.unique(t.participant))})
    row, persons = _rates(t, scores, setting, protocol, settings)
    row |= _rankings(t, protocol, settings)
    row |= _tests(t)
    chances = _first(t.only(t.scored)).groupby("person")["chance"].mean().to_numpy()
    curves = _curves(t, identity, protocol, settings)
    worth = {"rank1": lambda u: within(u, 1), "choice": lambda u: choice(u, protocol.options)}
    return Result(
        {**identity, **undetected, **row, "note": ""},
        persons,
        shuffled_rates(t, worth, settings),
        curves,
        chances,
    )


def _plain(value) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _why_none(scores: Scores, t: Trials, setting: str) -> str:
    unavailable = _plain(scores.meta.get("unavailable", ""))
    if unavailable:
        return unavailable
    if len(t):
        reasons = scores.query["reason"].iloc[np.unique(t.query)].fillna("")
        given = reasons[reasons != ""]
        return given.mode().iloc[0] if len(given) else "no query could be compared"
    if not len(scores.query):
        return "no query"
    if setting == OTHER_SESSION:
        return "no participant has a query and an original of another session"
    return "no query has its own original in the gallery"


def _queries(scores: Scores, t: Trials) -> dict:
    used = np.unique(t.query)
    scored = np.unique(t.query[t.scored])
    return {
        "n": len(np.unique(t.participant)),
        "n_queries": len(used),
        "n_failed": len(used) - len(scored),
        "n_no_match": len(scores.query) - len(used),
        "n_gallery": float(np.median(t.size)) if len(t) else np.nan,
    }


def _undetected(scores: Scores, t: Trials, settings: Settings) -> dict:
    used = scores.query.iloc[np.unique(t.query)]
    missing = ~used["detected"].to_numpy(dtype=bool)
    value, low, high = share(missing, used["participant"], settings.level)
    return {
        "n_undetected": int(missing.sum()),
        "undetected_share": value,
        "undetected_low": low,
        "undetected_high": high,
    }


def _rates(t: Trials, scores, setting, protocol, settings) -> tuple[dict, dict]:
    """Return rates of identification and each completer's, for the worst case."""
    values = {
        "rank1": within(t, 1),
        "rank_k": within(t, protocol.rank_k),
        "choice": choice(t, protocol.options),
    }
    completers = {name: by_person(found, t, t.scored) for name, found in values.items()}
    everybody = {name: by_person(_all(found, t), t) for name, found in values.items()}
    if not len(completers["choice"]):
        everybody["choice"] = completers["choice"]
    row = {
        "n_completers": len(completers["rank1"]),
        "chance": by_person(1.0 / t.size, t, t.scored).mean(),
        "chance_k": by_person(np.minimum(protocol.rank_k / t.size, 1.0), t, t.scored).mean(),
        "choice_chance": 1.0 / protocol.options,
        "rank1_detected": _mean(by_person(values["rank1"], t, t.scored & t.detected)),
    }
    for name in values:
        interval = choice_interval if name == "choice" else rate_interval
        for label, persons in ((name, everybody), (f"{name}_completers", completers)):
            row[label] = _mean(persons[name])
            row[f"{label}_low"], row[f"{label}_high"] = interval(persons[name], settings)
    for name in ("rank1", "choice"):
        band = _band(_all(values[name], t), t, settings)
        row[f"{name}_band_low"], row[f"{name}_band_high"] = band
    row |= _reverse_choice(scores, setting, protocol, settings)
    people = everybody["rank1"].index
    return row, {
        name: found.reindex(people) if len(found) else found
        for name, found in completers.items()
        if name != "rank_k"
    }


def _reverse_choice(scores, setting, protocol: Protocol, settings: Settings) -> dict:
    """Return the question of CP-GAN: one original, ``options`` de-identified scans of a method.

    A match without a score is left out.
    """
    t = trials(scores.reversed(), setting)
    values = by_person(choice(t, protocol.options), t, t.scored)
    low, high = choice_interval(values, settings)
    return {
        "choice_reverse": _mean(values),
        "choice_reverse_low": low,
        "choice_reverse_high": high,
    }


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else np.nan


def _band(values, t: Trials, settings: Settings, keep=None) -> tuple[float, float]:
    """Return the range over resplits; NaN without resplits."""
    found = by_resplit(values, t, keep)
    return _quantiles(found, settings.level) if len(found) > 1 else (np.nan, np.nan)


def _rankings(t: Trials, protocol: Protocol, settings: Settings) -> dict:
    """Return the area under the top-alpha curve and the ROC's numbers, of completers."""
    place = 1.0 - percentile(t)
    persons = by_person(place, t, t.scored)
    low, high = _boot(persons, settings)
    band = _band(place, t, settings, t.scored)
    ranks = by_person(t.less + t.tied / 2 + 1, t, t.scored)
    return {
        "median_rank": float(ranks.median()) if len(ranks) else np.nan,
        "area": _mean(persons),
        "area_low": low,
        "area_high": high,
        "area_band_low": band[0],
        "area_band_high": band[1],
        **_roc_numbers(t, protocol, settings),
    }


def _roc_numbers(t: Trials, protocol: Protocol, settings: Settings) -> dict:
    """Return ROC area, equal error rate and verification rate.

    Distances of different resplits come from different models and are never
    pooled: with resplits the numbers are means over them, without a bootstrap.
    """
    curves = _rocs(t)
    row = {"n_impostor": curves[0].n_pairs}
    statistics = _roc_statistics(protocol)
    for name, statistic in statistics.items():
        values = np.array([statistic(*roc.path())[0] for roc in curves])
        row[name] = float(values.mean())
        if len(curves) > 1:
            row[f"{name}_band_low"], row[f"{name}_band_high"] = _quantiles(values, settings.level)
    if len(curves) == 1 and len(curves[0].people) > 1:
        replicates = _resampled(curves[0], statistics.values(), settings)
        for name, values in zip(statistics, replicates, strict=True):
            row[f"{name}_low"], row[f"{name}_high"] = _quantiles(values, settings.level)
    if row["n_impostor"] * protocol.false_accept < 1:
        # Not one false accept fits below the level: the threshold would be a guess.
        row |= dict.fromkeys([n for n in row if n.startswith("verified")], np.nan)
    return row


def _rocs(t: Trials) -> list[Roc]:
    return [
        Roc(t.only(t.resplit == number))
        for number in np.unique(t.resplit)
        if t.scored[t.resplit == number].any()
    ]


def _resampled(roc: Roc, statistics, settings: Settings) -> np.ndarray:
    """Return statistics of the resampled curves, shape (n_statistics, n_boot)."""
    counts = resample_counts(len(roc.people), settings.n_boot, settings.seed)
    parts = []
    for start in range(0, len(counts), _CHUNK):
        path = roc.path(counts[start : start + _CHUNK])
        parts.append([statistic(*path) for statistic in statistics])
    return np.concatenate(parts, axis=1)


# curves -------------------------------------------------------------------------------------


def _curves(t: Trials, identity: Mapping, protocol: Protocol, settings: Settings) -> pd.DataFrame:
    """Return the points of the three curves of completers, with pointwise intervals."""
    ranks = np.arange(1, min(int(t.size.max()), protocol.most_ranks) + 1)
    hits = np.stack([within(t, k) for k in ranks], axis=1)
    parts = [
        _curve("cmc", ranks, hits, t, settings),
        _curve("top_alpha", ALPHAS, top_alpha(t, ALPHAS), t, settings),
        _roc_curve(t, settings),
    ]
    names = {k: identity[k] for k in ("variant", "attacker", "setting")}
    return frame("privacy_curves", pd.concat(parts).assign(**names).to_dict("records"))


def _curve(name: str, x, values: np.ndarray, t: Trials, settings: Settings) -> pd.DataFrame:
    """Return a curve that is a mean of trials' curves."""
    people = by_person(values, t, t.scored).to_numpy()
    table = pd.DataFrame({"curve": name, "x": x, "y": people.mean(axis=0)})
    if len(people) > 1:
        counts = resample_counts(len(people), settings.n_boot, settings.seed)
        _add_range(table, counts @ people / len(people), settings, "")
    resplits = by_resplit(values, t, t.scored)
    if len(resplits) > 1:
        _add_range(table, resplits, settings, "band_")
    return table


def _roc_curve(t: Trials, settings: Settings) -> pd.DataFrame:
    curves = _rocs(t)
    at = np.array(
        [[true_accepts(*roc.path(), level)[0] for level in FALSE_ACCEPTS] for roc in curves]
    )
    table = pd.DataFrame({"curve": "roc", "x": FALSE_ACCEPTS, "y": at.mean(axis=0)})
    if len(curves) > 1:
        _add_range(table, at, settings, "band_")
    elif len(curves[0].people) > 1:
        at_levels = [lambda f, t, level=x: true_accepts(f, t, level) for x in FALSE_ACCEPTS]
        _add_range(table, _resampled(curves[0], at_levels, settings).T, settings, "")
    return table


def _add_range(table: pd.DataFrame, replicates: np.ndarray, settings: Settings, prefix) -> None:
    tail = (1 - settings.level) / 2
    table[f"{prefix}low"], table[f"{prefix}high"] = np.quantile(
        replicates, [tail, 1 - tail], axis=0
    )


# tables -------------------------------------------------------------------------------------


def evaluate_all(found: Iterable[Scores], protocol: Protocol, settings: Settings) -> list[Result]:
    """Return the results of all scores in both settings, with the corrected tests.

    ``found`` is gone through once, so that not all scores need be held together.
    """
    results = [evaluate(s, setting, protocol, settings) for s in found for setting in PROTOCOLS]
    results.sort(key=lambda result: PROTOCOLS.index(result.row["setting"]))
    for setting in PROTOCOLS:
        family = [r for r in results if r.row["setting"] == setting]
        for name in ("p", "p_area"):
            corrected = paired.correct([r.row.get(name, np.nan) for r in family], "holm")
            for result, value in zip(family, corrected, strict=True):
                result.row[f"{name}_holm"] = float(value)
        size = sum(np.isfinite(r.row.get("p", np.nan)) for r in family)
        for result in family:
            result.row["family_size"] = size
            level = settings.alpha / max(size, 1)
            result.row["rank1_detectable"] = detectable(result.chances, level)
    return results


def privacy(results: Sequence[Result]) -> pd.DataFrame:
    """Return the table ``privacy``: one row a setting, attacker and variant."""
    return frame("privacy", [r.row for r in results])


def curves(results: Sequence[Result]) -> pd.DataFrame:
    """Return the table ``privacy_curves``."""
    parts = [r.curves for r in results if r.curves is not None and len(r.curves)]
    return pd.concat(parts, ignore_index=True) if parts else frame("privacy_curves", [])


# controls -----------------------------------------------------------------------------------

#: What a warning is about.
LEAK, WEAK, BLIND, NOT_RUN, MISSING, SMALL, EASY, NO_LANDMARK = (
    "leak",
    "weak_attack",
    "blind_attack",
    "not_attacked",
    "missing_control",
    "small_gallery",
    "same_scan_only",
    "no_landmark",
)


def warnings(results: Sequence[Result], protocol: Protocol, settings: Settings) -> pd.DataFrame:
    """Return the table ``privacy_warnings``: what a reader must know before any number.

    ``weak_attack``: the attacker does not name the ORIGINAL first significantly
    more often than chance (Holm).  ``leak``: the attacker names the person from
    BLACK images, by either test (Holm over both tests and all attackers and
    settings).  ``blind_attack``: more than half of the ORIGINAL could not be
    compared.  ``not_attacked``: an attacker has no score at all on a variant.
    ``missing_control``, ``same_scan_only``, ``small_gallery`` and
    ``no_landmark`` say what could not be checked or compared.
    """
    rows = []
    attackers = list(dict.fromkeys(r.row["attacker"] for r in results))
    for attacker in attackers:
        mine = [r.row for r in results if r.row["attacker"] == attacker]
        for name in (ORIGINAL, BLACK):
            if not any(row["variant"] == name and row["n_queries"] for row in mine):
                rows.append(_warning(MISSING, attacker, name, "", {}, _missing(attacker, name)))
        for row in mine:
            if row["variant"] == ORIGINAL and _attacked(row):
                rows += _original_warnings(row, settings)
        rows += _not_run(attacker, mine)
        rows += _sessions_warning(attacker, mine)
        rows += _gallery_warning(attacker, mine, protocol)
    rows += _leaks(results, settings) + _landmarks(results)
    order = (LEAK, WEAK, BLIND, NOT_RUN, MISSING, SMALL, EASY, NO_LANDMARK)
    place = {kind: i for i, kind in enumerate(order)}
    return frame("privacy_warnings", sorted(rows, key=lambda row: place[row["kind"]]))


def _missing(attacker: str, control: str) -> str:
    unknown = "whether it recognises anybody" if control == ORIGINAL else "whether it leaks"
    return f"{attacker} was not run on {control.upper()}: {unknown} is unknown."


def _landmarks(results: Sequence[Result]) -> list[dict]:
    """Name the controls of which nobody's numbers are there to compare with."""
    seen = {r.row["variant"] for r in results}
    messages = {
        BLURRED: "no attacker was run on BLURRED pictures",
        SKULL_STRIP: f"no attacker was run on skull-stripped scans ({SKULL_STRIP}): what the "
        "brain alone gives away, below which no defacer can go, is unknown",
    }
    return [
        _warning(NO_LANDMARK, "", name, "", {}, f"{message}.")
        for name, message in messages.items()
        if name not in seen
    ]


def _attacked(row: Mapping) -> bool:
    return row["n_queries"] > row["n_failed"]


def _not_run(attacker: str, rows: Sequence[Mapping]) -> list[dict]:
    """Return one warning a reason for which variants have no score at all."""
    by_reason = {}
    for row in rows:
        if row["n_queries"] and not _attacked(row):
            by_reason.setdefault(row["note"], {})[row["variant"]] = None
    return [
        _warning(
            NOT_RUN,
            attacker,
            "",
            "",
            {},
            f"{attacker} has no score for {', '.join(variants)} ({reason}): nothing is known of "
            "what it would recognise there.",
        )
        for reason, variants in by_reason.items()
    ]


def _warning(kind, attacker, control, setting, row, message) -> dict:
    return {
        "kind": kind,
        "attacker": attacker,
        "control": control,
        "setting": setting,
        "n": row.get("n_completers", np.nan),
        "rank1": row.get("rank1_completers", np.nan),
        "chance": row.get("chance", np.nan),
        "p_holm": row.get("p_holm", np.nan),
        "message": message,
    }


def _original_warnings(row: Mapping, settings: Settings) -> list[dict]:
    found = []
    attacker, setting = row["attacker"], row["setting"]
    in_words = setting.replace("_", " ")
    if not row.get("p_holm", np.nan) < settings.alpha:
        message = (
            f"this attack is weak: its numbers protect nobody. {attacker} ({in_words}) names "
            f"{100 * row['rank1_completers']:.0f} % of {row['n_completers']} participants from "
            "their ORIGINAL scans, "
            f"which is not shown to be above chance ({100 * row['chance']:.0f} %)"
        )
        if not np.isfinite(row.get("rank1_detectable", np.nan)):
            message += "; with so few participants even naming all of them would not be"
        found.append(_warning(WEAK, attacker, ORIGINAL, setting, row, message + "."))
    if 2 * row["n_failed"] > row["n_queries"]:
        message = (
            f"{attacker} ({in_words}) could not compare {row['n_failed']} of {row['n_queries']} "
            "ORIGINAL scans: what it does not see it cannot recognise."
        )
        found.append(_warning(BLIND, attacker, ORIGINAL, setting, row, message))
    return found


def _sessions_warning(attacker: str, rows: Sequence[Mapping]) -> list[dict]:
    other = [row for row in rows if row["setting"] == OTHER_SESSION]
    if not other or any(row["n_queries"] for row in other):
        return []
    message = (
        f"{attacker}: no participant has two sessions, so queries are compared with the original "
        "of the very same scan (the setting same_scan), which is easier than reality."
    )
    return [_warning(EASY, attacker, "", OTHER_SESSION, {}, message)]


def _gallery_warning(attacker: str, rows: Sequence[Mapping], protocol: Protocol) -> list[dict]:
    sizes = [row["n_gallery"] for row in rows if _attacked(row)]
    if not sizes or min(sizes) >= protocol.options:
        return []
    message = (
        f"{attacker}: a gallery of {min(sizes):g} people is too small for a choice among "
        f"{protocol.options}."
    )
    return [_warning(SMALL, attacker, "", "", {}, message)]


def _leaks(results: Sequence[Result], settings: Settings) -> list[dict]:
    black = [r.row for r in results if r.row["variant"] == BLACK and _attacked(r.row)]
    p_values = [row.get(name, np.nan) for row in black for name in ("p", "p_area")]
    corrected = np.reshape(paired.correct(p_values, "holm"), (-1, 2))
    found = []
    for row, pair in zip(black, corrected, strict=True):
        if not (pair < settings.alpha).any():
            continue
        message = (
            f"the protocol leaks: {row['attacker']} ({row['setting'].replace('_', ' ')}) names "
            f"{100 * row['rank1_completers']:.0f} % of {row['n_completers']} participants from "
            f"BLACK images (chance {100 * row['chance']:.0f} %, mean place in the "
            f"ranking {1 - row['area']:.2f}, chance 0.5). Something other than the "
            "picture gives them away: trust no number of this attacker."
        )
        found.append(_warning(LEAK, row["attacker"], BLACK, row["setting"], row, message))
    return found
