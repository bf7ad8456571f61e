"""One rule for a scan's numbers: what is missing counts as air, and air counts as zero.

Files hold NaN outside the field that they were resampled into, a constant added or taken
off, air at -1000, z-scores.  Everything here and in the methods takes air for what is
near zero and tissue for what lies above it.  So whoever reads a scan reads it through
:func:`read`; the file itself keeps its numbers.  A common scan comes back as it is.
Reads the file that it is told to, and touches nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from refacebench.head import masks
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

#: Voxel edge at which the levels are looked for.
_COARSE_MM = 4.0
#: Air that lies below zero by more than this share of the distance to tissue is moved to zero.
#: Noise of both signs around zero has its median much nearer.
BELOW = 0.05
#: Air above zero by more than this share is moved, too, where nearly no voxel is darker.
ABOVE = 0.5


class Usable(NamedTuple):
    """A scan's numbers as they are used.

    Attributes
    ----------
    volume : Volume
        Finite, air near zero; the very volume that was given where nothing had to be done.
    offset : float
        What was taken off: ``value in the file = value here + offset``.
    missing : numpy.ndarray of bool or None
        Voxels that held NaN or infinity; None for no such voxel.
    """

    volume: Volume
    offset: float
    missing: np.ndarray | None

    @property
    def note(self) -> str:
        """What was done, in words; empty for a common scan."""
        said = []
        if self.missing is not None:
            count = int(self.missing.sum())
            share = f"{100 * count / self.missing.size:.2g} %"
            said.append(f"{count} voxels ({share}) hold no number and count as air")
        if self.offset:
            said.append(f"air lies at {self.offset:.4g} and counts as zero")
        return "; ".join(said)


def read(path: str | Path) -> Usable:
    """Read a scan's file; see :func:`usable`."""
    return usable(nifti.read(path))


def usable(volume: Volume) -> Usable:
    """Return a scan whose numbers can be used.

    Parameters
    ----------
    volume : Volume
        As stored, scaled.
    """
    finite = np.isfinite(volume.data)
    missing = None if finite.all() else ~finite
    if missing is not None:
        if not finite.any():
            return Usable(volume.with_data(np.zeros_like(volume.data)), 0.0, missing)
        lowest = volume.data[finite].min()
        volume = volume.with_data(np.where(finite, volume.data, lowest))
    air = _air(volume)
    offset = 0.0 if air is None else air
    if missing is not None:
        # As dark as the air around it, so that no edge is seen where the numbers begin.
        level = masks.levels(volume.data[finite])[0] if air is None else air
        volume = volume.with_data(np.where(finite, volume.data, np.float32(level)))
    if offset:
        volume = volume.with_data(volume.data - np.float32(offset))
    return Usable(volume, offset, missing)


def as_read(path: str | Path, original: Usable) -> Volume:
    """Read what a method made of a scan in the way in which the scan itself was read.

    Its own NaN stay where the scan had numbers: there they are the method's fault.
    """
    return like(nifti.read(path), original)


def like(volume: Volume, original: Usable) -> Volume:
    """Return what a method made of a scan, as :func:`as_read`; all on the scan's grid."""
    if original.offset:
        volume = volume.with_data(volume.data - np.float32(original.offset))
    if original.missing is not None and original.missing.shape == volume.shape:
        gone = original.missing & ~np.isfinite(volume.data)
        volume = volume.with_data(np.where(gone, original.volume.data, volume.data))
    return volume


def _air(volume: Volume) -> float | None:
    """Return the level of the air where it is far from zero; None where it is near."""
    low, high = float(volume.data.min()), float(volume.data.max())
    if low >= 0 and low < 0.1 * high:  # as nearly all scans are
        return None
    small = geometry.coarse(volume, _COARSE_MM).data
    try:
        air, _, otsu = masks.levels(small)
    except ValueError:
        return None
    tissue = small[small > otsu]
    contrast = float(np.median(tissue)) - air if tissue.size else 0.0
    if contrast <= 0:
        return None
    below = air < -BELOW * contrast
    above = air > ABOVE * contrast and float(np.percentile(small, 1)) > 0.5 * air
    return round(air, 4 - int(np.floor(np.log10(abs(air))))) if below or above else None
