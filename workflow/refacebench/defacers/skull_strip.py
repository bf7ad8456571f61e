"""Skull stripping as a defacer: everything but the brain is removed.

The brain mask is the prepare stage's (deepbet).  The control at the safe end:
no face, no skull, and the strongest effect on later processing (CP-GAN, table 1).
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.image.geometry import grow

VERSION = "2"
OPTIONS = {"margin_mm": Option(0.0, "This much around the brain mask is kept.", unit="mm", least=0)}


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


METHOD = Defacer(
    version=VERSION,
    title="skull stripping (deepbet)",
    options=OPTIONS,
    run=deface,
    sources=("https://doi.org/10.1016/j.compbiomed.2024.108845",),
    licence="deepbet and its weights: MIT",
    weights="deepbet",
)
