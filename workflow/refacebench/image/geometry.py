"""Boxes, crops, coarser grids, and masks that grow by millimetres.  Arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from refacebench.image.nifti import Volume, grid, resample


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
    """Return the voxels no further than ``margin_mm`` from a mask (Euclidean)."""
    if margin_mm <= 0 or not mask.any():
        return mask.astype(bool)
    from scipy.ndimage import distance_transform_edt

    box = box_around(mask, np.ceil(margin_mm / np.asarray(spacing)).astype(int) + 1)
    grown = np.zeros(mask.shape, bool)
    grown[box] = distance_transform_edt(~mask[box], sampling=spacing) <= margin_mm + 1e-6
    return grown


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
    from scipy import ndimage

    sigma_mm = 0.5 * np.sqrt(np.maximum(0.0, blur_mm**2 - volume.spacing**2))
    smooth = ndimage.gaussian_filter(volume.data.astype(np.float32), sigma_mm / volume.spacing)
    return resample(volume.with_data(smooth), grid(volume.shape, volume.affine, voxel_mm))
