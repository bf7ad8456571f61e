"""Find how the other images of a session lie to its T1w scan, once for all defacers.

The companions (T2w, FLAIR, a second T1w on another grid) are found by
:mod:`refacebench.datasets.bids`.  :func:`run` finds the rigid transform from one of them to
its T1w scan; :mod:`refacebench.stages.carry` then takes the face from it.
Reads and writes the files that it is told to and touches nothing else.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import bids, files, manifest, reasons
from refacebench.contracts import ScanExcluded
from refacebench.head import matrices, values
from refacebench.image import geometry, linear, nifti
from refacebench.image.nifti import Volume
from refacebench.run import batch, spares
from refacebench.run.stage import Stage
from refacebench.vocabulary import EXCLUDED

#: Raise it when an alignment changes.
VERSION = "2"

STAGE = Stage(
    "align",
    follows=("prepare",),
    given={
        "t1w": "id of the T1w scan; `scan` is the companion's name, `path` its file",
        "t1w_path": "the T1w scan's file",
        "contrast": "suffix of the companion: T2w, FLAIR, ...",
    },
    reads=("scan", "path", "t1w_path", "head_path"),
    adds={
        "original_path": "the companion's file, which later stages compare with `checksum`",
        "checksum": "SHA-256 of the companion's file",
        "align_path": "JSON with the 4 x 4 matrix from the companion to the T1w scan, mm",
        "aligned_by": "header or registration",
        "nmi": "normalised mutual information of the alignment; 1 is none",
        "nmi_header": "that of the headers alone",
        "contrast_nmi": "how many times more than with the image pushed aside",
        "shift_mm": "shift of the head's centre against the headers",
        "rotation_deg": "rotation against the headers",
    },
)

#: Registration and its judgement work on voxels of about this size.
VOXEL_MM = 2.0
#: Shrink factors, smoothing sigmas (voxels) and most iterations of the registration's levels.
SCHEDULE = ((4, 2, 1), (3, 1, 0), (500, 250, 100))
#: Bins of the joint histogram.
BINS = 48
#: The header's alignment is kept unless a registration has this much more mutual information.
LEAST_GAIN = 0.01
#: An alignment must have this many times the mutual information of the same image pushed aside:
#: simulated T2w of the same head reach 3.7 (noisy, biased, 4 mm slices) to 9, another head 1.5.
LEAST_CONTRAST = 1.8
#: How far it is pushed aside, along each axis in both directions.
PUSH_MM = 16.0
#: Voxels of the head that both images must show.
LEAST_OVERLAP = 2000


def rows_of(scans: pd.DataFrame) -> pd.DataFrame:
    """Return one row per companion from a manifest with one row per T1w scan.

    ``scan`` becomes the companion's name and ``path`` its file; ``t1w`` keeps
    the scan's id and ``t1w_path`` its file.  A companion that is not there is
    ``excluded`` with its reason; a scan that is not ``ok`` hands its own status
    and reason on.  Of several T1w scans of a session the first usable one has the companions
    (:func:`refacebench.run.spares.leads`).
    """
    rows = []
    some = scans[scans["companions"].isin(("", "[]")).eq(False)] if "companions" in scans else scans
    leading = set(spares.leads(some))
    for row in scans[scans["scan"].isin(leading)].to_dict("records"):
        for companion in manifest.companions(row):
            mine = {
                **row,
                "t1w": row["scan"],
                "t1w_path": row["path"],
                "scan": companion["name"],
                "contrast": companion["contrast"],
                "path": companion["path"],
            }
            mine.pop("companions")
            if companion["reason"]:
                mine |= {"status": EXCLUDED, "stage": "align", "reason": companion["reason"]}
            rows.append(mine)
    if rows:
        return pd.DataFrame(rows)
    kept = [name for name in scans if name != "companions"]
    return pd.DataFrame(columns=[*kept, "t1w", "t1w_path", "contrast"])


def run(row: Mapping[str, Any], out_folder: str | Path) -> dict[str, Any]:
    """Find how a companion lies to its T1w scan, and write the transform.

    Parameters
    ----------
    row : mapping
        Of :func:`rows_of` a prepare manifest: ``scan``, ``path``, ``contrast``,
        ``t1w_path`` and ``head_path``.
    out_folder : str or Path
        Root of the derivatives.

    Returns
    -------
    dict
        ``align_path`` (JSON with the 4 x 4 matrix companion mm -> T1w mm) and
        what :func:`rigid` says of it.

    Raises
    ------
    ScanExcluded
        If the companion is no 3-D image or cannot be aligned.
    """
    try:
        companion = values.read(row["path"]).volume
    except Exception as error:  # nibabel raises half a dozen kinds
        # The system's own errors have a number, what nibabel says of the content has none.
        if isinstance(error, MemoryError) or getattr(error, "errno", None):
            raise
        # Without its path, so that a table can count equal reasons.
        reason = reasons.one_line(str(error).replace(str(row["path"]), "it"), 120)
        raise ScanExcluded(f"cannot be read: {reason}") from None
    t1w = values.read(row["t1w_path"]).volume
    head = nifti.read_mask(row["head_path"])
    matrix, facts = rigid(t1w, head, companion)
    stem, contrast = bids.split_suffix(row["scan"])
    path = bids.derivative(out_folder, stem, "xfm").with_name(
        f"{stem}_from-{contrast}_to-T1w_mode-image_xfm.json"
    )
    document = {
        "from": f"RAS+ millimetres of {Path(row['path']).name}",
        "to": f"RAS+ millimetres of {Path(row['t1w_path']).name}",
        "matrix": matrix.tolist(),
        **facts,
    }
    files.write_text(json.dumps(document, indent=1) + "\n", path)
    matrices.write_itk(matrix, path)
    own = {"original_path": row["path"], "checksum": files.checksum(row["path"])}
    return {**own, "align_path": str(path), **facts}


def run_batch(
    scans: pd.DataFrame,
    out: str | Path,
    out_folder: str | Path,
    *,
    version: str = VERSION,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Align the companions of the scans of one batch and write the manifest."""
    return batch.run_batch(
        STAGE,
        rows_of(scans),
        lambda row: run(row, out_folder),
        out,
        method="rigid",
        version=version,
        inputs=lambda row: [row[name] for name in ("path", "t1w_path", "head_path")],
        timeout=timeout,
        preload=("refacebench.image.itk", "scipy.ndimage", "skimage.metrics.simple_metrics"),
    )


