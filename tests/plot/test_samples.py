"""Slices over a training: what is shown of them."""

import numpy as np

from refacebench.faces import SHOWN
from refacebench.plot import samples


def drawn(changed):
    """Return the figure of three slices, of which the defacer changed some."""
    original = np.full((3, 20, 20), 100, dtype=np.uint8)
    original[:, :, 0] = [[10], [20], [30]]  # tells them apart
    defaced = original.copy()
    for n in changed:
        defaced[n, 10:, 10:] = 0
    given = {"defaced": defaced, "epoch-0001": defaced, "original": original}
    return samples.draw(given, 1, "public")


def shown(figure):
    """Return which slices stand in the last column, from top to bottom."""
    last = [axes for axes in figure.axes if axes.get_subplotspec().is_last_col()]
    return [int(axes.images[0].get_array()[0, 0]) // 10 - 1 for axes in last]


def test_slices_without_a_face_to_put_back_are_left_out():
    figure = drawn([0, 2])
    assert shown(figure) == [0, 2]
    assert figure.get_label() == SHOWN


def test_where_nothing_was_changed_all_slices_are_shown():
    assert shown(drawn([])) == [0, 1, 2]
