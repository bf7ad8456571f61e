"""Mixed models: the mean change by each method, given participant and site.

One model a ``measure`` over all methods (controls are none): variant fixed, site fixed where there
are two or more (``n_sites``; sites of fewer than three participants are pooled), participant
random.  Values are scans', so that repeated sessions need not be averaged.  Volumes in percent of
the original, Dice less 1, ``age_shift`` in years: 0 is no change everywhere.  ``estimate`` is a
method's mean at an average site; ``low`` and ``high`` allow each method a spread of its own
(sandwich estimate over participants, corrected for few of them).  ``fit`` says whether the model
converged, and why not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from refacebench.results import words
from refacebench.results.method_pairs import HEADING, of_methods
from refacebench.results.result import STATISTICS, Result, View
from refacebench.statistics import mixed, outcomes
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.outcomes import Outcome

_DICE = outcomes.overlap("dice", "brain")
OUTCOMES = (
    *(outcomes.volume(name) for name in ("tiv", "brain", "gm", "wm", "csf", "vcsf")),
    replace(_DICE, values=lambda table: _DICE.values(table) - 1),
    outcomes.age_shift(),
)


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return one model a measure, one row per method."""
    rows = []
    for segmenter, tables in of_methods(measurements, criteria, variants):
        for outcome in OUTCOMES:
            found = mixed.fit(long(tables, outcome), criteria.level)
            rows += [
                {"variant": variant, "segmenter": segmenter, "measure": outcome.name,
                 **_row(found, variant)}
                for variant in tables
            ]  # fmt: skip
    return RESULT.frame(rows)


def long(tables: Mapping[str, pd.DataFrame], outcome: Outcome) -> pd.DataFrame:
    """Return one row per scan and variant: participant, site, variant and value."""
    parts = [
        pd.DataFrame(
            {
                "participant": table["participant"].astype(str),
                "site": table.get("site", pd.Series("", index=table.index)),
                "variant": variant,
                "value": outcome.values(table),
            }
        )
        for variant, table in tables.items()
    ]
    empty = pd.DataFrame(columns=["participant", "site", "variant", "value"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def _row(found: mixed.MixedFit, variant: str) -> dict[str, Any]:
    own = found.estimates.loc[variant].to_dict() if variant in found.estimates.index else {}
    return {
        "n": found.n,
        "n_values": found.n_values,
        **own,
        "sd_participant": found.sd_participant,
        "sd_residual": found.sd_residual,
        "n_sites": found.sites,
        "fit": found.fit,
    }


def caption(view: View) -> str:
    """Return the caption of the mixed models."""
    table = view.rows("mixed_models")
    return words.join(
        f"Mean change by each method{view.by} from linear mixed models (REML), one a measure: "
        "method fixed, site fixed where there are two or more, participant random; scans that "
        "went through. Volumes in percent of the original, Dice less 1, brain age in years. "
        f"Intervals: {100 * view.criteria.level:g} %, sandwich estimate over participants, so that "
        "methods may spread differently; not adjusted for many comparisons.",
        words.cohort(table),
        _problems(table),
    )


def _problems(table: pd.DataFrame) -> str:
    """Return which models did not work out."""
    if table.empty:
        return ""
    firsts = table.dropna(subset=["measure"]).drop_duplicates(["segmenter", "measure"])
    bad = firsts[~firsts["fit"].fillna("").str.startswith(mixed.CONVERGED)]
    said = [f"{row.measure} ({row.fit})" for row in bad.itertuples()]
    return f"No model of {'; '.join(said)}." if said else ""


RESULT = Result(
    "mixed_models",
    about=__doc__,
    empty="too few participants or sites for such a model",
    job=STATISTICS,
    reads="vol_* dice_*",
    columns="""
        variant segmenter measure n n_values estimate low high sd_participant sd_residual n_sites
        fit
    """,
    texts="fit",
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    heading=HEADING,
    order=627,
)
