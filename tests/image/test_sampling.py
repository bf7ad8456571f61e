"""Linear interpolation anywhere, against scipy's in double precision."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from refacebench.image import sampling

#: scipy's names for what lies outside.
OUTSIDE = {"border": "nearest", "zeros": "grid-constant"}


def expected(image, where, outside):
    return np.stack(
        [
            ndimage.map_coordinates(
                channel.astype(float), where.astype(float), order=1, mode=OUTSIDE[outside]
            )
            for channel in image
        ]
    )


def test_a_volume_is_sampled_as_scipy_does():
    """In and outside of it."""
    shape = (9, 7, 8)
    rng = np.random.default_rng(1)
    image = rng.normal(size=(2, *shape)).astype(np.float32)
    where = np.stack([rng.uniform(-2, n + 1, (6, 5, 4)) for n in shape]).astype(np.float32)
    found = sampling.sample(image, where)
    assert found.shape == (2, 6, 5, 4)
    for values, one in zip(found, image, strict=True):
        wanted = ndimage.map_coordinates(one, where, order=1, mode="nearest")
        assert np.abs(values - wanted).max() < 1e-5


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_sampled_as_scipy_does(outside, channels):
    """In and outside of it, and at its very edges."""
    shape = (9, 7, 8)
    rng = np.random.default_rng(1)
    image = rng.normal(size=(channels, *shape)).astype(np.float32)
    where = np.stack([rng.uniform(-2, n + 1, (6, 5, 4)) for n in shape]).astype(np.float32)
    where[:, 0, 0, 0] = 0
    where[:, 0, 0, 1] = np.array(shape) - 1
    where[:, 0, 0, 2] = (8, 0, 7)
    found = sampling.sample(image, where, outside)
    assert found.shape == (channels, 6, 5, 4)
    # 63 rows in single precision, and slopes of up to 4 a voxel.
    assert np.abs(found - expected(image, where, outside)).max() < 63 * 4 * 2.0**-24 + 1e-5


def test_each_voxel_is_found_again_in_a_large_image():
    """As many rows as a whole head has: what single precision can still tell apart."""
    shape = (160, 190, 12)
    rng = np.random.default_rng(2)
    image = rng.normal(size=(1, *shape)).astype(np.float32)
    found = sampling.sample(image, np.indices(shape))
    assert np.abs(found - image).max() < 5e-3
    some = rng.uniform(0, 1, (3, 200_000)) * (np.array(shape)[:, None] - 1)
    error = sampling.sample(image, some) - expected(image, some, "border")
    assert np.abs(error).max() < 2e-2
    assert error.std() < 1e-3


def test_blocks_join_without_a_seam(monkeypatch):
    rng = np.random.default_rng(3)
    image = rng.normal(size=(2, 11, 12, 13)).astype(np.float32)
    where = rng.uniform(-1, 13, (3, 5000)).astype(np.float32)
    whole = sampling.sample(image, where)
    monkeypatch.setattr(sampling, "BLOCK", 7)
    np.testing.assert_allclose(sampling.sample(image, where), whole, atol=1e-4)


def test_a_place_that_is_no_number_spoils_no_other():
    image = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5)
    where = np.array([[1, np.nan, 2], [1, 1, 3], [1, 1, 4]], np.float32)
    found = sampling.sample(image, where)
    np.testing.assert_allclose(found[0, [0, 2]], [26, 59], atol=1e-4)


@pytest.mark.parametrize("together", [1, 1 << 18])
def test_a_turned_grid_is_sampled_as_scipy_does(monkeypatch, together):
    monkeypatch.setattr(sampling, "GRID_BLOCK", together)
    image = np.random.default_rng(0).random((9, 11, 13), dtype=np.float32)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (20, -10, 30), degrees=True).as_matrix()
    matrix[:3, 3] = (-1, 2, 3)
    found = sampling.sample_grid(image, matrix, (12, 10, 14))
    wanted = ndimage.affine_transform(
        image.astype(float),
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=(12, 10, 14),
        order=1,
        mode="grid-constant",
    )
    assert (wanted == 0).any()
    assert np.abs(found - wanted).max() < 1e-5
