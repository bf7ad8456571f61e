"""Scans whose volumes a defacer changed beyond the threshold, and what refacing made of them.

One row per refaced variant and segmenter.  Of ``n_scans`` compared scans, without those that the
study leaves out (table ``exclusions``), ``n_over_defaced`` changed by more than ``threshold_pct``
in grey, white, CSF or TIV after defacing and ``n_over_refaced`` after refacing; ``n_recovered`` of
the former no longer do, ``n_still`` do, ``n_new`` changed by refacing alone, and ``n_lost`` have no
result in one of the two.  ``over_defaced_share`` and ``over_refaced_share`` are of the others, of
``n`` participants.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.style import BAND, INK, WIDTH, Look, message_figure, new_figure, styled
from refacebench.results import exclusions, words
from refacebench.results.result import STUDY, Figure, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.results.volume_tests import CHANGED, CHANGED_IF_ANY, changed_scans
from refacebench.statistics.cohort import measure, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import share
from refacebench.vocabulary import split_variant

_TITLES = {"gm": "Grey matter", "wm": "White matter", "csf": "CSF", "tiv": "Intracranial volume"}
_HUES = {"defaced": "#D55E00", "refaced": "#0072B2"}


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    asked: Collection[str] = (),
) -> pd.DataFrame:
    """Return the counts of every refaced variant, without what a study leaves out."""
    rows = []
    for segmenter in segmenters_of(measurements):
        for variant in variants:
            if "+" not in variant:
                continue
            tables = [
                exclusions.kept(measurements, segmenter, name, criteria, asked)
                for name in (split_variant(variant)[0], variant)
            ]
            before, after = (changed_scans(t, criteria).set_axis(t["scan"]) for t in tables)
            persons = tables[0].set_index("scan")["participant"]
            rows.append(
                {
                    "variant": variant,
                    "segmenter": segmenter,
                    **counts(before, after),
                    **_shares(before, after, persons, criteria.level),
                    "threshold_pct": criteria.threshold_pct,
                }
            )
    return RESULT.frame(rows)


def counts(before: pd.Series, after: pd.Series) -> dict[str, int]:
    """Return the counts from what changed (1), did not (0) or is missing (NaN), by scan.

    >>> before, after = pd.Series([1, 1, 0, 0, np.nan]), pd.Series([0, 1, 1, 0, 0])
    >>> [counts(before, after)[f"n_{name}"] for name in ("recovered", "still", "new", "lost")]
    [1, 1, 1, 1]
    """
    first, second = _known(before, after)
    return {
        "n_scans": len(before),
        "n_over_defaced": int(first.sum()),
        "n_over_refaced": int(second.sum()),
        "n_recovered": int((first & ~second).sum()),
        "n_still": int((first & second).sum()),
        "n_new": int((~first & second).sum()),
        "n_lost": len(before) - len(first),
    }


def _known(before: pd.Series, after: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return which scans changed before and after, of those with a result in both."""
    after = after.reindex(before.index)
    known = before.notna() & after.notna()
    return before[known] == 1, after[known] == 1


def _shares(
    before: pd.Series, after: pd.Series, persons: pd.Series, level: float
) -> dict[str, float]:
    first, second = _known(before, after)
    of = persons.reindex(first.index)
    found: dict[str, float] = {"n": of.nunique()}
    for name, flags in (("over_defaced", first), ("over_refaced", second)):
        names = (f"{name}_share", f"{name}_low", f"{name}_high")
        found |= dict(zip(names, share(flags, of, level), strict=True))
    return found


def changes(
    measurements: pd.DataFrame, variant: str, criteria: Criteria, asked: Collection[str] = ()
) -> pd.DataFrame:
    """Return the percent change of each scan's volumes, by the first segmenter."""
    found = pd.DataFrame()
    for segmenter in segmenters_of(measurements)[:1]:
        table = exclusions.kept(measurements, segmenter, variant, criteria, asked)
        table = table.set_index("scan", drop=False)
        for name in CHANGED_IF_ANY:
            if f"ref_vol_{name}" in table:
                old = table[f"ref_vol_{name}"]
                found[name] = (measure(table, f"vol_{name}") - old) / old * 100
    return found


