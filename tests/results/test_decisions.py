"""The verdict on a method: by the declared rule, and never a good one where an attack succeeds."""

from dataclasses import replace

import pandas as pd
import pytest

from factories import make_tables, measurements
from reading import SETTINGS
from refacebench.plot.style import look_of
from refacebench.results import decisions
from refacebench.results.decisions import GO, NO, REGISTERED, UNKNOWN, VERDICTS, Rule, verdict
from refacebench.results.findings import Attack, Check, MethodFinding
from refacebench.results.result import View

NEAR = Attack("surface", "direct", "choice", 0.2, 0.2, 0.1, 0.24, 0.2, 0, 0.03, 5.0, 1)
#: 100 scans without a fault, attacked at chance and shown to be within the margin.
GOOD = MethodFinding(
    "m", True, 100, 0, 0, (100, 100), (100, 100), 0, 0, False,
    {"failure_1": Check(0, 0, 100, 0), "failure_2": Check(0, 0, 100, 0)}, True, NEAR, False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said", "why"),
    [
        ({}, GO, ""),
        ({"face": (94, 100)}, NO, "face left in 6 of 100 scans"),
        ({"face": (95, 100)}, UNKNOWN, "faces left in up to"),
        ({"cut": 6}, NO, "brain cut in 6 of 100"),
        ({"checks": {"failure_2": Check(0, 100, 0, 0)}}, NO, "brain lost in 100 of 100"),
        ({"odd": 1}, NO, "far from the head in 1 of 100"),
        ({"crashed": 100}, NO, "no usable output"),
        ({"attack": replace(NEAR, beaten=1, low=0.41)}, NO, "at least 21 points above chance"),
        ({"attack": replace(NEAR, beaten=1, low=0.39)}, REGISTERED, "better than chance"),
        ({"attack": replace(NEAR, within=0, above=0.3)}, UNKNOWN, "up to 30 points"),
        ({"easier": replace(NEAR, beaten=1)}, REGISTERED, "the very same scan"),
        ({"attack": None}, UNKNOWN, "no attack was made"),
        ({"weak": True}, UNKNOWN, "do not recognise even the originals"),
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
    methods = {"pydeface": {"engine": "native", "licence": "MIT"}}
    columns, rows = decisions.printed(view, Rule(), methods)
    named = [row[0] for row in rows]
    variants = set(tables["quality"]["variant"])
    assert len(rows) == len(variants - {"null", "original", "black"})
    assert look.label("null") not in named
    assert all(len(row) == len(columns) for row in rows)
    assert all(row[1] in VERDICTS for row in rows)


def test_no_table_where_nothing_was_judged():
    assert decisions.printed(View({}, look=look_of({})), Rule())[1] == []
    assert decisions.lines({}, [], Rule()) == []


def test_one_line_names_every_method_once():
    tables = make_tables(measurements(), SETTINGS)
    names = list(dict.fromkeys(tables["quality"]["variant"]))
    (line,) = decisions.lines(tables, names, Rule())
    for name in pd.Series(names)[lambda s: ~s.isin(["null", "original"])]:
        assert line.replace(";", ",").replace(".", ",").split(": ", 1)[1].count(f" {name},") == 1
