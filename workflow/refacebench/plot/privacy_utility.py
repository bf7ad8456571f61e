"""Privacy beside utility, one row per method: what a data steward wants to see first.

Left, what the strongest attack reaches, against chance; in the middle, the volume that changes
most; right, the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import chance as chance_words
from refacebench.plot.numbers import is_printed_as_none, number, percent
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
    wrapped,
)
from refacebench.plot.volumes import region_label
from refacebench.statistics.attack_tables import (
    SETTING_WORDS,
    is_beaten,
    is_control,
    is_landmark,
    is_unranked,
    main_rows,
    main_setting,
)

#: The name of the corrected rate, beside the observed one, wherever both are printed.
CORRECTED = "corrected for picking the strongest attack"
#: The line of chance and what beats it; what still counts as chance.
CHANCE, NEAR = "#B00020", "#e6edf5"
#: What stands above the rows where no method is shown to be better than another.
UNRANKED = (
    "By attacks and volumes no method is shown to be better than another. "
    "Verdicts rest on more than these."
)
#: Height of a row in inches, and how far the two settings of a row are from its middle.
_ROW, _LANE = 0.42, 0.17
#: Widths of the three parts.
_PARTS = (5.2, 3.4, 1.6)
_BEATS = "beats chance"
#: Height of the tick that stands at a corrected rate, in points.
_TICK = 7.0


@styled
def draw(
    table: pd.DataFrame,
    look: Look,
    *,
    segmenter: str | None = None,
    verdicts: Mapping[str, tuple[str, str]] | None = None,
) -> Any:
    """Draw the strongest attack and the largest change of a volume, one row per variant.

    Marks stand at the observed rates, ticks at the corrected ones.  Filled marks are of the
    setting that counts, hollow ones below them of the easier one.  Changes far beyond all others
    are written at the edge.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``tradeoff``.
    look : Look
        Order, names and colours of the variants.
    segmenter : str, optional
        The first one of the table if left out.
    verdicts : mapping of str to (str, str), optional
        The verdict on each method and its colour; others are called controls.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table, _ = pick_segmenter(table, segmenter)
    known = table.dropna(subset=["identification"]) if len(table) else table
    if known.empty:
        return message_figure("No variant was attacked.")
    main = main_rows(table).drop_duplicates("variant").set_index("variant")
    easy = table[table["setting"] != main_setting(table)]
    easy = easy.drop_duplicates("variant").set_index("variant")
    places = dots.positions(look.sort(main.index))
    figure, (privacy, utility, said) = _parts(places, look, main)
    ticked = pd.concat([main, easy]).apply(is_corrected, axis=1).any()
    observed = ", as observed" if ticked else ""
    privacy.set_xlabel(f"people identified (%){observed}:\nfurther left is safer")
    _yardsticks(privacy, utility, main)
    for variant, y in places.items():
        row = main.loc[variant]
        several = variant in easy.index and np.isfinite(easy.loc[variant, "identification"])
        _attack(privacy, y - _LANE * several, look, variant, row)
        if several:
            _attack(privacy, y + _LANE, look, variant, easy.loc[variant], easier=True)
        _lost(privacy, y, row)
    edges = _changes(utility, places, look, main)
    _verdicts(said, places, verdicts or {})
    _legend(figure, main, easy, edges, ticked)
    return figure


def _parts(places: Mapping[str, float], look: Look, main: pd.DataFrame) -> tuple[Any, Any]:
    """Return the figure and its three parts, with titles and names."""
    bottom = max(places.values())
    figure = new_figure(WIDTH, 1.7 + _ROW * (bottom + 1.4))
    parts = figure.subplots(1, 3, sharey=True, width_ratios=_PARTS)
    first = main.dropna(subset=["chance"]).iloc[0]
    several = round(1 / first["chance"]) if first["chance"] > 0 else "several"
    what = f"picked from {several}" if first["measure"] == "choice" else "named first"
    titles = (f"Strongest attack ({what})",
              "Volume that changes most", "Verdict")  # fmt: skip
    for axes, title in zip(parts, titles, strict=True):
        axes.set_title(title, loc="left", pad=16)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for y in places.values() if axes is not parts[2] else ():
            axes.axhline(y, color="#efefef", linewidth=0.8, zorder=0)
    parts[0].set_yticks(list(places.values()), _labels(places, look, main))
    for label, variant in zip(parts[0].get_yticklabels(), places, strict=True):
        label.set_fontweight("bold" if main.loc[variant, "pareto"] == 1 else "normal")
    parts[0].set_ylim(bottom + 0.8, -0.8)
    parts[0].set_xlim(-2, 121)  # room for words behind an interval that reaches 100
    parts[0].set_xticks(range(0, 101, 20))
    parts[1].set_xlabel("size of the median change (%):\nfurther left is better")
    parts[2].set_axis_off()
    if is_unranked(main.reset_index()):
        figure.suptitle(UNRANKED, fontsize=9, x=0.01, ha="left")
    return figure, parts


