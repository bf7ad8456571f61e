"""From scans to slices and back: the data side of the 2-D refacers.

A scan is scaled by one number and resampled to square slices of a fixed size
(:mod:`refacebench.training.working_grid`).  Everything that a refacer does to a new scan
here uses the defaced scan alone.  Arrays in, arrays out; touches no file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from refacebench.image.nifti import Volume, axis_codes, reorient
from refacebench.training.working_grid import (
    PLANES,
    WorkingGrid,
    covered,
    from_slices,
    place,
    to_slices,
)

#: Slices to either side of the middle one and the millimetres between them that
#: Abramian & Eklund (2019) train on: 21 a scan.
SPACED_EACH_SIDE, SPACED_MM = 10, 5.0
#: Of a voxel in a :class:`refacebench.training.slice_stack.SliceStack`: two intensities in half
#: precision and a mask.
BYTES = 5


@dataclass(frozen=True)
class Slices:
    """A scan as slices, intensities scaled to -1 (air) .. 1.

    Attributes
    ----------
    source : numpy.ndarray
        The defaced scan, shape (slices, rows, columns).
    changed : numpy.ndarray of bool
        Positions that defacing changed.
    target : numpy.ndarray or None
        The original scan, where it is known (training).
    frame : WorkingGrid
        Where they lie.
    scale : float
        The intensity that a 1 in the target, and so in a prediction, stands for.
    covered : float
        Share of the head that defacing changed, as the original shows it, that
        lies within the slices; NaN without the original.
    ratio : float
        ``scale`` over the same percentile of the defaced scan.
    gain : float
        The intensity that became 1 in ``source``, over ``scale``.
    numbers : numpy.ndarray or None
        Which of the frame's slices these are, ascending; None: all of them.
    """

    source: np.ndarray
    changed: np.ndarray
    target: np.ndarray | None
    frame: WorkingGrid
    scale: float
    covered: float
    ratio: float = 1.0
    gain: float = 1.0
    numbers: np.ndarray | None = None

    def offsets(self) -> np.ndarray:
        """Return how many slices each one is away from the middle of the head."""
        numbers = np.arange(len(self.source)) if self.numbers is None else self.numbers
        return numbers - self.frame.middle

    def kept(self) -> np.ndarray:
        """Return the source in the units of the target."""
        if self.gain == 1:
            return self.source.copy()
        return np.clip((self.source + 1) * self.gain, 0, 2) - 1


def head_threshold(values: np.ndarray) -> float:
    """Return half of Otsu's threshold, below which a voxel counts as air.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    from skimage.filters import threshold_otsu

    low, high = np.percentile(values, (0, 99.5))
    high = high if high > low else values.max()
    if not high > low:
        raise ValueError("the image is constant, so there is no head in it")
    return float(low + 0.5 * (threshold_otsu(np.clip(values, low, high)) - low))


def robust_maximum(values: np.ndarray, head: np.ndarray, percentile: float) -> float:
    """Return a high percentile of the head's intensities.

    Raises
    ------
    ValueError
        If it is not positive.
    """
    scale = float(np.percentile(values[head], percentile)) if head.any() else 0.0
    if not scale > 0:
        raise ValueError("the image has no positive intensities in the head")
    return scale


def scaled(data: np.ndarray, scale: float) -> np.ndarray:
    """Map 0 .. scale to -1 .. 1 and clip."""
    return np.clip(data / scale, 0, 1) * 2 - 1


