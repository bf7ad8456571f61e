"""Linear interpolation of images at any places: the step that registrations spend their time on.

Arrays in, arrays out.  torch interpolates between the voxels of a volume one by one, and between
the pixels of a picture many at once.  So each slice is interpolated as a picture, with the next
slice as further channels, and the two are mixed: the same values in a third of the time.  Places
are kept in single precision, in which a pixel's is good to about a thousandth.
"""

from __future__ import annotations

import numpy as np

from refacebench import lazy
from refacebench.image.nifti import Volume

torch = lazy.load("torch")

#: So many places are looked at together, few enough for the processor's cache: anywhere, and in
#: the planes of a grid.
BLOCK, GRID_BLOCK = 1 << 16, 1 << 18


def sample(image: np.ndarray, where: np.ndarray, outside: str = "border") -> np.ndarray:
    """Interpolate linearly at voxel coordinates.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (channels, i, j, k), float32; two voxels or more along each axis.
    where : numpy.ndarray
        Voxel coordinates, shape (3, ...).
    outside : str
        What lies beyond the outer voxels: ``border``, they go on, or ``zeros``.

    Returns
    -------
    numpy.ndarray
        float32, shape (channels, ...).
    """
    source = _Source(image, outside)
    places = torch.from_numpy(np.ascontiguousarray(where, np.float32)).reshape(3, -1)
    values = torch.empty((len(image), places.shape[1]))
    for start in range(0, places.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        values[:, block] = source.at(places[:, block])
    return values.reshape(len(image), *where.shape[1:]).numpy()


def sample_grid(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate an image linearly on the voxels of another grid; it fades to 0 at its edge.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (i, j, k), any type.
    matrix : numpy.ndarray
        4 x 4, voxels of the grid -> voxels of the image.
    shape : tuple of int
        The grid's.

    Returns
    -------
    numpy.ndarray
        float32, of the grid's shape.
    """
    source = _Source(np.asarray(image, np.float32)[None], "zeros")
    planes, rest = shape[0], tuple(shape[1:])
    together = max(1, GRID_BLOCK // max(1, rest[0] * rest[1]))
    along = [
        [torch.from_numpy((row[a] * np.arange(n)).astype(np.float32)) for a, n in enumerate(shape)]
        for row in matrix[:3]
    ]
    values = torch.empty(tuple(shape))
    places = torch.empty((3, min(together, planes), *rest))
    for start in range(0, planes, together):
        block = slice(start, min(start + together, planes))
        here = places[:, : block.stop - block.start]
        for axis, (i, j, k) in enumerate(along):
            plane = (i[block] + float(np.float32(matrix[axis, 3])))[:, None, None] + j[:, None]
            torch.add(plane, k, out=here[axis])
        values[block] = source.at(here.reshape(3, -1)).reshape(-1, *rest)
    return values.numpy()


def resample(volume: Volume, like: Volume) -> Volume:
    """Interpolate a volume linearly on the grid of another one, as :func:`sample_grid` does.

    :func:`refacebench.image.nifti.resample` is slower, exact to the last digit, and 0 from the
    outer voxels' centres on.
    """
    matrix = np.linalg.inv(volume.affine) @ like.affine
    return Volume(sample_grid(volume.data, matrix, like.shape), like.affine)


class _Source:
    """An image that is looked at in many places."""

    def __init__(self, image: np.ndarray, outside: str):
        self.image = torch.from_numpy(np.ascontiguousarray(image, np.float32))
        self.edge = 0
        if outside == "zeros":
            # A voxel of nothing all around: it goes on, as the outer ones do.
            self.edge = 1
            self.image = torch.nn.functional.pad(self.image, (1,) * 6)

    def at(self, places):
        """Return the values at places (3, n) as (channels, n)."""
        slices, rows, columns = self.image.shape[1:]
        depth = (places[0] + self.edge).clamp_(0, slices - 1)
        first, pairs = self._pairs(depth)
        before = depth.floor().clamp_(max=slices - 2)
        share = depth.sub_(before)
        row = before.sub_(first).mul_(rows).add_((places[1] + self.edge).clamp_(0, rows - 1))
        # torch counts from -1 (the first pixel's centre) to 1 (the last one's), columns first.
        grid = torch.empty((places.shape[1], 2))
        torch.mul(places[2] + self.edge, 2 / (columns - 1), out=grid[:, 0])
        torch.mul(row, 2 / (pairs.shape[1] - 1), out=grid[:, 1])
        both = torch.nn.functional.grid_sample(
            pairs[None],
            grid.sub_(1)[None, None],
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )[0, :, 0]
        return torch.lerp(both[: len(self.image)], both[len(self.image) :], share)

    def _pairs(self, depth):
        """Return the first slice that is needed, and all as one picture, each beside the next."""
        slices, _, columns = self.image.shape[1:]
        low, high = (float(v) for v in torch.aminmax(depth)) if len(depth) else (0.0, 0.0)
        if not low <= high:  # not a number among them: a map that went astray
            low, high = 0.0, slices - 1.0
        first, last = min(int(low), slices - 2), min(int(high), slices - 2) + 1
        part = self.image[:, first : last + 1]
        below, above = (p.reshape(len(part), -1, columns) for p in (part[:, :-1], part[:, 1:]))
        return first, torch.cat((below, above))
