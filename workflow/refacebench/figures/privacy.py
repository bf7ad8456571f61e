"""How often attackers name the person: rates, curves, undetected faces, surface distances."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.figures import dots
from refacebench.figures.style import (
    CONTROL_LABELS,
    FAINT,
    INK,
    WIDTH,
    Look,
    message_figure,
    new_figure,
    styled,
)

#: The settings as a reader meets them, the one that counts first.
SETTINGS = {"other_session": "other session", "same_scan": "same scan (easier)"}
NOTHING = "No attack was scored."
#: Attackers in one row of panels.
PER_ROW = 3


def main_setting(table: pd.DataFrame) -> str:
    """Return the setting that figures show: another session where anybody has one."""
    scored = table[table["rank1"].notna()] if "rank1" in table else table
    found = [s for s in SETTINGS if s in set(scored["setting"])]
    return found[0] if found else next(iter(SETTINGS))


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of that setting (:func:`main_setting`)."""
    return table[table["setting"] == main_setting(table)]


def attackers(table: pd.DataFrame) -> list[str]:
    """Return the attackers in order of appearance."""
    return list(dict.fromkeys(table["attacker"].dropna()))


@styled
def draw(table: pd.DataFrame, look: Look):
    """Draw identification rates as bars, one panel an attacker (CP-GAN, fig. 4 left).

    Upper panels: choice among several pictures; lower panels: named first
    among all; both of the participants who could be compared, with the number of
    those who could not.  Bars with intervals of the main setting, a hollow mark for
    the easier one; the dashed line is chance.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``privacy``.
    look : Look
        Order, names and colours of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if table.empty or table["rank1"].isna().all():
        return message_figure(NOTHING)
    names = attackers(table)
    variants = look.sort(table["variant"])
    places = dots.positions(variants)
    options = int(table["n_options"].iloc[0])
    rows = [("rank1_completers", "chance", "named first")]
    if table["choice_completers"].notna().any():
        rows.insert(0, ("choice_completers", "choice_chance", f"picked from {options}"))
    bottom = max(places.values())
    height = 1.1 + len(rows) * (0.75 + 0.2 * (bottom + 1.6))
    figure = new_figure(max(WIDTH, 2.0 + 2.1 * len(names)), height)
    axes = figure.subplots(len(rows), len(names), sharex=True, sharey=True, squeeze=False)
    setting = main_setting(table)
    for line, (measure, chance, words) in zip(axes, rows, strict=True):
        for panel, attacker in zip(line, names, strict=True):
            mine = table[table["attacker"] == attacker]
            _rates(panel, places, mine, measure, chance, setting, look)
            panel.set_title(f"{attacker}: {words}", loc="left", fontsize=8.5)
        line[0].set_yticks(list(places.values()), look.row_labels(variants))
    axes[0][0].set_ylim(bottom + 0.8, -0.8)
    axes[0][0].set_xlim(0, 100)
    for panel in axes[-1]:
        panel.set_xlabel("identified (%)")
    _rates_legend(figure, setting, table)
    return figure


def _rates(axes, places, table, measure, chance, setting, look) -> None:
    axes.tick_params(axis="y", length=0)
    main = table[table["setting"] == setting].set_index("variant")
    easy = table[table["setting"] != setting].set_index("variant")
    chances = main[chance].dropna()
    for variant, y in places.items():
        if variant not in main.index or not np.isfinite(main.loc[variant, measure]):
            axes.text(1, y, "no score", fontsize=6.5, color=FAINT, va="center")
        else:
            row = main.loc[variant]
            axes.barh(y, 100 * row[measure], height=0.66, color=look.colour(variant),
                      alpha=0.55 if "+" in variant else 0.9, linewidth=0)  # fmt: skip
            low, high = row[f"{measure}_low"], row[f"{measure}_high"]
            if np.isfinite(low) and np.isfinite(high):
                # On a white line, so that it shows on dark bars too.
                for colour, width in (("white", 2.6), (INK, 1.0)):
                    axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=width,
                              zorder=3)  # fmt: skip
            failed = int(row["n"] - row["n_completers"])
            if failed:
                axes.text(99, y, f"{failed} of {int(row['n'])} failed", fontsize=6.5, color=INK,
                          ha="right", va="center", zorder=5)  # fmt: skip
        if variant in easy.index and np.isfinite(easy.loc[variant, measure]):
            axes.plot([100 * easy.loc[variant, measure]], [y], marker="o", markersize=4.2,
                      markerfacecolor="white", markeredgecolor=INK, markeredgewidth=0.8,
                      linestyle="none", zorder=4, clip_on=False)  # fmt: skip
    if len(chances):
        dots.reference(axes, 100 * float(chances.median()), color="#B00020", linewidth=1.1,
                       zorder=2)  # fmt: skip


def _rates_legend(figure, setting, table) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=FAINT, label=f"{SETTINGS[setting]}, with interval"),
        Line2D([], [], color="#B00020", linestyle=(0, (4, 2)), label="chance"),
    ]
    if table["setting"].nunique() > 1 and setting != "same_scan":
        handles.insert(1, Line2D([], [], marker="o", markerfacecolor="white", markersize=4.2,
                                 markeredgecolor=INK, linestyle="none",
                                 label=SETTINGS["same_scan"]))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))


@styled
def draw_curves(curves: pd.DataFrame, look: Look, *, setting: str, curve: str = "top_alpha"):
    """Draw top-alpha curves with their bands, one panel an attacker (CP-GAN, fig. 4 right).

    Parameters
    ----------
    curves : pandas.DataFrame
        The table ``privacy_curves``.
    look : Look
        Order, names and colours of the variants.
    setting : str
        Which setting's curves (:func:`main_setting`).
    curve : str
        ``top_alpha`` or ``roc``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = curves[(curves["curve"] == curve) & (curves["setting"] == setting)]
    if table.empty:
        return message_figure(NOTHING)
    names = attackers(table)
    across = min(len(names), PER_ROW)
    down = -(-len(names) // across)
    figure = new_figure(WIDTH, 1.0 + down * (2.1 + 1.1 * (PER_ROW - across)))
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, attacker in zip(axes, names, strict=False):
        panel.set_title(attacker, loc="left")
        panel.plot([0, 1], [0, 1], color="#B00020", linewidth=0.9, linestyle=(0, (4, 2)))
        mine = table[table["attacker"] == attacker]
        for variant in look.sort(mine["variant"]):
            _line(panel, mine[mine["variant"] == variant], look, variant)
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1.01)
    for panel in axes[len(names) :]:
        panel.set_axis_off()
    words = {
        "top_alpha": ("first part of the ranking looked at", "person found"),
        "roc": ("false accepts", "true accepts"),
    }[curve]
    for place, panel in enumerate(axes[: len(names)]):
        panel.tick_params(labelbottom=True)
        panel.set_xlabel(words[0])
        if place % across == 0:
            panel.set_ylabel(words[1])
    _curves_legend(figure, look, look.sort(table["variant"]))
    return figure


