"""The native segmenter that sees the whole head: nothing is masked before it measures.

As in SPM, FreeSurfer and SIENAX, the face takes part in the registration, in the bias field and
in the model of intensities, so that a missing one may disturb them; ``deepbet_atlas`` masks the
brain first and is blind to it.  Everything is estimated from the one image that is given.
Reads the files of templates and atlas; writes nothing but the built atlas into the
folder of ``prepare``.

Steps
-----
1. Affine registration of the whole image to a template of whole heads (mutual information,
   ANTs): :func:`refacebench.head.whole_head.register`.
2. Bias field of the whole head (N4 in the head mask).
3. A mixture of Gaussians for CSF, grey and white matter and, with several, for all the
   rest of the head, its weights steered by the template's tissue maps where the affine puts
   them: :mod:`refacebench.image.mixture`.
4. The maps are bent to the tissues that were found (symmetric demons), and step 3 is done again:
   that says where the brain is.
5. Shares of the tissues in it, with partial volumes, from the same corrected image, as FAST finds
   them in SIENAX (:func:`refacebench.image.tissue.tissue_fractions`).
6. Atlas labels by the transforms of 1 and 4.

What the measures mean
----------------------
``brain`` (mask)
    Where CSF, grey and white matter together are more probable than all else.
``tiv``
    The template's intracranial cavity over the determinant of step 1, as FreeSurfer's eTIV
    and SIENAX's scaling factor are made.  The affine alone says it, so that it moves with the face.
others
    As for ``deepbet_atlas``, within this mask.

How well it measures
--------------------
Six label maps of whole heads, painted as T1w at 2 mm, mean Dice with the painted labels (those of
``deepbet_atlas`` in brackets): brain 0.96 (0.97, everything inside the skull), grey 0.86 (0.87),
white 0.91 (0.92), ventricles 0.91 (0.91), nuclei and brainstem 0.76 (0.80).  TIV is 2 % too small
with a deviation of 5 % from head to head.  9 CPU seconds a scan of 2 mm.  What defacing does to
it: ``docs/validation/segmenters.md``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from refacebench.contracts import Option, Segmentation, Segmenter, defaults
from refacebench.head import whole_head
from refacebench.head.atlas import load_atlas
from refacebench.head.locating import Located, points
from refacebench.head.masks import head_mask
from refacebench.image import geometry, mixture, nifti, registration, sampling
from refacebench.image.morphology import fill_holes, largest_component
from refacebench.image.nifti import Volume, grid, reorient, resample
from refacebench.image.tissue import correct_bias, tissue_fractions
from refacebench.segmenters._structures import put_back, scaled, segmentation

VERSION = "2.3"
OPTIONS = {
    "template": Option(
        "mni305",
        "The heads that it registers to: the MNI305 average, from crown to nose, as in FreeSurfer, "
        "or pydeface's mean head, down to the lip (the native mri_reface puts its face in).",
        choices=whole_head.TEMPLATES,
    ),
    "registration_mm": Option(
        3.0, "Voxel size of the non-linear registration.", unit="mm", least=0.5
    ),
    "affine_blur_mm": Option(
        3.0, "Blur (sigma) of the tissue maps that the affine places.", unit="mm", least=0
    ),
    "bent_blur_mm": Option(
        1.5, "Blur (sigma) of the tissue maps once they are bent.", unit="mm", least=0
    ),
    "other_gaussians": Option(
        5, "Gaussians for all that is neither brain nor CSF.", least=1, most=12
    ),
    "smoothness": Option(0.6, "Weight of the Markov field in the brain.", least=0),
    "ventricle_growth_mm": Option(
        12.0, "How far a ventricle may reach beyond the atlas's.", unit="mm", least=0
    ),
}
#: Gaussians of CSF, grey and white matter.
TISSUE_GAUSSIANS = (1, 1, 1)
#: Margin around the brain that is kept.
MARGIN_MM = 12.0
#: A "brain" smaller than this is none.
LEAST_BRAIN_ML = 200.0


def prepare(options: dict, folder=None) -> None:
    """Load templates, tissue maps and atlas; the atlas is kept in ``folder``."""
    options = {**defaults(OPTIONS), **options}
    load_atlas(folder and Path(folder) / f"atlas-{VERSION}.npz")
    whole_head.head_of(options["template"])
    for blur in ("affine_blur_mm", "bent_blur_mm"):
        whole_head.tissue_maps(options[blur])


def segment(volume: Volume, options: dict, source=None) -> Segmentation:
    """Segment one image from scratch.

    Parameters
    ----------
    volume : Volume
        T1w intensities, any orientation.
    options : dict
        See ``OPTIONS``.
    source : path, optional
        Not used.

    Raises
    ------
    ValueError
        If there is no head, if it cannot be registered, or if no brain or not three tissues
        are found where the template's lie.
    """
    options = {**defaults(OPTIONS), **options}
    whole = reorient(volume, "RAS")
    whole = whole.with_data(nifti.finite(whole.data))
    affine = whole_head.register(whole, options["template"])
    head = head_mask(whole)
    corrected = correct_bias(whole, head)
    shares, _ = tissues(corrected, head, placed(affine), options["affine_blur_mm"], options)
    place = bend(whole, shares, affine, options)
    shares, _ = tissues(corrected, head, place, options["bent_blur_mm"], options)
    return _structures(volume, corrected, shares, place, options)


def placed(affine: np.ndarray) -> Located:
    """Return where the template lies by an affine alone."""
    still = np.zeros((3, 2, 2, 2), np.float32)
    return Located(affine, still, Volume(still[0], np.eye(4)), 0.0)


def tissues(
    volume: Volume, head: np.ndarray, place: Located, blur_mm: float, options: dict
) -> tuple[np.ndarray, dict]:
    """Return the probabilities of CSF, grey and white matter in a whole head.

    Parameters
    ----------
    volume : Volume
        Bias-corrected intensities, RAS+ axes.
    head : numpy.ndarray of bool
        Head mask on the same grid.
    place : Located
        Where the template lies.
    blur_mm : float
        Blur of the template's maps.

    Returns
    -------
    shares : numpy.ndarray
        Shape (3, i, j, k), float32; zero outside the head.
    model : dict
        See :func:`refacebench.image.mixture.fit`.

    Raises
    ------
    ValueError
        If the tissues' intensities are not in the order of a T1w image.
    """
    maps = whole_head.tissue_maps(blur_mm)
    voxels = np.argwhere(head).T.astype(np.float32)
    where = points(place, volume, voxels, maps[0].affine)
    priors = _priors(maps, where)
    values = volume.data[head].astype(np.float32)
    if priors[1].sum() * volume.voxel_ml < LEAST_BRAIN_ML / 2:
        raise ValueError("no brain was found: the template's lies outside the head")
    every = max(1, int(np.round(np.prod(mixture.SAMPLE_MM / volume.spacing))))
    counts = (*TISSUE_GAUSSIANS, int(options["other_gaussians"]))
    model = mixture.fit(values[::every], priors[:, ::every], counts)
    if not (np.diff(model["means"][:3]) > 0).all():
        raise ValueError("no three tissues (CSF, grey, white) where the template's brain lies")
    shares = np.zeros((3, *volume.shape), np.float32)
    shares[:, head] = mixture.posteriors(values, priors, model)[:3]
    return shares, model


def _priors(maps, where: np.ndarray) -> np.ndarray:
    """Read the tissue maps at points of the template; the last class is all the rest."""
    from scipy.ndimage import map_coordinates

    brain = np.stack([map_coordinates(m.data, where, order=1, output=np.float32) for m in maps])
    rest = np.clip(1 - brain.sum(axis=0), 0, 1)
    priors = np.concatenate([np.clip(brain, 0, 1), rest[None]])
    return priors / priors.sum(axis=0)


def bend(volume: Volume, shares: np.ndarray, affine: np.ndarray, options: dict) -> Located:
    """Bend the template's tissue maps to the tissues that were found.

    Parameters
    ----------
    volume : Volume
        For its grid.
    shares : numpy.ndarray
        From :func:`tissues`.
    affine : numpy.ndarray
        4 x 4, the scan's mm -> the template's.
    """
    box = brain_box(volume, shares)
    part = geometry.crop(volume, box)
    like = grid(part.shape, part.affine, options["registration_mm"])
    target = np.stack([resample(part.with_data(s[box]), like).data for s in shares])
    back = np.linalg.inv(affine)
    source = np.stack(
        [
            resample(Volume(m.data, back @ m.affine), like).data
            for m in whole_head.tissue_maps(options["bent_blur_mm"])
        ]
    )
    flow = registration.demons(target, source, levels=((0.5, 60), (1.0, 40)))
    warped = sampling.sample(source, flow + np.indices(like.shape, dtype=np.float32))
    similarity = float(np.corrcoef(warped.ravel(), target.ravel())[0, 1])
    return Located(affine, flow, like, similarity)


def brain_box(volume: Volume, shares: np.ndarray) -> tuple[slice, ...]:
    """Return the box around the tissues that were found, with a margin.

    Raises
    ------
    ValueError
        If there is no brain among them.
    """
    found = largest_component(shares.sum(axis=0) > 0.5)
    if found.sum() * volume.voxel_ml < LEAST_BRAIN_ML:
        raise ValueError("no brain was found where the template's lies")
    return geometry.box_within(found, volume.spacing, MARGIN_MM)


def _structures(volume, corrected, shares, place, options) -> Segmentation:
    """Read labels off the atlas, and put all on the scan's own grid."""
    box = brain_box(corrected, shares)
    part, inside = geometry.crop(corrected, box), shares[(slice(None), *box)]
    mask = fill_holes(largest_component(inside.sum(axis=0) > 0.5))
    fractions, model = tissue_fractions(
        part.data, mask, part.spacing, smoothness=options["smoothness"]
    )
    return segmentation(
        scaled(part, model),
        mask,
        fractions,
        model,
        place,
        options["ventricle_growth_mm"],
        partial(put_back, box=box, of=corrected, like=volume),
    )


METHOD = Segmenter(
    version=VERSION,
    title="whole head: affine to MNI305, N4, mixture model with tissue maps, ICBM 2009a atlas",
    options=OPTIONS,
    run=segment,
    prepare=prepare,
    preload=(
        "refacebench.image.itk",
        "scipy.ndimage",
        "skimage.filters.thresholding",
        "torch.nn.functional",
    ),
    sources=(
        "https://doi.org/10.1016/j.neuroimage.2005.02.018",
        "https://doi.org/10.1016/j.neuroimage.2004.06.018",
        "https://doi.org/10.1006/nimg.2002.1040",
        "https://doi.org/10.1016/j.neuroimage.2010.07.033",
        "https://doi.org/10.1016/j.neuroimage.2006.01.021",
    ),
    licence="MNI305, ICBM152: permissive MNI licence; mean head: MIT; labels: BSD-3",
)
