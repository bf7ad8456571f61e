"""Overlap of every variant's segmentation with that of the original.

Structure x measure (dice, iou): completers, and ``*_all`` with failed scans as 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.metrics.overlap import STRUCTURES
from refacebench.plot.numbers import number
from refacebench.plot.overlap import TITLES, draw
from refacebench.plot.style import Look
from refacebench.results import words
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.statistics.cohort import by_participant, each, has_reference, measure
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.summaries import median, summary


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return Dice and IoU with the original's segmentation; a failed scan is 0 in ``*_all``."""
    rows = []
    for segmenter, variant, table in each(measurements, criteria, variants):
        if variant == "original":
            continue
        for structure in STRUCTURES:
            here = table[has_reference(table, structure)]
            for name in ("dice", "iou"):
                values = measure(here, f"{name}_{structure}")
                everyone = summary(values.fillna(0.0), here["participant"], criteria, 0.0, 1.0)
                rows.append(
                    {
                        "variant": variant,
                        "segmenter": segmenter,
                        "structure": structure,
                        "measure": name,
                        **summary(values, here["participant"], criteria, 0.0, 1.0),
                        "n_failed": int(values.isna().sum()),
                        "median": median(by_participant(values, here["participant"])),
                        "mean_all": everyone["mean"],
                        "low_all": everyone["low"],
                        "high_all": everyone["high"],
                    }
                )
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the overlap with the original's segmentation."""
    table = view.rows("overlap")
    return words.folded(
        "Dice of each variant's segmentation with that of the original scan, both made from "
        f"scratch{view.by}: 1 is the same brain. Large marks are means over participants, small "
        "points scans. The dashed line is the mean of the null control: what the measurement does "
        "by itself. What lies left of it is due to the method.",
        "IoU: intersection over union, the same comparison on another scale.",
        _counted(table),
        words.cohort(table),
        words.intervals(view.criteria, table),
    )


def _counted(table: pd.DataFrame) -> str:
    """Return what the columns with failures counted are; empty where no scan failed."""
    if not _any_failed(table):
        return ""
    return (
        "'All' (on the page) and 'failures counted': a failed scan counts as zero; the other "
        "columns cover completers only."
    )


def _any_failed(table: pd.DataFrame) -> bool:
    return "mean_all" in table and bool((table["n_failed"] > 0).any())


def printed(view: View) -> Printed:
    """Return one row per variant, one column per structure."""
    return print_structures(view.rows("overlap"), view.look)


def print_structures(table: pd.DataFrame, look: Look) -> Printed:
    """Return means of Dice with intervals, of all scans too where some failed; IoU without."""
    structures = [s for s in TITLES if s in set(table["structure"])]
    columns = ["Variant", "n (failed)", *[TITLES[s] for s in structures]]
    iou = table.iloc[:0]
    if "measure" in table:
        iou = table[table["measure"] == "iou"].set_index(["variant", "structure"])["mean"]
        table = table[table["measure"] == "dice"]
    columns += [f"IoU: {TITLES[s]}" for s in structures] if len(iou) else []
    failed = _any_failed(table)
    columns += [f"{TITLES[s]}, all" for s in structures] if failed else []
    rows = []
    for label, mine in by_variant(table, look):
        by = mine.set_index("structure")
        cells = [with_interval(by.loc[s], "mean", "low", "high", 3) for s in structures]
        if len(iou):
            variant = mine["variant"].iloc[0]
            cells += [number(iou.get((variant, s)), 3) for s in structures]
        cells += [number(by.loc[s, "mean_all"], 3) for s in structures] if failed else []
        rows.append([label, count(mine.iloc[0]), *cells])
    return columns, rows


RESULT = Result(
    "overlap",
    about=__doc__,
    job=STATISTICS,
    reads="dice_*",
    columns="""
        variant segmenter structure measure n n_scans n_failed
        mean sd median low high mean_all low_all high_all
    """,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="variant segmenter structure measure n n_failed mean low high mean_all",
    heading=Heading(
        "overlap",
        "Segmentation overlap",
        "Would a later user find the same brain?",
        order=600,
        by_segmenter=True,
    ),
    order=600,
    printed=printed,
    figures=[
        Figure(
            "overlap",
            "Dots with intervals: Dice of brain, ventricular CSF, white and grey matter with "
            "the original's segmentation, one row per variant.",
            lambda view: draw(view.rows("overlap"), view.look, view.measures),
            by_segmenter=True,
            title="Overlap of segmentations",
        )
    ],
)
