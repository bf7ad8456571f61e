"""The template head, a scan's registration to it, and the region of the face.

The template is the mean head of pydeface (Gulban et al., MIT licence) with its
face mask; both are read from the installed package, which is never imported.
Landmarks of the face are boxes in the template's space.  This module reads the
package's two images, and reads and writes a small JSON file with a matrix; the
registration program keeps its transforms in a temporary folder.

Coordinates "template mm" are the RAS+ millimetres of the mean head's header.
Its nose tip lies at about (0, 116, -70), the eyes' centres at (-33, 83, -38)
and (30, 85, -38), the line of the lips at z = -98; its field of view ends at
the lower lip (z = -120), so that the chin lies in the template's space but not
in its image.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refacebench.files import write_text
from refacebench.head import masks
from refacebench.image import nifti
from refacebench.image.nifti import Volume

#: Centre and volume of the mean head's brain (deepbet's mask of it), template mm and ml.
BRAIN_CENTER = np.array([-5.6, -3.3, 4.2])
BRAIN_ML = 1394.0
#: Registration works on voxels of about this size, whatever the scan's are.
REGISTRATION_VOXEL_MM = 2.0
#: Coarse-to-fine schedules of the registration: voxels, then shrink factors, smoothing sigmas
#: (voxels) and most iterations a level.  Both end at 4 mm; the quick one starts from coarser
#: images and takes about half of the time.
SCHEDULES = {
    "full": (REGISTRATION_VOXEL_MM, (6, 4, 2), (3, 2, 1), (2000, 1000, 200)),
    "quick": (4.0, (4, 2, 1), (2, 1, 0), (500, 200, 50)),
}
#: An affine whose stretch along any axis leaves this range is no registration of a head.
SCALE_RANGE = (0.7, 1.4)
#: Largest scale over smallest: heads differ less; a wrong optimum squeezes more.
MAX_ANISOTROPY = 1.35
#: Correlation with the mean head, within it, below which a registration is hopeless (right
#: ones reached 0.46 on a strongly biased, defaced scan and 0.65 on others; upside-down heads
#: and swapped axes stay under 0.30).
MIN_CORRELATION = 0.35
#: A registration is sure, and no other start is tried, with one of these: correlation within the
#: mean head and within :func:`_core` of at least so much, ratio of scales of at most so much.
#: Right ones of 41 scans of whole heads had 0.45 to 0.69, 0.57 to 0.77 and up to 1.24; those below
#: 0.6 in the core had 0.46 and more in the head, and 1.18 at most.  A head that is cut below the
#: nose is often stretched until it fills the mean head: 0.39 to 0.43, 0.54 to 0.56, from 1.33 on,
#: with a pose that is off by 7 to 12 degrees.
SURE = ((0.4, 0.6, 1.28), (0.45, 0.55, 1.2))
#: Correlation within the core from which on a stepwise result is sure.
SURE_STEPWISE = 0.6
#: Correlation within the core below which no stepwise result is taken.
MIN_CORE = 0.5
#: After the rigid step right ones have 0.5 and more; below this no further step is made.
HOPELESS_CORE = 0.3
#: Half axes, in mm, of an ellipsoid of the mean head's brain about :data:`BRAIN_CENTER`, and how
#: far around it lies what every head has, cut and defaced ones too: brain, skull, scalp.
BRAIN_AXES = np.array([66.0, 82.0, 61.0])
CORE_MARGIN_MM = 8.0
#: Degrees by which the chin is raised (or lowered) in further starts.
PITCHES = (0.0, 25.0, -25.0)
#: The whole head of an adult, crown to below the chin, is no longer than this.
HEAD_LENGTH_MM = 240.0

#: Labels of :func:`face_region`.
FACE_LABELS = {"nose": 1, "eyes": 2, "mouth": 3}
#: Label of the ears in :func:`face_region`: a part of its own, not one of the face.
EAR_LABEL = 4
#: Boxes (x, y, z from-to in template mm) of the parts of the face, placed by hand on the
#: mean head: x to the right, y forwards, z upwards.  Later boxes do not overwrite earlier ones.
FACE_BOXES = {
    "nose": [((-20.0, 20.0), (90.0, 150.0), (-84.0, -30.0))],
    "eyes": [
        ((-56.0, -12.0), (66.0, 150.0), (-54.0, -22.0)),
        ((12.0, 53.0), (66.0, 150.0), (-54.0, -22.0)),
    ],
    "mouth": [((-40.0, 40.0), (72.0, 150.0), (-165.0, -84.0))],
}
#: Boxes of the outer ears, as :data:`FACE_BOXES`, with a few millimetres of the skin behind them;
#: left is the person's own left (negative x).  The mean head's midline lies at x = -4 there.
EAR_BOXES = {
    "ear_left": ((-110.0, -66.0), (-45.0, 20.0), (-82.0, -14.0)),
    "ear_right": ((60.0, 104.0), (-45.0, 20.0), (-82.0, -14.0)),
}
#: The face is this layer under the head's surface.
FACE_DEPTH_MM = 20.0


def _package_file(name: str) -> Path:
    """Find a data file of the installed pydeface without importing it (it needs nipype)."""
    spec = importlib.util.find_spec("pydeface")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "data" / name
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"the template head is missing: pydeface's data/{name} was not found; "
        "install it with: pip install pydeface==2.1.0"
    )


def _frozen(volume: Volume) -> Volume:
    volume.data.flags.writeable = False
    return volume


@functools.cache
def mean_head() -> Volume:
    """Return pydeface's mean head (float32, RAS+ axes, about 1 mm; read-only).

    Raises
    ------
    FileNotFoundError
        If the pydeface package is not installed.
    """
    return _frozen(nifti.read(_package_file("mean_reg2mean.nii.gz")))


@functools.cache
def face_mask() -> Volume:
    """Return pydeface's mask on the mean head's grid: 0 in the face's box, 1 elsewhere.

    Raises
    ------
    FileNotFoundError
        If the pydeface package is not installed.
    """
    return _frozen(nifti.read(_package_file("facemask.nii.gz")))


@functools.cache
def _mean_head_mask() -> np.ndarray:
    return masks.head_mask(mean_head())


def coarse(volume: Volume, voxel_mm: float) -> Volume:
    """Average blocks of voxels so that each edge is about ``voxel_mm``; never finer."""
    factors = np.maximum(1, np.round(voxel_mm / volume.spacing + 1e-6)).astype(int)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * factors
    affine[:3, 3] = volume.affine[:3, 3] + volume.affine[:3, :3] @ ((factors - 1) / 2)
    return Volume(masks.block_mean(np.asarray(volume.data, np.float32), factors), affine)


def mask_center(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the centre of mass of a mask in RAS+ millimetres, shape (3,)."""
    if not mask.any():
        raise ValueError("the mask is empty")
    center = [
        np.average(np.arange(n), weights=mask.sum(axis=tuple(a for a in range(3) if a != axis)))
        for axis, n in enumerate(mask.shape)
    ]
    return (affine @ np.append(center, 1.0))[:3]


