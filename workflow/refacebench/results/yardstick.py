"""What a volume may change by: the margins of equivalence, and how they are said.

Shared by the results of volumes, by ``repeatability`` and by the page's limits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.plot.volumes import region_label
from refacebench.results import words
from refacebench.statistics import paired
from refacebench.statistics.cohort import by_participant, rescan_pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.margin import Yardstick
from refacebench.vocabulary import GLOBALS, REGIONS

#: Yardsticks by segmenter and volume.
Yardsticks = Mapping[tuple[str, str], Yardstick]
#: Of a scan-rescan difference: beyond this share of it by the segmenter alone it is mostly noise.
MOSTLY = 0.5


def yardsticks_of(measurements: pd.DataFrame, criteria: Criteria) -> Yardsticks:
    """Return the yardstick of each volume of each segmenter, from the declared rescans."""
    found = {}
    for segmenter in segmenters_of(measurements):
        both = rescan_pairs(measurements, segmenter)
        for region in (*REGIONS, *GLOBALS):
            differences = by_person(both, f"vol_{region}").to_numpy()
            found[segmenter, region] = Yardstick(differences, criteria)
    return found


def by_person(both: pd.DataFrame, name: str) -> pd.Series:
    """Return each participant's absolute scan-rescan difference of a volume, percent of the mean.

    Parameters
    ----------
    both : pandas.DataFrame
        From :func:`refacebench.statistics.cohort.rescan_pairs`.
    name : str
        A column of the measurement table; one that is not there gives no values.
    """
    values = np.full(len(both), np.nan)
    if f"{name}_1" in both:
        values = paired.repeatability(both[f"{name}_1"], both[f"{name}_2"])
    return by_participant(pd.Series(values, index=both.index, dtype=float), both["participant"])


# words --------------------------------------------------------------------------------------


def margins(table: pd.DataFrame, rescans: pd.DataFrame | None, criteria: Criteria) -> str:
    """Return the equivalence margin and where it comes from.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``margin_pct`` and ``margin_source``.
    rescans : pandas.DataFrame or None
        The table ``repeatability``.
    """
    if table.empty or "margin_pct" not in table or table["margin_pct"].isna().all():
        return "the equivalence margin (none is known)"
    low, high = table["margin_pct"].min(), table["margin_pct"].max()
    size = f"{low:.2g} %" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g} %"
    sources = set(table.get("margin_source", pd.Series(dtype=str)).dropna())
    where = []
    if "rescan" in sources:
        where.append(
            f"the lower {100 * (1 - criteria.alpha):g} % confidence bound of each volume's mean "
            "scan-rescan difference" + _rescanned(rescans)
        )
    if "config" in sources:
        where.append("a setting" + _why_fixed(rescans, criteria))
    if "cap" in sources:
        where.append(f"the largest acceptable change ({cap(criteria)})")
    return ", ".join([f"the margin of {size}", " or ".join(where)]).removesuffix(", ")


def _rescanned(rescans: pd.DataFrame | None) -> str:
    """Return how many participants the scan-rescan differences rest on."""
    if rescans is None or rescans.empty:
        return ""
    return f" (up to {words.plural(int(rescans['n'].max()), 'participant')})"


def _why_fixed(rescans: pd.DataFrame | None, criteria: Criteria) -> str:
    why = "" if rescans is None else margin_from_settings(rescans, criteria)
    return origin(criteria) + (f", {why}" if why else "")


def origin(criteria: Criteria) -> str:
    """Return in brackets where the fixed margin comes from; empty where nobody said."""
    said = criteria.equivalence_margin_source.strip().rstrip(".")
    return f" ({said})" if said else ""


def cap(criteria: Criteria) -> str:
    """Return the largest margin.

    >>> cap(Criteria())
    '2 %'
    """
    return f"{criteria.largest_acceptable_change_pct:g} %"


def fixed(criteria: Criteria) -> str:
    """Return the fixed margin and where it comes from.

    >>> fixed(Criteria(equivalence_margin_pct=1.5, equivalence_margin_source="our protocol"))
    'the fixed margin of 1.5 % (our protocol)'
    >>> fixed(Criteria(equivalence_margin_pct=5))
    'the fixed margin of 2 % (cut from the 5 % of the config to the largest acceptable change)'
    """
    asked, most = criteria.equivalence_margin_pct, criteria.largest_acceptable_change_pct
    cut = f" (cut from the {asked:g} % of the config to the largest acceptable change)"
    size = f"the fixed margin of {min(asked, most):g} %{origin(criteria)}"
    return size + (cut if asked > most else "")


def margin_from_settings(rescans: pd.DataFrame, criteria: Criteria) -> str:
    """Return why a margin is not that of the rescans; empty where all of them are.

    Parameters
    ----------
    rescans : pandas.DataFrame
        The table ``repeatability``.
    """
    rows = rescans[rescans["margin_source"] != "rescan"]
    rows = rows[(rows["n"] < criteria.min_rescans) | (criteria.equivalence_margin == "fixed")]
    if rows.empty:
        return ""
    if criteria.equivalence_margin == "fixed":
        return "declared before the run"
    found = int(rows["n"].max())
    if not found:
        return "as no participant has a declared rescan"
    number = words.plural(found, "participant")
    return f"for want of enough rescans ({number}, {criteria.min_rescans} are needed)"


def noise(rescans: pd.DataFrame, criteria: Criteria) -> str:
    """Return how much of the scan-rescan differences is the segmenter's own noise.

    Empty where no true labels tell.

    Parameters
    ----------
    rescans : pandas.DataFrame
        The table ``repeatability``.
    """
    rows = rescans[rescans["noise_share"].notna()] if len(rescans) else rescans
    if rows.empty:
        return ""
    worst = rows.loc[(rows["mean_abs_pct"] - rows["true_mean_abs_pct"]).idxmax()]
    text = (
        "The true labels of the same scans tell how much of it is the segmenter's own noise: in "
        f"{region_label(worst['region'])} two scans of a person differ by "
        f"{worst['mean_abs_pct']:.2g} % by the segmenter and by {worst['true_mean_abs_pct']:.2g} % "
        "by the labels"
    )
    if worst["true_of"] != worst["region"]:
        text += " (of all grey matter, as they have no lobes)"
    return words.join(text + ".", _mostly_noise(rows, criteria))


def _mostly_noise(rows: pd.DataFrame, criteria: Criteria) -> str:
    mine = rows[rows["noise_share"] > MOSTLY]
    if mine.empty:
        return ""
    names = [region_label(name) for name in dict.fromkeys(mine["region"])]
    total = rows["region"].nunique()
    where = f"In all {total} volumes"
    if len(names) < total:
        few = 8
        more = f" and {len(names) - few} more" if len(names) > few else ""
        where = f"In {len(names)} of {total} volumes ({', '.join(names[:few])}{more})"
    return (
        f"{where} more than half of the scan-rescan difference is that noise. It says nothing "
        "about what matters to an anatomist: claims of equivalence there rest on the largest "
        f"acceptable change ({cap(criteria)})."
    )
