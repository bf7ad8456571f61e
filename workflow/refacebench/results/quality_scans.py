"""Which scan?  One row per scan and variant, the most doubtful first, with the reason in words.

With pseudonyms the rows of a variant stand in the order of these.

``doubt`` is in units of a check's limit: from 1 on a check failed, or true labels show a failure
that the checks may have missed.  The rule stands in
:mod:`refacebench.results.doubt`; what attackers found is no part of this table, but it is of the
page for quality control (``snakemake qc``).  ``kind``: fails a check, close, clear or no image.
``outcome``: how the scan's last ``stage`` ended.  ``quality``: the verdict,
see the table ``quality``.  ``face_left`` and the same of each part: share of the original's
surface that is left.  ``brain_*``: voxels of the brain mask with a difference, removed, replaced,
and lost below its outer rim.  ``odd_voxels``: written far from the head.
``truth_failure_1`` and ``_2``: 1 where true labels show that face is left, that brain was lost.
``worst_volume``: of grey matter, white matter, CSF and TIV the one that changed most, by which
segmenter, in percent.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from refacebench.results import doubt
from refacebench.results.quality import HEADING
from refacebench.results.result import STATISTICS, Result, View
from refacebench.statistics.criteria import Criteria


def compute(
    measurements: pd.DataFrame, criteria: Criteria, limits: Mapping[str, float]
) -> pd.DataFrame:
    """Return all compared scans of all variants, the most doubtful first."""
    found = doubt.table(measurements, criteria, limits)
    found = found.rename(columns={"status": "outcome"})
    found["why"] = [" ".join(sentences) for sentences in found["why"]]
    return found.reindex(columns=list(RESULT.columns))


def caption(view: View) -> str:
    """Return the caption of the table of scans."""
    return (
        "All scans of all variants, the most doubtful first: 1 means that a check is just at its "
        "limit. A low value says that the checks found nothing, not that there is nothing to see."
    )


RESULT = Result(
    "quality_scans",
    about=__doc__,
    job=STATISTICS,
    columns="""
        variant scan participant session doubt kind why outcome stage
        quality face_left face_left_nose face_left_eyes face_left_mouth face_left_chin
        face_left_ears
        brain_voxels brain_changed brain_removed brain_replaced brain_core_lost odd_voxels
        truth_failure_1 truth_failure_2
        worst_volume worst_segmenter worst_change_pct
    """,
    texts="kind why outcome quality worst_segmenter",
    compute=lambda given, _: compute(given.measurements, given.criteria, given.thresholds),
    caption=caption,
    in_latex=False,
    heading=HEADING,
    order=290,
)
