"""Who of a gallery is like the person of a query: same site, same sex, same age band.

A face among faces of other sites and the other sex is found without looking at it: who sees
only which scanner made a scan leaves out everybody from elsewhere.  So people are compared
with people like them, as far as there are any.

**Likeness.**  People are alike on an attribute where it is known of both and the same.  What is
not known of a person is not asked of those they are compared with.  Ages are in fixed bands
(20 to 29, 30 to 39), so that "alike" has the same meaning from either side.

**Levels.**  The strictest level asks for all attributes of ``privacy.match``, each further one
drops the last of them, the last level takes everybody.  A choice among ``options`` takes its
distractors from the strictest level that has enough people; those who are alike at a stricter
level are always among them.  Two people of the same site are so never hidden among strangers.
Rank 1 has no number to fill: its gallery (``rank1_matched``) is everybody of the strictest level
at which there is anybody but the match, and its chance differs from query to query.

**Swaps.**  Attacks that know no more than the attributes make the identities of people who are
alike exchangeable, and no others: swaps of identities stay within :func:`strata`.

**The control** (:func:`control`) knows the attributes and nothing else.  It names somebody like
the person, at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from refacebench.statistics.protocol import MATCHED, Protocol
from refacebench.statistics.trials import Trials, choice, within

#: What a reader calls them.
WORDS = {"site": "site", "sex": "sex", "age": "age band"}
#: Different assignments of identities that swaps must be able to draw from: with fewer no test
#: could say much.
LEAST_ASSIGNMENTS = 1000
#: What is said of distractors of which only some are alike, and of those of which none is.
SOME, NOTHING = "some alike", "nothing"
#: Entries of tables that mean "not known".
_UNKNOWN = ("", "n/a", "na", "nan", "none", "unknown")


@dataclass(frozen=True)
class Likeness:
    """Who is like whom among the people of a gallery.

    Attributes
    ----------
    names : tuple of str
        The attributes, that which is dropped last first; those known of nobody are left out.
    codes : numpy.ndarray of int
        Shape (n_people, n_names), people sorted by name; -1 where not known.
    """

    names: tuple[str, ...]
    codes: np.ndarray

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """How many of the attributes each level asks for, strictest first."""
        return tuple(range(len(self.names), -1, -1))

    @cached_property
    def alike(self) -> list[np.ndarray]:
        """Of each level who is like whom, shape (n_people, n_people): row asks, column fits."""
        mine, theirs = self.codes[:, None, :], self.codes[None, :, :]
        fits = (mine < 0) | (mine == theirs)
        return [fits[:, :, :asked].all(axis=2) for asked in self.levels]

    @cached_property
    def groups(self) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """Of each level the people who ask for the same, and all who fit them."""
        found = []
        for asked, alike in zip(self.levels, self.alike, strict=True):
            _, first, key = np.unique(
                self.codes[:, :asked], axis=0, return_index=True, return_inverse=True
            )
            key = np.ravel(key)
            found.append([(np.flatnonzero(key == k), np.flatnonzero(alike[p]))
                          for k, p in enumerate(first)])  # fmt: skip
        return found

    def words(self, person: int, asked: int) -> str:
        """Return what a person's distractors have in common with them at a level."""
        known = [WORDS[n] for n, c in zip(self.names[:asked], self.codes[person], strict=False)
                 if c >= 0]  # fmt: skip
        return ", ".join(known)


