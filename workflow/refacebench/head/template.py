"""The template head: the images that everything else is placed by.

The mean head of pydeface (Gulban et al., MIT licence) with its face mask; both are read
from the installed package, which is never imported (it needs nipype).  Masks that take
seconds to make, and that nearly every job needs, are kept in ``template_masks.npz`` beside this
file.  Reads these files and touches nothing else.

Coordinates "template mm" are the RAS+ millimetres of the mean head's header.
Its nose tip lies at about (0, 116, -70), the eyes' centres at (-33, 83, -38)
and (30, 85, -38), the line of the lips at z = -98; its field of view ends at
the lower lip (z = -120), so that the chin lies in the template's space but not
in its image.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from refacebench import files
from refacebench.image import nifti
from refacebench.image.nifti import Volume

#: Centre of the mean head's brain (deepbet's mask of it), template mm.
BRAIN_CENTER = np.array([-5.6, -3.3, 4.2])
#: Masks of the heads that packages bring, made by ``benchmarks/template_masks.py``.
MASKS = Path(__file__).with_name("template_masks.npz")


def _package_file(name: str) -> Path:
    path = files.packaged("pydeface", "data", name)
    if path is None:
        raise FileNotFoundError(
            f"the template head is missing: pydeface's data/{name} was not found; "
            "install it with: pip install pydeface==2.1.0"
        )
    return path


def frozen(volume: Volume) -> Volume:
    """Make a volume that many share read-only, and return it."""
    volume.data.flags.writeable = False
    return volume


@functools.cache
def mean_head() -> Volume:
    """Return pydeface's mean head (float32, RAS+ axes, about 1 mm; read-only).

    Raises
    ------
    FileNotFoundError
        If the pydeface package is not installed.
    """
    return frozen(nifti.read(_package_file("mean_reg2mean.nii.gz")))


@functools.cache
def face_mask() -> Volume:
    """Return pydeface's mask on the mean head's grid: 0 in the face's box, 1 elsewhere.

    Raises
    ------
    FileNotFoundError
        If the pydeface package is not installed.
    """
    return frozen(nifti.read(_package_file("facemask.nii.gz")))


@functools.cache
def kept_mask(name: str) -> np.ndarray:
    """Return a mask of a template head (bool; read-only), from :data:`MASKS`.

    Parameters
    ----------
    name : str
        ``mean_head`` : what is not air in :func:`mean_head`, on its grid
        (:func:`refacebench.head.masks.head_mask`).
        ``extended``, ``skin`` : of the mean head continued below its field of view
        (:func:`refacebench.head.average.extended_masks`).
        ``sharp_source`` : what is not air in :func:`refacebench.head.sharp.source`.
    """
    with np.load(MASKS, allow_pickle=False) as stored:
        shape = tuple(stored[f"{name}_shape"])
        bits = np.unpackbits(stored[name], count=int(np.prod(shape)))
    mask = bits.reshape(shape).astype(bool)
    mask.flags.writeable = False
    return mask


def mean_head_mask() -> np.ndarray:
    """Return the head mask of the mean head (bool; read-only)."""
    return kept_mask("mean_head")
