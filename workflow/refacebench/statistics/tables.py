"""Result tables from the measurement table: pure functions, tables in, tables out.

What the columns mean stands in the package's docstring; which scans count in
:mod:`~refacebench.statistics.cohort`.  Conventions of every table:

- ``n`` counts participants with a value (the unit of means, medians and
  tests, sessions averaged before), ``n_scans`` their scans, ``n_failed`` the
  scans whose original has the measure and whose variant has not.
- Columns of completers leave failed scans out; ``*_all`` and ``share_over``
  count them against the variant.
- Nothing measured gives NaN in the row, not a missing row and no exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.metrics.overlap import STRUCTURES
from refacebench.metrics.verdict import CLASSES
from refacebench.statistics import ages, attacked, paired, unavailable, verdicts
from refacebench.statistics.cohort import (
    by_participant,
    check,
    measure,
    pairs,
    references,
    rescan_pairs,
    segmenters_of,
    variants_of,
)
from refacebench.statistics.columns import CHANGED_IF_ANY, FAMILIES, TIMED, TOTAL, frame
from refacebench.statistics.flow import STAGES, StageManifest
from refacebench.statistics.intervals import bootstrap_mean, bootstrap_median, exact_median, share
from refacebench.statistics.settings import Settings
from refacebench.vocabulary import OK, UNAVAILABLE, split_variant


def tables(
    measurements: pd.DataFrame,
    settings: Settings | None = None,
    *,
    variants: Sequence[str] | None = None,
    inventory: pd.DataFrame | None = None,
    manifests: Iterable[StageManifest] = (),
    brainage_models: Mapping[str, dict] | None = None,
    carried: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Return all result tables of one dataset.

    Parameters
    ----------
    measurements : pandas.DataFrame
        The measurement table; with the columns of
        :func:`refacebench.brainage.add_predictions` where models are given.
    settings : Settings, optional
        Defaults to ``Settings()``.
    variants : sequence of str, optional
        The variants that there should be; see :func:`cohort.variants_of`.
    inventory, manifests
        For the tables of the scans' flow; without an inventory the flow begins
        with the originals of the measurement table.
    brainage_models : mapping of str to dict, optional
        The model of each segmenter, or ``{"note": why there is none}``.
    carried : pandas.DataFrame, optional
        For :func:`verdicts.carried`.

    Returns
    -------
    dict of str to pandas.DataFrame
        One for each name of :data:`columns.TABLES`.

    Raises
    ------
    ValueError
        If the table mixes datasets or has a scan twice.
    """
    settings = settings or Settings()
    check(measurements)
    manifests = list(manifests)
    order = variants_of(measurements, variants)
    margins = repeatability(measurements, settings)
    scans, stages = _flow_input(measurements, inventory, manifests)
    notes = unavailable.reasons_of(measurements)
    results = {
        # Without the attacks, which the tables below need not wait for.
        **attacked.flow_tables(scans, stages, variants=order),
        "quality": quality(measurements, settings, order),
        "overlap": overlap(measurements, settings, order),
        "volumes": volumes(measurements, settings, order, margins),
        "volumes_over": volumes_over(measurements, settings, order, margins),
        "changes": changes(measurements, settings, order),
        "repeatability": margins,
        "brainage": ages.brainage(measurements, settings, order, brainage_models or {}),
        "similarity": similarity(measurements, settings, order),
        "runtime": runtime(measurements, settings, order),
        "truth": truth(measurements, settings, order),
        "face_parts": verdicts.face_parts(_once(measurements), settings, order),
        "verdict_agreement": verdicts.verdict_agreement(_once(measurements), settings, order),
        "carried": verdicts.carried(carried, order),
    }
    return {name: unavailable.noted(table, notes) for name, table in results.items()}


