"""The report: one self-contained HTML page from the tables and figures.

:func:`build` reads the PNG files that it is given and fills its template; it
writes nothing.  :func:`summary_lines` is the same summary for a terminal.
Every number comes from the tables.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import captions, findings, pages
from refacebench.captions import of_segmenter, plural
from refacebench.figures import PRIVACY, name_of
from refacebench.figures.overlap import TITLES as STRUCTURES
from refacebench.figures.privacy import main_rows
from refacebench.figures.privacy_utility import is_beaten
from refacebench.figures.runtime import STEPS, hungriest
from refacebench.figures.slices import LABELS, PUBLIC
from refacebench.figures.style import MESSAGE_ONLY, Look, look_of
from refacebench.figures.volumes import is_true, region_label
from refacebench.numbers import NO_VALUE
from refacebench.numbers import number as _number
from refacebench.statistics import losses
from refacebench.statistics.cohort import FOLLOWUP, RESCAN
from refacebench.statistics.columns import TIMED, TOTAL
from refacebench.statistics.flow import ATTACKING, STAGES
from refacebench.statistics.settings import Settings
from refacebench.statistics.tradeoff import is_unranked
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import GLOBALS, REGIONS, UNAVAILABLE, split_variant
from refacebench.vocabulary import UNDEFACED as CONTROLS

REMINDER = (
    "Whether people can be recognised was not measured: this report shows what became of the "
    "face's surface, the brain mask and the measures of science."
)
#: What stands in its place where attacks were scored.
MEASURED = (
    "Recognisability was measured with the attacks that are named here and no others: not above "
    "chance is not safe, and a stronger attack may come."
)
#: Warnings that are shown in a banner; the others are notes.
LOUD = ("leak", "weak_attack", "blind_attack", "not_attacked", "missing_control")
#: Statuses of the flow table that mean that a scan was lost.
LOST = ("excluded", "failed", "missing")
#: Left-out scans that the page lists; the others stand in flow.tsv.
MOST_LEFT_OUT = 60
#: A page must stay small enough to be mailed.
MOST_BYTES = 8_000_000


@dataclass(frozen=True)
class Table:
    """A table as the page prints it: text only.

    Attributes
    ----------
    caption : str
    columns : list of str
    rows : list of list of str
        The first cell of a row is its heading.
    link : str
        Relative address of the full table; empty for none.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    link: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: an embedded PNG with its caption and alternative text."""

    name: str
    source: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of a dataset's results."""

    id: str
    title: str
    lead: str = ""
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def build(context: Mapping) -> str:
    """Return the report page.

    Parameters
    ----------
    context : mapping
        ``title`` : str.
        ``version`` : str, of the software (may be empty).
        ``datasets`` : list of mappings, one a dataset, with

        ``name`` : str.
        ``statement`` : str or None
            What must be known about a synthetic dataset; shown as a banner.
        ``faces`` : str
            The config's ``faces``.  Unless it is ``"public"``, figures named
            ``slices*`` must be files in which faces are hidden.
        ``tables`` : dict of str to DataFrame
            Those of :func:`refacebench.statistics.tables.tables`; missing ones
            and empty ones leave their section out.
        ``figures`` : dict of str to path
            PNG files by the names of :func:`refacebench.figures.names`, and any
            ``slices*`` and ``curves*``.
        ``settings`` : :class:`refacebench.statistics.settings.Settings`.
        ``config`` : mapping
            The run's config; ``seed``, ``splits``, ``thresholds`` and the order
            of ``defacers`` and ``segmenters`` are used.
        ``methods`` : list of mappings
            ``kind``, ``name``, ``title``, ``engine``, ``version``.
        ``costs`` : DataFrame or None
            One row a stage, the columns as they are to be printed.
        ``tables_href`` : str, optional
            Folder of the TSV files, relative to the page; ``tables/{name}``
            by default.

    Returns
    -------
    str
        HTML without any external resource.

    Raises
    ------
    ValueError
        If a figure shows faces that must not be shown, or the page would be
        larger than :data:`MOST_BYTES`.
    """
    page = pages.fill(
        "report_template.html",
        title=context["title"],
        version=context.get("version", ""),
        datasets=[_dataset(dataset) for dataset in context["datasets"]],
        reminder=" ".join(dict.fromkeys(reminder(d["tables"]) for d in context["datasets"])),
    )
    if len(page.encode()) > MOST_BYTES:
        raise ValueError(
            f"the report would have {len(page.encode()) / 1e6:.1f} MB (limit "
            f"{MOST_BYTES / 1e6:g} MB); make one report for each dataset"
        )
    return page


def _dataset(dataset: Mapping) -> dict:
    """Return what the template needs of one dataset."""
    tables = dataset["tables"]
    settings = dataset["settings"]
    config = dataset.get("config") or {}
    look = look_of(tables, list(config.get("defacers") or {}))
    costs = dataset.get("costs")
    return {
        "name": dataset["name"],
        "statement": dataset.get("statement") or "",
        "warnings": warning_lines(tables),
        "notes": warning_lines(tables, loud=False),
        "summary": summary_lines(tables, settings, look=look),
        "flow": _flow(dataset, look),
        "methods": _methods(dataset["methods"]),
        "sections": [s for s in _sections(dataset, look) if s.pictures or s.tables],
        "costs": _costs(costs) if costs is not None and len(costs) else None,
        "limits": limitations(tables, settings, dataset.get("statement") or "", look),
        "parameters": _parameters(settings, config),
    }


def is_measured(tables: Mapping[str, pd.DataFrame]) -> bool:
    """Tell whether any attack was scored."""
    table = _get(tables, "privacy")
    return bool(len(table)) and bool(table["rank1"].notna().any())


