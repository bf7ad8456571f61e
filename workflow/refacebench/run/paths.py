"""Paths below ``results``: made from names, and read back.  Touches no file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """What a manifest's path says of it; empty where the stage has no such part."""

    stage: str
    dataset: str
    segmenter: str
    variant: str


def manifest_place(path: str | Path) -> Place:
    """Take apart ``results/{stage}/{dataset}/[{segmenter}/][{variant}/]{batch}.tsv``.

    >>> manifest_place("results/measure/demo/deepbet_atlas/null/test-measured-000.tsv")[2:]
    ('deepbet_atlas', 'null')
    >>> manifest_place("results/deface/demo/quickshear/test-measured-000.tsv")[2:]
    ('', 'quickshear')
    """
    parts = Path(path).parts
    start = len(parts) - 1 - parts[::-1].index("results")
    stage, dataset, *middle = parts[start + 1 : -1]
    segmenter, variant = ["", "", *middle][-2:]
    return Place(stage, dataset, segmenter, variant)


def alternatives(names) -> str:
    r"""Return a regular expression that matches just these names.

    >>> alternatives(["a", "a+b"])
    'a|a\\+b'
    """
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"
