"""Which scans there are, in which split, role and batch; what a config may say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refacebench import vocabulary
from refacebench.datasets import bids
from refacebench.run import configuration, methods, mistakes, plan, splits, wanted

WEIGHTS = {"train": 60, "validation": 10, "test": 30}


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def people(n, sites=3):
    return pd.DataFrame(
        {
            "participant": [f"sub-{i:04d}" for i in range(n)],
            "site": [f"site{i % sites}" for i in range(n)],
            "age": np.linspace(20, 80, n) if n else [],
        }
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(0, 5),
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)),
)
def test_every_participant_is_in_exactly_one_split_of_the_right_size(n, seed, weights):
    named = dict(zip(vocabulary.SPLITS, weights, strict=True))
    split = splits.assign(people(n), named, seed)
    assert sorted(split.index) == list(people(n)["participant"])
    assert set(split) <= {s for s in named if named[s] > 0}
    assert "test" in set(split)
    for name, weight in named.items():
        exact = n * weight / sum(weights)
        assert abs((split == name).sum() - exact) < 2


def test_splits_are_balanced_by_site_and_age():
    table = people(300).set_index("participant")
    split = splits.assign(people(300), WEIGHTS, 1)
    joined = table.join(split.rename("split"))
    shares = pd.crosstab(joined["site"], joined["split"], normalize="index")
    assert np.allclose(shares["test"], 0.3, atol=0.03)
    assert joined.groupby("split")["age"].mean().between(46, 54).all()


def test_the_seed_decides_and_decides_alone():
    first = splits.assign(people(60), WEIGHTS, 1)
    shuffled = people(60).sample(frac=1, random_state=3)
    assert first.sort_index().equals(splits.assign(shuffled, WEIGHTS, 1).sort_index())
    assert not first.sort_index().equals(splits.assign(people(60), WEIGHTS, 2).sort_index())


def test_unknown_ages_take_part():
    table = people(10).assign(age=np.nan, site="")
    assert len(splits.assign(table, WEIGHTS, 1)) == 10


def test_no_positive_weight_is_an_error():
    with pytest.raises(ValueError, match="positive"):
        splits.assign(people(3), {"train": 0, "validation": 0, "test": 0}, 1)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "bids"
    touch(root / "sub-01/anat/sub-01_T1w.nii.gz")
    touch(root / "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii")
    touch(root / "sub-02/ses-2/anat/sub-02_ses-2_run-1_T1w.nii.gz")
    touch(root / "sub-02/ses-2/anat/sub-02_ses-2_T2w.nii.gz")
    touch(root / "sub-03/func/sub-03_bold.nii.gz")
    touch(root / "sub-04/anat/sub-04_T1w.nii.gz")
    touch(root / "sub-04/anat/sub-04_T1w.nii")
    touch(root / "derivatives/sub-09/anat/sub-09_T1w.nii.gz")
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tsite\nsub-01\t44.5\tF\tA\n02\tn/a\tM\tB\nsub-77\t50\tM\tB\n"
    )
    return root


def test_bids_index_lists_everything_once(folder):
    table = bids.index({"path": str(folder)}, 1).set_index("scan")
    assert list(table.index) == [
        "sub-01",
        "sub-02_ses-1",
        "sub-02_ses-2_run-1",
        "sub-03",
        "sub-04",
        "sub-77",
    ]
    assert table.loc["sub-01", "age"] == 44.5
    assert table.loc["sub-02_ses-1", "site"] == "B"
    assert np.isnan(table.loc["sub-02_ses-1", "age"])
    assert table.loc["sub-02_ses-1", "session"] == "ses-1"
    assert table.loc["sub-03", "status"] == "excluded"
    assert "no T1w" in table.loc["sub-03", "reason"]
    assert "both" in table.loc["sub-04", "reason"]
    assert "no folder" in table.loc["sub-77", "reason"]


def test_bids_index_without_participants_keeps_the_scans(folder):
    (folder / "participants.tsv").unlink()
    table = bids.index({"path": str(folder)}, 1)
    assert (table["status"] == "ok").sum() == 3
    assert table["age"].isna().all()


def test_ages_are_numbers_of_years_that_people_reach():
    ages = {"0": 0, " 44.5 ": 44.5, "89+": 89, "130": 130, "8e1": 80}
    assert {text: bids.parse_age(text) for text in ages} == ages
    for text in ("", "n/a", "NA", "None", "+", "nan", "old", "34y", "-1", "-0.5", "130.1", "9999",
                 "inf", "-Infinity", "1e158439314234", "1e999+"):  # fmt: skip
        assert np.isnan(bids.parse_age(text)), text


def test_an_impossible_age_is_an_unknown_one(folder):
    people = folder / "participants.tsv"
    people.write_text(people.read_text().replace("44.5", "1e158439314234"))
    table = plan.scans(config(folder), "mine").set_index("scan")
    assert np.isnan(table.loc["sub-01", "age"])
    assert table.loc["sub-01", "status"] == "ok"


@pytest.mark.parametrize("path", [None, "", "/no/such/folder"])
def test_bids_index_of_nothing_says_so(path):
    with pytest.raises(FileNotFoundError, match="path"):
        bids.index({"path": path}, 1)


def config(folder, **changes):
    base = {
        "seed": 1,
        "batch_size": 2,
        "splits": WEIGHTS,
        "datasets": {"mine": {"type": "bids", "path": str(folder)}},
        "defacers": {},
        "refacers": {},
        "segmenters": {},
    }
    return {**base, **changes}


def test_batches_hold_one_split_and_role_and_no_more_than_their_size(folder):
    table = plan.scans(config(folder), "mine")
    usable = table[table["status"] == "ok"]
    assert set(table.loc[table["status"] != "ok", "batch"]) == {plan.LEFT_OUT}
    for batch, rows in usable.groupby("batch"):
        split, role, _ = batch.split("-")
        assert set(rows["split"]) == {split}
        assert set(rows["role"]) == {role}
        assert len(rows) <= 2
    assert table.groupby("participant")["split"].nunique().max() == 1


def test_batch_lists_that_did_not_change_keep_their_time(folder, tmp_path):
    table = plan.scans(config(folder), "mine")
    plan.Lists(tmp_path / "plan", table).write()
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "plan").iterdir()}
    plan.Lists(tmp_path / "plan", table).write()
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "plan").iterdir()}
    read = plan.Lists(tmp_path / "plan")
    assert read.names == sorted(set(table["batch"]))
    assert read.count(read.names) == len(table)


def test_indexing_five_thousand_scans_takes_seconds(tmp_path):
    for i in range(5000):
        touch(tmp_path / f"sub-{i:04d}/anat/sub-{i:04d}_T1w.nii.gz")
    table = plan.scans(config(tmp_path, batch_size=50), "mine")
    assert len(table) == 5000
    assert table["batch"].nunique() == 60 + 10 + 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"defacers": {"nosuch": {}}}, "no method 'nosuch'"),
        ({"defacers": {"quickshear": {"bufer": 3}}}, "unknown option 'bufer'"),
        ({"defacers": {"a+b": {}}}, "may hold letters"),
        ({"defacers": {None: {}}}, "quotes"),
        ({"defacers": {"original": {"method": "quickshear"}}}, "always measured"),
        (
            {"defacers": {"null": {}}, "refacers": {"pix2pix25d": {"defacers": ["pydeface"]}}},
            "not among the defacers",
        ),
        ({"datasets": {"x": {"type": "nosuch"}}}, "no method 'nosuch'"),
        ({"defacers": {"mine": {"file": "/no/such.py"}}}, "no file"),
    ],
)
def test_a_wrong_config_is_one_clear_sentence(folder, changes, message):
    with pytest.raises(configuration.ConfigError, match=message) as error:
        configuration.check(config(folder, **changes))
    assert "\n" not in str(error.value)


def test_a_defacer_from_outside_is_one_file_and_one_line(folder, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "from refacebench.contracts import Defacer, Option\n"
        "def deface(scan, options): ...\n"
        "METHOD = Defacer(version='3', options={'depth': Option(1, 'How deep.')}, run=deface)\n"
    )
    entry = {"file": str(own), "depth": 4}
    configuration.check(config(folder, defacers={"own": entry}))
    assert methods.choose("defacers", "own", entry).options == {"depth": 4}
    before = methods.version("defacers", "own", entry)
    own.write_text(own.read_text() + "# changed\n")
    assert methods.version("defacers", "own", entry) != before


def test_all_mistakes_are_named_at_once_with_what_may_be_meant(folder):
    changes = {"defacers": {"pydefac": {}, "quickshear": {"bufer": 3}, "mask_face": {}}}
    with pytest.raises(configuration.ConfigError) as error:
        configuration.check(config(folder, **changes))
    first, *lines = str(error.value).splitlines()
    assert first == "the config has 2 mistakes:"
    assert lines[0].startswith("  1. defacers.pydefac: no method 'pydefac'")
    assert lines[0].endswith("did you mean 'pydeface'?")
    assert lines[1].endswith("did you mean 'buffer'?")


def test_all_wrong_keys_are_named_at_once():
    schema = {
        "additionalProperties": False,
        "properties": {
            "defacers": {"type": "object"},
            "splits": {"additionalProperties": False, "properties": {"test": {"type": "number"}}},
        },
    }
    wrong = {"defacerz": {}, "splits": {"tst": 1, "test": "all"}}
    found = mistakes.against(wrong, schema)
    assert [said for one in found for said in one.said] == [
        "config, top level: unknown key 'defacerz'; did you mean 'defacers'?",
        "config, splits: unknown key 'tst'; did you mean 'test'?",
        "config, splits.test: 'all' is not a number",
    ]
    assert mistakes.sound(wrong, found) == {"splits": {}}


def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("seed: 1\ndefacers:\n  a: {}\n  b: {}\n  a: {x: 1}\nseed: 2\n")
    assert mistakes.twice([path]) == [
        f"{path}, line 5: the key 'a' stands twice",
        f"{path}, line 6: the key 'seed' stands twice",
    ]
    path.write_text("seed: 1\nlist: [{a: 1}, {a: 2}]\n")
    assert mistakes.twice([path, tmp_path / "missing.yaml"]) == []


def test_a_config_that_compares_nobody_is_refused(folder):
    changes = {"defacers": {"mask_face": {}}, "splits": {"train": 1, "test": 0}}
    with pytest.raises(configuration.ConfigError, match="nobody is compared"):
        configuration.check(config(folder, **changes))


def listed(*rows):
    return pd.DataFrame(rows, columns=["participant", "status", "reason"])


def test_a_limit_takes_the_first_people_who_have_a_usable_scan():
    table = listed(
        ("sub-3", "ok", ""), ("sub-1", "excluded", "no image"), ("sub-2", "ok", ""),
        ("sub-2", "ok", ""), ("sub-4", "ok", ""),
    )  # fmt: skip
    found = wanted.taken(table, limit=2)
    assert list(found["status"]) == ["ok", "excluded", "ok", "ok", "excluded"]
    assert found["reason"][1] == "no image"
    assert "`limit` takes the first 2 participants" in found["reason"][4]
    assert list(wanted.taken(table)["status"]) == list(table["status"])


def test_named_participants_are_taken_and_no_others():
    table = listed(("sub-01", "ok", ""), ("sub-02", "ok", ""), ("sub-3", "ok", ""))
    found = wanted.taken(table, participants=["01", "sub-3"])
    assert list(found["status"]) == ["ok", "excluded", "ok"]
    both = wanted.taken(table, participants=["02", "sub-3"], limit=1)
    assert list(both["status"]) == ["excluded", "ok", "excluded"]
    with pytest.raises(ValueError, match="there is no scan of sub-9"):
        wanted.taken(table, participants=["9"])


def test_the_limit_of_a_config_reaches_the_plan(folder):
    given = {"type": "bids", "path": str(folder), "limit": 1}
    scans = plan.scans(config(folder, datasets={"mine": given}), "mine")
    assert set(scans.loc[scans["status"] == "ok", "participant"]) == {"sub-01"}
    left = scans[scans["participant"] == "sub-02"]
    assert left["reason"].str.startswith("not taken").all()
    assert set(left["split"]) == {""}
