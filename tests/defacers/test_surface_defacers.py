"""Defacers that replace or reshape the surface, and the registration that they share."""

import importlib.util
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from phantoms import ORIENTATIONS, make_scan, oriented, phantom, run
from refacebench import bids
from refacebench.defacers import deepdefacer, mask_face, mideface, mri_reface
from refacebench.head import face_parts, matrices, region, space, template, warp
from refacebench.head.average import clean_mask, extended_mean_head
from refacebench.image import geometry, morphology, nifti
from refacebench.image.nifti import Volume
from refacebench.run import configuration
from refacebench.stages import deface

needs_template = pytest.mark.skipif(
    importlib.util.find_spec("pydeface") is None, reason="pydeface is not installed"
)
needs_h5py = pytest.mark.skipif(
    importlib.util.find_spec("h5py") is None, reason="h5py is not installed"
)
AFFINE = {"nonlinear": False, "wrapped_air": False}


def ear_masks(scan):
    return [
        space.inside_box(scan.volume, scan.to_template, box) & scan.head
        for box in face_parts.EAR_BOXES.values()
    ]


# ---------------------------------------------------------------- the shared registration


@pytest.fixture
def counted(monkeypatch):
    """A registration that takes no time, and how often it was run."""
    calls = []

    def compute(volume, matrix):
        calls.append(volume)
        data = np.random.default_rng(0).normal(size=(5, 6, 7, 3)).astype(np.float32)
        affine = np.diag([33.3, 37.7, 31.1, 1.0])
        affine[:3, 3] = [-90.1, -100.2, -110.3]
        return Volume(data, affine)

    monkeypatch.setattr(warp, "compute", compute)
    return calls


def field_of(scan):
    return warp.field(scan.volume, scan.to_template, scan.warp_path)


def test_registration_is_computed_once_and_read_by_the_next(tmp_path, counted):
    scan = replace(make_scan(tmp_path), warp_path=tmp_path / "deep" / "warp.nii.gz")
    one, two = field_of(scan), field_of(scan)
    assert len(counted) == 1
    assert np.array_equal(
        one.data, warp.compute(scan.volume, scan.to_template).data
    )  # to the last bit
    assert np.array_equal(one.data, two.data)
    assert np.array_equal(one.affine, two.affine)
    assert [p.name for p in scan.warp_path.parent.iterdir()] == ["warp.nii.gz"]


def test_registration_of_another_scan_or_a_broken_file_is_made_again(tmp_path, counted):
    scan = replace(make_scan(tmp_path), warp_path=tmp_path / "warp.nii.gz")
    field_of(scan)
    moved = scan.to_template.copy()
    moved[0, 3] = 1.0
    field_of(replace(scan, to_template=moved))
    brighter = scan.volume.with_data(scan.volume.data + 1)
    field_of(replace(scan, volume=brighter))
    assert len(counted) == 3
    scan.warp_path.write_bytes(scan.warp_path.read_bytes()[:100])
    field_of(scan)
    assert len(counted) == 4
    scan.warp_path.write_bytes(b"nothing")
    field_of(scan)
    assert len(counted) == 5
    assert len([None for _ in range(2) if field_of(scan)]) == 2
    assert len(counted) == 5


def test_registration_without_a_path_is_not_written(tmp_path, counted):
    field_of(make_scan(tmp_path))
    assert len(counted) == 1
    assert not list(tmp_path.rglob("*xfm*"))


def test_kept_registration_is_a_displacement_field_for_itk(tmp_path, counted):
    """ITK reads the file and moves a voxel's centre by the same millimetres, in LPS."""
    import ants

    scan = replace(make_scan(tmp_path), warp_path=tmp_path / "warp.nii.gz")
    ours = field_of(scan)
    nifti.to_ants(scan.volume)  # ITK's number of threads is set before its first use
    image = ants.image_read(str(scan.warp_path))
    assert image.components == 3
    transform = ants.transform_from_displacement_field(image)
    index = (2, 3, 4)
    lps = np.array([-1, -1, 1.0])
    point = (ours.affine @ [*index, 1.0])[:3]
    found = np.array(ants.apply_ants_transform_to_point(transform, tuple(point * lps))) * lps
    assert np.allclose(found - point, ours.data[index], atol=1e-3)


