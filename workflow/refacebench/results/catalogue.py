"""The list of all results, in their order, and what the rules and the page ask of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import results
from refacebench.results.result import ATTACKS, STUDY, TEXTS, Figure, Heading, Result, View
from refacebench.statistics.unavailable import noted


@lru_cache(maxsize=1)
def everything() -> tuple[Result, ...]:
    """Return the results of all modules of the folder, in their order.

    Raises
    ------
    ValueError
        If two results, or two figures, have one name.
    """
    found = []
    for item in pkgutil.iter_modules(results.__path__):
        module = importlib.import_module(f"{results.__name__}.{item.name}")
        if hasattr(module, "RESULT"):
            found.append(module.RESULT)
    for kind, names in (
        ("results", [r.name for r in found]),
        ("figures", [f.name for r in found for f in r.figures]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two {kind} have the name {twice[0]}")
    return tuple(sorted(found, key=lambda result: (result.order, result.name)))


def find(name: str) -> Result:
    """Return the result of a name.

    Raises
    ------
    KeyError
        If there is none.
    """
    for result in everything():
        if result.name == name:
            return result
    raise KeyError(f"no result {name}")


def of_job(job: str) -> list[Result]:
    """Return the results that a rule computes."""
    return [result for result in everything() if result.job == job]


def tables(job: str) -> list[str]:
    """Return the names of the tables that a rule writes."""
    return [result.name for result in of_job(job) if result.columns]


def compute(job: str, given: Any) -> dict[str, pd.DataFrame]:
    """Return all tables of a rule.

    Parameters
    ----------
    given
        What the rule's results are computed from, of :mod:`refacebench.results.inputs`.

    Raises
    ------
    ValueError
        If results need each other in a circle.
    """
    made: dict[str, pd.DataFrame] = {}
    waiting = {result.name: result for result in of_job(job) if result.compute}
    while waiting:
        ready = [result for result in waiting.values() if set(result.needs) <= set(made)]
        if not ready:
            raise ValueError(f"results depend on each other in a circle: {', '.join(waiting)}")
        for result in ready:
            if result.compute:
                some = not result.reads or (
                    result.can_read(given.measurements) and result.name not in given.passed_over
                )
                made[result.name] = result.compute(given, made) if some else result.frame([])
            del waiting[result.name]
    return {
        result.name: noted(made[result.name], given.absent)
        for result in of_job(job)
        if result.name in made
    }


def read(path: str | Path) -> pd.DataFrame:
    """Read a result table back: empty cells are missing, but the variant ``null`` is a name.

    pandas by itself would take the name for a missing value, and version 1.10 for 1.1.
    """
    own = [result.texts for result in everything() if result.name == Path(path).stem]
    text = dict.fromkeys(" ".join([TEXTS, *own]).split(), str)
    return pd.read_csv(path, sep="\t", dtype=text, keep_default_na=False, na_values=[""])


# figures ------------------------------------------------------------------------------------


def name_of(figure: str, segmenter: str, segmenters: Sequence[str]) -> str:
    """Return a figure's name; the first segmenter's has no suffix.

    >>> name_of("overlap", "b", ["a", "b"])
    'overlap-b'
    """
    return figure if segmenter == segmenters[0] else f"{figure}-{segmenter}"


def figures(attacks: bool = False) -> list[tuple[Result, Figure]]:
    """Return the figures that are drawn from tables alone, or from attacks."""
    return [
        (result, figure)
        for result in everything()
        for figure in result.figures
        if figure.draw and result.job != STUDY and (result.job == ATTACKS) == attacks
    ]


def study_figures() -> list[str]:
    """Return the names of the figures that only a study has."""
    return [figure.name for result in of_job(STUDY) for figure in result.figures]


def with_figure(name: str) -> tuple[Result, Figure]:
    """Return the figure of a name, with its result.

    Raises
    ------
    KeyError
        If there is none.
    """
    for result in everything():
        for figure in result.figures:
            if figure.name == name:
                return result, figure
    raise KeyError(f"no figure {name}")


def figure_names(segmenters: Sequence[str]) -> list[str]:
    """Return the names of the figures of measurements, known from the config alone."""
    drawn = [figure for _, figure in figures()]
    single = [figure.name for figure in drawn if not figure.by_segmenter]
    several = [figure.name for figure in drawn if figure.by_segmenter]
    return [*single, *(name_of(name, s, segmenters) for s in segmenters for name in several)]


def attack_figure_names() -> list[str]:
    """Return the names of the figures of attacks."""
    return [figure.name for _, figure in figures(attacks=True)]


def draw(view: View, segmenters: Sequence[str], attacks: bool = False) -> dict[str, Any]:
    """Return the figures of measurements, or those of attacks, by name.

    Where there is nothing to draw, a figure says so.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        Exactly the names of :func:`figure_names` or :func:`attack_figure_names`.
    """
    drawn: dict[str, Any] = {}
    for _, figure in figures(attacks):
        of = segmenters if figure.by_segmenter else [None]
        for segmenter in of:
            name = name_of(figure.name, segmenter, segmenters) if segmenter else figure.name
            drawn[name] = figure.draw(view.of(segmenter)) if figure.draw else None
    return drawn


# page ---------------------------------------------------------------------------------------


def headings() -> list[tuple[Heading, list[Result]]]:
    """Return the sections of the page in their order, with what stands in each."""
    found: dict[Heading, list[Result]] = {}
    for result in everything():
        if result.heading:
            found.setdefault(result.heading, []).append(result)
    return sorted(found.items(), key=lambda item: (item[0].order, item[0].id))


def caption(name: str, view: View) -> str:
    """Return the caption of a table.

    Raises
    ------
    KeyError
        If there is no such result.
    ValueError
        If it has no caption.
    """
    return find(name).said(view)


def reference() -> str:
    """Return what every table's columns are, as plain text with headings."""
    return "\n".join(_entry(result) for result in everything() if result.columns)


def _entry(result: Result) -> str:
    title = f"``{result.name}``"
    return f"{title}\n{'-' * len(title)}\n\n{result.about.strip()}\n\n{' '.join(result.columns)}\n"
