"""Odd BIDS folders: every T1w image is a scan with its own id or a row with a reason."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refacebench import bids, files, manifest
from refacebench.datasets import _layout
from refacebench.datasets import bids as bids_dataset
from refacebench.run import configuration, plan
from refacebench.stages import carry


def touch(root, *paths):
    for path in paths:
        (Path(root) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(root) / path).write_bytes(b"")
    return {**bids_dataset.METHOD.defaults, "path": str(root)}


def index(root, *paths, **options):
    return bids_dataset.index({**touch(root, *paths), **options}, 1).set_index("scan")


def one(table):
    """Return the only row that is left out."""
    rows = table[table["status"] == "excluded"]
    assert len(rows) == 1, rows["reason"].tolist()
    return rows.iloc[0]


GOOD = "sub-good/anat/sub-good_T1w.nii.gz"


# ids ----------------------------------------------------------------------------------------


LABELS = st.text("abAB01+-", min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    LABELS, st.one_of(st.just(""), LABELS), st.lists(st.text("abs-+. _\n", max_size=6), max_size=3)
)
def test_an_id_is_safe_and_leads_back_to_its_folders(participant, session, rest):
    participant, session = f"sub-{participant}", session and f"ses-{session}"
    stem = "_".join([participant, *rest])
    scan = bids.scan_id(participant, session, stem)
    assert re.fullmatch(r"[A-Za-z0-9_+-]+", scan)
    parts = [part for part in (participant, session, "anat") if part]
    assert bids.folder(scan) == Path(*parts)


PARTS = st.sampled_from(
    ["sub-1", "sub-2", "sub-A b", "sub-", "ses-1", "ses-01", "ses-", "anat", "Anat", "T1w", "t1w"]
    + [
        "T2w",
        "run-1",
        "run-01",
        "part-phase",
        "desc-x",
        "acq-1.5",
        "\n",
        "\r",
        "\udcff",
        " ",
        "é",
        "x" * 90,
    ]
)
ENDINGS = st.sampled_from(
    [".nii.gz", ".nii", ".NII", ".mgz", ".hdr", ".img", ".nii.gz.gz", ".json", ""]
)
FILES = st.tuples(st.lists(PARTS, max_size=3), st.lists(PARTS, min_size=1, max_size=4), ENDINGS)


@settings(max_examples=60, deadline=None)
@given(st.lists(FILES, max_size=8))
def test_whatever_the_names_nothing_stops_and_no_image_vanishes(found):
    with tempfile.TemporaryDirectory() as home:
        root = Path(home)
        touch(root, GOOD)
        for folders, stem, ending in found:
            path = root.joinpath("sub-1", *folders, "_".join(stem)[:200] + ending)
            if not path.exists() and all(p.is_dir() or not p.exists() for p in path.parents):
                touch(root, path.relative_to(root))
        table = bids_dataset.index({**bids_dataset.METHOD.defaults, "path": home}, 1)
        assert table["scan"].is_unique
        assert table["scan"].str.fullmatch(r"[A-Za-z0-9_+-]{1,160}").all()
        assert table["reason"].map(str.isprintable).all()
        assert ((table["status"] == "ok") == (table["reason"] == "")).all()
        usable = table.loc[table["status"] == "ok", "path"]
        assert usable.is_unique
        images, _, _ = _layout.below(home, "sub-1") if (root / "sub-1").is_dir() else ([], 0, 0)
        wanted = [i for i in images if _layout.is_of(i, "T1w")]
        # Both halves of a pair, and both formats of an image, are one row.
        rows = table[table["participant"] == "sub-1"]
        assert len(rows) >= len({(i.folders, i.stem) for i in wanted})


def test_hyphenated_labels_have_folders_of_their_own(tmp_path):
    table = index(
        tmp_path,
        "sub-0001-A/anat/sub-0001-A_T1w.nii.gz",
        "sub-0001-B/ses-2020-01-01/anat/sub-0001-B_ses-2020-01-01_T1w.nii.gz",
        "sub-0001-B/ses-2020-06-30/anat/sub-0001-B_ses-2020-06-30_T1w.nii.gz",
    )
    places = {bids.derivative("d", scan, "mask").parent.as_posix() for scan in table.index}
    assert places == {
        "d/sub-0001-A/anat",
        "d/sub-0001-B/ses-2020-01-01/anat",
        "d/sub-0001-B/ses-2020-06-30/anat",
    }


def test_a_name_without_its_session_gets_that_of_its_folder(tmp_path):
    table = index(
        tmp_path,
        "sub-x/ses-1/anat/sub-x_T1w.nii.gz",
        "sub-x/ses-2/anat/sub-x_T1w.nii.gz",
        "sub-x/ses-2/anat/sub-x_run-2_T1w.nii.gz",
    )
    assert list(table.index) == ["sub-x_ses-1", "sub-x_ses-2", "sub-x_ses-2_run-2"]
    assert set(table["status"]) == {"ok"}


def test_a_foreign_file_takes_nobodys_place(tmp_path):
    table = index(
        tmp_path,
        "sub-x/anat/sub-x_T1w.nii.gz",
        "sub-x/anat/sub-y_T1w.nii.gz",
        "sub-y/anat/sub-y_T1w.nii.gz",
    )
    assert table.loc[["sub-x", "sub-y"], "status"].tolist() == ["ok", "ok"]
    assert one(table)["participant"] == "sub-x"


def test_one_name_in_two_folders_stays_two_scans(tmp_path):
    table = index(tmp_path, "sub-a/anat/sub-a_T1w.nii.gz", "sub-b/anat/sub-a_T1w.nii.gz")
    assert table.loc["sub-a", "path"].endswith("sub-a/anat/sub-a_T1w.nii.gz")
    assert one(table)["participant"] == "sub-b"


def test_what_is_no_image_is_no_row(tmp_path):
    table = index(
        tmp_path,
        GOOD,
        "sub-good/anat/._sub-good_T1w.nii.gz",
        "sub-good/anat/.DS_Store",
        "sub-good/anat/sub-good_T1w.json",
        "sub-good/anat/sub-good_T1w.nii.gz.md5",
        "sub-good/anat/.hidden/sub-good_T1w.nii.gz",
        "sub-good/anat/sub-good_UNIT1.nii.gz",
        "sub-good/.git/sub-good_T1w.nii.gz",
        "._sub-mac",
        "sub-good.html",
        "derivatives/x/sub-good/anat/sub-good_T1w.nii.gz",
        "sourcedata/sub-9/anat/sub-9_T1w.nii.gz",
    )
    assert list(table.index) == ["sub-good"]


def test_links_that_lead_nowhere_are_rows(tmp_path):
    options = touch(tmp_path, GOOD)
    (tmp_path / "sub-gone").symlink_to("../elsewhere/sub-gone")
    (tmp_path / "sub-s" / "ses-2").parent.mkdir()
    (tmp_path / "sub-s" / "ses-2").symlink_to("nowhere")
    (tmp_path / "sub-annex" / "anat").mkdir(parents=True)
    (tmp_path / "sub-annex/anat/sub-annex_T1w.nii.gz").symlink_to("../../.git/annex/objects/x")
    table = bids_dataset.index(options, 1).set_index("scan")
    assert "leads nowhere" in table.loc["sub-gone", "reason"]
    assert "leads nowhere" in table.loc["sub-s_ses-2", "reason"]
    assert "datalad get" in table.loc["sub-annex", "reason"]
    assert table.loc["sub-good", "status"] == "ok"
    (tmp_path / ".git/annex/objects").mkdir(parents=True)
    (tmp_path / ".git/annex/objects/x").write_bytes(b"x")
    assert bids_dataset.index(options, 1).set_index("scan").loc["sub-annex", "status"] == "ok"


def test_what_is_not_a_file_is_a_row_and_is_never_read(tmp_path):
    touch(tmp_path, GOOD)
    for name in ("pipe", "device", "folder"):
        (tmp_path / f"sub-{name}/anat").mkdir(parents=True)
    places = {n: tmp_path / f"sub-{n}/anat/sub-{n}_T1w.nii.gz" for n in ("pipe", "device")}
    os.mkfifo(places["pipe"])
    places["device"].symlink_to("/dev/zero")
    (tmp_path / "sub-folder/anat/sub-folder_T1w.nii.gz").mkdir()
    table = index(tmp_path)
    assert table.loc["sub-good", "status"] == "ok"
    for name, words in (("pipe", "pipe"), ("device", "device"), ("folder", "directory")):
        assert table.loc[f"sub-{name}", "status"] == "excluded"
        assert "not a file" in table.loc[f"sub-{name}", "reason"]
        assert words in table.loc[f"sub-{name}", "reason"]
    for path in places.values():  # one that is put in a scan's place later does not hang a job
        with pytest.raises(OSError, match="not a file"):
            files.checksum(path)


def test_links_in_a_circle_end(tmp_path):
    options = touch(tmp_path, "sub-x/ses-1/anat/sub-x_ses-1_T1w.nii.gz")
    (tmp_path / "sub-x/ses-1/func").symlink_to("..")
    (tmp_path / "sub-x/ses-2").symlink_to("../sub-x")
    (tmp_path / "sub-loop").symlink_to("sub-loop")
    table = bids_dataset.index(options, 1).set_index("scan")
    assert table.loc["sub-x_ses-1", "status"] == "ok"
    assert (table["status"] == "ok").sum() == 1


def test_linked_folders_where_bids_has_folders_are_followed(tmp_path):
    options = touch(tmp_path / "b", GOOD)
    touch(tmp_path / "store", "a/sub-x_ses-1_T1w.nii.gz", "s/anat/sub-x_ses-2_T1w.nii.gz")
    (tmp_path / "b/sub-x/ses-1").mkdir(parents=True)
    (tmp_path / "b/sub-x/ses-1/anat").symlink_to(tmp_path / "store/a")
    (tmp_path / "b/sub-x/ses-2").symlink_to(tmp_path / "store/s")
    table = bids_dataset.index(options, 1)
    assert list(table["scan"]) == ["sub-good", "sub-x_ses-1", "sub-x_ses-2"]
    assert set(table["status"]) == {"ok"}


@pytest.mark.parametrize("place", ["sub-x", "sub-x/ses-1", "sub-x/ses-1/anat"])
def test_a_folder_that_cannot_be_read_is_a_row(tmp_path, monkeypatch, place):
    options = touch(tmp_path, GOOD, "sub-x/ses-1/anat/sub-x_ses-1_T1w.nii.gz")
    real = os.scandir

    def scandir(path):  # the administrator, who may run this, can read anything
        if str(path) == str(tmp_path / place):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(_layout.os, "scandir", scandir)
    table = bids_dataset.index(options, 1).set_index("scan")
    assert table.loc["sub-good", "status"] == "ok"
    assert "cannot be read (Permission denied)" in one(table)["reason"]
    assert one(table)["participant"] == "sub-x"


def test_bidsignore_leaves_out_and_says_so(tmp_path):
    options = touch(
        tmp_path,
        GOOD,
        "sub-pilot/anat/sub-pilot_T1w.nii.gz",
        "sub-x/anat/sub-x_acq-bad_T1w.nii.gz",
        "sub-x/anat/sub-x_acq-fine_T1w.nii.gz",
    )
    (tmp_path / ".bidsignore").write_text("# none\n\nsub-pilot/\n*_acq-*_T1w*\n!*fine*\nextra/\n")
    table = bids_dataset.index(options, 1).set_index("scan")
    lost = table[table["status"] == "excluded"]
    assert list(lost.index) == ["sub-pilot", "sub-x_acq-bad"]
    assert (lost["reason"] == ".bidsignore leaves it out").all()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_bidsignore_that_is_no_file_leaves_nothing_out(tmp_path, make):
    options = touch(tmp_path, GOOD)
    make(tmp_path / ".bidsignore")
    assert list(bids_dataset.index(options, 1)["status"]) == ["ok"]


def test_a_participant_on_a_server_that_does_not_answer_is_a_row(tmp_path, monkeypatch):
    options = touch(tmp_path, GOOD, "sub-x/anat/sub-x_T1w.nii.gz")
    real_stat, real_scandir = os.stat, os.scandir

    def lost(real):
        def asked(path, *args, **kwargs):
            if str(path).startswith(str(tmp_path / "sub-x")):
                raise OSError(116, "Stale file handle", str(path))
            return real(path, *args, **kwargs)

        return asked

    monkeypatch.setattr(os, "stat", lost(real_stat))
    monkeypatch.setattr(os, "scandir", lost(real_scandir))
    table = bids_dataset.index(options, 1).set_index("scan")
    assert table.loc["sub-good", "status"] == "ok"
    assert "cannot be read (Stale file handle)" in table.loc["sub-x", "reason"]


# companions ---------------------------------------------------------------------------------


def test_companions_follow_their_folder_as_scans_do(tmp_path):
    table = index(
        tmp_path,
        *(f"sub-x/ses-{s}/anat/sub-x_{kind}.nii.gz" for s in (1, 2) for kind in ("T1w", "T2w")),
        carry=["T2w"],
    )
    found = [manifest.companions(row)[0] for row in table.to_dict("records")]
    assert [c["name"] for c in found] == ["sub-x_ses-1_T2w", "sub-x_ses-2_T2w"]
    outputs = {carry.paths("d", c["name"]) for c in found}
    assert len({path for pair in outputs for path in pair}) == 4


def test_the_first_usable_t1w_leads_and_no_companion_vanishes(tmp_path):
    table = index(
        tmp_path,
        "sub-x/anat/sub-x_acq-a_desc-p_T1w.nii.gz",
        "sub-x/anat/sub-x_run-1_T1w.nii.gz",
        "sub-x/anat/sub-x_T2w.nii.gz",
        "sub-x/anat/sub-y_T2w.nii.gz",
        "sub-x/anat/sub-x_T2w.mgz",
        "sub-z/anat/sub-y_T1w.nii.gz",
        "sub-z/anat/sub-z_T2w.nii.gz",
        carry=["T2w"],
    )
    lead = manifest.companions(table.loc["sub-x_run-1"])
    assert [c["name"] for c in lead if c["path"]] == ["sub-x_T2w"]
    reasons = [c["reason"] for c in lead if not c["path"]]
    assert len(reasons) == 2
    assert "not a NIfTI" in reasons[0]
    assert "foreign file: its name says sub-y" in reasons[1]
    assert len({c["name"] for c in lead}) == 3
    rows = table[table["participant"] == "sub-z"]
    assert "not de-identified: sub-z_T2w" in rows["reason"].iloc[0]
    assert all(manifest.companions(row) == [] for row in rows.to_dict("records"))


# the plan -----------------------------------------------------------------------------------


def config(root, **changes):
    return {
        "seed": 1,
        "batch_size": 50,
        "splits": {"train": 1, "validation": 0, "test": 1},
        "datasets": {"mine": {"type": "bids", "path": str(root)}},
        "defacers": {},
        "refacers": {},
        "segmenters": {},
        **changes,
    }


def test_who_has_no_scan_makes_no_job_and_takes_no_place(tmp_path):
    for number in range(4):
        touch(tmp_path, f"sub-{number}/anat/sub-{number}_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\n" + "".join(f"sub-{n}\t{n % 80}\n" for n in range(20_000))
    )
    table = plan.scans(config(tmp_path), "mine")
    assert len(table) == 20_000
    usable = table[table["status"] == "ok"]
    assert usable["split"].value_counts().to_dict() == {"train": 2, "test": 2}
    assert set(table.loc[table["status"] != "ok", "batch"]) == {plan.LEFT_OUT}
    lists = plan.Lists(tmp_path / "plan", table)
    lists.write()
    batches = lists.names
    assert batches == [plan.LEFT_OUT, "test-measured-000", "train-measured-000"]
    assert [b for b in batches if not plan.is_opened(b, attacked=True)] == [plan.LEFT_OUT]
    assert len(manifest.read(tmp_path / "plan" / f"{plan.LEFT_OUT}.tsv")) == 20_000 - 4


def test_a_folder_without_any_usable_scan_says_what_is_wrong(tmp_path):
    touch(tmp_path, *(f"sub-{n}/anat/sub-{n}_T1w.mgz" for n in range(3)))
    with pytest.raises(configuration.ConfigError, match=r"none of its 3 .*not a NIfTI file"):
        plan.scans(config(tmp_path), "mine")


def test_two_rows_of_one_id_stop_before_anything_runs(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "import pandas as pd\nfrom refacebench.contracts import Dataset\n"
        "def index(options, seed):\n"
        "    row = dict(participant='sub-1', session='', scan='sub-1', path='x', site='',\n"
        "               age=1.0, sex='', status='ok', reason='')\n"
        "    return pd.DataFrame([row, row])\n"
        "METHOD = Dataset(version='1', index=index)\n"
    )
    entry = {"type": "own", "file": str(own)}
    with pytest.raises(configuration.ConfigError, match="two scans have the same id 'sub-1'"):
        plan.scans(config(tmp_path, datasets={"mine": entry}), "mine")


def test_the_shared_folder_of_odd_layouts(tmp_path, shared):
    made = subprocess.run(
        [sys.executable, str(shared("zoo/cases/40_layout/make.py")), str(tmp_path / "b")],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"the case cannot be made here: {made.stderr[-200:]}")
    table = plan.scans(config(tmp_path / "b"), "mine").set_index("scan")
    ok = set(table.index[table["status"] == "ok"])
    assert ok == {
        *("sub-0001-A", "sub-0001-B", "sub-annexpointer", "sub-lfspointer", "sub-mac"),
        *("sub-dates_ses-2020-01-01", "sub-dates_ses-2021-06-30", "sub-mixed_ses-01"),
        *("sub-noses_ses-1", "sub-noses_ses-2", "sub-readonly"),
        *(f"sub-many_ses-a_{e}" for e in ("run-1", "run-02", "acq-mprage_rec-norm")),
        "sub-many_ses-a_ce-gadolinium",
    }
    lost = table[table["status"] == "excluded"]
    assert set(lost["participant"]) == {
        f"sub-{name}"
        for name in (
            *("annexlink", "capital", "deadlink", "deriv", "flat", "mgz", "mixed", "noname"),
            *("pair", "pilot", "submodule", "twin", "uniOnly"),
        )
    }
    assert (lost["reason"] != "").all()
    assert len(lost) == 13
