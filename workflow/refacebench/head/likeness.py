"""How bright and how noisy a scan's tissue is: told by what lies outside its face.

A new face gets the scan's intensities from where the old one was not: the same
places of the sharp head and of the scan are held against each other.  Behind the face (jaw,
temples, skull base, neck) their quantiles are matched.  Two things quantiles cannot tell are
told by what lies all around the face: how the two receive fields differ, a factor whose
logarithm is linear in place, and how much darker the outermost skin is than the sharp head's,
a factor a layer.  Arrays in, numbers and arrays out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Quantiles that are matched, in per cent.
LEVELS = np.concatenate([[0.5, 1.0], np.linspace(2, 98, 33), [99.0, 99.5]])
#: Fewer voxels than this tell nothing; nor do fewer than that in a layer of skin.
LEAST, LEAST_SKIN = 500, 100
#: Layers of the skin, depth in mm from-to, and the limits of their factors.
LAYERS_MM, LAYER_LIMITS = ((0.0, 2.0), (2.0, 4.0)), (0.4, 1.4)
#: The receive fields are compared in what lies deeper than the skin with its fat, by the means of
#: cells of this edge, smoothed by one cell, since the same tissue may lie a little elsewhere.
DEEP_MM, CELL_MM, FIELD_LIMITS = 5.0, 8.0, (0.7, 1.4)


class Intensities(NamedTuple):
    """From the sharp head's intensities to a scan's.

    Attributes
    ----------
    source, target : numpy.ndarray
        The same quantiles of both: nodes.
    noise : float
        Standard deviation, scan units, of what the scan's noise has more than the sharp head's.
    skin : numpy.ndarray
        A factor for each layer of :data:`LAYERS_MM`.
    slope : numpy.ndarray
        Of the receive field's logarithm: the constant, and per mm along three axes.
    seen : numpy.ndarray
        From-to along each axis, mm: beyond, nothing is known and the field goes on as it is there.
    """

    source: np.ndarray
    target: np.ndarray
    noise: float
    skin: np.ndarray = np.ones(len(LAYERS_MM))
    slope: np.ndarray = np.zeros(4)
    seen: np.ndarray = np.zeros((3, 2))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return intensities of the sharp head in the scan's units, linear between the nodes."""
        return np.interp(values, self.source, self.target).astype(np.float32)

    def layers(self, depth: np.ndarray) -> np.ndarray:
        """Return the skin's factor at each depth (mm) under the surface; 1 below the skin."""
        middles = [(low + high) / 2 for low, high in LAYERS_MM]
        nodes = [*middles, 2 * middles[-1] - middles[-2]]
        return np.interp(depth, nodes, [*self.skin, 1.0]).astype(np.float32)

    def places(self, points: np.ndarray) -> np.ndarray:
        """Return the receive field's factor at some points, (3, ...) in mm."""
        log, *slopes = self.slope
        for slope, values, seen in zip(slopes, points, self.seen, strict=True):
            log = log + slope * np.clip(values, *seen)
        return np.exp(np.clip(log, *np.log(FIELD_LIMITS))).astype(np.float32)


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


def around(
    known: Intensities,
    values: tuple[np.ndarray, np.ndarray],
    depths: tuple[np.ndarray, np.ndarray],
    points: np.ndarray,
) -> Intensities:
    """Add the receive field and the skin's factors, from voxels outside the face.

    Parameters
    ----------
    known : Intensities
        As :func:`look` found it.
    values, depths : tuple of numpy.ndarray
        Of the sharp head and the scan at the same places, (n,): intensities, and the depth in mm
        under each one's own surface.
    points : numpy.ndarray
        The places in mm, (3, n).
    """
    new, own = known(values[0]), values[1]
    deep = np.minimum(*depths) > DEEP_MM
    if deep.sum() >= LEAST:
        slope = field_slope(new[deep], own[deep], points[:, deep])
        seen = np.percentile(points[:, deep], [1, 99], axis=1).T
        known = known._replace(slope=slope, seen=seen)
    new = new * known.places(points)
    skin = np.ones(len(LAYERS_MM))
    for n, (low, high) in enumerate(LAYERS_MM):
        ours, theirs = (v[(d > low) & (d <= high)] for v, d in zip((new, own), depths, strict=True))
        if min(ours.size, theirs.size) >= LEAST_SKIN and np.median(ours) > 0:
            skin[n] = np.clip(np.median(theirs) / np.median(ours), *LAYER_LIMITS)
    return known._replace(skin=skin)


def field_slope(new: np.ndarray, own: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the plane that fits the logarithm of own over new: constant, and per mm.

    Parameters
    ----------
    new, own : numpy.ndarray
        Intensities at the same places, (n,).
    points : numpy.ndarray
        The places in mm, (3, n).
    """
    from scipy.ndimage import gaussian_filter

    cells = np.floor(points / CELL_MM).astype(int)
    cells -= cells.min(axis=1, keepdims=True)
    shape = tuple(cells.max(axis=1) + 1)
    flat = np.ravel_multi_index(tuple(cells), shape)
    sums = [
        gaussian_filter(np.bincount(flat, w, np.prod(shape)).reshape(shape), 1.0, mode="constant")
        for w in (np.ones(new.size), new, own, *points)
    ]
    count, ours, theirs = sums[:3]
    used = (count > 0.1 * count.max()) & (ours > 0) & (theirs > 0)
    if used.sum() < 8:
        return np.zeros(4)
    weight = np.sqrt(count[used])
    plane = np.stack([weight, *(weight * p[used] / count[used] for p in sums[3:])], axis=1)
    ratio = np.log(theirs[used] / ours[used])
    return np.linalg.lstsq(plane, weight * ratio, rcond=None)[0]


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
