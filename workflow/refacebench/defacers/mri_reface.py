"""mri_reface: replace the face by an average face, non-linearly registered.

Schwarz et al., "Changing the face of neuroimaging research: comparing a new MRI
de-facing technique with popular alternatives", NeuroImage 231:117845 (2021),
built from the published description: affine, then non-linear registration of an
average face to the scan; the face is replaced, intensities are matched, and (as
since release 0.3) the noise too.

What is this project's own: the average head is pydeface's; the face is masked out
of the non-linear stage's metric, so that the average face does not bend toward
the person's; the chin, which the average head's field of view cuts off, is
continued below it; ears are an option; teeth and wrapped air are not treated.
Without a seam the new face is blended over ``blend_mm`` into the scan, and no
nearer to the brain than ``keep_mm``.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from .. import images, masks, templates
from ..images import Volume
from . import Defaced, PreparedScan

VERSION = "1"
ENGINE = "native"
TITLE = "mri_reface (average face)"
PRELOAD = ("ants",)
#: ears: replace the ears too; nonlinear: run the non-linear stage; blend_mm: width of the
#: seam; keep_mm: no replacement this near to the brain; noise: match the scan's noise.
OPTIONS = {
    "ears": False,
    "nonlinear": True,
    "blend_mm": 12.0,
    "keep_mm": 3.0,
    "noise": True,
    "protect_margin_mm": 0.0,
}
#: Regions in template mm (x, y, z from-to) that are replaced; the seam lies inside them.
FACE = ((-80.0, 78.0), (40.0, 175.0), (-240.0, 12.0))
EARS = (
    ((-110.0, -62.0), (-40.0, 40.0), (-95.0, 0.0)),
    ((58.0, 110.0), (-40.0, 40.0), (-95.0, 0.0)),
)
#: The non-linear stage gets voxels of this size, and runs on twice that.
WARP_VOXEL_MM = 4.0
#: Lowest slice of the mean head that shows a whole head, and what is put below it.
CHIN_FROM_MM, CHIN_LENGTH_MM = -104.0, 75.0
#: The average of many faces is dim at lips and lids, where they differ; the new face gets a
#: closed skin of this thickness, not darker than this quantile of the scan's own tissue.
SKIN_MM, SKIN_QUANTILE = 5.0, 40.0
#: Intensity of the mean head's surface, and half the thickness of its ghosts.
SURFACE, GHOST_MM = 75.0, 4.5


def prepare(options: dict) -> None:
    """Read and extend the mean head once for all scans of a batch."""
    templates.mean_head()
    extended_mean_head()


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Replace the face by the average one.

    Raises
    ------
    ValueError
        If the face lies outside the field of view.
    """
    regions = [FACE, *(EARS if options["ears"] else ())]
    warp = _nonlinear(scan) if options["nonlinear"] else None
    rng = np.random.default_rng(scan.seed)
    values = scan.volume.data.copy()
    changed = np.zeros(scan.volume.shape, bool)
    for number, region in enumerate(regions):
        box = templates.bounding_box(scan.volume, scan.to_template, [region], 0.0)
        if any(s.start >= s.stop for s in box) or not scan.head[box].any():
            if number == 0:
                raise ValueError("mri_reface: the face lies outside the field of view")
            continue
        fresh, weight = _replace(scan, box, region, warp, options, rng)
        part = values[box]
        values[box] = part + weight * (fresh - part)
        changed[box] |= weight > 0
    return Defaced(values, changed)