def register(
    volume: Volume,
    head: np.ndarray | None = None,
    brain: np.ndarray | None = None,
    schedule: str = "full",
) -> np.ndarray:
    """Register a scan to the mean head: affine, mutual information (ANTs).

    The template is the fixed image, so that a neck or shoulders below its
    field of view do not take part.  The best informed start (brain centre and
    size; centre of the upper 240 mm of the head; centres of mass) suffices if it
    gives a sure matrix.  If not, the scan is registered in steps, rigidly and then
    with one scale, from each of these starts with the chin as it is, raised and
    lowered, and at last from the brain that deepbet finds; shape follows within the
    core alone (:func:`_core`), which a cut or defaced head has too.  If that is not
    sure either, the other starts are tried as the first was, and the best plausible
    matrix of all is returned.

    Parameters
    ----------
    volume : Volume
        T1w scan, any orientation and voxel size.
    head, brain : numpy.ndarray of bool, optional
        Masks on the scan's grid, for the starts only.
    schedule : str
        A key of :data:`SCHEDULES`.  ``quick`` suffices for a pose: on five scans of
        2 mm it agreed with ``full`` to 1.1 degrees and 0.4 mm.

    Returns
    -------
    numpy.ndarray
        4 x 4 affine, the scan's RAS+ mm -> template mm.

    Raises
    ------
    ValueError
        If no start leads to a matrix whose scales lie within
        :data:`SCALE_RANGE` and :data:`MAX_ANISOTROPY` and that matches the mean head.
    """
    voxel_mm, *steps = SCHEDULES[schedule]
    fixed = coarse(mean_head(), voxel_mm)
    moving = clipped(coarse(nifti.reorient(volume), voxel_mm))
    tried: list[_Judged] = []
    for number, start in enumerate(_starts(volume, moving, head, brain)):
        tried.append(_judged(linear_stage("Affine", fixed, moving, start, *steps), moving))
        if number == 0 and not tried[-1].sure:
            tried += _more(volume, moving, head, brain)
        if any(found.sure for found in tried):
            break
    plausible = [found for found in tried if found.plausible]
    if plausible:
        return max(plausible, key=lambda found: found.core).matrix
    # Short, for a manifest's reason has 300 letters.
    raise ValueError(
        "the scan could not be registered to the template head: is it a T1w head with the right "
        "orientation in its header? (starts, each with scale, correlation in head and in brain: "
        + "; ".join(str(found) for found in tried)
        + ")"
    )


