"""What a model is trained on, and what becomes of a training that failed."""

import json

import pandas as pd
import pytest

from refacebench import contracts, files, manifest
from refacebench.run import methods
from refacebench.stages import train


def test_sites_choose_the_scans_that_train(tmp_path):
    columns = ("original_path", "changed_path", "brain_path", "path")
    rows = pd.DataFrame(
        [
            {"scan": f"sub-{n}", "site": site, "status": status, **dict.fromkeys(columns, f"p{n}")}
            for n, (site, status) in enumerate(
                [("A", "ok"), ("B", "ok"), ("3", "ok"), ("A", "failed"), ("A", "ok")]
            )
        ]
    )
    manifest.write(rows, tmp_path / "m.tsv")
    paths = [tmp_path / "m.tsv"]
    assert [p.scan for p in train.pairs(paths)] == [
        "sub-0",
        "sub-1",
        "sub-2",
        "sub-4",
    ]
    assert [p.scan for p in train.pairs(paths, ["A"])] == ["sub-0", "sub-4"]
    assert [(p.scan, p.site) for p in train.pairs(paths, [3, "B"])] == [
        ("sub-1", "B"),
        ("sub-2", "3"),
    ]
    assert train.pairs(paths, ["C"]) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, None),
        (MemoryError(), "again"),
        (OSError(28, "No space left on device"), "again"),
        (contracts.TrainingFailed("the loss is not finite"), "final"),
        ("swapped", "again"),
    ],
)
def test_a_training_that_failed_is_a_card_that_says_whether_to_try_again(tmp_path, error, kind):
    original = tmp_path / "original.nii"
    original.write_bytes(b"a scan")
    row = {"scan": "sub-1", "site": "A", "status": "ok", "original_path": str(original)}
    row |= dict.fromkeys(("changed_path", "brain_path", "path"), "x")
    row["checksum"] = files.checksum(original)
    manifest.write(pd.DataFrame([row]), tmp_path / "m.tsv")
    if error == "swapped":
        original.write_bytes(b"another person")

    def make(train, validation, out, options, seed):
        if isinstance(error, Exception):
            raise error
        files.write_text("{}", tmp_path / "card.json")

    method = contracts.Refacer(version="1", train=make, load=None, run=None)
    chosen = methods.Chosen("refacers", "m", method, {}, "1")
    manifests = [tmp_path / "m.tsv"]
    train.run(tmp_path / "card.json", chosen, manifests, manifests, seed=1)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card.get("status") == ("failed" if kind else None)
    failed = manifest.read_failures(tmp_path / "card.json")
    assert {name for name in ("again", "final") if failed[name]} == ({kind} if kind else set())
    if kind:
        assert card["reason"].startswith("no model: ")
        assert len(card["reason"]) > len("no model: ")
