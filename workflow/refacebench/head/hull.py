"""The privacy transform of CP-GAN: what of a head may be known to who refaces it.

Van der Goten et al., "Conditional de-identification of 3D magnetic resonance
images", BMVC 2021: gamma = [convex hull of the head, brain mask, intensities
within the brain].  Everything else of the image, the face among it, is gone
before a network sees the scan.

What the hull still shows is what sticks out of the head: its proportions, how
far the tip of the nose, the chin and the ears reach.  The brain is unchanged.

Two ways to the hull.  ``exact``: all voxels in the convex hull of the head's
voxels, computed in whole numbers, so that it depends on the hull alone, to the
last bit.  ``sampled``: as in the paper, the planes of some triangles of the
hull of randomly drawn surface voxels carve a volume.  The paper draws them from
the surface of the head (``surface: head``); whether a voxel is drawn then
depends a little on what is around it, concavities of the face included.  Drawn
from the surface of the exact hull (``surface: hull``, the default) the result
cannot depend on anything below it.

Pure functions of arrays; touches no files.  Random numbers are drawn on the CPU
from a seed, the same ones for every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refacebench import lazy
from refacebench.image.convex_hull import convex_hull

sampling = lazy.load("refacebench.head.sampled_hull")

HULLS = ("exact", "sampled")
SURFACES = ("hull", "head")


@dataclass(frozen=True)
class Gamma:
    """The privacy transform of a scan, on its grid.

    Attributes
    ----------
    hull : numpy.ndarray of bool
        Convex hull of the head.
    brain : numpy.ndarray of bool
        Brain mask.
    tissue : numpy.ndarray
        Intensities within the brain mask, zero elsewhere; float32, scan units.
    """

    hull: np.ndarray
    brain: np.ndarray
    tissue: np.ndarray


def transform(
    values: np.ndarray,
    head: np.ndarray,
    brain: np.ndarray,
    spacing,
    *,
    hull: str = "exact",
    surface: str = "hull",
    rotations: int = 8,
    triangles: int = 100,
    seed: int = 0,
    device: str = "cpu",
) -> Gamma:
    """Return the privacy transform of a scan.

    Parameters
    ----------
    values : numpy.ndarray
        Intensities; read within the brain mask alone.
    head : numpy.ndarray of bool
        The paper's 1[x >= delta], without specks in the air.  Read through its convex
        hull alone, unless ``hull="sampled", surface="head"``.
    brain : numpy.ndarray of bool
        Brain mask.
    spacing : array_like
        Voxel edges in millimetres.
    hull, surface : str
        See the module's text.
    rotations, triangles : int
        Of :func:`refacebench.head.sampled_hull.sampled_hull`.
    seed : int
        Of ``hull="sampled"``.
    device : str
        Where ``hull="sampled"`` is computed.

    Raises
    ------
    ValueError
        If brain or head are empty or flat, or an option is not known.
    """
    if hull not in HULLS or surface not in SURFACES:
        raise ValueError(f"hull '{hull}', surface '{surface}': use {HULLS} and {SURFACES}")
    if not values.shape == head.shape == brain.shape:
        raise ValueError(f"image {values.shape}, head {head.shape}, brain {brain.shape} differ")
    brain = np.asarray(brain, bool)
    if not brain.any():
        raise ValueError("the brain mask is empty: nothing to refer to")
    # The brain lies in the head; said here, so that a gap in the head mask cannot matter.
    filled = np.asarray(head, bool) | brain
    if hull == "exact" or surface == "hull":
        filled = convex_hull(filled)
    if hull == "sampled":
        filled = sampling.sampled_hull(filled, spacing, rotations, triangles, seed, device) | brain
    tissue = np.where(brain, values, 0).astype(np.float32)
    return Gamma(filled, brain, tissue)


def to_image(gamma: Gamma, share: float = 0.5) -> np.ndarray:
    """Write a transform as one image: the brain, a constant grey in the hull, zero around it.

    Parameters
    ----------
    share : float
        The grey, as a share of the median intensity of the *brain*: nothing
        outside it has a say.

    Raises
    ------
    ValueError
        If the brain's median is not positive.
    """
    grey = share * float(np.median(gamma.tissue[gamma.brain]))
    if not grey > 0:
        raise ValueError("the brain's median intensity is not above zero")
    image = np.where(gamma.hull, grey, 0).astype(np.float32)
    image[gamma.brain] = gamma.tissue[gamma.brain]
    return image


def from_image(values: np.ndarray, changed: np.ndarray) -> Gamma:
    """Read a transform back from its image and the mask of changed voxels.

    Parameters
    ----------
    values : numpy.ndarray
        An image of :func:`to_image`, perhaps rounded to the scan's data type.
    changed : numpy.ndarray of bool
        All voxels outside the brain.

    Raises
    ------
    ValueError
        If the image holds anything else outside the brain than two levels.
    """
    changed = np.asarray(changed, bool)
    if changed.all() or not changed.any():
        raise ValueError("the mask of changed voxels leaves no brain, or nothing else")
    outside = values[changed]
    low, high = float(outside.min()), float(outside.max())
    if not (high > low and ((outside == low) | (outside == high)).all()):
        raise ValueError(
            "not a hull image: outside the brain it must hold one grey and air; "
            "use the scans of the defacer cpgan_hull"
        )
    hull = ~changed | (values > (low + high) / 2)
    return Gamma(hull, ~changed, np.where(changed, 0, values).astype(np.float32))
