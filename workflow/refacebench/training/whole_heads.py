"""From scans to whole heads on a working grid and back: the data side of the 3-D refacer.

It reads the privacy transform of a scan (:mod:`refacebench.head.hull`) and nothing else of
it.  Arrays in, arrays out; touches no file.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from refacebench.head import hull as privacy_transform
from refacebench.image import nifti
from refacebench.training.working_grid import WorkingGrid, covered, head_extent, to_slices, weights

#: Air between the hull and the upper and posterior side of the working grid, in millimetres.
MARGIN_MM = 6.0


@dataclasses.dataclass(frozen=True)
class WholeHead:
    """A scan on the working grid, axes right, anterior, superior; air 0, scale 1.

    Attributes
    ----------
    hull, brain : numpy.ndarray of bool
        Shape (size, size, size).
    tissue : numpy.ndarray
        Intensities within the brain mask, from voxels of the brain alone; 0 elsewhere.
    target : numpy.ndarray or None
        The original around that same brain, where it is known (training).
    frame : refacebench.training.working_grid.WorkingGrid
        Where the grid lies in the scan.
    scale : float
        The intensity that became 1.
    covered : float
        Share of the hull within the working grid.
    clipped : float
        Share of the original's voxels in the hull that are brighter than the
        scale; NaN without the original.
    """

    hull: np.ndarray
    brain: np.ndarray
    tissue: np.ndarray
    target: np.ndarray | None
    frame: WorkingGrid
    scale: float
    covered: float
    clipped: float


def place(hull: np.ndarray, spacing, size: int, voxel_mm: float):
    """Return the frame of the working grid: centred left to right, hung from vertex and occiput.

    Parameters
    ----------
    hull : numpy.ndarray of bool
        Axes right, anterior, superior.
    spacing : array_like
        Voxel edges in millimetres.
    """
    step = voxel_mm / np.asarray(spacing, dtype=float)
    # Whole voxels, so that a scan of this voxel size is cropped and not interpolated.
    step = np.where(np.abs(step - 1) < 1e-3, 1.0, step)
    (left, right), (back, _), (_, top) = head_extent(hull)
    margin = MARGIN_MM / np.asarray(spacing, dtype=float)
    start = np.round(
        [
            (left + right) / 2 - (size - 1) / 2 * step[0],
            back - margin[1],
            top + margin[2] - (size - 1) * step[2],
        ]
    )
    return WorkingGrid("RAS", start, step, (size, size, size), size // 2)


def prepare(values, changed: np.ndarray, original, options: dict) -> WholeHead:
    """Bring a hull image, and its original where there is one, to the working grid.

    Parameters
    ----------
    values : Volume
        A scan of the defacer ``cpgan_hull``, any orientation.
    changed : numpy.ndarray of bool
        Its changed voxels.
    original : Volume or None

    Raises
    ------
    ValueError
        If the scan is no hull image, or the brain is dark.
    """

    def axes(data):
        return nifti.reorient(nifti.Volume(data, values.affine), "RAS")

    gamma = privacy_transform.from_image(values.data, changed)
    hull, brain, tissue = (axes(d).data for d in (gamma.hull, gamma.brain, gamma.tissue))
    scale = options["headroom"] * float(np.percentile(tissue[brain], options["percentile"]))
    if not scale > 0:
        raise ValueError("the brain's intensities are not above zero")
    frame = place(hull, axes(hull).spacing, options["size"], options["voxel_mm"])
    share = to_slices(brain, frame)
    small_brain = share > 0.5
    # The mean over brain voxels alone: what lies beside them is grey here and a head there.
    inside = np.clip(to_slices(tissue, frame) / np.maximum(share, 0.5) / scale, 0, 1)
    inside = np.where(small_brain, inside, 0).astype(np.float32)
    target, clipped = None, np.nan
    if original is not None:
        truth = axes(original.data).data
        clipped = float((truth[hull & ~brain] > scale).mean())
        around = np.clip(to_slices(truth, frame) / scale, 0, 1)
        target = np.where(small_brain, inside, around).astype(np.float32)
    return WholeHead(
        hull=(to_slices(hull, frame) > 0.5) | small_brain,
        brain=small_brain,
        tissue=inside,
        target=target,
        frame=frame,
        scale=scale,
        covered=float(covered(frame, hull.shape)[hull].mean()),
        clipped=clipped,
    )


def restore(volume: np.ndarray, head: WholeHead, like, hull: np.ndarray, kernel: str) -> np.ndarray:
    """Bring a generated head back to a scan's own grid and units.

    Beyond the working grid its outermost values go on within the hull (the
    neck, most often), and there is air around it.

    Parameters
    ----------
    volume : numpy.ndarray
        Working grid, air 0, scale 1.
    like : Volume
        The scan, for its grid.
    hull : numpy.ndarray of bool
        On that grid.
    """
    grid = nifti.reorient(like, "RAS")
    data = volume
    for axis, count in enumerate(grid.shape):
        first, step, size = head.frame.start[axis], head.frame.step[axis], volume.shape[axis]
        at = np.clip((np.arange(count) - first) / step, 0, size - 1)
        data = np.moveaxis(
            np.tensordot(weights(at, size, 1 / step, kernel), data, axes=(1, axis)), 0, axis
        )
    inside = covered(head.frame, grid.shape)
    inside |= nifti.reorient(nifti.Volume(hull, like.affine), "RAS").data
    values = np.where(inside, np.clip(data, 0, 1) * head.scale, 0).astype(np.float32)
    return nifti.reorient(nifti.Volume(values, grid.affine), nifti.axis_codes(like.affine)).data


#: Of a voxel in a :class:`refacebench.training.head_stack.HeadStack`: two masks, two intensities
#: in half precision.
BYTES = 6
