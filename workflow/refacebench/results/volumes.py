"""How much every variant changes the volumes: region x variant, with paired tests.

``median_change_pct`` has its interval in ``low`` and ``high``, and in
``low_joint`` and ``high_joint`` one that all volumes of a variant hold at once (exact for the
median, Bonferroni; missing where there are too few participants for it);
``W``, ``p`` and ``rank_biserial`` are those of the differences in ml (Wilcoxon
signed-rank, ``n_zero`` participants without any); ``p_holm`` and ``p_bh`` are
corrected within ``family``: ``regions`` = 17 regions and TIV x all variants but
the original, of one segmenter (``family_size`` tests), ``globals`` = the other
whole-brain volumes, likewise.  ``p_tost`` is that of two one-sided signed-rank
tests (by signs and by signed ranks) of the percent changes.  With the ``margin_source`` rescan it
says that they lie within the *true* mean scan-rescan difference and the largest acceptable change,
and allows for what the rescans leave open; ``margin_pct`` is the margin of one such test at alpha
(the lower confidence bound of the mean difference), that of a corrected one is smaller.  With
config or cap ``margin_pct`` is the margin.  ``equivalent`` is 1 if ``p_tost_holm`` is below alpha,
else 0.  ``p_tost_fixed``, ``p_tost_fixed_holm`` and ``equivalent_fixed``: the same within
``margin_fixed_pct``, which was fixed before the run.
``mde_pct`` is the shift that would have been detected with the wanted power at
alpha / family size; ``inf`` where so few participants cannot reach that level.
``share_over`` counts failed scans as changed, ``share_over_completers`` leaves them out,
``n_over`` counts the completers that changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.plot.numbers import NO_VALUE, change
from refacebench.plot.style import Look
from refacebench.plot.volumes import draw, draw_globals, is_true, region_label
from refacebench.results import detectable, words
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.results.volume_tests import (
    families,
    minimum,
    tested,
    tests,
    with_families,
)
from refacebench.results.yardstick import margins, yardsticks_of
from refacebench.statistics.cohort import each
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import GLOBALS, REGIONS

HEADING = Heading(
    "volumes",
    "Volumes",
    "Would a later user measure the same volumes?",
    order=610,
    by_segmenter=True,
)
COLUMNS = """
    variant segmenter region family n n_scans n_failed
    median_original_ml median_variant_ml median_change_pct low high low_joint high_joint
    sd_change_pct
    W p p_holm p_bh rank_biserial rb_low rb_high n_zero
    n_over share_over share_over_low share_over_high share_over_completers
    margin_pct margin_source p_tost p_tost_holm equivalent
    margin_fixed_pct p_tost_fixed p_tost_fixed_holm equivalent_fixed
    mde_pct family_size
"""


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return the paired tests of every volume of every variant against the original.

    Wilcoxon signed-rank on the participants' mean differences in ml, with its
    rank-biserial effect size; tests of equivalence on the percent changes
    (:class:`refacebench.statistics.margin.Yardstick`).  Family: one segmenter's regions and
    TIV x all variants except the original; the other globals are a family of their own.
    """
    rows, yardsticks = [], yardsticks_of(measurements, criteria)
    for segmenter, variant, table in each(measurements, criteria, variants):
        if variant != "original":
            rows += tested(table, segmenter, variant, criteria, yardsticks)
    return with_families(RESULT.frame(rows), criteria)


