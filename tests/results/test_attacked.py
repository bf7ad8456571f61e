"""A scan that is lost on the way to the attacks is a row of the flow."""

import json

import numpy as np
import pandas as pd
import pytest

import factories
from factories import flow_tables
from losing import LOST, PEOPLE, SETTINGS, UNREGISTERED, dataset, manifests, rendered
from reading import caption
from refacebench.contracts import Context, Enrolled, Scores
from refacebench.report.page import build
from refacebench.report.summary import summary_lines
from refacebench.results.attacked import attacked
from refacebench.results.flow import scan_numbers
from refacebench.results.flow import summary as flow_summary
from refacebench.results.flow_counts import compute as flow_counts_table
from refacebench.stages.attack import compare, reasons_of
from refacebench.stages.enrol import at, record
from refacebench.vocabulary import ATTACKING


def branch(enrolled, asked, inventory=None):
    scans = rendered().assign(stage="inventory") if inventory is None else inventory
    return attacked(scans, pd.concat([enrolled, asked]))


def ends(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    return table[["stage", "status", "reason"]].to_numpy().tolist()


def test_nothing_is_lost_where_nothing_is_lost():
    table = branch(*manifests())
    assert len(table) == 2 * PEOPLE + 2 * PEOPLE
    assert set(table["status"]) == {"ok"}
    later = ends(table, scan="sub-3_ses-2")
    assert [stage for stage, _, _ in later] == ["enrol"]
    assert "only its original is in the gallery" in later[0][2]
    counts = flow_counts_table(table, ATTACKING)
    original = counts[counts["variant"] == "original"].set_index("stage")
    assert original["n_in"].tolist() == [10, 10, 5]
    assert original.loc["enrol", "n_not_used"] == 5


def test_a_second_session_that_could_not_be_registered_is_a_row():
    table = branch(*manifests(**LOST))
    assert ends(table, scan="sub-3_ses-2") == [["render", "failed", UNREGISTERED]]
    # Its first session is attacked all the same.
    assert ends(table, scan="sub-3_ses-1", variant="original") == [["attack", "ok", ""]]
    counts = flow_counts_table(table, ATTACKING).set_index(["variant", "stage"])
    assert counts.loc[("original", "render"), "n_failed"] == 1
    assert counts.loc[("x", "render"), "n_failed"] == 0
    sums = counts[["n_ok", "n_excluded", "n_failed", "n_unavailable"]].sum(axis=1)
    assert (sums == counts["n_in"]).all()


def test_the_attacker_that_lost_a_scan_is_named():
    unfit = {("a", "x", "sub-2_ses-1"): ("enrol", "no brain mask")}
    table = branch(*manifests(unfit=unfit))
    expected = [["enrol", "failed", "a: no brain mask; other attackers ok"]]
    assert ends(table, scan="sub-2_ses-1", variant="x") == expected
    assert ends(table, scan="sub-2_ses-1", variant="original") == [["attack", "ok", ""]]
    both = unfit | {("b", "x", "sub-2_ses-1"): ("attack", "nothing overlaps")}
    table = branch(*manifests(unfit=both))
    expected = [["enrol", "failed", "a: no brain mask; b: nothing overlaps"]]
    assert ends(table, scan="sub-2_ses-1", variant="x") == expected


def test_a_failure_for_one_attacker_alone_names_it():
    unfit = {("a", "black", "sub-2_ses-1"): ("attack", "no distance to anyone in the gallery")}
    table = branch(*manifests(attackers=("a",), unfit=unfit))
    assert ends(table, scan="sub-2_ses-1", variant="black")[0][2].startswith("a: no distance")


def test_a_scan_that_no_manifest_has_is_missing():
    enrolled, asked = manifests()
    gone = (asked["scan"] == "sub-4_ses-1") & (asked["variant"] == "x")
    table = branch(enrolled, asked[~gone])
    assert [end[1] for end in ends(table, scan="sub-4_ses-1", variant="x")] == ["missing"]
    gone &= asked["method"] == "b"
    table = branch(enrolled, asked[~gone])
    (end,) = ends(table, scan="sub-4_ses-1", variant="x")
    assert end[1:] == ["missing", "in no manifest of b; other attackers ok"]


def test_what_was_stopped_before_its_rendering_has_one_row_only():
    inventory = rendered().assign(stage="inventory")
    inventory.loc[inventory["scan"] == "sub-1_ses-1", ["status", "reason"]] = ["excluded", "noise"]
    lost = {"sub1_ses1": ("excluded", "inventory", "noise")}
    table = branch(*manifests(**lost), inventory)
    assert "sub-1_ses-1" not in set(table.loc[table["variant"] != "x", "scan"])


def test_an_attacker_that_is_not_installed_loses_nothing_by_itself():
    enrolled, asked = manifests(attackers=("a",))
    rows = rendered(sessions=(1,), variant="x")
    gone = record(rows, "attack", {}, attacker="c", unavailable="install c")
    table = branch(enrolled, pd.concat([asked, gone]))
    assert set(table["status"]) == {"ok"}
    alone = attacked(rendered(), gone)
    assert set(alone["status"]) == {"unavailable"}
    assert flow_counts_table(alone, ATTACKING)["n_unavailable"].sum() == PEOPLE


def test_a_training_scan_that_was_lost_is_a_row():
    train = rendered(3, split="train", sessions=(1,)).replace("sub-", "sub-t", regex=True)
    inventory = pd.concat([rendered(), train], ignore_index=True).assign(stage="inventory")
    enrolled, asked = manifests(attackers=("a",))
    why = {"sub-t1_ses-1": ("enrol", "no surface")}
    more = record(train, "enrol", why, attacker="a")
    table = branch(enrolled, pd.concat([asked, more]), inventory)
    assert ends(table, scan="sub-t1_ses-1") == [["enrol", "failed", "a: no surface"]]
    assert ends(table, scan="sub-t2_ses-1") == [
        ["enrol", "not_used", "train split, serves to train a"]
    ]


def test_the_flow_keeps_its_rows_and_gets_those_of_lost_scans():
    made = factories.measurements(4, n_train=2, n_rescans=2)
    inventory, stages = factories.manifests(made)
    before = flow_tables(inventory, stages, None, factories.VARIANTS)
    scans = inventory[(inventory["split"] == "test") & (inventory["scan"] != "sub-999")]
    ok = record(scans, "enrol", {}, attacker="a", variant="original")
    ok.loc[ok["scan"] == "sub-001_ses-2", ["status", "stage", "reason"]] = [
        *("failed", "render", UNREGISTERED)
    ]
    after = flow_tables(inventory, stages, ok, factories.VARIANTS)
    assert len(after["flow"]) == len(before["flow"]) + 1
    pd.testing.assert_frame_equal(after["flow"].iloc[:-1], before["flow"])
    assert after["flow"].iloc[-1]["scan"] == "sub-001_ses-2"
    n = len(before["flow_counts"])
    pd.testing.assert_frame_equal(after["flow_counts"].iloc[:n], before["flow_counts"])
    assert after["flow_counts"]["stage"].iloc[n:].tolist() == ["render", "enrol"]
    said = "1 scan lost on the way to the attacks in at least one variant: 1 second session "
    said += "could not be registered (sub-001_ses-2)"
    assert said in flow_summary(after["flow"])
    assert said in caption("flow", after, SETTINGS)
    assert said in summary_lines(after, SETTINGS)[0]
    numbers = scan_numbers(after["flow"])
    assert numbers["not_attacked"] == 1
    assert numbers | {"not_attacked": 0} == scan_numbers(before["flow"])
    page = build({"title": "t", "datasets": [dataset(after)]})
    assert "<b>1</b> lost on the way to the attacks" in page
    assert UNREGISTERED in page


def test_a_lost_control_does_not_make_every_variant_a_list():
    inventory, stages = factories.manifests(factories.measurements(3, n_train=0, n_rescans=0))
    scans = inventory[inventory["scan"] != "sub-999"]
    why = {"sub-002": ("attack", "nothing to compare")}
    rows = record(scans, "attack", why, attacker="a", variant="black")
    tables = flow_tables(inventory, stages, rows, factories.VARIANTS)
    page = build({"title": "t", "datasets": [dataset(tables)]})
    assert "every variant" in page
    assert "a: nothing to compare" in page


class Attacker:
    """An attacker whose scoring can fail."""

    def __init__(self, error=None, distance=None):
        self.error, self.distance = error, distance

    def score(self, queries, gallery, options, context):
        if self.error:
            raise self.error
        return Scores(self.distance)


def enrolled_of(table):
    ids = [table[name].to_numpy(dtype=str) for name in ("scan", "participant", "session")]
    return Enrolled(*ids, {})


@pytest.mark.parametrize("error", [RuntimeError("no memory on the device"), ValueError("NaN")])
def test_a_training_that_fails_in_any_way_is_a_reason(error, tmp_path):
    rows = rendered(sessions=(1,))
    people = enrolled_of(rows)
    found, _ = compare(Attacker(error), rows, people, people, {}, Context(1, tmp_path), {})
    assert np.isnan(found["distance"]).all()
    assert all(str(error) in reason for reason in found["query_reason"])
    table = record(rows, "attack", at("attack", reasons_of(found)), attacker="a")
    assert set(table["status"]) == {"failed"}
    assert set(table["stage"]) == {"attack"}


def test_too_little_memory_ends_the_job_for_the_next_attempt_has_more(tmp_path):
    rows = rendered(sessions=(1,))
    people = enrolled_of(rows)
    with pytest.raises(MemoryError):
        compare(Attacker(MemoryError()), rows, people, people, {}, Context(1, tmp_path), {})


def test_a_query_without_any_distance_has_a_reason(tmp_path):
    rows = rendered(sessions=(1,))
    people = enrolled_of(rows)
    distance = np.ones((PEOPLE, PEOPLE))
    distance[1] = np.nan
    module = Attacker(distance=distance)
    found, _ = compare(module, rows, people, people, {}, Context(1, tmp_path), {})
    assert reasons_of(found) == {"sub-2_ses-1": "no distance to anyone in the gallery"}
    assert json.dumps(reasons_of(found))


def test_a_record_keeps_earlier_ends_and_names_the_control():
    rows = rendered(2, sub1_ses1=("excluded", "prepare", "no brain"))
    table = record(rows, "enrol", {}, attacker="a", version="2", variant="black")
    first = table.iloc[0]
    assert (first["status"], first["stage"], first["reason"]) == ("excluded", "prepare", "no brain")
    assert set(table["variant"]) == {"black"}
    assert set(table["method"]) == {"a"}
    assert record(rows.iloc[:0], "enrol", {}, attacker="a").empty
