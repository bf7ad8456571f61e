"""Intervals of means, medians and shares: against other libraries, by hand, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refacebench.statistics import cohort, intervals, paired

BOOT = {"n_boot": 1000, "seed": 1}


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 7), (7, 7), (67, 1022), (1, 1)])
def test_wilson_is_that_of_statsmodels(successes, n):
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(successes, n, alpha=0.05, method="wilson")
    np.testing.assert_allclose(intervals.wilson(successes, n), expected, atol=1e-12)


def test_wilson_without_scans_is_nan():
    assert np.isnan(intervals.wilson(0, 0)).all()


def test_share_of_single_scans_is_plain_wilson():
    flags, persons = [1, 0, 0, 1, 0], list("abcde")
    assert intervals.share(flags, persons) == (0.4, *intervals.wilson(2, 5))


def test_copied_sessions_do_not_narrow_a_share():
    flags, persons = np.array([1, 0, 0, 1, 0, 0]), np.array(list("abcdef"))
    _, low, high = intervals.share(flags, persons)
    _, low2, high2 = intervals.share(np.repeat(flags, 5), np.repeat(persons, 5))
    naive = intervals.wilson(10, 30)
    assert high2 - low2 >= high - low
    assert high2 - low2 > (naive[1] - naive[0]) * 1.5


def test_design_effect_of_copies_by_hand():
    # Four people, two copies each, two of them positive: residuals +-1, so the clustered
    # variance is 4/3 * 4 / 64 = 1/12; binomial 0.25 / 8 = 1/32; the ratio is 8/3.
    flags = [1, 1, 1, 1, 0, 0, 0, 0]
    assert intervals.design_effect(flags, list("aabbccdd")) == pytest.approx(8 / 3)
    # No variance to judge by: two copies count as one scan.
    assert intervals.design_effect([0] * 8, list("aabbccdd")) == 2.0


def test_bootstrap_equals_resampling_by_index():
    values = np.array([3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0])
    counts = intervals.resample_counts(len(values), 500, 3)
    samples = np.array([np.repeat(values, row) for row in counts])
    assert samples.shape == (500, 7)
    for function, statistic in (
        (intervals.bootstrap_mean, np.mean),
        (intervals.bootstrap_median, np.median),
    ):
        low, high = function(values, n_boot=500, seed=3)
        expected = np.quantile(statistic(samples, axis=1), [0.025, 0.975])
        np.testing.assert_allclose((low, high), expected, atol=1e-12)


def test_bootstrap_median_of_an_even_number():
    values = np.array([3.0, -1.0, 4.0, 10.0])
    counts = intervals.resample_counts(4, 300, 5)
    medians = [np.median(np.repeat(values, row)) for row in counts]
    expected = np.quantile(medians, [0.025, 0.975])
    np.testing.assert_allclose(intervals.bootstrap_median(values, n_boot=300, seed=5), expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=30), st.integers(0, 10))
def test_bootstrap_of_symmetric_data_contains_its_centre(half, seed):
    values = np.concatenate([half, -np.array(half)])
    low, high = intervals.bootstrap_mean(values, n_boot=500, seed=seed)
    assert low <= 1e-9
    assert high >= -1e-9
    assert (low, high) == intervals.bootstrap_mean(values, n_boot=500, seed=seed)


def test_bootstrap_depends_on_the_seed():
    values = np.arange(10.0) ** 2
    assert intervals.bootstrap_mean(values, n_boot=200, seed=1) != intervals.bootstrap_mean(
        values, n_boot=200, seed=2
    )


def test_bootstrap_covers_the_true_mean():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = intervals.bootstrap_mean(rng.normal(2, 1, 40), n_boot=300, seed=seed)
        hits += low <= 2 <= high
    assert 0.88 <= hits / 200 <= 0.99  # nominal 0.95, binomial sd 0.015, small-sample bias


def test_bootstrap_by_participant_is_wider_than_by_scan():
    person = np.repeat([f"p{i}" for i in range(10)], 4)
    scans = pd.Series(np.repeat(np.arange(10.0), 4))
    by_person = cohort.by_participant(scans, pd.Series(person))
    low, high = intervals.bootstrap_mean(by_person, **BOOT)
    naive_low, naive_high = intervals.bootstrap_mean(scans, **BOOT)
    assert high - low > 1.6 * (naive_high - naive_low)  # expected: twice, for four copies


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, 2.0]])
def test_one_person_has_no_interval(values):
    assert np.isnan(intervals.bootstrap_mean(values, **BOOT)).all()
    assert np.isnan(intervals.bootstrap_median(values, **BOOT)).all()
    assert np.isnan(paired.rank_biserial_interval(values, **BOOT)).all()


@pytest.mark.parametrize(("k", "n"), [(0, 13), (1, 13), (6, 13), (13, 13), (40, 400)])
def test_clopper_pearson_is_scipys(k, n):
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert intervals.clopper_pearson(k, n) == pytest.approx(tuple(expected))


def test_clopper_pearson_of_nobody_is_no_interval():
    assert np.isnan(intervals.clopper_pearson(0, 0)).all()


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 13), (6, 13), (13, 13)])
def test_bounds_of_hits_are_clopper_pearsons(k, n):
    values = np.repeat([1.0, 0.0], [k, n - k])
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert intervals.bounded_mean(values) == pytest.approx(tuple(expected))


def test_bounds_of_equal_fractions_by_hand():
    """All values c: the random weight of the added 0 or 1 is Beta(1, n)."""
    low, high = intervals.bounded_mean(np.full(12, 0.4))
    weight = stats.beta.ppf(0.975, 1, 12)
    assert low == pytest.approx(0.4 * (1 - weight), rel=0.02)
    assert high == pytest.approx(0.4 + 0.6 * weight, rel=0.02)


def test_bounds_of_fractions_are_tighter_than_those_of_hits():
    values = np.array([0.2, 0.4, 0.3, 0.25, 0.35, 0.5, 0.1, 0.3])
    low, high = intervals.bounded_mean(values)
    wide = intervals.clopper_pearson(values.sum(), len(values))
    assert wide[0] < low < values.mean() < high < wide[1]


def test_bounds_hold_for_rare_large_values():
    """A choice is mostly 0 and now and then 1; a percentile bootstrap misses that."""
    rng = np.random.default_rng(0)
    held, boot = [], []
    for _ in range(400):
        values = np.where(rng.uniform(size=10) < 0.1, rng.uniform(0.9, 1.0, 10), 0.01)
        truth = 0.1 * 0.95 + 0.9 * 0.01
        low, high = intervals.bounded_mean(values)
        held.append(low <= truth <= high)
        low, high = intervals.bootstrap_mean(values, n_boot=300, seed=0)
        boot.append(low <= truth <= high)
    assert np.mean(held) >= 0.95
    assert np.mean(boot) < 0.85


def test_the_exact_interval_of_a_median():
    values = np.arange(13.0)
    # Fewer than 3 heads in 13 throws: 1.1 %; fewer than 4: 4.6 %.
    assert intervals.exact_median(values) == (2.0, 10.0)
    assert np.isnan(intervals.exact_median(values[:5])).all()
    assert intervals.exact_median(values, 1 - 0.05 / 23) == (0.0, 12.0)
