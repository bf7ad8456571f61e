"""Failures, ranks and the figure of the worst case: a crash is no privacy."""

import numpy as np
import pandas as pd
import pytest

import factories
from attacks import by_rank, controlled, kinds, rates_table
from reading import caption
from refacebench.plot import privacy_utility, style
from refacebench.results import privacy as pictures
from refacebench.results import privacy_map
from refacebench.results.tradeoff import compute as tradeoff_table
from refacebench.results.tradeoff import front_words, volume_change
from refacebench.results.volume_tests import FAMILIES
from refacebench.results.volumes import compute as volumes_table
from refacebench.statistics import front, intervals
from refacebench.statistics.attack_tables import is_unranked
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.comparisons import Comparisons
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import OTHER_SESSION

SETTINGS = Criteria(n_boot=300, seed=2)


PROTOCOL = Protocol()


def crashed(found, people):
    """Return scores in which these queries have no score."""
    distance = found.distance.copy()
    distance[0, list(people)] = np.nan
    return Comparisons(
        found.attacker, found.variant, distance, found.query, found.gallery, found.meta
    )


def volume_table(changes, n=13):
    """Return volumes: by variant the change of all volumes or of some, the rest 0.1 %."""
    rows = []
    for variant, change in changes.items():
        for region in FAMILIES:
            value = change.get(region, 0.1) if isinstance(change, dict) else change
            rows.append({"variant": variant, "segmenter": "s", "region": region, "n": n,
                         "n_scans": n, "n_failed": 0, "median_change_pct": value,
                         "low": value - 0.2, "high": value + 0.2,
                         "low_joint": value - 0.4, "high_joint": value + 0.4})  # fmt: skip
    return pd.DataFrame(rows)


def plane(found, changes, protocol=PROTOCOL, floors=(), n=13):
    results = evaluate_all(found, protocol, SETTINGS)
    table = tradeoff_table(results, volume_table(changes, n), protocol, SETTINGS, floors)
    return table[table["setting"] == OTHER_SESSION].set_index("variant")


@pytest.mark.parametrize("leaks", [True, False])
def test_a_defacer_that_crashes_on_most_scans_beats_nobody(leaks):
    """Whether it leaks the other three or hides them: nothing is known of ten of thirteen."""
    found = [
        crashed(by_rank([1 if leaks else 13] * 13, 13, "crashing"), range(3, 13)),
        by_rank([6] * 13, 13, "solid"),
        by_rank([1] * 13, 13, "leaking"),
    ]
    table = plane(found, {"crashing": 0.1, "solid": 3.0, "leaking": 3.0})
    row = table.loc["crashing"]
    assert row["identification"] == (1.0 if leaks else 0.0), "of those that could be attacked"
    assert (row["n"], row["n_completers"], row["n_failed"]) == (13, 3, 10)
    assert row["identification_all"] == pytest.approx(1.0 if leaks else 10 / 13)
    assert row["high"] - row["low"] > 0.7
    assert (row["comparable"], row["pareto"]) == (0, 0)
    assert np.isnan(row["rank"])
    assert table.loc["solid", ["comparable", "pareto"]].tolist() == [1, 1]


def test_some_failures_count_as_identified_in_comparisons():
    """Six of fifteen crash: better among completers alone, not when failures count."""
    ranks = [20] * 40
    found = [crashed(by_rank(ranks, 40, "crashing"), range(16)), by_rank([12] * 40, 40, "solid")]
    table = plane(found, {"crashing": 1.0, "solid": 1.0}, n=40)
    assert table.loc["crashing", "identification"] < table.loc["solid", "identification"]
    assert table.loc["crashing", "comparable"] == 1
    assert table["rank"].to_dict() == {"crashing": 2, "solid": 1}
    whole = plane([by_rank(ranks, 40, "crashing"), found[1]], {"crashing": 1.0, "solid": 1.0}, n=40)
    assert whole["rank"].to_dict() == {"crashing": 1, "solid": 1}


def test_a_crash_does_not_lower_the_rate_or_the_evidence():
    whole = evaluate(by_rank([1] * 8, 13), OTHER_SESSION, PROTOCOL, SETTINGS).row
    part = crashed(by_rank([1] * 8 + [7] * 5, 13), range(8, 13))
    row = evaluate(part, OTHER_SESSION, PROTOCOL, SETTINGS).row
    assert row["rank1"] == pytest.approx(8 / 13)
    assert row["n_completers"] == 8
    for name in ("rank1_completers", "rank1_completers_low", "choice_completers", "p", "p_area"):
        assert row[name] == pytest.approx(whole[name]), name
    assert row["choice_reverse"] == 1, "the other side's question is not asked where nothing is"


