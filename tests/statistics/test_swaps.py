"""If people swapped identities."""

import itertools

import numpy as np
import pytest

from attacks import by_rank, make, resplit_scores, scans
from refacebench.statistics import worst
from refacebench.statistics.attacks import evaluate
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.swaps import as_others, shuffled_rates
from refacebench.statistics.trials import by_person, trials, within
from refacebench.vocabulary import OTHER_SESSION

SETTINGS = Criteria(n_boot=300, seed=2)


PROTOCOL = Protocol()


def only_trials(found):
    return trials(found, OTHER_SESSION)


def test_a_swap_is_what_another_gallery_label_would_give():
    """Taking query i for person j equals giving person j's scan the name of person i."""
    rng = np.random.default_rng(0)
    n = 6
    distance = rng.integers(0, 4, (n, n)).astype(float)
    gallery = scans(n, 1).assign(scan=lambda t: t["scan"] + "b", session="later")
    swapped = as_others(only_trials(make(distance, scans(n, 1), gallery)))
    for shift in range(n):
        order = np.roll(np.arange(n), shift)
        t = only_trials(make(distance[:, order], scans(n, 1), gallery))
        assert (swapped.less[np.arange(n), order] == t.less).all()
        assert (swapped.tied[np.arange(n), order] == t.tied).all()


def test_the_draws_are_all_permutations_alike():
    """Three people: the rate's distribution over draws is that over all six assignments."""
    distance = np.array([[1.0, 2, 3], [2, 1, 3], [1, 2, 3]])
    gallery = scans(3, 1).assign(scan=lambda t: t["scan"] + "b", session="later")
    t = only_trials(make(distance, scans(3, 1), gallery))
    worth = {"rank1": lambda u: within(u, 1)}
    drawn = shuffled_rates(t, worth, Criteria(n_boot=6000))["rank1"]
    nearest = distance.argmin(axis=1)
    exact = [np.mean(nearest == np.array(p)) for p in itertools.permutations(range(3))]
    for value in set(exact):
        assert np.isclose(drawn, value).mean() == pytest.approx(np.mean(np.isclose(exact, value)),
                                                                abs=0.03)  # fmt: skip
    assert np.isclose(drawn[:, None], exact).any(axis=1).all()


def test_a_hub_is_named_once_in_every_draw():
    n = 9
    row = np.arange(n, dtype=float)
    gallery = scans(n, 1).assign(scan=lambda t: t["scan"] + "b", session="later")
    result = evaluate(
        make(np.tile(row, (n, 1)), scans(n, 1), gallery), OTHER_SESSION, PROTOCOL, SETTINGS
    )
    assert result.shuffled["rank1"] == pytest.approx(np.full(300, 1 / n))
    assert result.shuffled["choice"] == pytest.approx(np.full(300, 0.2))


def test_attacks_on_the_same_people_see_the_same_draws():
    first, second = (
        evaluate(by_rank([3, 1, 2, 9, 5, 6, 7, 8, 4], 9, "a", name), OTHER_SESSION,
                         PROTOCOL, SETTINGS)
        for name in "xy"
    )  # fmt: skip
    assert (first.shuffled["choice"] == second.shuffled["choice"]).all()
    one = np.array([first.row["choice"]])
    alone = worst.any_above_chance(one, first.shuffled["choice"][:, None])
    twice = worst.any_above_chance(np.repeat(one, 2), np.tile(first.shuffled["choice"], (2, 1)).T)
    assert twice == alone, "two copies of an attack are one attack"


def test_the_maximum_is_tested_against_the_maximum():
    draws = np.array([[0.1, 0.9], [0.2, 0.1], [0.3, 0.2], [0.9, 0.3]])
    # Highest of its own route's five values, as high as the best draw of it: p = 2/5 each ...
    assert worst.any_above_chance([0.9], draws[:, :1]) == pytest.approx(2 / 5)
    # ... but of the five draws three have a route at least so extreme.
    assert worst.any_above_chance([0.9, 0.0], draws) == pytest.approx(3 / 5)
    assert worst.any_above_chance([1.0, 0.0], draws) == pytest.approx(2 / 5)


def test_resplits_keep_the_level_though_their_models_agree():
    """Twelve people in resplits of six; what an attack sees hardly differs between resplits."""
    rng = np.random.default_rng(4)
    above, means = 0, []
    for seed in range(120):
        found = resplit_scores(seed=seed)
        shared = rng.normal(size=found.distance.shape[1:])
        noise = shared + 0.1 * rng.normal(size=found.distance.shape)
        noise = np.where(np.isfinite(found.distance), noise, np.nan)
        guess = Comparisons("x", "a", noise, found.query, found.gallery, {}, found.resplit)
        t = trials(guess, OTHER_SESSION)
        worth = {"rank1": lambda u: within(u, 1)}
        draws = shuffled_rates(t, worth, SETTINGS)["rank1"]
        rate = by_person(within(t, 1), t, t.scored).mean()
        above += worst.any_above_chance([rate], draws[:, None]) < 0.05
        means.append(draws.mean())
    assert above / 120 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 120)
    assert np.mean(means) == pytest.approx(1 / 6, abs=0.01)
