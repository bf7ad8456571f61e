"""Writes result tables: as TSV, and beside it as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from refacebench import manifest, pseudonyms
from refacebench.report.latex import write_latex
from refacebench.results import catalogue, words
from refacebench.results.result import STATISTICS, View


def write(
    tables: Mapping[str, pd.DataFrame],
    paths: Iterable[str | Path],
    view: View,
    note: str = "",
) -> None:
    """Write tables as TSV and, where the result says so, beside it as LaTeX.

    Scans have their pseudonyms in them, if the config asks for it.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        By name.
    paths : iterable of str or Path
        The TSV files; the stem of each names its table.
    view : View
        What captions are made from.
    note : str
        Stands before every caption.
    """
    named = pseudonyms.active()
    for path in map(Path, paths):
        table = named.table(tables[path.stem])
        manifest.write(table, path)
        print_latex(table, path, view, note)


def print_latex(table: pd.DataFrame, path: Path, view: View, note: str = "") -> None:
    """Write one table as LaTeX beside its TSV file, unless it is not to be printed."""
    result = catalogue.find(path.stem)
    if result.in_latex:
        measured = "variant" in table and result.job == STATISTICS
        said = words.join(note, result.said(view), words.alone(view) if measured else "")
        said = pseudonyms.active().text(said)
        write_latex(table, said, path.with_suffix(".tex"), result.latex or None, result.name)
