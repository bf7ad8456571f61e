"""The privacy-utility plane: what a data steward wants to see first."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd

from refacebench.plot import dots, labels
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
    settle,
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
CORRECTED = "corrected for picking the strongest attack"
#: The front's colour, and that of the chance line.
FRONT, CHANCE = "#2f6f4f", "#B00020"
#: What stands above the plane where no method is shown to be better than another.
UNRANKED = "These data do not separate the methods: every one of them may be the best."
#: How a route reads beside its attacker; any other one is a model that puts a face back.
ROUTES = {DIRECT: "", TAKEN_OFF: ", new face taken off"}
#: A change so many times that of all others stands behind a break of the axis.
_FAR = 9.0
#: Widths of the two parts of a broken axis.
_PARTS = (5.0, 1.3)


@styled
def draw(table: pd.DataFrame, look: Look, *, segmenter: str | None = None):
    """Draw worst-case identification against the largest change of a volume, the front marked.

    Variants on which too many participants failed are crossed out and do not compete.
    Where a few variants change so much more than all others that these would be one heap, the
    axis is broken.

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
    far = _far(shown)
    parts = _panels(figure, shown, far)
    for _, row in shown.iterrows():
        _point(parts[-1 if row["variant"] in far else 0], row, look)
    chance = float(shown["chance"].median())
    _lines(parts, shown, chance)
    _titles(parts[0], shown, chance)
    _not_drawn(parts, table, shown, look)
    _legend(figure, shown)
    _labels(figure, parts, shown, look, far)
    return figure


def _far(shown: pd.DataFrame) -> list[str]:
    """Return the variants that stand behind a break of the axis."""
    ends = ["volume_change_pct", "volume_low", "volume_high"]
    rows = {row["variant"]: row[ends].to_numpy(dtype=float) for _, row in shown.iterrows()}
    return dots.far_out(rows, _FAR)


def _panels(figure, shown: pd.DataFrame, far) -> list:
    """Return the panel, or the two parts of a broken one."""
    if not far:
        axes = figure.add_subplot()
        _scale(axes, shown)
        return [axes]
    near, beyond = figure.subplots(1, 2, sharey=True, width_ratios=_PARTS)
    figure.get_layout_engine().set(wspace=0.0, w_pad=0.02)
    mine = shown["variant"].isin(far)
    _scale(near, shown[~mine])
    ends = shown.loc[mine, ["volume_change_pct", "volume_low", "volume_high"]].to_numpy(dtype=float)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    room = 0.25 * max(high - low, 0.3 * high)
    beyond.set_xlim(max(low - room, 0.0), high + room)
    beyond.locator_params(axis="x", nbins=3)
    beyond.spines["left"].set_visible(False)
    beyond.tick_params(axis="y", length=0)
    beyond.patch.set_visible(False)
    slash = {"marker": [(-0.5, -1), (0.5, 1)], "markersize": 10, "linestyle": "none", "color": INK,
             "markeredgewidth": 1.0, "clip_on": False}  # fmt: skip
    near.plot([1], [0], transform=near.transAxes, **slash)
    beyond.plot([0], [0], transform=beyond.transAxes, **slash)
    return [near, beyond]


def _scale(axes, shown: pd.DataFrame) -> None:
    """Set both axes: a square root spreads the small changes."""
    ends = shown[["volume_change_pct", "volume_high"]].to_numpy(dtype=float)
    right = 1.25 * max(float(np.nanmax(ends)), 0.5)
    axes.set_xscale("function", functions=(_root, _square))
    axes.set_xlim(_square(-0.03 * _root(right)), right)
    axes.set_ylim(0, 104)
    ticks = [t for t in (0, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50) if t < right]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])


def _titles(axes, shown: pd.DataFrame, chance: float) -> None:
    first = shown.iloc[0]
    several = round(1 / chance) if chance > 0 else "several"
    what = f"picked from {several} pictures" if first["measure"] == "choice" else "named first"
    setting = SETTING_WORDS[first["setting"]]
    axes.set_ylabel(f"people identified by the strongest attack (%)\n({what}; {setting})")
    axes.set_xlabel(
        "change of the volume that changes most, named under each label (median, %; "
        "square-root scale)"
    )
    if is_unranked(shown):
        axes.set_title(UNRANKED, loc="left", fontsize=9)


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
    if is_beaten(row):
        # Twice ringed, for who cannot tell red from green.
        axes.plot([x], [y], marker="o", markersize=14, color=CHANCE, markerfacecolor="none",
                  markeredgewidth=1.2, linestyle="none", zorder=5)  # fmt: skip
    axes.plot([x], [y], marker=look.mark(row["variant"]), markersize=9 if on_front else 7,
              linestyle="none", color=colour, markerfacecolor="white" if hollow else colour,
              markeredgecolor=edge, markeredgewidth=1.2 if edge == colour else 2.2,
              zorder=5)  # fmt: skip


