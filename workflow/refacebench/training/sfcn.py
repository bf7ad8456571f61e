"""The simple fully convolutional network that reads an age from a volume, and its training.

Peng et al., "Accurate brain age prediction with lightweight deep neural networks", Med Image
Anal 2021: blocks of convolution, batch normalisation, max pooling and ReLU; a convolution of
one voxel; average pooling, dropout, and a distribution over bins of age, learnt against a
normal distribution around the true age.  Needs torch and MONAI; touches no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.networks.blocks import Convolution
from torch import nn

from refacebench.training import devices, optimisers, seeds

#: Bins go on for so many years on both sides of the training ages.
BEYOND_YEARS = 5.0


class SFCN(nn.Module):
    """Volumes (n, 1, i, j, k) -> log probabilities of the bins (n, bins)."""

    def __init__(self, channels: Sequence[int], bins: int, dropout: float):
        super().__init__()
        sizes = [1, *channels]
        last = len(channels)
        blocks: list[nn.Module] = []
        for number, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False), start=1):
            # The last one looks at single voxels and does not shrink.
            kernel = 1 if number == last else 3
            blocks.append(
                Convolution(3, before, after, kernel_size=kernel, adn_ordering="N", norm="batch")
            )
            if number < last:
                blocks.append(nn.MaxPool3d(2))
            blocks.append(nn.ReLU())
        self.features = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Conv3d(channels[-1], bins, 1)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return log probabilities."""
        found = self.dropout(self.features(volumes).mean(dim=(2, 3, 4), keepdim=True))
        return self.classes(found).flatten(1).log_softmax(dim=1)


def centers(ages: np.ndarray, bin_years: float) -> np.ndarray:
    """Return the middles of the bins, years."""
    low = np.floor(ages.min()) - BEYOND_YEARS
    count = int(np.ceil((ages.max() + BEYOND_YEARS - low) / bin_years))
    return low + bin_years * (np.arange(count) + 0.5)


def soft_labels(ages: np.ndarray, middles: np.ndarray, sigma: float) -> np.ndarray:
    """Return a normal distribution around each age over the bins, shape (ages, bins).

    >>> soft_labels(np.array([30.0]), np.array([29.0, 30.0, 31.0]), 1.0).round(2)
    array([[0.27, 0.45, 0.27]])
    """
    weights = np.exp(-0.5 * ((middles[None] - ages[:, None]) / sigma) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


class AgeTask:
    """What :func:`refacebench.training.loop.fit` trains (:class:`refacebench.training.task.Task`).

    Parameters
    ----------
    train, held : (numpy.ndarray, numpy.ndarray)
        Volumes (n, i, j, k) in half precision and ages.
    middles : numpy.ndarray
        Of the bins.
    """

    product, criterion = "network", "val_mae"

    def __init__(self, train, held, middles, options: Mapping, seed: int, device, precision: str):
        torch.manual_seed(seeds.keyed_seed(seed, "weights"))
        network = SFCN(options["channels"], len(middles), options["dropout"])
        self.networks: dict[str, nn.Module] = {"network": network.to(device)}
        self.optimisers = {"network": _optimiser(network, options, device)}
        self.options, self.device, self.precision = options, device, precision
        self.middles = torch.as_tensor(middles, dtype=torch.float32, device=device)
        labels = soft_labels(train[1], middles, options["sigma_years"])
        volumes = torch.from_numpy(train[0])
        self.volumes = volumes.to(devices.home(volumes.nbytes, torch.device(device)))
        self.labels = torch.as_tensor(labels, dtype=torch.float32, device=self.volumes.device)
        self.held = held

    def batch(self, items: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
        """Return some scans, shifted and mirrored at random, and their labels."""
        items = devices.send(items, self.volumes.device)
        found = [devices.send(t[items], self.device) for t in (self.volumes, self.labels)]
        return [augment(found[0][:, None].float(), self.options, generator), found[1]]

    def step(self, items: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Learn from some scans."""
        volumes, labels = self.batch(items, generator)
        network, optimiser = self.networks["network"], self.optimisers["network"]
        optimiser.zero_grad(set_to_none=True)
        with devices.autocast(self.device, self.precision):
            found = network(volumes)
        loss = nn.functional.kl_div(found.float(), labels, reduction="batchmean")
        loss.backward()
        optimiser.step()
        return {"kl": loss.detach()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the mean absolute error on the validation people, years."""
        found = predict(
            self.networks["network"], self.held[0], self.middles, self.device, self.precision
        )
        return {"val_mae": float(np.abs(found - self.held[1]).mean())}


def _optimiser(network: nn.Module, options: Mapping, device) -> torch.optim.Optimizer:
    if options["optimiser"] == "adam":
        return optimisers.adam(network, options["learning_rate"], (0.9, 0.999), device, fused=False)
    return torch.optim.SGD(
        network.parameters(), options["learning_rate"], momentum=0.9, weight_decay=1e-3
    )


def augment(volumes: torch.Tensor, options: Mapping, generator: torch.Generator) -> torch.Tensor:
    """Shift by whole voxels and mirror left to right, each volume by its own draw.

    The axis left-right is the third.  What is shifted out comes in at the other side, where
    there is nothing but the box's edge.
    """
    most, mirror = int(options["shift_voxels"]), bool(options["mirror"])
    moved = []
    for volume in volumes:
        if most:
            by = torch.randint(-most, most + 1, (3,), generator=generator).tolist()
            volume = volume.roll(by, dims=(1, 2, 3))
        if mirror and int(torch.randint(2, (1,), generator=generator)):
            volume = volume.flip(1)
        moved.append(volume)
    return torch.stack(moved)


@torch.no_grad()
def predict(network: Any, volumes: np.ndarray, middles: Any, device, precision: str) -> np.ndarray:
    """Return the mean of the predicted distribution of each volume, years."""
    network.eval()
    found = []
    for volume in volumes:
        one = torch.from_numpy(np.ascontiguousarray(volume))[None, None].to(device).float()
        with devices.autocast(device, precision):
            logs = network(one)
        found.append(float((logs.float().exp() @ middles)[0]))
    return np.array(found)
