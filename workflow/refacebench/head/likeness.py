"""How bright and how noisy a scan's tissue is: told by what lies behind its face.

A new face gets the scan's intensities from where the old one was not: the same
places of the sharp head and of the scan (jaw, temples, skull base, neck) are held against each
other, and their quantiles are matched.  Arrays in, numbers and arrays out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Quantiles that are matched, in per cent.
LEVELS = np.concatenate([[0.5, 1.0], np.linspace(2, 98, 33), [99.0, 99.5]])
#: Fewer voxels than this tell nothing.
LEAST = 500


class Intensities(NamedTuple):
    """From the sharp head's intensities to a scan's.

    Attributes
    ----------
    source, target : numpy.ndarray
        The same quantiles of both: nodes.
    noise : float
        Standard deviation, scan units, of what the scan's noise has more than the sharp head's.
    """

    source: np.ndarray
    target: np.ndarray
    noise: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return intensities of the sharp head in the scan's units, linear between the nodes."""
        return np.interp(values, self.source, self.target).astype(np.float32)


def look(sharp: np.ndarray, scan: np.ndarray, where: np.ndarray) -> Intensities:
    """Hold the sharp head against a scan.

    Parameters
    ----------
    sharp, scan : numpy.ndarray
        Intensities at the same places.
    where : numpy.ndarray of bool
        Where both have tissue and the face is not.
    """
    if not where.any():
        return Intensities(np.zeros(1), np.zeros(1), 0.0)
    found = Intensities(*quantiles(sharp[where], scan[where]), 0.0)
    rough = [noise_level(data, where) for data in (scan, found(sharp))]
    return found._replace(noise=float(np.sqrt(max(0.0, rough[0] ** 2 - rough[1] ** 2))))


def quantiles(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same quantiles of two samples, rising strictly in the first.

    >>> a, b = quantiles(np.arange(101.0), 2 * np.arange(101.0))
    >>> bool(np.allclose(b, 2 * a))
    True
    """
    one = np.maximum.accumulate(np.percentile(source, LEVELS))
    two = np.maximum.accumulate(np.percentile(target, LEVELS))
    one = one + np.arange(LEVELS.size) * 1e-9 * max(1e-3, abs(one[-1]))
    return one, two


def noise_level(data: np.ndarray, where: np.ndarray) -> float:
    """Return the noise's standard deviation in smooth tissue.

    Each voxel minus the mean of its six neighbours; the mean absolute value of that in blocks of
    5^3 voxels; of these the lower quartile, for the others have edges in them.

    Parameters
    ----------
    data : numpy.ndarray
        Intensities.
    where : numpy.ndarray of bool
        Tissue; the brighter half of it counts, since noise is another in the dark.
    """
    from scipy.ndimage import correlate1d, uniform_filter

    if not where.any():
        return 0.0
    bright = where & (data >= np.median(data[where]))
    data = np.asarray(data, np.float32)
    ring = sum(correlate1d(data, [1, 0, 1], axis, mode="nearest") for axis in range(3)) / 6
    rough = uniform_filter(np.abs(data - ring), 5)[bright]
    return float(np.percentile(rough, 25) * np.sqrt(np.pi / 2) / np.sqrt(7 / 6))
