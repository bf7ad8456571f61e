"""A signed shell about the average face: what AFNI's refacer is steered with, made here.

Arrays in the template's space; no file is touched.
"""

from __future__ import annotations

import functools

import numpy as np

from refacebench.head import region, sharp, space
from refacebench.image import morphology, nifti
from refacebench.image.nifti import Volume

#: Thickness of the shell under the average face, and over the skull (reface_plus).
SHELL_MM, SKULL_MM = 25.0, 9.0
#: The skull's part of the shell ends above this plane: (normal, point) in template mm.
SKULL_BASE = ((0.0, -0.5, -1.0), (0.0, -80.0, -30.0))


@functools.cache
def signed_shell(mode: str, upper: str, ears: bool) -> Volume:
    """Return the shell in the template's space: -1 air, 0 keep, positive a head's intensity.

    Its surface is the average head's; what lies under it is the sharp head's tissue
    (:mod:`refacebench.head.sharp`), and the average's own in the vault.
    """
    head, solid = region.average()
    depth = morphology.depth_mm(solid, head.spacing)
    regions = region.face(upper) + (region.ears() if ears else ())
    inside = region.distance(head, np.eye(4), regions) <= 0
    layer = solid & (depth <= SHELL_MM)
    if mode != "deface":
        head = _sharpened(head, layer & inside)
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


def _sharpened(head: Volume, layer: np.ndarray) -> Volume:
    """Return the average head with the sharp head's tissue in a layer, as bright on the whole."""
    tissue = nifti.resample(sharp.at_voxels(region.GRID_MM).tissue, head, mode="nearest").data
    level = float(head.data[layer].mean() / tissue[layer].mean())
    return head.with_data(np.where(layer, tissue * level, head.data).astype(np.float32))
