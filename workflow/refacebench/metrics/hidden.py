"""What a variant holds far from the head, where nothing belongs.

A method that hides a face may write the person's identity somewhere else: a copy of the face
beside the head, a number in a corner voxel.  Attackers that look at faces do not see it.  What
can be seen without knowing what to look for is that the image changed where there is only air.

The search is simple on purpose: it finds things that are bright, or few.  A mark that is hidden in
noise, in the brain or in the last digits of the head's voxels is not found.

Arrays in, a number out; nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.image.geometry import grow
from refacebench.metrics.verdict import thresholds

#: A mark lies alone: in a cube of so many voxels an edge around each of its voxels ...
CUBE = 7
#: ... no more than so many changed, or the method wrote no more than so many in all the air.
#: Noise and zeros change most voxels of what they fill.
MOST_TOGETHER = 27
#: A new face that is too long is no mark: it hangs together with the head, ends within so many
#: times ``far_mm``, and is seen by whoever looks at the head's surface.
ATTACHED = 2.0


def odd_voxels(
    original: np.ndarray,
    variant: np.ndarray,
    head: np.ndarray,
    spacing: np.ndarray,
    level: float,
    limits: Mapping | None = None,
) -> int:
    """Count voxels far from the head in which a variant holds what the original did not.

    Parameters
    ----------
    original, variant : numpy.ndarray
        Intensities on one grid, as stored.
    head : numpy.ndarray of bool
        Head mask of the original.
    spacing : numpy.ndarray
        Voxel edges in mm, shape (3,).
    level : float
        The brain's median (:func:`.brain.brain_level`).
    limits : mapping, optional
        ``far_mm`` and ``air`` of :data:`.verdict.THRESHOLDS`.

    Returns
    -------
    int
        Voxels more than ``far_mm`` from the head that rose, and are either as bright as tissue
        (and far above the air's noise), or alone in air that is as it was, or the only ones that
        the method raised so far out (:data:`CUBE`, :data:`MOST_TOGETHER`).  What has grown out
        of the head (:data:`ATTACHED`) is not counted, and none where a method fills the air with
        noise or zeros.  What only became smaller is what the edge of a soft mask leaves.
    """
    from scipy.ndimage import uniform_filter

    limits = thresholds(limits)
    if original.flags.f_contiguous:  # in the order of the memory: no side is different here
        original, variant, head = original.T, variant.T, head.T
        spacing = np.asarray(spacing)[::-1]
    written = variant > original
    if not written.any() or not head.any():
        return 0
    far = ~grow(head, spacing, limits["far_mm"])
    written &= far
    if not written.any():
        return 0
    # Twice what noise reaches in the original: new noise of the same kind never does.
    dark = max(limits["air"] * level, 2 * float(np.quantile(original[far], 0.999)))
    bright = variant > dark
    if (written & bright).any():
        written &= ~_outgrown(bright, head, spacing, limits["far_mm"])
    if (count := np.count_nonzero(written)) <= MOST_TOGETHER:
        return int(count)
    changed = (variant != original).astype(np.float32)
    together = uniform_filter(changed, CUBE, mode="constant") * CUBE**3
    places = np.nonzero(written)
    alone = together[_whole_cubes(places, written.shape)] <= MOST_TOGETHER + 0.5
    return int(np.count_nonzero(alone | bright[places]))


def _whole_cubes(places, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return for each voxel the middle of a cube that holds it and lies inside the image.

    Part of a cube holds few voxels, so that in a corner everything would be alone.
    """
    half = CUBE // 2
    limits = ((min(half, (n - 1) // 2), max(n - 1 - half, (n - 1) // 2)) for n in shape)
    return tuple(np.clip(at, *limit) for at, limit in zip(places, limits, strict=True))


def _outgrown(bright: np.ndarray, head: np.ndarray, spacing, far_mm: float) -> np.ndarray:
    """Return what hangs together with the head, no further out than a far too long nose."""
    from scipy.ndimage import binary_propagation

    around = grow(head, spacing, ATTACHED * far_mm)
    return binary_propagation(head & bright, mask=bright & around)
