"""What a defacer takes away: the face up to a chosen level, and the ears, in template mm.

The one place for the options ``upper`` and ``ears`` that the mask-type defacers
share.  Regions are convex bodies in the space of the mean head
(:mod:`refacebench.head.template`), placed by hand on it, and are laid on a scan by
its registration.  They go on below the mean head's field of view, so that a
chin is covered, and their back recedes there from the neck.  Arrays in, arrays
out; no file is touched.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refacebench.head import space
from refacebench.head.average import extended_mean_head
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

#: How far up the face is taken: ``below_eyes`` leaves the eyes with lids and orbits (and the
#: bridge of the nose between them), ``eyes`` takes them up to the upper orbital rim, ``brow``
#: takes the whole eyebrow ridge too.
LEVELS = ("below_eyes", "eyes", "brow")
#: Edge in mm of the voxels on which regions and mean head are drawn in the template's space.
GRID_MM = 2.0
#: The grid of the template's space, from-to in mm: wider than the mean head's field of view.
GRID_BOX = ((-120.0, 120.0), (-130.0, 170.0), (-200.0, 110.0))
#: Methods that keep what lies under the ears draw their regions this much wider: an ear that
#: was pressed flat lies deeper.
EAR_WIDER_MM = 6.0


@dataclass(frozen=True)
class Region:
    """A convex body: a box cut by slanted planes.

    Attributes
    ----------
    box : tuple
        ``((x0, x1), (y0, y1), (z0, z1))`` in template mm.
    slants : tuple
        Each ``(normal, point)``: the body lies where ``normal . (x - point) <= 0``.
    """

    box: tuple
    slants: tuple = ()


#: Back of the face: the plane y = 45 down to the lips, from there receding from the neck.
NECK = ((0.0, -1.0, -0.35), (0.0, 45.0, -110.0))
_SIDES, _FRONT, _BOTTOM = (-92.0, 84.0), (45.0, 175.0), -200.0
_FACE: dict[str, tuple[Region, ...]] = {
    # The lower lids lie at z = -54.
    "below_eyes": (Region((_SIDES, _FRONT, (_BOTTOM, -56.0)), (NECK,)),),
    # Parallel to the roof of the orbit, through its upper rim.
    "eyes": (
        Region(
            (_SIDES, _FRONT, (_BOTTOM, 6.0)),
            (NECK, ((0.0, -0.45, 1.0), (0.0, 95.0, -16.0))),
        ),
    ),
}
# The ridge lies before the frontal sinus: a steeper plane keeps off the frontal lobe.
_FACE["brow"] = (
    *_FACE["eyes"],
    Region(((-66.0, 58.0), _FRONT, (-40.0, 8.0)), (((0.0, -1.5, 1.0), (0.0, 96.0, 8.0)),)),
)
#: The ears with the skin under them; the inner side follows the head, which is wider above.
_EARS = (
    Region(
        ((-112.0, -58.0), (-50.0, 26.0), (-90.0, -6.0)),
        (((1.0, 0.0, 0.14), (-66.0, 0.0, -50.0)),),
    ),
    Region(
        ((52.0, 104.0), (-50.0, 26.0), (-90.0, -6.0)),
        (((-1.0, 0.0, 0.14), (60.0, 0.0, -50.0)),),
    ),
)


def face(upper: str) -> tuple[Region, ...]:
    """Return the bodies that make up the face up to a level of :data:`LEVELS`."""
    return _FACE[upper]


def under(upper: str) -> tuple[Region, ...]:
    """Return the half-space under a level: its face without sides, front, back and bottom."""
    endless = (-np.inf, np.inf)
    return tuple(
        Region(
            (endless, endless, (-np.inf, region.box[2][1])),
            tuple(slant for slant in region.slants if slant is not NECK),
        )
        for region in face(upper)
    )


def ears() -> tuple[Region, ...]:
    """Return the bodies of the two ears."""
    return _EARS


def check(method: str, options: Mapping, more: Sequence[str] = ()) -> None:
    """Check the options ``upper`` and ``ears``.

    Parameters
    ----------
    method : str
        The defacer's name, for the message.
    more : sequence of str
        Levels that this method has beside :data:`LEVELS`.

    Raises
    ------
    ValueError
        If one of them is not known.
    """
    known = (*more, *LEVELS)
    if options["upper"] not in known:
        raise ValueError(f"{method}: upper: {options['upper']!r} is none of {', '.join(known)}")
    if not isinstance(options["ears"], bool):
        raise ValueError(f"{method}: ears: {options['ears']!r} must be true or false")


def distance(volume: Volume, matrix: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """Return how far each voxel lies from the union of regions: negative inside.

    Parameters
    ----------
    volume : Volume
        For its grid; crop it first, see :func:`box`.
    matrix : numpy.ndarray
        4 x 4, the volume's RAS+ mm -> template mm.

    Returns
    -------
    numpy.ndarray of float32
        Template mm.  Inside, and next to a face of the body, the true distance to
        its surface; beyond an edge a lower bound of it.
    """
    axes = [space.template_axis(volume, matrix, axis) for axis in range(3)]
    union = np.full(volume.shape, np.inf, np.float32)
    for region in regions:
        far = np.full(volume.shape, -np.inf, np.float32)
        for values, (low, high) in zip(axes, region.box, strict=True):
            if np.isfinite(high):
                np.maximum(far, values - np.float32(high), out=far)
            if np.isfinite(low):
                np.maximum(far, np.float32(low) - values, out=far)
        for normal, point in region.slants:
            unit = np.asarray(normal) / np.linalg.norm(normal)
            height = sum(np.float32(u) * v for u, v in zip(unit, axes, strict=True) if u)
            np.maximum(far, height - np.float32(unit @ np.asarray(point)), out=far)
        np.minimum(union, far, out=union)
    return union


def box(volume: Volume, matrix: np.ndarray, regions: Sequence[Region], margin_mm: float) -> tuple:
    """Return the slices of a scan's grid that hold regions and a margin around them."""
    return space.bounding_box(volume, matrix, [r.box for r in regions], margin_mm)


