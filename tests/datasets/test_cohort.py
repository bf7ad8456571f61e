"""The grown cohorts: deformations, labels, acquisition, names, and the label maps' download."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refacebench import contracts, files, vocabulary
from refacebench.datasets import (
    _anatomy,
    _base,
    _download,
    _fields,
    _freesurfer,
    _paint,
    _people,
    _scanner,
    demo,
    labelmaps,
)
from refacebench.head.labels import is_brain
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import truth
from refacebench.run import configuration, methods, plan
from refacebench.stages import grow
from refacebench.vocabulary import TRUTH

# ---------------------------------------------------------------- a ball for a head


def ball_head() -> _base.BaseHead:
    """A ball: head of 60 mm, CSF from 40 to 34, cortex to 28, white matter, ventricle of 12 mm."""
    spacing, n = 2.0, 72
    line = (np.arange(n) - (n - 1) / 2) * spacing
    r = np.sqrt(sum(a**2 for a in np.meshgrid(line, line, line, indexing="ij")))
    labels = np.zeros(r.shape, np.uint8)
    for radius, label in ((60, 5), (40, 1), (34, 2), (28, 3), (12, 4)):
        labels[r < radius] = label
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = line[0]
    bright = np.array([0, 300, 600, 1000, 300, 500], np.uint16)[labels]
    points = np.array([p.point for p in _people.PUSHES.values()]) * 0.5
    head = _base.build(Volume(bright, affine), labels, np.eye(4), points, 0.0)
    return dataclasses.replace(head, box=np.array([[3.5] * 3, [66.5] * 3]))


@pytest.fixture(scope="module")
def ball() -> _base.BaseHead:
    """The ball with its ageing tables."""
    return _anatomy.with_ageing(ball_head())


OPTIONS = {**contracts.defaults(_people.OPTIONS), "participants": 3, "voxel_mm": 2.0}
STILL = {"rotation_deg": 0.0, "shift_mm": 0.0}
QUIET = {"noise": 0.0, "bias": 0.0}


def nobody(head, **changes) -> _people.Person:
    """The base head itself."""
    person = _people.Person(
        np.ones(3), np.zeros(len(_people.PUSHES)), 0.0, np.zeros(len(head.blends)), 0.0, 0.0
    )
    return dataclasses.replace(person, **changes)


def seen_by(head, displacement, options, proportions=None, seed=0) -> _scanner.ScannerView:
    """Scan a displacement at the first site."""
    site = _people.Site("s")
    proportions = np.ones(3) if proportions is None else proportions
    rng = np.random.default_rng(seed)
    return _scanner.view(head, displacement, proportions, site, options, rng)


def count(labels, *codes) -> int:
    """Voxels with one of these labels."""
    return int(np.isin(labels, codes).sum())


def test_without_deformation_and_pose_the_scan_shows_the_base(ball):
    still = np.zeros((3, *ball.frame.shape), np.float32)
    seen = seen_by(ball, still, {**OPTIONS, **STILL})
    labels = _scanner.truth(ball, seen)
    # The field of view starts at voxel 4 and has the base's own voxels.
    assert np.allclose(seen.voxels[:, 0, 0, 0], 4.0, atol=1e-3)
    assert (labels == ball.labels[4:67, 4:67, 4:67]).all()


def test_a_shift_moves_the_labels_by_whole_voxels(ball):
    shift = np.zeros((3, *ball.frame.shape), np.float32)
    shift[1] = 4.0  # mm = two voxels: the scan shows what lies two voxels in front
    labels = _scanner.truth(ball, seen_by(ball, shift, {**OPTIONS, **STILL}))
    assert (labels == ball.labels[4:67, 6:69, 4:67]).all()


def test_proportions_scale_the_volumes(ball):
    still = np.zeros((3, *ball.frame.shape), np.float32)
    scale = np.array([1.05, 1.0, 0.95])
    seen = seen_by(ball, still, {**OPTIONS, **STILL}, scale)
    labels = _scanner.truth(ball, seen)
    brain = is_brain(ball.labels).sum()
    assert is_brain(labels).sum() / brain == pytest.approx(scale.prod(), rel=0.01)
    width, height = (np.ptp(np.argwhere(labels == 1), axis=0) + 1)[[0, 2]]
    assert width == pytest.approx(40 * 1.05, abs=1)
    assert height == pytest.approx(40 * 0.95, abs=1)


def test_labels_survive_coarser_voxels_without_bias(ball):
    still = np.zeros((3, *ball.frame.shape), np.float32)
    seen = seen_by(ball, still, {**OPTIONS, "voxel_mm": 4.0, "rotation_deg": 6.0}, seed=5)
    labels = _scanner.truth(ball, seen)
    assert set(np.unique(labels)) <= set(np.unique(ball.labels))
    for code in (3, 4):
        assert 8 * count(labels, code) == pytest.approx(count(ball.labels, code), rel=0.04)


def test_majority_of_the_parts_decides():
    voxels = np.zeros((3, 1, 1, 4), np.float32)
    voxels[2, 0, 0] = [0.5, 2.5, 4.5, 6.5]  # each scan voxel spans two of the base along z
    voxels = np.repeat(np.repeat(voxels, 2, axis=1), 2, axis=2)
    parts = list(_scanner.subvoxels(voxels, 3))
    assert len(parts) == 27
    spread = np.stack([p[2, 0, 0] for p in parts])
    # Thirds of a two-voxel span around 2.5: at 1.83, 2.5 and 3.17.
    assert sorted(set(spread[:, 1].tolist())) == [2, 3]


@pytest.mark.parametrize("target", [-0.3, 0.4, 0.9])
def test_ageing_makes_the_ventricles_that_it_should(ball, target):
    field = _anatomy._factor(target, ball.ventricle_table) * ball.ventricles
    displacement = _fields.flow(field, ball.frame)
    labels = _scanner.truth(ball, seen_by(ball, displacement, {**OPTIONS, **STILL}))
    assert np.log(count(labels, 4) / count(ball.labels, 4)) == pytest.approx(target, abs=0.07)
    # The brain's surface stays where it was.
    assert count(labels, 5) == pytest.approx(count(ball.labels, 5), rel=0.01)


def test_ageing_thins_the_cortex_and_leaves_the_skull(ball):
    # A pose, because labels on the base's own grid cannot move by half a voxel.
    posed = {**OPTIONS, "rotation_deg": 8.0}
    field = _anatomy._factor(-0.15, ball.cortex_table) * ball.cortex
    young = _scanner.truth(ball, seen_by(ball, 0 * field, posed))
    old = _scanner.truth(ball, seen_by(ball, _fields.flow(field, ball.frame), posed))
    assert np.log(count(old, 2) / count(young, 2)) == pytest.approx(-0.15, abs=0.03)
    assert count(old, 4) == pytest.approx(count(young, 4), rel=0.05)
    # Some of the room that tissue leaves is CSF's; the outer CSF's edge follows a little.
    assert count(old, 1) > 1.03 * count(young, 1)
    assert count(old, 5) == pytest.approx(count(young, 5), rel=0.03)
    assert count(old, 0) == pytest.approx(count(young, 0), rel=0.002)


def test_people_differ_sessions_share_anatomy_and_nothing_folds(ball):
    rows = _people.index(OPTIONS, 4, "d", True)
    site = _people.Site("s")
    volumes, fields = {}, {}
    for row in rows.to_dict("records"):
        rng = _people.random_of(4, "person", row["participant"])
        person = _people.draw_person(rng, OPTIONS, 0, row["sex"], row["age"] - 50)
        shape = _people.random_of(4, "shape", row["participant"])
        fields[row["scan"]] = _anatomy.anatomy(ball, person, OPTIONS, shape)
        seen, _, labels = _scanner.scan(
            ball, person, row, site, OPTIONS, 4, lambda seen: np.ones(seen.grid.shape)
        )
        volumes[row["scan"]] = np.array([count(labels, c) for c in (2, 3, 4)])
        assert _fields.jacobian(fields[row["scan"]], ball.frame).min() > 0
    one, two, other = "sub-d001_ses-1", "sub-d001_ses-2", "sub-d002_ses-1"
    assert (fields[one] == fields[two]).all()
    assert np.abs(fields[one] - fields[other]).max() > 1.0
    assert np.allclose(volumes[one], volumes[two], rtol=0.02)
    assert not np.allclose(volumes[one], volumes[other], rtol=0.02)


def test_anatomy_weakens_what_would_fold(ball):
    wild = {**OPTIONS, "face_amplitude": 5.0}
    person = nobody(ball, pushes=np.full(len(_people.PUSHES), 9.0))
    displacement = _anatomy.anatomy(ball, person, wild, np.random.default_rng(0))
    assert _fields.jacobian(displacement, ball.frame).min() > _anatomy.LEAST_JACOBIAN


# ---------------------------------------------------------------- the scanner


def test_acquisition_without_noise_is_contrast_alone():
    clean = np.linspace(0, 1.5, 24**3, dtype=np.float32).reshape(24, 24, 24)
    site = _people.Site("s", white=100.0, gamma=1.0)
    image = _scanner.acquire(clean, site, QUIET, np.random.default_rng(0))
    assert image.dtype == np.float32
    order = np.argsort(clean.ravel())
    assert (np.diff(image.ravel()[order]) >= 0).all()
    assert image.ravel()[0] == 0
    # Gamma and gain vary by 1.5 % and 3 % (one standard deviation) from scan to scan.
    assert image[clean > 0.99].min() == pytest.approx(100, rel=0.12)


def test_air_has_rayleigh_noise_of_the_sites_level():
    site = _people.Site("s", white=1000.0, noise=0.03)
    options = {"noise": 1.0, "bias": 1.0}
    image = _scanner.acquire(np.zeros((40,) * 3), site, options, np.random.default_rng(2))
    assert image.min() >= 0
    # Mean of a Rayleigh distribution: sigma sqrt(pi / 2); the gain is within 3 x 3 %.
    assert image.mean() == pytest.approx(30 * np.sqrt(np.pi / 2), rel=0.09)
    assert image.std() / image.mean() == pytest.approx(np.sqrt(4 / np.pi - 1), rel=0.02)


def test_scans_are_stored_as_the_site_stores_them(tmp_path, ball):
    still = np.zeros((3, *ball.frame.shape), np.float32)
    row = {"scan": "sub-d001_ses-2"}
    for site in _people.SITES:
        seen = _scanner.view(
            ball, still, np.ones(3), site, {**OPTIONS, **STILL}, np.random.default_rng(0)
        )
        labels = _scanner.truth(ball, seen)
        answer = _scanner.write_scan(row, seen.grid, labels * 20.0, labels, site, tmp_path)
        assert answer["path"] == str(
            tmp_path / "sub-d001" / "ses-2" / "anat" / "sub-d001_ses-2_T1w.nii.gz"
        )
        assert answer["truth_path"].endswith("sub-d001_ses-2_desc-truth_dseg.nii.gz")
        scan, truth = nifti.read(answer["path"], None), nifti.read(answer["truth_path"], None)
        assert scan.data.dtype == site.dtype
        assert truth.data.dtype == np.uint8
        assert nifti.axis_codes(scan.affine) == site.axes
        assert np.allclose(nifti.reorient(scan).spacing, np.array(site.voxel) * 2.0)
        assert (np.rint(scan.data / 20.0) == truth.data).all()
        assert (nifti.reorient(truth).data == labels).all()


# ---------------------------------------------------------------- who takes part


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(0, 9))
def test_index_is_complete_sorted_and_fixed_by_the_seed(participants, sessions, seed):
    options = {**demo.METHOD.defaults, "participants": participants, "sessions": sessions}
    table = demo.index(options, seed)
    assert len(table) == participants * sessions
    assert table["scan"].is_unique
    assert table["scan"].is_monotonic_increasing
    assert table.equals(demo.index(options, seed))
    assert table["age"].between(20, 80).all()
    assert (table["status"] == vocabulary.OK).all()
    assert (table["path"] == "").all()
    people = table.groupby("participant")
    assert (people[["age", "sex", "site"]].nunique() == 1).all().all()
    counts = people["site"].first().value_counts()
    assert counts.max() - counts.min() <= 1
    # One person in each of as many equal intervals of age.
    ages = np.sort(people["age"].first())
    edges = np.linspace(20, 80, participants + 1)
    assert ((ages >= edges[:-1] - 0.05) & (ages <= edges[1:] + 0.05)).all()


def test_another_seed_deals_other_people():
    a, b = (demo.index(demo.METHOD.defaults, seed) for seed in (1, 2))
    assert list(a["participant"].unique()[:2]) == ["sub-d001", "sub-d002"]
    assert len(a) == 68
    assert not a["age"].equals(b["age"])


def test_another_cohort_of_the_same_seed_has_people_of_its_own(tmp_path, ball):
    """Two data sets of one run that grow the same people would be one, compared twice."""
    blends = np.zeros((2, 3, *ball.frame.shape), np.float32)
    _base.save(dataclasses.replace(ball, blends=blends), tmp_path / "base.npz")
    made = []
    for cohort in (1, 2, 3):
        options = {**demo.METHOD.defaults, "participants": 2, "voxel_mm": 6.0, "cohort": cohort}
        table = demo.index(options, 1)
        scan = demo.grow(table.iloc[0].to_dict(), options, 1, tmp_path, tmp_path / str(cohort))
        made.append((table, nifti.read(scan["path"]).data))
    (a, first), (b, second), (c, _) = made
    assert set(b["participant"]) == {"sub-c2d001", "sub-c2d002"}
    for one, other in ((a, b), (a, c), (b, c)):
        assert not set(one["participant"]) & set(other["participant"])
        assert not one["age"].equals(other["age"])
    assert first.shape != second.shape or not np.allclose(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"participants": 0}, "participants"),
        ({"sessions": 1.5}, "sessions"),
        ({"voxel_mm": 0.1}, "voxel_mm"),
        ({"age_range": [60, 20]}, "age_range"),
        ({"sites": []}, "at least one site"),
        ({"sites": ["a", "a"]}, "own name"),
        ({"sites": [{"name": "a", "colour": 1}]}, "colour"),
        ({"sites": [{"name": "a", "axes": "RRS"}]}, "RRS"),
        ({"sites": [{"name": "a", "dtype": "int64"}]}, "int64"),
        ({"sites": [{"name": "a", "voxel": 0}]}, "above zero"),
    ],
)
def test_impossible_options_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        demo.index({**demo.METHOD.defaults, **change}, 1)


def test_sites_can_be_described():
    found = _people.sites({"sites": ["x", {"name": "y", "voxel": 1.5, "axes": "PIR"}]})
    assert [s.name for s in found] == ["x", "y"]
    assert found[0].axes == _people.SITES[0].axes
    assert found[1].voxel == (1.5, 1.5, 1.5)
    assert found[1].axes == "PIR"
    with pytest.raises(ValueError, match="not among"):
        _people.site_of({"scan": "s", "site": "z"}, {"sites": ["x"]})


def test_age_can_be_told_from_the_brain_but_not_exactly():
    options = demo.METHOD.defaults
    rng = np.random.default_rng(0)
    years = rng.uniform(-10, 50, 400)
    people = [_people.draw_person(rng, options, 2, "F", y) for y in years]
    ventricles = np.array([p.ventricles for p in people])
    slope = np.polyfit(years, ventricles, 1)[0]
    assert slope == pytest.approx(options["ventricle_rate"], abs=0.003)
    assert 0.6 < np.corrcoef(years, ventricles)[0, 1] < 0.9
    ageless = _people.draw_person(rng, options, 2, "F", np.nan)
    assert ageless.ventricles == ageless.cortex == 0


def test_the_modules_keep_the_contract():
    for name in ("demo", "labelmaps"):
        method = methods.choose("datasets", name).method
        assert method.synthetic
        assert method.statement.endswith(".")
        assert name in methods.available("datasets")


def test_packaged_files_are_found_without_import():
    with pytest.raises(FileNotFoundError, match="pip install --no-deps nosuchthing==1.0"):
        demo.packaged("nosuchthing", "1.0", "data", "x.nii.gz")
    before = set(sys.modules)
    assert demo.packaged("pydeface", "2.1.0", "data", "facemask.nii.gz").is_file()
    assert "pydeface" not in set(sys.modules) - before


def test_growing_needs_the_base(tmp_path):
    row = demo.index(demo.METHOD.defaults, 1).iloc[0].to_dict()
    with pytest.raises(FileNotFoundError, match="run the base step first"):
        demo.grow(row, demo.METHOD.defaults, 1, tmp_path, tmp_path)


def test_demo_grows_a_scan_the_same_twice(tmp_path, ball):
    blends = np.zeros((2, 3, *ball.frame.shape), np.float32)
    _base.save(dataclasses.replace(ball, blends=blends), tmp_path / "base.npz")
    options = {**demo.METHOD.defaults, "participants": 2, "voxel_mm": 3.0}
    rows = demo.index(options, 1).to_dict("records")
    first = [demo.grow(row, options, 1, tmp_path, tmp_path / "a") for row in rows[:2]]
    again = [demo.grow(row, options, 1, tmp_path, tmp_path / "b") for row in rows[:2]]
    for one, two in zip(first, again, strict=True):
        for key in ("path", "truth_path"):
            assert (nifti.read(one[key], None).data == nifti.read(two[key], None).data).all()
    scans = [nifti.read(one["path"]).data for one in first]
    assert scans[0].min() >= 0
    assert not np.allclose(scans[0], scans[1])
    truth = nifti.read(first[0]["truth_path"], None).data
    means = [scans[0][truth == code].mean() for code in (1, 2, 3)]
    assert means[0] < means[1] < means[2]


def test_true_volumes_stand_in_the_row_and_do_not_follow_the_grid(tmp_path, ball):
    blends = np.zeros((2, 3, *ball.frame.shape), np.float32)
    _base.save(dataclasses.replace(ball, blends=blends), tmp_path / "base.npz")
    entry = {"type": "demo", "participants": 1, "voxel_mm": 4.0, "sessions": 2}
    chosen = methods.choose("datasets", "d", entry)
    rows = demo.index(chosen.options, 1).to_dict("records")
    made = [grow.run(row, chosen, tmp_path, tmp_path / "out", 1) for row in rows]
    for one in made:
        labels = nifti.read(one["truth_path"])
        counted = {code: count(labels.data, code) * labels.voxel_ml for code in (1, 2, 3, 4)}
        true = {name: one[f"truth_vol_{name}"] for name in ("gm", "wm", "csf", "vcsf")}
        assert true["gm"] == pytest.approx(counted[2], rel=0.05)
        assert true["csf"] == pytest.approx(counted[1] + counted[4], rel=0.05)
        assert one["truth_vol_brain"] == pytest.approx(true["gm"] + true["wm"])
        assert one["truth_vol_tiv"] == pytest.approx(sum(true.values()) - true["vcsf"])
        assert "truth_vol_occipital" not in one
    first, again = made
    assert again["truth_vol_vcsf"] == pytest.approx(first["truth_vol_vcsf"], rel=0.01)


def test_true_volumes_by_hand():
    held = np.zeros(256)
    held[[0, 1, 2, 3, 4, 5, 11, 23]] = [900, 10, 40, 30, 5, 70, 2.5, 4]
    found = truth.volumes(held, 0.1)
    expected = {"csf": 1.5, "vcsf": 0.5, "gm": 4.25, "wm": 3.4, "brain": 7.65, "tiv": 9.15,
                "thalamus_left": 0.25, "brainstem": 0.4}  # fmt: skip
    assert found == pytest.approx(expected)


# ---------------------------------------------------------------- label maps


def write_priors(folder: Path) -> None:
    """Priors of four labels: air, white, grey, CSF; levels 0, 160, 100, 40."""
    folder.mkdir(parents=True)
    np.save(folder / "generation_labels.npy", np.array([0, 24, 2, 3]))
    np.save(folder / "generation_classes_contrast_specific.npy", np.array([0, 1, 2, 3]))
    np.save(folder / "prior_means_t1.npy", np.array([[5.0, 40, 160, 100], [1, 8, 16, 10]]))
    np.save(folder / "prior_stds_t1.npy", np.array([[3.0, 20, 16, 16], [1, 1, 1, 1]]))


def test_paint_is_in_units_of_white_matter(tmp_path):
    write_priors(tmp_path / "p")
    paint = _paint.read_paint(tmp_path / "p")
    assert np.allclose(paint.level, [0, 0.25, 1, 0.625])
    assert np.allclose(paint.spread, [0, 0.05, 0.1, 0.0625])
    assert np.allclose(paint.texture, [0, 0.075, 0.1, 0.1])  # CSF's is capped at 0.3 x 0.25
    draws = _paint._levels(np.random.default_rng(0), paint)
    assert draws[2] == 0
    assert np.abs(draws).max() <= 2


def test_missing_or_wrong_priors_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="generation_labels.npy"):
        _paint.read_paint(tmp_path)
    write_priors(tmp_path / "p")
    np.save(tmp_path / "p" / "generation_labels.npy", np.array([0, 24, 2]))
    with pytest.raises(ValueError, match="do not fit"):
        _paint.read_paint(tmp_path / "p")


def test_freesurfer_labels_become_truth():
    known = {
        0: 0, 2: 3, 41: 3, 3: 2, 42: 2, 4: 4, 43: 4, 5: 4, 44: 4, 14: 4, 15: 4, 24: 1,
        7: 3, 46: 3, 8: 2, 47: 2, 10: 11, 49: 12, 11: 13, 50: 14, 12: 15, 51: 16, 13: 17,
        52: 18, 17: 19, 53: 20, 18: 21, 54: 22, 16: 23, 26: 2, 58: 2, 28: 3, 60: 3, 507: 5,
        85: 5,
    }  # fmt: skip
    labels = np.array(list(known))
    assert _freesurfer.to_truth(labels).tolist() == list(known.values())


def test_csf_of_the_spinal_canal_is_no_brain():
    labels = np.zeros((3, 3, 6), int)
    labels[1, 1] = [24, 24, 16, 24, 2, 24]
    truth = _freesurfer.to_truth(labels)[1, 1].tolist()
    assert truth == [TRUTH["other_head"], TRUTH["other_head"], 23, 1, 3, 1]


def label_options(tmp_path: Path, **changes) -> dict:
    folder = tmp_path / "maps"
    if not folder.exists():
        write_priors(folder / "labels_classes_priors")
        for name in ("b.nii.gz", "a.nii.gz"):
            (folder / name).write_bytes(b"")
    return {**labelmaps.METHOD.defaults, "folder": str(folder), **changes}


def test_label_maps_give_one_person_each_without_age(tmp_path):
    table = labelmaps.index(label_options(tmp_path), 1)
    assert table["participant"].unique().tolist() == ["sub-m001", "sub-m002"]
    assert table["age"].isna().all()
    table = labelmaps.index(label_options(tmp_path, participants=5, ages="simulated"), 1)
    assert table["participant"].nunique() == 5
    assert table["age"].between(20, 80).all()


def test_missing_priors_end_the_run_before_it_starts(tmp_path):
    entry = {**label_options(tmp_path), "type": "labelmaps"}
    config = {"datasets": {"mine": entry}, "seed": 1, "batch_size": 2}
    config["splits"] = {"train": 0, "validation": 0, "test": 1}
    assert len(plan.scans(config, "mine")) == 4
    name = "prior_means_t1.npy"
    (tmp_path / "maps" / "labels_classes_priors" / name).unlink()
    with pytest.raises(
        configuration.ConfigError, match=f"datasets.mine: .*no {name}; put"
    ) as error:
        plan.scans(config, "mine")
    assert "\n" not in str(error.value)
    # Those that are to be downloaded need not be there yet; those of another place do.
    assert len(labelmaps.index(label_options(tmp_path, download=True, participants=2), 1)) == 4
    elsewhere = label_options(tmp_path, download=True, priors=str(tmp_path / "elsewhere"))
    with pytest.raises(FileNotFoundError, match="elsewhere: no generation_labels.npy"):
        labelmaps.index(elsewhere, 1)


def test_label_map_options_are_checked(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        labelmaps.index(labelmaps.METHOD.defaults, 1)
    with pytest.raises(ValueError, match="no label map"):
        labelmaps.index({**labelmaps.METHOD.defaults, "folder": str(tmp_path / "none")}, 1)
    with pytest.raises(ValueError, match="ages"):
        labelmaps.index(label_options(tmp_path, ages="real"), 1)
    paint = _paint.read_paint(tmp_path / "maps" / "labels_classes_priors")
    wrong = tmp_path / "wrong.nii.gz"
    nifti.write(Volume(np.full((4, 4, 4), 7, np.uint8), np.eye(4)), wrong)
    with pytest.raises(ValueError, match="label 7 has no intensity prior"):
        labelmaps.prepare(wrong, paint)


def test_a_painted_scan_has_exact_partial_volumes(tmp_path, ball):
    # Labels of the ball as places in the priors: CSF 24 (1), white 2 (2), grey 3 (3).
    places = np.array([0, 1, 3, 2, 1, 3], np.uint8)[ball.labels]
    head = dataclasses.replace(ball, image=places)
    options = label_options(
        tmp_path, texture=0.0, contrast_spread=0.0, voxel_mm=4.0, **QUIET, rotation_deg=5.0
    )
    folder = tmp_path / "base"
    for name in ("a", "b"):
        _base.save(head, folder / f"{name}.npz")
    row = labelmaps.index(options, 1).to_dict("records")[0]
    row["site"] = "siteC"
    options["sites"] = [{"name": "siteC", "voxel": 1, "dtype": "float32", "gamma": 1.0}]
    seen = seen_by(head, np.zeros((3, *ball.frame.shape), np.float32), options, seed=3)
    paint = _paint.read_paint(Path(options["folder"]) / "labels_classes_priors")
    signal = _paint.signal(head, seen, paint, row, options, 1)
    assert 8 * signal.sum() == pytest.approx(paint.level[places].sum(), rel=0.01)
    assert len(np.unique(signal.round(4))) > 8  # not only the pure classes
    answer = labelmaps.grow(row, options, 1, folder, tmp_path / "out")
    truth = nifti.read(answer["truth_path"], None).data
    assert 8 * count(truth, 3) == pytest.approx(count(ball.labels, 3), rel=0.04)


def test_a_real_label_map_becomes_a_scan(tmp_path, shared):
    maps = shared("data/labelmaps")
    table = _download.sources()
    first = table.iloc[0]
    assert files.checksum(maps / first.file) == first.sha256
    options = {
        **labelmaps.METHOD.defaults, "folder": str(maps), "participants": 1, "sessions": 1,
        "voxel_mm": 4.0,
    }  # fmt: skip
    labelmaps.base(options, 1, tmp_path)
    row = labelmaps.index(options, 1).iloc[0].to_dict()
    answer = labelmaps.grow(row, options, 1, tmp_path, tmp_path)
    scan, truth = nifti.read(answer["path"]), nifti.read(answer["truth_path"], None)
    raw = nifti.read(maps / first.file, None).data
    for codes, labels in (((3,), (2, 41, 7, 46, 25, 57, 28, 60)), ((11, 12), (10, 49))):
        ml = count(truth.data, *codes) * truth.voxel_ml
        assert ml == pytest.approx(np.isin(raw, labels).sum() / 1000, rel=0.06)
    assert scan.data[truth.data == 2].mean() < 0.8 * scan.data[truth.data == 3].mean()
