"""mideface: fill a band around the surface of the face with noise.

The operation of FreeSurfer's ``mideface`` (Greve, "MiDeFace: minimally invasive
defacing", FreeSurfer 7.3 and later; no paper), built from its documentation.  An
average face's surface is brought to the scan by the registration of the whole head.
From there a band reaches inwards to where the scan's own skin lies (a quantile over
the face, no less than a minimum; further where the skin itself lies deeper) and
outwards to where the head ends.  What of it lies within the average surface is filled
with noise about the tissue's mean, what lies outside with noise about the air's, so
that the scan gets the average surface and loses its own.  Brain is never touched.

What is this project's own: the average face is pydeface's mean head, continued below
its field of view; the band is computed on voxels by distance transforms instead of
along the normals of a mesh; the layer of ``in_min_mm`` under the scan's own skin is
filled as well, without which the skin's outline stays readable under the noise
where it lies deeper than the band; and the protected region is the brain with a
margin, where the program also protects skull and eyeballs.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import PROTECT_MARGIN, ears, upper
from refacebench.head import region, space
from refacebench.image import geometry, morphology
from refacebench.image.nifti import Volume

VERSION = "1"
FILLS = ("noise", "constant")
OPTIONS = {
    "fill": Option(
        "noise", "Fill the band with noise, or with constant_in and constant_out.", choices=FILLS
    ),
    "constant_in": Option(
        0.0, "With fill constant, the value within the average surface.", unit="scan units"
    ),
    "constant_out": Option(
        0.0, "With fill constant, the value outside the average surface.", unit="scan units"
    ),
    "ears": ears(True),
    "upper": upper("eyes"),
    "in_min_mm": Option(2.0, "Least depth of the band under the average surface.", unit="mm"),
    "in_max_mm": Option(20.0, "Greatest depth of the band under the average surface.", unit="mm"),
    "in_share": Option(
        0.9, "Share of the face's points whose own skin the band must reach inwards."
    ),
    "out_min_mm": Option(2.0, "Least reach of the band outwards.", unit="mm"),
    "out_max_mm": Option(
        100.0, "Greatest reach of the band outwards, where it must reach all points.", unit="mm"
    ),
    "protect_margin_mm": dataclasses.replace(PROTECT_MARGIN, default=1.0),
}
#: Greatest depth of the band at the ears, where brain is near.
EAR_IN_MAX_MM = 3.0


def check(options: dict) -> None:
    """Check the options.

    Raises
    ------
    ValueError
        If one of them is not known or impossible.
    """
    region.check("mideface", options)
    if options["fill"] not in FILLS:
        raise ValueError(f"mideface: fill: {options['fill']!r} is none of {', '.join(FILLS)}")
    for side in ("in", "out"):
        if not 0 <= float(options[f"{side}_min_mm"]) <= float(options[f"{side}_max_mm"]):
            raise ValueError(f"mideface: {side}_min_mm must lie between 0 and {side}_max_mm")
    if not 0 <= float(options["in_share"]) <= 1:
        raise ValueError("mideface: in_share must lie between 0 and 1")


def prepare(options: dict) -> None:
    """Make the average head once for all scans of a batch."""
    region.average()


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Fill the band around the face's surface.

    Raises
    ------
    ValueError
        If the face lies outside the field of view, or for an unknown option.
    """
    check(options)
    region.require_face("mideface", scan.volume, scan.to_template, scan.head)
    regions = [(region.face(options["upper"]), 0.0, float(options["in_max_mm"]))]
    if options["ears"]:
        regions += [((ear,), region.EAR_WIDER_MM, EAR_IN_MAX_MM) for ear in region.ears()]
    rng = np.random.default_rng(scan.seed)
    values = scan.volume.data.copy("K")
    changed = np.zeros_like(scan.volume.data, bool)
    levels = None
    for bodies, wider, deepest in regions:
        box = region.box(scan.volume, scan.to_template, bodies, wider)
        if any(s.start >= s.stop for s in box) or not scan.head[box].any():
            continue
        part = geometry.crop(scan.volume, box)
        inside = region.distance(part, scan.to_template, bodies) <= wider
        average = _average_head(part, scan.to_template)
        filled, depth = band(average, scan.head[box], inside, part.spacing, options, deepest)
        filled &= ~scan.brain[box]
        if levels is None:  # the ears take the face's: they are small
            levels = _levels(part.data, filled, average, scan.head[box])
        values[box] = np.where(filled, _fill(depth, levels, options, rng), values[box])
        changed[box] |= filled
    return Defaced(values, changed)