def significant_regions(volumes: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Count for each variant the regions (of 17) that changed, and those shown equivalent.

    Returns
    -------
    pandas.DataFrame
        Index variant; ``tested``, ``differ`` (Holm), ``equivalent``.
    """
    rows = volumes[volumes["region"].isin(REGIONS) & (volumes["variant"] != "original")]
    counts = pd.DataFrame(
        {
            "variant": rows["variant"],
            "tested": rows["p"].notna(),
            "differ": rows["p_holm"] < alpha,
            "equivalent": is_true(rows["equivalent"]),
        }
    )
    return counts.groupby("variant", sort=False).sum().astype(int)


def caption(view: View) -> str:
    """Return the caption of the table: that of the map, and what the map does not show."""
    return words.join(
        caption_map(view),
        "Share changed: scans that changed by more than "
        f"{view.criteria.threshold_pct:g} %, failed scans counted in.",
        words.shares(view.criteria),
    )


def caption_map(view: View) -> str:
    """Return the caption of the map of volume changes."""
    table = view.rows("volumes")
    return words.folded(
        f"Median change of each volume in percent of the original{view.by}; red: larger, blue: "
        "smaller. Asterisk: shown to differ from the original. Frame: shown to be equal within "
        "the margin. In a cell with neither, the data leave it open.",
        tests(view.tables, table, view.criteria),
        "The asterisk is such a corrected p, the frame such an equivalence.",
        words.cohort(table),
        minimum(table, view.criteria),
        words.medians(view.criteria),
    )


def caption_globals(view: View) -> str:
    """Return the caption of the whole-brain volume changes."""
    table = view.rows("volumes")
    return words.folded(
        f"Median change of whole-brain volumes in percent of the original{view.by}, with "
        "intervals. Filled marks differ from the original; hollow ones are not shown to differ, "
        "which is not the same as equal. Where an interval lies inside the grey band the change "
        "is no larger than the margin. These intervals are for one volume alone; 'shown' allows "
        "for the number of tests and is stricter.",
        f"Filled: Holm-corrected p < {view.criteria.alpha:g}{families(table)}. Grey band: "
        f"{margins(table, view.tables.get('repeatability'), view.criteria)}.",
        words.cohort(table),
        detectable.missed(_globals(table), "a change", "%", view.criteria),
        words.medians(view.criteria),
    )


def _globals(table: pd.DataFrame) -> pd.Series:
    """Return the detectable changes of the whole-brain volumes."""
    return table.loc[table["region"].isin(GLOBALS), "mde_pct"]


def printed(view: View) -> Printed:
    """Return one row per variant: tests that differ, the largest change, and the whole brain's."""
    table, look, criteria = view.rows("volumes"), view.look, view.criteria
    shown = ("tiv", "gm", "wm", "csf")
    counts = significant_regions(table, criteria.alpha)
    columns = ["Variant", "n (failed)", f"Differ (of {len(REGIONS)})", "Equivalent",
               "Largest regional change", *[f"{region_label(r)} (%)" for r in shown]]  # fmt: skip
    rows = []
    for label, mine in by_variant(table[table["variant"] != "original"], look):
        by = mine.set_index("region")
        regional = by[by.index.isin(REGIONS)]["median_change_pct"].dropna()
        largest = NO_VALUE
        if len(regional):
            name = regional.abs().idxmax()
            largest = f"{change(regional[name])} ({region_label(name)})"
        tests = counts.loc[mine["variant"].iloc[0]]
        cells = [
            with_interval(by.loc[r], "median_change_pct", "low", "high", 1, True)
            if r in by.index
            else NO_VALUE
            for r in shown
        ]
        numbers = [str(tests[c]) for c in ("differ", "equivalent")]
        if not tests["tested"]:
            numbers = [NO_VALUE] * len(numbers)
        rows.append([label, count(mine.iloc[0]), *numbers, largest, *cells])
    return _with_changes(columns, rows, view.rows("changes"), look)


def _numbers(view: View) -> str:
    """Return the caption of the page's table below the figures."""
    changes = view.rows("changes")
    over = (
        f" Scans over {changes['threshold_pct'].iloc[0]:g} %: those in which TIV, GM, WM or CSF "
        "changed by more than that."
        if len(changes)
        else ""
    )
    return (
        f"{words.numbers(view)} Differ, equivalent: how many of the {len(REGIONS)} regions are "
        "shown to differ from the original and to be equal within the margin, both "
        "Holm-corrected; the full table has the milder correction of Benjamini and Hochberg "
        f"and the fixed margin too.{over}"
    )


def _with_changes(
    columns: list[str], rows: pd.DataFrame, changes: pd.DataFrame, look: Look
) -> Printed:
    """Add the share of scans with a large change to the rows of the volumes table."""
    if changes.empty:
        return columns, rows
    threshold = changes["threshold_pct"].iloc[0]
    columns = [*columns, f"Scans over {threshold:g}\u00a0%"]
    cells = {}
    for label, mine in by_variant(changes, look):
        row = mine.iloc[0]
        total = int(row["n_scans"] + row["n_failed"])
        text = f"{int(row['n_over'])}/{total}"
        failed = int(row["n_failed"])
        cells[label] = text + (f" (and {failed} failed)" if failed else "")
    return columns, [[*row, cells.get(row[0], NO_VALUE)] for row in rows]


RESULT = Result(
    "volumes",
    about=__doc__,
    job=STATISTICS,
    reads="vol_*",
    columns=COLUMNS,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="""
        variant region n n_failed median_change_pct low high p_holm p_bh rank_biserial
        share_over margin_pct p_tost_holm mde_pct
    """,
    heading=HEADING,
    order=610,
    printed=printed,
    numbers=_numbers,
    figures=[
        Figure(
            "volumes",
            "Map of median volume changes in percent, one column per region, one row per variant.",
            lambda view: draw(
                view.rows("volumes"),
                view.look,
                alpha=view.criteria.alpha,
                full_colour_pct=view.criteria.threshold_pct,
            ),
            caption_map,
            by_segmenter=True,
            title="Volumes of all regions",
        ),
        Figure(
            "volumes_globals",
            "Dots with intervals: median change of intracranial, grey, white and CSF "
            "volume, one row per variant.",
            lambda view: draw_globals(view.rows("volumes"), view.look, alpha=view.criteria.alpha),
            caption_globals,
            by_segmenter=True,
            title="Whole-brain volumes",
            secondary=True,
        ),
    ],
)