def is_corrected(row) -> bool:
    """Tell whether the observed and the corrected rate differ as they are printed."""
    known = np.isfinite(row["worst_rate"]) and np.isfinite(row["identification"])
    return bool(known and percent(row["worst_rate"]) != percent(row["identification"]))


def _not_drawn(parts, table: pd.DataFrame, shown: pd.DataFrame, look: Look) -> None:
    """Name the variants that have no point, so that none is missed."""
    rows = table[~table["variant"].isin(shown["variant"])]
    names = [
        look.label(row["variant"])
        + (f" ({int(row['n_failed'])} of {int(row['n'])} failed)" if row["n_failed"] > 0 else "")
        for _, row in rows.iterrows()
    ]
    if names:
        text = textwrap.fill(f"no point: {', '.join(names)}", 120)
        parts[0].text(0.0, 1.045, text, fontsize=7, color=INK, ha="left", va="bottom",
                      transform=parts[0].transAxes)  # fmt: skip


def _lines(parts, shown: pd.DataFrame, chance: float) -> None:
    """Draw chance, the floor and the null control's noise, named at the right edge.

    The floor is what an attacker reaches that looks at no face: no defacing goes under it.
    Each variant has its own, the original's stands for them; one below every point is drawn too,
    since it says that the face is what gives people away.
    """
    null = shown.loc[shown["variant"] == "null", "volume_high"].dropna()
    if len(null):
        parts[0].axvspan(0, float(null.iloc[0]), color=BAND, zorder=0)
    heights = [(100 * chance, "chance", CHANCE, (0, (4, 2)))]
    rows = shown.dropna(subset=["floor"]).set_index("variant")
    if len(rows):
        row = rows.loc["original"] if "original" in rows.index else rows.iloc[0]
        heights.append((100 * row["floor"], f"floor: {row['floor_attacker']},\nno face needed",
                        FAINT, (0, (1, 2))))  # fmt: skip
    for axes in parts:
        for height, _, colour, dash in heights:
            axes.axhline(height, color=colour, linewidth=1.1, linestyle=dash, zorder=1)
    places = _spread([height for height, *_ in heights])
    for place, (_, text, colour, _) in zip(places, heights, strict=True):
        parts[-1].text(1.015, place, text, color=colour, fontsize=8, ha="left", va="center",
                       transform=parts[-1].get_yaxis_transform())  # fmt: skip


#: Names at the edge are at least so far apart, in percent points.
_APART = 7.0


def _spread(heights: list[float]) -> list[float]:
    """Return the heights of two names at the edge, moved apart where they would touch."""
    if len(heights) < 2 or abs(heights[0] - heights[1]) >= _APART:
        return heights
    middle, up = sum(heights) / 2, heights[0] >= heights[1]
    middle = max(middle, _APART / 2)
    ends = middle + _APART / 2, middle - _APART / 2
    return list(ends if up else ends[::-1])


def _root(x):
    return np.sign(x) * np.sqrt(np.abs(x))


def _square(x):
    return np.sign(x) * np.square(x)


def _labels(figure, parts, shown: pd.DataFrame, look: Look, far) -> None:
    """Write name, volume and failures beside each point, clear of all lines, marks and texts."""
    axes = parts[0]
    names, smalls = [], []
    for _, row in shown.iterrows():
        bold = row["pareto"] == 1 and not is_beaten(row)
        names.append(axes.text(0, 0, look.label(row["variant"]), fontsize=8, color=INK, va="top",
                               fontweight="bold" if bold else "normal", zorder=7,
                               transform=axes.transAxes))  # fmt: skip
        smalls.append(axes.text(0, 0, _small_print(row, len(shown)), fontsize=7, color="#555555",
                                va="top", zorder=7, transform=axes.transAxes))  # fmt: skip
    for text in (*names, *smalls):
        text.set_in_layout(False)
    settle(figure)
    tops = [_size(text) for text in names]
    lows = [_size(text) for text in smalls]
    sizes = [(max(a[0], b[0]), a[1] + b[1]) for a, b in zip(tops, lows, strict=True)]
    points = [_pixel(parts[-1 if row["variant"] in far else 0], row) for _, row in shown.iterrows()]
    frame = (axes.bbox.x0 + 3, axes.bbox.y0 + 3, parts[-1].bbox.x1, axes.bbox.y1)
    boxes = labels.place(points, sizes, frame, _taken(parts, names + smalls))
    back = axes.transAxes.inverted()
    colours = [look.colour(variant) for variant in shown["variant"]]
    for point, box, name, small, top, colour in zip(
        points, boxes, names, smalls, tops, colours, strict=True
    ):
        name.set_position(back.transform((box[0], box[3])))
        small.set_position(back.transform((box[0], box[3] - top[1])))
        line = labels.leader(point, box)
        if labels.length(line) > _LEADER:
            ends = back.transform([line[:2], line[2:]])
            axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=0.8, zorder=2,
                      linestyle=(0, (1, 1.5)),
                      transform=axes.transAxes, clip_on=False)  # fmt: skip


