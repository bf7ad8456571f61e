"""Every case of the zoo is a row with the status and the words that it should have.

And the good scans beside them come out as if they were alone.
"""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from refacebench import bids, manifest
from refacebench.datasets import bids as bids_dataset
from refacebench.run import plan
from refacebench.stages import inventory, prepare
from zoo import cases
from zoo.cases import CASES, KNOWN, PEOPLE, TABLES, UNUSABLE

GOOD = ["sub-good1", "sub-good2", "sub-good3"]
QUICK = [case for case in CASES if case.stage == "inventory"]
HEAVY = [case for case in CASES if case.stage != "inventory"]


def fill(root, chosen):
    """Make the good scans and some cases."""
    for number, name in enumerate(GOOD):
        content = cases.image(cases.head_like(*cases.HEAD, seed=number)).to_bytes()
        cases.at(cases.T1W, content=lambda c=content: gzip.compress(c, 1, mtime=0))(root, name)
    for case in chosen:
        case.make(root, case.folder)
    return root


def listed(root, results, chosen=()):
    """List all scans of a folder and check them, as a run does."""
    config = {
        "seed": 1,
        "batch_size": 40,
        "splits": {"train": 0, "validation": 0, "test": 1},
        "datasets": {"zoo": {"type": "bids", "path": str(root)}},
    }
    with pytest.MonkeyPatch.context() as patch:
        for case in chosen:
            if case.patch:
                case.patch(patch, root)
        lists = plan.load(config, "zoo", True, str(results))
    lists.write()
    checked, unused = [], []
    for batch in lists.names:
        given, out = results / f"plan/zoo/{batch}.tsv", results / f"inventory/zoo/{batch}.tsv"
        if plan.is_opened(batch, attacked=True):
            inventory.run_batch(plan.read_list(given), out, {}, version="1", timeout=60)
            checked.append(out)
        else:
            unused.append(given)
    return plan.read_all(checked, unused, results / "plan/zoo/people.tsv")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    fill(folder / "bids", QUICK)
    return folder


@pytest.fixture(scope="module")
def zoo(home):
    return listed(home / "bids", home / "results", QUICK)


def rows_of(case, table):
    participant = case.participant or bids_dataset.safe_id(case.folder)
    return table[table["participant"] == participant]


def is_as(row, expected):
    facts = all(row[name] == value for name, value in expected.facts.items())
    return row["status"] == expected.status and expected.words in row["reason"] and facts


def hold(case, table):
    """Hold a case's rows to what it expects, one by one."""
    found = rows_of(case, table).to_dict("records")
    told = [(row["scan"], row["status"], row["reason"]) for row in found]
    assert len(found) == len(case.rows), told
    for expected in case.rows:
        hit = next((row for row in found if is_as(row, expected)), None)
        assert hit is not None, (expected, told)
        found.remove(hit)


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.kind)
def test_a_case_is_a_row_with_its_reason(zoo, case):
    hold(case, zoo)


def test_nothing_vanishes_and_nothing_is_made_up(zoo):
    theirs = [participant for case in QUICK for participant in rows_of(case, zoo)["participant"]]
    assert sorted([*theirs, *GOOD]) == sorted(zoo["participant"])


def test_every_row_can_be_written_and_its_id_is_a_name_of_its_own(zoo):
    assert zoo["scan"].is_unique
    for row in zoo.to_dict("records"):
        assert re.fullmatch(r"[A-Za-z0-9_+-]+", row["scan"]), row["scan"]
        assert re.fullmatch(r"[A-Za-z0-9_+-]+", row["participant"])
        assert len(row["scan"]) <= bids.LONGEST
        assert row["reason"].isprintable()
        assert (row["status"] == "ok") == (row["reason"] == "")


def test_the_good_scans_come_out_as_if_they_were_alone(zoo, tmp_path):
    alone = listed(fill(tmp_path / "bids", ()), tmp_path / "results")
    assert (alone["status"] == "ok").all()
    beside = zoo[zoo["participant"].isin(GOOD)]
    # The folder's name, and with it the key; time and memory are measured.
    other = ["path", "original_path", "key"]
    other += [name for name in alone if name.endswith(("seconds", "peak_mb"))]
    pd.testing.assert_frame_equal(
        *(t.drop(columns=other).sort_values("scan", ignore_index=True) for t in (beside, alone)),
        check_dtype=False,  # a whole number beside an empty cell is a float
    )


def test_a_second_look_finds_the_same(home, zoo):
    again = listed(home / "bids", home / "results", QUICK)
    measured = [name for name in zoo if name.endswith(("seconds", "peak_mb"))]
    pd.testing.assert_frame_equal(*(table.drop(columns=measured) for table in (zoo, again)))


@pytest.mark.slow
def test_heavy_cases_are_rows_with_their_reasons(tmp_path):
    table = listed(fill(tmp_path / "bids", HEAVY), tmp_path / "results", HEAVY)
    out = tmp_path / "results/prepare/zoo/all.tsv"
    theirs = table[~table["participant"].isin(GOOD)]  # the good ones are no real heads
    prepared = prepare.run_batch(theirs, out, tmp_path / "results/derivatives")
    for case in HEAVY:
        hold(case, prepared)


# tables of participants ---------------------------------------------------------------------


def people(root):
    """List a folder in which all scans are empty files: the tables are read before any image."""
    for name in PEOPLE:
        cases.at(cases.T1W, content=bytes)(Path(root), name)
    return bids_dataset.index({**bids_dataset.METHOD.defaults, "path": str(root)}, 1)


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_as_it_comes_is_understood(tmp_path, kind):
    (tmp_path / "participants.tsv").write_bytes(TABLES[kind])
    table = people(tmp_path).set_index("scan")
    assert {scan: tuple(table.loc[scan, ["age", "sex", "site"]]) for scan in table.index} == KNOWN


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_table_that_cannot_be_used_is_a_sentence_and_the_scans_run(tmp_path, capsys, kind):
    content, sentence = UNUSABLE[kind]
    path = tmp_path / "participants.tsv"
    if callable(content):
        content(path)
    elif content is not None:
        path.write_bytes(content)
    table = people(tmp_path)
    assert (table["status"] == "ok").all()
    assert np.isnan(table["age"]).all()
    assert table["age_note"].str.startswith(sentence).all()
    assert sentence in capsys.readouterr().err
    manifest.write(table, tmp_path / "rows.tsv")