def test_displacements_on_a_part_of_the_scan_by_hand():
    """A field that grows by 0.5 mm a mm along x, looked up on a shifted, finer grid."""
    data = np.zeros((5, 5, 5, 3), np.float32)
    data[..., 0] = 2.0 * np.arange(5)[:, None, None]
    field = Volume(data, np.diag([4.0, 4.0, 4.0, 1.0]))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 3.0
    x, y, z = warp.displaced(Volume(np.zeros((6, 3, 3)), affine), field)
    assert np.allclose(x[:, 1, 1], 0.5 * (3 + np.arange(6)))
    assert not y.any()
    assert not z.any()


@needs_template
def test_defacers_of_one_scan_share_the_registration(tmp_path, counted):
    scan = make_scan(tmp_path)
    matrix = tmp_path / "sub-01_from-T1w_to-template_mode-image_xfm.json"
    matrices.write_matrix(scan.to_template, matrix)
    head = tmp_path / "head.nii"
    nifti.write(scan.volume.with_data(scan.head), head)
    row = {"scan": "sub-01", "path": scan.path, "brain_path": scan.brain_path}
    row |= {"head_path": head, "template_path": matrix}
    ours = deface.prepared(row)
    assert ours.warp_path == bids.nonlinear(matrix)
    for number, options in enumerate(({}, {"ears": False})):
        out = tmp_path / f"{number}.nii.gz", tmp_path / f"{number}_mask.nii.gz"
        given = {**mri_reface.METHOD.defaults, **options}
        deface.apply(deface.prepared(row), mri_reface.METHOD, given, *out)
    assert len(counted) == 1


@needs_template
def test_registration_of_the_mean_head_to_itself_moves_little():
    head = geometry.coarse(template.mean_head(), 4.0)
    solid = head.data > 60
    scan = _prepared(head, solid)
    found = warp.compute(scan.volume, scan.to_template)
    size = np.linalg.norm(found.data, axis=-1)
    assert found.data.shape == (*head.shape, 3)
    assert size[solid].mean() < 0.5
    assert size[solid].max() < 4.0


def _prepared(volume, head, brain=None):
    from refacebench.contracts import PreparedScan

    brain = np.zeros(volume.shape, bool) if brain is None else brain
    return PreparedScan(volume, brain, head, np.eye(4), None, None, seed=1)


# ---------------------------------------------------------------- mideface


LINE = {**mideface.METHOD.defaults, "in_share": 1.0}


def line(average_to, head_to, **options):
    """Return the filled voxels of a row of 40 voxels of 1 mm, both heads starting at 0."""
    average, head, inside = np.zeros((3, 40, 3, 3), bool)
    average[:average_to], head[:head_to], inside[:] = True, True, True
    filled, depth = mideface.band(
        average, head, inside, np.ones(3), {**LINE, **options}, options.get("in_max_mm", 20.0)
    )
    assert (depth[:average_to] > 0).all()
    assert (depth[average_to:] < 0).all()
    return np.flatnonzero(filled[:, 1, 1]).tolist()


def test_band_where_the_average_face_lies_before_the_scans():
    """Surfaces at 20 and 15: five voxels between them, 2 mm under the skin, 2 mm of air."""
    assert line(20, 15) == list(range(13, 22))


def test_band_where_the_scans_face_lies_before_the_average():
    """Surfaces at 20 and 26: the six voxels outside the average, and 2 mm within it."""
    assert line(20, 26) == list(range(18, 26))


def test_band_is_no_deeper_than_its_limit():
    """The skin lies 14 mm under the average surface; 10 mm of it are filled."""
    assert line(30, 16, in_max_mm=10.0) == list(range(20, 32))


def test_band_follows_the_share_of_the_face_that_it_must_reach():
    """Half of the surface's own skin lies 6 mm deep, half at 0: the other half goes as deep."""
    average, head, inside = np.zeros((3, 30, 20, 3), bool)
    average[:20], inside[:] = True, True
    head[:20, :10], head[:14, 10:] = True, True
    args = (average, head, inside, np.ones(3))
    reach = {}
    for share in (0.25, 1.0):
        filled, _ = mideface.band(*args, {**LINE, "in_share": share}, 20.0)
        reach[share] = 20 - np.flatnonzero(filled[:, 0, 1]).min()
    assert reach[0.25] == 2  # the minimum
    assert reach[1.0] >= 5


