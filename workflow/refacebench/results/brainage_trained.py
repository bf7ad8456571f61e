"""How well brain age is predicted by someone who has nothing but the variant.

``mae``, ``r2``, ``r`` and ``slope`` are those of models trained on the variant's
compared scans, each scan predicted by a model that saw no scan of its participant;
``*_original`` are those of models trained on the originals of the same scans, with the
same folds, of the original scans.  ``*_change`` is the former minus the latter, with
its interval; ``p`` is that of the signed-rank test of the participants' errors, and
``p_holm`` is corrected over the variants of a segmenter.  All before any age-bias
correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.brainage import OWN
from refacebench.plot.numbers import number, p_value
from refacebench.results import words
from refacebench.results.brainage import HEADING
from refacebench.results.brainage_accuracy import intervals
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.statistics import paired, prediction
from refacebench.statistics.cohort import by_participant, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import ORIGINAL

#: Measures that are shown beside the original's, and their change.
SHOWN = ("mae", "r2", "r", "slope")


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    trained: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return the accuracy of models trained on each variant, beside the original's.

    Parameters
    ----------
    trained : pandas.DataFrame, optional
        Of :func:`refacebench.brainage.trained_on_variants`; no numbers without it.
    """
    rows = []
    if trained is None:
        trained = pd.DataFrame(columns=list(OWN))
    for segmenter in segmenters_of(measurements):
        mine = trained[trained["segmenter"] == segmenter]
        for variant in variants:
            if variant != ORIGINAL:
                found = _row(mine[mine["variant"] == variant], criteria)
                rows.append({"variant": variant, "segmenter": segmenter, **found})
    result = RESULT.frame(rows)
    for _, family in result.groupby("segmenter", sort=False):
        result.loc[family.index, "p_holm"] = paired.correct(family["p"].astype(float), "holm")
    return result


def _row(table: pd.DataFrame, criteria: Criteria) -> dict[str, Any]:
    note = words.text(table["note"].dropna().iloc[0]) if table["note"].notna().any() else ""
    table = table[table["scan"].notna()]
    own, original, age = (table[name].to_numpy(dtype=float) for name in ("own", "original", "age"))
    persons = table["participant"].astype(str)
    new = prediction.accuracy(own, age, persons, criteria.level)
    old = prediction.accuracy(original, age, persons, criteria.level)
    changes = prediction.change(own, original, age, persons, criteria.level)
    worse = by_participant(
        pd.Series(np.abs(own - age) - np.abs(original - age), index=table.index), persons
    )
    return {
        "n": persons.nunique(),
        "n_scans": len(table),
        **{k: v for k, v in new.items() if not k.startswith("bias")},
        **{f"{name}_original": old[name] for name in SHOWN},
        **{k: v for k, v in changes.items() if not k.startswith("bias")},
        "p": paired.wilcoxon(worse, criteria.zero_method)[1],
        "note": note,
    }


def caption(view: View) -> str:
    """Return the caption of the table of models trained on variants."""
    notes = dict.fromkeys(view.rows("brainage_trained").get("note", pd.Series(dtype=str)).dropna())
    return words.join(
        f"Brain-age models trained on a variant and used on the same variant{view.by}, as someone "
        "would who has nothing else, beside models trained and used on the originals of the same "
        "scans. Each scan is predicted by a model that saw no scan of that participant; the "
        "models are of volumes, on the compared scans, with the same folds for both, and nothing "
        "is corrected for age bias. p: Wilcoxon signed-rank test of the participants' errors, "
        "Holm-corrected over the variants of a segmenter.",
        "; ".join(text for text in notes if text),
        intervals(view.criteria),
    )


def printed(view: View) -> Printed:
    """Return one row per variant; none where no model was trained."""
    table, look = view.rows("brainage_trained"), view.look
    if table.empty or table["mae"].isna().all():
        return [], []
    columns = ["Trained and used on", "n", "Error (years)", "Same, originals", "Change of error",
               "p (Holm)", "R2", "R2, originals"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        row = mine.iloc[0]
        rows.append(
            [
                label,
                count(row),
                with_interval(row, "mae", "mae_low", "mae_high", 1),
                number(row["mae_original"], 1),
                with_interval(row, "mae_change", "mae_change_low", "mae_change_high", 2, True),
                p_value(row["p_holm"]),
                with_interval(row, "r2", "r2_low", "r2_high", 2),
                number(row["r2_original"], 2),
            ]
        )
    return columns, rows


RESULT = Result(
    "brainage_trained",
    about=__doc__,
    empty="too few scans to train on each variant",
    job=STATISTICS,
    reads="vol_*",
    columns="""
        variant segmenter n n_scans
        mae mae_low mae_high mae_original mae_change mae_change_low mae_change_high p p_holm
        r2 r2_low r2_high r2_original r2_change r2_change_low r2_change_high
        r r_low r_high r_original r_change r_change_low r_change_high
        slope slope_low slope_high slope_original slope_change slope_change_low slope_change_high
        note
    """,
    compute=lambda given, _: compute(
        given.measurements, given.criteria, given.variants, given.trained_on_variants
    ),
    caption=caption,
    latex="variant segmenter n mae mae_original mae_change mae_change_low mae_change_high p_holm",
    heading=HEADING,
    secondary=True,
    order=624,
    printed=printed,
)
