"""Measure one variant of a scan against its original: reads the files that a row names.

Writes none.  The numbers come from :mod:`refacebench.metrics`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench.head import face_parts, masks, matrices, values
from refacebench.head.values import Usable
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import overlap, similarity, truth
from refacebench.metrics.brain import brain_integrity, brain_level, is_resampled, matched
from refacebench.metrics.face import EARS, face_left
from refacebench.metrics.hidden import odd_voxels
from refacebench.metrics.overlap import STRUCTURES
from refacebench.metrics.verdict import THRESHOLDS, already_defaced, classify, is_usable, thresholds
from refacebench.run import batch, dropped
from refacebench.run.stage import Stage
from refacebench.vocabulary import EXCLUDED, OK, ORIGINAL, split_variant

#: Raise it when a measure changes; it is part of every key.
VERSION = "7"

#: Set beside the thresholds where the similarity of each slice is to be kept.
KEEP_SLICES = "keep_slices"

#: The parts of :func:`refacebench.head.face_parts.face_region` with the ears, and their labels.
PARTS = {**face_parts.FACE_LABELS, EARS: face_parts.EAR_LABEL}

#: Columns of the original's segmentation that the comparison needs.
_OF_ORIGINAL = {"seg_path": "original_seg_path", "brainseg_path": "original_brainseg_path"}

_OVERLAPS = {
    **{f"dice_{name}": f"Dice coefficient of {name}" for name in STRUCTURES},
    **{f"iou_{name}": f"intersection over union of {name}" for name in STRUCTURES},
}

STAGE = Stage(
    "measure",
    follows=("segment",),
    given={
        "original_seg_path": "the original's tissue labels",
        "original_brainseg_path": "brain mask that the segmenter found in the original",
        "segment_status": "empty, or how the segmentation of an image ended that can be judged",
    },
    reads=(
        *("path", "original_path", "variant", "reason"),
        *("brain_path", "head_path", "face_path", "template_path"),
        *("original_seg_path", "original_brainseg_path", "segment_status"),
    ),
    may_read=("seg_path", "brainseg_path", "truth_path", "present_*"),
    adds={
        **_OVERLAPS,
        "corr_front": "correlation with the original, front half of sagittal slices",
        "corr_full": "the same, full slices",
        "ssim_front": "structural similarity, front half",
        "ssim_full": "the same, full slices",
        "face_left": "share of the original face's surface that is left; NaN without a face",
        **{f"face_left_{part}": f"the same of the {part}" for part in PARTS},
        "face_tissue_left": "share of the face region's tissue that is the same",
        "brain_voxels": "voxels of the original's brain mask",
        "brain_changed": "those of them with any difference",
        "brain_removed": "those of them that held tissue and are air now",
        "brain_replaced": "those of them amid a block that became another tissue's",
        "brain_core_lost": "removed or replaced below the mask's outer rim",
        "changed_voxels": "voxels of the whole image with any difference",
        "odd_voxels": "voxels far from the head that hold what the original did not",
        "quality": "the verdict, see metrics.verdict.CLASSES; empty for a whole original",
    },
    may_add={
        **{
            f"face_shown_{part}": f"share of an average face's {part} that a refaced head fills, "
            "if the original does"
            for part in face_parts.FACE_LABELS
        },
        "slices_x_mm": "where each slice lies, in mm from the middle, where slices are kept",
        **{
            f"slices_{name}": f"{name} of each of these slices, between blanks"
            for name in ("corr_front", "corr_full", "ssim_front", "ssim_full")
        },
        **{f"truth_{name}": f"{text}, against true labels" for name, text in _OVERLAPS.items()},
        **{name: "the verdict from true labels, see metrics.truth" for name in truth.COLUMNS},
    },
)


def run(row: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Measure one variant of a scan.

    Parameters
    ----------
    row : mapping
        Of :func:`rows_of`.
    limits : mapping, optional
        The config's ``thresholds``.

    Returns
    -------
    dict
        The columns of :data:`STAGE`.  Where the image or its original has no segmentation,
        what can be said without one, and why the scan is not measured in full.
    """
    if not row["original_seg_path"]:
        lacks = {"status": EXCLUDED, "reason": "the original could not be segmented"}
        return {**judge(row, limits), **lacks}
    if row["segment_status"]:
        kept = {"status": row["segment_status"], "stage": "segment", "reason": row["reason"]}
        return {**judge(row, limits), **kept}
    return measure(row, limits)


