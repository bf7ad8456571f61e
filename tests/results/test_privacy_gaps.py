"""Gaps between methods, the people needed, and that all that is said of privacy agrees."""

import re

import numpy as np
import pandas as pd
import pytest

from attacks import PROTOCOL, SETTINGS, by_rank, make, rates_table, scans
from reading import caption
from refacebench.plot.style import look_of
from refacebench.results import (
    catalogue,
    findings,
    privacy,
    privacy_gaps,
    sample_size,
    sentences,
)
from refacebench.results.result import View
from refacebench.results.tradeoff import compute as tradeoff_table
from refacebench.statistics.attacks import evaluate_all
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import OTHER_SESSION

N = 16
NO_VOLUMES = pd.DataFrame(
    columns=["variant", "segmenter", "region", "median_change_pct", "low", "high", "n_failed"]
)
LOOK = ("original", "null", "seen", "hidden", "hidden+m", "skull_strip")


def attack(variant, attacker, known, seed):
    """An attack that recognises the first `known` of N people for certain and guesses the rest."""
    rng = np.random.default_rng(seed)
    distance = rng.uniform(1, 2, (N, N))
    distance[np.arange(known), np.arange(known)] = 0
    query = scans(N, 1)
    later = query.assign(session="later", scan=query["scan"] + "b")
    return make(distance, query, later, variant, attacker)


@pytest.fixture(scope="module")
def made():
    """Two attackers; x recognises nearly everybody behind `seen`, nobody behind the others."""
    known = {"original": (N, N), "null": (N, N), "seen": (15, 0), "skull_strip": (0, 0)}
    found = [
        attack(variant, attacker, known.get(variant, (0, 0))[k], seed=7 * k + len(variant))
        for variant in LOOK
        for k, attacker in enumerate("xy")
    ]
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    return {
        "privacy": rates_table(results),
        "tradeoff": tradeoff_table(results, NO_VOLUMES, PROTOCOL, SETTINGS),
        "privacy_gaps": privacy_gaps.compute(results, PROTOCOL, SETTINGS),
        "sample_size": sample_size.compute(results, PROTOCOL, SETTINGS),
    }


def main(table):
    return table[table["setting"] == OTHER_SESSION]


def test_gaps_are_between_methods_and_say_who_is_identified_more(made):
    table = main(made["privacy_gaps"])
    assert set(table["variant"]) | set(table["other"]) == {"seen", "hidden", "hidden+m"}
    worst = table[table["attacker"] == privacy_gaps.WORST]
    # A refaced method's worst case is that of its defacer, which stands there once.
    assert worst[["variant", "other"]].to_numpy().tolist() == [["seen", "hidden"]]
    assert (worst["p_holm"] < 0.05).all()
    assert (worst["low"] > 0).all()
    plane = main(made["tradeoff"]).set_index("variant")["worst_rate"]
    assert worst["gap"].iloc[0] == pytest.approx(plane["seen"] - plane["hidden"])
    assert worst["gap"].iloc[0] == pytest.approx((worst["rate"] - worst["other_rate"]).iloc[0])
    shares = worst[["rate", "other_rate"]].to_numpy()[0]
    assert shares == pytest.approx([plane["seen"], plane["hidden"]]), "rates as they are"
    chance = main(made["tradeoff"])["chance"].iloc[0]
    above = worst[["above_chance", "other_above_chance"]].to_numpy()[0]
    assert above == pytest.approx(shares - chance), "and what is left of them above chance"
    of_x = table[(table["attacker"] == "x") & (table["variant"] == "seen")]
    assert len(of_x) == 2
    rates = main(made["privacy"]).set_index(["variant", "attacker"])["choice_completers"]
    for _, row in of_x.iterrows():
        assert row["rate"] == pytest.approx(rates["seen", "x"])
        assert row["gap"] == pytest.approx(rates["seen", "x"] - rates[row["other"], "x"])
        assert row["low"] < row["gap"] < row["high"]
        assert row["above_chance"] == pytest.approx(row["rate"] - chance)
    assert not (table.loc[table["attacker"] == "y", "p_holm"] < 0.05).any()
    assert set(table["family_size"]) == {1, 3}


def test_stars_verdicts_words_and_rings_agree_with_the_exact_test(made):
    rates = main(made["privacy"]).set_index(["variant", "attacker"])
    plane = main(made["tradeoff"]).set_index("variant")
    starred = rates.index[rates["p_holm"] < SETTINGS.alpha]
    assert set(starred.get_level_values("variant")) == {"original", "null", "seen"}
    for variant in plane.index:
        reaching = rates.loc[[variant], "p_holm"]
        if variant.startswith("hidden"):
            reaching = rates.loc[["hidden", "hidden+m"], "p_holm"]
        assert plane.loc[variant, "p_holm"] == reaching.min()
        beaten = bool((reaching < SETTINGS.alpha).any())
        assert plane.loc[variant, "beaten"] == beaten
        words = sentences.attack(findings.finding(made, variant))
        assert words.startswith("an attack beats it") == beaten
    view = View(made, SETTINGS, look=look_of({"t": made["privacy"]}))
    columns, rows = privacy.printed(view)
    stars = {row[0]: "*" in "".join(row) for row in rows}
    assert stars == {view.look.label(v): bool(plane.loc[v, "beaten"]) for v in plane.index}
    assert {row[0]: row[-1] for row in rows} == {
        view.look.label(v): f"{100 * plane.loc[v, 'above_chance_at_most']:.0f}" for v in plane.index
    }
    named_first = [k for k, name in enumerate(columns) if "named first" in name]
    assert not any("*" in row[k] for row in rows for k in named_first), "not the primary measure"


