"""Registration of two multi-channel images: arrays in, a matrix or a displacement out.

Gauss-Newton for the affine part and symmetric demons for the rest.  Both use
every voxel and draw no random sample, so that an image that hardly differs is
registered hardly differently: a measuring stick must not add noise of its own.
Touches no disk.
"""

from __future__ import annotations

import numpy as np

from refacebench.image import separable
from refacebench.image.gauss_newton import affine_equations, minimise
from refacebench.image.sampling import sample


def affine(
    fixed: np.ndarray,
    moving: np.ndarray,
    start: np.ndarray,
    iterations: int = 60,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return the affine map, fixed voxels to moving voxels, of least squared difference.

    Parameters
    ----------
    fixed, moving : numpy.ndarray
        Shape (channels, i, j, k), smooth; each on its own grid.
    start : numpy.ndarray
        4 x 4, a first guess.
    iterations : int
        Gauss-Newton steps (damped); fewer when no voxel moves any more.
    weight : numpy.ndarray, optional
        Shape (i, j, k): what each fixed voxel's difference counts; 0 where there is a hole.

    Returns
    -------
    numpy.ndarray
        4 x 4.

    References
    ----------
    Baker S, Matthews I. Lucas-Kanade 20 years on. IJCV 2004, the forward
    additive algorithm.
    """
    here = np.indices(fixed.shape[1:], dtype=np.float32)
    slopes = gradient(moving).reshape(-1, *moving.shape[1:])
    stack = np.concatenate([moving, slopes])
    count = len(moving)
    # Coordinates of mean 0 and size 1 keep the normal equations well conditioned.
    middle = (np.asarray(fixed.shape[1:]) - 1) / 2
    radius = float(middle.max())
    points = ((here.reshape(3, -1).T - middle) / radius).astype(np.float32)
    points = np.column_stack([points, np.ones(len(points), np.float32)])
    norm = np.eye(4)
    norm[:3, :3] *= radius
    norm[:3, 3] = middle

    def look(matrix):
        where = (matrix.astype(np.float32) @ points.T).reshape(here.shape)
        values = sample(stack, where).reshape(4 * count, -1)
        rest = fixed.reshape(count, -1) - values[:count]
        if weight is not None:
            rest, values = rest * weight.ravel(), values * weight.ravel()
        error = float((rest**2).mean(dtype=np.float64))
        return error, lambda: affine_equations(values[count:], rest, points)

    kept = minimise(
        look,
        lambda matrix, step: matrix + step.reshape(3, 4),
        (start @ norm)[:3],
        steps=iterations,
        gain=1e-7,
        damping=(1e-6, 1e3),
    )
    return np.vstack([kept, [0, 0, 0, 1]]) @ np.linalg.inv(norm)


def demons(
    fixed: np.ndarray,
    moving: np.ndarray,
    levels: tuple[tuple[float, int], ...],
    fluid: float = 1.5,
    elastic: float = 0.7,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return the displacement that brings ``moving`` onto ``fixed``.

    Parameters
    ----------
    fixed, moving : numpy.ndarray
        Shape (channels, i, j, k), float32, on the same grid; channels are
        weighted by their scale.
    levels : tuple of (float, int)
        Size of the grid as a share of the full one, and iterations, from coarse
        to fine.
    fluid, elastic : float
        Gaussian smoothing, in voxels of the level, of each update and of the
        whole displacement.
    weight : numpy.ndarray, optional
        Shape (i, j, k), 1 where the fixed image counts and 0 in a hole, into which the
        displacement of the rest is carried on by the smoothing.

    Returns
    -------
    numpy.ndarray
        Shape (3, i, j, k), in voxels: ``moving`` at x + u(x) looks like
        ``fixed`` at x.

    References
    ----------
    Vercauteren T et al. Diffeomorphic demons. NeuroImage 2009: symmetric (ESM)
    forces, eq. 5 with the update composed rather than added; the channels'
    forces are summed.
    """
    import torch

    full = fixed.shape[1:]
    flow: np.ndarray | None = None
    with torch.inference_mode():
        for share, iterations in levels:
            shape = tuple(max(8, round(n * share)) for n in full)
            target, source = (_shrink(image, shape, share) for image in (fixed, moving))
            flow = np.zeros((3, *shape), np.float32) if flow is None else _zoom(flow, shape)
            seen = None if weight is None else _shrink(weight[None], shape, share)[0] > 0.99
            flow = _level(target, source, flow, iterations, fluid, elastic, seen)
    if flow is None:
        raise ValueError("there is no level to register at")
    return _zoom(flow, full)


def _level(fixed, moving, flow, iterations, fluid, elastic, seen) -> np.ndarray:
    shape = fixed.shape[1:]
    here = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    slope = gradient(fixed)
    for _ in range(iterations):
        warped = sample(moving, here + flow)
        difference = fixed - warped if seen is None else (fixed - warped) * seen
        force = 0.5 * (slope + gradient(warped))
        numerator = np.einsum("cijk,caijk->aijk", difference, force)
        scale = np.einsum("caijk,caijk->ijk", force, force)
        scale += np.einsum("cijk,cijk->ijk", difference, difference)
        update = _smooth(numerator / (scale + 1e-4), fluid)
        flow = _smooth(sample(flow, here + update) + update, elastic)
    return flow


def _smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    return separable.smooth(image, sigma, truncate=3)


def gradient(image: np.ndarray) -> np.ndarray:
    """Central differences, shape (channels, 3, i, j, k); zero on the border."""
    result = np.zeros((image.shape[0], 3, *image.shape[1:]), np.float32)
    result[:, 0, 1:-1] = 0.5 * (image[:, 2:] - image[:, :-2])
    result[:, 1, :, 1:-1] = 0.5 * (image[:, :, 2:] - image[:, :, :-2])
    result[:, 2, :, :, 1:-1] = 0.5 * (image[:, :, :, 2:] - image[:, :, :, :-2])
    return result


def _shrink(image: np.ndarray, shape, share: float) -> np.ndarray:
    return _resize(_smooth(image, 0.5 / share) if share < 1 else image, shape)


def _zoom(flow: np.ndarray, shape) -> np.ndarray:
    """Bring a displacement to another grid; its lengths are voxels of that grid."""
    factor = [(b - 1) / (a - 1) for a, b in zip(flow.shape[1:], shape, strict=True)]
    return _resize(flow, shape) * np.asarray(factor, np.float32)[:, None, None, None]


def _resize(image: np.ndarray, shape) -> np.ndarray:
    import torch
    import torch.nn.functional as functional

    tensor = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None]
    return functional.interpolate(tensor, shape, mode="trilinear", align_corners=True)[0].numpy()
