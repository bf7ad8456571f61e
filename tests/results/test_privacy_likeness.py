"""Distances to the true face, by hand."""

import numpy as np
import pytest
from scipy import stats

from attacks import (
    SETTINGS,
    make,
    scans,
)
from refacebench.results.privacy_likeness import compute as privacy_likeness_table


def test_likeness_by_hand():
    query = scans(6, 1)
    extra = {
        "query_true_mm": np.array([1.0, 1, 1, 1, 2, np.nan]),
        "query_average_mm": np.array([2.0, 2, 2, 2, 1, 2]),
    }
    found = make(np.ones((6, 6)), query, extra=extra)
    row = privacy_likeness_table([found, make(np.ones((6, 6)), query)], SETTINGS).iloc[0]
    assert (row["n"], row["n_failed"]) == (5, 1)
    assert row["true_mm"] == pytest.approx(1.2)
    assert row["average_mm"] == pytest.approx(1.8)
    assert row["difference_mm"] == pytest.approx(-0.6)
    assert row["closer_share"] == 0.8
    assert row["difference_sd"] == pytest.approx(np.std([-1, -1, -1, -1, 1], ddof=1))
    assert row["difference_mde"] == np.inf  # five people never reach 0.05
    assert row["p"] == stats.wilcoxon([-1, -1, -1, -1, 1], zero_method="pratt").pvalue


def test_controls_shelter_no_method():
    query = scans(6, 1)
    extra = {"query_true_mm": np.arange(1.0, 7.0), "query_average_mm": np.arange(2.0, 14.0, 2)}
    names = ("null", "skull_strip", "a", "b")
    table = privacy_likeness_table(
        [make(np.ones((6, 6)), query, variant=name, extra=extra) for name in names], SETTINGS
    )
    assert (table["family_size"] == 2).all()
    assert table["p_holm"].to_numpy() == pytest.approx(2 * table["p"].to_numpy())
