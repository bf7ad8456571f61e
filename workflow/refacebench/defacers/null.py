"""The null control: the original with invisible noise outside the brain.

It changes nothing that an observer could see and no brain voxel.  Whatever
moves between ``original`` and ``null`` is the noise of the measuring stick.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import PROTECT_MARGIN
from refacebench.image import nifti

VERSION = "1"
OPTIONS = {
    "amplitude": Option(
        0.005,
        "Standard deviation of the noise as a share of the brain's 99th percentile (about white "
        "matter).",
        least=0,
    ),
    "protect_margin_mm": PROTECT_MARGIN,
}


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Add Gaussian noise outside the brain, within the scan's range of values.

    Where the scan's data type is too coarse for the amplitude, one stored unit
    is the standard deviation, so that the noise survives rounding.

    Raises
    ------
    ValueError
        If the brain mask is empty.
    """
    if not scan.brain.any():
        raise ValueError("the brain mask is empty: there is no intensity to scale the noise by")
    data = scan.volume.data
    white = float(np.percentile(data[scan.brain], 99))
    sigma = max(abs(white) * float(options["amplitude"]), _step(scan.path))
    noise = np.random.default_rng(scan.seed).normal(0.0, sigma, data.shape)
    values = np.clip(data + noise, data.min(), data.max()).astype(np.float32)
    return Defaced(values, ~scan.brain)


def _step(path) -> float:
    """Return the difference between neighbouring stored numbers, in scan units."""
    image = nib.load(path)
    if not np.issubdtype(image.get_data_dtype(), np.integer):
        return 0.0
    return abs(float(nifti.scaling(image)[0]))


METHOD = Defacer(
    version=VERSION,
    title="null control (invisible noise outside the brain)",
    options=OPTIONS,
    run=deface,
)
