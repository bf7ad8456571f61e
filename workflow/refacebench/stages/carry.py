"""Carry a scan's mask of changed voxels over to the other images of its session.

A defacer works on the T1w scan.  Its companions (T2w, FLAIR, a second T1w on
another grid, found by :mod:`refacebench.datasets.bids`) show the same face and
have to lose it too.  :func:`align` finds, once for all defacers, the rigid
transform from a companion to its T1w scan; :func:`apply` lays a defacer's mask
on the companion's own grid and sets what it covers to zero.

Zero, also where the defacer itself fills in something else: an average face or
noise is made for the T1w contrast and means nothing in another one.  What follows:
a companion has *no* face even where the T1w scan has a new one; and a defacer
that changes only a thin layer of the surface (``mask_face``, ``mideface``) leaves,
below the layer, a smaller copy of the face's shape in the companion.  For data
that are to be shared with companions take a defacer that removes the whole face.

The brain is protected by the T1w scan's brain mask, laid on the companion in
the same way; its voxels stay bit for bit, which is checked in the written file.
Reads and writes the files that it is told to and touches nothing else.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import bids, files, reasons
from refacebench.contracts import ScanExcluded
from refacebench.head import matrices
from refacebench.image import geometry, linear, nifti
from refacebench.image.geometry import grow
from refacebench.image.nifti import Volume
from refacebench.stages.deface import stored_difference
from refacebench.vocabulary import EXCLUDED, OK

#: Raise it when an alignment or a carried mask changes.
VERSION = "1"

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
#: Interpolated share of a mask from which a voxel counts as touched; less is rounding.
TOUCHED = 1e-3


def companions(row: Mapping) -> list[dict]:
    """Return a scan's companions: dicts with ``contrast``, ``name``, ``path``, ``reason``."""
    text = row.get("companions", "")
    return json.loads(text) if isinstance(text, str) and text else []


def split_name(name: str) -> tuple[str, str]:
    """Return the entities and the suffix of a companion's name.

    >>> split_name("sub-1_acq-x_FLAIR")
    ('sub-1_acq-x', 'FLAIR')
    """
    stem, _, suffix = name.rpartition("_")
    return stem, suffix


def rows_of(scans: pd.DataFrame) -> pd.DataFrame:
    """Return one row a companion from a manifest with one row a T1w scan.

    ``scan`` becomes the companion's name and ``path`` its file; ``t1w`` keeps
    the scan's id and ``t1w_path`` its file.  A companion that is not there is
    ``excluded`` with its reason; a scan that is not ``ok`` hands its own status
    and reason on.
    """
    rows = []
    for row in scans.to_dict("records"):
        for companion in companions(row):
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


# alignment ----------------------------------------------------------------------------------


def align(row: Mapping, out_folder: str | Path) -> dict:
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
        companion = nifti.read(row["path"])
    except Exception as error:  # nibabel raises half a dozen kinds
        # The system's own errors have a number, what nibabel says of the content has none.
        if isinstance(error, MemoryError) or getattr(error, "errno", None):
            raise
        # Without its path, so that a table can count equal reasons.
        reason = reasons.one_line(str(error).replace(str(row["path"]), "it"), 120)
        raise ScanExcluded(f"cannot be read: {reason}") from None
    t1w = nifti.read(row["t1w_path"])
    head = nifti.read_mask(row["head_path"])
    matrix, facts = rigid(t1w, head, companion)
    stem, contrast = split_name(row["scan"])
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
    return {"align_path": str(path), **facts}


def rigid(t1w: Volume, head: np.ndarray, companion: Volume) -> tuple[np.ndarray, dict]:
    """Align a companion with its T1w scan: by their headers or rigidly, what fits better.

    Both were scanned in one session, so that the headers usually agree; a head
    that moved in between needs a registration (ANTs, rigid, mutual information,
    from the headers; if that fails, from the centres of mass).

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
        raise ScanExcluded("holds no varied positive intensity: there is no head in it")
    fixed, moving = linear.clipped(fixed), linear.clipped(moving)
    header = np.eye(4)
    candidates = {"header": header, "registration": _register(fixed, moving, header)}
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
            f"{found['contrast_nmi']:.2f} times that of the image pushed {PUSH_MM:g} mm aside, "
            f"{LEAST_CONTRAST:g} is needed): another person, another body part, or a wrong header?"
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


def _best(fixed: Volume, region: np.ndarray, moving: Volume, candidates: Mapping):
    """Return the better alignment's name and how good it is.

    All are compared over the voxels that every one of them shows.
    """
    placed = {name: _resampled(fixed, moving, matrix) for name, matrix in candidates.items()}
    common = region & np.logical_and.reduce([np.isfinite(p) for p in placed.values()])
    if np.count_nonzero(common) < LEAST_OVERLAP:
        raise ScanExcluded("shows too little of the T1w scan's head to be aligned with it")
    scores = {name: _information(fixed.data, p, common) for name, p in placed.items()}
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


def _pushed(fixed: Volume, region: np.ndarray, moving: Volume, matrix: np.ndarray):
    """Yield the mutual information of an alignment pushed aside along each axis."""
    for axis, direction in itertools.product(range(3), (-1, 1)):
        push = np.eye(4)
        push[axis, 3] = direction * PUSH_MM
        moved = _resampled(fixed, moving, push @ matrix)
        there = region & np.isfinite(moved)
        if np.count_nonzero(there) >= LEAST_OVERLAP / 2:
            yield _information(fixed.data, moved, there)
    yield 1.0  # a slab that no push keeps in view


# masks --------------------------------------------------------------------------------------


def touched(
    mask: Volume, grid: Volume, matrix: np.ndarray, mode: str = "grid-constant"
) -> np.ndarray:
    """Return the voxels of another grid that a mask touches at all.

    The mask is interpolated linearly at points no further apart than its own
    voxels: a thick slice is touched if any part of it is.

    Parameters
    ----------
    mask : Volume
        Boolean data on the T1w scan's grid.
    grid : Volume
        The companion, for its grid.
    matrix : numpy.ndarray
        4 x 4, the companion's RAS+ mm -> those of ``mask``.
    mode : str
        Beyond the mask's field of view: ``grid-constant`` for nothing (from the
        outermost voxels on it is faded out, not cut off), ``nearest`` to go on
        with its edge.

    Returns
    -------
    numpy.ndarray of bool
        On ``grid``.
    """
    affine = matrix @ grid.affine
    steps = np.maximum(1, np.ceil(grid.spacing / mask.spacing.min() - 1e-3)).astype(int)
    data = mask.data.astype(np.float32)
    found = np.zeros(grid.shape, bool)
    for place in itertools.product(*(range(n) for n in steps)):
        offset = (np.array(place) + 0.5) / steps - 0.5
        shifted = affine.copy()
        shifted[:3, 3] = (affine @ [*offset, 1.0])[:3]
        like = Volume(grid.data, shifted)
        found |= nifti.resample(mask.with_data(data), like, order=1, mode=mode).data > TOUCHED
    return found


def carried_mask(
    changed: Volume, brain: Volume, companion: Volume, matrix: np.ndarray, margin_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is to be set to zero in a companion, and what is protected.

    Parameters
    ----------
    changed, brain : Volume
        Masks on the T1w scan's grid: voxels that the defacer changed, and brain.
    companion : Volume
        For its grid.
    matrix : numpy.ndarray
        4 x 4, companion mm -> T1w mm.
    margin_mm : float
        The first mask grows by this much.  Beyond the T1w scan's field of view it
        goes on with its edge: a chin that only the companion shows is a face too.

    Returns
    -------
    remove, brain : numpy.ndarray of bool
        On the companion's grid, without a common voxel.
    """
    protected = touched(brain, companion, matrix)
    wanted = touched(changed, companion, matrix, mode="nearest")
    return grow(wanted, companion.spacing, margin_mm) & ~protected, protected