@needs_template
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_mideface_fills_the_face_and_leaves_the_rest(tmp_path, codes):
    scan = make_scan(tmp_path, codes, "float32")
    facts, path, mask = run(scan, mideface, tmp_path, ears=False)
    assert facts["brain_changed"] == 0
    y = space.template_axis(scan.volume, np.eye(4), 1)
    assert not mask[y < 35].any()
    face = face_parts.face_region(scan.volume, scan.head, np.eye(4))
    depth = morphology.depth_mm(scan.head, scan.volume.spacing)
    assert mask[(face == 1) & (depth <= 4)].mean() > 0.95
    assert not mask[depth > 30].any()  # minimally invasive: nothing deep is touched
    _, _, with_ears = run(scan, mideface, tmp_path, ears=True)
    assert (with_ears & ~mask).any()
    assert not (mask & ~with_ears).any()


@needs_template
def test_mideface_noise_has_the_tissues_mean_and_the_airs(tmp_path):
    """The phantom's skin is 90 +- 4, its air uniform from 2 to 8 (mean 5)."""
    scan = make_scan(tmp_path, "RAS", "float32")
    options = {**mideface.METHOD.defaults, "ears": False}
    result = mideface.deface(scan, options)
    average = mideface._average_head(scan.volume, scan.to_template)
    tissue, air = result.values[result.changed & average], result.values[result.changed & ~average]
    assert tissue.mean() == pytest.approx(90, abs=1.5)
    assert air.mean() == pytest.approx(5, abs=0.3)
    assert 0.5 < tissue.std() < 4
    again = mideface.deface(scan, options)
    assert np.array_equal(result.values, again.values)
    other = mideface.deface(replace(scan, seed=4), options)
    assert np.array_equal(result.changed, other.changed)
    assert not np.array_equal(result.values, other.values)
    fixed = {**options, "fill": "constant", "constant_in": 7.0, "constant_out": 1.0}
    values = mideface.deface(scan, fixed).values
    assert set(np.unique(values[result.changed])) == {1.0, 7.0}


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (mideface, {"fill": "music"}, "none of noise"),
        (mideface, {"in_min_mm": 5, "in_max_mm": 2}, "in_min_mm"),
        (mideface, {"in_share": 1.5}, "in_share"),
        (mideface, {"upper": "hat"}, "none of below_eyes"),
        (mideface, {"ears": "left"}, "must be true"),
        (mri_reface, {"upper": "hat"}, "none of own"),
        (mri_reface, {"wrapped_air": 1}, "must be true"),
        (mask_face, {"filter": "sharpen"}, "none of"),
        (mask_face, {"ears": 1}, "must be true"),
    ],
)
def test_impossible_options_are_refused_when_the_config_is_read(module, options, message):
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(ValueError, match=message):
        module.check({**module.METHOD.defaults, **options})
    with pytest.raises(configuration.ConfigError, match=f"defacers.{name}"):
        configuration.check({"datasets": {}, "defacers": {name: options}})


@needs_template
@pytest.mark.parametrize("module", [mideface, mask_face, mri_reface], ids=lambda m: m.__name__)
def test_a_scan_without_a_face_in_view_is_refused(tmp_path, module):
    scan = make_scan(tmp_path, "RAS", "float32")
    keep = np.flatnonzero(space.template_axis(scan.volume, np.eye(4), 1)[0, :, 0] < 30)
    shape = scan.volume.shape
    box = (slice(0, shape[0]), slice(0, keep[-1] + 1), slice(0, shape[2]))
    part = geometry.crop(scan.volume, box)
    short = replace(scan, volume=part, head=scan.head[box], brain=scan.brain[box])
    with pytest.raises(ValueError, match="outside the field of view"):
        module.deface(short, module.METHOD.defaults)


# ---------------------------------------------------------------- mri_reface


