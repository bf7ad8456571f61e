"""What examples and smoothness together expect of a field's values that are not known."""

import numpy as np
import pytest

from refacebench.training import gaussian
from refacebench.training.gaussian import Law


@pytest.fixture
def examples():
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 4)) @ rng.normal(size=(4, 30))


def test_all_components_together_are_the_mean_product(examples):
    found = gaussian.components(examples, 10)
    assert len(found) == 4  # as many as were planted
    np.testing.assert_allclose(found.T @ found, examples.T @ examples / 6, atol=1e-10)


def test_few_components_are_the_largest(examples):
    found = gaussian.components(examples, 2)
    values = np.sort(np.linalg.eigvalsh(examples.T @ examples / 6))[::-1]
    np.testing.assert_allclose((found**2).sum(axis=1), values[:2])


def covariance(law, places, loadings):
    """Of all values of a field, channel by channel, written out."""
    flat = loadings.reshape(len(loadings), -1)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    smooth = law.smooth * np.exp(-((distance / law.reach) ** 2) / 2)
    smooth += law.fine * np.exp(-((distance / law.short) ** 2) / 2)
    return law.examples * flat.T @ flat + np.kron(np.eye(loadings.shape[1]), smooth)


@pytest.mark.parametrize("law", [
    Law(0.0, 5.0, 10.0, 2.0, 0.0, 1.0),
    Law(0.3, 5.0, 10.0, 1.0, 3.0, 1.0),
    Law(1.0, 2.0, 1e-9, 1.0, 1.0, 0.5),
])  # fmt: skip
def test_expectation_is_that_of_the_formula_for_conditional_gaussians(law, monkeypatch):
    """C_uk (C_kk + noise I)^-1 x_k with the full covariance of three channels."""
    monkeypatch.setattr(gaussian, "BLOCK", 7)
    rng = np.random.default_rng(4)
    places, loadings = rng.uniform(0, 10, (20, 3)), rng.normal(size=(5, 3, 20))
    values, known = rng.normal(size=(3, 20)), np.arange(20) < 8
    every = covariance(law, places, loadings)
    all_known = np.tile(known, 3)
    inner = every[np.ix_(all_known, all_known)] + law.noise * np.eye(3 * 8)
    wanted = every[np.ix_(~all_known, all_known)] @ np.linalg.solve(inner, values[:, known].ravel())
    found = gaussian.expected(
        law,
        (places[known], values[:, known], loadings[:, :, known]),
        (places[~known], loadings[:, :, ~known]),
    )
    np.testing.assert_allclose(found, wanted.reshape(3, -1), rtol=1e-6)


def test_a_planted_relation_is_found_again_beyond_the_reach_of_smoothness():
    """Far away the field is twice what it is here: of a new person, too."""
    rng = np.random.default_rng(5)
    here = rng.normal(size=(8, 1, 3))
    loadings = gaussian.components(np.concatenate([here, 2 * here], 2).reshape(8, -1), 8)
    loadings = loadings.reshape(-1, 1, 6)
    new = rng.normal(size=(1, 3))
    near, far = np.eye(3), np.eye(3) + 1000
    law = Law(1.0, 5.0, 1e-9, 1.0, 0.0, 1e-9)
    found = gaussian.expected(law, (near, new, loadings[:, :, :3]), (far, loadings[:, :, 3:]))
    np.testing.assert_allclose(found, 2 * new, rtol=1e-5)


def test_without_examples_a_value_reaches_its_neighbours_and_fades_to_the_mean_head():
    nothing = np.zeros((0, 1, 1))
    known = (np.zeros((1, 3)), np.ones((1, 1)), nothing)
    asked = np.array([[0.0, 0, 0], [30, 0, 0], [300, 0, 0]])
    found = gaussian.expected(
        Law(1.0, 30.0, 1.0, 1.0, 0.0, 1e-6), known, (asked, np.zeros((0, 1, 3)))
    )
    np.testing.assert_allclose(found[0], [1, np.exp(-0.5), 0], atol=1e-5)


def test_nothing_known_gives_the_mean_head():
    loadings = np.ones((2, 3, 4))
    known = (np.zeros((0, 3)), np.zeros((3, 0)), loadings[:, :, :0])
    found = gaussian.expected(Law(*[1.0] * 6), known, (np.ones((4, 3)), loadings))
    np.testing.assert_array_equal(found, np.zeros((3, 4)))


def test_no_example_is_refused():
    with pytest.raises(ValueError, match="no example"):
        gaussian.components(np.zeros((0, 3)), 1)
