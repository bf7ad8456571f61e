"""The Hodges-Lehmann shift: a published example, SciPy's test, and coverage."""

import numpy as np
import pytest
from scipy import stats

from refacebench.statistics.shifts import MOST_COUNTED, rank_order, shift

# Depression scale before and after tranquilliser (Hollander & Wolfe 1973, table 3.1).
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])


def test_published_example():
    found, low, high = shift(AFTER - BEFORE, 0.95)
    assert found == pytest.approx(-0.46)
    assert (low, high) == (pytest.approx(-0.786), pytest.approx(-0.010))


@pytest.mark.parametrize("n", [8, 13, 40, MOST_COUNTED + 20])
def test_the_interval_is_what_the_test_does_not_reject(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    _, low, high = shift(values, 0.95)
    options = {"method": "exact" if n <= MOST_COUNTED else "approx", "correction": True}
    for end, inwards in ((low, 1e-6), (high, -1e-6)):
        inside = stats.wilcoxon(values - (end + inwards), **options).pvalue
        outside = stats.wilcoxon(values - (end - inwards), **options).pvalue
        assert inside > 0.05 >= outside


def test_too_few_have_no_interval_and_none_has_nothing():
    assert rank_order(5, 0.95) == 0  # the smallest two-sided p of five is 1/16
    found = shift([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found[0] == 3
    assert np.isnan(found[1:]).all()
    assert np.isnan(shift([np.nan])).all()
    assert shift([1.0, np.nan, 3.0])[0] == 2


def test_counted_and_normal_agree_where_they_meet(monkeypatch):
    exact = rank_order(MOST_COUNTED, 0.95)
    monkeypatch.setattr("refacebench.statistics.shifts.MOST_COUNTED", 5)
    assert abs(rank_order.__wrapped__(MOST_COUNTED, 0.95) - exact) <= 1


@pytest.mark.parametrize("n", [10, 13, 30])
def test_coverage_in_few_participants(n):
    rng = np.random.default_rng(n)
    held = [low <= 0 <= high for _, low, high in (shift(rng.standard_t(3, n)) for _ in range(600))]
    assert np.mean(held) >= 0.93
