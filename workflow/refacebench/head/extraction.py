"""The brain mask of a T1w image: deepbet, in a window and a pose that its networks know.

deepbet (Fisch et al., Computers in Biology and Medicine 2024) is run with the weights
that its wheel brings.  Reads the weights' files and touches nothing else.
"""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import numpy as np

from refacebench import files
from refacebench.head import pose
from refacebench.head.brain_network import BrainNetwork
from refacebench.head.framing import NO_BRAIN, head_window
from refacebench.image import nifti, sampling
from refacebench.image.morphology import fill_holes, largest_component
from refacebench.image.nifti import Volume, reorient, reorient_like

#: A "brain" smaller than this is none: an adult's has more than 800 ml.
MIN_BRAIN_ML = 200.0
REINSTALL = "pip install --force-reinstall --no-deps deepbet==1.0.2"
#: SHA-256 of the locator and the extractor in deepbet 1.0.2. TorchScript runs code when it is
#: loaded: no other file is.
NETWORKS = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}


@functools.cache
def load_brain_extractor() -> tuple:
    """Load deepbet's two networks, once a process.

    Returns
    -------
    tuple of BrainNetwork
        The locator (whole image, 128^3) and the extractor (brain's box).

    Raises
    ------
    FileNotFoundError
        If the deepbet package or its weights are not installed.
    ValueError
        If a weights' file is not the released one.

    Notes
    -----
    The weights are read from the installed wheel by name, without importing
    the package, whose import pulls in a graphical interface.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    contents = (
        files.read_expected(_weights(name), sha256, REINSTALL) for name, sha256 in NETWORKS.items()
    )
    saved = (torch.jit.load(io.BytesIO(c), map_location="cpu") for c in contents)
    return tuple(BrainNetwork({n: w.detach() for n, w in s.named_parameters()}) for s in saved)


def _weights(name: str) -> Path:
    from importlib import metadata

    try:
        installed = metadata.files("deepbet") or []
    except metadata.PackageNotFoundError:
        raise FileNotFoundError(
            "the brain mask needs deepbet's network weights: pip install deepbet==1.0.2"
        ) from None
    found = [Path(str(f.locate())) for f in installed if f.name == name]
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
        Edge length in voxels of the box that the second network sees, a multiple of 32.  The
        released program uses 256.  Dice with true labels, mean of nine painted heads, and CPU
        seconds: 192 0.971, 1.2 s; 224 0.975, 2.0 s; 256 0.975, 2.8 s (docs/validation/stages.md).

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
    canonical = reorient(volume, "RAS")
    data = nifti.finite(canonical.data)
    canonical = canonical.with_data(data)
    window, air = head_window(canonical)
    shifted = canonical.with_data(data - np.float32(air))  # what lies outside is air
    best = None
    for turn in pose.TRIALS:
        found, levels = locate(shifted, pose.turned(window, turn))
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
            f"what was found has not the shape of a brain (Dice {dice:.3f} with a template's, at "
            f"least {pose.MIN_SHAPE:.3f} is expected): is it a whole T1w head with the right "
            "orientation in its header?"
        )
    return reorient_like(canonical.with_data(mask), volume).data


def locate(volume: Volume, window: Volume) -> tuple[Volume | None, tuple[float, float]]:
    """Find the brain roughly: its mask on the window's grid, and the levels of intensity there."""
    import torch

    locator, _ = load_brain_extractor()
    with torch.inference_mode():
        seen = _on_grid(volume, window)
        low, high = np.percentile(seen.numpy(), [0.5, 99.5]).tolist()
        if not high > low:
            return None, (low, high)
        found = locator(_normalise(seen, low, high)).numpy() > 0.5
    found = largest_component(found)
    return (window.with_data(found) if found.any() else None), (low, high)


def _extract(volume: Volume, found: Volume, fitted, levels, size: int):
    """Segment the brain in its box, upright; return the mask and the same on the box's grid."""
    import torch

    _, extractor = load_brain_extractor()
    box = pose.upright_box(found, fitted, size)
    with torch.inference_mode():
        inside = _on_grid(volume, box)
        answer = extractor(_normalise(inside, *levels)).numpy()
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
    within = np.linalg.inv(answer.affine) @ affine
    share = sampling.sample_grid(answer.data, within, tuple(high - low))
    mask[part] = fill_holes(largest_component(share > 0.5))
    return mask, answer.with_data(answer.data > 0.5)


def _on_grid(volume: Volume, like: Volume):
    """Return a volume on another one's grid, 0 outside, as the networks take it."""
    import torch

    return torch.from_numpy(sampling.resample(volume, like).data)[None, None]


def _normalise(image, low, high):
    """Clip and standardise in place, as in deepbet's training (``deepbet.utils.normalize``)."""
    image.sub_(low).div_(high - low).clamp_(0, 1)
    deviation = image.std()
    return image.sub_(image.mean()).mul_(0.226).div_(deviation).add_(0.449)
