"""What every later stage needs to know about an original scan.

Head mask, brain mask, registration to the template head and the region of the
face, made once a scan and shared by all defacers.  Writes derivatives under
the folder that it is given and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import bids, manifest
from refacebench.contracts import ScanExcluded
from refacebench.head import (
    checks,
    extraction,
    face_parts,
    masks,
    matrices,
    pose,
    registration,
    turns,
    values,
)
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics.face import EARS
from refacebench.run import batch, spares
from refacebench.run.stage import Stage
from refacebench.vocabulary import ORIGINAL

#: Raise it when the stage's output changes.
VERSION = "8"

STAGE = Stage(
    "prepare",
    follows=("inventory",),
    reads=("scan", "path"),
    adds={
        "brain_path": "brain mask of the original",
        "head_path": "its head mask: everything that is not air, holes filled",
        "face_path": "its face's parts, labels as in refacebench.head.face_parts",
        "template_path": "JSON with the 4 x 4 matrix from the scan to the template head, mm",
        "brain_ml": "volume of the brain mask",
        "head_ml": "volume of the head mask",
        **{
            f"present_{part}": f"share of an average face's {part} that the scan holds"
            for part in face_parts.FACE_LABELS
        },
    },
)

#: Dice of the brain mask and the registered template's brain below which one of the two is wrong.
#: Right pairs had 0.93 to 0.97, and 0.86 on a scan that had been defaced before; masks that take
#: in the throat stay under 0.8.
MIN_AGREEMENT = 0.80


def run(
    row: Mapping[str, Any], out_folder: str | Path, limits: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Prepare one original scan and write what was found.

    Parameters
    ----------
    row : mapping
        A manifest row; ``path`` and ``scan`` are used.
    out_folder : str or Path
        Root of the derivatives, for example
        ``results/derivatives/{dataset}/original``.
    limits : mapping, optional
        Any of those of :data:`refacebench.head.checks.OF_BRAINS`.

    Returns
    -------
    dict
        The columns of :data:`STAGE`; masks and labels are uint8 images.

    Raises
    ------
    ScanExcluded
        If the scan has no plausible brain or cannot be registered to a head.
    """
    volume = values.read(row["path"]).volume
    found = examine(volume, limits)
    paths = _paths(out_folder, row["scan"])
    for name in ("brain", "head", "face"):
        nifti.write(volume.with_data(found[name].astype(np.uint8)), paths[name])
    matrices.write_matrix(found["matrix"], paths["template"])
    return {
        **{f"{name}_path": str(path) for name, path in paths.items()},
        "brain_ml": round(float(found["brain"].sum()) * volume.voxel_ml, 3),
        "head_ml": round(float(found["head"].sum()) * volume.voxel_ml, 3),
        **{f"present_{part}": round(share, 4) for part, share in found["present"].items()},
    }


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    out_folder: str | Path,
    limits: Mapping[str, Any] | None = None,
    *,
    version: str = VERSION,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Prepare the scans of one batch and write the manifest."""
    bids.describe(out_folder, ORIGINAL)
    bids.name_labels(out_folder, "face", {**face_parts.FACE_LABELS, EARS: face_parts.EAR_LABEL})
    # Before the scans' processes fork, so that they share it.
    extraction.load_brain_extractor()
    registration.load()
    face_parts.load()
    pose.load()
    table = batch.run_batch(
        STAGE,
        rows,
        lambda row: run(row, out_folder, limits),
        out,
        method="deepbet",
        version=version,
        params=brain_limits(limits),
        timeout=timeout,
        preload=("refacebench.image.itk", "scipy.ndimage", "skimage.filters.thresholding"),
    )
    chosen = spares.leave_out(table)
    if chosen is not table:
        manifest.write(chosen, out)
    return chosen


def brain_limits(limits: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the limits that are this stage's, the defaults where they are not given."""
    given = {**checks.LIMITS, **(limits or {})}
    return {name: given[name] for name in checks.OF_BRAINS}


