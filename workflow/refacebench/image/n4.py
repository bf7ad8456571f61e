"""The bias field of a T1w image by N4, on the points that are given.  Arrays in, arrays out.

Tustison NJ et al. N4ITK: improved N3 bias correction. IEEE TMI 2010.  The field is a tensor product
of cubic B-splines whose mesh gets twice as fine on each level; on each iteration the histogram of
the corrected logarithms is sharpened (Sled JG, Zijdenbos AP, Evans AC. A nonparametric method for
automatic correction of intensity nonuniformity in MRI data. IEEE TMI 1998), and what that takes off
is smoothed by a spline and joins the field.  The spline is fitted as in Lee S, Wolberg G, Shin SY.
Scattered data interpolation with multilevel B-splines. IEEE TVCG 1997: a fixed linear map of the
values at the points, so that an iteration is two products with a sparse matrix.  ITK's filter does
the same on images, in ten times the time.
"""

from __future__ import annotations

import numpy as np

#: As in ITK: bins of the histogram, width of the Gaussian that is taken out of it (logarithms),
#: and the noise of the Wiener filter that takes it out.
BINS, FWHM, NOISE = 200, 0.15, 0.01
#: Change of the field (coefficient of variation) below which a level ends.
ENOUGH = 1e-7


def fit(
    values: np.ndarray, places: np.ndarray, spans, levels: int, iterations: int = 50
) -> np.ndarray:
    """Return the spline of the logarithm of the bias field.

    Parameters
    ----------
    values : numpy.ndarray
        Positive intensities at points, shape (n,).
    places : numpy.ndarray
        Where these lie, shape (3, n): 0 and 1 are the ends of the spline's domain.
    spans : sequence of int
        Meshes of the spline along each axis, on the first level.
    levels, iterations : int
        Levels, and most iterations on each.

    Returns
    -------
    numpy.ndarray
        Control points, three axes: ``spans * 2 ** (levels - 1) + 3`` of them.
    """
    logs = np.log(values.astype(float))
    spans = np.asarray(spans, int)
    control = np.zeros(spans + 3)
    field = np.zeros_like(logs)
    for level in range(levels):
        if level:
            control, spans = _refined(control), 2 * spans
        at, smooth = _maps(places, spans)
        for _ in range(iterations):
            residual = (logs - field) - _sharpened(logs - field)
            control += (smooth @ residual).reshape(control.shape)
            before, field = field, at @ control.ravel()
            change = np.exp(before - field)
            if change.std() < ENOUGH * change.mean():
                break
    return control


def evaluate(control: np.ndarray, axes) -> np.ndarray:
    """Return a spline's values on a grid, given by the places along its three axes (0 .. 1)."""
    x, y, z = (
        _weights(np.asarray(along), size - 3, size).astype(np.float32)
        for along, size in zip(axes, control.shape, strict=True)
    )
    part = np.tensordot(y, np.tensordot(x, control.astype(np.float32), 1), (1, 1))  # j, i, c
    return np.ascontiguousarray(np.moveaxis(part, 1, 0)) @ z.T


def _weights(along: np.ndarray, spans: int, size: int) -> np.ndarray:
    """Return the weights of control points at places along an axis, shape (places, points)."""
    u = np.clip(along * spans, 0, np.nextafter(float(spans), 0))
    first = u.astype(int)
    t = (u - first)[:, None]
    cubic = np.hstack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    weights = np.zeros((len(u), size))
    np.put_along_axis(weights, first[:, None] + np.arange(4), cubic / 6, axis=1)
    return weights


def _maps(places: np.ndarray, spans: np.ndarray):
    """Return two sparse matrices: control points to values, and values to control points."""
    from scipy.sparse import csr_matrix, diags

    x, y, z = (_weights(p, int(n), int(n) + 3) for p, n in zip(places, spans, strict=True))
    dense = (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).reshape(len(x), -1)
    at = csr_matrix(dense)
    square = at.power(2)
    each = 1.0 / np.asarray(square.sum(axis=1)).ravel()
    whole = np.asarray(square.sum(axis=0)).ravel()
    share = np.divide(1.0, whole, out=np.zeros_like(whole), where=whole > 0)
    return at, (diags(share) @ at.power(3).T @ diags(each)).tocsr()


def _refined(control: np.ndarray) -> np.ndarray:
    """Return the control points of the same spline on a mesh that is twice as fine."""
    for axis in range(3):
        old = np.moveaxis(control, axis, 0)
        new = np.empty((2 * (len(old) - 3) + 3, *old.shape[1:]))
        new[0::2] = (old[:-1] + old[1:]) / 2
        new[1::2] = (old[:-2] + 6 * old[1:-1] + old[2:]) / 8
        control = np.moveaxis(new, 0, axis)
    return control


def _sharpened(logs: np.ndarray) -> np.ndarray:
    """Return what logarithms would be without the field: their expectation, given a blurred one."""
    low, high = logs.min(), logs.max()
    if not high > low:
        return logs
    step = (high - low) / (BINS - 1)
    place = (logs - low) / step
    counts = np.bincount(place.astype(int), 1 - place % 1, BINS + 1)
    counts += np.bincount(place.astype(int) + 1, place % 1, BINS + 1)[: BINS + 1]
    size = 2 << int(np.ceil(np.log2(BINS)))
    padded = np.zeros(size)
    start = (size - BINS) // 2
    padded[start : start + BINS] = counts[:BINS]
    width = FWHM / step
    away = np.minimum(np.arange(size), size - np.arange(size))
    blur = np.fft.rfft(
        2 * np.sqrt(np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * (away / width) ** 2)
    ).real
    sharp = np.maximum(np.fft.irfft(np.fft.rfft(padded) * blur / (blur**2 + NOISE), size), 0)
    levels = low + (np.arange(size) - start) * step
    above, below = (np.fft.irfft(np.fft.rfft(v) * blur, size) for v in (levels * sharp, sharp))
    expected = np.divide(above, below, out=np.zeros(size), where=below != 0)
    return np.interp(place, np.arange(BINS), expected[start : start + BINS])
