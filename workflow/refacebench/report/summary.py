"""The summary that a run ends with: a few lines that say what the tables show, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.plot.numbers import change, with_ends
from refacebench.plot.style import Look, look_of
from refacebench.plot.volumes import region_label
from refacebench.results import (
    checks_trusted,
    decisions,
    findings,
    privacy_galleries,
    sentences,
    tradeoff,
    words,
)
from refacebench.results.flow import lost_contrasts, other_words, scan_numbers
from refacebench.results.privacy import MEASURED, is_measured
from refacebench.results.result import of_segmenter
from refacebench.results.volume_tests import out_of_reach
from refacebench.results.volumes import significant_regions
from refacebench.results.words import plural
from refacebench.statistics import losses
from refacebench.statistics.attack_tables import is_control, main_rows
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import ATTACKING, GLOBALS, REGIONS, UNDEFACED, split_variant

REMINDER = (
    "Whether people can be recognised was not measured. This report shows what became of the "
    "surface of the face, of the brain mask, and of volumes and predicted age."
)


def reminder(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the sentence that must stand beside the results on privacy."""
    return MEASURED if is_measured(tables) else REMINDER


def summary_lines(
    tables: Mapping[str, pd.DataFrame],
    criteria: Criteria | None = None,
    *,
    segmenter: str | None = None,
    look: Look | None = None,
    on_page: bool = False,
    rule: decisions.Rule | None = None,
) -> list[str]:
    """Return few lines that say what the tables show, and no more: one a method at most.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The tables of one dataset; missing or empty ones are named as such.
    criteria : Criteria, optional
        Those of the tables.
    segmenter : str, optional
        The first one of the tables if left out.
    look : Look, optional
        Order of the variants.
    on_page : bool
        Whether the lines stand on the page, which has a row with what is known of each method, and
        says beside the lines what was not measured.
    rule : Rule, optional
        Of the verdicts, one of which stands beside the variant that is first in utility.

    Returns
    -------
    list of str
        Scans; how far the checks can be trusted; what an attack reaches on the
        originals, and what site, sex and age alone give away, where attacks were scored; a line
        a method
        (:func:`refacebench.results.sentences.line`); overlap; volumes and brain age;
        utility and what was not measured.
    """
    criteria = criteria or Criteria()
    look = look or look_of(tables)
    everything = tables
    tables = {name: present(table) for name, table in tables.items()}
    segmenter = segmenter or _first_segmenter(tables)
    return [
        _scans_line(tables),
        *_method_lines(everything, criteria, look, not on_page),
        *_recognition_lines(tables, criteria, look),
        _overlap_line(tables, segmenter, look),
        f"{_volumes_line(tables, criteria, segmenter, look)} "
        f"{_age_line(tables, criteria, segmenter, look)}",
        words.join(
            _utility_line(tables, segmenter, rule or decisions.Rule(), criteria.alpha),
            "" if on_page else reminder(tables),
        ),
    ]


def _method_lines(tables, criteria: Criteria, look: Look, each: bool) -> list[str]:
    """Return how far the checks can be trusted, what attacks reach, and, if asked, each method."""
    if _get(tables, "quality").empty:
        return ["Methods: not judged."]
    first = sentences.originals_line(tables, criteria.level)
    judged = set(tables["quality"]["variant"]) - set(UNDEFACED)
    methods = [v for v in look.order if v in judged]
    found = [findings.finding(tables, v, criteria.alpha) for v in methods] if each else []
    lines = [sentences.line(method) for method in found]
    before = [checks_trusted.checks_line(tables), first, no_picture(tables)]
    return [*(line for line in before if line), *lines]


