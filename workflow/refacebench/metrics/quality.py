"""Judge one de-identified scan: is the face gone and the brain intact.

Quality classes follow Gao et al. 2023 (quality control of six defacers on 179
scans): *Failure I*, a part of the face is kept; *Failure II*, a part of the
brain is removed.  There the classes were judged by eye; here they follow from
counts of voxels, so that they can be repeated.  Arrays in, numbers out; nothing
is read or written here.

How a face is judged
--------------------
What names a person is the shape of the face's surface.  A point of the
original's face surface counts as *left* when nearly all voxels of its
neighbourhood (about 3 mm across: skin on one side, air on the other) hold in
the variant what they held in the original, within a tolerance.  So a face is
gone when its tissue was zeroed, when it was blurred, when it was replaced by
another face or by noise, and when something was laid over it; it is left when
it was not touched, when only noise below the tolerance was added, or when a
program merely rescaled all intensities (a line fitted in the brain undoes
that) or resampled the whole image (then the brain differs everywhere, and
differences at edges are forgiven everywhere).

How a brain is judged
---------------------
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

Ears
----
Ears are a part of their own: what is left of them is measured (``face_left_ears``)
and printed, but by default it is no Failure I.  Most published defacers
(pydeface, quickshear, mri_deface) leave ears on purpose, the published ratings
that ours are held against did not ask for them, and ``face_left`` would mean
something else with them in it.  Ears can help to name a person all the same
(Schwarz et al. 2021 replace them for that reason): a data steward who wants them
out sets the threshold ``ears_left``, 0.25 for example, and a scan whose ears are
left beyond that share is a Failure I.

What this cannot tell: whether a changed face can be recognised or rebuilt all
the same.  The attacks answer that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Defaults of all thresholds; the config's ``thresholds`` may override any.
THRESHOLDS = {
    # Failure I above this share of the face's surface left (mean over its parts).
    "face_left": 0.25,
    # Failure I above this share of the ears' surface left; 1: ears do not count.
    "ears_left": 1.0,
    # "untouched" from this share on: nothing was done to the face at all.
    "untouched": 0.98,
    # Failure II above this share of the brain's volume removed or replaced (0.7 ml of 1.4 l),
    # without the outer rim of the brain mask, which holds CSF and dura too ...
    "brain_removed_share": 0.0005,
    "brain_rim_mm": 4.0,
    # ... or above this share with the rim: a brain that was pared all around is cut as well.
    "brain_rim_share": 0.01,
    # A voxel is the same if it differs by no more than this share of the brain's median.
    "tolerance": 0.10,
    # Where more than this share of the brain's voxels fails that, the image was resampled ...
    "resampled": 0.10,
    # ... and a face voxel is the same within this share of the range of its 3^3 neighbours.
    "edge_tolerance": 0.6,
    # A surface point is left if this share of its neighbourhood is the same.
    "neighbourhood_same": 0.8,
    # Air lies below this share of the brain's median.
    "air": 0.10,
    # A brain voxel amid voxels that differ by more than this share of the median is replaced.
    "replaced": 0.25,
    # Less than this share of an average nose and eyes inside the head: no face to remove.
    "face_present": 0.4,
}

#: The classes, in the order of every table.
CLASSES = (
    "success",
    "failure_1",
    "failure_2",
    "failure_1+2",
    "untouched",
    "no_face",
    "crash",
)

#: The part that is measured but does not count as face.
EARS = "ears"

#: Edge of a surface point's neighbourhood.
NEIGHBOURHOOD_MM = 3.0


def thresholds(given: Mapping | None = None) -> dict[str, float]:
    """Return :data:`THRESHOLDS` with some replaced.

    Raises
    ------
    ValueError
        If a name is not among them.
    """
    unknown = sorted(set(given or {}) - set(THRESHOLDS))
    if unknown:
        raise ValueError(
            f"thresholds: unknown {', '.join(unknown)} (known: {', '.join(THRESHOLDS)})"
        )
    return {**THRESHOLDS, **(given or {})}


def already_defaced(
    present: Mapping[str, float], limits: Mapping | None = None
) -> tuple[bool, float]:
    """Decide whether a scan lacked its face before it came.

    Parameters
    ----------
    present : mapping
        How much of an average face's nose and eyes lies inside the scan's head,
        by part (:func:`refacebench.head.template.face_present`).  The mouth does
        not count: many complete scans end above it.
    limits : mapping, optional
        ``face_present``, see :data:`THRESHOLDS`.

    Returns
    -------
    (bool, float)
        The verdict and the mean share of nose and eyes that is there.

    Notes
    -----
    Finds faces that were cut off or set to zero, skull-stripped scans, and
    faces outside the field of view.  A face that was blurred or replaced
    before the scan came fills the same space and is not found.
    """
    share = float(np.mean([present["nose"], present["eyes"]]))
    return share < thresholds(limits)["face_present"], share


def is_usable(variant: np.ndarray) -> bool:
    """Tell whether an output is an image at all: finite and not constant."""
    return bool(np.isfinite(variant).all() and variant.size and variant.max() > variant.min())


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
    x, y = variant[brain].astype(np.float64), original[brain].astype(np.float64)
    if x.size == 0 or np.count_nonzero(x != y) <= x.size / 2:
        return variant
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


def brain_level(original: np.ndarray, brain: np.ndarray) -> float:
    """Return the median intensity of the original's brain, the unit of tolerances.

    Raises
    ------
    ValueError
        If the brain mask is empty or its median is not positive.
    """
    level = float(np.median(original[brain])) if brain.any() else 0.0
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
    before, now = original[brain], variant[brain]
    there = now > limits["air"] * level
    differs = np.abs(now[there] - before[there]) > limits["tolerance"] * level
    return bool(there.any() and differs.mean() > limits["resampled"])


def face_surface(head: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return the face's labels on the head's outermost voxels, 0 elsewhere.

    The edge of the field of view is no surface.

    Parameters
    ----------
    head : numpy.ndarray of bool
        Head mask of the original.
    face : numpy.ndarray of int
        Parts of the face (:func:`refacebench.head.template.face_region`).
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
        Intensities on one grid, the variant's already :func:`matched`.
    head, face : numpy.ndarray
        Head mask and face labels of the original.
    spacing : numpy.ndarray
        Voxel edges in mm, shape (3,).
    level : float
        Unit of the tolerance, see :func:`brain_level`.
    parts : mapping of str to int
        Names and labels of the face's parts, :data:`EARS` may be among them.
    resampled : bool
        From :func:`is_resampled`: forgive differences at edges.

    Returns
    -------
    dict
        ``face_left``, the mean over the parts that the scan has, without the
        ears, each counted equally so that the field of view's lower end does
        not weigh;
        ``face_left_<part>``, the share of that part's surface points that are
        left (see the module's text); ``face_tissue_left``, the share of all
        tissue voxels of the face region, deep ones too and without the ears,
        that are the same.
        NaN where there is nothing to count.
    """
    limits = thresholds(limits)
    box = _bounding_box(face > 0, margin=np.ceil(NEIGHBOURHOOD_MM / spacing).astype(int) + 1)
    if box is None:
        return {
            "face_left": np.nan,
            **{f"face_left_{p}": np.nan for p in parts},
            "face_tissue_left": np.nan,
        }
    original, variant, head, face = (x[box] for x in (original, variant, head, face))
    tolerance = limits["tolerance"] * level
    if resampled:
        tolerance = np.maximum(tolerance, limits["edge_tolerance"] * _local_range(original))
    same = np.abs(variant.astype(np.float32) - original) <= tolerance
    left = _neighbourhood_share(same, spacing) > limits["neighbourhood_same"] - 1e-4
    surface = face_surface(head, face)
    shares = {name: _share(left, surface == label) for name, label in parts.items()}
    tissue = (face > 0) & (face != parts.get(EARS, 0)) & (original > limits["air"] * level)
    known = [s for name, s in shares.items() if name != EARS and np.isfinite(s)]
    return {
        "face_left": float(np.mean(known)) if known else np.nan,
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


def _bounding_box(mask: np.ndarray, margin) -> tuple[slice, ...] | None:
    if not mask.any():
        return None
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = hit[0] - margin[axis], hit[-1] + margin[axis] + 1
        box.append(slice(max(0, low), min(mask.shape[axis], high)))
    return tuple(box)


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
    counts["brain_changed"] = int(np.count_nonzero((original != variant) & brain))
    box = _bounding_box(brain, margin=(1, 1, 1))
    if box is None or counts["brain_changed"] == 0:
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
        core = _core(brain, spacing, limits["brain_rim_mm"])
        counts["brain_core_lost"] = int(np.count_nonzero((removed | replaced) & core))
    return counts


def _core(brain: np.ndarray, spacing: np.ndarray, rim_mm: float) -> np.ndarray:
    """Return a mask without what lies no deeper than ``rim_mm``; the array's edge is no surface."""
    from scipy.ndimage import distance_transform_edt

    pad = [(1, 1)] * 3
    depth = distance_transform_edt(np.pad(brain, pad, mode="edge"), sampling=spacing)
    return depth[1:-1, 1:-1, 1:-1] > rim_mm


def verdict(
    face_share: float,
    counts: Mapping[str, int],
    *,
    has_face: bool = True,
    usable: bool = True,
    ears_share: float = float("nan"),
    limits: Mapping | None = None,
) -> str:
    """Return the quality class of one variant of one scan, one of :data:`CLASSES`.

    Parameters
    ----------
    face_share : float
        ``face_left``; NaN (no face region in view) counts as no face.
    counts : mapping
        From :func:`brain_integrity`; without ``brain_core_lost`` no rim is left out.
    has_face : bool
        False if the scan had been defaced before it came.
    usable : bool
        False for a constant or non-finite output, which counts as ``crash``.
    ears_share : float
        ``face_left_ears``; counts only where the threshold ``ears_left`` is below 1.

    Notes
    -----
    A removed piece of brain is a failure whether or not the scan had a face.
    ``untouched`` stands for a Failure I in which nothing at all was done to
    the face; with brain removed it is ``failure_1+2``.  A refaced variant is
    judged alike: it has a face, and the question is whether it is the
    original's.
    """
    limits = thresholds(limits)
    if not usable:
        return "crash"
    lost = counts["brain_removed"] + counts["brain_replaced"]
    core, size = counts.get("brain_core_lost", lost), max(1, counts["brain_voxels"])
    cut = core > limits["brain_removed_share"] * size or lost > limits["brain_rim_share"] * size
    if not has_face or not np.isfinite(face_share):
        return "failure_2" if cut else "no_face"
    kept = face_share > limits["face_left"] or ears_share > limits["ears_left"]
    if kept and cut:
        return "failure_1+2"
    if cut:
        return "failure_2"
    if face_share >= limits["untouched"]:
        return "untouched"
    return "failure_1" if kept else "success"
