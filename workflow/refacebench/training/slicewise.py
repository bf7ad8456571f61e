"""What the refacers that work slice by slice share: data, card, training, application.

A method is a :class:`Method`: a network, a training task and a way to predict.
Everything else (reading pairs, scaling, what must be beaten, the checkpoint
that is picked, the card, refacing a whole scan) is here.  Reads the scans of
the pairs; writes into the training's folder through :mod:`._training`.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from refacebench.contracts import Option, choices
from refacebench.training import pairs as _pairs

#: Options of every method here, with the values where the methods do not differ.
OPTIONS = {
    "composite": Option(
        True,
        "Whether voxels that defacing did not change are copied back; otherwise the model's whole "
        "output is the result.",
    ),
    "plane": Option("sagittal", "Plane of the slices.", choices=("sagittal", "coronal", "axial")),
    "size": Option(
        256, "Rows and columns of a slice, a multiple of 16 (best: of 32).", unit="pixels", least=16
    ),
    "voxel_mm": Option(
        1.0, "Voxel size of the working grid, along all three axes.", unit="mm", least=0.1
    ),
    "normalisation": Option(
        "defaced",
        "The scan whose percentile becomes 1: the defaced one, the original, or each its own.",
        choices=("defaced", "own", "original"),
    ),
    "percentile": Option(
        99.5, "Percentile of the intensities within the head that becomes 1.", least=0, most=100
    ),
    "slices": Option(
        "head",
        "Slices that train: all, those with some head, those with changed voxels, or 21 of them "
        "5 mm apart (spaced).",
        choices=("all", "head", "changed", "spaced"),
    ),
    "learning_rate": Option(2e-4, "Learning rate of the optimisers.", least=0),
    "batch": Option(1, "Slices a step.", least=1),
    "epochs": Option(100, "Epochs at the full learning rate.", least=0),
    "decay_epochs": Option(100, "Epochs over which the learning rate falls to 0.", least=0),
    "steps_per_epoch": Option(0, "Steps an epoch; 0 for every slice once.", least=0),
    "validate_every": Option(1, "Epochs between validations and checkpoints.", least=1),
    "augment": Option(0.0, "Strength of the random shifts, scales and turns.", least=0),
    "average": Option(
        0.0, "Decay of a running average of the weights; 0 for none.", least=0, most=1
    ),
    "interpolation": Option(
        "cubic", "How a result is brought back to the scan's grid.", choices=("linear", "cubic")
    ),
    "precision": Option(
        "auto",
        "Number format of the networks; auto takes bf16 where the hardware computes in it.",
        choices=("auto", "bf16", "float32"),
    ),
    "accelerate": Option(
        "auto",
        "Whether memory order, optimiser and recorded steps are those that are fastest here.",
        choices=("auto", "none"),
    ),
    "compile": Option(
        False,
        "Whether the networks are compiled; needs a C++ compiler (CPU) or Triton (CUDA).",
    ),
    "device": Option("auto", "Where it computes; auto takes CUDA where there is one."),
    "reface_batch": Option(64, "Slices at a time when a scan is refaced.", least=1),
}
#: Options that a trained model is bound to, whatever the method.
BOUND = ("plane", "size", "voxel_mm", "normalisation", "percentile")
#: Options that only the application of a model heeds; a second config entry may change them.
APPLIED = ("composite", "interpolation", "reface_batch", "device", "precision")
#: Validation slices of which samples are kept.
SAMPLES = 4


@dataclasses.dataclass
class Model:
    """A network that is ready to predict.

    Attributes
    ----------
    network : torch.nn.Module
        On its device.
    ratio : float
        Mean ratio of the intensity scale of the predictions to the defaced
        scan's own; 1 with ``normalisation: defaced``.
    """

    network: object
    ratio: float
    device: object
    precision: str
    options: dict


@dataclasses.dataclass(frozen=True)
class Method:
    """What makes a slice-wise refacer.

    Attributes
    ----------
    name, version, statement : str
        For the card; the statement says what the method is and is not.
    choices : mapping
        Options with a fixed set of values beyond those of :data:`OPTIONS`.
    reach : int
        Neighbours to either side that the network sees with a slice.
    bound : tuple of str
        Options beyond :data:`BOUND` that a trained model is bound to.
    network : callable
        From options to the network that is kept, with fresh weights.
    task : callable
        A subclass of :class:`SliceTask`.
    predict : callable
        ``predict(model, stack, items, seed)``: predictions of these items,
        float32 (items, 1, rows, columns); the items of one scan come in order
        and in one call when a scan is refaced.
    """

    name: str
    version: str
    statement: str
    network: Callable
    task: Callable
    predict: Callable
    choices: Mapping = dataclasses.field(default_factory=dict)
    reach: int = 1
    bound: tuple[str, ...] = ()

    def identity(self) -> dict[str, str]:
        """Return what a model's card says of the method."""
        return {
            "method": self.name,
            "version": self.version,
            "statement": self.statement,
            "criterion": SliceTask.criterion,
        }


