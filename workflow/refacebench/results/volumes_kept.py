"""The tests of volumes without the scans that a study leaves out (table ``exclusions``).

Columns as in ``volumes``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from refacebench.plot.numbers import NO_VALUE
from refacebench.results import exclusions, words
from refacebench.results.cells import by_variant
from refacebench.results.result import STUDY, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.results.volume_tests import minimum, tested, tests, with_families
from refacebench.results.volumes import COLUMNS
from refacebench.results.yardstick import yardsticks_of
from refacebench.statistics.cohort import segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import ORIGINAL, REGIONS


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    asked: Collection[str],
) -> pd.DataFrame:
    """Return the tests of the scans that are kept, in families of their own."""
    rows, yardsticks = [], yardsticks_of(measurements, criteria)
    for segmenter in segmenters_of(measurements):
        for variant in variants:
            if variant == ORIGINAL:
                continue
            table = exclusions.kept(measurements, segmenter, variant, criteria, asked)
            rows += tested(table, segmenter, variant, criteria, yardsticks)
    return with_families(RESULT.frame(rows), criteria)


def caption(view: View) -> str:
    """Return the caption of the counts of regions that differ."""
    table = view.rows("volumes_kept")
    return words.folded(
        f"Regions (of {len(REGIONS)}) whose volume differs from the original's, without the scans "
        "that are left out: as each test says by itself, and after Holm's correction for all of "
        "them.",
        tests(view.tables, table, view.criteria),
        minimum(table, view.criteria),
    )


def printed(view: View) -> Printed:
    """Return how many regions differ, one row per variant."""
    return differing(view.rows("volumes_kept"), view)


def differing(table: pd.DataFrame, view: View) -> Printed:
    """Return how many regions differ by the tests of the first segmenter, one row per variant."""
    first = table["segmenter"].iloc[0] if len(table) else ""
    table = table[table["region"].isin(REGIONS) & (table["segmenter"] == first)]
    alpha, rows = view.criteria.alpha, []
    for label, mine in by_variant(table, view.look):
        if mine["p"].isna().all():
            cells = [NO_VALUE, NO_VALUE]
        else:
            cells = [f"{int((mine[p] < alpha).sum())} of {len(mine)}" for p in ("p", "p_holm")]
        rows.append([label, str(int(mine["n"].max())), *cells])
    return ["Variant", "n", "Differ, uncorrected", "Differ, Holm"], rows


RESULT = Result(
    "volumes_kept",
    about=__doc__,
    job=STUDY,
    reads="vol_*",
    columns=COLUMNS,
    compute=exclusions.of_study(compute),
    caption=caption,
    latex="variant region n n_failed median_change_pct low high p p_holm rank_biserial",
    heading=HEADING,
    order=11,
    printed=printed,
)
