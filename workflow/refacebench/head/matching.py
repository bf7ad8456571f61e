"""How well a matrix lays a scan on the template head, and whether it can be a registration.

Correlations with the mean head, within it and within its core, and the matrix's own
scales; the thresholds stand here with what they were taken from.  Arrays in, numbers out.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from refacebench.head.space import template_axis
from refacebench.head.template import BRAIN_CENTER, frozen, mean_head, mean_head_mask
from refacebench.image import nifti
from refacebench.image.geometry import coarse
from refacebench.image.nifti import Volume

#: An affine whose stretch along any axis leaves this range is no registration of a head.
SCALE_RANGE = (0.7, 1.4)
#: Largest scale over smallest: heads differ less; a wrong optimum squeezes more.
MAX_ANISOTROPY = 1.35
#: Correlation with the mean head, within it, below which a registration is hopeless (right
#: ones reached 0.46 on a strongly biased, defaced scan and 0.65 on others; upside-down heads
#: and swapped axes stay under 0.30).
MIN_CORRELATION = 0.35
#: A registration is sure, and no other start is tried, with one of these: correlation within the
#: mean head and within :func:`core` of at least so much, ratio of scales of at most so much.
#: Right ones of 41 scans of whole heads had 0.45 to 0.69, 0.57 to 0.77 and up to 1.24; those below
#: 0.6 in the core had 0.46 and more in the head, and 1.18 at most.  A head that is cut below the
#: nose is often stretched until it fills the mean head: 0.39 to 0.43, 0.54 to 0.56, from 1.33 on,
#: with a pose that is off by 7 to 12 degrees.
SURE = ((0.4, 0.6, 1.28), (0.45, 0.55, 1.2))
#: Correlation within the core from which on a stepwise result is sure.
SURE_STEPWISE = 0.6
#: Correlation within the core below which no stepwise result is taken.
MIN_CORE = 0.5
#: Voxels of the mean head on which matrices are judged.
COARSE_MM = 4.0
#: Half axes, in mm, of an ellipsoid of the mean head's brain about :data:`BRAIN_CENTER`, and how
#: far around it lies what every head has, cut and defaced ones too: brain, skull, scalp.
BRAIN_AXES = np.array([66.0, 82.0, 61.0])
CORE_MARGIN_MM = 8.0


class Judged(NamedTuple):
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


def judge(matrix: np.ndarray, moving: Volume, stepwise: bool = False) -> Judged:
    """Return a matrix with what speaks for it: its scales and correlations.

    Parameters
    ----------
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm.
    moving : Volume
        The scan, coarse.
    stepwise : bool
        Whether it was found step by step (:func:`refacebench.head.registration.register`).
    """
    found = similarities(moving, matrix, [coarse_head(COARSE_MM)[1], core()])
    low, high = stretch(matrix)
    return Judged(matrix, low, high, found[0], found[1], stepwise)


@functools.cache
def core() -> np.ndarray:
    """Return where brain, skull and scalp are, on the mean head's voxels of 4 mm: in every scan."""
    grid, head = coarse_head(COARSE_MM)
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
    return similarities(volume, matrix, [coarse_head(COARSE_MM)[1]])[0]


def similarities(volume: Volume, matrix: np.ndarray, regions) -> list[float]:
    """Return the same within several regions, masks on the mean head's voxels of 4 mm."""
    fixed = coarse_head(COARSE_MM)[0]
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
def coarse_head(voxel_mm: float) -> tuple[Volume, np.ndarray]:
    """Return the mean head and its mask on coarse voxels."""
    inside = coarse(mean_head().with_data(mean_head_mask()), voxel_mm).data > 0.5
    return frozen(coarse(mean_head(), voxel_mm)), inside
