"""Captions of tables and figures, made from the tables and the settings, never typed.

Plain text, one string a caption, shared by the report page, the LaTeX tables
and the workflow's own report; whoever prints one escapes it for its format.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .metrics.quality import THRESHOLDS
from .segmenters import REGIONS
from .statistics.settings import Settings

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


def intervals(settings: Settings) -> str:
    """Return how the intervals of means and medians were made."""
    return (
        f"Intervals: {100 * settings.level:g} %, bootstrap over participants "
        f"({settings.n_boot} resamples, seed {settings.seed})."
    )


def engines(table: pd.DataFrame) -> str:
    """Return which engine and version stands behind each defacer of the quality table."""
    rows = table.drop_duplicates("variant") if "variant" in table else table
    rows = rows[~rows["variant"].str.contains("+", regex=False)] if len(rows) else rows
    named = []
    for _, row in rows.iterrows():
        engine, version = _text(row.get("engine")), _text(row.get("version"))
        if engine and row["variant"] != "null":
            named.append(f"{row['variant']} {engine} {version}".strip())
    if not named:
        return ""
    return (
        "Engines (native: re-implementation of the published method; official: the released "
        f"program): {'; '.join(named)}."
    )


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
        f"Quality classes (after Gao et al. 2023) of {plural(n, 'scan')} a variant; scans without "
        "output count. Failure I: more than "
        f"{100 * limit['face_left']:g} % of the original's own face surface is left (another face "
        "in its place does not count as left). Failure II: more than "
        f"{100 * limit['brain_removed_share']:g} % of the brain is removed or replaced. Success: "
        f"neither. Shares with {100 * settings.level:g} % Wilson intervals, widened where a "
        "participant has several sessions.",
        engines(table),
    )


def overlap(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the overlap with the original's segmentation."""
    table = of_segmenter(tables["overlap"], segmenter)
    return _join(
        "Dice of each variant's segmentation with that of the original scan, both made from "
        f"scratch{_by(segmenter)}. Mean and interval over participants; small points are scans. "
        "Dashed: mean of the null control, the noise of the measuring stick. In the column 'all' "
        "a failed scan counts as zero.",
        cohort(table),
        intervals(settings),
    )