def test_warnings_count_those_who_could_be_compared():
    found = controlled(original=range(13, 0, -1))
    found[0] = crashed(found[0], range(5, 13))
    table = kinds(found).set_index("kind")
    assert "of 5 participants" in table.loc["weak_attack", "message"]
    assert table.loc["weak_attack", "n"] == 5
    assert "8 of 13" in table.loc["blind_attack", "message"]


def test_a_variant_without_any_scan_left_stays_a_row():
    found = [crashed(by_rank([1] * 13, 13, "a"), range(13)), by_rank([3] * 13, 13, "b")]
    table = plane(found, {"b": 1.0})
    assert (table.loc["a", "n_failed"], table.loc["a", "comparable"]) == (13, 0)
    assert np.isnan(table.loc["a", "identification"])


def test_undetected_faces_and_absent_attackers_are_no_failures():
    seen = by_rank([4] * 13, 13, "a", "x")
    blind = Comparisons("y", "a", np.full((13, 13), np.nan), seen.query, seen.gallery,
                   {"unavailable": "not here"})  # fmt: skip
    unseen = Comparisons("x", "a", seen.distance, seen.query.assign(detected=False), seen.gallery)
    table = plane([unseen, blind], {"a": 1.0})
    assert table.loc["a", ["n_failed", "n_completers", "n_attackers"]].tolist() == [0, 13, 1]


def test_failed_refacing_is_no_failure_of_the_defacer():
    found = [by_rank([8] * 13, 13, "a"), crashed(by_rank([5] * 13, 13, "a+m"), range(9))]
    table = plane(found, {"a": 1.0, "a+m": 1.0})
    assert table.loc["a", ["n_failed", "n_completers", "comparable"]].tolist() == [0, 4, 1]
    assert table.loc["a+m", ["n_failed", "comparable"]].tolist() == [9, 0]


def test_failed_volumes_make_a_variant_incomparable():
    results = evaluate_all([by_rank([8] * 13, 13, v) for v in "ab"], PROTOCOL, SETTINGS)
    volumes = volume_table({"a": 1.0, "b": 1.0})
    volumes.loc[volumes["variant"] == "a", ["n_scans", "n_failed"]] = [6, 7]
    table = tradeoff_table(results, volumes, PROTOCOL, SETTINGS).set_index("variant")
    assert table.loc[["a", "b"], "comparable"].tolist() == [0, 1]


def test_whole_brain_volumes_count():
    """Quickshear's intracranial volume, skull stripping's CSF: no region shows them."""
    found = volume_change(volume_table({"a": {"csf": -22.0, "tiv": -3.0}}), "s", "a")
    assert (found["worst_volume"], found["volume_change_pct"]) == ("csf", 22.0)
    assert found["volume_low"] == pytest.approx(21.6)
    assert found["volume_high"] == pytest.approx(22.2)
    noise = volume_change(volume_table({"null": 0.1}), "s", "null")
    assert (noise["volume_low"], noise["volume_change_pct"]) == (0.0, 0.1)


def test_the_largest_of_many_noisy_volumes_is_not_called_a_change():
    """23 volumes without any change, 13 people: the interval reaches down to zero."""
    rng = np.random.default_rng(3)
    joint, single = [], []
    for _ in range(100):
        changes = rng.normal(size=(len(FAMILIES), 13))
        ends = [intervals.exact_median(c, 1 - 0.05 / len(FAMILIES)) for c in changes]
        rows = pd.DataFrame(ends, columns=["low_joint", "high_joint"])
        rows[["low", "high"]] = [intervals.exact_median(c) for c in changes]
        rows["median_change_pct"] = np.median(changes, axis=1)
        rows = rows.assign(region=list(FAMILIES), segmenter="s", variant="a", n_failed=0)
        joint.append(volume_change(rows, "s", "a")["volume_low"] > 0)
        bare = rows.drop(columns=["low_joint", "high_joint"])
        single.append(volume_change(bare, "s", "a")["volume_low"] > 0)
    assert np.mean(joint) <= 0.05
    assert np.mean(single) > 0.2


