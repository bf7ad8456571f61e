"""The networks of the 2-D refacers, in torch alone.

U-Net generator and patch discriminator of pix2pix (Isola et al. 2017), laid
out as in the authors' own code so that layer and parameter counts agree.
Touches no files.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Norm(nn.BatchNorm2d):
    """Batch normalisation, or the same with the statistics of each image.

    pix2pix trains with batches of one image, where batch normalisation uses
    the statistics of that image, and goes on so after training.  With
    ``per_image`` that arithmetic holds for batches of any size: every image is
    normalised by itself, in training and afterwards.  Otherwise training uses
    the statistics of the batch and evaluation their running averages.
    """

    def __init__(self, channels: int, per_image: bool):
        super().__init__(channels)
        self.per_image = per_image

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels, height, width)."""
        if self.per_image:
            return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return super().forward(x)


class _Level(nn.Module):
    """One down/up level of the U-Net around the levels below it."""

    def __init__(self, outer, inner, below, *, cin=None, place, dropout, per_image):
        super().__init__()
        down = nn.Conv2d(cin or outer, inner, 4, 2, 1, bias=False)
        if place == "outermost":
            up = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1)
            layers = [down, below, nn.ReLU(), up, nn.Tanh()]
        elif place == "innermost":
            up = nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=False)
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, Norm(outer, per_image)]
        else:
            up = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=False)
            layers = [nn.LeakyReLU(0.2), down, Norm(inner, per_image), below, nn.ReLU(), up]
            layers += [Norm(outer, per_image)] + ([nn.Dropout(0.5)] if dropout else [])
        self.layers = nn.Sequential(*layers)
        self.outermost = place == "outermost"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return y if self.outermost else torch.cat([x, y], 1)


class UNet(nn.Module):
    """The U-Net generator of pix2pix.

    Parameters
    ----------
    channels_in, channels_out : int
        Channels of the input and of the output (tanh, -1..1).
    size : int
        Edge of the square images; there are as many levels as it can be
        halved (``unet_256`` has eight, down to one pixel; 96 has five, to 3 x 3).
    filters : int
        Channels of the outermost level; they double up to eight times that.
    per_image : bool
        See :class:`Norm`.

    Raises
    ------
    ValueError
        If ``size`` is no multiple of 16.
    """

    def __init__(self, channels_in: int, channels_out: int, size=256, filters=64, per_image=True):
        super().__init__()
        if size < 16 or size % 16:
            raise ValueError(f"size {size}: the U-Net needs a multiple of 16")
        levels = (size & -size).bit_length() - 1  # factors of two
        width = [filters * min(2**level, 8) for level in range(levels)]
        block = None
        for level in range(levels - 1, 0, -1):
            block = _Level(
                width[level - 1],
                width[level],
                block,
                place="innermost" if level == levels - 1 else "middle",
                # The full-width levels around the innermost: three of them at size 256.
                dropout=4 <= level < levels - 1,
                per_image=per_image,
            )
        self.net = _Level(
            channels_out,
            width[0],
            block,
            cin=channels_in,
            place="outermost",
            dropout=False,
            per_image=per_image,
        )
        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels_in, size, size) to (batch, channels_out, size, size)."""
        return self.net(x)


class PatchDiscriminator(nn.Module):
    """The patch discriminator of pix2pix: one logit a patch of 70 x 70 pixels.

    Parameters
    ----------
    channels : int
        Channels of input and output image together.
    filters : int
        Channels of the first layer.
    strided : int
        Layers of stride two; three give the 70 x 70 receptive field.
    per_image : bool
        See :class:`Norm`.
    """

    def __init__(self, channels: int, filters: int = 64, strided: int = 3, per_image=True):
        super().__init__()
        layers = [nn.Conv2d(channels, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        width = filters
        for number in range(1, strided + 1):
            wider = filters * min(2**number, 8)
            stride = 2 if number < strided else 1
            layers += [nn.Conv2d(width, wider, 4, stride, 1, bias=False)]
            layers += [Norm(wider, per_image), nn.LeakyReLU(0.2)]
            width = wider
        self.net = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))
        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 1, rows, columns); high means "a real pair"."""
        return self.net(x)


def initialise(module: nn.Module) -> None:
    """Draw weights as pix2pix does: N(0, 0.02), norm scales N(1, 0.02), biases zero."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
