"""The training loop of the refacers: order, validation, the best epoch, resuming.

Needs torch, numpy and safetensors, nothing else.  What is trained is a
:class:`refacebench.training.task.Task`; this module decides in which order it sees the
data, keeps what validation liked best, and can be killed at any time: the next call with
the same arguments goes on after the last epoch that was written and ends in the same bytes.  What
it writes is in :mod:`refacebench.training.state` and :mod:`refacebench.training.outputs`.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from refacebench import faces
from refacebench.contracts import TrainingFailed
from refacebench.training.outputs import sampled_epochs, write_samples
from refacebench.training.seeds import keyed_seed
from refacebench.training.state import STATE, Due, Progress, load_state, plain, save_state, size_of
from refacebench.training.task import Schedule, Task

#: Training has diverged when validation stays this much above its best ...
RISE_FACTOR = 2.0
#: ... for this many validations in a row.
RISE_LENGTH = 5


def order(items: int, count: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the items of an epoch: shuffled passes over all of them, cut to ``count``."""
    generator = torch.Generator().manual_seed(keyed_seed(seed, "order", epoch))
    passes = [torch.randperm(items, generator=generator) for _ in range(-(-count // items))]
    return torch.cat(passes)[:count]


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
        Folder for ``state.safetensors``, written as :class:`refacebench.training.state.Due`
        says.
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
    clock, before, due = time.monotonic(), progress.seconds, Due()
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
        if progress.finished or (validated and due.now(size_of(task))):
            _set_rates(task, rates, 1.0)
            with due.timed():
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
        best.update({k: plain(v).clone() for k, v in state.items()})
    elif value > RISE_FACTOR * progress.best:
        progress.rising += 1
        if progress.rising == RISE_LENGTH:
            progress.stopped = (
                f"{task.criterion} stayed above {RISE_FACTOR:g} times its best "
                f"for {RISE_LENGTH} validations up to epoch {row['epoch']}"
            )
    else:
        progress.rising = 0


def _report(row: dict, progress: Progress, schedule: Schedule) -> None:
    """Say on stderr how it goes and how long it will take."""
    left = progress.seconds / progress.epoch * (schedule.total - progress.epoch)
    losses = " ".join(f"{k} {v:.4g}" for k, v in row.items() if k not in ("epoch", "step"))
    ending = f"stopped: {progress.stopped}" if progress.stopped else f"{left:.0f} s left"
    print(f"epoch {row['epoch']}/{schedule.total} {losses}; {ending}", file=sys.stderr, flush=True)
