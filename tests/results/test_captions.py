"""Captions follow tables and criteria."""

import re

import numpy as np
import pandas as pd
import pytest

import factories
from factories import TABLE_COLUMNS
from reading import SETTINGS, caption
from refacebench.plot.style import look_of
from refacebench.report.limits import limitations
from refacebench.report.tables import print_latex
from refacebench.results import catalogue, missing, similarity_slices, slices, study_sheet, words
from refacebench.results.result import View
from refacebench.statistics.criteria import Criteria


@pytest.mark.parametrize("name", sorted([*TABLE_COLUMNS, "volumes_globals"]))
def test_captions_are_plain_sentences(tables, name):
    text = caption(name, tables, SETTINGS)
    assert text[0].isupper()
    assert text.endswith(".")
    assert "nan" not in text.lower().replace("finance", "")
    assert "  " not in text


def test_captions_follow_the_settings(tables):
    other = Criteria(n_boot=123, seed=99, alpha=0.01, level=0.9)
    text = caption("volumes_globals", tables, other)
    assert "p < 0.01" in text
    assert "Intervals of medians: 90 %, exact" in text
    assert "none for fewer than 5 participants" in text
    text = caption("privacy_roc", tables, other)
    assert "90 %, percentile bootstrap over participants (123 resamples, seed 99)" in text


def test_captions_warn_of_few_participants_only(tables):
    warning = "With fewer than 30 participants they may miss the mean"
    assert warning in caption("overlap", tables, SETTINGS)
    many = {**tables, "overlap": tables["overlap"].assign(n=30)}
    assert warning not in caption("overlap", many, SETTINGS)


def test_captions_say_what_could_have_been_missed(tables):
    found = tables["brainage"].assign(shift_mde=[np.nan, *[1.5] * (len(tables["brainage"]) - 1)])
    text = caption("brainage", {**tables, "brainage": found}, SETTINGS)
    assert "a mean shift below 1.5 years" in text
    hopeless = tables["brainage"].assign(shift_mde=np.inf)
    text = caption("brainage", {**tables, "brainage": hopeless}, SETTINGS)
    assert "a mean shift, however large, could not pass" in text
    assert "Such a change that happens to fewer than 13 % of people" in caption(
        "changes", tables, SETTINGS
    )  # 1 - 0.2^(1/12)
    assert "a change below" in caption("volumes_globals", tables, SETTINGS)


def test_quality_caption_follows_the_thresholds(tables):
    config = {"thresholds": {"face_left": 0.125, "brain_removed_share": 0.01}}
    text = caption("quality", tables, SETTINGS, thresholds=config["thresholds"])
    assert "more than 12.5 % of the original" in text
    assert "more than 1 % of the brain" in text


def test_volume_caption_says_how_large_the_families_are(tables):
    table = tables["volumes"]
    size = int((table["family"] == "regions").sum())
    assert f"{size} tests (17 regions and TIV x variants)" in caption("volumes", tables, SETTINGS)


def test_margin_says_where_it_comes_from(tables):
    assert "mean scan-rescan difference" in caption("volumes", tables, SETTINGS)
    config = tables["volumes"].assign(margin_source="config", margin_pct=2.0)
    text = caption("volumes", {**tables, "volumes": config}, SETTINGS)
    assert "margin of 2 %, a setting" in text


@pytest.fixture(scope="module")
def flowed():
    return factories.tables()


NUMBERS = ("Up to 12 participants (12 scans) per row, at most 1 failed",)
#: What stands once on the page, and with each table that leaves it.
ALONE = (
    "Of 39 scans of 33 participants in the data set, 27 are not compared",
    "pydeface native 1",
)


MEANS = "Intervals of means: 95 %, each on its own, not adjusted for multiple comparisons"


MEDIANS = "Intervals of medians: 95 %, exact (order statistics), none for fewer than 6"


TESTS = (
    "without any difference are ranked",
    "rank-biserial",
    "Holm-corrected",
    "Benjamini-Hochberg",
    "one-sided",
)


RESCANS = "mean scan-rescan difference (up to 6 participants)"


