"""The pose of a brain by its shape alone, and whether it is a brain's shape.

The inside of the skull of the ICBM152 template (nilearn's files) is laid on a
brain mask by turning, shifting and scaling it.  That needs no intensities, no
face and no head mask: it is a second source against the network that made the
mask.  Pure functions of masks; the template is read once a process.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from refacebench.head import atlas
from refacebench.image import geometry, registration, sampling
from refacebench.image.gauss_newton import minimise
from refacebench.image.geometry import blocks
from refacebench.image.nifti import Volume, resample

#: Voxel edge of the template's shape, and its blur.
SHAPE_MM, SHAPE_BLUR_MM = 6.0, 10.0
#: A mask is compared on a grid of about this many voxels an edge.
GRID = 32
#: Dice with the template's shape below which a mask is no brain's: right masks of 13 heads had
#: 0.937 to 0.966, those of heads that are upside down, mirrored or prone at most 0.89.
MIN_SHAPE = 0.90
#: From here on the locator's answer is good enough to stop turning the window.
GOOD_SHAPE = 0.92
#: In scanners the chin is lifted by about this angle against the template, degrees.
COMMON_PITCH = -12.0
#: Turns of the window, one after the other, in which a brain is looked for (axis, degrees):
#: upright, chin up and down, head to either shoulder.
TRIALS = ((0, 0.0), (0, 30.0), (0, -30.0), (1, 30.0), (1, -30.0))
#: Most steps of the fit; when its error falls by less than this share, it is there.
STEPS, ENOUGH = 40, 1e-4
#: The least and the largest damping of its steps.
DAMPING = (1e-6, 1e3)
#: ICBM152 mm -> mean head mm (affine, mutual information of the two brains' intensities).
ICBM_TO_MEAN_HEAD = np.array(
    [
        [0.8906, 0.0719, 0.0171, -4.1348],
        [-0.0664, 0.9178, -0.1291, 17.4553],
        [-0.0230, 0.1046, 0.8444, -1.7807],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
#: Box around the brain that the extractor sees: 10 % wider on each side.
BOX_MARGIN = 0.1
#: Area of a plane from which on it counts for the brain's box (as in deepbet: 2 % of the window).
PLANE_MM2 = 960.0


@dataclass(frozen=True)
class Pose:
    """Where a template's brain lies on a mask.

    Attributes
    ----------
    matrix : numpy.ndarray
        4 x 4, the mask's RAS+ mm -> template mm: rotation, one scale, shift.
    dice : float
        Overlap of the mask and the template's shape, in voxels of about 6 mm.
    """

    matrix: np.ndarray
    dice: float

    @property
    def rotation(self) -> np.ndarray:
        """The 3 x 3 rotation, the mask's axes -> the template's."""
        return self.matrix[:3, :3] / np.cbrt(np.linalg.det(self.matrix[:3, :3]))


def load() -> None:
    """Read the template once a process, before it forks."""
    _shape()


@functools.cache
def template_brain() -> Volume:
    """Return the inside of the ICBM152 template's skull (bool, 1 mm, RAS+).

    Raises
    ------
    FileNotFoundError
        If nilearn's data files are not installed.
    """
    return atlas.template_cavity()


@functools.cache
def _shape() -> tuple[Volume, np.ndarray, float]:
    """Return the template's blurred shape with its gradient, its centre (mm) and its ml."""
    cavity = template_brain()
    soft = geometry.at_resolution(cavity, SHAPE_MM, SHAPE_BLUR_MM)
    slopes = registration.gradient(soft.data[None])[0]
    return (
        soft,
        np.concatenate([soft.data[None], slopes]),
        float(cavity.data.sum()) * cavity.voxel_ml,
    )


