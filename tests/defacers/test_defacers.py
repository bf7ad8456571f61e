"""Defacers, the template's geometry, and the one place where defaced images are written."""

import importlib.util
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phantoms import ORIENTATIONS, TYPES, make_scan, oriented, phantom, run
from refacebench.contracts import Defaced, Defacer, Option, PreparedScan, ScanExcluded
from refacebench.defacers import mask_face, mri_reface, null, pydeface, quickshear, skull_strip
from refacebench.head import average, face_parts, matrices, registration, space, template
from refacebench.image import geometry, linear, morphology, nifti
from refacebench.image.nifti import Volume
from refacebench.stages import prepare
from refacebench.stages.deface import prepared, stored_difference

needs_template = pytest.mark.skipif(
    importlib.util.find_spec("pydeface") is None, reason="pydeface is not installed"
)


def _everything(scan, options):
    return Defaced(np.full(scan.volume.shape, 1.0), np.ones(scan.volume.shape, bool))


#: A native method that wants to change every voxel.
EVERYTHING = Defacer(
    version="1",
    options={"protect_margin_mm": Option(0.0, "Left alone around the brain.", unit="mm")},
    run=_everything,
)
#: The same as an official program: nothing protects the brain.
RECKLESS = replace(EVERYTHING, engine="official")


NATIVE_OPTIONS = {pydeface: {"engine": "native"}, mri_reface: {"nonlinear": False}}
NATIVES = [null, skull_strip, EVERYTHING] + (
    [] if importlib.util.find_spec("pydeface") is None else [pydeface, mask_face, mri_reface]
)


def _name(method):
    return "everything" if isinstance(method, Defacer) else method.__name__.rpartition(".")[2]


@pytest.mark.parametrize("module", NATIVES, ids=_name)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    codes=st.sampled_from(ORIENTATIONS),
    kind=st.sampled_from(sorted(TYPES)),
    center=st.tuples(*[st.floats(0.2, 0.8)] * 3),
    radius=st.floats(0.1, 0.45),
)
def test_natives_keep_any_brain_bit_for_bit(tmp_path, module, codes, kind, center, radius):
    volume = phantom()[0]
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in volume.shape), indexing="ij")
    brain = sum((a - c) ** 2 for a, c in zip(axes, center, strict=True)) < radius**2
    scan = make_scan(tmp_path, codes, kind, brain)
    options = NATIVE_OPTIONS.get(module, {})
    facts, image, mask = run(scan, module, tmp_path, **options)
    before, after = nib.load(scan.path), nib.load(image)
    raw, new = before.dataobj.get_unscaled(), after.dataobj.get_unscaled()
    assert new.dtype == raw.dtype
    assert np.array_equal(raw[scan.brain], new[scan.brain], equal_nan=True)
    assert facts["brain_changed"] == facts["brain_removed"] == 0
    differs = (raw != new) & ~(np.isnan(raw) & np.isnan(new))
    assert not (differs & ~mask).any()
    assert not mask[scan.brain].any()
    assert facts["changed_voxels"] == differs.sum()
    assert np.array_equal(before.affine, after.affine)


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_file_keeps_type_scaling_and_codes_and_loses_free_text(tmp_path, kind):
    scan = make_scan(tmp_path, "LIA", kind)
    _, path, _ = run(scan, null, tmp_path)
    old, new = nib.load(scan.path), nib.load(path)
    assert new.get_data_dtype() == old.get_data_dtype()
    assert (new.dataobj.slope, new.dataobj.inter) == (old.dataobj.slope, old.dataobj.inter)
    for field in ("pixdim", "sform_code", "qform_code", "xyzt_units", "dim"):
        assert np.array_equal(new.header[field], old.header[field])
    for field in nifti.FREE_TEXT_FIELDS:
        assert new.header[field].item() == b""
    assert len(new.header.extensions) == 0
    text = b"".join(p.read_bytes() for p in [scan.path])
    assert b"Jane" in text
    assert b"Jane" not in nib.openers.Opener(str(path), "rb").read()


