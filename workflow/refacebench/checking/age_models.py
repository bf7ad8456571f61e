"""What every age model keeps: a small training on made-up heads, and its model asked."""

from __future__ import annotations

import copy
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from refacebench.brainage import correct
from refacebench.checking import heads
from refacebench.checking.bench import Bench, expect, untouched
from refacebench.checking.refacers import weights_are_safe
from refacebench.contracts import Aged, NotEnoughTraining
from refacebench.image import nifti
from refacebench.image.nifti import Volume

#: Scans to train on, and to pick the model on.
TRAIN, VALIDATION = 6, 2
SEED = 3


class AgeBench(Bench):
    """An age model and made-up heads of people whose brain is the darker the older they are."""

    @cached_property
    def people(self) -> list[Aged]:
        """People of all ages, the last ones for validation."""
        return [self._person(number) for number in range(TRAIN + VALIDATION)]

    def _person(self, number: int) -> Aged:
        age = 20.0 + 60.0 * ((5 * number) % 8) / 7
        volume, brain = head(number, age)
        paths = [str(self.folder / f"sub-{number}_{name}.nii.gz") for name in ("T1w", "mask")]
        nifti.write(volume, paths[0])
        nifti.write(volume.with_data(brain.astype(np.uint8)), paths[1])
        return Aged(f"sub-{number}", f"sub-{number}", age, *paths)

    @cached_property
    def trained(self) -> Path:
        """The folder of a trained model."""
        return self.train("model")

    def train(self, name: str) -> Path:
        """Train a model in a folder of its own."""
        out = self.folder / name
        out.mkdir(exist_ok=True)
        self.method.train(self.people[:TRAIN], self.people[TRAIN:], out, self.options, SEED)
        return out

    @cached_property
    def card(self) -> dict[str, Any]:
        """The trained model's card."""
        return json.loads((self.trained / "card.json").read_text())

    @cached_property
    def model(self) -> Any:
        """The model, loaded."""
        return self.method.load(self.trained, self.options)

    def say(self, number: int = 50) -> float:
        """Return the age of a new person's image, its own copy."""
        volume, brain = head(number, 50.0)
        return self.method.run(self.model, volume, brain, self.options)


def head(number: int, age: float) -> tuple[Volume, np.ndarray]:
    """Return a made-up head and its brain, which is the darker the older the person."""
    volume, brain, _ = heads.head(number, voxel_mm=8.0)
    data = volume.data.copy()
    data[brain] *= 1.5 - age / 100
    return volume.with_data(data), brain


def outputs(bench: AgeBench) -> None:
    """Training writes model.safetensors, card.json and curves.tsv."""
    weights_are_safe(bench.trained)
    header = (bench.trained / "curves.tsv").read_text().splitlines()[0].split("\t")
    lacks = {"epoch", "step"} - set(header)
    expect(not lacks, f"curves.tsv has no column {', '.join(sorted(lacks))}")


def keys(bench: AgeBench) -> None:
    """Its card says what it sees, how many people it saw, how good it is, and its correction."""
    card = bench.card
    lacks = {"input", "n_participants", "out_of_fold", "correction", "note"} - set(card)
    expect(not lacks, f"there is no {', '.join(sorted(lacks))}")
    expect(card["n_participants"] == TRAIN, f"n_participants is {card['n_participants']}")
    found = card["out_of_fold"]
    expect(not found or {"r2", "mae", "scans"} <= set(found), "out_of_fold lacks r2, mae or scans")
    correct(np.array([50.0]), np.array([50.0]), card["correction"])


def years(bench: AgeBench) -> None:
    """It says one finite number of years of an image."""
    found = bench.say()
    expect(isinstance(found, float) and np.isfinite(found), f"it says {found!r}")
    expect(-50 < found < 200, f"it says {found:.0f} years")


def same(bench: AgeBench) -> None:
    """The same scans and seed give the same model, and the same image the same age."""
    expect(bench.say() == bench.say(), "two looks at one image differ")
    again = bench.train("again")
    for name in ("model.safetensors", "card.json"):
        one, two = ((folder / name).read_bytes() for folder in (bench.trained, again))
        expect(one == two, f"two trainings differ in {name}")


def reads_only(bench: AgeBench) -> None:
    """It does not write into the image that it is given."""
    volume, brain = head(50, 50.0)
    given = copy.deepcopy((volume.data, brain))
    bench.method.run(bench.model, volume, brain, bench.options)
    untouched(
        {"the image": given[0], "the brain": given[1]},
        {"the image": volume.data, "the brain": brain},
    )


def too_few(bench: AgeBench) -> None:
    """On a single person it raises NotEnoughTraining with a sentence, and writes no model."""
    out = bench.folder / "nothing"
    out.mkdir(exist_ok=True)
    said = ""
    try:
        bench.method.train(bench.people[:1], bench.people[TRAIN:], out, bench.options, SEED)
    except NotEnoughTraining as error:
        said = str(error)
    expect(said, "it trained on one person, or the error has no message")
    expect(not (out / "model.safetensors").exists(), "it wrote a model all the same")


CHECKS = (outputs, keys, years, same, reads_only, too_few)
