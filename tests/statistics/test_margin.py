"""Equivalence within a margin that rescans tell: exact cases, and errors simulated."""

import numpy as np
import pytest
from scipy import stats

from refacebench.statistics import intervals, paired
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.margin import (
    Rescans,
    Yardstick,
    chance_below,
    lower_bound,
    within,
    within_rescans,
)

# the bound of the rescans' mean ------------------------------------------------------------------


def test_one_difference_by_hand():
    # One value and a zero, weighed at random: the mean is uniform between them.
    np.testing.assert_allclose(chance_below([4.0], [0.0, 1.0, 3.0, 5.0]), [0, 0.25, 0.75, 1])
    assert lower_bound([4.0], 0.05) == pytest.approx(0.2)


def test_two_equal_differences_by_hand():
    # The weight of the zero has the density 2 (1 - w): P(weight of the others <= m) = m^2.
    np.testing.assert_allclose(chance_below([1.0, 1.0], [0.5, 0.1]), [0.25, 0.01])


@pytest.mark.parametrize(("hits", "n"), [(1, 5), (4, 7), (13, 13), (3, 200)])
def test_hits_have_the_exact_binomial_bound(hits, n):
    values = np.r_[np.ones(hits), np.zeros(n - hits)]
    for tail in (0.05, 0.0004):
        exact = stats.beta.ppf(tail, hits, n - hits + 1)
        assert lower_bound(values, tail) == pytest.approx(exact, abs=1e-5)
        assert chance_below(values, [exact])[0] == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("n", [5, 30, 200])
def test_bound_is_that_of_random_weights(n):
    values = np.abs(np.random.default_rng(n).standard_t(3, n))
    draws = intervals.weighed_means(values, 0.0, seed=1)
    at = np.quantile(draws, [0.01, 0.05, 0.5])
    error = 4 * np.sqrt(0.25 / len(draws))
    np.testing.assert_allclose(chance_below(values, at), [0.01, 0.05, 0.5], atol=error)


def test_no_differences_say_nothing():
    assert np.isnan(lower_bound([], 0.05))
    assert np.isnan(within_rescans([0.1, 0.2], []))
    assert np.isnan(within_rescans([], [1.0, 2.0]))
    assert lower_bound([0.0, 0.0, 0.0], 0.05) == 0
    assert within_rescans([0.0] * 6, [0.0] * 6) == 1


# one test ----------------------------------------------------------------------------------------


def test_within_is_the_worst_of_signs_and_signed_ranks():
    changes = np.array([-0.5, -0.2, 0.1, 0.3, 0.4, 0.9, 3.0])
    signs = stats.binomtest(6, 7, alternative="greater").pvalue  # six of seven lie below 1
    below = stats.wilcoxon(changes - 1, alternative="less").pvalue
    assert within(changes, 1.0) == pytest.approx(max(signs, below))
    # A change at the margin is outside.
    assert within([1.0, 0.0, 0.1, 0.2], 1.0) == pytest.approx(5 / 16)
    assert within([0.5] * 5, 1.0) == pytest.approx(1 / 32)


def test_p_value_is_the_smallest_level_that_rejects():
    rng = np.random.default_rng(3)
    for n, rescans in ((8, 9), (13, 13), (40, 25)):
        changes, differences = 0.2 * rng.normal(size=n), np.abs(rng.normal(size=rescans))
        p = within_rescans(changes, differences)
        assert 2.0**-n <= p < 0.5
        assert within(changes, lower_bound(differences, p)) <= p
        # Margins are tried in steps, so that the p value may be a little too large.
        lower = 0.7 * p
        assert within(changes, lower_bound(differences, lower)) > lower or p < 2.0 ** (2 - n)


def test_p_value_falls_with_surer_rescans_and_never_below_that_of_the_known_margin():
    rng = np.random.default_rng(5)
    changes = 0.3 * rng.normal(size=20)
    differences = np.abs(rng.normal(size=10))
    few, many = (within_rescans(changes, np.repeat(differences, k)) for k in (1, 8))
    assert within(changes, differences.mean()) <= many < few


def test_the_cap_holds_whatever_the_rescans_say():
    rng = np.random.default_rng(1)
    noisy = 10 + np.abs(rng.normal(size=50))
    changes = 3 + 0.1 * rng.normal(size=30)
    assert within_rescans(changes, noisy) < 1e-6
    assert within_rescans(changes, noisy, cap_pct=2.0) > 0.99
    small = 0.1 * rng.normal(size=30)
    capped = within_rescans(small, noisy, cap_pct=2.0)
    assert capped == pytest.approx(within(small, 2.0))


