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
from refacebench.statistics import attack_tests, chance, paired
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.chance import (
    critical,
    detectable,
    poisson_binomial_tail,
    rank_sum_tail,
)
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
    assert row["p_rank1"] == pytest.approx(
        stats.binomtest(3, 13, 1 / 13, alternative="greater").pvalue
    )


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
        found.append(attack_tests.secondary(trials(by_rank(ranks, 9), OTHER_SESSION)))
    for name in ("p_rank1", "p_area"):
        share = np.mean([f[name] < 0.05 for f in found])
        # Two standard errors of a share of 0.05.
        assert share < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean([f["p_area"] < 0.05 for f in found]) > 0.02


def test_critical_is_the_smallest_number_that_passes():
    chances = np.full(13, 1 / 13)
    share = critical(chances, 0.05 / 18)
    hits = round(13 * share)
    assert poisson_binomial_tail(hits, chances) < 0.05 / 18
    assert poisson_binomial_tail(hits - 1, chances) >= 0.05 / 18
    assert critical(np.full(2, 0.5), 0.05) == np.inf


def test_a_detectable_rate_is_found_with_the_power_and_a_critical_value_is_not():
    """By scipy's binomial; a true rate at the critical value is missed nearly half of the time."""
    for n, base, alpha in ((13, 1 / 13, 0.05 / 18), (13, 0.2, 0.05), (100, 0.2, 0.05)):
        least = critical(np.full(n, base), alpha)
        found = detectable(np.full(n, base), alpha, 0.8)
        power = stats.binom.sf(round(least * n) - 1, n, [found, found - 1e-3, least])
        assert power[0] >= 0.8 > power[1]
        assert power[2] < 0.65
    assert detectable(np.full(2, 0.5), 0.05, 0.8) == np.inf


def test_a_detectable_rate_with_unequal_chances_is_found_in_simulation():
    chances = np.repeat([1 / 5, 1 / 13, 1 / 50], 10)
    rate = detectable(chances, 0.05, 0.8)
    share = (rate - chances.mean()) / (1 - chances.mean())
    rng = np.random.default_rng(3)
    hits = (rng.uniform(size=(4000, 30)) < chances + share * (1 - chances)).sum(axis=1)
    found = np.mean(hits >= round(30 * critical(chances, 0.05)))
    assert found == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 4000))


def test_holm_runs_over_the_attacks_on_methods_and_controls_stand_apart():
    """Otherwise originals, which every attack knows, would shelter a method, or the reverse."""
    rng = np.random.default_rng(1)
    variants = ("original", "null", "black", "blurred", "skull_strip", "a", "b")
    found = [by_rank(rng.integers(1, 9, 8), 8, v, a) for v in variants for a in ("x", "y", "skull")]
    results = evaluate_all(found, PROTOCOL, SETTINGS, ["skull"])
    table = rates_table(results)
    mine = table[table["setting"] == OTHER_SESSION]
    sizes = mine.groupby("family")["family_size"].agg(["first", "count"])
    assert sizes["first"].to_dict() == {"methods": 4, "controls": 10, "looks at no face": 7}
    assert (sizes["first"] == sizes["count"]).all()
    for _, family in mine.groupby("family"):
        assert np.allclose(family["p_holm"], paired.correct(family["p"], "holm"))
    alone = evaluate_all([f for f in found if f.variant in "ab"], PROTOCOL, SETTINGS, ["skull"])
    alone = rates_table(alone).set_index(["variant", "attacker", "setting"])["p_holm"]
    methods = mine.set_index(["variant", "attacker", "setting"])["p_holm"]
    both = [key for key in alone.dropna().index if key[1] != "skull"]
    assert len(both) == 4
    assert (methods[both] == alone[both]).all(), "controls change nothing for a method"
    assert set(table.loc[table["setting"] == SAME_SCAN, "family_size"]) == {0}