def no_picture(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return what site, sex and age alone give away; empty where nothing was attacked."""
    table = tables.get("privacy_galleries")
    if table is None or table.empty or not is_measured(tables):
        return ""
    return privacy_galleries.line(table)


def _first_segmenter(tables) -> str | None:
    for name in ("overlap", "volumes"):
        table = tables.get(name)
        if table is not None and len(table):
            return str(table["segmenter"].iloc[0])
    return None


def _get(tables, name: str, segmenter: str | None = None) -> pd.DataFrame:
    table = tables.get(name)
    return pd.DataFrame() if table is None else of_segmenter(table, segmenter)


def _scans_line(tables) -> str:
    flow = _get(tables, "flow")
    if flow.empty:
        return "Scans: the flow of scans was not recorded."
    n = scan_numbers(flow)
    text = (
        f"Scans: {plural(n['scans'], 'scan')} of {plural(n['participants'], 'participant')} went "
        f"in; {n['left_out']} left out, {n['compared']} compared"
    )
    if n["other"]:
        used, unused = other_words(flow)
        text += f", {n['other'] - n['unused']} {used}"
        text += f", {n['unused']} {unused}" if n["unused"] else ""
    if n["incomplete"]:
        text += f"; at least one method failed on {n['incomplete']} of those compared"
    contrasts, flow = lost_contrasts(flow), losses.of_scans(flow)
    lost = losses.on_the_way(flow[flow["stage"].isin(ATTACKING)], flow)
    return "; ".join(filter(None, [text, lost, contrasts])) + "."


def _recognition_lines(tables, criteria: Criteria, look: Look) -> list[str]:
    """Return a line on the plane of attacks and volumes; none where no attack was scored."""
    if not is_measured(tables):
        return []
    table = _get(tables, "tradeoff")
    if table.empty:
        return ["Recognition: attacks were scored, but none could be taken for the strongest."]
    table = main_rows(table)
    table = table.drop_duplicates("variant").set_index("variant")
    shown = ["original", *look.defacers]
    short = words.shortfalls(table.reset_index())
    parts = [
        *([f"Attacked: {shorten(short, 4, '; ')}."] if short else []),
        *_failure_words(table, shown),
        *tradeoff.front_words(table, look),
    ]
    return [" ".join(parts)] if parts else []


def _failure_words(table: pd.DataFrame, shown: Sequence[str]) -> list[str]:
    """Return a sentence on participants who could not be attacked; none where there are none."""
    rows = table.loc[[v for v in shown if v in table.index]]
    lost = [
        f"{v} {int(row['n_failed'])} of {int(row['n'])}"
        + (" (not comparable)" if row["comparable"] == 0 else "")
        for v, row in rows[rows["n_failed"] > 0].iterrows()
    ]
    return [f"Of participants that could be attacked; failed: {shorten(lost)}."] if lost else []


def shorten(parts: Sequence[str], most: int = 6, mark: str = ", ") -> str:
    """Join parts; of a long list only both ends."""
    if len(parts) > most:
        half = most // 2
        rest = f"... {len(parts) - 2 * half} more ..."
        parts = [*parts[:half], rest, *parts[-half:]]
    return mark.join(parts)


def brain_dice(overlap: pd.DataFrame) -> pd.Series:
    """Return the mean Dice of the brain by variant, over the scans that were measured."""
    rows = overlap[(overlap["structure"] == "brain") & (overlap["measure"] == "dice")]
    return rows.set_index("variant")["mean"].dropna()


def _overlap_line(tables, segmenter, look: Look) -> str:
    table = _get(tables, "overlap", segmenter)
    dice = brain_dice(table) if len(table) else pd.Series(dtype=float)
    if dice.empty:
        return "Overlap: not measured."
    parts = []
    if "null" in dice:
        parts.append(f"null control {dice['null']:.3f}")
    methods = dice.drop(labels=[v for v in UNDEFACED if v in dice])
    refaced = methods.index.to_series().str.contains("+", regex=False)
    for word, values in (("defaced", methods[~refaced]), ("refaced", methods[refaced])):
        if len(values):
            parts.append(f"{word} {_range(values, look)}")
    pairs = [(v, split_variant(v)[0]) for v in methods.index[refaced]]
    pairs = [(new, old) for new, old in pairs if old in methods]
    if pairs:
        higher = sum(methods[new] > methods[old] for new, old in pairs)
        parts.append(f"mean higher after refacing in {higher} of {len(pairs)} pairs")
    return f"Overlap (mean brain Dice with the original's segmentation): {'; '.join(parts)}."


def _range(values: pd.Series, look: Look) -> str:
    """Return the lowest and the highest value with their variants."""
    low, high = values.idxmin(), values.idxmax()
    if len(values) == 1:
        return f"{values[low]:.3f} ({low})"
    return f"{values[low]:.3f} ({low}) to {values[high]:.3f} ({high})"


def _volumes_line(tables, criteria: Criteria, segmenter, look: Look) -> str:
    table = _get(tables, "volumes", segmenter)
    counts = significant_regions(table, criteria.alpha) if len(table) else pd.DataFrame()
    if counts.empty or not counts["tested"].any():
        return "Volumes: not measured."
    counts = counts[counts["tested"] > 0]
    hopeless = out_of_reach(table, criteria.alpha)
    if set(hopeless) >= set(counts.index):
        most = int(table["n"].max())
        return (
            f"Volumes: with {plural(most, 'participant')} no regional difference could pass "
            "Holm's correction, so nothing follows from finding none."
        )
    shown = counts["differ"].astype(str)
    shown[[v in hopeless and counts.loc[v, "differ"] == 0 for v in shown.index]] += " (n too small)"
    parts = [f"null control {shown['null']}"] if "null" in shown.index else []
    methods = []
    for defacer in look.defacers:
        kin = look.sort(v for v in shown.index if split_variant(v)[0] == defacer)
        found = [shown[v] + (f" after {split_variant(v)[1]}" if v != defacer else "") for v in kin]
        if found:
            methods.append(f"{defacer} {', '.join(found)}")
    listed = shorten([*parts, *methods], 8, "; ")
    return (
        f"Volumes (regions of {len(REGIONS)} that differ from the original, after correction for "
        f"the number of tests): {listed}.{_globals_line(table, criteria, look)}"
    )


def _globals_line(table: pd.DataFrame, criteria: Criteria, look: Look) -> str:
    """Return which whole-brain volumes differ, TIV among them, and the change that is largest."""
    rows = table[table["region"].isin(GLOBALS) & table["p_holm"].notna()]
    rows = rows[~rows["variant"].isin(UNDEFACED)]
    tested = rows["region"].nunique()
    if not tested:
        return ""
    largest = rows["mde_pct"].max()
    rows = rows[rows["p_holm"] < criteria.alpha]
    parts = []
    for variant in look.sort(rows["variant"]):
        mine = rows[rows["variant"] == variant]
        most = mine.loc[mine["median_change_pct"].abs().idxmax()]
        largest_of_it = change(most["median_change_pct"])
        parts.append(f"{variant} {len(mine)} ({region_label(most['region'])} {largest_of_it})")
    if not parts:
        size = f"of up to {largest:.2g} %" if np.isfinite(largest) else "of any size"
        return (
            f" Whole-brain volumes that differ, of {tested}: none shown, but a change {size} may "
            "have been missed."
        )
    listed = shorten(parts, 8, "; ")
    return f" Whole-brain volumes that differ, of {tested} (largest change): {listed}."


def _age_line(tables, criteria: Criteria, segmenter, look: Look) -> str:
    """Return which methods are shown to change predicted age, and the largest shift of any."""
    table = _get(tables, "brainage", segmenter)
    if len(table):
        table = table[~table["variant"].isin(UNDEFACED)]
        table = table[table["shift"].notna()]
    if table.empty:
        return "Brain age: not measured."
    changed = table[table["p_holm"] < criteria.alpha].set_index("variant")
    said = []
    if len(changed):
        parts = [f"{v} ({_shift(changed.loc[v])})" for v in look.sort(changed.index)]
        said.append(f"shown to change after {words.listed(parts)}")
    elif table["p_holm"].notna().any():
        said.append("not shown to change after any method")
    worst = table.loc[table["shift"].abs().idxmax()]
    if worst["variant"] not in changed.index:
        said.append(f"largest mean shift after {worst['variant']} ({_shift(worst)})")
    rescan = table["rescan_shift_abs"].dropna()
    if len(rescan):
        largest = table["shift_abs"].max()
        said.append(
            f"mean absolute shift up to {largest:.2f}, between two scans of one person "
            f"{rescan.iloc[0]:.2f}"
        )
    return f"Brain age: {'; '.join(said)}."


def _shift(row: pd.Series) -> str:
    """Return the mean shift of predicted age with its interval."""
    mean, low, high = with_ends(row["shift"], row["shift_low"], row["shift_high"], 2, True)
    return f"{mean} years, interval {low} to {high}"


#: The measures of the table ``method_pairs`` that stand for those of utility, in words.
UTILITY_TESTS = {
    "dice_brain": "in brain Dice",
    "regional_change": "in the mean change of regions",
    "age_shift": "in brain age",
}


#: What utility may rest on, in words.
UTILITY = {"dice": "Dice", "volume_change_pct": "volumes", "age_shift": "brain age"}


def utility_ranking(tables: Mapping[str, pd.DataFrame], segmenter: str | None) -> pd.DataFrame:
    """Rank the de-identified variants by three measures of utility, equally weighted.

    Returns
    -------
    pandas.DataFrame
        Index variant, best first.  ``dice``: mean over the four structures,
        failed scans counting as zero; ``volume_change_pct``: mean over the 17
        regions of the absolute median change; ``age_shift``: mean absolute
        shift of predicted brain age in years; ``mean_rank``: mean of the
        ranks in those that were measured for all variants; ``attrs["measures"]`` names these.
        Empty if nothing was measured.
    """
    overlap = _get(tables, "overlap", segmenter)
    if overlap.empty:
        return pd.DataFrame()
    dice = overlap[(overlap["measure"] == "dice") & ~overlap["variant"].isin(UNDEFACED)]
    table = pd.DataFrame({"dice": dice.groupby("variant", sort=False)["mean_all"].mean()})
    volumes = _get(tables, "volumes", segmenter)
    if len(volumes):
        rows = volumes[volumes["region"].isin(REGIONS)]
        table["volume_change_pct"] = rows["median_change_pct"].abs().groupby(rows["variant"]).mean()
    ages = _get(tables, "brainage", segmenter)
    if len(ages):
        table["age_shift"] = ages.set_index("variant")["shift_abs"]
    ranks = pd.DataFrame(index=table.index)
    for name in UTILITY:
        if name in table and table[name].notna().all():
            ranks[name] = table[name].rank(ascending=name != "dice")
    if ranks.empty or not len(ranks.columns):
        return pd.DataFrame()
    table["mean_rank"] = ranks.mean(axis=1)
    table.attrs["measures"] = [UTILITY[name] for name in ranks]
    return table.sort_values(["mean_rank", "dice"], ascending=[True, False], kind="stable")


def _utility_line(tables, segmenter, rule: decisions.Rule, alpha: float) -> str:
    table = utility_ranking(tables, segmenter)
    if table.empty:
        return "Utility: not measured for all variants, so none is named first."
    if len(table) == 1:
        return f"Utility: only one variant ({table.index[0]}), so there is nothing to rank."
    best = table.iloc[0]
    names = list(table.index[table["mean_rank"] == best["mean_rank"]])
    text = (
        "Utility alone, which is no recommendation: by mean rank over "
        f"{plural(len(table.attrs['measures']), 'measure')} "
        f"({', '.join(table.attrs['measures'])}) of {len(table)} "
        f"variants, the first {'is' if len(names) == 1 else 'are'} "
        f"{' and '.join(_with_caution(tables, name, rule, alpha) for name in names)}"
    )
    pairs = _get(tables, "method_pairs", segmenter)
    return " ".join([f"{text}.", *(_tested(pairs, name, len(names) > 1) for name in names)])


def _tested(pairs: pd.DataFrame, variant: str, named: bool = False) -> str:
    """Return what the tests of the pairs show of a variant in the measures that utility rests on.

    Parameters
    ----------
    pairs : pandas.DataFrame
        A segmenter's rows of the table ``method_pairs``.
    variant : str
    named : bool
        Whether the sentence has to say which variant it is of.
    """
    who = variant if named else "it"
    if is_control(variant):
        return f"As a control {who} takes no part in the tests of pairs of methods."
    mine = (
        pairs[(pairs["first"] == variant) | (pairs["second"] == variant)] if len(pairs) else pairs
    )
    parts, same = [], []
    for name, where in UTILITY_TESTS.items():
        rows = mine[mine["measure"] == name] if len(mine) else mine
        rows = rows[rows["p"].notna()] if len(rows) else rows
        if len(rows):
            winners = rows["better"].fillna("")
            better, shown = int((winners == variant).sum()), int((winners != "").sum())
            told = [f"better than {better}"] if better else []
            told += [f"worse than {shown - better}"] if shown > better else []
            if told:
                parts.append(f"{' and '.join(told)} {where}")
            else:
                same.append(where)
    if not parts and not same:
        return f"Whether {who} is ahead by more than chance was not tested."
    most = int(mine.groupby("measure").size().max())
    others = f"the {plural(most, 'other method')}" if most > 1 else "the other method"
    said = [f"show {who} to be {', '.join(parts)}"] if parts else []
    said += [f"show no difference {' or '.join(same)}"] if same else []
    return (
        f"Tests of pairs against {others} {' and '.join(said)} (corrected for the number of pairs; "
        "not shown to differ is not the same as equal)."
    )


def _with_caution(tables, variant: str, rule: decisions.Rule, alpha: float) -> str:
    """Name a variant with its verdict and what was found of face and attack: these decide."""
    if _get(tables, "quality").empty:
        return variant
    found = findings.finding(tables, variant, alpha)
    return f"{variant} (verdict: {decisions.verdict(found, rule)[0]}; {sentences.short(found)})"
