"""CP-GAN: the privacy transform, the defacer that writes it, the refacer that reads it."""

import json

import numpy as np
import pytest

from hollows import SHAPE, pair, person, scan
from trainings import FILES, assert_bomb_is_refused, assert_same_files, interrupt

torch = pytest.importorskip("torch")

from hypothesis import strategies as st  # noqa: E402

from refacebench.contracts import Pair, TrainingFailed  # noqa: E402
from refacebench.defacers import cpgan_hull  # noqa: E402
from refacebench.head import hull as privacy  # noqa: E402
from refacebench.image import nifti  # noqa: E402
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


# ----------------------------------------------------------------- the transform


points = st.lists(st.tuples(*[st.integers(0, 11)] * 3), min_size=4, max_size=25)


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


# ------------------------------------------------------- learning rates of the layers


@pytest.mark.parametrize("kind", ["adam", "adamp"])
def test_equalised_rates_are_weights_of_spread_one_scaled_in_use(kind):
    """Karras et al. 2018: a convolution with w / s, times s in use, s its spread at the start."""
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Conv3d(6, 4, 3) for _ in range(2))
    cpgan_networks.initialise(ours)
    drawn = cpgan_networks.spread(torch.zeros(500, 6, 3, 3, 3))
    wide = torch.nn.Conv3d(6, 500, 3)
    cpgan_networks.initialise(wide)
    assert float(wide.weight.detach().std()) == pytest.approx(drawn, rel=0.02)
    theirs.weight.data.copy_(ours.weight.data / drawn)
    theirs.bias.data.zero_()
    options = {**TINY, "optimiser": kind, "betas": [0.0, 0.99], "equalised": True}
    tools = [
        cpgan.optimiser(net, 2e-3, {**options, "equalised": net is ours}, torch.device("cpu"))
        for net in (ours, theirs)
    ]
    for _ in range(5):
        x, y = torch.randn(2, 6, 5, 5, 5), torch.randn(2, 4, 3, 3, 3)
        for net, factor, tool in zip((ours, theirs), (1.0, drawn), tools, strict=True):
            tool.zero_grad()
            made = torch.nn.functional.conv3d(x, net.weight * factor, net.bias)
            ((made - y) ** 2).mean().backward()
            tool.step()
    torch.testing.assert_close(ours.weight, theirs.weight * drawn, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.bias, theirs.bias, rtol=1e-4, atol=1e-6)


def test_wide_networks_do_not_run_away_at_the_published_rate():
    """Coarse layers of the published width: without equalised rates the losses pass 30."""
    options = {**cpgan3d.METHOD.defaults, "size": 8, "filters": 64, "device": "cpu"}
    rng, shape = np.random.default_rng(0), (8, 8, 8)
    hull, brain = np.zeros(shape, bool), np.zeros(shape, bool)
    hull[1:7, 1:7, 1:7] = brain[2:6, 2:6, 2:6] = True
    heads = []
    for _ in range(4):
        target = rng.uniform(0, 1, shape).astype(np.float16)
        tissue = np.where(brain, target, np.float16(0))
        heads.append(whole_heads.WholeHead(hull, brain, tissue, target, None, 1.0, 1.0, 0.0))
    stack, worst = head_stack.HeadStack(heads, "cpu"), {}
    for equalised in (True, False):
        chosen = {**options, "equalised": equalised}
        task = cpgan.CPGAN(stack, stack, chosen, 0, torch.device("cpu"), "float32", "val_swd")
        generator = torch.Generator().manual_seed(0)
        steps = [task.step(torch.tensor([n % 4, (n + 1) % 4]), generator) for n in range(6)]
        worst[equalised] = max(float(v) for losses in steps for v in losses.values())
    assert worst[True] < 5
    assert worst[False] > 20
