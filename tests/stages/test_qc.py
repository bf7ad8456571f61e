"""Pictures for quality control: the same places in every variant, resumed, failures are rows."""

import base64
import gzip
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from phantoms import ORIENTATIONS, oriented, phantom
from refacebench import manifest, pseudonyms
from refacebench.head import matrices
from refacebench.image import nifti
from refacebench.plot import before_after
from refacebench.stages import qc


@pytest.fixture(scope="module")
def head():
    return phantom()


def pictured(volume, brain, window=(0.0, 200.0)):
    turned = nifti.reorient(volume.with_data(brain.astype(np.uint8)), "RAS")
    return before_after.slices(volume, before_after.cuts(turned), window)


def test_the_cuts_lie_where_they_say(head):
    volume, brain, _ = head
    where = before_after.cuts(volume.with_data(brain))
    at = [volume.affine[c.axis, c.axis] * c.place + volume.affine[c.axis, 3] for c in where]
    assert [c.axis for c in where] == [0, 2, 1, 0, 2, 1]
    # The phantom's brain: middle at x -5, front at y 77, middle at y -3, in mm.
    assert at[0] == pytest.approx(-5, abs=3)
    assert at[3] == pytest.approx(-37, abs=3)
    assert at[2] == pytest.approx(77 - 12, abs=4)
    assert at[5] == pytest.approx(-3 - 12, abs=4)
    assert at[1] - at[4] == pytest.approx(25, abs=3)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_picture_is_the_same_in_any_orientation(head, codes):
    volume, brain, _ = head
    turned = oriented(volume, codes)
    mask = oriented(volume.with_data(brain.astype(np.uint8)), codes).data
    assert np.array_equal(pictured(turned, mask), pictured(volume, brain))


