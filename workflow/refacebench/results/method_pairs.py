"""Methods against each other on the same participants, measure by measure.

Every two methods (controls are none) by ``measure``: ``difference`` is the Hodges-Lehmann shift of
first minus second over the ``n`` participants whom both went through, ``low`` and ``high`` its
exact interval for the single pair, ``low_joint`` and ``high_joint`` one that all pairs hold at once
(Bonferroni; missing where there are too few participants for it).  ``detectable`` is the difference
that would have been found with the wanted power at alpha / ``family_size``, from the standard
deviation ``sd`` of the participants' differences (``inf``: none, however large).

``p`` is that of the paired signed-rank test, ``p_holm`` corrected over all pairs of a measure
(``family_size``); ``p_all`` and ``p_all_holm`` are of all ``n_all`` participants, a failure worse
than any value.  ``better`` names the method that ``p_holm`` shows to be better, ``better_all`` the
one that ``p_all_holm`` does.

``friedman_p`` is that of all methods at once over the ``friedman_n`` participants whom all of
``friedman_methods`` went through (``left_out``: methods that failed too often for that),
``friedman_p_holm`` corrected over the measures; ``friedman_p_all`` and ``friedman_p_all_holm`` are
of all participants, with failures ranked last.

Volumes are sizes of changes in percent of the original, ``age_shift`` that in years;
``largest_change`` is the largest of any volume of a scan, ``regional_change`` the mean of the 17
regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number
from refacebench.plot.style import Look
from refacebench.results import words
from refacebench.results.result import STATISTICS, Heading, Printed, Result, View
from refacebench.statistics import outcomes, paired, posthoc
from refacebench.statistics.cohort import pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.outcomes import Outcome
from refacebench.vocabulary import NULL, SKULL_STRIP

HEADING = Heading(
    "comparisons",
    "Methods against each other",
    "Do the methods differ from each other, and does putting a face back help?",
    order=625,
    by_segmenter=True,
)
OUTCOMES = (
    outcomes.overlap("dice", "brain"),
    outcomes.overlap("iou", "brain"),
    outcomes.overlap("dice", "gm"),
    outcomes.WORST,
    outcomes.REGIONAL,
    *(outcomes.volume(name, absolute=True) for name in ("tiv", "gm", "wm", "csf")),
    outcomes.age_shift(absolute=True),
)
#: Those on the page; the others are in the table.
ON_PAGE = ("dice_brain", "largest_change", "regional_change", "tiv", "age_shift")


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return all pairs of methods for every measure, with Friedman's test of all of them."""
    rows: list[dict[str, Any]] = []
    for segmenter, tables in of_methods(measurements, criteria, variants):
        mine = [row for outcome in OUTCOMES for row in _measure(tables, outcome, criteria)]
        rows += _with_omnibus([{"segmenter": segmenter, **row} for row in mine])
    return RESULT.frame(rows)