def test_official_output_is_taken_as_it_is_and_its_damage_counted(tmp_path):
    scan = make_scan(tmp_path)
    facts, _, mask = run(scan, RECKLESS, tmp_path)
    assert facts["engine"] == "official"
    assert facts["brain_changed"] == facts["brain_removed"] == scan.brain.sum()
    assert mask[scan.brain].all()


def test_rounding_by_an_official_program_is_told_apart_from_changes(tmp_path):
    scan = make_scan(tmp_path)

    def deface(scan, options):
        return Defaced(scan.volume.data + 0.1, np.ones(scan.volume.shape, bool))

    facts, _, _ = run(scan, replace(RECKLESS, run=deface), tmp_path)  # the stored unit is 0.5
    assert facts["changed_voxels"] == facts["brain_changed"] == 0
    assert facts["brain_rounded"] == scan.brain.sum()


def test_the_mask_does_not_draw_the_face_that_was_there(tmp_path):
    """Where air is stored as zero, zeroing changes nothing: the mask must not show that."""
    volume, brain, _ = phantom()
    scan = make_scan(tmp_path, kind="uint8")
    stored = np.where(scan.head, scan.volume.data, 0).astype(np.uint8)
    nifti.write(scan.volume.with_data(stored), scan.path)
    scan = replace(scan, volume=nifti.read(scan.path))
    front = np.zeros(volume.shape, bool)
    front[:, volume.shape[1] // 2 :] = True

    def deface(scan, options):
        return Defaced(np.zeros(scan.volume.shape), front)

    facts, _, mask = run(scan, replace(EVERYTHING, run=deface), tmp_path)
    assert np.array_equal(mask, front & ~scan.brain)
    assert (scan.volume.data[mask] == 0).any()
    assert facts["changed_voxels"] < mask.sum()


def test_protect_margin_is_in_millimetres(tmp_path):
    brain = np.zeros(phantom()[0].shape, bool)
    brain[20, 30, 25] = True  # voxels of 4 x 4 x 5 mm
    scan = make_scan(tmp_path, brain=brain)
    facts, _, mask = run(scan, EVERYTHING, tmp_path, protect_margin_mm=4.0)
    kept = np.argwhere(~mask)
    # Itself and the neighbours at 4 mm, not those at 5 mm.
    assert sorted(map(tuple, kept - [20, 30, 25])) == [
        (-1, 0, 0),
        (0, -1, 0),
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 0),
    ]
    assert facts["brain_changed"] == 0


def test_a_file_that_differs_in_the_brain_is_refused_and_deleted(tmp_path, monkeypatch):
    scan = make_scan(tmp_path)
    honest = nifti.write_changed

    def careless(source, values, changed, path, **more):
        return honest(source, values, changed | scan.brain, path, **more)

    monkeypatch.setattr(nifti, "write_changed", careless)
    with pytest.raises(RuntimeError, match="the brain"):
        run(scan, EVERYTHING, tmp_path)
    assert not (tmp_path / "out_T1w.nii.gz").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, bad):
    def deface(scan, options):
        return Defaced(np.full(scan.volume.shape, bad), np.ones(scan.volume.shape, bool))

    with pytest.raises(ValueError, match="not finite"):
        run(make_scan(tmp_path), replace(EVERYTHING, run=deface), tmp_path)


def test_a_result_on_another_grid_is_refused(tmp_path):
    def deface(scan, options):
        return Defaced(np.zeros((2, 2, 2)), np.ones((2, 2, 2), bool))

    with pytest.raises(ValueError, match="shape"):
        run(make_scan(tmp_path), replace(EVERYTHING, run=deface), tmp_path)


def test_stored_difference_compares_bits(tmp_path):
    a = np.array([[[0.0, 1.0, np.nan, 4.0]]], np.float32)
    b = np.array([[[-0.0, 1.0, np.nan, 5.0]]], np.float32)
    for name, data in (("a", a), ("b", b)):
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / f"{name}.nii")
    found = stored_difference(tmp_path / "a.nii", tmp_path / "b.nii")
    assert found.tolist() == [[[True, False, False, True]]]


