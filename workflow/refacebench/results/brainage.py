"""What a variant does to predicted brain age.

``shift`` is predicted(variant) - predicted(original) as the model says it, in
years, ``shift_abs`` the mean of its absolute values, ``shift_mde`` the shift that would have
been detected with the wanted power at alpha / family size, ``rescan_shift_abs`` the same
between two sessions of a person.  No age-bias correction changes such a
difference within a person but Cole's, which divides by the slope:
``shift_corrected`` is that, and empty for the others.  ``gap_raw`` is prediction -
age without the correction, ``gap_corrected`` with it.  ``mae`` is that of
predictions *before* the correction (which uses the age and would flatter any
model); ``mae_change`` is against the original on the same scans; ``r2_train_cv``
and ``mae_train_cv`` are out-of-fold by participant, uncorrected (more of them in
``brainage_accuracy``); ``note`` says why there is no model.

Takes the measurement table with the columns of
:func:`refacebench.brainage.add_predictions`; knows nothing of the models but
their accuracy on their own training data, and their correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.brainage import shift_scale
from refacebench.plot import dots
from refacebench.plot.numbers import number, p_value
from refacebench.plot.style import BAND, INK, Look, message_figure, pick_segmenter, styled
from refacebench.results import detectable, words
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.statistics import paired, prediction
from refacebench.statistics.cohort import (
    by_participant,
    measure,
    pairs,
    rescan_pairs,
    segmenters_of,
)
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import mean_interval
from refacebench.statistics.summaries import draws


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    models: Mapping[str, dict[str, Any]],
) -> pd.DataFrame:
    """Return the error and the shift of predicted age of every variant, the original too.

    ``mae`` is that of the predictions before the age-bias correction: the
    correction uses the chronological age and would flatter any model.
    ``shift`` is predicted(variant) - predicted(original) before it, ``shift_abs``
    the mean of its absolute values, to be held against ``rescan_shift_abs``.
    Family of ``p_holm``: all variants of one segmenter.
    """
    rows = []
    for segmenter in segmenters_of(measurements):
        model = models.get(segmenter, {"note": "no brain-age model"})
        rescan = _rescan_shift(measurements, segmenter, criteria)
        for variant in variants:
            table = pairs(measurements, segmenter, variant, criteria)
            rows.append(
                {
                    "variant": variant,
                    "segmenter": segmenter,
                    **_row(table, variant, criteria, model.get("correction", {})),
                    **rescan,
                    **_training(model),
                }
            )
    result = RESULT.frame(rows)
    result["p_holm"] = np.nan
    result[["family_size", "shift_mde"]] = np.nan
    for _, family in result.groupby("segmenter", sort=False):
        result.loc[family.index, "p_holm"] = paired.correct(family["p"], "holm")
        size = int(family["p"].notna().sum())
        result.loc[family.index, "family_size"] = size
        result.loc[family.index, "shift_mde"] = detectable.shifts(
            family["n"], family["shift_sd"], size, criteria
        )
    return result


def _row(
    table: pd.DataFrame, variant: str, criteria: Criteria, correction: Mapping[str, Any]
) -> dict[str, Any]:
    options = draws(criteria)
    persons = table["participant"]
    reference = _reference(table, "brainage_raw")
    new = measure(table, "brainage_raw").where(reference.notna())
    age = pd.to_numeric(table["age"], errors="coerce") if "age" in table else reference * np.nan
    worse = by_participant((new - age).abs() - (reference - age).abs(), persons)
    gaps = {"gap_raw": new - age, "gap_corrected": measure(table, "brainage") - age}
    row = {
        "n": persons[new.notna()].nunique(),
        "n_scans": int(new.notna().sum()),
        "n_failed": int((reference.notna() & new.isna()).sum()),
        **mean_error(new, age, persons, criteria),
    }
    for name, gap in gaps.items():
        row |= _mean(name, by_participant(gap, persons), options)
    if variant == "original":
        return row
    change = new - reference
    shift = by_participant(change, persons)
    scale = shift_scale(correction) if correction.get("type") == "cole" else np.nan
    return {
        **row,
        **_mean("shift", shift, options),
        **_mean("shift_corrected", shift / scale, options),
        "shift_sd": shift.std(ddof=1) if len(shift) > 1 else np.nan,
        **_mean("shift_abs", by_participant(change.abs(), persons), options, least=0.0),
        "p": paired.wilcoxon(shift, criteria.zero_method)[1],
        **_mean("mae_change", worse, options),
    }


def mean_error(predicted: Any, age: Any, persons: pd.Series, criteria: Criteria) -> dict[str, Any]:
    """Return the mean absolute error with its interval, the same in every table of brain age."""
    found = prediction.accuracy(predicted, age, persons, criteria.level)
    return {name: found[name] for name in ("mae", "mae_low", "mae_high")}


def _reference(table: pd.DataFrame, name: str) -> pd.Series:
    if f"ref_{name}" not in table:
        return pd.Series(np.nan, index=table.index)
    return table[f"ref_{name}"]


def _mean(
    name: str, values: pd.Series, options: dict[str, Any], least: float = -np.inf
) -> dict[str, Any]:
    low, high = mean_interval(values, **options, least=least)
    mean = float(values.mean()) if len(values) else np.nan
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _rescan_shift(measurements: pd.DataFrame, segmenter: str, criteria: Criteria) -> dict[str, Any]:
    """Return the yardstick: the mean absolute difference between a person's two sessions.

    Only persons of the compared splits: the model has seen the others.
    """
    both = rescan_pairs(measurements, segmenter, criteria.splits)
    if "brainage_raw_1" not in both:
        return {"rescan_shift_abs": np.nan, "n_rescan": 0}
    change = (both["brainage_raw_2"] - both["brainage_raw_1"]).abs()
    persons = by_participant(change, both["participant"])
    return {
        "rescan_shift_abs": float(persons.mean()) if len(persons) else np.nan,
        "n_rescan": len(persons),
    }


def _training(model: Mapping[str, Any]) -> dict[str, Any]:
    accuracy = model.get("out_of_fold", {})
    return {
        "r2_train_cv": accuracy.get("r2", np.nan),
        "mae_train_cv": accuracy.get("mae", np.nan),
        "n_train": model.get("n_participants", 0),
        "correction": model.get("correction", {}).get("type", ""),
        "note": model.get("note", ""),
    }


def caption(view: View) -> str:
    """Return the caption of the brain-age figure and table."""
    table = view.rows("brainage")
    return words.folded(
        f"Predicted brain age of each variant{view.by}. Left and middle: how far the prediction "
        "moves from that on the original, with its sign and without. Grey: how far it moves "
        "between two scans of a person, where there is a declared rescan. Right: the error "
        "against chronological age; the dashed line is the original's.",
        "All before any age-bias correction. An arrow points to a value "
        "beyond the axis. Wilcoxon signed-rank tests of the shift, Holm-corrected over the "
        "variants of a segmenter.",
        *_models(table),
        words.cohort(table),
        detectable.missed(table["shift_mde"], "a mean shift", "years", view.criteria),
        words.intervals(view.criteria, table),
        "That of the error: jackknife, which leaves out one participant at a time.",
    )


def _models(table: pd.DataFrame) -> list[str]:
    """Return what each segmenter's brain-age model is, or why there is none."""
    firsts = table.drop_duplicates("segmenter").to_dict("records")
    found = []
    for first in firsts:
        whose = f" of {first['segmenter']}" if len(firsts) > 1 else ""
        if pd.notna(first["n_train"]) and pd.notna(first["r2_train_cv"]):
            text = (
                f"Model{whose}: trained on the originals of {int(first['n_train'])} other "
                "participants; cross-validated by participant, before the correction: R2 "
                f"{first['r2_train_cv']:.2f}"
            )
            if pd.notna(first["mae_train_cv"]):
                text += f", error {first['mae_train_cv']:.1f} years"
            correction = words.text(first["correction"])
            found.append(text + (f"; age-bias correction: {correction}." if correction else "."))
        note = words.text(first["note"])
        if note:
            found.append(f"Note{whose}: {note}" if whose else note)
    return found


