"""Whole heads at several scales: what CP-GAN's networks see, and what becomes of what they make.

Tensors in, tensors out; touches no file.
"""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool3d

from refacebench.training.devices import send


def pool(x, factor: int):
    """Average blocks of ``factor``^3 voxels of (batch, channels, i, j, k).

    >>> import torch
    >>> pool(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    3.5
    """
    if factor == 1:
        return x
    if x.device.type != "cuda":
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
    if factor == 1:
        return mask
    chance = pool(mask, factor)
    draw = torch.rand(chance.shape, generator=generator)
    return (send(draw, chance.device) < chance).to(mask.dtype)


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


def inputs(parts, generator_network, generator) -> dict:
    """Return what the networks see of a batch: every entry a list over scales, coarse first.

    ``gammas``: the privacy transform; ``tissue``, ``outside``: brain
    intensities and share of voxels outside the brain, averaged, for
    :func:`compose`; ``real``: the original where it is known; ``noise``.
    """
    hull, brain, tissue, target = parts
    edges = generator_network.scales
    noise = torch.randn(generator_network.noise_shape(len(hull)), generator=generator)
    factors = [edges[-1] // edge for edge in edges]

    def at_scales(volume):
        return [pool(volume, factor) for factor in factors]

    batch = {
        "noise": send(noise, hull.device),
        "gammas": pyramid(hull, brain, tissue, edges, generator),
        "tissue": at_scales(tissue),
        "outside": at_scales(1 - brain),
    }
    if target is not None:
        batch["real"] = at_scales(target)
    return batch


def compose(volumes, batch: dict) -> list:
    """Return brain * scan + (1 - brain) * network at every scale (the paper's output).

    At a coarse scale it is the average of that over the blocks, so that a fake
    and a real volume differ in nothing but what the network made.
    """
    triples = zip(volumes, batch["tissue"], batch["outside"], strict=True)
    return [tissue + outside * volume for volume, tissue, outside in triples]