@pytest.mark.parametrize(
    ("differences", "settings", "expected"),
    [
        ([9.0] * 20, {}, (2.0, "cap")),
        ([9.0] * 20, {"largest_acceptable_change_pct": 3.0}, (3.0, "cap")),
        ([9.0] * 4, {}, (2.0, "config")),
        ([9.0] * 4, {"equivalence_margin_pct": 5.0}, (2.0, "cap")),
        ([0.5] * 20, {"equivalence_margin": "fixed", "equivalence_margin_pct": 1}, (1, "config")),
    ],
)
def test_yardstick_names_its_source(differences, settings, expected):
    yardstick = Yardstick(differences, Criteria(**settings))
    assert yardstick.margin == expected
    changes = [0.1, -0.2, 0.3, 0.1, 0.05, -0.1]
    assert yardstick.p_value(changes) == pytest.approx(within(changes, expected[0]), abs=2e-3)


def test_yardstick_of_rescans_uses_their_lower_bound():
    differences = np.linspace(0.2, 1.4, 13)
    yardstick = Yardstick(differences, Criteria())
    assert yardstick.margin == (lower_bound(differences, 0.05), "rescan")
    assert 0.4 < yardstick.margin[0] < 0.7 < differences.mean()


# errors, simulated -------------------------------------------------------------------------------

SHAPES = {
    "normal": (lambda rng, n: rng.normal(size=n), np.sqrt(2 / np.pi)),
    "heavy": (lambda rng, n: rng.standard_t(3, size=n), 2 * np.sqrt(3) / np.pi),
    "skewed": (lambda rng, n: rng.exponential(size=n) - np.log(2), np.log(2)),
}
REPEATS = 300
#: 5 %, and three standard errors of so many repeats.
ALLOWED = 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPEATS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("people", "rescans"), [(5, 5), (13, 5), (13, 30), (200, 13)])
def test_error_is_held_where_the_change_is_the_true_margin(shape, people, rescans):
    draw, true = SHAPES[shape]
    rng = np.random.default_rng([people, rescans])
    errors, before = [], []
    for number in range(REPEATS):
        differences = np.abs(draw(rng, rescans))
        side, spread = (1, -1)[number % 2], (0.1, 1.0)[number // 2 % 2]
        changes = side * true + spread * draw(rng, people)
        errors.append(within_rescans(changes, differences) < 0.05)
        before.append(paired.tost(changes, differences.mean()) < 0.05)
    assert np.mean(errors) <= ALLOWED
    if people > 5:
        assert np.mean(before) > 2 * ALLOWED  # the margin taken for known


def test_error_is_held_where_the_same_people_were_rescanned():
    rng = np.random.default_rng(9)
    true = SHAPES["normal"][1]
    errors = []
    for _ in range(REPEATS):
        signed = rng.normal(size=13)
        # The worst that could be: whoever differs more between scans changes less.
        order = np.argsort(np.argsort(-np.abs(signed)))
        changes = true + np.sort(rng.normal(size=13))[order]
        errors.append(within_rescans(changes, np.abs(signed)) < 0.05)
    assert np.mean(errors) <= ALLOWED


def test_skewed_changes_pass_signed_ranks_but_not_signs():
    rng = np.random.default_rng(2)
    drawn = [2.0 - (rng.exponential(size=100) - np.log(2)) for _ in range(REPEATS)]  # median 2
    assert np.mean([within(changes, 2.0) < 0.05 for changes in drawn]) <= ALLOWED
    assert np.mean([paired.tost(changes, 2.0) < 0.05 for changes in drawn]) > 0.3


@pytest.mark.slow
def test_family_wise_error_is_held_where_variants_share_the_rescans():
    rng = np.random.default_rng(4)
    draw, true = SHAPES["normal"]
    repeats, errors = 100, []
    for _ in range(repeats):
        yardsticks = [Rescans(np.abs(draw(rng, 30))) for _ in range(18)]
        p = [y.p_value(true + 0.1 * draw(rng, 30)) for y in yardsticks for _ in range(3)]
        errors.append((paired.correct(p, "holm") < 0.05).any())
    assert np.mean(errors) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_it_can_say_yes():
    rng = np.random.default_rng(6)
    differences = np.abs(rng.normal(size=30))
    assert within_rescans(0.1 * rng.normal(size=13), differences) < 0.05 / 126