def paths(out_folder: str | Path, name: str) -> tuple[Path, Path]:
    """Return where a companion's image and mask of changed voxels lie.

    The mask's ``space`` entity keeps it apart from that of the T1w scan.

    >>> [p.name for p in paths("d", "sub-1_acq-x_FLAIR")]
    ['sub-1_acq-x_desc-defaced_FLAIR.nii.gz', 'sub-1_acq-x_space-FLAIR_desc-changed_mask.nii.gz']
    """
    stem, contrast = split_name(name)
    image = bids.derivative(out_folder, stem, contrast, "defaced")
    mask = bids.derivative(out_folder, f"{stem}_space-{contrast}", "mask", "changed")
    return image, mask


def apply(row: Mapping, out_folder: str | Path, margin_mm: float) -> dict:
    """Set a companion to zero where its T1w scan was changed, write it and check it.

    Parameters
    ----------
    row : mapping
        ``scan``, ``path`` (companion), ``align_path``, and of the T1w scan
        ``changed_path`` and ``brain_path``.
    out_folder : str or Path
        Root of the defacer's derivatives.
    margin_mm : float
        See :func:`carried_mask`.

    Returns
    -------
    dict
        ``path``, ``changed_path``; ``masked_voxels``; ``changed_voxels``, those
        whose stored number is another one now; ``brain_voxels`` (protected) and
        ``brain_changed`` of them in the written file: 0.

    Raises
    ------
    RuntimeError
        If the file differs in a protected voxel or outside the mask; it is deleted.
    """
    companion = nifti.read(row["path"])
    changed, brain = (nifti.read(row[name], dtype=None) for name in ("changed_path", "brain_path"))
    remove, protected = carried_mask(
        changed.with_data(changed.data > 0),
        brain.with_data(brain.data > 0),
        companion,
        matrices.read_matrix(row["align_path"]),
        margin_mm,
    )
    image, mask = paths(out_folder, row["scan"])
    nifti.write_changed(row["path"], np.zeros(companion.shape, np.float32), remove, image)
    differs = stored_difference(row["path"], image)
    if (differs & ~remove).any():
        image.unlink()
        raise RuntimeError(f"{image}: the written file differs from its source outside the mask")
    nifti.write(companion.with_data(remove), mask)
    return {
        "path": str(image),
        "changed_path": str(mask),
        "masked_voxels": int(remove.sum()),
        "changed_voxels": int(differs.sum()),
        "brain_voxels": int(protected.sum()),
        "brain_changed": int((differs & protected).sum()),
    }


def join(defaced: pd.DataFrame, aligned: pd.DataFrame) -> pd.DataFrame:
    """Return one row a companion: its alignment, and its T1w scan's mask of one defacer.

    Parameters
    ----------
    defaced : pandas.DataFrame
        The manifest of the deface stage.
    aligned : pandas.DataFrame
        The manifest of :func:`align`.

    Returns
    -------
    pandas.DataFrame
        A companion that could not be aligned keeps that reason; one whose T1w
        scan could not be defaced says so.
    """
    made = {row["scan"]: row for row in defaced.to_dict("records")}
    rows = []
    for row in aligned.to_dict("records"):
        scan = made.get(row["t1w"])
        if row["status"] == OK:
            if scan is None or scan["status"] != OK:
                reason = "its T1w scan has no result" + (f": {scan['reason']}" if scan else "")
                row |= {"status": scan["status"] if scan else EXCLUDED, "reason": reason}
            else:
                row |= {name: scan[name] for name in ("changed_path", "brain_path")}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else aligned.columns)
