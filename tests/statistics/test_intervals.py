"""Intervals of means, medians and shares: against other libraries, by hand, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from refacebench.statistics import cohort, intervals, paired


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 7), (7, 7), (67, 1022), (1, 1)])
def test_wilson_is_that_of_statsmodels(successes, n):
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(successes, n, alpha=0.05, method="wilson")
    np.testing.assert_allclose(intervals.wilson(successes, n), expected, atol=1e-12)


def test_wilson_without_scans_is_nan():
    assert np.isnan(intervals.wilson(0, 0)).all()


def test_share_of_single_scans_is_exact():
    flags, persons = [1, 0, 0, 1, 0], list("abcde")
    expected = stats.binomtest(2, 5).proportion_ci(0.95, method="exact")
    assert intervals.share(flags, persons) == pytest.approx((0.4, *expected))


def test_copied_sessions_do_not_narrow_a_share():
    flags, persons = np.array([1, 0, 0, 1, 0, 0]), np.array(list("abcdef"))
    _, low, high = intervals.share(flags, persons)
    _, low2, high2 = intervals.share(np.repeat(flags, 5), np.repeat(persons, 5))
    naive = intervals.clopper_pearson(10, 30)
    assert high2 - low2 >= high - low
    assert high2 - low2 > (naive[1] - naive[0]) * 1.5


@pytest.mark.parametrize("sessions", [1, 2])
def test_shares_hold_in_small_samples(sessions):
    """Wilson's interval of ten scans of which few are positive holds in 88 to 91 % only."""
    rng = np.random.default_rng(sessions)
    held, persons = [], np.repeat(np.arange(10), sessions)
    for _ in range(300):
        flags = np.repeat(rng.uniform(size=10) < 0.05, sessions)
        _, low, high = intervals.share(flags, persons)
        held.append(low <= 0.05 <= high)
    assert np.mean(held) >= 0.95


def test_design_effect_of_copies_by_hand():
    # Four people, two copies each, two of them positive: residuals +-1, so the clustered
    # variance is 4/3 * 4 / 64 = 1/12; binomial 0.25 / 8 = 1/32; the ratio is 8/3.
    flags = [1, 1, 1, 1, 0, 0, 0, 0]
    assert intervals.design_effect(flags, list("aabbccdd")) == pytest.approx(8 / 3)
    # No variance to judge by: two copies count as one scan.
    assert intervals.design_effect([0] * 8, list("aabbccdd")) == 2.0


def held(draw, truth, n, repeats=400, **options):
    """Return how often the interval of a mean holds it, and its mean width by Student's."""
    rng = np.random.default_rng(n)
    inside, widths = [], []
    for _ in range(repeats):
        values = draw(rng, n)
        low, high = intervals.mean_interval(values, **options)
        inside.append(low <= truth <= high)
        if values.std() > 0:
            half = stats.t.isf(0.025, n - 1) * stats.sem(values)
            widths.append((high - low) / (2 * half))
    return np.mean(inside), np.mean(widths)


#: Draws and true means.  At 400 repeats the Monte Carlo standard error of 95 % is 1.1 points.
SHAPES = {
    "normal": (lambda rng, n: rng.normal(0.3, 1, n), 0.3),
    "heavy tails": (lambda rng, n: rng.standard_t(3, n), 0.0),
    "dice": (lambda rng, n: 1 - 0.05 * rng.lognormal(0, 0.5, n), 1 - 0.05 * np.exp(0.125)),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0),
    "lognormal": (lambda rng, n: rng.lognormal(0, 1, n), np.exp(0.5)),
    "ties": (lambda rng, n: np.round(rng.normal(0.3, 1, n)), 0.3),
    "zeros": (lambda rng, n: (rng.uniform(size=n) > 0.7) * rng.normal(4, 1, n), 1.2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [10, 13, 30])
def test_intervals_of_means_hold_in_small_samples(shape, n):
    """A percentile bootstrap holds in 79 to 91 % of these; Student's in 83 to 96 %."""
    draw, truth = SHAPES[shape]
    coverage, width = held(draw, truth, n)
    assert coverage >= 0.93 - 0.01
    assert width < 2.0
    if shape == "normal":
        assert width < 1.3


def test_the_interval_of_a_mean_is_students_or_wider():
    values = np.array([3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0])
    low, high = intervals.mean_interval(values)
    least, most = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert low <= least + 1e-12
    assert high > most  # the long tail is above