def _replace(scan: PreparedScan, box, region, warp, options, rng):
    """Return the average's intensities in a part of the scan, and their weight."""
    part = templates.crop(scan.volume, box)
    head, brain = scan.head[box], scan.brain[box]
    points = _template_voxels(part, scan.to_template, warp)
    average = extended_mean_head()
    intensity, solid, skin = (_sample(volume.data, points) for volume in average)
    solid = np.clip((solid - 0.25) * 2, 0, 1)  # the average's own edge is soft enough
    tissue = head & ~brain
    mapped = match_intensity(intensity, solid > 0.5, part.data, tissue)
    if tissue.any():
        floor = float(np.percentile(part.data[tissue], SKIN_QUANTILE))
        mapped = np.maximum(mapped, skin * floor)
    far = ~head & (templates.depth_mm(~head, part.spacing) > 4.0)
    air = part.data[far] if far.any() else np.zeros(1, np.float32)
    background = np.full(part.shape, np.median(air), np.float32)
    if options["noise"]:
        background = rng.choice(air, size=part.shape).astype(np.float32)
        mapped = mapped + rng.normal(0, noise_level(scan), part.shape)
    fresh = solid * mapped + (1 - solid) * background
    fresh = np.clip(fresh, min(0.0, float(scan.volume.data.min())), float(scan.volume.data.max()))
    blend = float(options["blend_mm"])
    weight = region_weight(part, scan.to_template, region, blend)
    if brain.any():
        away = templates.depth_mm(~brain, part.spacing) - float(options["keep_mm"])
        weight = np.minimum(weight, _smoothstep(away / max(blend / 2, 1e-3)))
    return fresh.astype(np.float32), weight.astype(np.float32)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def region_weight(part: Volume, matrix: np.ndarray, region, blend: float) -> np.ndarray:
    """Return 1 inside a box of the template's space, falling to 0 at its faces.

    The faces that look out of the head (front, bottom, and the outer side of
    an ear) have no seam.
    """
    weight = np.ones(part.shape, np.float32)
    for axis, (low, high) in enumerate(region):
        values = templates.template_axis(part, matrix, axis)
        for edge, sign in ((low, 1), (high, -1)):
            outward = abs(edge) >= 100
            distance = sign * (values - edge)
            ramp = (distance >= 0) if outward else _smoothstep(distance / max(blend, 1e-3))
            weight = np.minimum(weight, ramp.astype(np.float32))
    return weight


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


@functools.cache
def extended_mean_head() -> tuple[Volume, Volume, Volume]:
    """Return the mean head, its soft mask and its skin, continued below the field of view.

    The mean head ends at the lower lip.  Its lowest whole slice is repeated
    downwards, at first unchanged (the chin), then moved back and made narrower
    with depth (the floor of the mouth and the front of the neck).

    Returns
    -------
    tuple of Volume
        Intensities, mask (0..1), and the layer of ``SKIN_MM`` under the mask's
        surface (0..1); about 2 mm voxels, which is finer than the mean head's blur.
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter

    head = templates.coarse(templates.mean_head(), 2.0)
    mask = _clean_mask(head)
    step = head.spacing[2]
    first = int(round((CHIN_FROM_MM - head.affine[2, 3]) / step))
    mask[:, :, first] = binary_fill_holes(mask[:, :, first])
    extra = int(round(CHIN_LENGTH_MM / step))
    affine = head.affine.copy()
    affine[:3, 3] += head.affine[:3, 2] * (first - extra)
    data, mask = (
        np.concatenate([_below(x[:, :, first], extra, head.spacing), x[:, :, first:]], axis=2)
        for x in (np.asarray(head.data, np.float32), mask.astype(np.float32))
    )
    depth = templates.depth_mm(mask > 0.5, head.spacing)
    skin = ((depth > 0) & (depth <= SKIN_MM)).astype(np.float32)
    smooth = [Volume(gaussian_filter(x, s), affine) for x, s in ((mask, 1.0), (skin, 0.5))]
    return Volume(data, affine), *smooth


def _clean_mask(head: Volume) -> np.ndarray:
    """Return the mean head's mask without the faint ghosts that lie before its eyes.

    The surface is where the average rises above ``SURFACE``; what is thinner than twice
    ``GHOST_MM`` (ghosts of glasses and coil pads) is opened away.
    """
    filled = masks.head_mask(head)
    inside = templates.depth_mm(filled, head.spacing)
    solid = filled & ((head.data > SURFACE) | (inside > 12.0))
    core = templates.depth_mm(solid, head.spacing) > GHOST_MM
    opened = templates.depth_mm(~core, head.spacing) <= GHOST_MM
    return masks.fill_holes(masks.largest_component(opened & solid))


def _below(slice_: np.ndarray, extra: int, spacing: np.ndarray) -> np.ndarray:
    """Continue an axial slice downwards: chin, floor of the mouth, front of the neck."""
    from scipy.ndimage import affine_transform

    center = (slice_.shape[0] - 1) / 2
    slices = []
    for below in range(extra, 0, -1):
        depth = below * spacing[2]
        back = 50.0 * float(_smoothstep(np.array((depth - 22.0) / 45.0)))
        width = 1.0 + 0.45 * float(_smoothstep(np.array((depth - 5.0) / 45.0)))
        offset = (center * (1 - width), back / spacing[1])
        slices.append(affine_transform(slice_, np.diag([width, 1.0]), offset, order=1))
    return np.stack(slices, axis=2)


def _template_voxels(part: Volume, matrix: np.ndarray, warp: Volume | None) -> np.ndarray:
    """Return, for every voxel, its place in the extended mean head's array, (3, i, j, k)."""
    from scipy.ndimage import affine_transform

    to_voxel = np.linalg.inv(extended_mean_head()[0].affine)
    points = [templates.template_axis(part, matrix, axis) for axis in range(3)]
    if warp is not None:
        to_warp = np.linalg.inv(warp.affine) @ part.affine
        moved = [
            affine_transform(
                warp.data[..., axis],
                to_warp[:3, :3],
                to_warp[:3, 3],
                output_shape=part.shape,
                order=1,
                mode="nearest",
            )
            for axis in range(3)
        ]
        rotation = matrix[:3, :3].astype(np.float32)
        points = [
            p + sum(rotation[axis, a] * moved[a] for a in range(3)) for axis, p in enumerate(points)
        ]
    m = to_voxel.astype(np.float32)
    return np.stack([sum(m[r, a] * points[a] for a in range(3)) + m[r, 3] for r in range(3)])


