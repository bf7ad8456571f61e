"""The verdict on a method: by the declared rule, and never a good one where an attack succeeds."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from factories import make_tables, measurements
from reading import SETTINGS
from refacebench.plot.style import look_of
from refacebench.results import decisions, headline, sentences, verdict_table
from refacebench.results.attack_found import Attack
from refacebench.results.decisions import GO, NO, REGISTERED, UNKNOWN, VERDICTS, Rule, verdict
from refacebench.results.findings import Check, MethodFinding
from refacebench.results.privacy_gaps import WORST
from refacebench.results.result import View
from refacebench.results.volumes_found import Volumes

NEAR = Attack("surface", "direct", "choice", 0.2, 0.2, 0.1, 0.24, 0.2, 0, 0.03, 5.0, 1)
#: 100 scans without a fault, attacked at chance and shown to be within the margin.
GOOD = MethodFinding(
    "m", True, 100, 0, 0, (100, 100), (100, 100), 0, 0, False,
    {"failure_1": Check(0, 0, 100, 0), "failure_2": Check(0, 0, 100, 0)}, True, NEAR, False,
)  # fmt: skip
VOLUMES = Volumes(23, 3, 10, 0, (0.1, 2.0), "gm", -0.4, -0.6, -0.2)


@pytest.mark.parametrize(
    ("change", "said", "why"),
    [
        ({}, GO, ""),
        ({"face": (94, 100)}, NO, "face left in 6 of 100 scans"),
        ({"face": (95, 100)}, UNKNOWN, "faces left in up to"),
        ({"cut": 6}, NO, "brain cut in 6 of 100"),
        ({"checks": {"failure_2": Check(0, 100, 0, 0)}}, NO, "brain lost in 100 of 100"),
        ({"checks": {"failure_1": Check(0, 6, 94, 0)}}, NO, "part of the face kept in 6 of 100"),
        # A few that the labels show are within the rule, but more are possible.
        ({"checks": {"failure_1": Check(0, 5, 95, 0)}}, UNKNOWN, "faces left in up to 10 %"),
        # Of the scans that the labels could judge, 1 of 20 failed; of all, 1 of 21.
        (
            {"variant": "d+m", "checks": {"failure_1": Check(0, 2, 18, 0, 40)}},
            NO,
            "or restored in 2 of 20 scans (40 more could not be judged)",
        ),
        # So few outputs whose brain was looked at: up to 1 - .05 ** (1 / 20).
        ({"brain": (20, 20)}, UNKNOWN, "brain lost in up to 14 % of scans (20 judged)"),
        # No check can see a loss of brain: volumes decide, and the verdict says so.
        (
            {"spared": True, "checks": {}, "volumes": VOLUMES},
            GO,
            "whether brain was lost was not testable, but no volume is shown to change by more",
        ),
        (
            {"spared": True, "checks": {}, "volumes": replace(VOLUMES, beyond=7)},
            UNKNOWN,
            "not testable, and 7 of 23 volumes are shown to change by more than the margin",
        ),
        ({"spared": True, "checks": {}}, UNKNOWN, "and no volumes were compared"),
        # Where the labels saw that it is whole, nothing is left open.
        ({"spared": True}, GO, "kept their face or lost brain"),
        # The same scan is not held to the margin, and the verdict does not say that it is.
        ({"same": replace(NEAR, above=0.3, within=0)}, GO, "that has another session of the pers"),
        ({"odd": 1}, NO, "far from the head in 1 of 100"),
        ({"crashed": 100}, NO, "no usable output"),
        (
            {"attack": replace(NEAR, beaten=1, low=0.41)},
            NO,
            "for at least 41 %, 21 points above chance, more than 20",
        ),
        (
            {"attack": replace(NEAR, beaten=1, low=0.39)},
            REGISTERED,
            "for at least 39 %, 19 points above chance; at more than 20 points it would be 'do not "
            "share'",
        ),
        (
            {"attack": replace(NEAR, within=0, above=0.3)},
            UNKNOWN,
            "no attack is shown to do better than chance, but up to 30 points",
        ),
        (
            {"attack": replace(NEAR, beaten=1, low=0.2)},
            REGISTERED,
            "the corrected interval (20 to 24 %) includes chance",
        ),
        (
            {"easier": replace(NEAR, beaten=1, low=0.3)},
            REGISTERED,
            "an attack that has the very same scan does better than chance: right for 20 %",
        ),
        # "In at least 10 %" would be no better than the chance of 20 %.
        (
            {"easier": replace(NEAR, beaten=1)},
            REGISTERED,
            "by the exact test, which decides, although the corrected interval (10 to 24 %) incl",
        ),
        # Which setting a bound is of, and that of the easier one.
        (
            {
                "attack": replace(NEAR, within=0, above=0.28, setting="other_session"),
                "same": replace(NEAR, above=0.42),
            },
            UNKNOWN,
            "up to 28 points above chance are possible (other session; same scan: 42; one-sided)",
        ),
        ({"attack": None}, UNKNOWN, "no attack was made"),
        ({"weak": True}, UNKNOWN, "are not shown to do better than chance even on the originals"),
        ({"available": False}, UNKNOWN, "not run on this machine"),
        # 0 of 13 faces left: up to 21 % (exact, one-sided 95 %: 1 - .05 ** (1 / 13)).
        ({"n": 13, "face": (13, 13), "brain": (13, 13)}, UNKNOWN, "up to 21 % of scans"),
        ({"face": (58, 58)}, UNKNOWN, "of scans"),
        ({"face": (59, 59)}, GO, ""),
    ],
)
def test_the_rule(change, said, why):
    found = verdict(replace(GOOD, **change), Rule())
    assert found[0] == said, found
    assert why in found[1]


def test_the_config_sets_the_rule():
    rule = Rule.from_config({"decision": {"failures_pct": 10, "far_above_chance_points": 0}})
    assert verdict(replace(GOOD, face=(94, 100)), rule)[0] == UNKNOWN
    assert verdict(replace(GOOD, attack=replace(NEAR, beaten=1, low=0.21)), rule)[0] == NO
    assert "more than 10 % of the scans" in rule.words


@pytest.mark.parametrize("low", [0.0, 0.2, 0.3, 0.9])
@pytest.mark.parametrize("face", [(100, 100), (0, 100)])
def test_a_method_that_an_attack_beats_is_never_given_away_freely(low, face):
    beaten = replace(GOOD, face=face, attack=replace(NEAR, beaten=1, low=low, within=1))
    assert verdict(beaten, Rule())[0] in (REGISTERED, NO)


def test_the_table_has_a_row_a_method_and_no_control():
    tables = make_tables(measurements(), SETTINGS)
    look = look_of(tables)
    view = View(tables, look=look)
    columns, rows = verdict_table.printed(view, Rule())
    named = [row[0] for row in rows]
    variants = set(tables["quality"]["variant"])
    assert len(rows) == len(variants - {"null", "original", "black"})
    assert look.label("null") not in named
    assert all(len(row) == len(columns) for row in rows)
    assert all(row[1] in VERDICTS for row in rows)


def test_no_table_where_nothing_was_judged():
    assert verdict_table.printed(View({}, look=look_of({})), Rule())[1] == []
    assert headline.lines({}, [], Rule()) == []


def test_one_line_names_every_method_once():
    tables = make_tables(measurements(), SETTINGS)
    names = list(dict.fromkeys(tables["quality"]["variant"]))
    line, *_ = headline.lines(tables, names, Rule())
    assert line.startswith("By the rule in the config, ")
    for name in pd.Series(names)[lambda s: ~s.isin(["null", "original"])]:
        defacer = name.split("+")[0]
        both = f"{defacer} (with or without a new face)" in line
        assert len(re.findall(rf"(?<!\S){re.escape(name)}(?=[ ,:.])", line)) == (
            0 if both and name != defacer else 1
        ), (name, line)


def test_the_answer_says_of_each_method_what_may_be_done_with_it():
    near = replace(NEAR, within=0, above=0.28, people=13)
    beaten = replace(NEAR, beaten=1, low=0.3, corrected=0.5)
    found = [
        replace(GOOD, variant="d", attack=beaten),
        replace(GOOD, variant="d+m", attack=beaten),
        replace(GOOD, variant="e+m", attack=beaten),
        replace(GOOD, variant="q", attack=near),
        replace(GOOD, variant="r", attack=near),
        replace(GOOD, variant="u", attack=None),
        replace(GOOD, variant="skull_strip", face=(0, 100)),
    ]
    assert " ".join(headline.answer(found, Rule())) == (
        "By the rule in the config, no method here is shown to be fit for open sharing. q and r: "
        "not enough data to say (13 people); no attack is shown to do better than chance, "
        "nor is it shown that all stay near it; if all are at chance, it takes about 463 people to "
        "show that (power 80 %). u: too little was measured to say. d (with or without a new face) "
        "and e+m: registered access only, because an attack does better than chance (right for "
        "20 % of people as observed). skull_strip (a control): do not share, because faces were "
        "left."
    )
    said = " ".join(headline.answer([replace(GOOD, variant="g"), *found[3:4]], Rule()))
    assert said.startswith("By the rule in the config, g: fit for open sharing. q: not enough")
    # With and without a new face they differ: each is named by itself.
    apart = " ".join(headline.answer([found[0], replace(found[3], variant="d+m")], Rule()))
    assert "d+m: not enough data" in apart
    assert "d: registered access only, because an attack does" in apart
    # Near chance, but too few scans looked at: that no attack is near it would be false.
    few = " ".join(headline.answer([replace(GOOD, variant="f", face=(13, 13))], Rule()))
    assert "f: not enough data to say; attacks are shown to stay near chance, but so few" in few
    assert "nor is it shown" not in few


def test_what_is_open_stands_with_its_observed_rates_and_nothing_is_called_best():
    near = replace(NEAR, within=0, above=0.5, people=13, rate=0.51, corrected=0.41)
    found = [
        replace(GOOD, variant="a", attack=near),
        replace(GOOD, variant="a+m", attack=near),
        replace(GOOD, variant="b", attack=replace(near, rate=0.22)),
        replace(GOOD, variant="c", attack=replace(near, beaten=1, low=0.3)),
    ]
    unclear = headline.undecided(found, Rule())
    assert [m.variant for m in unclear] == ["a", "a+m", "b"]
    gaps = pd.DataFrame(
        {"setting": "other_session", "attacker": WORST, "variant": ["a", "c"], "other": ["b", "b"],
         "p_holm": [0.2, 0.01]}
    )  # fmt: skip
    (line,) = headline.open_line(unclear, gaps, 0.05)
    assert line == (
        "The strongest attack was right, as observed, for 51 % of people (10 to 24 %) on a (with "
        "or without a new face) and 22 % (10 to 24 %) on b (chance 20 %; intervals: corrected for "
        "the number of attacks). The data do not tell these apart: no two are shown to differ."
    )
    # True for any data: a pair that is shown to differ is named, and not called undecided.
    (line,) = headline.open_line(unclear, gaps.assign(p_holm=0.01), 0.05)
    assert "It is shown to identify more people on a than on b" in line
    assert "no two" not in line
    (line,) = headline.open_line(unclear, None, 0.05)
    assert "was not tested" in line
    # One method alone has nobody to differ from.
    (line,) = headline.open_line(unclear[:2], gaps, 0.05)
    assert line.endswith(
        "for 51 % of people (10 to 24 %) on a (with or without a new face) (chance 20 %; "
        "intervals: corrected for the number of attacks)."
    )
    assert headline.open_line([], gaps, 0.05) == []
    # The easier setting has rates of its own, here the other way round.
    easier = {"a": 0.26, "a+m": 0.26, "b": 0.36}
    both = [replace(m, same=replace(near, rate=easier[m.variant])) for m in unclear]
    (line,) = headline.open_line(both, gaps, 0.05)
    assert line.startswith("The strongest attack that has another session of the person was right")
    assert line.endswith(
        "The strongest that has the very same scan was right for 26 % of people (10 to 24 %) on a "
        "(with or without a new face) and 36 % (10 to 24 %) on b; the order of the methods "
        "changes, so neither is a ranking."
    )
    alike = [replace(m, same=m.attack) for m in unclear]
    assert headline.open_line(alike, gaps, 0.05)[0].endswith(
        "a new face) and 22 % (10 to 24 %) on b."
    )
    text = " ".join([*headline.answer(found, Rule()), line, *VERDICTS.values()]).lower()
    assert not re.search(r"\bbest\b|nothing speaks|safe", text)


@pytest.mark.parametrize(("attacks", "people"), [(1, 463), (2, 634), (4, 786)])
def test_people_to_show_chance_are_those_of_the_planning_command(attacks, people, capsys):
    """By all attacks on the method, not by one: what `refacebench sample-size` prints."""
    from refacebench.__main__ import main

    assert main(["sample-size", "--attacks", str(attacks)]) == 0
    assert f"power 80 %  {people} people" in " ".join(capsys.readouterr().out.split("\n"))
    found = replace(GOOD, attack=replace(NEAR, attacks=attacks))
    assert verdict_table._needed(found, 0.95).split(" people")[0] == str(people)
    tables = make_tables(measurements(), SETTINGS)
    view = View(tables, SETTINGS, look=look_of(tables))
    assert verdict_table._row(view, found, Rule(), {})["People to show chance"] == str(people)


def test_a_cell_has_the_observed_rate_the_corrected_one_and_what_the_same_scan_gives():
    found = replace(
        GOOD,
        attack=replace(NEAR, rate=0.36, corrected=0.22, low=0.09, high=0.64),
        same=replace(NEAR, rate=0.5, corrected=0.5, low=0.23, high=0.82),
    )
    said = verdict_table._attack(found).replace("\u00a0", " ")
    assert said == "36 % observed; 22 % [9, 64] corrected; chance 20 %; the only attack"
    assert verdict_table._same(found).replace("\u00a0", " ") == "50 % [23, 82]"
    assert verdict_table._same(replace(found, same=None)) == "not measured"


@pytest.mark.parametrize(("same", "has"), [(None, False), (NEAR, True)])
def test_the_same_scan_has_a_column_only_where_another_session_counts(same, has, monkeypatch):
    found = replace(GOOD, same=same)
    monkeypatch.setattr(verdict_table.findings, "finding", lambda *_: found)
    tables = make_tables(measurements(), SETTINGS)
    columns, rows = verdict_table.printed(View(tables, look=look_of(tables)), Rule())
    assert (verdict_table.SAME in columns) == has
    assert (verdict_table.SAME in dict(verdict_table.explained(columns))) == has
    assert rows
    assert all(len(row) == len(columns) for row in rows)


def test_rows_with_the_same_attack_say_why_when_they_are_opened():
    attacked = replace(GOOD, attack=replace(NEAR, rate=0.5, corrected=0.5, attacks=4))
    assert verdict_table._attack(attacked).endswith("strongest of 4")
    bare = sentences.same_attack(replace(attacked, variant="a", shared=("a+m",)))
    assert bare == "the same one as on a+m, since an attacker may first put a face back"
    faced = sentences.same_attack(replace(attacked, variant="a+m", shared=("a",)))
    assert faced.endswith("on a, since an attacker may first take the new face off again")
    assert not sentences.same_attack(attacked)


def test_an_attack_that_site_sex_and_age_could_explain_still_counts():
    beaten = replace(
        GOOD, alone=("site, sex and age", 0.92), attack=replace(NEAR, beaten=1, rate=0.68, low=0.34)
    )
    assert verdict(beaten, Rule())[0] == REGISTERED
    text = sentences.line(beaten)
    assert "site, sex and age alone, without any image, reach 92 %, so this attack may rest on" in (
        text.lower()
    )
    assert "it counts all the same, because people are identified" in text
    assert "alone, without" not in sentences.line(replace(beaten, alone=("site", 0.5))).lower()


def test_a_method_that_is_recognised_by_few_people_is_not_called_fit_for_an_agreement():
    """13 people cannot rule out that the attack is far above chance; 100 may be able to."""
    few = replace(NEAR, beaten=1, rate=0.68, low=0.34, above=0.67, people=13)
    why = verdict(replace(GOOD, attack=few), Rule())[1]
    assert "which 13 people are too few to rule out (up to 67 points are possible)" in why
    many = verdict(replace(GOOD, attack=replace(few, above=0.12, people=100)), Rule())[1]
    assert "would be 'do not share'" in many
    assert "too few" not in many
    assert "is not shown either" in VERDICTS[REGISTERED]


def test_a_verdict_by_an_attack_that_puts_a_face_back_says_so():
    """Other methods may never have met such an attack."""
    easier = replace(NEAR, beaten=1, rate=0.6, low=0.25, route="prior3d")
    found = replace(GOOD, variant="p", attack=replace(NEAR, within=0), easier=easier)
    assert (
        "better than chance, after prior3d put a face back: right for"
        in (verdict(found, Rule())[1])
    )
    said = " ".join(headline.answer([found], Rule()))
    assert "after prior3d put a face back (right for 60 % of people as observed)" in said
    direct = replace(GOOD, variant="q", attack=replace(NEAR, beaten=1, rate=0.5, low=0.3))
    other = replace(direct, variant="r", attack=replace(direct.attack, rate=0.4))
    said = " ".join(headline.answer([direct, other], Rule()))
    assert "does better than chance (right for 50 % of people on q and 40 % on r, as ob" in said


def test_controls_and_checks_that_cannot_alarm_are_marked_in_the_table():
    tables = make_tables(measurements(), SETTINGS)
    quality = tables["quality"]
    first = quality[quality["engine"] == "native"]["variant"].iloc[-1]
    name = {first: "skull_strip"}
    tables = {"quality": quality.replace({"variant": name})}
    tables["quality"]["brain_unchanged"] = tables["quality"]["n_brain"]
    rows = verdict_table.printed(View(tables, look=look_of(tables)), Rule())[1]
    marked = [row for row in rows if row[0].endswith(", a control")]
    assert [row[0].startswith("skull_strip") for row in marked] == [True]
    cell = verdict_table._brain(replace(GOOD, spared=True, checks={}))
    assert cell == "not testable", "no count that it could not have missed"
    assert "not testable" not in verdict_table._brain(GOOD)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([{}, {"brain": (99, 100)}], ""),
        ([{"spared": True}, {}], ""),
        ([{}, {}], "Brain mask untouched, with every method: 100 of 100."),
        ([{"spared": True, "checks": {}}] * 2, "Only true labels could tell"),
        (
            [{"spared": True}, {"spared": True, "checks": {"failure_2": Check(0, 9, 1, 0, 2)}}],
            "True labels: no brain lost (100 scans) with a; brain lost in 9 of 10 scans (2 more "
            "could not be judged) with b.",
        ),
    ],
)
def test_a_column_that_says_one_thing_in_all_rows_is_a_sentence(changes, said, monkeypatch):
    found = {n: replace(GOOD, variant=n, **c) for n, c in zip("ab", changes, strict=True)}
    quality = pd.DataFrame({"variant": ["a", "b"]})
    monkeypatch.setattr(verdict_table.findings, "finding", lambda _, name, *__: found[name])
    view = View({"quality": quality}, look=look_of({"quality": quality}))
    columns, rows = verdict_table.printed(view, Rule())
    assert all(len(row) == len(columns) for row in rows)
    line = verdict_table.brain_line(view)
    assert (verdict_table.BRAIN in columns) == (not line) == (not said)
    assert said in line


def test_what_can_be_sorted_by_on_request_is_what_a_row_opens():
    tables = make_tables(measurements(), SETTINGS)
    view = View(tables, SETTINGS, look=look_of(tables))
    methods = {"pydeface": {"engine": "native", "licence": "ours; MIT"}}
    columns, rows = verdict_table.printed(view, Rule(), methods=methods)
    # No attack was made: how many people it would take is not known of any row.
    assert columns[-4:] == [n for n in verdict_table.MORE if n != "People to show chance"]
    cells = dict(zip(columns, rows[decisions.judged(view).index("pydeface")], strict=True))
    told = dict(verdict_table.facts(view, "pydeface", methods))
    for name in ("Engine", "Licence"):
        assert cells[name] == told[name]
    assert f"{cells['No usable output']} scans" == told["No usable output"]
    assert told["Time for one scan"].startswith(f"{cells['Seconds per scan']} s of its own")
    bare = View({"quality": tables["quality"]}, look=view.look)
    assert not {"Seconds per scan", "Licence"} & set(verdict_table.printed(bare, Rule())[0])


def test_what_does_not_decide_stands_in_what_a_row_opens():
    tables = make_tables(measurements(), SETTINGS)
    view = View(tables, SETTINGS, look=look_of(tables))
    (name,) = [n for n in decisions.judged(view) if n == "pydeface"]
    methods = {"pydeface": {"engine": "native", "licence": "ours; MIT"},
               "pix2pix25d": {"engine": "native", "licence": "ours"}}  # fmt: skip
    found = dict(verdict_table.facts(view, name, methods))
    assert (found["Engine"], found["Licence"]) == ("native", "ours; MIT")
    both = dict(verdict_table.facts(view, "pydeface+pix2pix25d", methods))
    assert both["Licence"] == "pydeface: ours; MIT. pix2pix25d: ours"
    assert both["Engine"] == "native", "once, where it is the same"
    methods["pix2pix25d"] = {"engine": "official"}
    one = dict(verdict_table.facts(view, "pydeface+pix2pix25d", methods))
    assert one["Licence"] == "pydeface: ours; MIT", "and not as if it were that of both"
    assert not {"Engine", "Licence"} & set(verdict_table.COLUMNS)
    steps = tables["runtime"][tables["runtime"]["variant"] == name].set_index("step")
    shared, own = (steps.loc[step, "seconds_mean"] for step in ("prepare", "deface"))
    said = [float(n) for n in re.findall(r"\d+\.\d", found["Time for one scan"])]
    assert said == [round(own, 1), round(shared, 1)], "its own first, then what all share"
    assert "Time for one scan" not in dict(
        verdict_table.facts(View({"quality": tables["quality"]}, look=view.look), name, {})
    )


def test_the_null_control_is_missed_with_a_reason_and_with_what_it_showed():
    tables = make_tables(measurements(), SETTINGS)
    said = verdict_table.control_line(View(tables, look=look_of(tables)))
    row = tables["quality"].set_index("variant").loc["null"]
    left = int(row["n_face"] - row["face_removed"])
    assert f"face was left in {left} of {int(row['n_face'])} scans" in said
    assert "no method" in said
    without = {"quality": tables["quality"][tables["quality"]["variant"] != "null"]}
    assert verdict_table.control_line(View(without, look=look_of(without))) == ""
