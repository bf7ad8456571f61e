"""What a page and a run's last lines say where the measures were made elsewhere, before the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from refacebench.plot.style import look_of
from refacebench.report import summary
from refacebench.results import decisions, other_measures
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.unavailable import present

REMINDER = (
    "Whether people can be recognised, and what is left of their faces, was not measured. This "
    "report shows only how measures that other software made have changed."
)


def reminder(dataset: Mapping[str, Any]) -> str:
    """Return the sentence that must stand beside the results of a dataset, brought or not."""
    return REMINDER if dataset.get("brought") else summary.reminder(dataset["tables"])


def lines(
    tables: Mapping[str, pd.DataFrame], criteria: Criteria, *, look=None, on_page: bool = False
) -> list[str]:
    """Return a line on the scans, and of each program's measures what they show.

    Parameters
    ----------
    tables, criteria, look, on_page
        As for :func:`refacebench.report.summary.summary_lines`.
    """
    look = look or look_of(tables)
    tables = {name: present(table) for name, table in tables.items()}
    found = [summary._scans_line(tables)]
    named = [
        str(segmenter)
        for name in ("volumes", "other_measures")
        for segmenter in summary._get(tables, name).get("segmenter", ())
    ]
    for program in dict.fromkeys(named):
        others = summary._get(tables, "other_measures", program)
        said = [
            summary._volumes_line(tables, criteria, program, look),
            other_measures.line(others, look, criteria.alpha),
            summary._age_line(tables, criteria, program, look),
        ]
        said = [text for text in said if text and not text.endswith(": not measured.")]
        found.append(f"By {program}. {' '.join(said)}")
    return found if on_page else [*found, REMINDER]


def summary_lines(dataset: Mapping[str, Any], **more: Any) -> list[str]:
    """Return the few lines that say what a dataset's tables show, brought or not."""
    tables, criteria = dataset["tables"], dataset["criteria"]
    if dataset.get("brought"):
        return lines(tables, criteria, **more)
    rule = decisions.Rule.from_config(dataset.get("config") or {})
    return summary.summary_lines(tables, criteria, rule=rule, **more)
