"""Paired tests and their corrections: against other libraries and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refacebench.statistics import intervals, paired


@pytest.mark.parametrize("n", [6, 20, 60])
@pytest.mark.parametrize("zero_method", ["pratt", "wilcox", "zsplit"])
def test_wilcoxon_is_that_of_scipy(n, zero_method):
    rng = np.random.default_rng(n)
    before = rng.normal(100, 10, n)
    after = before + rng.normal(0.5, 1, n)
    after[0] = before[0]
    expected = stats.wilcoxon(after, before, zero_method=zero_method)
    found = paired.wilcoxon(after - before, zero_method)
    np.testing.assert_allclose(found, (expected.statistic, expected.pvalue), rtol=1e-9)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("zero_method", ["pratt", "wilcox", "zsplit"])
def test_with_ties_and_zeros_p_is_the_same_to_the_last_bit(zero_method, alternative):
    """Counted here, gone through one by one there: up to 13 differences nothing is sampled."""
    rng = np.random.default_rng(3)
    for n in (2, 5, 8, 9):
        values = rng.integers(-3, 4, n) * 0.5
        values[0] = 1.5  # not all of them zero
        expected = stats.wilcoxon(values, zero_method=zero_method, alternative=alternative)
        found = paired.wilcoxon(values, zero_method, alternative)
        assert found == (expected.statistic, expected.pvalue)


def test_wilcoxon_is_exact_for_few():
    # Five rises: the extreme one of 2^5 sign patterns on either side.
    assert paired.wilcoxon([1, 2, 3, 4, 5.0]) == (0.0, 2 / 32)
    # Ties and a zero: enumeration of all sign patterns by hand.
    values = np.array([0.0, 1.0, 1.0, 2.0, -2.0])
    ranks = stats.rankdata(np.abs(values))
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    totals = (signs * (ranks * (values != 0))).sum(axis=1)
    observed = (np.sign(values) * ranks).sum()
    assert paired.wilcoxon(values)[1] == pytest.approx((np.abs(totals) >= observed).mean())


def test_degenerate_differences():
    assert paired.wilcoxon([0.0, 0.0, 0.0]) == (0.0, 1.0)
    assert np.isnan(paired.wilcoxon([])).all()
    assert np.isnan(paired.wilcoxon([np.nan])).all()
    assert paired.wilcoxon([2.0])[1] == 1.0
    # Equal changes tie although 0.1 + 0.2 is not 0.3 in floating point.
    assert paired.wilcoxon([0.1 + 0.2, -0.3, 0.3]) == paired.wilcoxon([0.3, -0.3, 0.3])


def test_rank_biserial_by_hand():
    # |d| ranks 1 2 3 4, the second falls: (1 + 3 + 4 - 2) / 10.
    assert paired.rank_biserial([1, -2, 3, 4]) == pytest.approx(0.6)
    # Ties share the mean rank 1.5: (1.5 - 1.5 + 3) / 6.
    assert paired.rank_biserial([1, -1, 2]) == pytest.approx(0.5)
    # Zeros keep their ranks in the denominator: rank 4 of 10.
    assert paired.rank_biserial([0, 0, 0, 5]) == pytest.approx(0.4)
    assert paired.rank_biserial([0, 0]) == 0.0
    assert np.isnan(paired.rank_biserial([]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=15), st.integers(0, 5))
def test_rank_biserial_of_resamples_is_that_of_the_drawn_values(values, seed):
    values = np.array(values, dtype=float)
    counts = intervals.resample_counts(len(values), 20, seed)
    expected = []
    for row in counts:
        drawn = np.repeat(values, row)
        ranks = stats.rankdata(np.abs(drawn))
        expected.append((ranks * np.sign(drawn)).sum() / ranks.sum())
    np.testing.assert_allclose(paired._rank_biserial(values, counts), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=20))
def test_rank_biserial_is_odd_and_bounded(values):
    values = np.array(values)
    assert paired.rank_biserial(values) == pytest.approx(1.0)
    assert paired.rank_biserial(-values) == pytest.approx(-1.0)


def test_tost_known_cases():
    inside = np.array([0.1, -0.2, 0.15, -0.05, 0.3, -0.12])
    assert paired.tost(inside, 1.0) == pytest.approx(1 / 64)  # all above -1 and all below +1
    assert paired.tost(inside + 2, 1.0) == 1.0  # all beyond the margin
    assert paired.tost([0.0, 0.0], 0.0) == 1.0
    assert np.isnan(paired.tost([], 1.0))
    assert np.isnan(paired.tost(inside, np.nan))


def test_tost_is_the_worse_of_two_scipy_tests():
    values = np.random.default_rng(0).normal(0.3, 1, 30)
    expected = max(
        stats.wilcoxon(values + 1, alternative="greater").pvalue,
        stats.wilcoxon(values - 1, alternative="less").pvalue,
    )
    assert paired.tost(values, 1.0) == pytest.approx(expected)


def test_not_significant_is_not_equivalent():
    wide = np.random.default_rng(3).normal(0, 5, 10)
    assert paired.wilcoxon(wide)[1] > 0.05
    assert paired.tost(wide, 1.0) > 0.05


def test_corrections_by_hand():
    p = [0.01, 0.04, 0.03, np.nan, 0.005]
    # Sorted 0.005 0.01 0.03 0.04 times 4 3 2 1, running maximum.
    np.testing.assert_allclose(paired.correct(p, "holm"), [0.03, 0.06, 0.06, np.nan, 0.02])
    # Times 4/1 4/2 4/3 4/4, running minimum from the end.
    np.testing.assert_allclose(paired.correct(p, "fdr_bh"), [0.02, 0.04, 0.04, np.nan, 0.02])
    assert np.isnan(paired.correct([np.nan, np.nan], "holm")).all()


def test_minimum_detectable_shift_is_detected_with_its_power():
    rng = np.random.default_rng(0)
    n, sd, alpha = 25, 2.0, 0.01
    shift = paired.minimum_detectable(n, sd, alpha, 0.8)
    found = [paired.wilcoxon(rng.normal(shift, sd, n))[1] <= alpha for _ in range(1500)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_minimum_detectable_limits():
    assert paired.minimum_detectable(5, 1.0, 0.05) == np.inf  # smallest p is 1/16
    assert np.isfinite(paired.minimum_detectable(6, 1.0, 0.05))
    assert np.isnan(paired.minimum_detectable(1, np.nan, 0.05))
    assert np.isfinite(paired.minimum_detectable(400, 1.0, 1e-6))
    assert paired.minimum_detectable(50, 1.0, 0.05) > paired.minimum_detectable(100, 1.0, 0.05)


def test_repeatability_by_hand():
    np.testing.assert_allclose(paired.repeatability([9.0, 0.0], [11.0, 0.0]), [20.0, np.nan])
