"""Tests of one attack where the truth is known: a small part of benchmarks/privacy_tests.py."""

import numpy as np
import pandas as pd
import pytest

from attacks import SETTINGS, make, scans
from refacebench.statistics import worst
from refacebench.statistics.attack_tests import family_of
from refacebench.statistics.swaps import critical_rate, null_rates, tail
from refacebench.statistics.trials import choice, trials, within
from refacebench.vocabulary import OTHER_SESSION

#: Two standard errors of a share of 5 % in so many repeats.
REPEATS = 200
MOST = 0.05 + 2 * np.sqrt(0.05 * 0.95 / REPEATS)


def ignorant(rng, kind, n=10):
    """An attack that knows nothing: independent, near to the same people, or a matching."""
    distance = rng.normal(size=(n, n))
    if kind == "hubs":
        distance = 0.3 * distance + rng.normal(size=n)
    if kind == "pairs":
        distance[np.arange(n), rng.permutation(n)] = -9
    query = scans(n, 1)
    gallery = query.assign(session="later", scan=query["scan"] + "b")
    return trials(make(distance - distance.min(), query, gallery), OTHER_SESSION)


@pytest.mark.parametrize("worth", [lambda t: within(t, 1), lambda t: choice(t, 5)])
@pytest.mark.parametrize("kind", ["independent", "hubs", "pairs"])
def test_an_attack_that_knows_nothing_is_called_one_at_the_level_only(kind, worth):
    rng = np.random.default_rng(len(kind))
    found = []
    for _ in range(REPEATS):
        t = ignorant(rng, kind)
        found.append(tail(worth(t).mean(), null_rates(t, worth, 0, 300)) < 0.05)
    assert np.mean(found) <= MOST


def test_the_test_is_the_exact_one_of_all_assignments():
    """Three people, each nearest to the own one: one of six assignments names all of them."""
    query = scans(3, 1)
    gallery = query.assign(session="later", scan=query["scan"] + "b")
    t = trials(make(1 - np.eye(3), query, gallery), OTHER_SESSION)
    null = null_rates(t, lambda u: within(u, 1), 0)
    assert tail(1.0, null) == pytest.approx(1 / 6, abs=0.015)
    assert np.bincount(np.round(3 * null).astype(int)) / len(null) == pytest.approx(
        [2 / 6, 3 / 6, 0, 1 / 6], abs=0.02
    )
    assert critical_rate(null, 0.2) == pytest.approx(1)
    assert critical_rate(null, 0.1) == np.inf


def test_a_critical_rate_passes_and_the_next_smaller_one_does_not():
    rng = np.random.default_rng(3)
    null = np.round(rng.uniform(size=2000), 3)
    least = critical_rate(null, 0.05)
    assert tail(least, null) < 0.05 <= tail(null[null < least].max(), null)
    assert critical_rate(np.full(50, 0.2), 0.05) == 1.0
    assert critical_rate(np.full(5, 0.2), 0.05) == np.inf


@pytest.mark.parametrize("kind", ["hits", "known"])
@pytest.mark.parametrize("n", [30, pytest.param(100, marks=pytest.mark.slow)])
def test_an_attack_at_the_margin_is_rarely_said_to_be_within_it(n, kind):
    """Chance 20 %, truth 25 %; beside it three attacks that guess."""
    rng = np.random.default_rng(n)
    found = []
    for _ in range(REPEATS):
        if kind == "hits":
            values = (rng.uniform(size=(n, 4)) < [0.25, 0.2, 0.2, 0.2]).astype(float)
        else:  # a share is recognised for certain, the others' values are those of a guess
            values = rng.uniform(size=(n, 4)) ** 4
            values[rng.uniform(size=n) < 0.0625, 0] = 1.0
        bound = worst.above_chance(pd.DataFrame(values[:, :1]), [0.2], SETTINGS)
        every = worst.above_chance(pd.DataFrame(values), np.full(4, 0.2), SETTINGS)
        assert every >= bound
        found.append(bound < 0.05)
    assert np.mean(found) <= MOST


def test_families_by_what_is_attacked_and_who_attacks():
    def family(variant, attacker="x"):
        return family_of({"variant": variant, "attacker": attacker}, ["skull"])

    assert {family(v) for v in ("pydeface", "pydeface+m", "cpgan_hull")} == {"methods"}
    controls = ("original", "null", "blurred", "black", "skull_strip", "skull_strip+m")
    assert {family(v) for v in controls} == {"controls"}
    assert family("pydeface", "skull") == family("original", "skull") == "looks at no face"
