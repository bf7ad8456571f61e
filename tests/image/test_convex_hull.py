"""The convex hull in whole numbers, against exact answers and scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hollows import person
from refacebench.image import convex_hull

points = st.lists(st.tuples(*[st.integers(0, 11)] * 3), min_size=4, max_size=25)


@settings(max_examples=40, deadline=None)
@given(points)
def test_hull_is_exact(corners):
    """Against a linear program a voxel: is it a convex combination of the corners?"""
    from scipy.optimize import linprog

    mask = np.zeros((12, 12, 12), bool)
    mask[tuple(np.array(corners).T)] = True
    known = np.argwhere(mask)
    if np.linalg.matrix_rank(known - known[0]) < 3:
        with pytest.raises(ValueError, match="no convex hull"):
            convex_hull.convex_hull(mask)
        return
    filled = convex_hull.convex_hull(mask)
    assert np.array_equal(convex_hull.convex_hull(filled), filled)
    rng = np.random.default_rng(0)
    low, high = known.min(axis=0), known.max(axis=0)
    equal = np.vstack([known.T, np.ones(len(known))])
    for voxel in rng.integers(low, high + 1, (25, 3)):
        answer = linprog(np.zeros(len(known)), A_eq=equal, b_eq=[*voxel, 1], method="highs")
        assert filled[tuple(voxel)] == (answer.status == 0)


def test_hull_agrees_with_scikit_image():
    from skimage.morphology import convex_hull_image

    _, head, _ = person(1)
    assert np.array_equal(
        convex_hull.convex_hull(head), convex_hull_image(head, offset_coordinates=False)
    )