#: A label farther from its point than this, in pixels of a figure on screen, has a line to it.
_LEADER = 16.0


def _size(text) -> tuple[float, float]:
    box = text.get_window_extent()
    return box.width, box.height


def _pixel(axes, row) -> tuple[float, float]:
    return tuple(axes.transData.transform((row["volume_change_pct"], 100 * row["identification"])))


def _taken(parts, own) -> labels.Taken:
    """Return what stands in the plane before its labels do: marks, lines and other texts."""
    taken = labels.Taken()
    for axes in parts:
        for line in axes.lines:
            places = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
            places = places[np.isfinite(places).all(axis=1)]
            if line.get_linestyle() != "None":
                taken.segments += [(*a, *b) for a, b in zip(places[:-1], places[1:], strict=True)]
            if line.get_marker() not in ("None", None, ""):
                reach = 0.5 * line.get_markersize() * axes.figure.dpi / 72 + 1
                taken.boxes += [(x - reach, y - reach, x + reach, y + reach) for x, y in places]
        for text in axes.texts:
            if text not in own:
                taken.boxes.append(text.get_window_extent().extents)
    return taken


#: With more points than this the attacks and their rates stand in the tables alone.
_ROOM = 8


def _small_print(row, points: int) -> str:
    """Return the worst attack and, in a line below, the worst volume and the failures if any."""
    attack = row["worst_attacker"] + ROUTES.get(row["worst_route"], f" after {row['worst_route']}")
    attack += f" {percent(row['worst_rate'])} %"
    if is_corrected(row):
        attack += f", corrected {percent(row['identification'])} %"
    more = []
    if pd.notna(row["worst_volume"]):
        more.append(region_label(row["worst_volume"]))
    if row["n_failed"] > 0:
        more.append(f"{int(row['n_failed'])} of {int(row['n'])} failed")
    below = "; ".join(more)
    return below if points > _ROOM else "\n".join(filter(None, [attack, below]))


def _legend(figure, shown: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list = [
        Line2D([], [], linestyle="none", marker="o", markersize=8,
               markerfacecolor=FAINT, markeredgecolor=FRONT, markeredgewidth=2.2,
               label="Pareto front: no other variant is shown to be better"),
        Line2D([], [], color=FAINT, linewidth=1.2, label="interval"),
    ]  # fmt: skip
    if not (shown["pareto"] == 1).any():
        del handles[0]
    if shown["variant"].map(is_landmark).any():
        handles.append(Line2D([], [], marker="o", linestyle="none", markerfacecolor="white",
                              markeredgecolor=INK, markersize=7, label="control"))  # fmt: skip
    if shown["variant"].str.contains("+", regex=False).any():
        handles.append(Line2D([], [], marker="D", linestyle="none", color=FAINT, markersize=7,
                              label="refaced (a shape for each model)"))  # fmt: skip
    if shown.loc[shown["variant"] == "null", "volume_high"].notna().any():
        handles.append(Patch(color=BAND, label="no larger than the null control's (noise alone)"))
    if shown.apply(is_corrected, axis=1).any():
        label = f"rate as observed; the mark: {CORRECTED}"
        handles.append(Line2D([], [], marker="_", linestyle="none", color=FAINT, markersize=11,
                              markeredgewidth=2, label=label))  # fmt: skip
    if shown.apply(is_beaten, axis=1).any():
        handles.append(
            Line2D([], [], linestyle="none", marker="o", markersize=8, markerfacecolor=FAINT,
                   markeredgecolor=CHANCE, markeredgewidth=2.2,
                   label="double ring, an attack beats it: above chance by exact test")
        )  # fmt: skip
    if (shown["comparable"] == 0).any():
        handles.append(Line2D([], [], marker="x", linestyle="none", color=CHANCE, markersize=9,
                              label="too many failed: not comparable"))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