def _labels(places: Mapping[str, float], look: Look, main: pd.DataFrame) -> list[str]:
    """Return the names of the rows, with the number of attacks where methods met different ones."""
    labels, numbers = look.row_labels(list(places)), main["n_routes"].reindex(list(places))
    if numbers[[v for v in places if not is_control(v)]].nunique() < 2:
        return labels
    return [
        f"{label}\n({number:.0f} attacks)" if number > 0 else label
        for label, number in zip(labels, numbers, strict=True)
    ]


def _yardsticks(privacy: Any, utility: Any, main: pd.DataFrame) -> None:
    """Draw chance, what still counts as chance, the floor, and the null control's noise."""
    chance, margin = (100 * float(main["chance"].median()), float(main["margin_points"].median()))
    if np.isfinite(margin):
        privacy.axvspan(chance, chance + margin, color=NEAR, zorder=0)
    privacy.axvline(chance, color=CHANCE, linewidth=1.3, linestyle=(0, (4, 2)), zorder=1)
    privacy.text(chance, 1.0, f"chance {chance_words(chance / 100)} %", color=CHANCE, fontsize=8,
                 ha="center", va="bottom", transform=privacy.get_xaxis_transform())  # fmt: skip
    floors = main["floor"].dropna()
    if len(floors):
        # Each variant has its own; the original's stands for them.
        floor = floors["original"] if "original" in floors.index else floors.iloc[0]
        dots.reference(privacy, 100 * float(floor), color=FAINT, linestyle=(0, (1, 2)))
    noise = main.loc[main.index == "null", "volume_high"].dropna()
    if len(noise):
        utility.axvspan(0, float(noise.iloc[0]), color=BAND, zorder=0)


def _attack(
    axes: Any, y: float, look: Look, variant: str, row: pd.Series, easier: bool = False
) -> None:
    """Draw the strongest attack of one setting, and say so where it beats chance."""
    values = [100 * float(row[name]) for name in ("worst_rate", "low", "high")]
    size, line = (4.5, 1.0) if easier else (6.5, 1.8)
    dots.interval(axes, y, look, variant, *values, filled=not easier, size=size, line=line)
    if not np.isfinite(values[0]):
        return
    if is_corrected(row):
        # With a white rim: it may lie on the line of chance, on the interval or on the mark.
        height = _TICK if not easier else 0.8 * _TICK
        for colour, width, zorder in (("white", 3.0, 5), (look.colour(variant), 1.2, 6)):
            axes.plot([100 * row["identification"]], [y], marker="|", markersize=height,
                      markeredgewidth=width, color=colour, linestyle="none",
                      zorder=zorder)  # fmt: skip
    if row["comparable"] == 0:
        axes.plot([values[0]], [y], marker="x", markersize=11, color=CHANCE, markeredgewidth=1.4,
                  linestyle="none", zorder=6)  # fmt: skip
    if is_beaten({**row, "variant": variant}):
        axes.annotate(_BEATS, (np.nanmax(values), y), xytext=(5, 0), textcoords="offset points",
                      color=CHANCE, fontsize=7.5, fontweight="bold", ha="left",
                      va="center_baseline", annotation_clip=False)  # fmt: skip


def is_corrected(row: Any) -> bool:
    """Tell whether the observed and the corrected rate differ as they are printed."""
    known = np.isfinite(row["worst_rate"]) and np.isfinite(row["identification"])
    return bool(known and percent(row["worst_rate"]) != percent(row["identification"]))