@needs_template
def test_the_mean_heads_chin_has_no_ledge():
    """Down from the lips the front of the mean head recedes in steps, and narrows to a chin."""
    solid = extended_mean_head()[1]
    grid = region.grid()
    mask = nifti.resample(solid, grid).data > 0.5
    y, z = (grid.affine[a, a] * np.arange(mask.shape[a]) + grid.affine[a, 3] for a in (1, 2))
    middle = mask[np.abs(grid.affine[0, 0] * np.arange(mask.shape[0]) - 120 + 4) < 4].any(axis=0)
    front = {
        round(v): y[np.flatnonzero(middle[:, k])].max() for k, v in enumerate(z) if -170 < v < -80
    }
    lips, chin, throat = front[-98], front[-124], front[-160]
    assert lips - 10 < chin <= lips
    assert throat < chin - 25
    levels = [v for v in sorted(front) if -150 < v < -92]
    steps = np.abs(np.diff([front[v] for v in levels]))
    assert steps.max() <= 8
    width = {}
    for level in (-104, -134):
        k = int(np.argmin(np.abs(z - level)))
        row = mask[:, int(np.argmin(np.abs(y - 70))), k]
        width[level] = row.sum() * 2.0
    assert width[-134] < 0.8 * width[-104]


@needs_template
def test_refacing_the_mean_head_gives_its_own_surface_back():
    head = geometry.coarse(template.mean_head(), 4.0)
    solid = clean_mask(head)
    data = np.where(solid, np.maximum(head.data, 90), 2).astype(np.float32)
    result = mri_reface.deface(_prepared(head.with_data(data), solid), {**AFFINE, "noise": False})
    now = np.where(result.changed, result.values, data) > 40
    z = space.template_axis(head, np.eye(4), 2)
    away = np.minimum(
        morphology.depth_mm(solid, head.spacing), morphology.depth_mm(~solid, head.spacing)
    )
    off = (now != solid) & (away > 5.0) & (z > -95)
    assert off.sum() < 0.002 * solid.sum()


@needs_template
def test_ears_are_replaced_on_both_sides_and_only_when_asked(tmp_path):
    scan = make_scan(tmp_path, "LIA", "float32")
    with_ears = mri_reface.deface(scan, {**AFFINE, "ears": True})
    without = mri_reface.deface(scan, {**AFFINE, "ears": False})
    for ear in ear_masks(scan):
        assert ear.any()
        assert with_ears.changed[ear].mean() > 0.8
        assert not without.changed[ear].any()


@needs_template
def test_an_ear_that_sticks_out_is_gone(tmp_path):
    volume, brain, head = phantom((3.0, 3.0, 3.0))
    ear = space.inside_box(volume, np.eye(4), ((64, 92), (-16, -8), (-62, -44)))
    data = np.where(ear & ~head, 90, volume.data).astype(np.float32)
    scan = _prepared(volume.with_data(data), head | ear, brain)
    assert (data[ear & ~head] == 90).all()
    tip = ear & (space.template_axis(volume, np.eye(4), 0) > 82)
    assert tip.any()
    for module, options in ((mri_reface, {**AFFINE}), (mideface, mideface.METHOD.defaults)):
        result = module.deface(scan, {**options, "ears": True})
        assert result.changed[tip].all(), module
        assert result.values[tip].max() < 20, module
    filtered = mask_face.deface(scan, {**mask_face.METHOD.defaults, "ears": True})
    assert filtered.values[tip].max() < 60


def wrapped(codes, place, size=(24, 40)):
    """Return a phantom with a bright block in the air, and the block."""
    volume, brain, head = phantom()
    y = space.template_axis(volume, np.eye(4), 1)
    block = space.inside_box(volume, np.eye(4), ((-12, 12), place, (-60, -60 + size[1])))
    assert not (block & head).any()
    assert y[block].size
    data = np.where(block, 90, volume.data).astype(np.float32)
    turned = [oriented(volume.with_data(x), codes) for x in (data, head, brain, block)]
    return _prepared(turned[0], turned[1].data, turned[2].data), turned[3].data


@needs_template
@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAL"])
def test_signal_wrapped_behind_the_head_is_found_and_cleared(codes):
    """The phantom's field of view ends at y = -115, its head at y = -100."""
    scan, block = wrapped(codes, (-116, -106))
    found = mri_reface.wrapped_signal(scan)
    assert found[block].mean() > 0.9
    assert not found[scan.head].any()
    assert found.sum() < 20 * block.sum()
    result = mri_reface.deface(scan, {**AFFINE, "wrapped_air": True, "ears": False})
    assert result.values[found].max() <= 8
    kept = mri_reface.deface(scan, {**AFFINE, "ears": False})
    assert not kept.changed[block].any()


@needs_template
def test_what_does_not_reach_the_border_behind_the_head_is_not_wrapped():
    plain = _prepared(*(phantom()[k] for k in (0, 2, 1)))
    assert not mri_reface.wrapped_signal(plain).any()
    front, block = wrapped("RAS", (120, 150))
    assert block.any()
    assert not mri_reface.wrapped_signal(front).any()


