"""The tests of volumes on the scans that defacing changed, without those that a study leaves out.

Columns as in ``volumes_over``; what is left out stands in the table ``exclusions``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import pandas as pd

from refacebench.results import exclusions, volumes_over, words
from refacebench.results.result import STUDY, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.results.volume_tests import CHANGED
from refacebench.results.volumes import COLUMNS
from refacebench.results.volumes_kept import differing
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import NULL, REGIONS


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    asked: Collection[str],
) -> pd.DataFrame:
    """Return the tests, in families of their own."""
    kept = partial(exclusions.kept, asked=asked)
    found = volumes_over.compute(measurements, criteria, variants, kept)
    return found[list(RESULT.columns)]


def caption(view: View) -> str:
    """Return the caption of the counts of regions that differ in changed scans."""
    return words.join(
        f"Regions (of {len(REGIONS)}) whose volume differs from the original's, only in scans in "
        f"which defacing changed {CHANGED} by more than {view.criteria.threshold_pct:g} %: as each "
        "test says by itself, and after Holm's correction for all of them.",
        words.PICKED,
        exclusions.left_out(view),
    )


def printed(view: View) -> Printed:
    """Return how many regions differ, one row per variant."""
    table = view.rows("volumes_over_kept")
    return differing(table[table["variant"] != NULL], view)


RESULT = Result(
    "volumes_over_kept",
    about=__doc__,
    job=STUDY,
    reads="vol_gm vol_wm vol_csf vol_tiv",
    columns="selected_by " + COLUMNS,
    compute=exclusions.of_study(compute),
    caption=caption,
    latex="selected_by variant region n n_failed median_change_pct low high p p_holm rank_biserial",
    heading=HEADING,
    order=13,
    printed=printed,
)
