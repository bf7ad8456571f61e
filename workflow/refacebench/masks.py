"""Brain mask and head mask of a T1w image: pure functions of one image.

The brain mask is deepbet's (Fisch et al., Computers in Biology and Medicine 2024), run with
the weights that its wheel brings.  The head mask is a threshold with
morphology.  This module reads the weights' file and touches nothing else.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np

from .images import Volume, reorient, reorient_like

#: Edge length, in voxels, of the box in which the first network looks for the brain.
LOCATOR_SIZE = 128
#: A "brain" smaller than this is none: an adult's has more than 800 ml.
MIN_BRAIN_ML = 200.0
#: The coarse head mask is made on voxels of about this size.
HEAD_VOXEL_MM = 2.0
#: Place of the head's threshold between air (0) and Otsu's threshold (1).
AIR_TO_OTSU = 0.35


@functools.cache
def load_brain_extractor() -> tuple:
    """Load deepbet's two networks, once a process.

    Returns
    -------
    tuple of torch.jit.ScriptModule
        The locator (whole image, 128^3) and the extractor (brain's box).

    Raises
    ------
    FileNotFoundError
        If the deepbet package or its weights are not installed.

    Notes
    -----
    The weights are read from the installed wheel by name, without importing
    the package, whose import pulls in a graphical interface.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    names = ("bbox_model.pt", "model.pt")
    return tuple(torch.jit.load(str(_weights(n)), map_location="cpu").eval() for n in names)


def _weights(name: str) -> Path:
    from importlib import metadata

    try:
        files = metadata.files("deepbet") or []
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            "the brain mask needs deepbet's network weights: pip install deepbet==1.0.2"
        ) from None
    found = [Path(str(f.locate())) for f in files if f.name == name]
    if not found or not found[0].is_file():
        raise FileNotFoundError(
            f"deepbet is installed without its weights ({name}); reinstall deepbet==1.0.2"
        )
    return found[0]


def brain_mask(volume: Volume, size: int = 192) -> np.ndarray:
    """Return the brain mask of a T1w image (deepbet).

    Parameters
    ----------
    volume : Volume
        T1w intensities, any orientation and voxel size.
    size : int
        Edge length in voxels of the box that the second network sees.  The
        released program uses 256; 192 takes a third of the time, agrees with it
        (Dice 0.99) and is slightly further from true labels (0.960, 256: 0.966).

    Returns
    -------
    numpy.ndarray of bool
        Mask on the image's own grid, one component, without holes.  It holds
        brain, cerebellum, brainstem, ventricles and also the CSF of the sulci and
        around the brain: on painted label maps its volume is 1.00 +- 0.02 of all
        that lies inside the skull, not of the brain tissue.

    Raises
    ------
    ValueError
        If there is no brain in the image.

    References
    ----------
    Fisch L et al. deepbet: Fast brain extraction of T1-weighted MRI using
    convolutional neural networks. Computers in Biology and Medicine 2024.
    The steps are those of ``deepbet.bet.BrainExtraction`` in release 1.0.2.
    """
    canonical = reorient(volume, "RAS")
    data = np.nan_to_num(np.asarray(canonical.data, dtype=np.float32), posinf=0.0, neginf=0.0)
    mask = _extract(data, size)
    if mask.sum() * canonical.voxel_ml < MIN_BRAIN_ML:
        raise ValueError("no brain found in the image (deepbet's mask is empty or tiny)")
    return reorient_like(canonical.with_data(mask), volume).data


def _extract(data: np.ndarray, size: int) -> np.ndarray:
    """Locate the brain in a RAS+ array, then segment inside its box."""
    import torch
    import torch.nn.functional as functional

    locator, extractor = load_brain_extractor()
    mask = np.zeros(data.shape, dtype=bool)
    with torch.inference_mode():
        image = torch.from_numpy(np.ascontiguousarray(data))[None, None]
        small = functional.interpolate(image, (LOCATOR_SIZE,) * 3, mode="nearest-exact")
        low, high = np.percentile(small.numpy(), [0.5, 99.5]).tolist()
        if not high > low:
            return mask
        found = locator(_normalise(small, low, high))[0, 1].numpy() > 0.5
        box = _box(largest_component(found), data.shape)
        if box is None:
            return mask
        inside = image[(slice(None), slice(None), *box)]
        shape = inside.shape[2:]
        inside = functional.interpolate(inside, (size,) * 3, mode="nearest-exact")
        answer = extractor(_normalise(inside, low, high))[:, 1:2]
        answer = functional.interpolate(answer, shape, mode="nearest-exact")[0, 0].numpy()
    mask[box] = fill_holes(largest_component(answer > 0.5))
    return mask


def _normalise(image, low, high):
    """Clip and standardise as in deepbet's training (``deepbet.utils.normalize``)."""
    image = ((image - low) / (high - low)).clamp(0, 1)
    return 0.226 * (image - image.mean()) / image.std() + 0.449


