"""The head mask: noise, wrap-around, nothing to see."""

from __future__ import annotations

import numpy as np
import pytest

from balls import solid
from refacebench.head import masks
from refacebench.image import nifti


@pytest.mark.parametrize("voxel", [2.0, 1.0])
def test_head_mask_finds_a_noisy_head_and_leaves_the_wrapped_part(voxel):
    rng = np.random.default_rng(0)
    size = int(96 / voxel)
    head = solid(size, 30 / voxel)
    sinus = solid(size, 6 / voxel)
    wrapped = solid(size, 5 / voxel, (size - 1, size // 2, size // 2))
    data = 100.0 * (head & ~sinus) + 60.0 * wrapped
    data = np.abs(data + rng.normal(0, 5, data.shape)).astype(np.float32)
    found = masks.head_mask(nifti.Volume(data, np.diag([voxel] * 3 + [1.0])))
    assert not (found & wrapped).any()
    assert found[sinus].all()
    dice = 2 * (found & head).sum() / (found.sum() + head.sum())
    assert dice > 0.97


def test_head_mask_of_a_constant_image_is_an_error():
    with pytest.raises(ValueError, match="constant"):
        masks.head_mask(nifti.Volume(np.ones((20, 20, 20), np.float32), np.eye(4)))
