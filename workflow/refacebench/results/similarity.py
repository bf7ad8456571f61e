"""Similarity of each image to its original: correlation and SSIM.

Measure (corr, ssim) x region (front, full) x site, ``all`` pools sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import NO_VALUE
from refacebench.plot.style import INK, Look, message_figure, ok_rows, styled
from refacebench.results import missing, words
from refacebench.results.cells import by_variant, count, with_interval
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.statistics import cohort
from refacebench.statistics.cohort import measure, pairs
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.summaries import summary
from refacebench.vocabulary import OK


def compute(once: pd.DataFrame, criteria: Criteria, variants: Sequence[str]) -> pd.DataFrame:
    """Return correlation and SSIM with the original image, by site and for all sites."""
    rows = []
    for variant in variants:
        if variant == "original":
            continue
        table = pairs(once, "any", variant, criteria)
        site = table.get("site", pd.Series("", index=table.index)).fillna("").astype(str)
        sites = sorted(set(site) - {""})
        for place in ("all", *sites):
            here = table if place == "all" else table[site == place]
            for name in ("corr", "ssim"):
                for region in ("front", "full"):
                    values = measure(here, f"{name}_{region}")
                    rows.append(
                        {
                            "variant": variant,
                            "site": place,
                            "measure": name,
                            "region": region,
                            **summary(values, here["participant"], criteria, -1.0, 1.0),
                            "n_failed": int(values.isna().sum()),
                        }
                    )
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption of the similarity to the original image."""
    table = view.tables["similarity"]
    pooled = table[table["site"] == "all"]
    return words.folded(
        words.join(
            "Correlation and structural similarity (SSIM) of each image with its original, in the "
            "front half and in the full frame, of scans that went through. Small points "
            "are scans, larger marks the means of sites. High similarity in the face region is no "
            "virtue in itself: it may mean that the face is still there.",
            missing.images(view, pooled.groupby("variant")["n_scans"].max().to_dict()),
        ),
        words.cohort(table),
        words.intervals(view.criteria, table),
    )


NAMES = {"corr": "correlation", "ssim": "SSIM"}
PLACES = {"front": "front half", "full": "full frame"}
SITE_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
ALL_SITES = ("", "all", "all sites")


@styled
def draw(table: pd.DataFrame, look: Look, measures: pd.DataFrame | None = None) -> Any:
    """Draw correlation and SSIM with the original, defaced next to refaced.

    Small points are scans, larger marks with an interval are the means of
    sites, as in figure 5 of Abramian & Eklund (2019).

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``similarity``.
    look : Look
        Order, names and colours of the variants.
    measures : pandas.DataFrame, optional
        The measurement table: adds one point per scan.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if table.empty:
        return message_figure("No similarity was measured.")
    variants = [v for v in look.sort(table["variant"]) if v != "original"]
    shown = [(m, r) for m in NAMES for r in PLACES
             if ((table["measure"] == m) & (table["region"] == r)).any()]  # fmt: skip
    sites = _sites(table)
    titles = [f"{NAMES[m].capitalize() if m == 'corr' else NAMES[m]}, {PLACES[r]}"
              for m, r in shown]  # fmt: skip
    row = max(dots.ROW, 0.11 * len(sites))
    figure, axes, places = dots.panels(variants, look, titles, row=row, extra=1.3)
    points = _of_images(measures)
    for panel, (name, region) in zip(axes, shown, strict=True):
        rows = table[(table["measure"] == name) & (table["region"] == region)]
        for variant, y in places.items():
            for place, site in enumerate(sites):
                lane = y + 0.72 * ((place + 0.5) / len(sites) - 0.5)
                _site(panel, lane, variant, site, place, sites, rows, look,
                      points, f"{name}_{region}")  # fmt: skip
        panel.set_xlabel(NAMES[name])
        panel.locator_params(axis="x", nbins=4)
        panel.margins(x=0.05)
    _legend(figure, sites)
    return figure


def _of_images(measures: pd.DataFrame | None) -> pd.DataFrame:
    """Return one row per compared image: of several segmenters' rows one, segmented or not."""
    if measures is None:
        return pd.DataFrame(columns=["variant"])
    rows = cohort.once(measures)
    return ok_rows(rows[cohort.has_image(rows)].assign(status=OK))


def _sites(table: pd.DataFrame) -> list[str]:
    """Return the sites of a table; the row of all sites only where there is no other."""
    names = sorted({str(s) for s in table["site"].fillna("")})
    single = [name for name in names if name not in ALL_SITES]
    return single or names


def _site(
    axes: Any,
    y: float,
    variant: str,
    site: str,
    place: int,
    sites: Sequence[str],
    rows: pd.DataFrame,
    look: Look,
    points: pd.DataFrame,
    column: str,
) -> None:
    colour = look.colour(variant)
    spread = 0.3 / max(len(sites), 1)
    if column in points:
        mine = points["variant"] == variant
        if site not in ALL_SITES and "site" in points:
            mine &= points["site"].astype(str) == site
        dots.scans(axes, y, points.loc[mine, column], colour, spread)
    one = rows[(rows["variant"] == variant) & (rows["site"].fillna("").astype(str) == site)]
    value, low, high = (dots.cell(one, name) for name in ("mean", "low", "high"))
    if value != value:
        return
    if low == low and high == high:
        axes.plot([low, high], [y, y], color=colour, linewidth=1.4, zorder=3)
    axes.plot([value], [y], linestyle="none", marker=SITE_MARKS[place % len(SITE_MARKS)],
              markersize=5.5, color=colour, markeredgecolor="white", markeredgewidth=0.6,
              zorder=4)  # fmt: skip


def _legend(figure: Any, sites: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=2.6, color=INK, alpha=0.6,
               label="one scan")
    ]  # fmt: skip
    for place, site in enumerate(sites):
        label = "mean, with interval" if site in ALL_SITES else f"mean of {site}, with interval"
        handles.append(Line2D([], [], marker=SITE_MARKS[place % len(SITE_MARKS)], markersize=5.5,
                              color=INK, linewidth=1.4, label=label))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 6))


def printed(view: View) -> Printed:
    """Return one row per variant, over all sites."""
    table, look = view.rows("similarity"), view.look
    shown = [("corr", "front"), ("corr", "full"), ("ssim", "front"), ("ssim", "full")]
    names = {"corr": "Correlation", "ssim": "SSIM"}
    places = {"front": "front half", "full": "full frame"}
    columns = ["Variant", "n (failed)", *[f"{names[m]}, {places[r]}" for m, r in shown]]
    table = table[table["site"].isin(("all", ""))]
    rows = []
    for label, mine in by_variant(table, look):
        by = mine.set_index(["measure", "region"])
        cells = [
            with_interval(by.loc[key], "mean", "low", "high", 3) if key in by.index else NO_VALUE
            for key in shown
        ]
        rows.append([label, count(mine.iloc[0]), *cells])
    return columns, rows


RESULT = Result(
    "similarity",
    about=__doc__,
    job=STATISTICS,
    reads="corr_* ssim_*",
    columns="variant site measure region n n_scans n_failed mean sd low high",
    compute=lambda given, _: compute(given.once, given.criteria, given.variants),
    caption=caption,
    heading=Heading("similarity", "Similarity to the original image", order=700),
    order=700,
    printed=printed,
    figures=[
        Figure(
            "similarity",
            "Dots: correlation and SSIM with the original image, one row per variant.",
            lambda view: draw(view.rows("similarity"), view.look, view.measures),
            title="Similarity to the original",
        )
    ],
)