def reminder(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the sentence that must stand beside the results on privacy."""
    return MEASURED if is_measured(tables) else REMINDER


def warning_lines(tables: Mapping[str, pd.DataFrame], loud: bool = True) -> list[str]:
    """Return what the controls of the attacks say; the quieter notes with ``loud=False``."""
    table = _get(tables, "privacy_warnings")
    if table.empty:
        return []
    return [str(m) for m in table.loc[table["kind"].isin(LOUD) == loud, "message"]]


# summary ------------------------------------------------------------------------------------


def summary_lines(
    tables: Mapping[str, pd.DataFrame],
    settings: Settings | None = None,
    *,
    segmenter: str | None = None,
    look: Look | None = None,
) -> list[str]:
    """Return few lines that say what the tables show, and no more: one a method at most.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The tables of one dataset; missing or empty ones are named as such.
    settings : Settings, optional
        Those of the tables.
    segmenter : str, optional
        The first one of the tables if left out.
    look : Look, optional
        Order of the variants.

    Returns
    -------
    list of str
        Scans; how far the checks can be trusted; what an attack reaches on the
        originals, where attacks were scored; a line a defacer
        (:func:`refacebench.findings.line`); overlap; volumes and brain age;
        utility and what was not measured.
    """
    settings = settings or Settings()
    look = look or look_of(tables)
    everything = tables
    tables = {name: present(table) for name, table in tables.items()}
    segmenter = segmenter or _first_segmenter(tables)
    return [
        _scans_line(tables),
        *_method_lines(everything, settings, look),
        *_recognition_lines(tables, settings, look),
        _overlap_line(tables, segmenter, look),
        f"{_volumes_line(tables, settings, segmenter, look)} {_age_line(tables, segmenter, look)}",
        f"{_utility_line(tables, segmenter, look)} {reminder(tables)}",
    ]


def _method_lines(tables, settings: Settings, look: Look) -> list[str]:
    """Return how far the checks can be trusted, what attacks reach, and a line a defacer."""
    if _get(tables, "quality").empty:
        return ["Methods: not judged."]
    first = findings.originals_line(tables, settings.level)
    lines = [findings.line(findings.finding(tables, name)) for name in look.defacers]
    return [findings.checks_line(tables), *([first] if first else []), *lines]


def _first_segmenter(tables) -> str | None:
    for name in ("overlap", "volumes"):
        table = tables.get(name)
        if table is not None and len(table):
            return str(table["segmenter"].iloc[0])
    return None


def _get(tables, name: str, segmenter: str | None = None) -> pd.DataFrame:
    table = tables.get(name)
    return pd.DataFrame() if table is None else of_segmenter(table, segmenter)


def flow_numbers(flow: pd.DataFrame) -> dict[str, int]:
    """Return how many scans came in and what became of them.

    Returns
    -------
    dict
        ``scans``, ``participants``; ``compared``, ``other`` (training,
        validation, later sessions) and ``left_out`` split the scans by what happened
        to the original; ``unused`` of the others serve nothing (later sessions of people that
        models are fitted on); ``incomplete`` of the compared ones were lost by at
        least one variant; ``not_attacked`` were lost on the way to the attacks
        in at least one variant, whether they were measured or not.
    """
    attacks = flow["stage"].isin(ATTACKING)
    not_attacked = flow.loc[attacks & flow["status"].isin(LOST), "scan"].nunique()
    flow = flow[~attacks]
    original = flow[flow["variant"] == "original"].drop_duplicates("scan")
    lost = original["status"].isin(LOST)
    compared = (original["status"] == "ok") & (original["reason"].fillna("") == "")
    known = original.reindex(columns=["role", "split"])
    later = known["role"].isin((RESCAN, FOLLOWUP)) & known["split"].isin(("train", "validation"))
    scans = set(original.loc[compared, "scan"])
    stopped = flow[flow["status"].isin(LOST) & flow["scan"].isin(scans)]
    return {
        "scans": len(original),
        "participants": original["participant"].nunique(),
        "compared": int(compared.sum()),
        "other": int((~compared & ~lost).sum()),
        "unused": int((later & ~lost).sum()),
        "left_out": int(lost.sum()),
        "incomplete": stopped["scan"].nunique(),
        "not_attacked": not_attacked,
    }


def _scans_line(tables) -> str:
    flow = _get(tables, "flow")
    if flow.empty:
        return "Scans: the flow of scans was not recorded."
    n = flow_numbers(flow)
    text = (
        f"Scans: {plural(n['scans'], 'scan')} of {plural(n['participants'], 'participant')} went "
        f"in; {n['left_out']} left out, {n['compared']} compared"
    )
    if n["other"]:
        later = "later sessions" if FOLLOWUP in set(flow.get("role", ())) else "rescans"
        used = f", {n['other'] - n['unused']} used for training, validation or as {later}"
        text += used + (f", {n['unused']} not used" if n["unused"] else "")
    if n["incomplete"]:
        text += f"; at least one method failed on {n['incomplete']} of those compared"
    lost = losses.on_the_way(flow[flow["stage"].isin(ATTACKING)], flow)
    return text + (f"; {lost}." if lost else ".")


def _recognition_lines(tables, settings: Settings, look: Look) -> list[str]:
    """Return a line on the plane of attacks and volumes; none where no attack was scored."""
    if not is_measured(tables):
        return []
    table = _get(tables, "tradeoff")
    if table.empty:
        return ["Recognition: attacks were scored, but no worst case could be taken."]
    table = main_rows(table)
    table = table.drop_duplicates("variant").set_index("variant")
    shown = ["original", *look.defacers]
    short = captions.shortfalls(table.reset_index())
    parts = [
        *([f"Attacked: {_shorten(short, 4, '; ')}."] if short else []),
        *_failure_words(table, shown),
        *front_words(table, look),
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
    return [f"Of participants that could be attacked; failed: {_shorten(lost)}."] if lost else []


def front_words(table: pd.DataFrame, look: Look) -> list[str]:
    """Return a sentence on the Pareto front of one segmenter, ``table`` by variant."""
    if is_unranked(table):
        return [
            "Weighed against the change in volumes, no method is shown to be better than another "
            "with so few participants."
        ]
    front = [v for v in table.index if table.loc[v, "pareto"] == 1]
    if not front:
        return []
    beaten = [v for v in look.sort(front) if is_beaten(table.loc[v].to_dict() | {"variant": v})]
    others = [v for v in look.sort(front) if v not in beaten]
    words = "Weighed against the change in volumes, no other method is shown to be better than"
    return [
        *([f"{words} these (Pareto front): {', '.join(others)}."] if others else []),
        *(
            [
                f"An attack beats {', '.join(beaten)}; that no other method is shown to be better "
                "says only that there are too few participants."
            ]
            if beaten
            else []
        ),
    ]


def _shorten(parts: Sequence[str], most: int = 6, mark: str = ", ") -> str:
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
    methods = dice.drop(labels=[v for v in CONTROLS if v in dice])
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


def significant_regions(volumes: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Count for each variant the regions (of 17) that changed, and those shown equivalent.

    Returns
    -------
    pandas.DataFrame
        Index variant; ``tested``, ``differ`` (Holm), ``differ_bh``, ``equivalent``.
    """
    rows = volumes[volumes["region"].isin(REGIONS) & (volumes["variant"] != "original")]
    counts = pd.DataFrame(
        {
            "variant": rows["variant"],
            "tested": rows["p"].notna(),
            "differ": rows["p_holm"] < alpha,
            "differ_bh": rows["p_bh"] < alpha,
            "equivalent": is_true(rows["equivalent"]),
        }
    )
    return counts.groupby("variant", sort=False).sum().astype(int)


def _volumes_line(tables, settings: Settings, segmenter, look: Look) -> str:
    table = _get(tables, "volumes", segmenter)
    counts = significant_regions(table, settings.alpha) if len(table) else pd.DataFrame()
    if counts.empty or not counts["tested"].any():
        return "Volumes: not measured."
    counts = counts[counts["tested"] > 0]
    hopeless = captions.out_of_reach(table, settings.alpha)
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
    listed = _shorten([*parts, *methods], 8, "; ")
    return (
        f"Volumes (regions of {len(REGIONS)} that differ from the original, Holm p < "
        f"{settings.alpha:g}): {listed}.{_globals_line(table, settings, look)}"
    )


def _globals_line(table: pd.DataFrame, settings: Settings, look: Look) -> str:
    """Return which whole-brain volumes differ, TIV among them, and the change that is largest."""
    rows = table[table["region"].isin(GLOBALS) & table["p_holm"].notna()]
    rows = rows[~rows["variant"].isin(CONTROLS)]
    tested = rows["region"].nunique()
    if not tested:
        return ""
    rows = rows[rows["p_holm"] < settings.alpha]
    parts = []
    for variant in look.sort(rows["variant"]):
        mine = rows[rows["variant"] == variant]
        most = mine.loc[mine["median_change_pct"].abs().idxmax()]
        change = _number(most["median_change_pct"], 1, True)
        parts.append(f"{variant} {len(mine)} ({region_label(most['region'])} {change} %)")
    if not parts:
        return f" Whole-brain volumes that differ, of {tested}: none."
    listed = _shorten(parts, 8, "; ")
    return f" Whole-brain volumes that differ, of {tested} (largest change): {listed}."


def _age_line(tables, segmenter, look: Look) -> str:
    table = _get(tables, "brainage", segmenter)
    if len(table):
        table = table[~table["variant"].isin(CONTROLS)]
        table = table[table["shift"].notna()]
    if table.empty:
        return "Brain age: not measured."
    worst = table.loc[table["shift"].abs().idxmax()]
    text = (
        f"Brain age: largest mean shift {_number(worst['shift'], 2, True)} years "
        f"({worst['variant']}, interval {_number(worst['shift_low'], 2, True)} to "
        f"{_number(worst['shift_high'], 2, True)})"
    )
    rescan = table["rescan_shift_abs"].dropna()
    if len(rescan):
        largest = table["shift_abs"].max()
        text += (
            f"; mean absolute shift up to {largest:.2f}, between two scans of one person "
            f"{rescan.iloc[0]:.2f}"
        )
    return text + "."


def utility_ranking(tables: Mapping[str, pd.DataFrame], segmenter: str | None) -> pd.DataFrame:
    """Rank the de-identified variants by three measures of utility, equally weighted.

    Returns
    -------
    pandas.DataFrame
        Index variant, best first.  ``dice``: mean over the four structures,
        failed scans counting as zero; ``volume_change_pct``: mean over the 17
        regions of the absolute median change; ``age_shift``: mean absolute
        shift of predicted brain age in years; ``mean_rank``: mean of the
        ranks in those that were measured for all variants; ``low`` and
        ``high``: interval of the brain's Dice.  Empty if nothing was measured.
    """
    overlap = _get(tables, "overlap", segmenter)
    if overlap.empty:
        return pd.DataFrame()
    dice = overlap[(overlap["measure"] == "dice") & ~overlap["variant"].isin(CONTROLS)]
    table = pd.DataFrame({"dice": dice.groupby("variant", sort=False)["mean_all"].mean()})
    brain = dice[dice["structure"] == "brain"].set_index("variant")
    table["low"], table["high"] = brain["low_all"], brain["high_all"]
    volumes = _get(tables, "volumes", segmenter)
    if len(volumes):
        rows = volumes[volumes["region"].isin(REGIONS)]
        table["volume_change_pct"] = rows["median_change_pct"].abs().groupby(rows["variant"]).mean()
    ages = _get(tables, "brainage", segmenter)
    if len(ages):
        table["age_shift"] = ages.set_index("variant")["shift_abs"]
    ranks = pd.DataFrame(index=table.index)
    for name, better in (("dice", False), ("volume_change_pct", True), ("age_shift", True)):
        if name in table and table[name].notna().all():
            ranks[name] = table[name].rank(ascending=better)
    if ranks.empty or not len(ranks.columns):
        return pd.DataFrame()
    table["mean_rank"], table["measures"] = ranks.mean(axis=1), len(ranks.columns)
    return table.sort_values(["mean_rank", "dice"], ascending=[True, False], kind="stable")


def _utility_line(tables, segmenter, look: Look) -> str:
    table = utility_ranking(tables, segmenter)
    if table.empty:
        return "Utility: not measured for all variants, so none is named first."
    if len(table) == 1:
        return f"Utility: only one variant ({table.index[0]}), so there is nothing to rank."
    best = table.iloc[0]
    names = list(table.index[table["mean_rank"] == best["mean_rank"]])
    others = table.drop(index=names)
    overlapping = int(((others["high"] >= best["low"]) & (others["low"] <= best["high"])).sum())
    text = (
        "Utility, whatever the attacks: first by mean rank over "
        f"{plural(int(best['measures']), 'measure')} (Dice, volumes, brain age) of {len(table)} "
        f"variants: {' and '.join(_with_caution(tables, name) for name in names)}"
    )
    if overlapping:
        text += (
            f"; but the interval of its brain Dice overlaps those of {overlapping} other"
            f"{'' if overlapping == 1 else 's'}, so that lead is not established"
        )
    return f"{text}."


def _with_caution(tables, variant: str) -> str:
    """Name a variant with what was found of face and attack: utility alone decides nothing."""
    if _get(tables, "quality").empty:
        return variant
    return f"{variant} ({findings.short(findings.finding(tables, variant))})"


def limitations(tables, settings: Settings, statement: str, look: Look) -> list[str]:
    """Return what the page does not show, as far as it can be told from its inputs."""
    found = [
        *_privacy_limits(tables),
        "The checks of face and brain follow thresholds on the face's surface and on an estimated "
        "brain mask, not the eye of a rater. Brain that the mask misses is not looked at.",
        "A native method is a re-implementation of a published one. Its results are not those of "
        "the released program of that name.",
        "Segmentation serves as the measure of utility; lesions, cortical thickness, other "
        "contrasts and other software are not covered.",
    ]
    if statement:
        found.insert(0, f"{statement} Nothing here carries over to scans of patients or volunteers "
                        "without a run on such scans.")  # fmt: skip
    if "null" not in look.order:
        found.append(
            "No null control was run: how much of a difference is noise of the segmenter is "
            "unknown."
        )
    repeat = _get(tables, "repeatability")
    if len(repeat) and (repeat["margin_source"] == "config").any():
        found.append(
            f"The equivalence margin is {settings.equivalence_margin_pct:g} %, a setting, "
            f"{captions.margin_from_settings(repeat, settings)}: whether an effect of that size "
            "matters is for the reader to say."
        )
    return found


def _privacy_limits(tables) -> list[str]:
    if not is_measured(tables):
        return [
            REMINDER + " Measuring it takes "
            "an attack (face recognition on renderings, reconstruction first), which this run did "
            "not make (the config has no attackers, or none could be scored). Not one number here "
            "is evidence of privacy.",
            "A face that is visibly gone may still be inferred from what is left; a refaced scan "
            "shows a face that looks real, whose likeness to the person is not measured here.",
        ]
    return [
        MEASURED,
        "Attacks work on renderings of the surface and on the shape of the head; what the brain, "
        "the teeth, the ears or the rest of the record give away is not attacked. Galleries here "
        "are as small as the test split: identification among thousands is harder, a choice among "
        "few is not.",
    ]


# sections -----------------------------------------------------------------------------------


def _flow(dataset: Mapping, look: Look) -> dict:
    tables = dataset["tables"]
    flow = _get(tables, "flow")
    link = _link(dataset, "flow")
    if flow.empty:
        return {"numbers": None, "counts": None, "left_out": None}
    lost = flow[flow["status"].isin(LOST)]
    # Not the pictures of controls, which are only attacked.
    everywhere = set(flow.loc[~flow["stage"].isin(ATTACKING), "variant"])
    rows = []
    keys = ["scan", "stage", "status", "reason"]
    for key, group in lost.groupby(keys, sort=False, dropna=False):
        variants = look.sort(group["variant"])
        where = "every variant" if everywhere <= set(variants) else ", ".join(variants)
        rows.append([str(key[0]), where, str(key[1]), str(key[2]), str(key[3])])
    rest = len(rows) - MOST_LEFT_OUT
    caption = f"Scans that were left out, and why: {plural(len(rows), 'row')}"
    caption += f", the first {MOST_LEFT_OUT} of them." if rest > 0 else "."
    return {
        "numbers": flow_numbers(flow),
        "counts": _flow_counts(tables, look, _link(dataset, "flow_counts")),
        "left_out": Table(
            caption, ["Scan", "Variant", "Stage", "Status", "Reason"], rows[:MOST_LEFT_OUT], link
        ),
    }


def _flow_counts(tables, look: Look, link: str) -> Table | None:
    """Return the number of scans that came out of each stage, one row a variant."""
    counts = _get(tables, "flow_counts")
    if counts.empty:
        return None
    stages = list(dict.fromkeys(counts["stage"]))
    stages = [s for s in STAGES if s in stages] + [s for s in stages if s not in STAGES]
    rows = []
    for variant in look.sort(counts["variant"]):
        mine = counts[counts["variant"] == variant].set_index("stage")
        cells = [
            f"{int(mine.loc[s, 'n_ok'])}/{int(mine.loc[s, 'n_in'])}"
            if s in mine.index
            else NO_VALUE
            for s in stages
        ]
        rows.append([look.label(variant), *cells])
    caption = (
        "Scans that came out of each stage, of those that went in. Training and validation scans "
        "and later sessions leave the flow on purpose. Rendering, enrolment and attack begin with "
        "a variant's image again, beside segmentation and measures; a scan counts as lost there "
        "if any attacker lost it."
    )
    return Table(caption, ["Variant", *[s.capitalize() for s in stages]], rows, link)


def _methods(methods: Sequence[Mapping]) -> Table:
    rows = [
        [m["name"], m["kind"], m.get("title") or "", _engine(m.get("engine"), m.get("reason")),
         str(m.get("version") or NO_VALUE)]
        for m in methods
    ]  # fmt: skip
    caption = (
        "What was run. Native: re-implementation of the published method; official: the released "
        "program itself."
    )
    return Table(caption, ["Name", "Kind", "What it does", "Engine", "Version"], rows)


def _engine(engine, reason=None) -> str:
    names = {"native": "native (re-implementation)", "official": "official program"}
    name = names.get(engine, str(engine or NO_VALUE))
    return f"{name}: {reason}" if reason else name


def _parameters(settings: Settings, config: Mapping) -> Table:
    from dataclasses import asdict

    rows = [[f"statistics: {key}", _plain(value)] for key, value in asdict(settings).items()]
    for key in ("privacy", "thresholds", "splits", "seed"):
        if key in config and (key != "privacy" or config.get("attackers")):
            rows.insert(0, [key, _plain(config[key])])
    return Table("Settings of this run.", ["Setting", "Value"], rows)


def _plain(value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sections(dataset: Mapping, look: Look) -> list[Section]:
    tables = dataset["tables"]
    segmenters = _segmenters(tables, dataset.get("config") or {})
    make = _Maker(dataset, look)
    sections = [
        Section(
            "privacy",
            "Recognisability",
            "Does an attacker who owns originals of known people name the person? " + MEASURED,
            [
                p
                for f in PRIVACY
                for p in make.pictures(f, segmenter=segmenters[0] if segmenters else None)
            ],
            [*make.tables("privacy"), *make.tables("privacy_likeness")],
        ),
        Section(
            "quality",
            "Face surface and brain mask",
            "Was the original's face surface removed, and the brain mask left as it was? Whether "
            "anybody can be recognised is another question.",
            [*make.pictures("quality"), *make.pictures("face_parts")],
            [*make.tables("quality"), *make.tables("face_parts")],
        ),
        Section(
            "agreement",
            "How right these checks are",
            "Do the automatic checks of face and brain find what the true labels say?",
            [],
            make.tables("verdict_agreement"),
        ),
        Section(
            "carried",
            "Other contrasts",
            "Did the other images of a session lose the face too?",
            [],
            make.tables("carried"),
        ),
        Section("slices", "Example slices", "", make.loose("slices"), []),
    ]
    for segmenter in segmenters:
        by = f" ({segmenter})" if len(segmenters) > 1 else ""
        suffix = name_of("", segmenter, segmenters)
        for name, title, lead, figures in _PER_SEGMENTER:
            sections.append(
                Section(
                    name + suffix,
                    title + by,
                    lead,
                    [p for f in figures for p in make.pictures(f, suffix, segmenter)],
                    make.tables(name, segmenter),
                )
            )
    sections += [
        Section(
            "similarity",
            "Similarity to the original image",
            "",
            make.pictures("similarity"),
            make.tables("similarity"),
        ),
        Section(
            "training",
            "Training of refacing models",
            "",
            make.loose("curves") + make.loose("samples"),
            [],
        ),
        Section("runtime", "Time and memory", "", make.pictures("runtime"), make.tables("runtime")),
    ]
    return sections


_PER_SEGMENTER = (
    ("overlap", "Segmentation overlap", "Would a later user find the same brain?", ["overlap"]),
    (
        "volumes",
        "Volumes",
        "Would a later user measure the same volumes?",
        ["volumes", "volumes_globals"],
    ),
    ("brainage", "Brain age", "Would a later user predict the same age?", ["brainage"]),
    ("truth", "Overlap with the truth", "", ["truth"]),
)

_ALT = {
    "quality": "Stacked bars: share of scans in each class of the automatic checks, one bar a "
    "variant.",
    "face_parts": "Dots with intervals: share of scans in which nose, eyes, mouth and ears are "
    "left, one row a variant.",
    "overlap": "Dots with intervals: Dice of brain, ventricular CSF, white and grey matter with "
    "the original's segmentation, one row a variant.",
    "volumes": "Map of median volume changes in percent, one column a region, one row a variant.",
    "volumes_globals": "Dots with intervals: median change of intracranial, grey, white and CSF "
    "volume, one row a variant.",
    "brainage": "Dots with intervals: mean and absolute shift and error of predicted brain age, "
    "one row a variant.",
    "similarity": "Dots: correlation and SSIM with the original image, one row a variant.",
    "runtime": "Stacked bars: mean seconds a scan of preparation, defacing and refacing; dots with "
    "lines: median and largest memory; one row a variant.",
    "truth": "Dots with intervals: Dice with true labels, one row a variant.",
    "slices": "Sagittal and axial example slices, one pair a variant.",
    "curves": "Training and validation losses by epoch.",
    "privacy_utility": "Points with intervals: worst-case identification against the change of the "
    "volume that changes most, one point a variant, the Pareto front marked.",
    "privacy": "Bars with intervals: share of participants identified by each attacker, one bar a "
    "variant, chance as a line.",
    "privacy_curves": "Curves with bands: share of persons found against the part of the ranking "
    "looked at, one panel an attacker.",
    "privacy_roc": "Curves with bands: true against false accepts, one panel an attacker.",
    "privacy_undetected": "Dots with intervals: share of scans on which no face was found.",
    "privacy_map": "Average faces coloured by the distance of each variant's surface from the "
    "true one.",
    "samples": "Validation slices: defaced, refaced at a few epochs, original.",
}


def _segmenters(tables, config: Mapping) -> list[str]:
    """Return the segmenters in the config's order, by which figures are named."""
    if config.get("segmenters"):
        return list(config["segmenters"])
    for name in ("overlap", "volumes", "brainage"):
        table = tables.get(name)
        if table is not None and len(table):
            return [str(s) for s in dict.fromkeys(table["segmenter"])]
    return []


#: Tables of the figures that are not named after one.
_SOURCES = {
    "volumes_globals": "volumes",
    "privacy_roc": "privacy_curves",
    "privacy_undetected": "privacy",
    "privacy_map": "privacy",
    "privacy_utility": "tradeoff",
}


class _Maker:
    """Makes the pictures and compact tables of one dataset."""

    def __init__(self, dataset: Mapping, look: Look):
        self.dataset, self.look = dataset, look
        self.all, self.settings = dataset["tables"], dataset["settings"]

    def caption(self, name: str, segmenter: str | None) -> str:
        """Return the caption of a figure or table."""
        config = self.dataset.get("config")
        return captions.ALL[name](self.all, self.settings, segmenter, config)

    def pictures(self, figure: str, suffix: str = "", segmenter: str | None = None):
        """Return the picture of a table's figure, if both are there."""
        path = self.dataset["figures"].get(figure + suffix)
        source = _SOURCES.get(figure, figure)
        if path is None or _get(self.all, source, segmenter).empty:
            return []
        caption = self.caption(figure, segmenter)
        return [Picture(figure + suffix, embed(path), caption, _ALT[figure])]

    def loose(self, prefix: str):
        """Return all pictures whose name begins so (slices, curves)."""
        public = self.dataset["faces"] == PUBLIC
        found = []
        for name, path in self.dataset["figures"].items():
            if not name.startswith(prefix):
                continue
            if prefix == "slices":
                check_faces(path, public)
                caption = captions.slices(public)
            elif prefix == "samples":
                check_faces(path, public)
                caption = captions.samples(name.removeprefix(prefix).strip("-_ "))
            else:
                caption = captions.curves(name.removeprefix(prefix).strip("-_ "))
            found.append(Picture(name, embed(path), caption, _ALT[prefix]))
        return found

    def tables(self, name: str, segmenter: str | None = None) -> list[Table]:
        """Return the compact form of a table; none if it is empty."""
        table = _get(self.all, name, segmenter)
        if table.empty:
            return []
        # A verdict takes more than one table.
        source = self.all if name == "quality" else table
        columns, rows = _COMPACT[name](source, self.look, self.settings)
        if name == "volumes":
            rows = _with_changes(rows, columns, _get(self.all, "changes", segmenter), self.look)
        if not rows:
            return []
        figures = self.dataset["figures"]
        if name in figures or f"{name}-{segmenter}" in figures:
            caption = captions.numbers_of(name, self.settings)
        else:
            caption = self.caption(name, segmenter)
        return [Table(caption, columns, rows, _link(self.dataset, name))]


def _link(dataset: Mapping, name: str) -> str:
    folder = dataset.get("tables_href", f"tables/{dataset['name']}").rstrip("/")
    return f"{folder}/{name}.tsv"


def check_faces(path, public: bool) -> None:
    """Refuse a figure that shows faces where they must not be shown.

    Raises
    ------
    ValueError
        If the dataset's faces are not public and the file does not say that
        they were hidden when it was drawn.
    """
    from PIL import Image

    with Image.open(path) as image:
        label = image.info.get("Description", "")
    if not public and label not in (LABELS[False], MESSAGE_ONLY):
        raise ValueError(
            f"{path}: the data set's faces are private, but this figure was not drawn with faces "
            "hidden; delete it and draw it again"
        )


def embed(path) -> str:
    """Return a PNG as a data address, with 256 colours where that is smaller."""
    from PIL import Image

    raw = Path(path).read_bytes()
    small = io.BytesIO()
    with Image.open(io.BytesIO(raw)) as image:
        image.convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    data = min(raw, small.getvalue(), key=len)
    return pages.png_address(data)


# compact tables -----------------------------------------------------------------------------


def _with_interval(
    row, name: str, low: str, high: str, digits: int, signed=False, scale=1.0
) -> str:
    """Return ``value [low, high]``."""
    value, below, above = (
        _number(scale * row[c] if pd.notna(row[c]) else None, digits, signed)
        for c in (name, low, high)
    )
    if value == NO_VALUE:
        return NO_VALUE
    return value if below == NO_VALUE else f"{value} [{below}, {above}]"


def _n(row) -> str:
    failed = row.get("n_failed", 0)
    text = str(int(row["n"])) if pd.notna(row["n"]) else "0"
    return f"{text} ({int(failed)})" if pd.notna(failed) and failed > 0 else text


def _by_variant(table, look):
    for variant in look.sort(table["variant"]):
        yield look.label(variant), table[table["variant"] == variant]


def _compact_quality(tables, look, settings):
    """Return one row a variant; what the checks cannot see and the worst attack stand beside it."""
    columns = ["Variant", "Face surface removed", "Brain mask unchanged", "Labels agree on",
               "Worst attack", "Neither failure", "I", "II", "I and II", "Untouched", "No face",
               "No output", "Face left (median)", "Brain voxels removed (max)"]  # fmt: skip
    rows = []
    for label, mine in _by_variant(tables["quality"], look):
        row = mine.iloc[0]
        found = findings.finding(tables, row["variant"])
        counts = [str(int(row[c])) for c in ("failure_1", "failure_2", "failure_1+2", "untouched",
                                             "no_face", "crash")]  # fmt: skip
        share = _with_interval(row, "success_share", "success_low", "success_high", 0, scale=100)
        neither = f"{int(row['success'])}/{int(row['n_with_face'])}: {share.replace(' [', ' % [')}"
        left = _number(100 * row["face_left_median"], 0)
        removed = _number(row["brain_removed_max"], 0)
        if pd.notna(row["brain_removed_max_pct"]) and row["brain_removed_max"] > 0:
            removed += f" ({row['brain_removed_max_pct']:.2g} %)"
        left = left if left == NO_VALUE else f"{left} %"
        rows.append([label, *findings.cells(found), neither, *counts, left, removed])
    return columns, rows


def _compact_overlap(table, look, settings):
    structures = [s for s in STRUCTURES if s in set(table["structure"])]
    columns = ["Variant", "n (failed)", *[STRUCTURES[s] for s in structures]]
    failed = "mean_all" in table and (table["n_failed"] > 0).any()
    columns += [f"{STRUCTURES[s]}, all" for s in structures] if failed else []
    if "measure" in table:
        table = table[table["measure"] == "dice"]
    rows = []
    for label, mine in _by_variant(table, look):
        by = mine.set_index("structure")
        cells = [_with_interval(by.loc[s], "mean", "low", "high", 3) for s in structures]
        cells += [_number(by.loc[s, "mean_all"], 3) for s in structures] if failed else []
        rows.append([label, _n(mine.iloc[0]), *cells])
    return columns, rows


def _compact_volumes(table, look, settings):
    shown = ("tiv", "gm", "wm", "csf")
    counts = significant_regions(table, settings.alpha)
    columns = ["Variant", "n (failed)", f"Regions of {len(REGIONS)}: differ (Holm)",
               "differ (Benjamini-Hochberg)", "equivalent", "Largest regional change",
               *[f"{region_label(r)} (%)" for r in shown]]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table[table["variant"] != "original"], look):
        by = mine.set_index("region")
        regional = by[by.index.isin(REGIONS)]["median_change_pct"].dropna()
        largest = NO_VALUE
        if len(regional):
            name = regional.abs().idxmax()
            largest = f"{_number(regional[name], 1, True)} % ({region_label(name)})"
        count = counts.loc[mine["variant"].iloc[0]]
        cells = [
            _with_interval(by.loc[r], "median_change_pct", "low", "high", 1, True)
            if r in by.index
            else NO_VALUE
            for r in shown
        ]
        numbers = [str(count[c]) for c in ("differ", "differ_bh", "equivalent")]
        if not count["tested"]:
            numbers = [NO_VALUE] * 3
        rows.append([label, _n(mine.iloc[0]), *numbers, largest, *cells])
    return columns, rows


def _with_changes(rows, columns, changes, look) -> list[list[str]]:
    """Add the share of scans with a large change to the rows of the volumes table."""
    if changes.empty:
        return rows
    threshold = changes["threshold_pct"].iloc[0]
    columns.append(f"Scans with > {threshold:g} % in TIV, GM, WM or CSF")
    cells = {}
    for label, mine in _by_variant(changes, look):
        row = mine.iloc[0]
        total = int(row["n_scans"] + row["n_failed"])
        text = f"{int(row['n_over'])}/{total}"
        failed = int(row["n_failed"])
        cells[label] = text + (f" (and {failed} failed)" if failed else "")
    return [[*row, cells.get(row[0], NO_VALUE)] for row in rows]


def _compact_brainage(table, look, settings):
    if table["mae"].isna().all():
        return [], []
    columns = ["Variant", "n (failed)", "Mean shift (years)", "Mean absolute shift", "p (Holm)",
               "Mean absolute error (years)", "Change of error"]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table, look):
        row = mine.iloc[0]
        rows.append(
            [
                label,
                _n(row),
                _with_interval(row, "shift", "shift_low", "shift_high", 2, True),
                _with_interval(row, "shift_abs", "shift_abs_low", "shift_abs_high", 2),
                _number(row["p_holm"], 3),
                _with_interval(row, "mae", "mae_low", "mae_high", 2),
                _number(row["mae_change"], 2, True),
            ]
        )
    return columns, rows


