"""On which scans an attacker that looks for a face found none: a figure of ``privacy``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot import dots
from refacebench.plot.recognised import NOTHING
from refacebench.plot.style import Look, message_figure, styled
from refacebench.results import words
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Figure, Result, View
from refacebench.statistics.attack_tables import attackers


def caption(view: View) -> str:
    """Return the caption of the undetected faces."""
    return words.folded(
        "Scans in which an attacker that looks for a face found none (or that could not be "
        "rendered). Not detected is not the same as safe: such scans are compared all the same.",
        "The attacker knows the pose of the head and takes the picture from where the face would "
        "be; the outline, the forehead or what lies behind the face may be enough. So it can "
        "find no face at all behind a method and still be the strongest attack on it.",
        words.shares(view.criteria),
    )


@styled
def draw(table: pd.DataFrame, look: Look) -> Any:
    """Draw the share of scans on which an attacker found no face, one panel per attacker.

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
        panel.text(1.02, 1.0, "scans", transform=panel.transAxes, fontsize=8, va="bottom")
        panel.set_xlabel("share of scans (%)")
    dots.legend(figure, [dots.sample("scans without a found face, with interval")])
    return figure


RESULT = Result(
    "privacy_undetected",
    empty="no attacker looks for a face first",
    job=ATTACKS,
    caption=caption,
    source="privacy",
    heading=HEADING,
    secondary=True,
    order=130,
    figures=[
        Figure(
            "privacy_undetected",
            "Dots with intervals: share of scans on which no face was found.",
            lambda view: draw(view.rows("privacy"), view.look),
            title="Scans without a found face",
        )
    ],
)
