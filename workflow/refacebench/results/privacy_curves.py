"""Points of the CMC, top-alpha and ROC curves of attackers.

With pointwise intervals (``low``, ``high``) or ranges over resplits (``band_*``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from refacebench.plot.style import WIDTH, Look, message_figure, new_figure, styled
from refacebench.results import words
from refacebench.results.privacy import HEADING, NOTHING
from refacebench.results.result import ATTACKS, Figure, Result, View
from refacebench.statistics.attack_tables import attackers, main_setting
from refacebench.statistics.attacks import Evaluation

#: Attackers in one row of panels.
PER_ROW = 3
#: More intervals than these lie on each other and none can be read.
MOST_BANDS = 3


def compute(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the points of all curves."""
    parts = [
        RESULT.frame(e.curves.to_dict("records"))
        for e in evaluations
        if e.curves is not None and len(e.curves)
    ]
    return pd.concat(parts, ignore_index=True) if parts else RESULT.frame([])


def caption(view: View) -> str:
    """Return the caption of the top-alpha curves."""
    return words.join(
        "Share of people who are among the first part of an attacker's ranking, however long that "
        "part is (top-alpha curves); guessing gives the diagonal. Of scans that could be compared.",
        _bands(view, "small-sample bounds over participants, as for rates"),
    )


def caption_roc(view: View) -> str:
    """Return the caption of the ROC curves."""
    return words.join(
        "How well an attacker tells whether two scans are of one person (ROC): true against false "
        "accepts at every threshold of its distance; guessing gives the diagonal. Of scans that "
        "could be compared.",
        _bands(view, ""),
        words.resampled(view.criteria),
    )


def _bands(view: View, how: str) -> str:
    """Return where intervals are drawn, and what they are."""
    table = view.rows("privacy_curves")
    most = table.groupby("attacker")["variant"].nunique().max() if len(table) else 0
    if most > MOST_BANDS:
        return (
            f"Intervals of more than {MOST_BANDS} curves would hide each other: they are in the "
            "table, point by point, not adjusted for many comparisons."
        )
    how = f": {how}" if how else ""
    return (
        f"Bands: pointwise {100 * view.criteria.level:g} % intervals{how}, not adjusted for many "
        "comparisons; of a trained attacker the range over its resplits."
    )


@styled
def draw(curves: pd.DataFrame, look: Look, *, setting: str, curve: str = "top_alpha") -> Any:
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
        variants = look.sort(mine["variant"])
        for variant in variants:
            rows = mine[mine["variant"] == variant]
            _line(panel, rows, look, variant, band=len(variants) <= MOST_BANDS)
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


def _dash(variant: str) -> Any:
    return _DASHES.get(variant, (0, (3, 1.2)) if "+" in variant else "-")


def _line(axes: Any, rows: pd.DataFrame, look: Look, variant: str, band: bool) -> None:
    rows = rows.sort_values("x")
    colour = look.colour(variant)
    # The resplits' band where there is one, else the participants' interval.
    pair = ("band_low", "band_high") if rows["band_low"].notna().any() else ("low", "high")
    if band and rows[pair[0]].notna().any():
        axes.fill_between(rows["x"], rows[pair[0]], rows[pair[1]], color=colour, alpha=0.07,
                          linewidth=0)  # fmt: skip
    axes.plot(rows["x"], rows["y"], color=colour, linewidth=1.1, linestyle=_dash(variant))


def _curves_legend(figure: Any, look: Look, variants: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour(v), linestyle=_dash(v), linewidth=1.6,
               label=look.label(v))
        for v in variants
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#B00020", linestyle=(0, (4, 2)), label="chance"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, handlelength=3)


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
    order=120,
    figures=[
        Figure(
            "privacy_curves",
            "Curves: share of persons found against the part of the ranking "
            "looked at, one panel an attacker.",
            lambda view: _figure(view, "top_alpha"),
        ),
        Figure(
            "privacy_roc",
            "Curves: true against false accepts, one panel an attacker.",
            lambda view: _figure(view, "roc"),
            caption_roc,
        ),
    ],
)
