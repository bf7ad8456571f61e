"""Tables of measurements: by rule, by hand and against plain SciPy."""

import io

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import factories
from factories import TABLE_COLUMNS, make_tables
from refacebench import manifest
from refacebench.results import similarity_slices
from refacebench.results.changes import compute as changes_table
from refacebench.results.face_parts import compute as face_parts_table
from refacebench.results.face_shown import compute as face_shown_table
from refacebench.results.failures_counted import compute as failures_counted_table
from refacebench.results.overlap import compute as overlap_table
from refacebench.results.quality import compute as quality_table
from refacebench.results.repeatability import compute as repeatability_table
from refacebench.results.runtime import compute as runtime_table
from refacebench.results.similarity import compute as similarity_table
from refacebench.results.truth import compute as truth_table
from refacebench.results.verdict_agreement import compute as verdict_agreement_table
from refacebench.results.volume_tests import FAMILIES
from refacebench.results.volumes import compute as volumes_table
from refacebench.results.volumes_over import compute as volumes_over_table
from refacebench.statistics import cohort, intervals, paired
from refacebench.statistics.cohort import once
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import GLOBALS, REGIONS

QUICK = Criteria(n_boot=200)


@pytest.fixture(scope="module")
def made():
    return factories.tables()


def only(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1, f"{len(table)} rows for {where}"
    return table.iloc[0]


def volumes_of(table, criteria=QUICK):
    order = cohort.variants_of(table)
    return volumes_table(table, criteria, order)


def test_columns_of_every_table(made):
    assert set(made) == set(TABLE_COLUMNS)
    for name, table in made.items():
        assert tuple(table.columns) == TABLE_COLUMNS[name], name
        # No measures of other software are among these.
        assert len(table) or name == "other_measures", name
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
    assert row["mean_abs_pct"] == pytest.approx(expected)
    assert 0 < row["margin_pct"] == row["lower_bound_pct"] < row["mean_abs_pct"]
    few = repeatability_table(table, Criteria(min_rescans=7, equivalence_margin_pct=1.5))
    assert set(few["margin_source"]) == {"config"}
    assert set(few["margin_pct"]) == {1.5}
    assert few["mean_abs_pct"].notna().all()


def noisy_rescans(**criteria):
    """Return tables of a segmenter that differs by 6 % in the occipital lobe, with true labels."""
    table = factories.measurements(20, ("original", "null", "pydeface"), n_train=0, n_rescans=20,
                                   failures=False)  # fmt: skip
    rng = np.random.default_rng(0)
    original = table["variant"] == "original"
    again = original & (table["role"] == "rescan")
    sizes = dict(zip(sorted(set(table["participant"])), rng.uniform(40, 60, 20), strict=True))
    occipital = table["participant"].map(sizes)
    table["vol_occipital"] = occipital * np.where(table["variant"] == "pydeface", 1.03, 1.0)
    table.loc[again, "vol_occipital"] *= np.where(rng.random(again.sum()) < 0.5, 0.94, 1 / 0.94)
    table["truth_vol_gm"] = np.where(original, 600.0, np.nan)
    table.loc[again, "truth_vol_gm"] = 601.2
    table["truth_vol_caudate_left"] = np.where(original, 3.0, np.nan)
    table.loc[again, "truth_vol_caudate_left"] = 3.3
    return table, Criteria(n_boot=200, **criteria)


def test_a_noisy_segmenter_does_not_make_everything_equivalent():
    table, criteria = noisy_rescans()
    row = only(repeatability_table(table, criteria), region="occipital")
    assert row["mean_abs_pct"] == pytest.approx(6.186, abs=1e-3)
    assert row["lower_bound_pct"] > 5
    assert (row["margin_pct"], row["margin_source"], row["cap_pct"]) == (2.0, "cap", 2.0)
    assert only(volumes_of(table, criteria), variant="pydeface", region="occipital")["p_tost"] > 0.9
    free = Criteria(n_boot=200, largest_acceptable_change_pct=50)
    row = only(volumes_of(table, free), variant="pydeface", region="occipital")
    assert (row["margin_source"], row["equivalent"], row["equivalent_fixed"]) == ("rescan", 1, 0)


def test_the_segmenters_noise_stands_beside_the_labels():
    table, criteria = noisy_rescans()
    made = repeatability_table(table, criteria).set_index("region")
    row = made.loc["occipital"]
    assert row["true_of"] == "gm"  # true labels have no lobes
    assert row["true_mean_abs_pct"] == pytest.approx(1.2 / 600.6 * 100)
    assert row["noise_share"] == pytest.approx(1 - 0.1998 / 6.186, abs=1e-3)
    row = made.loc["caudate_left"]  # the anatomy differs by more than the segmenter sees
    assert (row["true_of"], row["noise_share"]) == ("caudate_left", 0)
    assert row["true_mean_abs_pct"] == pytest.approx(0.3 / 3.15 * 100)
    without = table.drop(columns=["truth_vol_gm", "truth_vol_caudate_left"])
    found = repeatability_table(without, criteria)
    assert found[["true_mean_abs_pct", "noise_share"]].isna().all().all()


def test_a_margin_fixed_before_the_run_is_used_and_stands_beside_the_other():
    table, fixed = noisy_rescans(equivalence_margin="fixed", equivalence_margin_pct=1.0)
    made = repeatability_table(table, fixed)
    assert set(made["margin_source"]) == {"config"}
    assert set(made["margin_pct"]) == set(made["fixed_pct"]) == {1.0}
    one = volumes_of(table, fixed)
    assert (one["p_tost"].dropna() == one["p_tost_fixed"].dropna()).all()
    assert (one["equivalent"] == one["equivalent_fixed"]).all()
    both = volumes_of(table, noisy_rescans(equivalence_margin_pct=1.0)[1])
    np.testing.assert_array_equal(both["p_tost_fixed_holm"], one["p_tost_holm"])
    assert (both["margin_source"] != "config").all()


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
    table.loc[hit, ["status", "stage"]] = ["failed", "segment"]
    order = factories.VARIANTS
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
    assert row["share_over_low"] == pytest.approx(intervals.clopper_pearson(2, 4)[0])


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
    made = volumes_over_table(table, QUICK, order)
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
    low, high = intervals.clopper_pearson(10, 11, QUICK.level)
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


def test_same_seed_same_bytes():
    few = ("original", "null", "pydeface", "pydeface+m")
    first, second = (factories.tables(4, variants=few) for _ in range(2))
    for name in first:
        buffers = [io.StringIO(), io.StringIO()]
        first[name].to_csv(buffers[0])
        second[name].to_csv(buffers[1])
        assert buffers[0].getvalue() == buffers[1].getvalue(), name


def test_the_error_of_predicted_age_is_one_number_with_one_interval():
    """Wherever it stands: in the table of shifts, and in that of accuracy."""
    made = factories.tables(n_rescans=4, sessions=2)
    one = made["brainage"].set_index("variant")
    held_out = made["brainage_accuracy"]
    held_out = held_out[(held_out["tested"] == "held out") & (held_out["model"] == "volumes")]
    two = held_out.set_index("variant").loc[one.index]
    for name in ("mae", "mae_low", "mae_high"):
        assert one[name].notna().all()
        assert one[name].tolist() == pytest.approx(two[name].tolist())


# what no segmenter touches ------------------------------------------------------------------

LOST, CUT = "sub-001_ses-1", "sub-002_ses-1"


def unsegmented():
    """Return measurements in which one original and another scan's defaced brain were not found.

    What a segmentation is needed for is unknown there; what needs none was judged all the same.
    """
    table = factories.measurements(failures=False)
    original = (table["scan"] == LOST) & (table["variant"] == "original")
    beside = (table["scan"] == LOST) & (table["variant"] != "original")
    image = (table["scan"] == CUT) & (table["variant"] == "pydeface")
    end = ["status", "stage", "reason"]
    table.loc[original, end] = ["failed", "segment", "no brain"]
    table.loc[beside, end] = ["excluded", "measure", "the original could not be segmented"]
    table.loc[image, end] = ["failed", "segment", "no brain"]
    needs = [c for c in table if c.startswith(("vol_", "dice_", "iou_", "truth_dice_"))]
    table.loc[original | image | beside, needs] = np.nan
    return table


def counts(table, *names, **where):
    return tuple(only(table, **where)[list(names)])


#: Results that no segmenter touches, made from a measurement table.
OF_IMAGES = {
    "similarity": lambda table, order: similarity_table(once(table), QUICK, order),
    "face_parts": lambda table, order: face_parts_table(once(table), QUICK, order),
    "face_shown": lambda table, order: face_shown_table(once(table), QUICK, order, {}),
    "verdict_agreement": lambda table, order: verdict_agreement_table(once(table), QUICK, order),
    "runtime": lambda table, order: runtime_table(once(table), {}, QUICK, order),
    "quality": lambda table, order: quality_table(table, QUICK, order),
}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_count_whether_or_not_their_brain_could_be_segmented(name):
    whole = factories.measurements(failures=False)
    made = (OF_IMAGES[name](table, factories.VARIANTS) for table in (unsegmented(), whole))
    pd.testing.assert_frame_equal(*made)


def test_slices_of_an_image_count_whether_or_not_its_brain_could_be_segmented():
    table, order = unsegmented(), ("original", "pydeface", "pydeface+pix2pix25d")
    for name in ("x_mm", "corr_front", "corr_full", "ssim_front", "ssim_full"):
        table[f"slices_{name}"] = "1 2 3"
    never, left_out = "sub-003_ses-1", "sub-004_ses-1"
    hit = (table["scan"] == never) & (table["variant"] == "pydeface")
    table.loc[hit, ["status", "stage"]] = ["failed", "deface"]
    table.loc[table["scan"] == left_out, ["status", "stage"]] = ["excluded", "prepare"]
    found = similarity_slices.compute(table, QUICK, order)
    scans = {name: set(rows["scan"]) for name, rows in found.groupby("variant")}
    everybody = {f"sub-{n:03d}_ses-1" for n in range(1, 13)} - {left_out}
    assert scans == {"pydeface": everybody - {never}, "pydeface+pix2pix25d": everybody}


def test_what_rests_on_a_segmentation_leaves_out_what_has_none():
    table, order = unsegmented(), factories.VARIANTS
    overlap, grey = overlap_table(table, QUICK, order), {"structure": "gm", "measure": "dice"}
    assert counts(overlap, "n", "n_failed", variant="pydeface", **grey) == (10, 1)
    assert counts(overlap, "n", "n_failed", variant="quickshear", **grey) == (11, 0)
    assert set(changes_table(table, QUICK, order)["n_scans"]) == {10, 11}


def test_a_failure_of_the_segmenter_is_none_of_the_similarity():
    table = failures_counted_table(unsegmented(), QUICK, factories.VARIANTS)
    names = ("n", "n_failed", "n_lost")
    assert counts(table, *names, variant="pydeface", measure="ssim_full") == (12, 0, 0)
    assert counts(table, *names, variant="pydeface", measure="dice_gm") == (10, 1, 1)


@pytest.mark.parametrize("stage", ["inventory", "prepare"])
def test_a_scan_that_was_left_out_before_stays_out(stage):
    """Whatever its rows still hold: neither was the original compared nor has a variant failed."""
    table = factories.measurements(failures=False)
    table.loc[table["scan"] == LOST, ["status", "stage"]] = ["excluded", stage]
    order = factories.VARIANTS
    quality = quality_table(table, QUICK, order)
    assert set(quality["n"]) == {11}
    assert set(quality["crash"]) == {0}
    similarity = similarity_table(once(table), QUICK, order)
    assert set(similarity[similarity["site"] == "all"]["n"]) == {11}
    assert set(similarity["n_failed"]) == {0}
    assert set(face_parts_table(once(table), QUICK, order)["n"]) == {11}


@pytest.mark.parametrize("stage", ["deface", "reface"])
def test_an_image_that_was_never_made_is_missing(stage):
    """Its row still names the image before it, and that image is no result of the method."""
    table = factories.measurements(failures=False)
    hit = (table["scan"] == LOST) & (table["variant"] == "pydeface+pix2pix25d")
    table.loc[hit, ["status", "stage"]] = ["failed", stage]
    made = similarity_table(once(table), QUICK, factories.VARIANTS)
    where = {"variant": "pydeface+pix2pix25d", "measure": "corr", "region": "full", "site": "all"}
    assert counts(made, "n", "n_failed", **where) == (11, 1)


def test_measures_that_were_brought_have_no_image():
    table = factories.measurements(failures=False).assign(path="")
    hit = (table["variant"] == "original") & (table["scan"] == LOST)
    table.loc[hit, "status"] = "failed"
    assert set(quality_table(table, QUICK, factories.VARIANTS)["n"]) == {11}


def test_of_two_segmenters_an_image_has_the_row_that_was_judged():
    table = unsegmented()
    image = (table["scan"] == CUT) & (table["variant"] == "pydeface")
    other = table.assign(segmenter="other")
    blank = [c for c in table if c.startswith(("corr_", "ssim_", "face_"))]
    other.loc[image, blank] = np.nan
    other.loc[image, ["stage", "quality"]] = ["measure", ""]
    for both in (pd.concat([other, table]), pd.concat([table, other])):
        made = similarity_table(once(both), QUICK, factories.VARIANTS)
        where = {"variant": "pydeface", "measure": "corr", "region": "full", "site": "all"}
        assert counts(made, "n", "n_failed", **where) == (12, 0)


def test_a_result_that_could_not_be_written_is_in_no_denominator_but_its_image_is():
    table = factories.measurements(failures=False)
    image = (table["scan"] == CUT) & (table["variant"] == "pydeface")
    where = {"variant": "pydeface", "measure": "corr", "region": "full", "site": "all"}
    for stage, n in (("segment", 12), ("deface", 11)):
        table.loc[image, ["status", "stage"]] = ["not_written", stage]
        made = similarity_table(once(table), QUICK, factories.VARIANTS)
        assert counts(made, "n", "n_failed", **where) == (n, 0)
