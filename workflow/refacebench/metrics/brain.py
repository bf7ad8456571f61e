"""What happened to the brain of a de-identified scan.

Every brain voxel that became air or another tissue is counted and printed.  The
class is more careful, because an estimated brain mask is not the brain: where
a defacer came close to the frontal lobes, up to 0.5 % of deepbet's mask was
tissue of the orbits and dura (label-map heads, no true brain voxel lost, see
benchmarks/verdicts.py).  So the outermost 4 mm of the mask count only from 1 % of
its volume on, and the inner part from 0.05 % on.  The 4 mm were chosen on those
heads; a cut that shallow of a small part of the cortex is not seen by the class
and stands in the counts alone.  Nor can the verdict see brain that the reference
mask misses itself: ``skull_strip`` keeps just deepbet's mask, so that it never
loses a voxel here, while 0.05 to 0.4 % of the true brain was gone on every label-map
head.  Where there is truth, the table ``verdict_agreement`` shows such blind spots.

Arrays in, numbers out; nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.image.geometry import box_around, grow
from refacebench.metrics.verdict import thresholds


def matched(original: np.ndarray, variant: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Undo a global rescaling of the intensities, judged by the brain.

    Most programs leave the brain's values alone; then the variant is returned
    as it is.  Where more than half of the brain differs, a line
    ``original = gain * variant + offset`` is fitted (least squares, twice, the
    second time without the worst tenth) and applied if it explains the
    differences (correlation above 0.9).

    Parameters
    ----------
    original, variant : numpy.ndarray
        Intensities on one grid.
    brain : numpy.ndarray of bool
        Brain mask of the original.
    """
    box = box_around(brain) or (slice(0, 0),) * 3
    differing = np.count_nonzero((variant[box] != original[box]) & brain[box])
    if differing <= np.count_nonzero(brain[box]) / 2:
        return variant
    x, y = (values.astype(np.float64) for values in _inside(brain, variant, original))
    keep = np.ones(x.size, dtype=bool)
    for _ in range(2):
        if x[keep].std() == 0 or y[keep].std() == 0:
            return variant
        gain, offset = np.polyfit(x[keep], y[keep], 1)
        error = np.abs(gain * x + offset - y)
        keep = error <= np.quantile(error, 0.9)
    if gain <= 0 or np.corrcoef(x[keep], y[keep])[0, 1] < 0.9:
        return variant
    return (gain * variant + offset).astype(np.float32)


def _inside(brain: np.ndarray, *images: np.ndarray) -> list[np.ndarray]:
    """Return images' values in a mask; only the box around it is gone through."""
    box = box_around(brain) or (slice(0, 0),) * 3
    return [image[box][brain[box]] for image in images]


def brain_level(original: np.ndarray, brain: np.ndarray) -> float:
    """Return the median intensity of the original's brain, the unit of tolerances.

    Raises
    ------
    ValueError
        If the brain mask is empty or its median is not positive.
    """
    (values,) = _inside(brain, original)
    level = float(np.median(values)) if values.size else 0.0
    if not level > 0:
        raise ValueError("the original's brain mask is empty or holds no signal")
    return level


def is_resampled(
    original: np.ndarray,
    variant: np.ndarray,
    brain: np.ndarray,
    level: float,
    limits: Mapping | None = None,
) -> bool:
    """Tell whether a program interpolated the whole image, judged by the brain.

    The variant is the :func:`matched` one.  Brain voxels that are air now were
    removed, not interpolated, and are left out.
    """
    limits = thresholds(limits)
    before, now = _inside(brain, original, variant)
    there = now > limits["air"] * level
    differs = np.abs(now[there] - before[there]) > limits["tolerance"] * level
    return bool(there.any() and differs.mean() > limits["resampled"])


def brain_integrity(
    original: np.ndarray,
    variant: np.ndarray,
    brain: np.ndarray,
    level: float,
    limits: Mapping | None = None,
    rescaled: np.ndarray | None = None,
    spacing: np.ndarray | None = None,
) -> dict[str, int]:
    """Count what happened to the voxels of the original's brain.

    Parameters
    ----------
    original, variant : numpy.ndarray
        Intensities on one grid, as stored (scaling applied).
    brain : numpy.ndarray of bool
        Brain mask of the original.
    level : float
        See :func:`brain_level`.
    rescaled : numpy.ndarray, optional
        The variant after :func:`matched`, for the counts that have a tolerance.
    spacing : numpy.ndarray, optional
        Voxel edges in mm, for ``brain_core_lost``.

    Returns
    -------
    dict
        ``brain_voxels``; ``brain_changed``, any difference at all;
        ``brain_removed``, tissue before and air now (above the air level
        before, not above it now, and lower by more than the tolerance);
        ``brain_replaced``, not removed but amid a solid block (3 x 3 x 3
        voxels) of voxels that all became another tissue's; with ``spacing`` also
        ``brain_core_lost``, those of both kinds below the mask's outer rim.
    """
    from scipy.ndimage import binary_opening

    limits = thresholds(limits)
    counts = {"brain_voxels": int(np.count_nonzero(brain))}
    box = box_around(brain, margin=(1, 1, 1)) or (slice(0, 0),) * 3
    counts["brain_changed"] = int(np.count_nonzero((original[box] != variant[box]) & brain[box]))
    if counts["brain_changed"] == 0:
        core = {} if spacing is None else {"brain_core_lost": 0}
        return {**counts, "brain_removed": 0, "brain_replaced": 0, **core}
    now = (variant if rescaled is None else rescaled)[box].astype(np.float32)
    before, brain = original[box].astype(np.float32), brain[box]
    air = limits["air"] * level
    lower = before - now > limits["tolerance"] * level
    removed = brain & (before > air) & (now <= air) & lower
    differs = brain & ((np.abs(now - before) > limits["replaced"] * level) | removed)
    replaced = binary_opening(differs, np.ones((3, 3, 3), bool)) & ~removed
    counts["brain_removed"] = int(np.count_nonzero(removed))
    counts["brain_replaced"] = int(np.count_nonzero(replaced))
    if spacing is not None:
        inner = _core(brain, spacing, limits["brain_rim_mm"])
        counts["brain_core_lost"] = int(np.count_nonzero((removed | replaced) & inner))
    return counts


def _core(brain: np.ndarray, spacing: np.ndarray, rim_mm: float) -> np.ndarray:
    """Return a mask without what lies no deeper than ``rim_mm``; the array's edge is no surface."""
    return brain & ~grow(~brain, spacing, rim_mm)


def stripped(data: np.ndarray, brain: np.ndarray, head: np.ndarray) -> bool:
    """Tell whether nothing but the brain is left in an image.

    A tenth of what lies outside the brain in the original head may stay: rims of masks.

    Parameters
    ----------
    data : numpy.ndarray
        Intensities of the image.
    brain, head : numpy.ndarray of bool
        Those of the original, on the same grid.
    """
    # In the order of the memory, whichever that is.
    data, brain, head = (a.T if data.flags.f_contiguous else a for a in (data, brain, head))
    around = data[head & ~brain]
    # Where nearly all voxels have one value, that is their median: cheaper than that of the air.
    if head.all() or not around.size or np.mean(around != np.median(around)) >= 0.1:
        return False
    # Air is whatever most of it is: not every scan has zeros there.
    return bool(np.mean(around != np.median(data[~head])) < 0.1)