def _compact_similarity(table, look, settings):
    shown = [("corr", "front"), ("corr", "full"), ("ssim", "front"), ("ssim", "full")]
    names = {"corr": "Correlation", "ssim": "SSIM"}
    places = {"front": "front half", "full": "full frame"}
    columns = ["Variant", "n (failed)", *[f"{names[m]}, {places[r]}" for m, r in shown]]
    table = table[table["site"].isin(("all", ""))]
    rows = []
    for label, mine in _by_variant(table, look):
        by = mine.set_index(["measure", "region"])
        cells = [
            _with_interval(by.loc[key], "mean", "low", "high", 3) if key in by.index else NO_VALUE
            for key in shown
        ]
        rows.append([label, _n(mine.iloc[0]), *cells])
    return columns, rows


def _compact_runtime(table, look, settings):
    """Return one row a variant: the steps' means side by side, so that they can be added up."""
    columns = ["Variant", "Scans", *[f"{STEPS[step].capitalize()} (s)" for step in TIMED],
               "Together (s)", "Slowest scan (s)", "Memory of the preparation (MB)",
               "of its own steps (MB)"]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table, look):
        steps = mine.set_index("step")
        total = steps.loc[TOTAL]
        means = [
            _number(steps.loc[step, "seconds_mean"], 1) if step in steps.index else NO_VALUE
            for step in (*TIMED, TOTAL)
        ]
        memory = [NO_VALUE, NO_VALUE]
        if total["n"]:
            shared = _memory(steps.loc["prepare"]) if "prepare" in steps.index else NO_VALUE
            memory = [shared, _memory(hungriest(steps))]
        scans = UNAVAILABLE if total["engine"] == UNAVAILABLE else str(int(total["n"]))
        rows.append([label, scans, *means, _number(total["seconds_max"], 1), *memory])
    return columns, rows


