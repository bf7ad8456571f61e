"""Names and columns of the result tables; what they mean stands in the package's docstring."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..segmenters import GLOBALS, REGIONS

#: Volumes of which a change above the threshold makes a scan a changed one
#: (Huelnhagen et al.: grey, white, CSF and total intracranial volume).
CHANGED_IF_ANY = ("gm", "wm", "csf", "tiv")
#: The declared family of the volume tests: 17 regions and TIV; the other
#: whole-brain measures are a family of their own.
FAMILIES = {
    **dict.fromkeys((*REGIONS, "tiv"), "regions"),
    **dict.fromkeys([name for name in GLOBALS if name != "tiv"], "globals"),
}

_VOLUMES = """
    variant segmenter region family n n_scans n_failed
    median_original_ml median_variant_ml median_change_pct low high sd_change_pct
    W p p_holm p_bh rank_biserial rb_low rb_high n_zero
    n_over share_over share_over_low share_over_high share_over_completers
    margin_pct margin_source p_tost p_tost_holm equivalent mde_pct family_size
"""
_COLUMNS = {
    "flow": "dataset scan participant session split role variant stage status reason",
    "flow_counts": "variant stage n_in n_ok n_excluded n_failed n_not_used n_missing",
    "quality": """
        variant segmenter engine version n
        success failure_1 failure_2 failure_1+2 untouched no_face crash unrated
        success_share success_low success_high face_left_median
        brain_removed_median brain_removed_max brain_removed_max_pct
        brain_changed_median brain_changed_max scans_with_brain_loss scans_with_brain_change
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
    "runtime": "variant step engine n seconds_median seconds_max peak_mb_median peak_mb_max",
    "truth": "variant segmenter structure n n_scans n_failed mean sd low high",
}
#: Columns of every table, in order.
TABLES = {name: tuple(text.split()) for name, text in _COLUMNS.items()}


def frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """Return rows as the table of that name: its columns, in its order, none more.

    Raises
    ------
    ValueError
        If a row has a column that the table does not declare.
    """
    unknown = sorted({key for row in rows for key in row} - set(TABLES[name]))
    if unknown:
        raise ValueError(f"table {name} has no columns {', '.join(unknown)}")
    return pd.DataFrame(rows, columns=list(TABLES[name]))


#: Columns that are text even where every entry looks like a number or is empty.
_TEXT = """
    dataset scan participant session split role variant stage status reason segmenter engine
    version structure measure region family site step margin_source correction note
"""


def read(path: str | Path) -> pd.DataFrame:
    """Read a result table back: empty cells are missing, but the variant ``null`` is a name.

    pandas by itself would take the name for a missing value, and version 1.10 for 1.1.
    """
    text = dict.fromkeys(_TEXT.split(), str)
    return pd.read_csv(path, sep="\t", dtype=text, keep_default_na=False, na_values=[""])
