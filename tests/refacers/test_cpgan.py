"""CP-GAN: the privacy transform, the defacer that writes it, the refacer that reads it."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from trainings import FILES, assert_bomb_is_refused, assert_same_files, interrupt

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from refacebench.contracts import Pair, PreparedScan, TrainingFailed  # noqa: E402
from refacebench.defacers import cpgan_hull  # noqa: E402
from refacebench.head import hull as privacy  # noqa: E402
from refacebench.head import sampled_hull  # noqa: E402
from refacebench.image import convex_hull, nifti  # noqa: E402
from refacebench.refacers import cpgan3d  # noqa: E402
from refacebench.run import methods  # noqa: E402
from refacebench.stages import deface  # noqa: E402
from refacebench.training import (  # noqa: E402
    cpgan,
    cpgan_networks,
    head_stack,
    pyramid,
    wasserstein,
    whole_heads,
    working_grid,
)
from refacebench.training.optimisers import AdamP  # noqa: E402

SHAPE, SPACING = (28, 32, 30), 6.0
TINY = {
    **cpgan3d.METHOD.defaults,
    "size": 16,
    "voxel_mm": 12.0,
    "filters": 4,
    "max_filters": 8,
    "optimiser": "adam",
    "learning_rate": 2e-3,
    "l1_weight": 5.0,
    "epochs": 3,
    "steps_per_epoch": 4,
    "augment": 0.03,
    "mirror": True,
    "average": 0.9,
    "device": "cpu",
    "precision": "float32",
}
SAMPLED = {"hull": "sampled", "rotations": 3, "triangles": 30}


def person(face: int):
    """Return intensities, head and brain of a made-up head.

    People differ in the depth, the place and the brightness of a hollow in the
    face, well within the hull, and in nothing else.
    """
    rng = np.random.default_rng(5)
    at = np.indices(SHAPE).astype(float)
    x, y, z = (a - c for a, c in zip(at, (13.5, 14.5, 14.5), strict=True))
    head = (x / 11) ** 2 + (y / 13) ** 2 + (z / 12) ** 2 < 1
    brain = (x / 6) ** 2 + ((y + 2) / 7) ** 2 + ((z - 2) / 6) ** 2 < 1
    values = rng.uniform(80, 160, SHAPE).astype(np.float32)
    if face:
        own = np.random.default_rng(face)
        # A nose and a chin on the hull, a hollow of one's own between them.
        hollow = (abs(x) < 5) & (y > 7 - own.integers(3)) & (abs(z + own.integers(4)) < 3.5)
        frame = np.zeros(SHAPE, bool)
        frame[privacy_corners(head)] = True
        head = head & (~hollow | frame)
        values[~brain] = own.uniform(20, 400, (~brain).sum())
    values[~head] = 0
    return values, head, brain


def privacy_corners(head):
    """Return the corners of a head's hull, as an index."""
    from scipy.spatial import ConvexHull

    points = np.argwhere(head)
    return tuple(points[ConvexHull(points).vertices].T)


def scan(folder, face=1, shift=0, codes="RAS"):
    """Write a person as NIfTI files and return it as a prepared scan."""
    values, head, brain = (np.roll(a, shift, 2) for a in person(face))
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    volumes = [nifti.reorient(nifti.Volume(a, affine), codes) for a in (values, head, brain)]
    paths = [folder / f"{name}{face}{shift}{codes}.nii" for name in ("scan", "head", "brain")]
    for volume, path in zip(volumes, paths, strict=True):
        nifti.write(volume, path, None if volume.data.dtype == bool else np.int16)
    return PreparedScan(
        nifti.read(paths[0]), volumes[2].data, volumes[1].data, np.eye(4), paths[0], paths[2], 7
    )


def pair(folder, **who) -> Pair:
    prepared = scan(folder, **who)
    name = prepared.path.stem
    out, mask = folder / f"{name}_defaced.nii.gz", folder / f"{name}_changed.nii.gz"
    deface.apply(prepared, cpgan_hull.METHOD, cpgan_hull.METHOD.defaults, out, mask)
    return Pair(name, str(prepared.path), str(out), str(mask), str(prepared.brain_path))


# ----------------------------------------------------------------- the transform