CHANGED = "grey, white, CSF or TIV"


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("flow", ("39 scans of 33 participants; 1 excluded", "10 measured in every variant")),
        ("flow_counts", ("39 scans of 33 participants; 1 excluded", "entered and left")),
        ("quality", ("12 scans", "is a crash", "95 % Clopper-Pearson", "widened")),
        ("overlap", (*NUMBERS, MEANS, "'All'", "counts as zero", "completers")),
        ("volumes", (*NUMBERS, *TESTS, MEDIANS, RESCANS, "families of 90 tests", "5 %",
                     "80 % power at level 0.05 / family size")),
        ("volumes_over", (*TESTS, MEDIANS, RESCANS, "families of 36 tests", CHANGED, "5 %",
                          "after defacing the tests are biased towards a difference")),
        ("changes", (*NUMBERS, CHANGED, "5 %", "failed scans counted as changed",
                     "95 % Clopper-Pearson")),
        ("repeatability", (MEANS, RESCANS, "two sessions", "Up to 6 participants per row")),
        ("brainage", (*NUMBERS, MEANS, "before any age-bias correction", "jackknife",
                      "declared rescan", "by participant", "over the variants of a segmenter")),
        ("brainage_accuracy", ("Cross-validated", "before the age-bias correction", "jackknife",
                               "not adjusted", "permuted between participants 200 times")),
        ("similarity", (*NUMBERS, MEANS, "went through")),
        ("runtime", ("compared scans", "add up", "counted in full for each",
                     "The number at its end is not that scan's but the mean of all steps")),
    ],
)  # fmt: skip
def test_captions_say_what_counts(flowed, name, facts):
    text = caption(name, flowed, Criteria(n_boot=200))
    for fact in facts:
        assert fact in text, (fact, text)


#: Names of columns that nobody would take for a word.
COLUMNS = {column for r in catalogue.everything() for column in r.columns if "_" in column}


def columns_in(text):
    return COLUMNS & set(re.findall(r"\w+", text))


def test_captions_name_no_columns(flowed):
    """They are for readers; what a column holds stands in the reference of the tables."""
    for name in (*TABLE_COLUMNS, "volumes_globals"):
        assert not columns_in(caption(name, flowed, SETTINGS)), name


def test_captions_with_intervals_say_whether_they_are_adjusted(flowed):
    for name in (*TABLE_COLUMNS, "volumes_globals"):
        text = caption(name, flowed, SETTINGS)
        if "nterval" in text:
            assert re.search("(not )?adjusted|allow(ing)? for", text), name


def test_a_table_that_leaves_the_page_says_engines_and_what_is_not_compared(flowed, tmp_path):
    for name in ("overlap", "volumes", "quality"):
        print_latex(flowed[name], tmp_path / f"{name}.tsv", View(flowed, SETTINGS))
        text = (tmp_path / f"{name}.tex").read_text()
        assert all(fact in text for fact in ALONE)
        assert all(fact not in caption(name, flowed, SETTINGS) for fact in ALONE)


def test_every_table_has_a_caption(flowed):
    for name in TABLE_COLUMNS:
        bare = {key: table.iloc[:0] for key, table in flowed.items()}
        text = caption(name, bare, SETTINGS)
        assert text.endswith("."), name
        assert " ." not in text


def test_captions_speak_of_failures_counted_only_where_a_column_counts_them(tables, flowed):
    """On the page no column holds the share of scans that changed; as LaTeX one does."""
    said = "a failed scan counts as zero"
    assert said in caption("overlap", tables, SETTINGS)
    whole = {**tables, "overlap": tables["overlap"].assign(n_failed=0)}
    assert said not in caption("overlap", whole, SETTINGS)
    said = "a failure counts as worse than any value"
    pairs = tables["method_pairs"]
    assert (said in caption("method_pairs", tables, SETTINGS)) == pairs["p_all"].notna().any()
    none = {**tables, "method_pairs": pairs.assign(p_all=np.nan)}
    assert said not in caption("method_pairs", none, SETTINGS)
    said = "Share changed: scans that changed by more than 5 %, failed scans counted in."
    assert said not in caption("volumes", tables, SETTINGS)
    assert said in catalogue.caption("volumes", View(tables, SETTINGS))


