"""Rates of attackers: who could not be compared, intervals, resplits."""

import numpy as np
import pandas as pd
import pytest

from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    make,
    rates_table,
    resplit_scores,
    scans,
)
from refacebench.results.privacy_warnings import compute as privacy_warnings_table
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.trials import trials
from refacebench.vocabulary import OTHER_SESSION, SAME_SCAN


def one(found, setting=OTHER_SESSION, protocol=PROTOCOL, criteria=SETTINGS):
    return evaluate(found, setting, protocol, criteria)


def test_unscored_queries_count_as_not_identified_and_are_left_out_of_completers():
    found = by_rank([1, 1, 1, 1], 6)
    distance = found.distance.copy()
    distance[0, 3] = np.nan
    detected = np.array([True, False, True, False])
    query = found.query.assign(detected=detected)
    row = one(Comparisons("x", "a", distance, query, found.gallery)).row
    assert row["rank1"] == 0.75
    assert row["rank1_completers"] == 1
    assert row["rank1_detected"] == 1
    assert row["choice"] == 0.75
    assert row["choice_completers"] == 1
    assert row["n_failed"] == 1
    assert row["n_undetected"] == 2
    assert row["undetected_share"] == 0.5
    assert row["area"] == pytest.approx(1 - 0.5 / 6)


def test_an_undetected_face_that_was_compared_all_the_same_counts_with_its_score():
    row = one(make([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]], scans(3, 1), detected=False), SAME_SCAN).row
    assert row["undetected_share"] == 1
    assert row["rank1"] == 1
    assert np.isnan(row["rank1_detected"])


def test_an_attack_that_never_was_has_no_rate():
    found = make(np.full((10, 10), np.nan), scans(5), meta={"unavailable": "no dlib here"})
    result = one(found)
    assert "rank1" not in result.row
    assert result.row["note"] == "no dlib here"
    assert result.row["n_failed"] == 10
    table = rates_table(evaluate_all([found], PROTOCOL, SETTINGS))
    assert table["rank1"].isna().all()
    warned = privacy_warnings_table(evaluate_all([found], PROTOCOL, SETTINGS), PROTOCOL, SETTINGS)
    assert "no dlib here" in " ".join(warned["message"])


def test_a_gallery_scan_without_distances_is_no_candidate():
    found = by_rank([2, 2, 2], 5)
    distance = found.distance.copy()
    distance[:, :, 4] = np.nan
    t = trials(Comparisons("x", "a", distance, found.query, found.gallery), OTHER_SESSION)
    assert set(t.size) == {4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": np.ones((3, 4))}, "3 queries and 3"),
        ({"distance": np.full((3, 3), np.inf)}, "infinite"),
        ({"gallery": scans(3, 1).assign(scan="g")}, "scan g is listed twice"),
        ({"resplit": np.ones((2, 3))}, "resplits of shape"),
    ],
)
def test_scores_that_do_not_fit_are_an_error(change, message):
    good = {"distance": np.ones((3, 3)), "query": scans(3, 1), "gallery": scans(3, 1)}
    good["query"] = good["query"].assign(detected=True, reason="")
    with pytest.raises(ValueError, match=message):
        Comparisons("x", "a", **{**good, **change})


def test_nobody_identified_does_not_mean_a_rate_of_zero():
    row = one(by_rank([13] * 13, 13)).row
    assert row["rank1"] == row["rank1_low"] == 0
    assert row["rank1_high"] == pytest.approx(1 - 0.025 ** (1 / 13))
    assert row["choice"] == 0
    assert row["choice_high"] == pytest.approx(1 - 0.025 ** (1 / 13))


def test_intervals_hold_their_values_and_are_deterministic():
    ranks = np.random.default_rng(0).integers(1, 14, 13)
    first, second = (one(by_rank(ranks, 13)) for _ in range(2))
    assert first.row == second.row
    pd.testing.assert_frame_equal(first.curves, second.curves)
    for name in ("rank1", "rank_k", "choice", "area", "roc_area", "eer", "verified"):
        assert first.row[f"{name}_low"] <= first.row[name] <= first.row[f"{name}_high"]
    other = one(by_rank(ranks, 13), criteria=Criteria(n_boot=300, seed=9))
    assert other.row["area_low"] != first.row["area_low"]
    assert other.row["area"] == first.row["area"]


def test_top_alpha_area_is_the_area_under_its_curve():
    ranks = [1, 1, 4, 7, 10]
    result = one(by_rank(ranks, 10))
    curve = result.curves[result.curves["curve"] == "top_alpha"]
    assert np.trapezoid(curve["y"], curve["x"]) == pytest.approx(result.row["area"], abs=1e-9)
    assert curve["y"].is_monotonic_increasing
    assert list(curve["y"].iloc[[0, -1]]) == [0, 1]


def test_resplits_rank_among_the_evaluation_part_and_have_bands():
    found = resplit_scores()
    t = trials(found, OTHER_SESSION)
    assert set(t.size) == {6}
    row = one(found).row
    per_resplit = [
        one(
            make(
                np.where(found.resplit[k][:, None] & found.resplit[k], found.distance[k], np.nan),
                found.query[["scan", "participant", "session"]],
            )
        )
        for k in range(6)
    ]
    values = [
        result.persons["rank1"].loc[sorted(found.evaluated(k))].mean()
        for k, result in enumerate(per_resplit)
    ]
    low, high = np.quantile(values, [0.025, 0.975])
    assert (row["rank1_band_low"], row["rank1_band_high"]) == pytest.approx((low, high))
    assert row["n_resplits"] == 6
    assert row["n_gallery"] == 6
    assert np.isnan(row.get("roc_area_low", np.nan)), "no bootstrap over several models"
    assert row["roc_area_band_low"] <= row["roc_area"] <= row["roc_area_band_high"]


def test_resplits_without_a_list_of_parts_are_told_from_the_distances():
    found = resplit_scores()
    bare = make(found.distance, found.query[["scan", "participant", "session"]])
    assert one(bare).row == one(found).row


def test_black_is_chance_in_resplits_too():
    row = one(resplit_scores(black=True)).row
    assert row["rank1"] == pytest.approx(1 / 6)
    assert row["choice"] == row["choice_reverse"] == pytest.approx(0.2)
    assert row["roc_area"] == pytest.approx(0.5)
