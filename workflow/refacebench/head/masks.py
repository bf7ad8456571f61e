"""What of an image is air and what is head.  Arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from refacebench.image import nifti
from refacebench.image.geometry import block_mean
from refacebench.image.morphology import fill_holes, largest_component, within
from refacebench.image.nifti import Volume

#: The coarse head mask is made on voxels of about this size.
HEAD_VOXEL_MM = 2.0
#: Place of the head's threshold between air (0) and Otsu's threshold (1).
AIR_TO_OTSU = 0.35


def head_mask(volume: Volume) -> np.ndarray:
    """Return the head mask of a T1w image: all that is not air, holes filled.

    The threshold lies a third of the way from air to Otsu's threshold, because skin
    and skull are darker than brain, but above the noise of the air.  A coarse
    mask (about 2 mm: opened, so that wrap-around and ghosts that touch the head
    by a thread fall off; largest component; closed; filled) says what is head;
    the image's own voxels place its surface.

    Parameters
    ----------
    volume : Volume
        T1w intensities, any orientation and voxel size; may be defaced.

    Returns
    -------
    numpy.ndarray of bool
        Mask on the image's own grid, one component.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    data = nifti.finite(volume.data)
    factors = np.maximum(1, np.round(HEAD_VOXEL_MM / volume.spacing)).astype(int)
    coarse = block_mean(data, factors)
    threshold = air_threshold(coarse)
    spacing = float(np.mean(volume.spacing * factors))
    solid = _solid_head(coarse > threshold, spacing)
    if (factors == 1).all():
        return solid
    return _refine(solid, data > threshold, factors)


def air_threshold(data: np.ndarray, share: float = AIR_TO_OTSU) -> float:
    """Return what lies ``share`` of the way from air to Otsu's threshold, above the noise.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    level, noise, otsu = levels(data)
    return min(max(level + share * (otsu - level), level + 4 * noise), otsu)


def levels(data: np.ndarray) -> tuple[float, float, float]:
    """Return the level of the air, its noise (SD by the MAD) and Otsu's threshold.

    Of an image without any air, the threshold is the level.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    low, high = np.percentile(data, [0.1, 99.5])
    if not high > low:
        raise ValueError("the image is constant, so there is no head in it")
    otsu = float(threshold_otsu(np.clip(data, low, high)))
    air = data[ndimage.binary_erosion(data < otsu, iterations=2)]
    if air.size == 0:
        return otsu, 0.0, otsu
    level = float(np.median(air))
    return level, 1.4826 * float(np.median(np.abs(air - level))), otsu


def _solid_head(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Open, keep the largest component, close by about 8 mm and fill."""
    from scipy import ndimage

    ball = ndimage.generate_binary_structure(3, 1)
    opened = largest_component(ndimage.binary_opening(mask, ball))
    # What opening took from the head's own surface comes back, no further than it reached.
    head = ndimage.binary_dilation(opened, ball) & mask
    reach = max(1, round(8.0 / spacing))
    padded = np.pad(head, reach, mode="edge")
    closed = ~within(~within(padded, reach), reach)
    inner = tuple(slice(reach, -reach) for _ in range(3))
    return largest_component(_fill_slices(fill_holes(closed[inner] | head)))


def _fill_slices(mask: np.ndarray) -> np.ndarray:
    """Fill what is enclosed in a slice of any direction: airways open only at the neck's cut."""
    from scipy import ndimage

    filled = mask.copy()
    for axis in range(3):
        for index in range(mask.shape[axis]):
            where = tuple(index if a == axis else slice(None) for a in range(3))
            filled[where] |= ndimage.binary_fill_holes(mask[where])
    return filled


def _refine(coarse: np.ndarray, fine: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Place the surface of a coarse mask by the full-resolution threshold."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(coarse, border_value=1)
    outer = ndimage.binary_dilation(coarse)

    def enlarge(mask):
        for axis, factor in enumerate(factors):
            mask = mask.repeat(factor, axis=axis)
        return mask[tuple(slice(0, n) for n in fine.shape)]

    # A median over the 3^3 neighbourhood: single noisy voxels do not make a rough surface.
    smooth = ndimage.uniform_filter(fine.astype(np.float32), size=3) > 0.5
    return largest_component(fill_holes(enlarge(inner) | (enlarge(outer) & smooth)))