def test_left_is_left_and_up_is_up(head):
    volume, brain, _ = head
    marked = volume.data * 0
    where = before_after.cuts(volume.with_data(brain))
    axial = where[1].place
    marked[2:6, -10:-5, axial] = 200  # far left, far front
    picture = pictured(volume.with_data(marked), brain)
    rows, columns = np.nonzero(picture > 100)
    height, width = (n // k for n, k in zip(picture.shape, (2, 3), strict=True))
    assert rows.max() < height / 2, "the front is on top of the axial slice"
    assert width < columns.min(), "the axial slice is the second one"
    assert columns.max() < 1.5 * width, "left is on the left"


def test_flipping_moves_nothing_but_the_change(head):
    volume, brain, _ = head
    defaced = volume.data.copy()
    defaced[:, -20:, :10] = 0
    before, after = pictured(volume, brain), pictured(volume.with_data(defaced), brain)
    changed = before != after
    assert changed.any()
    assert changed.mean() < 0.2
    assert before.shape == after.shape


def test_the_outline_runs_around_the_brain(head):
    volume, brain, _ = head
    mask = volume.with_data(brain)
    where = before_after.cuts(mask)
    edge = before_after.outlines(mask, where) > 0
    inside = before_after.slices(mask, where, (0.0, 1.0)) > 127
    assert 0 < edge.sum() < 0.2 * inside.sum()
    assert (inside[edge]).mean() > 0.9


@pytest.fixture
def batch(head, tmp_path, monkeypatch):
    """Two scans of an original, a variant of each, one of them lost."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(qc, "LOOK", {**qc.LOOK, "pixels": 48, "voxel_mm": 5.0})  # quicker
    volume, brain, _ = head
    defaced = volume.data.copy()
    defaced[:, -20:, :10] = 0
    rows = []
    for scan in ("sub-1", "sub-2"):
        paths = {n: f"{scan}_{n}.nii.gz" for n in ("original", "defaced", "brain")}
        nifti.write(volume, paths["original"])
        nifti.write(volume.with_data(defaced), paths["defaced"])
        nifti.write(volume.with_data(brain), paths["brain"])
        matrices.write_matrix(np.eye(4), f"{scan}.json")
        row = dict.fromkeys(manifest.COLUMNS, "")
        rows.append(row | {
            "scan": scan, "participant": scan, "status": "ok", "path": paths["defaced"],
            "original_path": paths["original"], "brain_path": paths["brain"],
            "template_path": f"{scan}.json",
        })  # fmt: skip
    rows[1] |= {"status": "failed", "stage": "deface", "reason": "no result after 9 s"}
    return pd.DataFrame(rows)


def made(rows, variant="a", **options):
    out = f"results/qc/d/{variant}/test-measured-000.tsv"
    return qc.run_batch(rows, out, f"results/qc/d/{variant}/pictures", variant=variant, **options)


def test_a_scan_gets_its_pictures_and_a_lost_one_stays_a_row_with_its_reason(batch):
    found = made(batch)
    good, lost = found.to_dict("records")
    assert (lost["status"], lost["reason"]) == ("failed", "no result after 9 s")
    with Image.open(good["slices_path"]) as slices, Image.open(good["faces_path"]) as face:
        assert slices.mode == face.mode == "L"
        assert face.size == (3 * qc.LOOK["pixels"], qc.LOOK["pixels"])
        assert np.ptp(np.asarray(face)) > 50, "there is a head"
    assert good["outline_path"] == ""
    whole = batch.assign(path=batch["original_path"], status="ok")
    first = made(whole, "original").iloc[0]
    with Image.open(first["outline_path"]) as outline, Image.open(good["slices_path"]) as slices:
        assert outline.size == slices.size, "it is laid over them"
    assert first["image"] != good["image"], "another image, another rating"


def test_the_viewers_copy_is_the_image_made_small_and_holds_no_words(batch, head):
    good = made(batch).iloc[0]
    text = Path(good["viewer_path"]).read_text()
    coded = re.fullmatch(r'QC\.volume\("([A-Za-z0-9+/=]+)"\);\n', text)[1]
    raw = gzip.decompress(base64.b64decode(coded))
    image = nib.Nifti1Image.from_bytes(raw)
    assert image.get_data_dtype() == np.uint8
    assert image.header.get_zooms() == pytest.approx((4, 4, 5)), "never finer than the scan"
    assert np.allclose(image.affine, head[0].affine)
    assert raw[148:228] == bytes(80)
    assert not list(Path("results").rglob("*.nii.gz")), "no second copy is left"


def test_no_viewer_where_none_is_wanted(batch):
    good = made(batch, viewer_mm=0).iloc[0]
    assert good["viewer_path"] == ""
    assert not list(Path("results").rglob("*.js"))


def test_what_is_done_is_not_done_again_and_what_is_gone_is(batch):
    good = made(batch).iloc[0]
    path = Path(good["slices_path"])
    stamp = path.stat().st_mtime_ns
    assert made(batch).iloc[0]["key"] == good["key"]
    assert path.stat().st_mtime_ns == stamp
    content = path.read_bytes()
    path.unlink()
    made(batch)
    assert path.read_bytes() == content


def test_a_scan_whose_images_do_not_fit_is_a_row_with_a_reason(batch):
    small = nifti.Volume(np.ones((9, 9, 9), np.float32), np.diag([7.0, 7.0, 7.0, 1.0]))
    nifti.write(small, batch["path"][0])
    row = made(batch).iloc[0]
    assert row["status"] == "failed"
    assert "on the same grid" in row["reason"]


def test_without_a_surface_there_is_no_face_and_the_slices_are_shown_all_the_same(batch):
    volume = nifti.read(batch["path"][0])
    nifti.write(volume.with_data(np.full(volume.shape, 7.0, np.float32)), batch["path"][0])
    row = made(batch).iloc[0]
    assert (row["status"], row["faces_path"]) == ("ok", "")
    assert Path(row["slices_path"]).is_file()


def test_files_are_named_by_pseudonyms_where_they_are_wanted(batch, monkeypatch):
    first = made(batch).iloc[0]
    named = pseudonyms.Pseudonyms(b"key", [])
    monkeypatch.setattr(pseudonyms, "active", lambda: named)
    again = made(batch).iloc[0]
    assert again["key"] != first["key"]
    assert "sub-1" not in again["slices_path"]
    assert Path(again["slices_path"]).name.startswith("p-")
