"""The mean head's non-linear registration to a scan: made once a scan, shared by all defacers.

The affine part is the prepare stage's; here the affinely placed mean head is
deformed to the scan (SyN, ANTs), with the face left out of the metric, so that
an average face does not bend toward the person's own.  The field is kept beside
the matrix of the affine part, as ``*_desc-nonlinear_xfm.nii.gz`` in the layout
that ITK reads (LPS millimetres, five dimensions).  Reads and writes that file
and a temporary folder, nothing else.

Two jobs may come to the same scan at once: both compute the same bytes and each
renames its own file to the common name.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from refacebench import files, lazy
from refacebench.head import space, template
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

# antspyx takes long to load.
itk = lazy.load("refacebench.image.itk")

#: Part of the key: raise it when the field changes.
VERSION = "2"
#: The registration gets voxels of this size, and runs on twice that.
VOXEL_MM = 4.0
ITERATIONS = (40, 0)
#: The face in template mm (x, y, z from-to), which takes no part in the metric.
FACE = ((-80.0, 78.0), (40.0, 175.0), (-240.0, 12.0))
#: NIfTI's intent code of a vector field.
VECTOR = 1007
#: Where the key stands: parameters that this intent has no use for.  No image has any text.
MARKS = ("intent_p1", "intent_p2", "intent_p3")
_LPS = np.array([-1, -1, 1], np.float32)


def field(volume: Volume, matrix: np.ndarray, path: Path | None = None) -> Volume:
    """Return the displacements of the mean head's registration to a scan.

    They are read from the file if that holds the field of this scan and this
    registration; otherwise they are computed, and written there if a path is given.

    Parameters
    ----------
    volume : Volume
        The scan.
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm.
    path : Path, optional
        Where the field is kept.

    Returns
    -------
    Volume
        RAS mm, shape (i, j, k, 3), RAS+ axes, float32: a point of the scan plus its
        displacement is the point of the affinely placed mean head.

    Raises
    ------
    ValueError
        If the scan does not overlap the mean head.
    """
    if path is None:
        return compute(volume, matrix)
    name = key(volume, matrix)
    found = _read(path, name)
    if found is not None:
        return found
    made = compute(volume, matrix)
    _write(made, path, name)
    # Read back: who computes and who finds the field get the same numbers.
    return _read(path, name) or made


def key(volume: Volume, matrix: np.ndarray) -> str:
    """Return 16 hex digits for the scan's intensities, its place, the matrix and this method."""
    digest = hashlib.sha256(f"{VERSION} {VOXEL_MM} {ITERATIONS} {FACE} {volume.shape}".encode())
    for array in (volume.data, volume.affine, matrix):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _marks(name: str) -> list[float]:
    """Return a key's 16 hex digits as three whole numbers that single precision holds."""
    return [float(int(part, 16)) for part in (name[:5], name[5:10], name[10:])]


def compute(volume: Volume, matrix: np.ndarray) -> Volume:
    """Run the registration; see :func:`field`."""
    import nibabel as nib

    fixed = geometry.coarse(nifti.reorient(volume), VOXEL_MM)
    data = np.clip(fixed.data, 0, np.percentile(fixed.data, 99.5))
    fixed = fixed.with_data(data)
    head = geometry.coarse(template.mean_head(), VOXEL_MM)
    moving = fixed.with_data(space.warp_to_scan(head, fixed, matrix))
    view = space.warp_to_scan(head.with_data(np.ones(head.shape, np.float32)), fixed, matrix)
    seen = (view > 0.99) & ~space.inside_box(fixed, matrix, FACE)
    if not seen.any():
        raise ValueError("the scan does not overlap the mean head")
    with tempfile.TemporaryDirectory() as folder:
        itk.ants.registration(
            fixed=nifti.to_ants(fixed),
            moving=nifti.to_ants(moving),
            type_of_transform="SyNOnly",
            mask=nifti.to_ants(fixed.with_data(seen.astype(np.float32))),
            initial_transform="Identity",
            outprefix=f"{folder}/warp_",
            reg_iterations=ITERATIONS,
            random_seed=1,
        )
        names = sorted(p for p in Path(folder).glob("*Warp.nii.gz") if "Inverse" not in p.name)
        image: Any = nib.load(names[-1])
        moved = np.asarray(image.dataobj, np.float32).reshape(*fixed.shape, 3)
    return Volume(moved * _LPS, fixed.affine)


def _read(path: Path, name: str) -> Volume | None:
    """Return the field of a file whose key is ``name``; None for no, another or a broken one."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    try:
        image: Any = nib.load(path)
        if [float(image.header[field]) for field in MARKS] != _marks(name) or image.ndim != 5:
            return None
        data = np.asarray(image.dataobj, np.float32)[:, :, :, 0, :]
    except (OSError, EOFError, ValueError, ImageFileError):
        return None
    return Volume(data * _LPS, np.asarray(image.affine, float))


def _write(warp: Volume, path: Path, name: str) -> None:
    import nibabel as nib

    image = nib.Nifti1Image((warp.data * _LPS)[:, :, :, None, :], warp.affine)
    image.header.set_intent(VECTOR)
    image.header.set_xyzt_units("mm")
    for field, number in zip(MARKS, _marks(name), strict=True):
        image.header[field] = number
    with files.replacing(path) as part:
        nib.save(image, part)


def displaced(part: Volume, warp: Volume) -> list[np.ndarray]:
    """Return the displacement (RAS mm) of every voxel of a part of the scan, axis by axis."""
    from scipy.ndimage import affine_transform

    matrix = np.linalg.inv(warp.affine) @ part.affine
    return [
        affine_transform(
            warp.data[..., axis],
            matrix[:3, :3],
            matrix[:3, 3],
            output_shape=part.shape,
            order=1,
            mode="nearest",
        )
        for axis in range(3)
    ]