class _Judged(NamedTuple):
    """A matrix with its smallest and largest scale and its correlations in head and core."""

    matrix: np.ndarray
    low: float
    high: float
    head: float
    core: float
    stepwise: bool = False

    def __str__(self) -> str:
        return f"{self.low:.2f}-{self.high:.2f} {self.head:.2f} {self.core:.2f}"

    @property
    def plausible(self) -> bool:
        """Whether it may be a registration of a head at all."""
        if not (SCALE_RANGE[0] <= self.low and self.high <= SCALE_RANGE[1]):
            return False
        if self.high > MAX_ANISOTROPY * self.low:
            return False
        return self.core >= MIN_CORE if self.stepwise else self.head >= MIN_CORRELATION

    @property
    def sure(self) -> bool:
        """Whether no other start need be tried."""
        if self.stepwise:
            narrow = self.high <= max(ratio for *_, ratio in SURE) * self.low
            return self.plausible and narrow and self.core >= SURE_STEPWISE
        return self.plausible and any(
            self.head >= head and self.core >= core and self.high <= ratio * self.low
            for head, core, ratio in SURE
        )


def _judged(matrix: np.ndarray, moving: Volume, stepwise: bool = False) -> _Judged:
    found = _similarities(moving, matrix, [_coarse_head()[1], _core()])
    return _Judged(matrix, *stretch(matrix), *found, stepwise)


def _more(volume: Volume, moving: Volume, head, brain) -> list[_Judged]:
    """Register in steps from the starts anew, up to the first sure one.

    From each with the chin as it is, raised and lowered; what matches best after the rigid
    step goes on.
    """
    tried: list[_Judged] = []
    voxel_mm, *steps = SCHEDULES["quick"]
    small, fixed = coarse(moving, voxel_mm), coarse(mean_head(), voxel_mm)
    region = fixed.with_data(_core().astype(np.float32))
    for start in _starts_again(volume, small, head, brain):
        middle = np.linalg.solve(start, np.append(BRAIN_CENTER, 1.0))[:3]
        rigid = [
            linear_stage("Rigid", fixed, small, start @ _pitch(degrees, middle), *steps)
            for degrees in PITCHES
        ]
        judged = [_judged(matrix, small, stepwise=True) for matrix in rigid]
        best = max(judged, key=lambda found: found.core)
        if best.core < HOPELESS_CORE:
            tried.append(best)
            continue
        scaled = linear_stage("Similarity", fixed, small, best.matrix, *steps)
        shaped = linear_stage("Affine", fixed, small, scaled, *steps, region=region)
        tried += [_judged(matrix, small, stepwise=True) for matrix in (scaled, shaped)]
        if tried[-1].sure or tried[-2].sure:
            break
    return tried


