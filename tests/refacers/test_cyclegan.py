"""Refacer cyclegan2d: the networks' published size, losses, pool, resuming, compositing."""

import dataclasses
import json

import numpy as np
import pytest

from balls import SHAPE, ball
from trainings import FILES, assert_same_files, interrupt

torch = pytest.importorskip("torch")

from refacebench import contracts  # noqa: E402
from refacebench.refacers import cyclegan2d  # noqa: E402
from refacebench.run import methods  # noqa: E402
from refacebench.training import (  # noqa: E402
    loop,
    networks,
    slice_stack,
    slice_task,
    slices,
    slicewise,
    working_grid,
)
from refacebench.training.task import Schedule  # noqa: E402

TINY = {
    **cyclegan2d.METHOD.defaults,
    "size": 16,
    "voxel_mm": 9.0,
    "filters": 4,
    "blocks": 1,
    "discriminator_filters": 4,
    "discriminator_layers": 1,
    "discriminator_stride": 1,
    "batch": 2,
    "epochs": 2,
    "decay_epochs": 2,
    "steps_per_epoch": 5,
    "pool": 3,
    "augment": 0.05,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    cyclegan2d.METHOD.train(pairs[:3], pairs[3:4], out, TINY, seed=3)
    return out


def convolutions(network) -> list[str]:
    kinds = ("Conv2d", "ConvTranspose2d")
    return [type(m).__name__ for m in network.modules() if type(m).__name__ in kinds]


def test_generator_has_the_published_size():
    net = cyclegan2d.network(cyclegan2d.METHOD.defaults)
    assert len(convolutions(net)) == 24
    assert convolutions(net).count("ConvTranspose2d") == 2
    # Convolutions with bias, and a scale and shift for each of the 23 norms:
    # 7x7x32, 64 and 128 by 3x3, 18 of 128 by 3x3, 64 and 32 by 3x3, 7x7x1.
    widths = [32, 64, 128, *[128] * 18, 64, 32]
    weights = 49 * 32 + 9 * (32 * 64 + 64 * 128 + 18 * 128 * 128 + 128 * 64 + 64 * 32) + 49 * 32
    assert networks.count_parameters(net) == weights + 3 * sum(widths) + 1 == 2_849_537
    assert net(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 256, 256)


def test_discriminator_has_five_convolutions_and_the_strides_of_the_paper():
    net = cyclegan2d.discriminator(cyclegan2d.METHOD.defaults)
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [64, 128, 256, 512, 1]
    assert [layer.stride[0] for layer in layers] == [2, 2, 2, 2, 1]
    assert {layer.kernel_size for layer in layers} == {(4, 4)}
    assert net(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 15, 15)


@pytest.mark.parametrize(("stride", "field"), [(2, 94), (1, 70)])
def test_discriminator_sees_so_many_pixels(stride, field):
    net = networks.PatchDiscriminator(1, 4, per_image=False, last_stride=stride).eval()
    image = torch.rand(1, 1, 160, 160, requires_grad=True)
    scores = net(image)
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.any(dim=0).sum() == seen.any(dim=1).sum() == field


def test_borders_are_mirrored_as_by_torch():
    x = torch.rand(2, 3, 9, 7, requires_grad=True)
    own, theirs = networks.reflect(x, 3), torch.nn.ReflectionPad2d(3)(x)
    assert torch.equal(own, theirs)
    weight = torch.rand_like(own)
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (own, theirs)]
    assert torch.allclose(*gradients, atol=1e-6)


# ------------------------------------------------------------------- losses


def test_least_squares_by_hand():
    assert cyclegan2d.least_squares(torch.tensor([0.0, 1.0, 4.0]), 1) == pytest.approx(10 / 3)
    assert cyclegan2d.least_squares(torch.tensor([0.0, -2.0]), 0) == 2.0


class Plus(torch.nn.Module):
    """A generator that adds a learnt number."""

    def __init__(self, value: float):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, x):
        return x + self.value