def _box(found: np.ndarray, shape: tuple, margin: float = 0.1) -> tuple[slice, ...] | None:
    """Return the box of the located brain, 10 % wider on each side, on the full grid."""
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        planes = np.flatnonzero(found.mean(axis=others) > 0.02)
        if planes.size == 0:
            return None
        scale = shape[axis] / found.shape[axis]
        center = round(scale * (planes[0] + planes[-1] + 1) / 2)
        size = round(scale * (planes[-1] + 1 - planes[0]) * (1 + 2 * margin))
        start, stop = int(center - size / 2), int(center + size / 2)
        box.append(slice(max(0, start), min(shape[axis], stop)))
    return tuple(box)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Keep the largest face-connected component of a boolean array."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill the background that does not touch the array's border."""
    from scipy import ndimage

    labels, count = ndimage.label(~mask)
    if count == 0:
        return mask.copy()
    outside = np.zeros(count + 1, dtype=bool)
    for axis in range(3):
        for side in (0, -1):
            outside[np.unique(labels.take(side, axis=axis))] = True
    outside[0] = False
    return ~outside[labels]


def head_mask(volume: Volume) -> np.ndarray:
    """Return the head mask of a T1w image: all that is not air, holes filled.

    The threshold lies a third of the way from air to Otsu's threshold, because skin
    and skull are darker than brain, but above the noise of the air.  A coarse
    mask (about 2 mm: opened, so that wrap-around and ghosts that touch the head
    by a thread fall off; largest component; closed; filled) says what is head;
    the image's own voxels place its surface.

    Parameters
    ----------
    volume : Volume
        T1w intensities, any orientation and voxel size; may be defaced.

    Returns
    -------
    numpy.ndarray of bool
        Mask on the image's own grid, one component.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    data = np.nan_to_num(np.asarray(volume.data, dtype=np.float32), posinf=0.0, neginf=0.0)
    factors = np.maximum(1, np.round(HEAD_VOXEL_MM / volume.spacing)).astype(int)
    coarse = block_mean(data, factors)
    threshold = air_threshold(coarse)
    spacing = float(np.mean(volume.spacing * factors))
    solid = _solid_head(coarse > threshold, spacing)
    if (factors == 1).all():
        return solid
    return _refine(solid, data > threshold, factors)


def block_mean(data: np.ndarray, factors) -> np.ndarray:
    """Average blocks of voxels; blocks over the edge repeat the last plane.

    >>> block_mean(np.arange(4.0).reshape(4, 1, 1), (2, 1, 1)).ravel()
    array([0.5, 2.5])
    """
    factors = [int(f) for f in factors]
    pad = [(0, -n % f) for n, f in zip(data.shape, factors, strict=True)]
    if any(after for _, after in pad):
        data = np.pad(data, pad, mode="edge")
    split = [v for n, f in zip(data.shape, factors, strict=True) for v in (n // f, f)]
    return data.reshape(split).mean(axis=(1, 3, 5))


def air_threshold(data: np.ndarray, share: float = AIR_TO_OTSU) -> float:
    """Return what lies ``share`` of the way from air to Otsu's threshold, above the noise.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    low, high = np.percentile(data, [0.1, 99.5])
    if not high > low:
        raise ValueError("the image is constant: there is no head in it")
    otsu = float(threshold_otsu(np.clip(data, low, high)))
    air = data[ndimage.binary_erosion(data < otsu, iterations=2)]
    if air.size == 0:
        return otsu
    level = float(np.median(air))
    noise = 1.4826 * float(np.median(np.abs(air - level)))
    return min(max(level + share * (otsu - level), level + 4 * noise), otsu)


def _solid_head(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Open, keep the largest component, close by about 8 mm and fill."""
    from scipy import ndimage

    ball = ndimage.generate_binary_structure(3, 1)
    opened = largest_component(ndimage.binary_opening(mask, ball))
    # What opening took from the head's own surface comes back, no further than it reached.
    head = ndimage.binary_dilation(opened, ball) & mask
    reach = max(1, round(8.0 / spacing))
    padded = np.pad(head, reach, mode="edge")
    closed = ndimage.distance_transform_edt(~padded) <= reach
    closed = ndimage.distance_transform_edt(closed) > reach
    inner = tuple(slice(reach, -reach) for _ in range(3))
    return largest_component(_fill_slices(fill_holes(closed[inner] | head)))


def _fill_slices(mask: np.ndarray) -> np.ndarray:
    """Fill what is enclosed in a slice of any direction: airways open only at the neck's cut."""
    from scipy import ndimage

    filled = mask.copy()
    for axis in range(3):
        for index in range(mask.shape[axis]):
            where = tuple(index if a == axis else slice(None) for a in range(3))
            filled[where] |= ndimage.binary_fill_holes(mask[where])
    return filled


def _refine(coarse: np.ndarray, fine: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Place the surface of a coarse mask by the full-resolution threshold."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(coarse, border_value=1)
    outer = ndimage.binary_dilation(coarse)

    def enlarge(mask):
        for axis, factor in enumerate(factors):
            mask = mask.repeat(factor, axis=axis)
        return mask[tuple(slice(0, n) for n in fine.shape)]

    # A median over the 3^3 neighbourhood: single noisy voxels do not make a rough surface.
    smooth = ndimage.uniform_filter(fine.astype(np.float32), size=3) > 0.5
    return largest_component(fill_holes(enlarge(inner) | (enlarge(outer) & smooth)))