def _memory(row) -> str:
    return f"{_number(row['peak_mb_median'], 0)} ({_number(row['peak_mb_max'], 0)})"


def _compact_privacy(table, look, settings):
    """Return one row a variant, one column an attacker, in the setting that counts."""
    table = main_rows(table)
    attackers = list(dict.fromkeys(table["attacker"]))
    first = "rank1_completers"
    name = "choice_completers" if table["choice_completers"].notna().any() else first
    what = f"picked from {int(table['n_options'].iloc[0])}" if name != first else "named first"
    columns = ["Variant", "n (failed)", *[f"{a}: {what} (%)" for a in attackers],
               *[f"{a}: named first (%)" for a in attackers if name != first]]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table, look):
        by = mine.set_index("attacker")
        cells = [_attack_cell(by, a, name, settings) for a in attackers]
        if name != first:
            cells += [_attack_cell(by, a, first, settings) for a in attackers]
        failed = int((mine["n"] - mine["n_completers"]).max())
        rows.append([label, _of_planned(mine) + (f" ({failed})" if failed else ""), *cells])
    return columns, rows


def _of_planned(mine: pd.DataFrame) -> str:
    """Return the participants of some attacks, with the reasons where there should be more."""
    texts = captions.shortfalls(mine)
    number = str(int(mine["n"].max()))
    return f"{number} ({'; '.join(texts)})" if texts else number