def _lost(axes: Any, y: float, row: pd.Series) -> None:
    """Write how many participants could not be attacked; nothing where all could."""
    if row["n_failed"] > 0:
        text = f"{int(row['n_failed'])} of {int(row['n'])}\nfailed"
        axes.text(1.01, y, text, fontsize=6.5, color=INK, va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip


def _changes(axes: Any, places: Mapping[str, float], look: Look, main: pd.DataFrame) -> bool:
    """Draw the largest change of a volume; return whether any lies beyond the axis."""
    columns = ["volume_change_pct", "volume_low", "volume_high"]
    rows = {v: tuple(main.loc[v, columns].to_numpy(dtype=float)) for v in places}
    far = dots.far_out(rows)
    for variant, y in places.items():
        if variant in far:
            dots.at_the_edge(axes, y, look, variant, *rows[variant], signed=False)
        else:
            dots.interval(axes, y, look, variant, *rows[variant])
        value, name = rows[variant][0], main.loc[variant].get("worst_volume")
        if np.isfinite(value) and isinstance(name, str) and name:
            size = "" if variant in far else f" {_size(value)} %"
            axes.text(0.985, y - 0.33, f"{region_label(name)}{size}", fontsize=6.5, color=INK,
                      ha="right", va="center", transform=axes.get_yaxis_transform())  # fmt: skip
    ends = [v for variant, row in rows.items() if variant not in far for v in row if np.isfinite(v)]
    axes.set_xlim(0.0, 1.12 * max([*ends, 0.5]))
    axes.locator_params(axis="x", nbins=5)
    return bool(far)


def _size(percent: float) -> str:
    """Return the size of a change; a small one is not printed as none."""
    return "<0.1" if is_printed_as_none(percent) else number(percent, 1)


def _verdicts(
    axes: Any, places: Mapping[str, float], verdicts: Mapping[str, tuple[str, str]]
) -> None:
    """Write each verdict beside a stripe of its colour."""
    for variant, y in places.items():
        text, colour = verdicts.get(variant, ("control" if is_landmark(variant) else "", FAINT))
        if not text:
            continue
        known = variant in verdicts
        if known:
            axes.plot([0.02, 0.02], [y - 0.36, y + 0.36], color=colour, linewidth=5,
                      solid_capstyle="butt", zorder=2,
                      transform=axes.get_yaxis_transform())  # fmt: skip
        axes.text(0.08, y, wrapped(text, 17), fontsize=8, color=INK if known else FAINT,
                  fontweight="bold" if known else "normal", va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip


def _legend(figure: Any, main: pd.DataFrame, easy: pd.DataFrame, edges: bool, ticked: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    setting = SETTING_WORDS[main["setting"].iloc[0]]
    handles: list = [dots.sample(f"{setting}, with interval")]
    if easy["identification"].notna().any():
        other = SETTING_WORDS[easy["setting"].iloc[0]]
        handles.append(dots.sample(f"{other}, with interval", filled=False, size=4.5, line=1.0))
    if ticked:
        handles.append(Line2D([], [], marker="|", linestyle="none", color=FAINT, markersize=_TICK,
                              markeredgewidth=1.2,
                              label=f"{CORRECTED}, where it differs"))  # fmt: skip
    if main["margin_points"].notna().any():
        points = f"{main['margin_points'].median():g} points"
        handles.append(Patch(color=NEAR, label=f"up to {points} above chance: near enough"))
    if main["floor"].notna().any():
        names = ", ".join(sorted(set(main["floor_attacker"].dropna())))
        handles.append(Line2D([], [], color=FAINT, linewidth=0.9, linestyle=(0, (1, 2)),
                              label=f"floor: {names}, no face needed"))  # fmt: skip
    if main.loc[main.index == "null", "volume_high"].notna().any():
        handles.append(Patch(color=BAND, label="noise alone (null control)"))
    if edges:
        handles.append(dots.sample_edge())
    if (main["comparable"] == 0).any():
        handles.append(Line2D([], [], marker="x", linestyle="none", color=CHANCE, markersize=9,
                              label="too many failed: not comparable"))  # fmt: skip
    if (main["pareto"] == 1).any():
        label = "bold name: no other method is shown to be better"
        handles.append(Line2D([], [], linestyle="none", label=label))
    dots.legend(figure, handles, columns=3)
