"""Which scans are compared with which."""

import numpy as np
import pandas as pd
import pytest

import factories
from factories import make_tables
from refacebench.statistics import cohort
from refacebench.statistics.criteria import Criteria

QUICK = Criteria(n_boot=200)


@pytest.fixture(scope="module")
def made():
    return factories.tables()


def only(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1, f"{len(table)} rows for {where}"
    return table.iloc[0]


def test_assemble_takes_the_variant_from_the_manifest():
    table = factories.measurements(3, ("original", "pydeface"), n_train=0, failures=False)
    parts = []
    for variant, rows in table.groupby("variant"):
        rows = rows.drop(columns="segmenter")
        if variant == "pydeface":  # failed before a variant was made of it
            early = rows["scan"] == "sub-002_ses-1"
            rows.loc[early, ["variant", "status", "quality"]] = ["original", "failed", ""]
        parts.append(("seg", variant, rows))
    made = make_tables(cohort.assemble(parts), QUICK)
    assert only(made["quality"], variant="pydeface")["crash"] == 1
    assert only(made["changes"], variant="pydeface")["n_failed"] == 1


def test_only_declared_rescans_are_pairs():
    table = pd.DataFrame(
        {
            "participant": ["p1"] * 4 + ["p2"] * 2 + ["p3"] * 2 + ["p4"] * 2,
            "session": ["ses-1", "ses-2", "ses-3", "ses-4", *["ses-1", "ses-2"] * 3],
            "scan": list("abcdefghij"),
            "role": ["measured"] * 7 + ["rescan", "measured", "followup"],
            "rescan_of": ["", "ses-1", "", "ses-3", "", "", "", "ses-1", "", ""],
            "variant": "original",
            "segmenter": "s",
            "status": "ok",
            "vol_gm": np.arange(10.0),
        }
    )
    found = cohort.rescan_pairs(table, "s")
    pairs = list(zip(found["scan_1"], found["scan_2"], strict=True))
    # Two rescans of measured sessions, and one that is measured for nothing else.
    assert pairs == [("a", "b"), ("c", "d"), ("g", "h")]
    assert found["vol_gm_1"].tolist() == [0, 2, 6]
    assert found["vol_gm_2"].tolist() == [1, 3, 7]
    # A later session alone, at whatever gap, is none.
    assert cohort.rescan_pairs(table.assign(role="measured", rescan_of=""), "s").empty
    assert cohort.rescan_pairs(table.drop(columns="rescan_of").assign(role="measured"), "s").empty
    compared = cohort.compared(table.assign(split="test"), Criteria())
    assert set("hj").isdisjoint(compared["scan"])
