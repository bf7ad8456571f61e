"""Statistics: tests and intervals against other libraries and by hand, tables by rule."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import factories
from factories import TABLE_COLUMNS, make_tables
from refacebench import manifest
from refacebench.report import latex
from refacebench.report.tables import write as write_tables
from refacebench.results import catalogue
from refacebench.results.changes import compute as changes_table
from refacebench.results.flow import StageManifest, follow
from refacebench.results.flow import summary as flow_summary
from refacebench.results.overlap import compute as overlap_table
from refacebench.results.quality import compute as quality_table
from refacebench.results.repeatability import compute as repeatability_table
from refacebench.results.result import View
from refacebench.results.runtime import compute as runtime_table
from refacebench.results.similarity import compute as similarity_table
from refacebench.results.truth import compute as truth_table
from refacebench.results.volume_tests import FAMILIES
from refacebench.results.volumes import compute as volumes_table
from refacebench.results.volumes_over import compute as volumes_over_table
from refacebench.statistics import cohort, intervals, paired
from refacebench.statistics.cohort import once
from refacebench.statistics.settings import Settings
from refacebench.vocabulary import GLOBALS, REGIONS

everything = {result.name: result for result in catalogue.everything()}
QUICK = Settings(n_boot=200)
BOOT = {"n_boot": 1000, "seed": 1}


@pytest.fixture(scope="module")
def made():
    return factories.tables()


def only(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1, f"{len(table)} rows for {where}"
    return table.iloc[0]


def volumes_of(table, settings=QUICK):
    order = cohort.variants_of(table)
    return volumes_table(table, settings, order, repeatability_table(table, settings))


# intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 7), (7, 7), (67, 1022), (1, 1)])
def test_wilson_is_that_of_statsmodels(successes, n):
    from statsmodels.stats.proportion import proportion_confint

    expected = proportion_confint(successes, n, alpha=0.05, method="wilson")
    np.testing.assert_allclose(intervals.wilson(successes, n), expected, atol=1e-12)


def test_wilson_without_scans_is_nan():
    assert np.isnan(intervals.wilson(0, 0)).all()


def test_share_of_single_scans_is_plain_wilson():
    flags, persons = [1, 0, 0, 1, 0], list("abcde")
    assert intervals.share(flags, persons) == (0.4, *intervals.wilson(2, 5))


def test_copied_sessions_do_not_narrow_a_share():
    flags, persons = np.array([1, 0, 0, 1, 0, 0]), np.array(list("abcdef"))
    _, low, high = intervals.share(flags, persons)
    _, low2, high2 = intervals.share(np.repeat(flags, 5), np.repeat(persons, 5))
    naive = intervals.wilson(10, 30)
    assert high2 - low2 >= high - low
    assert high2 - low2 > (naive[1] - naive[0]) * 1.5


def test_design_effect_of_copies_by_hand():
    # Four people, two copies each, two of them positive: residuals +-1, so the clustered
    # variance is 4/3 * 4 / 64 = 1/12; binomial 0.25 / 8 = 1/32; the ratio is 8/3.
    flags = [1, 1, 1, 1, 0, 0, 0, 0]
    assert intervals.design_effect(flags, list("aabbccdd")) == pytest.approx(8 / 3)
    # No variance to judge by: two copies count as one scan.
    assert intervals.design_effect([0] * 8, list("aabbccdd")) == 2.0


def test_bootstrap_equals_resampling_by_index():
    values = np.array([3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0])
    counts = intervals.resample_counts(len(values), 500, 3)
    samples = np.array([np.repeat(values, row) for row in counts])
    assert samples.shape == (500, 7)
    for function, statistic in (
        (intervals.bootstrap_mean, np.mean),
        (intervals.bootstrap_median, np.median),
    ):
        low, high = function(values, n_boot=500, seed=3)
        expected = np.quantile(statistic(samples, axis=1), [0.025, 0.975])
        np.testing.assert_allclose((low, high), expected, atol=1e-12)


def test_bootstrap_median_of_an_even_number():
    values = np.array([3.0, -1.0, 4.0, 10.0])
    counts = intervals.resample_counts(4, 300, 5)
    medians = [np.median(np.repeat(values, row)) for row in counts]
    expected = np.quantile(medians, [0.025, 0.975])
    np.testing.assert_allclose(intervals.bootstrap_median(values, n_boot=300, seed=5), expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=30), st.integers(0, 10))
def test_bootstrap_of_symmetric_data_contains_its_centre(half, seed):
    values = np.concatenate([half, -np.array(half)])
    low, high = intervals.bootstrap_mean(values, n_boot=500, seed=seed)
    assert low <= 1e-9
    assert high >= -1e-9
    assert (low, high) == intervals.bootstrap_mean(values, n_boot=500, seed=seed)


def test_bootstrap_depends_on_the_seed():
    values = np.arange(10.0) ** 2
    assert intervals.bootstrap_mean(values, n_boot=200, seed=1) != intervals.bootstrap_mean(
        values, n_boot=200, seed=2
    )


def test_bootstrap_covers_the_true_mean():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = intervals.bootstrap_mean(rng.normal(2, 1, 40), n_boot=300, seed=seed)
        hits += low <= 2 <= high
    assert 0.88 <= hits / 200 <= 0.99  # nominal 0.95, binomial sd 0.015, small-sample bias


def test_bootstrap_by_participant_is_wider_than_by_scan():
    person = np.repeat([f"p{i}" for i in range(10)], 4)
    scans = pd.Series(np.repeat(np.arange(10.0), 4))
    by_person = cohort.by_participant(scans, pd.Series(person))
    low, high = intervals.bootstrap_mean(by_person, **BOOT)
    naive_low, naive_high = intervals.bootstrap_mean(scans, **BOOT)
    assert high - low > 1.6 * (naive_high - naive_low)  # expected: twice, for four copies


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, 2.0]])
def test_one_person_has_no_interval(values):
    assert np.isnan(intervals.bootstrap_mean(values, **BOOT)).all()
    assert np.isnan(intervals.bootstrap_median(values, **BOOT)).all()
    assert np.isnan(paired.rank_biserial_interval(values, **BOOT)).all()


# paired tests -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 20, 60])
@pytest.mark.parametrize("zero_method", ["pratt", "wilcox", "zsplit"])
def test_wilcoxon_is_that_of_scipy(n, zero_method):
    rng = np.random.default_rng(n)
    before = rng.normal(100, 10, n)
    after = before + rng.normal(0.5, 1, n)
    after[0] = before[0]
    expected = stats.wilcoxon(after, before, zero_method=zero_method)
    found = paired.wilcoxon(after - before, zero_method)
    np.testing.assert_allclose(found, (expected.statistic, expected.pvalue), rtol=1e-9)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("zero_method", ["pratt", "wilcox", "zsplit"])
def test_with_ties_and_zeros_p_is_the_same_to_the_last_bit(zero_method, alternative):
    """Counted here, gone through one by one there: up to 13 differences nothing is sampled."""
    rng = np.random.default_rng(3)
    for n in (2, 5, 8, 9):
        values = rng.integers(-3, 4, n) * 0.5
        values[0] = 1.5  # not all of them zero
        expected = stats.wilcoxon(values, zero_method=zero_method, alternative=alternative)
        found = paired.wilcoxon(values, zero_method, alternative)
        assert found == (expected.statistic, expected.pvalue)


def test_wilcoxon_is_exact_for_few():
    # Five rises: the extreme one of 2^5 sign patterns on either side.
    assert paired.wilcoxon([1, 2, 3, 4, 5.0]) == (0.0, 2 / 32)
    # Ties and a zero: enumeration of all sign patterns by hand.
    values = np.array([0.0, 1.0, 1.0, 2.0, -2.0])
    ranks = stats.rankdata(np.abs(values))
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    totals = (signs * (ranks * (values != 0))).sum(axis=1)
    observed = (np.sign(values) * ranks).sum()
    assert paired.wilcoxon(values)[1] == pytest.approx((np.abs(totals) >= observed).mean())


def test_degenerate_differences():
    assert paired.wilcoxon([0.0, 0.0, 0.0]) == (0.0, 1.0)
    assert np.isnan(paired.wilcoxon([])).all()
    assert np.isnan(paired.wilcoxon([np.nan])).all()
    assert paired.wilcoxon([2.0])[1] == 1.0
    # Equal changes tie although 0.1 + 0.2 is not 0.3 in floating point.
    assert paired.wilcoxon([0.1 + 0.2, -0.3, 0.3]) == paired.wilcoxon([0.3, -0.3, 0.3])


def test_rank_biserial_by_hand():
    # |d| ranks 1 2 3 4, the second falls: (1 + 3 + 4 - 2) / 10.
    assert paired.rank_biserial([1, -2, 3, 4]) == pytest.approx(0.6)
    # Ties share the mean rank 1.5: (1.5 - 1.5 + 3) / 6.
    assert paired.rank_biserial([1, -1, 2]) == pytest.approx(0.5)
    # Zeros keep their ranks in the denominator: rank 4 of 10.
    assert paired.rank_biserial([0, 0, 0, 5]) == pytest.approx(0.4)
    assert paired.rank_biserial([0, 0]) == 0.0
    assert np.isnan(paired.rank_biserial([]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=15), st.integers(0, 5))
def test_rank_biserial_of_resamples_is_that_of_the_drawn_values(values, seed):
    values = np.array(values, dtype=float)
    counts = intervals.resample_counts(len(values), 20, seed)
    expected = []
    for row in counts:
        drawn = np.repeat(values, row)
        ranks = stats.rankdata(np.abs(drawn))
        expected.append((ranks * np.sign(drawn)).sum() / ranks.sum())
    np.testing.assert_allclose(paired._rank_biserial(values, counts), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=20))
def test_rank_biserial_is_odd_and_bounded(values):
    values = np.array(values)
    assert paired.rank_biserial(values) == pytest.approx(1.0)
    assert paired.rank_biserial(-values) == pytest.approx(-1.0)


def test_tost_known_cases():
    inside = np.array([0.1, -0.2, 0.15, -0.05, 0.3, -0.12])
    assert paired.tost(inside, 1.0) == pytest.approx(1 / 64)  # all above -1 and all below +1
    assert paired.tost(inside + 2, 1.0) == 1.0  # all beyond the margin
    assert paired.tost([0.0, 0.0], 0.0) == 1.0
    assert np.isnan(paired.tost([], 1.0))
    assert np.isnan(paired.tost(inside, np.nan))


def test_tost_is_the_worse_of_two_scipy_tests():
    values = np.random.default_rng(0).normal(0.3, 1, 30)
    expected = max(
        stats.wilcoxon(values + 1, alternative="greater").pvalue,
        stats.wilcoxon(values - 1, alternative="less").pvalue,
    )
    assert paired.tost(values, 1.0) == pytest.approx(expected)


def test_not_significant_is_not_equivalent():
    wide = np.random.default_rng(3).normal(0, 5, 10)
    assert paired.wilcoxon(wide)[1] > 0.05
    assert paired.tost(wide, 1.0) > 0.05


def test_corrections_by_hand():
    p = [0.01, 0.04, 0.03, np.nan, 0.005]
    # Sorted 0.005 0.01 0.03 0.04 times 4 3 2 1, running maximum.
    np.testing.assert_allclose(paired.correct(p, "holm"), [0.03, 0.06, 0.06, np.nan, 0.02])
    # Times 4/1 4/2 4/3 4/4, running minimum from the end.
    np.testing.assert_allclose(paired.correct(p, "fdr_bh"), [0.02, 0.04, 0.04, np.nan, 0.02])
    assert np.isnan(paired.correct([np.nan, np.nan], "holm")).all()


def test_minimum_detectable_shift_is_detected_with_its_power():
    rng = np.random.default_rng(0)
    n, sd, alpha = 25, 2.0, 0.01
    shift = paired.minimum_detectable(n, sd, alpha, 0.8)
    found = [paired.wilcoxon(rng.normal(shift, sd, n))[1] <= alpha for _ in range(1500)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_minimum_detectable_limits():
    assert paired.minimum_detectable(5, 1.0, 0.05) == np.inf  # smallest p is 1/16
    assert np.isfinite(paired.minimum_detectable(6, 1.0, 0.05))
    assert np.isnan(paired.minimum_detectable(1, np.nan, 0.05))
    assert np.isfinite(paired.minimum_detectable(400, 1.0, 1e-6))
    assert paired.minimum_detectable(50, 1.0, 0.05) > paired.minimum_detectable(100, 1.0, 0.05)


def test_repeatability_by_hand():
    np.testing.assert_allclose(paired.repeatability([9.0, 0.0], [11.0, 0.0]), [20.0, np.nan])


# tables -------------------------------------------------------------------------------------


def test_columns_of_every_table(made):
    assert set(made) == set(TABLE_COLUMNS)
    for name, table in made.items():
        assert tuple(table.columns) == TABLE_COLUMNS[name], name
        assert len(table), name
        for column in set(table) - {"participant", "version", "session"}:
            assert column in TABLE_COLUMNS[name]


def test_volumes_against_plain_scipy(made):
    table = factories.measurements()
    table = table[(table["role"] == "measured") & (table["split"] == "test")]
    wide = table.pivot(index="participant", columns="variant", values="vol_frontal").dropna()
    row = only(made["volumes"], variant="quickshear", region="frontal")
    both = table.pivot(index="participant", columns="variant", values="vol_frontal")
    both = both[["original", "quickshear"]].dropna()
    expected = stats.wilcoxon(both["quickshear"], both["original"])
    assert row["W"] == expected.statistic
    assert row["p"] == pytest.approx(expected.pvalue)
    change = (both["quickshear"] / both["original"] - 1) * 100
    assert row["median_change_pct"] == pytest.approx(change.median())
    assert row["sd_change_pct"] == pytest.approx(change.std(ddof=1))
    assert (row["n"], row["n_scans"], row["n_failed"]) == (11, 11, 1)
    assert len(wide) == 10  # no participant with all variants is needed for a pair


def test_family_is_regions_and_tiv_of_all_variants(made):
    table = made["volumes"]
    regions = table[table["family"] == "regions"]
    assert set(regions["region"]) == {*REGIONS, "tiv"}
    assert set(table["region"]) == {*REGIONS, *GLOBALS}
    assert (regions["family_size"] == 18 * 5).all()
    np.testing.assert_allclose(regions["p_holm"], paired.correct(regions["p"], "holm"))
    np.testing.assert_allclose(regions["p_bh"], paired.correct(regions["p"], "fdr_bh"))
    assert (table["p_holm"] >= table["p_bh"] - 1e-12).all()
    assert set(table["variant"]) == set(factories.VARIANTS) - {"original"}


def test_minimum_detectable_change_is_that_of_the_corrected_test(made):
    row = only(made["volumes"], variant="quickshear", region="tiv")
    expected = paired.minimum_detectable(11, row["sd_change_pct"], 0.05 / 90, 0.8)
    assert row["mde_pct"] == pytest.approx(expected)
    table = factories.measurements(5, ("original", "null"), n_train=0, failures=False)
    assert (volumes_of(table)["mde_pct"] == np.inf).all()  # five people never reach 0.05 / 18


def test_effects_are_found_where_they_are():
    table = factories.measurements(40, n_train=0, n_rescans=20, failures=False)
    found = volumes_of(table)
    found = found[found["family"] == "regions"].groupby("variant")[["p_holm", "equivalent"]]
    assert (found.get_group("pydeface")["p_holm"] < 0.05).all()
    assert (found.get_group("pydeface")["equivalent"] == 0).all()
    assert (found.get_group("null")["p_holm"] > 0.05).all()
    assert (found.get_group("null")["equivalent"] == 1).all()


def test_margin_comes_from_the_rescans_or_the_config():
    table = factories.measurements(n_rescans=6, n_train=0)
    both = table[table["variant"] == "original"].set_index("scan")["vol_gm"]
    expected = np.mean(
        [
            abs(both[f"sub-{i:03d}_ses-2"] - both[f"sub-{i:03d}_ses-1"])
            / (both[f"sub-{i:03d}_ses-2"] + both[f"sub-{i:03d}_ses-1"])
            * 200
            for i in range(1, 7)
        ]
    )
    row = only(repeatability_table(table, QUICK), region="gm")
    assert (row["n"], row["margin_source"]) == (6, "rescan")
    assert row["mean_abs_pct"] == row["margin_pct"] == pytest.approx(expected)
    few = repeatability_table(table, Settings(min_rescans=7, equivalence_margin_pct=3))
    assert set(few["margin_source"]) == {"config"}
    assert set(few["margin_pct"]) == {3.0}
    assert few["mean_abs_pct"].notna().all()


def test_a_failure_counts_against_its_method(made):
    with_failures = only(made["overlap"], variant="pydeface", structure="gm", measure="dice")
    assert (with_failures["n_scans"], with_failures["n_failed"]) == (11, 1)
    assert with_failures["mean_all"] == pytest.approx(with_failures["mean"] * 11 / 12)
    row = only(made["volumes"], variant="pydeface", region="thalamus_left")
    over = row["n_over"]
    assert row["share_over"] == pytest.approx((over + 1) / 12)
    assert row["share_over_completers"] == pytest.approx(over / 11)
    row = only(made["changes"], variant="pydeface")
    assert row["share_over"] == pytest.approx((row["n_over"] + 1) / 12)
    row = only(made["quality"], variant="pydeface")
    assert (row["n"], row["crash"], row["success"]) == (12, 1, 11)
    assert row["success_share"] == pytest.approx(11 / 12)


def test_a_missing_row_is_a_failure_too():
    table = factories.measurements(failures=False)
    gone = (table["variant"] == "pydeface") & (table["participant"] == "sub-003")
    made = make_tables(table[~gone], QUICK)
    assert only(made["overlap"], variant="pydeface", structure="gm", measure="iou")["n_failed"] == 1
    assert only(made["quality"], variant="pydeface")["crash"] == 1
    lost = made["flow"][made["flow"]["status"] == "missing"]
    assert list(lost["participant"]) == ["sub-003"]


def test_an_original_that_failed_is_in_no_denominator():
    table = factories.measurements(failures=False)
    hit = (table["variant"] == "original") & (table["scan"] == "sub-002_ses-1")
    table.loc[hit, "status"] = "failed"
    order = factories.VARIANTS
    assert set(quality_table(table, QUICK, order)["n"]) == {11}
    overlap = overlap_table(table, QUICK, order)
    assert set(overlap["n"]) == {11}
    assert set(overlap["n_failed"]) == {0}
    assert set(changes_table(table, QUICK, order)["n_scans"]) == {11}


def test_changed_scans_by_hand():
    table = factories.measurements(4, ("original", "null"), n_train=0, n_rescans=0)
    names = [f"vol_{name}" for name in ("gm", "wm", "csf", "tiv")]
    table[names] = 100.0
    null = table["variant"] == "null"
    table.loc[null, "vol_wm"] = [100.0, 105.0, 94.9, 105.1]  # exactly 5 % is not over
    table.loc[null, "vol_brain"] = 1.0  # not one of the four
    row = only(changes_table(table, QUICK, ["original", "null"]), variant="null")
    assert (row["n_over"], row["share_over"]) == (2, 0.5)
    assert row["share_over_low"] == pytest.approx(intervals.wilson(2, 4)[0])


def test_tests_on_the_scans_that_a_defacer_changed():
    table = factories.measurements(
        10, ("original", "pydeface", "pydeface+m"), n_train=0, n_rescans=0, failures=False
    )
    for name in ("gm", "wm", "csf", "tiv"):
        source = table.loc[table["variant"] == "original", f"vol_{name}"].to_numpy()
        for variant in ("pydeface", "pydeface+m"):
            table.loc[table["variant"] == variant, f"vol_{name}"] = source
    spoilt = table["participant"].isin(["sub-002", "sub-005", "sub-009"])
    table.loc[spoilt & (table["variant"] == "pydeface"), "vol_csf"] *= 1.2
    order = cohort.variants_of(table)
    margins = repeatability_table(table, QUICK)
    made = volumes_over_table(table, QUICK, order, margins)
    assert set(made["selected_by"]) == {"pydeface"}
    assert set(made["n"]) == {3}
    before = only(made, variant="pydeface", region="csf")
    after = only(made, variant="pydeface+m", region="csf")
    assert before["median_change_pct"] == pytest.approx(20)
    assert (after["median_change_pct"], after["p"], after["n_zero"]) == (0.0, 1.0, 3)


def test_sessions_of_a_participant_are_one_observation():
    table = factories.measurements(
        8, ("original", "null"), n_train=0, n_rescans=0, sessions=3, failures=False
    )
    row = only(volumes_of(table), variant="null", region="gm")
    assert (row["n"], row["n_scans"]) == (8, 24)
    wide = table.pivot(index="scan", columns="variant", values="vol_gm")
    person = wide.index.str[:7]
    mean = (wide["null"] - wide["original"]).groupby(person).mean()
    assert row["p"] == pytest.approx(stats.wilcoxon(mean).pvalue)


def test_similarity_is_pooled_and_by_site(made):
    table = made["similarity"]
    assert list(pd.unique(table["site"])) == ["all", "north", "south"]
    one = table[(table["variant"] == "pydeface") & (table["measure"] == "ssim")]
    one = one[one["region"] == "front"].set_index("site")
    assert one["n"]["all"] == one["n"]["north"] + one["n"]["south"] == 11
    assert one["n_failed"]["all"] == one["n_failed"]["south"] == 1
    mixed = one["mean"]["north"] * one["n"]["north"] + one["mean"]["south"] * one["n"]["south"]
    assert one["mean"]["all"] == pytest.approx(mixed / 11)
    assert (table["low"] <= table["mean"]).all()
    assert (table["mean"] <= table["high"]).all()


def test_similarity_counts_a_scan_once_with_two_segmenters():
    one = similarity_table(once(factories.measurements()), QUICK, factories.VARIANTS)
    table = factories.measurements()
    second = table.assign(segmenter="other")
    second.loc[second["variant"] == "null", ["status", "corr_front"]] = ["failed", np.nan]
    two = similarity_table(once(pd.concat([second, table])), QUICK, factories.VARIANTS)
    pd.testing.assert_frame_equal(one, two)


def test_truth_has_the_original_and_vanishes_without_labels(made):
    assert "original" in set(made["truth"]["variant"])
    table = factories.measurements()
    row = only(made["truth"], variant="original", structure="gm")
    used = (table["variant"] == "original") & (table["split"] == "test")
    used &= table["role"] == "measured"
    assert row["mean"] == pytest.approx(table.loc[used, "truth_dice_gm"].mean())
    bare = table.assign(**{f"truth_dice_{s}": np.nan for s in factories.STRUCTURES})
    assert truth_table(bare, QUICK, factories.VARIANTS).empty


def test_runtime_adds_up_over_the_compared_scans():
    table = factories.measurements()
    # What a training scan cost is no part of it, nor is a scan that was given up after an hour.
    train = table["split"] == "train"
    spare = table[train].assign(variant="pydeface", deface_seconds=1e6, prepare_seconds=1e6)
    gone = (table["variant"] == "pydeface") & (table["stage"] == "deface")
    assert gone.sum() == 1
    table.loc[gone, "deface_seconds"] = 3600.0
    made = runtime_table(once(pd.concat([table, spare])), {}, QUICK, factories.VARIANTS)
    defaced, refaced = ["prepare", "deface", "total"], ["prepare", "deface", "reface", "total"]
    # Of the null control no times are known: its line says that no scan counts.
    assert list(made["step"]) == ["total", *defaced * 2, *refaced * 2]
    assert only(made, variant="null")["n"] == 0
    made = made[made["variant"] != "null"]
    seconds = table.loc[(table["variant"] == "pydeface") & ~gone, "deface_seconds"]
    row = only(made, variant="pydeface", step="deface")
    assert row["n"] == len(seconds) == 11
    assert row["seconds_mean"] == pytest.approx(seconds.mean())
    assert row["seconds_median"] == pytest.approx(seconds.median())
    assert row["seconds_max"] == seconds.max()
    for variant, rows in made.groupby("variant"):
        assert rows["n"].nunique() == 1, variant
        rows = rows.set_index("step")
        assert rows["seconds_mean"].drop("total").sum() == pytest.approx(
            rows.loc["total", "seconds_mean"]
        )
        assert rows.loc["prepare", "seconds_mean"] == 8.0, "shared, and counted for each"
        assert rows["peak_mb_max"].drop("total").max() == rows.loc["total", "peak_mb_max"]


def test_runtime_counts_an_image_that_only_the_segmenter_failed_on():
    table = factories.measurements()
    assert (table.loc[table["variant"] == "quickshear", "stage"] == "segment").sum() == 1
    made = runtime_table(once(table), {}, QUICK, factories.VARIANTS)
    assert only(made, variant="quickshear", step="deface")["n"] == 12


def test_a_scan_that_came_without_a_face_is_no_success_and_no_failure():
    scans = factories.measurements(failures=False)
    rows = scans[scans["variant"] == "pydeface"].index
    scans.loc[rows, "quality"] = ["no_face", "failure_1", *["success"] * (len(rows) - 2)]
    row = only(quality_table(scans, QUICK, factories.VARIANTS), variant="pydeface")
    assert (row["n"], row["n_with_face"], row["no_face"]) == (12, 11, 1)
    assert row["success_share"] == pytest.approx(10 / 11)
    low, high = intervals.wilson(10, 11, QUICK.level)
    assert (row["success_low"], row["success_high"]) == pytest.approx((low, high))


def test_quality_classes_sum_to_the_scans(made):
    classes = ["success", "failure_1", "failure_2", "failure_1+2", "untouched", "no_face"]
    table = made["quality"]
    assert (table[[*classes, "crash", "unrated"]].sum(axis=1) == table["n"]).all()
    bad = factories.measurements()
    bad.loc[bad["variant"] == "null", "quality"] = "fine"
    with pytest.raises(ValueError, match="'fine'"):
        quality_table(bad, QUICK, factories.VARIANTS)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_cohorts(n):
    made = factories.tables(n, n_train=n, n_rescans=n, variants=factories.VARIANTS[:5])
    for name, table in made.items():
        assert tuple(table.columns) == TABLE_COLUMNS[name]
    assert len(made["volumes"]) == 4 * len(FAMILIES)
    assert made["brainage"]["note"].str.contains("training participants").all()


def test_a_variant_without_any_result_has_nan_rows():
    table = factories.measurements()
    hit = table["variant"] == "pydeface"
    factories._blank(table, hit, "deface", "crashed")
    made = make_tables(table, QUICK, variants=[*factories.VARIANTS, "absent"])
    for variant in ("pydeface", "absent"):
        row = only(made["volumes"], variant=variant, region="gm")
        assert (row["n"], row["n_failed"], row["share_over"]) == (0, 12, 1.0)
        assert np.isnan([row["p"], row["p_holm"], row["equivalent"], row["mde_pct"]]).all()
        row = only(made["overlap"], variant=variant, structure="gm", measure="dice")
        assert np.isnan(row["mean"])
        assert row["mean_all"] == 0.0
        assert only(made["quality"], variant=variant)["crash"] == 12


def test_a_segmenter_without_regions_gives_nan():
    table = factories.measurements().drop(columns=[f"vol_{r}" for r in REGIONS] + ["vol_csf"])
    made = make_tables(table, QUICK)
    row = only(made["volumes"], variant="null", region="frontal")
    assert (row["n"], row["n_failed"]) == (0, 0)
    assert np.isnan(row["p"])
    assert only(made["changes"], variant="null")["n_scans"] == 12
    assert (made["volumes"].loc[made["volumes"]["family"] == "regions", "family_size"] == 5).all()


def test_only_failures_and_no_columns_at_all():
    table = factories.measurements(2)
    bare = table[["dataset", "participant", "scan", "variant", "segmenter"]].assign(status="failed")
    for name, made in make_tables(bare, QUICK).items():
        assert tuple(made.columns) == TABLE_COLUMNS[name]


def test_two_segmenters_have_families_of_their_own():
    few = ("original", "null", "pydeface")
    one = volumes_of(factories.measurements(variants=few))
    table = pd.concat([factories.measurements(variants=few, seed=s) for s in (0, 1)])
    table["segmenter"] = np.repeat(["deepbet_gmm", "b"], len(table) // 2)
    two = volumes_of(table)
    assert list(pd.unique(two["segmenter"])) == ["deepbet_gmm", "b"]
    pd.testing.assert_frame_equal(one, two[two["segmenter"] == "deepbet_gmm"])


def test_row_order_does_not_matter():
    few = ("original", "null", "pydeface", "pydeface+m")
    table = factories.measurements(5, few, n_train=3)
    shuffled = table.sample(frac=1, random_state=0)
    first = make_tables(table, QUICK, variants=few)
    second = make_tables(shuffled, QUICK, variants=few)
    for name in first:
        assert manifest.to_text(first[name]) == manifest.to_text(second[name]), name


def test_tables_survive_the_manifest_round_trip(tmp_path):
    table = factories.measurements(variants=("original", "null", "pydeface"))
    manifest.write(table, tmp_path / "m.tsv")
    again = manifest.read(tmp_path / "m.tsv")
    first, second = volumes_of(table), volumes_of(again)
    pd.testing.assert_series_equal(
        first["median_change_pct"], second["median_change_pct"], atol=2e-3
    )
    assert (second["n_failed"] == first["n_failed"]).all()


def test_bad_tables_are_named():
    table = factories.measurements()
    with pytest.raises(ValueError, match="sub-001_ses-1 has more than one row"):
        make_tables(pd.concat([table, table]), QUICK)
    with pytest.raises(ValueError, match="per dataset"):
        make_tables(pd.concat([table, table.assign(dataset="b")]), QUICK)
    with pytest.raises(ValueError, match="lacks the columns scan"):
        make_tables(table.drop(columns="scan"), QUICK)


def test_assemble_takes_the_variant_from_the_manifest():
    table = factories.measurements(3, ("original", "pydeface"), n_train=0, failures=False)
    parts = []
    for variant, rows in table.groupby("variant"):
        rows = rows.drop(columns="segmenter")
        if variant == "pydeface":  # failed before a variant was made of it
            early = rows["scan"] == "sub-002_ses-1"
            rows.loc[early, ["variant", "status", "quality"]] = ["original", "failed", ""]
        parts.append(("seg", variant, rows))
    made = make_tables(cohort.assemble(parts), QUICK)
    assert only(made["quality"], variant="pydeface")["crash"] == 1
    assert only(made["changes"], variant="pydeface")["n_failed"] == 1


def test_settings_from_config_and_their_limits():
    config = {
        "seed": 4,
        "statistics": {"bootstrap": 500, "alpha": 0.01},
        "thresholds": {"volume_change_pct": 3},
    }
    assert Settings.from_config(config) == Settings(seed=4, n_boot=500, alpha=0.01, threshold_pct=3)
    with pytest.raises(ValueError, match=r"statistics\.alpha"):
        Settings(alpha=5)
    with pytest.raises(ValueError, match="margin"):
        Settings(equivalence_margin_pct=0)


# flow ---------------------------------------------------------------------------------------


def test_every_scan_appears_once_per_variant(made):
    inventory, _ = factories.manifests(factories.measurements())
    table = made["flow"]
    assert len(table) == len(inventory) * len(factories.VARIANTS)
    for _, rows in table.groupby("variant"):
        assert sorted(rows["scan"]) == sorted(inventory["scan"])
    left_out = table["status"] != "ok"
    assert (table.loc[left_out, "reason"] != "").all()


def test_where_scans_end(made):
    table = made["flow"]
    end = ["stage", "status", "reason"]
    row = only(table, scan="sub-012_ses-1", variant="pydeface+pix2pix25d")
    assert list(row[end]) == ["deface", "failed", "no result after 3600 s"]
    row = only(table, scan="sub-011_ses-1", variant="quickshear")
    assert list(row[end]) == ["segment", "failed", "empty brain mask"]
    row = only(table, scan="sub-999", variant="null")
    assert list(row[end]) == ["prepare", "excluded", "no face left in the scan"]
    row = only(table, scan="sub-020_ses-1", variant="pydeface")
    assert (row["status"], row["reason"]) == ("not_used", "train split, serves to fit models")
    row = only(table, scan="sub-001_ses-2", variant="pydeface")
    assert row["status"] == "not_used"
    assert "rescan" in row["reason"]
    row = only(table, scan="sub-001_ses-2", variant="original")
    assert row["status"] == "ok"
    assert "not compared" in row["reason"]
    row = only(table, scan="sub-001_ses-1", variant="pydeface")
    assert list(row[end]) == ["measure", "ok", ""]


def test_a_job_that_died_leaves_missing_scans():
    inventory, stages = factories.manifests(factories.measurements(4, n_train=0, n_rescans=0))
    stages = [s for s in stages if (s.stage, s.variant) != ("measure", "null")]
    table = follow(inventory, stages, factories.VARIANTS)
    lost = table[table["status"] == "missing"]
    assert set(lost["variant"]) == {"null"}
    assert len(lost) == 4
    assert set(lost["stage"]) == {"segment"}
    assert set(lost["reason"]) == {"in no measure manifest of null"}


def test_several_segmenters_in_the_flow():
    table = factories.measurements(2, ("original",), n_train=0, n_rescans=0)
    other = table.assign(segmenter="other", status=["failed", "ok"], reason=["no brain", ""])
    inventory = table.assign(stage="inventory")
    stages = [StageManifest("measure", "original", pd.concat([table, other]))]
    found = follow(inventory, stages)
    assert list(found["status"]) == ["failed", "ok"]
    assert found["reason"][0] == "other: no brain; other segmenters ok"


def test_flow_counts_add_up(made):
    counts = made["flow_counts"]
    sums = counts["n_ok"] + counts["n_excluded"] + counts["n_failed"]
    assert (sums == counts["n_in"]).all()
    for _, rows in counts.groupby("variant"):
        onward = rows["n_ok"] - rows["n_not_used"] - rows["n_missing"]
        assert list(onward[:-1]) == list(rows["n_in"][1:])
        assert rows["n_in"].iloc[0] == 39
    row = only(counts, variant="pydeface", stage="deface")
    assert (row["n_in"], row["n_ok"], row["n_failed"]) == (12, 11, 1)
    assert "reface" not in set(counts.loc[counts["variant"] == "pydeface", "stage"])


def test_flow_summary(made):
    text = flow_summary(made["flow"])
    assert text.startswith("39 scans of 33 participants; 1 excluded in at least one variant (1 in")
    assert "2 failed in at least one variant (0 in every one)" in text
    assert text.endswith("10 measured in every variant.")
    assert flow_summary(made["flow"].iloc[:0]) == "no scans"


def test_unknown_stage():
    table = factories.measurements(1)
    with pytest.raises(ValueError, match="unknown stage 'cook'"):
        follow(table, [StageManifest("cook", "null", table)])


# LaTeX --------------------------------------------------------------------------------------


def test_latex_escapes_and_is_the_same_twice(tmp_path):
    table = pd.DataFrame(
        {
            "variant": ["a_b", "c&d%"],
            "n": [3, 1],
            "p_holm": [1e-5, 0.25],
            "mde_pct": [np.inf, -1.234],
            "mean": [np.nan, -0.00001],
        }
    )
    latex.write_latex(table, "50 % of x_y", tmp_path / "a.tex", label="t")
    latex.write_latex(table, "50 % of x_y", tmp_path / "b.tex", label="t")
    text = (tmp_path / "a.tex").read_text()
    assert text == (tmp_path / "b.tex").read_text()
    assert r"\caption{50 \% of x\_y}\label{tab:t}" in text
    assert r"a\_b & 3 & $<$0.001 & $\infty$ & -- \\" in text
    assert r"c\&d\% & 1 & 0.250 & $-$1.23 & 0.000 \\" in text
    assert r"\begin{tabular}{lrrrr}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1


def _without_caption(name):
    """Return a result whose caption needs no whole table."""
    return replace(everything[name], caption=lambda view: f"Of {name}.")


def test_tables_are_written_with_their_captions_and_points_of_figures_are_not_printed(
    tmp_path, monkeypatch
):
    tables = {
        "runtime": pd.DataFrame({"n": [3]}),
        "overlap": pd.DataFrame({"variant": ["a"], "unprinted": [1]}),
        "privacy_curves": pd.DataFrame({"x": [1]}),
    }
    paths = [tmp_path / f"{name}.tsv" for name in tables]
    monkeypatch.setattr(catalogue, "find", _without_caption)
    write_tables(tables, paths, View(tables), "Synthetic.")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "overlap.tex",
        "overlap.tsv",
        "privacy_curves.tsv",
        "runtime.tex",
        "runtime.tsv",
    ]
    assert (tmp_path / "overlap.tsv").read_text() == "variant\tunprinted\na\t1\n"
    assert (
        r"\caption{Synthetic. Of runtime.}\label{tab:runtime}"
        in (tmp_path / "runtime.tex").read_text()
    )
    assert "unprinted" not in (tmp_path / "overlap.tex").read_text()


def test_long_tables_break_over_pages():
    text = latex.to_latex(pd.DataFrame({"n": range(latex.LONG + 1)}), "long")
    assert r"\begin{longtable}" in text
    assert text.count(r" \\") == latex.LONG + 1 + 3  # rows, caption, two heads


@given(st.text(max_size=30))
def test_escaped_text_has_no_bare_special_character(text):
    escaped = latex.escape(text)
    for good in (r"\&", r"\%", r"\$", r"\#", r"\_", r"\{", r"\}"):
        escaped = escaped.replace(good, "")
    escaped = escaped.replace(r"\textbackslash{}", "").replace(r"\textasciitilde{}", "")
    escaped = escaped.replace(r"\textasciicircum{}", "").replace(r"\textless{}", "")
    escaped = escaped.replace(r"\textgreater{}", "")
    assert not set(escaped) & set("\\&%$#_{}~^<>")


def test_printed_columns_exist():
    for result in catalogue.everything():
        assert set(result.latex) <= set(result.columns), result.name


def test_same_seed_same_bytes():
    few = ("original", "null", "pydeface", "pydeface+m")
    first, second = (factories.tables(4, variants=few) for _ in range(2))
    for name in first:
        buffers = [io.StringIO(), io.StringIO()]
        first[name].to_csv(buffers[0])
        second[name].to_csv(buffers[1])
        assert buffers[0].getvalue() == buffers[1].getvalue(), name


def test_only_declared_rescans_are_pairs():
    table = pd.DataFrame(
        {
            "participant": ["p1"] * 4 + ["p2"] * 2 + ["p3"] * 2 + ["p4"] * 2,
            "session": ["ses-1", "ses-2", "ses-3", "ses-4", *["ses-1", "ses-2"] * 3],
            "scan": list("abcdefghij"),
            "role": ["measured"] * 7 + ["rescan", "measured", "followup"],
            "rescan_of": ["", "ses-1", "", "ses-3", "", "", "", "ses-1", "", ""],
            "variant": "original",
            "segmenter": "s",
            "status": "ok",
            "vol_gm": np.arange(10.0),
        }
    )
    found = cohort.rescan_pairs(table, "s")
    pairs = list(zip(found["scan_1"], found["scan_2"], strict=True))
    # Two rescans of measured sessions, and one that is measured for nothing else.
    assert pairs == [("a", "b"), ("c", "d"), ("g", "h")]
    assert found["vol_gm_1"].tolist() == [0, 2, 6]
    assert found["vol_gm_2"].tolist() == [1, 3, 7]
    # A later session alone, at whatever gap, is none.
    assert cohort.rescan_pairs(table.assign(role="measured", rescan_of=""), "s").empty
    assert cohort.rescan_pairs(table.drop(columns="rescan_of").assign(role="measured"), "s").empty
    compared = cohort.compared(table.assign(split="test"), Settings())
    assert set("hj").isdisjoint(compared["scan"])
