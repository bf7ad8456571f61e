"""The tests of volumes: of one region, their families, what they could find, and their words.

Shared by the results ``volumes``, ``volumes_over`` and ``changes``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refacebench.results import words
from refacebench.results.result import Tables
from refacebench.results.yardstick import Yardsticks, fixed, margins
from refacebench.statistics import paired
from refacebench.statistics.cohort import by_participant, has_reference, measure
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import exact_median, share
from refacebench.statistics.margin import Yardstick
from refacebench.statistics.summaries import median
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import GLOBALS, REGIONS

#: Volumes of which a change above the threshold makes a scan a changed one
#: (Huelnhagen et al.: grey, white, CSF and total intracranial volume).
CHANGED_IF_ANY = ("gm", "wm", "csf", "tiv")
#: The declared family of the volume tests: 17 regions and TIV; the other
#: whole-brain measures are a family of their own.
FAMILIES = {
    **dict.fromkeys((*REGIONS, "tiv"), "regions"),
    **dict.fromkeys([name for name in GLOBALS if name != "tiv"], "globals"),
}
#: The volumes of :data:`CHANGED_IF_ANY` in words.
CHANGED = "grey, white, CSF or TIV"


def tested(
    table: pd.DataFrame, segmenter: str, variant: str, criteria: Criteria, yardsticks: Yardsticks
) -> list[dict[str, Any]]:
    """Return a row per volume; the corrections follow when the families are complete."""
    return [
        {
            "variant": variant,
            "segmenter": segmenter,
            "region": region,
            "family": family,
            **_volume_row(table, region, yardsticks[segmenter, region], criteria),
        }
        for region, family in FAMILIES.items()
    ]


def _volume_row(
    table: pd.DataFrame, region: str, yardstick: Yardstick, criteria: Criteria
) -> dict[str, Any]:
    """Return one region's columns; the corrections follow when the family is complete."""
    table = table[has_reference(table, region)]
    if f"ref_vol_{region}" not in table:
        table = table.iloc[:0]
    persons = table["participant"]
    new = measure(table, f"vol_{region}")
    old = table.get(f"ref_vol_{region}", new).where(new.notna())
    change = by_participant((new - old) / old * 100, persons).to_numpy()
    difference = by_participant(new - old, persons).to_numpy()
    low, high = exact_median(change, criteria.level)
    at_once = 1 - (1 - criteria.level) / len(FAMILIES)
    low_joint, high_joint = exact_median(change, at_once)
    statistic, p = paired.wilcoxon(difference, criteria.zero_method)
    rb_low, rb_high = paired.rank_biserial_interval(difference, level=criteria.level)
    over = (new - old).abs() > old * criteria.threshold_pct / 100
    margin, source = yardstick.margin
    return {
        "n": len(difference),
        "n_scans": int(new.notna().sum()),
        "n_failed": int(new.isna().sum()),
        "median_original_ml": median(by_participant(old, persons)),
        "median_variant_ml": median(by_participant(new, persons)),
        "median_change_pct": median(change),
        "low": low,
        "high": high,
        "low_joint": low_joint,
        "high_joint": high_joint,
        "sd_change_pct": change.std(ddof=1) if len(change) > 1 else np.nan,
        "W": statistic,
        "p": p,
        "rank_biserial": paired.rank_biserial(difference),
        "rb_low": rb_low,
        "rb_high": rb_high,
        "n_zero": int((np.round(difference, paired.DECIMALS) == 0).sum()),
        **share_over(over, new.isna(), persons, criteria),
        "margin_pct": margin,
        "margin_source": source,
        "p_tost": yardstick.p_value(change),
        "margin_fixed_pct": yardstick.fixed_pct,
        "p_tost_fixed": yardstick.p_fixed(change),
    }


def share_over(
    over: pd.Series, failed: pd.Series, persons: pd.Series, criteria: Criteria
) -> dict[str, Any]:
    """Return how many scans changed, of all and of those that did not fail."""
    value, low, high = share(over | failed, persons, criteria.level)
    return {
        "n_over": int((over & ~failed).sum()),
        "share_over": value,
        "share_over_low": low,
        "share_over_high": high,
        "share_over_completers": float(over[~failed].mean()) if (~failed).any() else np.nan,
    }


