"""A Gaussian of many values, learnt from few examples, and what it says of those not seen.

Probabilistic principal components (Tipping & Bishop, Probabilistic principal component
analysis, J R Stat Soc B 61:611-622, 1999): a vector is ``mean + loadings' b`` plus noise, with
``b`` standard normal.  Given some of its entries the expectation of the others is a ridge
regression on ``b`` (their eq. 8 with the rows that are known).  Arrays in, arrays out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Gaussian(NamedTuple):
    """Covariance ``loadings' loadings`` around a mean.

    Attributes
    ----------
    mean : numpy.ndarray
        Shape (values,).
    loadings : numpy.ndarray
        Shape (components, values), the largest component first.
    """

    mean: np.ndarray
    loadings: np.ndarray


def fit(examples: np.ndarray, components: int) -> Gaussian:
    """Return the mean and the largest principal components of some examples.

    Parameters
    ----------
    examples : numpy.ndarray
        Shape (examples, values).
    components : int
        At most so many; no more than the examples have.

    Raises
    ------
    ValueError
        If there is no example.
    """
    if not len(examples):
        raise ValueError("no example to learn from")
    mean = examples.mean(axis=0)
    apart = examples - mean
    # There are far fewer examples than values, so their products are decomposed.
    power, turn = np.linalg.eigh((apart @ apart.T).astype(np.float64) / len(apart))
    order = np.argsort(power)[::-1][:components]
    order = order[power[order] > 1e-6 * max(float(power.max()), 1e-12)]
    turn = turn[:, order] / np.sqrt(len(apart))
    # An eigenvector has no sign of its own.
    turn = turn * np.where(turn[np.abs(turn).argmax(axis=0), np.arange(len(order))] < 0, -1, 1)
    return Gaussian(mean, turn.T.astype(examples.dtype) @ apart)


def expected(model: Gaussian, values: np.ndarray, known: np.ndarray, noise: float) -> np.ndarray:
    """Return the expectation of all values, given those that are known with noise.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (values,); only those that are ``known`` are read.
    known : numpy.ndarray of bool
        Shape (values,).
    noise : float
        Variance of the noise of a known value.  Neighbouring values that err together count
        as one, so it is larger than what one value shows alone.

    Returns
    -------
    numpy.ndarray
        Shape (values,); the mean where nothing is known.
    """
    if not known.any() or not len(model.loadings):
        return model.mean.copy()
    seen = model.loadings[:, known].astype(np.float64)
    rest = (values[known] - model.mean[known]).astype(np.float64)
    normal = seen @ seen.T + noise * np.eye(len(seen))
    shares = np.linalg.solve(normal, seen @ rest)
    return model.mean + (shares @ model.loadings).astype(model.mean.dtype)
