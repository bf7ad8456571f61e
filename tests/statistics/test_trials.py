"""Trials of attackers: ranks, ties and choices with known answers."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    make,
    scans,
)
from refacebench.statistics.attacks import evaluate
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.trials import trials
from refacebench.vocabulary import OTHER_SESSION, SAME_SCAN
from refacebench.vocabulary import SETTINGS as ATTACK_SETTINGS


def one(found, setting=OTHER_SESSION, protocol=PROTOCOL, criteria=SETTINGS):
    return evaluate(found, setting, protocol, criteria)


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
    found = one(make(np.tile(row, (n, 1)), query, gallery), criteria=Criteria(n_boot=10)).row
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
