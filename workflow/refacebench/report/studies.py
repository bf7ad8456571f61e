"""Draws what a study shows: its own figures, and those of its items as a paper prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from refacebench import pseudonyms
from refacebench.plot import style
from refacebench.results import catalogue
from refacebench.results.result import View
from refacebench.results.studied import Studied


def view(given: Studied, made: Mapping[str, pd.DataFrame], asked: Any) -> View:
    """Return what figures and captions of a study are made from.

    Parameters
    ----------
    given : Studied
    made : mapping of str to pandas.DataFrame
        The tables of the study.
    asked
        ``variants``, in the config's order, and ``config`` with ``thresholds``.
    """
    tables = {**given.tables, **made}
    return View(
        tables,
        given.criteria,
        thresholds=asked.config.get("thresholds") or {},
        decision=asked.config.get("decision") or {},
        look=style.look_of(tables, asked.variants),
        measures=pseudonyms.active().table(given.measurements),
    )


def drawn(seen: View, names: Sequence[str], segmenter: str | None = None) -> dict[str, Any]:
    """Return figures by name.

    Parameters
    ----------
    seen : View
    names : sequence of str
    segmenter : str, optional
        Whose figures are meant, of those that every segmenter has.
    """
    found = {}
    for name in names:
        _, figure = catalogue.with_figure(name)
        if figure.draw:
            found[name] = figure.draw(seen.of(segmenter) if figure.by_segmenter else seen)
    return found
