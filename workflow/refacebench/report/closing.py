"""The text that a run ends with, and that stays as ``results/summary.txt``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from refacebench.report import elsewhere, given, models
from refacebench.results import decisions, headline
from refacebench.results.privacy_warnings import warning_lines


def closing(datasets: Sequence[Mapping], page: str | Path) -> str:
    """Return the text that a run ends with: a few lines a dataset, and where the report is.

    Parameters
    ----------
    datasets : sequence of mapping
        As for :func:`refacebench.report.page.build`.
    page : path
        The report.
    """
    found = []
    for dataset in datasets:
        synthetic = " (SYNTHETIC, no evidence about real people)" if dataset["statement"] else ""
        found.append(f"\nDataset {dataset['name']}{synthetic}")
        found += [f"WARNING: {line}" for line in warning_lines(dataset["tables"])]
        found += [f"NOTE: {line}" for line in warning_lines(dataset["tables"], loud=False)]
        config = dataset.get("config") or {}
        rule = decisions.Rule.from_config(config)
        # The order of the page: that of the config.
        look = given.look(dataset["tables"], config)
        order = look.sort(_methods(dataset["tables"]))
        found += headline.lines(dataset["tables"], order, rule, dataset["criteria"])
        found += elsewhere.summary_lines(dataset, look=look)
        found += models.lines(dataset)
    return "\n".join([*found, f"\nReport: {page}", ""])


def _methods(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the variants that were judged."""
    quality = tables.get("quality")
    return [] if quality is None or quality.empty else list(dict.fromkeys(quality["variant"]))
