"""Paired tests and their corrections: against other libraries and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refacebench.statistics import paired, power


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
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=15))
def test_rank_biserial_is_that_of_ranks(values):
    values = np.array(values, dtype=float)
    ranks = stats.rankdata(np.abs(values))
    expected = (ranks * np.sign(values)).sum() / ranks.sum()
    assert paired.rank_biserial(values) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 13, 200])
def test_the_interval_of_an_effect_does_not_collapse_where_all_signs_agree(n):
    low, high = paired.rank_biserial_interval(np.arange(1.0, n + 1))
    assert high == 1.0
    pairs = n / 2  # all are positive: Wilson's lower end is k / (k + z^2)
    z = stats.norm.isf(0.025)
    assert low == pytest.approx(2 * pairs / (pairs + z**2) - 1)
    assert paired.rank_biserial_interval(-np.arange(1.0, n + 1)) == pytest.approx((-1.0, -low))


#: Draws and the true effect: the mean sign of a sum of two.
EFFECTS = {
    "no shift": lambda rng, size: rng.normal(0, 1, size),
    "large shift": lambda rng, size: rng.normal(2, 1, size),
    "heavy tails": lambda rng, size: rng.standard_t(3, size) + 1,
    "skewed": lambda rng, size: 3 - rng.lognormal(0, 1, size),
    "ties": lambda rng, size: np.round(rng.normal(0.5, 1, size)),
    "zeros": lambda rng, size: (rng.uniform(size=size) > 0.9) * rng.normal(4, 1, size),
    "rare falls": lambda rng, size: np.where(
        rng.uniform(size=size) < 0.2, -10, rng.exponential(1, size)
    ),
}


@pytest.mark.parametrize("shape", EFFECTS)
@pytest.mark.parametrize("n", [10, 13, 30])
def test_intervals_of_effects_hold_in_small_samples(shape, n):
    """A percentile bootstrap holds in 20 to 94 % of these."""
    rng = np.random.default_rng(n)
    pair = EFFECTS[shape](rng, (2, 400_000)).sum(axis=0)
    truth = np.sign(np.round(pair, 9)).mean()
    ends = [paired.rank_biserial_interval(EFFECTS[shape](rng, n)) for _ in range(400)]
    assert np.mean([low <= truth <= high for low, high in ends]) >= 0.93 - 0.01


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


@pytest.mark.parametrize(
    ("n", "family"), [(8, 1), (13, 1), (13, 126), (20, 200), (50, 126), (51, 126), (100, 18)]
)
def test_minimum_detectable_shift_is_detected_with_its_power(n, family):
    """At 13 participants and 126 tests the t test's power is off by 25 points."""
    rng = np.random.default_rng(n)
    alpha, sd, repeats = 0.05 / family, 2.0, 4000
    shift = paired.minimum_detectable(n, sd, alpha, 0.8)
    values = rng.normal(shift, sd, (repeats, n))
    # SciPy's own test over all samples at once; the other tail has no part at this power.
    found = stats.wilcoxon(values, axis=1).pvalue < alpha
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_with_thirteen_participants_and_many_tests_all_signs_must_agree():
    """Only 13 of 13 pass 0.05 / 126: each is positive with probability 0.8^(1/13)."""
    expected = stats.norm.ppf(0.8 ** (1 / 13))
    assert paired.minimum_detectable(13, 1.0, 0.05 / 126) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("n", "at_5", "at_1"), [(8, 3, 0), (13, 17, 9), (20, 52, 37), (25, 89, 68)]
)
def test_critical_sums_are_those_of_published_tables(n, at_5, at_1):
    """Wilcoxon & Wilcox 1964: the largest sum of the rarer sign at two-sided 0.05 and 0.01."""
    total = n * (n + 1) / 2
    assert total - power.critical_sum(n, 0.05) == at_5
    assert total - power.critical_sum(n, 0.01) == at_1


def test_minimum_detectable_limits():
    assert paired.minimum_detectable(5, 1.0, 0.05) == np.inf  # smallest p is 1/16
    assert paired.minimum_detectable(5, 0.0, 0.05) == np.inf  # no 0 x infinity
    assert np.isfinite(paired.minimum_detectable(6, 1.0, 0.05))
    assert paired.minimum_detectable(6, 1.0, 2.0**-5) == np.inf  # p must be below, not at it
    assert np.isnan(paired.minimum_detectable(1, np.nan, 0.05))
    assert np.isfinite(paired.minimum_detectable(400, 1.0, 1e-6))
    assert paired.minimum_detectable(50, 1.0, 0.05) > paired.minimum_detectable(100, 1.0, 0.05)


def test_repeatability_by_hand():
    np.testing.assert_allclose(paired.repeatability([9.0, 0.0], [11.0, 0.0]), [20.0, np.nan])
