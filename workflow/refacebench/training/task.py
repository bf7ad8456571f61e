"""What a refacer hands to the training loop: a task, and how long to train it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn


class Task(Protocol):
    """What a refacer hands to :func:`refacebench.training.loop.fit`.

    Attributes
    ----------
    networks : dict of str to torch.nn.Module
        Everything that has weights and must survive an interruption.
    optimisers : dict of str to torch.optim.Optimizer
        Their learning rates are scaled by the schedule.
    product : str
        The name of the network that is validated and kept.
    criterion : str
        The entry of :meth:`validate` by which the best epoch is picked; low is good.

    Notes
    -----
    A task may also be :class:`Shown`.
    """

    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    product: str
    criterion: str

    def step(self, items: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Do one optimisation step on these items and return its losses, detached.

        ``generator`` (CPU) is for augmentation; dropout uses torch's own state.
        """

    def validate(self) -> dict[str, float]:
        """Return the losses of :attr:`product` on the validation data."""


@runtime_checkable
class Shown(Protocol):
    """A task that shows what it has learnt so far."""

    def samples(self) -> np.ndarray:
        """Return predictions of a few validation slices, uint8 (items, rows, columns)."""

    def references(self) -> dict[str, np.ndarray]:
        """Return such arrays to see them against: ``defaced``, ``original``."""


@dataclass(frozen=True)
class Schedule:
    """How long and in which portions to train.

    Attributes
    ----------
    epochs, decay_epochs : int
        Epochs at the full learning rate, then with linear decay towards zero.
    batch : int
        Items a step.
    steps_per_epoch : int
        0 for every item once (a last incomplete batch is left out).
    validate_every : int
        Epochs between validations; the last epoch always has one.  Only after a validation
        is the state of a training written.
    """

    epochs: int
    decay_epochs: int
    batch: int
    steps_per_epoch: int = 0
    validate_every: int = 1

    def __post_init__(self):
        """Refuse a schedule that would train nothing."""
        if self.total < 1 or self.batch < 1 or self.validate_every < 1:
            raise ValueError("epochs + decay_epochs, batch and validate_every must be at least 1")

    @classmethod
    def of(cls, options: Mapping) -> Schedule:
        """Return the schedule that a method's options say."""
        return cls(**{field.name: options[field.name] for field in fields(cls)})

    @property
    def total(self) -> int:
        """Number of epochs in all."""
        return self.epochs + self.decay_epochs

    def steps(self, items: int) -> int:
        """Return the number of steps of an epoch over so many items."""
        return self.steps_per_epoch or max(1, items // self.batch)

    def rate(self, epoch: int) -> float:
        """Return the factor on the learning rate in an epoch (counted from 1).

        >>> [Schedule(2, 2, 1).rate(epoch) for epoch in (1, 2, 3, 4)]
        [1.0, 1.0, 0.6666666666666667, 0.33333333333333337]
        """
        return 1.0 - max(0, epoch - self.epochs) / (self.decay_epochs + 1)
