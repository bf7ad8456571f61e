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

from refacebench.image.nifti import Volume, reorient, reorient_like

#: Edge length, in voxels, of the box in which the first network looks for the brain.
LOCATOR_SIZE = 128
#: A "brain" smaller than this is none: an adult's has more than 800 ml.
MIN_BRAIN_ML = 200.0
NO_BRAIN = "no brain found in the image (deepbet's mask is empty or tiny)"
#: Edges of the window in which it looks, left-right, back-front, bottom-top: a common field.
WINDOW_MM = (200.0, 240.0, 240.0)
#: Longest edge of a common field of view.
FIELD_MM = 256.0
#: Air above the crown and behind the head in that window.
WINDOW_MARGIN_MM = 12.0
#: The head for that window is looked for on voxels of about this size.
WINDOW_VOXEL_MM = 4.0
#: From the crown to below the occiput: the part of the head that says where back and middle are.
SKULL_MM = 150.0
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
    networks = (torch.jit.load(str(_weights(n)), map_location="cpu").eval() for n in names)
    # The locator takes half of the time then; answers differ by rounding (2e-4 at most).
    return tuple(torch.jit.optimize_for_inference(network) for network in networks)


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
    """Return the brain mask of a T1w image (deepbet), however the head lies in it.

    The network answers for what it was trained on: an upright head in a common field of
    view.  So the first one sees a window that is placed on the head, and the second one the
    brain in one pose, to which a template's brain is turned (:mod:`refacebench.head.pose`).  Much
    air, shoulders and a raised chin then change nothing.  A mask that has not the shape of a
    brain is not returned.

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
        If there is no brain in the image, or only what has not the shape of one.

    References
    ----------
    Fisch L et al. deepbet: Fast brain extraction of T1-weighted MRI using
    convolutional neural networks. Computers in Biology and Medicine 2024.
    The networks and their normalisation are those of ``deepbet.bet.BrainExtraction`` in
    release 1.0.2; window and pose are ours.
    """
    from refacebench.head import pose

    canonical = reorient(volume, "RAS")
    data = np.nan_to_num(np.asarray(canonical.data, dtype=np.float32), posinf=0.0, neginf=0.0)
    canonical = canonical.with_data(data)
    window, air = head_window(canonical)
    shifted = canonical.with_data(data - np.float32(air))  # what lies outside is air
    best = None
    for turn in pose.TRIALS:
        found, levels = _locate(shifted, pose.turned(window, turn))
        if found is not None:
            fitted = pose.fit(found, field=canonical)
            if best is None or fitted.dice > best[1].dice:
                best = found, fitted, levels
            if fitted.dice >= pose.GOOD_SHAPE:
                break
    if best is None:
        raise ValueError(NO_BRAIN)
    mask, inner = _extract(shifted, *best, size)
    if mask.sum() * canonical.voxel_ml < MIN_BRAIN_ML:
        raise ValueError(NO_BRAIN)
    dice = pose.fit(inner, best[1].matrix, canonical).dice
    if dice < pose.MIN_SHAPE:
        raise ValueError(
            f"what was found has not the shape of a brain (Dice {dice:.2f} with a template's, at "
            f"least {pose.MIN_SHAPE:.2f} is expected): is it a whole T1w head with the right "
            "orientation in its header?"
        )
    return reorient_like(canonical.with_data(mask), volume).data


def head_window(volume: Volume, edges_mm=WINDOW_MM) -> tuple[Volume, float]:
    """Return a window of fixed size around the upper part of the head, and the air's intensity.

    It hangs on the crown and on the back of the head, and the head's middle lies in its
    middle, so that neither air nor neck, shoulders or a face that is missing move it.

    Parameters
    ----------
    volume : Volume
        RAS+ axes, finite.
    edges_mm : tuple of float
        Of the window, left-right, back-front, bottom-top.

    Returns
    -------
    Volume
        An empty grid of ``LOCATOR_SIZE`` voxels along every edge; its ``affine`` leads to mm.
    float
        Median of what is not head.
    """
    from scipy import ndimage

    factors = np.maximum(1, np.round(WINDOW_VOXEL_MM / volume.spacing)).astype(int)
    coarse = block_mean(volume.data, factors)
    spacing = volume.spacing * factors
    try:
        tissue = coarse > air_threshold(coarse)
    except ValueError:
        raise ValueError(NO_BRAIN) from None
    head = largest_component(ndimage.binary_opening(tissue))
    if not head.any():
        raise ValueError(NO_BRAIN)
    outside = coarse[~tissue]
    air = float(np.median(outside)) if outside.size else float(coarse.min())
    crown = np.flatnonzero(head.any(axis=(0, 1)))[-1]
    # Below this the neck and shoulders say more about middle and back than the head does.
    head = head[:, :, max(0, crown + 1 - int(SKULL_MM / spacing[2])) :]
    left, right = np.flatnonzero(head.any(axis=(1, 2)))[[0, -1]]
    back = np.flatnonzero(head.any(axis=(0, 2)))[0]
    width, _, height = edges_mm
    corner = np.array(
        [
            (left + right + 1) / 2 * spacing[0] - width / 2,
            back * spacing[1] - WINDOW_MARGIN_MM,
            (crown + 1) * spacing[2] + WINDOW_MARGIN_MM - height,
        ]
    )
    step = np.array(edges_mm) / LOCATOR_SIZE
    axes = volume.affine[:3, :3] / volume.spacing
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    # Corners are the outer ones of the first voxels.
    first = (corner + step / 2) / volume.spacing - 0.5
    affine[:3, 3] = volume.affine[:3, :3] @ first + volume.affine[:3, 3]
    return Volume(np.zeros((LOCATOR_SIZE,) * 3, bool), affine), air


