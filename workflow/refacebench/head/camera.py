"""A camera and lights in front of a head: depth maps, normals and pictures of its surface.

Everything is looked at by parallel rays from fixed places.  Arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np

from refacebench.head.surface import CENTER, Field, normals_at, trace

#: Half of the depth, in mm before and behind CENTER, in which a ray looks for the surface.
REACH_MM = 140.0
#: Where the camera stands: (degrees to the subject's left, degrees upwards), frontal first.
VIEWS = tuple((float(yaw), float(up)) for up in (0, 12, -12) for yaw in (0, 25, -25))
#: Where the light comes from, seen from the camera: (degrees to the right, degrees upwards).
LIGHTS = tuple((float(side), float(up)) for up in (20, 50, -10) for side in (0, 40, -40))
AMBIENT = 0.15
#: Grey of what is no head.
GROUND = 110


def camera(angles: tuple[float, float]) -> np.ndarray:
    """Return the camera's axes in head mm as rows: right of the picture, up, towards the camera.

    >>> camera((0.0, 0.0)).round(3) + 0
    array([[-1.,  0.,  0.],
           [ 0.,  0.,  1.],
           [ 0.,  1.,  0.]])
    """
    yaw, up = np.deg2rad(angles)
    towards = np.array([-np.sin(yaw) * np.cos(up), np.cos(yaw) * np.cos(up), np.sin(up)])
    right = np.array([-np.cos(yaw), -np.sin(yaw), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def pixel_grid(pixels: int, half_field_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of every pixel's centre in mm to the right and up, shape (pixels, pixels).

    >>> right, up = pixel_grid(2, 10.0)
    >>> right.tolist(), up.tolist()
    ([[-5.0, 5.0], [-5.0, 5.0]], [[5.0, 5.0], [-5.0, -5.0]])
    """
    place = (np.arange(pixels) + 0.5) * (2 * half_field_mm / pixels) - half_field_mm
    right, down = np.meshgrid(place, place)
    return right, -down


def project(points: np.ndarray, angles, pixels: int, half_field_mm: float) -> np.ndarray:
    """Return where points of head mm, shape (n, 3), lie in a view: (column, row) in pixels."""
    right, up, _ = camera(angles) @ (np.asarray(points, float) - CENTER).T
    scale = pixels / (2 * half_field_mm)
    return np.stack([(right + half_field_mm) * scale, (half_field_mm - up) * scale], axis=1) - 0.5


def look(field: Field, angles, pixels: int, half_field_mm: float):
    """Return a depth map and the normals of the surface, as one camera sees them.

    Returns
    -------
    depth : numpy.ndarray of float32
        Shape (pixels, pixels), see :class:`Rendering`.
    normals : numpy.ndarray of float32
        Shape (pixels, pixels, 3), head mm, outwards, length one; NaN where
        there is no surface.
    """
    axes = camera(angles)
    right, up = pixel_grid(pixels, half_field_mm)
    plane = CENTER + right.reshape(-1, 1) * axes[0] + up.reshape(-1, 1) * axes[1]
    start = plane + REACH_MM * axes[2]
    path = trace(field, start, np.broadcast_to(-axes[2], start.shape), 2 * REACH_MM)
    depth = (REACH_MM - path).astype(np.float32)
    normals = np.full((path.size, 3), np.nan, np.float32)
    hit = np.isfinite(path)
    normals[hit] = normals_at(field, start[hit] - path[hit, None] * axes[2])
    shape = (pixels, pixels)
    return depth.reshape(shape), normals.reshape(*shape, 3)


def shade(normals: np.ndarray, angles, light: tuple[float, float]) -> np.ndarray:
    """Return the picture of a matt surface under one far light (Lambert), uint8.

    Parameters
    ----------
    normals : numpy.ndarray
        Shape (pixels, pixels, 3), from :func:`look`.
    angles, light
        Entries of :data:`VIEWS` and :data:`LIGHTS`.
    """
    side, up = np.deg2rad(light)
    towards = np.array([np.sin(side) * np.cos(up), np.sin(up), np.cos(side) * np.cos(up)])
    lit = np.clip(normals @ (towards @ camera(angles)), 0, 1)
    picture = np.rint(255 * (AMBIENT + (1 - AMBIENT) * lit))
    return np.where(np.isfinite(picture), picture, GROUND).astype(np.uint8)
