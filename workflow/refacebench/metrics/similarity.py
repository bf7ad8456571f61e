"""Likeness of an image to the original: correlation and SSIM on sagittal slices.

The measure of Abramian & Eklund 2019 ("Refacing: reconstructing anonymized
facial features using GANs", ISBI): 21 sagittal slices a scan, intensities
divided by the 99.5 percentile of the original volume and clipped to [0, 1],
Pearson correlation and structural similarity of every slice to the same slice
of the original, in the front half and in the full frame.  Arrays in, numbers
out.

Where the paper counts voxels of its own 1 mm frames, this module counts
millimetres from the middle of the original's head, so that the same anatomy is
compared whatever the grid and the order of its axes.
"""

from __future__ import annotations

import numpy as np

from refacebench.image import nifti
from refacebench.image.nifti import Volume

#: Slices to either side of the middle, and the millimetres between them (the paper's 21 x 5).
SLICES_EACH_SIDE = 10
SLICE_STEP_MM = 5.0
#: Percentile of the original that becomes 1.
WHITE_PERCENTILE = 99.5
#: SSIM as in Wang et al. 2004: Gaussian window, sigma 1.5 voxels, 11 x 11; range of the data 1.
SSIM = {
    "data_range": 1.0,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}
_SSIM_WINDOW = 11


def similarity(original: Volume, variant: Volume, head: np.ndarray | None = None) -> dict:
    """Return the mean over slices of correlation and SSIM to the original.

    Parameters
    ----------
    original, variant : Volume
        Intensities on one grid, any orientation.
    head : numpy.ndarray of bool, optional
        Head mask of the original on that grid.  Its bounding box gives the
        middle and the front half; without it the frame does.

    Returns
    -------
    dict
        ``corr_front``, ``corr_full``, ``ssim_front``, ``ssim_full``.  Slices
        without a value (constant in one image: no correlation) are left out of
        the mean; NaN if that leaves none.
    """
    table = slice_similarity(original, variant, head)
    return {name: _mean([row[name] for row in table]) for name in _NAMES}


_NAMES = ("corr_front", "corr_full", "ssim_front", "ssim_full")


def slice_similarity(
    original: Volume, variant: Volume, head: np.ndarray | None = None
) -> list[dict]:
    """Return one record per slice: ``x_mm`` from the middle and the four measures.

    Parameters are those of :func:`similarity`.  ``x_mm`` is positive to the
    right of the head.

    Raises
    ------
    ValueError
        If the arrays differ in shape, or the original has no bright voxel.
    """
    if original.shape != variant.shape:
        raise ValueError(f"original is {original.shape}, variant is {variant.shape}")
    white = float(np.percentile(original.data.ravel("K"), WHITE_PERCENTILE))
    if not white > 0:
        raise ValueError(f"the original's {WHITE_PERCENTILE} percentile is {white:g}, not positive")
    first, second = (_ras(v.data, v.affine) for v in (original, variant))
    mask = _ras(head, original.affine) if head is not None else None
    spacing = nifti.oriented(original).spacing
    middle, front = _landmarks(mask, first.shape)
    records = []
    for x_mm, index in slice_positions(middle, spacing[0], first.shape[0]):
        a, b = (np.clip(np.ascontiguousarray(v[index]) / white, 0.0, 1.0) for v in (first, second))
        records.append({"x_mm": x_mm, **_compare(a, b, front)})
    return records


#: Columns that hold a scan's slices, from :func:`written`.
SLICES = "slices_"


def written(records: list[dict]) -> dict[str, str]:
    """Return the records of all slices as one text a measure, from left to right.

    >>> nothing = {"corr_full": np.nan, "ssim_front": 0.5, "ssim_full": 1.0}
    >>> written([{"x_mm": -5.0, "corr_front": 0.25, **nothing}])["slices_corr_front"]
    '0.25'
    """
    ordered = sorted(records, key=lambda record: record["x_mm"])
    names = ("x_mm", *_NAMES)
    return {f"{SLICES}{n}": " ".join(f"{record[n]:.6g}" for record in ordered) for n in names}


def _ras(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return nifti.oriented(Volume(data, affine)).data


def _landmarks(head: np.ndarray | None, shape) -> tuple[float, int]:
    """Return the middle of the head along x and the first row of its front half along y."""
    if head is None or not head.any():
        return (shape[0] - 1) / 2, int(np.ceil((shape[1] - 1) / 2))
    x = np.flatnonzero(head.any(axis=(1, 2)))
    y = np.flatnonzero(head.any(axis=(0, 2)))
    return (x[0] + x[-1]) / 2, int(np.ceil((y[0] + y[-1]) / 2))


def slices_of(original: Volume, head: np.ndarray | None = None) -> list[int]:
    """Return the slices that similarity is measured on, from left to right in RAS orientation."""
    turned = nifti.reorient(original)
    mask = _ras(head, original.affine) if head is not None else None
    middle = _landmarks(mask, turned.shape)[0]
    return [i for _, i in slice_positions(middle, turned.spacing[0], turned.shape[0])]


def slice_positions(middle: float, spacing_mm: float, n: int) -> list[tuple[float, int]]:
    """Return the offset in mm and the index of every slice inside the frame.

    No slice is taken twice where voxels are wider than the step.

    >>> [i for _, i in slice_positions(127.5, 1.0, 256)][:3]
    [78, 83, 88]
    """
    offsets = SLICE_STEP_MM * np.arange(-SLICES_EACH_SIDE, SLICES_EACH_SIDE + 1)
    chosen: dict[int, float] = {}
    for offset in offsets:
        index = int(np.floor(middle + offset / spacing_mm + 0.5))
        if 0 <= index < n:
            chosen.setdefault(index, float(offset))
    return [(offset, index) for index, offset in chosen.items()]


def _compare(a: np.ndarray, b: np.ndarray, front: int) -> dict[str, float]:
    return {
        "corr_front": correlation(a[front:], b[front:]),
        "corr_full": correlation(a, b),
        "ssim_front": ssim(a[front:], b[front:]),
        "ssim_full": ssim(a, b),
    }


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays; NaN if either is constant."""
    a = a.ravel().astype(np.float64)
    b = b.ravel().astype(np.float64)
    a -= a.mean()
    b -= b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1.0, 1.0)) if scale > 0 else float("nan")


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean structural similarity of two 2-D images in [0, 1].

    NaN for an image smaller than the window (11 x 11).
    """
    from skimage.metrics import structural_similarity

    if min(a.shape) < _SSIM_WINDOW:
        return float("nan")
    return float(structural_similarity(a.astype(np.float64), b.astype(np.float64), **SSIM))


def _mean(values: list[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")
