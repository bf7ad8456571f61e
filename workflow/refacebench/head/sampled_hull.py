"""The approximate convex hull of CP-GAN's paper: random triangles carve a volume.

Van der Goten et al., BMVC 2021.  Random numbers are drawn on the CPU from a seed, the
same ones for every device.  Touches no file.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from refacebench.image.convex_hull import extreme_voxels, planes, simplices


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
    generator = torch.Generator().manual_seed(seed)
    probability = surface_probability(mask, spacing, rotations, generator, device)
    drawn = torch.rand(mask.shape, generator=generator).to(probability.device) < probability
    corners = extreme_voxels(drawn.cpu().numpy())
    found = simplices(corners)
    chosen = torch.randperm(len(found), generator=generator)[:triangles].numpy()
    return carve(mask.shape, *planes(corners[found[chosen]], corners), device)


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
            affine_grid(_theta(m, device), [1, 1, *shape], align_corners=False)
            for m, shape in ((forward, (edge,) * 3), (back, mask.shape))
        ]
        turned = grid_sample(solid, grids[0], mode="nearest", align_corners=False)
        marks = first_voxels(turned[0, 0] > 0.5)[None, None]
        total += grid_sample(marks, grids[1], mode="bilinear", align_corners=False)
    return (total / rotations)[0, 0].clamp(0, 1)


def _theta(matrix, device):

    theta = torch.zeros(1, 3, 4, device=device)
    theta[0, :, :3] = matrix.to(device=device, dtype=torch.float32)
    return theta


def _random_rotation(generator) -> np.ndarray:
    """Return a rotation matrix, all rotations being equally likely."""
    from scipy.spatial.transform import Rotation

    # Four normal numbers are a quaternion of random direction.
    return Rotation.from_quat(torch.randn(4, generator=generator).double().numpy()).as_matrix()


def first_voxels(mask):
    """Return the share of the six directions along the axes from which a voxel is met first.

    >>> import torch
    >>> first_voxels(torch.tensor([True, True, True, False]).reshape(4, 1, 1)).flatten().tolist()
    [0.8333333..., 0.6666666..., 0.8333333..., 0.0]
    """
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
    full = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    i, j, k = (torch.arange(n, device=device) for n in shape)
    for normal, offset in zip(normals.tolist(), offsets.tolist(), strict=True):
        rest = offset - normal[0] * i[:, None] - normal[1] * j[None, :]
        full &= normal[2] * k <= rest[..., None]
    return full.cpu().numpy()
