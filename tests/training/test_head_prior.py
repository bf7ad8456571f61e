"""Laying a scan with a hole on a head, and filling the hole from it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from refacebench.image import registration, sampling
from refacebench.image.nifti import Volume
from refacebench.training import head_prior

pytest.importorskip("torch")


def blobs(shape=(24, 26, 22), shift=0.0):
    """Return three soft balls, one of them moved."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)
    image = np.zeros(shape, np.float32)
    for center, wide in (((8, 9, 8), 3.5), ((15, 16, 13), 4.0), ((10 + shift, 18, 12), 3.0)):
        far = sum((g - c) ** 2 for g, c in zip(grid, center, strict=True))
        image += np.exp(-far / (2 * wide**2))
    return image


@pytest.fixture
def hole():
    hole = np.zeros((24, 26, 22), bool)
    hole[12:, 14:, :12] = True
    return hole


def test_what_lies_in_a_hole_moves_no_registration(hole):
    fixed, moving, kept = blobs(shift=2.0), blobs(), (~hole).astype(np.float32)
    filled = np.where(hole, 7.0, fixed).astype(np.float32)
    turns = [
        registration.affine(f[None], moving[None], np.eye(4), 10, kept) for f in (fixed, filled)
    ]
    np.testing.assert_array_equal(*turns)
    np.testing.assert_array_equal(*[head_prior.bend(f, moving, ~hole) for f in (fixed, filled)])


def test_an_affine_is_found_around_a_hole(hole):
    """The fixed image is the moving one under a known matrix, and nonsense in the hole."""
    planted = np.eye(4)
    planted[:3, :3] = [[1.05, 0.03, 0], [-0.02, 0.96, 0.01], [0, 0.02, 1.02]]
    planted[:3, 3] = [0.4, -0.6, 0.3]
    moving = blobs()
    points = np.tensordot(planted[:3, :3], np.indices(moving.shape), 1)
    points = (points + planted[:3, 3, None, None, None]).astype(np.float32)
    fixed = sampling.sample(moving[None], points)
    fixed[:, hole] = 3.0
    found = registration.affine(fixed, moving[None], np.eye(4), weight=(~hole).astype(np.float32))
    np.testing.assert_allclose(found, planted, atol=0.01)


def test_without_a_hole_a_weight_of_one_changes_nothing():
    fixed, moving, ones = blobs(shift=2.0)[None], blobs()[None], np.ones((24, 26, 22), np.float32)
    levels = ((0.5, 3), (1.0, 3))
    np.testing.assert_array_equal(
        registration.demons(fixed, moving, levels, weight=ones),
        registration.demons(fixed, moving, levels),
    )


def test_a_displacement_is_undone():
    """What a head looks like bent, brought back, is the head."""
    shape = head_prior.box(4.0).shape
    grid = np.indices(shape).astype(np.float32)
    head = np.exp(-(((grid - np.array(shape)[:, None, None, None] / 2) / 12) ** 2).sum(axis=0))
    head = head.astype(np.float32)
    moved = np.stack([1.5 * np.sin(g / 9) for g in grid[[1, 2, 0]]]).astype(np.float32)
    back = head_prior.onto(head_prior.bent(head, moved)[None], moved, 4.0)[0]
    assert np.abs(head_prior.bent(head, moved) - head).max() > 0.1
    assert np.abs(back - head)[4:-4, 4:-4, 4:-4].max() < 0.01


def test_the_mean_goes_on_downwards_where_no_scan_reaches():
    image = np.arange(4.0).reshape(1, 1, 4) + np.zeros((2, 2, 1))
    short, long = np.zeros((2, 2, 4), bool), np.zeros((2, 2, 4), bool)
    short[..., 2:] = long[..., 1:] = True
    found = head_prior.mean([(image, short), (image + 10, long)])
    np.testing.assert_array_equal(found[0, 0], [11, 11, 7, 8])


