"""Do effects differ between sites, sexes and ages?  Effect by subgroup, and an interaction test.

Of methods (controls are none): ``effect`` is the Hodges-Lehmann shift of participants' changes in
a ``group`` of a ``factor`` (site, sex, age), ``low`` and ``high`` its exact interval (missing for
five participants or fewer).  Volumes in percent of the original, Dice less 1, ``age_shift`` in
years.
``p_interaction`` is that of the Kruskal-Wallis statistic over groups, by permutation of
participants between them, the same in all rows of a variant, measure and factor; ``p_holm`` is
corrected over all variants and measures of a factor (``family_size``).  ``small`` is 1 in groups of
fewer than ten participants.  Participants without an entry are the group ``not recorded``, which
takes no part in the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, p_value
from refacebench.results import words
from refacebench.results.cells import by_variant
from refacebench.results.method_pairs import HEADING, of_methods
from refacebench.results.mixed_models import OUTCOMES
from refacebench.results.result import STATISTICS, Printed, Result, View
from refacebench.statistics import outcomes, paired, subgroups
from refacebench.statistics.cohort import by_participant
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.shifts import shift

#: Groups of fewer participants carry a warning.
SMALL = 10
FACTORS = ("site", "sex", "age")
NOT_RECORDED = "not recorded"
MEASURES = (*OUTCOMES, outcomes.WORST)
#: The measures as a reader meets them.
LABELS = {outcome.name: outcome.label for outcome in MEASURES}


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return the effect in each subgroup, and whether it differs between them."""
    rows: list[dict[str, Any]] = []
    for segmenter, tables in of_methods(measurements, criteria, variants):
        for variant, table in tables.items():
            groups = {factor: group_of(table, factor, criteria) for factor in FACTORS}
            for outcome in MEASURES:
                change = by_participant(outcome.values(table), table["participant"].astype(str))
                names = {"variant": variant, "segmenter": segmenter, "measure": outcome.name}
                rows += [{**names, **row} for row in _rows(change, groups, criteria)]
    return _with_families(RESULT.frame(rows))


def group_of(table: pd.DataFrame, factor: str, criteria: Criteria) -> pd.Series:
    """Return the group of each participant, by participant; that of their first scan."""
    first = table.drop_duplicates("participant")
    names = first["participant"].astype(str)
    given = first.get(factor, pd.Series("", index=first.index))
    if factor == "age":
        numbers = pd.to_numeric(given, errors="coerce").to_numpy(float)
        given = pd.Series(subgroups.bands(numbers, criteria.age_bands), index=first.index)
    given = (
        given.fillna("").astype(str).str.strip().replace({"": NOT_RECORDED, "n/a": NOT_RECORDED})
    )
    return pd.Series(given.to_numpy(), index=names.to_numpy())


def _rows(
    change: pd.Series, groups: Mapping[str, pd.Series], criteria: Criteria
) -> list[dict[str, Any]]:
    rows = []
    for factor, everybody in groups.items():
        group = everybody.reindex(change.index)
        known = group != NOT_RECORDED
        statistic, p = subgroups.interaction(change[known], group[known], criteria.seed)
        # All groups of the cohort, those in which everybody failed among them.
        for name in _ordered(everybody, factor, criteria):
            mine = change[group == name].to_numpy()
            effect, low, high = shift(mine, criteria.level)
            rows.append(
                {
                    "factor": factor,
                    "group": name,
                    "n": len(mine),
                    "n_failed": int((everybody == name).sum()) - len(mine),
                    "effect": effect,
                    "low": low,
                    "high": high,
                    "small": int(len(mine) < SMALL),
                    "statistic": statistic,
                    "p_interaction": p,
                }
            )
    return rows


def _ordered(groups: pd.Series, factor: str, criteria: Criteria) -> list[str]:
    """Return the groups in order: age bands by age, others by name, what is not recorded last."""
    there = set(groups)
    names = subgroups.band_names(criteria.age_bands) if factor == "age" else sorted(there)
    last = [NOT_RECORDED] * (NOT_RECORDED in there)
    return [name for name in names if name in there - {NOT_RECORDED}] + last


