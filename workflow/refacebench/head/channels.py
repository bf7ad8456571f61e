"""What the registration of the atlas matches: images at one resolution, shares, local contrast.

Arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np

from refacebench.image import separable
from refacebench.image.geometry import at_resolution
from refacebench.image.nifti import Volume

#: Voxel sizes of the affine registration, coarse to fine.
AFFINE_MM = (6.0, 4.0)
#: Window of the local normalisation, and the weight of that channel.
LOCAL_WINDOW_MM, LOCAL_WEIGHT = 4.0, 0.3


def channels(intensities: Volume, csf: Volume, mask: np.ndarray) -> list[Volume]:
    """Return the images that are matched: share of CSF, locally normalised T1w."""
    sigma = LOCAL_WINDOW_MM / intensities.spacing
    inside = mask.astype(np.float32)

    def average(image):
        return separable.smooth(image * inside, sigma, truncate=3)

    weight = average(np.ones_like(inside)) + 1e-3
    mean = average(intensities.data) / weight
    deviation = np.sqrt(np.maximum(average((intensities.data - mean) ** 2) / weight, 0))
    local = LOCAL_WEIGHT * inside * (intensities.data - mean) / (deviation + 0.05)
    return [csf, intensities.with_data(local.astype(np.float32))]


def smooth_pair(intensities: Volume, mask: np.ndarray, mm: float) -> list[Volume]:
    """Return the affine registration's two channels at one resolution."""
    inside = intensities.with_data(mask.astype(np.float32))
    return [at_resolution(volume, mm, 2 * mm) for volume in (intensities, inside)]
