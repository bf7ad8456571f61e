"""Grey pictures of one scan for quality control: the same slices of every variant, to be flipped.

Arrays in, arrays out.  All variants of a scan are cut at the same places, in one grey scale, so
that nothing but the change moves when one picture takes another's place.  They show faces:
whoever writes them to a file keeps it in a folder of :mod:`refacebench.faces`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refacebench.image.nifti import Volume, reorient
from refacebench.plot.slices import slice_places

#: How far to the side of the midline the eyes lie, and below the eyes the nose, in mm.
EYE_ASIDE_MM, NOSE_BELOW_MM = 32.0, 25.0
#: How far behind the frontal pole the orbits are cut, and behind the brain's centre the ears.
ORBITS_BEHIND_MM, EARS_BEHIND_MM = 12.0, 12.0
#: Slices in a row of the picture, and pixels between them.
COLUMNS, GAP = 3, 2
#: No pixel is larger than this, however coarse the scan.
MOST_MM = 1.0


class Cut(NamedTuple):
    """A slice: array axis in RAS orientation, place along it."""

    axis: int
    place: int


def cuts(brain: Volume) -> list[Cut]:
    """Return where a scan is cut: midline, eyes and orbits above, eye, nose and ears below.

    Parameters
    ----------
    brain : Volume
        Brain mask in RAS orientation.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    mask, spacing = brain.data > 0, brain.spacing
    if not mask.any():
        raise ValueError("the brain mask is empty")
    middle, _, eyes = slice_places(mask, spacing)
    ahead = np.flatnonzero(mask.any(axis=(0, 2)))
    places = [
        (0, middle),
        (2, eyes),
        (1, ahead.max() - ORBITS_BEHIND_MM / spacing[1]),
        (0, middle - EYE_ASIDE_MM / spacing[0]),
        (2, eyes - NOSE_BELOW_MM / spacing[2]),
        (1, ahead.mean() - EARS_BEHIND_MM / spacing[1]),
    ]
    return [
        Cut(axis, int(np.clip(round(place), 0, brain.shape[axis] - 1))) for axis, place in places
    ]


def slices(
    volume: Volume, where: Sequence[Cut], window: tuple[float, float], least_mm: float = 0.8
) -> np.ndarray:
    """Return the slices of a scan in one picture.

    Parameters
    ----------
    volume : Volume
        Any orientation.
    where : sequence of Cut
        Of :func:`cuts`, on the same grid turned to RAS.
    window : tuple of float
        Intensities that are drawn black and white.
    least_mm : float
        No pixel is smaller than this, so that fine scans make no huge files.

    Returns
    -------
    numpy.ndarray of uint8
        Row 0 is the top.  The participant's left is on the left, the nose on the right.
    """
    turned = reorient(volume, "RAS")
    low, high = window
    shown = np.clip((np.nan_to_num(turned.data) - low) / (high - low), 0.0, 1.0)
    pictures = np.rint(255 * shown).astype(np.uint8)
    return _joined(pictures, turned.spacing, where, least_mm, smooth=True)


def outlines(mask: Volume, where: Sequence[Cut], least_mm: float = 0.8) -> np.ndarray:
    """Return the edges of a mask in the same slices, 255 where there is one."""
    turned = reorient(mask.with_data((mask.data > 0).astype(np.uint8)), "RAS")
    tiles = _joined(255 * turned.data, turned.spacing, where, least_mm, smooth=False) > 0
    inner = tiles.copy()
    for axis in (0, 1):
        for step in (1, -1):
            inner &= np.roll(tiles, step, axis)
    return np.where(tiles & ~inner, 255, 0).astype(np.uint8)


def letters(spacing: np.ndarray, shape: Sequence[int], where: Sequence[Cut], least_mm: float = 0.8):
    """Return the places of the letters L and R in the picture: (letter, column, row) in pixels."""
    sizes, (height, width) = _sizes(spacing, shape, where, least_mm)
    found = []
    for number, (cut, (_, across)) in enumerate(zip(where, sizes, strict=True)):
        top, left = _corner(number, height, width)
        if cut.axis != 0:
            margin = (width - across) // 2
            found += [("L", left + margin + 3, top + 3), ("R", left + margin + across - 9, top + 3)]
    return found


def _joined(data, spacing, where, least_mm, *, smooth: bool) -> np.ndarray:
    sizes, (height, width) = _sizes(spacing, data.shape, where, least_mm)
    rows = -(-len(where) // COLUMNS)
    whole = np.zeros((rows * (height + GAP) - GAP, COLUMNS * (width + GAP) - GAP), np.uint8)
    for number, (cut, (high, across)) in enumerate(zip(where, sizes, strict=True)):
        tile = _scaled(np.take(data, cut.place, cut.axis).T[::-1], (high, across), smooth)
        top, left = _corner(number, height, width)
        top, left = top + (height - high) // 2, left + (width - across) // 2
        whole[top : top + high, left : left + across] = tile
    return whole


def _corner(number: int, height: int, width: int) -> tuple[int, int]:
    return (number // COLUMNS) * (height + GAP), (number % COLUMNS) * (width + GAP)


def _sizes(spacing, shape, where, least_mm):
    """Return height and width of each slice in pixels, and those of the largest."""
    pixel = float(np.clip(np.min(spacing), least_mm, MOST_MM))
    extent = np.maximum(1, np.rint(np.asarray(shape[:3]) * spacing / pixel)).astype(int)
    sizes = []
    for cut in where:
        across, up = (axis for axis in range(3) if axis != cut.axis)
        sizes.append((int(extent[up]), int(extent[across])))
    return sizes, (max(s[0] for s in sizes), max(s[1] for s in sizes))


def _scaled(image: np.ndarray, size: tuple[int, int], smooth: bool) -> np.ndarray:
    from PIL import Image

    if image.shape == size:
        return image
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    made = Image.fromarray(np.ascontiguousarray(image)).resize(size[::-1], how)
    return np.asarray(made)
