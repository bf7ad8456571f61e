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
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from ..names import split_variant
from ..segmenters import REGIONS
from .columns import frame
from .intervals import _quantiles, clopper_pearson, resample_counts, wider
from .privacy import PROTOCOLS, RENDERED, Protocol, Result
from .settings import Settings

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

    ``pareto`` is 1 where no other variant of the same setting and segmenter is
    at least as good in both identification (rates below chance count as chance)
    and volumes and better in one; landmarks (original, null control) do not compete.
    """
    measure = _measure(results, protocol)
    segmenters = list(dict.fromkeys(volumes["segmenter"])) or [""]
    rows = []
    for setting in PROTOCOLS:
        mine = [r for r in results if r.row["setting"] == setting]
        variants = [v for v in dict.fromkeys(r.row["variant"] for r in mine) if v not in RENDERED]
        apart = [r for r in mine if r.row["attacker"] in floors]
        faces = [r for r in mine if r.row["attacker"] not in floors] or apart
        for variant in variants:
            worst = worst_case(faces, variant, measure, settings)
            if worst is None:
                continue
            floor = worst_case(apart, variant, measure, settings) or {}
            for segmenter in segmenters:
                rows.append(
                    {
                        "variant": variant,
                        "setting": setting,
                        "segmenter": segmenter,
                        **worst,
                        **{column: floor.get(name, np.nan) for column, name in FLOOR.items()},
                        **volume_change(volumes, segmenter, variant),
                    }
                )
    table = frame("tradeoff", rows)
    table["pareto"] = np.nan
    for _, group in table.groupby(["setting", "segmenter"], sort=False):
        rivals = group[~group["variant"].isin(LANDMARKS)]
        rivals = rivals.dropna(subset=["identification", "volume_change_pct"])
        # Below chance is luck and no better than chance.
        risk = rivals["identification"].clip(lower=rivals["chance"])
        front = pareto(np.column_stack([risk, rivals["volume_change_pct"]]))
        table.loc[rivals.index, "pareto"] = front.astype(float)
    return table


def _measure(results: Sequence[Result], protocol: Protocol) -> str:
    """Return the measure of the worst case; rank 1 where galleries are too small for a choice."""
    values = [r.row.get(protocol.measure, np.nan) for r in results]
    return protocol.measure if np.isfinite(values).any() else "rank1"


def worst_case(
    results: Sequence[Result], variant: str, measure: str, settings: Settings
) -> dict | None:
    """Return the highest rate of identification that any attacker reaches on a variant.

    The interval is a percentile bootstrap of the *maximum*: participants are
    drawn once a resample for all attackers together.  The largest of several
    noisy rates is too high on average; ``bias`` says by how much the
    resamples' maxima exceed the observed one.  Widened to the Clopper-Pearson
    interval of the worst attacker where its rate is one of plain hits.

    Returns
    -------
    dict or None
        None where no attacker has a rate.
    """
    routes = {}
    for result in results:
        route = route_to(variant, result.row["variant"])
        values = result.persons.get(measure)
        if route and values is not None and len(values):
            routes[result.row["attacker"], route] = (values, result)
    if not routes:
        return None
    table = pd.DataFrame({key: values for key, (values, _) in routes.items()})
    rates = table.mean()
    (attacker, route), value = rates.idxmax(), float(rates.max())
    own = table[(attacker, route)].dropna()
    maxima = _maxima(table, settings)
    interval = _quantiles(maxima, settings.level) if len(maxima) else (np.nan, np.nan)
    if measure == "rank1" or own.isin((0.0, 1.0)).all():
        exact = clopper_pearson(float(own.sum()), len(own), settings.level)
        interval = wider(interval, exact)
    row = routes[attacker, route][1].row
    chance = row["chance"] if measure == "rank1" else row["choice_chance"]
    p_values = [r.row.get("p_holm", np.nan) for _, r in routes.values()]
    known = np.array(p_values)[np.isfinite(p_values)]
    return {
        "n": len(own),
        "n_attackers": len({key[0] for key in routes}),
        "n_routes": len(routes),
        "worst_attacker": attacker,
        "worst_route": route,
        "measure": measure,
        "identification": value,
        "low": interval[0],
        "high": interval[1],
        "bias": float(maxima.mean() - value) if len(maxima) else np.nan,
        "chance": chance,
        "p_holm_min": float(known.min()) if len(known) else np.nan,
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


def _maxima(table: pd.DataFrame, settings: Settings) -> np.ndarray:
    """Return the largest column mean of each resample of the rows, NaN cells left out."""
    if len(table) < 2:
        return np.empty(0)
    values = table.to_numpy(dtype=float)
    known = np.isfinite(values)
    counts = resample_counts(len(table), settings.n_boot, settings.seed)
    weights = counts @ known.astype(float)
    sums = counts @ np.where(known, values, 0.0)
    means = np.divide(sums, weights, out=np.full(sums.shape, -np.inf), where=weights > 0)
    found = means.max(axis=1)
    return found[np.isfinite(found)]


def volume_change(volumes: pd.DataFrame, segmenter: str, variant: str) -> dict:
    """Return the change of a typical region: the median over regions of the absolute one.

    The interval takes the same median over the ends of the regions' own
    intervals, folded at zero.  It always holds the value, and is wider than an
    interval of the median itself would be.
    """
    if variant == "original":
        return {"n_regions": 0, "volume_change_pct": 0.0, "volume_low": 0.0, "volume_high": 0.0}
    rows = volumes[
        (volumes["segmenter"] == segmenter)
        & (volumes["variant"] == variant)
        & volumes["region"].isin(REGIONS)
    ]
    change = rows["median_change_pct"].abs()
    known = change.notna()
    if not known.any():
        return {"n_regions": 0}
    low, high = rows["low"][known], rows["high"][known]
    near = np.where(low * high > 0, np.minimum(low.abs(), high.abs()), 0.0)
    near = np.where(low.isna() | high.isna(), np.nan, near)
    far = np.maximum(low.abs(), high.abs())
    return {
        "n_regions": int(known.sum()),
        "volume_change_pct": float(change.median()),
        "volume_low": _nanmedian(near),
        "volume_high": _nanmedian(far),
        "n_volume_failed": int(rows["n_failed"].max()),
    }


def _nanmedian(values) -> float:
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else np.nan


def pareto(points: np.ndarray) -> np.ndarray:
    """Return which points no other one beats, smaller being better on every axis.

    >>> pareto(np.array([[1, 3], [2, 2], [3, 3], [2, 2]])).tolist()
    [True, True, False, True]
    """
    points = np.asarray(points, dtype=float)
    if not len(points):
        return np.zeros(0, dtype=bool)
    as_good = (points[None, :, :] <= points[:, None, :]).all(axis=2)
    better = (points[None, :, :] < points[:, None, :]).any(axis=2)
    return ~(as_good & better).any(axis=1)