def test_volumes_have_intervals_that_hold_at_once():
    table = volumes_table(factories.measurements(13), SETTINGS, factories.VARIANTS)
    known = table[table["low_joint"].notna()]
    assert len(known)
    assert (known["low_joint"] <= known["median_change_pct"]).all()
    assert (known["high_joint"] >= known["median_change_pct"]).all()
    wider = (known["high_joint"] - known["low_joint"]) >= (known["high"] - known["low"])
    assert wider.all()


def test_what_cannot_be_told_apart_shares_a_rank_and_is_said():
    rng = np.random.default_rng(2)
    found = [by_rank(rng.integers(1, 14, 13), 13, v, a) for v in ("a", "b", "c") for a in "xyz"]
    table = plane(found, {"a": 1.0, "b": 1.1, "c": 1.05})
    assert (table["rank"] == 1).all()
    assert is_unranked(table)
    look = style.look_of({"t": table.reset_index()})
    assert "no method is shown to be better" in front_words(table, look)[0]
    assert "do not separate" in caption("tradeoff", {"tradeoff": table.reset_index()}, SETTINGS)
    figure = privacy_utility.draw(table.reset_index(), look)
    assert figure.get_suptitle() == privacy_utility.UNRANKED
    # It stands above verdicts, which may say of every one of them that it is not to be shared.
    said = caption("tradeoff", {"tradeoff": table.reset_index()}, SETTINGS)
    assert "Verdicts may differ all the same" in said
    assert privacy_utility.UNRANKED.startswith("By attacks and volumes ")
    assert "best" not in privacy_utility.UNRANKED


def test_what_is_shown_to_be_better_is_ranked():
    n = 40
    found = [by_rank([2] * n, n, "a"), by_rank([15] * n, n, "b"), by_rank([15] * n, n, "c")]
    table = plane(found, {"a": 1.0, "b": 1.0, "c": {"csf": -22.0}}, n=n)
    assert table["rank"].to_dict() == {"a": 2, "b": 1, "c": 2}
    assert table["pareto"].to_dict() == {"a": 0, "b": 1, "c": 0}
    look = style.look_of({"t": table.reset_index()})
    assert "No other method is shown to be better than b in attacks" in front_words(table, look)[0]
    assert "do not separate" not in caption("tradeoff", {"tradeoff": table.reset_index()}, SETTINGS)


def test_a_method_that_the_very_same_scan_gives_away_is_on_no_front():
    """Nobody is shown to be better in the setting that counts; in the easier one it is beaten."""
    n = 40
    harder = evaluate_all([by_rank([15] * n, n, v) for v in "ab"], PROTOCOL, SETTINGS)
    easier = [by_rank([1] * n, n, "a"), by_rank([15] * n, n, "b")]
    easier = evaluate_all(easier, PROTOCOL, SETTINGS)
    harder, easier = (
        [r for r in found if r.row["setting"] == OTHER_SESSION] for found in (harder, easier)
    )
    for result in easier:
        result.row["setting"] = "same_scan"
    volumes = volume_table({"a": 1.0, "b": 1.0}, n)
    both = tradeoff_table([*harder, *easier], volumes, PROTOCOL, SETTINGS)
    table = both[both["setting"] == OTHER_SESSION].set_index("variant")
    assert table["beaten"].to_dict() == {"a": 0, "b": 0}
    assert table["rank"].to_dict() == {"a": 1, "b": 1}
    assert table["pareto"].to_dict() == {"a": 0, "b": 1}
    ranked = pd.concat([table, table.loc[["b"]].assign(rank=2.0, pareto=0.0).rename({"b": "c"})])
    look = style.look_of({"t": ranked.reset_index()})
    told = " ".join(front_words(ranked, look))
    assert "No other method is shown to be better than b in attacks" in told
    assert "That does not make it the best." in told


def test_better_in_one_and_worse_in_the_other_is_not_ahead():
    n = 40
    found = [by_rank([2] * n, n, "a"), by_rank([15] * n, n, "b")]
    table = plane(found, {"a": 1.0, "b": 9.0}, n=n)
    assert table["rank"].to_dict() == {"a": 1, "b": 1}


