"""Names and columns of the result tables; what they mean stands in the package's docstring."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

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
#: Steps of the table ``runtime``, in their order, and the one that stands for all together.
TIMED = ("prepare", "deface", "reface")
TOTAL = "total"

_VOLUMES = """
    variant segmenter region family n n_scans n_failed
    median_original_ml median_variant_ml median_change_pct low high low_joint high_joint
    sd_change_pct
    W p p_holm p_bh rank_biserial rb_low rb_high n_zero
    n_over share_over share_over_low share_over_high share_over_completers
    margin_pct margin_source p_tost p_tost_holm equivalent mde_pct family_size
"""
_COLUMNS = {
    "flow": "dataset scan participant session split role variant stage status reason",
    "flow_counts": "variant stage n_in n_ok n_excluded n_failed n_unavailable n_not_used n_missing",
    "quality": """
        variant segmenter engine version n n_with_face
        success failure_1 failure_2 failure_1+2 untouched no_face crash unrated
        success_share success_low success_high
        n_face face_removed n_brain brain_unchanged face_left_median
        brain_removed_median brain_removed_max brain_removed_max_pct
        brain_changed_median brain_changed_max scans_with_brain_loss scans_with_brain_change
        scans_identical
    """,
    "overlap": """
        variant segmenter structure measure n n_scans n_failed
        mean sd median low high mean_all low_all high_all
    """,
    "volumes": _VOLUMES,
    "volumes_over": "selected_by " + _VOLUMES,
    "changes": """
        variant segmenter n n_scans n_failed n_over
        share_over share_over_low share_over_high
        share_over_completers completers_low completers_high threshold_pct
    """,
    "repeatability": """
        segmenter region n mean_abs_pct low high p95_abs_pct margin_pct margin_source
    """,
    "brainage": """
        variant segmenter n n_scans n_failed mae mae_low mae_high
        shift shift_low shift_high shift_sd shift_abs shift_abs_low shift_abs_high
        p p_holm family_size mae_change mae_change_low mae_change_high
        gap gap_low gap_high rescan_shift_abs n_rescan
        r2_train_cv mae_train_cv n_train correction note
    """,
    "similarity": "variant site measure region n n_scans n_failed mean sd low high",
    "runtime": """
        variant step engine n seconds_mean seconds_median seconds_max peak_mb_median peak_mb_max
    """,
    "truth": "variant segmenter structure n n_scans n_failed mean sd low high",
    "face_parts": "variant part n n_without n_left left_share low high median_left",
    "verdict_agreement": """
        made_by failure n n_not_judged
        true_positive false_negative true_negative false_positive
        sensitivity sensitivity_low sensitivity_high
        specificity specificity_low specificity_high
    """,
    "carried": """
        variant contrast n n_ok n_absent n_excluded n_failed n_unchanged
        n_by_header n_by_registration nmi_median contrast_nmi_min shift_mm_max rotation_deg_max
        changed_voxels_median brain_voxels_median brain_changed_max reason
    """,
}


def _with_note(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Add the column in which an unavailable variant's row says so (the flow has reasons)."""
    wants = "variant" in columns and not {"note", "reason"} & set(columns)
    return (*columns, "note") if wants else columns


#: Tables of the scans' flow, which has to wait for the attacks too.
FLOW = ("flow", "flow_counts")
#: Columns of every table, in order.
TABLES = {name: _with_note(tuple(text.split())) for name, text in _COLUMNS.items()}

_PRIVACY = {
    "privacy": """
        variant attacker version trained_on setting
        n n_expected n_completers n_queries n_failed n_no_match n_gallery n_resplits
        n_undetected undetected_share undetected_low undetected_high
        chance rank1 rank1_low rank1_high rank1_band_low rank1_band_high
        rank1_completers rank1_completers_low rank1_completers_high
        rank1_detected p p_holm rank1_detectable
        k chance_k rank_k rank_k_low rank_k_high
        rank_k_completers rank_k_completers_low rank_k_completers_high
        n_options choice_chance choice choice_low choice_high choice_band_low choice_band_high
        choice_completers choice_completers_low choice_completers_high
        choice_reverse choice_reverse_low choice_reverse_high
        median_rank area area_low area_high area_band_low area_band_high p_area p_area_holm
        n_impostor roc_area roc_area_low roc_area_high roc_area_band_low roc_area_band_high
        eer eer_low eer_high eer_band_low eer_band_high
        false_accept verified verified_low verified_high verified_band_low verified_band_high
        family_size shortfall note
    """,
    "privacy_curves": "variant attacker setting curve x y low high band_low band_high",
    "privacy_warnings": "kind attacker control setting n rank1 chance p_holm message",
    "privacy_likeness": """
        variant attacker n n_queries n_failed true_mm true_low true_high
        average_mm average_low average_high difference_mm difference_low difference_high
        closer_share closer_low closer_high p p_holm family_size
    """,
    "tradeoff": """
        variant setting segmenter n n_expected n_completers n_failed n_attackers n_routes
        worst_attacker worst_route measure identification low high chance
        identification_all worst_rate p p_holm
        floor_attacker floor floor_low floor_high
        n_volumes n_volume_failed volume_failed_share
        worst_volume volume_change_pct volume_low volume_high comparable rank pareto shortfall
    """,
}
#: Tables that exist only where attackers are configured.
PRIVACY = {name: tuple(text.split()) for name, text in _PRIVACY.items()}
_RATERS = {
    "raters": """
        variant setting n_asked n_raters n_questions n_participants n_answers n_right
        rate low high chance above_chance
    """,
    "raters_problems": "file line rater question reason",
}
#: Tables made from the answers of human raters.
RATERS = {name: tuple(text.split()) for name, text in _RATERS.items()}


def frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """Return rows as the table of that name: its columns, in its order, none more.

    Raises
    ------
    ValueError
        If a row has a column that the table does not declare.
    """
    declared = {**TABLES, **PRIVACY, **RATERS}[name]
    unknown = sorted({key for row in rows for key in row} - set(declared))
    if unknown:
        raise ValueError(f"table {name} has no columns {', '.join(unknown)}")
    return pd.DataFrame(rows, columns=list(declared))


#: Columns that are text even where every entry looks like a number or is empty.
_TEXT = """
    dataset scan participant session split role variant stage status reason segmenter engine
    version structure measure region family site step margin_source correction note
    part made_by failure contrast
    attacker trained_on setting curve kind control message worst_attacker worst_route floor_attacker
    worst_volume file rater question shortfall
"""


def read(path: str | Path) -> pd.DataFrame:
    """Read a result table back: empty cells are missing, but the variant ``null`` is a name.

    pandas by itself would take the name for a missing value, and version 1.10 for 1.1.
    """
    text = dict.fromkeys(_TEXT.split(), str)
    return pd.read_csv(path, sep="\t", dtype=text, keep_default_na=False, na_values=[""])
