"""The convex hull of a mask in whole numbers: it depends on the hull alone, to the last bit.

Arrays in, arrays out; touches no file.
"""

from __future__ import annotations

import numpy as np


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """Return all voxels whose centre lies in the convex hull of a mask's voxel centres.

    The planes of Qhull's triangles are made anew from the voxel indices, in
    whole numbers, and every column along the last axis is cut by the planes
    above and below it.  So the result depends on the hull alone, not on which
    points lay within it or in which order they came.

    Raises
    ------
    ValueError
        If the mask is empty or lies in a plane.
    """
    mask = np.asarray(mask, bool)
    corners = extreme_voxels(mask)
    triangles = corners[simplices(corners)]
    low = np.full(mask.shape[:2], 0, np.int64)
    high = np.full(mask.shape[:2], mask.shape[2] - 1, np.int64)
    normals, offsets = planes(triangles, corners)
    for triangle, normal, offset in zip(triangles, normals, offsets, strict=True):
        if normal[2]:
            _cut_columns(low, high, triangle, normal, offset)
    high[~_inside_outline(mask.shape[:2], corners)] = -1
    depth = np.arange(mask.shape[2])
    filled = (depth >= low[..., None]) & (depth <= high[..., None])
    if (mask & ~filled).any():
        raise RuntimeError("the convex hull does not contain all voxels of its mask")
    return filled


def extreme_voxels(mask: np.ndarray) -> np.ndarray:
    """Return the indices (n, 3) of the voxels that end their line along every axis.

    All corners of the convex hull are among them.
    """
    ends = mask.copy()
    for axis in range(3):
        count = mask.shape[axis]
        first = mask.argmax(axis=axis)
        last = count - 1 - np.flip(mask, axis).argmax(axis=axis)
        shape = [1, 1, 1]
        shape[axis] = count
        place = np.arange(count).reshape(shape)
        line = np.expand_dims(first, axis), np.expand_dims(last, axis)
        ends &= (place == line[0]) | (place == line[1])
    return np.argwhere(ends).astype(np.int64)


def simplices(points: np.ndarray) -> np.ndarray:
    """Return the triangles of the hull of points, as indices (n, 3) into them."""
    from scipy.spatial import ConvexHull, QhullError

    if len(points) < 4:
        raise ValueError("the head mask is empty or has no volume: it has no convex hull")
    try:
        return ConvexHull(points).simplices
    except QhullError:
        raise ValueError("the head mask lies in a plane: it has no convex hull") from None


def planes(triangles: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the planes of a hull's triangles in whole numbers: ``normal . x <= offset``.

    Parameters
    ----------
    triangles : numpy.ndarray of int
        Corners, shape (n, 3, 3).
    points : numpy.ndarray of int
        All points of the hull; they say which side is inside.

    Returns
    -------
    normals : numpy.ndarray of int64
        Shape (n, 3); zero for triangles without area.
    offsets : numpy.ndarray of int64
        Shape (n,).
    """
    a, b, c = np.moveaxis(triangles.astype(np.int64), 1, 0)
    normals = np.cross(b - a, c - a)
    offsets = (normals * a).sum(axis=1)
    # Whole numbers here too: n times the distance of the mean point, for n points.
    side = normals @ points.sum(axis=0) - offsets * len(points)
    flip = np.where(side > 0, -1, 1)
    return normals * flip[:, None], offsets * flip


def _cut_columns(low, high, triangle, normal, offset) -> None:
    """Cut the columns below and above one triangle by its plane.

    Only those under the triangle's own box: the plane that bounds a column
    belongs to a triangle that covers it.
    """
    (i0, j0), (i1, j1) = triangle[:, :2].min(axis=0), triangle[:, :2].max(axis=0) + 1
    box = slice(i0, i1), slice(j0, j1)
    rest = offset - normal[0] * np.arange(i0, i1)[:, None] - normal[1] * np.arange(j0, j1)
    if normal[2] > 0:
        np.minimum(high[box], rest // normal[2], out=high[box])
    else:
        np.maximum(low[box], -(rest // -normal[2]), out=low[box])


def _inside_outline(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Return the columns (boolean) that meet the hull: the convex hull of the points' shadow."""
    from scipy.spatial import ConvexHull

    flat = np.unique(points[:, :2], axis=0)
    corners = flat[ConvexHull(flat).vertices]  # counter-clockwise
    inside = np.ones(shape, bool)
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])
    for (a0, a1), (b0, b1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (b0 - a0) * (j - a1) - (b1 - a1) * (i - a0) >= 0
    return inside