@pytest.mark.parametrize("options", [{}, SAMPLED], ids=["exact", "sampled"])
def test_nothing_of_the_face_is_left(options):
    """Two heads with other faces but one hull and one brain give the same bits."""
    (one, head1, brain), (two, head2, _) = person(1), person(2)
    assert (head1 != head2).sum() > 30
    assert (one != two)[head1 & ~brain].mean() > 0.9
    assert np.array_equal(one[brain], two[brain])
    a, b = (
        privacy.transform(v, h, brain, (2, 2, 2), seed=4, **options)
        for v, h in ((one, head1), (two, head2))
    )
    for name in ("hull", "brain", "tissue"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert privacy.to_image(a).tobytes() == privacy.to_image(b).tobytes()


def test_the_written_files_of_two_faces_are_the_same_bytes(tmp_path):
    written = []
    for face in (1, 2):
        (tmp_path / str(face)).mkdir()
        made = pair(tmp_path / str(face), face=face)
        written.append(
            [gzip.decompress(Path(p).read_bytes()) for p in (made.defaced, made.changed)]
        )
    assert written[0] == written[1]


def test_another_hull_or_brain_gives_another_transform():
    values, head, brain = person(1)
    base = privacy.transform(values, head, brain, (2, 2, 2))
    larger = head.copy()
    larger[13:15, 29:31, 14] = True  # a longer nose
    assert (privacy.transform(values, larger, brain, (2, 2, 2)).hull != base.hull).any()
    brighter = np.where(brain, values + 1, values)
    assert (privacy.transform(brighter, head, brain, (2, 2, 2)).tissue != base.tissue).any()


def test_drawing_from_the_head_itself_shows_hollows():
    """Why ``surface: hull`` is the default: the paper's own draw depends on concavities."""
    (values, head1, brain), (_, head2, _) = person(1), person(2)
    one, two = (
        privacy.transform(values, h, brain, (2, 2, 2), seed=4, surface="head", **SAMPLED)
        for h in (head1, head2)
    )
    assert (one.hull != two.hull).any()


points = st.lists(st.tuples(*[st.integers(0, 11)] * 3), min_size=4, max_size=25)


@settings(max_examples=40, deadline=None)
@given(points)
def test_hull_is_exact(corners):
    """Against a linear program a voxel: is it a convex combination of the corners?"""
    from scipy.optimize import linprog

    mask = np.zeros((12, 12, 12), bool)
    mask[tuple(np.array(corners).T)] = True
    known = np.argwhere(mask)
    if np.linalg.matrix_rank(known - known[0]) < 3:
        with pytest.raises(ValueError, match="no convex hull"):
            convex_hull.convex_hull(mask)
        return
    filled = convex_hull.convex_hull(mask)
    assert np.array_equal(convex_hull.convex_hull(filled), filled)
    rng = np.random.default_rng(0)
    low, high = known.min(axis=0), known.max(axis=0)
    equal = np.vstack([known.T, np.ones(len(known))])
    for voxel in rng.integers(low, high + 1, (25, 3)):
        answer = linprog(np.zeros(len(known)), A_eq=equal, b_eq=[*voxel, 1], method="highs")
        assert filled[tuple(voxel)] == (answer.status == 0)


def test_hull_agrees_with_scikit_image():
    from skimage.morphology import convex_hull_image

    _, head, _ = person(1)
    assert np.array_equal(
        convex_hull.convex_hull(head), convex_hull_image(head, offset_coordinates=False)
    )


def test_first_voxels_are_marked_from_six_sides():
    cube = torch.zeros(5, 5, 5, dtype=torch.bool)
    cube[1:4, 1:4, 1:4] = True
    marks = sampled_hull.first_voxels(cube) * 6
    assert marks[2, 2, 2] == 0
    assert marks[1, 2, 2] == 1  # a face: seen from one side
    assert marks[1, 1, 2] == 2  # an edge
    assert marks[1, 1, 1] == 3  # a corner
    assert marks.sum() == 6 * 9
    assert (marks[~cube] == 0).all()


def test_surface_probability_lies_on_the_surface():
    at = np.indices((32, 32, 32)) - 15.5
    ball = (at**2).sum(axis=0) < 12**2
    found = sampled_hull.surface_probability(ball, (2, 2, 2), 4, torch.Generator().manual_seed(1))
    radius = np.sqrt((at**2).sum(axis=0))
    assert found.numpy()[radius < 9].max() == 0
    assert found.numpy()[radius > 15].max() == 0
    # Every direction is as good as another: the mean probability is the same in all octants.
    octants = found.reshape(2, 16, 2, 16, 2, 16).sum(dim=(1, 3, 5)).flatten()
    assert octants.std() / octants.mean() < 0.05
    # Six shadows of a disc, a sixth each.
    assert found.sum() == pytest.approx(np.pi * 12**2, rel=0.05)


def test_turns_are_rigid_for_any_voxel_shape():
    """Half as many voxels of double length along one axis: the same ball, the same map."""
    at = np.indices((16, 32, 32)) * np.array([2.0, 1, 1])[:, None, None, None]
    ball = ((at - np.array([15, 15.5, 15.5])[:, None, None, None]) ** 2).sum(axis=0) < 12**2
    found = sampled_hull.surface_probability(ball, (2, 1, 1), 4, torch.Generator().manual_seed(1))
    near = np.sqrt(((at - np.array([15, 15.5, 15.5])[:, None, None, None]) ** 2).sum(axis=0))
    assert found.numpy()[(near < 8) | (near > 15.5)].max() == 0
    assert found.sum() > 0


def test_carved_volume_is_the_intersection_of_half_spaces():
    normals, offsets = np.array([[1, 0, 0], [0, 2, -1]]), np.array([2, 3])
    found = sampled_hull.carve((5, 5, 5), normals, offsets)
    i, j, k = np.indices((5, 5, 5))
    assert np.array_equal(found, (i <= 2) & (2 * j - k <= 3))


def test_sampled_hull_holds_the_drawn_head_and_is_drawn_anew_by_each_seed():
    _, head, brain = person(1)
    exact = convex_hull.convex_hull(head)
    one, again, other = (
        sampled_hull.sampled_hull(exact, (2, 2, 2), 8, 100, seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert 2 * (one & exact).sum() / (one.sum() + exact.sum()) > 0.9


def test_downsampling_reads_averages_as_probabilities():
    mask = torch.zeros(1, 1, 80, 80, 80)
    mask[..., ::2] = 1
    mask[:, :, :4] = 0
    mask[:, :, -4:] = 1
    small = pyramid.downsample(mask, 4, torch.Generator().manual_seed(0))
    assert small.shape[-3:] == (20, 20, 20)
    assert set(small.unique().tolist()) == {0.0, 1.0}
    assert small[:, :, 0].max() == 0
    assert small[:, :, -1].min() == 1
    assert small[:, :, 1:-1].mean() == pytest.approx(0.5, abs=0.03)


def test_image_of_the_transform_is_read_back():
    values, head, brain = person(3)
    gamma = privacy.transform(values, head, brain, (2, 2, 2))
    back = privacy.from_image(np.rint(privacy.to_image(gamma)), ~brain)
    assert np.array_equal(back.hull, gamma.hull)
    assert np.array_equal(back.brain, brain)
    assert np.array_equal(back.tissue, np.rint(gamma.tissue))


def test_wrong_inputs_are_refused():
    values, head, brain = person(1)
    with pytest.raises(ValueError, match="brain mask is empty"):
        privacy.transform(values, head, np.zeros_like(brain), (2, 2, 2))
    with pytest.raises(ValueError, match="hull 'round'"):
        privacy.transform(values, head, brain, (2, 2, 2), hull="round")
    with pytest.raises(ValueError, match="not a hull image"):
        privacy.from_image(values, ~brain)
    with pytest.raises(ValueError, match="above zero"):
        privacy.to_image(privacy.transform(0 * values, head, brain, (2, 2, 2)))


# ----------------------------------------------------------------- the defacer


@pytest.mark.parametrize("options", [{}, SAMPLED], ids=["exact", "sampled"])
def test_defacer_keeps_the_brain_and_replaces_all_else(tmp_path, options):
    prepared = scan(tmp_path)
    chosen = {**cpgan_hull.METHOD.defaults, **options}
    out = tmp_path / "out.nii"
    facts = deface.apply(prepared, cpgan_hull.METHOD, chosen, out, tmp_path / "mask.nii")
    assert facts["brain_changed"] == facts["brain_removed"] == 0
    assert np.array_equal(nifti.read_mask(tmp_path / "mask.nii"), ~prepared.brain)
    now = nifti.read(out).data
    assert np.array_equal(now[prepared.brain], prepared.volume.data[prepared.brain])
    assert len(np.unique(now[~prepared.brain])) == 2
    assert methods.choose("defacers", "cpgan_hull").method is cpgan_hull.METHOD


# ----------------------------------------------------------------- the networks


def test_six_scales_with_links_of_one_channel_at_the_published_size():
    with torch.device("meta"):
        g = cpgan_networks.Generator()
        d = cpgan_networks.Discriminator()
        edges = [4, 8, 16, 32, 64, 128]
        assert g.scales == d.scales == edges
        gammas = [torch.zeros(2, 3, e, e, e) for e in edges]
        noise = torch.zeros(g.noise_shape(2))
        volumes = g(noise, gammas)
        assert [tuple(v.shape) for v in volumes] == [(2, 1, e, e, e) for e in edges]
        assert d(volumes, gammas).shape == (2,)
    assert noise.shape == (2, 1, 4, 4, 4)
    assert len(g.blocks) == len(g.links) == len(d.blocks) == 6
    assert [link.out_channels for link in g.links] == [1] * 6


@pytest.mark.parametrize("conv", ["dense", "mbconv"])
def test_every_scale_of_both_networks_sees_transform_and_link(conv):
    torch.manual_seed(0)
    g, d = (
        kind(16, 4, 8, conv, 2) for kind in (cpgan_networks.Generator, cpgan_networks.Discriminator)
    )
    gammas = [torch.rand(1, 3, e, e, e, requires_grad=True) for e in g.scales]
    volumes = [torch.rand(1, 1, e, e, e, requires_grad=True) for e in g.scales]
    d(volumes, gammas).sum().backward()
    assert all(t.grad.abs().sum() > 0 for t in [*volumes, *gammas])
    gammas = [torch.rand(1, 3, e, e, e, requires_grad=True) for e in g.scales]
    noise = torch.randn(g.noise_shape(1), requires_grad=True)
    g(noise, gammas)[-1].sum().backward()
    assert all(t.grad.abs().sum() > 0 for t in [noise, *gammas])
    depthwise = [m for m in g.modules() if getattr(m, "groups", 1) > 1]
    assert bool(depthwise) == (conv == "mbconv")


def test_impossible_sizes_and_convolutions_are_refused():
    with pytest.raises(ValueError, match="size 48"):
        cpgan_networks.scales(48)
    with pytest.raises(ValueError, match="conv 'sparse'"):
        cpgan_networks.Generator(8, 2, 4, "sparse")


def test_relativistic_loss_by_hand():
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([0.5, 1.0])
    # (1.5 - 1)^2 = 0.25 and (-1 - 1)^2 = 4; against averages it would be another number.
    assert cpgan_networks.relativistic(real, fake) == pytest.approx((0.25 + 4) / 2)
    assert cpgan_networks.relativistic(fake, real) == pytest.approx((6.25 + 0) / 2)


def test_composition_at_every_scale_is_the_average_of_the_fine_one():
    generator = torch.Generator().manual_seed(0)
    g = cpgan_networks.Generator(16, 2, 4)
    brain = (torch.rand(1, 1, 16, 16, 16) < 0.4).float()
    tissue = torch.rand(1, 1, 16, 16, 16) * brain
    batch = pyramid.inputs((torch.ones_like(brain), brain, tissue, tissue), g, generator)
    flat = [torch.full((1, 1, e, e, e), 0.7) for e in g.scales]
    found = pyramid.compose(flat, batch)
    assert torch.equal(found[-1], torch.where(brain > 0, tissue, torch.tensor(0.7)))
    for volume, edge in zip(found, g.scales, strict=True):
        assert torch.allclose(volume, pyramid.pool(found[-1], 16 // edge), atol=1e-6)


# ----------------------------------------------------------------- AdamP


def test_adamp_is_adam_where_weights_are_not_free_of_scale():
    torch.manual_seed(0)
    start = torch.randn(3, 4)
    weights = [start.clone().requires_grad_(), start.clone().requires_grad_()]
    kinds = (AdamP, torch.optim.Adam)
    tools = [k([w], lr=0.1, betas=(0.5, 0.9)) for k, w in zip(kinds, weights, strict=True)]
    for _ in range(5):
        for weight, tool in zip(weights, tools, strict=True):
            tool.zero_grad()
            (weight**2).sum().backward()  # the gradient lies along the weights
            tool.step()
    assert torch.allclose(*weights, atol=1e-6)


def test_adamp_moves_across_weights_that_are_free_of_scale():
    weight = torch.tensor([[3.0, 4.0]], requires_grad=True)
    tool = AdamP([weight], lr=0.1, betas=(0.0, 0.99), delta=10.0)
    weight.grad = torch.tensor([[1.0, 0.0]])
    tool.step()
    # Adam's step is (1, 0); less its part 0.6 along (0.6, 0.8) that is (0.64, -0.48).
    assert weight.detach().numpy() == pytest.approx(np.array([[3 - 0.064, 4 + 0.048]]), abs=1e-5)


# ----------------------------------------------------------------- training


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    return [pair(folder, face=n) for n in range(1, 4)] + [pair(folder, face=5, shift=1)]


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    cpgan3d.train(pairs[:3], pairs[3:], out, TINY, seed=3)
    return out


def test_training_writes_model_card_and_curves(trained):
    assert {"model.safetensors", "card.json", "curves.tsv"} <= {p.name for p in trained.iterdir()}
    card = json.loads((trained / "card.json").read_text())
    assert card["method"] == "cpgan3d"
    assert set(card["validation_baselines"]) == {"hull", "mean_head", "other_person"}
    assert card["picked"]["validation"]["val_swd"] > 0
    curves = (trained / "curves.tsv").read_text().splitlines()
    assert len(curves) == 1 + TINY["epochs"]
    assert "val_swd" in curves[0]
    samples = {p.stem: np.load(p, allow_pickle=False) for p in (trained / "samples").glob("*.npy")}
    assert set(samples) == {"defaced", "original", "epoch-0001", "epoch-0002", "epoch-0003"}
    assert {(a.shape, a.dtype.name) for a in samples.values()} == {((1, 16, 16), "uint8")}


@pytest.mark.parametrize("optimiser", ["adam", "adamp"])
def test_interrupted_training_ends_in_the_same_bytes(pairs, tmp_path, monkeypatch, optimiser):
    options = {**TINY, "optimiser": optimiser}

    def train(name):
        cpgan3d.train(pairs[:3], pairs[3:], tmp_path / name, options, seed=3)

    train("whole")
    interrupt(lambda: train("cut"), monkeypatch, cpgan.CPGAN, "validate", 2, done=False)
    assert (tmp_path / "cut" / "state.safetensors").is_file()
    train("cut")
    assert_same_files(tmp_path / "cut", tmp_path / "whole", FILES)


def test_only_hull_images_train(pairs, tmp_path):
    import dataclasses

    wrong = dataclasses.replace(pairs[0], defaced=pairs[0].original)
    with pytest.warns(UserWarning, match="left out"):
        heads, left_out = cpgan3d.read_pairs([wrong, pairs[1]], TINY)
    assert (list(heads), list(left_out)) == ([pairs[1].scan], [wrong.scan])
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(TrainingFailed, match="use the scans of the defacer cpgan_hull"),
    ):
        cpgan3d.train([wrong], pairs[3:], tmp_path, TINY, seed=0)
    with pytest.raises(ValueError, match="both training and validation"):
        cpgan3d.train(pairs[:2], pairs[1:2], tmp_path, TINY, seed=0)
    with pytest.raises(ValueError, match="optimiser 'sgd'"):
        cpgan3d.train(pairs[:2], pairs[3:], tmp_path, {**TINY, "optimiser": "sgd"}, seed=0)


def test_patch_distance_knows_texture_and_place():
    generator = torch.Generator().manual_seed(1)
    real = torch.rand(2, 1, 24, 24, 24, generator=generator)
    around = torch.ones(2, 1, 24, 24, 24, dtype=torch.bool)
    assert wasserstein.sliced_wasserstein(real, real, around) == 0
    assert (
        wasserstein.sliced_wasserstein(real.flip(0), real, around) < 0.02
    )  # another order of persons
    flat = torch.full_like(real, 0.5)
    assert wasserstein.sliced_wasserstein(flat, real, around) > 0.05  # right mean, no texture
    assert wasserstein.sliced_wasserstein(real + 1, real, around) == pytest.approx(0.8, abs=0.2)
    half = real.clone()
    half[:, :, :, 12:] = 0
    back = half.flip(3)
    assert wasserstein.sliced_wasserstein(half, back, around) > 0.2  # at the wrong end


def test_validation_errors_by_hand():
    hull, brain = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    hull[..., :4] = brain[..., :2] = True
    air = np.zeros((8, 8, 8), np.float32)
    heads = head_stack.HeadStack(
        [whole_heads.WholeHead(hull, brain, air, air, None, 1.0, 1.0, 0.0)], "cpu"
    )
    made = torch.zeros(1, 1, 8, 8, 8)
    made[..., 2:4] = 0.3
    found = cpgan.validation_values(made, heads)
    assert found["val_l1_hull"] == pytest.approx(0.3)
    assert found["val_l1_changed"] == pytest.approx(0.1)


def test_augmentation_moves_everything_alike(pairs):
    heads = head_stack.HeadStack(list(cpgan3d.read_pairs(pairs[:2], TINY)[0].values()), "cpu")
    parts = heads.get(torch.arange(2))
    moved = head_stack.move(parts, 0.1, True, torch.Generator().manual_seed(3))
    hull, brain, tissue, target = moved
    assert not torch.equal(hull, parts[0])
    assert set(brain.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(tissue, target * brain)
    assert (hull >= brain).all()
    same = head_stack.move(parts, 0.0, False, torch.Generator())
    assert all(torch.equal(a, b) for a, b in zip(same, parts, strict=True))


# ----------------------------------------------------------------- refacing


def refaced(model, made: Pair):
    return cpgan3d.reface(model, nifti.read(made.defaced), nifti.read_mask(made.changed), TINY)


def test_reface_gives_one_result_on_the_scans_grid(trained, pairs):
    assert methods.choose("refacers", "cpgan3d").method is cpgan3d.METHOD
    model = cpgan3d.load(trained, TINY)
    values = refaced(model, pairs[3])
    assert values.shape == SHAPE
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.tobytes() == refaced(cpgan3d.load(trained, TINY), pairs[3]).tobytes()
    # Brain and hull are all that it knows: another face, the same result.
    assert refaced(model, pairs[0]).tobytes() == refaced(model, pairs[1]).tobytes()


def test_reface_does_not_depend_on_the_orientation(trained, tmp_path):
    model = cpgan3d.load(trained, TINY)
    straight, turned = pair(tmp_path, face=1), pair(tmp_path, face=1, codes="PIR")
    back = nifti.reorient(
        nifti.Volume(refaced(model, turned), nifti.read(turned.defaced).affine), "RAS"
    )
    assert np.allclose(back.data, refaced(model, straight), atol=1e-3)


def test_scan_of_another_defacer_is_an_error_with_a_reason(trained, pairs):
    model = cpgan3d.load(trained, TINY)
    with pytest.raises(ValueError, match="not a hull image"):
        cpgan3d.reface(
            model, nifti.read(pairs[0].original), nifti.read_mask(pairs[0].changed), TINY
        )


def test_restoring_undoes_the_working_grid():
    """A smooth head survives the way to the working grid and back."""
    values, head, brain = person(0)
    at = np.indices(SHAPE).astype(float)
    smooth = (100 + 40 * np.sin(at[1] / 6) * np.cos(at[2] / 7)).astype(np.float32)
    volume = nifti.Volume(smooth, np.diag([6.0, 6, 6, 1]))
    gamma = privacy.transform(smooth, head, brain, volume.spacing)
    hull_image = volume.with_data(privacy.to_image(gamma))
    options = {**TINY, "size": 32, "voxel_mm": 7.0}
    made = whole_heads.prepare(hull_image, ~brain, volume, options)
    back = whole_heads.restore(made.target, made, volume, gamma.hull, "cubic")
    assert np.abs(back - smooth)[head & ~brain].mean() < 2
    assert made.covered == 1
    assert made.clipped == 0


def test_beyond_the_working_grid_the_neck_goes_on_and_the_air_is_air():
    values, head, brain = person(1)
    volume = nifti.Volume(values, np.diag([6.0, 6, 6, 1]))
    gamma = privacy.transform(values, head, brain, volume.spacing)
    hull_image = volume.with_data(privacy.to_image(gamma))
    made = whole_heads.prepare(hull_image, ~brain, volume, {**TINY, "voxel_mm": 8.0})
    assert made.covered < 0.98
    back = whole_heads.restore(np.full((16, 16, 16), 0.5), made, volume, gamma.hull, "linear")
    outside = ~working_grid.covered(made.frame, SHAPE)
    assert (outside & gamma.hull).any()
    assert np.allclose(back[gamma.hull], made.scale / 2)
    assert (outside & ~gamma.hull).any()
    assert back[outside & ~gamma.hull].max() == 0


def test_loading_runs_no_code_and_wants_the_same_options(trained, tmp_path):
    import shutil

    with pytest.raises(ValueError, match="filters 4 not 5"):
        cpgan3d.load(trained, {**TINY, "filters": 5})
    shutil.copytree(trained, tmp_path / "model")

    def load():
        cpgan3d.load(tmp_path / "model", TINY)

    assert_bomb_is_refused(load, tmp_path / "model" / "model.safetensors")
