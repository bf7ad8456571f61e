"""Attacks scored: known answers by hand and by other libraries, ties, controls, the trade-off."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

import factories
import layout
from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    controlled,
    kinds,
    make,
    rates_table,
    resplit_scores,
    scans,
)
from factories import ATTACK_COLUMNS, draw_attacks
from reading import caption
from refacebench import faces, manifest, vocabulary
from refacebench.plot import privacy_utility, style
from refacebench.report.limits import limitations
from refacebench.report.page import build
from refacebench.report.summary import REMINDER, reminder, summary_lines
from refacebench.results import catalogue, privacy_map, privacy_warnings
from refacebench.results import privacy as pictures
from refacebench.results.privacy import MEASURED
from refacebench.results.privacy_curves import compute as privacy_curves_table
from refacebench.results.privacy_likeness import compute as privacy_likeness_table
from refacebench.results.privacy_warnings import compute as privacy_warnings_table
from refacebench.results.privacy_warnings import warning_lines
from refacebench.results.tradeoff import compute as tradeoff_table
from refacebench.results.tradeoff import volume_change
from refacebench.statistics import attacks as attacks_module
from refacebench.statistics import chance, comparisons, intervals
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.chance import detectable, poisson_binomial_tail, rank_sum_tail
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.roc import Roc, equal_error_rate, roc_area, true_accepts
from refacebench.statistics.settings import Settings
from refacebench.statistics.trials import trials
from refacebench.vocabulary import OTHER_SESSION, REGIONS, SAME_SCAN
from refacebench.vocabulary import SETTINGS as ATTACK_SETTINGS


def one(found, setting=OTHER_SESSION, protocol=PROTOCOL, settings=SETTINGS):
    return evaluate(found, setting, protocol, settings)


# intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n"), [(0, 13), (1, 13), (6, 13), (13, 13), (40, 400)])
def test_clopper_pearson_is_scipys(k, n):
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert intervals.clopper_pearson(k, n) == pytest.approx(tuple(expected))


def test_clopper_pearson_of_nobody_is_no_interval():
    assert np.isnan(intervals.clopper_pearson(0, 0)).all()


# trials -------------------------------------------------------------------------------------


def test_ranks_of_a_tiny_matrix_by_hand():
    #             p00 p01 p02 (their later scans)
    distance = [
        [0.1, 0.5, 0.9],  # rank 1
        [0.2, 0.3, 0.9],  # rank 2
        [0.1, 0.2, 0.3],  # rank 3
    ]
    gallery = scans(3, 1).assign(scan=["g0", "g1", "g2"], session="later")
    result = one(make(distance, scans(3, 1), gallery), protocol=Protocol(options=2, rank_k=2))
    row = result.row
    assert row["rank1"] == pytest.approx(1 / 3)
    assert row["rank_k"] == pytest.approx(2 / 3)
    assert row["median_rank"] == 2
    assert row["chance"] == pytest.approx(1 / 3)
    assert row["n_gallery"] == 3
    # Against one random other: beats 2 of 2, 1 of 2, 0 of 2.
    assert row["choice"] == pytest.approx(0.5)
    # Places 1/6, 3/6, 5/6 of the ranking.
    assert row["area"] == pytest.approx(0.5)
    cmc = result.curves[result.curves["curve"] == "cmc"]
    assert list(cmc["y"]) == pytest.approx([1 / 3, 2 / 3, 1])


def test_choice_is_the_mean_over_all_sets_of_distractors():
    n, options = 8, 5
    rng = np.random.default_rng(0)
    for _ in range(20):
        row = rng.integers(0, 4, n).astype(float)  # many ties
        gallery = scans(n, 1).assign(scan=lambda t: t["scan"] + "b", session="later")
        found = one(make(row[None], scans(1, 1), gallery))
        wins = []
        for others in itertools.combinations(range(1, n), options - 1):
            theirs = row[list(others)]
            tied = (theirs == row[0]).sum()
            wins.append(0.0 if (theirs < row[0]).any() else 1 / (tied + 1))
        assert found.row["choice"] == pytest.approx(np.mean(wins))


def test_choice_is_hypergeometric():
    for rank in (1, 2, 5, 9, 10, 13):
        found = one(by_rank([rank], 13)).row["choice"]
        # All four others from the 13 - rank behind, of 12.
        assert found == pytest.approx(stats.hypergeom.pmf(4, 12, 13 - rank, 4))


@pytest.mark.parametrize("n", [2, 3, 5, 13])
@pytest.mark.parametrize("setting", ATTACK_SETTINGS)
def test_an_attacker_who_sees_nothing_scores_exactly_chance(n, setting):
    query = scans(n)
    row = one(make(np.full((2 * n, 2 * n), 0.7), query), setting).row
    assert row["rank1"] == pytest.approx(1 / n)
    assert row["rank1"] == pytest.approx(row["chance"])
    assert row["rank_k"] == pytest.approx(row["chance_k"])
    assert row["area"] == 0.5
    assert row["roc_area"] == 0.5
    assert row["eer"] == 0.5
    if n >= 5:
        assert row["choice"] == row["choice_reverse"] == pytest.approx(0.2)
    else:
        assert np.isnan(row["choice"])
    if n == 13:
        assert row["verified"] == pytest.approx(0.01)
    assert row["p"] > 0.5
    assert row["p_area"] >= 0.5


def test_rounding_errors_of_single_precision_are_ties():
    n = 13
    noise = np.random.default_rng(0).normal(0, 1e-8, (2 * n, 2 * n))
    row = one(make(0.7 + noise, scans(n))).row
    assert row["rank1"] == pytest.approx(1 / n)
    assert row["choice"] == pytest.approx(0.2)


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 9), st.integers(1, 3))
def test_ignorance_is_chance_on_average(seed, n, levels):
    """Over all ways of whose match is whose the measures average to chance, ties or not."""
    row = np.random.default_rng(seed).integers(0, levels + 1, n).astype(float)
    gallery = scans(n, 1).assign(scan=lambda t: t["scan"] + "b", session="later")
    query = scans(n, 1)
    # Every person's query has the same distances to everybody: the hub of the gallery.
    found = one(make(np.tile(row, (n, 1)), query, gallery), settings=Settings(n_boot=10)).row
    assert found["rank1"] == pytest.approx(1 / n)
    assert found["choice"] == pytest.approx(0.2)
    assert found["area"] == pytest.approx(0.5)


def test_another_session_means_neither_the_same_scan_nor_the_same_session():
    n = 5
    query = scans(n)
    rng = np.random.default_rng(1)
    distance = rng.uniform(1, 2, (2 * n, 2 * n))
    np.fill_diagonal(distance, 0)  # the same scan is recognised, nothing else is
    assert one(make(distance, query), SAME_SCAN).row["rank1"] == 1
    other = trials(make(distance, query), OTHER_SESSION)
    assert len(other) == 2 * n
    assert (other.match > 0).all()
    # Two runs of one session are no two sessions.
    runs = pd.concat([query, query.assign(scan=query["scan"] + "r2")], ignore_index=True)
    found = trials(make(np.ones((4 * n, 4 * n)), runs), OTHER_SESSION)
    assert len(found) == 4 * n * 2


def test_everybody_is_in_the_gallery_once_and_by_the_matchs_place():
    query = scans(3, 2)
    # Session 0 queries: distances name the gallery scan's session in their first digit.
    distance = np.tile([[10.0, 20, 11, 21, 12, 22]], (6, 1))
    t = trials(make(distance, query), OTHER_SESSION)
    for i in range(len(t)):
        seen = t.others[i][np.isfinite(t.others[i])]
        assert len(seen) == 2
        assert {round(v, -1) for v in seen} == {round(t.match[i], -1)}


def test_people_with_fewer_sessions_keep_the_chance_exact():
    query = scans(6, 2).iloc[[0, 1, 2, 4, 6, 7, 8, 10]].reset_index(drop=True)
    t = trials(make(np.ones((8, 8)), query), OTHER_SESSION)
    assert set(t.size) == {6}
    row = one(make(np.ones((8, 8)), query)).row
    assert row["n"] == 2
    assert row["n_no_match"] == 4
    assert row["rank1"] == pytest.approx(1 / 6)


def test_no_second_session_leaves_the_setting_empty_with_a_reason():
    result = one(make(np.ones((5, 5)), scans(5, 1)))
    assert np.isnan(result.row.get("rank1", np.nan))
    assert "another session" in result.row["note"]
    assert one(make(np.ones((5, 5)), scans(5, 1)), SAME_SCAN).row["n"] == 5


def test_a_participant_weighs_the_same_with_many_sessions():
    query = pd.concat([scans(1, 4), scans(6, 2).iloc[2:]], ignore_index=True)
    distance = np.ones((14, 14))
    mine = query["participant"] == "p00"
    for i in np.flatnonzero(mine):
        distance[i, mine] = 0.0  # only p00 is recognised, in all of 12 trials
    row = one(make(distance, query)).row
    # The others tie with everybody.
    assert row["rank1"] == pytest.approx((1 + 5 / 6) / 6)


# failures -----------------------------------------------------------------------------------


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
        ({"gallery": scans(3, 1).assign(scan="g")}, "scan g comes twice"),
        ({"resplit": np.ones((2, 3))}, "resplits of shape"),
    ],
)
def test_scores_that_do_not_fit_are_an_error(change, message):
    good = {"distance": np.ones((3, 3)), "query": scans(3, 1), "gallery": scans(3, 1)}
    good["query"] = good["query"].assign(detected=True, reason="")
    with pytest.raises(ValueError, match=message):
        Comparisons("x", "a", **{**good, **change})


# receiver operating characteristic ----------------------------------------------------------


@pytest.mark.parametrize("levels", [1000, 4])
def test_roc_is_sklearns(levels):
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(3)
    n = 12
    distance = rng.integers(0, levels, (n, n)).astype(float)
    distance[np.diag_indices(n)] *= 0.6
    roc = Roc(trials(make(distance, scans(n, 1)), SAME_SCAN))
    match = np.eye(n, dtype=bool).ravel()
    expected = roc_auc_score(match, -distance.ravel())
    false, true = roc.path()
    assert roc_area(false, true)[0] == pytest.approx(expected)
    fa, ta, _ = roc_curve(match, -distance.ravel(), drop_intermediate=False)
    for level in (0.01, 0.05, 0.2, 0.7):
        at = true_accepts(false, true, level)[0]
        last = np.flatnonzero(fa <= level + 1e-12)[-1]
        step = (level - fa[last]) / (fa[last + 1] - fa[last])
        # Between two corners of matches sklearn has corners of false accepts: flat, as here.
        expected = ta[last] + step * (ta[last + 1] - ta[last])
        assert at == pytest.approx(expected)
    # The equal error rate lies where sklearn's curve crosses the falling diagonal.
    eer = equal_error_rate(false, true)[0]
    assert eer == pytest.approx(np.interp(0, fa + ta - 1, fa))


def test_equal_error_rate_by_hand():
    # Matches 1, 3; others 2, 4 each: accepting up to 2.x: one false of two, one miss of two.
    distance = [[1.0, 2], [4, 3]]
    roc = Roc(trials(make(distance, scans(2, 1)), SAME_SCAN))
    assert equal_error_rate(*roc.path())[0] == pytest.approx(0.5)
    assert roc_area(*roc.path())[0] == pytest.approx(0.75)
    perfect = Roc(trials(make([[0.0, 1], [1, 0]], scans(2, 1)), SAME_SCAN))
    assert equal_error_rate(*perfect.path())[0] == 0
    assert true_accepts(*perfect.path(), 0.01)[0] == 1


def test_no_verification_rate_where_no_false_accept_fits():
    assert np.isnan(one(by_rank([1] * 6, 6)).row["verified"])
    assert one(by_rank([1] * 12, 12)).row["verified"] == 1


# tests against chance -----------------------------------------------------------------------


def test_the_exact_test_is_the_binomial_one_where_galleries_are_equal():
    for hits in (0, 1, 3, 13):
        expected = stats.binomtest(hits, 13, 1 / 13, alternative="greater").pvalue
        found = poisson_binomial_tail(hits, np.full(13, 1 / 13))
        assert found == pytest.approx(expected)
    row = one(by_rank([1, 1, 1] + [2] * 10, 13)).row
    assert row["p"] == pytest.approx(stats.binomtest(3, 13, 1 / 13, alternative="greater").pvalue)


def test_unequal_chances_by_enumeration():
    chances = [0.5, 0.25, 0.2]
    exact = 0.0
    for outcome in itertools.product([0, 1], repeat=3):
        if sum(outcome) >= 2:
            exact += math.prod(c if hit else 1 - c for hit, c in zip(outcome, chances, strict=True))
    assert poisson_binomial_tail(2, chances) == pytest.approx(exact)
    assert poisson_binomial_tail(2.9, chances) == pytest.approx(exact)
    assert poisson_binomial_tail(0, chances) == pytest.approx(1)


def test_rank_sums_by_enumeration():
    sizes = [3, 4, 2]
    sums = [sum(r) for r in itertools.product(*(range(1, s + 1) for s in sizes))]
    for total in range(3, 10):
        ranks = [1, 1, total - 2]
        expected = np.mean([s <= total for s in sums])
        assert rank_sum_tail(ranks, sizes) == pytest.approx(expected)


def test_rank_sums_of_many_are_normal(monkeypatch):
    sizes = np.full(60, 50)
    ranks = np.full(60, 22)
    exact = rank_sum_tail(ranks, sizes)
    monkeypatch.setattr(chance, "_EXACT_RANKS", 0)
    assert rank_sum_tail(ranks, sizes) == pytest.approx(exact, rel=0.01)


def test_tests_hold_their_level_under_ignorance():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        ranks = rng.integers(1, 10, 9)
        found.append(attacks_module._tests(trials(by_rank(ranks, 9), OTHER_SESSION)))
    for name in ("p", "p_area"):
        share = np.mean([f[name] < 0.05 for f in found])
        # Two standard errors of a share of 0.05.
        assert share < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean([f["p_area"] < 0.05 for f in found]) > 0.02


def test_detectable_is_the_smallest_number_that_passes():
    chances = np.full(13, 1 / 13)
    share = detectable(chances, 0.05 / 18)
    hits = round(13 * share)
    assert poisson_binomial_tail(hits, chances) < 0.05 / 18
    assert poisson_binomial_tail(hits - 1, chances) >= 0.05 / 18
    assert detectable(np.full(2, 0.5), 0.05) == np.inf


def test_holm_runs_over_all_attackers_and_variants_of_a_setting():
    found = [by_rank([1] * 8, 8, v, a) for v in ("original", "a") for a in ("x", "y")]
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    table = rates_table(results)
    mine = table[table["setting"] == OTHER_SESSION]
    assert set(mine["family_size"]) == {4}
    assert np.allclose(mine["p_holm"], 4 * mine["p"])
    assert set(table.loc[table["setting"] == SAME_SCAN, "family_size"]) == {0}


# intervals of rates -------------------------------------------------------------------------


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
    other = one(by_rank(ranks, 13), settings=Settings(n_boot=300, seed=9))
    assert other.row["area_low"] != first.row["area_low"]
    assert other.row["area"] == first.row["area"]


def test_top_alpha_area_is_the_area_under_its_curve():
    ranks = [1, 1, 4, 7, 10]
    result = one(by_rank(ranks, 10))
    curve = result.curves[result.curves["curve"] == "top_alpha"]
    assert np.trapezoid(curve["y"], curve["x"]) == pytest.approx(result.row["area"], abs=1e-9)
    assert curve["y"].is_monotonic_increasing
    assert list(curve["y"].iloc[[0, -1]]) == [0, 1]


# resplits -----------------------------------------------------------------------------------


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


# controls -----------------------------------------------------------------------------------


def test_controls_in_order_warn_of_nothing():
    assert kinds(controlled()).empty


def test_an_original_that_is_not_recognised_is_a_weak_attack():
    table = kinds(controlled(original=range(1, 14)))
    assert list(table["kind"]) == ["weak_attack"]
    assert "this attack is weak: its numbers protect nobody" in table["message"].iloc[0]


@pytest.mark.parametrize("black", [[1] * 6 + [9] * 7, [3] * 13])
def test_black_above_chance_is_a_leak(black):
    """By naming first, and by ranking well without ever naming first."""
    table = kinds(controlled(black=black))
    assert list(table["kind"]) == ["leak"]
    assert "the protocol leaks" in table["message"].iloc[0]


def test_missing_controls_and_blind_attacks_are_named():
    table = kinds([by_rank([1] * 13, 13, "a")])
    assert list(table["kind"]) == ["missing_control"] * 2 + ["no_landmark"] * 2
    assert list(table["control"]) == ["original", "black", "blurred", "skull_strip"]
    assert not set(table["kind"]) <= set(privacy_warnings.LOUD)
    found = controlled()
    distance = found[0].distance.copy()
    distance[0, :8] = np.nan
    found[0] = Comparisons("x", "original", distance, found[0].query, found[0].gallery)
    assert "blind_attack" in set(kinds(found)["kind"])


def test_one_session_and_small_galleries_are_noted():
    n = 4
    found = [
        make(1 - np.eye(n), scans(n, 1), variant="original"),
        make(np.ones((n, n)), scans(n, 1), variant="black"),
        make(np.ones((n, n)), scans(n, 1), variant="blurred"),
    ]
    assert {"same_scan_only", "small_gallery"} <= set(kinds(found)["kind"])


# trade-off ----------------------------------------------------------------------------------


def volume_table(changes):
    rows = [
        {"variant": v, "segmenter": "s", "region": region, "median_change_pct": c * (-1) ** i,
         "low": c * (-1) ** i - 0.5, "high": c * (-1) ** i + 0.5, "n_failed": 1}
        for v, c in changes.items()
        for i, region in enumerate(REGIONS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def plane(found, changes):
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    table = tradeoff_table(results, volume_table(changes), PROTOCOL, SETTINGS)
    return table[table["setting"] == OTHER_SESSION].set_index("variant")


def test_the_worst_case_is_over_attackers_and_reconstructions():
    found = [
        by_rank([1] * 13, 13, "original", "x"),
        by_rank([9] * 13, 13, "a", "x"),
        by_rank([6] * 13, 13, "a", "y"),
        by_rank([3] * 13, 13, "a+m", "x"),
        by_rank([8] * 13, 13, "a+m", "y"),
        by_rank([7] * 13, 13, "b", "y"),
    ]
    table = plane(found, {"a": 2.5, "a+m": 1.0, "b": 1.5})
    assert table.loc["a", ["worst_attacker", "worst_route"]].tolist() == ["x", "m"]
    assert table.loc["a", "n_routes"] == 4
    assert table.loc["a", "n_attackers"] == 2
    assert table.loc["a+m", ["worst_attacker", "worst_route"]].tolist() == ["x", "direct"]
    third = stats.hypergeom.pmf(4, 12, 10, 4)
    assert table.loc["a", "identification"] == pytest.approx(third)
    assert table.loc["b", "worst_attacker"] == "y"
    assert table.loc["original", "volume_change_pct"] == 0
    # b: fewer identified; a+m: less change; a's volumes are shown to be worse than a+m's (its
    # interval begins at 2.0, where that one's ends at 1.5) and it looks no better else.
    assert table["pareto"].dropna().to_dict() == {"a": 0.0, "a+m": 1.0, "b": 1.0}
    assert table["rank"].dropna().to_dict() == {"a": 2.0, "a+m": 1.0, "b": 1.0}
    assert np.isnan(table.loc["original", "pareto"])


def test_refacing_buys_no_privacy_that_its_defacer_has_not():
    """Its new face can be taken off again: then the defaced scan is attacked, by every route."""
    found = [
        by_rank([8] * 13, 13, "a", "x"),
        by_rank([2] * 13, 13, "a+m", "x"),
        by_rank([9] * 13, 13, "a+k", "x"),
        by_rank([1] * 13, 13, "ab+m", "x"),
    ]
    table = plane(found, {"a": 2.0, "a+m": 1.5, "a+k": 1.0, "ab+m": 3.0})
    assert table["worst_route"].to_dict() == {
        "a": "m",
        "a+m": "direct",
        "a+k": "m",
        "ab+m": "direct",
    }
    assert table.loc[["a", "a+m", "a+k"], "identification"].nunique() == 1
    assert table.loc["a+k", "pareto"] == 1
    found[1] = by_rank([10] * 13, 13, "a+m", "x")
    assert plane(found, {"a": 2.0})["worst_route"].to_dict() == {
        "a": "direct",
        "a+m": "taken_off",
        "a+k": "taken_off",
        "ab+m": "direct",
    }


def test_below_chance_is_no_better_than_chance():
    """b's people are picked less often than by chance: luck, which its volumes pay for."""
    found = [by_rank([rank] * 60, 60, name, "x") for name, rank in (("a", 30), ("b", 55))]
    table = plane(found, {"a": 1.0, "b": 3.0})
    assert (table["high"] < table["chance"]).all()
    assert table.loc["b", "identification"] < table.loc["a", "identification"]
    assert table["pareto"].to_dict() == {"a": 1.0, "b": 0.0}


