"""How much of the original's face a variant still holds.

What names a person is the shape of the face's surface.  A point of the
original's face surface counts as *left* when nearly all voxels of its
neighbourhood (about 3 mm across: skin on one side, air on the other) hold in
the variant what they held in the original, within a tolerance.  So a face is
gone when its tissue was zeroed, when it was blurred, when it was replaced by
another face or by noise, and when something was laid over it; it is left when
it was not touched, when only noise below the tolerance was added, or when a
program merely rescaled all intensities (a line fitted in the brain undoes
that, :func:`.brain.matched`) or resampled the whole image (then the brain differs
everywhere, and differences at edges are forgiven everywhere).

Arrays in, numbers out; nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.head.face_parts import LOWER_FACE, mean_share
from refacebench.image.geometry import box_around
from refacebench.metrics.verdict import thresholds

#: The part that is measured but does not count as face.
EARS = "ears"

#: Edge of a surface point's neighbourhood.
NEIGHBOURHOOD_MM = 3.0


def face_surface(head: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return the face's labels on the head's outermost voxels, 0 elsewhere.

    The edge of the field of view is no surface.

    Parameters
    ----------
    head : numpy.ndarray of bool
        Head mask of the original.
    face : numpy.ndarray of int
        Parts of the face (:func:`refacebench.head.face_parts.face_region`).
    """
    from scipy.ndimage import binary_erosion

    return np.where(head & ~binary_erosion(head, border_value=1), face, 0)


def face_left(
    original: np.ndarray,
    variant: np.ndarray,
    head: np.ndarray,
    face: np.ndarray,
    spacing: np.ndarray,
    level: float,
    parts: Mapping[str, int],
    limits: Mapping | None = None,
    resampled: bool = False,
) -> dict[str, float]:
    """Return how much of the original's face a variant still holds.

    Parameters
    ----------
    original, variant : numpy.ndarray
        Intensities on one grid, the variant's already :func:`.brain.matched`.
    head, face : numpy.ndarray
        Head mask and face labels of the original.
    spacing : numpy.ndarray
        Voxel edges in mm, shape (3,).
    level : float
        Unit of the tolerance, see :func:`.brain.brain_level`.
    parts : mapping of str to int
        Names and labels of the face's parts, :data:`EARS` may be among them.
    resampled : bool
        From :func:`.brain.is_resampled`: forgive differences at edges.

    Returns
    -------
    dict
        ``face_left``, the mean over the parts that the scan has, without the
        ears, each counted equally so that the field of view's lower end does
        not weigh; mouth and chin count as one part;
        ``face_left_<part>``, the share of that part's surface points that are
        left (see the module's text); ``face_tissue_left``, the share of all
        tissue voxels of the face region, deep ones too and without the ears,
        that are the same.
        NaN where there is nothing to count.
    """
    limits = thresholds(limits)
    box = box_around(face > 0, margin=np.ceil(NEIGHBOURHOOD_MM / spacing).astype(int) + 1)
    if box is None:
        return {
            "face_left": np.nan,
            **{f"face_left_{p}": np.nan for p in parts},
            "face_tissue_left": np.nan,
        }
    original, variant, head, face = (x[box] for x in (original, variant, head, face))
    tolerance: float | np.ndarray = limits["tolerance"] * level
    if resampled:
        tolerance = np.maximum(tolerance, limits["edge_tolerance"] * _local_range(original))
    same = np.abs(variant.astype(np.float32) - original) <= tolerance
    left = _neighbourhood_share(same, spacing) > limits["neighbourhood_same"] - 1e-4
    surface = face_surface(head, face)
    shares = {name: _share(left, surface == label) for name, label in parts.items()}
    lower = _share(left, np.isin(surface, [parts[name] for name in LOWER_FACE if name in parts]))
    tissue = (face > 0) & (face != parts.get(EARS, 0)) & (original > limits["air"] * level)
    of_face = {name: share for name, share in shares.items() if name != EARS}
    return {
        "face_left": mean_share(of_face, lower),
        **{f"face_left_{name}": share for name, share in shares.items()},
        "face_tissue_left": _share(same, tissue),
    }


def _share(what: np.ndarray, where: np.ndarray) -> float:
    n = np.count_nonzero(where)
    return float(np.count_nonzero(what & where) / n) if n else float("nan")


def _local_range(values: np.ndarray) -> np.ndarray:
    from scipy.ndimage import maximum_filter, minimum_filter

    return maximum_filter(values, size=3) - minimum_filter(values, size=3)


def _neighbourhood_share(same: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    size = [_odd(NEIGHBOURHOOD_MM / s) for s in spacing]
    return uniform_filter(same.astype(np.float32), size=size, mode="nearest")


def _odd(width: float) -> int:
    """Return the odd number nearest to a width in voxels, at least 3."""
    return max(3, 2 * round((width - 1) / 2) + 1)
