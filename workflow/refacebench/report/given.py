"""Reads what the page is made of: tables, figures, cards of models and costs, by data set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from refacebench.plot.style import Look, look_of
from refacebench.results import catalogue
from refacebench.results.result import Tables
from refacebench.statistics.criteria import Criteria


def read(given, asked) -> list[dict]:
    """Return the data sets as :func:`refacebench.report.page.build` takes them.

    Parameters
    ----------
    given
        Paths: ``tables``, ``privacy``, ``figures``, ``cards`` and ``costs``.
    asked
        ``config``; ``methods``; ``defaults``; ``statements`` and ``faces`` by dataset.
    """
    spent = pd.read_csv(given.costs, sep="\t")
    return [
        {
            "name": name,
            "statement": statement,
            "faces": asked.faces[name],
            "tables": {
                f.stem: catalogue.read(f) for f in _under([*given.tables, *given.privacy], name)
            },
            "texts": {f.stem: f.read_text() for f in _under([*given.tables, *given.privacy], name)},
            "figures": {f.stem: f for f in _under(given.figures, name)},
            "criteria": Criteria.from_config(asked.config),
            "config": asked.config,
            "methods": asked.methods,
            "models": {
                card.parent.name: json.loads(card.read_text())
                for card in map(Path, given.cards)
                if card.parent.parent.name == name
            },
            "defaults": asked.defaults,
            "brought": name in (asked.get("brought") or ()),
            "costs": spent[spent["dataset"] == name].drop(columns="dataset"),
        }
        for name, statement in asked.statements.items()
    ]


def look(tables: Tables, config: Mapping) -> Look:
    """Return the look of a dataset's variants, in the order in which the config names methods."""
    defacers, refacers = (list(config.get(kind) or {}) for kind in ("defacers", "refacers"))
    refaced = [f"{defacer}+{refacer}" for defacer in defacers for refacer in refacers]
    return look_of(tables, [*defacers, *refaced])


def _under(paths, dataset: str) -> list[Path]:
    """Return the paths of one dataset's folder."""
    return [Path(p) for p in paths if Path(p).parent.name == dataset]