class SliceTask:
    """The common part of the methods' :class:`._training.Task`.

    A subclass sets ``networks``, ``product`` and ``optimisers`` in ``build``
    and defines ``read(stack, items, generator)``, which looks slices up,
    ``complete(generator, *slices)``, which augments them and draws what else a
    step needs, and ``update(*tensors)``, which learns and returns losses.
    """

    #: The epoch with the lowest error in the voxels that defacing changed, on
    #: the validation participants, is kept.
    criterion = "val_l1_changed"

    def __init__(self, method, train, held, options: dict, seed: int, device, precision: str):
        import torch

        from refacebench.training import loop

        torch.manual_seed(loop.keyed_seed(seed, "weights"))
        self.method, self.data, self.held, self.options = method, train, held, options
        self.device, self.precision = device, precision
        self.fast = options["accelerate"] == "auto"
        self.build()
        if options["average"]:
            self.networks["average"] = copy.deepcopy(self.networks[self.product])
            self.source, self.product = self.networks[self.product], "average"
        if options["compile"]:
            for network in self.networks.values():
                network.compile()
        self.run = self.learn
        if self.fast and device.type == "cuda":
            self.run = loop.Recorded(self.learn, self.networks, self.optimisers)

    def place(self, network):
        """Put a network on the device, in the memory order that is fastest there."""
        import torch

        order = torch.channels_last if self.fast else torch.contiguous_format
        return network.to(device=self.device, memory_format=order)

    def adam(self, network, betas):
        """Return the optimiser of a network."""
        from refacebench.training.loop import adam

        return adam(network, self.options["learning_rate"], betas, self.device, self.fast)

    def step(self, items, generator):
        """Do one optimisation step on these items and return its losses."""
        return self.run(*self.batch(items, generator))

    def batch(self, items, generator):
        """Return what :meth:`update` needs to learn from these items."""
        return self.complete(generator, *self.read(self.data, items, generator))

    def learn(self, *tensors):
        """Do the method's update and move the running average."""
        from refacebench.training.loop import update_average

        losses = self.update(*tensors)
        if self.options["average"]:
            update_average(self.networks["average"], self.source, self.options["average"])
        return losses

    def augmented(self, x, y, m, generator):
        """Return augmented slices, see :func:`._slices.augment`."""
        from refacebench.training.slices import augment

        mirror = self.options.get("mirror", False)
        return augment(x, y, m, self.options["augment"], mirror, generator)

    def model(self) -> Model:
        """Return the product as a model; on prepared slices no ratio is needed."""
        network = self.networks[self.product].eval()
        return Model(network, 1.0, self.device, self.precision, self.options)

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


def forward(model: Model, *inputs):
    """Run a network without gradients, at the model's precision; float32 comes out."""
    import torch

    from refacebench.training.loop import autocast

    first = inputs[0]
    if model.options["accelerate"] == "auto":
        first = first.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), autocast(model.device, model.precision):
        return model.network(first, *inputs[1:]).float()


