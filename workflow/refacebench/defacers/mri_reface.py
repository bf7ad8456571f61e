"""mri_reface: replace face and ears by those of an average head, non-linearly registered.

Schwarz et al., "Changing the face of neuroimaging research: comparing a new MRI
de-facing technique with popular alternatives", NeuroImage 231:117845 (2021),
built from the published description: affine, then non-linear registration of an
average head to the scan; face, ears, teeth and what the field of view wrapped behind
the head are replaced, intensities are matched, and (as since release 0.3) the noise too.

What is this project's own: the average head is pydeface's; the face is masked out
of the non-linear stage's metric, so that the average face does not bend toward
the person's (:mod:`refacebench.head.warp`); the chin, which the average head's
field of view cuts off, is shaped below it.  At the seam the two *surfaces* are blended,
by their signed distances, over ``blend_mm`` (ears: ``EAR_BLEND_MM``), no nearer to the
brain than ``keep_mm``: blending intensities alone leaves steps and ghosts.  Teeth lie
inside the replaced region and need no treatment of their own.  A wrapped part that touches
the head counts as head and stays.
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan, defaults
from refacebench.defacers._options import PROTECT_MARGIN, ears, upper
from refacebench.head import region, space, template, warp
from refacebench.head.average import extended_mean_head, smoothstep
from refacebench.image import geometry, morphology
from refacebench.image.nifti import Volume

VERSION = "2"
OPTIONS = {
    "ears": ears(True, "Whether the ears are replaced as well."),
    "wrapped_air": Option(
        True, "Whether what the field of view wrapped behind the head is cleared."
    ),
    "upper": upper("own", more=("own",)),
    "nonlinear": Option(True, "Whether the average head is registered non-linearly as well."),
    "blend_mm": Option(12.0, "Width of the seam at the face.", unit="mm", least=0),
    "keep_mm": Option(3.0, "Nothing is replaced this near to the brain.", unit="mm", least=0),
    "noise": Option(True, "Whether the scan's noise is added to the new face."),
    "protect_margin_mm": PROTECT_MARGIN,
}
#: The face that is replaced; the seam lies inside it.
FACE = region.Region(((-92.0, 84.0), (40.0, 175.0), (-240.0, 12.0)), (region.NECK,))
EAR_BLEND_MM = 12.0
#: The average of many faces is dim at lips and lids, where they differ; the new face's skin is
#: not darker than this quantile of the scan's own tissue.
SKIN_QUANTILE = 40.0
#: Wrapped signal: behind this plane (template mm), this far from the head, above this share of
#: the way from air to the head's median, at least this large; cleared with this margin.
WRAP_BEHIND_MM, WRAP_OFF_MM, WRAP_LEVEL, WRAP_ML, WRAP_MARGIN_MM = -60.0, 4.0, 0.15, 0.3, 6.0


def check(options: dict) -> None:
    """Check the options ``upper``, ``ears`` and ``wrapped_air``.

    Raises
    ------
    ValueError
        If one of them is not known.
    """
    region.check("mri_reface", {**defaults(OPTIONS), **options}, more=("own",))
    if not isinstance({**defaults(OPTIONS), **options}["wrapped_air"], bool):
        raise ValueError("mri_reface: wrapped_air is neither true nor false")


def prepare(options: dict) -> None:
    """Read and extend the mean head once for all scans of a batch."""
    template.mean_head()
    extended_mean_head()


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Replace the face by the average one.

    Raises
    ------
    ValueError
        If the face lies outside the field of view, or for an unknown option.
    """
    check(options)
    options = {**defaults(OPTIONS), **options}
    region.require_face("mri_reface", scan.volume, scan.to_template, scan.head)
    face = (FACE,) if options["upper"] == "own" else region.face(options["upper"])
    bodies = [(face, 0.0, float(options["blend_mm"]))]
    if options["ears"]:
        bodies += [((ear,), region.EAR_WIDER_MM, EAR_BLEND_MM) for ear in region.ears()]
    field = None
    if options["nonlinear"]:
        field = warp.field(scan.volume, scan.to_template, scan.warp_path)
    rng = np.random.default_rng(scan.seed)
    air, noise = _air(scan), noise_level(scan) if options["noise"] else 0.0
    values = scan.volume.data.copy()
    changed = np.zeros(scan.volume.shape, bool)
    for regions, wider, blend in bodies:
        box = region.box(scan.volume, scan.to_template, regions, wider)
        if any(s.start >= s.stop for s in box) or not scan.head[box].any():
            continue
        part = geometry.crop(scan.volume.with_data(values), box)
        inside = wider - region.distance(part, scan.to_template, regions)
        weight = _weight(inside, scan.brain[box], part.spacing, blend, float(options["keep_mm"]))
        solid, tissue = _replace(scan, part, box, weight, field)
        background = rng.choice(air, size=part.shape) if options["noise"] else np.median(air)
        mixed = solid * (tissue + rng.normal(0, 1, part.shape) * noise * weight)
        mixed = np.clip(mixed + (1 - solid) * background, *_range(scan))
        values[box] = np.where(weight > 0, mixed, part.data)
        changed[box] |= weight > 0
    if options["wrapped_air"]:
        wrapped = wrapped_signal(scan)
        values[wrapped] = rng.choice(air, size=int(wrapped.sum()))
        changed |= wrapped
    return Defaced(values, changed)


