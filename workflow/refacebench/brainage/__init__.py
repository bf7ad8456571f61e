"""Brain-age models, one file each (:class:`refacebench.contracts.BrainAge`), and their bias.

The age-bias correction is the same for all models and lives here
(:func:`fit_correction`, :func:`correct`).  It is fitted on out-of-fold
predictions of original scans and then frozen: every variant is corrected by
the original's numbers, or the correction would hide the variant's effect.
Between two scans of a person at one age only Cole's changes the difference:
the others take the same number from both (:func:`shift_scale`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    return _rows(measurements, segmenter, "original", (split,))


def _rows(measurements: pd.DataFrame, segmenter: str, variant: str, splits) -> pd.DataFrame:
    """Return the measured scans of known age of one variant, sorted by scan."""
    rows = measurements[
        (measurements["variant"] == variant)
        & (measurements["segmenter"] == segmenter)
        & measurements["split"].isin(splits)
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
    """Return the measurement table with two more columns.

    NaN where there is no model, and for the train split: what a model says of
    the scans that it was fitted on is no prediction.

    ``brainage_raw`` : predicted age, as the model says it.  ``brainage`` : corrected
    for age bias (needs the age, except for Cole's).
    """
    table = measurements.copy()
    for name in ("brainage_raw", "brainage"):
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
    return table


def add_image_ages(
    measurements: pd.DataFrame, ages: pd.DataFrame, card: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the measurement table with the columns of :func:`add_predictions`, of an age model.

    Parameters
    ----------
    ages : pandas.DataFrame
        Manifests of the stage ``age`` of one model: ``scan``, ``variant``, ``status``,
        ``predicted_age``.
    card : mapping
        The model's; without a ``correction`` there is none.
    """
    table = measurements.copy()
    for name in ("brainage_raw", "brainage"):
        table[name] = np.nan
    if "correction" not in card or "predicted_age" not in ages:
        return table
    good = ages[ages["status"] == OK]
    said = pd.to_numeric(good["predicted_age"], errors="coerce")
    by = dict(zip(zip(good["scan"], good["variant"], strict=True), said, strict=True))
    pairs = zip(table["scan"], table["variant"], strict=True)
    raw = np.array([by.get(pair, np.nan) for pair in pairs], dtype=float)
    age = pd.to_numeric(table["age"], errors="coerce").to_numpy(dtype=float)
    table["brainage_raw"] = raw
    table["brainage"] = correct(raw, age, card["correction"])
    return table


#: Columns of :func:`trained_on_variants`.
OWN = ("variant", "segmenter", "scan", "participant", "age", "own", "original", "note")


def trained_on_variants(
    measurements: pd.DataFrame, method: BrainAge, options: Mapping, seed: int, splits
) -> pd.DataFrame:
    """Return what models say that were trained on a variant's scans, by who has nothing else.

    Both predictions are out of fold by participant: ``own`` of the variant's scan by models
    trained on that variant, ``original`` of the original scan by models trained on originals,
    of the same scans and with the same folds.  So the two differ in the images alone.

    Parameters
    ----------
    splits : sequence of str
        Splits whose scans are compared: of those all variants are measured.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`OWN`, a row per scan that is measured in variant and original; one row
        without numbers and with a ``note`` where no model could be fitted.
    """
    parts = []
    for segmenter in [name for name in pd.unique(measurements["segmenter"].fillna("")) if name]:
        originals = _rows(measurements, segmenter, "original", splits)
        made: dict[tuple[str, ...], Any] = {}
        for variant in pd.unique(measurements["variant"]):
            rows = _rows(measurements, segmenter, variant, splits)
            rows = rows[rows["scan"].isin(originals["scan"])].reset_index(drop=True)
            if variant == "original" or rows.empty:
                continue
            try:
                scans = tuple(rows["scan"])
                if scans not in made:
                    made[scans] = _held_out(
                        method, originals[originals["scan"].isin(scans)], options, seed
                    )
                found = made[scans].rename(columns={"predicted": "original"})
                own = _held_out(method, rows, options, seed)
                found = found.assign(own=found["scan"].map(own.set_index("scan")["predicted"]))
            except NotEnoughTraining as reason:
                found = pd.DataFrame([{"note": str(reason)}])
            parts.append(found.assign(variant=variant, segmenter=segmenter))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return table.reindex(columns=list(OWN))


def _held_out(method: BrainAge, rows: pd.DataFrame, options: Mapping, seed: int) -> pd.DataFrame:
    """Return a method's out-of-fold predictions of some rows, as :func:`out_of_fold` lists them.

    Raises
    ------
    NotEnoughTraining
        If no model can be fitted, or the method does not list what it predicted.
    """
    fitted = method.fit(rows.reset_index(drop=True), dict(options), seed)
    if "scans" not in fitted["out_of_fold"]:
        raise NotEnoughTraining("brain age: this model lists no out-of-fold predictions")
    return pd.DataFrame(fitted["out_of_fold"]["scans"])


def out_of_fold(rows: pd.DataFrame, predicted: np.ndarray) -> dict:
    """Return the entry ``out_of_fold`` of a model.

    Parameters
    ----------
    rows : pandas.DataFrame
        Those that the model was fitted on: ``scan``, ``participant``, ``age``.
    predicted : numpy.ndarray
        Years, shape (rows,): of each row by a model that saw no scan of its participant.

    Returns
    -------
    dict
        ``r2`` and ``mae`` before any correction (after it they are inflated), and ``scans``:
        the predictions with scan, participant and age, as lists.
    """
    age = pd.to_numeric(rows["age"], errors="coerce").to_numpy(dtype=float)
    spread = ((age - age.mean()) ** 2).sum()
    names = {name: rows[name].astype(str).tolist() for name in ("scan", "participant")}
    return {
        "r2": float(1 - ((predicted - age) ** 2).sum() / spread),
        "mae": float(np.abs(predicted - age).mean()),
        "scans": {**names, "age": age.tolist(), "predicted": np.asarray(predicted).tolist()},
    }


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
    """Return by what a difference of predictions at one age must be divided to be corrected.

    1 for all but Cole's: they leave such a difference as it is.
    """
    return correction["slope"] if correction["type"] == "cole" else 1.0


def save(models: Mapping[str, dict], path: str | Path) -> None:
    """Write models as JSON: readable, diffable, and no code runs when it is read."""
    write_text(json.dumps(models, indent=1, sort_keys=True) + "\n", path)


def load(path: str | Path) -> dict[str, dict]:
    """Read what :func:`save` wrote."""
    return json.loads(Path(path).read_text())
