"""Which scans come first, and what is said of them."""

import numpy as np
import pandas as pd
import pytest

import factories
from refacebench.metrics.verdict import THRESHOLDS
from refacebench.results import doubt, quality_scans
from refacebench.results.inputs import Measured
from refacebench.statistics.criteria import Criteria

CLEAN = {
    "variant": "a",
    "scan": "sub-1",
    "status": "ok",
    "stage": "measure",
    "reason": "",
    "quality": "success",
    "face_left": 0.0,
    "face_left_nose": 0.0,
    "face_left_eyes": 0.0,
    "face_left_ears": 0.0,
    "brain_voxels": 100_000,
    "brain_removed": 0,
    "brain_replaced": 0,
    "brain_core_lost": 0,
    "odd_voxels": 0,
    "worst_volume": "gm",
    "worst_change_pct": 0.0,
}


def judged(named=None, limits=None, **changes):
    return doubt.of({**CLEAN, **changes}, {**THRESHOLDS, **(limits or {})}, 5.0, named)


def test_a_scan_that_nothing_speaks_against_is_clear():
    found = judged()
    assert (found.score, found.kind, found.why) == (0.0, "clear", ("Nothing stands out.",))


@pytest.mark.parametrize(
    ("changes", "score", "kind", "words"),
    [
        ({"face_left": 0.05}, 0.2, "clear", "Nothing stands out."),
        ({"face_left": 0.2, "face_left_eyes": 0.6}, 0.8, "close",
         "20 % of the face surface is left (limit 25 %), most of it at the eyes (60 %)."),
        ({"face_left": 0.25}, 1.0, "fails a check", "25 % of the face"),
        # 30 of 100000 below the rim: 0.0003 of the allowed 0.0005; with the rim 0.5 of 1 %.
        ({"brain_removed": 500, "brain_core_lost": 30}, 0.6, "close", "0.03 % of the brain mask"),
        ({"brain_removed": 900, "brain_replaced": 300, "brain_core_lost": 5}, 1.2, "fails a check",
         "1.2 % of the brain mask is removed or replaced (limit 1 %)."),
        ({"worst_change_pct": -6.0}, 1.2, "fails a check",
         "Grey matter measures 6.0 % less than in the original (limit 5 %)."),
        ({"worst_change_pct": 3.0}, 0.6, "close", "Grey matter measures 3.0 % more"),
        # Whatever the checks say.
        ({"truth_failure_1": 1.0}, 2.0, "fails a check", "By the true labels part of the face was"),
        ({"truth_failure_1": 0.0, "truth_failure_2": np.nan}, 0.0, "clear", "Nothing stands out."),
        ({"truth_failure_2": 1, "worst_change_pct": 6.0}, 2.0, "fails a check",
         "By the true labels brain was lost."),
        ({"odd_voxels": 7}, 1.0, "fails a check", "far from the head (7 voxels)"),
        ({"sides_disagree": 1}, 0.5, "close", "contradicts itself on which side is left"),
        ({"status": "failed", "stage": "segment", "reason": "empty brain mask"}, 3.0,
         "fails a check", "On this image the stage 'segment' failed: empty brain mask."),
        ({"status": "failed", "stage": "deface", "reason": "no result after 9 s"}, 10.0,
         "no image", "There is no image, the stage 'deface' failed: no result after 9 s."),
        ({"quality": "crash"}, 10.0, "no image", "no usable image"),
        ({"status": "not_written", "stage": "deface", "reason": "disk full"}, 10.0, "no image",
         "disk full"),
        ({"status": "excluded", "stage": "inventory", "reason": "one slice"}, 0.0, "no image",
         "There is no image, the scan was left out: one slice."),
        ({"quality": "no_face", "face_left": np.nan}, 0.0, "clear", "came without a face"),
    ],
)  # fmt: skip
def test_each_check_counts_in_units_of_its_limit(changes, score, kind, words):
    found = judged(**changes)
    assert found.score == pytest.approx(score)
    assert found.kind == kind
    assert words in found.why[0]