def fit(mask: Volume, start: np.ndarray | None = None, field: Volume | None = None) -> Pose:
    """Lay the template's brain on a mask: least squares of the two blurred shapes.

    Parameters
    ----------
    mask : Volume
        Boolean, not empty; any axes.
    start : numpy.ndarray, optional
        4 x 4, the mask's mm -> template mm; by default centres and volumes are matched
        without a turn.
    field : Volume, optional
        The scan: only what lies in its field of view is compared.

    Notes
    -----
    Gauss-Newton over seven parameters (Baker and Matthews, Lucas-Kanade 20 years on, IJCV
    2004).  A general affine would trade a turn for a shear: a brain is nearly an ellipsoid.
    """
    from scipy.spatial.transform import Rotation

    small = _small(mask)
    soft, stack, _ = _shape()
    to_voxel = np.linalg.inv(soft.affine)
    here = np.indices(small.shape, dtype=np.float64).reshape(3, -1)
    points = small.affine[:3, :3] @ here + small.affine[:3, 3:]
    middle = points.mean(axis=1)
    points = points - middle[:, None]
    target = small.data.ravel()
    seen = np.ones(target.shape, bool) if field is None else _inside(field, small)
    matrix = _start(small) if start is None else start

    def laid(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the points turned and scaled, and the template's shape and slopes there."""
        spread = place[:, :3] @ points
        where = to_voxel[:3, :3] @ (spread + place[:, 3:]) + to_voxel[:3, 3:]
        values = sampling.sample(stack, where.reshape(3, *small.shape).astype(np.float32))
        return spread, values.reshape(4, -1)

    def look(place: np.ndarray):
        spread, values = laid(place)
        rest = (target - values[0]) * seen

        def equations() -> tuple[np.ndarray, np.ndarray]:
            slope = to_voxel[:3, :3].T @ (values[1:] * seen)
            turning = np.cross(spread.T, slope.T).T
            rows = np.concatenate([slope, turning, (slope * spread).sum(axis=0)[None]])
            return rows @ rows.T, rows @ rest

        return float((rest**2).mean(dtype=np.float64)), equations

    def move(place: np.ndarray, step: np.ndarray) -> np.ndarray:
        linear = np.exp(step[6]) * Rotation.from_rotvec(step[3:6]).as_matrix() @ place[:, :3]
        return np.column_stack([linear, place[:, 3] + step[:3]])

    first = np.column_stack([matrix[:3, :3], matrix[:3, :3] @ middle + matrix[:3, 3]])
    found = minimise(look, move, first, steps=STEPS, gain=ENOUGH, damping=DAMPING)
    result = np.eye(4)
    result[:3] = found
    result[:3, 3] -= found[:, :3] @ middle
    shape = laid(found)[1][0]
    return Pose(result, dice(target[seen] > 0.5, shape[seen] > 0.5))


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; 0 if both are empty."""
    total = int(one.sum()) + int(two.sum())
    return 2.0 * int((one & two).sum()) / total if total else 0.0


def _inside(field: Volume, grid: Volume) -> np.ndarray:
    """Return which voxels of a grid, in C order, have their centre in a field of view."""
    to_voxel = np.linalg.inv(field.affine) @ grid.affine
    where = to_voxel[:3, :3] @ np.indices(grid.shape).reshape(3, -1) + to_voxel[:3, 3:]
    return _in_array(where, field.shape)


def _in_array(where: np.ndarray, shape) -> np.ndarray:
    limit = np.array(shape)[:, None] - 0.5
    return np.asarray(((where >= -0.5) & (where <= limit)).all(axis=0))


def cut_off_ml(pose: Pose, field: Volume) -> float:
    """Return how much of the template's brain, where it was laid, a field of view leaves out."""
    soft, _, template_ml = _shape()
    places = np.argwhere(soft.data > 0.5).T
    to_voxel = np.linalg.inv(pose.matrix @ field.affine) @ soft.affine
    outside = ~_in_array(to_voxel[:3, :3] @ places + to_voxel[:3, 3:], field.shape)
    return float(outside.mean()) * template_ml / float(np.linalg.det(pose.matrix[:3, :3]))


def registered_brain(volume: Volume, matrix: np.ndarray) -> np.ndarray:
    """Return the template's brain where a scan's registration to the mean head puts it.

    Parameters
    ----------
    volume : Volume
        For its grid.
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> those of the mean head
        (:func:`refacebench.head.registration.register`).
    """
    place = np.linalg.inv(matrix) @ ICBM_TO_MEAN_HEAD
    soft = _shape()[0]
    return resample(Volume(soft.data, place @ soft.affine), volume).data > 0.5


def agreement(brain: Volume, matrix: np.ndarray) -> float:
    """Return the Dice of a brain mask and the registered template's brain, on about 4 mm voxels."""
    factors = np.maximum(1, np.round(4.0 / brain.spacing)).astype(int)
    small = blocks(brain.with_data(brain.data.astype(np.float32)), factors)
    return dice(small.data > 0.5, registered_brain(small, matrix))


def _small(mask: Volume) -> Volume:
    """Average a mask in blocks to about :data:`GRID` voxels an edge, with a border of air."""
    if max(mask.shape) >= 4 * GRID:  # every second voxel will do
        affine = mask.affine.copy()
        affine[:3, :3] *= 2
        return _small(Volume(mask.data[::2, ::2, ::2], affine))
    factors = np.maximum(1, np.round(np.array(mask.shape) / GRID)).astype(int)
    small = blocks(mask.with_data(mask.data.astype(np.float32)), factors)
    affine = small.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    return Volume(np.pad(small.data, 1), affine)


def _start(small: Volume) -> np.ndarray:
    """Match centres and volumes."""
    soft, _, template_ml = _shape()

    def center(volume):
        return (volume.affine @ [*_mean_place(volume.data), 1.0])[:3]

    own_ml = float(small.data.sum()) * small.voxel_ml
    size = float(np.clip(np.cbrt(template_ml / own_ml), 0.7, 1.6))
    matrix = np.diag([size, size, size, 1.0])
    matrix[:3, 3] = center(soft) - size * center(small)
    return matrix


def _mean_place(data: np.ndarray) -> np.ndarray:
    sums = [data.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    return np.array([np.average(np.arange(len(s)), weights=s) for s in sums])


def turned(grid: Volume, turn: tuple[int, float]) -> Volume:
    """Turn a grid about the middle of its upper half (axis of RAS+ space, degrees)."""
    from scipy.spatial.transform import Rotation

    axis, degrees = turn
    if not degrees:
        return grid
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()
    n = np.array(grid.shape) - 1
    pivot = (grid.affine @ [n[0] / 2, n[1] / 2, 0.65 * n[2], 1.0])[:3]
    matrix[:3, 3] = pivot - matrix[:3, :3] @ pivot
    return Volume(grid.data, matrix @ grid.affine)


def upright_box(found: Volume, pose: Pose, size: int) -> Volume:
    """Return the grid of ``size``^3 voxels around a brain, along its own upright axes.

    Upright is how heads lie in scanners (:data:`COMMON_PITCH`).
    """
    from scipy.spatial.transform import Rotation

    lifted = Rotation.from_euler("x", -COMMON_PITCH, degrees=True).as_matrix()
    axes = (lifted @ pose.rotation).T  # columns: the upright axes in mm of the scan
    places = np.argwhere(found.data).T
    points = axes.T @ (found.affine[:3, :3] @ places + found.affine[:3, 3:])
    # A plane that holds a few voxels only is not the brain's end.
    least = PLANE_MM2 / (found.voxel_ml * 1000.0)
    edges = np.array([_extent(p, least) for p in points])
    middle, width = edges.mean(axis=1), np.ptp(edges, axis=1) * (1 + 2 * BOX_MARGIN)
    step = width / size
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    affine[:3, 3] = axes @ (middle - width / 2 + step / 2)
    return Volume(np.zeros((size,) * 3, bool), affine)


def _extent(values: np.ndarray, least: float) -> tuple[float, float]:
    """Return where a profile of voxels a millimetre first and last crosses ``least``.

    Between planes the profile is linear, so that a mask that differs by a few voxels has
    nearly the same ends.
    """
    step = 2.0
    low = np.floor(values.min()) - 2 * step
    place = (values - low) / step
    first = place.astype(int)
    after = place - first
    size = int(first.max()) + 4
    profile = (np.bincount(first, 1 - after, size) + np.bincount(first + 1, after, size)) / step
    least = min(least, 0.5 * float(profile.max()))
    above = np.flatnonzero(profile >= least)
    start, stop = above[0], above[-1]
    lower = (profile[start] - least) / (profile[start] - profile[start - 1])
    upper = (profile[stop] - least) / (profile[stop] - profile[stop + 1])
    return low + step * (start - lower), low + step * (stop + upper)
