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
        Of :func:`surface_probability` and :func:`carve`.
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
        filled = sampled_hull(filled, spacing, rotations, triangles, seed, device) | brain
    tissue = np.where(brain, values, 0).astype(np.float32)
    return Gamma(filled, brain, tissue)


# --------------------------------------------------------------------- as an image


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


# --------------------------------------------------------------------- the exact hull


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """Return all voxels whose centre lies in the convex hull of a mask's voxel centres.

    The planes of Qhull's triangles are made anew from the voxel indices, in
    whole numbers, and every column along the last axis is cut by the planes
    above and below it.  So the result depends on the hull alone, not on which
    points lay within it or in which order they came.

    Raises
    ------
    ValueError
        If the mask is empty or lies in a plane.
    """
    mask = np.asarray(mask, bool)
    corners = extreme_voxels(mask)
    triangles = corners[_simplices(corners)]
    low = np.full(mask.shape[:2], 0, np.int64)
    high = np.full(mask.shape[:2], mask.shape[2] - 1, np.int64)
    normals, offsets = planes(triangles, corners)
    for triangle, normal, offset in zip(triangles, normals, offsets, strict=True):
        if normal[2]:
            _cut_columns(low, high, triangle, normal, offset)
    high[~_inside_outline(mask.shape[:2], corners)] = -1
    depth = np.arange(mask.shape[2])
    filled = (depth >= low[..., None]) & (depth <= high[..., None])
    if (mask & ~filled).any():
        raise RuntimeError("the convex hull does not hold all voxels of its mask")
    return filled


def extreme_voxels(mask: np.ndarray) -> np.ndarray:
    """Return the indices (n, 3) of the voxels that end their line along every axis.

    All corners of the convex hull are among them.
    """
    ends = mask.copy()
    for axis in range(3):
        count = mask.shape[axis]
        first = mask.argmax(axis=axis)
        last = count - 1 - np.flip(mask, axis).argmax(axis=axis)
        shape = [1, 1, 1]
        shape[axis] = count
        place = np.arange(count).reshape(shape)
        line = np.expand_dims(first, axis), np.expand_dims(last, axis)
        ends &= (place == line[0]) | (place == line[1])
    return np.argwhere(ends).astype(np.int64)


def _simplices(points: np.ndarray) -> np.ndarray:
    """Return the triangles of the hull of points, as indices (n, 3) into them."""
    from scipy.spatial import ConvexHull, QhullError

    if len(points) < 4:
        raise ValueError("the head mask is empty or has no volume: it has no convex hull")
    try:
        return ConvexHull(points).simplices
    except QhullError:
        raise ValueError("the head mask lies in a plane: it has no convex hull") from None


