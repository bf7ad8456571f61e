"""Smooth deformations: flows, logarithms, pushes, random fields."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refacebench.datasets import (
    _fields,
)

FRAME = _fields.Frame.around((-40, -50, -45), (38, 50, 45), 5.0)


def test_frame_is_symmetric_and_covers_the_box():
    nodes = _fields.node_points(FRAME)
    assert np.allclose(nodes[0], -nodes[0][::-1])
    assert (nodes.min(axis=(1, 2, 3)) <= (-40, -50, -45)).all()
    assert (nodes.max(axis=(1, 2, 3)) >= (38, 50, 45)).all()


def test_flow_of_a_constant_velocity_is_a_shift():
    velocity = np.zeros((3, *FRAME.shape), np.float32)
    velocity[1] = 7.0
    assert np.allclose(_fields.flow(velocity, FRAME), velocity, atol=1e-4)


def test_flow_of_a_linear_velocity_is_exponential_growth():
    nodes = _fields.node_points(FRAME)
    displacement = _fields.flow(-0.2 * nodes, FRAME)
    # dx/dt = -0.2 x takes x to exp(-0.2) x; it points inwards, so no edge is involved.
    assert np.allclose(displacement, (np.exp(-0.2) - 1) * nodes, atol=0.15)
    assert np.allclose(_fields.jacobian(displacement, FRAME), np.exp(-0.6), atol=0.01)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.5, 4.0))
def test_flow_does_not_fold_and_has_an_inverse(seed, amplitude):
    velocity = amplitude * _fields.random_velocity(np.random.default_rng(seed), FRAME, 18.0, 0.9)
    there, back = _fields.flow(velocity, FRAME), _fields.flow(-velocity, FRAME)
    assert _fields.jacobian(there, FRAME).min() > 0
    points = _fields.node_points(FRAME)
    arrived = points + there
    home = arrived + _fields.sample(back, FRAME, arrived)
    inner = (slice(None), *[slice(5, -5)] * 3)
    assert np.abs(home - points)[inner].max() < 0.1 * FRAME.step * amplitude


def test_logarithm_of_a_flow_is_its_velocity():
    velocity = 1.5 * _fields.random_velocity(np.random.default_rng(3), FRAME, 20.0, 1.0)
    found = _fields.velocity_of_warp(_fields.flow(velocity, FRAME), _fields.flow(-velocity, FRAME))
    inner = (slice(None), *[slice(4, -4)] * 3)
    error = np.abs(found - velocity)[inner].max()
    assert error < 0.05 * np.abs(velocity).max()
    # One direction alone would be a worse estimate than the two together.
    assert error < np.abs(_fields.flow(velocity, FRAME) - velocity)[inner].max()


def test_pushes_move_tissue_forwards_and_are_symmetric():
    middle = _fields.push(FRAME, (0, 30, 0), (8, 8, 8), (0, 2.0, 0), paired=False)
    pair = _fields.push(FRAME, (20, 30, 0), (8, 8, 8), (1.5, 0, 0), paired=True)
    for velocity in (middle, pair):
        assert np.allclose(velocity, _fields.mirror(velocity), atol=1e-5)
    # Backward fields: tissue that moves forwards is sampled from behind.
    assert middle[1].min() == pytest.approx(-2.0, abs=1e-3)
    assert np.abs(middle[[0, 2]]).max() == 0


def test_random_velocity_has_unit_deviation_and_the_symmetry_asked_for():
    frame = _fields.Frame.around((-100, -100, -100), (100, 100, 100), 4.0)
    rng = np.random.default_rng(0)
    velocity = _fields.random_velocity(rng, frame, 8.0, 1.0)
    assert np.allclose(velocity, _fields.mirror(velocity), atol=1e-4)
    assert velocity.std() == pytest.approx(1.0, rel=0.15)
    loose = _fields.random_velocity(rng, frame, 8.0, 0.0)
    reflected = np.corrcoef(loose.ravel(), _fields.mirror(loose).ravel())[0, 1]
    assert abs(reflected) < 0.2


def test_receive_field_is_smooth_and_standardised():
    field = _fields.low_order(np.random.default_rng(1), (20, 24, 28))
    assert field.std() == pytest.approx(1.0, rel=1e-3)
    assert abs(field.mean()) < 0.05
    assert np.abs(np.diff(field, axis=0)).max() < 1.0
