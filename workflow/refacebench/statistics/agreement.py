"""Agreement of two measurements of the same people: limits of agreement and ICC(A,1).

Pure functions of arrays, one value a participant.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from refacebench.statistics.intervals import NO_INTERVAL, finite


def limits(differences, level: float = 0.95, inside: float = 0.95) -> dict[str, float]:
    """Return bias and limits of agreement with their intervals.

    The limits hold the share ``inside`` of normal differences.  Their intervals are exact for
    normal differences (noncentral t), each by itself.

    Parameters
    ----------
    differences : sequence of float
        One a participant; non-finite ones are left out.

    Returns
    -------
    dict of str to float
        ``n``, ``bias``, ``bias_low``, ``bias_high``, ``sd``, ``lower``, ``lower_low``,
        ``lower_high``, ``upper``, ``upper_low``, ``upper_high``, and ``p_normal`` of Shapiro
        and Wilk's test: where the differences are not normal, limits and their intervals may lie
        far off.  NaN for fewer than three.

    References
    ----------
    Bland & Altman 1999, Stat Methods Med Res 8, 135-160; Carkeet 2015, Optom Vis Sci 92,
    e71-e80.
    """
    from scipy import stats

    values = finite(differences)
    n = len(values)
    names = ("bias", "bias_low", "bias_high", "sd", "lower", "lower_low", "lower_high", "upper",
             "upper_low", "upper_high", "p_normal")  # fmt: skip
    if n < 3:
        return {"n": n, **dict.fromkeys(names, np.nan)}
    bias, sd = float(values.mean()), float(values.std(ddof=1))
    half = stats.t.isf((1 - level) / 2, n - 1) * sd / np.sqrt(n)
    z = stats.norm.isf((1 - inside) / 2)
    near, far = (k * sd for k in _factors(n, float(level), float(inside)))
    normal = stats.shapiro(values).pvalue if np.ptp(values) > 0 else np.nan
    found = (bias, bias - half, bias + half, sd, bias - z * sd, bias - far, bias - near,
             bias + z * sd, bias + near, bias + far, normal)  # fmt: skip
    return {"n": n, **{name: float(value) for name, value in zip(names, found, strict=True)}}


@lru_cache(maxsize=256)
def _factors(n: int, level: float, inside: float) -> tuple[float, float]:
    """Return by how many standard deviations an interval's ends lie from the mean."""
    from scipy import stats

    centre = stats.norm.isf((1 - inside) / 2) * np.sqrt(n)
    tail = (1 - level) / 2
    near, far = stats.nct.ppf([tail, 1 - tail], n - 1, centre) / np.sqrt(n)
    return float(near), float(far)


def proportional(first, second, level: float = 0.95) -> dict[str, float]:
    """Return the slope of difference (second minus first) on mean: a bias that grows with size.

    Returns
    -------
    dict of str to float
        ``slope``, ``slope_low``, ``slope_high`` and ``slope_p`` (t test of no slope); NaN for
        fewer than four participants or means without spread.
    """
    from scipy import stats

    first, second = np.asarray(first, float), np.asarray(second, float)
    known = np.isfinite(first) & np.isfinite(second)
    difference, mean = (second - first)[known], (first + second)[known] / 2
    nothing = dict.fromkeys(("slope", "slope_low", "slope_high", "slope_p"), np.nan)
    if known.sum() < 4 or np.ptp(mean) == 0:
        return nothing
    found = stats.linregress(mean, difference)
    half = stats.t.isf((1 - level) / 2, known.sum() - 2) * found.stderr
    return {
        "slope": float(found.slope),
        "slope_low": float(found.slope - half),
        "slope_high": float(found.slope + half),
        "slope_p": float(found.pvalue),
    }


def icc_a1(measurements, level: float = 0.95) -> tuple[float, float, float]:
    """Return ICC(A,1), absolute agreement of single measurements, with its F-based interval.

    Parameters
    ----------
    measurements : numpy.ndarray of float
        Shape (n participants, k measurements); participants with a NaN are left out.

    Returns
    -------
    icc, low, high : float
        NaN for fewer than three participants or without any spread.  The same as ICC(2,1) of
        Shrout & Fleiss (1979).

    References
    ----------
    McGraw & Wong 1996, Psychol Methods 1, 30-46 (table 4 and 7; corrected at 1, 390).
    """
    values = np.asarray(measurements, float)
    values = values[np.isfinite(values).all(axis=1)]
    n, k = values.shape
    if n < 3 or k < 2 or np.ptp(values) == 0:
        return (np.nan, *NO_INTERVAL)
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    whole = values.mean()
    msr = k * ((rows - whole) ** 2).sum() / (n - 1)
    msc = n * ((columns - whole) ** 2).sum() / (k - 1)
    residual = values - rows[:, None] - columns + whole
    mse = (residual**2).sum() / ((n - 1) * (k - 1))
    icc = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    if np.isclose(icc, 1.0, rtol=0, atol=1e-14):
        return 1.0, 1.0, 1.0
    return float(icc), *_icc_interval(n, k, msr, msc, mse, icc, level)


def _icc_interval(n, k, msr, msc, mse, icc, level) -> tuple[float, float]:
    from scipy import stats

    a = k * icc / (n * (1 - icc))
    b = 1 + k * icc * (n - 1) / (n * (1 - icc))
    parts = (a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1))
    if parts == 0:
        return NO_INTERVAL
    df = (a * msc + b * mse) ** 2 / parts
    tail = (1 - level) / 2
    below, above = stats.f.isf(tail, n - 1, df), stats.f.isf(tail, df, n - 1)
    rest = k * msc + (k * n - k - n) * mse
    low = n * (msr - below * mse) / (below * rest + n * msr)
    high = n * (above * msr - mse) / (rest + n * above * msr)
    return float(low), float(high)
