"""Brain-age models, one file each (:class:`refacebench.contracts.BrainAge`), and their bias.

The age-bias correction is the same for all models and lives here
(:func:`fit_correction`, :func:`correct`).  It is fitted on out-of-fold
predictions of original scans and then frozen: every variant is corrected by
the original's numbers, or the correction would hide the variant's effect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench.contracts import BrainAge, NotEnoughTraining
from refacebench.files import write_text
from refacebench.vocabulary import OK

#: Corrections: subtract the fitted gap (Beheshti et al. 2019), divide by the
#: fitted slope (Cole et al. 2018), add the fit's residual (de Lange et al. 2019).
CORRECTIONS = ("beheshti", "cole", "de_lange", "none")
#: Below this slope of prediction on age, dividing by it only blows up noise.
MIN_COLE_SLOPE = 0.1


def training_rows(measurements: pd.DataFrame, segmenter: str, split: str = "train"):
    """Return the rows that a model may see: measured originals of known age."""
    rows = measurements[
        (measurements["variant"] == "original")
        & (measurements["segmenter"] == segmenter)
        & (measurements["split"] == split)
        & ~measurements["role"].isin(("rescan", "followup"))
        & (measurements["status"] == OK)
    ]
    known = pd.to_numeric(rows["age"], errors="coerce").notna()
    return rows[known].sort_values("scan", kind="stable").reset_index(drop=True)


def fit_segmenters(
    measurements: pd.DataFrame, method: BrainAge, options: Mapping, seed: int
) -> dict[str, dict]:
    """Fit one model a segmenter; where that is impossible, a dict with only a ``note``."""
    models = {}
    for segmenter in [name for name in pd.unique(measurements["segmenter"].fillna("")) if name]:
        try:
            models[segmenter] = method.fit(
                training_rows(measurements, segmenter), dict(options), seed
            )
        except NotEnoughTraining as reason:
            models[segmenter] = {"note": str(reason)}
    return models


def add_predictions(
    measurements: pd.DataFrame, method: BrainAge, models: Mapping[str, dict]
) -> pd.DataFrame:
    """Return the measurement table with three more columns.

    NaN where there is no model, and for the train split: what a model says of
    the scans that it was fitted on is no prediction.

    ``brainage_raw`` : predicted age.  ``brainage`` : corrected for age bias
    (needs the age, except for Cole's).  ``brainage_shiftable`` : predicted age
    in the corrected scale, of which only differences within a person count
    (needs no age).
    """
    table = measurements.copy()
    for name in ("brainage_raw", "brainage", "brainage_shiftable"):
        table[name] = np.nan
    for segmenter, model in models.items():
        rows = (table["segmenter"] == segmenter) & (table["status"] == OK)
        rows &= table["split"] != "train"
        if "correction" not in model or not rows.any():
            continue
        raw = method.predict(model, table[rows])
        age = pd.to_numeric(table.loc[rows, "age"], errors="coerce").to_numpy(dtype=float)
        table.loc[rows, "brainage_raw"] = raw
        table.loc[rows, "brainage"] = correct(raw, age, model["correction"])
        table.loc[rows, "brainage_shiftable"] = raw / shift_scale(model["correction"])
    return table


def fit_correction(kind: str, predicted, age) -> dict:
    """Fit an age-bias correction on out-of-fold predictions of original scans.

    Parameters
    ----------
    kind : str
        One of :data:`CORRECTIONS`.
    predicted, age : numpy.ndarray
        Years, shape (n,).

    Returns
    -------
    dict
        ``type``, ``slope``, ``intercept``: of gap on age for ``beheshti``, of
        prediction on age for the others.  ``none`` in place of ``cole`` where
        the slope is below :data:`MIN_COLE_SLOPE`.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind not in CORRECTIONS:
        raise ValueError(
            f"brain age: unknown correction '{kind}' (known: {', '.join(CORRECTIONS)})"
        )
    predicted, age = np.asarray(predicted, dtype=float), np.asarray(age, dtype=float)
    if kind == "none" or np.ptp(age) == 0:
        return {"type": "none", "slope": 0.0, "intercept": 0.0}
    target = predicted - age if kind == "beheshti" else predicted
    slope, intercept = np.polyfit(age, target, 1)
    if kind == "cole" and abs(slope) < MIN_COLE_SLOPE:
        return {"type": "none", "slope": 0.0, "intercept": 0.0}
    return {"type": kind, "slope": float(slope), "intercept": float(intercept)}


def correct(predicted: np.ndarray, age: np.ndarray, correction: Mapping) -> np.ndarray:
    """Return predictions corrected for age bias.

    With a the slope and b the intercept: Beheshti pred - (a age + b), Cole
    (pred - b) / a, de Lange pred + (age - (a age + b)).
    """
    a, b = correction["slope"], correction["intercept"]
    kind = correction["type"]
    if kind == "beheshti":
        return predicted - (a * age + b)
    if kind == "cole":
        return (predicted - b) / a
    if kind == "de_lange":
        return predicted + (age - (a * age + b))
    return np.asarray(predicted, dtype=float).copy()


def shift_scale(correction: Mapping) -> float:
    """Return by what a difference of predictions at one age must be divided to be corrected."""
    return correction["slope"] if correction["type"] == "cole" else 1.0


def save(models: Mapping[str, dict], path: str | Path) -> None:
    """Write models as JSON: readable, diffable, and no code runs when it is read."""
    write_text(json.dumps(models, indent=1, sort_keys=True) + "\n", path)


def load(path: str | Path) -> dict[str, dict]:
    """Read what :func:`save` wrote."""
    return json.loads(Path(path).read_text())
