"""The privacy-utility plane: what a data steward wants to see first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.plot.numbers import percent
from refacebench.plot.style import (
    BAND,
    FAINT,
    INK,
    WIDTH,
    Look,
    message_figure,
    new_figure,
    pick_segmenter,
    styled,
)
from refacebench.plot.volumes import region_label
from refacebench.statistics.attack_tables import (
    DIRECT,
    SETTING_WORDS,
    TAKEN_OFF,
    is_beaten,
    is_landmark,
    is_unranked,
    main_rows,
)

#: The name of the corrected rate, beside the observed one, wherever both are printed.
CORRECTED = "corrected for picking the worst attack"
#: The front's colour, and that of the chance line.
FRONT, CHANCE = "#2f6f4f", "#B00020"
#: What stands above the plane where no method is shown to be better than another.
UNRANKED = "These data do not separate the methods: every one of them may be the best."
#: How a route reads beside its attacker; any other one is a model that puts a face back.
ROUTES = {DIRECT: "", TAKEN_OFF: ", new face taken off"}
#: Behind labels, so that lines do not cross them.
_PAPER = {"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.3}
#: Lines of labels are at least so far apart, as a share of the axis.
_LINE = 0.052


@styled
def draw(table: pd.DataFrame, look: Look, *, segmenter: str | None = None):
    """Draw worst-case identification against the largest change of a volume, the front marked.

    Variants on which too many participants failed are crossed out and do not compete.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``tradeoff``.
    look : Look
        Order, names and colours of the variants.
    segmenter : str, optional
        The first one of the table if left out.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table, _ = pick_segmenter(table, segmenter)
    table = main_rows(table) if len(table) else table
    shown = table.dropna(subset=["identification", "volume_change_pct"]) if len(table) else table
    if shown.empty:
        return message_figure("No variant has both an attack and measured volumes.")
    figure = new_figure(WIDTH, 6.2)
    axes = figure.add_subplot()
    for _, row in shown.iterrows():
        _point(axes, row, look)
    right = _limits(axes, shown)
    _noise(axes, shown)
    chance = float(shown["chance"].median())
    axes.axhline(100 * chance, color=CHANCE, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1)
    axes.text(1.005, 100 * chance, "chance", color=CHANCE, fontsize=8, ha="left", va="center",
              transform=axes.get_yaxis_transform())  # fmt: skip
    _floor(axes, shown)
    _labels(axes, shown, look, right)
    first = shown.iloc[0]
    several = round(1 / chance) if chance > 0 else "several"
    what = f"picked out of {several}" if first["measure"] == "choice" else "named first"
    axes.set_ylabel(
        f"identified by the worst attack, % of those attacked\n({what}, "
        f"{SETTING_WORDS[first['setting']]}; {CORRECTED})"
    )
    axes.set_xlabel(
        "change of the volume that changes most, named beside each point (median, %; square-root "
        "scale)"
    )
    _not_drawn(axes, table, shown, look)
    if is_unranked(shown):
        axes.set_title(UNRANKED, loc="left", fontsize=9)
    _legend(figure, shown)
    return figure


def _point(axes, row, look: Look) -> None:
    x, y = row["volume_change_pct"], 100 * row["identification"]
    colour = look.colour(row["variant"])
    style = {"color": colour, "linewidth": 1.2, "alpha": 0.7, "zorder": 3}
    if np.isfinite(row["low"]) and np.isfinite(row["high"]):
        axes.plot([x, x], [100 * row["low"], 100 * row["high"]], **style)
    if np.isfinite(row["volume_low"]) and np.isfinite(row["volume_high"]):
        axes.plot([row["volume_low"], row["volume_high"]], [y, y], **style)
    if is_corrected(row):
        axes.plot([x], [100 * row["worst_rate"]], marker="_", markersize=11, markeredgewidth=2,
                  color=colour, linestyle="none", zorder=4)  # fmt: skip
    hollow = is_landmark(row["variant"])
    on_front = row["pareto"] == 1
    edge = CHANCE if is_beaten(row) else FRONT if on_front else colour
    if row["comparable"] == 0:
        axes.plot([x], [y], marker="x", markersize=13, color=CHANCE, markeredgewidth=1.4,
                  linestyle="none", zorder=6)  # fmt: skip
    axes.plot([x], [y], marker=look.mark(row["variant"]), markersize=9 if on_front else 7,
              linestyle="none", color=colour, markerfacecolor="white" if hollow else colour,
              markeredgecolor=edge, markeredgewidth=1.2 if edge == colour else 2.2,
              zorder=5)  # fmt: skip


def is_corrected(row) -> bool:
    """Tell whether the observed and the corrected rate differ as they are printed."""
    known = np.isfinite(row["worst_rate"]) and np.isfinite(row["identification"])
    return bool(known and percent(row["worst_rate"]) != percent(row["identification"]))


def _limits(axes, shown: pd.DataFrame) -> float:
    """Set both axes and return the right end: a square root spreads the small changes."""
    ends = shown[["volume_change_pct", "volume_high"]].to_numpy(dtype=float)
    right = 1.5 * max(float(np.nanmax(ends)), 0.5)
    axes.set_xscale("function", functions=(_root, _square))
    axes.set_xlim(_square(-0.03 * _root(right)), right)
    axes.set_ylim(0, 104)
    ticks = [t for t in (0, 0.1, 0.5, 1, 2, 3, 5, 10, 20, 50) if t < right]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    return right