# ---------------------------------------------------------------- mask_face


@needs_template
def test_the_three_filters_differ_and_each_changes_the_surface(tmp_path):
    scan = make_scan(tmp_path, "RAS", "float32")
    face = face_parts.face_region(scan.volume, scan.head, np.eye(4)) > 0
    shell = face & (morphology.depth_mm(scan.head, scan.volume.spacing) <= 4.0)
    found = {
        f: mask_face.deface(scan, {**mask_face.METHOD.defaults, "filter": f}).values
        for f in mask_face.FILTERS
    }
    for name, values in found.items():
        assert np.abs(values - scan.volume.data)[shell].mean() > 10, name
    for a, b in (("normfilter", "blur"), ("normfilter", "coating"), ("blur", "coating")):
        assert np.abs(found[a] - found[b])[shell].mean() > 1, (a, b)


@needs_template
def test_mask_face_filters_ears_when_asked(tmp_path):
    scan = make_scan(tmp_path, "LPS", "float32")
    off, on = (
        mask_face.deface(scan, {**mask_face.METHOD.defaults, "ears": e}) for e in (False, True)
    )
    depth = morphology.depth_mm(scan.head, scan.volume.spacing)
    for ear in ear_masks(scan):
        assert not off.changed[ear].any()
        assert on.changed[ear & (depth <= 5)].mean() > 0.8
    assert not (off.changed & ~on.changed).any()


def test_titles_tell_the_filters_apart():
    titles = {mask_face.METHOD.title_of({"filter": f}) for f in mask_face.FILTERS}
    assert len(titles) == 3


# ---------------------------------------------------------------- deepdefacer


