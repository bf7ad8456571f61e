"""What the automatic checks found on de-identified scans (Gao et al. 2023), in shares of scans."""

from __future__ import annotations

import pandas as pd

from refacebench.figures import dots
from refacebench.figures.style import INK, Look, message_figure, styled
from refacebench.numbers import percent
from refacebench.vocabulary import UNAVAILABLE
from refacebench.vocabulary import UNDEFACED as CONTROLS

#: Classes in the order of the bars, their names and colours (Okabe & Ito).  No green: that
#: a check found no failure does not mean that nobody can be recognised.
CLASSES = {
    "success": ("neither failure found", "#0072B2"),
    "failure_1": ("failure I: face surface kept", "#E69F00"),
    "failure_2": ("failure II: brain mask cut", "#D55E00"),
    "failure_1+2": ("failure I and II", "#882255"),
    "untouched": ("face untouched", "#56B4E9"),
    "no_face": ("no face in the original", "#bbbbbb"),
    "crash": ("no output", "#333333"),
    "unrated": ("not rated", "#e3e3e3"),
}


def class_counts(row: pd.Series) -> dict[str, float]:
    """Return the number of scans of each class of a row of the table ``quality``.

    Raises
    ------
    ValueError
        If the classes do not add up to ``n``: a bar would be wrong.
    """
    found = {name: float(row[name]) for name in CLASSES if name in row and row[name] == row[name]}
    if sum(found.values()) != float(row["n"]):
        raise ValueError(
            f"quality of {row['variant']}: classes add up to {sum(found.values()):g}, "
            f"n is {row['n']}"
        )
    return found


_LIGHT = ("no_face", "failure_1", "untouched", "unrated")


@styled
def draw(table: pd.DataFrame, look: Look, *, level: float = 0.95):
    """Draw one stacked bar a variant, with the share without failure and its interval.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``quality``.
    look : Look
        Order, names and colours of the variants.
    level : float
        Of the intervals.

    Returns
    -------
    matplotlib.figure.Figure
    """
    # Judged on the images, so every segmenter has the same row.
    table = table[~table["variant"].isin(CONTROLS)].drop_duplicates("variant")
    if table.empty:
        return message_figure("No de-identified scan was checked.")
    variants = look.sort(table["variant"])
    figure, (axes,), places = dots.panels(
        variants, look, ["What the automatic checks of face and brain found"], extra=1.4
    )
    for _, row in table.iterrows():
        _bar(axes, places[row["variant"]], row)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of scans (%)")
    title = f"neither failure, of scans\nwith a face ({100 * level:g} % interval)"
    axes.text(1.02, 1.0, title, transform=axes.transAxes, va="bottom", fontsize=8)
    seen = [c for c in CLASSES if c in table and (table[c] > 0).any()]
    _legend(figure, seen or ["success"])
    return figure


def _bar(axes, y, row) -> None:
    start = 0.0
    for name, number in class_counts(row).items():
        if number <= 0 or not row["n"]:
            continue
        share = 100.0 * number / row["n"]
        axes.barh(y, share, left=start, height=0.68, color=CLASSES[name][1],
                  edgecolor="white", linewidth=0.8)  # fmt: skip
        if share >= 4:
            axes.text(start + share / 2, y, f"{number:.0f}", ha="center", va="center", fontsize=7.5,
                      color=INK if name in _LIGHT else "white")  # fmt: skip
        start += share
    text = f"{int(row['success'])}/{int(row['n_with_face'])}"
    if row.get("engine") == UNAVAILABLE:
        text = UNAVAILABLE
    elif row["n_with_face"]:
        shares = [percent(row[c]) for c in ("success_share", "success_low", "success_high")]
        text += " = {} % ({} to {})".format(*shares)
    axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5)


def _legend(figure, seen) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=CLASSES[name][1], label=CLASSES[name][0]) for name in seen]
    figure.legend(handles=handles, loc="outside lower left", ncols=min(3, len(handles)))


#: The parts in the order of the panels, with their names.
PARTS = {"nose": "Nose left", "eyes": "Eyes left", "mouth": "Mouth left", "ears": "Ears left"}


@styled
def draw_parts(table: pd.DataFrame, look: Look):
    """Draw, for each part of the face, the share of scans in which it is left.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``face_parts``.
    look : Look
        Order, names and colours of the variants.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = table[~table["variant"].isin(CONTROLS)]
    if table.empty or not (table["n"] > 0).any():
        return message_figure("No de-identified scan was checked.")
    variants = look.sort(table["variant"])
    figure, panels, places = dots.panels(variants, look, list(PARTS.values()))
    for axes, part in zip(panels, PARTS, strict=True):
        here = table[table["part"] == part]
        for _, row in here.iterrows():
            values = (100 * row[c] for c in ("left_share", "low", "high"))
            dots.interval(axes, places[row["variant"]], look, row["variant"], *values)
        axes.set_xlim(-4, 104)
        axes.set_xlabel("share of scans (%)")
    return figure