def truth(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the overlap with true labels."""
    table = of_segmenter(tables["truth"], segmenter)
    return _join(
        f"Dice of each variant's segmentation{_by(segmenter)} with the true labels, which exist "
        "because the scans are synthetic. The row 'original' is the segmenter's own error.",
        cohort(table),
        intervals(settings),
    )


def volumes(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the map of volume changes."""
    table = of_segmenter(tables["volumes"], segmenter)
    return _join(
        f"Median change of volume in percent of the original{_by(segmenter)}. Paired Wilcoxon "
        f"signed-rank tests; asterisk: Holm-corrected p < {settings.alpha:g} {_families(table)}. "
        "Framed: equivalent to no change by two one-sided tests (Holm-corrected as well) "
        f"within {_margins(table)}.",
        cohort(table),
        minimum(table, settings),
    )


def volumes_globals(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the whole-brain volume changes."""
    table = of_segmenter(tables["volumes"], segmenter)
    return _join(
        f"Median change of whole-brain volumes in percent of the original{_by(segmenter)}. "
        f"Filled marks: Holm-corrected p < {settings.alpha:g} {_families(table)}; hollow marks: "
        f"not shown to differ, which is not the same as equal. Grey band: {_margins(table)}.",
        cohort(table),
        intervals(settings),
    )


def _families(table: pd.DataFrame) -> str:
    """Return the size of each family of tests that Holm's correction runs over."""
    kinds = {"regions": "17 regions and TIV", "globals": "the other whole-brain volumes"}
    parts = []
    for name, rows in table.groupby("family", sort=False) if len(table) else ():
        size = rows["family_size"].dropna()
        if len(size):
            parts.append(f"{int(size.iloc[0])} tests ({kinds.get(name, name)} x variants)")
    return f"in families of {' and '.join(parts)}" if parts else ""


def _margins(table: pd.DataFrame) -> str:
    """Return the equivalence margin and where it comes from."""
    if table.empty or "margin_pct" not in table or table["margin_pct"].isna().all():
        return "the equivalence margin (none is known)"
    low, high = table["margin_pct"].min(), table["margin_pct"].max()
    size = f"{low:.2g} %" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g} %"
    sources = set(table.get("margin_source", pd.Series(dtype=str)).dropna()) - {""}
    where = {
        frozenset({"rescan"}): ", each region's mean scan-rescan difference",
        frozenset({"config"}): ", a setting, for want of enough rescans",
    }.get(frozenset(sources), "")
    return f"the margin of {size}{where}"


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
    rows = table[table["region"].isin(REGIONS)]
    best = rows["n"].map(smallest_p) * rows["family_size"]
    reachable = (best < alpha).groupby(rows["variant"], sort=False).any()
    return list(reachable.index[~reachable])


def minimum(table: pd.DataFrame, settings: Settings) -> str:
    """Return what regional change the tests could have found at all."""
    rows = table[table["region"].isin(REGIONS)] if len(table) else table
    if rows.empty:
        return ""
    hopeless = out_of_reach(table, settings.alpha)
    if len(hopeless) == rows["variant"].nunique():
        return (
            f"With {plural(int(rows['n'].max()), 'participant')} no regional change, however "
            "large, could pass the correction: the absence of asterisks says nothing here."
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
        f"Change that would be found with {100 * settings.power:g} % power (median over regions "
        f"and {others}): {finite.median():.2g} %."
    )


def brainage(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the brain-age figure and table."""
    table = of_segmenter(tables["brainage"], segmenter)
    first = table.iloc[0] if len(table) else pd.Series(dtype=object)
    model = ""
    if pd.notna(first.get("n_train")) and pd.notna(first.get("r2_train_cv")):
        model = (
            f"Model: trained on the originals of {int(first['n_train'])} other participants; "
            f"cross-validated R2 {first['r2_train_cv']:.2f}"
        )
        if pd.notna(first.get("mae_train_cv")):
            model += f", error {first['mae_train_cv']:.1f} years"
        correction = _text(first.get("correction"))
        model += f", age-bias correction: {correction}." if correction else "."
    return _join(
        f"Predicted brain age of each variant{_by(segmenter)}. Shift: prediction on the variant "
        "minus prediction on the original. Grey: mean absolute shift between two scans of one "
        "person. Error: against chronological age, before the age-bias correction.",
        model,
        _text(first.get("note")),
        cohort(table),
        intervals(settings),
    )


def similarity(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of the similarity to the original image."""
    return _join(
        "Correlation and structural similarity (SSIM) of each image with its original, in the "
        "front half and in the full frame: small points are scans, larger marks the means of "
        "sites. High similarity in the face region is no virtue in itself: it may mean that the "
        "face is still there.",
        cohort(tables["similarity"]),
        intervals(settings),
    )


def runtime(
    tables: Tables, settings: Settings, segmenter: str | None = None, config: Mapping | None = None
) -> str:
    """Return the caption of time and memory."""
    return (
        "Wall-clock seconds and peak memory of one scan in each step, over the scans that went "
        "through (training scans too). A refaced variant needs its defacer's step first. Times "
        "depend on the machine and on what else ran there."
    )


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


def _by(segmenter: str | None) -> str:
    return f" by {segmenter}" if segmenter else ""


def numbers_of(name: str, settings: Settings) -> str:
    """Return the caption of a compact table that stands below its figure."""
    brackets = f"[brackets]: {100 * settings.level:g} % intervals"
    if name == "runtime":
        return "The numbers of the figure."
    return f"The numbers of the figure; {brackets}; n: participants; (failed): scans."


#: Captions by table or figure name; each takes (tables, settings, segmenter, config).
CAPTIONS = {
    "quality": quality,
    "overlap": overlap,
    "volumes": volumes,
    "volumes_globals": volumes_globals,
    "brainage": brainage,
    "similarity": similarity,
    "runtime": runtime,
    "truth": truth,
}
