"""Which participant is in which split.  Pure functions, no file access."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.vocabulary import SPLITS

#: Neighbours in age within a site that may trade places, so that the seed matters.
_BLOCK = 6


def assign(people: pd.DataFrame, weights: dict[str, float], seed: int) -> pd.Series:
    """Assign every participant to one split, stratified by site and age.

    The participants are ordered by site and age (unknown ages last), shuffled
    by the seed among close neighbours, and the splits are dealt out along that
    order so that every stretch of it holds them in their proportions.

    Parameters
    ----------
    people : pandas.DataFrame
        One row per participant: ``participant``, ``site``, ``age`` (years).
    weights : dict
        Weight of ``train``, ``validation`` and ``test``; only ratios count.
    seed : int
        Same seed, same splits.

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
    totals = _totals(len(people), weights)
    rng = np.random.default_rng([seed, 20190])
    order = people.sort_values(["site", "age", "participant"], na_position="last")
    names = order["participant"].to_numpy()
    shuffled = [rng.permutation(names[i : i + _BLOCK]) for i in range(0, len(names), _BLOCK)]
    labels = _spread(totals)
    return pd.Series(labels, index=np.concatenate(shuffled) if shuffled else [], dtype=object)


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
