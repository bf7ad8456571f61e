"""A vector field of many values, known in places: what it is expected to be elsewhere.

Two things say how values of different places go together: examples, by their principal
components (a statistical shape model), and smoothness, by a Gaussian process, for a dozen
examples do not span what the next person's shape may be.  Its kernel is the sum of two squared
exponentials, a long one and a short one: with the long one alone, neighbours would be taken to
tell more of what lies far away than they do.  Both together are the Gaussian process morphable
model of Lüthi et al. (IEEE TPAMI 40:1860-1873, 2018).  The expectation given some values with
noise is Gaussian process regression with explicit basis functions (Rasmussen & Williams,
Gaussian processes for machine learning, 2006, sections 2.2 and 2.7).  The mean of all is zero:
what is described is how people differ from a mean head.  Arrays in, arrays out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Places whose values are asked for in one go: bounds the memory of the kernel.
BLOCK = 4096


class Law(NamedTuple):
    """How a field varies.

    Attributes
    ----------
    examples : float
        What the examples' covariance counts; 0 leaves them aside.
    reach, smooth : float
        The long kernel's length, in the unit of the places, and its variance.
    short, fine : float
        The short kernel's length and variance.
    noise : float
        Variance of the noise of a known value.
    """

    examples: float
    reach: float
    smooth: float
    short: float
    fine: float
    noise: float


def components(examples: np.ndarray, most: int) -> np.ndarray:
    """Return the largest principal components of some examples, about zero.

    Parameters
    ----------
    examples : numpy.ndarray
        Shape (examples, values).
    most : int
        At most so many; no more than the examples have.

    Returns
    -------
    numpy.ndarray
        Shape (components, values), the largest first; with all of them ``x' x`` is the mean
        product of the examples.

    Raises
    ------
    ValueError
        If there is no example.
    """
    if not len(examples):
        raise ValueError("no example to learn from")
    # There are far fewer examples than values, so their products are decomposed.
    power, turn = np.linalg.eigh((examples @ examples.T).astype(np.float64) / len(examples))
    order = np.argsort(power)[::-1][:most]
    order = order[power[order] > 1e-6 * max(float(power.max()), 1e-12)]
    turn = turn[:, order] / np.sqrt(len(examples))
    # An eigenvector has no sign of its own.
    turn = turn * np.where(turn[np.abs(turn).argmax(axis=0), np.arange(len(order))] < 0, -1, 1)
    return turn.T.astype(examples.dtype) @ examples


def kernel(law: Law, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the covariance of the smooth part between places; each has shape (places, 3)."""
    apart = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    apart = np.maximum(apart, 0)
    result = law.smooth * np.exp(apart / (-2 * law.reach**2))
    return result + law.fine * np.exp(apart / (-2 * law.short**2))


def expected(
    law: Law, known: tuple[np.ndarray, np.ndarray, np.ndarray],
    wanted: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:  # fmt: skip
    """Return the expectation of a field in some places, given its values in others.

    Parameters
    ----------
    known : tuple of numpy.ndarray
        Places (n, 3), values there (channels, n), components there (components, channels, n).
    wanted : tuple of numpy.ndarray
        Places (m, 3), components there (components, channels, m).

    Returns
    -------
    numpy.ndarray
        Shape (channels, m), float64; zero where nothing is known.
    """
    from scipy.linalg import cho_factor, cho_solve

    at, values, loadings = (np.asarray(part, np.float64) for part in known)
    asked, there = wanted
    result = np.zeros((len(values), len(asked)))
    if not len(at):
        return result
    own = cho_factor(kernel(law, at, at) + law.noise * np.eye(len(at)))
    if law.examples > 0 and len(loadings):
        flat = loadings.reshape(-1, len(at))
        solved = cho_solve(own, flat.T).T.reshape(loadings.shape)
        normal = np.tensordot(loadings, solved, ([1, 2], [1, 2]))
        normal += np.eye(len(loadings)) / law.examples
        shares = np.linalg.solve(normal, np.tensordot(solved, values, ([1, 2], [0, 1])))
        values = values - np.tensordot(shares, loadings, 1)
        result += np.tensordot(shares, there, 1)
    weights = cho_solve(own, values.T)
    for start in range(0, len(asked), BLOCK):
        part = slice(start, start + BLOCK)
        result[:, part] += (kernel(law, asked[part].astype(np.float64), at) @ weights).T
    return result
