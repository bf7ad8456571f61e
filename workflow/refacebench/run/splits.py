"""Which participant is in which split.  Pure functions, no file access."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.vocabulary import SPLITS

#: Neighbours in age within a site that may trade places, so that the seed matters.
_BLOCK = 6


#: Years of a band of age, in which those who join later are to be spread over the splits.
_BAND_YEARS = 10


def assign(
    people: pd.DataFrame,
    weights: dict[str, float],
    seed: int,
    before: Mapping[str, str] | None = None,
) -> pd.Series:
    """Assign every participant to one split, stratified by site and age.

    The participants are ordered by site and age (unknown ages last), shuffled
    by the seed among close neighbours, and the splits are dealt out along that
    order so that every stretch of it holds them in their proportions.

    Who has a split already keeps it.  Those who join are dealt out one by one, each to the
    split that lags most, in the whole cohort, at the site and in the band of age together
    (minimisation: Pocock and Simon 1975, Biometrics 31:103), in an order that a hash of
    seed and name decides.

    Parameters
    ----------
    people : pandas.DataFrame
        One row per participant: ``participant``, ``site``, ``age`` (years).
    weights : dict
        Weight of ``train``, ``validation`` and ``test``; only ratios count.
    seed : int
        Same seed, same splits.
    before : mapping of str to str, optional
        Split by participant, of earlier runs; who is not there any more does not count.

    Returns
    -------
    pandas.Series
        Split by participant.  The test split gets at least one participant
        when its weight is not zero.

    Raises
    ------
    ValueError
        If a participant is listed twice or no weight is positive.
    """
    if people["participant"].duplicated().any():
        raise ValueError("a participant is listed twice")
    before = before or {}
    known = {name: before[name] for name in people["participant"] if name in before}
    if known:
        return pd.Series(_joined(people, weights, seed, known), dtype=object)
    totals = _totals(len(people), weights)
    rng = np.random.default_rng([seed, 20190])
    order = people.sort_values(["site", "age", "participant"], na_position="last")
    names = order["participant"].to_numpy()
    shuffled = [rng.permutation(names[i : i + _BLOCK]) for i in range(0, len(names), _BLOCK)]
    labels = _spread(totals)
    return pd.Series(labels, index=np.concatenate(shuffled) if shuffled else [], dtype=object)


def _joined(
    people: pd.DataFrame, weights: Mapping[str, float], seed: int, known: Mapping[str, str]
) -> dict[str, str]:
    """Return the split of everyone, those that are known and those who join them."""
    total = sum(weights.get(split, 0) for split in SPLITS)
    shares = {s: weights.get(s, 0) / total for s in SPLITS if weights.get(s, 0) > 0}
    groups = {
        row["participant"]: ("everyone", f"site {row['site']}", _band(row["age"]))
        for row in people.to_dict("records")
    }
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, split in known.items():
        for group in groups[name]:
            counts[group][split] += 1
    found = dict(known)
    for name in sorted(groups.keys() - known.keys(), key=lambda name: _hash(seed, name)):
        lag = {
            split: sum(share * (counts[g].total() + 1) - counts[g][split] for g in groups[name])
            for split, share in shares.items()
        }
        found[name] = max(lag, key=lambda split: (round(lag[split], 9), SPLITS.index(split)))
        for group in groups[name]:
            counts[group][found[name]] += 1
    return found


def _band(age: object) -> str:
    years = pd.to_numeric(age, errors="coerce")
    return "age unknown" if pd.isna(years) else f"age {int(years // _BAND_YEARS)}"


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _totals(n: int, weights: dict[str, float]) -> dict[str, int]:
    """Share ``n`` among the splits by largest remainder; the test split goes first."""
    total = sum(weights.get(split, 0) for split in SPLITS)
    if total <= 0:
        raise ValueError("splits: at least one weight must be positive")
    exact = {split: n * weights.get(split, 0) / total for split in SPLITS}
    counts = {split: int(np.floor(exact[split] + 1e-9)) for split in SPLITS}
    by_remainder = sorted(SPLITS, key=lambda s: (counts[s] - exact[s], -SPLITS.index(s)))
    for split in by_remainder[: n - sum(counts.values())]:
        counts[split] += 1
    if n and weights.get("test", 0) > 0 and counts["test"] == 0:
        counts[max(counts, key=counts.__getitem__)] -= 1
        counts["test"] = 1
    return counts


def _spread(totals: dict[str, int]) -> list[str]:
    """Return the labels in an order in which each prefix is as proportional as can be."""
    n = sum(totals.values())
    used = dict.fromkeys(totals, 0)
    labels = []
    for position in range(1, n + 1):
        lag = {s: totals[s] * position / n - used[s] for s in totals if used[s] < totals[s]}
        label = max(lag, key=lambda s: (lag[s], SPLITS.index(s)))
        used[label] += 1
        labels.append(label)
    return labels