def _attack_cell(by, attacker: str, name: str, settings: Settings) -> str:
    if attacker not in by.index:
        return NO_VALUE
    row = by.loc[attacker]
    text = _with_interval(row, name, f"{name}_low", f"{name}_high", 0, scale=100)
    rank1 = name == "rank1_completers"
    if rank1 and row["p_holm"] < settings.alpha:
        text = text.replace(" [", "* [", 1)
    if row["n_undetected"] > 0 and not rank1:
        text += f"; no face {int(row['n_undetected'])}/{int(row['n_queries'])}"
    return text


def _compact_likeness(table, look, settings):
    columns = ["Variant", "n (failed)", "Distance to the true face (mm)",
               "of the average face (mm)", "Difference (mm)", "Closer than the average face",
               "p (Holm)"]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table, look):
        row = mine.iloc[0]
        closer = _with_interval(row, "closer_share", "closer_low", "closer_high", 0, scale=100)
        rows.append(
            [
                label,
                _n(row),
                _with_interval(row, "true_mm", "true_low", "true_high", 2),
                _with_interval(row, "average_mm", "average_low", "average_high", 2),
                _with_interval(row, "difference_mm", "difference_low", "difference_high", 2, True),
                closer if closer == NO_VALUE else closer.replace(" [", " % [", 1),
                _number(row["p_holm"], 3),
            ]
        )
    return columns, rows


