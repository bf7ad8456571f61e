"""A mixture of Gaussians that maps of probabilities steer."""

import numpy as np
import pytest

from refacebench.image import mixture


def drawn(seed=0, n=20_000):
    """Three classes of known means; the maps are right in nine of ten voxels."""
    rng = np.random.default_rng(seed)
    priors = np.full((3, n), 0.05)
    priors[rng.integers(0, 3, n), np.arange(n)] = 0.9
    truth = (rng.random(n) > priors.cumsum(axis=0)).sum(axis=0)
    means = np.array([20.0, 60.0, 100.0])
    return means[truth] + 12.0 * rng.standard_normal(n), priors, truth, means


def test_means_and_noise_are_found_again():
    values, priors, truth, means = drawn()
    model = mixture.fit(values, priors, (1, 1, 1))
    assert model["means"] == pytest.approx(means, abs=1.0)
    assert model["deviations"] == pytest.approx(12.0, rel=0.05)
    found = mixture.posteriors(values, priors, model)
    assert found.sum(axis=0) == pytest.approx(1.0, abs=1e-5)
    by_maps, by_both = ((p.argmax(axis=0) != truth).mean() for p in (priors, found))
    assert by_both < 0.5 * by_maps


def test_the_maps_alone_tell_classes_of_one_intensity_apart():
    """Bone is as dark as CSF: place decides, and neither class takes the other's voxels."""
    rng = np.random.default_rng(1)
    inside = np.arange(10_000) < 5_000
    values = 30 + 5 * rng.standard_normal(10_000)
    priors = np.where(inside, [[0.95], [0.05]], [[0.05], [0.95]])
    model = mixture.fit(values, priors, (1, 1))
    found = mixture.posteriors(values, priors, model)
    assert np.array_equal(found[0] > 0.5, inside)
    assert found[0].sum() == pytest.approx(5_000, rel=0.02)


def test_a_class_of_two_gaussians_holds_two_kinds():
    rng = np.random.default_rng(2)
    own = np.concatenate([rng.normal(10, 3, 3_000), rng.normal(90, 3, 1_000)])
    other = rng.normal(50, 3, 4_000)
    values = np.concatenate([own, other])
    priors = np.full((2, values.size), 0.5)
    priors[0, :4_000], priors[1, :4_000] = 0.7, 0.3
    priors[0, 4_000:], priors[1, 4_000:] = 0.3, 0.7
    model = mixture.fit(values, priors, (2, 1))
    assert np.sort(model["means"][:2]) == pytest.approx([10, 90], abs=2)
    assert np.sort(model["shares"][:2]) == pytest.approx([0.25, 0.75], abs=0.03)
    found = mixture.posteriors(values, priors, model)
    assert (found[0, :4_000] > 0.5).mean() > 0.99
