"""deepdefacer: a network's face mask, with the weights that were released.

Khazane, Hoachuck, Gorgolewski & Poldrack, "DeepDefacer: automatic removal of facial
features from MR scans via deep learning" (the citation in the package).  The network is
built here in torch from the released file's layers; the numbers are the authors'.  The release's
own code needs an old TensorFlow and is not run.

The weights do not come with this project: their licence is unclear (the package's
``setup.py`` says MIT, its metadata says unknown).  Give the path of the user's own download::

    pip download --no-deps --no-binary :all: deepdefacer==2.1.2

as the option ``weights``: the ``.tar.gz`` as it is, or the ``model.hdf5`` in it.  The file is
read as arrays of numbers; nothing in it is executed.

As in the release: the array is resampled to 160^3 (linear, voxel axes), scaled from 0 to 1
by minimum and maximum, the answer cut at 0.5, brought back with linear interpolation and
multiplied with the scan.  Not as there: the axes are turned to RAS+ first (the release
takes them as they are stored), an array that is longer than a common scan is cut around the head
(:func:`refacebench.head.framing.common_field`: the network would see a small head in much air; what
lies outside is kept), and the brain is protected.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import tarfile
from pathlib import Path

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import ON_MISSING, PROTECT_MARGIN
from refacebench.head import framing
from refacebench.image import nifti

VERSION = "2"
OPTIONS = {
    "weights": Option(
        "",
        "Path of the downloaded package (.tar.gz), or of its model.hdf5.",
        kind=(str, type(None)),
    ),
    "protect_margin_mm": PROTECT_MARGIN,
    "on_missing": ON_MISSING,
}
#: How to get the weights.
SOURCE = (
    "its weights are not shipped; get them with "
    "'pip download --no-deps --no-binary :all: deepdefacer==2.1.2' and give the .tar.gz "
    "as the option weights"
)
#: The file's name inside the package, and the largest size that is read.
MEMBER, MOST_BYTES = "deepdefacer/model.hdf5", 200_000_000
#: Edge of the network's input in voxels.
SIZE = 160
THRESHOLD = 0.5
#: Weight of the mask above which a voxel is left as it is: it differs from 1 by rounding only.
FULL_WEIGHT = 0.999
#: Kernel's edge, channels in and out of the layers conv3d_1 ... conv3d_24, in the file's order.
_DOWN = [(3, 1, 8), (3, 8, 8), (3, 8, 16), (3, 16, 16), (3, 16, 32), (3, 32, 32)]
_DOWN += [(3, 32, 64), (3, 64, 64), (3, 64, 128), (3, 128, 128)]
_UP = [
    (k, 2 * n if k != 3 or first else n, n)
    for n in (64, 32, 16, 8)
    for k, first in ((2, True), (3, True), (3, False))
]
LAYERS = (*_DOWN, *_UP, (3, 8, 2), (1, 2, 1))


def missing(options: dict) -> str:
    """Return what is missing to run the network, and where to get it; empty if nothing."""
    if importlib.util.find_spec("h5py") is None:
        return "deepdefacer: the Python package h5py is not installed (pip install h5py)"
    if not options["weights"]:
        return f"deepdefacer: {SOURCE}"
    if not Path(options["weights"]).is_file():
        return f"deepdefacer: there is no file {options['weights']}; {SOURCE}"
    return ""


def inputs(options: dict) -> list[Path]:
    """Return the weights' file: another one is another method."""
    return [Path(options["weights"])]


def public(options: dict) -> dict:
    """Return the options without the folder of the weights."""
    return {**options, "weights": Path(options["weights"]).name}