def _starts_again(volume: Volume, small: Volume, head, brain):
    """Yield the starts, and at last that of the brain that deepbet finds in seconds."""
    yield from _starts(volume, small, head, brain)
    if brain is None:
        try:
            brain = masks.brain_mask(volume)
        except ValueError:
            return
        yield from itertools.islice(_starts(volume, small, head, brain), 1)


def _pitch(degrees: float, center: np.ndarray) -> np.ndarray:
    """Return the turn about an axis from left to right through a point."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = center - matrix[:3, :3] @ center
    return matrix


@functools.cache
def _core() -> np.ndarray:
    """Return where brain, skull and scalp are, on the mean head's voxels of 4 mm: in every scan."""
    grid, head = _coarse_head()
    place = [template_axis(grid, np.eye(4), axis) - BRAIN_CENTER[axis] for axis in range(3)]
    axes = BRAIN_AXES + CORE_MARGIN_MM
    inside = sum((p / a) ** 2 for p, a in zip(place, axes, strict=True)) <= 1
    return inside & head


def stretch(matrix: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest scale of an affine (singular values).

    >>> stretch(np.diag([1.0, -2.0, 0.5, 1.0]))
    (0.5, 2.0)
    """
    values = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    return float(values.min()), float(values.max())


def similarity(volume: Volume, matrix: np.ndarray) -> float:
    """Return the correlation of scan and mean head over the mean head, where both have data."""
    return _similarities(volume, matrix, [_coarse_head()[1]])[0]


def _similarities(volume: Volume, matrix: np.ndarray, regions) -> list[float]:
    """Return the same within several regions, masks on the mean head's voxels of 4 mm."""
    fixed = _coarse_head()[0]
    placed = Volume(volume.data, matrix @ volume.affine)
    field = Volume(np.ones(volume.shape, np.float32), placed.affine)
    known = nifti.resample(field, fixed, order=0).data > 0
    scan = nifti.resample(placed, fixed).data
    found = []
    for region in regions:
        inside = region & known
        flat = inside.sum() < 1000 or scan[inside].std() == 0
        found.append(0.0 if flat else float(np.corrcoef(scan[inside], fixed.data[inside])[0, 1]))
    return found


@functools.cache
def _coarse_head() -> tuple[Volume, np.ndarray]:
    """Return the mean head and its mask on voxels of 4 mm."""
    inside = coarse(mean_head().with_data(_mean_head_mask()), 4.0).data > 0.5
    return _frozen(coarse(mean_head(), 4.0)), inside


def clipped(volume: Volume) -> Volume:
    """Clip bright fat and vessels, which would take up the bins of the joint histogram.

    Raises
    ------
    ValueError
        If no intensity is positive.
    """
    data = np.nan_to_num(volume.data, posinf=0.0, neginf=0.0)
    positive = data[data > 0]
    if positive.size == 0:
        raise ValueError("the scan holds no positive intensity: there is no head in it")
    return volume.with_data(np.clip(data, 0, np.percentile(positive, 99.5)))


def _starts(volume: Volume, moving: Volume, head, brain):
    """Yield 4 x 4 matrices, scan mm -> template mm, from the most to the least informed."""
    if brain is not None and brain.any():
        size = (BRAIN_ML / (float(brain.sum()) * volume.voxel_ml)) ** (1 / 3)
        size = float(np.clip(size, 0.85, 1.2))
        yield _shift(BRAIN_CENTER, mask_center(brain, volume.affine), size)
    if head is None:
        head, grid = moving.data > 0.25 * np.percentile(moving.data, 98), moving
    else:
        grid = nifti.reorient(volume.with_data(head))
        head = grid.data
    upper = _upper(head, grid.affine)
    target = mask_center(_mean_head_mask(), mean_head().affine)
    yield _shift(target, mask_center(upper, grid.affine), 1.0)
    weights = moving.data / moving.data.sum()
    center = np.array([(np.indices(moving.shape)[a] * weights).sum() for a in range(3)])
    yield _shift(target, (moving.affine @ np.append(center, 1))[:3], 1.0)


def _upper(head: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Cut a head mask (RAS+ axes) below the length of a head."""
    upper = head.copy()
    slices = np.flatnonzero(head.any(axis=(0, 1)))
    if slices.size:
        step = float(np.linalg.norm(affine[:3, 2]))
        upper[:, :, : max(0, slices[-1] - int(HEAD_LENGTH_MM / step))] = False
    return upper


def _shift(target: np.ndarray, center: np.ndarray, size: float) -> np.ndarray:
    matrix = np.diag([size, size, size, 1.0])
    matrix[:3, 3] = target - size * center
    return matrix


def linear_stage(
    kind: str,
    fixed: Volume,
    moving: Volume,
    start: np.ndarray,
    shrink,
    sigmas,
    iterations,
    region: Volume | None = None,
) -> np.ndarray:
    """Run one linear registration (ANTs, mutual information) from a given start.

    Parameters
    ----------
    kind : str
        ``Affine``, ``Similarity`` or ``Rigid``.
    fixed, moving : Volume
        Intensities with few bright outliers (:func:`clipped`).
    start : numpy.ndarray
        4 x 4, the moving image's RAS+ mm -> the fixed image's.
    shrink, sigmas, iterations : tuple
        One entry a level, as in :data:`SCHEDULES`.
    region : Volume, optional
        Where the fixed image counts (not 0); everywhere by default.

    Returns
    -------
    numpy.ndarray
        4 x 4, likewise.
    """
    import ants

    # The start is put into the moving image's own place in space.
    placed = Volume(moving.data, start @ moving.affine)
    masked = {} if region is None else {"mask": nifti.to_ants(region), "mask_all_stages": True}
    with tempfile.TemporaryDirectory() as folder:
        result = ants.registration(
            fixed=nifti.to_ants(fixed),
            moving=nifti.to_ants(placed),
            type_of_transform=kind,
            initial_transform="Identity",
            outprefix=f"{folder}/linear_",
            aff_metric="mattes",
            aff_shrink_factors=shrink,
            aff_smoothing_sigmas=sigmas,
            aff_iterations=iterations,
            random_seed=1,
            **masked,
        )
        found = ants.read_transform(result["fwdtransforms"][-1])
    return np.linalg.inv(itk_to_ras(found)) @ start


def itk_to_ras(transform) -> np.ndarray:
    """Return the 4 x 4 RAS+ matrix of an affine ``ants.ANTsTransform`` (LPS, with a centre)."""
    matrix = np.asarray(transform.parameters[:9], float).reshape(3, 3)
    offset = np.asarray(transform.parameters[9:12], float)
    center = np.asarray(transform.fixed_parameters[:3], float)
    result = np.eye(4)
    result[:3, :3] = matrix
    result[:3, 3] = offset + center - matrix @ center
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return flip @ result @ flip


def warp_to_scan(
    template: Volume,
    volume: Volume,
    matrix: np.ndarray,
    order: int = 1,
    cval: float = 0.0,
    mode: str = "constant",
) -> np.ndarray:
    """Resample an image of the template's space on the grid of a scan.

    Parameters
    ----------
    template : Volume
        Any image whose affine leads to template mm.
    volume : Volume
        The scan, for its grid.
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm (:func:`register`).
    order : int
        0 nearest, 1 linear, 3 cubic.
    cval : float
        Value outside the template's field of view.
    mode : str
        ``"constant"`` for ``cval``, ``"nearest"`` to go on with the edge's values.
    """
    placed = Volume(template.data, np.linalg.inv(matrix) @ template.affine)
    return nifti.resample(placed, volume, order=order, cval=cval, mode=mode).data


def template_axis(volume: Volume, matrix: np.ndarray, axis: int) -> np.ndarray:
    """Return one template coordinate (mm) of every voxel of a scan's grid, float32."""
    row = (matrix @ volume.affine)[axis].astype(np.float32)
    i, j, k = np.ogrid[tuple(slice(0, n) for n in volume.shape)]
    return (
        row[0] * i.astype(np.float32)
        + row[1] * j.astype(np.float32)
        + (row[2] * k.astype(np.float32) + row[3])
    )


def bounding_box(volume: Volume, matrix: np.ndarray, boxes, margin_mm: float) -> tuple:
    """Return the slices of a scan's grid that hold boxes of the template's space.

    Parameters
    ----------
    boxes : sequence
        Each ``((x0, x1), (y0, y1), (z0, z1))`` in template mm.
    """
    to_voxel = np.linalg.inv(matrix @ volume.affine)
    corners = np.array(
        [[x, y, z, 1.0] for box in boxes for x in box[0] for y in box[1] for z in box[2]]
    )
    voxels = (to_voxel @ corners.T)[:3]
    pad = margin_mm / volume.spacing
    low = np.clip(np.floor(voxels.min(axis=1) - pad), 0, np.array(volume.shape)).astype(int)
    high = np.clip(np.ceil(voxels.max(axis=1) + pad) + 1, 0, np.array(volume.shape)).astype(int)
    return tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))