def test_a_method_with_more_routes_is_not_behind_for_that():
    """Two methods at chance; one has eight more attacks that guess."""
    rng = np.random.default_rng(6)
    said = 0
    for _ in range(40):
        values = pd.DataFrame((rng.integers(1, 14, (13, 10)) == 1) - 1 / 13)
        said += front.less_identified(values[[0]], values.drop(columns=0)) < 0.05
    assert said <= 4


def test_ranks_by_hand():
    points = np.array([[1, 1], [2, 2], [3, 3], [1, 9]])
    better = np.zeros((2, 4, 4), dtype=bool)
    better[0, 0, 1] = better[0, 1, 2] = better[1, 0, 3] = True
    assert front.layers(points, better).tolist() == [1, 2, 3, 2]
    better[:] = False
    better[0, 3, 1] = True  # better in one aim, but it looks worse in the other
    assert front.layers(points, better).tolist() == [1, 1, 1, 1]


def words_of(axes):
    return " ".join(text.get_text() for text in axes.texts)


def test_the_plane_names_volume_and_failures():
    found = [crashed(by_rank([3] * 13, 13, "a"), range(3)),
             crashed(by_rank([3] * 13, 13, "b"), range(9))]  # fmt: skip
    table = plane(found, {"a": {"csf": -22.0}, "b": 1.0}).reset_index()
    figure = privacy_utility.draw(table, style.look_of({"t": table}))
    words = words_of(figure.axes[0]).replace("\n", " ")
    assert "3 of 13 failed" in words
    assert "9 of 13 failed" in words
    assert "CSF" in words_of(figure.axes[1])
    assert "changes most" in figure.axes[1].get_title(loc="left")
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 1
    rows = dict(zip(figure.axes[0].get_yticks(), ("a", "b"), strict=True))
    assert rows[crosses[0].get_ydata()[0]] == "b"


def test_what_has_no_value_keeps_its_row():
    found = [by_rank([3] * 13, 13, "a"), crashed(by_rank([3] * 13, 13, "b"), range(13))]
    table = plane(found, {"a": 1.0}).reset_index()
    figure = privacy_utility.draw(table, style.look_of({"t": table}))
    words = words_of(figure.axes[0]).replace("\n", " ")
    assert "no value" in words
    assert "13 of 13 failed" in words


def test_rates_are_drawn_of_those_who_could_be_compared():
    found = [crashed(by_rank([1] * 13, 13, "a"), range(3))]
    table = rates_table(evaluate_all(found, PROTOCOL, SETTINGS))
    axes = pictures.draw(table, style.look_of({"t": table})).axes[0]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"][0] == 100
    assert "3 of 13 failed" in words_of(axes)


def test_a_missing_face_is_not_drawn_as_an_unchanged_one():
    from matplotlib.colors import to_rgba

    depth = np.full((8, 8), np.nan)
    depth[1:7, 1:7] = 3.0
    distance = np.where(np.isfinite(depth), 0.0, np.nan)
    distance[4:6, 2:6] = np.nan
    seen = np.isfinite(distance).astype(float)
    seen[1, 1] = 0.2  # most scans have lost it, though some give a distance
    whole = {"depth": depth, "true_mm": 3.0, "cap_mm": 10.0}
    moved = whole | {"distance_mm": np.where(np.isfinite(depth), 2.0, np.nan), "true_mm": 2.0}
    maps = {"a": whole | {"distance_mm": distance, "seen": seen}, "b": moved}
    figure = privacy_map.draw(maps, style.look_of({"t": pd.DataFrame({"variant": ["a", "b"]})}))
    assert privacy_map.is_lost(maps["a"]).sum() == 9
    assert "mean 3.0 mm, 25 % missing" in figure.axes[0].get_title()
    assert "missing" not in figure.axes[1].get_title()
    image = figure.axes[0].images[-1]
    colours = image.cmap(image.norm(image.get_array()))
    assert colours[4, 3, :3] == pytest.approx(to_rgba(privacy_map.NO_SURFACE)[:3])
    assert colours[3, 3, 3] == 0
    assert "no surface left" in figure.legends[0].get_texts()[0].get_text()
    bar = figure.axes[-1].collections[-1]
    first, last = bar.cmap(0.0)[:3], bar.cmap(1.0)[:3]
    assert first == pytest.approx([privacy_map._FACE_GREY] * 3), "it begins as an unchanged face"
    assert np.ptp(last) > 0.2
    look = style.look_of({"t": pd.DataFrame({"variant": ["b"]})})
    assert not privacy_map.draw({"b": moved}, look).legends