def common_field(volume: Volume) -> tuple[slice, slice, slice]:
    """Return the part of a RAS+ array around the head that is no larger than a common scan.

    Axes of at most :data:`FIELD_MM` are kept whole.

    Raises
    ------
    ValueError
        If there is nothing but air.
    """
    if (np.array(volume.shape) * volume.spacing <= FIELD_MM + 1).all():
        return tuple(slice(0, n) for n in volume.shape)
    finite = volume.with_data(np.nan_to_num(volume.data, posinf=0.0, neginf=0.0))
    window, _ = head_window(finite, (FIELD_MM,) * 3)
    to_voxel = np.linalg.inv(volume.affine) @ window.affine
    box = []
    for axis, n in enumerate(volume.shape):
        length = FIELD_MM / volume.spacing[axis]
        start = round(to_voxel[axis, 3] - 0.5 * to_voxel[axis, axis] + 0.5)
        fits = n <= length + 1
        box.append(slice(0, n) if fits else slice(max(0, start), min(n, start + round(length))))
    return tuple(box)


def _locate(volume: Volume, window: Volume) -> tuple[Volume | None, tuple[float, float]]:
    """Find the brain roughly: its mask on the window's grid, and the levels of intensity there."""
    import torch

    locator, _ = load_brain_extractor()
    with torch.inference_mode():
        seen = sample_grid(volume, window.affine, window.shape)
        low, high = np.percentile(seen.numpy(), [0.5, 99.5]).tolist()
        if not high > low:
            return None, (low, high)
        found = locator(_normalise(seen, low, high))[0, 1].numpy() > 0.5
    found = largest_component(found)
    return (window.with_data(found) if found.any() else None), (low, high)


def _extract(volume: Volume, found: Volume, fitted, levels, size: int):
    """Segment the brain in its box, upright; return the mask and the same on the box's grid."""
    import torch

    from refacebench.head import pose

    _, extractor = load_brain_extractor()
    box = pose.upright_box(found, fitted, size)
    with torch.inference_mode():
        inside = sample_grid(volume, box.affine, box.shape)
        answer = extractor(_normalise(inside, *levels))[0, 1].numpy()
    answer = box.with_data(answer)
    corners = np.array(np.meshgrid(*[(0, size - 1)] * 3)).reshape(3, -1)
    to_voxel = np.linalg.inv(volume.affine) @ box.affine
    corners = to_voxel[:3, :3] @ corners + to_voxel[:3, 3:]
    low = np.clip(np.floor(corners.min(axis=1)), 0, volume.shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=1)) + 1, 0, volume.shape).astype(int)
    mask = np.zeros(volume.shape, dtype=bool)
    if (high <= low).any():
        return mask, box.with_data(mask)
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    share = sample_grid(answer, affine, tuple(high - low))[0, 0].numpy()
    mask[part] = fill_holes(largest_component(share > 0.5))
    return mask, answer.with_data(answer.data > 0.5)


def sample_grid(volume: Volume, affine: np.ndarray, shape: tuple[int, int, int]):
    """Interpolate a volume linearly on any grid; zero outside its field of view.

    Parameters
    ----------
    volume : Volume
        Values of any type.
    affine : numpy.ndarray
        4 x 4, the new grid's voxels -> mm.
    shape : tuple of int
        Of the new grid.

    Returns
    -------
    torch.Tensor
        float32, shape (1, 1, *shape).
    """
    import torch
    import torch.nn.functional as functional

    to_voxel = np.linalg.inv(volume.affine) @ affine
    # torch counts from -1 (first voxel's centre) to 1 (last one's), and its axes from the last.
    scale = 2.0 / np.maximum(1, np.array(volume.shape) - 1)
    where = torch.empty((1, *(int(n) for n in shape), 3))
    for axis in range(3):
        row = scale[axis] * to_voxel[axis] - [0, 0, 0, 1]
        i, j, k = (
            torch.from_numpy((row[a] * np.arange(n)).astype(np.float32))
            for a, n in enumerate(shape)
        )
        plane = (i + np.float32(row[3]))[:, None, None] + j[:, None]
        torch.add(plane, k, out=where[0, ..., 2 - axis])
    image = torch.from_numpy(np.ascontiguousarray(volume.data, dtype=np.float32))[None, None]
    return functional.grid_sample(image, where, padding_mode="zeros", align_corners=True)


def _normalise(image, low, high):
    """Clip and standardise as in deepbet's training (``deepbet.utils.normalize``)."""
    image = ((image - low) / (high - low)).clamp(0, 1)
    return 0.226 * (image - image.mean()) / image.std() + 0.449


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
