"""A base head: all that is needed to make people from it, and the file that keeps it.

A :class:`BaseHead` is built once (the ``base`` of a dataset that is grown) and kept in one
file; only :func:`save` and :func:`load` touch files.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from refacebench import files
from refacebench.datasets import _fields
from refacebench.datasets._fields import Frame
from refacebench.datasets._people import PUSHES
from refacebench.head import registration
from refacebench.head.labels import is_brain
from refacebench.image import geometry
from refacebench.image.nifti import Volume
from refacebench.vocabulary import TRUTH

#: Distance of the nodes of all deformation fields.
FRAME_MM = 4.0
#: Air that a scan shows around the head: sides, front and back, above.
MARGIN_MM = 16.0


@dataclass(frozen=True)
class BaseHead:
    """A base head and all that is needed to make people from it.

    Attributes
    ----------
    image : numpy.ndarray
        What a scan is sampled from: brightness (white matter = 1000), or classes.
    labels : numpy.ndarray of uint8
        Reference labels on the same grid (:data:`refacebench.vocabulary.TRUTH`).
    to_voxel : numpy.ndarray
        4 x 4, head mm -> voxels of the two arrays.
    box : numpy.ndarray
        Voxel coordinates of the base at the outer corners of a scan's field of view, (2, 3).
    low, step, shape : numpy.ndarray
        The :class:`Frame` of the fields.
    points : numpy.ndarray
        Landmarks of :data:`PUSHES` in head mm, shape (n, 3).
    keep : numpy.ndarray
        Share of a push that is let through: 1 in the face, little in the brain.
    skin, ventricles, cortex : numpy.ndarray
        Fields of thicker soft tissue, of wider ventricles, of a deeper cortex.
    blends : numpy.ndarray
        Velocities towards other heads, shape (n, 3, nx, ny, nz).
    ventricle_table, cortex_table : numpy.ndarray
        Rows of (factor of the field, logarithm of the volume it makes).
    """

    image: np.ndarray
    labels: np.ndarray
    to_voxel: np.ndarray
    box: np.ndarray
    low: np.ndarray
    step: np.ndarray
    shape: np.ndarray
    points: np.ndarray
    keep: np.ndarray
    skin: np.ndarray
    ventricles: np.ndarray
    cortex: np.ndarray
    blends: np.ndarray
    ventricle_table: np.ndarray
    cortex_table: np.ndarray

    @property
    def frame(self) -> Frame:
        """The grid of the fields."""
        x, y, z = (int(n) for n in self.shape)
        return Frame(self.low, float(self.step), (x, y, z))


def save(head: BaseHead, path: Path) -> None:
    """Write a head as one uncompressed ``.npz``, all or nothing."""
    with files.replacing(path) as part:
        np.savez(part, **{f.name: getattr(head, f.name) for f in fields(BaseHead)})


def load(path: Path) -> BaseHead:
    """Read a head.

    Raises
    ------
    FileNotFoundError
        If ``base`` was not run for this folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the base head is missing; run the base step first")
    with np.load(path) as file:
        return BaseHead(**{f.name: file[f.name] for f in fields(BaseHead)})


def head_frame(volume: Volume, head: np.ndarray, brain: np.ndarray) -> tuple:
    """Return where the head is: scan mm -> head mm, and the landmarks in head mm.

    Head mm are the scan's millimetres turned and shifted like the mean head
    (the rigid part of the affine that registers the scan to it), so that x = 0
    is the midsagittal plane.

    Returns
    -------
    tuple
        4 x 4 matrix scan mm -> head mm; landmarks of :data:`PUSHES`, shape
        (n, 3); 4 x 4 matrix mean head's mm -> head mm.
    """
    affine = registration.register(volume, head, brain)
    left, scales, right = np.linalg.svd(affine[:3, :3])
    rotation = left @ right
    middle = np.linalg.inv(affine) @ [*_MIDDLE, 1.0]
    rigid = np.eye(4)
    rigid[:3, :3] = rotation
    rigid[:3, 3] = -rotation @ middle[:3]
    points = np.array([push.point for push in PUSHES.values()], float)
    # The mean head's own midsagittal plane is not exactly x = 0.
    points[points[:, 0] == 0, 0] = _MIDDLE[0]
    to_head = rigid @ np.linalg.inv(affine)
    points = points @ to_head[:3, :3].T + to_head[:3, 3]
    points[[push.point[0] == 0 for push in PUSHES.values()], 0] = 0.0
    return rigid, points, to_head