def _average_head(part: Volume, matrix: np.ndarray) -> np.ndarray:
    """Return the average head on a part of the scan."""
    head, solid = region.average()
    return space.warp_to_scan(head.with_data(solid.astype(np.float32)), part, matrix) > 0.5


def band(
    average: np.ndarray,
    head: np.ndarray,
    inside: np.ndarray,
    spacing: np.ndarray,
    options: dict,
    in_max_mm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the band that is filled, and the depth under the average surface.

    Parameters
    ----------
    average, head : numpy.ndarray of bool
        The average head brought to the scan, and the scan's own head.
    inside : numpy.ndarray of bool
        The region that is defaced.
    spacing : numpy.ndarray
        Voxel edges in mm, shape (3,).
    options : dict
        See :data:`OPTIONS`.
    in_max_mm : float
        Greatest depth.

    Returns
    -------
    (numpy.ndarray of bool, numpy.ndarray of float32)
        The band; mm, positive within the average head.
    """
    depth = morphology.signed_distance(average, spacing)
    own = morphology.signed_distance(head, spacing)
    surface = inside & (depth > 0) & (depth <= float(spacing.max()))
    apart = (own - depth)[surface]  # how far the scan's surface lies before the average's
    to_skin, to_air = np.maximum(-apart, 0), np.maximum(apart, 0)
    low = float(options["in_min_mm"])
    reach_in = float(np.quantile(to_skin, float(options["in_share"]))) if to_skin.size else 0.0
    reach_out = float(to_air.max()) if to_air.size else 0.0
    reach_in = float(np.clip(reach_in, low, max(low, in_max_mm)))
    out_max = float(options["out_max_mm"])
    reach_out = float(np.clip(reach_out, float(options["out_min_mm"]), out_max))
    filled = (depth <= reach_in) & (depth >= -reach_out)
    # Further where the scan's skin lies deeper, or its head reaches out further.
    filled |= average & ~head & (depth <= max(low, in_max_mm))
    filled |= head & ~average & (depth >= -out_max)
    # The scan's own skin, also where the band ends before or at it.
    filled |= head & (own <= low) & (depth <= max(low, in_max_mm))
    return filled & inside, depth


def _levels(data, filled, average, head) -> list[float]:
    """Return mean and standard deviation of the band's tissue and of its air."""
    found = []
    for where in (filled & average & head, filled & ~average & ~head):
        kept = data[where].astype(np.float64)
        found += [float(kept.mean()), float(kept.std())] if kept.size else [0.0, 0.0]
    return found


def _fill(depth: np.ndarray, levels, options: dict, rng) -> np.ndarray:
    """Return the new values: noise, uniform and one standard deviation wide, or constants."""
    if options["fill"] == "constant":
        within, without = float(options["constant_in"]), float(options["constant_out"])
        return np.where(depth > 0, within, without).astype(np.float32)
    mean_in, sd_in, mean_out, sd_out = levels
    noise = rng.random(depth.shape, dtype=np.float32) - 0.5
    return np.where(depth > 0, mean_in + sd_in * noise, mean_out + sd_out * noise).astype(
        np.float32
    )


METHOD = Defacer(
    version=VERSION,
    title="mideface (noise band)",
    options=OPTIONS,
    run=deface,
    check=check,
    prepare=prepare,
    sources=("https://surfer.nmr.mgh.harvard.edu/fswiki/MiDeFace",),
)
