"""Refacer pix2pix25d: the networks' published size, training, resuming, refacing."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from balls import SHAPE, ball
from trainings import FILES, assert_bomb_is_refused, assert_same_files, interrupt

torch = pytest.importorskip("torch")

from refacebench.image import nifti  # noqa: E402
from refacebench.refacers import cyclegan2d, pix2pix25d  # noqa: E402
from refacebench.run import methods  # noqa: E402
from refacebench.training import devices, loop, networks, outputs, slice_stack, working_grid  # noqa: E402
from refacebench.training import slices as _slices  # noqa: E402
from refacebench.training.task import Schedule  # noqa: E402

TINY = {
    **pix2pix25d.METHOD.defaults,
    "size": 16,
    "voxel_mm": 9.0,
    "filters": 4,
    "discriminator_layers": 2,
    "batch": 4,
    "epochs": 2,
    "decay_epochs": 2,
    "steps_per_epoch": 6,
    "slices": "changed",
    "average": 0.9,
    "augment": 0.05,
    "mirror": True,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], out, TINY, seed=3)
    return out


# ----------------------------------------------------------------- networks


def test_generator_has_the_published_size():
    unet = networks.UNet(3, 3)
    assert networks.count_parameters(unet) == 54_413_955  # 54.414 M in the authors' log
    kinds = [type(m).__name__ for m in unet.modules()]
    assert (kinds.count("Conv2d"), kinds.count("ConvTranspose2d")) == (8, 8)
    assert (kinds.count("Norm"), kinds.count("Dropout")) == (13, 3)


def test_discriminator_has_the_published_size():
    net = networks.PatchDiscriminator(6)
    assert networks.count_parameters(net) == 2_768_705  # 2.769 M in the authors' log
    assert [type(m).__name__ for m in net.net].count("Conv2d") == 5


def test_discriminator_sees_70_by_70_pixels():
    # Running averages: the statistics of a whole image would see all of it.
    net = networks.PatchDiscriminator(2, filters=4, per_image=False).eval()
    image = torch.rand(1, 2, 128, 128, requires_grad=True)
    logits = net(image)
    assert logits.shape[-2:] == (14, 14)
    logits[0, 0, 7, 7].backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    assert seen.any(dim=0).sum() == seen.any(dim=1).sum() == 70


@pytest.mark.parametrize(("size", "levels"), [(16, 4), (64, 6), (96, 5), (128, 7)])
def test_small_generators_have_fewer_levels(size, levels):
    unet = networks.UNet(4, 1, size, 4).eval()
    assert [type(m).__name__ for m in unet.modules()].count("Conv2d") == levels
    assert unet(torch.zeros(2, 4, size, size)).shape == (2, 1, size, size)


def test_impossible_size_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        networks.UNet(3, 1, 40)


def test_slice_statistics_are_those_of_batch_norm_at_batch_one():
    torch.manual_seed(0)
    own = networks.UNet(3, 1, 32, 4, per_image=True)
    batch = networks.UNet(3, 1, 32, 4, per_image=False)  # no dropout at this size
    batch.load_state_dict(own.state_dict())
    x = torch.rand(5, 3, 32, 32)
    one_by_one = torch.cat([batch(image[None]) for image in x])
    assert torch.allclose(own(x), one_by_one, atol=1e-5)
    assert torch.allclose(own.eval()(x), one_by_one, atol=1e-5)
    assert not torch.allclose(batch(x), one_by_one, atol=1e-3)


# ------------------------------------------------------------------- slices


def test_same_voxel_size_is_cropped_without_interpolation():
    original, defaced, changed = ball(0)
    cut = _slices.prepare(
        defaced, changed, original, plane="sagittal", size=32, voxel_mm=4.0, percentile=99.5
    )
    a, s = (int(v) for v in cut.frame.start[1:])
    assert cut.covered == 1.0
    assert cut.source.shape == (24, 32, 32)
    here = cut.source[:, max(-a, 0) : max(-a, 0) + 28, max(-s, 0) : max(-s, 0) + 26]
    expected = np.clip(defaced.data / cut.scale, 0, 1) * 2 - 1
    assert np.allclose(here, expected[:, max(a, 0) :, max(s, 0) :][:, : here.shape[1]], atol=1e-6)
    back = _slices.restore(cut.source, cut, defaced, "cubic")
    assert np.allclose(back, np.clip(defaced.data, 0, cut.scale), atol=1e-2)


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_interpolation_reproduces_a_ramp(kernel):
    positions = np.array([2.0, 3.25, 5.5, 20.0, -3.0])
    values = working_grid.weights(positions, 12, 0.5, kernel) @ np.arange(12.0)
    assert np.allclose(values, [2.0, 3.25, 5.5, 0.0, 0.0], atol=1e-5)


def test_the_frame_ignores_the_face():
    original, defaced, changed = ball(1)
    options = {"plane": "sagittal", "size": 16, "voxel_mm": 8.0, "percentile": 99.5}
    frames = [_slices.prepare(v, changed, None, **options).frame for v in (original, defaced)]
    assert np.array_equal(frames[0].start, frames[1].start)
    assert frames[0].middle == frames[1].middle


def test_each_slice_comes_with_its_neighbours_and_scans_do_not_mix():
    def scan(values, changed):
        data = np.repeat(np.array(values, np.float32), 256).reshape(len(values), 16, 16)
        mask = np.repeat(np.array(changed), 256).reshape(data.shape)
        frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), data.shape, 1)
        return _slices.Slices(data, mask, -data, frame, 1.0, 1.0)

    scans = [scan([0.0, 0.25, 0.5], [True, True, False]), scan([0.75, 1.0], [True, True])]
    stack = slice_stack.SliceStack(scans, "changed", "cpu", mask_channel=True)
    seen = stack.inputs(torch.arange(len(stack)))[:, :, 0, 0]
    assert seen.tolist() == [
        [-1, 0, 0.25, 1],
        [0, 0.25, 0.5, 1],
        [-1, 0.75, 1, 1],
        [0.75, 1, -1, 1],
    ]
    assert stack.targets(torch.tensor([1]))[0, 0, 0, 0] == -0.25
    assert stack.offset.tolist() == [-1, 0, -1, 0]


def counted(slices=9, rows=4, changed=(2, 6)):
    """Return a scan whose slices hold their number, a tenth of it."""
    data = np.repeat(np.arange(slices) / 10, rows * rows).reshape(slices, rows, rows)
    mask = np.zeros(data.shape, bool)
    mask[list(changed)] = True
    frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), data.shape, 4)
    return _slices.Slices(data.astype(np.float32), mask, -data, frame, 1.0, 1.0)


@pytest.mark.parametrize("which", ["changed", "spaced", "head", "all"])
def test_trimming_leaves_what_training_sees(which, monkeypatch):
    monkeypatch.setattr(_slices, "SPACED_MM", 4.0)  # slices 0, 4 and 8
    whole = [counted(), counted(7, changed=(0, 3))]
    small = [_slices.trimmed(scan, which, 1) for scan in whole]
    before, after = (slice_stack.SliceStack(scans, which, "cpu") for scans in (whole, small))
    items = torch.arange(len(before))
    for name in ("source", "target", "changed"):
        assert torch.equal(before.triples(name, items), after.triples(name, items))
    assert torch.equal(before.offset, after.offset)
    again = [_slices.trimmed(scan, which, 1) for scan in small]
    assert [s.numbers.tolist() for s in again] == [s.numbers.tolist() for s in small]


@pytest.mark.parametrize(
    ("which", "reach", "kept"),
    [
        ("changed", 0, [2, 6]),
        ("changed", 1, [1, 2, 3, 5, 6, 7]),
        ("spaced", 0, [4]),
        ("all", 1, list(range(9))),
    ],
)
def test_trimming_keeps_the_slices_that_train_and_their_neighbours(which, reach, kept):
    small = _slices.trimmed(counted(), which, reach)
    assert small.numbers.tolist() == kept
    assert np.allclose(small.source[:, 0, 0], np.array(kept) / 10)
    assert small.changed.shape == small.target.shape == small.source.shape
    assert small.offsets().tolist() == [number - 4 for number in kept]
    assert set(_slices.mean_head([small])) == set(small.offsets().tolist())


def test_data_that_fill_more_than_half_of_a_gpu_stay_in_memory(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    assert devices.home(500, gpu) == gpu
    assert devices.home(501, gpu) == torch.device("cpu")
    assert devices.home(10**18, torch.device("cpu")) == torch.device("cpu")


def test_memory_of_a_paper_size_training_is_that_of_its_slices():
    """500 scans of 21 slices: 256 x 256 pixels of 5 bytes, twice; with neighbours three times."""
    scans = 500
    alone = 2 * scans * 21 * 256 * 256 * 5 / 1e6
    assert cyclegan2d.METHOD.memory_mb(cyclegan2d.METHOD.defaults, scans) == round(8000 + alone)
    spaced = {**pix2pix25d.METHOD.defaults, "slices": "spaced"}
    assert pix2pix25d.METHOD.memory_mb(spaced, scans) == round(8000 + 3 * alone)
    every = pix2pix25d.METHOD.memory_mb(pix2pix25d.METHOD.defaults, scans)
    assert every == round(8000 + 2 * scans * 220 * 256 * 256 * 5 / 1e6)


def test_augmentation_moves_input_target_and_mask_alike():
    generator = torch.Generator().manual_seed(0)
    y = torch.full((3, 1, 32, 32), -1.0)
    y[:, :, 10:20, 12:24] = 0.0
    x, m = y.repeat(1, 3, 1, 1), y > -0.5
    x2, y2, m2 = slice_stack.augment(x, y, m, 0.1, False, generator)
    assert not torch.equal(y2, y)
    assert torch.allclose(x2[:, 1:2], y2)
    inside = (y2 > -0.5) == m2
    assert inside.float().mean() > 0.97
    same = slice_stack.augment(x, y, m, 0.0, False, generator)
    assert all(torch.equal(a, b) for a, b in zip(same, (x, y, m), strict=True))


def test_mean_head_is_the_average_of_the_training_targets():
    data = np.ones((3, 16, 16), np.float32)
    frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), data.shape, 1)
    a, b = (_slices.Slices(data, data > 0, data * v, frame, 1.0, 1.0) for v in (0.2, 0.6))
    b = dataclasses.replace(b, frame=dataclasses.replace(frame, middle=2))
    mean = _slices.mean_head([a, b])
    assert {k: round(float(v.mean()), 3) for k, v in mean.items()} == {
        -2: 0.6,
        -1: 0.4,
        0: 0.4,
        1: 0.2,
    }


# ----------------------------------------------------------------- training


def test_order_is_keyed_by_seed_and_epoch():
    first = loop.order(10, 20, 1, 1)
    assert sorted(first.tolist()) == sorted(2 * list(range(10)))
    assert torch.equal(first, loop.order(10, 20, 1, 1))
    assert not torch.equal(first, loop.order(10, 20, 1, 2))
    assert not torch.equal(first, loop.order(10, 20, 2, 1))


def test_training_beats_the_defaced_image(pairs, tmp_path):
    options = {**TINY, "epochs": 10, "decay_epochs": 5, "steps_per_epoch": 10}
    options |= {"learning_rate": 2e-3, "augment": 0.0}
    pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, options, seed=0)
    card = json.loads((tmp_path / "card.json").read_text())
    rows = [line.split("\t") for line in (tmp_path / "curves.tsv").read_text().splitlines()]
    losses = "train_g_gan train_g_l1 train_d val_l1 val_l1_changed"
    assert rows[0] == ["epoch", "step", *losses.split(), "picked"]
    assert float(rows[-1][3]) < 0.5 * float(rows[1][3])
    got = card["picked"]["validation"]["val_l1_changed"]
    assert got < 0.5 * card["validation_baselines"]["defaced"]["val_l1_changed"]
    picked = [row for row in rows[1:] if row[-1] == "1"]
    assert len(picked) == 1
    assert float(picked[0][6]) == min(float(row[6]) for row in rows[1:])
    assert card["picked"]["epoch"] == int(picked[0][0])


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_training_gives_the_same_bytes(pairs, trained, tmp_path, monkeypatch, after):
    def train():
        pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, TINY, seed=3)

    interrupt(train, monkeypatch, loop, "save_state", after)
    assert not (tmp_path / "model.safetensors").exists()
    torch.manual_seed(99)  # whatever happened in between must not matter
    train()
    assert_same_files(tmp_path, trained, FILES)
    assert not (tmp_path / "state.safetensors").exists()


def test_state_of_another_training_is_not_taken_up(pairs, trained, tmp_path, monkeypatch, capsys):
    def train(**other):
        pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, {**TINY, **other}, seed=3)

    interrupt(lambda: train(batch=3), monkeypatch, outputs, "write_outputs", 1, done=False)
    train()
    assert "starting over" in capsys.readouterr().err
    assert_same_files(tmp_path, trained, ["model.safetensors"])


def test_callers_random_state_and_settings_are_left_alone(pairs, tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    pix2pix25d.METHOD.train(
        pairs[:1], pairs[3:4], tmp_path, {**TINY, "epochs": 1, "decay_epochs": 0}, 1
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_divergence_is_noticed(pairs, tmp_path):
    options = {**TINY, "l1_weight": float("inf")}
    with pytest.raises(RuntimeError, match="no longer finite in epoch 1"):
        pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, options, seed=3)


class Rising:
    """A task whose validation gets worse after its first epoch."""

    criterion, product = "val", "net"

    def __init__(self):
        self.networks = {"net": torch.nn.Linear(1, 1)}
        self.optimisers = {"net": torch.optim.SGD(self.networks["net"].parameters(), lr=1.0)}
        self.rates, self.epoch = [], 0

    def step(self, items, generator):
        self.rates.append(self.optimisers["net"].param_groups[0]["lr"])
        return {"loss": torch.zeros(())}

    def validate(self):
        self.epoch += 1
        return {"val": 1.0 if self.epoch == 1 else 2.1}


def test_rising_validation_stops_the_training(tmp_path):
    task = Rising()
    schedule = Schedule(20, 20, 2)
    best, progress = loop.fit(task, 4, schedule, tmp_path, 0, {})
    assert progress.picked == 1
    assert progress.epoch == 1 + loop.RISE_LENGTH
    assert "stayed above 2 times its best" in progress.stopped
    assert set(best) == {"weight", "bias"}


def test_learning_rate_falls_linearly(tmp_path):
    task = Rising()
    loop.fit(task, 2, Schedule(2, 3, 2), tmp_path, 0, {})
    assert task.rates == pytest.approx([1, 1, 0.75, 0.5, 0.25])


def test_unknown_choice_is_refused(pairs, tmp_path):
    with pytest.raises(ValueError, match="plane 'oblique': use one of sagittal"):
        pix2pix25d.METHOD.train(
            pairs[:1], pairs[1:2], tmp_path, {**TINY, "plane": "oblique"}, seed=0
        )


def test_splits_must_not_overlap(pairs, tmp_path):
    with pytest.raises(ValueError, match="both training and validation: sub-1"):
        pix2pix25d.METHOD.train(pairs[:2], pairs[1:3], tmp_path, TINY, seed=0)
    with pytest.raises(ValueError, match="0 validation scans"):
        pix2pix25d.METHOD.train(pairs[:2], [], tmp_path, TINY, seed=0)


def test_only_training_scans_train(pairs, trained, tmp_path):
    """Another validation scan changes the pick at most, never what is learned."""
    pix2pix25d.METHOD.train(pairs[:3], pairs[4:], tmp_path, TINY, seed=3)
    tables = [(d / "curves.tsv").read_text().splitlines()[1:] for d in (trained, tmp_path)]
    losses = [[line.split("\t")[:5] for line in table] for table in tables]
    assert losses[0] == losses[1]
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["data"]["train"] == ["sub-0", "sub-1", "sub-2"]
    assert card["data"]["validation"] == ["sub-4"]


# ----------------------------------------------------------------- refacing


def test_contract(trained):
    assert methods.choose("refacers", "pix2pix25d").method is pix2pix25d.METHOD
    assert "pix2pix25d" in methods.available("refacers")


def test_loading_runs_no_code(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")

    def load():
        pix2pix25d.METHOD.load(tmp_path / "model", TINY)

    weights = tmp_path / "model" / "model.safetensors"
    assert_bomb_is_refused(load, weights)
    assert_bomb_is_refused(load, weights, lambda bomb, path: torch.save({"x": bomb}, path))


def test_model_of_other_options_is_refused(trained):
    with pytest.raises(ValueError, match="voxel_mm 9.0 not 2.0"):
        pix2pix25d.METHOD.load(trained, {**TINY, "voxel_mm": 2.0})


def test_reface_fills_what_was_removed_and_keeps_the_grid(trained):
    model = pix2pix25d.METHOD.load(trained, TINY)
    _, defaced, changed = ball(4)
    result = pix2pix25d.METHOD.run(model, defaced, changed, TINY)
    assert result.shape == defaced.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert not np.allclose(result[changed], defaced.data[changed])
    again = pix2pix25d.METHOD.run(model, defaced, changed, {**TINY, "reface_batch": 3})
    assert np.allclose(result, again, atol=1e-2)
    nothing = pix2pix25d.METHOD.run(model, defaced, np.zeros_like(changed), TINY)
    assert np.array_equal(nothing, defaced.data)


@pytest.mark.parametrize("codes", ["LPS", "PIR", "ASL", "SRA"])
def test_reface_does_not_depend_on_the_orientation(trained, codes):
    model = pix2pix25d.METHOD.load(trained, TINY)
    _, defaced, changed = ball(4)
    straight = pix2pix25d.METHOD.run(model, defaced, changed, TINY)
    turned = nifti.reorient(defaced, codes)
    mask = nifti.reorient(defaced.with_data(changed), codes).data
    result = pix2pix25d.METHOD.run(model, turned, mask, TINY)
    back = nifti.reorient_like(turned.with_data(result), defaced)
    assert np.allclose(back.data, straight, atol=1e-2)  # of 600


def test_reface_scales_with_the_scan(trained):
    model = pix2pix25d.METHOD.load(trained, TINY)
    _, defaced, changed = ball(4)
    once = pix2pix25d.METHOD.run(model, defaced, changed, TINY)
    twice = pix2pix25d.METHOD.run(model, defaced.with_data(2 * defaced.data), changed, TINY)
    assert np.allclose(twice, 2 * once, atol=0.1)


def test_scale_of_the_original_is_estimated_from_training_only(pairs, tmp_path):
    options = {**TINY, "normalisation": "original", "epochs": 1, "decay_epochs": 0}
    pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, options, seed=3)
    model = pix2pix25d.METHOD.load(tmp_path, options)
    ratios = []
    for number in range(3):
        original, defaced, _ = ball(number)
        maxima = [
            np.percentile(v.data[v.data > _slices.head_threshold(v.data)], 99.5)
            for v in (original, defaced)
        ]
        ratios.append(maxima[0] / maxima[1])
    assert model.ratio == pytest.approx(np.exp(np.mean(np.log(ratios))), rel=1e-4)
    _, defaced, changed = ball(4)
    assert np.isfinite(pix2pix25d.METHOD.run(model, defaced, changed, options)).all()


def test_empty_scan_is_an_error_with_a_reason(trained):
    model = pix2pix25d.METHOD.load(trained, TINY)
    empty = nifti.Volume(np.zeros(SHAPE, np.float32), np.eye(4))
    with pytest.raises(ValueError, match="no head in it"):
        pix2pix25d.METHOD.run(model, empty, np.ones(SHAPE, bool), TINY)
