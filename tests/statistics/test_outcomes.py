"""What methods are compared by: values a scan, and participants with failed sessions."""

import numpy as np
import pandas as pd
import pytest

import factories
from refacebench.statistics import cohort, outcomes
from refacebench.statistics.criteria import Criteria

VARIANTS = ("original", "pydeface", "quickshear")


@pytest.fixture
def table():
    return factories.measurements(
        5, VARIANTS, n_train=0, n_rescans=0, sessions=2, failures=False
    )  # fmt: skip


def pairs(table, variant="pydeface"):
    return cohort.pairs(table, "deepbet_gmm", variant, Criteria())


def change(table, name):
    wide = table.pivot(index="scan", columns="variant", values=name)
    return (wide["pydeface"] / wide["original"] - 1) * 100


def test_values_of_scans(table):
    mine = pairs(table)
    scans = mine["scan"]
    tiv = change(table, "vol_tiv").loc[scans]
    np.testing.assert_allclose(outcomes.volume("tiv").values(mine), tiv)
    np.testing.assert_allclose(outcomes.volume("tiv", absolute=True).values(mine), tiv.abs())
    names = [c for c in table if c.startswith("vol_")]
    every = pd.concat([change(table, n).loc[scans].abs() for n in names], axis=1)
    np.testing.assert_allclose(outcomes.WORST.values(mine), every.max(axis=1))
    assert outcomes.overlap("dice", "gm").values(mine).tolist() == mine["dice_gm"].tolist()


def test_what_the_original_has_not_is_no_failure(table):
    table.loc[table["variant"] == "original", "vol_csf"] = 0.0
    mine = pairs(table)
    csf = outcomes.volume("csf")
    assert csf.values(mine).isna().all()
    assert not csf.possible(mine).any()
    assert outcomes.WORST.values(mine).notna().all()
    assert not outcomes.age_shift().possible(mine).any()  # no brain age was predicted


def test_shift_of_predicted_ages():
    table, _ = factories.with_brainage(factories.measurements(5, VARIANTS, failures=False))
    mine = pairs(table)
    shift = outcomes.age_shift()
    assert shift.possible(mine).all()
    wide = table[table["role"] == "measured"].pivot(
        index="scan", columns="variant", values="brainage_raw"
    )
    expected = (wide["pydeface"] - wide["original"]).loc[mine["scan"]]
    np.testing.assert_allclose(shift.values(mine), expected)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(outcomes.age_shift(absolute=True).values(mine), expected.abs())


def test_a_participant_with_one_failed_session(table):
    hit = (table["variant"] == "pydeface") & (table["scan"] == "sub-002_ses-2")
    table.loc[hit, "status"] = "failed"
    hit = (table["variant"] == "pydeface") & (table["participant"] == "sub-003")
    table = table[~hit]  # a job that died: no row at all
    tables = {v: pairs(table, v) for v in VARIANTS[1:]}
    found = outcomes.participants(tables, outcomes.volume("gm"))
    first = outcomes.volume("gm").values(tables["pydeface"])[
        tables["pydeface"]["scan"] == "sub-002_ses-1"
    ]
    assert found.values.loc["sub-002", "pydeface"] == pytest.approx(first.iloc[0])
    assert np.isnan(found.values.loc["sub-003", "pydeface"])
    assert found.failed["pydeface"].sum() == 2
    assert np.isnan(found.without_failed.loc["sub-002", "pydeface"])
    assert found.without_failed["quickshear"].notna().all()


def test_pairs_carry_the_sex_of_the_original(table):
    gone = (table["variant"] == "pydeface") & (table["participant"] == "sub-002")
    mine = pairs(table[~gone])
    assert mine.set_index("scan").loc["sub-002_ses-1", "sex"] == "F"


def test_controls_are_no_methods():
    controls = ("original", "null", "skull_strip", "skull_strip+pix2pix25d")
    assert all(map(outcomes.is_control, controls))
    assert not any(map(outcomes.is_control, ("pydeface", "pydeface+pix2pix25d", "stripper")))