def _sample(data: np.ndarray, points: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    return map_coordinates(data, points, output=np.float32, order=1, mode="constant", cval=0.0)


def _nonlinear(scan: PreparedScan) -> Volume:
    """Register the affinely placed mean head to the scan, without looking at the face.

    Returns
    -------
    Volume
        Displacements in RAS mm, shape (i, j, k, 3): a point of the scan plus
        its displacement is the point of the affinely placed mean head.
    """
    import ants
    import nibabel as nib

    fixed = templates.coarse(images.reorient(scan.volume), WARP_VOXEL_MM)
    data = np.clip(fixed.data, 0, np.percentile(fixed.data, 99.5))
    fixed = fixed.with_data(data)
    head = templates.coarse(templates.mean_head(), WARP_VOXEL_MM)
    moving = fixed.with_data(templates.warp_to_scan(head, fixed, scan.to_template))
    field = templates.warp_to_scan(
        head.with_data(np.ones(head.shape, np.float32)), fixed, scan.to_template
    )
    seen = (field > 0.99) & ~templates.inside_box(fixed, scan.to_template, FACE)
    if not seen.any():
        raise ValueError("mri_reface: the scan does not overlap the mean head")
    with tempfile.TemporaryDirectory() as folder:
        ants.registration(
            fixed=images.to_ants(fixed),
            moving=images.to_ants(moving),
            type_of_transform="SyNOnly",
            mask=images.to_ants(fixed.with_data(seen.astype(np.float32))),
            initial_transform="Identity",
            outprefix=f"{folder}/warp_",
            reg_iterations=(40, 0),
            random_seed=1,
        )
        names = sorted(p for p in Path(folder).glob("*Warp.nii.gz") if "Inverse" not in p.name)
        moved = np.asarray(nib.load(names[-1]).dataobj, np.float32).reshape(*fixed.shape, 3)
    # ITK keeps displacements in LPS.
    return Volume(moved * np.array([-1, -1, 1], np.float32), fixed.affine)
