"""Words for heads that lie otherwise than their header says."""

import numpy as np
import pytest

from refacebench.head import turns
from refacebench.image.nifti import Volume, reorient


def marked():
    """A volume with one bright corner region for the crown and another one for the face."""
    data = np.zeros((20, 20, 20), np.float32)
    data[8:12, 8:12, 18:] = 2  # crown, up in RAS+
    data[8:12, 18:, 8:12] = 1  # face, in front
    return Volume(data, np.diag([10.0, 10.0, 10.0, 1.0]))


def upright(volume):
    data = reorient(volume).data
    return data.argmax() == marked().data.argmax() and data[9, 19, 9] == 1


@pytest.mark.parametrize(
    ("flips", "words"),
    [
        ((1, -1, -1), "turned upside down"),
        ((-1, -1, -1), "turned upside down"),  # a mirror image looks the same
        ((-1, -1, 1), "front and back"),
        ((1, -1, 1), "front and back"),
        ((1, 1, -1), "top and bottom"),
        ((-1, 1, -1), "top and bottom"),
    ],
)
def test_the_turn_that_puts_a_head_upright_is_named(monkeypatch, flips, words):
    monkeypatch.setattr(turns, "_likeness", lambda volume: float(upright(volume)))
    monkeypatch.setattr(turns, "_registers", lambda volume: True)
    head = marked()
    lying = Volume(head.data, np.diag([*flips, 1.0]) @ head.affine)
    assert words in turns.explanation(lying)


def test_an_upright_head_and_one_that_never_fits_get_no_words(monkeypatch):
    monkeypatch.setattr(turns, "_registers", lambda volume: True)
    monkeypatch.setattr(turns, "_likeness", lambda volume: float(upright(volume)))
    assert turns.explanation(marked()) == ""
    monkeypatch.setattr(turns, "_likeness", lambda volume: 1.0)
    monkeypatch.setattr(turns, "_registers", lambda volume: False)
    assert turns.explanation(marked()) == ""