def test_values_fade_into_a_hole_from_its_border():
    kept = np.ones((9, 9, 60), bool)
    kept[..., 20:] = False
    found = head_prior.faded(np.full(kept.shape, 5.0), kept, 2.0)
    line = found[4, 4]
    assert (line[:20] == 5).all()
    assert (np.diff(line[19:]) <= 1e-6).all()
    assert line[20] > 4
    assert line[-1] == 0


def test_a_sharpened_head_has_steeper_edges_and_the_same_plateaus():
    head = np.zeros((9, 9, 60), np.float32)
    head[..., 20:40] = 1
    head = gaussian_filter(head, 1.0)
    found = head_prior.sharpened(head, 2.0)
    slopes = [np.diff(image[4, 4]).max() for image in (head, found)]
    # A step under a Gaussian has the slope 1 / (sigma sqrt(2 pi)), and variances add up.
    blurred = 1 / np.hypot(1, head_prior.SHARPEN_MM / 2)
    steeper = 1 + head_prior.SHARPEN * (1 - blurred)
    assert steeper > 1.05
    assert slopes[1] / slopes[0] == pytest.approx(steeper, rel=0.02)
    np.testing.assert_allclose(found[4, 4, [5, 30, 55]], [0, 1, 0], atol=1e-4)
    assert found.min() >= 0


def test_what_is_painted_is_looked_up_in_the_hole_and_a_voxel_around_it():
    data = np.ones((52, 68, 66), np.float32)
    changed = np.zeros(data.shape, bool)
    changed[20:30, 40:60, 10:30] = True
    place = head_prior.box(head_prior.COARSE_MM).affine
    seen = head_prior.Seen(data, changed, np.zeros(0), place, np.eye(4), 0.0, 1.0)
    found = head_prior.hole(seen)
    expected = changed.copy()
    for axis in range(3):
        expected |= np.roll(changed, 1, axis) | np.roll(changed, -1, axis)
    np.testing.assert_array_equal(found, expected)


def test_a_gain_is_that_of_the_tissue_that_was_kept():
    head = np.full(head_prior.box(4.0).shape, 0.8, np.float32)
    kept = np.ones(head.shape, bool)
    kept[:, 32:] = False
    own = np.where(kept, 1.5 * head, 99.0).astype(np.float32)
    np.testing.assert_allclose(head_prior.gains(own, head, kept), 1.5, rtol=1e-4)


def test_a_scan_without_a_head_left_is_refused():
    empty = Volume(np.zeros((30, 30, 30), np.float32), np.diag([4.0, 4, 4, 1]))
    with pytest.raises(ValueError, match=r"defacing left|constant"):
        head_prior.prepare(empty, np.ones(empty.shape, bool), None, 4.0)


def test_a_mirror_image_has_the_mirrored_displacement():
    """Of a symmetric head: bent by it, it is the mirror image of the head bent as before."""
    rng = np.random.default_rng(6)
    shape = head_prior.box(4.0).shape
    # As smooth as a head: places are good to a thousandth of a voxel, and slopes tell what that is.
    noise = gaussian_filter(rng.uniform(size=shape), 0.8).astype(np.float32)
    head = head_prior.symmetric(noise)
    np.testing.assert_array_equal(head, head[::-1])
    moved = gaussian_filter(rng.normal(size=(3, *shape)), (0, 3, 3, 3)).astype(np.float32) * 9
    once, again = (head_prior.bent(head, m) for m in (moved, head_prior.mirrored(moved)))
    assert np.abs(once - head).max() > 0.1
    np.testing.assert_allclose(again, once[::-1], atol=1e-4)


def test_some_places_of_a_mask_lie_in_it_and_are_spread_evenly():
    mask = np.zeros((20, 20, 20), bool)
    mask[4:, 2:, :] = True
    np.testing.assert_array_equal(head_prior.some(mask, 10**4), np.argwhere(mask))
    found = head_prior.some(mask, 800)
    assert 400 < len(found) <= 800
    assert (found % 2 == 0).all()
    assert mask[tuple(found.T)].all()
    assert head_prior.some(np.zeros((9, 9, 9), bool), 5).shape == (0, 3)
