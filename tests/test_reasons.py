"""Reasons are fit to be shared: no folder, home, header text; the rest of the words stay."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from refacebench import bids, contracts, manifest, reasons
from refacebench.run import batch
from refacebench.run.stage import Stage

HOME = os.path.expanduser("~")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no file /home/jane/my.h5", "no file my.h5"),
        (
            "[Errno 2] No such file or directory: '/mnt/Doe, Jane 1980/x y.nii'",
            "[Errno 2] No such file or directory: 'x y.nii'",
        ),
        ("Permission denied: '/mnt/Doe, Jane 1980'", "Permission denied: '[folder]'"),
        ("in \"/x/O'Brien/k.nii\" is 'it'", "in \"k.nii\" is 'it'"),
        ("/mnt/Jane Doe/a b/sub-1/anat/sub-1_T1w.nii: 4-D", "sub-1/anat/sub-1_T1w.nii: 4-D"),
        ("../../Jane/w.pt and ~/w.pt and ~jane/w.pt", "w.pt and w.pt and w.pt"),
        ("file:///home/jane/w.pt, apptainer:/home/jane/i.sif", "w.pt, apptainer:i.sif"),
        (f"nothing in {HOME}/ but {HOME}", "nothing in [folder] but [folder]"),
        ("at /home/jane, /Users/jane", "at [folder], [folder]"),
        # What gives nothing away stays.
        ("get it at https://example.org/a/b.html (licence: BSD)",) * 2,
        ("3/4 of 2 mm/s, n/a and/or 12/31",) * 2,
        ("results/derivatives/d/a/sub-1/anat/x.nii.gz: another grid",) * 2,
        ("its own words are in logs/deface/mine/a/test-measured-000.log",) * 2,
        ("no program /opt/fsl/bin/flirt", "no program flirt"),
    ],
)  # fmt: skip
def test_folders_are_taken_out_and_words_are_kept(said, kept):
    assert reasons.clean(said) == kept
    assert reasons.clean(kept) == kept


def test_a_rows_folders_are_known_however_they_are_written(tmp_path, monkeypatch):
    data = tmp_path / "Doe: Jane's (1980)"
    scan = data / "sub-1" / "anat" / "sub-1_T1w.nii.gz"
    monkeypatch.chdir(tmp_path)
    row = {"path": str(scan.relative_to(tmp_path)), "original_path": str(scan)}
    for said in (
        f"{scan}: no head",
        f"{row['path']}: no head",
        f"no head in {scan.parent}",
        f"nothing at {data}, look in {data}/participants.tsv",
    ):
        kept = reasons.clean(said, row)
        assert not any(word in kept for word in ("Doe", "Jane", "1980", str(tmp_path))), kept
        assert "no" in kept
    assert "participants.tsv" in kept


def test_texts_of_the_scans_header_are_taken_out(tmp_path):
    path = tmp_path / "sub-1_T1w.nii"
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
    image.header["descrip"] = b"Doe^Jane 1980-02-29"
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"Mother: Miller"))
    nib.save(image, path)
    kept = reasons.clean(
        "scan of JANE 1980-02-29 (mother: miller) has no head", {"path": path.as_posix()}
    )
    assert kept == "scan of [text of the header] ([text of the header]) has no head"


def test_a_failed_scans_row_and_the_next_stages_are_clean(tmp_path):
    """Whatever way a stage fails: excluded, failed, unreadable input, in a process or not."""
    home = tmp_path / "Doe, Jane"
    scans = []
    for name in ("bad", "out", "gone"):
        path = home / f"sub-{name}" / f"sub-{name}_T1w.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        scans.append({"scan": f"sub-{name}", "path": str(path), "status": "ok", "reason": ""})
    Path(scans[2]["path"]).unlink()

    def work(row):
        kind = contracts.ScanExcluded if "out" in row["scan"] else OSError
        raise kind("x" * 280 + f" cannot use {row['path']}")

    stage = Stage("s", reads=("scan", "path"))
    for isolate in (True, False):
        out = tmp_path / f"{isolate}.tsv"
        batch.run_batch(
            stage, pd.DataFrame(scans), work, out, method="m", version="1", isolate=isolate
        )
        table = manifest.read(out)
        assert table["status"].tolist() == ["failed", "excluded", "failed"]
        assert "Doe" not in out.read_text().replace(str(home), "")
        assert not table["reason"].str.contains("Doe|Jane").any()
        assert table["reason"].str.contains("sub-|xxx").all()


def test_sidecars_name_sources_and_options_without_folders(tmp_path):
    original = tmp_path / "Doe/bids/sub-1/anat/sub-1_T1w.nii"
    original.parent.mkdir(parents=True)
    original.write_bytes(b"x")
    image = tmp_path / "results/derivatives/mine/a/sub-1/anat/sub-1_desc-defaced_T1w.nii.gz"
    bids.write_sidecar(
        image,
        [original],
        method="a",
        version="1",
        parameters={"weights": original.with_name("w of Doe.h5"), "command": [f"--in={original}"]},
        key="",
    )
    text = image.with_name("sub-1_desc-defaced_T1w.json").read_text()
    assert str(tmp_path) not in text
    assert '"bids:raw:sub-1/anat/sub-1_T1w.nii"' in text
