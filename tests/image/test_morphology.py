"""Masks: components and holes; blocks of voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from refacebench.image import geometry, morphology


def test_block_mean_by_hand_and_edge():
    data = np.arange(6, dtype=float).reshape(3, 2, 1)
    # Rows 0, 1 and rows 2, 2 (the last one repeated).
    assert geometry.block_mean(data, (2, 1, 1)).tolist() == [[[1.0], [2.0]], [[4.0], [5.0]]]


def test_largest_component_and_holes():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:6, 1:6, 1:6] = True
    mask[3, 3, 3] = False
    mask[8, 8, 8] = True
    alone = morphology.largest_component(mask)
    assert alone.sum() == 124
    assert not alone[8, 8, 8]
    assert morphology.fill_holes(alone).sum() == 125
    assert not morphology.largest_component(np.zeros((3, 3, 3), bool)).any()


def test_holes_open_to_the_border_stay_open():
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2:] = False
    assert np.array_equal(morphology.fill_holes(mask), mask)


@pytest.mark.parametrize("radius", [1, 4, 9])
def test_within_is_the_exact_distance(radius):
    mask = np.random.default_rng(radius).random((23, 9, 31)) > 0.998
    assert mask.any()
    expected = ndimage.distance_transform_edt(~mask) <= radius
    assert np.array_equal(morphology.within(mask, radius), expected)
    assert not morphology.within(np.zeros((4, 4, 4), bool), radius).any()
