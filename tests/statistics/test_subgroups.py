"""Subgroups: the permutation test against SciPy, its level, and age bands."""

import numpy as np
import pytest
from scipy import stats

from refacebench.statistics import subgroups


def test_statistic_is_that_of_kruskal_and_wallis_with_ties():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 8, 40).astype(float)
    groups = np.repeat(["a", "b", "c"], [10, 10, 20])
    found, p = subgroups.interaction(values, groups)
    expected = stats.kruskal(*[values[groups == g] for g in "abc"])
    assert found == pytest.approx(expected.statistic)
    assert p == pytest.approx(expected.pvalue, abs=0.02)


def test_two_groups_by_hand():
    # All of one group above all of the other: 2 of the 20 ways to choose three of six.
    _, p = subgroups.interaction([1, 2, 3, 11, 12, 13], list("aaabbb"))
    assert p == pytest.approx(0.1, abs=0.01)


def test_nothing_to_compare():
    assert np.isnan(subgroups.interaction([1, 2, 3], ["a"] * 3)).all()
    assert np.isnan(subgroups.interaction([1, np.nan, np.nan], list("abb"))).all()
    assert subgroups.interaction([1, 1, 1, 1], list("aabb")) == (0.0, 1.0)


def test_the_same_seed_gives_the_same_p():
    values, groups = np.random.default_rng(2).normal(size=20), ["a", "b"] * 10
    one, again, other = (subgroups.interaction(values, groups, seed)[1] for seed in (1, 1, 2))
    assert one == again != other


def test_the_level_holds_with_a_group_of_two():
    rng, groups = np.random.default_rng(5), ["a"] * 2 + ["b"] * 5 + ["c"] * 6
    p = [subgroups.interaction(rng.standard_t(3, 13), groups, 1, 999)[1] for _ in range(600)]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


def test_age_bands():
    assert subgroups.bands([18, 65, 64.9], [65, 50]) == ["under 50", "65 and over", "50 to 65"]
    assert subgroups.band_names([]) == ["all ages"]
    assert subgroups.bands([30, np.nan], []) == ["all ages", ""]