def rigid(t1w: Volume, head: np.ndarray, companion: Volume) -> tuple[np.ndarray, dict[str, Any]]:
    """Align a companion with its T1w scan: by their headers or rigidly, what fits better.

    Both were scanned in one session, so that the headers usually agree; a head
    that moved in between needs a registration (ANTs, rigid, mutual information,
    from the headers; if that fails, or the headers put the two far apart, from the
    centres of mass).

    Parameters
    ----------
    t1w, companion : Volume
        Intensities, any orientation, voxel size and field of view.
    head : numpy.ndarray of bool
        Head mask of the T1w scan: where the fit is judged.

    Returns
    -------
    matrix : numpy.ndarray
        4 x 4, the companion's RAS+ mm -> the T1w scan's.
    facts : dict
        ``aligned_by`` (``header`` or ``registration``); ``nmi``, normalised mutual
        information of the alignment, ``nmi_header`` of the headers (1 = none);
        ``contrast_nmi``, how many times more than with the image pushed aside;
        ``shift_mm`` (of the head's centre) and ``rotation_deg`` against the headers.

    Raises
    ------
    ScanExcluded
        If the two do not show the same head or no alignment is a clear optimum.
    """
    fixed = geometry.coarse(nifti.reorient(t1w), VOXEL_MM)
    region = geometry.coarse(nifti.reorient(t1w.with_data(head)), VOXEL_MM).data > 0.5
    center = geometry.mask_center(region, fixed.affine)
    moving = geometry.coarse(nifti.reorient(companion), VOXEL_MM)
    if not (_varied(fixed) and _varied(moving)):
        raise ScanExcluded("has no varied positive intensity, so there is no head in it")
    fixed, moving = linear.clipped(fixed), linear.clipped(moving)
    candidates, found = {}, {"contrast_nmi": 0.0}
    # Headers that put the two far apart are no place to begin.
    if _overlap(fixed, region, moving, np.eye(4)) >= LEAST_OVERLAP:
        candidates["header"] = np.eye(4)
        candidates["registration"] = _register(fixed, moving, np.eye(4))
        place, found = _best(fixed, region, moving, candidates)
    if found["contrast_nmi"] < LEAST_CONTRAST:
        weights = moving.data > 0.25 * moving.data.max()
        start = np.eye(4)
        start[:3, 3] = center - geometry.mask_center(weights, moving.affine)
        candidates["registration"] = _register(fixed, moving, start)
        place, found = _best(fixed, region, moving, candidates)
    if found["contrast_nmi"] < LEAST_CONTRAST:
        raise ScanExcluded(
            "cannot be aligned with its T1w scan (mutual information "
            f"{found['contrast_nmi']:.2f} times that of the image shifted by {PUSH_MM:g} mm aside, "
            f"{LEAST_CONTRAST:g} is needed): is it another person or body part, or is "
            "its header wrong?"
        )
    matrix = candidates[place]
    moved = matrix[:3, :3] @ center + matrix[:3, 3] - center
    turn = np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)))
    facts = {name: round(value, 4) for name, value in found.items()}
    return matrix, {
        "aligned_by": place,
        **facts,
        "shift_mm": round(float(np.linalg.norm(moved)), 3),
        "rotation_deg": round(float(turn), 3),
    }


