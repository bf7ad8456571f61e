"""Defacers that cut or replace by a mask of the template: fsl, mri_deface, AFNI, and options."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from phantoms import ORIENTATIONS, make_scan, oriented, phantom, run
from refacebench.contracts import PreparedScan
from refacebench.defacers import afni_refacer, fsl_deface, mri_deface, pydeface
from refacebench.head import face_parts, region, space, template
from refacebench.head.shell import signed_shell
from refacebench.image import nifti
from refacebench.image.geometry import grow
from refacebench.image.nifti import Volume
from refacebench.run import methods

needs_template = pytest.mark.skipif(
    importlib.util.find_spec("pydeface") is None, reason="pydeface is not installed"
)


def at(scan, *points):
    """Return the array indices of points in template mm (the phantom's matrix is the identity)."""
    to_voxel = np.linalg.inv(scan.to_template @ scan.volume.affine)
    points = np.c_[np.asarray(points, float), np.ones(len(points))]
    return tuple(np.rint(points @ to_voxel.T)[:, :3].astype(int).T)


class Template:
    """An image of the template's space as far as :func:`at` needs it."""

    to_template = np.eye(4)

    def __init__(self, volume):
        self.volume = volume


#: Points of the mean head in template mm.
NOSE, LIP, CHIN = (0, 114, -70), (0, 102, -98), (0, 90, -130)
EYES = ((-33, 92, -38), (30, 92, -38))
BROWS = ((-25, 97, -10), (25, 97, -10))
FOREHEAD, CROWN, BRAINSTEM, NECK = (0, 95, 30), (0, 0, 78), (0, -8, -60), (0, 20, -150)
EARS = ((-76, 0, -45), (70, 0, -45))


# ---------------------------------------------------------------- regions


def one(points, regions):
    """Return the distance of single points from regions, through a grid of one voxel each."""
    result = []
    for point in points:
        affine = np.eye(4)
        affine[:3, 3] = point
        volume = Volume(np.zeros((1, 1, 1), np.float32), affine)
        result.append(float(region.distance(volume, np.eye(4), regions)[0, 0, 0]))
    return np.array(result)


def test_distance_by_hand():
    """A cube of 10 mm cut by the plane x + y = 10: the corner (10, 10) is 10/sqrt(2) outside."""
    box = ((0.0, 10.0),) * 3
    cube = region.Region(box)
    assert one([(5, 5, 5), (12, 5, 5), (1, 5, 5)], [cube]) == pytest.approx([-5, 2, -1])
    cut = region.Region(box, (((2.0, 2.0, 0.0), (10.0, 0.0, 0.0)),))
    assert one([(10, 10, 5), (5, 5, 5)], [cut]) == pytest.approx([10 / np.sqrt(2), 0], abs=1e-5)
    far = region.Region(((20.0, 30.0), *box[1:]))
    assert one([(16, 5, 5)], [cube, far]) == pytest.approx([4.0])


@pytest.mark.parametrize(
    ("upper", "inside", "outside"),
    [
        ("below_eyes", (NOSE, LIP, CHIN), (*EYES, *BROWS, FOREHEAD)),
        ("eyes", (NOSE, LIP, CHIN, *EYES), (*BROWS, FOREHEAD)),
        ("brow", (NOSE, LIP, CHIN, *EYES, *BROWS), (FOREHEAD,)),
    ],
)
def test_levels_hold_the_parts_that_they_are_named_for(upper, inside, outside):
    assert (one(inside, region.face(upper)) < 0).all()
    assert (one([*outside, CROWN, BRAINSTEM, NECK, *EARS], region.face(upper)) > 0).all()
    assert (one(inside, region.under(upper)) < 0).all()
    assert (one(outside, region.under(upper)) > 0).all()


def test_ears_are_the_landmarks_ears():
    assert (one(EARS, region.ears()) < 0).all()
    assert (one([NOSE, *EYES, CROWN, BRAINSTEM, NECK], region.ears()) > 0).all()
    for name, point in zip(("ear_left", "ear_right"), EARS, strict=True):
        bounds = face_parts.EAR_BOXES[name]
        assert all(low < p < high for p, (low, high) in zip(point, bounds, strict=True))
        # The inner side leans outwards above, by 0.14 x 36 mm at the top of the landmark's box:
        # what lies 5.1 mm outside the box's own inner side is in the body.
        (x0, x1), *others = bounds
        outer = (x0, x1 - 5.1) if name == "ear_left" else (x0 + 5.1, x1)
        points = np.stack(np.meshgrid(*[np.linspace(*v, 5) for v in (outer, *others)]), -1)
        assert (one(points.reshape(-1, 3), region.ears()) <= 0).all()


def test_higher_levels_hold_lower_ones():
    rng = np.random.default_rng(0)
    points = rng.uniform((-100, 0, -220), (100, 180, 60), (400, 3))
    found = [one(points, region.face(upper)) <= 0 for upper in region.LEVELS]
    assert found[0].any()
    assert not (found[0] & ~found[1]).any()
    assert not (found[1] & ~found[2]).any()
    assert found[0].sum() < found[1].sum() <= found[2].sum()


@pytest.mark.parametrize("module", [fsl_deface, mri_deface, afni_refacer, pydeface])
@pytest.mark.parametrize("wrong", [{"upper": "chin"}, {"ears": "yes"}])
@needs_template
def test_unknown_options_are_refused(tmp_path, module, wrong):
    message = f"{module.__name__.rpartition('.')[2]}: {next(iter(wrong))}"
    with pytest.raises(ValueError, match=message):
        module.check({**module.METHOD.defaults, **wrong})
    with pytest.raises(ValueError, match=message):
        module.deface(make_scan(tmp_path), {**module.METHOD.defaults, **wrong})


def test_the_config_may_list_afni_twice():
    """Two entries of one method with other modes; what cannot be right is refused at the start."""
    entries = {name: {"method": "afni_refacer", "mode": name} for name in ("deface", "reface")}
    for name, entry in entries.items():
        chosen = methods.choose("defacers", f"afni_{name}", entry)
        assert chosen.options["mode"] == name
        assert chosen.title == f"afni_refacer ({name})"
    wrong = {"mode": "refacing"}, {"dof": 6}
    for options in wrong:
        with pytest.raises(ValueError, match=next(iter(options))):
            afni_refacer.check({**afni_refacer.METHOD.defaults, **options})
    for options in ({"brain_mm": -1}, {"prior": "small"}, {"mahalanobis": True}):
        with pytest.raises(ValueError, match=next(iter(options))):
            mri_deface.check({**mri_deface.METHOD.defaults, **options})


# ---------------------------------------------------------------- all of them

CASES = {
    "fsl_deface": (fsl_deface, {}),
    "fsl_deface_brow": (fsl_deface, {"upper": "brow"}),
    "mri_deface": (mri_deface, {}),
    "mri_deface_ears": (mri_deface, {"ears": True, "upper": "brow"}),
    "afni_deface": (afni_refacer, {}),
    "afni_reface": (afni_refacer, {"mode": "reface"}),
    "afni_reface_plus": (afni_refacer, {"mode": "reface_plus", "dof": 12}),
    "pydeface_ears": (pydeface, {"engine": "native", "ears": True, "upper": "brow"}),
    "pydeface_below": (pydeface, {"engine": "native", "upper": "below_eyes"}),
}


def three_tissues(scan, seed=0):
    """Give the phantom's brain CSF, grey and white matter (mri_deface asks for them)."""
    rng = np.random.default_rng(seed)
    data = scan.volume.data.copy()
    n = int(scan.brain.sum())
    data[scan.brain] = rng.choice([40.0, 100.0, 150.0], n, p=[0.2, 0.45, 0.35])
    data[scan.brain] += rng.normal(0, 5, n)
    return replace(scan, volume=scan.volume.with_data(data.astype(np.float32)))


@needs_template
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("codes", ["RAS", "LIA", "SPL"])
def test_the_face_goes_and_the_brain_stays(tmp_path, case, codes):
    module, options = CASES[case]
    scan = make_scan(tmp_path, codes)
    stored = three_tissues(scan)
    nifti.write(stored.volume, scan.path)
    scan = replace(scan, volume=nifti.read(scan.path))
    facts, path, mask = run(scan, module, tmp_path, **options)
    after = nifti.read(path).data
    assert np.array_equal(after[scan.brain], scan.volume.data[scan.brain])
    assert facts["engine"] == "native"
    assert facts["brain_changed"] == facts["brain_removed"] == 0
    assert not mask[scan.brain].any()
    assert mask[at(scan, NOSE, LIP)].all()
    assert not mask[at(scan, BRAINSTEM)].any()
    assert mask[at(scan, CROWN)].all() == (options.get("mode") == "reface_plus")
    eyes_go = options.get("upper") != "below_eyes"
    assert (mask[at(scan, *EYES)] == eyes_go).all()
    given = {**module.METHOD.defaults, **options}
    assert (mask[at(scan, *EARS)] == given["ears"]).all()


@needs_template
@pytest.mark.parametrize("case", ["fsl_deface", "mri_deface_ears", "afni_reface", "pydeface_ears"])
def test_any_orientation_gives_the_same_mask(tmp_path, case):
    module, options = CASES[case]
    expected = None
    for codes in ORIENTATIONS:
        scan = three_tissues(make_scan(tmp_path, "RAS"))
        turned = replace(
            scan,
            volume=oriented(scan.volume, codes),
            brain=oriented(scan.volume.with_data(scan.brain), codes).data,
            head=oriented(scan.volume.with_data(scan.head), codes).data,
        )
        result = module.deface(turned, {**module.METHOD.defaults, **options})
        found = oriented(turned.volume.with_data(result.changed), "RAS").data
        expected = found if expected is None else expected
        # Voxels right on a border may fall to either side of it by rounding.
        assert (found != expected).sum() <= 1e-3 * expected.sum()
    assert expected.any()


@needs_template
@pytest.mark.parametrize("module", [fsl_deface, mri_deface, afni_refacer])
def test_a_scan_without_the_faces_place_is_refused(tmp_path, module):
    scan = make_scan(tmp_path)
    back = slice(0, 25)  # y up to -15 mm
    cut = PreparedScan(
        Volume(scan.volume.data[:, back], scan.volume.affine),
        scan.brain[:, back],
        scan.head[:, back],
        scan.to_template,
        scan.path,
        scan.brain_path,
    )
    with pytest.raises(ValueError, match="face lies outside the field of view"):
        module.deface(cut, module.METHOD.defaults)


@needs_template
@pytest.mark.parametrize("case", CASES)
def test_the_margin_around_the_brain_is_kept(tmp_path, case):
    module, options = CASES[case]
    scan = three_tissues(make_scan(tmp_path))
    nifti.write(scan.volume, scan.path)
    _, _, mask = run(scan, module, tmp_path, **options, protect_margin_mm=15.0)
    assert not mask[grow(scan.brain, scan.volume.spacing, 15.0)].any()
    assert mask[at(scan, NOSE)].all()


# ---------------------------------------------------------------- fsl_deface


def test_fsl_takes_every_voxel_that_the_mask_touches(tmp_path):
    scan = make_scan(tmp_path)
    result = fsl_deface.deface(scan, {**fsl_deface.METHOD.defaults, "ears": False})
    far = region.distance(scan.volume, scan.to_template, region.face("eyes"))
    assert result.changed[far < 0.99].all()
    assert not result.changed[far > 1.01].any()
    assert ((far > 0) & (far < 1) & result.changed).any()
    assert not result.values.any()


# ---------------------------------------------------------------- mri_deface


def test_tissue_model_finds_what_was_drawn():
    rng = np.random.default_rng(1)
    truth = rng.choice([30.0, 90.0, 130.0], (40, 40, 40), p=[0.2, 0.45, 0.35])
    data = (truth + rng.normal(0, 6, truth.shape)).astype(np.float32)
    means, sigma = mri_deface.tissue_model(data, np.ones(data.shape, bool))
    assert means == pytest.approx([90, 130], abs=3)
    assert sigma == pytest.approx(6, abs=1.5)
    with pytest.raises(ValueError, match="too few"):
        mri_deface.tissue_model(data, np.zeros(data.shape, bool))


@needs_template
def test_mri_deface_keeps_brain_mm_and_in_the_ring_what_looks_like_brain(tmp_path):
    """A block of brain before the face: 7 and 14 mm around it reach into the face's prior."""
    scan = make_scan(tmp_path)
    brain = space.inside_box(scan.volume, np.eye(4), ((-40, 40), (20, 60), (-80, -50)))
    rng = np.random.default_rng(0)
    data = np.full(brain.shape, 100.0, np.float32)  # exactly grey, everywhere
    data[brain] = rng.choice([40.0, 100.0, 150.0], brain.sum(), p=[0.2, 0.45, 0.35])
    data[brain] += rng.normal(0, 4, brain.sum())
    grey = replace(scan, volume=scan.volume.with_data(data), brain=brain)
    other = np.where(brain, data, 70.0).astype(np.float32)  # between CSF and grey
    neither = replace(grey, volume=grey.volume.with_data(other))
    near, ring = (grow(brain, scan.volume.spacing, mm) for mm in (7, 14))
    options = {**mri_deface.METHOD.defaults}
    prior = mri_deface.face_prior("eyes", False)
    face = space.warp_to_scan(prior, scan.volume, np.eye(4)) > 1e-4
    assert (face & ring & ~near).sum() > 50
    found = mri_deface.deface(grey, options).changed
    assert np.array_equal(found, face & ~ring)
    found = mri_deface.deface(neither, options).changed
    assert np.array_equal(found, face & ~near)


@needs_template
def test_face_prior_is_a_probability_that_stops_at_its_level():
    prior = mri_deface.face_prior("below_eyes", False)
    assert prior.data.min() >= 0
    assert 0.99 < prior.data.max() <= 1.0001
    height = space.template_axis(prior, np.eye(4), 2)
    assert not prior.data[height > -55].any()
    # A chin that reaches 40 mm further forward than the neck under it is a possible face.
    assert prior.data[at(Template(prior), (0, 120, -130), CHIN)] == pytest.approx(1, abs=0.01)
    assert not prior.data[at(Template(prior), NECK, BRAINSTEM, CROWN)].any()
    with_ears = mri_deface.face_prior("below_eyes", True).data
    assert with_ears[height > -55].any()
    assert (with_ears >= prior.data).all()


# ---------------------------------------------------------------- afni_refacer


def test_nine_parameters_by_a_general_minimiser():
    """R S is found again; of a sheared matrix, SciPy's least squares finds nothing nearer."""
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", [4, -7, 10], degrees=True).as_matrix()
    to_scan = np.eye(4)
    to_scan[:3, :3] = turn * [1.1, 0.9, 1.05]
    to_scan[:3, 3] = 5, -7, 11
    assert np.allclose(afni_refacer.nine_parameters(np.linalg.inv(to_scan)), np.linalg.inv(to_scan))
    to_scan[:3, :3] = turn @ [[1.1, 0.08, 0], [0, 0.9, -0.05], [0.03, 0, 1.0]]
    found = np.linalg.inv(afni_refacer.nine_parameters(np.linalg.inv(to_scan)))
    gram = found[:3, :3].T @ found[:3, :3]
    assert np.allclose(gram, np.diag(np.diag(gram)), atol=1e-9)
    assert np.linalg.det(found[:3, :3]) > 0
    points = np.c_[afni_refacer.LANDMARKS, np.ones(len(afni_refacer.LANDMARKS))]

    def off(values):
        linear = Rotation.from_rotvec(values[:3]).as_matrix() * values[3:6]
        return ((points[:, :3] @ linear.T + values[6:]) - (points @ to_scan.T)[:, :3]).ravel()

    best = least_squares(off, [0, 0, 0, 1, 1, 1, 0, 0, 0]).cost * 2
    ours = (((points @ (found - to_scan).T)[:, :3]) ** 2).sum()
    assert ours == pytest.approx(best, rel=1e-4)
    assert ours > 1  # the shear is not gone by itself


def test_replacement_by_hand():
    """A flat shell of 2 in a scan of 50: the replacement is 50 inside, and zero outside."""
    data = np.full((9, 9, 9), 50.0, np.float32)
    data[4:] = 30
    positive = np.zeros(data.shape, bool)
    positive[2:6, 2:7, 2:7] = True  # half of it at 50, half at 30
    face = np.full(data.shape, 2.0, np.float32)
    found = afni_refacer._replacement(data, face, positive, np.ones(3))
    assert found[positive] == pytest.approx(40.0, rel=1e-5)
    assert not found[~positive].any()
    with pytest.raises(ValueError, match="no signal"):
        afni_refacer._replacement(0 * data, face, positive, np.ones(3))


@needs_template
def test_shell_has_three_signs_and_modes_share_it(tmp_path):
    shell = signed_shell("reface", "brow", True)
    assert {-1.0, 0.0} <= set(np.unique(shell.data))
    assert shell.data.max() > 50
    scan = three_tissues(make_scan(tmp_path))
    options = afni_refacer.METHOD.defaults
    deface = afni_refacer.deface(scan, {**options, "mode": "deface"})
    reface = afni_refacer.deface(scan, {**options, "mode": "reface"})
    plus = afni_refacer.deface(scan, {**options, "mode": "reface_plus"})
    assert np.array_equal(deface.changed, reface.changed)
    assert not deface.values.any()
    assert not (reface.changed & ~plus.changed).any()
    assert plus.changed[at(scan, (0, 0, 78))].all()
    positive = reface.values > 0
    # The level of the scan under the shell, not the template's own.
    assert reface.values[positive].mean() == pytest.approx(
        scan.volume.data[positive & reface.changed].mean(), rel=0.05
    )
    with pytest.raises(ValueError, match="mode: 'hide'"):
        afni_refacer.deface(scan, {**options, "mode": "hide"})
    with pytest.raises(ValueError, match="dof: 6"):
        afni_refacer.deface(scan, {**options, "dof": 6})


@needs_template
def test_reface_puts_the_same_face_on_everybody(tmp_path):
    """Two scans with different noses get the same surface under the shell."""
    scan = three_tissues(make_scan(tmp_path))
    data = scan.volume.data.copy()
    nose = space.inside_box(scan.volume, np.eye(4), ((-14, 14), (85, 130), (-78, -40)))
    data[nose] = 5
    flat = replace(scan, volume=scan.volume.with_data(data))
    options = {**afni_refacer.METHOD.defaults, "mode": "reface"}
    one_, two = (afni_refacer.deface(s, options) for s in (scan, flat))
    assert np.array_equal(one_.changed, two.changed)
    assert np.array_equal(one_.values > 0, two.values > 0)


# ---------------------------------------------------------------- pydeface's options


@needs_template
def test_pydeface_without_options_is_the_packaged_mask(tmp_path):
    scan = make_scan(tmp_path)
    plain = pydeface.deface(scan, {"engine": "native"})
    mask = space.warp_to_scan(template.face_mask(), scan.volume, np.eye(4), order=1, mode="nearest")
    assert np.array_equal(plain.changed, mask < pydeface.FULL_WEIGHT)
    assert np.allclose(plain.values, scan.volume.data * mask)


def test_pydeface_options_choose_the_native_engine(monkeypatch):
    monkeypatch.setattr(pydeface, "official_is_available", lambda: True)
    assert pydeface.engine(pydeface.METHOD.defaults) == "official"
    assert pydeface.engine({**pydeface.METHOD.defaults, "ears": True}) == "native"
    with pytest.raises(ValueError, match="need engine: native"):
        pydeface.engine({**pydeface.METHOD.defaults, "engine": "official", "upper": "brow"})


def test_the_phantom_has_face_and_brain_where_these_tests_look():
    volume, brain, head = phantom()
    scan = PreparedScan(volume, brain, head, np.eye(4), None, None)
    assert head[at(scan, (0, 110, -60), CROWN)].all()
    assert not brain[at(scan, NOSE, LIP, *EYES, *EARS, CROWN)].any()