def _range(scan: PreparedScan) -> tuple[float, float]:
    return min(0.0, float(scan.volume.data.min())), float(scan.volume.data.max())


def _air(scan: PreparedScan) -> np.ndarray:
    """Return the air's intensities, 4 mm and more from the head; zero if there is none.

    The brightest of it (wrapped signal, pads, ghosts) is left out.
    """
    step = np.maximum(1, np.round(2.0 / scan.volume.spacing)).astype(int)
    every = tuple(slice(None, None, s) for s in step)
    head = scan.head[every]
    far = ~head & (morphology.depth_mm(~head, scan.volume.spacing * step) > 4.0)
    if not far.any():
        return np.zeros(1, np.float32)
    air = scan.volume.data[every][far]
    level, noise = _robust(air)
    return air[air <= max(level + 6 * noise, float(np.percentile(air, 90)))]


def _robust(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and the standard deviation from the median absolute deviation."""
    level = float(np.median(values))
    return level, 1.4826 * float(np.median(np.abs(values - level)))


def _weight(inside: np.ndarray, brain: np.ndarray, spacing, blend: float, keep: float):
    """Return 1 deep inside the regions, falling to 0 at their surface and near the brain."""
    weight = smoothstep(inside / max(blend, 1e-3))
    if brain.any():
        away = morphology.depth_mm(~brain, spacing) - keep
        weight = np.minimum(weight, smoothstep(away / max(blend / 2, 1e-3)))
    return weight.astype(np.float32)


def _replace(scan: PreparedScan, part: Volume, box, weight, field):
    """Return the new head's solid share (0..1) and its tissue on a part of the scan.

    Its surface is where the weighted mean of the two signed distances, to the
    average head's surface and to the scan's own, is zero.
    """
    head, brain = scan.head[box], scan.brain[box]
    points = _template_voxels(part, scan.to_template, field)
    average = extended_mean_head()
    intensity, shape, skin = (_sample(volume.data, points) for volume in average)
    own = morphology.signed_distance(head, part.spacing)
    new = morphology.signed_distance(shape > 0.5, part.spacing)
    surface = weight * new + (1 - weight) * own
    solid = np.clip(surface / float(part.spacing.max()) + 0.5, 0, 1)
    tissue = head & ~brain
    source = scan.volume.data[box]
    mapped = match_intensity(intensity, shape > 0.5, source, tissue)
    if tissue.any():
        floor = float(np.percentile(source[tissue], SKIN_QUANTILE))
        # Under a new surface that lies before the average's, and in its own dim skin.
        mapped = np.maximum(mapped, np.where(new > 0, skin, 1.0) * floor)
    inner = np.where(head, part.data, mapped)
    return solid, weight * mapped + (1 - weight) * inner


def wrapped_signal(scan: PreparedScan) -> np.ndarray:
    """Find what the field of view wrapped behind the head: a nose, usually.

    Signal in the air behind the head that reaches the field of view's border there, with
    the air around it.

    Returns
    -------
    numpy.ndarray of bool
        On the scan's grid; never in the head.
    """
    from scipy import ndimage

    volume, found = scan.volume, np.zeros(scan.volume.shape, bool)
    row = (scan.to_template @ volume.affine)[1, :3] / volume.spacing
    axis = int(np.argmax(np.abs(row)))
    last = 0 if row[axis] > 0 else volume.shape[axis] - 1
    level, noise = _robust(_air(scan))
    tissue = float(np.median(volume.data[scan.head])) if scan.head.any() else 0.0
    limit = level + max(WRAP_LEVEL * (tissue - level), 5 * noise)
    behind = space.template_axis(volume, scan.to_template, 1) < WRAP_BEHIND_MM
    box = geometry.box_within(behind, volume.spacing, WRAP_OFF_MM)
    away = morphology.depth_mm(~scan.head[box], volume.spacing) > WRAP_OFF_MM
    smooth = ndimage.uniform_filter(volume.data[box], size=3)
    labels, _ = ndimage.label((smooth > limit) & away & behind[box])
    edge = last - box[axis].start
    if not 0 <= edge < labels.shape[axis]:
        return found
    sizes = np.bincount(labels.ravel()) * volume.voxel_ml
    touching = np.unique(labels.take(edge, axis=axis))
    kept = [n for n in touching if n and sizes[n] >= WRAP_ML]
    if kept:
        near = morphology.depth_mm(~np.isin(labels, kept), volume.spacing) <= WRAP_MARGIN_MM
        found[box] = near & (away | (smooth > limit)) & ~scan.head[box] & ~scan.brain[box]
    return found


def match_intensity(
    average: np.ndarray, average_tissue: np.ndarray, scan: np.ndarray, scan_tissue: np.ndarray
) -> np.ndarray:
    """Give the average's tissue the histogram of the scan's tissue (by quantiles).

    Parameters
    ----------
    average, scan : numpy.ndarray
        Intensities.
    average_tissue, scan_tissue : numpy.ndarray of bool
        The voxels whose quantiles are matched.

    Returns
    -------
    numpy.ndarray
        The average's intensities in the scan's units.
    """
    if not average_tissue.any() or not scan_tissue.any():
        return average
    levels = np.linspace(2, 98, 33)
    source = np.maximum.accumulate(np.percentile(average[average_tissue], levels))
    target = np.maximum.accumulate(np.percentile(scan[scan_tissue], levels))
    source = source + np.arange(levels.size) * 1e-6 * max(1.0, abs(source[-1]))
    return np.interp(average, source, target)


def noise_level(scan: PreparedScan) -> float:
    """Return the noise's standard deviation in tissue, scan units.

    Each brain voxel minus the mean of its six neighbours; 1.4826 times the
    median absolute value, divided by sqrt(7/6).
    """
    from scipy.ndimage import binary_erosion

    data, brain = scan.volume.data, scan.brain
    if not brain.any():
        return 0.0
    box = tuple(slice(int(x.min()), int(x.max()) + 1) for x in np.nonzero(brain))
    data, inner = data[box], binary_erosion(brain[box], iterations=2)
    if not inner.any():
        return 0.0
    ring = sum(np.roll(data, step, axis) for axis in range(3) for step in (1, -1)) / 6
    residual = np.abs((data - ring)[inner])
    return float(1.4826 * np.median(residual) / np.sqrt(7 / 6))


def _template_voxels(part: Volume, matrix: np.ndarray, field: Volume | None) -> np.ndarray:
    """Return, for every voxel, its place in the extended mean head's array, (3, i, j, k)."""
    to_voxel = np.linalg.inv(extended_mean_head()[0].affine)
    points = [space.template_axis(part, matrix, axis) for axis in range(3)]
    if field is not None:
        moved = warp.displaced(part, field)
        rotation = matrix[:3, :3].astype(np.float32)
        points = [
            p + sum(rotation[axis, a] * moved[a] for a in range(3)) for axis, p in enumerate(points)
        ]
    m = to_voxel.astype(np.float32)
    return np.stack([sum(m[r, a] * points[a] for a in range(3)) + m[r, 3] for r in range(3)])


def _sample(data: np.ndarray, points: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    return map_coordinates(data, points, output=np.float32, order=1, mode="constant", cval=0.0)


METHOD = Defacer(
    version=VERSION,
    title="mri_reface (average face)",
    options=OPTIONS,
    run=deface,
    check=check,
    prepare=prepare,
    preload=("ants",),
    sources=("https://doi.org/10.1016/j.neuroimage.2021.117845",),
    licence="the average head is pydeface's: MIT",
)
