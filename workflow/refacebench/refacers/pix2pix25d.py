"""Refacing by a conditional adversarial network on triples of slices.

A native re-implementation of the method of Huelnhagen et al.: pix2pix (Isola
et al. 2017) with a defaced slice and its two neighbours as input channels and
the slice of the original as output, applied to every slice.  The caller copies
the voxels that defacing did not change back from the defaced scan.

Stated by the authors: the three-slice input, the slice-by-slice application,
the compositing, pix2pix.  Not stated, and options here: the slice plane,
matrix and voxel size, the intensity scale, the number of epochs, which slices
train; the defaults are pix2pix's own where it has any.  The 8-level U-Net, the
70 x 70 patch discriminator, the losses and the optimiser are those of pix2pix.
Differs from pix2pix: no dropout after training (a scan has one result), and
the best epoch is picked on validation scans.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import time
import warnings
from pathlib import Path

import numpy as np

VERSION = "1"
TITLE = "2.5-D pix2pix (native, after Huelnhagen et al.)"

#: Defaults: the size of the paper.
OPTIONS = {
    "plane": "sagittal",  # or coronal, axial
    "size": 256,  # rows and columns of a slice, a multiple of 16 (best: of 32)
    "voxel_mm": 1.0,  # of the working grid, along all three axes
    "filters": 64,  # first layer of both networks
    "discriminator_layers": 3,  # with stride 2; 3 see 70 x 70 pixels, 2 see 34, 1 sees 16
    "normalisation": "defaced",  # scan whose percentile becomes 1; or original
    "percentile": 99.5,  # of the intensities within the head
    "slices": "head",  # that train: all, head (some head in it) or changed
    "mask_channel": False,  # the changed mask as a fourth input channel
    "l1_weight": 100.0,
    "gan_weight": 1.0,
    "changed_weight": 1.0,  # of changed pixels in L1, relative to the others
    "learning_rate": 2e-4,
    "batch": 1,
    "epochs": 100,
    "decay_epochs": 100,
    "steps_per_epoch": 0,  # 0: every slice once
    "validate_every": 1,  # epochs between validations and checkpoints
    "augment": 0.0,  # strength, see _slices.augment
    "mirror": False,
    "average": 0.0,  # decay of a running average of the weights; 0: none
    "norm": "slice",  # statistics of each slice, as batch norm at batch 1; or batch
    "interpolation": "cubic",  # back to the scan's grid; or linear
    "precision": "auto",  # bf16, float32; auto: bf16 where the hardware computes in it
    "device": "auto",  # cuda where there is one
    "reface_batch": 64,  # slices at a time
}
#: Options with a fixed set of values.
CHOICES = {
    "plane": ("sagittal", "coronal", "axial"),
    "normalisation": ("defaced", "original"),
    "slices": ("all", "head", "changed"),
    "norm": ("slice", "batch"),
    "interpolation": ("linear", "cubic"),
    "precision": ("auto", "bf16", "float32"),
}
#: Options that a trained model is bound to.
BOUND = ("plane", "size", "voxel_mm", "filters", "norm", "normalisation", "percentile")
BOUND += ("mask_channel",)


@dataclasses.dataclass
class Model:
    """A trained generator and what it needs to know about a scan.

    Attributes
    ----------
    network : refacebench.refacers._networks.UNet
        In evaluation mode, on its device.
    ratio : float
        Mean ratio of the intensity scale used in training to the defaced
        scan's own; 1 with ``normalisation: defaced``.
    """

    network: object
    ratio: float
    device: object
    precision: str


def _generator(options: dict):
    from ._networks import UNet

    channels = 4 if options["mask_channel"] else 3
    return UNet(channels, 1, options["size"], options["filters"], options["norm"] == "slice")


def _cut(defaced, changed, original, options: dict, ratio: float = 1.0):
    from ._slices import prepare

    chosen = {k: options[k] for k in ("plane", "size", "voxel_mm", "percentile")}
    return prepare(
        defaced, changed, original, **chosen, scale_by=options["normalisation"], ratio=ratio
    )


class Pix2Pix:
    """The training step and the validation, a :class:`._training.Task`."""

    criterion = "val_l1_changed"

    def __init__(self, train, validation, options: dict, seed: int, device, precision: str):
        import torch

        from ._networks import PatchDiscriminator
        from ._training import keyed_seed

        torch.manual_seed(keyed_seed(seed, "weights"))
        self.data, self.held, self.options = train, validation, options
        self.device, self.precision = device, precision
        channels = 4 if options["mask_channel"] else 3
        layout = {"device": device, "memory_format": torch.channels_last}
        self.g = _generator(options).to(**layout)
        sizes = (channels + 1, options["filters"], options["discriminator_layers"])
        self.d = PatchDiscriminator(*sizes, options["norm"] == "slice").to(**layout)
        self.networks = {"g": self.g, "d": self.d}
        adam = {"lr": options["learning_rate"], "betas": (0.5, 0.999)}
        self.optimisers = {
            "g": torch.optim.Adam(self.g.parameters(), **adam),
            "d": torch.optim.Adam(self.d.parameters(), **adam),
        }
        self.product = "g"
        if options["average"]:
            self.networks["average"] = copy.deepcopy(self.g)
            self.product = "average"

    def batch(self, items, generator):
        """Return inputs, targets and masks of training slices, augmented."""
        import torch

        from ._slices import augment

        x, y, m = self.data.inputs(items), self.data.targets(items), self.data.masks(items)
        x, y, m = augment(x, y, m, self.options["augment"], self.options["mirror"], generator)
        return x.contiguous(memory_format=torch.channels_last), y, m

    def step(self, items, generator):
        """Update the discriminator, then the generator, on one batch."""
        from ._training import autocast, update_average

        x, y, m = self.batch(items, generator)
        with autocast(self.device, self.precision):
            fake = self.g(x)
        loss_d = self._update_discriminator(x, y, fake.detach())
        loss_gan, loss_l1 = self._update_generator(x, y, m, fake)
        if self.options["average"]:
            update_average(self.networks["average"], self.g, self.options["average"])
        return {"g_gan": loss_gan, "g_l1": loss_l1, "d": loss_d}

    def _logits(self, x, y):
        import torch

        from ._training import autocast

        with autocast(self.device, self.precision):
            return self.d(torch.cat([x, y], 1)).float()

    def _update_discriminator(self, x, y, fake):
        from torch.nn.functional import softplus

        self.d.requires_grad_(True)
        self.optimisers["d"].zero_grad(set_to_none=True)
        on_fake, on_real = self._logits(x, fake.to(y.dtype)), self._logits(x, y)
        # Binary cross-entropy of logits: softplus(z) against 0, softplus(-z) against 1.
        loss = (softplus(on_fake).mean() + softplus(-on_real).mean()) / 2
        loss.backward()
        self.optimisers["d"].step()
        return loss.detach()

    def _update_generator(self, x, y, m, fake):
        from torch.nn.functional import softplus

        self.d.requires_grad_(False)
        self.optimisers["g"].zero_grad(set_to_none=True)
        fake = fake.float()
        gan = softplus(-self._logits(x, fake)).mean()
        weight = 1 + (self.options["changed_weight"] - 1) * m
        l1 = ((fake - y).abs() * weight).sum() / weight.expand_as(y).sum()
        (self.options["gan_weight"] * gan + self.options["l1_weight"] * l1).backward()
        self.optimisers["g"].step()
        return gan.detach(), l1.detach()

    def validate(self):
        """Return the mean absolute error over whole slices and over changed pixels."""
        network = self.networks[self.product]
        predict = _predictor(network, self.device, self.precision)
        return errors(self.held, lambda items: predict(self.held.inputs(items)))


def _predictor(network, device, precision: str):
    """Return a function from inputs to predictions, without gradients or dropout."""
    import torch

    from ._training import autocast

    @torch.no_grad()
    def predict(x):
        network.eval()
        with autocast(device, precision):
            return network(x.contiguous(memory_format=torch.channels_last)).float()

    return predict


def errors(stack, predict, batch: int = 64) -> dict[str, float]:
    """Return mean absolute errors of predicted slices, in units of -1 .. 1.

    Parameters
    ----------
    stack : Stack
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
    held : Stack
        The validation slices.
    """
    import torch

    from ._slices import mean_head

    mean = mean_head(train)
    empty = np.full(held.source.shape[1:], -1, dtype=np.float32)

    def average(items):
        images = [mean.get(int(offset), empty) for offset in held.offset[items]]
        return torch.from_numpy(np.stack(images))[:, None].to(held.device)

    return {
        "defaced": errors(held, lambda items: held.inputs(items)[:, 1:2]),
        "mean_head": errors(held, average),
    }


def _read(pairs, options: dict) -> list:
    from .. import images

    cuts = []
    for pair in pairs:
        defaced, original = images.read(pair.defaced), images.read(pair.original)
        changed = images.read_mask(pair.changed)
        if not defaced.shape == original.shape == changed.shape:
            raise ValueError(f"{pair.scan}: original, defaced scan and mask differ in grid")
        cut = _cut(defaced, changed, original, options)
        # Half precision from here on: a hundred scans at full size are 6 GB.
        small = {k: getattr(cut, k).astype(np.float16) for k in ("source", "target")}
        cuts.append(dataclasses.replace(cut, **small))
    return cuts


def _ratio(pairs, cuts, options: dict) -> float:
    """Return how much larger the training's intensity scale is than the defaced scans' own."""
    if options["normalisation"] == "defaced":
        return 1.0
    from .. import images

    own = {**options, "normalisation": "defaced"}
    ratios = []
    for pair, cut in zip(pairs, cuts, strict=True):
        scan, changed = images.read(pair.defaced), images.read_mask(pair.changed)
        ratios.append(cut.scale / _cut(scan, changed, None, own).scale)
    return float(np.exp(np.mean(np.log(ratios))))


def _digest(cuts) -> str:
    digest = hashlib.sha256()
    for cut in cuts:
        for array in (cut.source, cut.changed, cut.target):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def train(train, validation, out, options: dict, seed: int) -> None:
    """Train a model; see the contract in :mod:`refacebench.refacers`.

    Parameters
    ----------
    train, validation : list of Pair
        Scans of different participants.
    out : str or Path
        Folder for ``model.safetensors``, ``card.json``, ``curves.tsv`` and
        ``timing.json``; ``state.safetensors`` lies there until the end.
    options : dict
        See :data:`OPTIONS`.
    seed : int
        Of the weights, the order of slices, augmentation and dropout.

    Raises
    ------
    ValueError
        If a list is empty, a scan is in both, or an option is not usable.
    RuntimeError
        If training diverged before the first validation.
    """
    from . import _training

    _check(train, validation, options)
    out = Path(out)
    began = time.monotonic()
    device = _training.choose_device(options["device"])
    precision = _training.choose_precision(options["precision"], device)
    cuts, held = _read(train, options), _read(validation, options)
    card = _card(train, validation, cuts, held, options, seed, device, precision)
    _warn_if_cropped(card["data"]["changed_head_covered_min"], options)
    card["scale_ratio"] = _ratio(train, cuts, options)
    prepared = time.monotonic() - began
    with _training.reproducible(device):
        stack, held_stack = (_stack(c, options, device) for c in (cuts, held))
        card["slices"] = {"train": len(stack), "validation": len(held_stack)}
        card["validation_baselines"] = baselines(cuts, held_stack)
        del cuts, held
        task = Pix2Pix(stack, held_stack, options, seed, device, precision)
        names = ("epochs", "decay_epochs", "batch", "steps_per_epoch", "validate_every")
        schedule = _training.Schedule(**{name: options[name] for name in names})
        best, progress = _training.fit(task, len(stack), schedule, out, seed, card)
    card["parameters"] = _parameters(task)
    timing = {"prepare_seconds": prepared, "train_seconds": progress.seconds}
    timing["steps"] = progress.step
    _training.write_outputs(out, best, progress, card, timing)


def _warn_if_cropped(share: float, options: dict) -> None:
    if share < 0.98:
        warnings.warn(
            f"of one scan only {share:.1%} of the changed head lie within slices of "
            f"{options['size']} x {options['voxel_mm']} mm, the rest cannot be refaced; "
            "raise voxel_mm or size",
            stacklevel=3,
        )


def _stack(cuts, options: dict, device):
    from ._slices import Stack

    return Stack(cuts, options["slices"], device, options["mask_channel"])


def _check(train, validation, options: dict) -> None:
    if not train or not validation:
        raise ValueError(
            f"{len(train)} training and {len(validation)} validation scans: both are needed"
        )
    both = sorted({p.scan for p in train} & {p.scan for p in validation})
    both += sorted({p.original for p in train} & {p.original for p in validation})
    if both:
        raise ValueError(f"scans in both training and validation: {', '.join(both)}")
    for name, known in CHOICES.items():
        if options[name] not in known:
            raise ValueError(f"{name} '{options[name]}': use one of {', '.join(known)}")


def _card(train, validation, cuts, held, options, seed, device, precision) -> dict:
    """Return what the result depends on; the model's name tag and its fingerprint."""
    import torch

    from ._training import project_version

    return {
        "method": "pix2pix25d",
        "engine": "native",
        "statement": "A native re-implementation of the refacing model of Huelnhagen et al., "
        "not the authors' program.",
        "data": {
            "train": [p.scan for p in train],
            "validation": [p.scan for p in validation],
            "train_sha256": _digest(cuts),
            "validation_sha256": _digest(held),
            "changed_head_covered_min": min(cut.covered for cut in cuts + held),
        },
        "options": dict(options),
        "seed": seed,
        "device": device.type,
        "precision": precision,
        "versions": {
            "method": VERSION,
            "refacebench": project_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def _parameters(task) -> dict[str, int]:
    from ._networks import count_parameters

    return {"generator": count_parameters(task.g), "discriminator": count_parameters(task.d)}


def load(folder, options: dict) -> Model:
    """Load a trained model; no code in its files is run.

    Raises
    ------
    ValueError
        If the model was trained with other options than these.
    """
    from safetensors.torch import load_file

    from . import _training

    folder = Path(folder)
    card = json.loads((folder / "card.json").read_text())
    other = [k for k in BOUND if card["options"].get(k) != options[k]]
    if card["method"] != "pix2pix25d" or other:
        what = ", ".join(f"{k} {card['options'].get(k)} not {options[k]}" for k in other)
        raise ValueError(
            f"{folder}: trained with other options ({what or card['method']}); train it again"
        )
    device = _training.choose_device(options["device"])
    network = _generator(options)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    import torch

    network = network.to(device=device, memory_format=torch.channels_last).eval()
    precision = _training.choose_precision(options["precision"], device)
    return Model(network, card["scale_ratio"], device, precision)


def reface(model: Model, volume, changed: np.ndarray, options: dict) -> np.ndarray:
    """Predict the original's intensities from a defaced scan.

    Parameters
    ----------
    model : Model
        From :func:`load`.
    volume : Volume
        The defaced scan, any orientation, scan units.
    changed : numpy.ndarray of bool
        Voxels that defacing changed.  Only slices that touch them are
        computed; elsewhere, and beyond the slices' edges, the scan's own
        values come back.

    Returns
    -------
    numpy.ndarray
        float32 intensities on the scan's grid.
    """
    import torch

    from . import _training
    from ._slices import Stack, restore

    if not changed.any():
        return np.asarray(volume.data, dtype=np.float32).copy()
    with _training.reproducible(model.device):
        cut = _cut(volume, changed, None, options, model.ratio)
        stack = Stack([cut], "changed", model.device, options["mask_channel"])
        predict = _predictor(model.network, model.device, model.precision)
        slices = cut.source.copy()
        for items in torch.arange(len(stack)).split(options["reface_batch"]):
            where = (stack.centres[items] - 1).numpy()
            slices[where] = predict(stack.inputs(items))[:, 0].cpu().numpy()
    return restore(slices, cut, volume, options["interpolation"])
