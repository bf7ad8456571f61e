"""Attacks the other way round: one original, several de-identified scans to choose from.

The question of CP-GAN's figure 4 (Van der Goten et al. 2021): the query is the rendering of an
original, the options are renderings of scans that one method de-identified, one of them of the same
person.  ``choice`` is the mean rate of picking the right one of ``n_options`` at random from
everybody (nobody is matched by site, sex or age), with its interval over participants; ``sd`` is
the standard deviation over the ``n_resplits`` resplits of a trained attacker, ``band_low`` and
``band_high`` the range that holds 95 % of them.  A match without a score is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.numbers import NO_VALUE, number
from refacebench.plot.style import FAINT, Look, message_figure, styled
from refacebench.results import words
from refacebench.results.result import STUDY, Figure, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.statistics.attack_tables import attackers, main_rows
from refacebench.statistics.attacks import rate_interval
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import quantiles
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.trials import by_person, by_resplit, choice, trials
from refacebench.vocabulary import SETTINGS


def compute(found: Iterable[Comparisons], protocol: Protocol, criteria: Criteria) -> pd.DataFrame:
    """Return the rate of each attacker on each variant in each setting."""
    rows = [_row(scores, setting, protocol, criteria) for scores in found for setting in SETTINGS]
    return RESULT.frame(rows)


def _row(
    scores: Comparisons, setting: str, protocol: Protocol, criteria: Criteria
) -> dict[str, Any]:
    t = trials(scores.reversed(), setting)
    row: dict[str, Any] = {
        "variant": scores.variant,
        "attacker": scores.attacker,
        "setting": setting,
        "n_options": protocol.options,
        "chance": 1.0 / protocol.options,
        "n_resplits": scores.resplits,
        "n": 0,
    }
    if not len(t) or not t.scored.any():
        return row
    values = choice(t, protocol.options)
    persons = by_person(values, t, t.scored)
    low, high = rate_interval(persons, criteria)
    parts = by_resplit(values, t, t.scored) if scores.resplits else np.array([])
    parts = parts[np.isfinite(parts)]
    row |= {"n": len(persons), "choice": float(persons.mean()) if len(persons) else np.nan,
            "low": low, "high": high}  # fmt: skip
    if len(parts) > 1:
        band = quantiles(parts, criteria.level)
        row |= {"sd": float(parts.std(ddof=1)), "band_low": band[0], "band_high": band[1]}
    return row


def caption(view: View) -> str:
    """Return the caption of the attacks the other way round."""
    table = view.rows("privacy_reverse")
    options = int(table["n_options"].iloc[0]) if len(table) else 5
    return words.join(
        f"Share of originals for which an attacker picks the right one of {options} de-identified "
        "scans. The others are drawn from everybody, whatever their site, sex and age, so that an "
        "attacker which sees only these does better than chance.",
        "Lines: standard deviation over resplits of an attacker that is trained, else the "
        f"{100 * view.criteria.level:g} % interval over participants; dashes: chance.",
    )


@styled
def draw(table: pd.DataFrame, look: Look) -> Any:
    """Draw the rates, one panel per attacker and one row per variant."""
    table = main_rows(table)
    table = table[table["choice"].notna()] if len(table) else table
    if table.empty:
        return message_figure("Nobody was attacked.")
    names = attackers(table)
    figure, axes, places = dots.panels(look.sort(table["variant"]), look, names, extra=1.2)
    for panel, name in zip(axes, names, strict=True):
        mine = table[table["attacker"] == name].set_index("variant")
        for variant, row in mine.iterrows():
            # A rate ends at 0 and 1, however far it is to its standard deviation.
            spread = np.clip([row["choice"] - row["sd"], row["choice"] + row["sd"]], 0, 1)
            low, high = spread if np.isfinite(row["sd"]) else (row["low"], row["high"])
            values = [100 * v for v in (row["choice"], low, high)]
            dots.interval(panel, places[variant], look, variant, *values)
        panel.axvline(100 * mine["chance"].iloc[0], color=FAINT, linestyle=(0, (4, 2)))
        panel.set_xlim(-3, 103)
        panel.set_xlabel("right one picked (%)")
    return figure


def printed(view: View) -> Printed:
    """Return one row per variant and attacker."""
    table = view.rows("privacy_reverse")
    table = main_rows(table)
    rows = []
    for variant in view.look.sort(table["variant"]):
        for row in table[table["variant"] == variant].to_dict("records"):
            rate = NO_VALUE
            if np.isfinite(row["choice"]):
                ends = [number(100 * row[name], 0) for name in ("low", "high")]
                rate = f"{number(100 * row['choice'], 1)} [{ends[0]}, {ends[1]}]"
            spread = number(100 * row["sd"], 1) if np.isfinite(row["sd"]) else NO_VALUE
            rows.append([view.look.label(variant), row["attacker"], str(int(row["n"])), rate,
                         spread])  # fmt: skip
    return ["Variant", "Attacker", "n", "Right one picked (%)", "SD over resplits"], rows


RESULT = Result(
    "privacy_reverse",
    about=__doc__,
    job=STUDY,
    columns="""
        variant attacker setting n n_options chance n_resplits choice low high sd band_low band_high
    """,
    compute=lambda given, _: compute(given.attacks, given.protocol, given.criteria),
    caption=caption,
    latex="variant attacker n choice low high sd",
    heading=HEADING,
    order=25,
    printed=printed,
    figures=[
        Figure(
            "privacy_reverse",
            "Dots with lines: share of originals for which the right de-identified scan was "
            "picked, one row per variant, one panel per attacker.",
            lambda view: draw(view.rows("privacy_reverse"), view.look),
            title="The right one of several de-identified scans",
        )
    ],
)
