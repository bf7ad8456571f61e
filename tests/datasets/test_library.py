"""Our reading of BIDS names against a BIDS library's, on a tree with all entities of T1w images.

The library (ancpBIDS) has no part in the pipeline: `refacebench.datasets._layout` says why.
"""

import itertools

import pytest

from refacebench import bids
from refacebench.datasets import bids as bids_dataset

ancpbids = pytest.importorskip("ancpbids")

#: In the order that BIDS gives them; every label is one that some data set has.
ENTITIES = {
    "acq": ("mprage", "1p5mm"),
    "ce": ("gadolinium",),
    "rec": ("norm", "SCIC"),
    "run": ("1", "02"),
    "echo": ("3",),
    "flip": ("2",),
    "inv": ("1",),
    "mt": ("off",),
    "part": ("mag",),
    "chunk": ("1",),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Every pair of entities, in sessions and without them."""
    root = tmp_path_factory.mktemp("bids")
    (root / "dataset_description.json").write_text('{"Name": "all", "BIDSVersion": "1.9.0"}')
    pairs = [(), *((name,) for name in ENTITIES), *itertools.combinations(ENTITIES, 2)]
    for session in ("", "ses-01", "ses-follow2"):
        folder = root / "sub-A01" if session else root / "sub-02"
        home = folder / session / "anat"
        home.mkdir(parents=True)
        for names in [*pairs, tuple(ENTITIES)]:
            for labels in itertools.product(*(ENTITIES[name] for name in names)):
                said = [f"{name}-{label}" for name, label in zip(names, labels, strict=True)]
                stem = "_".join(p for p in (folder.name, session, *said) if p)
                for suffix, ending in itertools.product(("T1w", "T2w"), ("nii.gz", "json")):
                    (home / f"{stem}_{suffix}.{ending}").write_text("{}")
    return root


def test_the_library_finds_the_same_scans_with_the_same_entities(tree):
    found = ancpbids.load_dataset(str(tree)).query(suffix="T1w", extension=".nii.gz")
    theirs = {
        item.name: {key: str(label) for key, label in item.entities.items()} for item in found
    }
    table = bids_dataset.index({**bids_dataset.METHOD.defaults, "path": str(tree)}, 1)
    assert (table["status"] == "ok").all()
    ours = {row.path.rsplit("/", 1)[1]: row.scan for row in table.itertuples()}
    assert len(theirs) > 200
    assert set(ours) == set(theirs)
    for name, scan in ours.items():
        mine = {key: label.lstrip("0") for key, label in bids.entities(scan).items()}
        assert mine == {key: label.lstrip("0") for key, label in theirs[name].items()}, name


def test_every_combination_has_an_id_and_a_folder_of_its_own(tree):
    table = bids_dataset.index({**bids_dataset.METHOD.defaults, "path": str(tree)}, 1)
    assert table["scan"].is_unique
    for row in table.itertuples():
        home = bids.folder(row.scan).as_posix()
        assert row.path.rsplit("/", 1)[0].endswith(home)
