"""What a variant does to ratings of the same images by several raters, in one mixed model.

A study says which measures are ratings (``raters``, names like ``rater_*``). One row per program
and variant: ratings of original and variant, ``effect`` (variant less original, fixed, with
standard error and interval) with random intercepts of participants and of raters, by maximum
likelihood; ``chi2`` with ``df`` and ``p`` of the likelihood ratio against the model without the
effect. ``var_participant``, ``var_rater`` and ``var_residual`` are variances, ``fit`` says what
went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, with_ends
from refacebench.results import words
from refacebench.results.other_measures import PREFIX, names_of
from refacebench.results.result import STUDY, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.statistics import crossed
from refacebench.statistics.cohort import each, measure
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import ORIGINAL


def raters_of(measurements: pd.DataFrame, segmenter: str, pattern: str) -> list[str]:
    """Return the measures that are ratings; none where the study names none."""
    names = names_of(measurements, segmenter) if pattern else []
    return [name for name in names if fnmatchcase(name, pattern)]


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str], pattern: str
) -> pd.DataFrame:
    """Return the effect of each variant on the ratings."""
    rows = []
    for segmenter, variant, table in each(measurements, criteria, variants):
        names = raters_of(measurements, segmenter, pattern)
        if variant == ORIGINAL or len(names) < 2 or table.empty:
            continue
        found = long(table, names)
        rows.append({"variant": variant, "segmenter": segmenter, **_row(found, criteria.level)})
    return RESULT.frame(rows)


def long(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return one row per rating, of pairs of scans: participant, rater, variant (0 or 1), value."""
    parts = [
        pd.DataFrame(
            {
                "participant": table["participant"].astype(str),
                "rater": name,
                "variant": float(new),
                "value": measure(table, f"{PREFIX}{name}") if new else table[f"ref_{PREFIX}{name}"],
            }
        )
        for name in names
        for new in (False, True)
    ]
    found = pd.concat(parts, ignore_index=True)
    return found[np.isfinite(found["value"].astype(float))]


def _row(table: pd.DataFrame, level: float) -> dict[str, Any]:
    from scipy import stats

    sizes = {
        "n": table["participant"].nunique(),
        "n_raters": table["rater"].nunique(),
        "n_values": len(table),
    }
    design = np.column_stack([np.ones(len(table)), table["variant"]])
    groups = table["participant"], table["rater"]
    try:
        full, null = (crossed.fit(table["value"], design[:, :k], *groups) for k in (2, 1))
    except (ValueError, np.linalg.LinAlgError) as problem:
        return {**sizes, "fit": f"no model: {problem}"}
    chi2, degrees, p = crossed.likelihood_ratio(full, null)
    half = stats.norm.isf((1 - level) / 2) * full.errors[1]
    return {
        **sizes,
        "intercept": full.estimates[0],
        "effect": full.estimates[1],
        "se": full.errors[1],
        "low": full.estimates[1] - half,
        "high": full.estimates[1] + half,
        **dict(zip(("var_participant", "var_rater", "var_residual"), full.variances, strict=True)),
        "log_likelihood": full.log_likelihood,
        "log_likelihood_null": null.log_likelihood,
        "chi2": chi2,
        "df": degrees,
        "p": p,
        "fit": "converged" if full.converged and null.converged else "did not converge",
    }


def caption(view: View) -> str:
    """Return the caption of the effects on ratings."""
    return words.join(
        "Effect on ratings (variant less original, in the ratings' own unit) in a linear mixed "
        "model with random intercepts of participants and of raters, by maximum likelihood. "
        "The p is that of the likelihood ratio against the model without the effect.",
        f"Interval: {100 * view.criteria.level:g} %, normal.",
    )


def printed(view: View) -> Printed:
    """Return one row per variant."""
    columns = ["Variant", "Participants", "Raters", "Ratings", "Effect", "Chi-squared (df)", "p"]
    rows = []
    for _, row in view.rows("rater_effects").iterrows():
        sizes = [str(int(row[name])) for name in ("n", "n_raters", "n_values")]
        if not np.isfinite(row["effect"]):
            rows.append([view.look.label(row["variant"]), *sizes, row["fit"], NO_VALUE, NO_VALUE])
            continue
        effect = "{} [{}, {}]".format(*with_ends(row["effect"], row["low"], row["high"], 4))
        rows.append([view.look.label(row["variant"]), *sizes, effect,
                     f"{row['chi2']:.4f} ({int(row['df'])})", number(row["p"], 4)])  # fmt: skip
    return columns, rows


RESULT = Result(
    "rater_effects",
    about=__doc__,
    job=STUDY,
    reads=f"{PREFIX}*",
    columns="""
        variant segmenter n n_raters n_values intercept effect se low high
        var_participant var_rater var_residual log_likelihood log_likelihood_null chi2 df p fit
    """,
    texts="fit",
    compute=lambda given, _: compute(
        given.measurements, given.criteria, given.variants, given.study.get("raters") or ""
    ),
    caption=caption,
    latex="variant n n_raters n_values effect se low high chi2 df p",
    heading=HEADING,
    order=30,
    printed=printed,
)
