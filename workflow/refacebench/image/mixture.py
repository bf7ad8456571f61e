"""A mixture of Gaussians whose weights differ from place to place: tissue maps steer it.

Arrays in, arrays out; touches no disk.
"""

from __future__ import annotations

import numpy as np

#: Voxels that the parameters are estimated from lie about this far apart: neighbours say the
#: same, and the estimate costs the same at every voxel size.
SAMPLE_MM = 3.0
#: No Gaussian may become narrower than this share of the intensities' spread.
LEAST_SHARE = 0.01
#: The probability that a place may take any class, whatever the tissue maps say there.
LEAST_PRIOR = 1e-4


def fit(
    values: np.ndarray, priors: np.ndarray, counts: tuple[int, ...], steps: int = 60
) -> dict[str, np.ndarray]:
    """Fit Gaussians to intensities by expectation and maximisation.

    Parameters
    ----------
    values : numpy.ndarray
        Intensities, shape (voxels,).
    priors : numpy.ndarray
        How probable each class is at each voxel's place, shape (classes, voxels); they sum to one.
    counts : tuple of int
        Gaussians of each class.
    steps : int
        Most steps; fewer when the means do not move any more.

    Returns
    -------
    dict
        ``owner`` (the class of each Gaussian), ``means``, ``deviations`` and ``shares`` (of its
        class), each of shape (Gaussians,).

    References
    ----------
    Ashburner J, Friston KJ. Unified segmentation. NeuroImage 2005, eq. 1 to 14, with the bias
    field and the deformation fixed, and without global weights of the classes: where bone is as
    dark as CSF, these let CSF grow into it.
    """
    priors = np.maximum(priors, LEAST_PRIOR)
    owner = np.repeat(np.arange(len(counts)), counts)
    least = LEAST_SHARE * float(values.std()) + 1e-6
    means, deviations = _start(values, priors, counts)
    deviations = np.maximum(deviations, least)
    shares = np.concatenate([np.full(n, 1 / n) for n in counts])
    priors = priors / priors.sum(axis=0)
    for _ in range(steps):
        model = {"owner": owner, "means": means, "deviations": deviations, "shares": shares}
        part = priors[owner] * _densities(values, model)
        part /= np.maximum(part.sum(axis=0), 1e-30)
        mass = part.sum(axis=1) + 1e-9
        new = part @ values / mass
        spread = part @ values**2 / mass - new**2
        deviations = np.maximum(np.sqrt(np.maximum(spread, 0)), least)
        total = np.bincount(owner, mass)
        shares = mass / total[owner]
        moved = np.abs(new - means).max()
        means = new
        if moved < 1e-3 * float(values.std()):
            break
    return {"owner": owner, "means": means, "deviations": deviations, "shares": shares}


def _start(values, priors, counts) -> tuple[np.ndarray, np.ndarray]:
    """Begin at the quantiles of the intensities where a class is the most probable one."""
    best = priors.argmax(axis=0)
    means, deviations = [], []
    for number, count in enumerate(counts):
        own = values[best == number]
        own = own if own.size else values
        means += list(np.quantile(own, (np.arange(count) + 0.5) / count))
        deviations += [float(own.std()) / count] * count
    return np.array(means), np.array(deviations)


def _densities(values: np.ndarray, model: dict[str, np.ndarray]) -> np.ndarray:
    """Return each Gaussian's density times its share, shape (Gaussians, voxels)."""
    mean, deviation, share = (
        model[name][:, None].astype(np.float32) for name in ("means", "deviations", "shares")
    )
    distance = (values[None].astype(np.float32) - mean) / deviation
    return share / deviation * np.exp(-0.5 * distance**2)


def posteriors(values: np.ndarray, priors: np.ndarray, model: dict[str, np.ndarray]) -> np.ndarray:
    """Return the probability of each class at each voxel, shape (classes, voxels), float32."""
    local = np.maximum(priors, LEAST_PRIOR)
    density = _densities(values, model)
    found = np.stack(
        [local[c] * density[model["owner"] == c].sum(axis=0) for c in range(len(local))]
    )
    return (found / np.maximum(found.sum(axis=0), 1e-30)).astype(np.float32)
