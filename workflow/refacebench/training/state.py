"""Where a training stands: one file, by which a killed training goes on to the same bytes.

Writes and reads that file (safetensors, no code in it).
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from refacebench import files
from refacebench.training.task import Task

STATE = "state.safetensors"
#: A state up to this size is written after every validation.
SMALL_BYTES = 16e6
#: A larger one is written when training has gone on for this many times the time that writing
#: the last one took, so that writing takes a twentieth of the time at most.
TIMES_WRITING = 20.0


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


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor as safetensors wants it: on the CPU, in default memory order."""
    return tensor.detach().cpu().contiguous()


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path, note: str = "") -> None:
    """Write a safetensors file, all or nothing, with one line of text in its header."""
    from safetensors.torch import save_file

    # More than one header entry would be written in random order.
    with files.replacing(path) as part:
        save_file({k: plain(v) for k, v in tensors.items()}, part, {"note": note})


class Due:
    """Says when the next state is to be written; the first one is due at once.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.writing, self.ended = 0.0, -math.inf

    def now(self, size: float) -> bool:
        """Tell whether a state of so many bytes is due."""
        waited = self.clock() - self.ended
        return size <= SMALL_BYTES or waited >= TIMES_WRITING * self.writing

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Measure how long writing takes."""
        began = self.clock()
        yield
        self.ended = self.clock()
        self.writing = self.ended - began


def size_of(task: Task) -> int:
    """Return the bytes of a task's networks and optimisers."""
    tensors = [t for net in task.networks.values() for t in net.state_dict().values()]
    for optimiser in task.optimisers.values():
        tensors += [t for entry in optimiser.state.values() for t in entry.values()]
    return sum(t.nbytes for t in tensors if torch.is_tensor(t))


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
