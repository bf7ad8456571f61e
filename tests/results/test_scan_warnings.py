"""Warnings of scans that were used: their names, what was done, and where they stand."""

import pandas as pd

from refacebench.results import scan_warnings

INVENTORY = pd.DataFrame(
    {
        "scan": ["b", "a", "c", "d"],
        "status": ["ok", "ok", "ok", "excluded"],
        "orientation_unknown": [1, 1, 0, 1],
        "sides_disagree": [0, 0, 0, 0],
        "forms_disagree": [0, 0, 1, 0],
        "missing_voxels": [0, 12, 0, 0],
        "air_level": [0.0, 0.0, -1000.0, 0.0],
    }
)


def test_each_warning_names_the_scans_that_were_used():
    found = scan_warnings.compute(INVENTORY, "exclude").set_index("warning")
    assert found["scans"].to_dict() == {
        "orientation_unknown": "a, b",
        "forms_disagree": "c",
        "values_missing": "a",
        "air_shifted": "c",
    }
    assert found["n_scans"].tolist() == [2, 1, 1, 1]


def test_what_was_done_about_the_sides_follows_the_policy():
    out, trusted = (
        scan_warnings.compute(INVENTORY, policy)["consequence"][0]
        for policy in ("exclude", "trust")
    )
    assert "left out (orientation: exclude)" in out
    assert "all the same (orientation: trust)" in trusted


def test_a_cohort_without_oddities_has_no_row():
    assert scan_warnings.compute(INVENTORY[["scan", "status"]], "exclude").empty
