"""What a growing cohort keeps: splits and batches."""

import numpy as np
import pandas as pd
import pytest

from refacebench.run import kept, plan, splits
from refacebench.run.mistakes import ConfigError

WEIGHTS = {"train": 60, "validation": 10, "test": 30}
SHARES = {"train": 0.6, "validation": 0.1, "test": 0.3}


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"sub-{rng.integers(10**9):09d}" for _ in range(n)]
    sites = rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    return pd.DataFrame({"participant": names, "site": sites, "age": rng.uniform(18, 90, n)})


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("start", [1, 7, 40])
def test_nobody_is_moved_and_the_splits_stay_in_proportion(start, seed):
    table = people(300, seed)
    known = {}
    for n in (start, *range(start + 1, 60), *range(60, 301, 20)):
        found = splits.assign(table[:n], WEIGHTS, 1, known)
        assert {name: found[name] for name in known} == known
        known = found.to_dict()
        counts = found.value_counts().reindex(list(SHARES), fill_value=0)
        for split, share in SHARES.items():
            assert abs(counts[split] - share * n) < 2.5
    by_site = table.assign(split=table["participant"].map(known)).groupby("site")["split"]
    for site, shares in by_site.value_counts(normalize=True).unstack().iterrows():
        few = (table["site"] == site).sum()
        for split, share in SHARES.items():
            assert abs(shares[split] - share) * few < 4
    ages = table.assign(split=table["participant"].map(known)).groupby("split")["age"].mean()
    assert (ages - table["age"].mean()).abs().max() < 6


def test_who_joins_is_dealt_out_alike_whatever_the_order_of_the_table():
    table = people(40)
    before = splits.assign(table[:20], WEIGHTS, 1).to_dict()
    found = splits.assign(table, WEIGHTS, 1, before)
    again = splits.assign(table.sample(frac=1, random_state=2), WEIGHTS, 1, before)
    assert found.sort_index().equals(again.sort_index())
    # A hash of seed and name decides who comes first.
    other = splits.assign(table, WEIGHTS, 2, before)
    assert not found.sort_index().equals(other.sort_index())


def test_who_left_takes_no_place():
    table = people(20)
    gone = {f"sub-gone{i}": "test" for i in range(50)}
    before = splits.assign(table[:10], WEIGHTS, 1).to_dict()
    assert splits.assign(table, WEIGHTS, 1, before | gone).equals(
        splits.assign(table, WEIGHTS, 1, before)
    )


def test_no_split_of_weight_nothing_gets_anyone():
    table = people(30)
    only = {"train": 0, "validation": 0, "test": 1}
    before = splits.assign(table[:3], only, 1).to_dict()
    assert set(splits.assign(table, only, 1, before)) == {"test"}


def scans(names, split="test", role="measured"):
    rows = [
        {"participant": n, "session": "", "scan": n, "split": split, "role": role, "status": "ok"}
        for n in names
    ]
    return pd.DataFrame(rows)


def test_batches_are_never_renumbered():
    first = scans([f"sub-{i}" for i in range(5)])
    before = dict(zip(first["scan"], plan.batches(first, 2), strict=True))
    assert list(before.values()) == [
        *["test-measured-000"] * 2, *["test-measured-001"] * 2, "test-measured-002",
    ]  # fmt: skip
    # One is gone, three join in the midst of the others, and batches are larger now.
    names = ["sub-0", "sub-01", "sub-02", "sub-2", "sub-3", "sub-4", "sub-9"]
    found = dict(zip(names, plan.batches(scans(names), 3, before), strict=True))
    assert {name: found[name] for name in before if name in found} == {
        name: before[name] for name in before if name in names
    }
    assert {found[name] for name in ("sub-01", "sub-02", "sub-9")} == {"test-measured-003"}
    # Who was moved to another split, or has another role, leaves the batch.
    moved = plan.batches(scans(["sub-0"], split="train"), 3, before)
    assert list(moved) == ["train-measured-000"]


def test_a_kept_table_is_read_back(tmp_path):
    told = {"sub-1": "train", "sub-2": "test"}
    (tmp_path / kept.SPLITS_FILE).write_text(kept.text(told, WEIGHTS, 1))
    assert kept.read(tmp_path, WEIGHTS, 1) == kept.Kept(told, {})
    # By hand, without the line that says how it was made.
    (tmp_path / kept.SPLITS_FILE).write_text("participant\tsplit\nsub-1\ttest\n\n")
    assert kept.read(tmp_path, WEIGHTS, 1).splits == {"sub-1": "test"}
    assert kept.read(tmp_path / "none", WEIGHTS, 1) == kept.NOTHING


@pytest.mark.parametrize(("seed", "weights"), [(2, WEIGHTS), (1, {**WEIGHTS, "test": 10})])
def test_another_seed_or_other_weights_assign_anew(tmp_path, capsys, seed, weights):
    (tmp_path / kept.SPLITS_FILE).write_text(kept.text({"sub-1": "train"}, WEIGHTS, 1))
    assert kept.read(tmp_path, weights, seed) == kept.NOTHING
    assert "everyone is assigned anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("participant,split\nsub-1,test\n", "the columns must be participant and split"),
        ("participant\tsplit\nsub-1\ttets\n", "line 2: 'tets' is no split"),
        ("participant\tsplit\nsub-1\ttest\nsub-1\ttrain\n", "line 3: sub-1 is in two splits"),
        ("participant\tsplit\nsub-1 test\n", "line 2: '' is no split"),
    ],
)
def test_a_spoilt_table_is_named_with_its_line(tmp_path, text, told):
    (tmp_path / kept.SPLITS_FILE).write_text(text)
    with pytest.raises(ConfigError, match=told) as error:
        kept.read(tmp_path, WEIGHTS, 1)
    assert kept.SPLITS_FILE in str(error.value)
