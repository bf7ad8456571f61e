"""Simulations and known answers for brain age: intervals, tests, and age models.

    python benchmarks/brainage.py                              # simulations, two minutes
    python benchmarks/brainage.py --results results --dataset demo   # and models

**Intervals** (``coverage``): people of known accuracy are drawn again and again; the share of
intervals that hold the true value, for each measure and its change between two predictions.

**Permutation test** (``errors``): the share of p < 0.05 where predictions know nothing, for people
whom the model never saw (``held out``) and for cross-validated predictions of a ridge model of
noise (``cross-validated``).

**Models** (``--results``, the folder of a finished run): age models are trained on the segmented
originals of the run's train and test split, five folds by participant; for networks a quarter of
the people is set aside to pick them on.  In the demo the brain ages and the face does not: a
model that sees the brain should tell the age, one that sees the face should not.
``shuffled``: the ridge model of the head with other people's ages.

Prints the tables; writes nothing unless told (``--out``).
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import manifest
from refacebench.age_models import _input
from refacebench.run import methods
from refacebench.stages.train_age import people as read_people
from refacebench.statistics import prediction

#: Spread of the error around the line, years, and what makes it.
NOISES = {
    "normal": lambda rng, age: rng.normal(0, 8, len(age)),
    "heavy tails": lambda rng, age: 8 / np.sqrt(2) * rng.standard_t(4, len(age)),
    "grows with age": lambda rng, age: rng.normal(0, 1, len(age)) * 8 * age / 50,
}
#: A network that trains on a CPU in minutes.
CPU_SIZE = {
    **{"voxel_mm": 5.0, "channels": [8, 16, 32, 32], "optimiser": "adam", "learning_rate": 3e-3},
    **{"batch": 4, "epochs": 45, "decay_epochs": 15, "bin_years": 4.0, "sigma_years": 6.0},
    **{"dropout": 0.2, "shift_voxels": 1, "folds": 3, "min_train": 5, "device": "cpu"},
}


def draw(rng, n: int, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ages, predictions, and flatter, noisier predictions of the same people."""
    age = rng.uniform(20, 80, n)
    predicted = 51 + 0.7 * (age - 50) + NOISES[kind](rng, age)
    return age, predicted, 50 + 0.9 * (predicted - 50) + rng.normal(0, 2, n)


