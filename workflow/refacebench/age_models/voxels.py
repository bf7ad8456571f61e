"""Age by ridge regression on the voxels of a coarse image.

The cheapest model that sees an image: linear, closed form, seconds on a laptop.  With
``input: face`` it is a control: what it reaches, the face alone tells of age.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refacebench import files
from refacebench.age_models import _card, _input
from refacebench.contracts import Aged, AgeModel, Option
from refacebench.image.nifti import Volume

VERSION = "1"

OPTIONS = {
    **_input.OPTIONS,
    "voxel_mm": Option(8.0, "Voxel size of what it sees.", unit="mm", least=2.0),
    "alphas": Option(
        [0.01, 0.1, 1.0, 10.0, 100.0],
        "Penalties among which cross-validation chooses, as shares of the voxels' mean variance "
        "over all people.",
        least=1e-9,
    ),
    "folds": Option(5, "Folds, by participant, for the penalty and the accuracy.", least=2),
    "min_train": Option(10, "Participants below which no model is fitted."),
    "correction": _card.CORRECTION,
}


def train(
    people: list[Aged], validation: list[Aged], out: Path, options: dict[str, Any], seed: int
) -> None:
    """Fit the model; see :class:`refacebench.contracts.AgeModel`.

    Validation people are not needed, so they are left alone.

    Raises
    ------
    NotEnoughTraining
        If there are too few people, or all are of one age.
    """
    _input.check(people, options["min_train"], "age by voxels")
    ready, left_out = _input.read(people, options)
    people = [person for person in people if person.scan in ready]
    _input.check(people, options["min_train"], "age by voxels")
    seen = np.stack([ready[person.scan].ravel() for person in people]).astype(np.float64)
    age, alphas = _card.ages(people), [float(alpha) for alpha in options["alphas"]]
    held_out = np.empty(len(age))
    rows: list[tuple[int, float, float]] = []
    for test in _input.folds(people, options["folds"], seed):
        rest = np.setdiff1d(np.arange(len(age)), test)
        inner = [people[place] for place in rest]
        alpha, _ = _choose(seen[rest], age[rest], inner, alphas, options["folds"], seed)
        held_out[test] = _predict(_fit(seen[rest], age[rest], alpha), seen[test])
    alpha, errors = _choose(seen, age, people, alphas, options["folds"], seed)
    rows = [(number, a, e) for number, (a, e) in enumerate(zip(alphas, errors, strict=True), 1)]
    model = _fit(seen, age, alpha)
    data = {"train": [p.scan for p in people], "left_out": left_out, "sha256": _input.digest(ready)}
    statement = "Ridge regression on the voxels of a coarse image, laid on a template by its brain."
    found = _card.card("voxels", VERSION, statement, people, options, seed, data)
    found |= _card.accuracy(people, held_out, options["correction"])
    _write(Path(out), model, rows, {**found, "alpha": alpha})


def _choose(seen, age, people, alphas, count: int, seed: int) -> tuple[float, list[float]]:
    """Return the penalty with the smallest squared error out of fold, and all their errors."""
    errors = []
    splits = _input.folds(people, count, seed)
    for alpha in alphas:
        error = 0.0
        for test in splits:
            rest = np.setdiff1d(np.arange(len(age)), test)
            error += float(
                ((_predict(_fit(seen[rest], age[rest], alpha), seen[test]) - age[test]) ** 2).sum()
            )
        errors.append(error / len(age))
    return alphas[int(np.argmin(errors))], errors


def _fit(seen: np.ndarray, age: np.ndarray, alpha: float) -> dict[str, np.ndarray]:
    """Return a ridge model in its dual form: people are fewer than voxels."""
    mean, middle = seen.mean(axis=0), age.mean()
    rest = seen - mean
    kernel = rest @ rest.T
    kernel[np.diag_indices(len(kernel))] += alpha * max(np.trace(kernel), 1e-12)
    weights = rest.T @ np.linalg.solve(kernel, age - middle)
    return {"mean": mean, "weights": weights, "intercept": np.array([middle])}


def _predict(model: Mapping[str, np.ndarray], seen: np.ndarray) -> np.ndarray:
    return (seen - model["mean"]) @ model["weights"] + model["intercept"][0]


def _write(out: Path, model, rows, card: Mapping) -> None:
    from safetensors.numpy import save_file

    lines = ["epoch\tstep\talpha\tval_squared_error\tpicked"]
    lines += [f"{n}\t{n}\t{a:g}\t{e:.6g}\t{int(a == card['alpha'])}" for n, a, e in rows]
    files.write_text("\n".join(lines) + "\n", out / "curves.tsv")
    with files.replacing(out / "model.safetensors") as part:
        save_file(dict(model), part)
    files.write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", out / "card.json")


def load(folder: Path, options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Read the weights."""
    from safetensors.numpy import load_file

    return load_file(Path(folder) / "model.safetensors")


def run(
    model: dict[str, np.ndarray], volume: Volume, brain: np.ndarray, options: dict[str, Any]
) -> float:
    """Return the age that an image looks like, years."""
    seen = _input.prepare(volume, brain, options).ravel().astype(np.float64)
    return float(_predict(model, seen[None])[0])


METHOD = AgeModel(
    version=VERSION,
    title="ridge regression on coarse voxels",
    options=OPTIONS,
    train=train,
    load=load,
    run=run,
)
