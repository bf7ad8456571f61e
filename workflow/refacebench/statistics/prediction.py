"""How well a number is predicted: error, R2, correlation and slope, with intervals.

Pure functions of arrays.  The participant is the unit: each one counts the same, however many
scans it has, and intervals come from leaving out one participant after the other (jackknife)
on a scale on which the measure is nearly symmetric, with Student's t.  A percentile bootstrap
is too narrow in ten participants; what these intervals cover is simulated in
``benchmarks/brainage.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refacebench.statistics.intervals import NO_INTERVAL

#: Mean absolute error and R2 (against the mean of the true values), Pearson's correlation, slope
#: of prediction on truth, mean of prediction minus truth.
MEASURES = ("mae", "r2", "r", "slope", "bias")
#: Where each is nearly symmetric: the way there, and back.
_SCALES: dict[str, tuple[Callable, Callable]] = {
    "mae": (np.log, np.exp),
    "r2": (lambda v: np.log1p(-v), lambda v: -np.expm1(v)),
    "r": (np.arctanh, np.tanh),
}
#: Fewer participants have no interval, and no correlation worth the name.
LEAST = 4


def moments(predicted, true, participants) -> tuple[np.ndarray, np.ndarray]:
    """Return each participant's means of what all measures are made of.

    Parameters
    ----------
    predicted, true : array_like
        Shape (scans,); scans without either are left out.
    participants : array_like of str

    Returns
    -------
    numpy.ndarray
        Shape (participants, 6): p, a, p p, a a, p a, abs(p - a).
    numpy.ndarray of str
        Whose they are, sorted.
    """
    p, a = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
    known = np.isfinite(p) & np.isfinite(a)
    p, a = p[known], a[known]
    names, place = np.unique(np.asarray(participants, dtype=str)[known], return_inverse=True)
    counts = np.bincount(place, minlength=len(names))
    parts = (p, a, p * p, a * a, p * a, np.abs(p - a))
    sums = [np.bincount(place, weights=part, minlength=len(names)) for part in parts]
    return np.stack(sums, axis=-1) / np.maximum(counts, 1)[:, None], names


def of_moments(mean: np.ndarray) -> dict[str, np.ndarray]:
    """Return all measures from means of the moments, shape (..., 6).

    What has no value (no spread of either) is NaN.
    """
    p, a, pp, aa, pa, off = np.moveaxis(mean, -1, 0)
    spread_a, spread_p, both = aa - a * a, pp - p * p, pa - p * a
    # What rounding leaves of no spread at all is none.
    spread_a = np.where(spread_a > 1e-12 * (1 + aa), spread_a, np.nan)
    spread_p = np.where(spread_p > 1e-12 * (1 + pp), spread_p, np.nan)
    return {
        "mae": off,
        "r2": 1 - (pp - 2 * pa + aa) / spread_a,
        "r": np.clip(both / np.sqrt(spread_a * spread_p), -1, 1),
        "slope": both / spread_a,
        "bias": p - a,
    }


def accuracy(predicted, true, participants, level: float = 0.95) -> dict[str, float]:
    """Return the measures of predictions with the ends of their intervals.

    Returns
    -------
    dict of str to float
        ``<measure>``, ``<measure>_low``, ``<measure>_high`` for each of :data:`MEASURES`.
    """
    table, _ = moments(predicted, true, participants)
    return _with_intervals(_measures(table), level)


def change(new, old, true, participants, level: float = 0.95) -> dict[str, float]:
    """Return how the measures of ``new`` predictions differ from those of ``old`` ones.

    Of the scans that have both.

    Returns
    -------
    dict of str to float
        ``<measure>_change``, ``<measure>_change_low``, ``<measure>_change_high``.
    """
    new, old = np.asarray(new, dtype=float), np.asarray(old, dtype=float)
    known = np.isfinite(new) & np.isfinite(old)
    pair = (
        _measures(moments(np.where(known, one, np.nan), true, participants)[0])
        for one in (new, old)
    )
    differences = {
        f"{name}_change": (one[0] - two[0], one[1] - two[1])
        for (name, one), two in zip(next(pair).items(), next(pair).values(), strict=True)
    }
    return _with_intervals(differences, level)


def gain(predicted, true, participants, level: float = 0.95, mean=None) -> dict[str, float]:
    """Return by how much predictions are better than knowing nothing but a mean.

    Parameters
    ----------
    mean : float, optional
        What knowing nothing predicts: the mean of those who were trained on.  Left out, it is
        the mean of the other participants.

    Returns
    -------
    dict of str to float
        ``mae_of_mean``; ``gain``, that minus the predictions' own, with ``_low`` and ``_high``.
    """
    table, _ = moments(predicted, true, participants)
    own, ages = table[:, 5], table[:, 1]
    if len(table) < 2:
        return {"mae_of_mean": np.nan, "gain": np.nan, "gain_low": np.nan, "gain_high": np.nan}
    guess = (ages.sum() - ages) / (len(ages) - 1) if mean is None else mean
    nothing = np.abs(ages - guess)
    better = nothing - own
    left_out = (better.sum() - better) / (len(better) - 1)
    found = _with_intervals({"gain": (np.array(better.mean()), left_out)}, level)
    return {"mae_of_mean": float(nothing.mean()), **found}


def permutation_p(predicted, true, participants, *, n: int, seed: int) -> float:
    """Return how likely predictions that know nothing would follow the truth this well.

    The participants' true values are permuted; one-sided, of the correlation.  For predictions
    of people whom the model never saw this is exact.  Out of fold it is conservative: there the
    predictions of a model without knowledge go against the truth (whom a fold leaves out pulls
    the others' mean the other way).
    """
    table, _ = moments(predicted, true, participants)
    if len(table) < LEAST or np.ptp(table[:, 0]) == 0 or np.ptp(table[:, 1]) == 0:
        return np.nan
    p, a = table[:, 0] - table[:, 0].mean(), table[:, 1]
    rng = np.random.default_rng(seed)
    at_random = np.array([p @ rng.permutation(a) for _ in range(n)])
    # Equal sums differ in their last digits.
    reached = at_random >= p @ a - 1e-9 * np.abs(p).sum() * np.abs(a).max()
    return float((1 + reached.sum()) / (1 + n))


def _measures(table: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return each measure of all participants, and of all but one."""
    n = len(table)
    if n == 0:
        return {name: (np.array(np.nan), np.full(0, np.nan)) for name in MEASURES}
    whole = of_moments(table.mean(axis=0))
    left_out = of_moments((table.sum(axis=0) - table) / max(n - 1, 1))
    if n < LEAST:
        whole = {k: v if k in ("mae", "bias") else np.array(np.nan) for k, v in whole.items()}
    return {name: (whole[name], left_out[name]) for name in MEASURES}


def _with_intervals(found: dict, level: float) -> dict[str, float]:
    result: dict[str, float] = {}
    for name, (value, left_out) in found.items():
        low, high = _jackknife(name, value, left_out, level)
        result |= {name: float(value), f"{name}_low": low, f"{name}_high": high}
    return result


def _jackknife(name: str, value, left_out: np.ndarray, level: float) -> tuple[float, float]:
    from scipy.stats import t

    n = len(left_out)
    there, back = _SCALES.get(name, (np.asarray, np.asarray))
    with np.errstate(divide="ignore", invalid="ignore"):
        center, each = there(value), there(left_out)
    if n < LEAST or not np.isfinite(center) or not np.isfinite(each).all():
        return NO_INTERVAL
    # A line has two numbers to estimate where a mean has one.
    freedom = n - 2 if name.removesuffix("_change") in ("r", "slope") else n - 1
    half = float(t.isf((1 - level) / 2, freedom) * np.sqrt((n - 1) * each.var()))
    ends = float(back(center - half)), float(back(center + half))
    return min(ends), max(ends)