def _compact_parts(table, look, settings):
    parts = list(dict.fromkeys(table["part"]))
    columns = ["Variant", *[f"{p.capitalize()}: left in" for p in parts],
               *[f"{p.capitalize()}: median left (%)" for p in parts]]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table, look):
        by = mine.set_index("part")
        counts = [f"{int(by.loc[p, 'n_left'])}/{int(by.loc[p, 'n'])}" for p in parts]
        medians = [_number(100 * by.loc[p, "median_left"], 0) for p in parts]
        rows.append([label, *counts, *medians])
    return columns, rows


def _compact_agreement(table, look, settings):
    names = {"failure_1": "I: part of the face kept", "failure_2": "II: brain removed"}
    columns = ["Failure", "Made by", "Truly failed: found, missed",
               "Truly right: cleared, accused", "Sensitivity", "Specificity"]  # fmt: skip
    counts = (("true_positive", "false_negative"), ("true_negative", "false_positive"))
    rows = []
    for _, row in table.iterrows():
        found = [f"{int(row[a])}, {int(row[b])}" for a, b in counts]
        rates = [
            _with_interval(row, name, f"{name}_low", f"{name}_high", 2)
            for name in ("sensitivity", "specificity")
        ]
        made_by = "all variants" if row["made_by"] == "all" else look.label(row["made_by"])
        rows.append([names[row["failure"]], made_by, *found, *rates])
    return columns, rows


