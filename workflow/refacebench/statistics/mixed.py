"""Linear mixed models of changes: variant fixed, participant random, site fixed.

Tables in, numbers out; :mod:`statsmodels` does the work.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

#: Sites with fewer participants than this are pooled; one that is left alone says nothing.
FEWEST_AT_SITE = 3
#: A participant variance below this share of the residual one counts as none.
NO_VARIANCE = 1e-6
CONVERGED = "converged"
#: Optimisers, in the order in which they are tried; those that follow the gradient often step to
#: where the variances have no inverse.
_METHODS = ("powell", "lbfgs", "cg")
_MOST_STEPS = 200
_POOLED, _NOT_RECORDED = "other sites", "not recorded"


@dataclass(frozen=True)
class MixedFit:
    """What a mixed model says of each variant.

    Attributes
    ----------
    estimates : pandas.DataFrame
        Index variant: ``estimate``, its mean at an average site; ``low``, ``high``, of a
        covariance that holds where variants spread differently (see :func:`fit`).  Empty where
        there is no model.
    n, n_values : int
        Participants and values.
    sd_participant, sd_residual : float
    sites : int
        Levels of the fixed effect of the site; 0 where it is not in the model.
    fit : str
        ``converged``, or what is wrong.
    """

    estimates: pd.DataFrame = field(default_factory=pd.DataFrame)
    n: int = 0
    n_values: int = 0
    sd_participant: float = np.nan
    sd_residual: float = np.nan
    sites: int = 0
    fit: str = "no values"


def fit(table: pd.DataFrame, level: float = 0.95) -> MixedFit:
    """Fit ``value ~ variant + site`` with a random intercept for each participant (REML).

    One residual variance for all variants is seldom true: a defacer that cuts into the brain
    varies more than one that does not.  The intervals are therefore those of a sandwich
    estimate over participants with Mancl and DeRouen's correction for few of them, with
    quantiles of t (participants - 1).

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan and variant: ``participant``, ``variant``, ``site`` (empty where it is
        not recorded), ``value``.

    Returns
    -------
    MixedFit
        Nothing is raised: what did not work is said in ``fit``.

    References
    ----------
    Laird & Ware 1982, Biometrics 38, 963-974; Mancl & DeRouen 2001, Biometrics 57, 126-134.
    """
    table = table[np.isfinite(table["value"].to_numpy(float))]
    table = table.sort_values(["participant", "variant"], kind="stable")
    people = table["participant"].nunique()
    size = {"n": people, "n_values": len(table)}
    variants = list(dict.fromkeys(table["variant"]))
    if people < 3 or len(table) < people + len(variants):
        return MixedFit(**size, fit="too few values: every participant needs two or more")
    design, levels = _design(table, variants)
    scale = float(table["value"].std())
    if not scale > 0:
        return MixedFit(**size, sites=levels, fit="all values are equal")
    found = _random_intercept(table["value"].to_numpy(float) / scale, design, table)
    if found is None:
        return MixedFit(**size, sites=levels, fit="no model: the optimiser did not converge")
    between, within = found
    estimates = _estimates(table, design, variants, between, within, level)
    said = CONVERGED
    if between <= NO_VARIANCE * within:
        said = "converged; participants do not differ beyond the residual (variance 0)"
    return MixedFit(
        estimates,
        **size,
        sd_participant=scale * np.sqrt(max(between, 0.0)),
        sd_residual=scale * np.sqrt(within),
        sites=levels,
        fit=said,
    )


def _design(table: pd.DataFrame, variants: list[str]) -> tuple[np.ndarray, int]:
    """Return a column per variant and, of sites, columns that sum to 0 over them."""
    columns = [(table["variant"] == name).to_numpy(float) for name in variants]
    site = pooled_sites(table)
    names = sorted(set(site))
    if len(names) < 2:
        return np.column_stack(columns), 0
    last = (site == names[-1]).to_numpy(float)
    columns += [(site == name).to_numpy(float) - last for name in names[:-1]]
    return np.column_stack(columns), len(names)


def pooled_sites(table: pd.DataFrame) -> pd.Series:
    """Return the site of each row; those with few participants are one."""
    site = table["site"].fillna("").astype(str).replace("", _NOT_RECORDED)
    sizes = table.groupby(site)["participant"].nunique()
    small = set(sizes.index[sizes < FEWEST_AT_SITE])
    if not small:
        return site
    pooled = site.where(~site.isin(small), _POOLED)
    if sizes[sizes.index.isin(small)].sum() >= FEWEST_AT_SITE:
        return pooled
    largest = sizes.idxmax()  # too few for a level of their own even together
    return pooled.where(pooled != _POOLED, largest)


def _random_intercept(values, design, table) -> tuple[float, float] | None:
    """Return the variances between participants and within, in the values' units."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    model = MixedLM(values, design, groups=table["participant"].to_numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in _METHODS:
            try:
                found = model.fit(reml=True, method=method, maxiter=_MOST_STEPS)
            except np.linalg.LinAlgError:
                continue
            between, within = float(found.cov_re[0, 0]), float(found.scale)
            if found.converged and np.isfinite(between) and within > 0:
                return between, within
    return None


def _estimates(table, design, variants, between, within, level) -> pd.DataFrame:
    """Return the weighted estimates of the variants with sandwich intervals."""
    from scipy import stats

    values = table["value"].to_numpy(float)
    _, starts = np.unique(table["participant"].to_numpy(str), return_index=True)
    parts = np.split(np.arange(len(values)), np.sort(starts)[1:])
    inverse = [np.linalg.inv(within * np.eye(len(p)) + between) for p in parts]
    bread = np.linalg.inv(
        sum(design[p].T @ w @ design[p] for p, w in zip(parts, inverse, strict=True))
    )
    total = sum(design[p].T @ w @ values[p] for p, w in zip(parts, inverse, strict=True))
    beta = bread @ total
    meat = np.zeros_like(bread)
    for p, w in zip(parts, inverse, strict=True):
        own = design[p]
        hat = own @ bread @ own.T @ w
        residual = np.linalg.solve(np.eye(len(p)) - hat, values[p] - own @ beta)
        score = own.T @ w @ residual
        meat += np.outer(score, score)
    error = np.sqrt(np.diag(bread @ meat @ bread))[: len(variants)]
    half = stats.t.isf((1 - level) / 2, len(parts) - 1) * error
    estimate = beta[: len(variants)]
    return pd.DataFrame(
        {"estimate": estimate, "low": estimate - half, "high": estimate + half}, index=variants
    )
