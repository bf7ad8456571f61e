"""Carry a scan's mask of changed voxels over to the other images of its session.

A defacer works on the T1w scan.  Its companions (T2w, FLAIR, a second T1w on
another grid) show the same face and have to lose it too.
:mod:`refacebench.stages.align` finds, once for all defacers, how they lie; :func:`apply` lays a
defacer's mask on the companion's own grid and sets what it covers to zero.

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import bids, files
from refacebench.head import matrices, values
from refacebench.image import nifti
from refacebench.image.geometry import grow
from refacebench.image.nifti import Volume
from refacebench.run import batch
from refacebench.run.stage import Stage
from refacebench.stages.deface import stored_difference
from refacebench.vocabulary import EXCLUDED, OK

#: Raise it when a carried mask changes.
VERSION = "1"

#: Columns with the files of a companion that its result depends on.
ALIGNED = ("path", "align_path", "changed_path", "brain_path")

STAGE = Stage(
    "carry",
    follows=("align", "deface"),
    given={
        "changed_path": "the defacer's mask on the T1w scan",
        "brain_path": "the T1w scan's brain mask",
    },
    reads=("scan", "t1w", "t1w_path", "aligned_by", *ALIGNED),
    adds={
        "variant": "the defacer",
        "path": "the companion without a face",
        "changed_path": "mask of what was set to zero",
        "masked_voxels": "voxels of that mask",
        "changed_voxels": "voxels whose stored number is another one now",
        "brain_voxels": "voxels of the protected brain",
        "brain_changed": "those of them whose stored number is another one now",
    },
)

#: Interpolated share of a mask from which a voxel counts as touched; less is rounding.
TOUCHED = 1e-3


def run(
    row: Mapping[str, Any],
    defacer: str,
    out_folder: str | Path,
    margin_mm: float,
    *,
    version: str = VERSION,
) -> dict[str, Any]:
    """Take the face from one companion: image, mask, sidecar; see :func:`apply`."""
    facts = apply(row, out_folder, margin_mm)
    defaced = bids.sidecar_path(bids.derivative(out_folder, row["t1w"], "T1w", "defaced"))
    bids.write_sidecar(
        facts["path"],
        [row["path"], row["t1w_path"]],
        method=f"{defacer}, mask of the T1w scan carried over and set to zero",
        version=version,
        parameters={"carry_margin_mm": margin_mm},
        key=row.get("key", ""),
        AlignedBy=row["aligned_by"],
        SkullStripped=bool((files.read_json(defaced) or {}).get("SkullStripped", False)),
    )
    return {"variant": defacer, **facts}


def run_batch(
    defaced: pd.DataFrame,
    aligned: pd.DataFrame,
    out: str | Path,
    defacer: str,
    out_folder: str | Path,
    *,
    margin_mm: float,
    version: str = VERSION,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Take the face from the companions of one batch and write the manifest."""
    bids.describe(out_folder, defacer)
    return batch.run_batch(
        STAGE,
        join(defaced, aligned),
        lambda row: run(row, defacer, out_folder, margin_mm, version=version),
        out,
        method=defacer,
        version=version,
        params={"carry_margin_mm": margin_mm, "headers": nifti.HEADER_VERSION},
        inputs=lambda row: [row[name] for name in ALIGNED],
        timeout=timeout,
        preload=("scipy.ndimage",),
    )


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
    stem, contrast = bids.split_suffix(name)
    image = bids.derivative(out_folder, stem, contrast, "defaced")
    mask = bids.derivative(out_folder, f"{stem}_space-{contrast}", "mask", "changed")
    return image, mask


def apply(row: Mapping[str, Any], out_folder: str | Path, margin_mm: float) -> dict[str, Any]:
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
    read = values.read(row["path"])
    companion = read.volume
    changed, brain = (nifti.read(row[name], dtype=None) for name in ("changed_path", "brain_path"))
    remove, protected = carried_mask(
        changed.with_data(changed.data > 0),
        brain.with_data(brain.data > 0),
        companion,
        matrices.read_matrix(row["align_path"]),
        margin_mm,
    )
    image, mask = paths(out_folder, row["scan"])
    nifti.write_changed(row["path"], np.full(companion.shape, read.offset), remove, image)
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
    """Return one row per companion: its alignment, and its T1w scan's mask of one defacer.

    Parameters
    ----------
    defaced : pandas.DataFrame
        The manifest of the deface stage.
    aligned : pandas.DataFrame
        The manifest of the align stage.

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