def _compact_carried(table, look, settings):
    columns = ["Variant", "Contrast", "Written", "Absent", "Excluded or failed",
               "By header, by registration", "Largest shift (mm)", "Least contrast of the fit",
               "Brain voxels changed (max)"]  # fmt: skip
    rows = []
    for label, mine in _by_variant(table, look):
        for _, row in mine.iterrows():
            rows.append(
                [
                    label,
                    str(row["contrast"]),
                    f"{int(row['n_ok'])}/{int(row['n'])}",
                    str(int(row["n_absent"])),
                    str(int(row["n_excluded"] + row["n_failed"])),
                    f"{int(row['n_by_header'])}, {int(row['n_by_registration'])}",
                    _number(row["shift_mm_max"], 1),
                    _number(row["contrast_nmi_min"], 1),
                    _number(row["brain_changed_max"], 0),
                ]
            )
    return columns, rows


_COMPACT = {
    "face_parts": _compact_parts,
    "verdict_agreement": _compact_agreement,
    "carried": _compact_carried,
    "privacy": _compact_privacy,
    "privacy_likeness": _compact_likeness,
    "quality": _compact_quality,
    "overlap": _compact_overlap,
    "volumes": _compact_volumes,
    "brainage": _compact_brainage,
    "similarity": _compact_similarity,
    "runtime": _compact_runtime,
    "truth": _compact_overlap,
}


def _costs(costs: pd.DataFrame) -> Table:
    """Return the cost table: text as it is, numbers with one decimal, counts without."""
    rows = []
    for _, row in costs.iterrows():
        cells = []
        for value in row:
            if isinstance(value, float):
                cells.append(_number(value, 0 if value == int(value) else 1)
                             if np.isfinite(value) else NO_VALUE)  # fmt: skip
            else:
                cells.append(str(value))
        rows.append(cells)
    caption = (
        "What each stage cost in this run, from the workflow's benchmark files. Jobs that were "
        "skipped because their results were there cost nothing here."
    )
    return Table(caption, [str(c).replace("_", " ") for c in costs.columns], rows)
