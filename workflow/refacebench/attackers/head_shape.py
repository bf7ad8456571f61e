"""Head shape: what skull and brain alone give away.

No face is looked at.  The outline of the brain mask (found in the variant's own
image) and of the cranial vault (forehead upwards, and the back of the head) are
each a radius by direction, in millimetres and without any scaling, so that
size, volume, extents and low-order shape are all in them.  Two heads are as far
apart as their outlines after the shift that lays one on the other: the mean of
the two root-mean-square differences in mm.

A defacer that takes away the face alone leaves what this attacker looks at:
van der Goten et al. 2021 name the size of the head as such a leak.

Beside the distances the attack keeps ``query_features`` (queries, 5): volume
of the brain in ml and of the vault's ball (the mean radius cubed), and the
brain's extents in mm to the right, forwards and upwards.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from refacebench.contracts import Attacker, Context, Enrolled, Option, Scores, Subject
from refacebench.head import matrices, rendering, surface
from refacebench.image import geometry, nifti

VERSION = "1"
OPTIONS = {
    "degree": Option(
        8,
        "Highest degree of the spherical harmonics that describe the brain's outline: finer detail "
        "differs between two segmentations of one brain.",
        least=0,
    ),
    "brain": Option(True, "Whether the brain mask is used."),
    "vault": Option(True, "Whether the cranial vault is used."),
    "scalp_mm": Option(
        5.0,
        "Where the vault lies less than this above the brain (mean), the scalp is gone and the "
        "brain alone counts.",
        unit="mm",
    ),
}
#: Directions in which the brain's radius is taken, and how far out it is looked for.
_DIRECTIONS = 642
_REACH_MM = 130.0
_STEP_MM = 1.0


def enrol(subject: Subject, options: Mapping) -> dict[str, np.ndarray]:
    """Keep the radii of brain and vault, in mm; what is missing is NaN.

    Raises
    ------
    ValueError
        If there is neither a brain mask nor a vault.
    """
    seen = subject.rendering()
    vault = seen.vault if options["vault"] else np.full_like(seen.vault, np.nan)
    brain, features = np.full(_DIRECTIONS, np.nan, np.float32), np.full(5, np.nan)
    if options["brain"] and subject.brain_path:
        mask = nifti.read(subject.brain_path)
        matrix = matrices.read_matrix(subject.template_path)
        brain, features = brain_outline(mask, matrix, int(options["degree"]))
    if not subject.control and not np.isfinite(brain).any() and not np.isfinite(vault).any():
        raise ValueError("no brain mask and no skull vault were found in this image")
    mean = float(np.nanmean(vault)) if np.isfinite(vault).any() else np.nan
    features[1] = 4 / 3 * np.pi * mean**3 / 1000
    return {"brain": brain, "vault": vault, "features": features.astype(np.float32)}


def brain_outline(
    mask: nifti.Volume, matrix: np.ndarray, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the smooth outline of a brain mask and its size.

    Parameters
    ----------
    mask : Volume
        Above 0 inside.
    matrix : numpy.ndarray
        4 x 4, scan mm -> template mm; only its rotation is used.
    degree : int
        Highest degree of the spherical harmonics.

    Returns
    -------
    numpy.ndarray
        Radius in mm along :func:`directions` from the centre of mass, shape (n,):
        the length of the ray inside the mask.
    numpy.ndarray
        Volume in ml, NaN (the vault's place), extents in mm along head axes.
    """
    from scipy.ndimage import map_coordinates

    inside = mask.data > 0
    center = geometry.mask_center(inside, mask.affine)
    rotation = surface.rigid(matrix)[:3, :3]
    steps = np.arange(_STEP_MM / 2, _REACH_MM, _STEP_MM)
    outwards = directions() @ rotation  # rows: head axes turned back to the scan's
    points = center + steps[:, None, None] * outwards
    to_voxel = np.linalg.inv(mask.affine)
    voxels = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    filled = map_coordinates(
        inside.astype(np.float32), voxels.transpose(2, 0, 1), order=1, prefilter=False
    )
    radius = filled.sum(axis=0) * _STEP_MM
    basis = harmonics(degree)
    smooth = basis @ np.linalg.lstsq(basis, radius, rcond=None)[0]
    outline = smooth[:, None] * directions()
    extents = outline.max(axis=0) - outline.min(axis=0)
    volume = float(inside.sum()) * mask.voxel_ml
    return smooth.astype(np.float32), np.array([volume, np.nan, *extents])


