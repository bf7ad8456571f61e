"""How many participants it takes: known numbers, statsmodels and exact enumeration."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from refacebench.statistics import planning
from running import ROOT


def test_nobody_identified_by_the_published_numbers():
    """59 for 5 %, 299 for 1 %, 29 for 10 % (95 %): ln 0.05 / ln (1 - rate), rounded up."""
    assert [planning.nobody(rate) for rate in (0.05, 0.01, 0.1)] == [59, 299, 29]
    assert planning.nobody(0.05, 0.99) == 90
    assert 0.95**59 < 0.05 < 0.95**58
    assert planning.people_within(0.0, 0.05) == planning.people_within(0.0, 0.05, power=0.9) == 59


def upper(hits, n, level=0.95):
    """The one-sided Clopper-Pearson bound, by statsmodels."""
    return proportion_confint(hits, n, alpha=2 * (1 - level), method="beta")[1]


@pytest.mark.parametrize(("n", "limit"), [(59, 0.05), (58, 0.05), (130, 0.3), (463, 0.25)])
def test_most_hits_have_their_bound_below_the_limit_and_one_more_has_not(n, limit):
    most = int(planning.most_hits(n, limit))
    assert upper(most + 1, n) >= limit
    if n != 58:
        assert upper(most, n) < limit
    else:
        assert most == -1


@pytest.mark.parametrize("power", [0.8, 0.9])
@pytest.mark.parametrize(("chance", "margin"), [(0.2, 0.05), (1 / 13, 0.05), (0.01, 0.02)])
def test_people_within_are_enough_and_one_fewer_is_not(chance, margin, power):
    n = planning.people_within(chance, margin, power=power)

    def reached(people):
        shown = upper(np.arange(people + 1), people) < chance + margin
        return stats.binom.pmf(np.arange(people + 1), people, chance)[shown].sum()

    assert reached(n) >= power > reached(n - 1)
    assert all(reached(more) >= power for more in range(n, n + 10))


def test_people_above_are_enough_and_one_fewer_is_not():
    n = planning.people_above(0.2, 0.4)

    def reached(people):
        p = [stats.binomtest(k, people, 0.2, "greater").pvalue for k in range(people + 1)]
        return stats.binom.pmf(np.arange(people + 1), people, 0.4)[np.array(p) < 0.05].sum()

    assert reached(n) >= 0.8 > reached(n - 1)
    assert all(reached(more) >= 0.8 for more in range(n, n + 10))
    assert planning.fewest_hits(13, 1 / 13) == 4  # 3 of 13: p 0.075; 4: 0.015


def test_a_reachable_margin_is_the_smallest_that_the_people_suffice_for():
    n = planning.people_within(0.2, 0.1)
    reach = planning.margin_within(n, 0.2)
    assert reach <= 0.1
    assert planning.power_within(n, 0.2, reach) >= 0.8 > planning.power_within(n, 0.2, reach - 1e-3)
    assert planning.margin_within(1, 0.2) == pytest.approx(0.75, abs=1e-4)  # 0 of 1: below 0.95
    assert np.isnan(planning.margin_within(1, 0.2, power=0.9))


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (planning.people_within, (0.98, 0.05)),
        (planning.people_within, (0.2, 0.0)),
        (planning.people_within, (0.2, 0.05, 1.0)),
        (planning.people_above, (0.2, 0.2)),
        (planning.people_above, (0.2, 1.2)),
        (planning.people_within, (0.5, 1e-4)),
        (planning.nobody, (0.0,)),
    ],
)
def test_what_cannot_be_planned_is_an_error(function, given):
    with pytest.raises(ValueError, match="between 0 and 1|above chance|would be needed"):
        function(*given)


def test_what_the_documentation_says_of_twenty_people():
    """docs/privacy.md: two attacks with chance at 20 %, and faces left against a limit of 5 %."""
    shown = [float(planning.power_above(20, 0.2, rate, 1 - 0.05 / 2)) for rate in (0.6, 0.5, 0.4)]
    assert [round(100 * power) for power in shown] == [94, 75, 40]
    exceeded = [stats.binom.sf(1, 20, share) for share in (0.2, 0.1)]  # 2 of 20 are more than 5 %
    assert [round(100 * share) for share in exceeded] == [93, 61]
    text = " ".join((ROOT / "docs" / "privacy.md").read_text().split())
    assert (
        "in 94 of 100 studies if it is right for 60 % of people, in 75 if for 50 %, in 40" in text
    )
    assert "the rule's 5 % in 93 of 100, one that leaves every tenth in 61" in text
