"""Points of the CMC, top-alpha and ROC curves of attackers.

With pointwise intervals (``low``, ``high``) or ranges over resplits (``band_*``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from refacebench.attackers import surface
from refacebench.plot.privacy_utility import CHANCE
from refacebench.plot.recognised import NOTHING
from refacebench.plot.style import (
    FAINT,
    WIDTH,
    Look,
    message_figure,
    new_figure,
    styled,
    wrapped,
)
from refacebench.results import words
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Figure, Result, View
from refacebench.statistics.attack_tables import attackers, is_landmark, main_setting
from refacebench.statistics.attacks import Evaluation
from refacebench.vocabulary import ORIGINAL, split_variant

#: Panels in a row, at least and at most.
FEWEST, MOST = 4, 7


def compute(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the points of all curves."""
    parts = [
        RESULT.frame(e.curves.to_dict("records"))
        for e in evaluations
        if e.curves is not None and len(e.curves)
    ]
    return pd.concat(parts, ignore_index=True) if parts else RESULT.frame([])


def caption(view: View) -> str:
    """Return the caption of the curves of how far down a list the person stands."""
    return words.folded(
        "An attacker sorts the people it knows from the most to the least alike. The curves say "
        "how many people are found among the first so many percent of that list. On the diagonal "
        "an attacker does no better than chance; a curve along the left and upper edge "
        "recognises everybody.",
        "Only scans that could be compared are included.",
        _bands(view, "small-sample bounds over participants, as for rates"),
    )


def caption_roc(view: View) -> str:
    """Return the caption of the ROC curves."""
    return words.folded(
        "An attacker says of two scans whether they are of one person (ROC). The curves say how "
        "often it is right about the same person, given how often it takes two different people "
        "for one. On the diagonal it does no better than chance.",
        "Only scans that could be compared are included.",
        _bands(view, ""),
        words.resampled(view.criteria),
        *_coarse(view),
    )


def _coarse(view: View) -> list[str]:
    """Return what is to be said of distances in large galleries, where there is one."""
    table = view.tables.get("privacy")
    most, exact = (surface.OPTIONS[name].default for name in ("all_up_to", "best"))
    if table is None or not (table["n_gallery"][table["attacker"] == "surface"] > most).any():
        return []
    return [
        f"In a gallery of more than {most:,} scans, unless its option all_up_to says otherwise, "
        "the attack surface compares two faces exactly only where it may decide who is among the "
        f"nearest {exact}, and coarsely elsewhere: its ROC curve is an approximation, its "
        f"rates up to rank {exact} are not."
    ]


def _bands(view: View, how: str) -> str:
    """Return what the bands are."""
    how = f" ({how})" if how else ""
    return (
        f"Bands: pointwise {100 * view.criteria.level:g} % intervals{how}, not adjusted for many "
        "comparisons; of a trained attacker the range over its resplits."
    )


