"""mask_face: low-pass filter the surface layer of the face.

Milchenko & Marcus, "Obscuring surface anatomy in volumetric imaging data",
Neuroinformatics 11:65-75 (2013), built from the published description: region
of the face by registration, head mask by threshold, opening and closing, a
surface layer of about 8 mm, a box low-pass along it, deeper tissue unchanged.

Not stated in the paper and chosen here: the region (a box of the template's
space, at whose border the filter fades in), the opening (a ball of 18 mm, which takes
the tip of the nose and the lips off the reference surface so that they lie in the
layer as a whole), the width of the box filter, and the ears as an option.
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import PROTECT_MARGIN, ears
from refacebench.head import region
from refacebench.image import geometry, morphology

VERSION = "2"
FILTERS = ("normfilter", "blur", "coating")
OPTIONS = {
    "filter": Option(
        "normfilter",
        "Normfilter is a box mean over the layer and the air before it alone, blur a box mean "
        "over all voxels, coating one value under the smoothed surface and air above it.",
        choices=FILTERS,
    ),
    "depth_mm": Option(8.0, "Thickness of the surface layer that is filtered.", unit="mm", least=0),
    "filter_mm": Option(
        30.0, "Edge of the box filter; at the ears half of it.", unit="mm", least=0
    ),
    "opening_mm": Option(
        18.0, "Radius of the ball that opens the reference surface.", unit="mm", least=0
    ),
    "blend_mm": Option(
        10.0, "Width at the region's border over which the filter fades in.", unit="mm", least=0
    ),
    "ears": ears(False, "Whether the ears are filtered as well."),
    "protect_margin_mm": PROTECT_MARGIN,
}
#: The face in template mm (x, y, z from-to): ear to ear, brows to below the chin.
FACE = region.Region(((-92.0, 84.0), (45.0, 170.0), (-220.0, 14.0)), (region.NECK,))


def check(options: dict) -> None:
    """Check the options ``filter`` and ``ears``.

    Raises
    ------
    ValueError
        If one of them is not known.
    """
    if options["filter"] not in FILTERS:
        raise ValueError(f"mask_face: filter '{options['filter']}' is none of {FILTERS}")
    if not isinstance(options["ears"], bool):
        raise ValueError(f"mask_face: ears: {options['ears']!r} must be true or false")


def title(options: dict) -> str:
    """Return the line that says what an entry is; several filters may take part."""
    return f"mask_face ({options['filter']})"


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Filter the face's surface layer.

    Raises
    ------
    ValueError
        For an unknown option, or if no part of the face is in the field of view.
    """
    check(options)
    region.require_face("mask_face", scan.volume, scan.to_template, scan.head)
    values = scan.volume.data.copy("K")
    changed = np.zeros_like(scan.volume.data, bool)
    wide = float(options["filter_mm"])
    bodies = [(FACE, 0.0, wide)]
    if options["ears"]:  # a wide mean of so small a part would swell the head's side
        bodies += [(ear, region.EAR_WIDER_MM, wide / 2) for ear in region.ears()]
    for body, wider, width in bodies:
        box = region.box(scan.volume, scan.to_template, [body], width)
        if any(s.start >= s.stop for s in box) or not scan.head[box].any():
            continue
        filtered, weight = _filtered(scan, box, body, wider, width, options)
        values[box] += weight * (filtered - values[box])
        changed[box] |= weight > 0
    return Defaced(values, changed)


def _filtered(scan: PreparedScan, box, body, wider, width, options):
    """Return a part's filtered intensities, and their weight: 0 but in the layer."""
    part, head = geometry.crop(scan.volume, box), scan.head[box]
    blend = max(float(options["blend_mm"]), 1e-3)
    below = _below_reference(head, part.spacing, float(options["opening_mm"]))
    core = scan.brain[box] | (below > float(options["depth_mm"]))
    near = geometry.grow(head, part.spacing, width / 2)
    inside = wider - region.distance(part, scan.to_template, [body])
    layer = (inside > 0) & ~core & near
    filtered = _FILTER[options["filter"]](part, below, core, layer & head, width)
    return filtered, np.where(layer, np.clip(inside / blend, 0, 1), 0).astype(np.float32)


def _below_reference(head: np.ndarray, spacing: np.ndarray, opening: float) -> np.ndarray:
    """Return the depth in mm under the surface of the head opened by a ball; 0 above it."""
    eroded = head & ~geometry.grow(~head, spacing, opening)
    if not eroded.any():
        return np.zeros(head.shape, np.float32)
    opened = geometry.grow(eroded, spacing, opening)
    return morphology.depth_mm(opened, spacing)


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
    """One value under the smoothed reference surface, air above it."""
    value = float(np.median(part.data[tissue])) if tissue.any() else 0.0
    air = part.data[(below == 0) & ~tissue]
    # What the opening leaves of nose and chin is a broad bump: the box mean levels it.
    under = _mean(below > 0, part.spacing, width) > 0.5
    return np.where(under, value, float(np.median(air)) if air.size else 0.0)


_FILTER = {"normfilter": _normfilter, "blur": _blur, "coating": _coating}
METHOD = Defacer(
    version=VERSION,
    title=title,
    options=OPTIONS,
    run=deface,
    check=check,
    sources=("https://doi.org/10.1007/s12021-012-9160-3",),
)
