"""When the state of a training is written: small ones always, large ones by time."""

import pytest

pytest.importorskip("torch")
from refacebench.training import state  # noqa: E402


class Clock:
    """A clock that goes when it is told to."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def written(size, writing, epoch, epochs):
    """Return in which epochs a state is written, if writing and an epoch take so many seconds."""
    clock, numbers = Clock(), []
    due = state.Due(clock)
    for number in range(1, epochs + 1):
        clock.seconds += epoch
        if due.now(size):
            numbers.append(number)
            with due.timed():
                clock.seconds += writing
    return numbers


def test_small_states_are_written_after_every_validation():
    assert written(state.SMALL_BYTES, writing=100.0, epoch=1.0, epochs=4) == [1, 2, 3, 4]


def test_large_states_are_written_when_that_costs_a_twentieth():
    # Four seconds to write: at once, and then after 80 seconds of training, eight epochs of ten.
    assert written(1e9, writing=4.0, epoch=10.0, epochs=20) == [1, 9, 17]
    # Epochs that are longer than that anyway: after each.
    assert written(1e9, writing=4.0, epoch=90.0, epochs=3) == [1, 2, 3]
