"""Brain age by ridge regression on regional and whole-brain volumes.

A linear model of a handful of volumes: coarse beside a network that sees the
image, but it sees nothing of the face, its coefficients can be read, and it
trains on tens of scans.  Touches no disk.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.brainage import CORRECTIONS, fit_correction, out_of_fold
from refacebench.contracts import BrainAge, NotEnoughTraining, Option, defaults
from refacebench.vocabulary import GLOBALS, REGIONS

VERSION = "2"

OPTIONS = {
    "alphas": Option(
        [0.1, 1.0, 10.0, 100.0, 1000.0],
        "Ridge penalties among which grouped cross-validation chooses.",
        least=0,
    ),
    "divide_by_tiv": Option(
        True,
        "Whether every volume is divided by TIV (which stays a feature): head size is not age.",
    ),
    "folds": Option(
        5,
        "Folds, by participant, for the penalty and for the out-of-fold predictions.",
        least=2,
    ),
    "min_train": Option(10, "Participants below which no model is fitted."),
    "correction": Option(
        "beheshti",
        "How the age bias is corrected: Beheshti et al. 2019, Cole et al. 2018, de Lange et al. "
        "2019, or not at all.",
        choices=CORRECTIONS,
    ),
}

FEATURES = (*GLOBALS, *REGIONS)


def fit(train: pd.DataFrame, options: Mapping, seed: int) -> dict:
    """Fit the model; see :class:`refacebench.contracts.BrainAge`.

    Rows with a missing feature are left out and counted (``n_dropped``).

    Raises
    ------
    NotEnoughTraining
        If fewer than ``min_train`` participants have all features and an age,
        or all are of one age.
    """
    options = {**defaults(OPTIONS), **options}
    names = [name for name in FEATURES if _usable(train, name)]
    features = _features(train, names, options["divide_by_tiv"])
    age = _numbers(train, "age")
    train = train if "scan" in train else train.assign(scan=train["participant"])
    rows = np.isfinite(features).all(axis=1) & np.isfinite(age) & bool(names)
    features, age = features[rows], age[rows]
    person = train["participant"].to_numpy(dtype=str)[rows]
    _check(age, person, options["min_train"])
    held_out = _out_of_fold(features, age, person, options, seed)
    model = _regression(person, options, seed).fit(features, age)
    scaler, ridge = model[0], model[-1]
    correction = fit_correction(options["correction"], held_out, age)
    return {
        "method": "ridge",
        "version": VERSION,
        "features": names,
        "divide_by_tiv": bool(options["divide_by_tiv"]),
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "coefficients": ridge.coef_.tolist(),
        "intercept": float(ridge.intercept_),
        "alpha": float(ridge.alpha_),
        "correction": correction,
        "out_of_fold": out_of_fold(train[rows], held_out),
        "n_participants": len(set(person)),
        "n_scans": len(age),
        "n_dropped": int((~rows).sum()),
        "age_range": [float(age.min()), float(age.max())],
        "note": _note(options["correction"], correction),
    }


def predict(model: Mapping, table: pd.DataFrame) -> np.ndarray:
    """Return predicted ages in years, before the correction; NaN where a feature is missing."""
    features = _features(table, model["features"], model["divide_by_tiv"])
    scaled = (features - np.array(model["mean"])) / np.array(model["scale"])
    return scaled @ np.array(model["coefficients"]) + model["intercept"]


def _usable(train: pd.DataFrame, name: str) -> bool:
    """Tell whether the segmenter has this volume at all."""
    return bool(np.isfinite(_numbers(train, f"vol_{name}")).any())


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)


def _features(table: pd.DataFrame, names, divide: bool) -> np.ndarray:
    """Return the design matrix, shape (rows, features)."""
    columns = {name: _numbers(table, f"vol_{name}") for name in names}
    if divide and "tiv" in columns:
        tiv = np.where(columns["tiv"] > 0, columns["tiv"], np.nan)
        columns = {k: v if k == "tiv" else v / tiv for k, v in columns.items()}
    return np.column_stack([columns[k] for k in names]) if names else np.zeros((len(table), 0))


def _check(age: np.ndarray, person: np.ndarray, min_train: int) -> None:
    found = len(set(person))
    if found < max(min_train, 3):
        raise NotEnoughTraining(
            f"brain age: {found} training participants with age and volumes, "
            f"{max(min_train, 3)} needed (brainage.min_train)"
        )
    if np.ptp(age) == 0:
        raise NotEnoughTraining("brain age: all training participants have the same age")


def _folds(person: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return train and test indices; no participant stands on both sides."""
    from sklearn.model_selection import GroupKFold

    count = min(folds, len(set(person)))
    splitter = GroupKFold(n_splits=count, shuffle=True, random_state=seed)
    return list(splitter.split(person, groups=person))


def _regression(person: np.ndarray, options: Mapping, seed: int):
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = _folds(person, options["folds"], seed)
    # By squared error: R2 of a fold of one or two scans says nothing.
    ridge = RidgeCV(alphas=options["alphas"], cv=folds, scoring="neg_mean_squared_error")
    return make_pipeline(StandardScaler(), ridge)


def _out_of_fold(features, age, person, options, seed) -> np.ndarray:
    """Return each scan's prediction by a model that saw no scan of its participant."""
    predicted = np.full(len(age), np.nan)
    for train, test in _folds(person, options["folds"], seed):
        model = _regression(person[train], options, seed).fit(features[train], age[train])
        predicted[test] = model.predict(features[test])
    return predicted


def _note(asked: str, correction: Mapping) -> str:
    if asked != correction["type"]:
        return f"correction '{asked}' could not be fitted (slope too small); none applied"
    return ""


METHOD = BrainAge(
    version=VERSION,
    title="ridge regression on volumes",
    options=OPTIONS,
    fit=fit,
    predict=predict,
)
