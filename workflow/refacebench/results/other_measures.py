"""What variants change in measures that other software made and that are no volume of ours.

Image quality metrics, cortical thickness, areas, single ventricles: whatever a data set of the
type ``measures`` brings under its own name, each in its own unit.  ``bias`` is the mean of variant
minus original over participants (sessions averaged first), ``lower`` and ``upper`` the limits
between which 95 % of participants' differences would lie (Bland and Altman), each with its
interval in ``*_low`` and ``*_high`` (exact for normal differences).  ``bias_sd`` is the bias in
standard deviations of the originals between participants, so that measures of any unit can be held
against one another.  ``median_change_pct`` is missing where originals are not all above 0.  ``W``,
``p`` and ``rank_biserial`` are those of the differences (Wilcoxon signed-rank, ``n_zero``
participants without any), scaled by ``sd_original``; ``p_holm`` and ``p_bh`` are corrected over
all these measures of a segmenter x variants (``family_size`` tests).  ``icc`` is ICC(A,1),
absolute agreement of single measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import NO_VALUE, number, p_value
from refacebench.plot.style import INK, WIDTH, Look, message_figure, new_figure, styled
from refacebench.results import words
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.statistics import agreement, paired
from refacebench.statistics.cohort import by_participant, each, measure
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.summaries import median
from refacebench.vocabulary import ORIGINAL

#: What their columns begin with.
PREFIX = "value_"
#: Measures in the figure, and rows of a variant on the page; those with the largest bias.
SHOWN, PRINTED = 24, 40


def names_of(measurements: pd.DataFrame, segmenter: str) -> list[str]:
    """Return the measures that a program has any number of, in the order of the columns."""
    mine = measurements[measurements["segmenter"] == segmenter]
    return [
        name.removeprefix(PREFIX)
        for name in measurements
        if str(name).startswith(PREFIX) and pd.to_numeric(mine[name], errors="coerce").notna().any()
    ]


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return differences, agreement and paired test of every such measure of every variant."""
    rows = [
        {
            "variant": variant,
            "segmenter": segmenter,
            "measure": name,
            **_row(table, f"{PREFIX}{name}", criteria),
        }
        for segmenter, variant, table in each(measurements, criteria, variants)
        if variant != ORIGINAL and len(table)
        for name in names_of(measurements, segmenter)
    ]
    found = RESULT.frame(rows)
    for _, family in found.groupby("segmenter", sort=False):
        found.loc[family.index, "family_size"] = int(family["p"].notna().sum())
        for name, how in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
            found.loc[family.index, name] = paired.correct(family["p"].astype(float), how)
    return found


def _row(table: pd.DataFrame, column: str, criteria: Criteria) -> dict[str, Any]:
    old = table[f"ref_{column}"]
    table, old = table[old.notna()], old[old.notna()]
    persons, new = table["participant"], measure(table, column)
    old = old.where(new.notna())
    before, after = (by_participant(values, persons).to_numpy() for values in (old, new))
    difference = after - before
    spread = before.std(ddof=1) if len(before) > 1 else np.nan
    scale = spread if spread > 0 else 1.0
    statistic, p = paired.wilcoxon(difference / scale, criteria.zero_method)
    rb_low, rb_high = paired.rank_biserial_interval(difference / scale, level=criteria.level)
    icc, icc_low, icc_high = agreement.icc_a1(np.column_stack([before, after]), criteria.level)
    limits = agreement.limits(difference, criteria.level)
    positive = len(before) and (before > 0).all()
    change = (
        by_participant((new - old) / old * 100, persons) if positive else pd.Series(dtype=float)
    )
    return {
        **limits,
        "n_scans": int(new.notna().sum()),
        "n_failed": int(new.isna().sum()),
        "mean_original": before.mean() if len(before) else np.nan,
        "mean_variant": after.mean() if len(after) else np.nan,
        "sd_original": spread,
        **{
            f"bias_sd{end}": limits[f"bias{end}"] / spread if spread > 0 else np.nan
            for end in ("", "_low", "_high")
        },
        "median_change_pct": median(change),
        "W": statistic,
        "p": p,
        "rank_biserial": paired.rank_biserial(difference / scale),
        "rb_low": rb_low,
        "rb_high": rb_high,
        "n_zero": int((np.round(difference / scale, paired.DECIMALS) == 0).sum()),
        "icc": icc,
        "icc_low": icc_low,
        "icc_high": icc_high,
    }


def _size(table: pd.DataFrame) -> str:
    sizes = table.groupby("segmenter", sort=False)["family_size"].first().dropna().astype(int)
    return f"{int(sizes.iloc[0])} tests" if len(sizes) == 1 else "all tests of each program"


def caption(view: View) -> str:
    """Return the caption of the differences in measures that other software made."""
    table = view.rows("other_measures")
    level = f"{100 * view.criteria.level:g} %"
    some = len(table) and table["measure"].nunique() > SHOWN
    return words.join(
        f"Measures that were brought to this run{view.by}, each variant's against the original's "
        f"of the same person. Bias: mean of variant minus original, with its {level} interval "
        "(each for itself, not adjusted; exact where differences are normal), in standard "
        "deviations of the originals between participants, so that measures in any unit "
        "can be compared.",
        f"The figure shows the {SHOWN} measures with the largest bias." if some else "",
        "In the table also in the measure's own unit, with the limits between which 95 % of "
        "participants' differences would lie. Filled marks: Holm-corrected p < "
        f"{view.criteria.alpha:g} (paired Wilcoxon signed-rank tests, {_size(table)}); hollow "
        "marks: not shown to differ, which is not the same as equal. Some measures must change "
        "with defacing, such as those of the image's background. That is no harm by itself; what "
        "it means is for the reader to judge.",
        words.cohort(table),
    )


