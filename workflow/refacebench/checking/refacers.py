"""What every refacer keeps: a small training on made-up heads, and its model applied."""

from __future__ import annotations

import copy
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from refacebench.checking import heads
from refacebench.checking.bench import Bench, Broken, expect, untouched
from refacebench.contracts import Pair, TrainingFailed
from refacebench.image import nifti
from refacebench.image.nifti import Volume

#: Scans to train on, and to pick the model on.
TRAIN, VALIDATION = 3, 1
SEED = 3


class RefacerBench(Bench):
    """A refacer and training pairs of made-up heads."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """Pairs of different people, the last one for validation."""
        return [heads.pair(self.folder, person) for person in range(TRAIN + VALIDATION)]

    @cached_property
    def trained(self) -> Path:
        """The folder of a trained model."""
        out = self.folder / "model"
        out.mkdir(exist_ok=True)
        self.method.train(self.pairs[:TRAIN], self.pairs[TRAIN:], out, self.options, SEED)
        return out

    @cached_property
    def model(self) -> Any:
        """The model, loaded."""
        return self.method.load(self.trained, self.options)

    @cached_property
    def scan(self) -> tuple[Volume, np.ndarray]:
        """A defaced head of a new person, and its changed voxels."""
        new = heads.pair(self.folder, TRAIN + VALIDATION)
        return nifti.read(new.defaced), nifti.read_mask(new.changed)

    def reface(self) -> np.ndarray:
        """Apply the model to its own copy of the scan."""
        volume, changed = copy.deepcopy(self.scan)
        return self.method.run(self.model, volume, changed, self.options)


def outputs(bench: RefacerBench) -> None:
    """Training writes model.safetensors, card.json and curves.tsv."""
    weights_are_safe(bench.trained)
    header = (bench.trained / "curves.tsv").read_text().splitlines()[0].split("\t")
    lacks = {"epoch", "step"} - set(header)
    expect(not lacks, f"curves.tsv has no column {', '.join(sorted(lacks))}")


def weights_are_safe(folder: Path) -> None:
    """Check the three files of a trained model, and that its weights run no code."""
    for name in ("model.safetensors", "card.json", "curves.tsv"):
        expect((folder / name).is_file(), f"there is no {name}")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", "np") as weights:
            expect(list(weights.keys()), "model.safetensors holds no array")
    except SafetensorError as error:
        raise Broken(f"model.safetensors cannot be read: {error}") from None
    card = json.loads((folder / "card.json").read_text())
    expect(isinstance(card, dict) and card, "card.json holds no names with values")


def grid(bench: RefacerBench) -> None:
    """The model's output lies on the scan's grid and is finite where defacing changed."""
    values, (volume, changed) = bench.reface(), bench.scan
    expect(np.shape(values) == volume.shape, f"it has the shape {np.shape(values)}")
    expect(np.isfinite(values[changed]).all(), "some values are NaN or infinite")


def same(bench: RefacerBench) -> None:
    """The same model and scan give the same bytes."""
    expect(bench.reface().tobytes() == bench.reface().tobytes(), "two runs differ")


def reads_only(bench: RefacerBench) -> None:
    """It does not write into the scan that it is given."""
    volume, changed = copy.deepcopy(bench.scan)
    bench.method.run(bench.model, volume, changed, bench.options)
    untouched(
        {"the scan": bench.scan[0].data, "changed": bench.scan[1]},
        {"the scan": volume.data, "changed": changed},
    )


def too_few(bench: RefacerBench) -> None:
    """Without a scan to train on it says so, and writes no model."""
    out = bench.folder / "nothing"
    out.mkdir(exist_ok=True)
    try:
        bench.method.train([], bench.pairs[TRAIN:], out, bench.options, SEED)
    except (TrainingFailed, ValueError) as error:
        expect(str(error), "the error has no message")
    else:
        raise Broken("it trained without any data; raise TrainingFailed with one sentence")
    expect(not (out / "model.safetensors").exists(), "it wrote a model all the same")


def memory(bench: RefacerBench) -> None:
    """It asks for some megabytes, and for no fewer where there are more scans."""
    few, many = (bench.method.memory_mb(bench.options, count) for count in (10, 1000))
    expect(0 < few <= many, f"{few} MB for 10 scans, {many} MB for 1000")


CHECKS = (outputs, grid, same, reads_only, too_few, memory)
