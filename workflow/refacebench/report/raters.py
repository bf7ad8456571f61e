"""Writes the rates of human raters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from refacebench import manifest, pseudonyms
from refacebench.report import tables
from refacebench.results import answers, catalogue
from refacebench.results.result import RATERS, View
from refacebench.statistics.criteria import Criteria


def write(
    paths: Sequence[str | Path],
    key: str | Path,
    out: Iterable[str | Path],
    criteria: Criteria,
    note: str = "",
) -> str:
    """Read answers and write the tables of raters as TSV and LaTeX; return a line about them.

    Parameters
    ----------
    paths : sequence of path
        The answer files.
    key : path
        The kit's key.
    out : iterable of path
        The TSV files; the stem of each names its table.
    criteria : Criteria
    note : str
        Stands before every caption.
    """
    given = answers.collect(paths, key, criteria)
    found = catalogue.compute(RATERS, given)
    for path in map(Path, out):
        manifest.write(pseudonyms.active().table(found[path.stem]), path)
        tables.print_latex(catalogue.read(path), path, View(found, criteria), note)
    return answers.line(given, len(paths))
