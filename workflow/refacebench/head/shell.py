"""A signed shell about the average face: what AFNI's refacer is steered with, made here.

Arrays in the template's space; no file is touched.
"""

from __future__ import annotations

import functools

import numpy as np

from refacebench.head import region, space
from refacebench.image import morphology
from refacebench.image.nifti import Volume

#: Thickness of the shell under the average face, and over the skull (reface_plus).
SHELL_MM, SKULL_MM = 25.0, 9.0
#: The skull's part of the shell ends above this plane: (normal, point) in template mm.
SKULL_BASE = ((0.0, -0.5, -1.0), (0.0, -80.0, -30.0))


@functools.cache
def signed_shell(mode: str, upper: str, ears: bool) -> Volume:
    """Return the shell in the template's space: -1 air, 0 keep, positive average intensity."""
    head, solid = region.average()
    depth = morphology.depth_mm(solid, head.spacing)
    regions = region.face(upper) + (region.ears() if ears else ())
    inside = region.distance(head, np.eye(4), regions) <= 0
    layer = solid & (depth <= SHELL_MM)
    shell = np.where(inside & layer, np.maximum(head.data, 1.0), 0)
    shell[inside & ~solid] = -1
    if mode == "reface_plus":
        normal, point = (np.asarray(v) for v in SKULL_BASE)
        axes = [space.template_axis(head, np.eye(4), axis) for axis in range(3)]
        height = sum(n * (a - p) for n, a, p in zip(normal, axes, point, strict=True))
        vault = (height <= 0) & ~inside
        shell[vault & solid & (depth <= SKULL_MM)] = np.maximum(head.data, 1.0)[
            vault & solid & (depth <= SKULL_MM)
        ]
        shell[vault & ~solid] = -1
    return head.with_data(shell.astype(np.float32))
