"""The grid that a refacer works on: where it lies in a scan, and the way there and back.

A scan is brought to anatomical axes; the grid hangs from the vertex and the back of the
head, which no defacer removes: so the place of the head in it tells nothing about the
face.  Arrays in, arrays out; touches no file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Array axes (slices, rows, columns) of a slice plane, as anatomical directions.
PLANES = {"sagittal": "RAS", "coronal": "ARS", "axial": "SRA"}
#: Air between the head and the slice's upper and posterior edge, in millimetres.
MARGIN_MM = 6.0
#: A plane belongs to the head if it has this share of the fullest plane's head voxels.
EDGE_SHARE = 0.02


@dataclass(frozen=True)
class WorkingGrid:
    """Where the slices of a scan lie.

    Attributes
    ----------
    codes : str
        Orientation of the axes, slices first.
    start, step : numpy.ndarray
        Voxel index of the first working position and the distance between
        two of them, in voxels of the reoriented scan, shape (3,).
    shape : tuple of int
        Slices, rows, columns.
    middle : int
        The slice in the middle of the head.
    voxel_mm : float
        Distance between slices, rows and columns in millimetres.
    """

    codes: str
    start: np.ndarray
    step: np.ndarray
    shape: tuple[int, int, int]
    middle: int
    voxel_mm: float = 1.0


def head_extent(head: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last plane of the head along each axis."""
    extent = []
    for axis in range(3):
        counts = head.sum(axis=tuple(a for a in range(3) if a != axis))
        planes = np.flatnonzero(counts > EDGE_SHARE * counts.max())
        extent.append((int(planes[0]), int(planes[-1])))
    return extent


def place(head: np.ndarray, spacing, plane: str, size: int, voxel_mm: float) -> WorkingGrid:
    """Return the frame of a scan whose axes are those of ``plane``.

    Parameters
    ----------
    head : numpy.ndarray of bool
        Head voxels of the defaced scan.
    spacing : array_like
        Voxel edges in millimetres, shape (3,).
    size : int
        Rows and columns of a slice.
    voxel_mm : float
        Distance between rows, columns and slices.
    """
    codes = PLANES[plane]
    step = voxel_mm / np.asarray(spacing, dtype=float)
    # Whole voxels, so that a scan of this voxel size is cropped and not interpolated.
    step = np.where(np.abs(step - 1) < 1e-3, 1.0, step)
    start, extent = np.zeros(3), head_extent(head)
    for axis, code in enumerate(codes):
        low, high = extent[axis]
        margin = MARGIN_MM / spacing[axis]
        if code == "A":
            start[axis] = np.round(low - margin)
        elif code == "S":
            start[axis] = np.round(high + margin) - (size - 1) * step[axis]
        else:
            start[axis] = np.round((low + high) / 2 - (size - 1) / 2 * step[axis])
    start[0] = 0.0  # every slice of the scan
    slices = int((head.shape[0] - 1) / step[0] + 1e-6) + 1
    middle = int(np.round(np.mean(extent[0]) / step[0]))
    return WorkingGrid(codes, start, step, (slices, size, size), middle, voxel_mm)


def weights(positions: np.ndarray, count: int, width: float, kernel: str) -> np.ndarray:
    """Return the matrix that interpolates samples at 0 .. count - 1 at positions.

    Parameters
    ----------
    positions : numpy.ndarray
        In samples; rows of positions outside the samples are zero.
    width : float
        Stretches the kernel; the distance between positions where that is
        more than one sample, so that fine structure does not alias.
    kernel : str
        ``linear`` or ``cubic`` (Keys 1981, a = -0.5).

    Returns
    -------
    numpy.ndarray
        float32, shape (positions, count); rows sum to one or zero.
    """
    distance = np.abs(positions[:, None] - np.arange(count)[None, :]) / max(1.0, width)
    if kernel == "linear":
        matrix = np.clip(1 - distance, 0, None)
    elif kernel == "cubic":
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        matrix = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    else:
        raise ValueError(f"interpolation '{kernel}': use linear or cubic")
    # Half a sample of grace: a border voxel's own extent.
    matrix *= ((positions > -0.5) & (positions < count - 0.5))[:, None]
    total = matrix.sum(axis=1, keepdims=True)
    return (matrix / np.where(total == 0, 1, total)).astype(np.float32)


def _apply(matrices, data: np.ndarray) -> np.ndarray:
    data = np.asarray(data, dtype=np.float32)
    for axis, matrix in enumerate(matrices):
        data = np.moveaxis(np.tensordot(matrix, data, axes=(1, axis)), 0, axis)
    return data


def to_slices(data: np.ndarray, frame: WorkingGrid) -> np.ndarray:
    """Resample a scan with the frame's axes onto its slices; zero outside the scan."""
    return _apply(
        [
            weights(first + step * np.arange(n), count, step, "linear")
            for first, step, n, count in zip(
                frame.start, frame.step, frame.shape, data.shape, strict=True
            )
        ],
        data,
    )


def from_slices(slices: np.ndarray, frame: WorkingGrid, shape, kernel: str) -> np.ndarray:
    """Resample slices back onto the scan's grid (the frame's axes); zero outside them."""
    return _apply(
        [
            weights((np.arange(n) - first) / step, count, 1 / step, kernel)
            for first, step, n, count in zip(
                frame.start, frame.step, shape, frame.shape, strict=True
            )
        ],
        slices,
    )


def covered(frame: WorkingGrid, shape) -> np.ndarray:
    """Return the voxels (boolean, ``shape``) that lie within the slices."""
    inside = [
        (position > -0.5) & (position < count - 0.5)
        for position, count in (
            ((np.arange(n) - first) / step, count)
            for first, step, n, count in zip(
                frame.start, frame.step, shape, frame.shape, strict=True
            )
        )
    ]
    return inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
