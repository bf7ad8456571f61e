"""Friedman's test, pairs of methods and McNemar's test: published examples and failures."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from refacebench.statistics import paired, posthoc
from refacebench.statistics.mcnemar import mcnemar

# Times to round first base by three ways of 22 players (Hollander & Wolfe 1973, p. 140).
ROUNDING = """
    5.40 5.50 5.55  5.85 5.70 5.75  5.20 5.60 5.50  5.55 5.50 5.40  5.90 5.85 5.70  5.45 5.55 5.60
    5.40 5.40 5.35  5.45 5.50 5.35  5.25 5.15 5.00  5.85 5.80 5.70  5.25 5.20 5.10  5.65 5.55 5.45
    5.60 5.35 5.45  5.05 5.00 4.95  5.50 5.50 5.40  5.45 5.55 5.50  5.55 5.55 5.35  5.45 5.50 5.55
    5.50 5.45 5.25  5.65 5.60 5.40  5.70 5.65 5.55  6.30 6.30 6.25
"""
ROUNDING = np.array(ROUNDING.split(), float).reshape(22, 3)
NAMES = ["round out", "narrow angle", "wide angle"]


def test_friedman_of_a_published_example():
    found = posthoc.friedman(pd.DataFrame(ROUNDING, columns=NAMES))
    assert (found.n, found.methods, found.left_out) == (22, 3, ())
    assert found.statistic == pytest.approx(11.143, abs=5e-4)
    assert found.p == pytest.approx(0.003805, abs=5e-7)


def test_a_method_that_fails_often_is_left_out_and_named():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(12, 4)), columns=list("abcd"))
    table.loc[:8, "d"] = np.nan  # fails on nine of twelve
    table.loc[11, "a"] = np.nan
    found = posthoc.friedman(table)
    assert (found.n, found.methods, found.left_out) == (11, 3, ("d",))
    expected = stats.friedmanchisquare(*table.loc[:10, list("abc")].to_numpy().T)
    assert found.p == pytest.approx(expected.pvalue)
    everybody = posthoc.friedman_of_everybody(table)
    assert (everybody.n, everybody.methods) == (12, 4)
    # d is last wherever it failed: the rank sums by hand.
    ranks = stats.rankdata(table.fillna(99.0).to_numpy(), axis=1)
    expected = 12 / (12 * 4 * 5) * ((ranks.sum(axis=0) - 30) ** 2).sum()
    assert everybody.statistic == pytest.approx(expected)


def test_friedman_where_there_is_nothing_to_test():
    same = pd.DataFrame({name: [1.0, 2.0, 3.0] for name in "abc"})
    assert posthoc.friedman(same).p == 1.0
    assert np.isnan(posthoc.friedman(same[["a", "b"]]).p)
    assert np.isnan(posthoc.friedman(same.iloc[:1]).p)


def test_pairs_are_those_of_scipy_with_holm_over_all_pairs():
    table = posthoc.pairwise(pd.DataFrame(ROUNDING, columns=NAMES))
    assert list(zip(table["first"], table["second"], strict=True)) == [
        ("round out", "narrow angle"), ("round out", "wide angle"), ("narrow angle", "wide angle")
    ]  # fmt: skip
    for row, (i, j) in zip(table.itertuples(), [(0, 1), (0, 2), (1, 2)], strict=True):
        differences = np.round(ROUNDING[:, i] - ROUNDING[:, j], 9)
        assert row.p == pytest.approx(stats.wilcoxon(differences, zero_method="pratt").pvalue)
        assert row.low_joint <= row.low <= row.difference <= row.high <= row.high_joint
    order = np.sort(table["p"])
    expected = np.maximum.accumulate(np.minimum(order * [3, 2, 1], 1))
    np.testing.assert_allclose(np.sort(table["p_holm"]), expected)
    assert (table["p_all"] == table["p"]).all()  # nothing failed


def test_corrections_are_those_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(4)
    for n in (1, 2, 30):
        p = np.round(rng.uniform(size=n) ** 3, 3)  # with ties
        for method in ("holm", "fdr_bh"):
            assert (paired.correct(p, method) == multipletests(p, method=method)[1]).all()
    found = paired.correct([0.01, np.nan, 0.04], "holm")
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])


def test_a_failure_is_worse_than_any_value_whichever_way_is_good():
    good = np.arange(1.0, 11.0)
    table = pd.DataFrame({"solid": good + 1, "fails": good.copy()})
    table.loc[3:, "fails"] = np.nan
    row = posthoc.pairwise(table).iloc[0]
    assert (row["n"], row["n_all"]) == (3, 10)
    assert row["difference"] == 1.0  # the failing method is better where it works
    expected = stats.wilcoxon([1.0] * 3 + [-3.0] * 7, method="exact").pvalue
    assert row["p_all"] == pytest.approx(paired.wilcoxon([1.0] * 3 + [-3.0] * 7)[1])
    assert row["p_all"] == pytest.approx(expected, abs=0.05)
    # Where large is good the failure counts the other way round.
    high = posthoc.with_failures([0.9, 0.9], [np.nan, 0.8], low_is_good=False)
    assert (high > 0).all()
    assert high[0] > high[1]


def test_holm_holds_the_familywise_error_of_pairs():
    rng = np.random.default_rng(2)
    wrong = []
    for _ in range(120):
        values = rng.normal(size=(13, 1)) + rng.normal(size=(13, 4))
        wrong.append((posthoc.pairwise(pd.DataFrame(values))["p_holm"] < 0.05).any())
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_mcnemar_by_hand():
    # Eight repaired, one spoilt: 2 P(at most 1 of 9 heads) = 2 (1 + 9) / 512.
    first = [1] * 8 + [0] + [1] * 3 + [0] * 5
    second = [0] * 8 + [1] + [1] * 3 + [0] * 5
    found = mcnemar(first, second)
    assert (found.n, found.both, found.only_first, found.only_second) == (17, 3, 8, 1)
    assert found.p == pytest.approx(20 / 512)
    assert mcnemar([1, 0], [1, 0]).p == 1.0
    assert mcnemar([1, np.nan], [np.nan, 0]).n == 0
    assert np.isnan(mcnemar([np.nan], [1]).p)
