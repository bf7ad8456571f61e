"""The privacy-utility plane: the worst that any attacker does, against the change in volumes.

Pure functions.  The worst case of a variant is taken over all attackers and
over all *routes*: directly on the variant, and on every refaced variant made
from it (reconstruction first), since whoever holds a defaced scan can put a
face back before the attack.  A new face that was put where one was removed can
be taken off again, and the defaced scan is back: its routes are routes to the
refaced variant too, so that refacing buys no privacy that its defacer has not.
Where a defacer blurs, that is an upper bound: what was left of the face is not
below the new one.  Attackers that look at no face are set apart: what they
reach is a *floor* that no defacer goes under, and counting it would hide what
defacing does achieve.

How the worst of several noisy rates is estimated: :mod:`~refacebench.statistics.worst`.
What "better beyond uncertainty" means: :mod:`~refacebench.statistics.front`.

**Failures.**  A scan without a score is no privacy.  Rates are of *completers*, the
participants with a score.  A participant *failed* where no attacker has a score on the
variant itself.  Where methods are compared, who failed counts as identified, which a method
pays for and never gains by; a variant on which half of the participants or more failed is
not comparable: it is neither on the front nor better than any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.statistics import front, paired, worst
from refacebench.statistics.columns import FAMILIES, frame
from refacebench.statistics.privacy import PROTOCOLS, RENDERED, Protocol, Result
from refacebench.statistics.settings import Settings
from refacebench.vocabulary import split_variant

#: The variants that are no candidates: they stand in the plane as landmarks.
LANDMARKS = ("original", "null")
#: Routes beside the names of models: the variant as it is; its new face taken off.
DIRECT, TAKEN_OFF = "direct", "taken_off"
#: Columns of the floor, and what they are called in a worst case.
FLOOR = {
    "floor_attacker": "worst_attacker",
    "floor": "identification",
    "floor_low": "low",
    "floor_high": "high",
}
#: Where each measure's chance stands in a row of ``privacy``.
CHANCES = {"rank1": "chance", "choice": "choice_chance"}
#: Failures at which a variant is no longer comparable, as a share of the participants or scans.
MOST_FAILED = 0.5


def tradeoff(
    results: Sequence[Result],
    volumes: pd.DataFrame,
    protocol: Protocol,
    settings: Settings,
    floors: Collection[str] = (),
) -> pd.DataFrame:
    """Return the table ``tradeoff``: one row a setting, segmenter and variant.

    ``floors`` names the attackers that look at no face.  Their worst case stands
    in the columns ``floor...``; it counts as the worst case itself only where
    nobody else attacks.

    ``rank`` is 1 (and ``pareto`` 1) where no other variant of the same setting and
    segmenter is shown to be better in identification or volumes and looks no worse in the
    other (rates below chance count as chance); landmarks (original, null control) and variants
    that are not comparable do not compete.
    """
    measure = _measure(results, protocol)
    segmenters = list(dict.fromkeys(volumes["segmenter"])) or [""]
    rows, attacked, spread = [], {}, {}
    for setting in PROTOCOLS:
        mine = [r for r in results if r.row["setting"] == setting]
        variants = [v for v in dict.fromkeys(r.row["variant"] for r in mine) if v not in RENDERED]
        apart = [r for r in mine if r.row["attacker"] in floors]
        faces = [r for r in mine if r.row["attacker"] not in floors] or apart
        found = {v: worst_case(faces, v, measure, settings) for v in variants}
        found = _corrected({v: row for v, row in found.items() if row is not None})
        attacked[setting] = {v: against(faces, v, measure) for v in found}
        spread[setting] = _spread(faces, measure)
        for variant, row in found.items():
            floor = worst_case(apart, variant, measure, settings) or {}
            for segmenter in segmenters:
                rows.append(
                    {
                        "variant": variant,
                        "setting": setting,
                        "segmenter": segmenter,
                        **row,
                        **{column: floor.get(name, np.nan) for column, name in FLOOR.items()},
                        **volume_change(volumes, segmenter, variant),
                    }
                )
    table = frame("tradeoff", rows)
    table["comparable"] = _comparable(table)
    table[["rank", "pareto"]] = np.nan
    table.loc[table["comparable"] == 0, "pareto"] = 0.0
    for (setting, _), group in table.groupby(["setting", "segmenter"], sort=False):
        rivals = group[group["comparable"] == 1]
        rivals = rivals[rivals["volume_change_pct"].notna()]
        ranks = _ranks(rivals, attacked[setting], spread[setting], settings)
        table.loc[rivals.index, "rank"] = ranks.astype(float)
        table.loc[rivals.index, "pareto"] = (ranks == 1).astype(float)
    return table


def _measure(results: Sequence[Result], protocol: Protocol) -> str:
    """Return the measure of the worst case; rank 1 where galleries are too small for a choice."""
    values = [r.row.get(protocol.measure, np.nan) for r in results]
    return protocol.measure if np.isfinite(values).any() else "rank1"


def _corrected(found: dict[str, dict]) -> dict[str, dict]:
    """Add the p values corrected over the variants of a setting."""
    p_values = paired.correct([row["p"] for row in found.values()], "holm")
    return {
        variant: {**row, "p_holm": float(p)}
        for (variant, row), p in zip(found.items(), p_values, strict=True)
    }


def _comparable(table: pd.DataFrame) -> pd.Series:
    """Return 1 for variants that compete, 0 where too many failed, NaN for landmarks."""
    few = table["n_failed"] >= MOST_FAILED * table["n"]
    few |= table["identification"].isna()
    # Where nothing is known of the volumes there is no place in the plane, but no fault either.
    few |= table["volume_failed_share"].fillna(0.0) >= MOST_FAILED
    found = (~few).astype(float)
    return found.mask(table["variant"].isin(LANDMARKS))


def _spread(results: Sequence[Result], measure: str) -> float:
    """Return by how much the chances of attacks differ at most."""
    chances = [r.row.get(CHANCES[measure], np.nan) for r in results]
    known = np.array(chances)[np.isfinite(chances)]
    return float(np.ptp(known)) if len(known) else 0.0


def _ranks(
    rivals: pd.DataFrame, attacked: Mapping, spread: float, settings: Settings
) -> np.ndarray:
    """Return the rank of each rival; who failed counts as identified."""
    routes = {variant: attacked[variant] for variant in rivals["variant"]}
    # Below chance is luck and no better than chance.
    risk = (rivals["identification_all"] - rivals["chance"]).clip(lower=0.0)
    change = rivals["volume_change_pct"].to_numpy(dtype=float)
    # Being safer matters only where the volumes look no worse: no other pair need be tested.
    asked = change[:, None] <= change[None, :]
    better = [
        front.safer(routes, asked, settings.alpha, spread, settings.seed),
        front.nearer(rivals["volume_low"], rivals["volume_high"]),
    ]
    points = np.column_stack([risk, change])
    return front.layers(points, np.array(better))


def is_unranked(table: pd.DataFrame) -> bool:
    """Tell whether nothing separates the methods of one setting and segmenter: all have rank 1."""
    ranks = table["rank"].dropna()
    return len(ranks) > 1 and bool((ranks == 1).all())


def routes_to(results: Sequence[Result], variant: str) -> dict[tuple[str, str], Result]:
    """Return the attacks that reach a variant, by attacker and route."""
    found = {}
    for result in results:
        route = route_to(variant, result.row["variant"])
        if route and "rank1" in result.persons:
            found[result.row["attacker"], route] = result
    return found


def failed(routes: Mapping[tuple[str, str], Result]) -> pd.Series:
    """Return by participant whether no attacker has a score on the variant itself.

    An attacker that has no score on anything of a variant (a program that is not there)
    is asked only where nobody else was.
    """
    direct = [r.persons["rank1"] for (_, route), r in routes.items() if route == DIRECT]
    direct = [values for values in direct if values.notna().any()] or direct
    if not direct:
        return pd.Series(dtype=bool)
    return pd.concat(direct, axis=1).isna().all(axis=1)


def _table(routes: Mapping[tuple[str, str], Result], measure: str) -> pd.DataFrame:
    """Return the participants' values, one column a route; routes without any are left out."""
    values = {key: r.persons[measure] for key, r in routes.items() if measure in r.persons}
    return pd.DataFrame({key: v for key, v in values.items() if v.notna().any()})