TITLES = {
    "shift": "Mean shift of predicted age",
    "shift_abs": "Mean absolute shift",
    "mae": "Mean absolute error",
}


@styled
def draw(table: pd.DataFrame, look: Look, *, segmenter: str | None = None) -> Any:
    """Draw the mean shift of predicted age, and the error of the prediction, by variant.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``brainage``.
    look : Look
        Order, names and colours of the variants.
    segmenter : str, optional
        The first one of the table if left out.

    Returns
    -------
    matplotlib.figure.Figure
        Left: mean of (predicted on the variant - predicted on the original) in
        years.  Middle: mean of its absolute values, beside that between two
        scans of one person (grey).  Right: mean absolute error against true
        age; the line is the original's.
    """
    table, _ = pick_segmenter(table, segmenter)
    if table.empty or table["mae"].isna().all():
        return message_figure("No brain age was predicted.")
    variants = look.sort(table["variant"])
    figure, axes, places = dots.panels(variants, look, list(TITLES.values()), extra=1.2)
    _yardsticks(axes, table)
    edges = False
    for panel, name in zip(axes, TITLES, strict=True):
        values = {
            variant: tuple(
                dots.cell(table[table["variant"] == variant], c)
                for c in (name, f"{name}_low", f"{name}_high")
            )
            for variant in places
            if variant != "original" or name == "mae"
        }
        far = dots.far_out(values)
        edges |= bool(far)
        for variant, found in values.items():
            row = (panel, places[variant], look, variant, *found)
            if variant in far:
                dots.at_the_edge(*row, signed=name == "shift")
            else:
                dots.interval(*row)
        panel.set_xlabel("years")
        panel.margins(x=0.1)
    axes[1].set_xlim(left=0.0)
    handles = [dots.sample("mean, with interval")]
    handles += [h for panel in axes for h in panel.get_legend_handles_labels()[0]]
    if edges:
        handles.append(dots.sample_edge())
    dots.legend(figure, handles)
    dots.counts(axes[-1], places, table)
    return figure


