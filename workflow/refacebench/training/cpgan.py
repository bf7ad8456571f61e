"""CP-GAN's training step, how it makes a head, and what is said of heads that it made.

The networks are :mod:`refacebench.training.cpgan_networks`, the method as a whole is
:mod:`refacebench.refacers.cpgan3d`.  Touches no file.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from refacebench.training import recorded
from refacebench.training.cpgan_networks import Discriminator, Generator, relativistic, spread
from refacebench.training.devices import autocast
from refacebench.training.head_stack import HeadStack, move
from refacebench.training.optimisers import AdamP, adam, on_device, update_average
from refacebench.training.pyramid import compose, inputs
from refacebench.training.seeds import keyed_seed
from refacebench.training.wasserstein import sliced_wasserstein
from refacebench.training.whole_heads import WholeHead

#: Validation scans of which sample slices are kept.
SAMPLES = 4


@dataclasses.dataclass
class TrainedGenerator:
    """A trained generator.

    Attributes
    ----------
    network : refacebench.training.cpgan_networks.Generator
        In evaluation mode, on its device.
    seed : int
        Of the training; noise is keyed by it and by the scan's transform.
    """

    network: object
    seed: int
    device: object
    precision: str


class CPGAN:
    """The training step and the validation, a :class:`refacebench.training.task.Task`."""

    def __init__(
        self,
        train: HeadStack,
        validation: HeadStack,
        options: dict,
        seed: int,
        device,
        precision: str,
        criterion: str,
    ):

        torch.manual_seed(keyed_seed(seed, "weights"))
        self.data, self.held, self.options, self.seed = train, validation, options, seed
        self.device, self.precision = device, precision
        self.criterion = criterion
        self.g, self.d = (n.to(device=device) for n in networks(options))
        self.networks = {"g": self.g, "d": self.d}
        rate = options["learning_rate"]
        self.optimisers = {
            "g": optimiser(self.g, rate, options, device),
            "d": optimiser(self.d, rate * options["discriminator_rate"], options, device),
        }
        self.product = "g"
        # A CPU is busy with one head.
        self.joint = options["accelerate"] == "auto" and torch.device(device).type == "cuda"
        if options["average"]:
            self.networks["average"] = copy.deepcopy(self.g)
            self.product = "average"
        self.run: Callable = self._learn_flat
        if self.joint:
            self.run = recorded.Recorded(self._learn_flat, self.networks, self.optimisers)

    def step(self, items, generator):
        """Do one optimisation step on these items and return its losses."""
        return self.run(*flat(self.batch(items, generator)))

    def _learn_flat(self, *tensors):
        """Do :meth:`learn` on what :func:`flat` made of a batch."""
        return self.learn(nested(tensors, len(self.g.scales)))

    def batch(self, items, generator) -> dict:
        """Return what :meth:`learn` needs to learn from these items."""
        return self.complete(generator, *self.data.get(items))

    def complete(self, generator, *parts) -> dict:
        """Return real volumes, transforms and noise of moved training scans at every scale."""
        parts = move(list(parts), self.options["augment"], self.options["mirror"], generator)
        return inputs(parts, self.g, generator)

    def learn(self, batch: dict):
        """Update the discriminator, then the generator, on one batch of pairs."""
        with autocast(self.device, self.precision):
            raw = self.g(batch["noise"], batch["gammas"])
        fake = compose([v.float() for v in raw], batch)
        loss_d = self._update_discriminator(batch, [v.detach() for v in fake])
        losses = self._update_generator(batch, fake)
        if self.options["average"]:
            update_average(self.networks["average"], self.g, self.options["average"])
        return {**losses, "d": loss_d}

    def _judge(self, volumes, batch):

        with autocast(self.device, self.precision):
            return self.d(volumes, batch["gammas"]).float()

    def _both(self, real, fake, batch):
        """Return the numbers of real and of made volumes; at once where a GPU has room."""
        if not self.joint:
            return self._judge(real, batch), self._judge(fake, batch)
        pairs = [torch.cat(pair) for pair in zip(real, fake, strict=True)]
        gammas = [torch.cat([gamma, gamma]) for gamma in batch["gammas"]]
        return self._judge(pairs, {"gammas": gammas}).chunk(2)

    def _update_discriminator(self, batch, fake):

        self.d.requires_grad_(True)
        self.optimisers["d"].zero_grad(set_to_none=True)
        loss = relativistic(*self._both(batch["real"], fake, batch))
        loss.backward()
        self.optimisers["d"].step()
        return loss.detach()

    def _update_generator(self, batch, fake):

        self.d.requires_grad_(False)
        self.optimisers["g"].zero_grad(set_to_none=True)
        with torch.no_grad():
            on_real = self._judge(batch["real"], batch)
        gan = relativistic(self._judge(fake, batch), on_real)
        l1 = (fake[-1] - batch["real"][-1]).abs().sum() / batch["outside"][-1].sum()
        (gan + self.options["l1_weight"] * l1).backward()
        self.optimisers["g"].step()
        return {"g_gan": gan.detach(), "g_l1": l1.detach()}

    def validate(self):
        """Return :func:`validation_values` of the product."""
        return validation_values(torch.cat(self._made(range(len(self.held)))), self.held)

    def _made(self, numbers) -> list:
        """Return generated validation heads; every scan has noise of its own, always the same."""
        network = self.networks[self.product]
        seeds = {n: keyed_seed(self.seed, "validation", n) for n in numbers}
        return [generate(network, self.held, n, seed, self) for n, seed in seeds.items()]

    def samples(self) -> np.ndarray:
        """Return the middle sagittal slices of a few generated validation heads."""
        return _middle(self._made(range(min(SAMPLES, len(self.held)))))

    def references(self) -> dict[str, np.ndarray]:
        """Return those slices of what the network sees and of the originals."""
        hull, brain, tissue, target = self.held.get(torch.arange(min(SAMPLES, len(self.held))))
        seen = tissue + 0.25 * (hull - brain)
        return {"defaced": _middle(seen[:, None]), "original": _middle(target[:, None])}


#: The entries of a batch that are lists over the scales.
SCALED = ("gammas", "tissue", "outside", "real")


def flat(batch: dict) -> list[torch.Tensor]:
    """Return a batch (:func:`refacebench.training.pyramid.inputs`) as a list of tensors."""
    return [batch["noise"], *(volume for name in SCALED for volume in batch[name])]


def nested(tensors, scales: int) -> dict:
    """Undo :func:`flat`."""
    rest = {n: tensors[1 + k * scales :][:scales] for k, n in enumerate(SCALED)}
    return {"noise": tensors[0], **rest}


def _middle(volumes) -> np.ndarray:
    """Return the middle sagittal slice of volumes (1, 1, size, size, size) as numbers 0 .. 255."""
    slices = [v[0, 0, v.shape[2] // 2].float().cpu().numpy() for v in volumes]
    return np.clip(np.rint(np.stack(slices) * 255), 0, 255).astype(np.uint8)


def networks(options: dict):
    """Return generator and discriminator, with fresh weights."""
    size, filters, most = (options[k] for k in ("size", "filters", "max_filters"))
    layout = size, filters, most, options["conv"], options["expansion"]
    return Generator(*layout, options["noise_channels"]), Discriminator(*layout)


def optimiser(network, rate: float, options: dict, device):
    """Return the optimiser of a network."""
    betas = options["betas"]
    weights = network.parameters()
    if options["equalised"]:
        weights = equalised(network, rate, device)
    if options["optimiser"] == "adamp":
        return AdamP(weights, on_device(rate, device), betas)
    return adam(list(weights), rate, betas, device)


def equalised(network, rate: float, device) -> list[dict]:
    """Return groups of weights whose learning rates are in proportion to their spread.

    A step of Adam moves every weight by about the learning rate, whatever the gradient.  Ten steps
    of 2e-3 are as large as the weights of a wide layer themselves (0.017 where 6912 numbers come
    in), and all of its weights may move the same way: what the layers say grows
    without bound.  Karras et al. 2018 (sec. 4.1) keep all weights at a spread of one and scale
    them when they are used.  To Adam and AdamP that is the same as
    ``rate`` times the spread for the layer, and the network stays as it is.  Biases start at
    zero and have ``rate``.
    """
    weights = [w for w in network.parameters() if w.ndim > 1]
    biases = [w for w in network.parameters() if w.ndim == 1]
    groups = [{"params": [w], "lr": on_device(rate * spread(w), device)} for w in weights]
    return [*groups, {"params": biases, "lr": on_device(rate, device)}]


def generate(network, heads: HeadStack, number: int, seed: int, where):
    """Return one generated head, float32 (1, 1, size, size, size), the brain in it.

    Parameters
    ----------
    seed : int
        Of the noise and of the drawn masks.
    where : CPGAN or Model
        For its device and precision.
    """
    network.eval()
    generator = torch.Generator().manual_seed(seed)
    hull, brain, tissue, _ = heads.get(torch.tensor([number]))
    with torch.no_grad(), autocast(where.device, where.precision):
        batch = inputs((hull, brain, tissue, None), network, generator)
        made = network(batch["noise"], batch["gammas"])[-1].float()
        return tissue + (1 - brain) * made


def validation_values(made, held: HeadStack) -> dict[str, float]:
    """Return ``val_swd``, ``val_l1_changed`` and ``val_l1_hull`` of generated heads.

    In units of the intensity scale: the patches' distance, and the mean
    absolute error outside the brain and of that within the hull alone.

    Parameters
    ----------
    made : torch.Tensor
        (scans, 1, size, size, size).
    """
    hull, brain, _, real = held.get(torch.arange(len(held)))
    around = (hull - brain) > 0.5
    miss = (made - real).abs().double()
    return {
        "val_swd": sliced_wasserstein(made, real, around),
        "val_l1_changed": float(miss[brain < 0.5].mean()),
        "val_l1_hull": float(miss[around].mean()),
    }


def baselines(train: list[WholeHead], held: HeadStack) -> dict[str, dict[str, float]]:
    """Return the validation values of what the model must beat.

    ``mean_head``: the average training head; ``other_person``: each time
    another training head; ``hull``: the transform with the median
    training intensity in the hull.  All around the validation scan's own brain.
    """
    _, brain, tissue, _ = held.get(torch.arange(len(held)))
    hull = held.hull.float()

    def target(n: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(train[n].target)).float()

    # One head at a time: there may be thousands.
    total = torch.zeros_like(target(0))
    for number in range(len(train)):
        total = total + target(number)
    mean = total / len(train)
    others = torch.stack([target(n % len(train)) for n in range(len(held))])
    guesses = {
        "mean_head": mean.expand(len(held), *mean.shape),
        "other_person": others,
        "hull": median_in_hull(train) * hull[:, 0].cpu(),
    }
    return {
        name: validation_values(tissue + (1 - brain) * guess[:, None].to(brain.device), held)
        for name, guess in guesses.items()
    }


def median_in_hull(heads: list[WholeHead]) -> float:
    """Return the median intensity in the hulls, around the brains; the lower of two middle ones.

    Counted, not sorted: intensities in half precision have 65,536 values at most.
    """
    counts = np.zeros(1 << 16, np.int64)
    for head in heads:
        inside = np.asarray(head.target)[head.hull & ~head.brain].astype(np.float16)
        counts += np.bincount(inside.view(np.uint16), minlength=1 << 16)
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    there = np.flatnonzero(counts)
    if not len(there):
        return float("nan")
    order = there[np.argsort(values[there], kind="stable")]
    below = np.cumsum(counts[order])
    return float(values[order[np.searchsorted(below, (below[-1] + 1) // 2)]])
