"""Cells of the page's tables: a value with its interval, a count with the failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, with_ends
from refacebench.plot.style import Look


class Linked(str):
    """A cell of names, each of which leads to a section of the same data set on the page.

    >>> cell = Linked({"Volumes": "volumes", "below": ""})
    >>> cell, cell.parts
    ('Volumes, below', (('Volumes', 'volumes'), ('below', '')))
    """

    parts: tuple[tuple[str, str], ...]

    def __new__(cls, parts: Mapping[str, str]) -> Linked:
        """Join the names; ``parts`` are anchors by name, empty for none."""
        made = super().__new__(cls, ", ".join(parts))
        made.parts = tuple(parts.items())
        return made


def by_variant(table: pd.DataFrame, look: Look) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the label and the rows of each variant, in the order of all figures."""
    for variant in look.sort(table["variant"]):
        yield look.label(variant), table[table["variant"] == variant]


def with_interval(
    row: pd.Series,
    name: str,
    low: str,
    high: str,
    digits: int,
    signed: bool = False,
    scale: float = 1.0,
) -> str:
    """Return ``value [low, high]``; whole percentages of a share are not made finer."""
    mean, *ends = (scale * row[c] if pd.notna(row[c]) else None for c in (name, low, high))
    if digits == 0:
        value, below, above = (number(each, digits, signed) for each in (mean, *ends))
    else:
        value, below, above = with_ends(mean, ends[0], ends[1], digits, signed)
    if value == NO_VALUE:
        return NO_VALUE
    return value if below == NO_VALUE else f"{value} [{below}, {above}]"


def count(row: pd.Series) -> str:
    """Return the participants of a row, the failed scans in brackets."""
    failed = row.get("n_failed", 0)
    text = str(int(row["n"])) if pd.notna(row["n"]) else "0"
    return f"{text} ({int(failed)})" if pd.notna(failed) and failed > 0 else text
