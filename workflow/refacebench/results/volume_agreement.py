"""How well volumes of a variant agree with the original's: limits of agreement and ICC(A,1).

``bias_pct`` is the mean change in percent of the original over participants (sessions averaged
first), ``lower_pct`` and ``upper_pct`` the limits between which 95 % of participants' changes
would lie (Bland and Altman), each with its interval in ``*_low`` and ``*_high`` (exact for normal
changes); of repeated sessions they are those of a participant's mean, a single scan varies
more.  ``p_normal`` (Shapiro and Wilk, corrected like the slopes) says where changes are not
normal and limits not to be trusted.  ``slope`` is that of variant minus original on the mean of
the two, in ml a ml: not 0 where the bias grows with the size of the volume; ``slope_p`` is
corrected (``slope_p_holm``) over 17 regions and TIV x variants, and the other whole-brain
volumes x variants.  ``icc`` is ICC(A,1), absolute agreement of single measurements, with its
F-based interval (McGraw & Wong 1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import NO_VALUE, number, with_ends
from refacebench.plot.style import CONTROL_LABELS, FAINT, INK, Look, message_figure, styled
from refacebench.plot.volumes import TITLES, region_label
from refacebench.results import words
from refacebench.results.cells import by_variant, count
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.results.volume_tests import FAMILIES
from refacebench.statistics import agreement, outcomes, paired
from refacebench.statistics.cohort import by_participant, each, measure
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import NULL

#: Volumes of the figure and the page's table.
SHOWN = ("tiv", "gm", "wm", "csf")


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return bias, limits of agreement, slope and ICC of every volume of every variant."""
    rows = [
        {"variant": variant, "segmenter": segmenter, "region": region, "family": family,
         **_row(table, region, criteria)}
        for segmenter, variant, table in each(measurements, criteria, variants)
        if variant != "original"
        for region, family in FAMILIES.items()
    ]  # fmt: skip
    table = RESULT.frame(rows)
    for _, family in table.groupby(["segmenter", "family"], sort=False):
        for name in ("slope_p", "p_normal"):
            corrected = paired.correct(family[name].astype(float), "holm")
            table.loc[family.index, f"{name}_holm"] = corrected
    return table


def _row(table: pd.DataFrame, region: str, criteria: Criteria) -> dict[str, Any]:
    change = outcomes.change_pct(table, region)
    persons = table["participant"]
    possible = outcomes.volume(region).possible(table)
    variant = measure(table, f"vol_{region}").where(change.notna())
    original = table.get(f"ref_vol_{region}", variant).where(change.notna())
    old, new = (by_participant(values, persons).to_numpy() for values in (original, variant))
    found = agreement.limits(by_participant(change, persons), criteria.level)
    icc, icc_low, icc_high = agreement.icc_a1(np.column_stack([old, new]), criteria.level)
    names = {"bias": "bias_pct", "sd": "sd_pct", "lower": "lower_pct", "upper": "upper_pct"}
    return {
        "n_scans": int(change.notna().sum()),
        "n_failed": int((possible & change.isna()).sum()),
        **{names.get(name, name): value for name, value in found.items()},
        **agreement.proportional(old, new, criteria.level),
        "icc": icc,
        "icc_low": icc_low,
        "icc_high": icc_high,
    }


def caption(view: View) -> str:
    """Return the caption of the limits of agreement."""
    level = f"{100 * view.criteria.level:g} %"
    table = view.rows("volume_agreement")
    return words.folded(
        f"Agreement of volumes with the original's{view.by}, in percent of the original: bias "
        "(mean change) and the limits between which 95 % of participants' changes would lie. The "
        "limits say how far a single person's volume may be off.",
        "In "
        f"the figure thick lines are the {level} interval of the bias, thin ones run from limit to "
        f"limit, short strokes are the limits' outer {level} bounds{_apart(table)}. Intervals are "
        "for each volume by "
        "itself, not adjusted, and exact where changes are normal; few participants give "
        "wide bounds. ICC(A,1): absolute agreement of single measurements; it also grows with the "
        "differences between people, so that a high one alone says little.",
        _named(
            table,
            "p_normal_holm",
            view,
            "Changes are not normal, so that limits and their intervals may lie far off (Shapiro "
            "and Wilk's test",
            "no volume shown",
        ),
        _named(table, "slope_p_holm", view, "The bias depends on the volume's size (slope", "none"),
        words.cohort(table),
    )


def _apart(table: pd.DataFrame) -> str:
    """Return which variants the figure leaves out, if there are any."""
    apart = [v for v in table.get("variant", ()) if v != NULL and outcomes.is_control(v)]
    return "; skull-stripped scans, a control, stand in the table alone" if apart else ""


def _named(table: pd.DataFrame, column: str, view: View, what: str, none: str) -> str:
    """Return in which volumes of which variants a test says something."""
    alpha = view.criteria.alpha
    if table.empty or table[column].isna().all():
        return ""
    found = table[table[column] < alpha]
    named = [
        f"{CONTROL_LABELS.get(row.variant, row.variant)} ({region_label(row.region)})"
        for row in found.itertuples()
    ]
    more = f" and {len(named) - 6} more" if len(named) > 6 else ""
    said = f"{', '.join(named[:6])}{more}" if named else none
    return f"{what}, Holm-corrected p < {alpha:g}): {said}."