def _flow_input(measurements, inventory, manifests):
    """Take the measurement table as the last stage, and as the inventory where there is none."""
    if inventory is None:
        inventory = measurements[measurements["variant"] == "original"]
        inventory = inventory.drop_duplicates("scan").assign(status=OK, reason="")
    if not any(item.stage == "measure" for item in manifests):
        manifests = manifests + [
            StageManifest("measure", variant, rows)
            for variant, rows in measurements.groupby("variant", sort=False)
        ]
    return inventory, manifests


def _each(measurements, settings, variants):
    """Yield segmenter, variant and pairs, in the order of the tables."""
    for segmenter in segmenters_of(measurements):
        for variant in variants:
            yield segmenter, variant, pairs(measurements, segmenter, variant, settings)


def _bootstrap(settings: Settings) -> dict:
    return {"n_boot": settings.n_boot, "seed": settings.seed, "level": settings.level}


def _summary(values: pd.Series, participants: pd.Series, settings: Settings) -> dict:
    """Return n, n_scans, mean, sd, low and high of scans' values, by participant."""
    persons = by_participant(values, participants).to_numpy()
    low, high = bootstrap_mean(persons, **_bootstrap(settings))
    return {
        "n": len(persons),
        "n_scans": int(values.notna().sum()),
        "mean": persons.mean() if len(persons) else np.nan,
        "sd": persons.std(ddof=1) if len(persons) > 1 else np.nan,
        "low": low,
        "high": high,
    }


def _median(values) -> float:
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else np.nan


def _max(values: pd.Series) -> float:
    return float(values.max()) if values.notna().any() else np.nan


# quality ------------------------------------------------------------------------------------