def test_the_end_towards_a_long_tail_by_hand():
    """Values 0 but for one 1: the largest possible value is guessed as 1 + 2.

    Their random mean is w1 + 3 w2, with flat weights of five; its 97.5 % quantile is read
    off as many draws of another generator.
    """
    values = np.array([0.0, 0.0, 0.0, 1.0])
    weights = np.random.default_rng(99).dirichlet(np.ones(5), 200_000)
    expected = np.quantile(weights[:, 3] + 3 * weights[:, 4], 0.975)
    assert intervals.mean_interval(values)[1] == pytest.approx(expected, rel=0.02)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_the_interval_of_a_mean_holds_the_mean_and_turns_with_the_sign(values):
    low, high = intervals.mean_interval(values)
    slack = 1e-9 * max(1.0, np.abs(values).max())
    assert low - slack <= np.mean(values) <= high + slack
    turned = intervals.mean_interval(-np.array(values))
    np.testing.assert_allclose(turned, (-high, -low), atol=1e-4 * max(1.0, np.abs(values).max()))
    # The unit does not matter.
    moved = intervals.mean_interval(2 * np.array(values) + 7)
    np.testing.assert_allclose(
        moved, (2 * low + 7, 2 * high + 7), atol=1e-4 * max(1.0, np.abs(values).max())
    )


def test_no_end_lies_beyond_what_is_possible():
    dice = np.array([0.999, 0.998, 0.9995, 0.9, 0.9999])
    low, high = intervals.mean_interval(dice, least=0.0, most=1.0)
    assert 0.0 <= low < dice.mean() < high <= 1.0
    assert intervals.mean_interval(dice)[1] > 1.0
    low, high = intervals.mean_interval([0.0, 0.0, 0.0, 9.0], least=0.0)
    assert low == 0.0


def test_equal_values_have_an_interval_without_width():
    assert intervals.mean_interval([0.25] * 7) == (0.25, 0.25)
    assert intervals.mean_interval([1.0] * 7, least=0.0, most=1.0) == (1.0, 1.0)


def test_tiny_differences_are_not_lost():
    """Correlations of nearly 1: the random weights have seven digits."""
    values = 1 - 1e-9 * np.arange(1, 9)
    low, high = intervals.mean_interval(values, most=1.0)
    half = stats.t.isf(0.025, 7) * stats.sem(values)
    assert high - low == pytest.approx(2 * half, rel=0.3)


def test_an_interval_by_participant_is_wider_than_by_scan():
    person = np.repeat([f"p{i}" for i in range(10)], 4)
    scans = pd.Series(np.repeat(np.arange(10.0), 4))
    by_person = cohort.by_participant(scans, pd.Series(person))
    low, high = intervals.mean_interval(by_person)
    naive_low, naive_high = intervals.mean_interval(scans)
    assert high - low > 1.6 * (naive_high - naive_low)  # expected: twice, for four copies


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, 2.0]])
def test_one_person_has_no_interval(values):
    assert np.isnan(intervals.mean_interval(values)).all()
    assert np.isnan(intervals.exact_median(values)).all()
    assert np.isnan(paired.rank_biserial_interval(values)).all()


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
        resampled = intervals.resample_counts(10, 300, 0) @ values / 10
        low, high = intervals.quantiles(resampled, 0.95)
        boot.append(low <= truth <= high)
    assert np.mean(held) >= 0.95
    assert np.mean(boot) < 0.85


@pytest.mark.parametrize("n", [10, 13, 30])
@pytest.mark.parametrize("shape", ["normal", "lognormal", "zeros"])
def test_intervals_of_medians_hold_for_any_shape(shape, n):
    rng = np.random.default_rng(n)
    draw = SHAPES[shape][0]
    truth = {"normal": 0.3, "lognormal": 1.0, "zeros": 0.0}[shape]
    ends = [intervals.exact_median(draw(rng, n)) for _ in range(400)]
    assert np.mean([low <= truth <= high for low, high in ends]) >= 0.94


def test_the_exact_interval_of_a_median():
    values = np.arange(13.0)
    # Fewer than 3 heads in 13 throws: 1.1 %; fewer than 4: 4.6 %.
    assert intervals.exact_median(values) == (2.0, 10.0)
    assert np.isnan(intervals.exact_median(values[:5])).all()
    assert intervals.exact_median(values, 1 - 0.05 / 23) == (0.0, 12.0)