def in_batches(function, items, size: int):
    """Return a function of items, computed for ``size`` of them at a time."""
    import torch

    return torch.cat([function(part) for part in items.split(size)])


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

    from refacebench.training.slices import mean_head

    mean = mean_head(train)
    empty = np.full(held.source.shape[1:], -1, dtype=np.float32)

    def average(items):
        images = [mean.get(int(offset), empty) for offset in held.offset[items]]
        return torch.from_numpy(np.stack(images))[:, None].to(held.device)

    return {"defaced": errors(held, held.sources), "mean_head": errors(held, average)}


def cut(defaced, changed, original, options: dict, ratio: float = 1.0):
    """Cut one scan into slices as the options say, see :func:`._slices.prepare`."""
    from refacebench.training.slices import prepare

    chosen = {k: options[k] for k in ("plane", "size", "voxel_mm", "percentile")}
    return prepare(
        defaced, changed, original, **chosen, scale_by=options["normalisation"], ratio=ratio
    )


def read_pairs(method: Method, pairs, options: dict) -> tuple[dict, dict[str, str]]:
    """Read and cut the scans of a split, see :func:`._pairs.read` and :func:`._slices.trimmed`."""
    from refacebench.training.slices import trimmed

    def prepare(*scan):
        return trimmed(cut(*scan, options), options["slices"], method.reach)

    return _pairs.read(pairs, prepare, ("source", "target"))


def memory_mb(method: Method, options: dict, scans: int) -> int:
    """Return the memory that a training on so many scans asks of a scheduler, in megabytes.

    Twice the slices that are kept (as read, and joined), and what the program and
    the networks take.  A head is taken to be 220 mm wide, wider than any.
    """
    from refacebench.training.slices import BYTES, SPACED_EACH_SIDE

    slices = min(options["size"], 220 / options["voxel_mm"])
    if options["slices"] == "spaced":
        slices = min(slices, (2 * SPACED_EACH_SIDE + 1) * (2 * method.reach + 1))
    return round(8000 + 2 * scans * slices * options["size"] ** 2 * BYTES / 1e6)


def _ratio(cuts) -> float:
    """Return the mean of log(target's scale) minus that of log(defaced scan's own).

    A difference of means: no pairing of defaced scans and originals is needed.
    """
    return float(np.exp(np.mean(np.log([c.ratio for c in cuts]))))


def train(method: Method, train, validation, out, options: dict, seed: int) -> None:
    """Train a model; see the contract in :mod:`refacebench.refacers`.

    Parameters
    ----------
    train, validation : list of Pair
        Scans of different participants.
    out : str or Path
        Folder for ``model.safetensors``, ``card.json``, ``curves.tsv``,
        ``timing.json`` and ``samples``; ``state.safetensors`` lies there until
        the end.
    options : dict
        The method's OPTIONS, with the config's values.
    seed : int
        Of the weights, the order of slices, augmentation and dropout.

    Raises
    ------
    ValueError
        If a list is empty, a scan is in both, or an option is not usable.
    TrainingFailed
        If no scan is usable, or training diverged before the first validation.
    """
    from refacebench.training import loop

    _check(method, train, validation, options)
    out = Path(out)
    began = time.monotonic()
    device = loop.choose_device(options["device"])
    precision = loop.choose_precision(options["precision"], device)
    cuts, held, lost = _pairs.read_splits(
        train, validation, lambda p: read_pairs(method, p, options)
    )
    data = _pairs.data_of(train, cuts, held, lost, ("source", "changed", "target"))
    cuts, held = list(cuts.values()), list(held.values())
    data["changed_head_covered_min"] = min(slices.covered for slices in (*cuts, *held))
    card = _pairs.card(method.identity(), data, options, seed, device, precision)
    _warn_if_cropped(data["changed_head_covered_min"], options)
    card["scale_ratio"] = _ratio(cuts)
    prepared = time.monotonic() - began
    with loop.reproducible(device):
        stack, held_stack = (make_stack(c, options, device) for c in (cuts, held))
        card["slices"] = {"train": len(stack), "validation": len(held_stack)}
        card["validation_baselines"] = baselines(cuts, held_stack)
        del cuts, held
        task = method.task(method, stack, held_stack, options, seed, device, precision)
        names = ("epochs", "decay_epochs", "batch", "steps_per_epoch", "validate_every")
        schedule = loop.Schedule(**{name: options[name] for name in names})
        best, progress = loop.fit(task, len(stack), schedule, out, seed, card)
    card["parameters"] = _parameters(task)
    timing = {"prepare_seconds": prepared, "train_seconds": progress.seconds}
    timing["steps"] = progress.step
    loop.write_outputs(out, best, progress, card, timing)