def prepare(
    defaced: Volume,
    changed: np.ndarray,
    original: Volume | None,
    *,
    plane: str,
    size: int,
    voxel_mm: float,
    percentile: float,
    scale_by: str = "defaced",
    ratio: float = 1.0,
) -> Slices:
    """Cut a scan into slices.

    Parameters
    ----------
    defaced, original : Volume
        On one grid, any orientation.  Without the original there is no target.
    changed : numpy.ndarray of bool
        On that grid.
    percentile : float
        The intensity that becomes 1 is this percentile of the head's voxels.
    scale_by : str
        Of which scan: ``defaced`` or ``original`` scales both, ``own`` each by
        itself.
    ratio : float
        Without the original, the defaced scan's percentile times this stands
        for the original's.

    Raises
    ------
    ValueError
        If an option is not known, or the image is empty.
    """
    if plane not in PLANES:
        raise ValueError(f"plane '{plane}': use one of {', '.join(PLANES)}")
    codes = PLANES[plane]
    work = reorient(defaced, codes)
    mask = reorient(Volume(changed, defaced.affine), codes).data
    head = work.data > head_threshold(work.data)
    frame = place(head, work.spacing, plane, size, voxel_mm)
    own = robust_maximum(work.data, head, percentile)
    scale = own * ratio
    truth, inside = None, np.nan
    if original is not None:
        truth = reorient(original, codes).data
        head = truth > head_threshold(truth)
        scale = own if scale_by == "defaced" else robust_maximum(truth, head, percentile)
        lost = mask & head
        inside = covered(frame, work.shape)[lost].mean() if lost.any() else 1.0
    base = scale if scale_by == "original" else own
    return Slices(
        source=scaled(to_slices(work.data, frame), base),
        changed=to_slices(mask, frame) > 0.25,
        target=None if truth is None else scaled(to_slices(truth, frame), scale),
        frame=frame,
        scale=scale,
        covered=float(inside),
        ratio=scale / own,
        gain=base / scale,
    )


def trimmed(scan: Slices, which: str, reach: int) -> Slices:
    """Return a scan with no more slices than training needs: hundreds of them are held at once.

    Parameters
    ----------
    which : str
        The slices that train, see :class:`refacebench.training.slice_stack.SliceStack`.
    reach : int
        How many neighbours to either side a network sees with a slice.
    """
    chosen = np.flatnonzero(selected(scan, which))
    near = np.unique(chosen[:, None] + np.arange(-reach, reach + 1))
    near = near[(near >= 0) & (near < len(scan.source))]
    return replace(
        scan,
        source=scan.source[near],
        changed=scan.changed[near],
        target=None if scan.target is None else scan.target[near],
        numbers=scan.offsets()[near] + scan.frame.middle,
    )


def restore(slices: np.ndarray, cut: Slices, like: Volume, kernel: str) -> np.ndarray:
    """Bring predicted slices back to a scan's own grid and units.

    Voxels that no slice covers keep the values of ``like``, the defaced scan.
    """
    work = reorient(like, cut.frame.codes)
    values = (from_slices(slices, cut.frame, work.shape, kernel) + 1) / 2
    values = np.clip(values, 0, 1) * cut.scale
    values = np.where(covered(cut.frame, work.shape), values, work.data).astype(np.float32)
    return reorient(Volume(values, work.affine), axis_codes(like.affine)).data


def selected(scan: Slices, which: str) -> np.ndarray:
    """Return which slices of a scan are used (:class:`.slice_stack.SliceStack`)."""
    changed = np.asarray(scan.changed.any(axis=(1, 2)))
    if which == "changed":
        return changed
    if which == "all":
        return np.ones(len(changed), dtype=bool)
    if which == "head":
        return changed | ((scan.source > -0.8).mean(axis=(1, 2)) > 0.005)
    if which == "spaced":
        distances = SPACED_MM * np.arange(-SPACED_EACH_SIDE, SPACED_EACH_SIDE + 1)
        wanted = np.round(distances / scan.frame.voxel_mm).astype(int)
        return np.isin(scan.offsets(), wanted)
    raise ValueError(f"slices '{which}': use all, head, changed or spaced")


def _known(scan: Slices) -> np.ndarray:
    if scan.target is None:
        raise ValueError("a scan without its original")
    return scan.target


def mean_head(scans: list[Slices]) -> dict[int, np.ndarray]:
    """Return the average target slice at each distance from the middle slice.

    The baseline that a refacer must beat: it knows where the head is, from the
    defaced scan, and nothing about whose it is.  Of trimmed scans what is left of them.
    """
    sums: dict[int, list] = {}
    for scan in scans:
        for offset, image in zip(scan.offsets().tolist(), _known(scan), strict=True):
            entry = sums.setdefault(offset, [0, np.zeros(image.shape)])
            entry[0] += 1
            entry[1] = entry[1] + image
    return {offset: (total / n).astype(np.float32) for offset, (n, total) in sums.items()}
