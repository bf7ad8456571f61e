"""The way from a base head's shape to another head's, by registration (SyN, ANTs).

The program keeps its transforms in a temporary folder; nothing else is touched.
"""

from __future__ import annotations

import tempfile

import numpy as np

from refacebench import lazy
from refacebench.datasets import _fields
from refacebench.datasets._base import BaseHead, on_frame
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

# antspyx takes long to load.
itk = lazy.load("refacebench.image.itk")


def blend_towards(
    head: BaseHead, image: np.ndarray, moving: Volume, to_head: np.ndarray
) -> np.ndarray:
    """Return the velocity that carries the base's shape to another head's.

    The other head is registered affinely (that part is thrown away: whole-head
    proportions are drawn for each person) and then by SyN; the velocity is the
    logarithm of SyN's own part, faded out where the other image has no data.

    Parameters
    ----------
    image : numpy.ndarray
        The base's brightness, on the grid of its labels.
    moving : Volume
        The other head.
    to_head : numpy.ndarray
        4 x 4, the other's mm -> head mm, good enough as a start.
    """
    import nibabel as nib
    from scipy.ndimage import gaussian_filter

    frame = head.frame
    target = Volume(_clipped(on_frame(image, head.to_voxel, frame)), frame.affine)
    other = geometry.coarse(nifti.reorient(moving), frame.step)
    other = Volume(_clipped(other.data), to_head @ other.affine)
    with tempfile.TemporaryDirectory() as folder:
        common = {"fixed": nifti.to_ants(target), "moving": nifti.to_ants(other)}
        affine = itk.ants.registration(
            **common,
            type_of_transform="AffineFast",
            initial_transform="Identity",
            outprefix=f"{folder}/affine_",
            random_seed=1,
        )["fwdtransforms"][-1]
        found = itk.ants.registration(
            **common,
            type_of_transform="SyNOnly",
            initial_transform=affine,
            outprefix=f"{folder}/syn_",
            reg_iterations=(40, 20, 5),
            flow_sigma=3,
            total_sigma=0.5,
            random_seed=1,
        )
        there = _warp_field(nib.load(next(f for f in found["fwdtransforms"] if "Warp" in f)))
        back = _warp_field(nib.load(next(f for f in found["invtransforms"] if "Inverse" in f)))
        seen = itk.ants.apply_transforms(
            fixed=common["fixed"],
            moving=nifti.to_ants(other.with_data(np.ones(other.shape, np.float32))),
            transformlist=[affine],
            interpolator="linear",
        ).numpy()
    # From the new head to the base is the way back.
    velocity = _fields.velocity_of_warp(back, there)
    known = gaussian_filter((seen > 0.99).astype(np.float32), 10.0 / frame.step)
    known = np.clip(2 * known - 1, 0, 1)
    smooth = np.stack([gaussian_filter(part * known, 4.0 / frame.step) for part in velocity])
    return (0.8 * smooth + 0.2 * _fields.mirror(smooth)).astype(np.float32)


def _clipped(data: np.ndarray) -> np.ndarray:
    data = np.asarray(data, np.float32)
    return np.clip(data / np.percentile(data[data > 0], 98), 0, 1)


def _warp_field(image) -> np.ndarray:
    """Return an ITK displacement field (LPS) as (3, i, j, k) in RAS+ mm."""
    field = np.moveaxis(np.asarray(image.dataobj, np.float32)[:, :, :, 0], -1, 0)
    return field * np.array([-1, -1, 1], np.float32)[:, None, None, None]
