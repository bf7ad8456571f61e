"""The networks of CP-GAN, in torch alone.

Van der Goten et al., "Conditional de-identification of 3D magnetic resonance
images", BMVC 2021: a generator and a discriminator with a block at every scale
from 4^3 to the full size (128^3 in the paper, six scales), joined by links of
one channel as in MSG-GAN (Karnewar & Wang, CVPR 2020), with the privacy
transform of the scan, downsampled, as an input of every block of both.

Stated: the scales, the links, the transform in every block, noise from N(0, 1)
at the start, convolutions in the manner of MobileNetV2.  Not stated, and chosen
here: one channel of noise (many drown the transform at the coarsest scale), the
channels (doubling towards the coarse scales), MSG-GAN's pixel norm in
the generator and none in the discriminator, leaky ReLU 0.2, no minibatch
standard deviation (a batch of two says little).  Touches no files.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from refacebench.training.pyramid import pool

#: Edge of the coarsest scale, in voxels.
BASE = 4
#: Channels of the privacy transform: hull, brain mask, brain intensities.
GAMMA = 3
#: One channel links a block of the generator with the discriminator's at its scale.
LINK = 1
CONVOLUTIONS = ("dense", "mbconv")


def scales(size: int) -> list[int]:
    """Return the edges of all scales, coarse first.

    Raises
    ------
    ValueError
        If the size is not 4 times a power of two, or has one scale only.

    >>> scales(128)
    [4, 8, 16, 32, 64, 128]
    """
    edges = [BASE]
    while edges[-1] < size:
        edges.append(2 * edges[-1])
    if edges[-1] != size or len(edges) < 2:
        raise ValueError(f"size {size}: use 8, 16, 32, 64, 128 or 256")
    return edges


def widths(size: int, filters: int, most: int) -> list[int]:
    """Return the channels of every scale, coarse first.

    >>> widths(128, 16, 256)
    [256, 256, 128, 64, 32, 16]
    """
    levels = len(scales(size))
    return [min(most, filters * 2 ** (levels - 1 - level)) for level in range(levels)]


class PixelNorm(nn.Module):
    """Scale the features of every voxel to a mean square of one (Karras et al. 2018)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise over axis 1."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class _Inverted(nn.Module):
    """An inverted residual of MobileNetV2 (Sandler et al. 2018) in three dimensions."""

    def __init__(self, cin: int, cout: int, expansion: int, norm):
        super().__init__()
        wide = cin * expansion
        self.layers = nn.Sequential(
            nn.Conv3d(cin, wide, 1),
            norm(),
            nn.ReLU6(),
            nn.Conv3d(wide, wide, 3, padding=1, groups=wide),
            norm(),
            nn.ReLU6(),
            nn.Conv3d(wide, cout, 1),
            norm(),
        )
        self.residual = cin == cout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def _unit(kind: str, cin: int, cout: int, expansion: int, norm) -> nn.Module:
    if kind == "mbconv":
        return _Inverted(cin, cout, expansion, norm)
    if kind != "dense":
        raise ValueError(f"conv '{kind}': use one of {', '.join(CONVOLUTIONS)}")
    return nn.Sequential(nn.Conv3d(cin, cout, 3, padding=1), norm(), nn.LeakyReLU(0.2))


def _block(kind: str, cin: int, middle: int, cout: int, expansion: int, norm) -> nn.Module:
    return nn.Sequential(
        _unit(kind, cin, middle, expansion, norm), _unit(kind, middle, cout, expansion, norm)
    )


def enlarge(x: torch.Tensor) -> torch.Tensor:
    """Double the last three axes by repeating voxels; its gradient is the same bytes each time."""
    n, c, i, j, k = x.shape
    wide = x[:, :, :, None, :, None, :, None].expand(n, c, i, 2, j, 2, k, 2)
    return wide.reshape(n, c, 2 * i, 2 * j, 2 * k)


