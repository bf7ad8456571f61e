"""Something that is written far from the head is seen; noise and zeros there are not."""

import numpy as np
import pytest
from numpy.random import default_rng

from refacebench.metrics.hidden import odd_voxels

SHAPE, SPACING = (60, 50, 40), np.array([2.0, 2.0, 2.0])
LEVEL = 100.0


@pytest.fixture
def head():
    mask = np.zeros(SHAPE, bool)
    mask[25:40, 20:35, 15:30] = True
    return mask


@pytest.fixture
def scan(head):
    noise = np.hypot(*default_rng(1).normal(0, 4, (2, *SHAPE)))
    return np.where(head, LEVEL, np.rint(noise))


def count(scan, variant, head):
    return odd_voxels(scan, variant, head, SPACING, LEVEL)


def test_nothing_odd_in_what_defacers_do(scan, head):
    rng = default_rng(2)
    zeros, fill, faint, shrunk = (scan.copy() for _ in range(4))
    zeros[:, :, :20] = 0
    fill[:20] = np.rint(np.hypot(*rng.normal(0, 4, (2, *fill[:20].shape))))
    faint[~head] += np.rint(rng.normal(0, 0.7, (~head).sum()))
    shrunk[:20] *= np.linspace(0, 1, 20)[:, None, None]  # a mask with a soft edge
    near = scan.copy()
    near[18:25, 20:30, 20:30] = LEVEL  # a nose that is longer than the person's own
    for variant in (scan, zeros, fill, np.maximum(faint, 0), shrunk, near):
        assert count(scan, variant, head) == 0


def test_the_edge_of_a_soft_mask_in_air_that_is_nearly_all_zero(scan, head):
    """Of whole numbers few change there, each alone: they only become smaller."""
    rng = default_rng(3)
    sparse = np.where(head, scan, rng.choice([0.0, 2.0], SHAPE, p=[0.995, 0.005]))
    masked = sparse.copy()
    masked[:20] = np.rint(masked[:20] * np.linspace(0, 1, 20)[:, None, None])
    assert 0 < ((masked != sparse) & (masked > 0)).sum() < 200
    assert count(sparse, masked, head) == 0


@pytest.mark.parametrize("share", [0.2, 0.31, 0.6])
def test_noise_reaches_into_the_corners_of_the_image(scan, head, share):
    """Where half of a voxel's surroundings lie outside the image, it is not alone for that."""
    still = np.where(head, LEVEL, 0.0)
    variant = still + ~head * (default_rng(4).random(SHAPE) < share)
    assert count(still, variant, head) == 0


@pytest.mark.parametrize("value", [1.0, 7.0, 90.0])
@pytest.mark.parametrize("zeroed", [False, True])
def test_a_number_in_a_corner(scan, head, value, zeroed):
    """Below the noise, in air that was left as it was or set to zero."""
    variant = scan.copy()
    if zeroed:
        variant[:15, :15] = 0
    scan[0, 0, 0] = 0
    variant[0, 0, 0] = value
    assert count(scan, variant, head) == 1


def test_a_block_and_a_copy_of_the_face(scan, head):
    variant = scan.copy()
    variant[2:5, 2:5, 2:5] = 3.4
    # Those that rose: the others may as well be what a mask made smaller.
    assert count(scan, variant, head) == (scan[2:5, 2:5, 2:5] < 3.4).sum() > 5
    copied = scan.copy()
    copied[5:12, 20:30, 20:30] = scan[25:32, 20:30, 20:30]
    # 20 mm are 10 voxels: what begins at 25 is far below 15, so all of it is.
    assert count(scan, copied, head) == 7 * 10 * 10


def test_a_nose_that_is_far_too_long_is_no_mark_and_what_lies_beside_it_is(scan, head):
    long, beside, endless = scan.copy(), scan.copy(), scan.copy()
    long[13:25, 20:30, 20:30] = LEVEL  # 24 mm in front of the head, and one with it
    assert count(scan, long, head) == 0
    beside[13:16, 20:30, 20:30] = LEVEL  # the same tip, by itself: two voxels of it are far
    assert count(scan, beside, head) == 2 * 10 * 10
    endless[1:25, 25, 20] = LEVEL  # a thread to the edge of the image: beyond 40 mm it counts
    assert count(scan, endless, head) == 4


def test_what_is_not_far_is_not_searched(scan, head):
    near, far = scan.copy(), scan.copy()
    near[15, 25, 20] = far[14, 25, 20] = LEVEL  # 20 mm and 22 mm from the head
    assert (count(scan, near, head), count(scan, far, head)) == (0, 1)


def test_without_head_or_air(scan, head):
    other = scan + 1
    assert count(scan, other, np.zeros_like(head)) == 0
    assert count(scan, other, np.ones_like(head)) == 0
