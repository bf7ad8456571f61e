"""The worst of several attacks: chance calls nobody identified; simulated."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from loading import load
from refacebench.statistics import worst
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=300, seed=2)


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    return load(ROOT / "benchmarks/worst_case.py")


@pytest.fixture(scope="module")
def simulated(benchmark):
    """A small part of the benchmark: 13 people, ten routes, 60 repeats."""
    return benchmark.table([13], [10], 60, 1).set_index(["known", "correlation", "measure"])


def test_chance_is_not_called_an_identification(simulated):
    """Ten routes that know nothing: the errors are nominal, those of the former interval not."""
    chance = simulated.xs(0, level="known")
    # Two standard errors of 5 % in 60 repeats.
    most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)
    assert (chance["error_interval"] <= most).all()
    assert (chance["error_test"] <= most).all()
    assert (chance.loc[0.0, "error_before"] > 0.5).all()


def test_the_interval_holds_the_true_worst_case(simulated):
    """Whether nobody, one route or all of them know people."""
    assert (simulated["covered"] >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 60)).all()


def test_the_point_does_not_rise_with_the_number_of_routes(simulated):
    chance = simulated.loc[0].loc[0.0]
    # Mean of 60 estimates, each of which varies by about 0.1.
    assert (chance["bias"].abs() < 0.04).all()
    assert (chance["bias_largest"] > 0.1).all()


def test_methods_that_are_alike_are_not_ranked(simulated):
    assert (simulated["error_rank"].dropna() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)).all()


@pytest.mark.parametrize("measure", ["rank1", "choice"])
def test_unequal_galleries_share_one_level(measure, benchmark):
    """Routes with galleries of 6 and of 26 people, by ranks that know nothing."""
    rng = np.random.default_rng(8)
    above = 0
    for _ in range(150):
        sizes = np.array([6, 6, 6, 26])
        ranks = rng.integers(1, sizes + 1, (13, 4))
        if measure == "rank1":
            values, chances = (ranks == 1).astype(float), 1 / sizes
        else:
            values = np.stack([stats.hypergeom.pmf(4, s - 1, s - ranks[:, k], 4)
                               for k, s in enumerate(sizes)], axis=1)  # fmt: skip
            chances = np.full(4, 0.2)
        low, high = worst.interval(pd.DataFrame(values), chances, SETTINGS)
        looks_worst = chances[np.argmax(values.mean(axis=0) - chances)]
        above += low > looks_worst
        assert low <= high
    assert above / 150 <= 0.05


def test_one_route_is_its_own_rate():
    table = pd.DataFrame({"x": [1.0, 0, 0.5, np.nan]})
    assert worst.picked_elsewhere(table, [0.2], SETTINGS) == pytest.approx(0.5)
    copies = pd.concat([table] * 8, axis=1)
    assert worst.picked_elsewhere(copies, [0.2] * 8, SETTINGS) == pytest.approx(0.5)


def test_a_route_that_is_always_picked_keeps_its_rate():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": np.repeat([1.0, 0.0], [12, 1]), "y": rng.uniform(0, 0.3, 13)})
    found = worst.picked_elsewhere(table, [0.2, 0.2], SETTINGS)
    assert found == pytest.approx(12 / 13)
    low, high = worst.interval(table, [0.2, 0.2], SETTINGS)
    # Half of the error below each end; below, shared by two routes.
    assert low == pytest.approx(stats.beta.ppf(0.0125, 12, 2))
    assert high == pytest.approx(stats.beta.ppf(0.975, 13, 1))