def test_who_looks_at_no_face_is_a_floor_and_not_the_worst_case():
    found = [
        by_rank([5] * 13, 13, "a", "face"),
        by_rank([1] * 13, 13, "a", "skull"),
    ]
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    volumes = volume_table({"a": 2.0})
    row = tradeoff_table(results, volumes, PROTOCOL, SETTINGS, ["skull"]).iloc[0]
    assert (row["worst_attacker"], row["n_attackers"]) == ("face", 1)
    assert row["identification"] < 1
    assert (row["floor_attacker"], row["floor"], row["floor_high"]) == ("skull", 1.0, 1.0)
    counted = tradeoff_table(results, volumes, PROTOCOL, SETTINGS).iloc[0]
    assert (counted["worst_attacker"], counted["identification"]) == ("skull", 1.0)
    assert np.isnan(counted["floor"])
    alone = tradeoff_table(results[1:], volumes, PROTOCOL, SETTINGS, ["skull"]).iloc[0]
    assert (alone["worst_attacker"], alone["floor"]) == ("skull", 1.0)


def test_volume_change_by_hand():
    table = volume_table({"a": 2.0, "n": 0.2})
    found = volume_change(table, "s", "a")
    assert found["volume_change_pct"] == 2.0
    assert (found["volume_low"], found["volume_high"]) == (1.5, 2.5)
    noise = volume_change(table, "s", "n")
    assert noise["volume_low"] == 0
    assert noise["volume_high"] == pytest.approx(0.7)
    assert "volume_change_pct" not in volume_change(table, "s", "b")


