"""The template's space on a scan's grid: images of it, coordinates, boxes.

"Template mm" are those of :mod:`refacebench.head.template`.  Arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np

from refacebench.image import nifti
from refacebench.image.nifti import Volume


def warp_to_scan(
    template: Volume,
    volume: Volume,
    matrix: np.ndarray,
    order: int = 1,
    cval: float = 0.0,
    mode: str = "constant",
) -> np.ndarray:
    """Resample an image of the template's space on the grid of a scan.

    Parameters
    ----------
    template : Volume
        Any image whose affine leads to template mm.
    volume : Volume
        The scan, for its grid.
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm (:func:`register`).
    order : int
        0 nearest, 1 linear, 3 cubic.
    cval : float
        Value outside the template's field of view.
    mode : str
        ``"constant"`` for ``cval``, ``"nearest"`` to go on with the edge's values.
    """
    placed = Volume(template.data, np.linalg.inv(matrix) @ template.affine)
    return nifti.resample(placed, volume, order=order, cval=cval, mode=mode).data


def template_axis(volume: Volume, matrix: np.ndarray, axis: int) -> np.ndarray:
    """Return one template coordinate (mm) of every voxel of a scan's grid, float32."""
    row = (matrix @ volume.affine)[axis].astype(np.float32)
    i, j, k = np.ogrid[tuple(slice(0, n) for n in volume.shape)]
    return (
        row[0] * i.astype(np.float32)
        + row[1] * j.astype(np.float32)
        + (row[2] * k.astype(np.float32) + row[3])
    )


def bounding_box(volume: Volume, matrix: np.ndarray, boxes, margin_mm: float) -> tuple:
    """Return the slices of a scan's grid that hold boxes of the template's space.

    Parameters
    ----------
    boxes : sequence
        Each ``((x0, x1), (y0, y1), (z0, z1))`` in template mm.
    """
    to_voxel = np.linalg.inv(matrix @ volume.affine)
    corners = np.array(
        [[x, y, z, 1.0] for box in boxes for x in box[0] for y in box[1] for z in box[2]]
    )
    voxels = (to_voxel @ corners.T)[:3]
    pad = margin_mm / volume.spacing
    low = np.clip(np.floor(voxels.min(axis=1) - pad), 0, np.array(volume.shape)).astype(int)
    high = np.clip(np.ceil(voxels.max(axis=1) + pad) + 1, 0, np.array(volume.shape)).astype(int)
    return tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))


def inside_box(volume: Volume, matrix: np.ndarray, box) -> np.ndarray:
    """Return the voxels of a scan's grid within a box ``((x0, x1), ...)`` of the template."""
    inside = np.ones(volume.shape, bool)
    for axis, (low, high) in enumerate(box):
        values = template_axis(volume, matrix, axis)
        inside &= (values >= low) & (values <= high)
    return inside
