"""Medians of completers beside medians in which a failure counts against its method.

The median over participants of each measure: ``median`` of those who went through (sessions
averaged), ``median_all`` of everybody, a participant with a failed scan worse than every value.
Where half or more have failed, it is ``inf`` (``-inf`` where large is good).  ``low`` and ``high``
(``*_all``) are exact for the median and any distribution; ``inf`` where the end lies among the
failures, missing for five participants or fewer.  Volumes are sizes of changes in percent of the
original, ``age_shift`` that in years.  ``n_lost`` participants have a failed scan; a scan that only
this segmenter failed on is none for similarity, which is that of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number
from refacebench.results import words
from refacebench.results.cells import by_variant
from refacebench.results.method_pairs import HEADING
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.statistics import outcomes
from refacebench.statistics.cohort import each, images
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import NO_INTERVAL, median_order
from refacebench.statistics.outcomes import Outcome
from refacebench.statistics.unavailable import present

OUTCOMES = (
    *(outcomes.overlap("dice", name) for name in ("brain", "gm")),
    outcomes.WORST,
    outcomes.REGIONAL,
    *(outcomes.volume(name, absolute=True) for name in ("tiv", "brain", "gm", "wm", "csf", "vcsf")),
    outcomes.age_shift(absolute=True),
    outcomes.similarity("corr_front", "Correlation, front half"),
    outcomes.similarity("corr_full", "Correlation, full frame"),
    outcomes.similarity("ssim_front", "SSIM, front half"),
    outcomes.similarity("ssim_full", "SSIM, full frame"),
)
#: Those on the page.
ON_PAGE = ("dice_brain", "largest_change", "tiv", "age_shift", "ssim_full")


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return the medians of completers and of everybody."""
    segmented = each(measurements, criteria, variants)
    seen = each(images(measurements), criteria, variants)
    rows = [
        {"variant": variant, "segmenter": segmenter, "measure": outcome.name,
         **_row(variant, shown if outcome.of_image else table, outcome, criteria)}
        for (segmenter, variant, table), (_, _, shown) in zip(segmented, seen, strict=True)
        if variant != "original"
        for outcome in OUTCOMES
    ]  # fmt: skip
    return RESULT.frame(rows)


def _row(variant: str, table: pd.DataFrame, outcome: Outcome, criteria: Criteria) -> dict[str, Any]:
    found = outcomes.participants({variant: table}, outcome)
    values = outcome.values(table)
    possible = outcome.possible(table)
    worst = np.inf if outcome.low_is_good else -np.inf
    completers = found.values[variant].dropna().to_numpy(float)
    everybody = found.without_failed[variant].fillna(worst).to_numpy(float)
    return {
        "n": len(completers),
        "n_scans": int((possible & values.notna()).sum()),
        "n_failed": int((possible & values.isna()).sum()),
        **_median(completers, criteria),
        "n_all": len(everybody),
        "n_lost": int(found.failed[variant].sum()),
        **{f"{name}_all": value for name, value in _median(everybody, criteria).items()},
    }


def _median(values: np.ndarray, criteria: Criteria) -> dict[str, float]:
    """Return the median with its exact interval; infinite values are ranked like others."""
    values = np.sort(values)
    k = median_order(len(values), criteria.level)
    low, high = (float(values[k - 1]), float(values[-k])) if k else NO_INTERVAL
    return {"median": float(np.median(values)) if len(values) else np.nan, "low": low, "high": high}


def caption(view: View) -> str:
    """Return the caption of the medians with failures."""
    table = view.rows("failures_counted")
    if len(table) and not present(table)["n_failed"].sum():
        failed = "No scan failed, so that both are the same."
    else:
        failed = "On the page: variants with failures alone."
    return words.join(
        f"Medians over participants{view.by}: of those who went through, and of everybody, with a "
        "failed scan as worse than every value (where half or more failed, there is no median). "
        "Volumes and brain age by the size of their change.",
        failed,
        words.cohort(table),
        f"Intervals: {100 * view.criteria.level:g} %, exact for the median, not adjusted.",
    )


def printed(view: View) -> Printed:
    """Return a row for each variant with failures: medians of completers and of everybody."""
    table = view.rows("failures_counted")
    if table.empty or not table["n_failed"].sum():
        return [], []
    names = {outcome.name: outcome for outcome in OUTCOMES}
    shown = [name for name in ON_PAGE if table.loc[table["measure"] == name, "n"].max() > 0]
    columns = ["Variant", "Participants (with a failure)",
               *[f"{names[name].label}: completers, all" for name in shown]]  # fmt: skip
    rows = []
    for label, mine in by_variant(table[table["n_failed"] > 0], view.look):
        by = mine.set_index("measure")
        whole, lost = int(by["n_all"].max()), int(by["n_lost"].max())
        cells = [_cell(by.loc[name], names[name].digits) if name in by.index else NO_VALUE
                 for name in shown]  # fmt: skip
        rows.append([label, f"{whole} ({lost})", *cells])
    return columns, rows


def _cell(row: pd.Series, digits: int) -> str:
    return f"{number(row['median'], digits)}, {_or_failed(row['median_all'], digits)}"


def _or_failed(value: float, digits: int) -> str:
    return "none (half or more failed)" if np.isinf(value) else number(value, digits)


RESULT = Result(
    "failures_counted",
    about=__doc__,
    job=STATISTICS,
    reads="vol_* dice_*",
    columns="""
        variant segmenter measure n n_scans n_failed median low high
        n_all n_lost median_all low_all high_all
    """,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="variant measure n n_failed median low high median_all low_all high_all",
    heading=HEADING,
    order=629,
    printed=printed,
)
