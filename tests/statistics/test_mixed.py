"""Mixed models: balanced data have a known answer, and nothing stops a run."""

import numpy as np
import pandas as pd
import pytest

from refacebench.statistics import mixed


def cohort(n=16, spread=(0.5, 1.0, 2.0), seed=3, person=1.0, sites=1):
    rng = np.random.default_rng(seed)
    shift = person * rng.normal(size=n)
    return pd.DataFrame(
        [
            {"participant": f"p{i:02d}", "site": f"s{i % sites}", "variant": f"v{k}",
             "value": k + shift[i] + width * rng.normal()}
            for i in range(n)
            for k, width in enumerate(spread)
        ]
    )  # fmt: skip


def test_balanced_data_have_the_paired_means():
    table = cohort()
    found = mixed.fit(table)
    wide = table.pivot(index="participant", columns="variant", values="value")
    np.testing.assert_allclose(found.estimates["estimate"], wide.mean(), atol=1e-9)
    assert (found.n, found.n_values, found.sites, found.fit) == (16, 48, 0, "converged")
    # The variances from the mean squares of people and of the residual.
    residual = wide - wide.mean() - (wide.mean(axis=1) - wide.to_numpy().mean()).to_numpy()[:, None]
    within = (residual**2).to_numpy().sum() / (15 * 2)
    between = (3 * wide.mean(axis=1).var(ddof=1) - within) / 3
    assert found.sd_residual == pytest.approx(np.sqrt(within), rel=1e-3)
    assert found.sd_participant == pytest.approx(np.sqrt(between), rel=1e-3)


def test_the_interval_is_the_bias_reduced_one_of_statsmodels():
    import statsmodels.api as sm
    from scipy import stats

    table = cohort()
    found = mixed.fit(table).estimates
    design = pd.get_dummies(table["variant"]).astype(float)
    model = sm.GEE(table["value"], design, groups=table["participant"],
                   cov_struct=sm.cov_struct.Exchangeable())  # fmt: skip
    error = model.fit(cov_type="bias_reduced").bse.to_numpy()
    half = stats.t.ppf(0.975, 15) * error
    np.testing.assert_allclose((found["high"] - found["low"]) / 2, half, rtol=1e-5)


def test_sites_shift_no_method():
    table = cohort(sites=2)
    table["value"] += np.where(table["site"] == "s1", 7.0, 0.0)
    found = mixed.fit(table)
    assert found.sites == 2
    wide = table.pivot(index="participant", columns="variant", values="value")
    site = table.drop_duplicates("participant").set_index("participant")["site"]
    expected = wide.groupby(site).mean().mean()  # as many people at both sites
    np.testing.assert_allclose(found.estimates["estimate"], expected, atol=1e-9)
    assert found.sd_participant < 2  # 7 between sites is no difference between people


def test_missing_values_borrow_from_the_person():
    table = cohort(40, (0.1, 0.1), person=5.0)
    wide = table.pivot(index="participant", columns="variant", values="value")
    low = wide["v0"].sort_values().index[:15]
    table.loc[(table["variant"] == "v1") & table["participant"].isin(low), "value"] = np.nan
    found = mixed.fit(table).estimates["estimate"]
    assert found["v1"] - found["v0"] == pytest.approx(1.0, abs=0.1)  # not of other people
    rest = wide.drop(index=low)
    assert rest["v1"].mean() - wide["v0"].mean() > 2


def test_small_sites_are_pooled():
    table = cohort(10)
    sites = dict(zip(sorted(set(table["participant"])), "aaaaabbbcd", strict=True))
    table["site"] = table["participant"].map(sites)
    assert set(mixed.pooled_sites(table)) == {"a", "b"}  # two people alone are no level
    table["site"] = table["site"].replace("b", "")
    assert set(mixed.pooled_sites(table)) == {"a", "not recorded"}
    sites = dict(zip(sites, "aaaabbccdd", strict=True))
    table["site"] = table["participant"].map(sites)
    assert set(mixed.pooled_sites(table)) == {"a", "other sites"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (cohort().iloc[:0], "no values"),
        (cohort(2), "too few values"),
        (cohort(12, (1.0,)), "too few values"),
        (cohort().assign(value=1.0), "all values are equal"),
        (cohort().assign(value=np.nan), "too few values"),
    ],
)
def test_what_cannot_be_fitted_is_said(table, said):
    found = mixed.fit(table)
    assert found.estimates.empty
    assert said in found.fit or (said == "no values" and "too few" in found.fit)


def test_people_who_do_not_differ_are_said():
    rng = np.random.default_rng(0)
    table = cohort(20, (1.0, 1.0, 1.0), person=0.0)
    # A person's values spread more than the people do.
    table["value"] = np.tile([-1.0, 0.0, 1.0], 20) + 0.01 * rng.normal(size=60)
    wide = table["value"].to_numpy().reshape(20, 3)
    table["value"] = (wide - wide.mean(axis=1, keepdims=True)).ravel()
    found = mixed.fit(table)
    assert "do not differ" in found.fit
    assert found.sd_participant == pytest.approx(0, abs=1e-3)
    assert len(found.estimates) == 3


def test_the_same_rows_in_another_order_are_the_same_model():
    table = cohort(sites=2)
    mixed_up = table.sample(frac=1, random_state=1)
    one, other = mixed.fit(table).estimates, mixed.fit(mixed_up).estimates
    pd.testing.assert_frame_equal(one, other.loc[one.index])


def test_a_method_that_varies_more_has_a_wider_interval():
    found = mixed.fit(cohort(30, (0.1, 3.0))).estimates
    width = found["high"] - found["low"]
    assert width["v1"] > 2 * width["v0"]
