"""Rates of raters, by hand."""

import numpy as np
import pandas as pd
import pytest

from rating import one
from refacebench import manifest
from refacebench import raters as program
from refacebench.results import raters as results_raters
from refacebench.results.raters import compute as raters_table
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=400, seed=3)


def answered(key, chance_right, n_raters=5, seed=0):
    """Return answers of raters who know the person with a probability and guess otherwise."""
    rng = np.random.default_rng(seed)
    rows = []
    for rater in range(n_raters):
        for row in key.to_dict("records"):
            knows = rng.uniform() < chance_right[row["variant"]]
            choice = row["right"] if knows else int(rng.integers(1, 6))
            rows.append({"rater": f"r{rater}", "question": row["question"], "choice": choice})
    return pd.DataFrame(rows)


def test_rates_by_hand(key):
    mine = key[key["variant"] == "a"].head(4)
    wrong = mine["right"] % 5 + 1
    answers = pd.DataFrame(
        {
            "rater": "r",
            "question": [*mine["question"]],
            "choice": [*mine["right"][:1], *wrong[1:]],
        }
    )
    table = raters_table(answers, key, SETTINGS).set_index("variant")
    assert table.loc["a", "rate"] == 0.25
    assert (table.loc["a", ["n_answers", "n_right", "n_raters", "n_asked"]] == [4, 1, 1, 35]).all()
    assert table.loc["a+m", "n_answers"] == 0
    assert np.isnan(table.loc["a+m", "rate"])
    assert np.isnan(table.loc["a+m", "above_chance"])
    assert set(table["chance"]) == {0.2}


def test_nobody_right_still_has_a_wide_interval(key):
    answers = key.assign(rater="r", choice=key["right"] % 5 + 1)[["rater", "question", "choice"]]
    table = raters_table(answers, key, SETTINGS)
    assert (table["rate"] == 0).all()
    # Clopper-Pearson of 0 of 7 persons.
    assert np.allclose(table["high"], 1 - 0.025 ** (1 / 7))
    assert (table["above_chance"] == 0).all()


def test_raters_spread_is_that_of_their_own_rates(key):
    mine = key[key["variant"] == "a"].head(4)
    # Two questions of four right, one, and of two answers both.
    right = {"r1": [1, 1, 0, 0], "r2": [1, 0, 0, 0], "r3": [1, 1]}
    answers = pd.DataFrame(
        [
            (rater, row["question"], row["right"] if hit else row["right"] % 5 + 1)
            for rater, hits in right.items()
            for row, hit in zip(mine.to_dict("records"), hits, strict=False)
        ],
        columns=["rater", "question", "choice"],
    )
    table = raters_table(answers, key, SETTINGS).set_index("variant")
    assert table.loc["a", "sd"] == pytest.approx(np.std([0.5, 0.25, 1.0], ddof=1))
    one_alone = raters_table(answers[answers["rater"] == "r1"], key, SETTINGS)
    assert one_alone["sd"].isna().all()


def test_raters_who_know_are_above_chance_and_guessers_are_not(key):
    truth = {"original": 0.95, "a": 0.0, "a+m": 0.7}
    table = raters_table(answered(key, truth), key, SETTINGS).set_index("variant")
    assert table["above_chance"].to_dict() == {"original": 1.0, "a": 0.0, "a+m": 1.0}
    for variant, known in truth.items():
        expected = known + (1 - known) / 5
        assert table.loc[variant, "low"] <= expected <= table.loc[variant, "high"]
        assert table.loc[variant, "low"] <= table.loc[variant, "rate"] <= table.loc[variant, "high"]
    again = raters_table(answered(key, truth), key, SETTINGS).set_index("variant")
    pd.testing.assert_frame_equal(table, again)


def test_raters_who_differ_widen_the_interval(key):
    rng = np.random.default_rng(0)
    rows = key[key["variant"] == "a"]
    alike, apart = [], []
    for rater in range(6):
        for question, right in zip(rows["question"], rows["right"], strict=True):
            wrong = right % 5 + 1
            alike.append((f"r{rater}", question, right if rng.uniform() < 0.5 else wrong))
            apart.append((f"r{rater}", question, right if rater < 3 else wrong))
    widths = []
    for rows_ in (alike, apart):
        table = pd.DataFrame(rows_, columns=["rater", "question", "choice"])
        hits = table.merge(key, on="question")
        hits["hit"] = (hits["choice"] == hits["right"]).astype(float)
        low, high = results_raters._bootstrap(hits, SETTINGS)
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_program_writes_both_tables(key, saved, tmp_path, capsys):
    manifest.write(key, tmp_path / "key.tsv")
    good, bad = saved("good.json", [one()]), saved("bad.json", [one(choice=0)])
    program.main([str(good), str(bad), "--key", str(tmp_path / "key.tsv"), "--out", str(tmp_path)])
    assert "1 answers of 1 raters in 2 files; 1 rows of problems" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "raters.tsv", sep="\t")) == 3
    assert len(pd.read_csv(tmp_path / "raters_problems.tsv", sep="\t")) == 1
    with pytest.raises(SystemExit, match="raters: "):
        program.main([str(good), "--key", str(tmp_path / "none.tsv")])