#: Dashes of the controls, so that black and original differ in more than their grey.
_DASHES = {"null": (0, (1, 1)), "blurred": (0, (5, 2)), "black": (0, (2, 3))}


def _dash(variant: str):
    return _DASHES.get(variant, (0, (3, 1.2)) if "+" in variant else "-")


def _line(axes, rows: pd.DataFrame, look: Look, variant: str) -> None:
    rows = rows.sort_values("x")
    colour = look.colour(variant)
    # The resplits' band where there is one, else the participants' bootstrap.
    pair = ("band_low", "band_high") if rows["band_low"].notna().any() else ("low", "high")
    if rows[pair[0]].notna().any():
        axes.fill_between(rows["x"], rows[pair[0]], rows[pair[1]], color=colour, alpha=0.07,
                          linewidth=0)  # fmt: skip
    axes.plot(rows["x"], rows["y"], color=colour, linewidth=1.4, linestyle=_dash(variant))


def _curves_legend(figure, look: Look, variants) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour(v), linestyle=_dash(v), linewidth=1.6,
               label=look.label(v))
        for v in variants
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#B00020", linestyle=(0, (4, 2)), label="chance"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, handlelength=3)


@styled
def draw_undetected(table: pd.DataFrame, look: Look):
    """Draw the share of scans on which an attacker found no face, one panel an attacker.

    Attackers that found one everywhere (or look for none) are left out.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``privacy``.
    look : Look
        Order, names and colours of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if table.empty:
        return message_figure(NOTHING)
    # Each query once, in whichever setting more of them take part.
    table = table.sort_values("n_queries", ascending=False, kind="stable")
    table = table.drop_duplicates(["attacker", "variant"])
    looking = table.loc[table["n_undetected"] > 0, "attacker"]
    names = [name for name in attackers(table) if name in set(looking)]
    if not names:
        return message_figure("Every attacker that looks for a face found one on every scan.")
    table = table[table["attacker"].isin(names)]
    variants = look.sort(table["variant"])
    titles = [f"{name}: no face found" for name in names]
    figure, axes, places = dots.panels(variants, look, titles, extra=1.2)
    for panel, name in zip(axes, names, strict=True):
        mine = table[table["attacker"] == name].set_index("variant")
        for variant, row in mine.iterrows():
            y = places[variant]
            values = [100 * row[f"undetected_{n}"] for n in ("share", "low", "high")]
            dots.interval(panel, y, look, variant, *values)
            if np.isfinite(values[0]):
                panel.text(1.02, y, f"{int(row['n_undetected'])}/{int(row['n_queries'])}",
                           transform=panel.get_yaxis_transform(), fontsize=7,
                           va="center")  # fmt: skip
        panel.set_xlim(-3, 103)
        panel.set_xlabel("scans (%)")
    return figure


#: Distance that has the brightest colour of the map, in millimetres.
FULL_COLOUR_MM = 10.0
#: The colour of a place where the average face has a surface and the variant has none.
NO_SURFACE = "#4f8fd0"


@styled
def draw_map(maps: Mapping[str, Mapping[str, np.ndarray]], look: Look):
    """Draw the mean distance of each variant's surface from the true one, on the average face.

    Parameters
    ----------
    maps : mapping of str to mapping
        By variant: ``distance_mm`` and ``depth``, 2-D arrays of the same frontal
        view of the average head; NaN where there is no surface.  ``seen`` (optional): the
        share of scans that have a surface there, of those that had one before.  No person's
        face is shown.
    look : Look
        Order and names of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    known = {v: m for v, m in maps.items() if np.isfinite(m["depth"]).any()}
    if not any(np.isfinite(m["distance_mm"]).any() for m in known.values()):
        return message_figure("No surface distances were measured.")
    variants = look.sort(known)
    across = min(len(variants), 5)
    down = -(-len(variants) // across)
    figure = new_figure(WIDTH, 0.9 + 2.35 * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for panel in axes:
        panel.set_axis_off()
    image = None
    for panel, variant in zip(axes, variants, strict=False):
        image = _map_panel(panel, known[variant])
        panel.set_title(f"{look.label(variant)}\n{map_words(known[variant])}", fontsize=7.5,
                        fontweight="normal")  # fmt: skip
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8, aspect=25, extend="max", pad=0.01)
    bar.solids.set_alpha(1.0)
    bar.set_label("distance from the\ntrue surface (mm)")
    if any(is_lost(m).any() for m in known.values()):
        from matplotlib.patches import Patch

        label = "no surface left: the face is missing"
        figure.legend(handles=[Patch(color=NO_SURFACE, label=label)], loc="outside lower left")
    return figure


def is_lost(found: Mapping[str, np.ndarray]) -> np.ndarray:
    """Tell where the average face has a surface and most scans of the variant have none."""
    seen = found.get("seen", np.isfinite(found["distance_mm"]).astype(float))
    return np.isfinite(found["depth"]) & ~(seen >= 0.5)


def map_words(found: Mapping[str, np.ndarray]) -> str:
    """Return the mean distance where there is a surface, and the share where there is none."""
    surface = np.isfinite(found["depth"])
    lost = is_lost(found).sum() / surface.sum()
    known = found["distance_mm"][np.isfinite(found["distance_mm"]) & ~is_lost(found)]
    parts = [f"mean {known.mean():.1f} mm"] if len(known) else []
    # Single pixels at the rim of the head are no missing face.
    parts += [f"{100 * lost:.0f} % missing"] if lost >= 0.005 else []
    return ", ".join(parts)


def _map_panel(panel, found: Mapping[str, np.ndarray]):
    """Draw one variant and return the image that has the colour scale."""
    from matplotlib.colors import ListedColormap

    panel.imshow(_relief(found["depth"]), cmap="gray", vmin=0, vmax=1)
    distance = np.ma.masked_invalid(np.where(is_lost(found), np.nan, found["distance_mm"]))
    # What did not move keeps the grey of the face.
    alpha = 0.8 * np.clip(distance.filled(0.0) / 1.5, 0, 1)
    image = panel.imshow(distance, cmap="inferno", vmin=0, vmax=FULL_COLOUR_MM, alpha=alpha)
    lost = np.ma.masked_equal(is_lost(found), False)
    panel.imshow(lost, cmap=ListedColormap([NO_SURFACE]), alpha=0.8, interpolation="nearest")
    return image


def _relief(depth: np.ndarray) -> np.ndarray:
    """Return a depth map shaded from the front, 0 to 1; white where there is no surface."""
    filled = np.where(np.isfinite(depth), depth, np.nanmin(depth))
    down, right = np.gradient(filled)
    shade = 1.0 / np.sqrt(1.0 + down**2 + right**2)
    return np.where(np.isfinite(depth), 0.25 + 0.75 * shade, 1.0)


def is_landmark(variant: str) -> bool:
    """Tell whether a variant is a control and no candidate."""
    return variant in CONTROL_LABELS
