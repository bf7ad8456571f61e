"""Gaps between methods: by hand, and in simulation where the truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.gaps import NO_GAP, Reached, paired_gap, worst_gap

CRITERIA = Criteria(n_boot=200, seed=1)


def people(values):
    return pd.Series(values, index=[f"p{i}" for i in range(len(values))], dtype=float)


def reached(*columns, chance=0.2):
    table = pd.DataFrame({k: people(c) for k, c in enumerate(columns)})
    return Reached(table, np.full(len(columns), chance))


def test_plain_hits_have_the_exact_sign_test():
    """Nine given away by the first method only, one by the second only, three by both."""
    first, second = people([1] * 9 + [0] + [1] * 3), people([0] * 9 + [1] + [1] * 3)
    found = paired_gap(first, second, CRITERIA)
    assert found.n == 13
    assert found.gap == pytest.approx(8 / 13)
    exact = stats.binomtest(9, 10, 0.5).pvalue
    assert found.p == pytest.approx(exact, abs=0.005)
    assert 0 < found.low < found.gap < found.high < 1
    turned = paired_gap(second, first, CRITERIA)
    assert (turned.gap, turned.low) == pytest.approx((-found.gap, -found.high), abs=0.01)


def test_nobody_differs_but_the_interval_has_a_width():
    """All alike in 13 people: no more than 25 points, as nobody of 13 says of a rate."""
    found = paired_gap(people([0.2] * 13), people([0.2] * 13), CRITERIA)
    assert (found.gap, found.p) == (0, 1)
    limit = 1 - 0.025 ** (1 / 13)
    assert (found.low, found.high) == pytest.approx((-limit, limit), abs=0.01)


def test_who_lacks_a_score_behind_one_method_is_left_out():
    first, second = people([1, 1, np.nan, 0]), people([0, np.nan, 1, 0])
    assert paired_gap(first, second, CRITERIA)[:2] == (2, 0.5)
    assert paired_gap(first, people([np.nan] * 4), CRITERIA) == NO_GAP


def test_one_route_each_is_the_plain_gap_less_the_chances():
    a, b = [1, 1, 1, 0, 1, 1, 1, 1], [0, 0, 1, 0, 0.5, 0, 0, 0]
    plain = paired_gap(people(a), people(b), CRITERIA)
    found = worst_gap(reached(a), reached(b), CRITERIA)
    assert found == pytest.approx(plain)
    shifted = worst_gap(reached(a, chance=0.3), reached(b), CRITERIA)
    assert (shifted.gap, shifted.low) == pytest.approx((plain.gap - 0.1, plain.low - 0.1))
    assert worst_gap(reached([np.nan] * 8), reached(b), CRITERIA) == NO_GAP


def test_the_worst_route_decides_and_the_others_only_widen():
    a, low = [1.0] * 20, [0.0] * 20
    single = worst_gap(reached(a), reached(low), CRITERIA)
    several = worst_gap(reached(low, a, low), reached(low, low), CRITERIA)
    assert several.gap == single.gap == 1
    assert several.low < single.low < 1
    assert several.low > 0.5
    assert several.p < 0.001


@pytest.mark.parametrize("routes", [1, 3])
def test_intervals_hold_the_gap_and_alike_methods_are_not_told_apart(routes):
    """One method's attack sees nothing (0.2 for all), the other's guesses or picks right."""
    rng = np.random.default_rng(routes)
    covered, errors = [], []
    for _ in range(150):
        blind = [[0.2] * 12] * routes
        guesses = (rng.uniform(size=(routes, 12)) < 0.2).astype(float)
        found = worst_gap(reached(*blind), reached(*guesses), CRITERIA)
        covered.append(found.low <= 0 <= found.high)
        errors.append(found.p < 0.05)
    assert np.mean(covered) >= 0.93
    assert np.mean(errors) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)
