"""Dice with true labels, only where truth exists."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.plot.overlap import draw
from refacebench.results import words
from refacebench.results.overlap import print_structures
from refacebench.results.result import STATISTICS, Figure, Heading, Result, View
from refacebench.statistics.cohort import measure, pairs, references, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.summaries import summary


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return Dice with true labels, the original's own among them; no rows without truth."""
    structures = [
        name.removeprefix("truth_dice_")
        for name in measurements
        if name.startswith("truth_dice_")
        and pd.to_numeric(measurements[name], errors="coerce").notna().any()
    ]
    rows = []
    for segmenter in segmenters_of(measurements):
        original = references(measurements, segmenter, criteria).set_index("scan")
        for variant in variants:
            table = pairs(measurements, segmenter, variant, criteria)
            for structure in structures:
                name = f"truth_dice_{structure}"
                known = pd.to_numeric(original[name], errors="coerce").notna()
                here = table[table["scan"].map(known).astype(bool)]
                values = measure(here, name)
                rows.append(
                    {
                        "variant": variant,
                        "segmenter": segmenter,
                        "structure": structure,
                        **summary(values, here["participant"], criteria, 0.0, 1.0),
                        "n_failed": int(values.isna().sum()),
                    }
                )
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the overlap with true labels."""
    table = view.rows("truth")
    return words.folded(
        f"Dice of each variant's segmentation{view.by} with the true labels, which exist "
        "because the scans are synthetic. The dashed line, the mean of the originals, says how "
        "well the segmenter agrees with them on untouched scans: what lies left of it was lost by "
        "the method. Large marks are means over participants, small points scans.",
        "Where a segmenter itself made the labels (see what is said of the data set), the "
        "difference from 1 is not that segmenter's own error. Failed scans have no part in "
        "the means.",
        words.cohort(table),
        words.intervals(view.criteria, table),
    )


RESULT = Result(
    "truth",
    about=__doc__,
    empty="the scans have no true labels",
    job=STATISTICS,
    columns="variant segmenter structure n n_scans n_failed mean sd low high",
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    heading=Heading("truth", "Overlap with the truth", order=630, by_segmenter=True),
    order=630,
    printed=lambda view: print_structures(view.rows("truth"), view.look),
    figures=[
        Figure(
            "truth",
            "Dots with intervals: Dice with true labels, one row per variant.",
            lambda view: draw(view.rows("truth"), view.look, view.measures, prefix="truth_"),
            by_segmenter=True,
            title="Overlap with the truth",
        )
    ],
)
