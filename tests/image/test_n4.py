"""The bias field: against ITK's own filter, and what must hold of its splines."""

import numpy as np
import pytest

from refacebench.image import n4, nifti
from refacebench.image.itk import ants

SHAPE, SPACING, KNOTS_MM = (30, 36, 33), 5.0, 200.0


def head(seed=0):
    """Return a mask, intensities of three tissues in it with noise, and a smooth field."""
    rng = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    radius = np.sqrt((at**2).sum(axis=0))
    tissue = np.select([radius < 0.3, radius < 0.65, radius < 0.9], [300.0, 700.0, 500.0])
    field = 0.25 * at[0] - 0.2 * at[1] * at[2] + 0.15 * at[2] ** 2
    data = tissue * np.exp(field) * (1 + 0.03 * rng.standard_normal(SHAPE))
    return tissue > 0, data.astype(np.float32), field


def own(data, mask, iterations=50):
    """Return the logarithm of the field on the grid, and of that only what is in the mask."""
    length = (np.array(SHAPE) - 1) * SPACING
    axes = [(np.arange(n) * SPACING + (KNOTS_MM - s) / 2) / KNOTS_MM
            for n, s in zip(SHAPE, length, strict=True)]  # fmt: skip
    places = np.stack([axis[i] for axis, i in zip(axes, np.nonzero(mask), strict=True)])
    return n4.evaluate(n4.fit(data[mask], places, (1, 1, 1), 3, iterations), axes)[mask]


def test_the_field_is_that_of_itks_filter():
    mask, data, _ = head()
    volume = nifti.Volume(data, np.diag([SPACING] * 3 + [1.0]))
    theirs = ants.n4_bias_field_correction(
        nifti.to_ants(volume),
        mask=nifti.to_ants(volume.with_data(mask.astype(np.float32))),
        shrink_factor=1,
        convergence={"iters": [50] * 3, "tol": 1e-7},
        spline_param=KNOTS_MM,
        return_bias_field=True,
    ).numpy()
    difference = own(data, mask) - np.log(theirs[mask])
    assert np.log(theirs[mask]).std() > 0.1
    assert np.abs(difference - difference.mean()).max() < 0.01


def test_a_known_field_is_found():
    mask, data, field = head()
    rest = own(data, mask) - field[mask]
    assert rest.std() < 0.25 * field[mask].std()


def test_brighter_images_have_the_same_field():
    mask, data, _ = head()
    one, other = own(data, mask, 5), own(8 * data, mask, 5)
    assert np.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("spans", [(1, 1, 1), (2, 1, 3)])
def test_a_finer_mesh_holds_the_same_spline(spans):
    control = np.random.default_rng(1).normal(size=[n + 3 for n in spans])
    axes = [np.linspace(0, 1, n) for n in (7, 11, 13)]
    found = n4.evaluate(n4._refined(control), axes)
    assert np.allclose(found, n4.evaluate(control, axes), atol=1e-5)


def test_control_points_of_one_value_are_a_constant():
    found = n4.evaluate(np.full((4, 5, 7), 2.5), [np.linspace(0, 1, 9)] * 3)
    assert found.shape == (9, 9, 9)
    assert np.allclose(found, 2.5)


def test_an_image_of_one_value_has_no_field():
    mask, _, _ = head()
    assert np.allclose(own(np.full(SHAPE, 7.0), mask), 0)
