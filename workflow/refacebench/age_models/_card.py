"""What all age models say of themselves, and how their correction is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench import __version__, brainage
from refacebench.contracts import Aged, Option

CORRECTION = Option(
    "beheshti",
    "How the age bias is corrected: Beheshti et al. 2019, Cole et al. 2018, de Lange et al. "
    "2019, or not at all.",
    choices=brainage.CORRECTIONS,
)
NOT_CROSS_VALIDATED = (
    "not cross-validated (folds: 0): the correction was fitted on the validation participants"
)


def ages(people: Sequence[Aged]) -> np.ndarray:
    """Return the people's ages, years."""
    return np.array([person.age for person in people], dtype=float)


def accuracy(
    people: Sequence[Aged], predicted: np.ndarray, kind: str, crossed: bool = True
) -> dict[str, Any]:
    """Return the entries ``out_of_fold``, ``correction`` and ``note`` of a card.

    Parameters
    ----------
    people : sequence of Aged
        Those whose age was predicted by models that had not seen them.
    predicted : numpy.ndarray
        Years.
    kind : str
        The correction that is wanted.
    crossed : bool
        Whether they are the training people; otherwise the correction alone is fitted on them.
    """
    table = pd.DataFrame([vars(person) for person in people])
    correction = brainage.fit_correction(kind, predicted, ages(people))
    note = "" if crossed else NOT_CROSS_VALIDATED
    if correction["type"] != kind:
        note = f"correction '{kind}' could not be fitted; none applied"
    listed = brainage.out_of_fold(table, predicted) if crossed else {}
    return {"out_of_fold": listed, "correction": correction, "note": note}


def card(
    method: str,
    version: str,
    statement: str,
    people: Sequence[Aged],
    options: Mapping,
    seed: int,
    data: Mapping,
) -> dict[str, Any]:
    """Return what a model's result depends on: its name tag and its fingerprint."""
    found = ages(people)
    return {
        "method": method,
        "engine": "native",
        "statement": statement,
        "input": options["input"],
        "n_participants": len({person.participant for person in people}),
        "n_scans": len(people),
        "age_range": [float(found.min()), float(found.max())],
        "data": dict(data),
        "options": dict(options),
        "seed": seed,
        "versions": {"method": version, "refacebench": __version__, "numpy": np.__version__},
    }