class Generator(nn.Module):
    """From noise and the privacy transform to a volume at every scale.

    Parameters
    ----------
    size : int
        Edge of the finest scale.
    filters, most : int
        Channels at the finest scale; they double towards the coarse ones up to ``most``.
    conv : str
        ``dense``, or ``mbconv`` as in the paper.
    expansion : int
        Of the inverted residuals.
    noise : int
        Channels of the noise.
    """

    def __init__(self, size=128, filters=16, most=256, conv="dense", expansion=6, noise=1):
        super().__init__()
        self.scales, self.widths = scales(size), widths(size, filters, most)
        self.noise = noise
        before = [noise, *self.widths[:-1]]
        self.blocks = nn.ModuleList(
            _block(conv, cin + GAMMA, width, width, expansion, PixelNorm)
            for cin, width in zip(before, self.widths, strict=True)
        )
        self.links = nn.ModuleList(nn.Conv3d(width, LINK, 1) for width in self.widths)
        self.apply(initialise)
        for link in self.links:  # starts dark: most of a volume is air
            nn.init.constant_(cast(torch.Tensor, link.bias), -1.0)

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape of the noise g0."""
        return (batch, self.noise, BASE, BASE, BASE)

    def forward(self, noise: torch.Tensor, gammas) -> list[torch.Tensor]:
        """Return volumes in 0 .. 1, shape (batch, 1, edge, edge, edge), coarse first.

        Parameters
        ----------
        noise : torch.Tensor
            Of :meth:`noise_shape`, drawn from N(0, 1).
        gammas : list of torch.Tensor
            The privacy transform at every scale, (batch, 3, edge, edge, edge), coarse first.
        """
        x, volumes = noise, []
        for number, (block, link) in enumerate(zip(self.blocks, self.links, strict=True)):
            if number:
                x = enlarge(x)
            x = block(torch.cat([x, gammas[number].to(x.dtype)], 1))
            volumes.append(torch.sigmoid(link(x)))
        return volumes


class Discriminator(nn.Module):
    """From a volume and the privacy transform at every scale to one number a head.

    Parameters are those of :class:`Generator`, noise aside.
    """

    def __init__(self, size=128, filters=16, most=256, conv="dense", expansion=6):
        super().__init__()
        self.scales, self.widths = scales(size), widths(size, filters, most)
        blocks, cin = [], 0
        for level in reversed(range(len(self.widths))):
            width = self.widths[level]
            wider = self.widths[max(0, level - 1)]
            blocks.append(_block(conv, cin + LINK + GAMMA, width, wider, expansion, nn.Identity))
            cin = wider
        self.blocks = nn.ModuleList(blocks)  # fine first
        self.last = nn.Conv3d(cin, 1, BASE)
        self.apply(initialise)

    def forward(self, volumes, gammas) -> torch.Tensor:
        """Return (batch,) numbers; high means "a real head". Both lists coarse first."""
        x = None
        pairs = zip(reversed(volumes), reversed(gammas), strict=True)
        for block, (volume, gamma) in zip(self.blocks, pairs, strict=True):
            seen = torch.cat([volume.to(gamma.dtype), gamma], 1)
            x = block(seen if x is None else torch.cat([pool(x, 2), seen.to(x.dtype)], 1))
        return self.last(x)[:, 0, 0, 0, 0]


def initialise(module: nn.Module) -> None:
    """Draw weights after He et al. 2015 for leaky ReLU 0.2; biases zero."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        nn.init.zeros_(cast(torch.Tensor, module.bias))


def spread(weight: torch.Tensor) -> float:
    """Return the standard deviation with which :func:`initialise` draws a convolution's weights.

    >>> round(spread(torch.zeros(8, 26, 1, 1, 1)), 3)
    0.272
    """
    return nn.init.calculate_gain("leaky_relu", 0.2) / math.sqrt(weight[0].numel())


def relativistic(winner: torch.Tensor, loser: torch.Tensor) -> torch.Tensor:
    """Return the relativistic least-squares loss, pair by pair and not against an average.

    The mean of ``(winner - loser - 1)^2`` (Jolicoeur-Martineau 2019).  The
    discriminator's loss is ``relativistic(D(real), D(fake))``, the
    generator's ``relativistic(D(fake), D(real))``; real and fake volume of a
    pair share their privacy transform.

    >>> float(relativistic(torch.tensor([2.0]), torch.tensor([0.5])))
    0.25
    """
    return functional.mse_loss(winner - loser, torch.ones_like(winner))
