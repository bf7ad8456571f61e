"""Check the original scans: those that later stages cannot use are excluded with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench.contracts import ScanExcluded
from refacebench.head import checks
from refacebench.run import batch
from refacebench.run.stage import Stage

#: Raise it when the stage's output changes.
VERSION = checks.VERSION

STAGE = Stage(
    "inventory",
    follows=("grow",),
    reads=("path",),
    adds={
        "path": "the scan's file",
        "original_path": "the same, for stages whose path is another image",
        "shape": "voxels along each axis",
        "spacing": "voxel edges, mm",
        "axis_codes": "orientation, as RAS",
        "dtype": "data type as stored",
        "head_ml": "volume of the head mask",
        "checksum": "SHA-256 of the file",
        "orientation_unknown": "1 where the header does not say what is left and right",
        "forms_disagree": "1 where sform and qform differ",
        "sides_disagree": "1 where one of them mirrors the other",
        "missing_voxels": "voxels that hold NaN or infinity, and count as air",
        "air_level": "value of the air where it lies far from zero, and counts as zero",
    },
)


def run(row: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check one scan.

    Parameters
    ----------
    row : mapping
        ``path``.
    limits : mapping, optional
        Any of :data:`refacebench.head.checks.LIMITS`.

    Returns
    -------
    dict
        The columns of :data:`STAGE`.

    Raises
    ------
    ScanExcluded
        With the reason, if the scan cannot be used.
    """
    path = row["path"]
    try:
        facts = checks.check_scan(path, limits)
    except checks.Unfit as reason:
        raise ScanExcluded(str(reason)) from None
    return {"path": path, "original_path": path, **facts}


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    limits: Mapping[str, Any],
    *,
    version: str,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Check the scans of one batch and write the manifest."""
    limits = {**checks.LIMITS, **limits}
    return batch.run_batch(
        STAGE,
        rows,
        lambda row: run(row, limits),
        out,
        method="checks",
        version=version,
        params=limits,
        timeout=timeout,
        preload=("scipy.ndimage", "skimage.filters.thresholding"),
    )