def _warn_if_cropped(share: float, options: dict) -> None:
    if share < 0.98:
        warnings.warn(
            f"of one scan only {share:.1%} of the changed head lie within slices of "
            f"{options['size']} x {options['voxel_mm']} mm, the rest cannot be refaced; "
            "raise voxel_mm or size",
            stacklevel=3,
        )


def make_stack(cuts, options: dict, device, which: str | None = None):
    """Return the slices of scans in one tensor, see :class:`._slices.Stack`."""
    from refacebench.training.slices import Stack

    return Stack(cuts, which or options["slices"], device, options.get("mask_channel", False))


def _check(method: Method, train, validation, options: dict) -> None:
    if not train or not validation:
        raise ValueError(
            f"{len(train)} training and {len(validation)} validation scans: both are needed"
        )
    _pairs.check(train, validation, options, {**choices(OPTIONS), **method.choices})


def _parameters(task) -> dict[str, int]:
    # All of them: a discriminator is frozen while the generator learns.
    counts = {k: sum(p.numel() for p in net.parameters()) for k, net in task.networks.items()}
    return {name: count for name, count in counts.items() if count and name != "average"}


def load(method: Method, folder, options: dict) -> Model:
    """Load a trained model; no code in its files is run.

    Raises
    ------
    ValueError
        If the model was trained with other options than these.
    """
    import torch
    from safetensors.torch import load_file

    from refacebench.training import loop

    folder = Path(folder)
    card = _pairs.read_card(folder, method.name, (*BOUND, *method.bound), options)
    device = loop.choose_device(options["device"])
    network = method.network(options)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    order = torch.channels_last if options["accelerate"] == "auto" else torch.contiguous_format
    network = network.to(device=device, memory_format=order).eval()
    precision = loop.choose_precision(options["precision"], device)
    return Model(network, card["scale_ratio"], device, precision, dict(options))


def reface(method: Method, model: Model, volume, changed: np.ndarray, options: dict) -> np.ndarray:
    """Predict the original's intensities from a defaced scan.

    Parameters
    ----------
    model : Model
        From :func:`load`.
    volume : Volume
        The defaced scan, any orientation, scan units.
    changed : numpy.ndarray of bool
        Voxels that defacing changed.  With ``composite`` only slices that
        touch them are computed, and elsewhere the scan's own values come
        back; without it every slice is.  Beyond the slices' edges the scan's
        own values come back either way.

    Returns
    -------
    numpy.ndarray
        float32 intensities on the scan's grid.
    """
    import torch

    from refacebench.training import loop
    from refacebench.training.slices import restore

    if not changed.any():
        return np.asarray(volume.data, dtype=np.float32).copy()
    with loop.reproducible(model.device):
        scan = cut(volume, changed, None, options, model.ratio)
        which = "changed" if options["composite"] else "all"
        stack = make_stack([scan], options, model.device, which)
        items = torch.arange(len(stack))
        slices = scan.kept()
        predictions = method.predict(model, stack, items, content_seed(volume.data))
        slices[(stack.centres - 1).numpy()] = predictions[:, 0].cpu().numpy()
    return restore(slices, scan, volume, options["interpolation"])


def content_seed(data: np.ndarray) -> int:
    """Return a seed that follows from a scan's values: a scan has one result."""
    from refacebench.training.loop import keyed_seed

    return keyed_seed("reface", hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest())
