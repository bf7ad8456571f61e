"""Share of scans in which grey matter, white matter, CSF or TIV changed by more than a threshold.

The threshold is ``threshold_pct``.
``share_over`` counts failed scans as changed, ``share_over_completers`` leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.results import detectable, words
from refacebench.results.result import STATISTICS, Result, View
from refacebench.results.volume_tests import CHANGED, changed_scans, share_over
from refacebench.results.volumes import HEADING
from refacebench.statistics.cohort import each
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import share


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return the share of scans with a change above the threshold in grey, white, CSF or TIV."""
    rows = []
    for segmenter, variant, table in each(measurements, criteria, variants):
        if variant == "original":
            continue
        flags = changed_scans(table, criteria)
        failed, persons = flags.isna(), table["participant"]
        low_high = share(flags[~failed] == 1, persons[~failed], criteria.level)[1:]
        rows.append(
            {
                "variant": variant,
                "segmenter": segmenter,
                "n": persons[~failed].nunique(),
                "n_scans": int((~failed).sum()),
                "n_failed": int(failed.sum()),
                **share_over(flags == 1, failed, persons, criteria),
                "completers_low": low_high[0],
                "completers_high": low_high[1],
                "threshold_pct": criteria.threshold_pct,
            }
        )
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the shares of changed scans."""
    return words.join(
        f"Scans in which {CHANGED} changed by more than {view.criteria.threshold_pct:g} % of the "
        f"original{view.by}: with failed scans counted as changed, and of completers.",
        words.cohort(view.rows("changes")),
        detectable.unseen(view.rows("changes")["n"].max(), "Such a change", view.criteria),
        words.shares(view.criteria),
    )


RESULT = Result(
    "changes",
    about=__doc__,
    job=STATISTICS,
    reads="vol_gm vol_wm vol_csf vol_tiv",
    columns="""
        variant segmenter n n_scans n_failed n_over
        share_over share_over_low share_over_high
        share_over_completers completers_low completers_high threshold_pct
    """,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    heading=HEADING,
    order=612,
)
