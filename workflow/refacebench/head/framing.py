"""Where a head lies in its image: the window in which its brain is looked for, a common field.

Arrays in, boxes and empty grids out.
"""

from __future__ import annotations

import numpy as np

from refacebench.head.masks import air_threshold
from refacebench.image import nifti
from refacebench.image.geometry import block_mean
from refacebench.image.morphology import largest_component
from refacebench.image.nifti import Volume

#: Edge length, in voxels, of the box in which the first network looks for the brain.
LOCATOR_SIZE = 128
NO_BRAIN = "no brain found in the image (deepbet's mask is empty or tiny)"
#: Edges of the window in which it looks, left-right, back-front, bottom-top: a common field.
WINDOW_MM = (200.0, 240.0, 240.0)
#: Longest edge of a common field of view.
FIELD_MM = 256.0
#: Air above the crown and behind the head in that window.
WINDOW_MARGIN_MM = 12.0
#: The head for that window is looked for on voxels of about this size.
WINDOW_VOXEL_MM = 4.0
#: From the crown to below the occiput: the part of the head that says where back and middle are.
SKULL_MM = 150.0


def head_window(volume: Volume, edges_mm=WINDOW_MM) -> tuple[Volume, float]:
    """Return a window of fixed size around the upper part of the head, and the air's intensity.

    It hangs on the crown and on the back of the head, and the head's middle lies in its
    middle, so that neither air nor neck, shoulders or a face that is missing move it.

    Parameters
    ----------
    volume : Volume
        RAS+ axes, finite.
    edges_mm : tuple of float
        Of the window, left-right, back-front, bottom-top.

    Returns
    -------
    Volume
        An empty grid of ``LOCATOR_SIZE`` voxels along every edge; its ``affine`` leads to mm.
    float
        Median of what is not head.
    """
    from scipy import ndimage

    factors = np.maximum(1, np.round(WINDOW_VOXEL_MM / volume.spacing)).astype(int)
    coarse = block_mean(volume.data, factors)
    spacing = volume.spacing * factors
    try:
        tissue = coarse > air_threshold(coarse)
    except ValueError:
        raise ValueError(NO_BRAIN) from None
    head = largest_component(ndimage.binary_opening(tissue))
    if not head.any():
        raise ValueError(NO_BRAIN)
    outside = coarse[~tissue]
    air = float(np.median(outside)) if outside.size else float(coarse.min())
    crown = np.flatnonzero(head.any(axis=(0, 1)))[-1]
    # Below this the neck and shoulders say more about middle and back than the head does.
    head = head[:, :, max(0, crown + 1 - int(SKULL_MM / spacing[2])) :]
    left, right = np.flatnonzero(head.any(axis=(1, 2)))[[0, -1]]
    back = np.flatnonzero(head.any(axis=(0, 2)))[0]
    width, _, height = edges_mm
    corner = np.array(
        [
            (left + right + 1) / 2 * spacing[0] - width / 2,
            back * spacing[1] - WINDOW_MARGIN_MM,
            (crown + 1) * spacing[2] + WINDOW_MARGIN_MM - height,
        ]
    )
    step = np.array(edges_mm) / LOCATOR_SIZE
    axes = volume.affine[:3, :3] / volume.spacing
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    # Corners are the outer ones of the first voxels.
    first = (corner + step / 2) / volume.spacing - 0.5
    affine[:3, 3] = volume.affine[:3, :3] @ first + volume.affine[:3, 3]
    return Volume(np.zeros((LOCATOR_SIZE,) * 3, bool), affine), air


def common_field(volume: Volume) -> tuple[slice, ...]:
    """Return the part of a RAS+ array around the head that is no larger than a common scan.

    Axes of at most :data:`FIELD_MM` are kept whole.

    Raises
    ------
    ValueError
        If there is nothing but air.
    """
    if (np.array(volume.shape) * volume.spacing <= FIELD_MM + 1).all():
        i, j, k = volume.shape
        return slice(0, i), slice(0, j), slice(0, k)
    finite = volume.with_data(nifti.finite(volume.data))
    window, _ = head_window(finite, (FIELD_MM,) * 3)
    to_voxel = np.linalg.inv(volume.affine) @ window.affine
    box = []
    for axis, n in enumerate(volume.shape):
        length = FIELD_MM / volume.spacing[axis]
        start = round(to_voxel[axis, 3] - 0.5 * to_voxel[axis, axis] + 0.5)
        fits = n <= length + 1
        box.append(slice(0, n) if fits else slice(max(0, start), min(n, start + round(length))))
    return box[0], box[1], box[2]
