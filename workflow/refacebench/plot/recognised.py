"""How often attackers name the person behind a scan, as rows of points: the figure ``privacy``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.privacy_utility import CHANCE
from refacebench.plot.style import FAINT, INK, WIDTH, Look, message_figure, new_figure, styled
from refacebench.statistics.attack_tables import SETTING_WORDS, attackers, main_setting, settings

NOTHING = "No attack was scored."


@styled
def draw(table: pd.DataFrame, look: Look, *, alpha: float = 0.05) -> Any:
    """Draw identification rates with their intervals, one panel per attacker and measure.

    Panels of the choice among several pictures, where it could be made, stand above those of who
    is named first among all; both are of the participants who could be compared, with the number of
    those who could not.  Filled marks are of the main setting, hollow ones below them of the easier
    one, each with its own interval; the dashed line is chance.

    Parameters
    ----------
    table : pandas.DataFrame
        The table ``privacy``.
    look : Look
        Order, names and colours of the variants.
    alpha : float
        Level of the tests: a star stands behind what is shown to be above chance.

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
    measures = [("rank1_completers", "chance", "named first")]
    if has_choice(table):
        measures.insert(0, ("choice_completers", "choice_chance", f"picked from {options}"))
    groups = [names[i : i + _ACROSS] for i in range(0, len(names), _ACROSS)]
    rows = [(group, measure) for group in groups for measure in measures]
    bottom = max(places.values())
    figure = new_figure(WIDTH, 1.1 + len(rows) * (0.8 + _ROW * (bottom + 1.6)))
    across = max(map(len, groups))
    grid = figure.subplots(len(rows), across, sharex=True, sharey=True, squeeze=False)
    setting = main_setting(table)
    for line, (group, (measure, chance, what)) in zip(grid, rows, strict=True):
        for panel, attacker in zip(line, group, strict=False):
            mine = table[table["attacker"] == attacker]
            _rates(panel, places, mine, measure, setting, look, alpha)
            chances = mine.loc[mine["setting"] == setting, chance].dropna()
            if len(chances):
                dots.reference(panel, 100 * float(chances.median()), color=CHANCE, linewidth=1.1,
                               zorder=2)  # fmt: skip
            panel.set_title(f"{attacker}: {what}", loc="left", fontsize=8.5)
            panel.set_xlabel("people identified (%)")
            panel.tick_params(axis="x", labelbottom=True)
        for panel in line[len(group) :]:
            panel.set_axis_off()
        line[0].set_yticks(list(places.values()), look.row_labels(variants))
    grid[0][0].set_ylim(bottom + 0.8, -0.8)
    grid[0][0].set_xlim(-2, 102)
    _rates_legend(figure, setting, table, alpha)
    return figure


def has_choice(table: pd.DataFrame) -> bool:
    """Tell whether anybody was picked from several pictures: that takes as many people."""
    return bool(table["choice_completers"].notna().any())


#: Attackers side by side, height of a row in inches, and how far the two settings of a row are
#: from its middle.
_ACROSS, _ROW, _LANE = 3, 0.28, 0.19


def _rates(
    axes: Any,
    places: Mapping[str, float],
    table: pd.DataFrame,
    measure: str,
    setting: str,
    look: Look,
    alpha: float,
) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    main = table[table["setting"] == setting].set_index("variant")
    easy = table[table["setting"] != setting].set_index("variant")
    several = bool(easy[measure].notna().any())
    for variant, y in places.items():
        axes.axhline(y, color="#efefef", linewidth=0.8, zorder=0)
        values = _of(main, variant, measure)
        if values is None:
            axes.text(1, y, "no score", fontsize=7, color=FAINT, va="center")
        else:
            row = main.loc[variant]
            lane = y - _LANE * several
            dots.interval(axes, lane, look, variant, *values, size=5.5)
            _star(axes, lane, values, row, measure, alpha)
            failed = int(row["n"] - row["n_completers"])
            if failed:
                axes.text(1.06, y, f"{failed} of {int(row['n'])} failed", fontsize=7, color=INK,
                          va="center", transform=axes.get_yaxis_transform())  # fmt: skip
        other = _of(easy, variant, measure)
        if other is not None:
            dots.interval(axes, y + _LANE, look, variant, *other, filled=False, size=4.5, line=1.0)
            _star(axes, y + _LANE, other, easy.loc[variant], measure, alpha)


def _star(axes: Any, y: float, values: Any, row: pd.Series, measure: str, alpha: float) -> None:
    """Draw a star behind an interval, in either setting, where the test shows more than chance."""
    if f"{row['measure']}_completers" == measure and row["p_holm"] < alpha:
        axes.annotate("*", (np.nanmax(values), y), xytext=(4, -1.5), textcoords="offset points",
                      fontsize=10, va="center", color=INK, annotation_clip=False)  # fmt: skip


def _of(rows: pd.DataFrame, variant: str, measure: str) -> tuple[float, float, float] | None:
    """Return a rate and its interval in percent; None where nobody was scored."""
    if variant not in rows.index or not np.isfinite(rows.loc[variant, measure]):
        return None
    value, low, high = (
        100 * float(rows.loc[variant, c]) for c in (measure, f"{measure}_low", f"{measure}_high")
    )
    return value, low, high


def _rates_legend(figure: Any, setting: str, table: pd.DataFrame, alpha: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=FAINT, marker="o", markersize=5.5, linewidth=1.8,
               label=f"{SETTING_WORDS[setting]}, with interval"),
        Line2D([], [], color=CHANCE, linestyle=(0, (4, 2)), label="chance"),
    ]  # fmt: skip
    for other in settings(table)[1:]:
        handles.insert(1, Line2D([], [], marker="o", markerfacecolor="white", markersize=4.5,
                                 color=FAINT, linewidth=1.0, markeredgewidth=1.4,
                                 label=f"{SETTING_WORDS[other]}, with interval"))  # fmt: skip
    if (table["p_holm"] < alpha).any():
        handles.append(Line2D([], [], marker=(6, 2, 0), linestyle="none", color=INK, markersize=6,
                              label="more often than chance (exact test, Holm)"))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
