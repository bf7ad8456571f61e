"""How many scans of each site went through; a trial result, the only file that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.plot.style import Look, new_figure, styled
from refacebench.results import words
from refacebench.results.cells import by_variant
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, View
from refacebench.statistics.cohort import pairs
from refacebench.statistics.criteria import Criteria


def compute(once: pd.DataFrame, criteria: Criteria, variants: Sequence[str]) -> pd.DataFrame:
    """Return one row per variant and site."""
    rows = []
    for variant in variants:
        table = pairs(once, "any", variant, criteria)
        for site, here in table.groupby("site"):
            rows.append({"variant": variant, "site": site, "n": int(here["ok"].sum())})
    return RESULT.frame(rows)


def caption(view: View) -> str:
    """Return the caption."""
    return words.join("Scans that went through, by site.", words.left_out(view))


@styled
def draw(table: pd.DataFrame, look: Look):
    """Draw one bar per variant."""
    figure = new_figure()
    axes = figure.add_subplot()
    for place, (label, mine) in enumerate(by_variant(table, look)):
        axes.barh(place, mine["n"].sum(), label=label)
    return figure


def printed(view: View) -> Printed:
    """Return one row per variant, one column per site."""
    table = view.rows("site_counts")
    sites = list(dict.fromkeys(table["site"]))
    rows = [[label, *mine["n"].map(str)] for label, mine in by_variant(table, view.look)]
    return ["Variant", *sites], rows


RESULT = Result(
    "site_counts",
    about=__doc__,
    job=STATISTICS,
    columns="variant site n",
    compute=lambda given, _: compute(given.once, given.criteria, given.variants),
    caption=caption,
    heading=Heading("sites", "Sites", order=710),
    order=710,
    printed=printed,
    figures=[
        Figure(
            "site_counts",
            "Bars: scans of each site, one bar per variant.",
            lambda view: draw(view.rows("site_counts"), view.look),
        )
    ],
)