@styled
def draw(curves: pd.DataFrame, look: Look, *, setting: str, curve: str = "top_alpha") -> Any:
    """Draw curves with their bands: a panel for the controls and one for each defacer.

    Small multiples: bands of more than two curves on each other cannot be told apart.  The
    original's curve stands in every panel to compare with.

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
    groups = _groups(look.sort(table["variant"]))
    names = attackers(table)
    across = _across(len(groups))
    down = -(-len(groups) // across)
    side = (WIDTH - 0.8) / across
    figure = new_figure(WIDTH, len(names) * (down * (side + 0.25) + 0.5) + 0.75)
    below, right = AXES[curve]
    for part, attacker in zip(figure.subfigures(len(names), 1, squeeze=False)[:, 0], names,
                              strict=True):  # fmt: skip
        part.suptitle(attacker, x=0.005, ha="left", fontsize=10, fontweight="bold")
        part.supxlabel(below, fontsize=8.5)
        part.supylabel(right, fontsize=8.5)
        panels = part.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        mine = table[table["attacker"] == attacker]
        for place, (panel, group) in enumerate(zip(panels, groups, strict=False)):
            _panel(panel, mine, look, group, int(13 * side))
            panel.tick_params(labelbottom=place + across >= len(groups))
        for panel in panels[len(groups) :]:
            panel.set_axis_off()
    _curves_legend(figure, look, look.sort(table["variant"]))
    return figure


#: Titles of the two axes by curve, in percent.
AXES = {
    "top_alpha": ("part of the attacker's list that is looked at, best matches first (%)",
                  "people found in it (%)"),
    "roc": ("two different people taken for one (%)", "same person recognised (%)"),
}  # fmt: skip


def _across(panels: int) -> int:
    """Return how many panels stand in a row, so that as few places as possible are empty.

    >>> [_across(n) for n in (1, 4, 6, 7, 8, 9, 13)]
    [4, 4, 6, 7, 4, 5, 7]
    """
    if panels <= MOST:
        return max(panels, FEWEST)
    return min(range(FEWEST, MOST + 1), key=lambda across: (-panels % across, -across))


def _groups(variants: Sequence[str]) -> list[list[str]]:
    """Return the variants panel by panel: the controls, then each defacer with its refaced ones.

    >>> _groups(["original", "null", "a", "a+m", "b"])
    [['original', 'null'], ['a', 'a+m'], ['b']]
    """
    found: dict[str, list[str]] = {}
    for variant in variants:
        key = "" if is_landmark(variant) else split_variant(variant)[0]
        found.setdefault(key, []).append(variant)
    return list(found.values())


def _panel(axes: Any, table: pd.DataFrame, look: Look, group: Sequence[str], width: int) -> None:
    axes.plot([0, 100], [0, 100], color=CHANCE, linewidth=0.9, linestyle=_CHANCE, zorder=1)
    controls = is_landmark(group[0])
    title = "controls" if controls else wrapped(look.label(group[0]), width)
    axes.set_title(title, loc="left", fontsize=8)
    if not controls:
        _line(axes, table[table["variant"] == ORIGINAL], look, ORIGINAL, band=False)
    for variant in group:
        _line(axes, table[table["variant"] == variant], look, variant, band=not controls)
    axes.set(xlim=(0, 100), ylim=(0, 101), xticks=(0, 50, 100), yticks=(0, 50, 100), aspect="equal")


#: Dashes of chance, of the controls and of the refacers in their order: no two lines of a panel
#: are told apart by colour alone.
_CHANCE = (0, (4, 2))
_DASHES = {"null": (0, (1, 1)), "blurred": (0, (8, 2, 1, 2, 1, 2)), "black": (0, (2, 4))}
_REFACED = ((0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (10, 2)), (0, (1.5, 1.5)))
#: Widths of lines: the original's, which stands in every panel to compare with, is the thinnest.
_THIN, _THICK = 0.8, 1.6


def _dash(variant: str, look: Look) -> Any:
    refacer = split_variant(variant)[1]
    if refacer is None:
        return _DASHES.get(variant, "-")
    return _REFACED[look.refacers.index(refacer) % len(_REFACED)]


def _width(variant: str) -> float:
    return _THIN if variant == ORIGINAL else _THICK


def _line(axes: Any, rows: pd.DataFrame, look: Look, variant: str, band: bool) -> None:
    if rows.empty:
        return
    rows = rows.sort_values("x")
    colour = look.colour(variant)
    # The resplits' band where there is one, else the participants' interval.
    pair = ("band_low", "band_high") if rows["band_low"].notna().any() else ("low", "high")
    if band and rows[pair[0]].notna().any():
        ends = (100 * rows[name].astype(float) for name in pair)
        axes.fill_between(100 * rows["x"], *ends, **_band(colour, refaced="+" in variant))
    axes.plot(100 * rows["x"], 100 * rows["y"], color=colour, linewidth=_width(variant),
              linestyle=_dash(variant, look))  # fmt: skip


def _band(colour: str, *, refaced: bool) -> dict[str, Any]:
    """Return how a band is filled: a refaced one is hatched, and the one below it stays seen."""
    if not refaced:
        return {"facecolor": colour, "alpha": 0.16, "linewidth": 0}
    return {"facecolor": "none", "edgecolor": colour, "alpha": 0.45, "linewidth": 0.5,
            "hatch": "////"}  # fmt: skip


def _curves_legend(figure: Any, look: Look, variants: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [v for v in variants if is_landmark(v)]
    refacers = dict.fromkeys(filter(None, (split_variant(v)[1] for v in variants)))
    handles: list[Any] = [
        Line2D([], [], color=look.colour(v), linestyle=_dash(v, look), linewidth=_width(v),
               label=look.label(v))
        for v in shown
    ]  # fmt: skip
    if len(variants) > len(shown):
        handles.append(Line2D([], [], color=FAINT, linewidth=_THICK, label="defaced"))
    for refacer in refacers:
        name = f"refaced by {refacer}" if len(refacers) > 1 else "refaced"
        handles.append(Line2D([], [], color=FAINT, linestyle=_dash(f"+{refacer}", look),
                              linewidth=_THICK, label=name))  # fmt: skip
    if len(variants) > len(shown):
        handles.append(Patch(**_band(FAINT, refaced=False), label="interval, defaced"))
    if refacers:
        handles.append(Patch(**_band(FAINT, refaced=True), label="interval, refaced"))
    handles.append(Line2D([], [], color=CHANCE, linestyle=_CHANCE, label="chance"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, handlelength=4)


def _figure(view: View, curve: str) -> Any:
    setting = main_setting(view.tables["privacy"])
    return draw(view.rows("privacy_curves"), view.look, setting=setting, curve=curve)


RESULT = Result(
    "privacy_curves",
    about=__doc__,
    job=ATTACKS,
    columns="variant attacker setting curve x y low high band_low band_high",
    compute=lambda given, _: compute(given.evaluations),
    caption=caption,
    in_latex=False,  # points of figures, thousands of them
    heading=HEADING,
    secondary=True,
    order=120,
    figures=[
        Figure(
            "privacy_curves",
            "Curves with bands: share of people found against the part of the attacker's list that "
            "is looked at, one panel per defacer and attacker.",
            lambda view: _figure(view, "top_alpha"),
            title="People found, by length of the list",
        ),
        Figure(
            "privacy_roc",
            "Curves with bands: true against false accepts, one panel per defacer and attacker.",
            lambda view: _figure(view, "roc"),
            caption_roc,
            title="Same person or not (ROC)",
        ),
    ],
)
