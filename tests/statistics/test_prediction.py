"""Accuracy of predictions: values against scipy and sklearn, intervals that cover, exact p."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score

from refacebench.statistics import prediction


def people(n, seed=0, slope=0.7, noise=8.0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 80, n)
    return 50 + slope * (age - 50) + rng.normal(0, noise, n) + 2, age


def test_measures_against_scipy_and_sklearn():
    predicted, age = people(25)
    found = prediction.accuracy(predicted, age, range(25))
    line = stats.linregress(age, predicted)
    assert found["mae"] == pytest.approx(mean_absolute_error(age, predicted))
    assert found["r2"] == pytest.approx(r2_score(age, predicted))
    assert found["r"] == pytest.approx(line.rvalue)
    assert found["slope"] == pytest.approx(line.slope)
    assert found["bias"] == pytest.approx((predicted - age).mean())
    # The jackknife of a mean is Student's interval of it.
    low, high = stats.ttest_1samp(predicted - age, 0).confidence_interval()
    assert (found["bias_low"], found["bias_high"]) == pytest.approx((low, high))


def test_sessions_of_a_person_are_one_observation():
    predicted, age = people(12)
    once = prediction.accuracy(predicted, age, range(12))
    thrice = prediction.accuracy(
        np.repeat(predicted, 3), np.repeat(age, 3), np.repeat(range(12), 3)
    )
    assert thrice == pytest.approx(once)


def test_changes_by_hand():
    predicted, age = people(15)
    flat = 50 + 0.5 * (predicted - 50)
    found = prediction.change(flat, predicted, age, range(15))
    one, two = (prediction.accuracy(p, age, range(15)) for p in (flat, predicted))
    assert found["slope_change"] == pytest.approx(-0.5 * two["slope"])
    assert found["r_change"] == pytest.approx(0.0, abs=1e-9)
    assert found["mae_change"] == pytest.approx(one["mae"] - two["mae"])
    assert found["slope_change_high"] < 0
    # A scan without one of the two is in neither.
    holey = flat.copy()
    holey[3] = np.nan
    left = np.arange(15) != 3
    again = prediction.change(holey, predicted, age, range(15))
    assert again == pytest.approx(
        prediction.change(flat[left], predicted[left], age[left], np.arange(15)[left])
    )


def test_what_has_no_value_is_nan_and_never_an_error():
    age = np.array([20.0, 40.0, 60.0, 80.0, 50.0])
    flat = prediction.accuracy(np.full(5, 50.0), age, range(5))
    assert np.isnan(flat["r"])
    assert flat["slope"] == 0
    assert flat["r2"] == pytest.approx(0.0)
    same = prediction.accuracy(age, age, range(5))
    assert (same["mae"], same["r"], same["r2"]) == pytest.approx((0, 1, 1))
    one_age = prediction.accuracy(age, np.full(5, 50.0), range(5))
    assert np.isnan([one_age["r"], one_age["slope"], one_age["r2"]]).all()
    for n in (0, 1, 2, 3):
        few = prediction.accuracy(age[:n], age[:n] + 1, range(n))
        assert np.isnan(few["r"])
        assert np.isnan(few["bias_low"])
        assert n == 0 or few["mae"] == pytest.approx(1.0)


def test_gain_over_knowing_nothing():
    age = np.array([30.0, 40.0, 50.0, 60.0, 70.0])
    found = prediction.gain(age + 2, age, range(5), mean=50.0)
    assert found["mae_of_mean"] == pytest.approx(12.0)
    assert found["gain"] == pytest.approx(10.0)
    # Without a mean it is that of the others: 55, 52.5, 50, ...
    assert prediction.gain(age, age, range(5))["mae_of_mean"] == pytest.approx(15.0)
    guess = np.full(5, 50.0)
    none = prediction.gain(guess, age, range(5), mean=50.0)
    assert none["gain"] == none["gain_high"] == 0.0


def test_p_of_permutations_counts_them():
    age = np.array([20.0, 35.0, 50.0, 80.0])
    # Of the 24 orders only the true one, and only it, follows as well.
    p = prediction.permutation_p(age, age, range(4), n=4000, seed=0)
    assert p == pytest.approx(1 / 24, abs=0.012)
    assert prediction.permutation_p(-age, age, range(4), n=200, seed=0) == 1.0
    assert np.isnan(prediction.permutation_p(np.full(4, 3.0), age, range(4), n=9, seed=0))


def test_p_is_uniform_where_nothing_is_known():
    rng = np.random.default_rng(5)
    found = [
        prediction.permutation_p(
            rng.normal(50, 5, 13), rng.uniform(20, 80, 13), range(13), n=199, seed=k
        )
        for k in range(300)
    ]
    assert np.mean(np.array(found) <= 0.05) < 0.085
    assert np.mean(np.array(found) <= 0.5) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize("n", [10, 13, 30])
def test_intervals_cover(n):
    predicted, age = people(200_000, seed=1)
    rng = np.random.default_rng(2)
    blurred = 50 + 0.9 * (predicted - 50) + rng.normal(0, 2, len(age))
    alone = np.arange(len(age))
    true = prediction.accuracy(predicted, age, alone)
    shifted = prediction.change(blurred, predicted, age, alone)
    hits = dict.fromkeys((*prediction.MEASURES, "slope_change", "mae_change"), 0)
    for k in range(300):
        own = slice(k * n, (k + 1) * n)
        given = (age[own], alone[own])
        found = prediction.accuracy(predicted[own], *given)
        found |= prediction.change(blurred[own], predicted[own], *given)
        for name in hits:
            truth = {**true, **shifted}[name]
            hits[name] += found[f"{name}_low"] <= truth <= found[f"{name}_high"]
    # 300 draws of 95 % lie above 91.2 % in 998 of 1000 cases.
    assert min(hits.values()) / 300 > 0.91, hits