def people_of(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the attributes of participants from manifests: the first session's that is known.

    Returns
    -------
    pandas.DataFrame
        ``site`` and ``sex`` (str, empty where not known; case and blanks do not count) and
        ``age`` (years, or NaN) by participant.
    """
    wanted = ["participant", "session", *MATCHED]
    rows = pd.concat([table.reindex(columns=wanted) for table in tables] or [pd.DataFrame()])
    rows = rows.reindex(columns=wanted)
    rows = rows.assign(session=rows["session"].fillna("").astype(str))
    rows = rows.sort_values(["participant", "session"], kind="stable")
    for name in ("site", "sex"):
        text = rows[name].astype("string").str.strip().str.casefold()
        rows[name] = text.mask(text.isin(_UNKNOWN))
    rows["age"] = pd.to_numeric(rows["age"], errors="coerce")
    people = rows.groupby("participant", sort=True)[list(MATCHED)].first()
    return people.assign(**{n: people[n].fillna("").astype(str) for n in ("site", "sex")})


def likeness(
    people: pd.DataFrame | None, participants: Sequence[str] | np.ndarray, protocol: Protocol
) -> Likeness:
    """Return who is like whom among participants, of whom no more need be known.

    Parameters
    ----------
    people : pandas.DataFrame, optional
        See :func:`people_of`; without it nobody is known.
    participants : sequence of str
        Those of the gallery, sorted.
    """
    given = pd.DataFrame(columns=list(MATCHED)) if people is None else people
    given = given.reindex(list(participants))
    columns = {name: _codes(given[name], name, protocol) for name in protocol.match}
    known = {name: codes for name, codes in columns.items() if (codes >= 0).any()}
    codes = np.zeros((len(given), len(known)), dtype=int)
    for place, column in enumerate(known.values()):
        codes[:, place] = column
    return Likeness(tuple(known), codes)


def _codes(values: pd.Series, name: str, protocol: Protocol) -> np.ndarray:
    if name == "age":
        bands = np.floor(pd.to_numeric(values, errors="coerce") / protocol.age_band_years)
        return pd.factorize(bands, sort=True)[0]
    return pd.factorize(values.mask(values == ""), sort=True)[0]


# trials against people who are alike --------------------------------------------------------


def among(people: int) -> Trials:
    """Return the trials of an attack that has seen nothing: everybody once, all equally far."""
    rows, yes = np.arange(people), np.ones(people, dtype=bool)
    others = np.zeros((people, people))
    others[rows, rows] = np.nan
    none = np.zeros(people, dtype=int)
    return Trials(
        resplit=none,
        query=rows,
        participant=rows.astype(str),
        scored=yes,
        detected=yes,
        less=none,
        tied=none + people - 1,
        size=none + people,
        match=np.zeros(people),
        own=rows,
        others=others,
    )


def closer(near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each distance of a row how many others are smaller, and how many the same.

    Parameters
    ----------
    near : numpy.ndarray
        Shape (n_trials, n_people), NaN where nothing was compared: farther than everybody.
    """
    known = np.where(np.isfinite(near), near, np.inf)
    order = np.argsort(known, axis=1, kind="stable")
    ranked = np.take_along_axis(known, order, axis=1)
    place = np.arange(near.shape[1])
    begins, ends = (np.ones(near.shape, dtype=bool) for _ in range(2))
    begins[:, 1:] = ends[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, len(place))[:, ::-1], axis=1)[:, ::-1]
    less, tied = (np.empty(near.shape, dtype=int) for _ in range(2))
    np.put_along_axis(less, order, first, axis=1)
    np.put_along_axis(tied, order, last - first, axis=1)
    return less, tied


def narrowed(t: Trials, like: Likeness) -> list[Trials]:
    """Return trials with the gallery narrowed to people like the match, strictest level first.

    Parameters
    ----------
    t : Trials
        As they were, or as they would be if each person were another one
        (:func:`~refacebench.statistics.swaps.as_others`): whoever a query is taken for is then
        compared with people like that one.

    Returns
    -------
    list of Trials
        With ``less``, ``tied`` and ``size`` of each level; the last is the whole gallery.
    """
    if t.less.ndim == 1:
        return [_narrowed_to(t, alike[t.own]) for alike in like.alike]
    found = []
    for groups in like.groups:
        less, tied, size = (np.zeros(t.others.shape, dtype=int) for _ in range(3))
        for askers, fitting in groups:
            columns = np.searchsorted(fitting, askers)
            near = t.others[:, fitting]
            smaller, same = closer(near)
            less[:, askers], tied[:, askers] = smaller[:, columns], same[:, columns]
            size[:, askers] = np.isfinite(near).sum(axis=1)[:, None]
        found.append(replace(t, less=less, tied=tied, size=size))
    return found


def _narrowed_to(t: Trials, alike: np.ndarray) -> Trials:
    """Return trials against some of the gallery, shape (n_trials, n_people)."""
    others = np.where(alike, t.others, np.nan)
    return replace(
        t,
        less=(others < t.match[:, None]).sum(axis=1),
        tied=(others == t.match[:, None]).sum(axis=1),
        size=np.isfinite(others).sum(axis=1) + 1,
        others=others,
    )


def enough(levels: Sequence[Trials], people: int) -> np.ndarray:
    """Return the strictest level with so many people, the match among them; the last for none."""
    reached = np.stack([u.size >= people for u in levels])
    return np.where(reached.any(axis=0), reached.argmax(axis=0), len(levels) - 1)


def at(levels: Sequence[Trials], which: np.ndarray) -> Trials:
    """Return trials of which each has the gallery of its own level."""
    names = ("less", "tied", "size")
    return replace(levels[-1], **{n: _pick([getattr(u, n) for u in levels], which) for n in names})


def _pick(values: Sequence[np.ndarray], which: np.ndarray) -> np.ndarray:
    return np.take_along_axis(np.stack(values), which[None], axis=0)[0]


