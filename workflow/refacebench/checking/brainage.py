"""What every brain-age model keeps, on a made-up table of volumes."""

from __future__ import annotations

import json
from functools import cached_property

import numpy as np
import pandas as pd

from refacebench.brainage import correct
from refacebench.checking.bench import Bench, Broken, expect
from refacebench.contracts import NotEnoughTraining
from refacebench.vocabulary import GLOBALS, REGIONS

PEOPLE, SEED = 60, 5


def table(people: int = PEOPLE) -> pd.DataFrame:
    """Return volumes of people whose grey matter shrinks and whose ventricles grow with age."""
    rng = np.random.default_rng(1)
    age = np.linspace(20, 80, people) + rng.normal(0, 1, people)
    size = rng.normal(1, 0.08, people)
    names = [f"sub-{n:03d}" for n in range(people)]
    rows = {"participant": names, "scan": names, "age": age}
    for number, name in enumerate((*GLOBALS, *REGIONS)):
        slope = {"tiv": 0.0, "csf": 0.4, "vcsf": 0.8}.get(name, -0.3)
        level = 1500 / (1 + number)
        share = 1 + slope * (age - 50) / 100 + rng.normal(0, 0.02, people)
        rows[f"vol_{name}"] = level * size * share
    return pd.DataFrame(rows)


class BrainAgeBench(Bench):
    """A brain-age model and made-up volumes."""

    @cached_property
    def model(self) -> dict:
        """The model fitted on the table."""
        return self.method.fit(table(), self.options, SEED)


def keys(bench: BrainAgeBench) -> None:
    """Its model says how many people it saw, how good it is out of fold, and its correction."""
    model = bench.model
    lacks = {"n_participants", "out_of_fold", "correction", "note"} - set(model)
    expect(not lacks, f"there is no {', '.join(sorted(lacks))}")
    expect(model["n_participants"] == PEOPLE, f"n_participants is {model['n_participants']}")
    for part, wanted in (
        ("out_of_fold", {"r2", "mae"}),
        ("correction", {"type", "slope", "intercept"}),
    ):
        expect(not wanted - set(model[part]), f"{part} has no {wanted - set(model[part])}")
    # After this a corrected age can be made of any prediction.
    correct(np.array([50.0]), np.array([50.0]), model["correction"])


def readable(bench: BrainAgeBench) -> None:
    """JSON holds its model, and what is read back predicts the same."""
    try:
        back = json.loads(json.dumps(bench.model))
    except TypeError as error:
        raise Broken(f"{error}; turn arrays into lists") from None
    one, two = (bench.method.predict(model, table()) for model in (bench.model, back))
    expect(np.array_equal(one, two, equal_nan=True), "the predictions differ")


def years(bench: BrainAgeBench) -> None:
    """It predicts one finite number of years a row, and follows age."""
    people = table()
    found = np.asarray(bench.method.predict(bench.model, people))
    expect(found.shape == (PEOPLE,), f"predictions have the shape {found.shape}")
    expect(np.isfinite(found).all(), "some are NaN or infinite")
    expect(np.corrcoef(found, people["age"])[0, 1] > 0.5, "they do not follow age at all")


def missing(bench: BrainAgeBench) -> None:
    """A row without its volumes gets NaN, and the other rows what they had."""
    people = table()
    whole = np.asarray(bench.method.predict(bench.model, people))
    people.loc[0, [name for name in people if name.startswith("vol_")]] = np.nan
    found = np.asarray(bench.method.predict(bench.model, people))
    expect(np.isnan(found[0]), f"the first row gets {found[0]}")
    expect(np.array_equal(found[1:], whole[1:]), "other rows change")


def same(bench: BrainAgeBench) -> None:
    """The same table and seed give the same model."""
    again = bench.method.fit(table(), bench.options, SEED)
    one, two = (json.dumps(model, sort_keys=True) for model in (bench.model, again))
    expect(one == two, "two fits differ")


def too_few(bench: BrainAgeBench) -> None:
    """On a single person it raises NotEnoughTraining with a sentence."""
    try:
        bench.method.fit(table(1), bench.options, SEED)
    except NotEnoughTraining as error:
        expect(str(error), "it has no message")
    else:
        raise Broken("it fitted a model to a single person; it must refuse")


CHECKS = (keys, readable, years, missing, same, too_few)
