"""Boxes, crops, coarser grids, and masks that grow by millimetres.  Arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from refacebench.image import separable
from refacebench.image.nifti import Volume, grid


def box_around(mask: np.ndarray, margin=(0, 0, 0)) -> Any:
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


def box_within(mask: np.ndarray, spacing: np.ndarray, margin_mm: float) -> tuple[slice, ...]:
    """Return the box that holds a mask and a margin in millimetres; an empty one for no mask."""
    margin = np.ceil(margin_mm / np.asarray(spacing)).astype(int)
    return box_around(mask, margin) or (slice(0, 0),) * 3


def grow(mask: np.ndarray, spacing: np.ndarray, margin_mm: float) -> np.ndarray:
    """Return the voxels no further than ``margin_mm`` from a mask (Euclidean).

    >>> grow(np.array([[[True, False, False, False]]]), np.ones(3), 2.0).ravel()
    array([ True,  True,  True, False])
    """
    if margin_mm <= 0 or not mask.any():
        return mask.astype(bool)
    spacing = np.asarray(spacing, float)
    box = box_around(mask, np.ceil(margin_mm / spacing).astype(int) + 1)
    grown = np.zeros_like(mask, bool)
    if mask.flags.f_contiguous:  # as files are read: eight neighbours in memory go into a byte
        grown[box] = _grown(mask[box].T, spacing[::-1], margin_mm + 1e-6).T
    else:
        grown[box] = _grown(mask[box], spacing, margin_mm + 1e-6)
    return grown


def _grown(mask: np.ndarray, spacing: np.ndarray, reach: float) -> np.ndarray:
    """Grow by a ball: rows along the last axis, eight voxels a byte, shifted along the others.

    Exact, and for the few voxels of a margin many times as fast as a map of all distances.
    """
    x, y, z = (np.arange(int(reach / s) + 1) * s for s in spacing)
    square = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2
    steps = (np.sqrt(square) <= reach).sum(axis=2) - 1  # so far a row reaches at (x, y); -1 nowhere
    row = np.packbits(mask, axis=2)
    grown = np.zeros_like(row)
    for step in range(int(steps.max()) + 1):
        if step:
            before = row
            row = np.asarray(before | (before >> 1) | (before << 1), np.uint8)
            row[..., 1:] |= before[..., :-1] << 7
            row[..., :-1] |= before[..., 1:] >> 7
        for i, j in np.argwhere(steps == step).tolist():
            for x_to, x_from in _shifts(i, len(row)):
                for y_to, y_from in _shifts(j, row.shape[1]):
                    grown[x_to, y_to] |= row[x_from, y_from]
    return np.unpackbits(grown, axis=2, count=mask.shape[2]).view(bool)


def _shifts(step: int, size: int) -> list[tuple[slice, slice]]:
    """Return where the planes of an axis go that is shifted by a step to either side."""
    if step >= size:
        return []
    on, back = slice(step, None), slice(0, size - step)
    return [(on, back), (back, on)] if step else [(on, on)]


def block_mean(data: np.ndarray, factors) -> np.ndarray:
    """Average blocks of voxels; blocks over the edge repeat the last plane.

    >>> block_mean(np.arange(4.0).reshape(4, 1, 1), (2, 1, 1)).ravel()
    array([0.5, 2.5])
    """
    factors = [int(f) for f in factors]
    pad = [(0, -n % f) for n, f in zip(data.shape, factors, strict=True)]
    if any(after for _, after in pad):
        data = np.pad(data, pad, mode="edge")
    split = [v for n, f in zip(data.shape, factors, strict=True) for v in (n // f, f)]
    return data.reshape(split).mean(axis=(1, 3, 5))


def blocks(volume: Volume, factors: np.ndarray) -> Volume:
    """Average blocks of so many voxels along each axis into one."""
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * factors
    affine[:3, 3] = volume.affine[:3, 3] + volume.affine[:3, :3] @ ((factors - 1) / 2)
    return Volume(block_mean(volume.data, factors), affine)


def coarse(volume: Volume, voxel_mm: float) -> Volume:
    """Average blocks of voxels so that each edge is about ``voxel_mm``; never finer."""
    factors = np.maximum(1, np.round(voxel_mm / volume.spacing + 1e-6)).astype(int)
    return blocks(volume.with_data(np.asarray(volume.data, np.float32)), factors)


def mask_center(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the centre of mass of a mask in RAS+ millimetres, shape (3,)."""
    if not mask.any():
        raise ValueError("the mask is empty")
    center = [
        np.average(np.arange(n), weights=mask.sum(axis=tuple(a for a in range(3) if a != axis)))
        for axis, n in enumerate(mask.shape)
    ]
    return (affine @ np.append(center, 1.0))[:3]


def crop(volume: Volume, box: tuple) -> Volume:
    """Return the part of a volume within slices, in the same place in space."""
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [box[0].start, box[1].start, box[2].start, 1.0])[:3]
    return Volume(volume.data[box], affine)


def at_resolution(volume: Volume, voxel_mm: float, blur_mm: float) -> Volume:
    """Smooth to a resolution and resample on an isotropic grid that covers the same box."""
    sigma_mm = 0.5 * np.sqrt(np.maximum(0.0, blur_mm**2 - volume.spacing**2))
    new = grid(volume.shape, volume.affine, voxel_mm)
    to_voxel = np.linalg.inv(volume.affine) @ new.affine  # without a turn
    matrices = [
        separable.linear(n, m, round(float(to_voxel[a, a]), 9), round(float(to_voxel[a, 3]), 9))
        @ separable.gaussian(n, float(sigma), "reflect")
        for a, (n, m, sigma) in enumerate(
            zip(volume.shape, new.shape, sigma_mm / volume.spacing, strict=True)
        )
    ]
    return new.with_data(separable.along_axes(volume.data, matrices))
