"""The tests of volumes on the scans that defacing changed, to see if refacing repaired them.

Columns as in ``volumes``; ``selected_by`` is the defacer that changed a scan by more than the
threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from refacebench.results import words
from refacebench.results.result import STATISTICS, Result, View
from refacebench.results.volume_tests import (
    CHANGED,
    changed_scans,
    minimum,
    tested,
    tests,
    with_families,
)
from refacebench.results.volumes import COLUMNS, HEADING
from refacebench.results.yardstick import yardsticks_of
from refacebench.statistics.cohort import pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import split_variant


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    paired: Callable[[pd.DataFrame, str, str, Criteria], pd.DataFrame] = pairs,
) -> pd.DataFrame:
    """Return the same tests on the scans that a defacer changed by more than the threshold.

    A refaced variant is tested on the scans of its defacer (``selected_by``),
    as Huelnhagen et al. do: were those that defacing spoilt repaired?  The
    scans are selected by the outcome, so that the defacer's own tests are
    biased towards a difference, and its refacers' away from it (regression to
    the mean).

    ``paired`` returns the pairs of scans that are looked at.
    """
    rows, yardsticks = [], yardsticks_of(measurements, criteria)
    for segmenter in segmenters_of(measurements):
        selected = {}
        for variant in variants:
            if variant == "original":
                continue
            defacer = split_variant(variant)[0]
            if defacer not in selected:
                table = paired(measurements, segmenter, defacer, criteria)
                selected[defacer] = set(table["scan"][changed_scans(table, criteria) == 1])
            table = paired(measurements, segmenter, variant, criteria)
            table = table[table["scan"].isin(selected[defacer])]
            found = tested(table, segmenter, variant, criteria, yardsticks)
            rows += [{"selected_by": defacer, **row} for row in found]
    return with_families(RESULT.frame(rows), criteria)


def caption(view: View) -> str:
    """Return the caption of the tests on the scans that a defacer changed."""
    table = view.rows("volumes_over")
    return words.join(
        f"Median change of volume in percent of the original{view.by}, only scans in which "
        f"defacing changed {CHANGED} by more than {view.criteria.threshold_pct:g} %.",
        words.PICKED,
        tests(view.tables, table, view.criteria),
        words.cohort(table),
        minimum(table, view.criteria),
        words.medians(view.criteria),
    )


RESULT = Result(
    "volumes_over",
    about=__doc__,
    empty="nothing was refaced",
    job=STATISTICS,
    reads="vol_gm vol_wm vol_csf vol_tiv",
    columns="selected_by " + COLUMNS,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="""
        selected_by variant region n n_failed median_change_pct low high p_holm p_bh rank_biserial
    """,
    heading=HEADING,
    order=611,
)
