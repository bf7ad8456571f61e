"""What a variant does to predicted brain age: the ``brainage`` table.

Takes the measurement table with the columns of
:func:`refacebench.brainage.add_predictions`; knows nothing of the models but
their accuracy on their own training data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.statistics import paired
from refacebench.statistics.cohort import (
    by_participant,
    measure,
    pairs,
    rescan_pairs,
    segmenters_of,
)
from refacebench.statistics.columns import frame
from refacebench.statistics.intervals import bootstrap_mean
from refacebench.statistics.settings import Settings


def brainage(
    measurements: pd.DataFrame,
    settings: Settings,
    variants: Sequence[str],
    models: Mapping[str, dict],
) -> pd.DataFrame:
    """Return the error and the shift of predicted age of every variant, the original too.

    ``mae`` is that of the predictions before the age-bias correction: the
    correction uses the chronological age and would flatter any model.
    ``shift`` is predicted(variant) - predicted(original) in corrected years,
    ``shift_abs`` the mean of its absolute values, to be held against
    ``rescan_shift_abs``; ``gap`` is corrected prediction minus chronological
    age.  Family of ``p_holm``: all variants of one segmenter.
    """
    rows = []
    for segmenter in segmenters_of(measurements):
        model = models.get(segmenter, {"note": "no brain-age model"})
        rescan = _rescan_shift(measurements, segmenter, settings)
        for variant in variants:
            table = pairs(measurements, segmenter, variant, settings)
            rows.append(
                {
                    "variant": variant,
                    "segmenter": segmenter,
                    **_row(table, variant, settings),
                    **rescan,
                    **_training(model),
                }
            )
    result = frame("brainage", rows)
    result["p_holm"] = np.nan
    result["family_size"] = np.nan
    for _, family in result.groupby("segmenter", sort=False):
        result.loc[family.index, "p_holm"] = paired.correct(family["p"], "holm")
        result.loc[family.index, "family_size"] = int(family["p"].notna().sum())
    return result


def _row(table: pd.DataFrame, variant: str, settings: Settings) -> dict:
    draws = {"n_boot": settings.n_boot, "seed": settings.seed, "level": settings.level}
    persons = table["participant"]
    reference = _reference(table, "brainage_raw")
    new = measure(table, "brainage_raw").where(reference.notna())
    age = pd.to_numeric(table["age"], errors="coerce") if "age" in table else reference * np.nan
    error = by_participant((new - age).abs(), persons)
    worse = by_participant((new - age).abs() - (reference - age).abs(), persons)
    gap = by_participant(measure(table, "brainage") - age, persons)
    row = {
        "n": persons[new.notna()].nunique(),
        "n_scans": int(new.notna().sum()),
        "n_failed": int((reference.notna() & new.isna()).sum()),
        **_mean("mae", error, draws),
        **_mean("gap", gap, draws),
    }
    if variant == "original":
        return row
    change = measure(table, "brainage_shiftable") - _reference(table, "brainage_shiftable")
    shift = by_participant(change, persons)
    return {
        **row,
        **_mean("shift", shift, draws),
        "shift_sd": shift.std(ddof=1) if len(shift) > 1 else np.nan,
        **_mean("shift_abs", by_participant(change.abs(), persons), draws),
        "p": paired.wilcoxon(shift, settings.zero_method)[1],
        **_mean("mae_change", worse, draws),
    }


def _reference(table: pd.DataFrame, name: str) -> pd.Series:
    if f"ref_{name}" not in table:
        return pd.Series(np.nan, index=table.index)
    return table[f"ref_{name}"]


def _mean(name: str, values: pd.Series, draws: dict) -> dict:
    low, high = bootstrap_mean(values, **draws)
    mean = float(values.mean()) if len(values) else np.nan
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _rescan_shift(measurements, segmenter, settings) -> dict:
    """Return the yardstick: the mean absolute difference between a person's two sessions.

    Only persons of the compared splits: the model has seen the others.
    """
    both = rescan_pairs(measurements, segmenter, settings.splits)
    if "brainage_shiftable_1" not in both:
        return {"rescan_shift_abs": np.nan, "n_rescan": 0}
    change = (both["brainage_shiftable_2"] - both["brainage_shiftable_1"]).abs()
    persons = by_participant(change, both["participant"])
    return {
        "rescan_shift_abs": float(persons.mean()) if len(persons) else np.nan,
        "n_rescan": len(persons),
    }


def _training(model: Mapping) -> dict:
    accuracy = model.get("out_of_fold", {})
    return {
        "r2_train_cv": accuracy.get("r2", np.nan),
        "mae_train_cv": accuracy.get("mae", np.nan),
        "n_train": model.get("n_participants", 0),
        "correction": model.get("correction", {}).get("type", ""),
        "note": model.get("note", ""),
    }
