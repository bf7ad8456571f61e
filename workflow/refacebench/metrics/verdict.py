"""The verdict on one de-identified scan: is the face gone and the brain intact.

Quality classes follow Gao et al. 2023 (quality control of six defacers on 179
scans): *Failure I*, a part of the face is kept; *Failure II*, a part of the
brain is removed.  There the classes were judged by eye; here they follow from
counts of voxels (:mod:`.face`, :mod:`.brain`), so that they can be repeated.
Numbers in, a word out.

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
    # Voxels this far from the head hold nothing but air: what a method writes there is odd.
    "far_mm": 20.0,
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
        by part (:func:`refacebench.head.face_parts.face_present`).  The mouth does
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


def classify(
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
        From :func:`.brain.brain_integrity`; without ``brain_core_lost`` no rim is left out.
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