def planes(triangles: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the planes of a hull's triangles in whole numbers: ``normal . x <= offset``.

    Parameters
    ----------
    triangles : numpy.ndarray of int
        Corners, shape (n, 3, 3).
    points : numpy.ndarray of int
        All points of the hull; they say which side is inside.

    Returns
    -------
    normals : numpy.ndarray of int64
        Shape (n, 3); zero for triangles without area.
    offsets : numpy.ndarray of int64
        Shape (n,).
    """
    a, b, c = np.moveaxis(triangles.astype(np.int64), 1, 0)
    normals = np.cross(b - a, c - a)
    offsets = (normals * a).sum(axis=1)
    # Whole numbers here too: n times the distance of the mean point, for n points.
    side = normals @ points.sum(axis=0) - offsets * len(points)
    flip = np.where(side > 0, -1, 1)
    return normals * flip[:, None], offsets * flip


def _cut_columns(low, high, triangle, normal, offset) -> None:
    """Cut the columns below and above one triangle by its plane.

    Only those under the triangle's own box: the plane that bounds a column
    belongs to a triangle that covers it.
    """
    (i0, j0), (i1, j1) = triangle[:, :2].min(axis=0), triangle[:, :2].max(axis=0) + 1
    box = slice(i0, i1), slice(j0, j1)
    rest = offset - normal[0] * np.arange(i0, i1)[:, None] - normal[1] * np.arange(j0, j1)
    if normal[2] > 0:
        np.minimum(high[box], rest // normal[2], out=high[box])
    else:
        np.maximum(low[box], -(rest // -normal[2]), out=low[box])


def _inside_outline(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Return the columns (boolean) that meet the hull: the convex hull of the points' shadow."""
    from scipy.spatial import ConvexHull

    flat = np.unique(points[:, :2], axis=0)
    corners = flat[ConvexHull(flat).vertices]  # counter-clockwise
    inside = np.ones(shape, bool)
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])
    for (a0, a1), (b0, b1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (b0 - a0) * (j - a1) - (b1 - a1) * (i - a0) >= 0
    return inside


# --------------------------------------------------------------------- the paper's hull


def sampled_hull(
    mask: np.ndarray, spacing, rotations: int, triangles: int, seed: int, device: str = "cpu"
) -> np.ndarray:
    """Return the paper's approximate hull of a mask.

    Surface voxels are drawn with :func:`surface_probability`; a full volume is
    carved by ``triangles`` random triangles of the hull of what was drawn.

    Raises
    ------
    ValueError
        If too few voxels were drawn for a hull.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    probability = surface_probability(mask, spacing, rotations, generator, device)
    drawn = torch.rand(mask.shape, generator=generator).to(probability.device) < probability
    corners = extreme_voxels(drawn.cpu().numpy())
    simplices = _simplices(corners)
    chosen = torch.randperm(len(simplices), generator=generator)[:triangles].numpy()
    return carve(mask.shape, *planes(corners[simplices[chosen]], corners), device)


def surface_probability(mask: np.ndarray, spacing, rotations: int, generator, device="cpu"):
    """Return how often a voxel is the first of the mask that is met, seen from around.

    The mask is turned at random ``rotations`` times; each time the first voxel
    met along each of the six directions of the axes is marked, the six marks
    are averaged and turned back; the result is the average over the turns.

    Parameters
    ----------
    mask : numpy.ndarray of bool
    spacing : array_like
        Voxel edges in millimetres: turns are rigid.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    torch.Tensor
        float32 in 0 .. 1, the mask's shape, on the device.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    spacing = np.asarray(spacing, float)
    half = np.array(mask.shape) * spacing / 2
    step, reach = float(spacing.min()), float(np.linalg.norm(half))
    edge = int(np.ceil(2 * reach / step))
    reach = edge * step / 2
    solid = torch.from_numpy(np.ascontiguousarray(mask)).to(device).float()[None, None]
    total = torch.zeros_like(solid)
    for _ in range(rotations):
        turn = _random_rotation(generator)
        # affine_grid counts axes from the last one.
        forward = torch.from_numpy((turn / half[:, None] * reach)[::-1, ::-1].copy())
        back = torch.from_numpy((turn.T * half / reach)[::-1, ::-1].copy())
        grids = [
            affine_grid(_theta(m, device), (1, 1, *shape), align_corners=False)
            for m, shape in ((forward, (edge,) * 3), (back, mask.shape))
        ]
        turned = grid_sample(solid, grids[0], mode="nearest", align_corners=False)
        marks = first_voxels(turned[0, 0] > 0.5)[None, None]
        total += grid_sample(marks, grids[1], mode="bilinear", align_corners=False)
    return (total / rotations)[0, 0].clamp(0, 1)


def _theta(matrix, device):
    import torch

    theta = torch.zeros(1, 3, 4, device=device)
    theta[0, :, :3] = matrix.to(device=device, dtype=torch.float32)
    return theta


def _random_rotation(generator) -> np.ndarray:
    """Return a rotation matrix, all rotations being equally likely."""
    import torch
    from scipy.spatial.transform import Rotation

    # Four normal numbers are a quaternion of random direction.
    return Rotation.from_quat(torch.randn(4, generator=generator).double().numpy()).as_matrix()


def first_voxels(mask):
    """Return the share of the six directions along the axes from which a voxel is met first.

    >>> import torch
    >>> first_voxels(torch.tensor([True, True, True, False]).reshape(4, 1, 1)).flatten().tolist()
    [0.8333333..., 0.6666666..., 0.8333333..., 0.0]
    """
    import torch

    total = torch.zeros(mask.shape, device=mask.device)
    small = mask.to(torch.uint8)
    for axis in range(3):
        met = mask.any(dim=axis, keepdim=True).float()
        first = small.argmax(dim=axis, keepdim=True)
        last = mask.shape[axis] - 1 - small.flip(axis).argmax(dim=axis, keepdim=True)
        total.scatter_add_(axis, first, met)
        total.scatter_add_(axis, last, met)
    return total / 6


def carve(shape, normals: np.ndarray, offsets: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Return a full volume from which all beyond each plane ``normal . x <= offset`` is cut."""
    import torch

    full = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    i, j, k = (torch.arange(n, device=device) for n in shape)
    for normal, offset in zip(normals.tolist(), offsets.tolist(), strict=True):
        rest = offset - normal[0] * i[:, None] - normal[1] * j[None, :]
        full &= normal[2] * k <= rest[..., None]
    return full.cpu().numpy()


# --------------------------------------------------------------------- smaller copies


def pool(x, factor: int):
    """Average blocks of ``factor``^3 voxels of (batch, channels, i, j, k).

    >>> import torch
    >>> pool(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    3.5
    """
    if factor == 1:
        return x
    if x.device.type != "cuda":
        from torch.nn.functional import avg_pool3d

        return avg_pool3d(x, factor)
    # There its gradient would not be the same bytes each time.
    n, c, i, j, k = x.shape
    blocks = x.reshape(n, c, i // factor, factor, j // factor, factor, k // factor, factor)
    return blocks.mean(dim=(3, 5, 7))


def downsample(mask, factor: int, generator):
    """Return a smaller binary mask: the average of a block is the probability of a one.

    Parameters
    ----------
    mask : torch.Tensor
        Binary, as float, (batch, channels, i, j, k).
    generator : torch.Generator
        On the CPU.
    """
    import torch

    if factor == 1:
        return mask
    chance = pool(mask, factor)
    return (torch.rand(chance.shape, generator=generator).to(chance.device) < chance).to(mask.dtype)


def pyramid(hull, brain, tissue, edges, generator) -> list:
    """Return the privacy transform at several scales, as the networks' input.

    Parameters
    ----------
    hull, brain, tissue : torch.Tensor
        (batch, 1, edge, edge, edge) at the finest scale; the masks binary, as float.
    edges : list of int
        Edges of the scales, coarse first.

    Returns
    -------
    list of torch.Tensor
        (batch, 3, edge, edge, edge), coarse first.  The masks are drawn
        (:func:`downsample`), the intensities averaged.
    """
    import torch

    full = hull.shape[-1]
    return [
        torch.cat(
            [
                downsample(hull, full // edge, generator),
                downsample(brain, full // edge, generator),
                pool(tissue, full // edge),
            ],
            1,
        )
        for edge in edges
    ]
