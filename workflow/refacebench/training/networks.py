"""The networks of the 2-D refacers, in torch alone.

U-Net generator and patch discriminator of pix2pix (Isola et al. 2017), residual
generator of CycleGAN (Zhu et al. 2017), laid out as in the authors' own code so
that layer and parameter counts agree.  Touches no files.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from refacebench.training.norms import Dropout, InstanceNorm, instance_norm


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
            return instance_norm(x, self.weight, self.bias, self.eps)
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
            layers += [Norm(outer, per_image)] + ([Dropout(0.5)] if dropout else [])
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
    last_stride : int
        Of the widest layer; two in place of one gives 94 x 94.
    """

    def __init__(
        self, channels: int, filters: int = 64, strided: int = 3, per_image=True, last_stride=1
    ):
        super().__init__()
        layers = [nn.Conv2d(channels, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
        width = filters
        for number in range(1, strided + 1):
            wider = filters * min(2**number, 8)
            stride = 2 if number < strided else last_stride
            layers += [nn.Conv2d(width, wider, 4, stride, 1, bias=False)]
            layers += [Norm(wider, per_image), nn.LeakyReLU(0.2)]
            width = wider
        self.net = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))
        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 1, rows, columns); high means "a real pair"."""
        return self.net(x)


def reflect(x: torch.Tensor, width: int) -> torch.Tensor:
    """Mirror images at their borders, as ``torch.nn.ReflectionPad2d``.

    Built from slices and flips, because the backward pass of torch's own layer
    adds up in random order on CUDA: a training would not be reproducible.
    """
    for axis in (-2, -1):
        n = x.shape[axis]
        low = x.narrow(axis, 1, width).flip(axis)
        high = x.narrow(axis, n - 1 - width, width).flip(axis)
        x = torch.cat([low, x, high], axis)
    return x


class _Border(nn.Module):
    """:func:`reflect` as a layer; keeps the memory order of its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return reflect(x, 3)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input is passed on."""

    def __init__(self, width: int):
        super().__init__()
        layers = [nn.Conv2d(width, width, 3, 1, 1), InstanceNorm(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 3, 1, 1), InstanceNorm(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """The generator of CycleGAN: c7s1-f, d2f, d4f, R4f x blocks, u2f, uf, c7s1-out.

    Images are mirrored at the border before the two 7 x 7 convolutions and
    padded with zeros before the others; norms are instance norms with scale
    and shift, as in the code of Abramian & Eklund.

    Parameters
    ----------
    channels_in, channels_out : int
        Channels of the input and of the output (tanh, -1..1).
    filters : int
        Channels of the first layer; 32 gives the 2.85 M parameters of the paper.
    blocks : int
        Residual blocks; nine give 24 convolutions.
    """

    def __init__(self, channels_in=1, channels_out=1, filters: int = 32, blocks: int = 9):
        super().__init__()
        f = filters
        layers = [_Border(), nn.Conv2d(channels_in, f, 7), InstanceNorm(f), nn.ReLU()]
        for width in (f, 2 * f):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), InstanceNorm(2 * width), nn.ReLU()]
        layers += [_Residual(4 * f) for _ in range(blocks)]
        for width in (4 * f, 2 * f):
            layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1)]
            layers += [InstanceNorm(width // 2), nn.ReLU()]
        self.net = nn.Sequential(*layers, _Border(), nn.Conv2d(f, channels_out, 7), nn.Tanh())
        self.apply(initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels_out, h, w); h, w multiples of 4."""
        return self.net(x)


class Patched(nn.Module):
    """A network that works on patches: ``size`` x ``size`` pixels become channels of one.

    Parameters
    ----------
    net : torch.nn.Module
        With ``size**2`` times the channels on either side.
    """

    def __init__(self, net: nn.Module, size: int):
        super().__init__()
        self.net, self.size = net, size

    def forward(self, x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, h, w) to as many pixels; h and w are multiples of ``size``."""
        if self.size == 1:
            return self.net(x, *rest)
        x = functional.pixel_unshuffle(x, self.size)
        return functional.pixel_shuffle(self.net(x, *rest), self.size)


class Pool(nn.Module):
    """Earlier fakes that a discriminator is shown again (Shrivastava et al. 2017).

    Half of the time a fake is swapped for one of the last ``size``, so that the
    discriminator does not only see the newest.  A module, so that it survives
    an interruption with the networks.

    Parameters
    ----------
    size : int
        Images that are kept.
    shape : tuple of int
        Channels, rows, columns.
    """

    images: torch.Tensor
    seen: torch.Tensor

    def __init__(self, size: int, shape, device):
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape, device=device))
        # On the CPU, where draw() reads it without waiting for the device.
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Decide what happens to the next fakes: (2, count) slots and whether to swap.

        The first fakes fill the pool and are shown themselves; later ones are
        swapped for a random one, which they replace, or shown and not kept
        (slot -1).
        """
        slots = torch.full((2, count), -1)
        for number in range(count):
            if self.seen < len(self.images):
                slots[0, number], slots[1, number] = self.seen, 0
                self.seen += 1
            elif len(self.images) and torch.rand((), generator=generator) < 0.5:
                slots[0, number] = torch.randint(len(self.images), (), generator=generator)
                slots[1, number] = 1
        return slots

    def exchange(self, fakes: torch.Tensor, plan: torch.Tensor) -> torch.Tensor:
        """Carry out a plan of :meth:`draw` (on the pool's device) and return what is shown.

        No step depends on values on the CPU, so that it can be recorded.
        """
        if not len(self.images):
            return fakes
        shown = []
        for fake, slot, swap in zip(fakes.split(1), plan[0], plan[1], strict=True):
            place = slot.clamp(min=0)[None]
            old = self.images.index_select(0, place)
            shown.append(torch.where(swap > 0, old, fake))
            self.images.index_copy_(0, place, torch.where(slot >= 0, fake, old))
        return torch.cat(shown)


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
