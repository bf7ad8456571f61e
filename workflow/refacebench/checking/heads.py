"""Made-up heads: ellipsoids with a nose, brow and chin, a brain of three tissues, noisy air.

They lie where the template head has them, so that no registration is needed, and are good for
checks alone: nobody looks like this.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from refacebench.contracts import Pair, PreparedScan
from refacebench.image import nifti
from refacebench.image.nifti import Volume

#: The field of view in template mm, from and to.
LOW, HIGH = np.array([-100.0, -120.0, -150.0]), np.array([100.0, 132.0, 110.0])


def head(
    person: int = 0, session: int = 0, voxel_mm: float = 4.0
) -> tuple[Volume, np.ndarray, np.ndarray]:
    """Return a made-up head.

    Parameters
    ----------
    person, session : int
        Size and features are the person's; noise and a shift of a millimetre the session's.
    voxel_mm : float

    Returns
    -------
    Volume
        RAS+ axes; air about 5, skin 90, brain 60 to 140.
    numpy.ndarray of bool
        Brain.
    numpy.ndarray of bool
        Head.
    """
    own, noise = np.random.default_rng([1, person]), np.random.default_rng([2, person, session])
    shape = np.round((HIGH - LOW) / voxel_mm).astype(int) + 1
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = LOW
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    place = grid * voxel_mm + LOW + noise.normal(0, 0.7, 3)
    size = own.uniform(0.95, 1.05, 3)

    def blob(center, axes, factor=1.0):
        return (((place - center) / (np.array(axes) * factor)) ** 2).sum(axis=-1) < 1

    solid = blob((0, -4, -25), (74, 94, 108), size)
    for center, axes in (
        ((0, 94, -62), (15, 24, 22)),
        ((0, 82, -20), (44, 14, 10)),
        ((0, 78, -112), (26, 24, 16)),
        ((-76, -10, -45), (12, 16, 28)),
        ((76, -10, -45), (12, 16, 28)),
    ):
        moved = np.array(center) + own.uniform(-6, 6, 3) * [center[0] != 0, 1, 1]
        solid |= blob(moved, axes, own.uniform(0.8, 1.2, 3))
    brain = blob((0, -8, 8), (60, 78, 58), size)
    grey, white = blob((0, -8, 8), (56, 74, 54), size), blob((0, -8, 8), (40, 56, 38), size)
    data = noise.uniform(2, 8, size=tuple(shape))
    for where, level in ((solid, 90), (brain, 60), (grey, 105), (white, 140)):
        data[where] = level + noise.normal(0, 5, where.sum())
    return Volume(data.astype(np.float32), affine), brain, solid | brain


def prepared(folder: Path, codes: str = "RAS", empty: bool = False) -> PreparedScan:
    """Write a made-up head's files and return it as a defacer gets it.

    Parameters
    ----------
    folder : Path
    codes : str
        Orientation of the axes.
    empty : bool
        Nothing but zeros, and masks without a voxel.
    """
    volume, brain, solid = head()
    if empty:
        volume, brain, solid = volume.with_data(volume.data * 0), brain & False, solid & False
    volume, inner, outer = (
        nifti.reorient(volume.with_data(data), codes) for data in (volume.data, brain, solid)
    )
    label = f"{codes}{'-empty' if empty else ''}"
    path, brain_path = folder / f"sub-{label}_T1w.nii.gz", folder / f"sub-{label}_mask.nii.gz"
    nifti.write(volume, path, "int16")
    nifti.write(volume.with_data(inner.data.astype(np.uint8)), brain_path)
    # As in a run: the file's own numbers, rounded to its data type.
    read = nifti.read(path)
    return PreparedScan(read, inner.data > 0, outer.data > 0, np.eye(4), path, brain_path, seed=7)


def pair(folder: Path, person: int) -> Pair:
    """Write the three images of a training pair: all but the brain is made one grey hull."""
    volume, brain, solid = head(person, voxel_mm=8.0)
    hull = np.where(solid, 50.0, 0.0)
    defaced = volume.with_data(np.where(brain, volume.data, hull).astype(np.float32))
    images = {"original": volume, "defaced": defaced}
    images["changed"] = volume.with_data((~brain).astype(np.uint8))
    images["brain"] = volume.with_data(brain.astype(np.uint8))
    paths = {name: str(folder / f"sub-{person}_{name}.nii.gz") for name in images}
    for name, image in images.items():
        nifti.write(image, paths[name])
    return Pair(scan=f"sub-{person}", site="A", **paths)
