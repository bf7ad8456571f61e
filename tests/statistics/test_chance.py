"""Exact tests against chance: by enumeration and by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    rates_table,
)
from refacebench.statistics import attacks as attacks_module
from refacebench.statistics import chance
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.chance import detectable, poisson_binomial_tail, rank_sum_tail
from refacebench.statistics.trials import trials
from refacebench.vocabulary import OTHER_SESSION, SAME_SCAN


def one(found, setting=OTHER_SESSION, protocol=PROTOCOL, criteria=SETTINGS):
    return evaluate(found, setting, protocol, criteria)


def test_the_exact_test_is_the_binomial_one_where_galleries_are_equal():
    for hits in (0, 1, 3, 13):
        expected = stats.binomtest(hits, 13, 1 / 13, alternative="greater").pvalue
        found = poisson_binomial_tail(hits, np.full(13, 1 / 13))
        assert found == pytest.approx(expected)
    row = one(by_rank([1, 1, 1] + [2] * 10, 13)).row
    assert row["p"] == pytest.approx(stats.binomtest(3, 13, 1 / 13, alternative="greater").pvalue)


def test_unequal_chances_by_enumeration():
    chances = [0.5, 0.25, 0.2]
    exact = 0.0
    for outcome in itertools.product([0, 1], repeat=3):
        if sum(outcome) >= 2:
            exact += math.prod(c if hit else 1 - c for hit, c in zip(outcome, chances, strict=True))
    assert poisson_binomial_tail(2, chances) == pytest.approx(exact)
    assert poisson_binomial_tail(2.9, chances) == pytest.approx(exact)
    assert poisson_binomial_tail(0, chances) == pytest.approx(1)


def test_rank_sums_by_enumeration():
    sizes = [3, 4, 2]
    sums = [sum(r) for r in itertools.product(*(range(1, s + 1) for s in sizes))]
    for total in range(3, 10):
        ranks = [1, 1, total - 2]
        expected = np.mean([s <= total for s in sums])
        assert rank_sum_tail(ranks, sizes) == pytest.approx(expected)


def test_rank_sums_of_many_are_normal(monkeypatch):
    sizes = np.full(60, 50)
    ranks = np.full(60, 22)
    exact = rank_sum_tail(ranks, sizes)
    monkeypatch.setattr(chance, "_EXACT_RANKS", 0)
    assert rank_sum_tail(ranks, sizes) == pytest.approx(exact, rel=0.01)


def test_tests_hold_their_level_under_ignorance():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        ranks = rng.integers(1, 10, 9)
        found.append(attacks_module._tests(trials(by_rank(ranks, 9), OTHER_SESSION)))
    for name in ("p", "p_area"):
        share = np.mean([f[name] < 0.05 for f in found])
        # Two standard errors of a share of 0.05.
        assert share < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean([f["p_area"] < 0.05 for f in found]) > 0.02


def test_detectable_is_the_smallest_number_that_passes():
    chances = np.full(13, 1 / 13)
    share = detectable(chances, 0.05 / 18)
    hits = round(13 * share)
    assert poisson_binomial_tail(hits, chances) < 0.05 / 18
    assert poisson_binomial_tail(hits - 1, chances) >= 0.05 / 18
    assert detectable(np.full(2, 0.5), 0.05) == np.inf


def test_holm_runs_over_all_attackers_and_variants_of_a_setting():
    found = [by_rank([1] * 8, 8, v, a) for v in ("original", "a") for a in ("x", "y")]
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    table = rates_table(results)
    mine = table[table["setting"] == OTHER_SESSION]
    assert set(mine["family_size"]) == {4}
    assert np.allclose(mine["p_holm"], 4 * mine["p"])
    assert set(table.loc[table["setting"] == SAME_SCAN, "family_size"]) == {0}
