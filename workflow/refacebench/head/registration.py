"""A scan's registration to the template head: from which starts, in which steps, and when to stop.

One linear registration is :mod:`refacebench.image.linear`'s, what it is worth is
:mod:`refacebench.head.matching`'s.  Touches no file but the registration program's own in
a temporary folder.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from refacebench.head import extraction
from refacebench.head.matching import Judged, coarse_head, core, judge
from refacebench.head.template import BRAIN_CENTER, mean_head, mean_head_mask
from refacebench.image import correlation_ratio, nifti
from refacebench.image.correlation_ratio import Target
from refacebench.image.geometry import coarse, mask_center
from refacebench.image.linear import clipped, linear_stage
from refacebench.image.morphology import within
from refacebench.image.nifti import Volume

#: Volume of the mean head's brain (deepbet's mask of it).
BRAIN_ML = 1394.0
#: Registration works on voxels of about this size, whatever the scan's are.
REGISTRATION_VOXEL_MM = 2.0
#: Voxels of the first try, from coarse to fine, and how far around the mean head it looks.
FIRST_MM, FIRST_MARGIN_MM = (8.0, 4.0), 8.0
#: Its last steps, by mutual information, on the finest of these voxels: as in :data:`SCHEDULES`.
#: 20 of them suffice for most heads, but left more of the demo's stretched ones unsure.
FIRST_STEPS = ((1,), (0,), (50,))
#: Ratio of scales up to which the first try is believed: of eight heads without a face and with
#: the chin up, three that were 5 to 8 mm off were sure, with 1.16 and more.  Of the demo's 28 whole
#: heads, which are stretched by design, 25 had 1.03 to 1.15, and three 1.17 to 1.22.
FIRST_STRETCH = 1.15
#: Coarse-to-fine schedules of the registration: voxels, then shrink factors, smoothing sigmas
#: (voxels) and most iterations a level.  Both end at 4 mm; the quick one starts from coarser
#: images and takes about half of the time.
SCHEDULES: dict[str, tuple[Any, ...]] = {
    "full": (REGISTRATION_VOXEL_MM, (6, 4, 2), (3, 2, 1), (2000, 1000, 200)),
    "quick": (4.0, (4, 2, 1), (2, 1, 0), (500, 200, 50)),
}
#: After the rigid step right ones have 0.5 and more; below this no further step is made.
HOPELESS_CORE = 0.3
#: Degrees by which the chin is raised (or lowered) in further starts.
PITCHES = (0.0, 25.0, -25.0)
#: The whole head of an adult, crown to below the chin, is no longer than this.
HEAD_LENGTH_MM = 240.0


def register(
    volume: Volume,
    head: np.ndarray | None = None,
    brain: np.ndarray | None = None,
    schedule: str = "full",
) -> np.ndarray:
    """Register a scan to the mean head: affine, mutual information (ANTs).

    The template is the fixed image, so that a neck or shoulders below its
    field of view do not take part.  The best informed start (brain centre and
    size; centre of the upper 240 mm of the head; centres of mass) is first brought near
    by the correlation ratio, so that mutual information has a third of the work.  That
    suffices if the matrix is sure and hardly stretches; if not, mutual information alone
    from the same start may be.  If not, the scan is registered in steps, rigidly and then
    with one scale, from each of the starts with the chin as it is, raised and lowered, and
    at last from the brain that deepbet finds; shape follows within the core alone
    (:func:`core`), which a cut or defaced head has too.  If that is not sure either, the
    other starts are tried as the first was, and the best plausible matrix of all is
    returned.

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
    voxel_mm, steps = SCHEDULES[schedule][0], SCHEDULES[schedule][1:]
    moving = clipped(coarse(nifti.reorient(volume), REGISTRATION_VOXEL_MM))
    first = _first_try(moving, next(_starts(volume, moving, head, brain)))
    if first.sure and first.high <= FIRST_STRETCH * first.low:
        return first.matrix
    fixed, moving = coarse_head(voxel_mm)[0], coarse(moving, voxel_mm)
    tried: list[Judged] = []
    for number, start in enumerate(_starts(volume, moving, head, brain)):
        tried.append(judge(linear_stage("Affine", fixed, moving, start, *steps), moving))
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


def _first_try(moving: Volume, start: np.ndarray) -> Judged:
    """Register a scan from one start: the correlation ratio leads, mutual information ends it."""
    for voxel_mm in FIRST_MM:
        small = coarse(moving, voxel_mm)
        start = correlation_ratio.affine(_target(voxel_mm), small, start)
    fixed = coarse_head(FIRST_MM[-1])[0]
    return judge(linear_stage("Affine", fixed, small, start, *FIRST_STEPS), moving)


@functools.cache
def _target(voxel_mm: float) -> Target:
    """Return the mean head and its near surroundings, where the first try looks."""
    head, inside = coarse_head(voxel_mm)
    return correlation_ratio.target(head, within(inside, round(FIRST_MARGIN_MM / voxel_mm)))


def _more(volume: Volume, moving: Volume, head, brain) -> list[Judged]:
    """Register in steps from the starts anew, up to the first sure one.

    From each with the chin as it is, raised and lowered; what matches best after the rigid
    step goes on.
    """
    tried: list[Judged] = []
    voxel_mm, steps = SCHEDULES["quick"][0], SCHEDULES["quick"][1:]
    small, fixed = coarse(moving, voxel_mm), coarse_head(voxel_mm)[0]
    region = fixed.with_data(core().astype(np.float32))
    for start in starts_again(volume, small, head, brain):
        middle = np.linalg.solve(start, np.append(BRAIN_CENTER, 1.0))[:3]
        rigid = [
            linear_stage("Rigid", fixed, small, start @ pitch(degrees, middle), *steps)
            for degrees in PITCHES
        ]
        judged = [judge(matrix, small, stepwise=True) for matrix in rigid]
        best = max(judged, key=lambda found: found.core)
        if best.core < HOPELESS_CORE:
            tried.append(best)
            continue
        scaled = linear_stage("Similarity", fixed, small, best.matrix, *steps)
        shaped = linear_stage("Affine", fixed, small, scaled, *steps, region=region)
        tried += [judge(matrix, small, stepwise=True) for matrix in (scaled, shaped)]
        if tried[-1].sure or tried[-2].sure:
            break
    return tried


def starts_again(volume: Volume, small: Volume, head, brain):
    """Yield the starts, and at last that of the brain that deepbet finds in seconds."""
    yield from _starts(volume, small, head, brain)
    if brain is None:
        try:
            brain = extraction.brain_mask(volume)
        except ValueError:
            return
        yield from itertools.islice(_starts(volume, small, head, brain), 1)


def pitch(degrees: float, center: np.ndarray) -> np.ndarray:
    """Return the turn about an axis from left to right through a point."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = center - matrix[:3, :3] @ center
    return matrix


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
    target = mask_center(mean_head_mask(), mean_head().affine)
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


def load() -> None:
    """Make what all registrations share, once a process and before it forks."""
    core()
    for voxel_mm in FIRST_MM:
        _target(voxel_mm)
