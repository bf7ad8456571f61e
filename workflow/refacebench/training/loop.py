"""The training loop of the refacers: order, validation, checkpoints, resuming.

Needs torch, numpy and safetensors, nothing else.  What is trained is a
:class:`Task`; this module decides in which order it sees the data, keeps what
validation liked best, and can be killed at any time: the next call with the
same arguments goes on after the last finished epoch and ends in the same
bytes.  Writes into one folder, ``state.safetensors`` while it runs and, for a
task that has them, ``samples/`` with validation slices of a few epochs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from refacebench import faces
from refacebench.contracts import TrainingFailed

STATE = "state.safetensors"
#: Epochs of which samples are kept, at most.
SAMPLED_EPOCHS = 6
#: Steps that run as usual before one is recorded: kernels choose their algorithms in them.
WARM_UP = 3

#: Training has diverged when validation stays this much above its best ...
RISE_FACTOR = 2.0
#: ... for this many validations in a row.
RISE_LENGTH = 5


class Task(Protocol):
    """What a refacer hands to :func:`fit`.

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
    A task may also have ``samples() -> numpy.ndarray`` (items, rows, columns;
    uint8), predictions of a few validation slices, and ``references() -> dict``
    of such arrays (``defaced``, ``original``) to see them against.
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
        Epochs between validations and checkpoints; the last epoch always has one.
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


@dataclass
class Progress:
    """Where a training stands; everything but the weights."""

    epoch: int = 0
    step: int = 0
    best: float = math.inf
    picked: int = 0
    rising: int = 0
    stopped: str = ""
    finished: bool = False
    seconds: float = 0.0
    rows: list[dict] = field(default_factory=list)