def matched_choice(levels: Sequence[Trials], options: int) -> np.ndarray:
    """Return the probability that the match wins against ``options - 1`` others like it.

    Everybody of the level before that of :func:`enough` takes part, the rest is drawn from
    that level: the expectation over all such sets and over the orders of ties.  NaN where the
    gallery has fewer people than options.

    Parameters
    ----------
    levels : sequence of Trials
        See :func:`narrowed`.
    """
    from scipy.special import comb

    which = enough(levels, options)
    inner, outer = at(levels, np.maximum(which - 1, 0)), at(levels, which)
    # Nobody takes part for certain where the strictest level has enough people.
    some = which > 0
    sure, sure_tied = np.where(some, inner.size - 1, 0), np.where(some, inner.tied, 0)
    beaten = some & (inner.less > 0)
    less, tied = outer.less - np.where(some, inner.less, 0), outer.tied - sure_tied
    rest, drawn = outer.size - 1 - sure, options - 1 - sure
    won = np.zeros(which.shape)
    for same in range(options):  # so many of those who are drawn tie with the match
        ways = comb(tied, same) * comb(rest - less - tied, drawn - same)
        won += np.where(same <= drawn, ways, 0.0) / (1 + sure_tied + same)
    sets = comb(rest, drawn)
    found = np.divide(won, sets, out=np.full(won.shape, np.nan), where=outer.size >= options)
    return np.where(beaten & np.isfinite(found), 0.0, found)


def nearest(levels: Sequence[Trials]) -> Trials:
    """Return trials against all people of the strictest level with anybody but the match."""
    return at(levels, enough(levels, 2))


def strata(like: Likeness) -> tuple[np.ndarray, str]:
    """Return within which groups people may swap identities, and what these have in common.

    As fine as leaves :data:`LEAST_ASSIGNMENTS`; the first attribute is always kept, however few
    there are.  An attack that knows what the groups have in common, and no more, cannot tell
    one assignment from another.

    Returns
    -------
    groups : numpy.ndarray of int
        One a person of the gallery.
    words : str
        Empty for one group of all.
    """
    from scipy.special import gammaln

    for asked in range(len(like.names), 0, -1):
        _, group = np.unique(like.codes[:, :asked], axis=0, return_inverse=True)
        group = np.ravel(group)
        assignments = gammaln(np.bincount(group) + 1).sum()
        if asked == 1 or assignments >= np.log(LEAST_ASSIGNMENTS):
            return group, ", ".join(WORDS[n] for n in like.names[:asked])
    return np.zeros(len(like.codes), dtype=int), ""


# what the attributes alone give away --------------------------------------------------------


def control(t: Trials, like: Likeness) -> Trials:
    """Return the trials of an attacker that knows the attributes of ``like`` and nothing else."""
    strange = 1.0 - like.alike[0][t.own]
    others = np.where(np.isfinite(t.others), strange, np.nan)
    return replace(
        t,
        less=np.zeros(len(t), dtype=int),
        tied=(others == 0).sum(axis=1),
        match=np.where(np.isfinite(t.match), 0.0, np.nan),
        others=others,
    )


def control_values(t: Trials, like: Likeness, known: Likeness, options: int) -> dict:
    """Return what that attacker's trials are worth, by measure, in galleries matched by ``like``.

    Parameters
    ----------
    known : Likeness
        What it knows; NaN everywhere where that is nothing.
    """
    blind = control(t, known)
    levels = narrowed(blind, like)
    values = {
        "choice": matched_choice(levels, options),
        "choice_unmatched": choice(blind, options),
        "rank1": within(blind, 1),
        "rank1_matched": within(nearest(levels), 1),
    }
    return values if known.names else {n: np.full(len(t), np.nan) for n in values}


def matched_on(t: Trials, levels: Sequence[Trials], like: Likeness, options: int) -> dict:
    """Return how many queries had distractors that were all alike, and on what.

    Returns
    -------
    dict
        ``n_matched``, queries of which all distractors were alike on something, and
        ``matched_on``, numbers of queries by what their distractors had in common.  A query in
        several trials counts with its loosest.
    """
    which = enough(levels, options)
    asked = np.array(like.levels)[which]
    # Too few are alike even on what is dropped last, and yet those few take part.
    part = (asked == 0) & (at(levels, np.maximum(which - 1, 0)).size > 1) & (which > 0)
    told = [
        (int(a), like.words(int(p), int(a)) or (SOME if some else NOTHING))
        for a, p, some in zip(asked, t.own, part, strict=True)
    ]
    table = pd.DataFrame(told, columns=["asked", "words"]).assign(query=t.query)
    table = table[t.scored].sort_values("asked", kind="stable").drop_duplicates("query")
    counts = table["words"].value_counts()
    last = (SOME, NOTHING)
    order = sorted(counts.index, key=lambda w: (w in last, w == NOTHING, -len(w.split(", ")), w))
    return {
        "n_matched": int((~table["words"].isin(last)).sum()),
        "matched_on": "; ".join(f"{words}: {counts[words]}" for words in order),
    }
