"""Where a scan lies on a trained head, how its shape differs, and what that head shows there.

The data side of :mod:`refacebench.refacers.prior3d`.  A scan is brought to a common box that
hangs from the vertex and the back of the head, laid on the trained head by an affine and then a
non-linear registration, and in both only voxels that defacing kept take part.  Arrays in,
arrays out; touches no file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from refacebench.head import masks, matching
from refacebench.image import geometry, nifti, registration, sampling
from refacebench.image.nifti import Volume
from refacebench.training.working_grid import head_extent

#: The common box, mm: its edges, and how far it reaches behind and above the head.
BOX_MM, MARGIN_MM = (208.0, 272.0, 264.0), 24.0
#: So much of the head below the vertex says where its middle and its back are.
UPPER_MM = 180.0
#: Voxel edge at which scans are registered and displacements are kept.
COARSE_MM = 4.0
#: The percentile of the kept head that becomes 1, and what is no longer told apart above it.
PERCENTILE, MOST = 95.0, 1.3
#: A voxel of the trained head above this is tissue.
TISSUE = 0.15
#: Levels of the non-linear registration, its smoothing in voxels, and rounds of the affine.
LEVELS, ELASTIC, AFFINE_ROUNDS = ((0.5, 25), (1.0, 25)), 1.0, 2
#: Displacements this near to the hole tell its shape.  The demo's training people, left out of the
#: shapes one by one, were missed by 3.46 mm with 20 mm (reach 90 mm), 3.33 with 40 (reach 90),
#: 3.38 with 60 (reach 60), 3.46 with the whole head (reach 60); its validation people by 3.48,
#: 3.36, 2.99 and 2.93.
NEAR_MM = 60.0
#: At so many places, at most, the shape of what was kept is read.
PLACES = 1500
#: How far, mm (sigma), the brightness around the hole and the border's own values reach into it.
#: On the demo's validation people 1.5 to 2.5 mm for the border were as good as each other, and SSIM
#: in front was .001 lower with 4 mm; seams cannot be seen in slices.
GAIN_MM, SEAM_MM = 24.0, 2.0
#: A mean of many heads is a blur of one: so much of what a Gaussian of so many mm takes away is
#: added to it.  More of it raises SSIM and lowers the correlation: on the demo's validation people
#: .8886 and .9625 without, .8898 and .9618 with a half, .8903 and .9609 with all of it (border
#: 4 mm).  Noise like the scan's own lowered both.
SHARPEN, SHARPEN_MM = 0.5, 1.4
#: What the trained head's own gain counts against the scan's nearby (squared intensities).
GAIN_WEIGHT = 0.02


@dataclass(frozen=True)
class Seen:
    """A scan as this module needs it: RAS+ axes, about the working voxel size, air 0.

    Attributes
    ----------
    data : numpy.ndarray
        The defaced scan, its kept head's 95th percentile at 1.
    changed : numpy.ndarray of bool
        What defacing changed.
    original : numpy.ndarray
        The original in the same units; empty where it is not known.
    affine : numpy.ndarray
        4 x 4, voxels to RAS+ mm.
    to_scan : numpy.ndarray
        4 x 4, mm of the common box to the scan's RAS+ mm.
    air, scale : float
        ``intensity = air + scale * data``.
    """

    data: np.ndarray
    changed: np.ndarray
    original: np.ndarray
    affine: np.ndarray
    to_scan: np.ndarray
    air: float
    scale: float


def prepare(defaced: Volume, changed: np.ndarray, original: Volume | None, voxel_mm: float) -> Seen:
    """Bring a scan to the working voxel size, and find where its head hangs.

    Raises
    ------
    ValueError
        If defacing left no head to go by.
    """
    holes = Volume(changed.astype(np.float32), defaced.affine)
    small, hole = (_axes(v, COARSE_MM) for v in (defaced, holes))
    kept = hole.data == 0
    head = masks.head_mask(small)
    tissue = small.data[head & kept]
    if tissue.size < 100:
        raise ValueError("defacing left no head by which a face could be placed")
    beside = small.data[~head & kept]
    air = float(np.median(beside)) if beside.size else 0.0
    scale = float(np.percentile(tissue, PERCENTILE)) - air
    if not scale > 0:
        raise ValueError("what defacing left of the head is not brighter than air")
    data, hole = (_axes(v, voxel_mm) for v in (defaced, holes))
    truth: np.ndarray = np.zeros(0)
    if original is not None:
        truth = (_axes(original, voxel_mm).data - air) / scale
    to_scan = np.eye(4)
    to_scan[:3, 3] = _anchor(small, head & kept)
    return Seen(
        np.asarray((data.data - air) / scale, np.float32),
        hole.data > 0,
        np.asarray(truth, np.float32),
        data.affine,
        to_scan,
        air,
        scale,
    )


def _axes(volume: Volume, voxel_mm: float) -> Volume:
    return geometry.coarse(nifti.reorient(volume), voxel_mm)


def _anchor(small: Volume, head: np.ndarray) -> np.ndarray:
    """Return RAS+ mm of the head's middle (left to right), back and vertex."""
    top = head_extent(head)[2][1]
    upper = head.copy()
    upper[:, :, : max(0, top - round(UPPER_MM / small.spacing[2]))] = False
    (left, right), (back, _), _ = head_extent(upper)
    return (small.affine @ [(left + right) / 2, back, top, 1.0])[:3]


