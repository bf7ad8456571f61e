"""``refacebench link``: BIDS folders of links, read again by the project's own BIDS reader."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml

from refacebench import __main__ as program
from refacebench.run import methods

SHEET = "IXI_ID;SEX_ID (1=m, 2=f);AGE\n2;2;35.8\n12;1;\n16;2;55.5\n"
IMAGES = ("002-Guys-0828", "012-HH-1211")


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)), path)


def config(folder, **entry):
    path = folder / "mine.yaml"
    asked = {
        "datasets": {"mine": entry},
        "defacers": {"quickshear": {}},
        "results": str(folder / "r"),
    }
    path.write_text(yaml.safe_dump(asked))
    return path


@pytest.fixture
def ixi(tmp_path):
    data = tmp_path / "IXI"
    for name in IMAGES:
        image(data / f"IXI{name}-T1.nii.gz")
    (data / "IXI.csv").write_text(SHEET)
    return config(tmp_path, type="ixi", path=str(data))


def told(capsys, *arguments):
    code = program.main(["link", *map(str, arguments)])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def test_a_folder_that_the_user_has_is_linked_and_left_as_it_was(ixi, tmp_path, capsys):
    before = sorted(p.relative_to(tmp_path / "IXI") for p in (tmp_path / "IXI").rglob("*"))
    code, out, _ = told(capsys, ixi, "--to", tmp_path / "bids")
    assert "2 images of 2 participants are linked" in out
    assert "Note: sub-IXI012: age is not known" in out
    assert "sex is not known" not in out
    assert "Left out: sub-IXI016: in IXI's spreadsheet but has no T1 image" in out
    assert code == 1
    assert before == sorted(p.relative_to(tmp_path / "IXI") for p in (tmp_path / "IXI").rglob("*"))
    link = tmp_path / "bids/sub-IXI002/anat/sub-IXI002_T1w.nii.gz"
    assert not os.readlink(link).startswith("/")
    assert link.resolve() == (tmp_path / "IXI/IXI002-Guys-0828-T1.nii.gz").resolve()
    entry = {"type": "bids", "path": str(tmp_path / "bids")}
    chosen = methods.choose("datasets", "again", entry)
    again = chosen.method.index(chosen.options, 0)
    assert again["scan"].tolist() == ["sub-IXI002", "sub-IXI012"]
    assert again["age"].tolist()[0] == 35.8
    assert again["age"].isna().tolist() == [False, True]
    assert again["sex"].str[:1].str.lower().tolist() == ["f", "m"]


def test_a_second_time_changes_nothing_and_follows_an_image_that_was_moved(ixi, tmp_path, capsys):
    told(capsys, ixi, "--to", tmp_path / "bids")
    (tmp_path / "IXI/T1").mkdir()
    name = "IXI012-HH-1211-T1.nii.gz"
    (tmp_path / "IXI" / name).rename(tmp_path / "IXI/T1" / name)
    told(capsys, ixi, "--to", tmp_path / "bids")
    for number in ("002", "012"):
        assert (tmp_path / f"bids/sub-IXI{number}/anat/sub-IXI{number}_T1w.nii.gz").is_file()


def test_ages_of_sessions_and_other_contrasts_come_along(tmp_path, capsys):
    for session in ("1", "2"):
        stem = tmp_path / f"raw/sub-a/ses-{session}/anat/sub-a_ses-{session}"
        for contrast in ("T1w", "FLAIR"):
            image(stem.with_name(f"{stem.name}_{contrast}.nii.gz"))
    (tmp_path / "raw/sub-a/sub-a_sessions.tsv").write_text(
        "session_id\tage\nses-1\t60\nses-2\t62\n"
    )
    mine = config(tmp_path, type="bids", path=str(tmp_path / "raw"), carry=["FLAIR"])
    assert told(capsys, mine, "--to", tmp_path / "bids")[0] == 0
    sessions = pd.read_csv(tmp_path / "bids/sub-a/sub-a_sessions.tsv", sep="\t")
    assert sessions.to_dict("list") == {"session_id": ["ses-1", "ses-2"], "age": [60, 62]}
    assert (tmp_path / "bids/sub-a/ses-2/anat/sub-a_ses-2_FLAIR.nii.gz").resolve() == (
        tmp_path / "raw/sub-a/ses-2/anat/sub-a_ses-2_FLAIR.nii.gz"
    )


def test_who_is_excluded_now_is_not_linked_any_more(ixi, tmp_path, capsys):
    told(capsys, ixi, "--to", tmp_path / "bids")
    assert (tmp_path / "bids/sub-IXI012").exists()
    asked = yaml.safe_load(ixi.read_text())
    reasons = tmp_path / "exclude.tsv"
    reasons.write_text("participant_id\treason\nsub-IXI012\twithdrew\n")
    asked["datasets"]["mine"]["exclude"] = str(reasons)
    ixi.write_text(yaml.safe_dump(asked))
    code, out, _ = told(capsys, ixi, "--to", tmp_path / "bids")
    assert "sub-IXI012" in out
    assert not (tmp_path / "bids/sub-IXI012").exists()
    assert "sub-IXI012" not in (tmp_path / "bids/participants.tsv").read_text()
    assert (tmp_path / "bids/sub-IXI002/anat/sub-IXI002_T1w.nii.gz").is_file()


@pytest.mark.parametrize("place", ["sub-IXI002/anat/sub-IXI002_T1w.nii.gz", "participants.tsv"])
def test_a_folder_that_holds_anything_else_is_never_touched(ixi, tmp_path, capsys, place):
    own = tmp_path / "bids" / place
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    code, _, err = told(capsys, ixi, "--to", tmp_path / "bids")
    assert code == 2
    assert "not empty and no folder of links; name a new folder" in err
    assert [p.read_bytes() for p in (tmp_path / "bids").rglob("*") if p.is_file()] == [b"mine"]


def test_an_image_among_the_links_is_never_touched(ixi, tmp_path, capsys):
    told(capsys, ixi, "--to", tmp_path / "bids")
    own = tmp_path / "bids/sub-IXI002/anat/sub-IXI002_T1w.nii.gz"
    own.unlink()
    image(own)
    before = own.read_bytes()
    code, _, err = told(capsys, ixi, "--to", tmp_path / "bids")
    assert code == 2
    assert "no link" in err
    assert own.read_bytes() == before


def test_the_folder_of_the_data_is_refused_and_so_is_a_file(ixi, tmp_path, capsys):
    before = sorted((tmp_path / "IXI").rglob("*"))
    (tmp_path / "way").symlink_to(tmp_path / "IXI")
    for to in ("IXI", "way"):
        code, _, err = told(capsys, ixi, "--to", tmp_path / to)
        assert code == 2
        assert "is the folder of the data; name another one" in err
    assert sorted((tmp_path / "IXI").rglob("*")) == before
    (tmp_path / "file").write_text("x")
    for to in ("file", "file/below"):
        code, _, err = told(capsys, ixi, "--to", tmp_path / to)
        assert code == 2
        assert "name a" in err
        assert "Errno" not in err


def test_a_cohort_that_the_run_makes_has_nothing_to_link(tmp_path, capsys):
    mine = config(tmp_path, type="demo", participants=12)
    code, _, err = told(capsys, mine, "--to", tmp_path / "bids")
    assert code == 2
    assert "made by the run" in err
    assert not Path(tmp_path / "bids").exists()
