"""What a variant does to the age that models see in the image itself.

The columns of ``brainage``, of each age model of the config (``model``) instead of the model
of volumes; ``segmenter`` is the one whose brain masks they use.  Their accuracy stands in
``brainage_accuracy``.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from refacebench.results import brainage, words
from refacebench.results.result import STATISTICS, Printed, Result, View


def compute(given: Any) -> pd.DataFrame:
    """Return the table ``brainage`` of every age model, one below the other."""
    parts = [
        brainage.compute(table, given.criteria, given.variants, models).assign(model=name)
        for name, (table, models) in given.image_ages.items()
    ]
    if not parts:
        return RESULT.frame([])
    return pd.concat(parts, ignore_index=True)[list(RESULT.columns)]


def caption(view: View) -> str:
    """Return the caption of the table of ages that models see in images."""
    return words.join(
        f"Age that models see in the image of each variant{view.by}, as the models give it, "
        "without a correction. Shift: prediction on the variant minus prediction on the original. "
        "p: Wilcoxon signed-rank tests of the shift, Holm-corrected over the variants of a model. "
        "Masks of the brain are the first segmenter's, found in each image.",
        *[f"{model}: {note}" for model, note in _notes(view)],
        words.intervals(view.criteria),
    )


def _notes(view: View) -> list[tuple[str, str]]:
    table = view.rows("brainage_images")
    if table.empty:
        return []
    firsts = table.drop_duplicates("model")
    found = [(row["model"], words.text(row["note"])) for _, row in firsts.iterrows()]
    return [(model, f"{note}.") for model, note in found if note]


def printed(view: View) -> Printed:
    """Return one row per model and variant; none without age models."""
    table = view.rows("brainage_images")
    rows: list[list[str]] = []
    columns: list[str] = []
    for model in dict.fromkeys(table["model"]) if len(table) else ():
        own = View({"brainage": table[table["model"] == model]}, view.criteria, look=view.look)
        columns, found = brainage.printed(own)
        rows += [[model, *row] for row in found]
    return (["Model", *columns], rows) if rows else ([], [])


RESULT = Result(
    "brainage_images",
    about=__doc__,
    empty="no age model that sees images was configured",
    job=STATISTICS,
    columns=("model", *brainage.RESULT.columns),
    texts="model",
    compute=lambda given, _: compute(given),
    caption=caption,
    latex="model variant n n_failed mae shift shift_low shift_high p_holm shift_abs mae_change",
    heading=brainage.HEADING,
    secondary=True,
    order=621,
    printed=printed,
)
