"""Quickshear: zero everything below a plane under the brain (the PyPI release).

Schimke & Hale, "Quickshear defacing for neuroimages", HealthSec 2011; release
1.2.0 of the package ``quickshear``, whose function is called here.

The release walks along the posterior axis up to the length of the *superior*
one.  Where the superior axis is longer it can run past the array's end
(IndexError), where it is shorter the back of the head is left out.  The scan is
therefore handed over in the release's own orientation (RPS) and padded at its
posterior and superior ends to equal lengths, which changes neither the plane nor
any other result.  A border of two voxels on every side keeps the release's edge
detector, which wraps around, from joining opposite sides.
"""

from __future__ import annotations

import importlib.metadata
import warnings

import nibabel as nib
import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.image.nifti import Volume, reorient, reorient_like

VERSION = "1.2.0"
OPTIONS = {
    "buffer": Option(
        10.0,
        "The release's own distance between brain and plane, along the superior axis.",
        unit="voxels",
    ),
    "buffer_mm": Option(
        None,
        "The same in millimetres; where it is given, buffer is not used.",
        unit="mm",
        kind=float,
    ),
}
RELEASE = "1.2.0"
_BORDER = 2


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Zero all voxels below Quickshear's plane.

    Raises
    ------
    RuntimeError
        If the package is missing or is another release.
    ValueError
        If the brain mask gives no plane (empty, or without a lower front edge).
    """
    brain = reorient(Volume(scan.brain.astype(np.uint8), scan.volume.affine), "RPS")
    buffer = float(options["buffer"])
    if options["buffer_mm"] is not None:
        buffer = float(options["buffer_mm"]) / float(brain.spacing[2])
    below = below_plane(brain.data > 0, buffer)
    changed = reorient_like(brain.with_data(below), scan.volume).data
    return Defaced(np.zeros(scan.volume.shape, np.float32), changed)


def below_plane(brain: np.ndarray, buffer: float) -> np.ndarray:
    """Return the voxels that the released function zeroes.

    Parameters
    ----------
    brain : numpy.ndarray of bool
        Brain mask, axes right, posterior, superior (RPS).
    buffer : float
        Distance in voxels.
    """
    if not brain.any():
        raise ValueError("quickshear: the brain mask is empty")
    n_r, n_p, n_s = brain.shape
    side = max(n_p, n_s) + 2 * _BORDER
    padding = [(1, 1), (_BORDER, side - n_p - _BORDER), (_BORDER, side - n_s - _BORDER)]
    padded = np.pad(brain, padding).astype(np.uint8)
    affine = np.diag([1.0, -1.0, 1.0, 1.0])  # RPS, so that the release need not reorient
    ones = nib.Nifti1Image(np.ones_like(padded), affine)
    with warnings.catch_warnings(), np.errstate(divide="raise", invalid="raise"):
        # NumPy 2 deprecates the cross product of 2-D vectors that the release uses.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            sheared = _release().quickshear(ones, nib.Nifti1Image(padded, affine), buffer)
        except (FloatingPointError, IndexError) as error:
            raise ValueError(
                f"quickshear: the brain mask has no lower front edge ({error})"
            ) from None
    kept = np.asanyarray(sheared.dataobj) > 0
    return ~kept[1 : 1 + n_r, _BORDER : _BORDER + n_p, _BORDER : _BORDER + n_s]


def _release():
    try:
        found = importlib.metadata.version("quickshear")
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeError(f"quickshear is missing: pip install quickshear=={RELEASE}") from None
    if found != RELEASE:
        raise RuntimeError(f"quickshear {found} is installed, {RELEASE} is expected")
    import quickshear

    return quickshear


METHOD = Defacer(
    version=VERSION,
    title="Quickshear 1.2.0",
    engine="official",
    options=OPTIONS,
    run=deface,
    sources=("Schimke & Hale, HealthSec 2011", "https://pypi.org/project/quickshear/1.2.0/"),
    licence="quickshear: BSD-3-Clause",
)
