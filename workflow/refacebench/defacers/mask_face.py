"""mask_face: low-pass filter the surface layer of the face.

Milchenko & Marcus, "Obscuring surface anatomy in volumetric imaging data",
Neuroinformatics 11:65-75 (2013), built from the published description: region
of the face by registration, head mask by threshold, opening and closing, a
surface layer of about 8 mm, a box low-pass along it, deeper tissue unchanged.

Not stated in the paper and chosen here: the region (a box of the template's
space), the opening (a ball of 18 mm, which takes the tip of the nose and the
lips off the reference surface so that they lie in the layer as a whole), and
the width of the box filter.
"""

from __future__ import annotations

import numpy as np

from .. import templates
from . import Defaced, PreparedScan

VERSION = "1"
ENGINE = "native"
TITLE = "mask_face (surface filter)"
#: filter: normfilter (box mean over the layer and the air before it alone), blur (box mean
#: over all voxels) or coating (one value under the reference surface, air above it);
#: depth_mm: thickness of the layer; filter_mm: edge of the box; opening_mm: radius of the
#: ball for the reference surface; protect_margin_mm: leave this much around the brain alone.
OPTIONS = {
    "filter": "normfilter",
    "depth_mm": 8.0,
    "filter_mm": 30.0,
    "opening_mm": 18.0,
    "protect_margin_mm": 0.0,
}
FILTERS = ("normfilter", "blur", "coating")
#: The face in template mm (x, y, z from-to): ear to ear, brows to below the chin.
REGION = ((-75.0, 75.0), (45.0, 170.0), (-220.0, 8.0))


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Filter the face's surface layer.

    Raises
    ------
    ValueError
        For an unknown filter, or if no part of the face is in the field of view.
    """
    if options["filter"] not in FILTERS:
        raise ValueError(f"mask_face: filter '{options['filter']}' is none of {FILTERS}")
    width = float(options["filter_mm"])
    box = templates.bounding_box(scan.volume, scan.to_template, [REGION], width)
    if any(s.start >= s.stop for s in box) or not scan.head[box].any():
        raise ValueError("mask_face: the face lies outside the field of view")
    part = templates.crop(scan.volume, box)
    head = scan.head[box]
    below = _below_reference(head, part.spacing, float(options["opening_mm"]))
    core = scan.brain[box] | (below > float(options["depth_mm"]))
    near = templates.depth_mm(~head, part.spacing) <= width / 2
    layer = templates.inside_box(part, scan.to_template, REGION) & ~core & near
    filtered = _FILTER[options["filter"]](part, below, core, layer & head, width)
    values = scan.volume.data.copy()
    values[box] = np.where(layer, filtered, values[box])
    changed = np.zeros(scan.volume.shape, bool)
    changed[box] = layer
    return Defaced(values, changed)


def _below_reference(head: np.ndarray, spacing: np.ndarray, opening: float) -> np.ndarray:
    """Return the depth in mm under the surface of the head opened by a ball; 0 above it."""
    eroded = templates.depth_mm(head, spacing) > opening
    if not eroded.any():
        return np.zeros(head.shape, np.float32)
    opened = templates.depth_mm(~eroded, spacing) <= opening
    return templates.depth_mm(opened, spacing)


def _mean(values: np.ndarray, spacing: np.ndarray, width: float) -> np.ndarray:
    """Box mean with an odd number of voxels that is next to the width along each axis."""
    from scipy.ndimage import uniform_filter

    size = [2 * max(1, round((width / s - 1) / 2)) + 1 for s in spacing]
    return uniform_filter(values.astype(np.float32), size=size, mode="nearest")


def _normfilter(part, below, core, tissue, width):
    weight = _mean(~core, part.spacing, width)
    total = _mean(np.where(core, 0, part.data), part.spacing, width)
    return total / np.maximum(weight, 1e-6)


def _blur(part, below, core, tissue, width):
    return _mean(part.data, part.spacing, width)


def _coating(part, below, core, tissue, width):
    """One value under the reference surface, air above it."""
    value = float(np.median(part.data[tissue])) if tissue.any() else 0.0
    air = part.data[(below == 0) & ~tissue]
    return np.where(below > 0, value, float(np.median(air)) if air.size else 0.0)


_FILTER = {"normfilter": _normfilter, "blur": _blur, "coating": _coating}
