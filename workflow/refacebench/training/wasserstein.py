"""How far two sets of heads are from each other as distributions of patches.

Tensors in, a number out; touches no file.
"""

from __future__ import annotations

import torch

from refacebench.training.pyramid import pool


def quarters(around):
    """Split the region around the brain into front and back, above and below its middle.

    Parameters
    ----------
    around : torch.Tensor of bool
        (size, size, size), axes right, anterior, superior.
    """
    at = torch.nonzero(around).double().mean(dim=0)
    front = torch.arange(around.shape[1], device=around.device)[None, :, None] > at[1]
    upper = torch.arange(around.shape[2], device=around.device)[None, None, :] > at[2]
    return [around & (front == f) & (upper == u) for f in (True, False) for u in (True, False)]


def sliced_wasserstein(made, real, around, edge=5, directions=64, patches=1024) -> float:
    """Return the distance between two sets of heads as distributions of patches.

    Patches of ``edge``^3 voxels are drawn at the same places of both, in each
    quarter of the region around the brain, at full and at half resolution; the
    mean over random directions of the 1-D Wasserstein distance (Karras et al.
    2018, appendix; Rabin et al. 2012), averaged over quarters and resolutions.

    Parameters
    ----------
    made, real : torch.Tensor
        (scans, 1, size, size, size).
    around : torch.Tensor of bool
        Same shape.

    Returns
    -------
    float
        0 for equal sets; about 0.8 when all intensities are shifted by one.
    """
    generator = torch.Generator().manual_seed(0)
    rays = torch.randn(edge**3, directions, generator=generator)
    rays = (rays / rays.norm(dim=0)).to(made.device)
    distances = []
    for factor in (1, 2):
        small = [pool(v, factor) for v in (made, real)]
        mask = pool(around.float(), factor) > 0.5
        drawn = [_draw(quarters(m[0]), edge, patches, generator) for m in mask]
        for quarter in range(4):
            a, b = (_project(v, [d[quarter] for d in drawn], rays) for v in small)
            if len(a):
                distances.append((a - b).abs().mean())
    return float(torch.stack(distances).mean()) if distances else 0.0


def _project(volumes, places, rays):
    """Return the patches of all scans along every direction, each column in ascending order."""
    edge = round(len(rays) ** (1 / 3))
    parts = [_patches(v[0], p, edge) @ rays for v, p in zip(volumes, places, strict=True)]
    return torch.cat(parts).double().sort(dim=0).values


def _draw(regions, edge: int, count: int, generator):
    """Return up to ``count`` random centres (n, 3) in each region, away from the grid's border."""
    reach, result = edge // 2, []
    for region in regions:
        size = torch.tensor(region.shape)
        places = torch.nonzero(region.cpu())
        places = places[((places >= reach) & (places < size - reach)).all(dim=1)]
        chosen = torch.randperm(len(places), generator=generator)[:count]
        result.append(places[chosen].to(region.device))
    return result


def _patches(volume, centres, edge: int):
    """Return the patches around centres, (n, edge^3)."""
    reach = torch.arange(edge, device=volume.device) - edge // 2
    offsets = torch.cartesian_prod(reach, reach, reach)
    i, j, k = (centres[:, None] + offsets[None]).unbind(-1)
    return volume[i, j, k]
