"""Mixed models with two crossed groupings, held against statsmodels and against the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from refacebench.statistics import crossed


def ratings(rng, people=12, raters=3, effect=0.5, between=(1.0, 0.6), noise=0.5):
    person, rater, condition = (
        grid.ravel()
        for grid in np.meshgrid(range(people), range(raters), (0.0, 1.0), indexing="ij")
    )
    value = 3 + effect * condition + rng.normal(0, noise, person.size)
    value += rng.normal(0, between[0], people)[person] + rng.normal(0, between[1], raters)[rater]
    return value, condition, person, rater


def test_the_likelihood_is_that_of_the_normal_distribution_at_its_maximum():
    value, condition, person, rater = ratings(np.random.default_rng(3))
    design = np.column_stack([np.ones_like(condition), condition])
    found = crossed.fit(value, design, person, rater)
    assert found.converged

    def likelihood(variances, beta):
        same = [(names[:, None] == names).astype(float) for names in (person, rater)]
        covariance = variances[0] * same[0] + variances[1] * same[1]
        covariance += variances[2] * np.eye(len(value))
        return stats.multivariate_normal(design @ beta, covariance).logpdf(value)

    best = likelihood(found.variances, found.estimates)
    assert found.log_likelihood == pytest.approx(best, abs=1e-6)
    for place in range(3):
        for factor in (0.9, 1.1):
            near = np.array(found.variances)
            near[place] *= factor
            assert likelihood(near, found.estimates) < best
    # Balanced: the effect is the difference of means, its error that of the differences.
    assert found.estimates[1] == pytest.approx(
        value[condition == 1].mean() - value[condition == 0].mean()
    )
    assert found.errors[1] == pytest.approx(np.sqrt(2 * found.variances[2] / (len(value) / 2)))


def test_statsmodels_finds_the_same():
    statsmodels = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    value, condition, person, rater = ratings(np.random.default_rng(8))
    table = pd.DataFrame({"y": value, "x": condition, "p": person, "r": rater, "all": 1})
    model = statsmodels.MixedLM.from_formula(
        "y ~ x", table, groups="all", vc_formula={"p": "0 + C(p)", "r": "0 + C(r)"}
    )
    theirs = model.fit(reml=False)
    found = crossed.fit(value, np.column_stack([np.ones_like(value), condition]), person, rater)
    assert found.log_likelihood == pytest.approx(theirs.llf, abs=1e-4)
    np.testing.assert_allclose(found.variances[:2], theirs.vcomp, rtol=0.02)


@pytest.mark.slow
def test_the_likelihood_ratio_rejects_as_often_as_it_says():
    rng, rejected, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        value, condition, person, rater = ratings(rng, people=10, effect=0.0)
        design = np.column_stack([np.ones_like(condition), condition])
        full, null = (crossed.fit(value, design[:, :k], person, rater) for k in (2, 1))
        rejected += crossed.likelihood_ratio(full, null)[2] < 0.05
    assert stats.binomtest(rejected, runs, 0.05).pvalue > 0.001


def test_too_little_to_fit_is_said():
    with pytest.raises(ValueError, match="two levels"):
        crossed.fit([1.0, 2.0, 3.0], np.ones((3, 1)), [0, 1, 2], [0, 0, 0])
