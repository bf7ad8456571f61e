"""Agreement: published examples, and whether intervals hold what they say."""

import numpy as np
import pytest
from scipy import stats

from refacebench.statistics import agreement

# Six targets, four judges (Shrout & Fleiss 1979, table 2).
JUDGED = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]]
)
# Peak flow by a large and a small meter (Bland & Altman 1986, table 1).
LARGE = np.array(
    [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427.0]
)
SMALL = np.array(
    [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451.0]
)


def test_icc_of_a_published_example():
    found = agreement.icc_a1(JUDGED)
    # .29 in the paper; the interval as the R package psych prints it.
    assert found == (pytest.approx(0.29, abs=5e-3), pytest.approx(0.019, abs=5e-4),
                     pytest.approx(0.761, abs=5e-4))  # fmt: skip


def test_icc_from_the_variances_of_a_linear_model():
    """Absolute agreement is the share of the participants' variance, by expected mean squares."""
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(3)
    values = rng.normal(size=(20, 1)) + [0, 0.4] + 0.5 * rng.normal(size=(20, 2))
    frame = {"y": values.ravel(), "who": np.repeat(np.arange(20), 2), "how": np.tile([0, 1], 20)}
    squares = anova_lm(smf.ols("y ~ C(who) + C(how)", frame).fit())["sum_sq"]
    ms = squares / [19, 1, 19]
    people, how = (ms["C(who)"] - ms["Residual"]) / 2, (ms["C(how)"] - ms["Residual"]) / 20
    assert agreement.icc_a1(values)[0] == pytest.approx(people / (people + how + ms["Residual"]))


def test_icc_of_no_and_of_perfect_agreement():
    assert agreement.icc_a1(np.column_stack([LARGE, LARGE])) == (1.0, 1.0, 1.0)
    assert np.isnan(agreement.icc_a1(np.ones((5, 2)))).all()
    assert np.isnan(agreement.icc_a1(JUDGED[:2])).all()
    holed = np.vstack([JUDGED, [np.nan, 1, 2, 3]])
    assert agreement.icc_a1(holed) == agreement.icc_a1(JUDGED)


def test_limits_of_a_published_example():
    found = agreement.limits(LARGE - SMALL)
    assert found["n"] == 17
    assert found["bias"] == pytest.approx(-2.1, abs=0.05)
    assert found["sd"] == pytest.approx(38.8, abs=0.05)
    assert found["lower"] == pytest.approx(found["bias"] - stats.norm.ppf(0.975) * found["sd"])
    # The interval of the bias is in the paper: -22.0 to 17.8.
    assert (found["bias_low"], found["bias_high"]) == (pytest.approx(-22.0, abs=0.1),
                                                       pytest.approx(17.8, abs=0.1))  # fmt: skip


def test_changes_that_are_not_normal_are_noticed():
    values = np.random.default_rng(1).normal(size=30)
    assert agreement.limits(values)["p_normal"] == pytest.approx(stats.shapiro(values).pvalue)
    assert agreement.limits(np.append(values, 12.0))["p_normal"] < 1e-4
    assert np.isnan(agreement.limits(np.ones(9))["p_normal"])


def test_limits_are_a_mirror_image_and_few_have_none():
    found, turned = agreement.limits(LARGE - SMALL), agreement.limits(SMALL - LARGE)
    for one, other in (("lower", "upper"), ("lower_low", "upper_high"), ("bias_low", "bias_high")):
        assert found[one] == pytest.approx(-turned[other])
    assert np.isnan(agreement.limits([1.0, 2.0])["lower"])
    assert agreement.limits([1.0, 2.0, np.nan])["n"] == 2
    assert agreement.limits([0.0, 0.0, 0.0, 0.0])["upper_high"] == 0.0


@pytest.mark.parametrize("n", [10, 30])
def test_intervals_of_limits_hold_as_often_as_they_say(n):
    rng, held = np.random.default_rng(n), []
    true = stats.norm.ppf(0.975)
    for _ in range(800):
        found = agreement.limits(rng.normal(size=n))
        held.append(found["upper_low"] <= true <= found["upper_high"])
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 800))


@pytest.mark.parametrize("n", [10, 30])
def test_intervals_of_icc_hold_as_often_as_they_say(n):
    rng, held = np.random.default_rng(n), []
    for _ in range(800):
        values = rng.normal(size=(n, 1)) + 0.2 * rng.normal(size=(n, 2))
        _, low, high = agreement.icc_a1(values)
        held.append(low <= 1 / 1.04 <= high)
    assert np.mean(held) >= 0.93


def test_proportional_bias_is_found_and_only_where_it_is():
    rng = np.random.default_rng(1)
    original = rng.uniform(400, 700, 30)
    found = agreement.proportional(original, 1.1 * original)
    assert found["slope"] == pytest.approx(0.1 / 1.05)
    assert found["slope_p"] < 1e-10
    shifted = agreement.proportional(original, original + 30 + rng.normal(0, 5, 30))
    assert shifted["slope_low"] < 0 < shifted["slope_high"]
    assert np.isnan(agreement.proportional([1, 1, 1, 1], [1, 1, 1, 1])["slope"])