def _before_and_after(
    measures: pd.DataFrame, view: View, variant: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the changes after defacing and after refacing, without what the study leaves out."""
    first, second = (
        changes(measures, name, view.criteria, exclusions.asked_of(view))
        for name in (split_variant(variant)[0], variant)
    )
    return first, second


def _refaced(view: View) -> list[str]:
    return [v for v in view.look.order if "+" in v]


def caption(view: View) -> str:
    """Return the caption of the counts."""
    return words.join(
        f"Scans in which {CHANGED} changed by more than {view.criteria.threshold_pct:g} %: how "
        "many after defacing, and how many of these no longer after refacing.",
        words.PICKED,
        exclusions.left_out(view),
    )


def caption_by_scan(view: View) -> str:
    """Return the caption of the changes by scan."""
    return words.join(
        "Change of each scan's volumes in percent of its original, after defacing and after "
        "refacing; scans by their change after defacing. Beyond the grey band a scan counts as "
        f"changed ({view.criteria.threshold_pct:g} %).",
        exclusions.left_out(view),
    )


def caption_recovered(view: View) -> str:
    """Return the caption of the scans that defacing changed."""
    return words.join(
        "The scans that defacing changed beyond the threshold: largest change of any of the four "
        "volumes, before and after refacing, a line per scan.",
        words.PICKED,
        exclusions.left_out(view),
    )


@styled
def draw_by_scan(view: View) -> Any:
    """Draw the change of each volume by scan, one row per refaced variant."""
    refaced = _refaced(view)
    if view.measures is None or not refaced:
        return message_figure("Nothing was refaced.")
    figure = new_figure(WIDTH, 0.5 + 2.0 * len(refaced))
    panels = figure.subplots(len(refaced), len(CHANGED_IF_ANY), squeeze=False)
    for line, variant in zip(panels, refaced, strict=True):
        before, after = _before_and_after(view.measures, view, variant)
        for panel, name in zip(line, CHANGED_IF_ANY, strict=True):
            panel.set_title(_TITLES[name], loc="left")
            _by_scan(panel, before.get(name), after.get(name), view.criteria.threshold_pct)
        line[0].set_ylabel(f"{view.look.label(variant)}\nchange (%)", fontsize=8)
        line[-1].legend(loc="best", markerscale=1.4)
    return figure


def _by_scan(axes: Any, before: Any, after: Any, threshold: float) -> None:
    axes.axhspan(-threshold, threshold, color=BAND, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.7)
    if before is None or after is None:
        return
    before = before.sort_values()
    places = np.arange(1, len(before) + 1)
    for label, values in (("defaced", before), ("refaced", after.reindex(before.index))):
        axes.plot(places, values, linestyle="none", marker="o", markersize=3, color=_HUES[label],
                  alpha=0.8, label=label)  # fmt: skip
    axes.set_xlabel("scan")
    axes.xaxis.get_major_locator().set_params(integer=True)


@styled
def draw_recovered(view: View) -> Any:
    """Draw the largest change of the scans that defacing changed, before and after refacing."""
    refaced = _refaced(view)
    if view.measures is None or not refaced:
        return message_figure("Nothing was refaced.")
    threshold = view.criteria.threshold_pct
    figure = new_figure(WIDTH, 3.0)
    panels = figure.subplots(1, max(len(refaced), 3), squeeze=False, sharey=True)[0]
    for panel in panels[len(refaced) :]:
        panel.set_axis_off()
    for panel, variant in zip(panels, refaced, strict=False):
        before, after = (
            t.abs().max(axis=1) for t in _before_and_after(view.measures, view, variant)
        )
        picked = before.index[before > threshold]
        for scan in picked:
            panel.plot([0, 1], [before[scan], after.get(scan, np.nan)], color=INK, alpha=0.5,
                       marker="o", markersize=3, linewidth=0.9)  # fmt: skip
        panel.axhline(threshold, color=_HUES["defaced"], linewidth=0.9, linestyle=(0, (4, 2)))
        panel.set(xlim=(-0.3, 1.3), xticks=[0, 1], xticklabels=["defaced", "refaced"])
        if picked.empty:
            panel.text(0.5, 0.5, "No scan changed so much.", ha="center", va="center", fontsize=9,
                       transform=panel.transAxes, color=INK)  # fmt: skip
        scans = words.plural(len(picked), "scan")
        panel.set_title(f"{_short(view.look, variant)}: {scans}", loc="left")
    panels[0].set_ylabel("largest change (%)")
    panels[0].set_ylim(bottom=0)
    return figure


def _short(look: Look, variant: str) -> str:
    return look.label(variant).replace(" (native)", "").replace(" (official)", "")


def printed(view: View) -> Printed:
    """Return one row per refaced variant."""
    table = view.rows("recovered")
    columns = ["Variant", "Scans", "Over, defaced", "Over, refaced", "Recovered", "Still over",
               "Newly over", "Without a result"]  # fmt: skip
    names = ("scans", "over_defaced", "over_refaced", "recovered", "still", "new", "lost")
    return columns, [
        [view.look.label(row["variant"]), *(str(int(row[f"n_{name}"])) for name in names)]
        for _, row in table.iterrows()
    ]


RESULT = Result(
    "recovered",
    about=__doc__,
    job=STUDY,
    reads="vol_gm vol_wm vol_csf vol_tiv",
    columns="""
        variant segmenter n n_scans n_over_defaced n_over_refaced n_recovered n_still n_new n_lost
        over_defaced_share over_defaced_low over_defaced_high
        over_refaced_share over_refaced_low over_refaced_high threshold_pct
    """,
    compute=exclusions.of_study(compute),
    caption=caption,
    latex="""
        variant segmenter n_scans n_over_defaced n_over_refaced n_recovered n_still n_new n_lost
        threshold_pct
    """,
    heading=HEADING,
    order=12,
    printed=printed,
    figures=[
        Figure(
            "volumes_by_scan",
            "Points: change of grey and white matter, CSF and intracranial volume of each scan, "
            "defaced and refaced, one row per refaced variant.",
            draw_by_scan,
            caption_by_scan,
            title="Volumes by scan",
        ),
        Figure(
            "recovered",
            "Lines: largest change of the scans that defacing changed, before and after refacing.",
            draw_recovered,
            caption_recovered,
            title="Scans that refacing recovered",
        ),
    ],
)