def _with_families(table: pd.DataFrame) -> pd.DataFrame:
    """Correct each factor's tests over variants and measures."""
    keys = ["segmenter", "variant", "measure", "factor"]
    tests = table.drop_duplicates(keys).astype({"p_interaction": float}).copy()
    for _, family in tests.groupby(["segmenter", "factor"], sort=False):
        corrected = paired.correct(family["p_interaction"], "holm")
        tests.loc[family.index, "p_holm"] = corrected
        tests.loc[family.index, "family_size"] = int(family["p_interaction"].notna().sum())
    filled = table.drop(columns=["p_holm", "family_size"]).merge(
        tests[[*keys, "p_holm", "family_size"]], on=keys, how="left"
    )
    return filled[list(table)]


def caption(view: View) -> str:
    """Return the caption of the subgroups."""
    table = view.rows("subgroups")
    made = set(table.loc[table["n"] > 0, "measure"]) if len(table) else set()
    labels = ", ".join(outcome.label for outcome in MEASURES if outcome.name in made)
    return words.join(
        f"Does the effect of a method differ between subgroups{view.by}? The smallest p of any "
        f"measure ({labels}) by site, sex and age band: "
        "permutation of participants between groups (Kruskal-Wallis statistic), Holm-corrected "
        "over the methods and measures of each factor; the effects of the groups where p < "
        f"{view.criteria.alpha:g}. Effects of all subgroups, with intervals that are "
        "not adjusted, are in the table. That no difference is shown does not prove that there is "
        "none: tests of interactions need far more participants than tests of effects.",
        *_cells(table),
        words.cohort(table),
    )


def _cells(table: pd.DataFrame) -> list[str]:
    """Return the groups with their sizes, a warning at small ones, and what is not recorded."""
    if table.empty or "factor" not in table:
        return []
    sizes = table.groupby(["factor", "group"], sort=False)["n"].max().astype(int)
    said = []
    for factor in FACTORS:
        if factor not in sizes.index.get_level_values(0):
            continue
        groups = sizes[factor]
        listed = ", ".join(f"{name} {n}" for name, n in groups.items())
        said.append(f"Participants by {factor}: {listed}" + (
            "" if len(groups.drop(NOT_RECORDED, errors="ignore")) > 1 else " (one group, no test)"
        ) + ".")  # fmt: skip
    small = [f"{group} ({n})" for (_, group), n in sizes.items() if n < SMALL]
    if small:
        said.append(f"Warning: fewer than {SMALL} participants in {', '.join(small)}.")
    return said


def printed(view: View) -> Printed:
    """Return one row per method: the smallest p of each factor, and of which measure."""
    table = view.rows("subgroups")
    if table.empty or table["p_interaction"].isna().all():
        return [], []
    factors = [f for f in FACTORS
               if table.loc[table["factor"] == f, "p_interaction"].notna().any()]  # fmt: skip
    columns = ["Method", *[f"By {factor}: smallest p (Holm)" for factor in factors]]
    rows = []
    for label, mine in by_variant(table, view.look):
        cells = [_smallest(mine[mine["factor"] == f], view.criteria.alpha) for f in factors]
        rows.append([label, *cells])
    return columns, rows


def _smallest(tests: pd.DataFrame, alpha: float) -> str:
    """Return the smallest p and its measure; the effects of the groups where they differ."""
    known = tests.dropna(subset=["p_interaction"])
    if known.empty:
        return NO_VALUE
    row = known.loc[known["p_interaction"].astype(float).idxmin()]
    text = f"{p_value(row['p_holm'])} ({LABELS[row['measure']]})"
    if not row["p_holm"] < alpha:
        return text
    mine = known[(known["measure"] == row["measure"]) & (known["group"] != NOT_RECORDED)]
    digits = 4 if row["measure"].startswith("dice") else 2
    effects = ", ".join(
        f"{r.group} {number(r.effect, digits, True)}{' (few)' if r.small else ''}"
        for r in mine.itertuples()
    )
    return f"{text}: {effects}"


RESULT = Result(
    "subgroups",
    about=__doc__,
    empty="no group of participants is known",
    job=STATISTICS,
    reads="vol_* dice_*",
    columns="""
        variant segmenter measure factor group n n_failed effect low high small
        statistic p_interaction p_holm family_size
    """,
    texts="factor group",
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="variant measure factor group n effect low high small p_interaction p_holm",
    heading=HEADING,
    secondary=True,
    order=628,
    printed=printed,
)