def test_attackers_count_once_each_and_say_among_how_many():
    one, two = judged({"surface": 13}), judged({"surface": 13, "other": 20})
    assert (one.score, two.score) == (1.0, 1.5)
    assert "surface and other" in two.why[0]
    assert "among 20 people" in two.why[0]


def test_ears_count_where_the_config_says_so_and_are_told_all_the_same():
    left = {"face_left_ears": 0.9}
    assert judged(**left).why[-1].startswith("Ears are left, which this run does not count")
    assert judged(**left).score == 0
    counted = judged(limits={"ears_left": 0.3}, **left)
    assert counted.score == pytest.approx(3.0)
    assert counted.why == ("90 % of the ears is left (limit 30 %).",)


def test_the_most_serious_reason_comes_first_and_all_count_in_the_sum():
    found = judged(face_left=0.15, worst_change_pct=10.0)
    assert [text.split()[0] for text in found.why] == ["Grey", "15"]
    assert (found.score, found.total) == (pytest.approx(2.0), pytest.approx(2.6))


def cohort():
    return factories.measurements(n_participants=6, segmenters=("one", "two"))


def test_a_cohort_has_every_scan_of_every_variant_once_the_worst_first():
    table = cohort()
    found = doubt.table(table, Criteria())
    variants = [v for v in factories.VARIANTS if v != "original"]
    assert len(found) == 6 * len(variants)
    assert not found.duplicated(["variant", "scan"]).any()
    assert found["doubt"].is_monotonic_decreasing
    lost = found[found["kind"] == "no image"]
    assert set(lost["variant"]) == {"pydeface", "pydeface+pix2pix25d"}
    assert set(lost["participant"]) == {"sub-006"}
    unsegmented = found[(found["variant"] == "quickshear") & (found["participant"] == "sub-005")]
    assert unsegmented["doubt"].tolist() == [3.0]


def test_the_volume_that_changed_most_is_that_of_all_segmenters():
    table = cohort()
    one = (table["scan"] == "sub-001_ses-1") & (table["segmenter"] == "two")
    before = table.loc[one & (table["variant"] == "original"), "vol_wm"].iloc[0]
    table.loc[one & (table["variant"] == "quickshear"), "vol_wm"] = 0.7 * before
    found = doubt.table(table, Criteria(threshold_pct=10)).set_index(["variant", "scan"])
    row = found.loc[("quickshear", "sub-001_ses-1")]
    assert (row["worst_volume"], row["worst_segmenter"]) == ("wm", "two")
    assert row["worst_change_pct"] == pytest.approx(-30)
    assert row["parts"]["volume"] == pytest.approx(3.0)


def test_the_table_of_scans_follows_the_configs_thresholds():
    given = Measured(cohort(), thresholds={"face_left": 0.01, "volume_change_pct": 50})
    found = quality_scans.RESULT.compute(given, {})
    assert list(found) == list(quality_scans.RESULT.columns)
    defaced = found[(found["variant"] == "quickshear") & (found["outcome"] == "ok")]
    assert (defaced["doubt"] == 2.0).all(), "0.02 of the surface is left, 0.01 is the limit"
    assert defaced["why"].str.startswith("2 % of the face surface is left (limit 1 %)").all()


def test_an_excluded_scan_is_a_row_of_every_variant():
    table = cohort()
    gone = table[table["scan"] == "sub-001_ses-1"].copy()
    table = table[table["scan"] != "sub-001_ses-1"]
    gone = gone.assign(status="excluded", stage="prepare", reason="no brain", quality="")
    found = doubt.table(pd.concat([table, gone]), Criteria())
    mine = found[found["scan"] == "sub-001_ses-1"]
    assert len(mine) == len(factories.VARIANTS) - 1
    assert set(mine["kind"]) == {"no image"}
    assert (mine["doubt"] == 0).all()
    assert len(found) - len(mine) == mine.index.min(), "they come last"