def of_methods(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Yield each segmenter with the pairs of all variants that are methods and were run."""
    for segmenter in segmenters_of(measurements):
        tables = {
            variant: pairs(measurements, segmenter, variant, criteria)
            for variant in variants
            if not outcomes.is_control(variant)
        }
        yield segmenter, {variant: table for variant, table in tables.items() if len(table)}


def _measure(
    tables: Mapping[str, pd.DataFrame], outcome: Outcome, criteria: Criteria
) -> list[dict[str, Any]]:
    """Return the rows of one measure; Friedman's p values are corrected later."""
    found = outcomes.participants(tables, outcome)
    low_is_good = outcome.low_is_good
    options: dict[str, Any] = {
        "level": criteria.level,
        "zero_method": criteria.zero_method,
        "low_is_good": low_is_good,
    }
    several = posthoc.friedman(found.values)
    everybody = posthoc.friedman_of_everybody(found.without_failed, low_is_good)
    table = posthoc.pairwise(found.values, **options)
    if table.empty:
        return []
    if found.failed.to_numpy().any():
        # A participant with one failed session has failed where failures count.
        counted = posthoc.pairwise(found.without_failed, **options)
        for column in ("n_all", "p_all", "p_all_holm"):
            table[column] = counted[column]
    # Nobody could have a value (no brain-age model): there is nothing to fail at either.
    table.loc[table["n"] == 0, ["p_all", "p_all_holm"]] = float("nan")
    size = int(table["p"].notna().sum())
    omnibus = {
        "friedman_n": several.n,
        "friedman_methods": several.methods,
        "friedman_statistic": several.statistic,
        "friedman_p": several.p,
        "left_out": ", ".join(several.left_out),
        "friedman_p_all": everybody.p if len(found.values) else float("nan"),
    }
    return [
        {
            "measure": outcome.name,
            **row,
            "family_size": size,
            "detectable": paired.minimum_detectable(
                row["n"], row["sd"], criteria.alpha / max(size, 1), criteria.power
            ),
            "better": _better(row, "p_holm", low_is_good, found.values, criteria),
            "better_all": _better(row, "p_all_holm", low_is_good, found.without_failed, criteria),
            **omnibus,
        }
        for row in table.to_dict("records")
    ]


def _better(
    row: Mapping[str, Any], column: str, low_is_good: bool, values: pd.DataFrame, criteria: Criteria
) -> str:
    """Return which of two methods a test shows to be better; empty for neither."""
    if not row[column] < criteria.alpha:
        return ""
    one, other = (values[row[name]].to_numpy(float) for name in ("first", "second"))
    differences = one - other
    if column == "p_all_holm":
        differences = posthoc.with_failures(one, other, low_is_good)
    first_lower = paired.rank_biserial(differences) < 0
    return str(row["first"] if first_lower == low_is_good else row["second"])


def _with_omnibus(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct Friedman's p values over the measures of a segmenter."""
    single = {row["measure"]: row for row in rows}
    for name in ("friedman_p", "friedman_p_all"):
        corrected = paired.correct([row[name] for row in single.values()], "holm")
        found = dict(zip(single, corrected, strict=True))
        for row in rows:
            row[f"{name}_holm"] = found[row["measure"]]
    return rows


def caption(view: View) -> str:
    """Return the caption of the comparison of methods."""
    table, criteria = view.rows("method_pairs"), view.criteria
    return words.folded(
        f"Methods against each other{view.by}. On the page each cell says how many of the other "
        "methods this one is shown to be better or worse than. Not shown to differ is not the same "
        "as equal.",
        _controls(view),
        "Paired signed-rank tests on the same participants, Holm-corrected over all pairs of "
        f"methods of a measure ({_sizes(table)}) at p < {criteria.alpha:g}; the measures are not "
        "corrected for each other. Only participants count on whose scans both methods worked.",
        _counted(table),
        _omnibus(table),
        _excluded(table),
        _detectable(table, criteria),
        "Differences are Hodges-Lehmann shifts with exact "
        f"{100 * criteria.level:g} % intervals, in the table for the single pair and adjusted for "
        "all pairs of the measure.",
    )


def _counted(table: pd.DataFrame) -> str:
    """Return what it means to count failures; empty where no scan failed."""
    if not len(table) or table["p_all"].isna().all():
        return ""
    return "'All' (on the page) and 'failures counted': a failure counts as worse than any value."


def _controls(view: View) -> str:
    """Return which variants are compared with no method, if there are any."""
    shown = set(view.rows("volumes").get("variant", ()))
    found = [name for name in (NULL, SKULL_STRIP) if name in shown]
    return f"Controls ({', '.join(found)}) take no part." if found else ""


def _sizes(table: pd.DataFrame) -> str:
    sizes = sorted(set(table["family_size"].dropna().astype(int)) - {0}) if len(table) else []
    return f"{' or '.join(map(str, sizes))} tests each" if sizes else "no tests"


def _omnibus(table: pd.DataFrame) -> str:
    """Return what Friedman's test says of the measures on the page."""
    rows = table.drop_duplicates("measure").set_index("measure") if len(table) else table
    said = [
        f"{_label(name)} {_p(rows.loc[name, 'friedman_p_holm'])} (n "
        f"{int(rows.loc[name, 'friedman_n'])})"
        for name in ON_PAGE
        if name in rows.index and pd.notna(rows.loc[name, "friedman_p_holm"])
    ]
    if not said:
        return "Friedman's test over all methods needs three methods and was not made."
    return (
        f"Friedman's test over all methods (Holm-corrected over the measures): {'; '.join(said)}."
    )


def _detectable(table: pd.DataFrame, criteria: Criteria) -> str:
    """Return which differences could have been found in the measures on the page."""
    said = []
    for name in ON_PAGE if len(table) else ():
        mine = table[table["measure"] == name]["detectable"].dropna()
        digits = next(outcome.digits for outcome in OUTCOMES if outcome.name == name)
        if len(mine):
            size = mine.median()
            said.append(f"{_label(name)} {number(size, digits) if np.isfinite(size) else 'none'}")
    if not said:
        return ""
    return (
        f"Difference that would be found with {100 * criteria.power:g} % power at level "
        f"{criteria.alpha:g} / tests (median over pairs): {'; '.join(said)}."
    )


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {number(value, 3)}"


def _excluded(table: pd.DataFrame) -> str:
    names = sorted({n for text in table.get("left_out", ()) if words.text(text)
                    for n in text.split(", ")})  # fmt: skip
    if not names:
        return ""
    share = f"{100 * posthoc.MOST_MISSING:g} %"
    return (
        f"Left out of Friedman's test, as they failed on more than {share} of the participants: "
        f"{', '.join(names)}."
    )


def _label(name: str) -> str:
    return next(outcome.label for outcome in OUTCOMES if outcome.name == name)


def printed(view: View) -> Printed:
    """Return one row per method: than how many others it is better and worse."""
    table = view.rows("method_pairs")
    if table.empty:
        return [], []
    shown = [name for name in ON_PAGE if table.loc[table["measure"] == name, "p"].notna().any()]
    columns = ["Method", *[_label(name) for name in shown]]
    variants = _methods(table, view.look)
    by = {name: table[table["measure"] == name] for name in shown}
    rows = [[view.look.label(v), *[_cell(by[name], v) for name in shown]] for v in variants]
    return columns, rows


def _methods(table: pd.DataFrame, look: Look) -> list[str]:
    return look.sort({*table["first"], *table["second"]})


def _cell(table: pd.DataFrame, variant: str) -> str:
    """Return than how many a method is better and worse, failures counted where that differs."""
    mine = table[(table["first"] == variant) | (table["second"] == variant)]
    if mine["p"].isna().all():
        return NO_VALUE
    text, counted = (_counts(mine, variant, name) for name in ("better", "better_all"))
    return text if text == counted else f"{text} (all: {counted})"


def _counts(mine: pd.DataFrame, variant: str, column: str) -> str:
    winners = mine[column].fillna("")
    better = int((winners == variant).sum())
    worse = int((winners != "").sum()) - better
    told = [f"better than {better}"] if better else []
    told += [f"worse than {worse}"] if worse else []
    return " and ".join(told) or "no difference shown"


RESULT = Result(
    "method_pairs",
    about=__doc__,
    empty="there are no two methods to compare",
    job=STATISTICS,
    reads="vol_* dice_*",
    columns="""
        segmenter measure first second n difference low high low_joint high_joint sd detectable
        p p_holm better n_all p_all p_all_holm better_all family_size
        friedman_n friedman_methods friedman_statistic friedman_p friedman_p_holm left_out
        friedman_p_all friedman_p_all_holm
    """,
    texts="first second better better_all left_out",
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="measure first second n difference low high p_holm better p_all_holm detectable",
    heading=HEADING,
    order=625,
    printed=printed,
)