#: A point of the mean head's midsagittal plane at mid-brain: the origin of head mm.
_MIDDLE = np.array([-1.5, 0.0, 0.0])


def build(
    volume: Volume,
    labels: np.ndarray,
    rigid: np.ndarray,
    points: np.ndarray,
    neck_mm: float,
) -> BaseHead:
    """Make a head from an image, its reference labels and its place.

    Parameters
    ----------
    volume : Volume
        Image that scans are sampled from.
    labels : numpy.ndarray of uint8
        Reference labels on the same grid, 5 = head that is not brain.
    rigid, points : numpy.ndarray
        The first two results of :func:`head_frame`.
    neck_mm : float
        What no scan shows at the base's lower end, so that a tilted or smaller
        head has some neck left there.

    Returns
    -------
    Head
        Without blends, and with empty tables (see :func:`calibrate`).
    """
    to_voxel = np.linalg.inv(rigid @ volume.affine)
    box = _field_of_view(labels > 0, volume.spacing, neck_mm)
    frame = _frame(volume.shape, to_voxel)
    soft = {
        name: on_frame(mask, to_voxel, frame)
        for name, mask in {
            "head": labels > 0,
            "brain": is_brain(labels),
            "ventricles": labels == TRUTH["vcsf"],
            "tissue": is_tissue(labels) | (labels == TRUTH["vcsf"]),
        }.items()
    }
    from scipy.ndimage import gaussian_filter

    brain = gaussian_filter(soft["brain"], 4.0 / frame.step)
    below = 1 / (1 + np.exp((frame.axes()[2] + 20.0) / 8.0))  # face and neck, not scalp
    empty = np.zeros((2, 2), np.float32)
    return BaseHead(
        image=volume.data,
        labels=labels.astype(np.uint8),
        to_voxel=to_voxel,
        box=box,
        low=frame.low,
        step=np.array(frame.step),
        shape=np.array(frame.shape),
        points=points,
        keep=(1 - 0.85 * np.clip(brain, 0, 1)).astype(np.float32),
        skin=-_fields.outward(soft["head"], 7.0, frame.step) * below.astype(np.float32),
        ventricles=-_fields.outward(soft["ventricles"], 8.0, frame.step),
        # The skull must not follow: the field fades outside the brain.
        cortex=_fields.outward(soft["tissue"], 4.0, frame.step) * np.clip(brain * 2, 0, 1),
        blends=np.zeros((0, 3, *frame.shape), np.float32),
        ventricle_table=empty,
        cortex_table=empty,
    )


def is_tissue(labels: np.ndarray) -> np.ndarray:
    """Return where reference labels say grey or white matter."""
    return (labels == TRUTH["gm"]) | (labels == TRUTH["wm"]) | (labels > 10)


def _field_of_view(head: np.ndarray, spacing: np.ndarray, neck_mm: float) -> np.ndarray:
    """Return the box of a scan: the head and a margin of air, but less neck than there is."""
    box = np.zeros((2, 3))
    for axis in range(3):
        planes = np.flatnonzero(head.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = MARGIN_MM / spacing[axis]
        box[:, axis] = planes[0] - margin, planes[-1] + margin
        if axis == 2:
            box[0, 2] = planes[0] + neck_mm / spacing[2]
    return box


def _frame(shape: tuple[int, int, int], to_voxel: np.ndarray) -> Frame:
    """Return the frame that covers the base's arrays."""
    to_head = np.linalg.inv(to_voxel)
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(shape)[:, None] - 1)
    corners = to_head[:3, :3] @ corners + to_head[:3, 3:]
    return Frame.around(corners.min(axis=1), corners.max(axis=1), FRAME_MM)


def on_frame(array: np.ndarray, to_voxel: np.ndarray, frame: Frame) -> np.ndarray:
    """Average an array around each node; beyond its edge the edge's value holds."""
    from scipy.ndimage import map_coordinates

    coarse = geometry.coarse(Volume(array, np.linalg.inv(to_voxel)), frame.step)
    to_coarse = np.linalg.inv(coarse.affine)
    nodes = np.tensordot(to_coarse[:3, :3], _fields.node_points(frame), 1)
    nodes += to_coarse[:3, 3][:, None, None, None]
    return map_coordinates(coarse.data, nodes, output=np.float32, order=1, mode="nearest")