def test_prepared_reads_what_prepare_wrote(tmp_path):
    scan = make_scan(tmp_path, "ASR")
    matrices.write_matrix(np.diag([2.0, 1, 1, 1]), tmp_path / "m.json")
    nifti.write(scan.volume.with_data(scan.head), tmp_path / "head.nii")
    row = {
        "scan": "sub-1",
        "path": str(scan.path),
        "brain_path": str(scan.brain_path),
        "head_path": str(tmp_path / "head.nii"),
        "template_path": str(tmp_path / "m.json"),
    }
    found = prepared(row, seed=1)
    assert np.array_equal(found.brain, scan.brain)
    assert np.array_equal(found.head, scan.head)
    assert found.to_template[0, 0] == 2.0
    assert found.seed == prepared(row, 1).seed != prepared(row, 2).seed
    nifti.write(Volume(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "head.nii")
    with pytest.raises(ValueError, match="run prepare again"):
        prepared(row)


# ---------------------------------------------------------------- null


@pytest.mark.parametrize("kind", ["int16_slope", "uint8", "float32"])
def test_null_noise_has_its_amplitude_outside_the_brain_alone(tmp_path, kind):
    scan = make_scan(tmp_path, kind=kind)
    result = null.deface(scan, {"amplitude": 0.02, "protect_margin_mm": 0.0})
    expected = 0.02 * np.percentile(scan.volume.data[scan.brain], 99)
    middle = (scan.volume.data > 80) & (scan.volume.data < 100) & ~scan.brain  # not clipped
    noise = (result.values - scan.volume.data)[middle]
    assert noise.std() == pytest.approx(expected, rel=0.1)
    assert abs(noise.mean()) < expected / 10
    assert not result.changed[scan.brain].any()
    assert result.changed[~scan.brain].all()


def test_null_survives_a_coarse_type_and_repeats(tmp_path):
    scan = make_scan(tmp_path, kind="uint8")
    facts, path, mask = run(scan, null, tmp_path, amplitude=1e-6)
    raw = nib.load(path).dataobj.get_unscaled().astype(int)
    steps = raw - nib.load(scan.path).dataobj.get_unscaled()
    assert facts["changed_voxels"] > 0.3 * (~scan.brain).sum()
    assert np.abs(steps).max() <= 6  # one stored unit is the standard deviation
    again = null.deface(scan, {"amplitude": 1e-6})
    assert np.array_equal(again.values, null.deface(scan, {"amplitude": 1e-6}).values)


# ---------------------------------------------------------------- skull stripping


def test_skull_strip_leaves_the_brain_and_nothing_else(tmp_path):
    scan = make_scan(tmp_path, "SPL")
    _, path, _ = run(scan, skull_strip, tmp_path)
    after = nifti.read(path).data
    assert np.array_equal(after[scan.brain], scan.volume.data[scan.brain])
    # The smallest stored number stands for air: int16 can hold zero, with this slope.
    assert np.unique(after[~scan.brain]).size == 1


def test_skull_strip_refuses_an_empty_mask(tmp_path):
    scan = make_scan(tmp_path, brain=np.zeros(phantom()[0].shape, bool))
    with pytest.raises(ValueError, match="empty"):
        skull_strip.deface(scan, {"margin_mm": 0.0})


# ---------------------------------------------------------------- quickshear


def test_quickshear_by_hand():
    """A brain with the lower front edge from (p, s) = (4, 20) to (10, 8); buffer 3.5.

    The release's outline has the mask's outer neighbours too: its lower hull
    starts at (3, 20), left of (4, 20), and goes to (9, 8), left of (10, 8).  All
    voxels below the line s = 20 - 2 (p - 3) - 3.5, rounded down, are removed.
    """
    brain = np.zeros((3, 30, 32), bool)
    for p in range(4, 26):
        brain[1, p, max(20 - 2 * (p - 4), 8) : 24] = True
    below = quickshear.below_plane(brain, 3.5)
    for p in range(30):
        limit = max(0, 22 - 2 * p)
        assert below[:, p, :limit].all(), p
        assert not below[:, p, limit:].any(), p
    assert not (below & brain).any()


def test_quickshear_where_the_release_alone_fails():
    """Superior longer than posterior: the release runs past the array's end.

    Outline from (4, 48) to (15, 37): slope -1, so with buffer 2.5 all below
    49.5 - p goes.
    """
    brain = np.zeros((3, 20, 60), bool)
    for p in range(5, 16):
        brain[1, p, 53 - p : 56] = True
    affine = np.diag([1.0, -1.0, 1.0, 1.0])
    scan = nib.Nifti1Image(np.ones(brain.shape, np.uint8), affine)
    with pytest.raises(IndexError), pytest.warns(DeprecationWarning, match="2-dimensional"):
        quickshear._release().quickshear(scan, nib.Nifti1Image(brain.astype(np.uint8), affine), 2.5)
    below = quickshear.below_plane(brain, 2.5)
    for p in range(20):
        assert below[:, p, : 49 - p].all(), p
        assert not below[:, p, 49 - p :].any(), p
    assert not (below & brain).any()


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_quickshear_is_the_same_in_any_orientation(tmp_path, codes):
    ras, other = make_scan(tmp_path, "RAS"), make_scan(tmp_path, codes)
    expected = quickshear.deface(ras, quickshear.METHOD.defaults).changed
    found = quickshear.deface(other, quickshear.METHOD.defaults).changed
    assert np.array_equal(oriented(other.volume.with_data(found), "RAS").data, expected)
    assert expected.any()
    assert not (expected & ras.brain).any()


def test_quickshear_buffer_in_millimetres(tmp_path):
    scan = make_scan(tmp_path)  # superior voxels of 5 mm
    voxels = quickshear.deface(scan, {"buffer": 2.0, "buffer_mm": None}).changed
    mm = quickshear.deface(scan, {"buffer": 99.0, "buffer_mm": 10.0}).changed
    assert np.array_equal(voxels, mm)


def test_quickshear_refuses_an_empty_brain():
    with pytest.raises(ValueError, match="empty"):
        quickshear.below_plane(np.zeros((3, 5, 5), bool), 1.0)


# ---------------------------------------------------------------- template


def test_matrix_file_round_trip_and_refusal(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(4, 4))
    matrices.write_matrix(matrix, tmp_path / "m.json")
    assert np.array_equal(matrices.read_matrix(tmp_path / "m.json"), matrix)
    (tmp_path / "bad.json").write_text(json.dumps({"matrix": [[1]]}))
    with pytest.raises(ValueError, match="bad.json"):
        matrices.read_matrix(tmp_path / "bad.json")


def test_itk_matrix_by_hand():
    """LPS x' = 2x + 5 about centre 0: in RAS, x' = 2x - 5."""

    class Transform:
        parameters = [2, 0, 0, 0, 1, 0, 0, 0, 1, 5, 0, 0]
        fixed_parameters = [0, 0, 0]

    expected = np.diag([2.0, 1, 1, 1])
    expected[0, 3] = -5
    assert np.allclose(linear.itk_to_ras(Transform), expected)


def test_face_region_is_where_the_phantom_has_its_face():
    volume, _, head = phantom()
    labels = face_parts.face_region(volume, head, np.eye(4))
    assert set(np.unique(labels)) == {0, 1, 2, 3, face_parts.EAR_LABEL}, "no chin in view"
    assert not labels[~head].any()
    tip = np.rint(np.linalg.inv(volume.affine) @ [0, 110, -60, 1]).astype(int)[:3]
    assert labels[tuple(tip)] == face_parts.FACE_LABELS["nose"]
    behind = np.linalg.inv(volume.affine) @ [0, 60, 0, 1]
    assert set(np.unique(labels[:, : int(behind[1])])) == {0, face_parts.EAR_LABEL}
    sides = np.argwhere(labels == face_parts.EAR_LABEL) @ volume.affine[:3, :3].T
    sides += volume.affine[:3, 3]
    assert np.abs(sides[:, 0]).min() >= 60


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_face_region_in_any_orientation(codes):
    volume, _, head = phantom()
    expected = face_parts.face_region(volume, head, np.eye(4))
    turned = oriented(volume, codes)
    found = face_parts.face_region(turned, oriented(volume.with_data(head), codes).data, np.eye(4))
    assert np.array_equal(oriented(turned.with_data(found), "RAS").data, expected)


def test_coarse_keeps_place():
    """A blob's centre of mass stays at the same millimetres."""
    data = np.zeros((24, 24, 24), np.float32)
    data[10:14, 6:10, 16:20] = 1
    volume = Volume(data, np.diag([1.0, 1.0, 1.0, 1.0]))
    small = geometry.coarse(volume, 2.0)
    assert small.shape == (12, 12, 12)
    before = geometry.mask_center(data > 0, volume.affine)
    assert np.allclose(geometry.mask_center(small.data > 0.5, small.affine), before)


@needs_template
def test_registration_finds_a_known_affine(monkeypatch):
    head = geometry.coarse(template.mean_head(), 4.0)
    angle = np.deg2rad(12)
    known = np.eye(4)
    known[1:3, 1:3] = 1.1 * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    known[:3, 3] = [15, -20, 25]
    moved = nifti.reorient(Volume(head.data, np.linalg.inv(known) @ head.affine), "LIA")
    monkeypatch.setattr(registration, "REGISTRATION_VOXEL_MM", 4.0)
    found = registration.register(moved)
    points = np.array([[0, 100, -70, 1], [-60, 0, 0, 1], [60, -60, 60, 1.0]]).T
    error = np.linalg.norm(((found - known) @ np.linalg.inv(known) @ points)[:3], axis=0)
    assert error.max() < 1.5
    assert np.array_equal(found, registration.register(moved))  # repeatable to the last bit


@needs_template
@pytest.mark.slow
def test_registration_refuses_what_is_no_head(monkeypatch):
    monkeypatch.setattr(registration, "REGISTRATION_VOXEL_MM", 4.0)
    noise = np.random.default_rng(0).uniform(0, 100, (40, 40, 40)).astype(np.float32)
    with pytest.raises(ValueError, match="could not be registered"):
        registration.register(Volume(noise, np.diag([5.0, 5, 5, 1])))


@needs_template
def test_face_present_tells_a_whole_face_from_a_cut_one():
    head = geometry.coarse(template.mean_head(), 4.0)
    mask = head.data > 60
    whole = face_parts.face_present(head, mask, np.eye(4))
    cut = mask & (space.template_axis(head, np.eye(4), 1) < 55)
    gone = face_parts.face_present(head, cut, np.eye(4))
    assert min(whole[part] for part in ("nose", "eyes", "mouth")) > 0.7
    assert max(gone.values()) < 0.05


@needs_template
@pytest.mark.parametrize("codes", ["RAS", "LIA"])
def test_face_present_misses_a_chin_that_was_cut_and_nothing_else(codes):
    solid = average.extended_mean_head()[1]
    front, height = (space.template_axis(solid, np.eye(4), axis) for axis in (1, 2))
    whole, chin = solid.data > 0.5, (front > 65) & (height < -112)

    def present(head):
        turned = oriented(solid.with_data(head), codes)
        return face_parts.face_present(turned, turned.data, np.eye(4))

    before, after = present(whole), present(whole & ~chin)
    assert before["chin"] > 0.95
    assert after["chin"] < 0.05
    assert all(after[part] == before[part] > 0.7 for part in ("nose", "eyes", "mouth"))


# ---------------------------------------------------------------- methods with a template


@needs_template
@pytest.mark.parametrize("codes", ["RAS", "LIA", "SPL"])
@pytest.mark.parametrize("module", [pydeface, mask_face, mri_reface], ids=lambda m: m.__name__)
def test_the_nose_goes_and_the_back_of_the_head_stays(tmp_path, module, codes):
    scan = make_scan(tmp_path, codes, "float32")
    options = NATIVE_OPTIONS.get(module, {})
    if module is mri_reface:
        options = {**options, "ears": False}
    _, path, mask = run(scan, module, tmp_path, **options)
    y = space.template_axis(scan.volume, np.eye(4), 1)
    assert not mask[y < 30].any()
    nose = face_parts.face_region(scan.volume, scan.head, np.eye(4)) == 1
    assert mask[nose].mean() > (0.6 if module is mask_face else 0.95)
    if module is pydeface:  # the others put tissue of the same brightness there
        assert nifti.read(path).data[nose].max() < 1.0


@needs_template
def test_pydeface_is_the_mask_times_the_scan(tmp_path):
    scan = make_scan(tmp_path, "LPS", "float32")
    weight = space.warp_to_scan(template.face_mask(), scan.volume, np.eye(4), mode="nearest")
    result = pydeface.deface(scan, {"engine": "native", "protect_margin_mm": 0.0})
    now = np.where(result.changed, result.values, scan.volume.data)
    assert np.allclose(now, scan.volume.data * weight, atol=1e-3 * scan.volume.data.max())
    half = (weight > 0.2) & (weight < 0.8)
    assert half.any()
    assert result.changed[half].all()


def test_pydeface_engine_follows_what_is_installed(monkeypatch):
    monkeypatch.setattr(pydeface, "official_is_available", lambda: False)
    assert pydeface.METHOD.engine_of({"engine": "auto"}) == "native"
    with pytest.raises(ValueError, match="FSLDIR"):
        pydeface.METHOD.engine_of({"engine": "official"})
    monkeypatch.setattr(pydeface, "official_is_available", lambda: True)
    assert pydeface.METHOD.engine_of({"engine": "auto"}) == "official"
    assert pydeface.METHOD.engine_of({"engine": "native"}) == "native"


def test_pydeface_official_runs_the_command(tmp_path, monkeypatch):
    """A stand-in for the command: halves every number; its failure is reported."""
    scan = make_scan(tmp_path, kind="float32")
    program = tmp_path / "bin" / "pydeface"
    program.parent.mkdir()
    program.write_text(
        "#!/usr/bin/env python3\nimport sys, nibabel as nib\ni = nib.load(sys.argv[1])\n"
        "nib.save(nib.Nifti1Image(i.get_fdata(dtype='float32') / 2, i.affine), sys.argv[3])\n"
    )
    program.chmod(0o755)
    for name in ("fsl", "flirt"):
        (program.parent / name).write_text("#!/bin/sh\n")
        (program.parent / name).chmod(0o755)
    folders = [program.parent, Path(sys.executable).parent, os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    assert pydeface.METHOD.engine_of({"engine": "auto"}) == "official"
    facts, out, _ = run(scan, pydeface, tmp_path, engine="official")
    assert np.allclose(nifti.read(out).data, scan.volume.data / 2)
    assert facts["brain_changed"] == scan.brain.sum()
    assert facts["engine"] == "official"
    program.write_text("#!/bin/sh\necho 'no licence for this' >&2\nexit 3\n")
    with pytest.raises(RuntimeError, match="exit 3.*its own words are in"):
        run(scan, pydeface, tmp_path, engine="official")


@needs_template
def test_mask_face_rounds_the_nose_and_keeps_deep_tissue(tmp_path):
    """The phantom's nose is a block of 28 x 38 mm: a box mean leaves its middle, not its edges."""
    scan = make_scan(tmp_path, "RAS", "float32")
    result = mask_face.deface(scan, mask_face.METHOD.defaults)
    depth = morphology.depth_mm(scan.head, scan.volume.spacing)
    assert not result.changed[depth > 35].any()
    tip = ((-10, 10), (106, 116), (-74, -44))
    edges = [((x, x + 4), (108, 116), (z, z + 4)) for x in (-14, 10) for z in (-77, -46)]
    tip, *edges = (space.inside_box(scan.volume, np.eye(4), b) for b in (tip, *edges))
    edges = np.any(edges, axis=0)
    assert edges.any()
    assert scan.volume.data[edges].mean() > 80
    assert result.values[edges].max() < 45  # below half of the tissue: the surface went in
    coated = mask_face.deface(scan, {**mask_face.METHOD.defaults, "filter": "coating"})
    assert np.array_equal(coated.changed, result.changed)
    assert coated.values[tip].max() < 10  # above the reference surface: air
    with pytest.raises(ValueError, match="none of"):
        mask_face.deface(scan, {**mask_face.METHOD.defaults, "filter": "sharpen"})


@needs_template
def test_average_face_is_the_same_for_two_noses(tmp_path):
    """The new face depends on the scan's histogram, not on its nose's shape."""
    scan = make_scan(tmp_path, "RAS", "float32")
    nose = space.inside_box(scan.volume, np.eye(4), ((-14, 14), (97, 118), (-78, -40)))
    data = scan.volume.data.copy()
    data[nose] = 5.0
    short = PreparedScan(
        scan.volume.with_data(data),
        scan.brain,
        scan.head & ~nose,
        scan.to_template,
        scan.path,
        scan.brain_path,
        scan.seed,
    )
    options = {**mri_reface.METHOD.defaults, "nonlinear": False, "noise": False}
    one, two = (mri_reface.deface(s, options).values for s in (scan, short))
    before = np.abs(scan.volume.data - data)[nose].mean()
    assert np.abs(one - two)[nose].mean() < 0.1 * before


# ---------------------------------------------------------------- prepare and registry


def test_brain_of_implausible_size_is_excluded():
    limits = prepare.brain_limits({})["brain_ml"]
    prepare.check_brain_ml(1200.0, limits)
    for size in (300.0, 2600.0):
        with pytest.raises(ScanExcluded, match=f"{size:.1f} ml.*checks: brain_ml"):
            prepare.check_brain_ml(size, limits)
    prepare.check_brain_ml(300.0, prepare.brain_limits({"brain_ml": [200, 2500]})["brain_ml"])


def test_a_scan_without_a_brain_is_excluded(monkeypatch):
    volume, _, head = phantom()

    def no_brain(volume):
        raise ValueError("no brain found in the image")

    monkeypatch.setattr(prepare.masks, "head_mask", lambda v: head)
    monkeypatch.setattr(prepare.extraction, "brain_mask", no_brain)
    monkeypatch.setattr(prepare.turns, "explanation", lambda v: "")
    with pytest.raises(ScanExcluded, match="no brain"):
        prepare.examine(volume)


@needs_template
def test_prepare_writes_all_derivatives(tmp_path, monkeypatch):
    scan = make_scan(tmp_path, "LIA")
    monkeypatch.setattr(prepare.masks, "head_mask", lambda v: scan.head)
    monkeypatch.setattr(prepare.extraction, "brain_mask", lambda v: scan.brain)
    monkeypatch.setattr(prepare.registration, "register", lambda v, h, b: np.eye(4))
    row = {"path": str(scan.path), "scan": "sub-01_ses-2"}
    found = prepare.run(row, tmp_path / "out")
    assert np.array_equal(nifti.read_mask(found["brain_path"]), scan.brain)
    assert found["brain_ml"] == pytest.approx(scan.brain.sum() * 0.08)
    assert nifti.read(found["face_path"], dtype=None).data.dtype == np.uint8
    assert "sub-01/ses-2/anat" in found["template_path"]
    again = prepared({**row, **found})
    assert np.array_equal(again.to_template, np.eye(4))
