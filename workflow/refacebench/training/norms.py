"""Normalisation and dropout that leave images in the memory order in which they come.

PyTorch's instance norm copies images that lie channels last into the default order and leaves
them there, so that every convolution after it copies them back.  Tensors in, tensors out;
touches no file.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def lie_channels_last(x: torch.Tensor) -> bool:
    """Tell whether images (batch, channels, height, width) lie channels last and in no other way.

    >>> lie_channels_last(torch.zeros(1, 2, 3, 4))
    False
    """
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def instance_norm(x: torch.Tensor, weight, bias, eps: float) -> torch.Tensor:
    """Normalise each channel of each image by itself; as torch's, in the order of ``x``.

    Parameters
    ----------
    x : torch.Tensor
        (batch, channels, height, width).
    weight, bias : torch.Tensor
        Scale and shift of each channel, (channels,).
    eps : float
        Added to the variance.
    """
    last = lie_channels_last(x)
    if last and x.device.type == "cuda":
        return one_by_one(x, weight, bias, eps)
    y = functional.instance_norm(x, weight=weight, bias=bias, eps=eps)
    # The CPU has no faster way; the convolution that follows would copy anyway.
    return _Ordered.apply(y, torch.channels_last if last else torch.contiguous_format)


class _Ordered(torch.autograd.Function):
    """Bring images into a memory order, and their gradient back into the default one.

    The backward pass of torch's instance norm (2.11 and 2.13, CPU) is wrong for a batch of one
    whose gradient lies channels last: it takes the numbers in the order in which they lie.
    """

    @staticmethod
    def forward(ctx, y: torch.Tensor, order: torch.memory_format) -> torch.Tensor:
        return y.contiguous(memory_format=order)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        return gradient.contiguous(), None


def one_by_one(x: torch.Tensor, weight, bias, eps: float) -> torch.Tensor:
    """Do the same by batch norms over one image each, which have kernels for either order."""
    made = [
        functional.batch_norm(image, None, None, weight, bias, training=True, eps=eps)
        for image in x.split(1)
    ]
    return made[0] if len(made) == 1 else torch.cat(made)


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation with scale and shift, see :func:`instance_norm`."""

    def __init__(self, channels: int):
        super().__init__(channels, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, channels, height, width)."""
        return instance_norm(x, self.weight, self.bias, self.eps)


class Dropout(nn.Dropout):
    """Dropout that drops the same numbers in whatever order they lie."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop from (batch, channels, height, width)."""
        if not lie_channels_last(x):
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)