@functools.cache
def directions() -> np.ndarray:
    """Return directions spread evenly over the sphere (Fibonacci), shape (n, 3)."""
    n = _DIRECTIONS
    z = 1 - (2 * np.arange(n) + 1) / n
    turn = np.arange(n) * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)


@functools.cache
def harmonics(degree: int) -> np.ndarray:
    """Return the real spherical harmonics up to a degree along :func:`directions`."""
    from scipy.special import sph_harm_y

    way = directions()
    polar, around = np.arccos(way[:, 2]), np.arctan2(way[:, 1], way[:, 0])
    columns = []
    for level in range(degree + 1):
        for order in range(level + 1):
            values = sph_harm_y(level, order, polar, around)
            columns.append(values.real)
            if order:
                columns.append(values.imag)
    return np.stack(columns, axis=1)


def score(queries: Enrolled, gallery: Enrolled, options: Mapping, context: Context) -> Scores:
    """Return the mean of the outlines' root-mean-square differences, in mm.

    A query without any outline is equally far from everybody.
    """
    ways = {"brain": directions(), "vault": rendering.vault_directions()}
    found = []
    for name, way in ways.items():
        asked, known = queries.features[name], gallery.features[name]
        if name == "vault":
            asked = _with_scalp(asked, queries.features["brain"], float(options["scalp_mm"]))
        found.append(outline_distance(asked, known, way))
    parts = np.array(found)
    known = np.isfinite(parts)
    count = known.sum(axis=0)
    mean = np.where(known, parts, 0).sum(axis=0) / np.maximum(count, 1)
    distance = np.where(count > 0, mean, np.nan)
    blank = ~np.isfinite(distance).any(axis=1)
    distance[blank] = 0.0
    return Scores(distance, extra={"query_features": queries.features["features"]})


def _with_scalp(vault: np.ndarray, brain: np.ndarray, least_mm: float) -> np.ndarray:
    """Blank the vaults, (queries, n), that are no thicker than the brain under them."""
    upper = directions()[:, 2] > 0.25
    with np.errstate(invalid="ignore"):
        above = _row_mean(vault) - _row_mean(brain[:, upper])
        return np.where((above < least_mm)[:, None], np.nan, vault)


def _row_mean(values: np.ndarray) -> np.ndarray:
    seen = np.isfinite(values)
    count = seen.sum(axis=1)
    total = np.where(seen, values, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def outline_distance(asked: np.ndarray, known: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Return root-mean-square differences of radii, in mm, after the best shift.

    Parameters
    ----------
    asked, known : numpy.ndarray
        Radii, (queries, n) and (gallery, n); NaN where there is no surface.
    way : numpy.ndarray
        Directions, (n, 3).  A small shift s changes the radii by ``way @ s``.

    Returns
    -------
    numpy.ndarray
        Shape (queries, gallery); NaN where fewer than half of the directions
        have both surfaces.
    """
    result = np.full((len(asked), len(known)), np.nan)
    for number, radii in enumerate(asked):
        change = known - radii
        seen = np.isfinite(change)
        change = np.where(seen, change, 0.0)
        weighted = way * seen[..., None]
        matrix = np.einsum("gni,nj->gij", weighted, way) + 1e-6 * np.eye(3)
        vector = np.einsum("gni,gn->gi", weighted, change)
        shift = np.linalg.solve(matrix, vector[..., None])[..., 0]
        rest = np.where(seen, change - shift @ way.T, 0.0)
        count = seen.sum(axis=1)
        size = np.sqrt((rest**2).sum(axis=1) / np.maximum(count, 1))
        result[number] = np.where(2 * count >= len(way), size, np.nan)
    return result


METHOD = Attacker(
    version=VERSION,
    title="head shape (skull and brain)",
    about="It compares the outlines of skull and brain and looks at no face.",
    options=OPTIONS,
    enrol=enrol,
    score=score,
    brains=True,
    floor=True,
    # A blurred picture has neither skull nor brain in it.
    controls=("black",),
    sources=("Van der Goten et al., BMVC 2021",),
)
