"""mri_deface: zero where a face is possible, keep the brain and what looks like it.

Bischoff-Grethe et al., "A technique for the deidentification of structural brain
MR images", Human Brain Mapping 28:892-903 (2007).  The brain is dilated by 7
voxels of 1 mm and kept; in a ring of 7 more a voxel is kept if its Mahalanobis
distance to the mean of grey or of white matter is below 2; every other voxel
is set to zero where the atlas gives any label of the face a probability above 0.0001.

What is this project's own: FreeSurfer's two atlases (``talairach_mixed_with_skull.gca``,
``face.gca``) are not available.  The brain is the scan's own mask instead of the
labels of the registered atlas; grey and white means and their spread are those of
the scan's brain (three classes with partial volumes, Gaussian noise) instead of the atlas's;
distances are Euclidean millimetres instead of dilations.  The face prior is
derived from the mean head: a layer under its surface within the face (and, if
asked for, the ears), with all of the chin's region below its field of view,
smoothed by ``PRIOR_SIGMA_MM``, as faces of other people differ from it.  As the
brain is protected, brain cannot be cut; the released program cut it in 36 of 179
scans (Gao et al. 2023).
"""

from __future__ import annotations

import functools

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import PROTECT_MARGIN, ears, upper
from refacebench.head import region, space
from refacebench.image import geometry, morphology, tissue
from refacebench.image.nifti import Volume

VERSION = "1"
OPTIONS = {
    "brain_mm": Option(7.0, "This much around the brain is kept.", unit="mm", least=0),
    "ring_mm": Option(
        7.0, "Width of the ring around it in which intensities decide.", unit="mm", least=0
    ),
    "mahalanobis": Option(
        2.0,
        "In the ring a voxel is kept below this distance to grey or white matter.",
        unit="standard deviations",
        least=0,
    ),
    "prior": Option(1e-4, "A voxel is zeroed above this probability of a face.", least=0),
    "ears": ears(False),
    "upper": upper("eyes"),
    "protect_margin_mm": PROTECT_MARGIN,
}
#: The face layer of the mean head from which the prior is made, and how far faces differ.
LAYER_MM, PRIOR_SIGMA_MM = 25.0, 4.0
#: Height (template mm) below which the mean head shows no face.
NO_AVERAGE_MM = -108.0


def check(options: dict) -> None:
    """Check the options.

    Raises
    ------
    ValueError
        If one is unknown or no number that it can be.
    """
    region.check("mri_deface", options)
    for name in ("brain_mm", "ring_mm", "mahalanobis", "prior"):
        value = options[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ValueError(f"mri_deface: {name}: {value!r} is not a number of 0 or more")


def prepare(options: dict) -> None:
    """Make the face prior once for all scans of a batch."""
    face_prior(options["upper"], options["ears"])


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Set the face to zero by prior, distance to the brain and intensity.

    Raises
    ------
    ValueError
        For an unknown option, an empty brain mask, a brain without three
        tissues, or if the face lies outside the field of view.
    """
    check(options)
    region.require_face("mri_deface", scan.volume, scan.to_template, scan.head)
    prior = face_prior(options["upper"], options["ears"])
    where, chance = region.place(prior, scan.volume, scan.to_template)
    changed = np.zeros_like(scan.volume.data, bool)
    changed[where] = chance > float(options["prior"])
    inner = float(options["brain_mm"])
    distance = brain_distance(scan.brain, changed, scan.volume.spacing, inner + options["ring_mm"])
    ring = changed & (distance > inner) & (distance <= inner + options["ring_mm"])
    means, sigma = tissue_model(scan.volume.data, scan.brain)
    values = scan.volume.data[ring]
    off = np.min([np.abs(values - mean) for mean in means], axis=0)
    changed &= distance > inner
    changed[ring] = off >= float(options["mahalanobis"]) * sigma
    return Defaced(np.zeros(scan.volume.shape, np.float32), changed)


def brain_distance(
    brain: np.ndarray, where: np.ndarray, spacing: np.ndarray, reach_mm: float
) -> np.ndarray:
    """Return the distance in mm to the brain in and near a mask; infinite further away.

    Parameters
    ----------
    brain, where : numpy.ndarray of bool
        The brain, and the voxels whose distance is asked for.
    reach_mm : float
        Distances up to this are exact; a longer one may come out as any longer one.
    """
    result = np.full(brain.shape, np.inf, np.float32)
    box = geometry.box_within(where, spacing, reach_mm + float(max(spacing)))
    if brain[box].any():
        result[box] = morphology.depth_mm(~brain[box], spacing)
    return result


def tissue_model(data: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the means of grey and white matter and the standard deviation of their noise.

    Parameters
    ----------
    data : numpy.ndarray
        Intensities of a T1w scan.
    brain : numpy.ndarray of bool
        Brain mask.

    Raises
    ------
    ValueError
        If the mask is too small or its histogram does not show three tissues.
    """
    inside = data[brain]
    if inside.size < 1000:
        raise ValueError("mri_deface: too few brain voxels to tell grey from white matter")
    low, high = np.percentile(inside, [0.2, 99.8])
    counts, edges = np.histogram(inside, bins=256, range=(low, high))
    model = tissue.fit_mixture((edges[:-1] + edges[1:]) / 2, counts.astype(float))
    return model["means"][1:], model["sigma"]


@functools.cache
def face_prior(upper: str, ears: bool) -> Volume:
    """Return the probability (0..1) of face at each point of the template's space.

    A layer of ``LAYER_MM`` under the mean head's surface within the face's region, and
    below the mean head's field of view the region as a whole, smoothed with a
    Gaussian.  Only the level above which nothing is taken stays
    sharp: smoothing would carry it on by 15 mm at a limit of 0.0001.
    """
    from scipy.ndimage import gaussian_filter

    head, solid = region.average()
    layer = solid & geometry.grow(~solid, head.spacing, LAYER_MM)
    # The mean head ends at the lower lip: below it any place before the neck may be a chin.
    layer |= space.template_axis(head, np.eye(4), 2) < NO_AVERAGE_MM

    def smooth(regions):
        inside = region.distance(head, np.eye(4), regions) <= 0
        sigma = PRIOR_SIGMA_MM / head.spacing
        return gaussian_filter((layer & inside).astype(np.float32), sigma)

    below = region.distance(head, np.eye(4), region.under(upper)) <= 0
    prior = np.where(below, smooth(region.face(upper)), 0)
    if ears:
        prior = np.maximum(prior, smooth(region.ears()))
    return head.with_data(prior.astype(np.float32))


METHOD = Defacer(
    version=VERSION,
    title="mri_deface (face prior)",
    options=OPTIONS,
    run=deface,
    check=check,
    prepare=prepare,
    sources=("https://doi.org/10.1002/hbm.20312",),
)