def crop(volume: Volume, box: tuple) -> Volume:
    """Return the part of a volume within slices, in the same place in space."""
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [box[0].start, box[1].start, box[2].start, 1.0])[:3]
    return Volume(volume.data[box], affine)


def inside_box(volume: Volume, matrix: np.ndarray, box) -> np.ndarray:
    """Return the voxels of a scan's grid within a box ``((x0, x1), ...)`` of the template."""
    inside = np.ones(volume.shape, bool)
    for axis, (low, high) in enumerate(box):
        values = template_axis(volume, matrix, axis)
        inside &= (values >= low) & (values <= high)
    return inside


def depth_mm(head: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return each head voxel's distance in mm to the air; the edge of the array is no air."""
    from scipy.ndimage import distance_transform_edt

    if head.all():  # no air in the array at all
        return np.full(head.shape, np.inf, np.float32)
    return distance_transform_edt(head, sampling=spacing).astype(np.float32)


def signed_distance(solid: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the distance in mm to a surface: positive inside, negative outside.

    >>> signed_distance(np.array([[[False, True, True]]]), np.ones(3)).ravel()
    array([-0.5,  0.5,  1.5], dtype=float32)
    """
    far = np.float32(1e3)
    half = np.float32(spacing.min() / 2)
    inside = np.minimum(depth_mm(solid, spacing), far)
    outside = np.minimum(depth_mm(~solid, spacing), far)
    return np.where(solid, inside - half, half - outside)


def face_region(volume: Volume, head: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Label the parts of the face on a scan's grid.

    The parts are boxes in template space (:data:`FACE_BOXES`), intersected with
    the scan's own head to a depth of :data:`FACE_DEPTH_MM` under its surface.
    The forehead is left out: no defacer takes it away.  Note that pydeface's
    mask leaves the upper half of the eyes by design.

    Parameters
    ----------
    volume : Volume
        The scan, for its grid.
    head : numpy.ndarray of bool
        Head mask of the *original* scan.
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm.

    Returns
    -------
    numpy.ndarray of uint8
        0 elsewhere, 1 nose, 2 eyes (lids, eyeballs' front, orbital rims),
        3 mouth and chin, 4 ears (:data:`EAR_BOXES`).  A part outside the field of
        view has no voxels.
    """
    labels = np.zeros(volume.shape, np.uint8)
    boxes = [box for part in FACE_BOXES.values() for box in part]
    boxes += EAR_BOXES.values()
    region = bounding_box(volume, matrix, boxes, FACE_DEPTH_MM + 5.0)
    if any(s.start >= s.stop for s in region):
        return labels
    part = crop(volume, region)
    layer = head[region] & (depth_mm(head[region], volume.spacing) <= FACE_DEPTH_MM)
    labels[region] = np.where(layer, _box_labels(part, matrix), 0)
    return labels


def _box_labels(volume: Volume, matrix: np.ndarray) -> np.ndarray:
    labels = np.zeros(volume.shape, np.uint8)
    for name, boxes in FACE_BOXES.items():
        for box in boxes:
            labels[inside_box(volume, matrix, box) & (labels == 0)] = FACE_LABELS[name]
    for box in EAR_BOXES.values():
        labels[inside_box(volume, matrix, box) & (labels == 0)] = EAR_LABEL
    return labels


def load() -> None:
    """Make what all registrations share, once a process and before it forks."""
    _core()
    _mean_face()


@functools.cache
def _mean_face() -> Volume:
    """Return the face region of the mean head itself, on 2 mm voxels."""
    head = coarse(mean_head().with_data(_mean_head_mask().astype(np.float32)), 2.0)
    return head.with_data(face_region(head, head.data > 0.5, np.eye(4)))


def face_present(volume: Volume, head: np.ndarray, matrix: np.ndarray) -> dict[str, float]:
    """Return, per part, how much of an average face the scan's head fills.

    The mean head's face region is laid on the scan; the share of it inside the
    scan's head mask is near 1 for a complete face, and far lower where the
    scan had been defaced before or the face lies outside the field of view.

    Returns
    -------
    dict of str to float
        For each of :data:`FACE_LABELS`, a share in 0..1.
    """
    face = _mean_face()
    points = np.argwhere(face.data > 0)
    kinds = face.data[tuple(points.T)]
    to_scan = np.linalg.inv(matrix @ volume.affine) @ face.affine
    voxels = np.rint(points @ to_scan[:3, :3].T + to_scan[:3, 3]).astype(int)
    inside = ((voxels >= 0) & (voxels < np.array(volume.shape))).all(axis=1)
    hit = np.zeros(len(points), bool)
    hit[inside] = head[tuple(voxels[inside].T)]
    return {name: float(hit[kinds == label].mean()) for name, label in FACE_LABELS.items()}


def write_matrix(matrix: np.ndarray, path: str | Path) -> None:
    """Write a scan-to-template matrix as JSON, all or nothing."""
    document = {
        "from": "RAS+ millimetres of the scan",
        "to": "RAS+ millimetres of pydeface's mean head (mean_reg2mean.nii.gz)",
        "matrix": np.asarray(matrix, float).tolist(),
    }
    write_text(json.dumps(document, indent=1) + "\n", path)


def read_matrix(path: str | Path) -> np.ndarray:
    """Read a matrix that :func:`write_matrix` wrote.

    Raises
    ------
    ValueError
        If the file holds no invertible 4 x 4 matrix.
    """
    try:
        matrix = np.asarray(json.loads(Path(path).read_text())["matrix"], float)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a registration matrix ({error}); prepare it again") from None
    if matrix.shape != (4, 4) or not np.linalg.det(matrix):
        raise ValueError(f"{path}: not an invertible 4 x 4 matrix; run prepare again")
    return matrix
