"""The kit's questions are balanced."""

import pandas as pd
import pytest

from rating import VARIANTS, cohort
from refacebench.kit import questions


def option_columns(key):
    return key[[f"option_{i}" for i in range(1, 6)]]


def test_questions_are_balanced_over_variants_persons_and_places(key):
    assert len(key) == 105
    assert key["question"].is_unique
    assert set(key["variant"].value_counts()) == {35}
    for _, rows in key.groupby("variant"):
        assert set(rows["participant"].value_counts()) == {5}
        assert set(rows["right"].value_counts()) == {7}
        shown = option_columns(rows).stack().str[:6].value_counts()
        assert shown.max() - shown.min() <= 1


def test_uneven_numbers_are_balanced_to_within_one():
    key = questions.questions(cohort(), VARIANTS, count=50, block=20, seed=1)
    counts = key["variant"].value_counts()
    assert len(key) == 50
    assert counts.max() - counts.min() <= 1
    for _, rows in key.groupby("variant"):
        for column in ("participant", "right"):
            n = rows[column].value_counts()
            assert n.max() - n.min() <= 1
    for _, rows in key[key["block"] < 3].groupby("block"):
        assert len(rows) == 20
        n = rows["variant"].value_counts()
        assert n.max() - n.min() <= 1


def test_the_right_option_is_the_person_from_another_session_and_the_others_are_not(key):
    for row in key.to_dict("records"):
        options = [row[f"option_{i}"] for i in range(1, 6)]
        people = [scan[:6] for scan in options]
        assert people[row["right"] - 1] == row["participant"] == row["query"][:6]
        assert len(set(people)) == 5
        assert row["setting"] == "other_session"
        assert options[row["right"] - 1] != row["query"]


def test_one_session_asks_with_the_same_scan():
    key = questions.questions(cohort(sessions=("",)), ["a"], count=14)
    assert set(key["setting"]) == {"same_scan"}


def test_measured_scans_are_asked_with_the_rescans_of_the_originals():
    table = cohort(variants=["a"], sessions=("ses-1",))
    originals = cohort(variants=["original"])
    key = questions.questions(table, ["a"], originals=originals, count=14)
    assert set(key["setting"]) == {"other_session"}
    assert set(key["query"].str[7:]) == {"ses-2"}
    assert set(option_columns(key).stack().str[7:]) == {"ses-1"}


def test_too_few_persons_is_an_error():
    with pytest.raises(ValueError, match="4 people of variant a"):
        questions.questions(cohort(n=4), ["a"], count=10)


def test_same_seed_same_questions(key):
    shuffled = cohort().sample(frac=1, random_state=0)
    again = questions.questions(shuffled, VARIANTS, count=105, block=20, seed=5)
    pd.testing.assert_frame_equal(again, key)
    other = questions.questions(cohort(), VARIANTS, count=105, block=20, seed=6)
    assert not other.equals(key)


def test_an_unknown_variant_in_the_config_is_named():
    config = {"privacy": {"kit": {"variants": ["a", "zzz"]}}}
    with pytest.raises(ValueError, match="no variant zzz"):
        questions.asked(config, VARIANTS)
    assert questions.asked({}, ["original", "null", "a"]) == ["original", "a"]
    assert questions.variants({"privacy": {"kit": {"variants": ["a", "black"]}}}, VARIANTS) == [
        "original",
        "a",
    ]