def test_captions_of_two_segmenters_name_both():
    two = factories.tables(5, segmenters=("one", "two"))
    assert "Model of one:" in caption("brainage", two, SETTINGS)
    assert "Model of two:" in caption("brainage", two, SETTINGS)
    table = two["volumes"]
    fewer = table["family_size"].where(table["segmenter"] == "one", 80)
    text = caption("volumes", {**two, "volumes": table.assign(family_size=fewer)}, SETTINGS)
    assert "90 (one), 80 (two) tests" in text


def test_margins_of_both_sources_are_named(tables):
    table = tables["volumes"].copy()
    table.loc[table.index[0], "margin_source"] = "config"
    text = caption("volumes", {**tables, "volumes": table}, SETTINGS)
    assert "mean scan-rescan difference (up to 6 participants) or a setting" in text


def test_the_fixed_margin_is_printed_with_its_source(tables):
    told = Criteria(equivalence_margin_pct=1.5, equivalence_margin_source="Doe 2020, table 3.")
    for name in ("volumes", "repeatability"):
        text = caption(name, tables, told)
        assert "within the fixed margin of 1.5 % (Doe 2020, table 3)" in text
    fixed = Criteria(equivalence_margin="fixed", equivalence_margin_source="Doe 2020")
    table = tables["repeatability"].assign(margin_source="config", margin_pct=2.0)
    text = caption("repeatability", {**tables, "repeatability": table}, fixed)
    assert "the margin of 2 %, a setting (Doe 2020), declared before the run" in text


def test_a_fixed_margin_above_the_largest_change_is_said_to_be_cut(tables):
    large = Criteria(equivalence_margin_pct=3)
    for name in ("volumes", "repeatability"):
        text = caption(name, tables, large)
        assert "the fixed margin of 2 % (cut from the 3 % of the config" in text
        assert "cut from" not in caption(name, tables, Criteria(equivalence_margin_pct=2))


def test_captions_say_how_much_of_the_margin_is_noise(tables):
    table = tables["repeatability"].copy()
    assert "own noise" not in caption("repeatability", tables, SETTINGS)
    occipital = table["region"] == "occipital"
    table.loc[occipital, ["mean_abs_pct", "true_mean_abs_pct"]] = [6.8, 0.09]
    table.loc[occipital, "noise_share"] = 0.98
    table.loc[occipital, ["true_of", "margin_source"]] = ["gm", "cap"]
    table.loc[occipital, "margin_pct"] = 2.0
    table.loc[table["region"] == "tiv", ["true_mean_abs_pct", "noise_share"]] = [0.5, 0.1]
    table.loc[table["region"] == "tiv", "true_of"] = "tiv"
    text = caption("repeatability", {**tables, "repeatability": table}, SETTINGS)
    assert "in occipital two scans of a person differ by 6.8 % by the segmenter" in text
    assert "by 0.09 % by the labels (of all grey matter" in text
    assert "In 1 of 2 volumes (occipital) more than half" in text
    assert "rest on the largest acceptable change (2 %)" in text
    assert "or the largest acceptable change (2 %)" in text


def test_limits_name_what_is_missing(tables):
    look = look_of(tables)
    found = " ".join(limitations(tables, SETTINGS, "", look))
    assert "Only an attack can measure it" in found
    assert "null control" not in found
    bare = look_of({"quality": tables["quality"][tables["quality"]["variant"] != "null"]})
    assert "No null control" in " ".join(limitations({}, SETTINGS, "", bare))


# what is missing ----------------------------------------------------------------------------


def flow_of(ends, people=4):
    """Return a flow in which all went well but for stage and status of (scan, variant)."""
    rows = [
        {"scan": f"sub-{n}", "participant": f"sub-{n}", "session": "", "split": "test",
         "role": "measured", "variant": variant, "contrast": "", "reason": "",
         **dict(zip(("stage", "status"), ends.get((n, variant), ("measure", "ok")), strict=True))}
        for variant in ("original", "a", "a+m")
        for n in range(people)
    ]  # fmt: skip
    return pd.DataFrame(rows)


