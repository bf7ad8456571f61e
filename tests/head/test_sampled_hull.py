"""The sampled hull of a head: marks from six sides, turns, carving."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from refacebench.head import sampled_hull  # noqa: E402


def test_first_voxels_are_marked_from_six_sides():
    cube = torch.zeros(5, 5, 5, dtype=torch.bool)
    cube[1:4, 1:4, 1:4] = True
    marks = sampled_hull.first_voxels(cube) * 6
    assert marks[2, 2, 2] == 0
    assert marks[1, 2, 2] == 1  # a face: seen from one side
    assert marks[1, 1, 2] == 2  # an edge
    assert marks[1, 1, 1] == 3  # a corner
    assert marks.sum() == 6 * 9
    assert (marks[~cube] == 0).all()


def test_surface_probability_lies_on_the_surface():
    at = np.indices((32, 32, 32)) - 15.5
    ball = (at**2).sum(axis=0) < 12**2
    found = sampled_hull.surface_probability(ball, (2, 2, 2), 4, torch.Generator().manual_seed(1))
    radius = np.sqrt((at**2).sum(axis=0))
    assert found.numpy()[radius < 9].max() == 0
    assert found.numpy()[radius > 15].max() == 0
    # Every direction is as good as another: the mean probability is the same in all octants.
    octants = found.reshape(2, 16, 2, 16, 2, 16).sum(dim=(1, 3, 5)).flatten()
    assert octants.std() / octants.mean() < 0.05
    # Six shadows of a disc, a sixth each.
    assert found.sum() == pytest.approx(np.pi * 12**2, rel=0.05)


def test_turns_are_rigid_for_any_voxel_shape():
    """Half as many voxels of double length along one axis: the same ball, the same map."""
    at = np.indices((16, 32, 32)) * np.array([2.0, 1, 1])[:, None, None, None]
    ball = ((at - np.array([15, 15.5, 15.5])[:, None, None, None]) ** 2).sum(axis=0) < 12**2
    found = sampled_hull.surface_probability(ball, (2, 1, 1), 4, torch.Generator().manual_seed(1))
    near = np.sqrt(((at - np.array([15, 15.5, 15.5])[:, None, None, None]) ** 2).sum(axis=0))
    assert found.numpy()[(near < 8) | (near > 15.5)].max() == 0
    assert found.sum() > 0


def test_carved_volume_is_the_intersection_of_half_spaces():
    normals, offsets = np.array([[1, 0, 0], [0, 2, -1]]), np.array([2, 3])
    found = sampled_hull.carve((5, 5, 5), normals, offsets)
    i, j, k = np.indices((5, 5, 5))
    assert np.array_equal(found, (i <= 2) & (2 * j - k <= 3))
