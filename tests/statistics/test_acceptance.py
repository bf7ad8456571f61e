"""What a random sample says of those that nobody looked at: known answers, exact coverage."""

import numpy as np
import pytest
from scipy import stats

from refacebench.statistics import acceptance
from refacebench.statistics.intervals import clopper_pearson

LEVEL = 0.95


def by_hand(population, looked_at, failures, level=LEVEL):
    """The largest number of failures left that is possible, found by trying all of them."""
    rest = population - looked_at
    fits = [
        left
        for left in range(rest + 1)
        if stats.hypergeom.cdf(failures, population, failures + left, looked_at) > 1 - level
    ]
    return max(fits)


@pytest.mark.parametrize("population", [1, 7, 20])
def test_the_bound_is_the_largest_number_that_is_possible(population):
    for looked_at in range(population + 1):
        for failures in range(looked_at + 1):
            found = acceptance.left_over(population, looked_at, failures)
            assert found.most == by_hand(population, looked_at, failures)
            assert found.share == (found.most / (population - looked_at) if found.most else 0)


def test_all_seen_leaves_nothing_and_none_seen_leaves_everything():
    assert acceptance.left_over(30, 30, 4) == (0, 0.0)
    assert acceptance.left_over(30, 0, 0) == (30, 1.0)


def test_in_a_large_population_it_is_clopper_and_pearson():
    for looked_at, failures in ((59, 0), (100, 3), (300, 20)):
        found = acceptance.left_over(2_000_000, looked_at, failures).share
        # One-sided 95 % is the upper end of the two-sided 90 % interval.
        assert found == pytest.approx(clopper_pearson(failures, looked_at, 0.90)[1], rel=2e-3)


def test_numbers_that_cannot_be_are_refused():
    for given in ((5, 6, 0), (5, 3, 4), (5, 3, -1)):
        with pytest.raises(ValueError, match="these numbers are impossible"):
            acceptance.left_over(*given)


@pytest.mark.parametrize("population", [13, 60, 500, 5000])
def test_so_many_are_needed_and_not_one_fewer(population):
    n = acceptance.needed(population, 0.05)
    assert acceptance.left_over(population, n, 0).share < 0.05
    assert acceptance.left_over(population, n - 1, 0).share >= 0.05


@pytest.mark.parametrize("population", [13, 60, 500])
def test_the_bound_holds_as_often_as_it_says(population):
    """Every number of failures, the sample size that the page prints and a smaller one.

    The chance of each outcome of the sample is exact, so nothing is left to luck.
    """
    for looked_at in (acceptance.needed(population, 0.05), population // 4):
        rest = population - looked_at
        bounds = [acceptance.left_over(population, looked_at, f).most for f in range(looked_at + 1)]
        for failing in range(0, population + 1, max(1, population // 50)):
            seen = np.arange(looked_at + 1)
            chance = stats.hypergeom.pmf(seen, population, failing, looked_at)
            possible = chance > 0
            holds = np.array(bounds)[possible] >= failing - seen[possible]
            assert chance[possible][holds].sum() >= LEVEL - 1e-9, (looked_at, failing, rest)


def test_the_bound_holds_in_strata_and_after_looking_at_the_doubtful():
    """As the page is used: the doubtful are looked at first, then a sample of the rest.

    Doubt goes with failure; the bound of all and that of each class hold all the same.
    """
    rng = np.random.default_rng(7)
    population, listed, drawn, runs = 200, 40, 50, 400
    good = {"all": 0, "close": 0, "clear": 0}
    for _ in range(runs):
        doubt = rng.uniform(size=population)
        bad = rng.uniform(size=population) < 0.3 * doubt**2
        order = np.argsort(-doubt)
        rest = order[listed:]
        sample = rng.permutation(rest)[:drawn]
        for name, inside in (("all", doubt >= 0), ("close", doubt >= 0.5), ("clear", doubt < 0.5)):
            mine, looked = rest[inside[rest]], sample[inside[sample]]
            bound = acceptance.left_over(len(mine), len(looked), int(bad[looked].sum()))
            left = int(bad[mine].sum() - bad[looked].sum())
            good[name] += bound.most >= left
    # With a true coverage of 95 % fewer than 92 % of 400 would hold once in 200 tries.
    assert min(good.values()) / runs >= 0.92, good