def coverage(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the share of 95 % intervals that hold the true value."""
    rows = []
    for number, kind in enumerate(NOISES):
        rng = np.random.default_rng(seed)
        age, one, two = draw(rng, 400_000, kind)
        alone = np.arange(len(age))
        truth = prediction.accuracy(one, age, alone) | prediction.change(two, one, age, alone)
        names = [*prediction.MEASURES, *(f"{name}_change" for name in prediction.MEASURES)]
        for n in people:
            hits = dict.fromkeys(names, 0)
            rng = np.random.default_rng([seed, number, n])  # a row is the same in any company
            for _ in range(repeats):
                age, one, two = draw(rng, n, kind)
                found = prediction.accuracy(one, age, range(n))
                found |= prediction.change(two, one, age, range(n))
                for name in names:
                    hits[name] += found[f"{name}_low"] <= truth[name] <= found[f"{name}_high"]
            rows.append({"error": kind, "n": n, **{k: v / repeats for k, v in hits.items()}})
    return pd.DataFrame(rows)


def errors(people, repeats: int, seed: int) -> pd.DataFrame:
    """Return the share of p < 0.05 where nothing is known."""
    rows = []
    for n in people:
        rng = np.random.default_rng([seed, n])
        found: dict[str, list[float]] = {"held out": [], "cross-validated": []}
        for number in range(repeats):
            age = rng.uniform(20, 80, n)
            noise = rng.normal(size=(n, 6))
            crossed = np.empty(n)
            for fold in np.array_split(rng.permutation(n), 5):
                rest = np.setdiff1d(np.arange(n), fold)
                middle = age[rest].mean()
                kernel = noise[rest].T @ noise[rest] + 5 * np.eye(6)
                weights = np.linalg.solve(kernel, noise[rest].T @ (age[rest] - middle))
                crossed[fold] = middle + noise[fold] @ weights
            for name, said in (("held out", rng.normal(50, 5, n)), ("cross-validated", crossed)):
                p = prediction.permutation_p(said, age, range(n), n=199, seed=number)
                found[name].append(p)
        for name, values in found.items():
            rows.append(
                {"predictions": name, "n": n, "error_test": np.mean(np.array(values) < 0.05)}
            )
    return pd.DataFrame(rows)


def models(folder: Path, dataset: str, names, seed: int) -> pd.DataFrame:
    """Return the cross-validated accuracy of age models on a run's originals."""
    paths = sorted(folder.glob(f"segment/{dataset}/*/original/*-measured-*.tsv"))
    first = sorted({path.parts[-3] for path in paths})[0]
    given = read_people(path for path in paths if path.parts[-3] == first)
    given = [
        replace(p, path=_from(folder, p.path), brain_path=_from(folder, p.brain_path))
        for p in given
    ]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(given))
    held, rest = order[: len(given) // 4], order[len(given) // 4 :]
    shuffled = rng.permutation([p.age for p in given])
    rows = []
    for name in names:
        method, _, shown = name.partition(":")
        people = given
        if shown == "shuffled":
            people = [replace(p, age=float(a)) for p, a in zip(given, shuffled, strict=True)]
        entry = {"method": method, "input": "head" if shown == "shuffled" else shown}
        entry |= CPU_SIZE if method == "sfcn" else {"min_train": 5}
        chosen = methods.choose("age_models", name.replace(":", "_"), entry)
        sides = [[people[k] for k in rest], [people[k] for k in held]]
        if method != "sfcn":  # needs nobody to pick it on
            sides = [people, []]
        with tempfile.TemporaryDirectory() as out:
            chosen.method.train(*sides, Path(out), chosen.options, seed)
            card = json.loads((Path(out) / "card.json").read_text())
        said = card["out_of_fold"]["scans"]
        one, age = np.array(said["predicted"]), np.array(said["age"])
        found = prediction.accuracy(one, age, said["participant"])
        found |= prediction.gain(one, age, said["participant"])
        p = prediction.permutation_p(one, age, said["participant"], n=1999, seed=seed)
        columns = ("mae", "mae_low", "mae_high", "r2", "r", "slope", "mae_of_mean", "gain")
        rows.append(
            {"model": method, "sees": shown, "n": len(age), **{k: found[k] for k in columns}}
            | {"gain_low": found["gain_low"], "gain_high": found["gain_high"], "p": p}
        )
        print(pd.DataFrame(rows[-1:]).round(2).to_string(index=False, header=False), flush=True)
    return pd.DataFrame(rows)


def _from(folder: Path, path: str) -> str:
    """Return a path of a run's manifest as seen from here."""
    return str(folder.parent / path)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="+", default=[10, 13, 30, 100])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, help="results/ of a finished run")
    parser.add_argument("--dataset", default="demo")
    shown = [f"voxels:{name}" for name in (*_input.INPUTS, "shuffled")]
    shown += [f"sfcn:{name}" for name in _input.INPUTS]
    parser.add_argument("--models", nargs="+", default=shown)
    parser.add_argument("--only-models", action="store_true", help="leave the simulations out")
    parser.add_argument("--out", type=Path, help="write the tables into this folder")
    given = parser.parse_args()
    tables = {}
    if not given.only_models:
        tables["coverage"] = coverage(given.people, given.repeats, given.seed)
        tables["errors"] = errors(given.people, given.repeats, given.seed)
    if given.results:
        tables["models"] = models(given.results, given.dataset, given.models, given.seed)
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            manifest.write(table, given.out / f"{name}.tsv")


if __name__ == "__main__":
    main()