def _varied(volume: Volume) -> bool:
    positive = volume.data[np.isfinite(volume.data) & (volume.data > 0)]
    return positive.size > 0 and positive.min() < positive.max()


def _register(fixed: Volume, moving: Volume, start: np.ndarray) -> np.ndarray:
    return linear.linear_stage("Rigid", fixed, moving, start, *SCHEDULE)


def _overlap(fixed: Volume, region: np.ndarray, moving: Volume, matrix: np.ndarray) -> int:
    """Return how many voxels of the head lie in the other image's field of view."""
    return int(np.count_nonzero(region & np.isfinite(_resampled(fixed, moving, matrix))))


def _best(
    fixed: Volume, region: np.ndarray, moving: Volume, candidates: Mapping[str, np.ndarray]
) -> tuple[str, dict[str, float]]:
    """Return the better alignment's name and how good it is.

    All are compared over the voxels that every one of them shows.
    """
    placed = {name: _resampled(fixed, moving, matrix) for name, matrix in candidates.items()}
    common = region & np.logical_and.reduce([np.isfinite(p) for p in placed.values()])
    if np.count_nonzero(common) < LEAST_OVERLAP:
        raise ScanExcluded("shows too little of the T1w scan's head to be aligned with it")
    scores = {name: _information(fixed.data, p, common) for name, p in placed.items()}
    scores = {"header": 1.0, **scores}  # headers that put the two far apart tell nothing
    gain = (scores["registration"] - 1) > (1 + LEAST_GAIN) * (scores["header"] - 1)
    name = "registration" if gain else "header"
    aside = max(_pushed(fixed, region, moving, candidates[name]))
    contrast = (scores[name] - 1) / max(aside - 1, 1e-6)
    return name, {
        "nmi": scores[name],
        "nmi_header": scores["header"],
        "contrast_nmi": float(contrast),
    }


def _resampled(fixed: Volume, moving: Volume, matrix: np.ndarray) -> np.ndarray:
    """Return the moving image on the fixed grid, NaN outside its field of view."""
    placed = Volume(moving.data, matrix @ moving.affine)
    return nifti.resample(placed, fixed, order=1, cval=np.nan).data


def _information(fixed: np.ndarray, moved: np.ndarray, where: np.ndarray) -> float:
    """Return normalised mutual information, (H(a) + H(b)) / H(a, b), over some voxels."""
    from skimage.metrics import normalized_mutual_information

    return float(normalized_mutual_information(fixed[where], moved[where], bins=BINS))


def _pushed(
    fixed: Volume, region: np.ndarray, moving: Volume, matrix: np.ndarray
) -> Iterator[float]:
    """Yield the mutual information of an alignment pushed aside along each axis."""
    for axis, direction in itertools.product(range(3), (-1, 1)):
        push = np.eye(4)
        push[axis, 3] = direction * PUSH_MM
        moved = _resampled(fixed, moving, push @ matrix)
        there = region & np.isfinite(moved)
        if np.count_nonzero(there) >= LEAST_OVERLAP / 2:
            yield _information(fixed.data, moved, there)
    yield 1.0  # a slab that no push keeps in view
