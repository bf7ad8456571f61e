"""Whether a variant's face is closer to the true one than an average face is (Gao et al. 2025).

Pure functions of :class:`~refacebench.statistics.scores.Scores` whose attacker
measured two distances of every query's person: ``query_true_mm``, from the
query's surface to the true one, and ``query_average_mm``, from the average face
of all other participants to the true one.  A variant that is closer than the
average face gives away something of this very person.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from refacebench.statistics import paired
from refacebench.statistics.cohort import by_participant
from refacebench.statistics.columns import frame
from refacebench.statistics.intervals import bootstrap_mean, share
from refacebench.statistics.privacy import ORIGINAL, RENDERED
from refacebench.statistics.scores import Scores
from refacebench.statistics.settings import Settings

MEASURES = {"true": "query_true_mm", "average": "query_average_mm"}


def likeness(found: Sequence[Scores], settings: Settings) -> pd.DataFrame:
    """Return the table ``privacy_likeness``: one row an attacker and variant that has both.

    ``difference_mm`` is true minus average: below zero the variant is closer.
    Wilcoxon signed-rank over participants' means; Holm's family: all rows.
    ``closer_share``: participants whose variant is closer than the average face.
    """
    rows = [
        _row(scores, settings)
        for scores in found
        if scores.variant not in (ORIGINAL, *RENDERED)
        and set(MEASURES.values()) <= set(scores.extra)
    ]
    table = frame("privacy_likeness", rows)
    if len(table):
        table["p_holm"] = paired.correct(table["p"], "holm")
        table["family_size"] = int(table["p"].notna().sum())
    return table


def _row(scores: Scores, settings: Settings) -> dict:
    persons = scores.query["participant"]
    true, average = (
        pd.Series(np.asarray(scores.extra[name], dtype=float)) for name in MEASURES.values()
    )
    both = true.notna() & average.notna()
    values = {
        "true": by_participant(true.where(both), persons),
        "average": by_participant(average.where(both), persons),
        "difference": by_participant((true - average).where(both), persons),
    }
    row = {
        "variant": scores.variant,
        "attacker": scores.attacker,
        "n": len(values["true"]),
        "n_queries": int(both.sum()),
        "n_failed": int((~both).sum()),
        "p": paired.wilcoxon(values["difference"], settings.zero_method)[1],
    }
    for name, series in values.items():
        low, high = bootstrap_mean(
            series, n_boot=settings.n_boot, seed=settings.seed, level=settings.level
        )
        mean = float(series.mean()) if len(series) else np.nan
        row |= {f"{name}_mm": mean, f"{name}_low": low, f"{name}_high": high}
    closer = values["difference"] < 0
    row["closer_share"], row["closer_low"], row["closer_high"] = share(
        closer, closer.index, settings.level
    )
    return row
