"""The surface of a head as a smooth field, and how far a ray goes until it meets it.

A scan is laid into the frame of the template head (rotation and shift only, so that
millimetres stay millimetres) and turned into a field that crosses 0.5 at the skin.  The
threshold of the surface comes from the image itself, for an attacker has nothing else.
Numpy and scipy on one core; touches no file.

Coordinates "head mm" are RAS+ millimetres in the orientation of the template
head (:mod:`refacebench.head.template`), with :data:`CENTER` where the template has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refacebench.head import masks
from refacebench.image import geometry, morphology, nifti
from refacebench.image.nifti import Volume

#: What the cameras look at, in head mm: between the ears, at the height of the nose's root.
CENTER = np.array([0.0, 20.0, -30.0])
#: The part of space that is looked at, head mm (low, high).
BOX = np.array([[-105.0, -130.0, -165.0], [105.0, 145.0, 115.0]])
#: The free path of a ray is known in blocks of so many voxels.
_BLOCK = 2
#: Near the surface a ray goes on by so much of a voxel.
_STEP = np.float32(0.75)


@dataclass(frozen=True)
class Field:
    """A smooth inside-outside function on an isotropic grid of head mm: 1 inside, 0 outside."""

    data: np.ndarray
    origin: np.ndarray
    voxel_mm: float
    clearance: np.ndarray


def rigid(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation and shift, scan mm -> head mm, next to an affine to the template.

    The rotation is the orthogonal polar factor of the affine; what the affine
    brings to :data:`CENTER` stays there.  Size and proportions of the head are kept.

    >>> rigid(np.diag([2.0, 1.0, 1.0, 1.0]))[:3, :3]
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    left, _, right = np.linalg.svd(matrix[:3, :3])
    rotation = left @ right
    if np.linalg.det(rotation) < 0:
        raise ValueError("the matrix to the template mirrors the head")
    result = np.eye(4)
    result[:3, :3] = rotation
    here = np.linalg.solve(matrix, np.append(CENTER, 1.0))[:3]
    result[:3, 3] = CENTER - rotation @ here
    return result


def surface_field(
    volume: Volume, matrix: np.ndarray, voxel_mm: float, smooth_mm: float, threshold: float
) -> Field:
    """Return the field whose 0.5 is the skin (the largest object's surface).

    Intensities are divided by twice the threshold and clipped to 0..1, so that
    bright fat does not push the surface outwards; what the surface encloses is
    filled, other objects are taken away, and a Gaussian smooths the rest.

    Parameters
    ----------
    volume : Volume
        Any variant of a scan, any orientation and voxel size.
    matrix : numpy.ndarray
        4 x 4, the *original's* RAS+ mm -> template mm.
    voxel_mm, smooth_mm : float
        Voxels of the field, and the Gaussian (sigma) that smooths it.
    threshold : float
        Place of the surface's threshold between air (0) and Otsu's threshold (1).

    Raises
    ------
    ValueError
        If the image is constant or shows no object within the field of view.
    """
    from scipy import ndimage

    step = float(voxel_mm)
    data = nifti.finite(volume.data)
    volume = volume.with_data(data)
    # The air around what a defacer zeroed says nothing of the noise: coarse voxels have little.
    level = masks.air_threshold(geometry.coarse(volume, 2 * masks.HEAD_VOXEL_MM).data, threshold)
    grid = _head_grid(step)
    fine = geometry.coarse(volume, 2 / 3 * step)
    part = nifti.resample(Volume(fine.data, rigid(matrix) @ fine.affine), grid).data
    inside = np.clip(part / (2 * level), 0, 1)
    inside = ndimage.gaussian_filter(inside, 0.5 * smooth_mm / step, truncate=3)
    tissue = inside >= 0.5
    object_ = morphology.largest_component(tissue)
    if not object_.any():
        raise ValueError("nothing in the image is brighter than air: no surface to look at")
    solid = morphology.fill_holes(object_)
    inside[solid & ~tissue] = 1.0
    inside[~ndimage.binary_dilation(solid)] = 0.0
    inside = ndimage.gaussian_filter(inside, 0.866 * smooth_mm / step, truncate=3)
    return Field(inside, grid.affine[:3, 3], step, _clearance(inside >= 0.5))


def _head_grid(step: float) -> Volume:
    shape = np.ceil((BOX[1] - BOX[0]) / step).astype(int) + 1
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = BOX[0]
    return Volume(np.broadcast_to(np.float32(0), shape), affine)


def _clearance(solid: np.ndarray) -> np.ndarray:
    """Return how far, in voxels, any point of a block of voxels is from the object at least."""
    from scipy import ndimage

    padded = np.pad(solid, [(0, -n % _BLOCK) for n in solid.shape])
    split = [v for n in padded.shape for v in (n // _BLOCK, _BLOCK)]
    occupied = padded.reshape(split).any(axis=(1, 3, 5))
    far = _BLOCK * ndimage.distance_transform_edt(~occupied)
    # Half a block's diagonal at both ends, and the voxel over which interpolation reaches.
    return (far - np.sqrt(3) * (_BLOCK + 1)).astype(np.float32)


def trace(field: Field, start: np.ndarray, direction: np.ndarray, length_mm: float) -> np.ndarray:
    """Return how far each ray goes to the surface, in mm; NaN for a ray that misses it.

    Rays go as far as is known to be free, then in steps of three quarters of a
    voxel, and the crossing is halved in five times (0.04 mm at 1.5 mm voxels).

    Parameters
    ----------
    start, direction : numpy.ndarray
        Shape (n, 3), head mm; directions have length one.
    """
    # In voxels from here on, so that a step is one multiplication and one sum.
    start = ((start - field.origin) / field.voxel_mm).astype(np.float32)
    direction = direction.astype(np.float32)
    length = np.float32(length_mm / field.voxel_mm)
    path = np.zeros(len(start), np.float32)
    found = np.full(len(start), np.nan, np.float32)
    active = np.arange(len(start))
    while active.size:
        points = start[active] + path[active, None] * direction[active]
        free = _free(field, points)
        near = np.flatnonzero(free < _STEP)
        inside = np.zeros(active.size, bool)
        inside[near] = _at(field, points[near]) >= 0.5
        found[active[inside]] = path[active[inside]]
        path[active] += np.maximum(free, _STEP)
        active = active[~inside & (path[active] <= length)]
    hit = np.flatnonzero(np.isfinite(found))
    found[hit] = _halve(field, start[hit], direction[hit], found[hit])
    return found * field.voxel_mm


def _free(field: Field, places: np.ndarray) -> np.ndarray:
    block = ((places + 0.5) / _BLOCK).astype(np.int32)
    block = np.clip(block, 0, np.array(field.clearance.shape, np.int32) - 1)
    return field.clearance[block[:, 0], block[:, 1], block[:, 2]]


def _halve(field: Field, start, direction, far) -> np.ndarray:
    near = np.maximum(far - _STEP, 0)
    for _ in range(5):
        middle = (near + far) / 2
        inside = _at(field, start + middle[:, None] * direction) >= 0.5
        near, far = np.where(inside, near, middle), np.where(inside, middle, far)
    return (near + far) / 2


def _at(field: Field, places: np.ndarray) -> np.ndarray:
    """Return the field at places in voxels, shape (n, 3); 0 outside its box."""
    from scipy.ndimage import map_coordinates

    return map_coordinates(field.data, places.T, order=1, mode="constant", prefilter=False)


def sample(field: Field, points: np.ndarray) -> np.ndarray:
    """Return the field at points of head mm, shape (n, 3); 0 outside its box."""
    return _at(field, (points - field.origin) / field.voxel_mm)


def normals_at(field: Field, points: np.ndarray) -> np.ndarray:
    """Return the outward normals of the surface at points of head mm, shape (n, 3)."""
    shift = field.voxel_mm * np.eye(3)
    slope = np.stack([sample(field, points - s) - sample(field, points + s) for s in shift], axis=1)
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return slope / np.maximum(length, 1e-6)