@styled
def draw(table: pd.DataFrame, look: Look) -> Any:
    """Draw bias and limits of agreement of the whole-brain volumes, one row per variant.

    Skull-stripped scans change so much that nothing else could be read off beside them.
    """
    if len(table):
        table = table[(table["variant"] == NULL) | ~table["variant"].map(outcomes.is_control)]
    shown = [r for r in SHOWN if len(table) and table.loc[table["region"] == r, "n"].max() >= 3]
    if not shown:
        return message_figure("No variant with enough measured volumes.")
    variants = look.sort(table["variant"])
    titles = [TITLES.get(region, region_label(region)) for region in shown]
    figure, axes, places = dots.panels(variants, look, titles, extra=1.2)
    for panel, region in zip(axes, shown, strict=True):
        rows = table[table["region"] == region]
        panel.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
        for variant, y in places.items():
            _variant(panel, y, look, variant, rows[rows["variant"] == variant])
        panel.set_xlabel("change from the original (%)")
        panel.locator_params(axis="x", nbins=5)
        panel.margins(x=0.08)
    dots.counts(axes[-1], places, table[table["region"] == shown[0]])
    _legend(figure)
    return figure


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        dots.sample("bias, with interval", size=5),
        Line2D([], [], color=FAINT, linewidth=0.9, label="from limit to limit of agreement"),
        Line2D([], [], color=FAINT, linestyle="none", marker="|", markersize=6,
               label="outer bounds of the limits"),
    ]  # fmt: skip
    dots.legend(figure, handles)


def _variant(panel: Any, y: float, look: Look, variant: str, row: pd.DataFrame) -> None:
    bias, low, high = (dots.cell(row, name) for name in ("bias_pct", "bias_low", "bias_high"))
    lower, upper = dots.cell(row, "lower_pct"), dots.cell(row, "upper_pct")
    colour = look.colour(variant)
    if np.isfinite(lower) and np.isfinite(upper):
        panel.plot([lower, upper], [y, y], color=colour, linewidth=0.9, zorder=2)
        ends = [dots.cell(row, "lower_low"), dots.cell(row, "upper_high")]
        panel.plot(ends, [y, y], linestyle="none", marker="|", markersize=6, color=colour, zorder=2)
    dots.interval(panel, y, look, variant, bias, low, high, size=5)


def printed(view: View) -> Printed:
    """Return one row per variant: bias and limits of whole-brain volumes, and the lowest ICC."""
    table = view.rows("volume_agreement")
    if table.empty:
        return [], []
    columns = [
        "Variant",
        "n (failed)",
        *[f"{region_label(r)} (%)" for r in SHOWN],
        "Lowest ICC(A,1)",
    ]
    rows = []
    for label, mine in by_variant(table, view.look):
        by = mine.set_index("region")
        first = by.loc[SHOWN[0]] if SHOWN[0] in by.index else mine.iloc[0]
        rows.append([label, count(first), *[_limits(by, r) for r in SHOWN], _lowest(by)])
    return columns, rows


def _limits(by: pd.DataFrame, region: str) -> str:
    if region not in by.index or pd.isna(by.loc[region, "bias_pct"]):
        return NO_VALUE
    names = ("bias_pct", "lower_pct", "upper_pct")
    bias, lower, upper = (by.loc[region, name] for name in names)
    return "{} ({} to {})".format(*with_ends(bias, lower, upper, digits=2, signed=True))


def _lowest(by: pd.DataFrame) -> str:
    known = by["icc"].dropna().astype(float)
    if known.empty:
        return NO_VALUE
    row = by.loc[known.idxmin()]
    ends = f"[{number(row['icc_low'], 3)}, {number(row['icc_high'], 3)}]"
    return f"{number(row['icc'], 3)} {ends} ({region_label(known.idxmin())})"


RESULT = Result(
    "volume_agreement",
    about=__doc__,
    job=STATISTICS,
    reads="vol_*",
    columns="""
        variant segmenter region family n n_scans n_failed bias_pct bias_low bias_high sd_pct
        lower_pct lower_low lower_high upper_pct upper_low upper_high p_normal p_normal_holm
        slope slope_low slope_high slope_p slope_p_holm icc icc_low icc_high
    """,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="""
        variant region n n_failed bias_pct bias_low bias_high lower_pct lower_low upper_pct
        upper_high slope_p_holm icc icc_low icc_high
    """,
    heading=Heading(
        "volume_agreement",
        "Agreement of volumes",
        "How far may the volume of a single person be off?",
        order=615,
        by_segmenter=True,
    ),
    order=615,
    printed=printed,
    numbers=lambda view: (
        "The numbers in the figure: bias (lower to upper limit of agreement); n: participants; "
        f"(failed): scans; ICC with its {100 * view.criteria.level:g} % interval, not adjusted."
    ),
    figures=[
        Figure(
            "volume_agreement",
            "Dots with lines: bias and limits of agreement of intracranial, grey, white and CSF "
            "volume with the original's, one row per variant.",
            lambda view: draw(view.rows("volume_agreement"), view.look),
            by_segmenter=True,
            title="Agreement of volumes",
        )
    ],
)
