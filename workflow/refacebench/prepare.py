"""What every later stage needs to know about an original scan.

Head mask, brain mask, registration to the template head and the region of the
face, made once a scan and shared by all defacers.  Writes derivatives under
the folder that it is given and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from . import images, masks, names, templates
from .images import Volume
from .manifest import ScanExcluded

VERSION = "3"

#: A brain mask outside this range, in ml, is not that of a living person's whole brain.
BRAIN_RANGE_ML = (600.0, 2500.0)


def prepare(row: Mapping, out_folder: str | Path) -> dict:
    """Prepare one original scan and write what was found.

    Parameters
    ----------
    row : mapping
        A manifest row; ``path`` and ``scan`` are used.
    out_folder : str or Path
        Root of the derivatives, for example
        ``results/derivatives/{dataset}/original``.

    Returns
    -------
    dict
        ``brain_path``, ``head_path`` (uint8 masks), ``face_path`` (uint8
        labels, :func:`refacebench.templates.face_region`), ``template_path``
        (JSON with the 4 x 4 matrix), ``brain_ml``, ``head_ml``, and
        ``present_<part>``: how much of an average face's part the scan holds
        (:func:`refacebench.templates.face_present`).

    Raises
    ------
    ScanExcluded
        If the scan has no plausible brain or cannot be registered to a head.
    """
    volume = images.read(row["path"])
    found = examine(volume)
    paths = _paths(out_folder, row["scan"])
    for name in ("brain", "head", "face"):
        images.write(volume.with_data(found[name].astype(np.uint8)), paths[name])
    templates.write_matrix(found["matrix"], paths["template"])
    return {
        **{f"{name}_path": str(path) for name, path in paths.items()},
        "brain_ml": round(float(found["brain"].sum()) * volume.voxel_ml, 3),
        "head_ml": round(float(found["head"].sum()) * volume.voxel_ml, 3),
        **{f"present_{part}": round(share, 4) for part, share in found["present"].items()},
    }


def examine(volume: Volume) -> dict:
    """Find brain, head, registration and face of a scan (no file).

    Returns
    -------
    dict
        ``brain``, ``head`` (bool arrays), ``matrix`` (4 x 4), ``face`` (uint8
        array) and ``present`` (dict of shares).

    Raises
    ------
    ScanExcluded
        As :func:`prepare`.
    """
    try:
        head = masks.head_mask(volume)
        brain = masks.brain_mask(volume)
    except ValueError as error:
        raise ScanExcluded(str(error)) from None
    check_brain_ml(float(brain.sum()) * volume.voxel_ml)
    head = head | brain
    try:
        matrix = templates.register(volume, head, brain)
    except ValueError as error:
        raise ScanExcluded(str(error)) from None
    return {
        "brain": brain,
        "head": head,
        "matrix": matrix,
        "face": templates.face_region(volume, head, matrix),
        "present": templates.face_present(volume, head, matrix),
    }


def check_brain_ml(brain_ml: float) -> None:
    """Refuse a brain mask of an implausible size.

    Raises
    ------
    ScanExcluded
        If it lies outside :data:`BRAIN_RANGE_ML`.
    """
    low, high = BRAIN_RANGE_ML
    if not low <= brain_ml <= high:
        raise ScanExcluded(
            f"implausible brain: the mask has {brain_ml:.0f} ml, expected {low:.0f}-{high:.0f} ml"
        )


def _paths(root: str | Path, scan: str) -> dict[str, Path]:
    matrix = names.derivative(root, scan, "xfm").with_name(
        f"{scan}_from-T1w_to-template_mode-image_xfm.json"
    )
    return {
        "brain": names.derivative(root, scan, "mask", "brain"),
        "head": names.derivative(root, scan, "mask", "head"),
        "face": names.derivative(root, scan, "dseg", "face"),
        "template": matrix,
    }
