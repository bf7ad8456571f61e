"""Similarity of each image to its original, per scan and as the mean of each site."""

from __future__ import annotations

import pandas as pd

from refacebench.figures import dots
from refacebench.figures.style import INK, Look, message_figure, ok_rows, styled

MEASURES = {"corr": "correlation", "ssim": "SSIM"}
REGIONS = {"front": "front half", "full": "full frame"}
SITE_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
ALL_SITES = ("", "all", "all sites")


@styled
def draw(table: pd.DataFrame, look: Look, measures: pd.DataFrame | None = None):
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
        The measurement table: adds one point a scan.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if table.empty:
        return message_figure("No similarity was measured.")
    variants = [v for v in look.sort(table["variant"]) if v != "original"]
    shown = [(m, r) for m in MEASURES for r in REGIONS
             if ((table["measure"] == m) & (table["region"] == r)).any()]  # fmt: skip
    sites = _sites(table)
    titles = [f"{MEASURES[m].capitalize() if m == 'corr' else MEASURES[m]}, {REGIONS[r]}"
              for m, r in shown]  # fmt: skip
    row = max(dots.ROW, 0.11 * len(sites))
    figure, axes, places = dots.panels(variants, look, titles, row=row, extra=1.3)
    points = _one_segmenter(ok_rows(measures))
    for panel, (measure, region) in zip(axes, shown, strict=True):
        rows = table[(table["measure"] == measure) & (table["region"] == region)]
        for variant, y in places.items():
            for place, site in enumerate(sites):
                lane = y + 0.72 * ((place + 0.5) / len(sites) - 0.5)
                _site(panel, lane, variant, site, place, sites, rows, look,
                      points, f"{measure}_{region}")  # fmt: skip
        panel.set_xlabel(MEASURES[measure])
        panel.locator_params(axis="x", nbins=4)
        panel.margins(x=0.05)
    _legend(figure, sites)
    return figure


def _sites(table: pd.DataFrame) -> list[str]:
    """Return the sites of a table; the row of all sites only where there is no other."""
    names = sorted({str(s) for s in table["site"].fillna("")})
    single = [name for name in names if name not in ALL_SITES]
    return single or names


def _one_segmenter(points: pd.DataFrame) -> pd.DataFrame:
    """Similarity knows no segmenter, the measurement table has a row for each."""
    if "segmenter" in points and points["segmenter"].nunique() > 1:
        return points[points["segmenter"] == points["segmenter"].iloc[0]]
    return points


def _site(axes, y, variant, site, place, sites, rows, look, points, column) -> None:
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


def _legend(figure, sites) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=2.6, color=INK, alpha=0.6,
               label="one scan")
    ]  # fmt: skip
    for place, site in enumerate(sites):
        label = "mean" if site in ALL_SITES else f"mean of site {site}"
        handles.append(Line2D([], [], marker=SITE_MARKS[place % len(SITE_MARKS)], markersize=5.5,
                              color=INK, linewidth=1.4, label=label))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 6))
