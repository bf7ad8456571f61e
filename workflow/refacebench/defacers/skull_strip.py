"""Skull stripping as a defacer: everything but the brain is removed.

The brain mask is the prepare stage's (deepbet).  The control at the safe end:
no face, no skull, and the strongest effect on later processing (CP-GAN, table 1).
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, PreparedScan
from refacebench.image.geometry import grow

VERSION = "2"
ENGINE = "native"
TITLE = "skull stripping (deepbet)"
#: margin_mm: keep this much around the brain mask.
OPTIONS = {"margin_mm": 0.0}


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Set all voxels outside the brain mask to zero (the minimum, where that is above zero).

    Raises
    ------
    ValueError
        If the brain mask is empty.
    """
    if not scan.brain.any():
        raise ValueError("the brain mask is empty: nothing would be left")
    air = max(0.0, float(scan.volume.data.min()))
    kept = grow(scan.brain, scan.volume.spacing, float(options["margin_mm"]))
    return Defaced(np.full(scan.volume.shape, air, np.float32), ~kept)
