"""Made-up heads with one hull and one brain, and faces of their own between; for tests."""

import numpy as np

from refacebench.contracts import Pair, PreparedScan
from refacebench.defacers import cpgan_hull
from refacebench.image import nifti
from refacebench.stages import deface

SHAPE, SPACING = (28, 32, 30), 6.0


def person(face: int):
    """Return intensities, head and brain of a made-up head.

    People differ in the depth, the place and the brightness of a hollow in the
    face, well within the hull, and in nothing else.
    """
    rng = np.random.default_rng(5)
    at = np.indices(SHAPE).astype(float)
    x, y, z = (a - c for a, c in zip(at, (13.5, 14.5, 14.5), strict=True))
    head = (x / 11) ** 2 + (y / 13) ** 2 + (z / 12) ** 2 < 1
    brain = (x / 6) ** 2 + ((y + 2) / 7) ** 2 + ((z - 2) / 6) ** 2 < 1
    values = rng.uniform(80, 160, SHAPE).astype(np.float32)
    if face:
        own = np.random.default_rng(face)
        # A nose and a chin on the hull, a hollow of one's own between them.
        hollow = (abs(x) < 5) & (y > 7 - own.integers(3)) & (abs(z + own.integers(4)) < 3.5)
        frame = np.zeros(SHAPE, bool)
        frame[privacy_corners(head)] = True
        head = head & (~hollow | frame)
        values[~brain] = own.uniform(20, 400, (~brain).sum())
    values[~head] = 0
    return values, head, brain


def privacy_corners(head):
    """Return the corners of a head's hull, as an index."""
    from scipy.spatial import ConvexHull

    points = np.argwhere(head)
    return tuple(points[ConvexHull(points).vertices].T)


def scan(folder, face=1, shift=0, codes="RAS"):
    """Write a person as NIfTI files and return it as a prepared scan."""
    values, head, brain = (np.roll(a, shift, 2) for a in person(face))
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    volumes = [nifti.reorient(nifti.Volume(a, affine), codes) for a in (values, head, brain)]
    paths = [folder / f"{name}{face}{shift}{codes}.nii" for name in ("scan", "head", "brain")]
    for volume, path in zip(volumes, paths, strict=True):
        nifti.write(volume, path, None if volume.data.dtype == bool else np.int16)
    return PreparedScan(
        nifti.read(paths[0]), volumes[2].data, volumes[1].data, np.eye(4), paths[0], paths[2], 7
    )


def pair(folder, **who) -> Pair:
    prepared = scan(folder, **who)
    name = prepared.path.stem
    out, mask = folder / f"{name}_defaced.nii.gz", folder / f"{name}_changed.nii.gz"
    deface.apply(prepared, cpgan_hull.METHOD, cpgan_hull.METHOD.defaults, out, mask)
    return Pair(name, str(prepared.path), str(out), str(mask), str(prepared.brain_path))
