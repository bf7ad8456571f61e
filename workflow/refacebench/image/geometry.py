"""Boxes around masks, and masks that grow by millimetres.  Arrays in, arrays out."""

from __future__ import annotations

import numpy as np


def box_around(mask: np.ndarray, margin=(0, 0, 0)) -> tuple[slice, ...] | None:
    """Return the smallest box around a mask, within the array; None for an empty mask.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        Three axes.
    margin : sequence of int
        Voxels that the box is larger by, on both sides of each axis.

    >>> mask = np.zeros((9, 9, 9), bool)
    >>> mask[2:4, 5, 8] = True
    >>> box_around(mask, margin=(1, 0, 2))
    (slice(1, 5, None), slice(5, 6, None), slice(6, 9, None))
    """
    if not mask.any():
        return None
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = int(hit[0]) - int(margin[axis]), int(hit[-1]) + int(margin[axis]) + 1
        box.append(slice(max(0, low), min(mask.shape[axis], high)))
    return tuple(box)


def grow(mask: np.ndarray, spacing: np.ndarray, margin_mm: float) -> np.ndarray:
    """Return the voxels no further than ``margin_mm`` from a mask (Euclidean)."""
    if margin_mm <= 0 or not mask.any():
        return mask.astype(bool)
    from scipy.ndimage import distance_transform_edt

    box = box_around(mask, np.ceil(margin_mm / np.asarray(spacing)).astype(int) + 1)
    grown = np.zeros(mask.shape, bool)
    grown[box] = distance_transform_edt(~mask[box], sampling=spacing) <= margin_mm + 1e-6
    return grown