def test_stars_follow_rank_one_where_it_is_declared_primary():
    found = [attack(v, "x", known, 3) for v, known in (("a", 12), ("b", 0))]
    protocol = Protocol(measure="rank1")
    table = rates_table(evaluate_all(found, protocol, SETTINGS))
    assert set(table["measure"].dropna()) == {"rank1"}
    view = View({"privacy": table}, SETTINGS, look=look_of({"t": table}))
    columns, rows = privacy.printed(view)
    cells = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    starred = [(r, c) for r, mine in cells.items() for c, cell in mine.items() if "*" in cell]
    assert starred == [(view.look.label("a"), "x: named first (%)")]
    row = main(table).set_index("variant").loc["b"]
    assert row["detectable"] == row["rank1_detectable"]


def test_the_bound_above_chance_by_hand_and_over_routes():
    """Nobody of 100 is ever picked: 1 - 0.05 ** (1 / 100) at most, below chance; one is all."""
    n = 100
    found = [by_rank([n] * n, n, "a", "x"), by_rank([1] * n, n, "b", "x")]
    found.append(by_rank([1] * n, n, "a", "y"))
    results = evaluate_all(found, PROTOCOL, SETTINGS)
    table = main(rates_table(results)).set_index(["variant", "attacker"])
    limit = 1 - 0.05 ** (1 / n)
    assert table.loc[("a", "x"), "above_chance_at_most"] == pytest.approx(limit - 0.2)
    assert table.loc[("a", "x"), "within_margin"] == 1
    assert table.loc[("b", "x"), "above_chance_at_most"] == pytest.approx(0.8)
    assert table.loc[("b", "x"), "within_margin"] == 0
    plane = main(tradeoff_table(results, NO_VOLUMES, PROTOCOL, SETTINGS)).set_index("variant")
    assert plane.loc["a", "above_chance_at_most"] == pytest.approx(0.8), "the worst route counts"
    assert plane.loc["a", "within_margin"] == 0
    without = tradeoff_table(results[:1], NO_VOLUMES, PROTOCOL, SETTINGS).iloc[0]
    assert (without["within_margin"], without["beaten"]) == (1, 0)


def test_too_small_a_gallery_for_a_choice_has_rank_one_as_its_measure():
    table = rates_table(evaluate_all([by_rank([1] * 4, 4, "a")], PROTOCOL, SETTINGS))
    row = main(table).iloc[0]
    assert row["measure"] == "rank1"
    assert row["p"] == pytest.approx(1 / 24, abs=0.01), "one assignment of 4! in four"


def test_people_needed_stand_beside_those_there_are(made):
    table = made["sample_size"].set_index(["statement", "asked"])
    within = table.loc["not above chance"]
    assert (within["people"] == N).all()
    assert within.loc["picked from 5", ["people_80", "people_90"]].tolist() == [463, 634]
    assert f"named first among {N}" in within.index
    nobody = made["sample_size"].set_index("statement").loc["nobody identified"]
    assert nobody["people_80"] == nobody["people_90"] == 59
    view = View(made, SETTINGS, look=look_of({}))
    columns, rows = sample_size.printed(view)
    assert len(rows) <= 12
    assert ["463", "634", str(N)] == rows[0][1:4]
    assert all(len(row) == len(columns) for row in rows)


@pytest.mark.parametrize("name", ["privacy_gaps", "sample_size"])
def test_captions_are_sentences_with_and_without_rows(made, name):
    for tables in (made, {name: catalogue.find(name).frame([])}):
        text = caption(name, tables, SETTINGS)
        assert text.endswith(".")
        assert not re.search(r"\bnan\b", text)
    # What was published of a method is told where it ran.
    assert "CP-GAN" not in caption("privacy_gaps", made, SETTINGS)
    gaps = made["privacy_gaps"].replace("hidden+m", "hidden+cpgan3d")
    ran = caption("privacy_gaps", {**made, "privacy_gaps": gaps}, SETTINGS)
    assert "Published elsewhere, on other data: people, picked from five, were identified 17" in ran
    assert "1 pair of methods is shown to differ" in caption("privacy_gaps", made, SETTINGS)


@pytest.mark.parametrize(
    ("beaten", "p", "said"), [((1, 0), 0.4, True), ((1, 1), 0.4, False), ((1, 0), 0.01, False)]
)
def test_one_verdict_more_is_not_called_a_difference(made, beaten, p, said):
    gaps = made["privacy_gaps"].drop_duplicates("setting").head(1)
    gaps = gaps.assign(variant="a", other="b", p=p, p_holm=p, attacker=privacy_gaps.WORST)
    plane = pd.DataFrame({"variant": ["a", "b"], "setting": gaps["setting"].iloc[0]})
    tables = {"privacy_gaps": gaps, "tradeoff": plane.assign(beaten=beaten)}
    text = caption("privacy_gaps", tables, SETTINGS)
    assert ("beats one and not the other does not show that they differ" in text) == said


def test_attacks_without_any_score_make_no_gaps_and_no_plan():
    blind = attack("a", "x", 0, 1)
    blind = Comparisons("x", "a", np.full((N, N), np.nan), blind.query, blind.gallery)
    results = evaluate_all([blind], PROTOCOL, SETTINGS)
    assert privacy_gaps.compute(results, PROTOCOL, SETTINGS).empty
    assert sample_size.compute(results, PROTOCOL, SETTINGS).empty
    assert np.isnan(results[0].row["p_holm"])
