"""How well brain age is predicted: on whom no model has seen, and on each variant.

One row per model and what it was tested on.  ``tested`` is ``cross-validated`` (the
train split's originals, each predicted by a model that saw no scan of its
participant) or ``held out`` (the compared scans of ``variant``, by the model of the
train split's originals).  ``mae``, ``r2`` (against the mean age of the tested),
``r`` (Pearson) and ``slope`` (of prediction on age; below 1 the model pulls towards
the mean) are of predictions before the age-bias correction; ``bias_raw`` is the mean
of prediction - age without it, ``bias_corrected`` with it.  ``slope_change`` and
``r_change`` are against the original on the same scans: below 0 the variant flattens
the prediction.  ``mae_of_mean`` is the error of knowing nothing but the mean age of
the training people (of the others, where cross-validated), ``gain`` what the model is
better by, and ``p`` the one-sided probability that predictions without knowledge of
age follow it so well (ages permuted between participants, for originals).
``model`` is the model's name and ``input`` what it sees: volumes, or of an image the
brain, the whole head, or the head without the brain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.brainage import correct
from refacebench.plot.numbers import number, p_value
from refacebench.results import words
from refacebench.results.brainage import HEADING
from refacebench.results.cells import with_interval
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.statistics import prediction
from refacebench.statistics.cohort import measure, pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import ORIGINAL

#: Values of ``tested``.
CROSS_VALIDATED, HELD_OUT = "cross-validated", "held out"
#: What a model of volumes is called in the table, and what it sees.
VOLUMES = "volumes"


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    models: Mapping[str, dict[str, Any]],
    name: str = VOLUMES,
) -> pd.DataFrame:
    """Return the accuracy of each segmenter's model, cross-validated and on each variant.

    Parameters
    ----------
    measurements : pandas.DataFrame
        With the columns of :func:`refacebench.brainage.add_predictions`.
    models : mapping of str to dict
        By segmenter.
    name : str
        What the models are called.
    """
    rows = []
    for segmenter in segmenters_of(measurements):
        model = models.get(segmenter, {})
        shared = {"model": name, "segmenter": segmenter, "input": model.get("input", VOLUMES)}
        shared |= {"note": model.get("note", "")}
        for row in _rows(measurements, segmenter, criteria, variants, model):
            rows.append({**shared, **row})
    return RESULT.frame(rows)


def _rows(
    measurements: pd.DataFrame,
    segmenter: str,
    criteria: Criteria,
    variants: Sequence[str],
    model: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    own = pd.DataFrame(model.get("out_of_fold", {}).get("scans", {}))
    if len(own):
        yield _cross_validated(own, model["correction"], criteria)
    mean = _mean_age(own)
    for variant in variants:
        table = pairs(measurements, segmenter, variant, criteria)
        yield {
            "tested": HELD_OUT,
            "variant": variant,
            **_held_out(table, variant, mean, criteria),
        }


def _cross_validated(
    own: pd.DataFrame, correction: Mapping[str, Any], criteria: Criteria
) -> dict[str, Any]:
    predicted, age = own["predicted"].to_numpy(float), own["age"].to_numpy(float)
    persons = own["participant"]
    return {
        "tested": CROSS_VALIDATED,
        "variant": ORIGINAL,
        **_accuracy(predicted, correct(predicted, age, correction), age, persons, criteria),
        **prediction.gain(predicted, age, persons, criteria.level),
        "p": _p(predicted, age, persons, criteria),
    }


def _mean_age(own: pd.DataFrame) -> float | None:
    """Return the mean age of the training people; None where it is not known."""
    return float(own.groupby("participant")["age"].mean().mean()) if len(own) else None


def _held_out(
    table: pd.DataFrame, variant: str, mean: float | None, criteria: Criteria
) -> dict[str, Any]:
    persons = table["participant"]
    old = _column(table, "ref_brainage_raw")
    raw = measure(table, "brainage_raw").where(old.notna())
    age = pd.to_numeric(_column(table, "age"), errors="coerce")
    found = {
        **_accuracy(raw, measure(table, "brainage"), age, persons, criteria),
        **prediction.gain(raw, age, persons, criteria.level, mean),
    }
    if variant == ORIGINAL:
        return {**found, "p": _p(raw, age, persons, criteria)}
    changes = prediction.change(raw, old, age, persons, criteria.level)
    kept = {k: v for k, v in changes.items() if k.startswith(("slope_", "r_"))}
    return {**found, **kept}


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name] if name in table else pd.Series(np.nan, index=table.index)


def _accuracy(
    raw: Any, corrected: Any, age: Any, persons: pd.Series, criteria: Criteria
) -> dict[str, Any]:
    raw, corrected, age = (np.asarray(values, dtype=float) for values in (raw, corrected, age))
    known = np.isfinite(raw) & np.isfinite(age)
    found = prediction.accuracy(raw, age, persons, criteria.level)
    after = prediction.accuracy(corrected, age, persons, criteria.level)
    biases = {
        f"bias_{name}{end}": values[f"bias{end}"]
        for name, values in (("raw", found), ("corrected", after))
        for end in ("", "_low", "_high")
    }
    kept = {k: v for k, v in found.items() if not k.startswith("bias")}
    return {"n": persons[known].nunique(), "n_scans": int(known.sum()), **kept, **biases}


def _p(predicted: Any, age: Any, persons: pd.Series, criteria: Criteria) -> float:
    return prediction.permutation_p(predicted, age, persons, n=criteria.n_boot, seed=criteria.seed)


def caption(view: View) -> str:
    """Return the caption of the table of accuracy."""
    return words.join(
        f"How well each brain-age model predicts age{view.by}. Cross-validated: the train split's "
        "originals, each predicted by a model that saw no scan of that participant. All other "
        "rows: compared scans, which no model was trained on. Error, R2, correlation and slope "
        "are those before the age-bias correction; a slope below 1 pulls towards the mean age. "
        "Change of slope: against the original on the same scans; below 0 the variant flattens "
        "the prediction. Bias: mean of prediction minus age, without and with the correction, "
        "which was fitted on the cross-validated predictions and so makes their own bias 0. Gain "
        "over mean age: by how much the error is smaller than if everybody's age were guessed as "
        "the mean.",
        _faces(view),
        intervals(view.criteria),
        "p: one-sided, that predictions without knowledge of age follow it so closely (ages "
        f"permuted between participants {view.criteria.n_boot} times).",
    )


def _faces(view: View) -> str:
    """Return what rows of models mean that see no brain, where there are such models."""
    table = view.rows("brainage_accuracy")
    if table.empty or "face" not in set(table["input"]):
        return ""
    return (
        "Models that see the face alone (the head without the brain) are a control: where they "
        "gain on the mean age of the originals, age can be read from the face, and a model that "
        "sees the whole head may do so too."
    )


def intervals(criteria: Criteria) -> str:
    """Return how the intervals of accuracy were made."""
    return (
        f"Intervals: {100 * criteria.level:g} %, by leaving out one participant after the other "
        "(jackknife, Student's t), the model being taken as given and not adjusted for many "
        "comparisons."
    )


def printed(view: View) -> Printed:
    """Return one row per model and what it was tested on; none where no age was predicted."""
    table, look = view.rows("brainage_accuracy"), view.look
    table = table[table["mae"].notna()] if len(table) else table
    if table.empty:
        return [], []
    several = table["model"].nunique() > 1
    columns = ["Model"] if several else []
    columns += ["Tested on", "n", "Error (years)", "R2", "Correlation", "Slope", "Change of slope",
                "Bias without, with correction", "Gain over mean age", "p"]  # fmt: skip
    rows = []
    for model, own in table.groupby("model", sort=False):
        first = own[own["tested"] == CROSS_VALIDATED]
        rest = own[own["tested"] == HELD_OUT]
        rest = pd.concat([rest[rest["variant"] == v] for v in look.sort(rest["variant"])] or [rest])
        for _, row in pd.concat([first, rest]).iterrows():
            crossed = row["tested"] == CROSS_VALIDATED
            on = "original, cross-validated" if crossed else look.label(row["variant"])
            rows.append(([model] if several else []) + [on, *_cells(row)])
    return columns, rows


def _cells(row: pd.Series) -> list[str]:
    def cell(name: str, digits: int, signed: bool = False) -> str:
        return with_interval(row, name, f"{name}_low", f"{name}_high", digits, signed)

    both = ", ".join(number(row[f"bias_{name}"], 1, True) for name in ("raw", "corrected"))
    return [
        str(int(row["n"])),
        cell("mae", 1),
        cell("r2", 2),
        cell("r", 2),
        cell("slope", 2),
        cell("slope_change", 3, True),
        both,
        cell("gain", 1, True),
        p_value(row["p"]),
    ]


RESULT = Result(
    "brainage_accuracy",
    about=__doc__,
    empty="brain age was not predicted",
    job=STATISTICS,
    reads="vol_*",
    columns="""
        model input segmenter tested variant n n_scans
        mae mae_low mae_high r2 r2_low r2_high r r_low r_high slope slope_low slope_high
        bias_raw bias_raw_low bias_raw_high bias_corrected bias_corrected_low bias_corrected_high
        slope_change slope_change_low slope_change_high r_change r_change_low r_change_high
        mae_of_mean gain gain_low gain_high p note
    """,
    texts="model input tested",
    compute=lambda given, _: pd.concat(
        [
            compute(table, given.criteria, given.variants, models, name)
            for name, (table, models) in {
                VOLUMES: (given.measurements, given.brainage_models),
                **given.image_ages,
            }.items()
        ],
        ignore_index=True,
    ),
    caption=caption,
    latex="model tested variant n mae r2 r slope slope_change bias_raw bias_corrected gain p",
    heading=HEADING,
    secondary=True,
    order=622,
    printed=printed,
)