def against(results: Sequence[Result], variant: str, measure: str) -> pd.DataFrame:
    """Return the participants' values above chance by route; who failed counts as identified."""
    routes = routes_to(results, variant)
    table, lost = _table(routes, measure), failed(routes)
    table = table.reindex(table.index.union(lost.index[lost]))
    table.loc[lost.index[lost]] = 1.0
    return table - _chances(routes, table, measure)


def _chances(routes: Mapping, table: pd.DataFrame, measure: str) -> np.ndarray:
    """Return the chance of each route of a table."""
    return np.array([routes[key].row[CHANCES[measure]] for key in table], dtype=float)


def worst_case(
    results: Sequence[Result], variant: str, measure: str, settings: Settings
) -> dict | None:
    """Return how often the worst attack identifies the people behind a variant's scans.

    Returns
    -------
    dict or None
        ``identification`` is picked and judged on different participants
        (:func:`~refacebench.statistics.worst.picked_elsewhere`), ``low`` and ``high`` hold the
        true worst case, ``worst_rate`` is what the attack that looked worst reached, as it
        is.  None where nobody was asked about.
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
    low, high = worst.interval(table, chances, settings)
    value = float(np.clip(worst.picked_elsewhere(table, chances, settings), low, high))
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
    }


def route_to(variant: str, attacked: str) -> str:
    """Return by which route an attack on one variant reaches another; empty for none.

    >>> [route_to("a", v) for v in ("a", "a+m", "b+m")]
    ['direct', 'm', '']
    >>> [route_to("a+m", v) for v in ("a+m", "a", "a+k", "b")]
    ['direct', 'taken_off', 'k', '']
    """
    if attacked == variant:
        return DIRECT
    defacer, model = split_variant(attacked)
    if defacer != split_variant(variant)[0]:
        return ""
    return model or TAKEN_OFF


def volume_change(volumes: pd.DataFrame, segmenter: str, variant: str) -> dict:
    """Return the change of the volume that changes most: the largest absolute median change.

    Over all volumes, whole-brain ones included.  The interval is honest about having picked
    the largest: at its lower end stands the largest of the volumes' lower ends where all
    of their intervals hold at once (``low_joint``, ``high_joint``), at its upper end the
    largest of their own upper ends, since the truly largest change lies below its own.  Noise alone
    makes a largest change above zero: the null control's says how large.
    """
    if variant == "original":
        return {
            "n_volumes": 0,
            "volume_change_pct": 0.0,
            "volume_low": 0.0,
            "volume_high": 0.0,
        }
    rows = volumes[
        (volumes["segmenter"] == segmenter)
        & (volumes["variant"] == variant)
        & volumes["region"].isin(FAMILIES)
    ]
    failures = _volume_failures(rows)
    rows = rows[rows["median_change_pct"].notna()]
    if rows.empty:
        return {"n_volumes": 0, **failures}
    change = rows["median_change_pct"].abs()
    joint = [f"{end}_joint" if f"{end}_joint" in rows else end for end in ("low", "high")]
    far = rows[["low", "high"]].abs().max(axis=1, skipna=False)
    known = bool(far.notna().all())
    return {
        "n_volumes": len(rows),
        "worst_volume": str(rows.loc[change.idxmax(), "region"]),
        "volume_change_pct": float(change.max()),
        "volume_low": float(_nearest(*(rows[name] for name in joint)).max()) if known else np.nan,
        "volume_high": float(far.max()) if known else np.nan,
        **failures,
    }


def _nearest(low: pd.Series, high: pd.Series) -> pd.Series:
    """Return the smallest absolute value between two ends; 0 where an end is not known."""
    return low.abs().where(low.abs() < high.abs(), high.abs()).where(low * high > 0, 0.0)


def _volume_failures(rows: pd.DataFrame) -> dict:
    """Return how many scans have no volumes, and their share where it can be told."""
    if rows.empty:
        return {}
    count = int(rows["n_failed"].max())
    if "n_scans" not in rows:
        return {"n_volume_failed": count}
    share = rows["n_failed"] / (rows["n_failed"] + rows["n_scans"])
    return {"n_volume_failed": count, "volume_failed_share": float(share.max())}
