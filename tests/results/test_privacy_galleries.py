"""What site and sex give away: the control's table, its sentence, and old files of attacks."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from snakemake.iocontainers import Namedlist

from attacks import PROTOCOL, SETTINGS, by_rank, controlled
from refacebench import manifest
from refacebench.plot import style
from refacebench.results import catalogue, inputs
from refacebench.results.privacy_galleries import COUNTED, alone, compute, line
from refacebench.results.result import ATTACKS, View
from refacebench.run import people
from refacebench.statistics.intervals import bounded_mean
from refacebench.statistics.protocol import Protocol

RESULT = catalogue.find("privacy_galleries")


def enrolled(site, sex, age=None, status="ok"):
    n = len(site)
    return pd.DataFrame(
        {
            "participant": [f"p{i:02d}" for i in range(n)],
            "scan": [f"p{i:02d}s0" for i in range(n)],
            "session": "s0",
            "site": list(site),
            "sex": list(sex),
            "age": age or [np.nan] * n,
            "status": status,
            "variant": "original",
        }
    )


def made(gallery, protocol=PROTOCOL):
    return compute(gallery, gallery, protocol).set_index("knows")


def test_the_control_of_two_sites_by_hand():
    table = made(enrolled("a" * 10 + "b" * 10, "fm" * 10))
    alike = np.arange(5)
    site = (stats.hypergeom.pmf(alike, 19, 9, 4) / (1 + alike)).sum()
    both = (stats.hypergeom.pmf(alike, 19, 4, 4) / (1 + alike)).sum()
    assert table.loc["site", "choice_unmatched"] == pytest.approx(site)
    assert table.loc["sex", "choice_unmatched"] == pytest.approx(site)
    assert table.loc["site, sex", "choice_unmatched"] == pytest.approx(both)
    # Five of each site and sex: all distractors are alike.
    assert table.loc["site, sex", "choice"] == pytest.approx(0.2)
    assert table.loc["site, sex", "rank1"] == pytest.approx(1 / 5)
    assert table.loc["site, sex", "rank1_matched"] == pytest.approx(1 / 5)
    assert table.loc["site, sex", "rank1_matched_chance"] == pytest.approx(1 / 5)
    assert set(table["matched_on"].dropna()) == {"site, sex: 20"}
    assert "age band not known" in table.loc["age band", "note"]


def test_the_sentence_says_both_rates_and_chance():
    told = line(compute(*2 * [enrolled("a" * 10 + "b" * 10, "fm" * 10)], PROTOCOL))
    assert told.startswith(
        "Knowing only site and sex, and without any image, one picks the right person for 20 % of "
        "people ("
    )
    assert "20 people) when the other 4 are as like the person as this cohort allows (for" in told
    both = (stats.hypergeom.pmf(np.arange(5), 19, 4, 4) / (1 + np.arange(5))).sum()
    assert f"{100 * both:.0f} % when they may be anybody" in told
    assert "chance 20 %" in told
    assert COUNTED not in told, "chance alone gives nobody away"
    only_sex = line(compute(*2 * [enrolled([""] * 20, "fm" * 10)], PROTOCOL))
    assert only_sex.startswith("Knowing only sex, and without any image, ")
    pairs = Protocol(match=("site", "sex"), options=2)
    two = line(compute(*2 * [enrolled([""] * 20, "fm" * 10)], pairs))
    assert "when the other is as like" in two
    assert "when it may be anybody; chance 50 %" in two


def few_people():
    """Two sites of three people: nobody of the same site is of the same age band."""
    return enrolled("aaabbb", "fmfmfm", [30.0, 42.0, 54.0, 30.0, 42.0, 54.0])


def test_the_sentence_is_of_all_that_is_known_and_says_what_it_takes_no_face_for():
    table = compute(*2 * [few_people()], PROTOCOL)
    row = table.set_index("knows").loc["site, sex, age band"]
    assert row["choice"] == 1.0, "site, sex and age tell six people apart"
    told = line(table)
    assert told.startswith(
        "Knowing only site, sex and age, and without any image, one picks the right person for "
        f"100 % of people ({100 * row['choice_low']:.0f} to 100 %, 6 people) when the other 4 are "
        "as like the person as this cohort allows (for 100 % when they may be anybody; chance "
        f"20 %). {COUNTED}"
    )
    assert row["choice_low"] < 1
    assert "verdicts count it all the same" in COUNTED
    assert alone(table, "choice") == ("site, sex and age", 1.0)
    assert alone(None, "choice")[0] == ""
    less = table.set_index("knows").loc["site, sex"]
    assert f"Knowing only site and sex, it would be {100 * less['choice']:.0f} % (" in told


def test_where_the_site_is_not_known_sex_and_age_together_have_a_row():
    people = few_people().assign(site="")
    table = compute(*2 * [people], PROTOCOL).set_index("knows")
    assert table.index[-1] == "sex, age band"
    assert table.loc["sex, age band", "choice"] >= table.loc["age band", "choice"]
    assert line(table.reset_index()).startswith("Knowing only sex and age, and without any image, ")


def test_a_rate_that_is_higher_among_people_alike_is_explained_and_all_have_intervals():
    ages = [20.0, 30.0, 40.0, 50.0, 60.0]
    table = compute(*2 * [enrolled("a" * 5 + "b" * 5, "f" * 10, 2 * ages)], PROTOCOL)
    age = table.set_index("knows").loc["age band"]
    # The four others of a site are always chosen from, and none of them is of the same age.
    assert age["choice"] == 1.0
    assert age["choice_unmatched"] == pytest.approx(1 - 0.5 * 4 / 9)
    view = View({"privacy_galleries": table}, SETTINGS)
    assert "A rate can be higher among people like them" in RESULT.said(view)
    assert "not adjusted" in RESULT.said(view)
    for name in ("choice", "choice_unmatched", "rank1", "rank1_matched"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[f"{name}_high"] >= table[name]).all()
    # Everybody's value by hand: those of a site cannot be told apart.
    persons = [1 / 5] * 5 + [1 / 8] * 8
    expected = bounded_mean(persons, level=SETTINGS.level, seed=SETTINGS.seed)
    again = compute(*2 * [enrolled("a" * 5 + "b" * 8, "fm" * 6 + "f")], PROTOCOL, SETTINGS)
    one = again.set_index("knows").loc["site"]
    assert (one["rank1_low"], one["rank1_high"]) == pytest.approx(expected)
    assert all("[" in cell for row in RESULT.printed(view)[1] for cell in row[2:])
    lower = table.assign(choice=0.1)
    assert "can be higher" not in RESULT.said(View({"privacy_galleries": lower}, SETTINGS))


def test_where_neither_site_nor_sex_is_known_it_says_so():
    table = compute(*2 * [enrolled(["n/a"] * 13, [""] * 13)], PROTOCOL)
    assert "Neither site nor sex is known" in line(table)
    assert table["choice_unmatched"].isna().all()
    view = View({"privacy_galleries": table}, SETTINGS)
    assert RESULT.printed(view)[1] == []
    assert "Neither site nor sex" in RESULT.said(view)


@pytest.mark.parametrize("n", [1, 2, 20])
def test_what_is_known_and_the_same_for_all_is_not_called_unknown(n):
    """Nor is it where there are too few people for a choice, or where only the site is unknown."""
    for site in ("", "a"):
        told = line(compute(*2 * [enrolled([site] * n, "m" * n, [50.0] * n)], PROTOCOL))
        assert "Neither" not in told
        assert ("sex and age" in told) == (n > 1)
        assert ("There are too few people for a choice among 5." in told) == (n == 2)
        alike = "all people here are alike" in told
        assert alike == (n == 2)
    assert "site" not in line(compute(*2 * [enrolled([""] * n, "m" * n)], PROTOCOL))
    assert "Neither site nor sex is known" in line(
        compute(*2 * [enrolled([""] * n, [""] * n)], PROTOCOL)
    )


def test_of_too_few_people_for_a_choice_it_says_how_often_one_is_named_first():
    told = line(compute(*2 * [enrolled("aa", "fm")], PROTOCOL))
    assert "Knowing only site and sex, and without any image, one names the right person" in told
    assert "for 100 % of people (" in told
    assert "2 people), among all (chance 50 %)" in told
    assert told.endswith(COUNTED)


def test_nothing_asked_for_leaves_the_control_in_view():
    """Without matching the control shows what that costs."""
    table = made(enrolled("a" * 10 + "b" * 10, "fm" * 10), Protocol(match=[]))
    assert (table["choice"] == table["choice_unmatched"]).loc["site, sex"]
    assert table.loc["site", "choice"] > 0.38


@pytest.mark.parametrize("n", [0, 1, 3])
def test_tiny_galleries_have_a_table_and_words(n):
    table = compute(*2 * [enrolled("a" * n, "f" * n)], PROTOCOL)
    view = View({"privacy_galleries": table}, SETTINGS, look=style.look_of({}))
    assert RESULT.said(view).endswith(".")
    assert "nan" not in RESULT.said(view).split()
    RESULT.printed(view)
    assert table["choice"].isna().all()


def write(found, folder):
    path = folder / found.attacker / f"{found.variant}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        f"{side}_{name}": table[name].to_numpy(dtype=str)
        for side, table in (("query", found.query), ("gallery", found.gallery))
        for name in ("scan", "participant", "session")
    }
    np.savez(path, **parts, distance=found.distance[0], detected=found.query["detected"],
             query_reason=found.query["reason"].to_numpy(dtype=str))  # fmt: skip
    return str(path)


def test_attacks_made_before_know_their_people_from_the_manifests(tmp_path):
    """The files of attacks hold participants alone: what they are like comes from enrolment."""
    found = [*controlled(), by_rank([2] * 13, 13, "a")]
    gallery = enrolled("aaaaabbbbbccc", "f" * 13).assign(
        dataset="d",
        split="test",
        role="measured",
        stage="enrol",
        reason="",
        method="x",
        version="1",
    )
    manifest.write(people.of(gallery), tmp_path / "people.tsv")
    manifest.write(people.without(gallery), tmp_path / "enrolled.tsv")
    manifest.write(people.without(gallery).assign(variant="a"), tmp_path / "attacked.tsv")
    volumes = pd.DataFrame({"variant": [], "segmenter": [], "region": []})
    manifest.write(volumes, tmp_path / "volumes.tsv")
    given = Namedlist(fromdict=dict(
        attacks=[write(one, tmp_path) for one in found],
        enrolled=[tmp_path / "enrolled.tsv"],
        attacked=[tmp_path / "attacked.tsv"],
        volumes=tmp_path / "volumes.tsv",
    ))  # fmt: skip
    asked = SimpleNamespace(config={"privacy": {"options": 5}, "statistics": {"bootstrap": 50}},
                            floors=(), people=tmp_path / "people.tsv")  # fmt: skip
    read = inputs.read_attacked(given, asked)
    tables = {
        name: catalogue.find(name).compute(read, {}) for name in ("privacy", "privacy_galleries")
    }
    row = tables["privacy"].set_index(["variant", "setting"]).loc[("a", "other_session")]
    assert row["matched_on"] == "site, sex: 10; some alike: 3"
    assert row["n_matched"] == 10
    assert row["swapped_within"] == "site, sex"
    assert set(tables["privacy"]["attacker"]) == {"x"}, "the control is no attacker"
    view = View(tables, SETTINGS, look=style.look_of(tables))
    assert "of the same site, sex and age band" in catalogue.find("privacy").said(view)
    assert "; all " in str(catalogue.find("privacy").printed(view))
    assert RESULT.job == ATTACKS