def prepare(options: dict) -> None:
    """Read the weights once for all scans of a batch.

    Raises
    ------
    ValueError
        If the file does not hold the released network's weights.
    """
    network(str(options["weights"]))


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Multiply the scan with the network's mask.

    Raises
    ------
    ValueError
        If the weights are missing or not the released ones, if the scan is constant, or if
        the network finds no face in it.
    """
    lacks = missing(options)
    if lacks:
        raise ValueError(lacks)
    canonical = nifti.reorient(scan.volume)
    data = np.asarray(canonical.data, np.float32)
    box = framing.common_field(canonical)
    weight = np.ones(data.shape, np.float32)
    weight[box] = _mask(data[box], str(options["weights"]))
    weight = nifti.reorient_like(canonical.with_data(weight), scan.volume).data
    changed = weight < FULL_WEIGHT
    if not (changed & scan.head).any():
        raise ValueError("deepdefacer: the network found no face in the scan")
    return Defaced(scan.volume.data * weight, changed)


def _mask(data: np.ndarray, weights: str) -> np.ndarray:
    """Return the mask of a RAS+ array: 1 keeps, 0 removes, between them at its edge."""
    import torch

    small = _resize(data, (SIZE,) * 3)
    low, high = float(small.min()), float(small.max())
    if not high > low:
        raise ValueError("deepdefacer: the image is constant")
    small = (small - low) / (high - low + 1e-7)
    with torch.inference_mode():
        answer = network(weights)(torch.from_numpy(small)[None, None])[0, 0].numpy()
    return _resize((answer >= THRESHOLD).astype(np.float32), data.shape)


def _resize(data: np.ndarray, shape: tuple) -> np.ndarray:
    """Resample to another number of voxels as the release does (SimpleITK, linear).

    First and last voxel span the same length; the centres at half the number of voxels meet.
    """
    from scipy.ndimage import affine_transform

    scale = [(n - 1) / (m - 1) for n, m in zip(data.shape, shape, strict=True)]
    offset = [n / 2 - m / 2 * s for n, m, s in zip(data.shape, shape, scale, strict=True)]
    return affine_transform(
        data, np.diag(scale), offset, output_shape=shape, order=1, mode="nearest"
    )


@functools.lru_cache(maxsize=1)
def network(weights: str):
    """Return the network with its weights, once a process.

    Parameters
    ----------
    weights : str
        A ``.tar.gz`` of the package or an HDF5 file.

    Returns
    -------
    callable
        Image (1, 1, 160, 160, 160) in 0..1 -> the same shape, near 1 where tissue is kept.

    Raises
    ------
    ValueError
        If the file does not hold the released network's weights.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    layers = [(torch.from_numpy(k), torch.from_numpy(b)) for k, b in read_weights(weights)]
    return functools.partial(_forward, layers)


def read_weights(path: str | Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read kernels (out, in, x, y, z) and biases of all layers, in order.

    Raises
    ------
    ValueError
        If the file cannot be read, or a layer is missing or has another shape.
    """
    import h5py

    found = []
    try:
        source = _from_package(path) if tarfile.is_tarfile(path) else path
        with h5py.File(source, "r") as file:
            group = file.get("model_weights", file)
            for number in range(1, len(LAYERS) + 1):
                home = group[f"conv3d_{number}/conv3d_{number}"]
                found.append((np.asarray(home["kernel:0"]), np.asarray(home["bias:0"])))
    except (OSError, KeyError, tarfile.TarError) as error:
        raise ValueError(f"deepdefacer: {path} does not hold its weights ({error})") from None
    for number, ((edge, before, after), (kernel, bias)) in enumerate(
        zip(LAYERS, found, strict=True), start=1
    ):
        if kernel.shape != (edge, edge, edge, before, after) or bias.shape != (after,):
            raise ValueError(
                f"deepdefacer: {path}: layer {number} has the shape {kernel.shape}, expected "
                f"{(edge, edge, edge, before, after)}, so these are not the released weights"
            )
    return [
        (np.ascontiguousarray(k.transpose(4, 3, 0, 1, 2), np.float32), b.astype(np.float32))
        for k, b in found
    ]


def _from_package(path: str | Path) -> io.BytesIO:
    """Return the weights' file out of the package, in memory; nothing is unpacked to disk."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(f"/{MEMBER}"):
                if member.size > MOST_BYTES:
                    raise ValueError(f"deepdefacer: {path}: {member.name} is too large")
                content = archive.extractfile(member)
                if content is not None:
                    return io.BytesIO(content.read())
    raise ValueError(f"deepdefacer: {path} has no file {MEMBER}")


def _forward(layers, image):
    """Run the U-Net: five levels of two convolutions, nearest upsampling, concatenation."""
    import torch
    from torch.nn import functional

    rest = iter(layers)

    def convolve(x, activation=torch.relu):
        kernel, bias = next(rest)
        # 'same' padding; an even kernel gets its odd voxel behind, as in TensorFlow.
        edge = kernel.shape[-1]
        pad = ((edge - 1) // 2, edge // 2) * 3
        return activation(functional.conv3d(functional.pad(x, pad), kernel, bias))

    skips = []
    for level in range(5):
        if level:
            image = functional.max_pool3d(image, 2)
        image = convolve(convolve(image))
        skips.append(image)
    for skip in skips[-2::-1]:
        image = convolve(functional.interpolate(image, scale_factor=2, mode="nearest"))
        image = convolve(convolve(torch.cat([skip, image], dim=1)))
    return convolve(convolve(image), torch.sigmoid)


METHOD = Defacer(
    version=VERSION,
    title="deepdefacer (released weights, this project's network code)",
    options=OPTIONS,
    run=deface,
    missing=missing,
    inputs=inputs,
    public=public,
    prepare=prepare,
    preload=("torch",),
    sources=("https://pypi.org/project/deepdefacer/2.1.2/",),
    licence="weights: unclear (setup.py says MIT, the metadata unknown); not shipped",
    weights="deepdefacer",
)
