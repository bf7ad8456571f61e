"""Bias field and tissue fractions against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from balls import solid
from refacebench.image import nifti, tissue

MEANS = np.array([20.0, 60.0, 100.0])


def three_balls(noise, seed=0, size=40):
    """White inside grey inside CSF, and the mask around all of it."""
    white, grey, mask = (solid(size, r) for r in (9, 14, 18))
    truth = np.stack([mask & ~grey, grey & ~white, white])
    data = np.tensordot(MEANS, truth.astype(float), 1)
    data += np.random.default_rng(seed).normal(0, noise, data.shape)
    return np.where(mask, data, 0).astype(np.float32), mask, truth


def test_fractions_sum_to_one_in_the_mask_and_to_zero_outside():
    data, mask, _ = three_balls(4.0)
    fractions, _ = tissue.tissue_fractions(data, mask, (1, 1, 1))
    assert fractions.min() >= 0
    assert np.allclose(fractions.sum(axis=0), mask, atol=1e-5)


def test_known_volumes_of_a_phantom():
    data, mask, truth = three_balls(4.0)
    fractions, model = tissue.tissue_fractions(data, mask, (1, 1, 1))
    # The phantom has sharp borders, so all error is noise: contrast is ten times the noise.
    for fraction, true in zip(fractions, truth, strict=True):
        assert fraction.sum() == pytest.approx(true.sum(), rel=0.04)
        assert (fractions.argmax(axis=0)[true] == truth[:, true].argmax(axis=0)).mean() > 0.99
    assert np.allclose(model["means"], MEANS, atol=2.0)
    assert model["sigma"] == pytest.approx(4.0, rel=0.15)


def test_partial_volumes_of_a_mixed_layer():
    """Pure blocks of the three tissues, and a block that goes from grey to white in steps."""
    white = np.repeat(np.linspace(0.05, 0.95, 10), 2)
    data = np.empty((50, 20, 20), np.float32)
    data[:10], data[10:20], data[20:40], data[40:] = 20, 60, (60 + 40 * white)[:, None, None], 100
    data += np.random.default_rng(1).normal(0, 1.5, data.shape).astype(np.float32)
    mask = np.ones(data.shape, bool)
    fractions, _ = tissue.tissue_fractions(data, mask, (1, 1, 1), smoothness=0.0)
    found = fractions[2, 20:40].mean(axis=(1, 2))
    assert np.abs(found - white).max() < 0.06
    # By hand: ten pure layers of each tissue, and half of the twenty mixed ones.
    assert fractions.sum(axis=(1, 2, 3)) / 400 == pytest.approx([10, 20, 20], abs=0.4)


def test_markov_field_cleans_up_noise():
    data, mask, truth = three_balls(16.0)
    right = []
    for smoothness in (0.0, 0.6):
        fractions, _ = tissue.tissue_fractions(data, mask, (1, 1, 1), smoothness=smoothness)
        right.append((fractions.argmax(axis=0) == truth.argmax(axis=0))[mask].mean())
    assert right[1] > right[0] + 0.02


def test_too_little_or_flat_data_are_errors():
    mask = np.ones((12, 12, 12), bool)
    with pytest.raises(ValueError, match="same intensity"):
        tissue.tissue_fractions(np.ones(mask.shape, np.float32), mask, (1, 1, 1))
    with pytest.raises(ValueError, match="too few"):
        tissue.tissue_fractions(np.ones((5, 5, 5)), np.ones((5, 5, 5), bool), (1, 1, 1))


def test_bias_correction_flattens_a_known_field():
    data, mask, truth = three_balls(1.0)
    volume = nifti.Volume(data, np.diag([4.0, 4, 4, 1]))
    field = np.exp(0.3 * np.linspace(-1, 1, 40))[:, None, None].astype(np.float32)
    fixed = tissue.correct_bias(volume.with_data(data * field), mask).data

    def spread(values):
        return max(np.std(values[t]) / np.mean(values[t]) for t in truth[1:])

    assert spread(fixed) < 0.35 * spread(data * field)
