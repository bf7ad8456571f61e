"""Captions of tables and figures, made from the tables and the settings, never typed.

Plain text, one string a caption, shared by the report page, the LaTeX tables
and the workflow's own report; whoever prints one escapes it for its format.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from refacebench.figures.privacy import main_rows
from refacebench.metrics.verdict import THRESHOLDS
from refacebench.statistics.flow import summary
from refacebench.statistics.settings import Settings
from refacebench.statistics.tradeoff import is_unranked
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import REGIONS

Tables = Mapping[str, pd.DataFrame]


def plural(number: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "scan"), plural(3, "scan")
    ('1 scan', '3 scans')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def of_segmenter(table: pd.DataFrame, segmenter: str | None) -> pd.DataFrame:
    """Return the rows of one segmenter; all rows where none is named or known."""
    if segmenter is None or "segmenter" not in table:
        return table
    return table[table["segmenter"] == segmenter]


def cohort(table: pd.DataFrame) -> str:
    """Return how many participants and scans a table rests on at most, and how many failed."""
    if table.empty or "n" not in table or not table["n"].max() > 0:
        return "No scan was measured."
    text = f"Up to {plural(int(table['n'].max()), 'participant')}"
    if "n_scans" in table:
        text += f" ({plural(int(table['n_scans'].max()), 'scan')})"
    text += " a row"
    failed = int(table["n_failed"].max()) if "n_failed" in table else 0
    if failed:
        text += f", at most {failed} failed"
    return text + "."


def left_out(tables: Tables, segmenter: str | None = None) -> str:
    """Return how many scans of the data set are not compared; empty where the flow is unknown.

    Compared are the scans whose original was measured: those that were
    measured in a variant and those that failed in it.
    """
    flow, changed = tables.get("flow"), tables.get("changes")
    if flow is None or changed is None or flow.empty or changed.empty:
        return ""
    changed = present(of_segmenter(changed, segmenter))
    total = flow["scan"].nunique()
    left = total - (changed["n_scans"] + changed["n_failed"])
    if left.empty:
        return ""
    low, high = int(left.min()), int(left.max())
    number = f"{low}" if low == high else f"{low} to {high}, by segmenter,"
    return (
        f"Of {plural(total, 'scan')} of {plural(flow['participant'].nunique(), 'participant')} in "
        f"the data set, {number} are not compared (other splits, later sessions, excluded or "
        "failed originals)."
    )


def _rests(tables: Tables, table: pd.DataFrame, segmenter: str | None = None) -> str:
    """Return what a table rests on: its participants and scans, and which scans are not in it."""
    return _join(cohort(table), left_out(tables, segmenter))


def shares(settings: Settings) -> str:
    """Return how the intervals of shares were made."""
    return (
        f"Shares with {100 * settings.level:g} % Wilson intervals, widened where a participant "
        "has several sessions."
    )


def intervals(settings: Settings) -> str:
    """Return how the intervals of means and medians were made."""
    return (
        f"Intervals: {100 * settings.level:g} %, percentile bootstrap over participants "
        f"({settings.n_boot} resamples, seed {settings.seed})."
    )


def engines(table: pd.DataFrame | None) -> str:
    """Return which engine and version stands behind each defacer of the quality table."""
    if table is None or table.empty:
        return ""
    rows = table.drop_duplicates("variant")
    rows = rows[~rows["variant"].str.contains("+", regex=False)]
    named = []
    for _, row in present(rows).iterrows():
        engine, version = _text(row.get("engine")), _text(row.get("version"))
        if engine and row["variant"] != "null":
            named.append(f"{row['variant']} {engine} {version}".strip())
    text = (
        "Engines (native: re-implementation of the published method; official: the released "
        f"program): {'; '.join(named)}."
    )
    return _join(text if named else "", missing_programs(rows))


def missing_programs(table: pd.DataFrame) -> str:
    """Return which variants are lines without numbers because their programs are missing."""
    there = set(present(table)["variant"])
    names = [name for name in dict.fromkeys(table["variant"]) if name not in there]
    if not names:
        return ""
    return f"Unavailable on the machine of this run, so without numbers: {', '.join(names)}."


def _text(value) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def quality(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the quality classes."""
    table = tables["quality"]
    limit = {**THRESHOLDS, **((config or {}).get("thresholds") or {})}
    n = int(table["n"].max()) if len(table) else 0
    return _join(
        f"What automatic checks found on {plural(n, 'scan')} a variant (classes after Gao et al. "
        "2023). Failure I: more than "
        f"{100 * limit['face_left']:g} % of the original's own face surface is left (another face "
        "in its place does not count as left)"
        f"{_ears(limit)}. Failure II: more than "
        f"{100 * limit['brain_removed_share']:g} % of the brain mask is removed or replaced below "
        f"its outer {limit['brain_rim_mm']:g} mm, or more than "
        f"{100 * limit['brain_rim_share']:g} % in all. Untouched: a Failure I in which "
        f"{100 * limit['untouched']:g} % of the face surface or more is as it was. No face: the "
        "scan came without one. A scan without a usable output is a crash ('no output'). Neither "
        "failure (class 'success'): no more than that; it does not say that nobody can be "
        "recognised. Its share is of the scans that came with a face, crashes among them. 'Cannot "
        "fail': the method spares the very brain mask by which it is judged, so that only true "
        "labels could show a loss.",
        shares(settings),
        _worst(tables),
        left_out(tables),
        engines(table),
    )


