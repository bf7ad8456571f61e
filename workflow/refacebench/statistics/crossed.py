"""Linear mixed models with two crossed random intercepts, by maximum likelihood.

Ratings of the same images by the same raters: ``value ~ effect + (1 | person) + (1 | rater)``.
:mod:`statsmodels` fits nested effects; crossed ones it takes as dense blocks of all rows.  Here the
likelihood is profiled over the two ratios of variances (Bates et al. 2015, J Stat Softw 67(1)),
with matrices as large as persons and raters together.  Pure functions of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Ratios of variances below this count as none.
_SMALLEST, _LARGEST = np.log(1e-8), np.log(1e4)


@dataclass(frozen=True)
class CrossedFit:
    """A fitted model.

    Attributes
    ----------
    estimates, errors : numpy.ndarray
        Of the design's columns.
    variances : tuple of float
        Between the levels of the first grouping, of the second, and within.
    log_likelihood : float
        Maximum, with all constants.
    converged : bool
    """

    estimates: np.ndarray
    errors: np.ndarray
    variances: tuple[float, float, float]
    log_likelihood: float
    converged: bool


def fit(values, design, first, second) -> CrossedFit:
    """Fit a linear model with random intercepts of two crossed groupings.

    Parameters
    ----------
    values : array_like of float
        Shape (n,).
    design : array_like of float
        Shape (n, k), columns of full rank.
    first, second : array_like
        Names of the groups of each value, shape (n,).

    Raises
    ------
    ValueError
        If a grouping has one level, or there are no more values than levels and columns.
    """
    from scipy import optimize

    values, design = np.asarray(values, float), np.asarray(design, float)
    groups = [np.unique(np.asarray(names).astype(str), return_inverse=True)[1]
              for names in (first, second)]  # fmt: skip
    sizes = [int(places.max()) + 1 for places in groups]
    if min(sizes) < 2 or len(values) <= sum(sizes) + design.shape[1]:
        raise ValueError("two levels of each grouping and more values than levels are needed")
    parts = _Parts(values, design, groups, sizes)
    starts = [(-1.0, -1.0), (1.0, -3.0)]
    limits = [(_SMALLEST, _LARGEST)] * 2
    found = [
        optimize.minimize(
            lambda at: -parts.profile(at)[0],
            start,
            method="Nelder-Mead",
            bounds=limits,
            options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 2000},
        )
        for start in starts
    ]
    best = min(found, key=lambda one: one.fun)
    likelihood, beta, errors, within = parts.profile(best.x)
    between = [within * float(np.exp(log)) if log > _SMALLEST + 1e-3 else 0.0 for log in best.x]
    variances = (between[0], between[1], within)
    return CrossedFit(beta, errors, variances, likelihood, bool(best.success))


class _Parts:
    """Products of the data that every value of the likelihood needs."""

    def __init__(self, values, design, groups, sizes):
        n = len(values)
        random = np.zeros((n, sum(sizes)))
        random[np.arange(n), groups[0]] = 1.0
        random[np.arange(n), sizes[0] + groups[1]] = 1.0
        both = np.column_stack([design, values])
        self.n, self.sizes = n, sizes
        self.zz, self.zb, self.bb = random.T @ random, random.T @ both, both.T @ both

    def profile(self, logs):
        """Return likelihood, estimates, errors and residual variance at two log ratios."""
        root = np.sqrt(np.repeat(np.exp(logs), self.sizes))
        inner = np.eye(len(root)) + root[:, None] * self.zz * root
        factor = np.linalg.cholesky(inner)
        half = np.linalg.solve(factor, root[:, None] * self.zb)
        # Design and values, weighted by the inverse of their covariance (Woodbury).
        weighted = self.bb - half.T @ half
        information, right = weighted[:-1, :-1], weighted[:-1, -1]
        beta = np.linalg.solve(information, right)
        within = float(weighted[-1, -1] - right @ beta) / self.n
        logdet = 2 * np.log(np.diag(factor)).sum()
        likelihood = -0.5 * (self.n * (np.log(2 * np.pi * within) + 1) + logdet)
        errors = np.sqrt(within * np.diag(np.linalg.inv(information)))
        return float(likelihood), beta, errors, within


def likelihood_ratio(full: CrossedFit, null: CrossedFit) -> tuple[float, int, float]:
    """Return chi-squared, degrees of freedom and p of a model against one nested in it."""
    from scipy import stats

    degrees = len(full.estimates) - len(null.estimates)
    chi2 = max(0.0, 2 * (full.log_likelihood - null.log_likelihood))
    return chi2, degrees, float(stats.chi2.sf(chi2, degrees))
