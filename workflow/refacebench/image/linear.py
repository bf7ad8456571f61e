"""One linear registration of two images by ANTs (mutual information) from a given start.

The program keeps its transforms in a temporary folder; nothing else is touched.
"""

from __future__ import annotations

import tempfile

import numpy as np

from refacebench import lazy
from refacebench.image import nifti
from refacebench.image.nifti import Volume

# antspyx takes long to load.
itk = lazy.load("refacebench.image.itk")


def clipped(volume: Volume) -> Volume:
    """Clip bright fat and vessels, which would take up the bins of the joint histogram.

    Raises
    ------
    ValueError
        If no intensity is positive.
    """
    data = nifti.finite(volume.data)
    positive = data[data > 0]
    if positive.size == 0:
        raise ValueError("the scan has no positive intensity, so there is no head in it")
    return volume.with_data(np.clip(data, 0, np.percentile(positive, 99.5)))


def linear_stage(
    kind: str,
    fixed: Volume,
    moving: Volume,
    start: np.ndarray,
    shrink,
    sigmas,
    iterations,
    *,
    region: Volume | None = None,
) -> np.ndarray:
    """Run one linear registration (ANTs, mutual information) from a given start.

    Parameters
    ----------
    kind : str
        ``Affine``, ``Similarity`` or ``Rigid``.
    fixed, moving : Volume
        Intensities with few bright outliers (:func:`clipped`).
    start : numpy.ndarray
        4 x 4, the moving image's RAS+ mm -> the fixed image's.
    shrink, sigmas, iterations : tuple
        One entry per level, from coarse to fine.
    region : Volume, optional
        Where the fixed image counts (not 0); everywhere by default.

    Returns
    -------
    numpy.ndarray
        4 x 4, likewise.
    """
    # The start is put into the moving image's own place in space.
    placed = Volume(moving.data, start @ moving.affine)
    masked = {} if region is None else {"mask": nifti.to_ants(region), "mask_all_stages": True}
    with tempfile.TemporaryDirectory() as folder:
        result = itk.ants.registration(
            fixed=nifti.to_ants(fixed),
            moving=nifti.to_ants(placed),
            type_of_transform=kind,
            initial_transform="Identity",
            outprefix=f"{folder}/linear_",
            aff_metric="mattes",
            aff_shrink_factors=shrink,
            aff_smoothing_sigmas=sigmas,
            aff_iterations=iterations,
            random_seed=1,
            **masked,
        )
        found = itk.ants.read_transform(result["fwdtransforms"][-1])
    return np.linalg.inv(itk_to_ras(found)) @ start


def itk_to_ras(transform) -> np.ndarray:
    """Return the 4 x 4 RAS+ matrix of an affine ``ants.ANTsTransform`` (LPS, with a centre)."""
    matrix = np.asarray(transform.parameters[:9], float).reshape(3, 3)
    offset = np.asarray(transform.parameters[9:12], float)
    center = np.asarray(transform.fixed_parameters[:3], float)
    result = np.eye(4)
    result[:3, :3] = matrix
    result[:3, 3] = offset + center - matrix @ center
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return flip @ result @ flip
