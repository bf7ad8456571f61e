"""Scan-rescan difference of each volume and the margin of equivalence made from it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.results import words
from refacebench.results.result import STATISTICS, Result, View
from refacebench.results.volume_tests import FAMILIES, margins
from refacebench.statistics import paired
from refacebench.statistics.cohort import by_participant, rescan_pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import mean_interval
from refacebench.statistics.summaries import draws


def compute(measurements: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Return the scan-rescan difference of each volume and the margin that follows from it.

    The margin of a region is the mean over participants of the absolute
    scan-rescan difference in percent of the two sessions' mean: a variant is
    equivalent when it moves a volume by less than a second session does on
    average.  With fewer than ``min_rescans`` participants with a declared rescan it is
    the config's ``equivalence_margin_pct``.
    """
    rows = []
    for segmenter in segmenters_of(measurements):
        both = rescan_pairs(measurements, segmenter)
        for region in FAMILIES:
            name = f"vol_{region}"
            if f"{name}_1" in both:
                values = paired.repeatability(both[f"{name}_1"], both[f"{name}_2"])
            else:
                values = np.full(len(both), np.nan)
            values = pd.Series(values, index=both.index, dtype=float)
            persons = by_participant(values, both["participant"]).to_numpy()
            low, high = mean_interval(persons, **draws(criteria), least=0.0)
            mean = persons.mean() if len(persons) else np.nan
            enough = len(persons) >= criteria.min_rescans
            rows.append(
                {
                    "segmenter": segmenter,
                    "region": region,
                    "n": len(persons),
                    "mean_abs_pct": mean,
                    "low": low,
                    "high": high,
                    "p95_abs_pct": np.quantile(persons, 0.95) if len(persons) else np.nan,
                    "margin_pct": mean if enough else criteria.equivalence_margin_pct,
                    "margin_source": "rescan" if enough else "config",
                }
            )
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the scan-rescan differences."""
    table = view.rows("repeatability")
    rescanned = not table.empty and table["n"].max() > 0
    return words.join(
        "Absolute difference between two sessions of a participant, the later one a declared "
        f"rescan, in percent of their mean{view.by}. Equivalence is tested within "
        f"{margins(table, table, view.criteria)}.",
        words.cohort(table) if rescanned else NO_RESCAN,
        words.intervals(view.criteria, table),
    )


#: Why there is no scan-rescan difference.  Sessions are not rescans by themselves.
NO_RESCAN = (
    "No participant has two measured sessions of which the later one is declared as a rescan "
    "(rescan_sessions or rescan_max_days of the data set)."
)


RESULT = Result(
    "repeatability",
    about=__doc__,
    job=STATISTICS,
    columns="segmenter region n mean_abs_pct low high p95_abs_pct margin_pct margin_source",
    compute=lambda given, _: compute(given.measurements, given.criteria),
    caption=caption,
    order=613,
)