# likeness -----------------------------------------------------------------------------------


def test_likeness_by_hand():
    query = scans(6, 1)
    extra = {
        "query_true_mm": np.array([1.0, 1, 1, 1, 2, np.nan]),
        "query_average_mm": np.array([2.0, 2, 2, 2, 1, 2]),
    }
    found = make(np.ones((6, 6)), query, extra=extra)
    row = privacy_likeness_table([found, make(np.ones((6, 6)), query)], SETTINGS).iloc[0]
    assert (row["n"], row["n_failed"]) == (5, 1)
    assert row["true_mm"] == pytest.approx(1.2)
    assert row["average_mm"] == pytest.approx(1.8)
    assert row["difference_mm"] == pytest.approx(-0.6)
    assert row["closer_share"] == 0.8
    assert row["p"] == stats.wilcoxon([-1, -1, -1, -1, 1], zero_method="pratt").pvalue


# files, figures, report ---------------------------------------------------------------------


def save(found, folder, **more):
    path = folder / found.attacker / f"{found.variant}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{side}_{name}": table[name].to_numpy(dtype=str)
        for side, table in (("query", found.query), ("gallery", found.gallery))
        for name in ("scan", "participant", "session")
    }
    distance = found.distance if found.resplits else found.distance[0]
    arrays |= {
        "distance": distance.astype(np.float32),
        "detected": found.query["detected"].to_numpy(dtype=bool),
        "query_reason": found.query["reason"].to_numpy(dtype=str),
        "meta": np.array(json.dumps({"version": "1.10", "trained_on": ""})),
    }
    np.savez_compressed(path, **{**arrays, **more})
    return path


