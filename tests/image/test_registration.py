"""Registration of arrays: known matrices and shifts are found."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from balls import solid
from refacebench.image import registration


def blobs(size=32):
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), 3.0)
    return (image / image.std() * ndimage.gaussian_filter(solid(size, 11).astype(float), 1)).astype(
        np.float32
    )


def test_affine_recovers_a_known_matrix():
    moving = blobs()
    true = np.array(
        [[1.05, 0.06, 0, 0.4], [-0.05, 0.96, 0.03, -1.1], [0, 0.02, 1.08, 0.7], [0, 0, 0, 1]]
    )
    fixed = ndimage.affine_transform(moving, true[:3, :3], true[:3, 3], order=3)
    found = registration.affine(fixed[None], moving[None], np.eye(4))
    corners = np.array([[4, 4, 4, 1], [27, 4, 20, 1], [10, 27, 27, 1]]).T
    assert np.abs((found - true) @ corners).max() < 0.1  # voxels


def test_demons_recover_a_known_shift_field():
    moving = blobs()
    grid = np.indices(moving.shape, dtype=float)
    true = np.stack([1.5 * np.sin(grid[1] / 10), np.zeros_like(moving), 0 * moving + 1.0])
    fixed = ndimage.map_coordinates(moving, grid + true, order=3)
    found = registration.demons(fixed[None], moving[None], ((0.5, 60), (1.0, 60)))
    inner = solid(32, 7)
    before = np.sqrt((true**2).sum(axis=0))[inner].mean()
    after = np.sqrt(((found - true) ** 2).sum(axis=0))[inner].mean()
    assert after < 0.25 * before
