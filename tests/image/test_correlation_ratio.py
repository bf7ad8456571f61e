"""Registration by the correlation ratio: known matrices are found under any contrast."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from balls import solid
from refacebench.image import correlation_ratio
from refacebench.image.nifti import Volume

TRUE = np.array(
    [[1.05, 0.06, 0, 0.8], [-0.05, 0.96, 0.03, -2.2], [0, 0.02, 1.06, 1.4], [0, 0, 0, 1]]
)
CORNERS = np.array([[16.0, 16, 16, 1], [54, 16, 40, 1], [20, 54, 54, 1]]).T


def blobs():
    """Smooth noise in a ball, all positive, on voxels of 2 mm."""
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(36,) * 3), 3.0)
    ball = ndimage.gaussian_filter(solid(36, 13).astype(float), 1)
    return Volume(((3 + noise / noise.std()) * ball).astype(np.float32), np.diag([2.0, 2, 2, 1]))


def moved(image):
    """Return the image whose place x shows what is at TRUE x in the given one."""
    voxels = np.linalg.inv(image.affine) @ TRUE @ image.affine
    data = ndimage.affine_transform(image.data, voxels[:3, :3], voxels[:3, 3], order=3)
    return image.with_data(data.astype(np.float32))


CONTRASTS = {
    "the same": lambda x: x,
    "steeper": lambda x: x**2,
    "turned over": lambda x: 12 - x,
}


@pytest.mark.parametrize("contrast", CONTRASTS.values(), ids=CONTRASTS)
def test_a_known_matrix_is_found(contrast):
    fixed = blobs()
    moving = moved(fixed)
    moving = moving.with_data(contrast(moving.data).astype(np.float32))
    target = correlation_ratio.target(fixed, solid(36, 15))
    found = correlation_ratio.affine(target, moving, np.eye(4))
    assert np.abs((found - TRUE) @ CORNERS).max() < 0.5  # mm, a quarter of a voxel
    assert np.abs((np.eye(4) - TRUE) @ CORNERS).max() > 3


def test_what_lies_outside_the_moving_image_does_not_count():
    fixed = blobs()
    moving = moved(fixed)
    cut = Volume(moving.data[:, :, 12:], moving.affine.copy())
    cut.affine[2, 3] += 24
    target = correlation_ratio.target(fixed, solid(36, 15))
    found = correlation_ratio.affine(target, cut, np.eye(4))
    assert np.abs((found - TRUE) @ CORNERS).max() < 0.6


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_flat_image_or_one_far_away_tells_nothing(shift, level):
    fixed = blobs()
    flat = fixed.with_data(np.full_like(fixed.data, level))
    start = np.eye(4)
    start[0, 3] = shift
    target = correlation_ratio.target(fixed, solid(36, 15))
    assert (correlation_ratio.affine(target, flat, start) == start).all()


def test_the_share_left_over_is_that_of_a_table_of_means():
    """With whole levels far apart, every level's mean is a plain mean of the values there."""
    rng = np.random.default_rng(0)
    levels = rng.choice([4.0, 12.0, 20.0], 3000).astype(np.float32)
    values = (levels / 10 + rng.normal(size=3000)).astype(np.float32)
    known = rng.random(3000) < 0.8
    error, _, rest = correlation_ratio.unexplained(levels, np.zeros((3, 3000)), known, values)
    means = {level: values[known & (levels == level)].mean() for level in (4.0, 12.0, 20.0)}
    expected = (values - np.vectorize(means.get)(levels)) * known
    assert rest == pytest.approx(expected, abs=1e-4)
    assert error == pytest.approx((expected[known] ** 2).mean() / values[known].var(), rel=1e-4)