def test_scores_are_read_as_they_were_written(tmp_path):
    found = resplit_scores()
    path = save(found, tmp_path, resplit=found.resplit.astype(np.int16), average_depth=np.ones(3))
    again = comparisons.read(path)
    assert (again.attacker, again.variant, again.resplits) == ("x", "a", 6)
    assert again.meta["version"] == "1.10"
    assert set(again.extra) == {"average_depth"}
    pd.testing.assert_frame_equal(again.query, found.query)
    assert one(again).row["rank1"] == one(found).row["rank1"]


def test_a_file_that_is_no_attack_is_named(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.npz: cannot be used"):
        comparisons.read(path)
    np.savez(path, distance=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz: cannot be used"):
        comparisons.read(path)


@pytest.fixture(scope="module")
def cohort():
    """All tables of a cohort with attacks: two attackers, controls, a refaced variant."""
    rng = np.random.default_rng(0)
    found = []
    for attacker, skill in (("x", 0), ("y", 3)):
        found += controlled(attacker=attacker)[:3]
        for variant in ("null", "pydeface", "quickshear", "pydeface+pix2pix25d"):
            ranks = np.clip(rng.integers(1, 14, 13) - skill, 1, 13)
            found.append(by_rank(ranks, 13, variant, attacker))
    found.append(resplit_scores("original", n=13))
    found[-1] = Comparisons("z", "original", *(getattr(found[-1], n) for n in (
        "distance", "query", "gallery", "meta", "resplit")))  # fmt: skip
    tables = factories.tables(12)
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    return tables | {
        "privacy": rates_table(results),
        "privacy_curves": privacy_curves_table(results),
        "privacy_warnings": privacy_warnings_table(results, PROTOCOL, SETTINGS),
        "privacy_likeness": privacy_likeness_table(found, SETTINGS),
        "tradeoff": tradeoff_table(results, tables["volumes"], PROTOCOL, SETTINGS),
    }


def test_tables_have_their_columns_and_survive_a_file(cohort, tmp_path):
    for name, wanted in ATTACK_COLUMNS.items():
        assert list(cohort[name]) == list(wanted)
        manifest.write(cohort[name], tmp_path / f"{name}.tsv")
    again = {n: catalogue.read(tmp_path / f"{n}.tsv") for n in ATTACK_COLUMNS}
    assert set(again["privacy"]["variant"]) == set(cohort["privacy"]["variant"])
    assert again["privacy"]["version"].dtype == object
    assert warning_lines(again) == warning_lines(cohort)


def test_figures_of_attacks(cohort):
    look = style.look_of(cohort)
    assert look.defacers == ["pydeface", "quickshear"], "controls take no defacer's colour"
    drawn = draw_attacks(cohort, look)
    assert list(drawn) == list(catalogue.attack_figure_names())
    panels = drawn["privacy"].axes
    bars = [round(p.get_width(), 6) for p in panels[0].patches]
    mine = cohort["privacy"][
        (cohort["privacy"]["attacker"] == "x") & (cohort["privacy"]["setting"] == OTHER_SESSION)
    ].set_index("variant")
    order = look.sort(mine.index)
    assert bars == [round(100 * mine.loc[v, "choice"], 6) for v in order]
    assert drawn["privacy_map"].get_label() == faces.MESSAGE_ONLY
    assert drawn["privacy_undetected"].get_label() == faces.MESSAGE_ONLY


def test_the_plane_marks_the_front_green_and_what_an_attack_beats_red(cohort):
    look = style.look_of(cohort)
    table = pictures.main_rows(cohort["tradeoff"])
    axes = draw_attacks(cohort, look)["privacy_utility"].axes[0]

    def marked(colour):
        return {
            (line.get_xdata()[0], line.get_ydata()[0])
            for line in axes.lines
            if line.get_markeredgecolor() == colour and line.get_marker() not in ("None", "x")
        }

    def places(rows):
        return set(zip(rows["volume_change_pct"], 100 * rows["identification"], strict=True))

    candidates = ~table["variant"].isin(("original", "null"))
    beaten = candidates & (table["low"] > table["chance"])
    front = table["pareto"] == 1
    assert (front & beaten).any()
    assert (front & ~beaten).any()
    assert marked(privacy_utility.FRONT) == places(table[front & ~beaten])
    assert marked(privacy_utility.CHANCE) == places(table[beaten])


def test_nothing_scored_gives_messages_not_crashes():
    empty = {name: pd.DataFrame(columns=list(c)) for name, c in ATTACK_COLUMNS.items()}
    for figure in draw_attacks(empty, style.look_of({})).values():
        assert figure.get_label() == faces.MESSAGE_ONLY


def test_the_map_shows_the_distance_of_each_variant():
    depth = np.full((8, 8), np.nan)
    depth[2:6, 2:6] = 3.0
    distance = np.where(np.isfinite(depth), 4.0, np.nan)
    maps = {"a": {"distance_mm": distance, "depth": depth}}
    figure = privacy_map.draw(maps, style.look_of({"t": pd.DataFrame({"variant": ["a"]})}))
    assert "mean 4.0 mm" in figure.axes[0].get_title()


def test_the_summary_and_the_reminder_say_what_was_measured(cohort):
    assert reminder(cohort) == MEASURED
    assert reminder({}) == REMINDER
    lines = summary_lines(cohort, SETTINGS)
    defacers = style.look_of(cohort).defacers
    assert sum(line.split(":")[0] in defacers for line in lines) == len(defacers)
    assert all("attack" in line for line in lines if line.split(":")[0] in defacers)
    assert REMINDER not in " ".join(lines)
    assert all("not measure" not in line for line in limitations(
        cohort, SETTINGS, "", style.look_of(cohort)))  # fmt: skip


def test_nothing_lies_on_anything_else_in_the_saved_figures(cohort, tmp_path):
    drawn = draw_attacks(cohort, style.look_of(cohort))
    del drawn["privacy_utility"]  # its labels are spread by a rule of their own
    found = {n: layout.faults(f, tmp_path, vocabulary.SYNTHETIC_NOTE) for n, f in drawn.items()}
    assert not {name: faults for name, faults in found.items() if faults}


def test_loud_warnings_stand_in_a_banner(cohort, tmp_path):
    weak = kinds(controlled(original=range(1, 14)))
    dataset = {
        "name": "demo", "statement": None, "faces": "private", "figures": {},
        "tables": cohort | {"privacy_warnings": weak}, "settings": SETTINGS,
        "config": {"segmenters": {"deepbet_gmm": {}}}, "methods": [], "costs": None,
    }  # fmt: skip
    page = build({"title": "t", "datasets": [dataset]})
    assert 'role="alert"' in page
    assert "its numbers protect nobody" in page
    assert MEASURED in page
    assert "Recognisability" in page
    calm = build(
        {"title": "t", "datasets": [{**dataset, "tables": cohort | {"privacy_warnings": weak[:0]}}]}
    )
    assert 'role="alert"' not in calm


def test_captions_are_sentences(cohort):
    cohort = cohort | {"raters": pd.DataFrame()}
    for name in [*ATTACK_COLUMNS, *catalogue.attack_figure_names(), "raters"]:
        text = caption(name, cohort, SETTINGS)
        assert text.endswith("."), name
        assert "nan" not in text.split(), name
        assert "  " not in text, name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": 1}, "privacy.options"),
        ({"rank_k": 1}, "privacy.rank_k"),
        ({"false_accept": 1.0}, "privacy.false_accept"),
        ({"measure": "luck"}, "privacy.measure"),
    ],
)
def test_a_protocol_out_of_range_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Protocol.from_config({"privacy": {**given, "kit": {"block": 3}}})