def run_batch(
    rows: pd.DataFrame,
    originals: pd.DataFrame,
    out: str | Path,
    limits: Mapping[str, Any],
    *,
    version: str = VERSION,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Measure the scans of one variant and batch and write the manifest."""

    def inputs(row: Mapping[str, Any]) -> list[str]:
        names = ("path", "original_path", *(n for n in row if n.endswith("_path")))
        return sorted({row[name] for name in names if row[name]})

    if rows["variant"].map(lambda name: bool(split_variant(name)[1])).any():
        face_parts.load()  # before the scans' processes fork, so that they share it
    return batch.run_batch(
        STAGE,
        rows_of(rows, originals),
        lambda row: run(row, limits),
        out,
        method="measures",
        version=version,
        params=limits,
        inputs=inputs,
        timeout=timeout,
        preload=("scipy.ndimage", "skimage.metrics._structural_similarity"),
    )


def rows_of(rows: pd.DataFrame, originals: pd.DataFrame) -> pd.DataFrame:
    """Return a variant's rows of the segment stage, each with its original's segmentation.

    Images that only the segmenter failed on are open again, so that no crash hides in them:
    their status is kept in ``segment_status`` and comes back with the verdict.
    """
    if "seg_path" not in originals:  # not one scan of the batch could be segmented
        originals = originals.assign(**dict.fromkeys(_OF_ORIGINAL, ""))
    usable = originals[originals["status"] == OK]
    columns = usable[["scan", *_OF_ORIGINAL]].rename(columns=_OF_ORIGINAL)
    nothing = dict.fromkeys(_OF_ORIGINAL.values(), "")
    rows = rows.merge(columns, on="scan", how="left").fillna(nothing)
    image = rows["path"].fillna("").map(lambda path: bool(path) and dropped.there(path))
    lost = (rows["stage"] == "segment") & (rows["status"] != OK) & image
    lost &= rows["variant"] != ORIGINAL
    rows = rows.assign(segment_status=rows["status"].where(lost, ""))
    rows.loc[lost, "status"] = OK
    return rows


def measure(row: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Compare one variant of a scan with its original.

    Parameters
    ----------
    row : mapping
        A manifest row.  Paths: ``original_path`` and ``path`` (the variant's
        image); ``brain_path``, ``head_path``, ``face_path`` (masks and face
        labels of the original, from the prepare stage); ``seg_path``,
        ``brainseg_path`` (the variant's segmentation: ``dseg`` image with 1
        CSF, 2 grey, 3 white, 4 ventricular CSF, and brain mask);
        ``original_seg_path``, ``original_brainseg_path``; ``truth_path`` if
        there are true labels.  ``variant``.  What of a face the original
        has: ``present_<part>`` (from the prepare stage), or else
        ``template_path`` (matrix to the template) to find it out.
    limits : mapping, optional
        The config's ``thresholds``; those of :data:`refacebench.metrics.verdict.THRESHOLDS` are
        used, others belong to later stages.

    Returns
    -------
    dict
        ``dice_<s>`` and ``iou_<s>`` for s in brain, vcsf, wm, gm, against the
        segmentation of the original; ``truth_dice_<s>``, ``truth_iou_<s>`` and
        the columns of :data:`.truth.COLUMNS` where there is truth; ``corr_front``,
        ``corr_full``, ``ssim_front``, ``ssim_full``; ``brain_voxels``,
        ``brain_changed``, ``brain_removed``, ``brain_replaced``,
        ``brain_core_lost``; ``changed_voxels`` (any difference, whole image);
        ``odd_voxels`` (:func:`.hidden.odd_voxels`);
        ``face_left``, ``face_left_<part>``, ``face_tissue_left`` (NaN for a
        scan without a face); for refaced variants ``face_shown_<part>``
        (:func:`refacebench.head.face_parts.face_present`); ``quality``.  For the original itself
        correlation and SSIM are 1, ``face_left`` is 1, and ``quality`` is
        empty, or ``no_face`` if the scan came without one.  For an unusable
        output (constant, NaN) ``quality`` is ``crash`` and the similarity and
        what is left of the face are NaN.

    Raises
    ------
    ValueError
        If a file does not lie on the original's grid; the message names it.
    """
    original = values.read(row["original_path"])
    return {**_overlaps(row, original.volume), **judge(row, limits, original)}


def judge(
    row: Mapping[str, Any], limits: Mapping[str, Any] | None = None, read: Usable | None = None
) -> dict[str, Any]:
    """Return the measures of :func:`measure` that need no segmentation of the variant.

    They are all that can be said of an image where it or its original has no segmentation.

    Parameters
    ----------
    row : mapping
        As for :func:`measure`, without the segmentations.
    limits : mapping, optional
        As for :func:`measure`.
    read : Usable, optional
        The original, if it was read before.
    """
    keep_slices = bool((limits or {}).get(KEEP_SLICES))
    limits = thresholds(
        {name: value for name, value in (limits or {}).items() if name in THRESHOLDS}
    )
    read = read or values.read(row["original_path"])
    original = read.volume
    brain = _labels(row["brain_path"], original) > 0
    head = _labels(row["head_path"], original) > 0
    face = _labels(row["face_path"], original)
    has_face = not _came_defaced(row, original, head, limits)
    if row["variant"] == "original":
        variant, found = original, _of_original(brain, face, has_face)
    else:
        variant = values.like(_on_grid(row["path"], original), read)
        found = _of_variant(original, variant, brain, head, face, has_face, limits)
        if keep_slices and found["quality"] != "crash":
            found |= similarity.written(similarity.slice_similarity(original, variant, head))
        if split_variant(row["variant"])[1]:
            found |= _shown(row, original, variant, head, limits)
    return found | _by_truth(row, original, variant, limits)


def _overlaps(row: Mapping[str, Any], original: Volume) -> dict[str, float]:
    def labels(prefix: str) -> dict[str, np.ndarray]:
        names = (f"{prefix}seg_path", f"{prefix}brainseg_path")
        dseg, brain = (_labels(row[name], original) for name in names)
        return overlap.structures(dseg, brain > 0)

    variant = labels("")
    scores = overlap.overlaps(variant, labels("original_"))
    if row.get("truth_path"):
        real = overlap.truth_structures(_labels(row["truth_path"], original))
        scores |= overlap.overlaps(variant, real, prefix="truth_")
    return scores


def _labels(path: str, like: Volume) -> np.ndarray:
    data = _on_grid(path, like, dtype=None).data
    return data if data.dtype == np.uint8 else np.rint(data).astype(np.uint8)


def _on_grid(path: str, like: Volume, dtype: type | None = np.float32) -> Volume:
    """Read an image that shares a volume's grid; axes in another order are put right."""
    volume = nifti.read(path, dtype=dtype)
    same = volume.shape == like.shape and np.allclose(volume.affine, like.affine, atol=1e-3)
    if same:
        return volume
    try:
        return nifti.reorient_like(volume, like)
    except ValueError:
        raise ValueError(
            f"{path}: {volume.shape} voxels, which is not the original's grid {like.shape}; "
            "a method must keep its input's grid"
        ) from None


def _by_truth(
    row: Mapping[str, Any], original: Volume, variant: Volume, limits: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the verdict from true labels; nothing where there are none."""
    if not row.get("truth_path"):
        return {}
    labels = original.with_data(_labels(row["truth_path"], original))
    found = truth.judge(labels, original.data, variant.data, limits)
    if row["variant"] == "original":  # untouched is no verdict on it
        found["truth_quality"] = "" if found["truth_quality"] == "untouched" else "no_face"
    return found


def _of_variant(
    original: Volume,
    variant: Volume,
    brain: np.ndarray,
    head: np.ndarray,
    face: np.ndarray,
    has_face: bool,
    limits: Mapping[str, float],
) -> dict[str, Any]:
    usable = is_usable(variant.data)
    if not usable:
        variant = variant.with_data(np.nan_to_num(variant.data, posinf=0.0, neginf=0.0))
    level = brain_level(original.data, brain)
    adjusted = matched(original.data, variant.data, brain) if usable else variant.data
    counts = brain_integrity(
        original.data,
        variant.data,
        brain,
        level,
        limits,
        rescaled=adjusted,
        spacing=original.spacing,
    )
    result = {**_no_similarity(), **_no_face_left()}
    if usable:
        result |= similarity.similarity(original, variant, head)
    if usable and has_face:
        result |= face_left(
            original.data,
            adjusted,
            head,
            face,
            original.spacing,
            level,
            PARTS,
            limits,
            is_resampled(original.data, adjusted, brain, level, limits),
        )
    return {
        **result,
        **counts,
        "changed_voxels": int(np.count_nonzero(original.data != variant.data)),
        "odd_voxels": odd_voxels(
            original.data, variant.data, head, original.spacing, level, limits
        ),
        "quality": classify(
            result["face_left"],
            counts,
            has_face=has_face,
            usable=usable,
            ears_share=result["face_left_ears"],
            limits=limits,
        ),
    }


def _came_defaced(
    row: Mapping[str, Any], original: Volume, head: np.ndarray, limits: Mapping[str, Any]
) -> bool:
    present = _present(row, original, head, ("nose", "eyes"))
    return already_defaced(present, limits)[0]


def _present(
    row: Mapping[str, Any], original: Volume, head: np.ndarray, parts: Collection[str]
) -> dict[str, float]:
    """Return how much of an average face the original fills, from its row where it stands there."""
    names = {part: f"present_{part}" for part in parts}
    if all(row.get(name, "") not in ("", None) for name in names.values()):
        return {part: float(row[name]) for part, name in names.items()}
    matrix = matrices.read_matrix(row["template_path"])
    return face_parts.face_present(original, head, matrix)


def _shown(
    row: Mapping[str, Any],
    original: Volume,
    variant: Volume,
    head: np.ndarray,
    limits: Mapping[str, Any],
) -> dict[str, float]:
    """Return how much of an average face a refaced head fills."""
    before = _present(row, original, head, face_parts.FACE_LABELS)
    try:
        found = face_parts.face_present(
            variant, masks.head_mask(variant), matrices.read_matrix(row["template_path"])
        )
    except ValueError:  # constant: no head, so no face
        found = dict.fromkeys(before, 0.0)
    return {
        f"face_shown_{part}": found[part] if share > limits["face_present"] else np.nan
        for part, share in before.items()
    }


def _of_original(brain: np.ndarray, face: np.ndarray, has_face: bool) -> dict[str, Any]:
    parts = {n: has_face and bool((face == v).any()) for n, v in PARTS.items()}
    faced = any(there for name, there in parts.items() if name != EARS)
    return {
        **dict.fromkeys(_no_similarity(), 1.0),
        **dict.fromkeys(_no_face_left(), 1.0 if faced else np.nan),
        **{f"face_left_{n}": 1.0 if there else np.nan for n, there in parts.items()},
        "brain_voxels": int(np.count_nonzero(brain)),
        **dict.fromkeys(("brain_changed", "brain_removed", "brain_replaced", "brain_core_lost"), 0),
        "changed_voxels": 0,
        "odd_voxels": 0,
        "quality": "" if faced else "no_face",
    }


def _no_similarity() -> dict[str, float]:
    return dict.fromkeys(("corr_front", "corr_full", "ssim_front", "ssim_full"), np.nan)


def _no_face_left() -> dict[str, float]:
    names = ["face_left", *(f"face_left_{n}" for n in PARTS), "face_tissue_left"]
    return dict.fromkeys(names, np.nan)