def _yardsticks(axes: Any, table: pd.DataFrame) -> None:
    """Draw zero, the shift between two scans of one person, and the error on the originals."""
    axes[0].axvline(0.0, color=INK, linewidth=0.8, zorder=1)
    rescan = table["rescan_shift_abs"].dropna()
    if len(rescan):
        width = float(rescan.iloc[0])
        axes[1].axvspan(0.0, width, color=BAND, zorder=0,
                        label=f"between two scans of a person: {width:.2f} years")  # fmt: skip
    error = dots.cell(table[table["variant"] == "original"], "mae")
    dots.reference(axes[2], error, "error on the originals")


def printed(view: View) -> Printed:
    """Return one row per variant; none where no age was predicted."""
    table, look = view.rows("brainage"), view.look
    if table["mae"].isna().all():
        return [], []
    columns = ["Variant", "n (failed)", "Mean shift (years)", "Mean absolute shift", "p (Holm)",
               "Detectable shift (years)",
               "Mean absolute error (years)", "Change of error"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        row = mine.iloc[0]
        rows.append(
            [
                label,
                count(row),
                with_interval(row, "shift", "shift_low", "shift_high", 2, True),
                with_interval(row, "shift_abs", "shift_abs_low", "shift_abs_high", 2),
                p_value(row["p_holm"]),
                number(row["shift_mde"], 2),
                with_interval(row, "mae", "mae_low", "mae_high", 2),
                number(row["mae_change"], 2, True),
            ]
        )
    return columns, rows


HEADING = Heading(
    "brainage",
    "Brain age",
    "Would a later user predict the same age?",
    order=620,
    by_segmenter=True,
)

RESULT = Result(
    "brainage",
    about=__doc__,
    empty="brain age was not predicted",
    job=STATISTICS,
    reads="vol_*",
    columns="""
        variant segmenter n n_scans n_failed mae mae_low mae_high
        shift shift_low shift_high shift_sd shift_abs shift_abs_low shift_abs_high
        p p_holm family_size shift_mde mae_change mae_change_low mae_change_high
        shift_corrected shift_corrected_low shift_corrected_high
        gap_raw gap_raw_low gap_raw_high gap_corrected gap_corrected_low gap_corrected_high
        rescan_shift_abs n_rescan
        r2_train_cv mae_train_cv n_train correction note
    """,
    compute=lambda given, _: compute(
        given.measurements, given.criteria, given.variants, given.brainage_models
    ),
    caption=caption,
    latex="""
        variant segmenter n n_failed mae shift shift_low shift_high p_holm shift_abs
        rescan_shift_abs mae_change
    """,
    heading=HEADING,
    order=620,
    printed=printed,
    figures=[
        Figure(
            "brainage",
            "Dots with intervals: mean and absolute shift and error of predicted brain age, "
            "one row per variant.",
            lambda view: draw(view.rows("brainage"), view.look),
            by_segmenter=True,
            title="Brain age",
        )
    ],
)