def require_face(method: str, volume: Volume, matrix: np.ndarray, head: np.ndarray) -> None:
    """Refuse a scan in whose field of view no part of the face's region holds any head.

    Raises
    ------
    ValueError
        With the method's name.
    """
    regions = face("eyes")
    where = box(volume, matrix, regions, 0.0)
    if all(s.start < s.stop for s in where) and head[where].any():
        part = geometry.crop(volume, where)
        if (head[where] & (distance(part, matrix, regions) <= 0)).any():
            return
    raise ValueError(f"{method}: the face lies outside the field of view")


def grid() -> Volume:
    """Return an empty grid of the template's space that reaches beyond the mean head."""
    affine = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    affine[:3, 3] = [low for low, _ in GRID_BOX]
    shape = tuple(int(round((high - low) / GRID_MM)) + 1 for low, high in GRID_BOX)
    return Volume(np.zeros(shape, np.float32), affine)


@functools.cache
def average() -> tuple[Volume, np.ndarray]:
    """Return the mean head, continued below its field of view, on :func:`grid`.

    Returns
    -------
    Volume
        Intensities.
    numpy.ndarray of bool
        Its solid head.
    """
    intensity, solid = extended_mean_head()[:2]
    like = grid()
    data = nifti.resample(intensity, like).data
    return like.with_data(data), nifti.resample(solid, like).data > 0.5


def place(template: Volume, volume: Volume, matrix: np.ndarray, order: int = 1):
    """Resample a template image where it is not zero, on the part of a scan that it covers.

    Returns
    -------
    (tuple of slice, numpy.ndarray)
        The part of the scan's grid, and the image's values there; outside the
        part they are zero.
    """
    used = np.nonzero(template.data)
    corners = np.array([[x.min() - 1, x.max() + 1] for x in used], float)
    low, high = (
        template.affine[:3, :3] @ corners[:, end] + template.affine[:3, 3] for end in (0, 1)
    )
    bounds = tuple((min(a, b), max(a, b)) for a, b in zip(low, high, strict=True))
    where = space.bounding_box(volume, matrix, [bounds], 0.0)
    part = geometry.crop(volume, where)
    if 0 in part.shape:
        return where, np.zeros(part.shape, np.float32)
    return where, space.warp_to_scan(template, part, matrix, order=order)
