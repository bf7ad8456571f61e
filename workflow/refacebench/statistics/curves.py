"""Points of an attacker's curves with pointwise intervals: CMC, top-alpha, ROC."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import bounded_mean
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.roc import interval, of_resplits, resampled, true_accepts
from refacebench.statistics.trials import Trials, by_person, by_resplit, top_alpha, within

#: Points of the curves.
ALPHAS = np.round(np.linspace(0, 1, 41), 6)
FALSE_ACCEPTS = np.array([0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, *np.linspace(0.1, 1, 19)])


def points(t: Trials, identity: Mapping, protocol: Protocol, criteria: Criteria) -> pd.DataFrame:
    """Return the points of the three curves of completers, with pointwise intervals."""
    ranks = np.arange(1, min(int(t.size.max()), protocol.most_ranks) + 1)
    hits = np.stack([within(t, int(k)) for k in ranks], axis=1)
    sure = np.isin(ALPHAS, (0.0, 1.0))
    parts = [
        _curve("cmc", ranks, hits, ranks == t.size.max(), t, criteria),
        _curve("top_alpha", ALPHAS, top_alpha(t, ALPHAS), sure, t, criteria),
        _roc_curve(t, criteria),
    ]
    names = {k: identity[k] for k in ("variant", "attacker", "setting")}
    return pd.concat(parts).assign(**names)


def _curve(
    name: str, x: np.ndarray, values: np.ndarray, certain: np.ndarray, t: Trials, criteria: Criteria
) -> pd.DataFrame:
    """Return a curve that is a mean of trials' curves; ``certain`` points hold by definition."""
    people = by_person(values, t, t.scored).to_numpy()
    table = pd.DataFrame({"curve": name, "x": x, "y": people.mean(axis=0)})
    if len(people) > 1:
        level, seed = criteria.level, criteria.seed
        ends = [bounded_mean(column, level=level, seed=seed) for column in people.T]
        _add_ends(table, ends, certain)
    resplits = by_resplit(values, t, t.scored)
    if len(resplits) > 1:
        _add_range(table, resplits, criteria, "band_")
    return table


def _roc_curve(t: Trials, criteria: Criteria) -> pd.DataFrame:
    curves = of_resplits(t)
    at = np.array(
        [[true_accepts(*roc.path(), level)[0] for level in FALSE_ACCEPTS] for roc in curves]
    )
    table = pd.DataFrame({"curve": "roc", "x": FALSE_ACCEPTS, "y": at.mean(axis=0)})
    if len(curves) > 1:
        _add_range(table, at, criteria, "band_")
    elif len(curves[0].people) > 1:
        at_levels = [lambda f, t, level=x: true_accepts(f, t, level) for x in FALSE_ACCEPTS]
        replicates = resampled(curves[0], at_levels, criteria)
        people = len(curves[0].people)
        ends = [
            interval(value, draws, people, criteria.level)
            for value, draws in zip(table["y"], replicates, strict=True)
        ]
        _add_ends(table, ends, FALSE_ACCEPTS == 1)
    return table


def _add_ends(table: pd.DataFrame, ends: list[tuple[float, float]], certain: np.ndarray) -> None:
    """Add pointwise intervals; points that are what they are by definition have no width."""
    table[["low", "high"]] = np.where(certain[:, None], table[["y"]], np.array(ends))


def _add_range(table: pd.DataFrame, replicates: np.ndarray, criteria: Criteria, prefix) -> None:
    tail = (1 - criteria.level) / 2
    table[f"{prefix}low"], table[f"{prefix}high"] = np.quantile(
        replicates, [tail, 1 - tail], axis=0
    )
