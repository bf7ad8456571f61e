"""Matrices along the axes do what SciPy's filters do, up to float32's rounding."""

import numpy as np
import pytest
from scipy import ndimage

from refacebench.image import geometry, nifti, separable


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(3).normal(size=(2, 31, 42, 27)).astype(np.float32)


@pytest.mark.parametrize("mode", ["nearest", "reflect"])
def test_smoothing_is_scipys(image, mode):
    sigmas = (0.7, 2.5, 0.0)
    expected = [ndimage.gaussian_filter(c, sigmas, mode=mode, truncate=3) for c in image]
    found = separable.smooth(image, sigmas, mode, truncate=3)
    assert found.dtype == np.float32
    assert found.shape == image.shape
    assert np.allclose(found, expected, atol=1e-5)


def test_a_kernel_that_is_wider_than_the_image(image):
    thin = image[0, :, :4, :]
    expected = ndimage.gaussian_filter(thin, 6.0, mode="nearest")
    assert np.allclose(separable.smooth(thin, 6.0), expected, atol=1e-5)


def test_a_coarser_grid_is_smoothed_and_interpolated_as_before(image):
    # Axes swapped and flipped, three voxel sizes: each axis must get its own matrix.
    affine = np.array([[0, 0, -2.0, 5], [1.5, 0, 0, 3], [0, 1.0, 0, -9], [0, 0, 0, 1]])
    volume = nifti.Volume(image[0], affine)
    sigma = 0.5 * np.sqrt(np.maximum(0, 10.0**2 - volume.spacing**2)) / volume.spacing
    smooth = volume.with_data(ndimage.gaussian_filter(volume.data, sigma))
    expected = nifti.resample(smooth, nifti.grid(volume.shape, affine, 6.0))
    found = geometry.at_resolution(volume, 6.0, 10.0)
    assert found.shape == expected.shape
    assert np.allclose(found.affine, expected.affine)
    assert np.allclose(found.data, expected.data, atol=1e-5)


def test_a_matrix_is_kept_and_cannot_be_written():
    matrix = separable.gaussian(9, 1.0)
    assert separable.gaussian(9, 1.0) is matrix
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1
    assert np.allclose(matrix.sum(axis=1), 1)