def _not_drawn(axes, table: pd.DataFrame, shown: pd.DataFrame, look: Look) -> None:
    """Name the variants that have no point, so that none is missed."""
    rows = table[~table["variant"].isin(shown["variant"])]
    names = [
        look.label(row["variant"])
        + (f" ({int(row['n_failed'])} of {int(row['n'])} failed)" if row["n_failed"] > 0 else "")
        for _, row in rows.iterrows()
    ]
    if names:
        axes.text(0.995, 0.995, f"no point: {', '.join(names)}", fontsize=7, color=INK, ha="right",
                  va="top", transform=axes.transAxes)  # fmt: skip


def _noise(axes, shown: pd.DataFrame) -> None:
    """Shade the changes that the null control cannot be told from: differences there are noise."""
    null = shown.loc[shown["variant"] == "null", "volume_high"].dropna()
    if len(null):
        axes.axvspan(0, float(null.iloc[0]), color=BAND, zorder=0)
        axes.text(float(null.iloc[0]), 1, " grey: the null control, noise alone", fontsize=7,
                  color=FAINT, va="bottom")  # fmt: skip


def _floor(axes, shown: pd.DataFrame) -> None:
    """Draw what an attacker who looks at no face reaches: no defacing goes under it.

    Each variant has its own floor, the original's stands for them; a floor below
    every point is drawn too, since it says that the face is what gives people away.
    """
    rows = shown.dropna(subset=["floor"]).set_index("variant")
    if rows.empty:
        return
    row = rows.loc["original"] if "original" in rows.index else rows.iloc[0]
    height = 100 * row["floor"]
    axes.axhline(height, color=FAINT, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
    axes.text(0.995, height - 0.5, f"floor: {row['floor_attacker']}, without any face ",
              color=FAINT, fontsize=8, ha="right", va="top",
              transform=axes.get_yaxis_transform())  # fmt: skip


def _root(x):
    return np.sign(x) * np.sqrt(np.abs(x))


def _square(x):
    return np.sign(x) * np.square(x)


def _labels(axes, shown: pd.DataFrame, look: Look, right: float) -> None:
    """Write names and worst attacks right of the points, spread so that none overlap."""
    rows = shown.sort_values(["identification", "volume_change_pct"], ascending=False)
    placed: list[tuple[float, float]] = []
    for _, row in rows.iterrows():
        # In shares of the axes.
        x, y = _root(row["volume_change_pct"]) / _root(right), row["identification"] / 1.04
        place = _free(x, y, placed, row["chance"] / 1.04)
        placed.append((x, place))
        how = _small_print(row)
        at = (_square((x + 0.016) * _root(right)), 104 * place)
        axes.annotate(look.label(row["variant"]), (row["volume_change_pct"], 104 * y),
                      xytext=at, fontsize=8, color=INK, va="bottom",
                      fontweight="bold" if row["pareto"] == 1 and not is_beaten(row) else "normal",
                      arrowprops=_leader(place - y), zorder=7,
                      bbox=_PAPER)  # fmt: skip
        axes.annotate(how, at, xytext=(0, -1), textcoords="offset points", fontsize=6.5,
                      color=FAINT, va="top", zorder=7,
                      bbox=_PAPER)  # fmt: skip


def _small_print(row) -> str:
    """Return the worst attack, the worst volume and, where there are any, the failures."""
    parts = [row["worst_attacker"] + ROUTES.get(row["worst_route"], f" after {row['worst_route']}")]
    parts[0] += f" {percent(row['worst_rate'])} %"
    if is_corrected(row):
        parts[0] += f", corrected {percent(row['identification'])} %"
    if pd.notna(row["worst_volume"]):
        parts.append(region_label(row["worst_volume"]))
    if row["n_failed"] > 0:
        parts.append(f"{int(row['n_failed'])} of {int(row['n'])} failed")
    if is_beaten(row):
        parts.insert(0, "an attack beats it")
    return "; ".join(parts)


def _free(x: float, y: float, placed, chance: float) -> float:
    """Return the height nearest to the point at which a label hits no other and not chance."""
    for step in sorted(range(-60, 61), key=abs):
        place = y + 0.01 + 0.006 * step
        hit = any(abs(place - b) < _LINE and abs(x - a) < 0.26 for a, b in placed)
        # The name stands above its place, the small print below: the line would strike it out.
        hit = hit or -0.026 < chance - place < 0.03
        if not hit and 0.02 < place < 0.97:
            return place
    return y


def _leader(shift: float) -> dict | None:
    """Return a thin line from a label that had to move to its point."""
    if abs(shift) < 0.035:
        return None
    return {"arrowstyle": "-", "color": FAINT, "linewidth": 0.5}


def _legend(figure, shown: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=8,
               markerfacecolor=FAINT, markeredgecolor=FRONT, markeredgewidth=2.2,
               label="Pareto front: no other variant is shown to be better"),
        Line2D([], [], marker="o", linestyle="none", markerfacecolor="white",
               markeredgecolor=INK, markersize=7, label="control"),
        Line2D([], [], color=FAINT, linewidth=1.2, label="interval"),
        Line2D([], [], marker="D", linestyle="none", color=FAINT, markersize=7,
               label="refaced"),
    ]  # fmt: skip
    if shown.apply(is_corrected, axis=1).any():
        handles.append(Line2D([], [], marker="_", linestyle="none", color=FAINT, markersize=11,
                              markeredgewidth=2, label="as observed, not corrected"))  # fmt: skip
    if shown.apply(is_beaten, axis=1).any():
        handles.append(
            Line2D([], [], linestyle="none", marker="o", markersize=8, markerfacecolor=FAINT,
                   markeredgecolor=CHANCE, markeredgewidth=2.2,
                   label="an attack beats it: above chance by exact test")
        )  # fmt: skip
    if (shown["comparable"] == 0).any():
        handles.append(Line2D([], [], marker="x", linestyle="none", color=CHANCE, markersize=9,
                              label="too many failed: not comparable"))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
