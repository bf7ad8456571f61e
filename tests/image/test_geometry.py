"""Boxes around masks, and masks grown by millimetres."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import cdist

from refacebench.image.geometry import box_around, grow


@pytest.mark.parametrize("margin_mm", [0.5, 1.0, 2.6, 7.0])
def test_a_grown_mask_is_all_voxels_that_are_near_enough(margin_mm):
    """Against the distances of all pairs of voxels, also where the mask touches the edge."""
    mask = np.zeros((9, 8, 7), bool)
    mask[0, 3, 3:5] = True
    mask[5:7, 6, 1] = True
    spacing = np.array([1.0, 2.0, 1.3])
    places = np.argwhere(np.ones(mask.shape, bool)) * spacing
    nearest = cdist(places, np.argwhere(mask) * spacing).min(axis=1).reshape(mask.shape)
    assert np.array_equal(grow(mask, spacing, margin_mm), nearest <= margin_mm + 1e-6)


def test_nothing_grows_from_nothing_or_by_nothing():
    mask = np.zeros((4, 4, 4), np.uint8)
    assert not grow(mask, np.ones(3), 5.0).any()
    mask[1, 2, 3] = 1
    found = grow(mask, np.ones(3), 0.0)
    assert found.dtype == bool
    assert np.array_equal(found, mask > 0)


def test_a_box_is_as_small_as_it_can_be_and_ends_at_the_arrays_edge():
    mask = np.zeros((5, 6, 7), bool)
    assert box_around(mask) is None
    mask[1, 2, 3] = mask[3, 2, 6] = True
    assert box_around(mask) == (slice(1, 4), slice(2, 3), slice(3, 7))
    assert box_around(mask, (2, 0, 1)) == (slice(0, 5), slice(2, 3), slice(2, 7))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("margin_mm", [0.4, 2.0, 3.1, 20.0])
def test_growing_is_the_distance_to_the_mask(order, margin_mm):
    rng = np.random.default_rng(int(10 * margin_mm))
    for _ in range(8):
        shape, spacing = rng.integers(1, 30, 3), rng.choice([0.5, 0.7, 1.0, 1.2, 3.3], 3)
        mask = np.array(rng.random(shape) < 0.02, order=order)
        mask[tuple(rng.integers(0, shape))] = True
        expected = distance_transform_edt(~mask, sampling=spacing) <= margin_mm + 1e-6
        assert np.array_equal(grow(mask, spacing, margin_mm), expected)


def test_all_stays_all():
    assert grow(np.ones((4, 5, 6), bool), np.ones(3), 3.0).all()
