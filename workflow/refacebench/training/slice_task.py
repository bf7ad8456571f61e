"""The training of a refacer that works slice by slice: its step, its validation, what it must beat.

A method subclasses :class:`SliceTask`.  Torch is imported where it is used: a refacer's
file, which defines the subclass, is read wherever a run is planned.  Touches no file.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from refacebench import lazy
from refacebench.training import seeds
from refacebench.training.slices import mean_head

devices = lazy.load("refacebench.training.devices")
optimisers = lazy.load("refacebench.training.optimisers")
recorded = lazy.load("refacebench.training.recorded")
slice_stack = lazy.load("refacebench.training.slice_stack")

#: Validation slices of which samples are kept.
SAMPLES = 4


@dataclasses.dataclass
class SliceModel:
    """A network that is ready to predict.

    Attributes
    ----------
    network : torch.nn.Module
        On its device.
    ratio : float
        Mean ratio of the intensity scale of the predictions to the defaced
        scan's own; 1 with ``normalisation: defaced``.
    """

    network: Any
    ratio: float
    device: Any
    precision: str
    options: dict


class SliceTask:
    """The common part of the methods' :class:`refacebench.training.task.Task`.

    A subclass sets ``networks``, ``product`` and ``optimisers`` in ``build``
    and defines ``read(stack, items, generator)``, which looks slices up,
    ``complete(generator, *slices)``, which augments them and draws what else a
    step needs, and ``update(*tensors)``, which learns and returns losses.
    """

    #: The epoch with the lowest error in the voxels that defacing changed, on
    #: the validation participants, is kept.
    criterion = "val_l1_changed"
    networks: dict[str, Any]
    order: Any  # the memory order of images, set by place
    optimisers: dict[str, Any]
    product: str
    build: Callable
    read: Callable
    complete: Callable
    update: Callable

    def __init__(self, method, train, held, options: dict, seed: int, device, precision: str):
        import torch

        torch.manual_seed(seeds.keyed_seed(seed, "weights"))
        self.method, self.data, self.held, self.options = method, train, held, options
        self.device, self.precision = device, precision
        self.fast = options["accelerate"] == "auto"
        # A CPU is busy with one image.
        self.joint = self.fast and device.type == "cuda"
        self.build()
        if options["average"]:
            self.networks["average"] = copy.deepcopy(self.networks[self.product])
            self.source, self.product = self.networks[self.product], "average"
        if options["compile"]:
            for network in self.networks.values():
                network.compile()
        self.run: Callable = self.learn
        if self.fast and device.type == "cuda":
            self.run = recorded.Recorded(self.learn, self.networks, self.optimisers)

    def place(self, network):
        """Put a network on the device, in the memory order that is fastest there."""
        self.order = devices.memory_order(self.options["accelerate"], network, self.device)
        return network.to(device=self.device, memory_format=self.order)

    def ordered(self, images):
        """Return images in the memory order of the networks."""
        return images.contiguous(memory_format=self.order)

    def adam(self, network, betas):
        """Return the optimiser of a network."""
        return optimisers.adam(
            network, self.options["learning_rate"], betas, self.device, self.fast
        )

    def step(self, items, generator):
        """Do one optimisation step on these items and return its losses."""
        return self.run(*self.batch(items, generator))

    def batch(self, items, generator):
        """Return what :meth:`update` needs to learn from these items."""
        return self.complete(generator, *self.read(self.data, items, generator))

    def learn(self, *tensors):
        """Do the method's update and move the running average."""
        losses = self.update(*tensors)
        if self.options["average"]:
            optimisers.update_average(
                self.networks["average"], self.source, self.options["average"]
            )
        return losses

    def augmented(self, x, y, m, generator):
        """Return augmented slices, see :func:`refacebench.training.slice_stack.augment`."""
        mirror = self.options.get("mirror", False)
        return slice_stack.augment(x, y, m, self.options["augment"], mirror, generator)

    def model(self) -> SliceModel:
        """Return the product as a model; on prepared slices no ratio is needed."""
        network = self.networks[self.product].eval()
        return SliceModel(network, 1.0, self.device, self.precision, self.options)

    def validate(self) -> dict[str, float]:
        """Return the mean absolute error over whole slices and over changed pixels."""
        model = self.model()
        return errors(self.held, lambda items: self.method.predict(model, self.held, items, 0))

    def _shown(self):
        import torch

        count = min(SAMPLES, len(self.held))
        return torch.from_numpy(np.linspace(0, len(self.held) - 1, count + 2)[1:-1].astype(int))

    def samples(self) -> np.ndarray:
        """Return predictions of a few validation slices, composited if the method is so."""
        import torch

        items = self._shown()
        images = self.method.predict(self.model(), self.held, items, 0)
        if self.options["composite"]:
            images = torch.where(self.held.masks(items), images, self.held.sources(items))
        return to_bytes(images)

    def references(self) -> dict[str, np.ndarray]:
        """Return those slices defaced and in the original."""
        items = self._shown()
        pair = {"defaced": self.held.sources(items), "original": self.held.targets(items)}
        return {name: to_bytes(images) for name, images in pair.items()}


def to_bytes(images) -> np.ndarray:
    """Return slices (items, 1, rows, columns) in -1 .. 1 as numbers 0 .. 255."""
    values = np.nan_to_num((images[:, 0].float().cpu().numpy() + 1) * 127.5)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def forward(model: SliceModel, *inputs):
    """Run a network without gradients, at the model's precision; float32 comes out."""
    import torch

    order = devices.memory_order(model.options["accelerate"], model.network, model.device)
    first = inputs[0].contiguous(memory_format=order)
    with torch.no_grad(), devices.autocast(model.device, model.precision):
        return model.network(first, *inputs[1:]).float()


def in_batches(function, items, size: int):
    """Return a function of items, computed for ``size`` of them at a time."""
    import torch

    return torch.cat([function(part) for part in items.split(size)])


def errors(stack, predict, batch: int = 64) -> dict[str, float]:
    """Return mean absolute errors of predicted slices, in units of -1 .. 1.

    Parameters
    ----------
    stack : SliceStack
        Slices with targets.
    predict : callable
        From items (indices) to predictions (items, 1, rows, columns).
    """
    import torch

    total = torch.zeros(2, dtype=torch.float64)
    count = torch.zeros(2, dtype=torch.float64)
    for items in torch.arange(len(stack)).split(batch):
        miss = (predict(items) - stack.targets(items)).abs()
        m = stack.masks(items)
        total += torch.stack([miss.double().sum(), miss[m].double().sum()]).cpu()
        count += torch.tensor([miss.numel(), int(m.sum())])
    mean = total / count.clamp(min=1)
    return {"val_l1": float(mean[0]), "val_l1_changed": float(mean[1])}


def baselines(train, held) -> dict[str, dict[str, float]]:
    """Return the errors of what the model must beat, on the validation slices.

    Parameters
    ----------
    train : list of Slices
        Whose mean head is one baseline; the defaced scan itself is the other.
    held : SliceStack
        The validation slices.
    """
    import torch

    mean = mean_head(train)
    empty = np.full(held.source.shape[1:], -1, dtype=np.float32)

    def average(items):
        images = [mean.get(int(offset), empty) for offset in held.offset[items]]
        return torch.from_numpy(np.stack(images))[:, None].to(held.device)

    return {"defaced": errors(held, held.sources), "mean_head": errors(held, average)}