def quality(measurements, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return how many scans fall into which quality class, of all scans with an original.

    A scan without an output (the variant failed before it was judged) is a
    crash.  A scan that is ``ok`` but has no class is ``unrated``, and so is one
    that only the segmenter failed on, unless its image was judged all the same.

    ``success_share`` is of ``n_with_face``: what came without a face says nothing
    of a defacer.  ``n_face``, ``face_removed``, ``n_brain`` and ``brain_unchanged``
    are those of :func:`verdicts.judged`.

    Raises
    ------
    ValueError
        If a row has a class that :mod:`refacebench.metrics.verdict` does not know.
    """
    rows = []
    for segmenter, variant, table in _each(measurements, settings, variants):
        if variant == "original":
            continue
        classes = _quality_classes(table)
        counts = {name: int((classes == name).sum()) for name in (*CLASSES, "unrated")}
        face = classes != "no_face"
        # An image that only the segmenter failed on was looked at all the same.
        looked_at = table.assign(ok=table["ok"] | classes.isin(set(CLASSES) - {"crash"}))
        success = share(classes[face] == "success", table.loc[face, "participant"], settings.level)
        rows.append(
            {
                "variant": variant,
                "segmenter": segmenter,
                "engine": _joined(table, "defacer_engine"),
                "version": _joined(table, "defacer_version"),
                "n": len(table),
                "n_with_face": int(face.sum()),
                **counts,
                **dict(zip(("success_share", "success_low", "success_high"), success, strict=True)),
                **verdicts.judged(looked_at, classes),
                **_brain_counts(looked_at),
            }
        )
    return frame("quality", rows)


def _quality_classes(table: pd.DataFrame) -> pd.Series:
    if "quality" in table:
        given = table["quality"].fillna("").astype(str)
    else:
        given = pd.Series("", index=table.index)
    unknown = sorted(set(given) - {"", *CLASSES})
    if unknown:
        raise ValueError(f"unknown quality class {unknown[0]!r} (known: {', '.join(CLASSES)})")
    later = table["stage"] == "segment" if "stage" in table else False
    return given.mask(given == "", np.where(table["ok"] | later, "unrated", "crash"))


def _brain_counts(table: pd.DataFrame) -> dict:
    removed, changed = measure(table, "brain_removed"), measure(table, "brain_changed")
    percent = removed / measure(table, "brain_voxels").replace(0, np.nan) * 100
    return {
        "face_left_median": _median(measure(table, "face_left")),
        "brain_removed_median": _median(removed),
        "brain_removed_max": _max(removed),
        "brain_removed_max_pct": _max(percent),
        "brain_changed_median": _median(changed),
        "brain_changed_max": _max(changed),
        "scans_with_brain_loss": int((removed > 0).sum()),
        "scans_with_brain_change": int((changed > 0).sum()),
        "scans_identical": int((measure(table, "changed_voxels") == 0).sum()),
    }


def _joined(table: pd.DataFrame, name: str) -> str:
    """Return the distinct non-empty entries of a text column, sorted, with commas."""
    if name not in table:
        return ""
    return ", ".join(sorted({str(v) for v in table[name].dropna()} - {""}))


# overlap and truth --------------------------------------------------------------------------


def _has_reference(table: pd.DataFrame, structure: str) -> pd.Series:
    """Tell for which pairs the original has the structure at all (Dice is undefined else)."""
    name = f"ref_vol_{structure}"
    if name not in table:
        return pd.Series(True, index=table.index)
    return table[name] > 0


def overlap(measurements, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return Dice and IoU with the original's segmentation; a failed scan is 0 in ``*_all``."""
    rows = []
    for segmenter, variant, table in _each(measurements, settings, variants):
        if variant == "original":
            continue
        for structure in STRUCTURES:
            here = table[_has_reference(table, structure)]
            for name in ("dice", "iou"):
                values = measure(here, f"{name}_{structure}")
                everyone = _summary(values.fillna(0.0), here["participant"], settings)
                rows.append(
                    {
                        "variant": variant,
                        "segmenter": segmenter,
                        "structure": structure,
                        "measure": name,
                        **_summary(values, here["participant"], settings),
                        "n_failed": int(values.isna().sum()),
                        "median": _median(by_participant(values, here["participant"])),
                        "mean_all": everyone["mean"],
                        "low_all": everyone["low"],
                        "high_all": everyone["high"],
                    }
                )
    return frame("overlap", rows)


def truth(measurements, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return Dice with true labels, the original's own among them; no rows without truth."""
    structures = [
        name.removeprefix("truth_dice_")
        for name in measurements
        if name.startswith("truth_dice_")
        and pd.to_numeric(measurements[name], errors="coerce").notna().any()
    ]
    rows = []
    for segmenter in segmenters_of(measurements):
        original = references(measurements, segmenter, settings).set_index("scan")
        for variant in variants:
            table = pairs(measurements, segmenter, variant, settings)
            for structure in structures:
                name = f"truth_dice_{structure}"
                known = pd.to_numeric(original[name], errors="coerce").notna()
                here = table[table["scan"].map(known).astype(bool)]
                values = measure(here, name)
                rows.append(
                    {
                        "variant": variant,
                        "segmenter": segmenter,
                        "structure": structure,
                        **_summary(values, here["participant"], settings),
                        "n_failed": int(values.isna().sum()),
                    }
                )
    return frame("truth", rows)


# volumes ------------------------------------------------------------------------------------


def repeatability(measurements, settings: Settings) -> pd.DataFrame:
    """Return the scan-rescan difference of each volume and the margin that follows from it.

    The margin of a region is the mean over participants of the absolute
    scan-rescan difference in percent of the two sessions' mean: a variant is
    equivalent when it moves a volume by less than a second session does on
    average.  With fewer than ``min_rescans`` participants with a declared rescan it is
    the config's ``equivalence_margin_pct``.
    """
    rows = []
    for segmenter in segmenters_of(measurements):
        both = rescan_pairs(measurements, segmenter)
        for region in FAMILIES:
            name = f"vol_{region}"
            if f"{name}_1" in both:
                values = paired.repeatability(both[f"{name}_1"], both[f"{name}_2"])
            else:
                values = np.full(len(both), np.nan)
            values = pd.Series(values, index=both.index, dtype=float)
            persons = by_participant(values, both["participant"]).to_numpy()
            low, high = bootstrap_mean(persons, **_bootstrap(settings))
            mean = persons.mean() if len(persons) else np.nan
            enough = len(persons) >= settings.min_rescans
            rows.append(
                {
                    "segmenter": segmenter,
                    "region": region,
                    "n": len(persons),
                    "mean_abs_pct": mean,
                    "low": low,
                    "high": high,
                    "p95_abs_pct": np.quantile(persons, 0.95) if len(persons) else np.nan,
                    "margin_pct": mean if enough else settings.equivalence_margin_pct,
                    "margin_source": "rescan" if enough else "config",
                }
            )
    return frame("repeatability", rows)


def volumes(
    measurements, settings: Settings, variants: Sequence[str], margins: pd.DataFrame
) -> pd.DataFrame:
    """Return the paired tests of every volume of every variant against the original.

    Wilcoxon signed-rank on the participants' mean differences in ml, with its
    rank-biserial effect size; two one-sided signed-rank tests on the percent
    changes.  Family: one segmenter's regions and TIV x all variants except the
    original; the other globals are a family of their own.
    """
    rows = []
    for segmenter, variant, table in _each(measurements, settings, variants):
        if variant != "original":
            rows += _volume_rows(table, segmenter, variant, settings, margins)
    return _with_families(frame("volumes", rows), settings)


def volumes_over(
    measurements, settings: Settings, variants: Sequence[str], margins: pd.DataFrame
) -> pd.DataFrame:
    """Return the same tests on the scans that a defacer changed by more than the threshold.

    A refaced variant is tested on the scans of its defacer (``selected_by``),
    as Huelnhagen et al. do: were those that defacing spoilt repaired?  The
    scans are selected by the outcome, so that the defacer's own tests are
    biased towards a difference, and its refacers' away from it (regression to
    the mean).
    """
    rows = []
    for segmenter in segmenters_of(measurements):
        selected = {}
        for variant in variants:
            if variant == "original":
                continue
            defacer = split_variant(variant)[0]
            if defacer not in selected:
                table = pairs(measurements, segmenter, defacer, settings)
                selected[defacer] = set(table["scan"][_changed_scans(table, settings) == 1])
            table = pairs(measurements, segmenter, variant, settings)
            table = table[table["scan"].isin(selected[defacer])]
            found = _volume_rows(table, segmenter, variant, settings, margins)
            rows += [{"selected_by": defacer, **row} for row in found]
    return _with_families(frame("volumes_over", rows), settings)


def _volume_rows(table, segmenter, variant, settings, margins) -> list[dict]:
    of_segmenter = margins[margins["segmenter"] == segmenter].set_index("region")
    return [
        {
            "variant": variant,
            "segmenter": segmenter,
            "region": region,
            "family": family,
            **_volume_row(table, region, of_segmenter.loc[region], settings),
        }
        for region, family in FAMILIES.items()
    ]


def _volume_row(table, region, margin, settings) -> dict:
    """Return one region's columns; the corrections follow when the family is complete."""
    table = table[_has_reference(table, region)]
    if f"ref_vol_{region}" not in table:
        table = table.iloc[:0]
    persons = table["participant"]
    new = measure(table, f"vol_{region}")
    old = table.get(f"ref_vol_{region}", new).where(new.notna())
    change = by_participant((new - old) / old * 100, persons).to_numpy()
    difference = by_participant(new - old, persons).to_numpy()
    low, high = bootstrap_median(change, **_bootstrap(settings))
    at_once = 1 - (1 - settings.level) / len(FAMILIES)
    low_joint, high_joint = exact_median(change, at_once)
    statistic, p = paired.wilcoxon(difference, settings.zero_method)
    rb_low, rb_high = paired.rank_biserial_interval(difference, **_bootstrap(settings))
    over = (new - old).abs() > old * settings.threshold_pct / 100
    return {
        "n": len(difference),
        "n_scans": int(new.notna().sum()),
        "n_failed": int(new.isna().sum()),
        "median_original_ml": _median(by_participant(old, persons)),
        "median_variant_ml": _median(by_participant(new, persons)),
        "median_change_pct": _median(change),
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
        **_share_over(over, new.isna(), persons, settings),
        "margin_pct": margin["margin_pct"],
        "margin_source": margin["margin_source"],
        "p_tost": paired.tost(change, margin["margin_pct"], settings.zero_method),
    }


def _share_over(over: pd.Series, failed: pd.Series, persons: pd.Series, settings) -> dict:
    value, low, high = share(over | failed, persons, settings.level)
    return {
        "n_over": int((over & ~failed).sum()),
        "share_over": value,
        "share_over_low": low,
        "share_over_high": high,
        "share_over_completers": float(over[~failed].mean()) if (~failed).any() else np.nan,
    }


def _with_families(table: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Fill in what depends on all tests of a family."""
    for name in ("p_holm", "p_bh", "p_tost_holm", "family_size", "equivalent", "mde_pct"):
        table[name] = np.nan
    for _, family in table.groupby(["segmenter", "family"], sort=False):
        where = family.index
        size = int(family["p"].notna().sum())
        table.loc[where, "family_size"] = size
        table.loc[where, "p_holm"] = paired.correct(family["p"], "holm")
        table.loc[where, "p_bh"] = paired.correct(family["p"], "fdr_bh")
        table.loc[where, "p_tost_holm"] = paired.correct(family["p_tost"], "holm")
        table.loc[where, "mde_pct"] = [
            paired.minimum_detectable(n, sd, settings.alpha / max(size, 1), settings.power)
            for n, sd in zip(family["n"], family["sd_change_pct"], strict=True)
        ]
    tested = table["p_tost_holm"].notna()
    table.loc[tested, "equivalent"] = (table["p_tost_holm"] < settings.alpha).astype(float)
    return table


def _changed_scans(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Tell which scans changed beyond the threshold in any volume: 1, 0, NaN for failed.

    Volumes that the original has not (a segmenter without CSF) do not take part.
    """
    worst = pd.Series(0.0, index=table.index)
    for name in CHANGED_IF_ANY:
        known = _has_reference(table, name) & (f"ref_vol_{name}" in table)
        if not known.any():
            continue
        new, old = measure(table, f"vol_{name}"), table[f"ref_vol_{name}"]
        over = ((new - old).abs() > old * settings.threshold_pct / 100).astype(float)
        worst = worst.where(~known, np.maximum(worst, over.where(new.notna())))
    return worst.where(table["ok"])


def changes(measurements, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return the share of scans with a change above the threshold in grey, white, CSF or TIV."""
    rows = []
    for segmenter, variant, table in _each(measurements, settings, variants):
        if variant == "original":
            continue
        flags = _changed_scans(table, settings)
        failed, persons = flags.isna(), table["participant"]
        low_high = share(flags[~failed] == 1, persons[~failed], settings.level)[1:]
        rows.append(
            {
                "variant": variant,
                "segmenter": segmenter,
                "n": persons[~failed].nunique(),
                "n_scans": int((~failed).sum()),
                "n_failed": int(failed.sum()),
                **_share_over(flags == 1, failed, persons, settings),
                "completers_low": low_high[0],
                "completers_high": low_high[1],
                "threshold_pct": settings.threshold_pct,
            }
        )
    return frame("changes", rows)


# similarity and run time --------------------------------------------------------------------


def _once(measurements: pd.DataFrame) -> pd.DataFrame:
    """Keep one row a scan and variant for measures that no segmenter touches, an ok one first."""
    order = np.argsort(measurements["status"].to_numpy() != OK, kind="stable")
    return measurements.iloc[order].drop_duplicates(["scan", "variant"]).assign(segmenter="any")


def similarity(measurements, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return correlation and SSIM with the original image, by site and for all sites."""
    once = _once(measurements)
    rows = []
    for variant in variants:
        if variant == "original":
            continue
        table = pairs(once, "any", variant, settings)
        site = table.get("site", pd.Series("", index=table.index)).fillna("").astype(str)
        sites = sorted(set(site) - {""})
        for place in ("all", *sites):
            here = table if place == "all" else table[site == place]
            for name in ("corr", "ssim"):
                for region in ("front", "full"):
                    values = measure(here, f"{name}_{region}")
                    rows.append(
                        {
                            "variant": variant,
                            "site": place,
                            "measure": name,
                            "region": region,
                            **_summary(values, here["participant"], settings),
                            "n_failed": int(values.isna().sum()),
                        }
                    )
    return frame("similarity", rows)


def runtime(measurements, settings: Settings, variants: Sequence[str]) -> pd.DataFrame:
    """Return seconds and peak memory a scan of each step that makes a variant, and of all.

    Over the compared scans that went through every step of the variant, so that
    the steps' ``seconds_mean`` add up to that of the step ``total``
    (medians and maxima do not).  ``prepare`` is done once a scan and shared by
    all defacers; whoever uses one method alone pays it once for that method, so
    that it stands in every variant's rows.  The memory of ``total`` is that of
    the hungriest step: steps run one after another.
    """
    once = _once(measurements)
    absent = unavailable.reasons_of(measurements)
    rows = []
    for variant in variants:
        if variant != "original" and variant not in absent:
            rows += _runtime_rows(pairs(once, "any", variant, settings), variant)
    for variant in absent:
        nothing = pd.Series(dtype=float)
        rows.append(_runtime_row(variant, TOTAL, UNAVAILABLE, nothing, nothing))
    place = {name: number for number, name in enumerate(variants)}
    rows.sort(key=lambda row: place.get(row["variant"], len(place)))
    return frame("runtime", rows)


def _runtime_rows(table: pd.DataFrame, variant: str) -> list[dict]:
    """Return a row a step and one for all; only the steps of which times were recorded."""
    refaced = split_variant(variant)[1] is not None
    steps = [s for s in TIMED if (refaced or s != "reface") and f"{s}_seconds" in table]
    last = "reface" if refaced else "deface"
    made = table["ok"]
    if "stage" in table:  # segmenting may have failed; the image had been made
        made |= table["stage"].isin(STAGES[STAGES.index(last) + 1 :])
    seconds = pd.DataFrame(
        {s: pd.to_numeric(table[f"{s}_seconds"], errors="coerce") for s in steps}
    )
    kept = made & seconds.notna().all(axis=1)
    if last not in steps:
        return []
    if not kept.any():
        nothing = pd.Series(dtype=float)
        return [_runtime_row(variant, TOTAL, "", nothing, nothing)]
    peaks = pd.DataFrame(
        {s: table.get(f"{s}_peak_mb", pd.Series(np.nan, table.index)) for s in steps}
    )
    peaks = peaks.apply(pd.to_numeric, errors="coerce")[kept]
    seconds, table = seconds[kept], table[kept]
    own = _joined(table, "defacer_engine")
    engines = {s: _joined(table, f"{s}_engine") or own for s in steps}
    rows = [_runtime_row(variant, s, engines[s], seconds[s], peaks[s]) for s in steps]
    total = seconds.sum(axis=1), peaks.max(axis=1)
    return [*rows, _runtime_row(variant, TOTAL, engines[last], *total)]


def _runtime_row(variant: str, step: str, engine: str, seconds: pd.Series, peak_mb: pd.Series):
    return {
        "variant": variant,
        "step": step,
        "engine": engine,
        "n": len(seconds),
        "seconds_mean": float(seconds.mean()) if len(seconds) else np.nan,
        "seconds_median": _median(seconds),
        "seconds_max": _max(seconds),
        "peak_mb_median": _median(peak_mb),
        "peak_mb_max": _max(peak_mb),
    }
