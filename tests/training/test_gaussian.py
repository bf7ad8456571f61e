"""What a Gaussian of few examples expects of values that are not known."""

import numpy as np
import pytest

from refacebench.training import gaussian


@pytest.fixture
def examples():
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 4)) @ rng.normal(size=(4, 30)) + rng.normal(size=30)


def test_all_components_together_are_the_covariance(examples):
    model = gaussian.fit(examples, 10)
    assert len(model.loadings) == 4  # as many as were planted
    np.testing.assert_allclose(model.mean, examples.mean(axis=0))
    covariance = np.cov(examples.T, bias=True)
    np.testing.assert_allclose(model.loadings.T @ model.loadings, covariance, atol=1e-10)


def test_few_components_are_the_largest(examples):
    model = gaussian.fit(examples, 2)
    values = np.sort(np.linalg.eigvalsh(np.cov(examples.T, bias=True)))[::-1]
    np.testing.assert_allclose((model.loadings**2).sum(axis=1), values[:2])


@pytest.mark.parametrize("noise", [0.01, 1.0, 100.0])
def test_expectation_is_that_of_the_formula_for_conditional_gaussians(examples, noise):
    """mean_u + C_uk (C_kk + noise I)^-1 (x_k - mean_k), written out with the full covariance."""
    model = gaussian.fit(examples, 3)
    known = np.arange(30) % 3 == 0
    x = np.random.default_rng(4).normal(size=30)
    c = model.loadings.T @ model.loadings
    inner = c[np.ix_(known, known)] + noise * np.eye(known.sum())
    wanted = model.mean + c[:, known] @ np.linalg.solve(inner, (x - model.mean)[known])
    np.testing.assert_allclose(gaussian.expected(model, x, known, noise), wanted, rtol=1e-6)


def test_a_planted_relation_is_found_again():
    """The second half is twice the first one, and a bit more: of a new person, too."""
    rng = np.random.default_rng(5)
    first = rng.normal(size=(8, 3))
    model = gaussian.fit(np.hstack([first, 2 * first + 1]), 8)
    new = rng.normal(size=3)
    known = np.arange(6) < 3
    found = gaussian.expected(model, np.hstack([new, np.full(3, np.nan)]), known, 1e-9)
    np.testing.assert_allclose(found[3:], 2 * new + 1, rtol=1e-6)


def test_nothing_known_or_nothing_that_varies_gives_the_mean(examples):
    for model in (gaussian.fit(examples, 3), gaussian.fit(examples[:1], 3)):
        nothing = np.zeros(30, bool)
        for known in (nothing, ~nothing)[: 1 + (len(model.loadings) == 0)]:
            np.testing.assert_array_equal(
                gaussian.expected(model, examples[3], known, 1.0), model.mean
            )


def test_no_example_is_refused():
    with pytest.raises(ValueError, match="no example"):
        gaussian.fit(np.zeros((0, 3)), 1)