def keyed_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on all parts.

    >>> keyed_seed(1, "order", 2) == keyed_seed(1, "order", 2) != keyed_seed(1, "order", 3)
    True
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def order(items: int, count: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the items of an epoch: shuffled passes over all of them, cut to ``count``."""
    generator = torch.Generator().manual_seed(keyed_seed(seed, "order", epoch))
    passes = [torch.randperm(items, generator=generator) for _ in range(-(-count // items))]
    return torch.cat(passes)[:count]


def choose_device(option: str) -> torch.device:
    """Return the device of an option: ``auto`` takes CUDA where there is one."""
    if option == "auto":
        option = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(option)


def choose_precision(option: str, device: torch.device) -> str:
    """Return ``bf16`` or ``float32``; ``auto`` takes bf16 where the hardware computes in it.

    The choice follows from the hardware and not from a timing, so that the
    same machine always takes the same one.
    """
    if option in ("bf16", "float32"):
        return option
    if option != "auto":
        raise ValueError(f"precision '{option}': use auto, bf16 or float32")
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    # Private in torch, so its absence must not matter.
    matrix_unit = getattr(torch.cpu, "_is_amx_tile_supported", bool)
    return "bf16" if device.type == "cpu" and matrix_unit() else "float32"


def home(size: int, device: torch.device) -> torch.device:
    """Return where training data of so many bytes are held: on the device where they fit.

    They may take half of a GPU's free memory, the rest is the networks'; else
    they stay in the computer's and go over batch by batch.
    """
    if device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 2:
        return device
    return torch.device("cpu")


def autocast(device: torch.device, precision: str):
    """Return the context in which networks run at a precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def reproducible(device: torch.device):
    """Run with deterministic kernels and as many threads as ``OMP_NUM_THREADS`` says.

    The caller's settings and random state are put back afterwards.
    """
    # cuBLAS is deterministic only with this, and reads it when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # Memory that a kernel is about to write need not be filled first.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        # Only the device in use: asking for the others would start CUDA on every one.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=lenient)
        torch.backends.cudnn.benchmark = benchmark
        torch.utils.deterministic.fill_uninitialized_memory = filled


def adam(network: nn.Module, rate: float, betas, device: torch.device, fused: bool = True):
    """Return Adam over a network's weights; ``fused`` updates them in one pass.

    On CUDA a fused one can be recorded (:class:`Recorded`), so its learning
    rate is a tensor.
    """
    betas = tuple(map(float, betas))
    if not fused:
        return torch.optim.Adam(network.parameters(), rate, betas)
    if device.type != "cuda":
        return torch.optim.Adam(network.parameters(), rate, betas, fused=True)
    tensor = torch.tensor(rate, device=device)
    return torch.optim.Adam(network.parameters(), tensor, betas, fused=True, capturable=True)


class Recorded:
    """A training step recorded once as a CUDA graph and then replayed.

    Small steps spend their time on launching kernels one by one; a replay
    launches them all at once and computes the same.

    Parameters
    ----------
    step : callable
        From tensors on the device to a dict of detached losses.  It may not
        look at a value on the CPU, and its optimisers must be capturable.
    networks, optimisers : dict
        Whose state the step changes; as it was before, after recording.
    """

    def __init__(self, step: Callable, networks: Mapping, optimisers: Mapping):
        self.step, self.networks, self.optimisers = step, networks, optimisers
        self.graph, self.inputs, self.losses = None, [], {}

    def __call__(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Do one step; the losses are overwritten by the next call."""
        shapes = [tensor.shape for tensor in inputs]
        if self.graph is None or shapes != [tensor.shape for tensor in self.inputs]:
            self._record(inputs)
        for place, tensor in zip(self.inputs, inputs, strict=True):
            place.copy_(tensor)
        self.graph.replay()
        return dict(self.losses)

    def _record(self, inputs) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        random = torch.cuda.get_rng_state()
        before = [tensor.clone() for tensor in self._weights()]
        moments = [tensor.clone() for tensor in self._moments()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.step(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = self.step(*self.inputs)
        with torch.no_grad():
            for tensor, old in zip(self._weights(), before, strict=True):
                tensor.copy_(old)
            if moments:
                for tensor, old in zip(self._moments(), moments, strict=True):
                    tensor.copy_(old)
            else:  # the first step made them, and Adam starts from zeros
                for tensor in self._moments():
                    tensor.zero_()
        torch.cuda.set_rng_state(random)

    def _weights(self) -> list[torch.Tensor]:
        return [t for net in self.networks.values() for t in net.state_dict().values()]

    def _moments(self) -> list[torch.Tensor]:
        states = [s for o in self.optimisers.values() for s in o.state.values()]
        return [t for state in states for t in state.values() if torch.is_tensor(t)]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move a running average of weights towards a network; buffers are copied."""
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1.0 - decay)
    for mean, now in zip(average.buffers(), network.buffers(), strict=True):
        mean.copy_(now)


def fit(
    task: Task, items: int, schedule: Schedule, out: str | Path, seed: int, fingerprint: Mapping
) -> tuple[dict[str, torch.Tensor], Progress]:
    """Train, validate every epoch, and return the best weights.

    Parameters
    ----------
    task : Task
        Its networks must have been built from ``seed`` already.
    items : int
        Number of training items; steps get indices below it.
    out : str or Path
        Folder for ``state.safetensors``.
    seed : int
        Of the order, the augmentation and dropout, each keyed by the epoch.
    fingerprint : mapping
        What the result depends on.  A state with another one is not taken up.

    Returns
    -------
    weights : dict of str to torch.Tensor
        State of the product network at the picked epoch, on the CPU.
    progress : Progress
        ``stopped`` says why training ended early, if it did.

    Raises
    ------
    TrainingFailed
        If training diverged before the first validation, or there is nothing
        to train on.
    """
    if items < 1:
        raise TrainingFailed("no training slices: is the mask of changed voxels empty everywhere?")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()
    best: dict[str, torch.Tensor] = {}
    progress = load_state(out / STATE, task, best, mark)
    if progress is None:
        progress = Progress()
        shutil.rmtree(out / faces.SAMPLES, ignore_errors=True)
    rates = {n: [float(g["lr"]) for g in o.param_groups] for n, o in task.optimisers.items()}
    clock, before = time.monotonic(), progress.seconds
    while not progress.finished:
        epoch = progress.epoch + 1
        _set_rates(task, rates, schedule.rate(epoch))
        row = _epoch(task, items, schedule, seed, epoch)
        progress.epoch, progress.step = epoch, progress.step + schedule.steps(items)
        row = {"epoch": epoch, "step": progress.step, **row}
        validated = epoch % schedule.validate_every == 0 or epoch == schedule.total
        if validated:
            row.update(task.validate())
        progress.rows.append(row)
        if not all(map(math.isfinite, row.values())):
            progress.stopped = f"a loss was no longer finite in epoch {epoch}"
        elif validated:
            _judge(row, task, best, progress)
        progress.finished = bool(progress.stopped) or epoch == schedule.total
        progress.seconds = before + time.monotonic() - clock
        _report(row, progress, schedule)
        if epoch in sampled_epochs(schedule.total):
            write_samples(out / faces.SAMPLES, task, epoch)
        if progress.finished and not best:
            raise TrainingFailed(f"training gave no usable model: {progress.stopped}")
        if validated or progress.finished:
            _set_rates(task, rates, 1.0)
            save_state(out / STATE, task, best, progress, mark)
    return best, progress


def _set_rates(task: Task, rates, factor: float) -> None:
    for name, optimiser in task.optimisers.items():
        for group, rate in zip(optimiser.param_groups, rates[name], strict=True):
            if isinstance(group["lr"], torch.Tensor):  # a recorded step reads it there
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor


def _epoch(task: Task, items: int, schedule: Schedule, seed: int, epoch: int) -> dict[str, float]:
    """Run one epoch; all randomness in it follows from seed and epoch."""
    torch.manual_seed(keyed_seed(seed, "dropout", epoch))
    generator = torch.Generator().manual_seed(keyed_seed(seed, "augment", epoch))
    steps = schedule.steps(items)
    chosen = order(items, steps * schedule.batch, seed, epoch)
    for network in task.networks.values():
        network.train()
    sums: dict[str, torch.Tensor] = {}
    for batch in chosen.split(schedule.batch):
        for name, value in task.step(batch, generator).items():
            sums[name] = sums.get(name, 0.0) + value.double()
    return {f"train_{name}": float(value) / steps for name, value in sums.items()}


def _judge(row: dict, task: Task, best: dict, progress: Progress) -> None:
    """Keep the weights if this validation is the best one; notice a rise."""
    value = row[task.criterion]
    if value < progress.best:
        progress.best, progress.picked, progress.rising = value, row["epoch"], 0
        state = task.networks[task.product].state_dict()
        best.clear()
        best.update({k: _plain(v).clone() for k, v in state.items()})
    elif value > RISE_FACTOR * progress.best:
        progress.rising += 1
        if progress.rising == RISE_LENGTH:
            progress.stopped = (
                f"{task.criterion} stayed above {RISE_FACTOR:g} times its best "
                f"for {RISE_LENGTH} validations up to epoch {row['epoch']}"
            )
    else:
        progress.rising = 0


def sampled_epochs(total: int) -> set[int]:
    """Return the epochs of which samples are kept: the last one, and fewer and fewer before.

    >>> sorted(sampled_epochs(200))
    [1, 3, 8, 24, 69, 200]
    """
    return {int(n) for n in np.geomspace(1, total, SAMPLED_EPOCHS).round()}


def write_samples(folder: Path, task: Task, epoch: int) -> None:
    """Write the sample slices of one epoch, and once what they are seen against.

    The files are ``epoch-0001.npy`` ..., ``defaced.npy`` and ``original.npy``.
    """
    if not hasattr(task, "samples"):
        return
    faces.protect(folder)
    arrays = {f"epoch-{epoch:04d}": task.samples()}
    if not (folder / "original.npy").is_file():
        arrays |= task.references()
    for name, array in arrays.items():
        part = folder / f".part-{os.getpid()}-{name}.npy"
        np.save(part, array, allow_pickle=False)
        os.replace(part, folder / f"{name}.npy")


def _report(row: dict, progress: Progress, schedule: Schedule) -> None:
    """Say on stderr how it goes and how long it will take."""
    left = progress.seconds / progress.epoch * (schedule.total - progress.epoch)
    losses = " ".join(f"{k} {v:.4g}" for k, v in row.items() if k not in ("epoch", "step"))
    ending = f"stopped: {progress.stopped}" if progress.stopped else f"{left:.0f} s left"
    print(f"epoch {row['epoch']}/{schedule.total} {losses}; {ending}", file=sys.stderr, flush=True)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor as safetensors wants it: on the CPU, in default memory order."""
    return tensor.detach().cpu().contiguous()


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path, note: str = "") -> None:
    """Write a safetensors file, all or nothing, with one line of text in its header."""
    from safetensors.torch import save_file

    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    # More than one header entry would be written in random order.
    save_file({k: _plain(v) for k, v in tensors.items()}, part, {"note": note})
    os.replace(part, path)


def save_state(path: Path, task: Task, best: Mapping, progress: Progress, mark: str) -> None:
    """Write everything that :func:`load_state` needs, in one file, all or nothing."""
    tensors = {f"best.{k}": v for k, v in best.items()}
    for name, network in task.networks.items():
        tensors.update({f"net.{name}.{k}": v for k, v in network.state_dict().items()})
    for name, optimiser in task.optimisers.items():
        for number, entry in optimiser.state_dict()["state"].items():
            tensors.update({f"opt.{name}.{number}.{k}": v for k, v in entry.items()})
    write_tensors(tensors, path, json.dumps({"mark": mark, "progress": vars(progress)}))


def load_state(path: Path, task: Task, best: dict, mark: str) -> Progress | None:
    """Put a saved state into the task's networks and optimisers.

    Returns
    -------
    Progress or None
        ``None`` if there is no state or it belongs to another training.
    """
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "pt") as handle:
        note = json.loads(handle.metadata()["note"])
        if note["mark"] != mark:
            print(
                f"{path}: of another training (data, options, versions); starting over",
                file=sys.stderr,
            )
            return None
        names = handle.keys()
        tensors = {name: handle.get_tensor(name) for name in names}
    best.update(_below(tensors, "best."))
    for name, network in task.networks.items():
        network.load_state_dict(_below(tensors, f"net.{name}."))
    for name, optimiser in task.optimisers.items():
        _load_optimiser(optimiser, _below(tensors, f"opt.{name}."))
    progress = Progress(**note["progress"])
    print(f"{path}: going on after epoch {progress.epoch}", file=sys.stderr)
    return progress


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_optimiser(optimiser: torch.optim.Optimizer, flat: Mapping[str, torch.Tensor]) -> None:
    state: dict[int, dict] = {}
    for name, value in flat.items():
        number, _, entry = name.partition(".")
        state.setdefault(int(number), {})[entry] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    for parameter, entries in optimiser.state.items():
        for entry, value in entries.items():
            if value.shape == parameter.shape:  # the memory order of a fresh state
                entries[entry] = torch.empty_like(parameter).copy_(value)


def write_outputs(
    out: Path, best: Mapping, progress: Progress, card: Mapping, timing: Mapping
) -> None:
    """Write the result of a training, the card last, and remove its state.

    Times go into a file of their own, so that the others are the same bytes
    whenever the training is the same.
    """
    picked = next(row for row in progress.rows if row["epoch"] == progress.picked)
    result = {
        "epoch": progress.picked,
        "step": picked["step"],
        "epochs_trained": progress.epoch,
        "stopped_early": progress.stopped,
        "validation": {k: v for k, v in picked.items() if k.startswith("val_")},
    }
    _write_text(out / "curves.tsv", curves(progress))
    _write_text(out / "timing.json", json.dumps(timing, indent=1, sort_keys=True) + "\n")
    write_tensors(best, out / "model.safetensors")
    text = json.dumps({**card, "picked": result}, indent=1, sort_keys=True)
    _write_text(out / "card.json", text + "\n")
    (out / STATE).unlink(missing_ok=True)


def curves(progress: Progress) -> str:
    """Return the losses as TSV text, one row an epoch, ``n/a`` where there was no validation."""
    names = list(dict.fromkeys(name for row in progress.rows for name in row))
    lines = ["\t".join([*names, "picked"])]
    for row in progress.rows:
        cells = [f"{row[name]:.6g}" if name in row else "n/a" for name in names]
        lines.append("\t".join([*cells, str(int(row["epoch"] == progress.picked))]))
    return "\n".join(lines) + "\n"


def _write_text(path: Path, text: str) -> None:
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    part.write_text(text)
    os.replace(part, path)