def with_families(table: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Fill in what depends on all tests of a family."""
    corrected = ("p_holm", "p_bh", "p_tost_holm", "p_tost_fixed_holm")
    for name in (*corrected, "family_size", "equivalent", "equivalent_fixed", "mde_pct"):
        table[name] = np.nan
    for _, family in table.groupby(["segmenter", "family"], sort=False):
        where = family.index
        size = int(family["p"].notna().sum())
        table.loc[where, "family_size"] = size
        table.loc[where, "p_holm"] = paired.correct(family["p"], "holm")
        table.loc[where, "p_bh"] = paired.correct(family["p"], "fdr_bh")
        for name in ("p_tost", "p_tost_fixed"):
            table.loc[where, f"{name}_holm"] = paired.correct(family[name], "holm")
        table.loc[where, "mde_pct"] = [
            paired.minimum_detectable(n, sd, criteria.alpha / max(size, 1), criteria.power)
            for n, sd in zip(family["n"], family["sd_change_pct"], strict=True)
        ]
    for name, p in (("equivalent", "p_tost_holm"), ("equivalent_fixed", "p_tost_fixed_holm")):
        tested = table[p].notna()
        table.loc[tested, name] = (table[p] < criteria.alpha).astype(float)
    return table


def changed_scans(table: pd.DataFrame, criteria: Criteria) -> pd.Series:
    """Tell which scans changed beyond the threshold in any volume: 1, 0, NaN for failed.

    Volumes that the original has not (a segmenter without CSF) do not take part.
    """
    worst = pd.Series(0.0, index=table.index)
    for name in CHANGED_IF_ANY:
        known = has_reference(table, name) & (f"ref_vol_{name}" in table)
        if not known.any():
            continue
        new, old = measure(table, f"vol_{name}"), table[f"ref_vol_{name}"]
        over = ((new - old).abs() > old * criteria.threshold_pct / 100).astype(float)
        worst = worst.where(~known, np.maximum(worst, over.where(new.notna())))
    return worst.where(table["ok"])


def tests(tables: Tables, table: pd.DataFrame, criteria: Criteria) -> str:
    """Return which tests of volumes were made and how they were corrected."""
    return (
        "Paired Wilcoxon signed-rank tests on participants' mean differences "
        f"({words.zeros(criteria)}) with matched rank-biserial correlation; significant: "
        f"Holm-corrected p < {criteria.alpha:g}{families(table)} (Benjamini-Hochberg beside it in "
        "the table). "
        "Equivalent to no change: two one-sided tests, each by signs and by signed ranks "
        "(Holm-corrected as well), of the median change within "
        f"{margins(table, tables.get('repeatability'), criteria)}. "
        f"The same within {fixed(criteria)} stands in the table."
    )


def families(table: pd.DataFrame) -> str:
    """Return the size of each family of tests that Holm's correction runs over."""
    kinds = {"regions": "17 regions and TIV", "globals": "the other whole-brain volumes"}
    parts = []
    for name, rows in table.groupby("family", sort=False) if len(table) else ():
        sizes = rows.groupby("segmenter", sort=False)["family_size"].first().dropna().astype(int)
        if sizes.empty:
            continue
        number = f"{sizes.iloc[0]}"
        if sizes.nunique() > 1:
            number = ", ".join(f"{size} ({segmenter})" for segmenter, size in sizes.items())
        parts.append(f"{number} tests ({kinds.get(name, name)} x variants)")
    return f" in each segmenter's families of {' and '.join(parts)}" if parts else ""


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p that a signed-rank test of n pairs can give.

    >>> smallest_p(6)
    0.03125
    """
    return min(1.0, 2.0 ** (1 - n))


def out_of_reach(table: pd.DataFrame, alpha: float) -> list[str]:
    """Return the variants none of whose regions could pass Holm's correction.

    Holm's first step multiplies the smallest p by the size of the family: with
    few participants even a change in the same direction in everyone fails it.
    """
    rows = present(table[table["region"].isin(REGIONS)])
    best = rows["n"].map(smallest_p) * rows["family_size"]
    reachable = (best < alpha).groupby(rows["variant"], sort=False).any()
    return list(reachable.index[~reachable])


def minimum(table: pd.DataFrame, criteria: Criteria) -> str:
    """Return what regional change the tests could have found at all."""
    rows = present(table[table["region"].isin(REGIONS)]) if len(table) else table
    if rows.empty:
        return ""
    hopeless = out_of_reach(table, criteria.alpha)
    if len(hopeless) == rows["variant"].nunique():
        return (
            f"With {words.plural(int(rows['n'].max()), 'participant')} no regional change, however "
            "large, could pass the correction: that none is significant says nothing here."
        )
    text = ""
    if hopeless:
        text = (
            f"With their number of participants no regional change of {', '.join(hopeless)} could "
            "pass the correction's first step, however large. "
        )
    finite = rows.loc[np.isfinite(rows["mde_pct"]), "mde_pct"]
    if finite.empty:
        return text.strip()
    others = "the other variants" if hopeless else "variants"
    return text + (
        f"Change that would be found with {100 * criteria.power:g} % power at level "
        f"{criteria.alpha:g} / family size (median over regions and {others}, if differences are "
        f"normal): {finite.median():.2g} %. Smaller ones would probably have been missed."
    )
