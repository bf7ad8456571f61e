"""What automatic checks found, one stacked bar a variant, beside what contradicts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import of, percent
from refacebench.plot.style import INK, Look, message_figure, styled
from refacebench.vocabulary import UNAVAILABLE, UNDEFACED


class Missed(NamedTuple):
    """How many failures by the true labels a check missed, of how many scans; those not judged."""

    missed: int
    judged: int
    unjudged: int


#: Said of 'neither failure' where the brain is not testable.
FACE_ALONE = "face alone"
#: Classes in the order of the bars, their names and colours (Okabe & Ito).  No green: that
#: a check found no failure does not mean that nobody can be recognised.
BARS = {
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
    found = {name: float(row[name]) for name in BARS if name in row and row[name] == row[name]}
    if sum(found.values()) != float(row["n"]):
        raise ValueError(
            f"quality of {row['variant']}: classes add up to {sum(found.values()):g}, "
            f"n is {row['n']}"
        )
    return found


_LIGHT = ("no_face", "failure_1", "untouched", "unrated")
#: How the parts of a bar are filled that are no plain class: colour, edge, hatch.
_BLUE = BARS["success"][1]
PATTERNS = {
    "alone": (_BLUE, "white", ".."),
    "unjudged": ("#cfe3f1", _BLUE, None),
    "missed": ("white", _BLUE, "////"),
}
#: What each part of a bar is called, in the order of the bars.
NAMES = {
    "success": BARS["success"][0],
    "alone": "no failure of the face found; brain not testable",
    "unjudged": "no failure found, not judged by true labels",
    "missed": "no failure found, but there is one by the true labels",
    **{name: title for name, (title, _) in BARS.items() if name != "success"},
}


@styled
def draw(
    table: pd.DataFrame,
    look: Look,
    *,
    level: float = 0.95,
    missed: Mapping[str, Missed] | None = None,
    spared: Collection[str] = (),
) -> Any:
    """Draw one stacked bar a variant, with the share without failure and its interval.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``quality``.
    look : Look
        Order, names and colours of the variants.
    level : float
        Of the intervals.
    missed : mapping of str to Missed, optional
        Of the variants of which true labels show failures that a check missed; these scans are
        hatched.
    spared : collection of str
        Variants whose brain cannot be tested: what is said of them is of the face alone, and
        dotted.

    Returns
    -------
    matplotlib.figure.Figure
    """
    # Judged on the images, so every segmenter has the same row.
    table = table.drop_duplicates("variant")
    if set(table["variant"]) <= set(UNDEFACED):
        return message_figure("No de-identified scan was checked.")
    variants = look.sort(table["variant"])
    figure, (axes,), places = dots.panels(
        variants, look, ["What the automatic checks of face and brain found"], extra=1.4
    )
    parts = {}
    for _, row in table.iterrows():
        name = row["variant"]
        check, alone = (missed or {}).get(name), name in spared
        parts[name] = _parts(row, check, alone)
        _bar(axes, places[name], parts[name])
        axes.text(1.02, places[name], _beside(row, check, alone), va="center", fontsize=7.5,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of scans (%)")
    title = f"neither failure, of scans\nwith a face ({100 * level:g} % interval)"
    axes.text(1.02, 1.0, title, transform=axes.transAxes, va="bottom", fontsize=8)
    _legend(figure, [name for name in NAMES if any(name in mine for mine in parts.values())])
    return figure


def _parts(row: pd.Series, check: Missed | None, alone: bool) -> dict[str, float]:
    """Return the scans of each part of a variant's bar."""
    counts = class_counts(row)
    success = counts.pop("success", 0.0)
    missed = min(float(check.missed), success) if check else 0.0
    unjudged = min(float(check.unjudged), success - missed) if check else 0.0
    plain = "alone" if alone else "success"
    parts = {plain: success - missed - unjudged, "unjudged": unjudged, "missed": missed, **counts}
    return {name: scans for name, scans in parts.items() if scans > 0}


def _bar(axes: Any, y: float, parts: Mapping[str, float]) -> None:
    start, n = 0.0, sum(parts.values())
    for name, scans in parts.items():
        part = 100.0 * scans / n
        fill, edge, hatch = _filling(name)
        axes.barh(y, part, left=start, height=0.68, color=fill, edgecolor=edge, linewidth=0.8,
                  hatch=hatch)  # fmt: skip
        if part >= 4:
            dark = name in (*_LIGHT, "missed", "unjudged")
            text = axes.text(start + part / 2, y, f"{scans:.0f}", ha="center", va="center",
                             fontsize=7.5, color=INK if dark else "white")  # fmt: skip
            if hatch:
                text.set_bbox({"facecolor": fill, "linewidth": 0, "pad": 1.2})
        start += part


def _filling(name: str) -> tuple[str, str, str | None]:
    """Return colour, edge and hatch of a part of a bar."""
    return PATTERNS.get(name) or (BARS[name][1], "white", None)


def _beside(row: pd.Series, check: Missed | None, alone: bool) -> str:
    """Return what stands beside a bar: the share without failure, or what contradicts it."""
    if row.get("engine") == UNAVAILABLE:
        return UNAVAILABLE
    if check:
        more = f", {check.unjudged} not judged" if check.unjudged else ""
        return f"missed {of(check.missed, check.judged)}{more}"
    text = f"{int(row['success'])}/{int(row['n_with_face'])}"
    if row["n_with_face"]:
        shares = [percent(row[c]) for c in ("success_share", "success_low", "success_high")]
        text += " = {} % ({} to {})".format(*shares)
    return f"{text}, {FACE_ALONE}" if alone else text


def _legend(figure: Any, seen: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = []
    for name in seen:
        fill, edge, hatch = _filling(name)
        handles.append(Patch(facecolor=fill, edgecolor=edge, hatch=hatch, linewidth=0.8,
                             label=NAMES[name]))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=min(3, len(handles)))