def _worst(tables: Tables) -> str:
    """Return what the worst attack beside the checks is, or that there was none."""
    if tables.get("tradeoff") is None or tables["tradeoff"].empty:
        return "Whether people can be recognised was not measured."
    return "Worst attack: over all attackers, also after a face was put back (table tradeoff)."


def _ears(limit: Mapping) -> str:
    """Return whether ears count towards a Failure I."""
    if limit["ears_left"] >= 1:
        return "; ears do not count"
    return f" or more than {100 * limit['ears_left']:g} % of that of the ears"


def face_parts(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the parts of the face that are left."""
    limit = {**THRESHOLDS, **((config or {}).get("thresholds") or {})}
    return _join(
        f"Scans in which a part of the original's own face is left: more than "
        f"{100 * settings.part_left:g} % of its surface. Scans that have the part in view and were "
        f"judged; ears are shown for information{_ears_note(limit)}.",
        shares(settings),
        left_out(tables),
        engines(tables.get("quality")),
    )


def _ears_note(limit: Mapping) -> str:
    if limit["ears_left"] >= 1:
        return " and are no Failure I (threshold ears_left)"
    return f", and are a Failure I above {100 * limit['ears_left']:g} %"


def verdict_agreement(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the agreement of the automatic verdict with the truth."""
    table = tables["verdict_agreement"]
    if table.empty:
        return "The automatic checks were not held against true labels: there are none."
    return _join(
        "How often the automatic checks agree with true labels, in scans x variants. Truth: brain "
        "voxels by label; surface of the face by label, placed by the nose's tip and the brain's "
        "centre, without the masks and the registration that the automatic checks use. An "
        "untouched face counts as a Failure I. Sensitivity: share of the true failures that were "
        "found; specificity: share of the scans without failure that were judged so.",
        f"Intervals: {100 * settings.level:g} %, exact (Clopper-Pearson), every scan of every "
        "variant taken as one independent trial: variants of one person are not, so they are too "
        "narrow.",
        "Cells without a number: no such scan in this run.",
    )


def carried(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the carried contrasts."""
    if tables["carried"].empty:
        return "Other contrasts of a session: none were carried along."
    return (
        "Other images of a session, set to zero where the mask of the T1w scan's changed voxels "
        "lies on them. n: images that there should be; absent: none in the session; aligned by "
        "their headers or by a rigid registration, whichever has more mutual information "
        "(contrast_nmi: how many times that of the image pushed aside). Brain changed: voxels of "
        "the protected brain that differ in the written file. They take no part in any other table."
    )


def overlap(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the overlap with the original's segmentation."""
    table = of_segmenter(tables["overlap"], segmenter)
    return _join(
        "Dice of each variant's segmentation with that of the original scan, both made from "
        f"scratch{_by(segmenter)}. Mean and interval over participants. In figures small points "
        "are scans and the dashed line is the mean of the null control, the noise of the "
        "measuring stick. In the column 'all' (mean_all) a failed scan counts as zero; the other "
        "columns are of completers.",
        _rests(tables, table, segmenter),
        intervals(settings),
        engines(tables.get("quality")),
    )


def truth(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the overlap with true labels."""
    table = of_segmenter(tables["truth"], segmenter)
    return _join(
        f"Dice of each variant's segmentation{_by(segmenter)} with the true labels, which exist "
        "because the scans are synthetic. The row 'original' is the segmenter's own error. Failed "
        "scans have no part in the means.",
        _rests(tables, table, segmenter),
        intervals(settings),
        engines(tables.get("quality")),
    )


def volumes(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the map of volume changes."""
    table = of_segmenter(tables["volumes"], segmenter)
    return _join(
        f"Median change of volume in percent of the original{_by(segmenter)}.",
        _tests(tables, table, settings),
        "In figures an asterisk marks such a p, a frame such an equivalence. Share over: scans "
        f"that changed by more than {settings.threshold_pct:g} %, failed scans counted in.",
        _rests(tables, table, segmenter),
        minimum(table, settings),
        intervals(settings),
        shares(settings),
        engines(tables.get("quality")),
    )


def volumes_over(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the tests on the scans that a defacer changed."""
    table = of_segmenter(tables["volumes_over"], segmenter)
    return _join(
        f"Median change of volume in percent of the original{_by(segmenter)}, only scans in which "
        f"defacing (selected_by) changed {_CHANGED} by more than {settings.threshold_pct:g} %. "
        "Selected by outcome: the defacer's own tests are biased towards a difference, its "
        "refacers' away from it (regression to the mean).",
        _tests(tables, table, settings),
        cohort(table),
        minimum(table, settings),
        intervals(settings),
        engines(tables.get("quality")),
    )


def changes(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the shares of changed scans."""
    return _join(
        f"Scans in which {_CHANGED} changed by more than {settings.threshold_pct:g} % of the "
        f"original{_by(segmenter)}. In share_over failed scans count as changed; "
        "share_over_completers leaves them out.",
        _rests(tables, of_segmenter(tables["changes"], segmenter), segmenter),
        shares(settings),
        engines(tables.get("quality")),
    )


def repeatability(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the scan-rescan differences."""
    table = of_segmenter(tables["repeatability"], segmenter)
    rescanned = not table.empty and table["n"].max() > 0
    return _join(
        "Absolute difference between two sessions of a participant, the later one a declared "
        f"rescan, in percent of their mean{_by(segmenter)}. Equivalence is tested within "
        f"{_margins(table, table, settings)}.",
        cohort(table) if rescanned else NO_RESCAN,
        intervals(settings),
    )


#: Why there is no scan-rescan difference.  Sessions are not rescans by themselves.
NO_RESCAN = (
    "No participant has two measured sessions of which the later one is declared as a rescan "
    "(rescan_sessions or rescan_max_days of the data set)."
)


def margin_from_settings(rescans: pd.DataFrame, settings: Settings) -> str:
    """Return why a margin is not that of the rescans; empty where all of them are.

    Parameters
    ----------
    rescans : pandas.DataFrame
        The table ``repeatability``.
    """
    rows = rescans[rescans["margin_source"] == "config"]
    if rows.empty:
        return ""
    found = int(rows["n"].max())
    if not found:
        return "as no participant has a declared rescan"
    number = plural(found, "participant")
    return f"for want of enough rescans ({number}, {settings.min_rescans} are needed)"


#: The volumes of :data:`refacebench.statistics.columns.CHANGED_IF_ANY` in words.
_CHANGED = "grey, white, CSF or TIV"


def _tests(tables: Tables, table: pd.DataFrame, settings: Settings) -> str:
    """Return which tests of volumes were made and how they were corrected."""
    return (
        "Paired Wilcoxon signed-rank tests on participants' mean differences (zeros: "
        f"{settings.zero_method}) with matched rank-biserial correlation; significant: "
        f"Holm-corrected p < {settings.alpha:g}{_families(table)} (p_bh: Benjamini-Hochberg). "
        "Equivalent to no change: two one-sided signed-rank tests (Holm-corrected as well) "
        f"within {_margins(table, tables.get('repeatability'), settings)}."
    )


def volumes_globals(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the whole-brain volume changes."""
    table = of_segmenter(tables["volumes"], segmenter)
    return _join(
        f"Median change of whole-brain volumes in percent of the original{_by(segmenter)}. "
        f"Filled marks: Holm-corrected p < {settings.alpha:g}{_families(table)}; hollow marks: "
        "not shown to differ, which is not the same as equal. Grey band: "
        f"{_margins(table, tables.get('repeatability'), settings)}.",
        cohort(table),
        intervals(settings),
    )


def _families(table: pd.DataFrame) -> str:
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


def _margins(table: pd.DataFrame, rescans: pd.DataFrame | None, settings: Settings) -> str:
    """Return the equivalence margin and where it comes from."""
    if table.empty or "margin_pct" not in table or table["margin_pct"].isna().all():
        return "the equivalence margin (none is known)"
    low, high = table["margin_pct"].min(), table["margin_pct"].max()
    size = f"{low:.2g} %" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g} %"
    sources = set(table.get("margin_source", pd.Series(dtype=str)).dropna())
    where = []
    if "rescan" in sources:
        where.append("each region's mean scan-rescan difference" + _rescanned(rescans))
    if "config" in sources:
        why = "" if rescans is None else margin_from_settings(rescans, settings)
        where.append("a setting" + f", {why}" * bool(why))
    return ", ".join([f"the margin of {size}", " or ".join(where)]).removesuffix(", ")


def _rescanned(rescans: pd.DataFrame | None) -> str:
    """Return how many participants the scan-rescan differences rest on."""
    if rescans is None or rescans.empty:
        return ""
    return f" (up to {plural(int(rescans['n'].max()), 'participant')})"


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


def minimum(table: pd.DataFrame, settings: Settings) -> str:
    """Return what regional change the tests could have found at all."""
    rows = present(table[table["region"].isin(REGIONS)]) if len(table) else table
    if rows.empty:
        return ""
    hopeless = out_of_reach(table, settings.alpha)
    if len(hopeless) == rows["variant"].nunique():
        return (
            f"With {plural(int(rows['n'].max()), 'participant')} no regional change, however "
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
        f"Change that would be found with {100 * settings.power:g} % power at level "
        f"{settings.alpha:g} / family size (median over regions and {others}): "
        f"{finite.median():.2g} %."
    )


def brainage(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the brain-age figure and table."""
    table = of_segmenter(tables["brainage"], segmenter)
    return _join(
        f"Predicted brain age of each variant{_by(segmenter)}. Shift: prediction on the variant "
        "minus prediction on the original, in corrected years. Grey in figures (rescan_shift_abs): "
        "mean absolute shift between a scan of a person and a declared rescan, if there is one. "
        "Error (MAE): against chronological "
        "age, before the age-bias correction. Wilcoxon signed-rank tests of the shift, "
        "Holm-corrected over the variants of a segmenter.",
        *_models(table),
        _rests(tables, table, segmenter),
        intervals(settings),
        engines(tables.get("quality")),
    )


def _models(table: pd.DataFrame) -> list[str]:
    """Return what each segmenter's brain-age model is, or why there is none."""
    firsts = table.drop_duplicates("segmenter").to_dict("records")
    found = []
    for first in firsts:
        whose = f" of {first['segmenter']}" if len(firsts) > 1 else ""
        if pd.notna(first["n_train"]) and pd.notna(first["r2_train_cv"]):
            text = (
                f"Model{whose}: trained on the originals of {int(first['n_train'])} other "
                "participants; cross-validated by participant, before the correction: R2 "
                f"{first['r2_train_cv']:.2f}"
            )
            if pd.notna(first["mae_train_cv"]):
                text += f", error {first['mae_train_cv']:.1f} years"
            correction = _text(first["correction"])
            found.append(text + (f"; age-bias correction: {correction}." if correction else "."))
        note = _text(first["note"])
        if note:
            found.append(f"Note{whose}: {note}" if whose else note)
    return found


def similarity(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the similarity to the original image."""
    return _join(
        "Correlation and structural similarity (SSIM) of each image with its original, in the "
        "front half and in the full frame, of scans that went through. In figures small points "
        "are scans, larger marks the means of sites. High similarity in the face region is no "
        "virtue in itself: it may mean that the face is still there.",
        _rests(tables, tables["similarity"]),
        intervals(settings),
        engines(tables.get("quality")),
    )


def runtime(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of time and memory."""
    return _join(
        "What it costs to make one scan of a variant: mean wall-clock seconds of each step, over "
        "the compared scans that went through all of them. The steps' means (seconds_mean) add up "
        "to that of 'total'; medians and maxima do not. Shared preparation (prepare: brain mask, "
        "head mask, registration) is done once a scan in this run, whatever the number of "
        "methods; it is counted in full for each, as whoever uses one method alone needs it. A "
        "released program that brings its own registration needs less. Memory of the total: that "
        "of the step that needs most. Training of refacing models is not in it (table costs). "
        "Times depend on the machine and on what else ran there.",
        engines(tables.get("quality")),
    )


def flow(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the scans' flow."""
    return _join(
        f"Where each scan ended, for each variant: {_total(tables)}",
        "Rows of the stages render, enrol and attack are of scans that were lost on the way to the "
        "attacks; their measures have rows of their own.",
    )


def flow_counts(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the numbers of scans in each stage."""
    return _join(
        f"Scans that entered and left each stage, for each variant: {_total(tables)}",
        "render, enrol and attack begin with the variant's image, beside segment and measure; "
        "what any attacker lost counts there as lost.",
    )


def _total(tables: Tables) -> str:
    return summary(tables["flow"]).rstrip(".") + "."


def slices(public: bool) -> str:
    """Return the caption of the example slices."""
    if public:
        return (
            "Mid-sagittal and eye-level slices of one participant of the test split in every "
            "variant, one grey scale; the left of the image is the left of the participant. "
            "Shown unblurred because the data set's faces are public."
        )
    return (
        "Mid-sagittal and eye-level slices of one participant of the test split in every variant. "
        "The data set's faces are private: outside the brain only a flat, heavily smoothed "
        "silhouette is shown, for the original and every variant alike."
    )


def curves(name: str = "") -> str:
    """Return the caption of training curves."""
    which = f" of {name}" if name else ""
    return (
        f"Training{which}: losses by epoch. The epoch was picked on the validation split; no scan "
        "of the test split took part."
    )


def privacy(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the identification rates."""
    table = tables["privacy"]
    if table.empty or table["rank1"].isna().all():
        return "How often attackers name the person: no attack was scored."
    first = table.iloc[0]
    options, k = int(first["n_options"]), int(first["k"])
    return _join(
        "How often attackers name the person behind a scan. Query: a scan of the variant; gallery: "
        "one original of every participant of the test split "
        f"({_galleries(table)}; chance of rank 1: {_chances(table)}). other_session: the person's "
        "original is from another session; same_scan: from the very same scan, which is easier. "
        f"choice: picked from {options} (chance {100 / options:.0f} %), in expectation over all "
        "sets of distractors; choice_reverse: the other way round, one original and "
        f"{options} scans of the variant (as in CP-GAN); rank_k: among the first {k}; area: under "
        "the top-alpha curve (ignorance: 0.5); verified: true accepts at "
        f"{100 * first['false_accept']:g} % false ones.",
        "Bars, tests, rankings and *_completers are of the participants who could be compared; a "
        "crash is no privacy. rank1, rank_k and choice are of all, those without a score as not "
        "named. Undetected: no face was found, which is no failure and not the same as safe.",
        _missing_people(table),
        "p: exact tests against chance, more than chance, one trial a participant; Holm-corrected "
        "over all variants and attackers of a setting. rank1_detectable: the smallest rate that "
        "would have passed. Not above chance is not safe.",
        _resplits(table),
        intervals(settings),
        "Intervals of rank 1 and rank k are widened to Clopper-Pearson's; those of choices are "
        "Gaffke's bounds, which are the same for plain hits.",
    )


def shortfalls(table: pd.DataFrame) -> list[str]:
    """Return why attacks rest on fewer people or scans than planned, each text once."""
    if "shortfall" not in table:
        return []
    return [text for text in dict.fromkeys(table["shortfall"].fillna("")) if text]


def _missing_people(table: pd.DataFrame) -> str:
    """Return the shortfalls as a sentence; empty for none."""
    texts = shortfalls(table)
    if not texts:
        return ""
    more = f"; {len(texts) - 5} more in the column shortfall" if len(texts) > 5 else ""
    return f"Fewer than planned: {'; '.join(texts[:5])}{more}."


def _galleries(table: pd.DataFrame) -> str:
    low, high = table["n_gallery"].min(), table["n_gallery"].max()
    if low == high:
        return f"{low:g} people"
    return f"{low:g} to {high:g} people, by attacker"


def _chances(table: pd.DataFrame) -> str:
    low, high = 100 * table["chance"].min(), 100 * table["chance"].max()
    return f"{low:.2g} %" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g} %"


def _resplits(table: pd.DataFrame) -> str:
    rows = table[table["n_resplits"] > 0]
    if rows.empty:
        return ""
    names = ", ".join(dict.fromkeys(rows["attacker"]))
    return (
        f"Trained attackers ({names}) are evaluated in {int(rows['n_resplits'].max())} resplits of "
        "the participants, on those that they were not trained on: smaller galleries, bands over "
        "the resplits."
    )


def privacy_curves(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the curves."""
    return _join(
        "Top-alpha curves: the share of queries whose person is among the first part of the "
        "ranking; ignorance gives the diagonal. ROC: true against false accepts over all "
        "thresholds of the distance. Of queries that could be compared. Bands: over resplits "
        "where an attacker is trained, else pointwise bootstrap over participants.",
        intervals(settings),
    )


def privacy_undetected(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the undetected faces."""
    return _join(
        "Scans in which an attacker that looks for a face found none (or that could not be "
        "rendered). Not detected is not the same as safe: such scans are compared all the same "
        "where the attacker can.",
        shares(settings),
    )


def privacy_map(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the surface distances."""
    return (
        "Mean distance in mm between the surface of a variant and that of its own original, on "
        "the average face of the participants; in the titles its mean where there is a surface. No "
        "colour: unchanged. Blue: the face is missing; most scans have no surface there any more, "
        "which is the largest change of all and has no distance. A distance is no measure of "
        "privacy: a face may be recognised at the same mean distance at which another is not."
    )


def privacy_likeness(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the distances to the true face."""
    return _join(
        "Distance in mm of each variant's face to the true one, against that of the average face "
        "of all other participants (Gao et al. 2025), each capped (`cap_mm` of the attacker). A "
        "difference below zero: the variant is nearer to this very person than to others. One "
        "above zero does not mean that nobody is recognised: the attacks say that. Wilcoxon "
        "signed-rank over participants, Holm-corrected over all rows.",
        cohort(tables["privacy_likeness"]),
        intervals(settings),
    )


def privacy_warnings(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the warnings."""
    return (
        "What the controls of the attacks say: read this before any rate. An attack that does "
        "not recognise the ORIGINAL protects nobody; one that names people from BLACK pictures "
        "leaks."
    )


def tradeoff(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the privacy-utility plane."""
    table = of_segmenter(tables["tradeoff"], segmenter)
    measure = "picked from several" if (table["measure"] == "choice").all() else "named first"
    return _join(
        f"How often the worst attack identifies people ({measure}), against the change of the "
        f"volume that changes most{_by(segmenter)}: the largest absolute median change over all "
        "volumes, whole brain and regions (worst_volume).",
        "The worst attack is the one that looks worst among several, and of several attacks that "
        "guess one always looks good. So it is picked on some participants and judged on the "
        "others: the point does not rise with the number of attacks (n_routes) alone. With few "
        "participants it may be too low; its interval holds the true worst case however many "
        "attacks there are, so read the interval, not the point. p: is any attack above "
        "chance? The largest success against the largest ones after people swapped identities, in "
        "all attacks at once; p_holm: over all variants of a setting.",
        "Attacks on a defaced scan include those that put a face back first (worst_route). A "
        "refaced scan counts as no safer than its defaced one (taken_off): a face that was put "
        "where one was removed can be taken off again; where the defacer blurs, this is an upper "
        "bound. What each attack does to each variant as it is stands in the table privacy.",
        "Rates are of participants that could be attacked. Who failed is counted beside the point "
        "(n_failed), and as identified where methods are compared and in identification_all. Where "
        "half or more failed, the variant is not comparable (crossed out) and does not compete.",
        "Pareto front (rank 1): no other variant is shown to be better in one and looks no worse "
        f"in the other. Shown means beyond uncertainty: p < {settings.alpha:g} for the same "
        "participants, Holm-corrected over the pairs, or intervals of the volumes that do "
        "not overlap. Variants that nothing separates share a rank. Below chance is no better than "
        "chance. Controls do not compete. Red ring: an attack beats the method; its interval lies "
        "above chance.",
        unseparated(table),
        "Grey: changes no larger than the null control's. Noise alone gives every variant a "
        "largest change above zero: read the others against the null control.",
        _floor(table),
        _missing_people(table),
        f"Intervals ({100 * settings.level:g} %): identification, small-sample bounds of the "
        "routes (Clopper-Pearson for hits, Gaffke's for choices), the lower ones "
        "Bonferroni-corrected over the routes; volumes, from the largest of the lower ends (exact, "
        "corrected over all volumes) to the largest of the upper ends (percentile bootstrap over "
        f"participants). {settings.n_boot} resamples and swaps, seed {settings.seed}.",
    )


def unseparated(table) -> str:
    """Return a sentence where nothing separates the methods in the plane; else nothing."""
    if not len(table) or not is_unranked(main_rows(table)):
        return ""
    return (
        "These data do not separate the methods: none is shown to be better than another, and "
        "all share rank 1."
    )


def _floor(table) -> str:
    """Return what the line of the attackers is that look at no face; empty without one."""
    names = sorted(set(table["floor_attacker"].dropna()))
    if not names:
        return ""
    return (
        f"Floor: {', '.join(names)}, from skull and brain alone, no part of the worst case; "
        "no defacing that keeps them goes under it (column floor, by variant)."
    )


def raters(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the human raters' rates."""
    return (
        "How often human raters picked the right one of several pictures of a variant, shown one "
        f"original. Intervals: {100 * settings.level:g} %, bootstrap over raters and participants "
        f"at once ({settings.n_boot} resamples, seed {settings.seed}), widened to "
        "Clopper-Pearson's over participants. above_chance: the interval lies above chance."
    )


def samples(name: str = "") -> str:
    """Return the caption of validation slices over the epochs of a training."""
    which = f" of {name}" if name else ""
    return (
        f"Training{which}: slices of validation participants as they were defaced, as the model "
        "refaced them after a few epochs, and in the original."
    )


def _by(segmenter: str | None) -> str:
    return f" by {segmenter}" if segmenter else ""


def numbers_of(name: str, settings: Settings) -> str:
    """Return the caption of a compact table that stands below its figure."""
    brackets = f"[brackets]: {100 * settings.level:g} % intervals"
    if name == "runtime":
        return (
            "The numbers of the figure: means of the seconds, medians (and maxima) of the memory."
        )
    if name == "privacy":
        return (
            f"The numbers of the figure in percent; {brackets}; n: participants; (failed): those "
            "whom an attacker could not compare, in none of its rates; *: named first more often "
            f"than chance (exact test, Holm p < {settings.alpha:g})."
        )
    return f"The numbers of the figure; {brackets}; n: participants; (failed): scans."


#: Captions by table or figure name; each takes (tables, settings, segmenter, config).
CAPTIONS = {
    "flow": flow,
    "flow_counts": flow_counts,
    "quality": quality,
    "overlap": overlap,
    "volumes": volumes,
    "volumes_globals": volumes_globals,
    "volumes_over": volumes_over,
    "changes": changes,
    "repeatability": repeatability,
    "brainage": brainage,
    "similarity": similarity,
    "runtime": runtime,
    "truth": truth,
    "face_parts": face_parts,
    "verdict_agreement": verdict_agreement,
    "carried": carried,
}
#: Likewise, for what exists only where attacks were made or raters asked.
PRIVACY = {
    "privacy": privacy,
    "privacy_curves": privacy_curves,
    "privacy_roc": privacy_curves,
    "privacy_undetected": privacy_undetected,
    "privacy_map": privacy_map,
    "privacy_likeness": privacy_likeness,
    "privacy_warnings": privacy_warnings,
    "privacy_utility": tradeoff,
    "tradeoff": tradeoff,
    "raters": raters,
}
#: All of them.
ALL = {**CAPTIONS, **PRIVACY}
