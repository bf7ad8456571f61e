"""Distractors like the person, as far as there are any; and what site and sex give away."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from attacks import SETTINGS, by_rank, make, resplit_scores, scans
from loading import load
from refacebench.statistics import galleries
from refacebench.statistics.attacks import evaluate, evaluate_all
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.swaps import _swaps, as_others
from refacebench.statistics.trials import choice, trials
from refacebench.vocabulary import OTHER_SESSION

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = Protocol()


def people(site="", sex="", age=None):
    """Return the attributes of p00, p01, ...: a letter each, a blank for not known."""
    n = max(len(site), len(sex), len(age or ()))
    given = {"site": list(site) or [""] * n, "sex": list(sex) or [""] * n, "age": age or [None] * n}
    table = pd.DataFrame(given, index=[f"p{i:02d}" for i in range(n)])
    return table.replace({"site": {" ": ""}, "sex": {" ": ""}})


def alike(table, **options):
    return galleries.likeness(table, table.index, Protocol(**options))


def later(n):
    """Return a gallery of originals of another session."""
    return scans(n, 1).assign(scan=lambda t: t["scan"] + "b", session="later")


def seen(distance, table):
    n = len(distance)
    return trials(make(distance, scans(n, 1), later(n)), OTHER_SESSION), alike(table)


def by_hand(distance, person, table, options):
    """Return a matched choice from all sets of distractors that the rule allows."""
    names = ["site", "sex", "band"]
    table = table.assign(band=table["age"] // 10)
    mine = table.iloc[person]
    others = [i for i in range(len(table)) if i != person]
    inner = []
    for asked in (3, 2, 1, 0):
        fits = [i for i in others if all(table.iloc[i][n] == mine[n] for n in names[:asked])]
        if len(fits) >= options - 1:
            break
        inner = fits
    rest = [i for i in fits if i not in inner]
    wins = []
    for drawn in itertools.combinations(rest, options - 1 - len(inner)):
        theirs = distance[person, [*inner, *drawn]]
        own = distance[person, person]
        wins.append(0.0 if (theirs < own).any() else 1 / ((theirs == own).sum() + 1))
    return np.mean(wins)


@pytest.mark.parametrize("options", [2, 3, 5])
def test_a_matched_choice_is_the_mean_over_all_sets_that_the_rule_allows(options):
    rng = np.random.default_rng(options)
    levels = set()
    for _ in range(12):
        n = 9
        table = people("".join(rng.choice(list("aab"), n)), "".join(rng.choice(list("fm"), n)),
                       list(rng.choice([24.0, 31.0, 39.0], n)))  # fmt: skip
        distance = rng.integers(0, 4, (n, n)).astype(float)  # many ties
        t, like = seen(distance, table)
        narrowed = galleries.narrowed(t, like)
        found = galleries.matched_choice(narrowed, options)
        assert found == pytest.approx([by_hand(distance, i, table, options) for i in range(n)])
        levels |= set(galleries.enough(narrowed, options))
    assert len(levels) >= 2, "the levels are tried"


def test_nobody_known_is_the_choice_among_everybody():
    rng = np.random.default_rng(3)
    t, like = seen(rng.integers(0, 5, (13, 13)).astype(float), people(" " * 13))
    assert like.names == ()
    assert galleries.matched_choice(galleries.narrowed(t, like), 5) == pytest.approx(choice(t, 5))


@pytest.mark.parametrize(("n", "sites"), [(30, 2), (30, 3), (100, 2)])
def test_who_sees_only_the_site_is_at_chance_after_matching(n, sites):
    """Before matching it picks the person in 39 to 53 %, as the hypergeometric count says."""
    site = np.arange(n) % sites
    distance = (site[:, None] != site[None, :]).astype(float)
    found = make(distance, scans(n, 1), later(n))
    table = people("".join("abc"[i] for i in site))
    table.index = np.unique(found.gallery["participant"])
    row = evaluate(found, OTHER_SESSION, PROTOCOL, Criteria(n_boot=200), table).row
    among = np.arange(5)
    expected = (stats.hypergeom.pmf(among, n - 1, n // sites - 1, 4) / (1 + among)).sum()
    assert 0.38 < expected < 0.54
    assert row["choice_unmatched"] == pytest.approx(expected)
    assert row["choice"] == row["choice_reverse"] == pytest.approx(0.2)
    assert row["choice_reverse_unmatched"] == pytest.approx(expected)
    assert row["rank1"] == row["rank1_matched"] == pytest.approx(sites / n)
    assert row["chance"] == pytest.approx(1 / n)
    assert row["rank1_matched_chance"] == pytest.approx(sites / n)
    assert row["p_rank1_matched"] > 0.4
    assert row["n_matched"] == n
    assert row["matched_on"] == f"site: {n}"
    # No attack was needed to know it.
    assert row["site_sex_choice_unmatched"] == pytest.approx(expected)
    assert row["site_sex_choice"] == pytest.approx(0.2)


def test_too_few_people_of_a_site_are_never_hidden_among_strangers():
    """Three of a site: the two others are always among the five, so that 1 in 3 is the most."""
    table = people("aaabbbbbbb")
    site = np.array(list("aaabbbbbbb"))
    t, like = seen((site[:, None] != site[None, :]).astype(float), table)
    levels = galleries.narrowed(t, like)
    assert galleries.matched_choice(levels, 5) == pytest.approx([1 / 3] * 3 + [0.2] * 7)
    told = galleries.matched_on(t, levels, like, 5)
    assert told == {"n_matched": 7, "matched_on": "site: 7; some alike: 3"}
    assert galleries.nearest(levels).size.tolist() == [3] * 3 + [7] * 7


@pytest.mark.parametrize("n", [5, 13, 30])
def test_who_sees_nothing_is_at_chance_however_people_are_matched(n):
    rng = np.random.default_rng(n)
    table = people("".join(rng.choice(list("abc"), n)), "".join(rng.choice(list("fm "), n)),
                   list(rng.uniform(20, 80, n)))  # fmt: skip
    t, like = seen(np.full((n, n), 0.5), table)
    levels = galleries.narrowed(t, like)
    assert galleries.matched_choice(levels, 5) == pytest.approx(np.full(n, 0.2))
    nearest = galleries.nearest(levels)
    assert (nearest.tied + 1 == nearest.size).all()


def test_face_recognition_is_not_lost_by_matching():
    distance = np.ones((13, 13)) - np.eye(13)
    t, like = seen(distance, people("aaaaabbbbcccc", "fmfmfmfmfmfmf", list(range(20, 85, 5))))
    assert (galleries.matched_choice(galleries.narrowed(t, like), 5) == 1).all()


def test_what_is_not_known_of_a_person_is_not_asked_of_the_others():
    like = alike(people("aab a", "ffff ", [25.0, 29.0, 25.0, None, 31.0]))
    by_level = dict(zip(like.levels, like.alike, strict=True))
    # p03 has no site and no age: everybody of the same sex will do.
    assert by_level[3][3].tolist() == [True, True, True, True, False]
    # p00 has: nobody without a site fits.
    assert by_level[3][0].tolist() == [True, True, False, False, False]
    # p04 has no sex: those of its site fit, until the age is asked.
    assert by_level[2][4].tolist() == [True, True, False, False, True]
    assert by_level[3][4].tolist() == [False, False, False, False, True]
    assert by_level[0].all()
    assert like.words(3, 3) == "sex"
    assert like.words(0, 3) == "site, sex, age band"


def test_ages_are_in_bands_of_the_width_that_is_asked_for():
    ages = [20.0, 29.9, 30.0, 44.0]
    assert alike(people(age=ages)).codes[:, 0].tolist() == [0, 0, 1, 2]
    assert alike(people(age=ages), age_band_years=25).codes[:, 0].tolist() == [0, 1, 1, 1]
    assert alike(people(age=ages), match=["site", "sex"]).names == ()


def test_people_are_read_from_manifests_with_the_first_session_that_says_something():
    manifest = pd.DataFrame(
        [
            ["p01", "ses-2", "B", "50.5", "M"],
            ["p01", "ses-1", "A ", "49.5", ""],
            ["p00", "ses-1", None, "n/a", "f"],
            ["p02", "ses-1", "n/a", "31", "F"],
        ],
        columns=["participant", "session", "site", "age", "sex"],
    )
    found = galleries.people_of(manifest, manifest.drop(columns=["site", "age", "sex"]))
    assert found["site"].to_dict() == {"p00": "", "p01": "a", "p02": ""}
    assert found["sex"].to_dict() == {"p00": "f", "p01": "m", "p02": "f"}
    assert found["age"].to_dict() == pytest.approx({"p00": np.nan, "p01": 49.5, "p02": 31},
                                                   nan_ok=True)  # fmt: skip


@pytest.mark.parametrize("n", [2, 3, 4])
def test_galleries_smaller_than_the_choice_have_no_choice_and_keep_their_ranks(n):
    distance = np.ones((n, n)) - np.eye(n)
    row = evaluate(make(distance, scans(n, 1), later(n)), OTHER_SESSION, PROTOCOL, SETTINGS,
                   people("a" * n)).row  # fmt: skip
    assert np.isnan(row["choice"])
    assert np.isnan(row["choice_unmatched"])
    assert np.isnan(row["site_sex_choice"])
    assert row["n_matched"] == 0
    assert row["rank1"] == row["rank1_matched"] == 1
    assert row["rank1_matched_chance"] == pytest.approx(1 / n)


def test_resplits_are_matched_among_their_own_people():
    found = resplit_scores(black=True)
    table = people("ab" * 6)
    row = evaluate(found, OTHER_SESSION, PROTOCOL, SETTINGS, table).row
    # Of six people not five are of one site: those who are take part, the rest is drawn.
    assert row["choice"] == pytest.approx(0.2)
    assert "some alike" in row["matched_on"]
    assert 1 / 6 < row["rank1_matched_chance"] < 1


# swaps within what is alike ---------------------------------------------------------------------


def test_taken_for_another_one_is_compared_with_people_like_that_one():
    """Every column of the swapped trials is what another name for the query would have given."""
    rng = np.random.default_rng(5)
    n = 8
    table = people("aaabbbb ", "fmfmfmff")
    distance = rng.integers(0, 4, (n, n)).astype(float)
    distance[2, 5] = np.nan  # not compared
    t, like = seen(distance, table)
    swapped = galleries.narrowed(as_others(t), like)
    for shift in range(n):
        # Query i belongs to person (i + shift).
        query = scans(n, 1).assign(participant=np.roll(table.index, -shift))
        named = trials(make(distance, query, later(n)), OTHER_SESSION)
        for level, own in zip(swapped, galleries.narrowed(named, like), strict=True):
            for i in np.flatnonzero(named.scored):
                column = named.own[i]
                assert level.less[named.query[i], column] == own.less[i]
                assert level.tied[named.query[i], column] == own.tied[i]
                assert level.size[named.query[i], column] == own.size[i]


def test_swaps_stay_within_their_strata_and_reach_all_of_them():
    strata = (0, 1, 0, 1, 1)
    draws = _swaps(strata, 2000, 0)
    assert (np.array(strata)[draws] == strata).all()
    assert len(np.unique(draws, axis=0)) == 2 * 6
    assert (_swaps((0,) * 7, 50, 1) == np.random.default_rng(1).permuted(
        np.tile(np.arange(7), (50, 1)), axis=1)).all()  # fmt: skip


def test_strata_are_as_fine_as_leaves_something_to_draw():
    def words(*given):
        return galleries.strata(alike(people(*given)))[1]

    # 13 people of three sites and two sexes: 4! 4! 5! ways by site, 288 or so by site and sex.
    assert words("aaaabbbbccccc", "ffmmffmmffmmm") == "site"
    assert words("abc" * 10, "f" * 15 + "m" * 15) == "site, sex"
    # The first attribute is kept though nothing is left to swap.
    groups, told = galleries.strata(alike(people("abcdef")))
    assert told == "site"
    assert len(set(groups)) == 6
    assert words(" " * 9) == ""


def benchmark():
    return load(ROOT / "benchmarks/galleries.py")


@pytest.mark.slow
def test_the_benchmark_holds_the_level_where_the_unmatched_test_does_not():
    """A small part of benchmarks/galleries.py with a fixed seed."""
    bench = benchmark()
    repeats = 40
    table = bench.table([13, 30], [3], repeats, 1).set_index(["people", "knows"])
    most = 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / repeats)
    for n in (13, 30):
        site = table.loc[n, "site"]
        assert site["p_now"] <= most
        assert site["rank1_now"] <= most
        assert site["p_before"] > 0.5
        assert site["above_before"] > site["above_now"]
        assert table.loc[(n, "nothing"), "matched"] == pytest.approx(0.2, abs=0.03)
        assert table.loc[(n, "face"), "p_now"] > 0.6, "who knows faces is found"
    assert table.loc[(30, "site"), "matched"] == pytest.approx(0.2, abs=0.02)
    assert table.loc[(30, "site"), "unmatched"] == pytest.approx(0.5, abs=0.03)


def test_the_control_joins_no_family_and_no_worst_case():
    found = [by_rank([3] * 13, 13, v) for v in ("a", "b")]
    table = people("aaaaabbbbcccc", "fm" * 6 + "f")
    with_people = evaluate_all(found, PROTOCOL, SETTINGS, people=table)
    without = evaluate_all(found, PROTOCOL, SETTINGS)
    for mine, plain in zip(with_people, without, strict=True):
        assert set(mine.persons) == set(plain.persons)
        for name in ("p_rank1", "p_area_holm", "family_size", "rank1", "choice_unmatched"):
            assert mine.row.get(name) == pytest.approx(plain.row.get(name), nan_ok=True)
        if "rank1" in mine.row:
            assert mine.row["site_sex_rank1"] > mine.row["chance"]
            assert np.isnan(plain.row["site_sex_rank1"])


@pytest.mark.parametrize(
    ("given", "message"), [({"match": ["height"]}, "privacy.match"), ({"age_band_years": 0}, "age")]
)
def test_a_slip_in_the_matching_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Protocol.from_config({"privacy": given})
