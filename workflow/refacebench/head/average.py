"""The average head, continued below the mean head's field of view by a shaped chin and neck.

Made once a process from :mod:`refacebench.head.template`; touches no file.
"""

from __future__ import annotations

import functools

import numpy as np

from refacebench.head import masks, template
from refacebench.image import geometry, morphology
from refacebench.image.nifti import Volume

#: Lowest slice of the mean head that shows a whole head, and how much is put below it.
CHIN_FROM_MM, CHIN_LENGTH_MM = -104.0, 75.0
#: The shape below: depth under that slice in mm; how far its front is moved back in mm; how
#: much narrower it is there (share).  Groove under the lip, chin, floor of the mouth, throat.
CHIN = np.array(
    [
        (0.0, 0.0, 0.0),
        (8.0, 4.0, 0.10),
        (20.0, 2.0, 0.28),
        (30.0, 5.0, 0.42),
        (38.0, 13.0, 0.50),
        (46.0, 31.0, 0.50),
        (56.0, 44.0, 0.45),
        (75.0, 52.0, 0.40),
    ]
)
#: Thickness of the closed skin that a new face gets.
SKIN_MM = 5.0
#: Intensity of the mean head's surface, and half the thickness of its ghosts.
SURFACE, GHOST_MM = 75.0, 4.5


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Return 0 below 0, 1 above 1, and a smooth rise between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


@functools.cache
def extended_mean_head() -> tuple[Volume, Volume, Volume]:
    """Return the mean head, its soft mask and its skin, continued below the field of view.

    The mean head ends at the lower lip.  Its lowest whole slice is repeated
    downwards and shaped (:data:`CHIN`) into a chin and the front of the neck.

    Returns
    -------
    tuple of Volume
        Intensities, mask (0..1), and the layer of ``SKIN_MM`` under the mask's
        surface (0..1); about 2 mm voxels, which is finer than the mean head's blur.
    """
    from scipy.ndimage import gaussian_filter

    head = geometry.coarse(template.mean_head(), 2.0)
    first, extra = _lowest(head)
    data = _continued(np.asarray(head.data, np.float32), head, first, extra)
    affine = head.affine.copy()
    affine[:3, 3] += head.affine[:3, 2] * (first - extra)
    blurs = {"extended": 1.0, "skin": 0.5}
    solid, skin = (
        Volume(gaussian_filter(template.kept_mask(name).astype(np.float32), sigma), affine)
        for name, sigma in blurs.items()
    )
    return Volume(data, affine), solid, skin


def extended_masks() -> tuple[np.ndarray, np.ndarray]:
    """Make the masks of the continued head and of its skin (bool), on its voxels.

    They are kept in a file (:func:`refacebench.head.template.kept_mask`), as this takes a second.
    """
    from scipy.ndimage import binary_fill_holes

    head = geometry.coarse(template.mean_head(), 2.0)
    first, extra = _lowest(head)
    mask = clean_mask(head)
    mask[:, :, first] = binary_fill_holes(mask[:, :, first])
    mask = _continued(mask.astype(np.float32), head, first, extra) > 0.5
    mask = _faired(mask, extra, head.spacing[2])
    depth = morphology.depth_mm(mask, head.spacing)
    return mask, (depth > 0) & (depth <= SKIN_MM)


def _lowest(head: Volume) -> tuple[int, int]:
    """Return the lowest slice that shows a whole head, and how many are put below it."""
    step = head.spacing[2]
    first = int(round((CHIN_FROM_MM - head.affine[2, 3]) / step))
    return first, int(round(CHIN_LENGTH_MM / step))


def _continued(data: np.ndarray, head: Volume, first: int, extra: int) -> np.ndarray:
    """Return the head from a slice upwards, with that slice continued below it."""
    return np.concatenate([_below(data[:, :, first], extra, head), data[:, :, first:]], axis=2)


def _faired(mask: np.ndarray, extra: int, step: float) -> np.ndarray:
    """Smooth a mask's surface where the mean head ends and the shaped part begins."""
    from scipy.ndimage import gaussian_filter

    reach = int(round(12.0 / step))
    smooth = gaussian_filter(mask.astype(np.float32), 5.0 / step) > 0.5
    result = mask.copy()
    result[:, :, : extra + reach] = smooth[:, :, : extra + reach]
    return result


def clean_mask(head: Volume) -> np.ndarray:
    """Return the mean head's mask without the faint ghosts that lie before its eyes.

    The surface is where the average rises above ``SURFACE``; what is thinner than twice
    ``GHOST_MM`` (ghosts of glasses and coil pads) is opened away.
    """
    filled = masks.head_mask(head)
    inside = morphology.depth_mm(filled, head.spacing)
    solid = filled & ((head.data > SURFACE) | (inside > 12.0))
    core = solid & ~geometry.grow(~solid, head.spacing, GHOST_MM)
    opened = geometry.grow(core, head.spacing, GHOST_MM)
    return morphology.fill_holes(morphology.largest_component(opened & solid))


def _below(slice_: np.ndarray, extra: int, head: Volume) -> np.ndarray:
    """Continue an axial slice downwards by the shape of :data:`CHIN`; its back stays as it is."""
    from scipy.interpolate import PchipInterpolator
    from scipy.ndimage import map_coordinates

    spacing = head.spacing
    x, y = np.meshgrid(*(np.arange(n, dtype=float) for n in slice_.shape), indexing="ij")
    center = (slice_.shape[0] - 1) / 2
    front = smoothstep((y * spacing[1] + head.affine[1, 3]) / 60.0)
    shape = PchipInterpolator(CHIN[:, 0], CHIN[:, 1:])
    slices = []
    for below in range(extra, 0, -1):
        back, narrower = shape(min(below * spacing[2], CHIN[-1, 0]))
        points = (
            center + (x - center) * (1 + narrower * front),
            y + back / spacing[1] * front,
        )
        slices.append(map_coordinates(slice_, points, order=1, output=np.float32))
    return np.stack(slices, axis=2)
