"""How far the automatic checks of face and brain can be trusted, by true labels, in a sentence.

Pure functions: result tables in, text out.
"""

from __future__ import annotations

import pandas as pd

from refacebench.plot.style import CONTROL_LABELS
from refacebench.results.attack_found import Tables
from refacebench.results.findings import Check, check_of
from refacebench.results.verdict_agreement import ALL
from refacebench.statistics.attack_tables import is_control


def checks_line(tables: Tables) -> str:
    """Return how far the two automatic checks can be trusted, over all variants together."""
    face, brain = (check_of(tables, ALL, name) for name in ("failure_1", "failure_2"))
    if face is None and brain is None:
        return (
            "How far the checks of face and brain can be trusted is unknown: the data set has no "
            "true labels to hold them against."
        )
    parts = [
        f"the check of the {what} found {_found(tables, name, c, kind)} and raised a false alarm "
        f"in {c.accused} of {c.cleared + c.accused} other images"
        + (f" ({c.unjudged} could not be compared)" if c.unjudged else "")
        for what, kind, name, c in (
            ("face", "faces left", "failure_1", face),
            ("brain", "losses of brain", "failure_2", brain),
        )
        if c is not None
    ]
    blind = (
        " No alarm is possible on methods that spare the mask that judges them." if brain else ""
    )
    told = "; ".join(parts)
    return f"How far the checks can be trusted (true labels, all variants): {told}.{blind}"


def _found(tables: Tables, failure: str, check: Check, kind: str) -> str:
    """Return how many of the true failures a check found, methods and controls apart, and whose.

    A check is only as tried as these are varied: that it sees an untouched face says little.
    """
    table = tables["verdict_agreement"]
    rows = table[(table["failure"] == failure) & (table["made_by"] != ALL)]
    rows = rows.assign(failed=rows[["true_positive", "false_negative"]].fillna(0).sum(axis=1))
    rows = rows[rows["failed"] > 0]
    control = rows["made_by"].map(is_control).astype(bool)
    if control.any() and not control.all():
        of_methods, of_controls = rows[~control], rows[control]
        return (
            f"{_count(of_methods)} {kind} by methods{_names(of_methods)} and "
            f"{_count(of_controls)} by controls{_names(of_controls)}"
        )
    which = ", all by controls" if len(rows) and control.all() else ""
    return f"{check.found} of {check.failed} {kind}{which}{_names(rows)}"


def _count(rows: pd.DataFrame) -> str:
    return f"{rows['true_positive'].fillna(0).sum():.0f} of {rows['failed'].sum():.0f}"


def _names(rows: pd.DataFrame) -> str:
    names = [CONTROL_LABELS.get(name, name) for name in dict.fromkeys(rows["made_by"])]
    return f" ({', '.join(names)})" if 0 < len(names) <= 4 else ""