def largest(table: pd.DataFrame, most: int) -> list[str]:
    """Return the measures with the largest bias in any variant, largest first."""
    sizes = table.assign(size=table["bias_sd"].astype(float).abs())
    order = (
        sizes.groupby("measure", sort=False)["size"]
        .max()
        .sort_values(ascending=False, kind="stable")
    )
    return list(order.dropna().index[:most])


@styled
def draw(table: pd.DataFrame, look: Look, *, alpha: float = 0.05) -> Any:
    """Draw the bias of each measure in standard deviations, one panel per variant."""
    shown = largest(table, SHOWN) if len(table) else []
    if not shown:
        return message_figure("No measures of other software were given.")
    variants = look.sort(table["variant"])
    across = min(len(variants), 4)
    down = -(-len(variants) // across)
    figure = new_figure(WIDTH, down * (0.9 + 0.2 * len(shown)))
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for place, panel in enumerate(panels.flat):
        if place >= len(variants):
            panel.set_visible(False)
            continue
        variant = variants[place]
        mine = table[table["variant"] == variant].set_index("measure")
        panel.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
        for y, name in enumerate(shown):
            panel.axhline(y, color="#efefef", linewidth=0.8, zorder=0)
            if name in mine.index and pd.notna(mine.loc[name, "bias_sd"]):
                row = mine.loc[name]
                ends = row["bias_sd"], row["bias_sd_low"], row["bias_sd_high"]
                dots.interval(panel, y, look, variant, *ends, filled=row["p_holm"] < alpha, size=5)
        panel.set_title(look.label(variant), loc="left")
        panel.set_yticks(range(len(shown)), shown)
        panel.set_ylim(len(shown) - 0.4, -0.6)
        panel.set_xlabel("bias (standard deviations of the originals)")
    return figure


def printed(view: View) -> Printed:
    """Return the measures with the largest bias of each variant."""
    table = view.rows("other_measures")
    columns = ["Variant", "Measure", "n (failed)", "Mean, original", "Bias", "Limits of agreement",
               "Bias (SD)", "p (Holm)", "ICC(A,1)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, view.look):
        by = mine.set_index("measure")
        for name in largest(mine, PRINTED):
            row = by.loc[name]
            limits = " to ".join(f"{row[end]:.3g}" for end in ("lower", "upper"))
            rows.append([
                label, name, count(row), f"{row['mean_original']:.4g}",
                f"{row['bias']:.3g} [{row['bias_low']:.3g}, {row['bias_high']:.3g}]",
                limits if pd.notna(row["lower"]) else NO_VALUE,
                with_interval(row, "bias_sd", "bias_sd_low", "bias_sd_high", 2, True),
                p_value(row["p_holm"]), number(row["icc"], 3),
            ])  # fmt: skip
    return columns, rows


def line(table: pd.DataFrame, look: Look, alpha: float) -> str:
    """Return in a sentence how many measures differ, by variant, and which one most."""
    if table.empty or table["p"].isna().all():
        return ""
    parts = []
    for variant in look.sort(table["variant"]):
        mine = table[table["variant"] == variant]
        text = f"{variant} {int((mine['p_holm'] < alpha).sum())}"
        most = largest(mine, 1)
        if most:
            bias = mine.set_index("measure").loc[most[0], "bias_sd"]
            text += f" (largest bias: {most[0]}, {number(bias, 2, True)} SD)"
        parts.append(text)
    return (
        f"Other measures (of {table['measure'].nunique()} that differ from the original, after "
        f"correction for the number of tests): {'; '.join(parts)}."
    )


def numbers(view: View) -> str:
    """Return the caption of the page's table below its figure."""
    table = view.rows("other_measures")
    total = table["measure"].nunique() if len(table) else 0
    some = f" The {PRINTED} with the largest bias of {total}; the file has all." * (total > PRINTED)
    return f"The same measures in their own units.{some}"


RESULT = Result(
    "other_measures",
    about=__doc__,
    empty="no measures of other software were given",
    job=STATISTICS,
    reads=f"{PREFIX}*",
    columns="""
        variant segmenter measure n n_scans n_failed mean_original mean_variant sd_original
        bias bias_low bias_high sd lower lower_low lower_high upper upper_low upper_high p_normal
        bias_sd bias_sd_low bias_sd_high median_change_pct
        W p p_holm p_bh rank_biserial rb_low rb_high n_zero icc icc_low icc_high family_size
    """,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="variant measure n n_failed mean_original bias lower upper bias_sd p_holm icc",
    heading=Heading(
        "other-measures",
        "Measures made elsewhere",
        "Would the programs of a later user give the same numbers?",
        order=650,
        by_segmenter=True,
    ),
    order=650,
    printed=printed,
    numbers=numbers,
    figures=[
        Figure(
            "other_measures",
            "Dots with intervals: bias of each measure in standard deviations, one panel per "
            "variant.",
            lambda view: draw(view.rows("other_measures"), view.look, alpha=view.criteria.alpha),
            by_segmenter=True,
        )
    ],
)
