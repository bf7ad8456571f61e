r"""Result tables as LaTeX.

The output needs the packages ``booktabs`` and, for tables of more than
:data:`LONG` rows, ``longtable``.  Same table, same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import files
from refacebench.report import wording

#: Rows above which a table may break over pages.
LONG = 40
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{char: "\\" + char for char in "&%$#_{}"},
}
_SPECIAL = re.compile("|".join(re.escape(char) for char in _ESCAPES))


def escape(text: object) -> str:
    r"""Escape the characters that LaTeX gives a meaning.

    >>> escape("failure_1 & 50%")
    'failure\\_1 \\& 50\\%'
    """
    return _SPECIAL.sub(lambda hit: _ESCAPES[hit.group()], str(text))


def cell(value: Any, column: str) -> str:
    """Return a value as LaTeX, rounded by what its column holds.

    >>> cell(0.00001, "p_holm"), cell(float("nan"), "mean"), cell(-1.234, "mde_pct")
    ('$<$0.001', '--', '$-$1.23')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "--"
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, (int, np.integer)):
        return str(value)
    number = float(value)
    if math.isinf(number):
        return r"$\infty$" if number > 0 else r"$-\infty$"
    if _is_p(column) and 0 <= number < 0.001:
        return "$<$0.001"
    text = f"{abs(number):.{_decimals(column, number)}f}"
    return f"$-${text}" if number < 0 and text.strip("0.") else text


def _is_p(column: str) -> bool:
    return column == "p" or column.startswith("p_")


def _decimals(column: str, number: float) -> int:
    if column in ("n", "family_size", "equivalent", "rank") or column.startswith("n_"):
        return 0
    if column.endswith("_pct"):
        return 2
    if column.endswith(("_ml", "_median", "_max", "seconds", "seconds_mean")) or column == "W":
        return 1
    return 0 if number.is_integer() and abs(number) > 1 else 3


def to_latex(table: pd.DataFrame, caption: str, label: str = "") -> str:
    """Return a table as LaTeX with booktabs rules and its caption above.

    Names of columns and entries are said in words (:mod:`~refacebench.report.wording`).
    Numbers are right-aligned, text is left-aligned.  A column that begins a
    row with the value of the row above stays in: rows must be readable alone.
    """
    columns = list(table.columns)
    align = "".join("r" if pd.api.types.is_numeric_dtype(table[c]) else "l" for c in columns)
    head = " & ".join(escape(wording.head(c)) for c in columns) + r" \\"
    body = [
        " & ".join(cell(wording.entry(c, value), c) for c, value in zip(columns, row, strict=True))
        + r" \\"
        for row in table.itertuples(index=False, name=None)
    ]
    title = rf"\caption{{{escape(' '.join(caption.split()))}}}" + (
        rf"\label{{tab:{label}}}" if label else ""
    )
    if len(body) > LONG:
        lines = [
            r"\begin{longtable}{" + align + "}",
            title + r" \\",
            *[r"\toprule", head, r"\midrule", r"\endfirsthead"],
            *[r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"],
            *body,
            r"\end{longtable}",
        ]
    else:
        lines = [
            *[r"\begin{table}", r"\centering", title, r"\begin{tabular}{" + align + "}"],
            *[r"\toprule", head, r"\midrule", *body, r"\bottomrule"],
            *[r"\end{tabular}", r"\end{table}"],
        ]
    return "\n".join(lines) + "\n"


def printable(table: pd.DataFrame, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the columns that are printed; ``note`` only where there is one."""
    shown = table if columns is None else table[[c for c in (*columns, "note") if c in table]]
    empty = "note" in shown and (shown["note"].fillna("") == "").all()
    return shown.drop(columns="note") if empty else shown


def write_latex(
    table: pd.DataFrame,
    caption: str,
    path: str | Path,
    columns: Sequence[str] | None = None,
    label: str = "",
) -> None:
    """Write a table as LaTeX, all or nothing.

    Parameters
    ----------
    caption : str
        Plain text; it is escaped.
    columns : sequence of str, optional
        What to print; all by default.
    """
    files.write_text(to_latex(printable(table, columns), caption, label), path)
