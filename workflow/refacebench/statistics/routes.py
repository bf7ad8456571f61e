"""The worst that any attacker does to a variant, over all attackers and all routes.

The worst case of a variant is taken over all attackers and
over all *routes*: directly on the variant, and on every refaced variant made
from it (reconstruction first), since whoever holds a defaced scan can put a
face back before the attack.  A new face that was put where one was removed can
be taken off again, and the defaced scan is back: its routes are routes to the
refaced variant too, so that refacing buys no privacy that its defacer has not.
Where a defacer blurs, that is an upper bound: what was left of the face is not
below the new one.  Images of other contrasts that are shared along with a scan (its
companions, which lost the face by its mask) are routes too: people are as safe as in
the weakest image of them.

How the worst of several noisy rates is estimated: :mod:`~refacebench.statistics.worst`.

**Failures.**  A scan without a score is no privacy.  Rates are of *completers*, the
participants with a score.  A participant *failed* where no attacker has a score on the
variant itself.  Where methods are compared, who failed counts as identified, which a method
pays for and never gains by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.statistics import worst
from refacebench.statistics.attack_tables import DIRECT, TAKEN_OFF
from refacebench.statistics.attack_tests import CHANCES
from refacebench.statistics.attacks import Evaluation
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.gaps import Reached
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import CONTRAST, split_contrast, split_variant


def declared_measure(results: Sequence[Evaluation], protocol: Protocol) -> str:
    """Return the measure of the worst case; rank 1 where galleries are too small for a choice."""
    values = [r.row.get(protocol.measure, np.nan) for r in results]
    return protocol.measure if np.isfinite(values).any() else "rank1"


def routes_to(results: Sequence[Evaluation], variant: str) -> dict[tuple[str, str], Evaluation]:
    """Return the attacks that reach a variant, by attacker and route."""
    found = {}
    for result in results:
        route = route_to(variant, result.row["variant"])
        if route and "rank1" in result.persons:
            found[result.row["attacker"], route] = result
    return found


def failed(routes: Mapping[tuple[str, str], Evaluation]) -> pd.Series:
    """Return by participant whether no attacker has a score on the variant itself.

    An attacker that has no score on anything of a variant (a program that is not there)
    is asked only where nobody else was.
    """
    direct = [r.persons["rank1"] for (_, route), r in routes.items() if route == DIRECT]
    direct = [values for values in direct if values.notna().any()] or direct
    if not direct:
        return pd.Series(dtype=bool)
    return pd.concat(direct, axis=1).isna().all(axis=1)


def _table(routes: Mapping[tuple[str, str], Evaluation], measure: str) -> pd.DataFrame:
    """Return the participants' values, one column per route; routes without any are left out."""
    values = {key: r.persons[measure] for key, r in routes.items() if measure in r.persons}
    return pd.DataFrame({key: v for key, v in values.items() if v.notna().any()})


def against(results: Sequence[Evaluation], variant: str, measure: str) -> pd.DataFrame:
    """Return the participants' values above chance by route; who failed counts as identified."""
    routes = routes_to(results, variant)
    table, lost = _table(routes, measure), failed(routes)
    table = table.reindex(table.index.union(lost.index[lost]))
    table.loc[lost.index[lost]] = 1.0
    return table - _chances(routes, table, measure)


def completers(results: Sequence[Evaluation], variant: str, measure: str) -> Reached:
    """Return the participants' values by route, of those with a score."""
    routes = routes_to(results, variant)
    table = _table(routes, measure)
    return Reached(table, _chances(routes, table, measure))


def _chances(routes: Mapping, table: pd.DataFrame, measure: str) -> np.ndarray:
    """Return the chance of each route of a table."""
    return np.array([routes[key].row[CHANCES[measure]] for key in table], dtype=float)


def worst_case(
    results: Sequence[Evaluation], variant: str, measure: str, criteria: Criteria
) -> dict | None:
    """Return how often the worst attack identifies the people behind a variant's scans.

    Returns
    -------
    dict or None
        ``identification`` is picked and judged on different participants
        (:func:`~refacebench.statistics.worst.picked_elsewhere`), ``low`` and ``high`` hold the
        true worst case, ``worst_rate`` is what the attack that looked worst reached, as it
        is; ``above_chance_at_most`` is the upper bound of all routes
        (:func:`~refacebench.statistics.worst.above_chance`), and ``p_holm`` the smallest
        corrected p of any of them.  None where nobody was asked about.
    """
    routes = routes_to(results, variant)
    if not any(len(r.persons["rank1"]) for r in routes.values()):
        return None
    table, lost = _table(routes, measure), failed(routes)
    people = table.index.union(lost.index)
    counts = {
        "n": len(people),
        "n_failed": int(lost.sum()),
        "n_attackers": len({attacker for attacker, _ in table}),
        "n_routes": table.shape[1],
        "measure": measure,
    }
    if table.empty:
        return {**counts, "n_completers": 0, "p": np.nan}
    chances = _chances(routes, table, measure)
    place = int(np.argmax(table.mean().to_numpy() - chances))
    attacker, route = table.columns[place]
    own = table.iloc[:, place]
    low, high = worst.interval(table, chances, criteria)
    value = float(np.clip(worst.picked_elsewhere(table, chances, criteria), low, high))
    lost_share = lost.sum() / len(people)
    return {
        **counts,
        "n_completers": int(own.notna().sum()),
        "worst_attacker": attacker,
        "worst_route": route,
        "identification": value,
        "identification_all": value * (1 - lost_share) + lost_share,
        "low": low,
        "high": high,
        "worst_rate": float(own.mean()),
        "chance": float(chances[place]),
        "p": worst.any_above_chance(
            table.mean().to_numpy(),
            np.column_stack([routes[key].shuffled[measure] for key in table]),
        ),
        "p_holm": min(routes[key].row["p_holm"] for key in table),
        "above_chance_at_most": worst.above_chance(table, chances, criteria),
    }


def route_to(variant: str, attacked: str) -> str:
    """Return by which route an attack on one variant reaches another; empty for none.

    >>> [route_to("a", v) for v in ("a", "a+m", "b+m")]
    ['direct', 'm', '']
    >>> [route_to("a+m", v) for v in ("a+m", "a", "a+k", "b", "a@T2w")]
    ['direct', 'taken_off', 'k', '', '@T2w']
    """
    shown, contrast = split_contrast(attacked)
    if contrast:
        return f"{CONTRAST}{contrast}" if shown == split_variant(variant)[0] else ""
    if attacked == variant:
        return DIRECT
    defacer, model = split_variant(attacked)
    if defacer != split_variant(variant)[0]:
        return ""
    return model or TAKEN_OFF


def spread_of_chances(results: Sequence[Evaluation], measure: str) -> float:
    """Return by how much the chances of attacks differ at most."""
    chances = [r.row.get(CHANCES[measure], np.nan) for r in results]
    known = np.array(chances)[np.isfinite(chances)]
    return float(np.ptp(known)) if len(known) else 0.0