def examine(volume: Volume, limits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Find brain, head, registration and face of a scan (no file).

    Returns
    -------
    dict
        ``brain``, ``head`` (bool arrays), ``matrix`` (4 x 4), ``face`` (uint8
        array) and ``present`` (dict of shares).

    Raises
    ------
    ScanExcluded
        As :func:`run`.
    """
    try:
        head = masks.head_mask(volume)
        brain = extraction.brain_mask(volume)
    except ValueError as error:
        raise ScanExcluded(_why(volume, error)) from None
    own = brain_limits(limits)
    check_brain_ml(float(brain.sum()) * volume.voxel_ml, own["brain_ml"])
    check_field(volume, brain, own["brain_cut"])
    head = head | brain
    try:
        matrix = register(volume, head, brain)
    except ValueError as error:
        raise ScanExcluded(_why(volume, error)) from None
    return {
        "brain": brain,
        "head": head,
        "matrix": matrix,
        "face": face_parts.face_region(volume, head, matrix),
        "present": face_parts.face_present(volume, head, matrix),
    }


def _why(volume: Volume, error: ValueError) -> str:
    """Return why a scan is given up: how the head lies, where that is the reason."""
    turned = turns.explanation(volume)
    return f"{turned} (as its header has it: {error})" if turned else str(error)


def check_brain_ml(brain_ml: float, limits: Sequence[float]) -> None:
    """Refuse a brain mask of an implausible size: outside the limits, in ml.

    Raises
    ------
    ScanExcluded
        If it is.
    """
    low, high = limits
    if not low <= brain_ml <= high:
        raise ScanExcluded(
            f"implausible brain: the mask has {brain_ml:.1f} ml, expected {low:.0f}-{high:.0f} ml "
            "(checks: brain_ml)"
        )


def check_field(volume: Volume, brain: np.ndarray, most: float) -> None:
    """Refuse a brain that lies in part outside the field of view.

    Raises
    ------
    ScanExcluded
        If a larger share of it does than is allowed.
    """
    lost = pose.cut_off_ml(pose.fit(volume.with_data(brain), field=volume), volume)
    whole = lost + float(brain.sum()) * volume.voxel_ml
    if lost > most * whole:
        raise ScanExcluded(
            f"the field of view cuts off about {lost:.0f} of {whole:.0f} ml of the brain "
            "(checks: brain_cut)"
        )


def register(volume: Volume, head: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Register a scan to the mean head, and compare the brain mask with the template's brain.

    Mask and registration are two sources: the network knows no template, and the
    registration sees the whole head.  A start from the brain mask that ends in
    disagreement is followed by starts from the head alone.

    Returns
    -------
    numpy.ndarray
        4 x 4, as :func:`refacebench.head.registration.register`.

    Raises
    ------
    ValueError
        If the scan cannot be registered, or mask and registered brain differ.
    """
    found = volume.with_data(brain)
    best = -1.0
    for start in (brain, None):
        matrix = registration.register(volume, head, start)
        best = max(best, pose.agreement(found, matrix))
        if best >= MIN_AGREEMENT:
            return matrix
    raise ValueError(
        "the brain mask and the brain of the registered template head do not match (Dice "
        f"{best:.3f}, at least {MIN_AGREEMENT:.3f} is expected): one of the two is wrong. "
        "Is it a whole T1w head with the right orientation in its header?"
    )


def _paths(root: str | Path, scan: str) -> dict[str, Path]:
    matrix = bids.derivative(root, scan, "xfm").with_name(
        f"{scan}_from-T1w_to-template_mode-image_xfm.json"
    )
    return {
        "brain": bids.derivative(root, scan, "mask", "brain"),
        "head": bids.derivative(root, scan, "mask", "head"),
        "face": bids.derivative(root, scan, "dseg", "face"),
        "template": matrix,
    }
