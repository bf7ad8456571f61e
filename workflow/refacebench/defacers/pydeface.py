"""pydeface: multiply the scan by an affinely warped face mask.

Gulban, Nielson, Poldrack et al., pydeface 2.1.0 (MIT).  Engine ``official``
runs the released command, which needs FSL's ``flirt``; engine ``native`` applies
the package's own mask with this project's registration.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .. import images, templates
from . import Defaced, PreparedScan

VERSION = "1"
TITLE = "pydeface"
#: engine: auto (official where FSL and the command are installed), native or official;
#: protect_margin_mm: native only, leave this much around the brain alone.
OPTIONS = {"engine": "auto", "protect_margin_mm": 0.0}
#: Voxels with a mask weight above this are left alone: it differs from 1 by rounding only.
FULL_WEIGHT = 0.999


def official_is_available() -> bool:
    """Tell whether the released command can run: ``pydeface``, ``fsl``, ``flirt``, ``FSLDIR``."""
    programs = ("pydeface", "fsl", "flirt")
    return all(shutil.which(name) for name in programs) and bool(os.environ.get("FSLDIR"))


def engine(options: dict) -> str:
    """Return the engine that will run.

    Raises
    ------
    ValueError
        For an unknown engine, or for ``official`` without the programs that it needs.
    """
    wanted = options["engine"]
    if wanted == "auto":
        return "official" if official_is_available() else "native"
    if wanted not in ("native", "official"):
        raise ValueError(f"pydeface: engine '{wanted}' is none of auto, native, official")
    if wanted == "official" and not official_is_available():
        raise ValueError(
            "pydeface: engine 'official' needs the commands pydeface, fsl and flirt and the "
            "variable FSLDIR (FSL's conda channel: fsl-flirt); or set engine: native"
        )
    return wanted


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Remove the face as pydeface does.

    Native: the packaged mask (1 outside, 0 in the face's box) is resampled with
    trilinear interpolation and multiplied, without a threshold, with the scan.
    Beyond the template's field of view the mask goes on with its edge's values, so
    that a chin below it is removed and a neck is not.

    Raises
    ------
    RuntimeError
        If the released command fails.
    """
    if engine(options) == "official":
        return _official(scan)
    weight = templates.warp_to_scan(
        templates.face_mask(), scan.volume, scan.to_template, order=1, mode="nearest"
    )
    changed = weight < FULL_WEIGHT
    return Defaced(scan.volume.data * np.clip(weight, 0, 1), changed)


def _official(scan: PreparedScan) -> Defaced:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "defaced.nii.gz"
        command = ["pydeface", str(scan.path.resolve()), "--outfile", str(out), "--force"]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "TMPDIR": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not out.exists():
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise RuntimeError(f"pydeface failed: {lines[-1] if lines else 'no message'}")
        values = images.read(out).data
    if values.shape != scan.volume.shape:
        raise RuntimeError(f"pydeface wrote {values.shape} for a scan of {scan.volume.shape}")
    return Defaced(values, values != scan.volume.data)
