"""Training pairs small enough for tests: a bright ball whose lower front is defaced."""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Pair
from refacebench.image import nifti

SHAPE, SPACING = (24, 28, 26), 4.0


def ball(number: int):
    """Return a bright ball with a dark core, its lower front quarter zeroed, and what changed."""
    rng = np.random.default_rng(number)
    grid = np.indices(SHAPE).astype(float)
    centre = np.array([11.5, 13.0, 12.5]) + rng.uniform(-1, 1, 3)
    radius = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
    original = 600.0 * (radius < 9.5) - 300.0 * (radius < 4) + rng.uniform(0, 10, SHAPE)
    changed = (grid[1] > centre[1] + 2) & (grid[2] < centre[2])
    defaced = np.where(changed, 0, original)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    return [nifti.Volume(a.astype(np.float32), affine) for a in (original, defaced)] + [changed]


def write_pair(folder, number: int) -> Pair:
    """Write a ball's three images and return their paths."""
    original, defaced, changed = ball(number)
    paths = {k: str(folder / f"{k}{number}.nii.gz") for k in ("original", "defaced", "changed")}
    nifti.write(original, paths["original"])
    nifti.write(defaced, paths["defaced"])
    nifti.write(defaced.with_data(changed), paths["changed"])
    return Pair(scan=f"sub-{number}", brain="", **paths)


def solid(size, radius, center=None):
    """A solid ball as a boolean cube."""
    center = np.full(3, (size - 1) / 2) if center is None else np.asarray(center)
    where = np.indices((size,) * 3) - center[:, None, None, None]
    return np.sqrt((where**2).sum(axis=0)) <= radius
