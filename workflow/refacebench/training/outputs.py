"""What a training leaves behind: model, card, curves, times, sample slices.

Writes into the training's folder; sample slices show heads, so their folder is closed
(:mod:`refacebench.faces`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from refacebench import faces, files
from refacebench.training.state import STATE, Progress, write_tensors
from refacebench.training.task import Shown, Task

#: Epochs of which samples are kept, at most.
SAMPLED_EPOCHS = 6


def sampled_epochs(total: int) -> set[int]:
    """Return the epochs of which samples are kept: the last one, and fewer and fewer before.

    >>> sorted(sampled_epochs(200))
    [1, 3, 8, 24, 69, 200]
    """
    return {int(n) for n in np.geomspace(1, total, SAMPLED_EPOCHS).round()}


def write_samples(folder: Path, task: Task | Shown, epoch: int) -> None:
    """Write the sample slices of one epoch, and once what they are seen against.

    The files are ``epoch-0001.npy`` ..., ``defaced.npy`` and ``original.npy``.
    """
    if not isinstance(task, Shown):
        return
    faces.protect(folder)
    arrays = {f"epoch-{epoch:04d}": task.samples()}
    if not (folder / "original.npy").is_file():
        arrays |= task.references()
    for name, array in arrays.items():
        with files.replacing(folder / f"{name}.npy") as part:
            np.save(part, array, allow_pickle=False)


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
    files.write_text(curves(progress), out / "curves.tsv")
    files.write_text(json.dumps(timing, indent=1, sort_keys=True) + "\n", out / "timing.json")
    write_tensors(best, out / "model.safetensors")
    text = json.dumps({**card, "picked": result}, indent=1, sort_keys=True)
    files.write_text(text + "\n", out / "card.json")
    (out / STATE).unlink(missing_ok=True)


def curves(progress: Progress) -> str:
    """Return the losses as TSV text, one row per epoch, ``n/a`` where there was no validation."""
    names = list(dict.fromkeys(name for row in progress.rows for name in row))
    lines = ["\t".join([*names, "picked"])]
    for row in progress.rows:
        cells = [f"{row[name]:.6g}" if name in row else "n/a" for name in names]
        lines.append("\t".join([*cells, str(int(row["epoch"] == progress.picked))]))
    return "\n".join(lines) + "\n"