LOSSES = {
    (0, "a"): ("deface", "failed"),
    (0, "a+m"): ("deface", "failed"),
    (1, "a+m"): ("reface", "failed"),
    (2, "a"): ("segment", "failed"),
    **{(3, variant): ("prepare", "excluded") for variant in ("original", "a", "a+m")},
}


def test_captions_of_images_say_how_many_are_missing_and_at_which_stage():
    view = View({"flow": flow_of(LOSSES)})
    assert missing.images(view) == (
        "Missing for a: 1 scan could not be defaced (sub-0), 1 scan could not be prepared (sub-3); "
        "for a+m: 1 scan could not be defaced (sub-0), 1 scan could not be refaced (sub-1), "
        "1 scan could not be prepared (sub-3). "
        "Images whose brain could not be segmented count all the same."
    )
    assert "for a+m" not in missing.images(view, variants=("a",))
    # Two images of `a` are there, one of which was not compared; the one of `a+m` was.
    told = missing.images(view, {"a": 1, "a+m": 1})
    assert "(sub-3), 1 image could not be compared; for a+m" in told
    assert told.count("compared") == 1


def test_captions_tell_of_a_few_losses_and_where_the_others_stand():
    flow = flow_of({})
    lost = flow[flow["variant"] == "a"].assign(status="failed")
    many = [
        lost.head(n).assign(variant=f"v{n}{after}", stage=stage)
        for n in range(1, 5)
        for after, stage in (("", "deface"), ("+m", "reface"))
    ]
    told = missing.images(View({"flow": pd.concat([flow, *many], ignore_index=True)}))
    assert told.count("; for v") == 4
    assert told.endswith("; 3 more in the table flow.")


def test_captions_say_nothing_of_images_where_none_is_missing():
    assert missing.images(View({"flow": flow_of({})}), {"a": 4, "a+m": 4}) == ""
    assert missing.images(View({})) == ""
    # Programs that are not here and scans that were never wanted are not missing.
    away = flow_of({(n, "a"): ("deface", "unavailable") for n in range(4)})
    away.loc[len(away)] = {**away.iloc[0], "scan": "x", "split": "train", "status": "failed"}
    away.loc[len(away)] = {**away.iloc[0], "scan": "y", "role": "rescan", "status": "failed"}
    away.loc[len(away)] = {**away.iloc[0], "scan": "z", "stage": "render", "status": "failed"}
    assert missing.images(View({"flow": away})) == ""


@pytest.mark.parametrize("name", ["similarity", "face_parts", "face_shown"])
def test_captions_of_tables_of_images_name_what_is_missing(flowed, name):
    text = caption(name, flowed, Criteria(n_boot=200))
    assert "pydeface+pix2pix25d" in text
    assert "1 scan could not be defaced (sub-012_ses-1)" in text


@pytest.mark.parametrize("place", ["front", "full"])
def test_figures_of_slices_name_what_is_missing(place):
    rows = pd.DataFrame({"variant": ["a", "a+m"], "scan": "sub-1", "image": [1, 1]})
    view = View({"flow": flow_of(LOSSES), "similarity_slices": rows}, faces="public")
    said = similarity_slices.caption(view, place)
    assert "(sub-3), 1 image could not be compared; for a+m: 1 scan could not be defaced" in said
    assert "1 scan could not be refaced (sub-1)" in study_sheet.caption(view, "a+m")
    assert "1 scan could not be refaced (sub-1)" in slices.caption(view, "")


def test_unsegmented_originals_are_not_among_those_that_nothing_compares():
    table = factories.measurements(failures=False)
    whole = words.left_out(View(factories.make_tables(table)))
    lost = (table["variant"] == "original") & (table["scan"] == "sub-002_ses-1")
    table.loc[lost, ["status", "stage"]] = ["failed", "segment"]
    said = words.left_out(View(factories.make_tables(table)))
    assert "26 are not compared" in whole
    assert "all the same" not in whole
    assert "27 are not compared" in said
    assert "where no segmentation is needed, 1 of these is compared all the same" in said
