"""The words that stand for the names of columns and entries where a table is printed for readers.

Tables on disk keep short names, which programs read; :func:`head` and :func:`entry` say them in the
words of the page.  What is a name itself (a method, a scan, a site) stays as it is.
"""

from __future__ import annotations

from refacebench.plot.overlap import MEASURES, TITLES
from refacebench.plot.style import CONTROL_LABELS
from refacebench.plot.volumes import region_label
from refacebench.results import (
    failures_counted,
    method_pairs,
    privacy,
    refacing,
    repeatability,
    runtime,
    subgroups,
)
from refacebench.statistics.attack_tables import SETTING_WORDS
from refacebench.vocabulary import CONTRAST, GLOBALS, REGIONS

#: Columns whose own name says too little.
HEADS = {
    "n": "n",
    "rate": "right",
    "identification": "right, corrected",
    "worst_rate": "right, as observed",
    "other_rate": "right, other",
    "other_above_chance": "above chance, other",
    "gap": "gap",
    "p_holm": "p (Holm)",
    "p_bh": "p (Benjamini-Hochberg)",
    "p_all_holm": "p (Holm), failures counted",
    "p_mcnemar_holm": "p (McNemar, Holm)",
    "p_tost_holm": "p of equivalence (Holm)",
    "p_interaction": "p of the interaction",
    "slope_p_holm": "p of the slope (Holm)",
    "above_chance_at_most": "above chance, at most",
    "rank1": "named first",
    "choice": "picked from several",
    "choice_unmatched": "picked from anybody",
    "rank1_completers": "named first",
    "choice_completers": "picked from several",
    "choice_unmatched_completers": "picked from anybody",
    "area": "area under the match curve",
    "eer": "equal error rate",
    "verified": "verified",
    "true_mm": "distance to the true face (mm)",
    "average_mm": "of the average face (mm)",
    "closer_share": "share closer to the true face",
    "statement": "to show",
    "margin_points": "margin (points)",
    "people_80": "people, power 80 %",
    "people_90": "people, power 90 %",
    "people": "people in this run",
    "reachable_points": "smallest margin (points)",
    "success": "neither failure",
    "failure_1": "Failure I",
    "failure_2": "Failure II",
    "failure_1+2": "both failures",
    "crash": "no output",
    "n_without": "scans without the part",
    "median_left": "median share left",
    "true_positive": "failures found",
    "false_negative": "failures missed",
    "true_negative": "right scans cleared",
    "false_positive": "false alarms",
    "contrast_nmi_min": "smallest mutual information",
    "shift_mm_max": "largest shift (mm)",
    "brain_changed_max": "most brain voxels changed",
    "mean_all": "mean, failures counted",
    "median_all": "median, failures counted",
    "low_all": "lower end, failures counted",
    "high_all": "upper end, failures counted",
    "share_over": "share changed, failures counted",
    "share_over_completers": "share changed",
    "mde_pct": "detectable change (%)",
    "detectable": "detectable difference",
    "selected_by": "changed by",
    "n_over": "scans changed",
    "mean_abs_pct": "two scans differ by (%)",
    "true_mean_abs_pct": "by true labels (%)",
    "lower_bound_pct": "lower bound of that (%)",
    "noise_share": "segmenter's noise",
    "margin_source": "margin from",
    "lower_pct": "lower limit of agreement (%)",
    "upper_pct": "upper limit of agreement (%)",
    "lower": "lower limit of agreement",
    "upper": "upper limit of agreement",
    "lower_low": "its outer end",
    "upper_high": "its outer end",
    "icc": "ICC(A,1)",
    "mae": "mean absolute error (years)",
    "mae_original": "error, originals (years)",
    "mae_change": "change of error (years)",
    "shift": "mean shift (years)",
    "shift_abs": "mean absolute shift (years)",
    "rescan_shift_abs": "same, between two scans (years)",
    "r2": "R2",
    "r": "correlation",
    "bias_raw": "bias, uncorrected",
    "gain": "gain over the mean age",
    "bias_sd": "bias (SD of the originals)",
    "p_all": "p, failures counted",
    "sd": "SD",
    "sd_participant": "SD between participants",
    "sd_residual": "SD left over",
    "small": "few people (1: yes)",
    "seconds_mean": "seconds, mean",
    "seconds_median": "seconds, median",
    "seconds_max": "seconds, longest",
    "peak_mb_median": "memory (MB), median",
    "peak_mb_max": "memory (MB), most",
}
_ENDS = {"_low": "lower end", "_high": "upper end", "low": "lower end", "high": "upper end"}
_UNITS = {
    "_pct": " (%)",
    "_mm": " (mm)",
    "_ml": " (ml)",
    "_points": " (points)",
    "_share": ", share",
}

_VARIANTS = ("variant", "other", "first", "second", "better", "selected_by", "made_by", "control")
_REGIONS = dict.fromkeys((*REGIONS, *GLOBALS))
_MEASURES = {
    **{outcome.name: outcome.label for outcome in failures_counted.OUTCOMES},
    **{outcome.name: outcome.label for outcome in method_pairs.OUTCOMES},
    **subgroups.LABELS,
    refacing.ANY: "any volume",
    **privacy.MEASURES,
    **MEASURES,
    "corr": "correlation",
    "ssim": "SSIM",
}
_ENTRIES: dict[str, dict[str, str]] = {
    "setting": SETTING_WORDS,
    "structure": TITLES,
    "failure": {"failure_1": "I: part of the face kept", "failure_2": "II: brain removed"},
    "worst_route": {"direct": "as it is", "taken_off": "new face taken off"},
    "step": runtime.STEPS,
    "status": {"not_used": "not used", "not_written": "not written"},
    "margin_source": repeatability.SOURCES,
    "made_by": {"all": "all variants"},
}


def head(column: str) -> str:
    """Return what a column is, in words.

    >>> head("n_failed"), head("p_holm"), head("icc_low"), head("volume_change_pct"), head("low")
    ('failed', 'p (Holm)', 'ICC(A,1), lower end', 'volume change (%)', 'lower end')
    """
    if column in HEADS:
        return HEADS[column]
    if column in _ENDS:
        return _ENDS[column]
    for ending in ("_low", "_high"):
        if column.endswith(ending):
            return f"{head(column.removesuffix(ending))}, {_ENDS[ending]}"
    for ending, unit in _UNITS.items():
        if column.endswith(ending):
            return head(column.removesuffix(ending)) + unit
    return column.removeprefix("n_").replace("_", " ")


def entry(column: str, value: object) -> object:
    """Return an entry of a column, in words where it stands for something; else as it is.

    >>> entry("variant", "null"), entry("region", "amygdala_left"), entry("measure", "dice_brain")
    ('null control', 'amygdala L', 'Dice of brain')
    >>> entry("attacker", "face_recognition"), entry("n", 3)
    ('face_recognition', 3)
    """
    if not isinstance(value, str):
        return value
    if column == "worst_route" and value.startswith(CONTRAST):
        return f"on the {value.removeprefix(CONTRAST)} image"
    if value in _ENTRIES.get(column, {}):
        return _ENTRIES[column][value]
    if column in _VARIANTS:
        return CONTROL_LABELS.get(value, value)
    if column in ("region", "worst_volume", "measure") and value in _REGIONS:
        return region_label(value)
    if column == "measure":
        return _MEASURES.get(value, value)
    return value.replace("_", " ") if column == "kind" else value
