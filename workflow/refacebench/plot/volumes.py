"""Volume changes: one map over all regions, and intervals for the whole-brain measures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.style import (
    BAND,
    INK,
    WIDTH,
    Look,
    message_figure,
    new_figure,
    pick_segmenter,
    styled,
)
from refacebench.vocabulary import GLOBALS, REGIONS

SHORT = {"tiv": "TIV", "brain": "brain", "gm": "GM", "wm": "WM", "csf": "CSF", "vcsf": "vent. CSF"}
PANELS = ("tiv", "gm", "wm", "csf")
TITLES = {
    "tiv": "Intracranial volume",
    "gm": "Grey matter",
    "wm": "White matter",
    "csf": "Cerebrospinal fluid",
}


def region_label(region: str) -> str:
    """Return the name of a region as a reader meets it.

    >>> region_label("thalamus_left"), region_label("tiv")
    ('thalamus L', 'TIV')
    """
    name = SHORT.get(region, region)
    return name.replace("_left", " L").replace("_right", " R")


def is_true(column: pd.Series) -> pd.Series:
    """Read a column of yes/no that may have come through a TSV; missing is no."""
    return column.astype(str).str.strip().str.lower().isin(("true", "1", "1.0"))


@styled
def draw(
    table: pd.DataFrame,
    look: Look,
    *,
    segmenter: str | None = None,
    alpha: float = 0.05,
    full_colour_pct: float = 5.0,
):
    """Draw the median change in percent of each region (column) and variant (row).

    An asterisk marks a change that stays significant after Holm's correction,
    a frame one that is equivalent to none within the margin.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``volumes``.
    look : Look
        Order, names and colours of the variants.
    segmenter : str, optional
        The first one of the table if left out.
    alpha : float
        Level of the tests.
    full_colour_pct : float
        Change that has the darkest colour; fixed (the threshold of a changed
        volume), so that noise looks like noise and figures can be compared.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table, _ = pick_segmenter(table, segmenter)
    table = table[table["variant"] != "original"] if len(table) else table
    if table.empty:
        return message_figure("No variant with measured volumes.")
    places = dots.positions(look.sort(table["variant"]))
    columns = [r for r in (*GLOBALS, *REGIONS) if r in set(table["region"])]
    across = _across(columns)
    bottom = max(places.values())
    figure = new_figure(WIDTH + 0.8, 2.5 + 0.27 * (bottom + 1))
    axes = figure.add_subplot()
    cells = table.set_index(["variant", "region"])
    painter = _painter(full_colour_pct)
    for variant, y in places.items():
        for region, x in across.items():
            row = cells.loc[(variant, region)] if (variant, region) in cells.index else None
            _cell(axes, x, y, row, painter, alpha)
    axes.set_xlim(-0.55, max(across.values()) + 0.55)
    axes.set_ylim(bottom + 0.55, -0.55)
    axes.set_xticks(list(across.values()), [region_label(r) for r in across], rotation=55,
                    ha="right", rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(list(places.values()), look.row_labels(list(places)))
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    bar = figure.colorbar(painter, ax=axes, pad=0.01, extend="both", anchor=(0.0, 1.0),
                          shrink=min(0.95, 6.0 / (bottom + 1)), aspect=14)  # fmt: skip
    bar.set_label("median change (%)")
    bar.outline.set_visible(False)
    handles = _keys(table, alpha, len(places) * len(across))
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
    return figure


def _keys(table: pd.DataFrame, alpha: float, cells: int) -> list:
    """Return the legend of what is in the map, and of nothing that is not."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    known = table[np.isfinite(table["median_change_pct"].astype(float))]
    found: list = []
    if (known["p_holm"] < alpha).any():
        found.append(Line2D([], [], linestyle="none", marker=(6, 2, 0), color=INK, markersize=6,
                            label="differs from the original "
                            f"(Holm-corrected p < {alpha:g})"))  # fmt: skip
    if is_true(known["equivalent"]).any():
        found.append(Patch(facecolor="none", edgecolor=INK, linewidth=0.9,
                           label="framed: equivalent to no change within the margin"))  # fmt: skip
    if len(known) < cells:
        found.append(Patch(facecolor="white", edgecolor="#c8c8c8", hatch="////", linewidth=0,
                           label="hatched: no value"))  # fmt: skip
    return found


def _across(columns) -> dict[str, float]:
    """Return the x coordinate of each column; the regions stand apart from the whole brain."""
    first = sum(name in GLOBALS for name in columns)
    return {name: i + (0.35 if i >= first and first else 0.0) for i, name in enumerate(columns)}


def _painter(scale: float):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-scale, scale), "RdBu_r")


def _cell(axes, x, y, row, painter, alpha) -> None:
    from matplotlib.patches import Rectangle

    corner, size = (x - 0.48, y - 0.47), (0.96, 0.94)
    value = np.nan if row is None else row["median_change_pct"]
    if not np.isfinite(value):
        axes.add_patch(Rectangle(corner, *size, facecolor="white", edgecolor="#c8c8c8",
                                 hatch="////", linewidth=0))  # fmt: skip
        return
    colour = painter.to_rgba(value)
    axes.add_patch(Rectangle(corner, *size, facecolor=colour, linewidth=0))
    if is_true(pd.Series([row["equivalent"]])).iloc[0]:
        axes.add_patch(Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, facecolor="none",
                                 edgecolor=INK, linewidth=0.9))  # fmt: skip
    light = np.dot(colour[:3], (0.299, 0.587, 0.114))
    star = "*" if row["p_holm"] < alpha else ""
    axes.text(x, y, f"{_signed(value, bool(star))}{star}", ha="center", va="center", fontsize=7,
              color="white" if light < 0.5 else INK,
              fontweight="bold" if star else "normal")  # fmt: skip


def _signed(value: float, shown: bool = False) -> str:
    """Return a short number with its sign; plain zero where it rounds to zero.

    A change that is ``shown`` to be there is not called zero.

    >>> _signed(-0.04), _signed(1.25), _signed(-43.2), _signed(-0.04, shown=True)
    ('0', '+1.2', '-43', '<0.1')
    """
    if abs(value) < 0.05:
        return "<0.1" if shown and value else "0"
    return f"{value:+.1f}" if abs(value) < 9.95 else f"{value:+.0f}"


@styled
def draw_globals(
    table: pd.DataFrame, look: Look, *, segmenter: str | None = None, alpha: float = 0.05
):
    """Draw the change of intracranial, grey, white and CSF volume with its interval.

    A filled mark differs significantly from the original (Holm), a hollow one
    does not; the grey band is the equivalence margin.

    Parameters
    ----------
    table, look, segmenter, alpha
        As for :func:`draw`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table, _ = pick_segmenter(table, segmenter)
    table = table[table["variant"] != "original"] if len(table) else table
    shown = [r for r in PANELS if len(table) and r in set(table["region"])]
    if not shown:
        return message_figure("No variant with measured volumes.")
    variants = look.sort(table["variant"])
    figure, axes, places = dots.panels(variants, look, [TITLES[r] for r in shown], extra=1.3)
    edges = False
    for panel, region in zip(axes, shown, strict=True):
        rows = table[table["region"] == region]
        margins = rows["margin_pct"].dropna()
        dots.band(panel, float(margins.iloc[0]) if len(margins) else np.nan)
        panel.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
        values = {
            variant: tuple(
                dots.cell(rows[rows["variant"] == variant], c)
                for c in ("median_change_pct", "low", "high")
            )
            for variant in places
        }
        far = dots.far_out(values)
        edges |= bool(far)
        for variant, y in places.items():
            if variant in far:
                dots.at_the_edge(panel, y, look, variant, *values[variant])
                continue
            significant = dots.cell(rows[rows["variant"] == variant], "p_holm") < alpha
            dots.interval(panel, y, look, variant, *values[variant], filled=significant)
        panel.set_xlabel("median change (%)")
        panel.locator_params(axis="x", nbins=5)
        panel.margins(x=0.08)
    dots.counts(axes[-1], places, table)
    mine = table[table["region"].isin(shown)]
    handles = []
    if (mine["p_holm"] < alpha).any():
        handles.append(dots.sample(f"differs from the original (Holm-corrected p < {alpha:g})"))
    if not (mine["p_holm"] < alpha).all():
        handles.append(dots.sample("not shown to differ", filled=False))
    if mine["margin_pct"].notna().any():
        from matplotlib.patches import Patch

        handles.append(Patch(color=BAND, label="equivalence margin"))
    if edges:
        handles.append(dots.sample_edge())
    dots.legend(figure, handles)
    return figure
