"""Scan-rescan difference of each volume and the margin of equivalence made from it.

``mean_abs_pct`` (with its interval ``low``, ``high``) is the mean over ``n`` participants of the
absolute difference between two scans, in percent of their mean; ``lower_bound_pct`` its one-sided
lower confidence bound at 1 - alpha.  ``true_mean_abs_pct`` is the same by the true labels of the
same scans, where there are any: what the anatomy differed by, and the counting of whole voxels.
It is that of the volume ``true_of``; the lobes have no true labels, all grey matter stands in for
them.  ``noise_share`` is the share of the difference that the labels do not account for: the
segmenter's own noise.  ``fixed_pct`` is the margin that was fixed before the run, ``cap_pct`` the
largest acceptable change, ``margin_pct`` the margin used for a test at alpha, never more than the
cap, and ``margin_source`` where it comes from: rescan (the lower bound), config (the fixed one) or
cap.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, percent
from refacebench.plot.volumes import is_true, region_label
from refacebench.results import words
from refacebench.results.cells import with_interval
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.results.volume_tests import FAMILIES
from refacebench.results.volumes import HEADING
from refacebench.results.yardstick import (
    by_person,
    cap,
    fixed,
    margins,
    noise,
    yardsticks_of,
)
from refacebench.statistics.cohort import rescan_pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import mean_interval
from refacebench.statistics.summaries import draws

#: Whose true volume stands in for one that has no true labels: the lobes'.
STAND_IN = "gm"
#: Where a margin comes from, as the page says it.
SOURCES = {"rescan": "rescans", "config": "fixed", "cap": "largest acceptable"}


def compute(measurements: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Return the scan-rescan difference of each volume and the margin that follows from it.

    With fewer than ``min_rescans`` participants with a declared rescan, or where the config
    wants a fixed margin, it is the config's ``equivalence_margin_pct``.
    """
    rows, yardsticks = [], yardsticks_of(measurements, criteria)
    for segmenter in segmenters_of(measurements):
        both = rescan_pairs(measurements, segmenter)
        for region in FAMILIES:
            yardstick = yardsticks[segmenter, region]
            persons = yardstick.rescans.values
            low, high = mean_interval(persons, **draws(criteria), least=0.0)
            margin, source = yardstick.margin
            rows.append(
                {
                    "segmenter": segmenter,
                    "region": region,
                    "n": len(persons),
                    "mean_abs_pct": persons.mean() if len(persons) else np.nan,
                    "low": low,
                    "high": high,
                    "p95_abs_pct": np.quantile(persons, 0.95) if len(persons) else np.nan,
                    "lower_bound_pct": yardstick.lower_pct,
                    **_true(both, region),
                    "fixed_pct": yardstick.fixed_pct,
                    "cap_pct": criteria.largest_acceptable_change_pct,
                    "margin_pct": margin,
                    "margin_source": source,
                }
            )
    return RESULT.frame(rows)


def _true(both: pd.DataFrame, region: str) -> dict[str, object]:
    """Return what the same scans differ by in truth, over those that have true labels."""
    for name in (region, STAND_IN):
        true = by_person(both, f"truth_vol_{name}")
        seen = by_person(both, f"vol_{region}").reindex(true.index).dropna()
        true = true.reindex(seen.index)
        if len(true):
            share = max(0.0, 1 - true.mean() / seen.mean()) if seen.mean() > 0 else np.nan
            return {"true_mean_abs_pct": true.mean(), "true_of": name, "noise_share": share}
    return {"true_mean_abs_pct": np.nan, "true_of": "", "noise_share": np.nan}


def caption(view: View) -> str:
    """Return the caption of the scan-rescan differences."""
    table, criteria = view.rows("repeatability"), view.criteria
    rescanned = not table.empty and table["n"].max() > 0
    return words.join(
        "Absolute difference between two sessions of a participant, the later one a declared "
        f"rescan, in percent of their mean{view.by}. Equivalence is tested within "
        f"{margins(table, table, criteria)}, and beside it within {fixed(criteria)}. No margin is "
        f"larger than {cap(criteria)}.",
        _bound(table, criteria),
        noise(table, criteria),
        words.cohort(table) if rescanned else NO_RESCAN,
        words.intervals(criteria, table),
    )


def _bound(table: pd.DataFrame, criteria: Criteria) -> str:
    if table.empty or not (table["margin_source"] == "rescan").any():
        return ""
    return (
        "The mean of a few rescans is uncertain itself, so its lower bound counts "
        f"({100 * (1 - criteria.alpha):g} % for a single test, higher for corrected ones)."
    )


#: Why there is no scan-rescan difference.  Sessions are not rescans by themselves.
NO_RESCAN = (
    "No participant has two measured sessions of which the later one is declared as a rescan "
    "(rescan_sessions or rescan_max_days of the data set)."
)


def printed(view: View) -> Printed:
    """Return one row per volume: how much rescans differ, the margin, how many are within."""
    table, volumes = view.rows("repeatability"), view.rows("volumes")
    truth = table["noise_share"].notna().any()
    columns = ["Volume", "Two scans differ by (%)"]
    columns += ["... by true labels (%)", "Segmenter's noise (%)"] if truth else []
    columns += ["Margin (%)", "Margin from", "Variants shown equivalent", "... at the fixed margin"]
    rows = []
    for _, row in table.iterrows():
        cells = [
            region_label(row["region"]),
            with_interval(row, "mean_abs_pct", "low", "high", 2),
        ]
        if truth:
            stand_in = " (all GM)" if row["true_of"] not in ("", row["region"]) else ""
            cells += [number(row["true_mean_abs_pct"], 2) + stand_in, percent(row["noise_share"])]
        cells += [number(row["margin_pct"], 2), SOURCES.get(row["margin_source"], NO_VALUE)]
        rows.append([*cells, *_who(volumes, row["region"])])
    return columns, rows


def _who(volumes: pd.DataFrame, region: str) -> list[str]:
    """Return how many variants are shown to be equivalent in a volume, at either margin."""
    if volumes.empty:
        return [NO_VALUE] * 2
    mine = volumes[volumes["region"] == region]
    total = int(mine["p_tost"].notna().sum())
    return [f"{int(is_true(mine[name]).sum())}/{total}" for name in _VERDICTS]


_VERDICTS = ("equivalent", "equivalent_fixed")


RESULT = Result(
    "repeatability",
    about=__doc__,
    empty="nobody has a declared rescan",
    job=STATISTICS,
    reads="vol_*",
    columns="""
        segmenter region n mean_abs_pct low high p95_abs_pct lower_bound_pct
        true_mean_abs_pct true_of noise_share fixed_pct cap_pct margin_pct margin_source
    """,
    texts="true_of",
    compute=lambda given, _: compute(given.measurements, given.criteria),
    caption=caption,
    latex="""
        segmenter region n mean_abs_pct low high lower_bound_pct true_mean_abs_pct noise_share
        margin_pct margin_source
    """,
    heading=HEADING,
    secondary=True,
    order=613,
    printed=printed,
)