@functools.cache
def box(voxel_mm: float) -> Volume:
    """Return the common box: an empty grid whose millimetres start at the anchor."""
    shape = tuple(round(edge / voxel_mm) for edge in BOX_MM)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = np.multiply(shape, voxel_mm) * [-0.5, 0, -1] + [0, -MARGIN_MM, MARGIN_MM]
    affine[:3, 3] += voxel_mm / 2
    return Volume(np.zeros(shape, np.float32), affine)


def in_box(seen: Seen, data: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Resample one of a scan's arrays into the box, smoothed where that is coarser."""
    placed = Volume(np.asarray(data, np.float32), np.linalg.inv(seen.to_scan) @ seen.affine)
    return sampling.resample(geometry.coarse(placed, voxel_mm), box(voxel_mm)).data


def there(seen: Seen, mask: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Return where the box is filled by voxels of a mask alone."""
    return in_box(seen, mask, voxel_mm) > 0.99


def lay(seen: Seen, head: np.ndarray) -> Seen:
    """Lay a defaced scan on the trained head by an affine registration of what was kept.

    Parameters
    ----------
    head : numpy.ndarray
        The trained head in the coarse box.

    Raises
    ------
    ValueError
        If that leads to no head's proportions.
    """
    grid = box(COARSE_MM).affine
    for _ in range(AFFINE_ROUNDS):
        kept = there(seen, ~seen.changed, COARSE_MM)
        own = _clipped(in_box(seen, seen.data, COARSE_MM))
        known = own[kept]
        gain = float(known @ head[kept]) / max(float(head[kept] @ head[kept]), 1e-6)
        found = registration.affine(
            own[None], gain * head[None], np.eye(4), 30, kept.astype(np.float32)
        )
        step = grid @ found @ np.linalg.inv(grid)
        seen = replace(seen, to_scan=seen.to_scan @ np.linalg.inv(step))
    least, most = matching.stretch(seen.to_scan)
    if least < matching.SCALE_RANGE[0] or most > matching.SCALE_RANGE[1]:
        raise ValueError("what defacing left could not be laid on the trained head")
    return seen


def _clipped(data: np.ndarray) -> np.ndarray:
    return np.clip(data, 0, MOST).astype(np.float32)


def bend(own: np.ndarray, head: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Register the trained head to a scan, both in the coarse box, by what was kept.

    Returns
    -------
    numpy.ndarray
        Displacement in coarse voxels, (3, i, j, k): the scan at x looks like the head at
        x + displacement.
    """
    own = np.where(kept, _clipped(own), 0)
    return registration.demons(
        own[None], head[None], LEVELS, elastic=ELASTIC, weight=kept.astype(np.float32)
    )


def onto(image: np.ndarray, displacement: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Return images of the box, (channels, i, j, k), brought onto the trained head."""
    here = _here(displacement.shape[1:])
    back = -displacement
    for _ in range(8):  # the inverse of a displacement, by fixed points
        back = -sampling.sample(displacement, here + back)
    points = _here(image.shape[1:])
    moved = sampling.sample(back, _between(points, voxel_mm, COARSE_MM))
    return sampling.sample(image, points + moved * np.float32(COARSE_MM / voxel_mm))


def _here(shape) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))


def _between(points: np.ndarray, one_mm: float, other_mm: float) -> np.ndarray:
    """Return voxels of one box as voxels of another one; both share their corners."""
    return ((points + 0.5) * (one_mm / other_mm) - 0.5).astype(np.float32)


def mean(images: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the mean of images where they are known; downwards it goes on as it ends.

    Parameters
    ----------
    images : iterable of tuple
        Image and mask of what is known, of the box; one at a time is held.
    """
    count = total = np.zeros(())
    for image, known in images:
        count = count + known
        total = total + np.where(known, image, 0)
    result = (total / np.maximum(count, 1)).astype(np.float32)
    for z in range(result.shape[2] - 2, -1, -1):  # below the shortest neck
        result[:, :, z] = np.where(count[:, :, z] > 0, result[:, :, z], result[:, :, z + 1])
    return result


def sharpened(head: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Return a mean head of the box with more of its fine detail."""
    from scipy.ndimage import gaussian_filter

    detail = head - gaussian_filter(head, SHARPEN_MM / voxel_mm, truncate=3)
    return np.maximum(head + np.float32(SHARPEN) * detail, 0).astype(np.float32)


def symmetric(head: np.ndarray) -> np.ndarray:
    """Return the mean of a head of the box and its mirror image."""
    return ((head + head[::-1]) / 2).astype(np.float32)


def mirrored(displacement: np.ndarray) -> np.ndarray:
    """Return the displacement of a mirror image, where the trained head is its own."""
    turned = displacement[:, ::-1].copy()
    turned[0] *= -1
    return turned


def some(mask: np.ndarray, most: int) -> np.ndarray:
    """Return voxels of a mask, (places, 3), from the finest regular grid that has few enough."""
    for step in range(1, max(mask.shape) + 1):
        places = np.argwhere(mask[::step, ::step, ::step]) * step
        if len(places) <= most:
            break
    return places


def coarse(head: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Return a head of the box in the coarse box, clipped as for a registration."""
    fine = box(voxel_mm).with_data(head)
    return _clipped(sampling.resample(geometry.coarse(fine, COARSE_MM), box(COARSE_MM)).data)


def faded(values: np.ndarray, kept: np.ndarray, sigma) -> np.ndarray:
    """Carry values into the voxels around them, fading to nothing.

    Where ``kept``, the values themselves; beyond, their Gaussian mean, less and less of it
    as less of the Gaussian lies in what was kept.
    """
    from scipy.ndimage import gaussian_filter

    share = gaussian_filter(kept.astype(np.float32), sigma, truncate=3)
    near = gaussian_filter(np.where(kept, values, 0).astype(np.float32), sigma, truncate=3)
    weight = np.clip(2 * share, 0, 1)
    return np.where(kept, values, weight * near / np.maximum(share, 1e-4))


def gains(own: np.ndarray, head: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return how bright a scan is against the trained head, around each voxel of the coarse box.

    Least squares with a Gaussian window over tissue that was kept; where there is none, of all.
    """
    from scipy.ndimage import gaussian_filter

    use = kept & (head > TISSUE)
    products = [np.where(use, image, 0).astype(np.float32) for image in (own * head, head * head)]
    whole = float(products[0].sum()) / max(float(products[1].sum()), 1e-6)
    near = [gaussian_filter(image, GAIN_MM / COARSE_MM, truncate=3) for image in products]
    return (near[0] + GAIN_WEIGHT * whole) / (near[1] + GAIN_WEIGHT)


def paint(
    seen: Seen, volume: Volume, hole: np.ndarray, head: np.ndarray, moved: np.ndarray,
    voxel_mm: float,
) -> np.ndarray:  # fmt: skip
    """Return a scan whose hole shows the trained head, bent and as bright as what is around it.

    Parameters
    ----------
    volume : Volume
        The defaced scan on its own grid; :func:`prepare` made ``seen`` of it.
    hole : numpy.ndarray of bool
        On that grid.
    head : numpy.ndarray
        The trained head in the box.
    moved : numpy.ndarray
        Displacement in the coarse box (prior3d's, the scan's own where it was kept).

    Returns
    -------
    numpy.ndarray
        float32, the scan's units; its own values where there is no hole.
    """
    small = bent(coarse(head, voxel_mm), moved)
    kept = there(seen, ~seen.changed, COARSE_MM)
    gain = gains(in_box(seen, seen.data, COARSE_MM), small, kept)
    part = geometry.box_within(hole, volume.spacing, 3 * SEAM_MM)
    piece = geometry.crop(volume, part)
    to_box = np.linalg.inv(seen.to_scan @ box(COARSE_MM).affine) @ piece.affine
    points = np.tensordot(to_box[:3, :3], np.indices(piece.shape), 1)
    points = (points + to_box[:3, 3][:, None, None, None]).astype(np.float32)
    fields = sampling.sample(np.concatenate([moved, gain[None]]), points)
    places = _between(points + fields[:3], COARSE_MM, voxel_mm)
    new = sampling.sample(head[None], places)[0] * fields[3]
    own = (piece.data - seen.air) / seen.scale
    new = new + faded(own - new, ~hole[part], SEAM_MM / piece.spacing)
    result = np.asarray(volume.data, np.float32).copy()
    new = np.maximum(seen.air + seen.scale * new, min(0.0, float(volume.data.min())))
    result[part] = np.where(hole[part], new, piece.data)
    return result


def bent(head: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return a head of the coarse box bent by a displacement."""
    return sampling.sample(head[None], _here(head.shape) + moved)[0]


def observed(seen: Seen, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the coarse box shows what was kept, and the displacement told by that."""
    kept = there(seen, ~seen.changed, COARSE_MM)
    return kept, bend(in_box(seen, seen.data, COARSE_MM), head, kept)


def hole(seen: Seen) -> np.ndarray:
    """Return the voxels of the coarse box in which what is painted is looked up."""
    # Not 0: interpolation is good to a thousandth of a voxel.
    touched = in_box(seen, seen.changed, COARSE_MM) > 0.01
    return within(touched, COARSE_MM)


def within(mask: np.ndarray, reach_mm: float) -> np.ndarray:
    """Return the voxels of the coarse box no further than so many mm from a mask."""
    return geometry.grow(mask, np.full(3, COARSE_MM), reach_mm)
