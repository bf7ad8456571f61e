"""Damped Gauss-Newton steps (Levenberg and Marquardt) towards the least error.

Numbers in, numbers out; what a matrix is and how a step moves it is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: Damping at the start, as a share of the diagonal of the normal equations.
FIRST_DAMPING = 1e-3


def affine_equations(slopes, rest, points) -> tuple[np.ndarray, np.ndarray]:
    """Sum J'J and J'r of an affine map over channels; a row of J is slope x (point, 1).

    Parameters
    ----------
    slopes : numpy.ndarray
        Shape (channels x 3, n): what each channel gains along each axis at each point.
    rest : numpy.ndarray
        Shape (channels, n): what is left of each channel.
    points : numpy.ndarray
        Shape (n, 4), the last coordinate 1.

    Returns
    -------
    numpy.ndarray
        12 x 12, and shape (12,): of the map's upper three rows, one after the other.
    """
    normal, right = np.zeros((12, 12)), np.zeros(12)
    for slope, residual in zip(slopes.reshape(len(rest), 3, -1), rest, strict=True):
        rows = (slope.T[:, :, None] * points[:, None, :]).reshape(-1, 12)
        normal += rows.T @ rows
        right += rows.T @ residual
    return normal, right


def minimise(
    look: Callable[[np.ndarray], tuple[float, Callable[[], tuple[np.ndarray, np.ndarray]]]],
    move: Callable[[np.ndarray, np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    steps: int,
    gain: float,
    damping: tuple[float, float],
) -> np.ndarray:
    """Return what has the least error of all that was tried.

    Parameters
    ----------
    look : callable
        Gives the error at a place, and a function of no argument for its normal equations J'J
        and J'r, which is called only where a step starts.
    move : callable
        Takes a place and a step, shape (parameters,), and gives the next place.
    start : numpy.ndarray
        The first place.
    steps : int
        How many places are looked at, at most.
    gain : float
        A step that lowers the error by less than this share is the last.
    damping : tuple of float
        The least damping; and the largest, at which there is no way down any more.
    """
    least, most = damping
    now, best, kept, at = FIRST_DAMPING, np.inf, start, start
    for _ in range(steps):
        error, equations = look(at)
        if error > best:
            now *= 10
            if now > most:
                break
        else:
            gained = best - error
            best, kept, now = error, at, max(now / 10, least)
            if gained < gain * best:
                break
            normal, right = equations()
        step = np.linalg.solve(normal + now * np.diag(np.diag(normal)), right)
        at = move(kept, step)
    return kept
