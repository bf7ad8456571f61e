"""Reads what the page is made of: tables, figures, cards of models and costs, by data set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from refacebench.plot.style import Look, look_of
from refacebench.report import models
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
    cards = {name: _cards(given.cards, name) for name in asked.statements}
    return [
        {
            "name": name,
            "statement": models.circular(statement, cards[name]),
            "faces": asked.faces[name],
            "tables": {
                f.stem: catalogue.read(f) for f in _under([*given.tables, *given.privacy], name)
            },
            "texts": {f.stem: f.read_text() for f in _under([*given.tables, *given.privacy], name)},
            "figures": {f.stem: f for f in _under(given.figures, name)},
            "criteria": Criteria.from_config(asked.config),
            "config": asked.config,
            "methods": asked.methods,
            "models": cards[name],
            "defaults": asked.defaults,
            "brought": name in (asked.get("brought") or ()),
            "costs": spent[spent["dataset"] == name].drop(columns="dataset"),
        }
        for name, statement in asked.statements.items()
    ]


def _cards(paths, dataset: str) -> dict[str, dict]:
    """Return the cards of the models that were trained on a dataset, by variant."""
    return {
        path.parent.name: json.loads(path.read_text())
        for path in map(Path, paths)
        if path.parent.parent.name == dataset
    }


def look(tables: Tables, config: Mapping) -> Look:
    """Return the look of a dataset's variants, in the order in which the config names methods."""
    defacers, refacers = (list(config.get(kind) or {}) for kind in ("defacers", "refacers"))
    refaced = [f"{defacer}+{refacer}" for defacer in defacers for refacer in refacers]
    return look_of(tables, [*defacers, *refaced])


def _under(paths, dataset: str) -> list[Path]:
    """Return the paths of one dataset's folder."""
    return [Path(p) for p in paths if Path(p).parent.name == dataset]