def made_up_weights(seed=0):
    """Return kernels as TensorFlow keeps them (x, y, z, in, out), and biases."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.normal(0, np.sqrt(2 / (edge**3 * before)), (edge, edge, edge, before, after)),
            rng.normal(0, 0.1, after),
        )
        for edge, before, after in deepdefacer.LAYERS
    ]


def write_weights(path, weights):
    import h5py

    with h5py.File(path, "w") as file:
        for number, (kernel, bias) in enumerate(weights, start=1):
            home = file.create_group(f"model_weights/conv3d_{number}/conv3d_{number}")
            home["kernel:0"], home["bias:0"] = kernel.astype("f4"), bias.astype("f4")
    return path


def package(path, inside, name="deepdefacer-2.1.2/deepdefacer/model.hdf5"):
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(inside)
        archive.addfile(info, io.BytesIO(inside))
    return path


def by_hand(weights, image):
    """The network in numpy: layers numbered as in the released file."""

    def conv(x, number, last=np.maximum):
        kernel, bias = weights[number - 1]
        edge = kernel.shape[0]
        pad = [(0, 0)] + [((edge - 1) // 2, edge // 2)] * 3
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, pad), (edge,) * 3, (1, 2, 3))
        out = np.einsum("cxyzijk,ijkco->oxyz", windows, kernel) + bias[:, None, None, None]
        return last(out, 0)

    def pool(x):
        c, n = x.shape[0], x.shape[1] // 2
        return x.reshape(c, n, 2, n, 2, n, 2).max(axis=(2, 4, 6))

    def up(x):
        return x.repeat(2, 1).repeat(2, 2).repeat(2, 3)

    a = conv(conv(image, 1), 2)
    b = conv(conv(pool(a), 3), 4)
    c = conv(conv(pool(b), 5), 6)
    d = conv(conv(pool(c), 7), 8)
    x = conv(conv(pool(d), 9), 10)
    for skip, number in ((d, 11), (c, 14), (b, 17), (a, 20)):
        x = np.concatenate([skip, conv(up(x), number)])
        x = conv(conv(x, number + 1), number + 2)
    x = conv(conv(x, 23), 24, last=lambda v, _: v)
    return 1 / (1 + np.exp(-x))


@needs_h5py
def test_network_is_the_released_one_layer_by_layer(tmp_path):
    import torch

    weights = made_up_weights()
    path = write_weights(tmp_path / "model.hdf5", weights)
    image = np.random.default_rng(1).uniform(size=(1, 16, 16, 16)).astype(np.float32)
    found = deepdefacer.network(str(path))(torch.from_numpy(image)[None])[0].numpy()
    expected = by_hand(weights, image.astype(np.float64))
    assert found.shape == (1, 16, 16, 16)
    assert expected.std() > 0.01
    assert np.allclose(found, expected, atol=1e-4)


@needs_h5py
def test_weights_come_out_of_the_package_too(tmp_path):
    path = write_weights(tmp_path / "model.hdf5", made_up_weights())
    packed = package(tmp_path / "deepdefacer-2.1.2.tar.gz", path.read_bytes())
    for one, two in zip(
        deepdefacer.read_weights(path), deepdefacer.read_weights(packed), strict=True
    ):
        assert np.array_equal(one[0], two[0])
        assert np.array_equal(one[1], two[1])
    assert one[0].shape == (1, 2, 1, 1, 1)


@needs_h5py
def test_files_that_are_not_the_released_weights_are_refused(tmp_path):
    (tmp_path / "text.hdf5").write_text("no weights")
    weights = made_up_weights()
    weights[4] = (weights[4][0][:2], weights[4][1])
    write_weights(tmp_path / "shape.hdf5", weights)
    write_weights(tmp_path / "short.hdf5", made_up_weights()[:5])
    package(tmp_path / "other.tar.gz", b"x", "deepdefacer-2.1.2/README.md")
    expected = {
        "text.hdf5": "does not hold",
        "short.hdf5": "does not hold",
        "shape.hdf5": "layer 5",
        "other.tar.gz": "has no file",
    }
    for name, message in expected.items():
        with pytest.raises(ValueError, match=message) as error:
            deepdefacer.prepare({"weights": str(tmp_path / name)})
        assert name in str(error.value)


def test_missing_weights_are_said_at_the_start(tmp_path):
    assert "pip download" in deepdefacer.missing(deepdefacer.METHOD.defaults)
    gone = str(tmp_path / "gone.hdf5")
    assert gone in deepdefacer.missing({**deepdefacer.METHOD.defaults, "weights": gone})
    config = {"defacers": {"deepdefacer": {"weights": gone}}}
    with pytest.raises(configuration.ConfigError, match="gone.hdf5"):
        configuration.programs(config, look=True, folder=str(tmp_path))
    config["defacers"]["deepdefacer"]["on_missing"] = "skip"
    found = configuration.programs(config, look=True, folder=str(tmp_path))["deepdefacer"]
    assert found["engine"] == "unavailable"
    assert "pip download" in found["reason"]
    shown = deepdefacer.public({**deepdefacer.METHOD.defaults, "weights": "/home/jane/model.hdf5"})
    assert shown["weights"] == "model.hdf5"


@needs_h5py
@pytest.mark.parametrize("codes", ["RAS", "LIA", "SPL"])
def test_deepdefacer_multiplies_with_the_networks_mask(tmp_path, monkeypatch, codes):
    """A stand-in network that removes the front third of what it sees, in RAS axes."""
    import torch

    seen = []

    def front(image):
        seen.append(image)
        answer = torch.ones_like(image)
        answer[:, :, :, 107:] = 0.2
        return answer

    monkeypatch.setattr(deepdefacer, "network", lambda weights: front)
    scan = make_scan(tmp_path, codes, "float32")
    (tmp_path / "w").write_text("")
    facts, path, mask = run(scan, deepdefacer, tmp_path, weights=str(tmp_path / "w"))
    assert seen[0].shape == (1, 1, 160, 160, 160)
    assert float(seen[0].min()) == 0.0
    assert float(seen[0].max()) == pytest.approx(1.0)
    y = space.template_axis(scan.volume, np.eye(4), 1)
    limit = -115 + 107 / 160 * (y.max() + 115)
    assert mask[(y > limit + 6) & ~scan.brain].all()
    assert not mask[y < limit - 6].any()
    assert nifti.read(path).data[mask & (y > limit + 6)].max() == 0
    assert facts["brain_changed"] == 0


def test_resizing_by_hand():
    """10 voxels to 4: steps of 3, the middles (5 and 2) meet at -1, cut off at the first voxel."""
    data = np.broadcast_to(np.arange(10.0, dtype=np.float32)[:, None, None], (10, 4, 4))
    found = deepdefacer._resize(np.ascontiguousarray(data), (4, 4, 4))
    assert np.allclose(found[:, 1, 1], [0, 2, 5, 8])
