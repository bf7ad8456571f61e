"""Linear registration by the correlation ratio: how well one image's levels tell the other's.

Each level of the moving image stands for the mean of the fixed image where that level is,
whatever the contrast; what this leaves unexplained is made small by Gauss-Newton steps.
Every chosen voxel counts and none is drawn by chance.  From a poor start it finds its way
in a tenth of the time of mutual information in ANTs; where it ends is less exact, as a
receive field weighs on it (``docs/validation/stages.md``).  Touches no disk.

References
----------
Roche A, Malandain G, Pennec X, Ayache N. The correlation ratio as a new similarity
measure for multimodal image registration. MICCAI 1998.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refacebench.image import separable
from refacebench.image.gauss_newton import affine_equations, minimise
from refacebench.image.nifti import Volume
from refacebench.image.sampling import sample

#: Levels in which the moving image is read; one that fewer voxels have tells nothing.
BINS, FEWEST = 32, 5
#: Voxels by which both images are smoothed.
SIGMA = 1.0
#: Steps at most, the gain below which there is no other, the least and the largest damping.
STEPS, GAIN, DAMPING = 40, 1e-5, (1e-5, 1e2)


class Target(NamedTuple):
    """The fixed image where it is looked at: places, shape (n, 3) in RAS+ mm, and values."""

    places: np.ndarray
    values: np.ndarray


def target(fixed: Volume, inside: np.ndarray) -> Target:
    """Return the fixed image, smoothed, in the voxels that count (bool, on its grid)."""
    image = separable.smooth(np.asarray(fixed.data, np.float32)[None], SIGMA)[0]
    places = np.column_stack([np.argwhere(inside), np.ones(int(inside.sum()))])
    return Target((places @ fixed.affine.T)[:, :3], image[inside])


def affine(fixed: Target, moving: Volume, start: np.ndarray) -> np.ndarray:
    """Return the affine map of the largest correlation ratio of two images near a start.

    Parameters
    ----------
    fixed : Target
        Where the fixed image counts; places outside the moving image do not.
    moving : Volume
        Intensities, on voxels of about the fixed image's size.
    start : numpy.ndarray
        4 x 4, the moving image's RAS+ mm -> the fixed image's.

    Returns
    -------
    numpy.ndarray
        4 x 4, likewise; the start itself where nothing can be told (no overlap, a flat image).
    """
    levels = _levels(moving.data)
    inside = np.ones((1, *levels.shape), np.float32)
    stack = np.concatenate([levels[None], np.stack(np.gradient(levels)), inside])
    # Coordinates of mean 0 and size 1 keep the normal equations well conditioned.
    norm = np.eye(4)
    norm[:3, 3] = fixed.places.mean(axis=0)
    norm[:3, :3] *= np.abs(fixed.places - norm[:3, 3]).max()
    places = np.column_stack([fixed.places, np.ones(len(fixed.places))])
    points = (places @ np.linalg.inv(norm).T).astype(np.float32)
    values = (fixed.values - fixed.values.mean()).astype(np.float32)

    def look(matrix):
        where = (matrix.astype(np.float32) @ points.T).reshape(3, -1, 1, 1)
        here = sample(stack, where, outside="zeros").reshape(len(stack), -1)
        error, slopes, rest = unexplained(here[0], here[1:4], here[4] > 0.99, values)
        return error, lambda: affine_equations(slopes, rest[None], points)

    first = (np.linalg.inv(start @ moving.affine) @ norm)[:3]
    try:
        found = minimise(
            look,
            lambda matrix, step: matrix + step.reshape(3, 4),
            first,
            steps=STEPS,
            gain=GAIN,
            damping=DAMPING,
        )
        return norm @ np.linalg.inv(moving.affine @ np.vstack([found, [0, 0, 0, 1]]))
    except np.linalg.LinAlgError:
        return start


def unexplained(levels, slopes, known, values) -> tuple[float, np.ndarray, np.ndarray]:
    """Return what the moving image's levels do not tell of the fixed image's values.

    Parameters
    ----------
    levels, slopes : numpy.ndarray
        Of the moving image at each place, shape (n,) and (3, n): levels from 0 to
        :data:`BINS` - 1 and their slopes along its axes.
    known : numpy.ndarray of bool
        Whether the moving image has data there, shape (n,).
    values : numpy.ndarray
        The fixed image's, shape (n,).

    Returns
    -------
    float
        1 minus the correlation ratio: the share of the values' variance that is left over.
    numpy.ndarray
        Slopes of the values that the levels tell, shape (3, n).
    numpy.ndarray
        What is left of each value, shape (n,).
    """
    known = known.astype(np.float32)
    low = np.minimum(levels.astype(np.int32), BINS - 2)
    share = levels - low
    count, total = (_spread(low, share, weight) for weight in (known, known * values))
    told = np.where(count > FEWEST, total / np.maximum(count, FEWEST), 0).astype(np.float32)
    rise = told[low + 1] - told[low]
    rest = (values - told[low] - rise * share) * known
    center = float((values * known).sum() / max(float(known.sum()), 1.0))
    variance = float((((values - center) * known) ** 2).sum())
    error = float((rest**2).sum()) / variance if variance else np.inf
    return error, slopes * (rise * known), rest


def _spread(low, share, weights) -> np.ndarray:
    """Sum weights over levels, each to its two neighbours, and smooth them by one level."""
    found = np.bincount(low, weights * (1 - share), BINS)
    found += np.bincount(low + 1, weights * share, BINS)
    return np.convolve(np.pad(found, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")


def _levels(data: np.ndarray) -> np.ndarray:
    """Return an image's intensities as levels from 0 to the last."""
    image = separable.smooth(np.asarray(data, np.float32)[None], SIGMA)[0]
    positive = image[image > 0]
    if positive.size == 0:
        return np.zeros_like(image)
    return np.clip(image / np.percentile(positive, 99.5), 0, 1) * np.float32(BINS - 1)