class Mean(torch.nn.Module):
    """A discriminator whose one score is the mean of the image times a learnt number."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.scale * x.mean(dim=(1, 2, 3), keepdim=True)


def stack():
    data = np.stack([np.full((16, 16), v, np.float32) for v in (0.1, 0.2, 0.3)])
    frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), data.shape, 1)
    scan = slices.Slices(data, data > 0, data + 0.5, frame, 1.0, 1.0)
    return slice_stack.SliceStack([scan], "all", "cpu")


def test_a_step_by_hand(monkeypatch):
    made = iter([Plus(0.25), Plus(-0.5)])
    monkeypatch.setattr(cyclegan2d, "network", lambda options: next(made))
    monkeypatch.setattr(cyclegan2d, "discriminator", lambda options: Mean())
    options = {**TINY, "accelerate": "none", "learning_rate": 0.0, "pool": 0}
    task = cyclegan2d.CycleGAN(
        cyclegan2d.SLICEWISE, stack(), stack(), options, 0, torch.device("cpu"), "float32"
    )
    a, b = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    nothing = torch.full((2, 1), -1)
    losses = task.update(a, b, nothing, nothing)
    # Fakes: b' = 0.45, a' = 0.1; both ways round an image moves by -0.25.
    assert losses["g_cycle"] == pytest.approx(0.25, abs=1e-6)
    assert losses["g_gan"] == pytest.approx(((0.45 - 1) ** 2 + (0.1 - 1) ** 2) / 2, abs=1e-6)
    sides = [((0.2 - 1) ** 2 + 0.1**2) / 2, ((0.6 - 1) ** 2 + 0.45**2) / 2]
    assert losses["d"] == pytest.approx(sum(sides) / 2, abs=1e-6)
    # d/dv of gan_b + gan_a + 10 * (cycle_a + cycle_b), v added by the generator to b.
    expected = 2 * (0.45 - 1) + 10 * (-1 - 1)
    assert task.g["ab"].value.grad == pytest.approx(expected, abs=1e-5)


def test_originals_are_drawn_apart_from_the_defaced_slices():
    options = {**TINY, "augment": 0.0}
    task = cyclegan2d.CycleGAN(
        cyclegan2d.SLICEWISE, stack(), stack(), options, 0, torch.device("cpu"), "float32"
    )
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(30):
        a, b, *_ = task.batch(torch.tensor([0]), generator)
        assert a.shape == b.shape == (1, 1, 16, 16)
        assert float(a.mean()) == pytest.approx(0.1, abs=1e-3)
        seen.add(round(float(b.mean()), 2))
    assert seen == {0.6, 0.7, 0.8}


# --------------------------------------------------------------------- pool


def test_pool_fills_then_swaps_half_of_the_time():
    pool = networks.Pool(3, (1, 1, 1), "cpu")
    generator = torch.Generator().manual_seed(1)
    shown, kept = [], []
    for number in range(1, 401):
        fake = torch.full((1, 1, 1, 1), float(number))
        out = pool.exchange(fake, pool.draw(1, generator))
        shown.append(int(out))
        kept.append({int(v) for v in pool.images.flatten()})
    assert shown[:3] == [1, 2, 3]
    assert kept[2] == {1, 2, 3}
    swapped = [n for n in range(4, 401) if shown[n - 1] != n]
    assert 150 < len(swapped) < 250
    for n in range(4, 401):
        if n in swapped:  # an image of the pool is shown, the new one takes its place
            assert shown[n - 1] in kept[n - 2]
            assert kept[n - 1] == kept[n - 2] - {shown[n - 1]} | {n}
        else:
            assert kept[n - 1] == kept[n - 2]


def test_empty_pool_shows_what_comes():
    pool = networks.Pool(0, (1, 2, 2), "cpu")
    fakes = torch.rand(2, 1, 2, 2)
    plan = pool.draw(2, torch.Generator().manual_seed(0))
    assert torch.equal(pool.exchange(fakes, plan), fakes)


# --------------------------------------------------------------------- data


def test_the_papers_slices_are_21_five_millimetres_apart():
    def scan(count, middle, voxel_mm):
        data = np.zeros((count, 16, 16), np.float32)
        frame = working_grid.WorkingGrid(
            "RAS", np.zeros(3), np.ones(3), data.shape, middle, voxel_mm
        )
        return slices.Slices(data, data > 0, None, frame, 1.0, 1.0)

    chosen = np.flatnonzero(slices.selected(scan(181, 90, 1.0), "spaced"))
    assert chosen.tolist() == list(range(40, 141, 5))
    chosen = np.flatnonzero(slices.selected(scan(60, 30, 2.5), "spaced"))
    assert chosen.tolist() == list(range(10, 51, 2))
    assert slices.selected(scan(11, 5, 5.0), "spaced").all()  # fewer where the scan ends


def test_each_domain_is_scaled_by_itself():
    original, defaced, changed = ball(0)
    # Something bright in the face alone: the two scans' percentiles differ.
    bright = original.with_data(np.where(changed & (original.data > 100), 1200, original.data))
    options = {"plane": "sagittal", "size": 32, "voxel_mm": 4.0, "percentile": 99.5}
    cut = slices.prepare(defaced, changed, bright, **options, scale_by="own")
    assert cut.scale == pytest.approx(1200)
    assert cut.ratio == pytest.approx(1200 / 610, rel=0.01)
    assert cut.source.max() == cut.target.max() == 1
    # Without the original, the ratio of the training gives the scale of the output.
    new = slices.prepare(defaced, changed, None, **options, scale_by="own", ratio=cut.ratio)
    assert np.array_equal(new.source, cut.source)
    assert new.scale == pytest.approx(cut.scale)
    back = slices.restore(new.kept(), new, defaced, "cubic")
    assert np.allclose(back, np.clip(defaced.data, 0, 1200 / cut.ratio), atol=0.1)


# ------------------------------------------------------- training, refacing


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_training_gives_the_same_bytes(pairs, trained, tmp_path, monkeypatch, after):
    def train():
        cyclegan2d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, TINY, seed=3)

    interrupt(train, monkeypatch, loop, "save_state", after)
    torch.manual_seed(99)
    train()
    samples = [f"samples/{path.name}" for path in (trained / "samples").glob("*.npy")]
    assert len(samples) == 2 + 4
    assert_same_files(tmp_path, trained, [*FILES, *samples])


def test_card_tells_what_was_trained(trained):
    card = json.loads((trained / "card.json").read_text())
    assert card["method"] == "cyclegan2d"
    assert card["engine"] == "native"
    assert card["criterion"] == "val_l1_changed"
    assert set(card["parameters"]) == {"g_ab", "g_ba", "d_a", "d_b"}
    assert card["data"]["left_out"] == {}


def test_unusable_scan_is_left_out_with_a_reason(pairs, tmp_path):
    broken = dataclasses.replace(pairs[2], scan="sub-y", defaced=str(tmp_path / "none.nii.gz"))
    options = {**TINY, "epochs": 1, "decay_epochs": 0, "steps_per_epoch": 1}
    with pytest.warns(UserWarning, match="sub-y is left out of training"):
        cyclegan2d.METHOD.train([pairs[0], broken], pairs[3:4], tmp_path / "m", options, seed=0)
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["data"]["train"] == ["sub-0"]
    assert list(card["data"]["left_out"]) == ["sub-y"]
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(contracts.TrainingFailed, match="0 usable training"),
    ):
        cyclegan2d.METHOD.train([broken], pairs[3:4], tmp_path / "n", options, seed=0)


def test_whole_output_or_composited(trained):
    _, defaced, changed = ball(4)
    whole = {**TINY, "composite": False}
    model = cyclegan2d.METHOD.load(trained, whole)
    values = cyclegan2d.METHOD.run(model, defaced, changed, whole)
    assert values.shape == SHAPE
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    # The model's own output everywhere: slices without any changed voxel as well.
    untouched = ~changed.any(axis=(1, 2))
    assert contracts.taken(changed, whole).all()
    assert np.array_equal(contracts.taken(changed, {**TINY, "composite": True}), changed)
    assert np.array_equal(contracts.taken(changed, {}), changed)
    again = cyclegan2d.METHOD.run(cyclegan2d.METHOD.load(trained, TINY), defaced, changed, TINY)
    assert np.array_equal(values, again)
    assert not np.allclose(values[~changed], defaced.data[~changed], atol=1)
    assert untouched.sum() == 0 or not np.allclose(values[untouched], defaced.data[untouched])


def test_composited_output_computes_only_changed_slices(trained, monkeypatch):
    _, defaced, changed = ball(4)
    changed = changed & (np.indices(SHAPE)[0] < 10)
    options = {**TINY, "composite": True}
    counts = []
    original = slice_task.forward

    def counted(model, x, *rest):
        counts.append(len(x))
        return original(model, x, *rest)

    monkeypatch.setattr(slice_task, "forward", counted)
    model = cyclegan2d.METHOD.load(trained, options)
    cyclegan2d.METHOD.run(model, defaced, changed, options)
    cyclegan2d.METHOD.run(model, defaced, changed, {**options, "composite": False})
    assert 0 < counts[0] < counts[1]


def test_contract_and_options():
    assert methods.choose("refacers", "cyclegan2d").method is cyclegan2d.METHOD
    assert set(cyclegan2d.METHOD.applied) <= set(cyclegan2d.METHOD.defaults)
    assert not set(cyclegan2d.METHOD.applied) & {*slicewise.BOUND, *cyclegan2d.SLICEWISE.bound}
    schedule = Schedule(100, 100, 1)
    assert (schedule.total, schedule.rate(100), round(schedule.rate(200), 4)) == (200, 1.0, 0.0099)


def test_fast_and_plain_steps_learn_the_same():
    data = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16)).astype(np.float32)
    frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), data.shape, 1)
    scan = slices.Slices(data, data > 0, -data, frame, 1.0, 1.0)
    noise = slice_stack.SliceStack([scan], "all", "cpu")
    runs = []
    for accelerate in ("auto", "none"):
        options = {**TINY, "accelerate": accelerate, "augment": 0.0}
        task = cyclegan2d.CycleGAN(
            cyclegan2d.SLICEWISE, noise, noise, options, 0, torch.device("cpu"), "float32"
        )
        generator = torch.Generator().manual_seed(0)
        steps = [task.step(torch.tensor([0, 2]), generator) for _ in range(5)]
        runs.append([[float(v) for v in losses.values()] for losses in steps])
    assert np.allclose(*runs, rtol=2e-3)
    assert not np.allclose(runs[0][0], runs[0][-1], rtol=2e-2)  # something is learnt
