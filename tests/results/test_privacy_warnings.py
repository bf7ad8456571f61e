"""What the controls of the attacks say."""

import numpy as np
import pandas as pd
import pytest

from attacks import (
    PROTOCOL,
    SETTINGS,
    by_rank,
    controlled,
    kinds,
    make,
    scans,
)
from refacebench.results import findings, privacy_warnings
from refacebench.results.result import View
from refacebench.statistics.attacks import evaluate_all
from refacebench.statistics.comparisons import Comparisons


def test_controls_in_order_warn_of_nothing():
    assert kinds(controlled()).empty


def test_an_original_that_is_not_recognised_is_a_weak_attack():
    table = kinds(controlled(original=range(1, 14)))
    assert list(table["kind"]) == ["weak_attack"]
    said = table["message"].iloc[0]
    assert "this attack is not shown to work: that it fails protects nobody" in said


def test_of_too_few_people_it_is_not_said_that_they_are_not_recognised():
    """Two of two are named, which chance does in one of two tries."""
    found = [by_rank([1, 1], 2, name) for name in ("original", "black", "blurred", "skull_strip")]
    table = kinds(found).set_index("kind")
    said = table.loc["weak_attack", "message"]
    assert "100 % of 2 participants" in said
    assert "with so few participants even all of them would not be" in said
    for told in (said, findings.NOT_SHOWN_TO_WORK, privacy_warnings.caption(View({}))):
        assert "not shown" in told
        assert "not recognise" not in told
        assert "weak" not in told


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


def known(site, sex):
    names = [f"p{i:02d}" for i in range(len(site))]
    return pd.DataFrame({"site": list(site), "sex": list(sex), "age": np.nan}, index=names)


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (
            known("aaaabbbbccccc", "fm" * 6 + "f"),
            "of the same site, sex and age band. "
            "Here, 5 people were compared only with others of the same site; for 8, only some of "
            "the others matched. Where others differ from a person, ",
        ),
        (known([""] * 13, [""] * 13), "neither site nor sex of anybody is known"),
    ],
)
def test_too_few_people_alike_are_a_note_with_what_site_and_sex_give_away(people, words):
    results = evaluate_all(controlled(), PROTOCOL, SETTINGS, people=people)
    table = privacy_warnings.compute(results, PROTOCOL, SETTINGS)
    assert list(table["kind"]) == ["unmatched"], "one for all attackers"
    assert words in table["message"].iloc[0]
    assert "unmatched" not in privacy_warnings.LOUD


def test_people_who_could_be_matched_need_no_note():
    results = evaluate_all(controlled(), PROTOCOL, SETTINGS, people=known("a" * 13, "f" * 13))
    assert privacy_warnings.compute(results, PROTOCOL, SETTINGS).empty
