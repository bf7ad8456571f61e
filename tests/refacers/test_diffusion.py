"""Refacer diffusion25d: noise schedule, DDIM, known voxels, one result a scan, resuming."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balls import SHAPE, ball
from trainings import FILES, assert_same_files, interrupt

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from refacebench.refacers import diffusion25d  # noqa: E402
from refacebench.run import methods  # noqa: E402
from refacebench.training import loop, slice_stack, slice_task, slicewise, working_grid  # noqa: E402
from refacebench.training import slices as _slices  # noqa: E402

TINY = {
    **diffusion25d.METHOD.defaults,
    "size": 16,
    "voxel_mm": 9.0,
    "filters": 16,
    "multipliers": [1, 1],
    "residual_blocks": 1,
    "batch": 4,
    "epochs": 1,
    "decay_epochs": 2,
    "steps_per_epoch": 4,
    "sampling_steps": 4,
    "validation_steps": 2,
    "average": 0.5,
    "learning_rate": 1e-3,
    "augment": 0.05,
    "mirror": True,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    diffusion25d.METHOD.train(pairs[:3], pairs[3:4], out, TINY, seed=3)
    return out


# ------------------------------------------------------- schedule, sampling


def test_noise_schedule_has_the_published_values():
    share = diffusion25d.signal_share(1000)
    angle = (np.arange(1, 1001) / 1000 + 0.008) / 1.008 * np.pi / 2
    expected = np.cos(angle) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    assert np.allclose(share[:999], expected[:999], atol=1e-6)
    assert share[499] == pytest.approx(0.4938, abs=2e-4)  # near one half in the middle
    assert (share[1:] < share[:-1]).all()
    assert 0 < share[999] < 1e-5  # the last step keeps a thousandth


def test_noise_schedule_is_that_of_monai():
    from monai.networks.schedulers import DDIMScheduler

    theirs = DDIMScheduler(1000, "cosine").alphas_cumprod
    assert torch.allclose(diffusion25d.signal_share(1000), theirs, atol=2e-6)


def test_a_ddim_step_by_hand_and_by_monai():
    from monai.networks.schedulers import DDIMScheduler

    image, clean = torch.tensor([0.5, -1.0]), torch.tensor([0.2, -0.4])
    share, following = torch.tensor(0.36), torch.tensor(0.64)
    # noise = (image - 0.6 clean) / 0.8; result = 0.8 clean + 0.6 noise.
    expected = 0.8 * clean + 0.6 * (image - 0.6 * clean) / 0.8
    assert torch.allclose(diffusion25d.ddim_step(image, clean, share, following), expected)
    scheduler = DDIMScheduler(1000, "cosine", prediction_type="sample", clip_sample=False)
    scheduler.set_timesteps(20)
    alphas = scheduler.alphas_cumprod
    theirs, _ = scheduler.step(clean, 700, image)
    own = diffusion25d.ddim_step(image, clean, alphas[700], alphas[650])
    assert torch.allclose(own, theirs, atol=1e-6)


def test_noise_goes_back_to_the_clean_image():
    clean, noise = torch.rand(4, 4), torch.randn(4, 4)
    share = diffusion25d.signal_share(100)
    image = diffusion25d.noised(clean, noise, share[60])
    assert torch.allclose(
        diffusion25d.ddim_step(image, clean, share[60], share[20]),
        diffusion25d.noised(clean, noise, share[20]),
        atol=1e-5,
    )
    assert torch.equal(
        diffusion25d.ddim_step(image, clean, share[60], torch.ones(())), clean + 0 * image
    )


def test_sampling_times_run_from_all_noise_to_almost_none():
    times = diffusion25d.sampling_times(1000, 20)
    assert (len(times), int(times[0]), int(times[-1])) == (20, 999, 0)
    assert (times[1:] < times[:-1]).all()


class Oracle(torch.nn.Module):
    """A network that knows the answer: the target is a number a slice, by the source's neighbour.

    It tells what each triple says by the first channel, so that the mean over
    overlapping triples is seen.
    """

    def forward(self, x, times):
        image, source, mask = x.split(3, 1)
        assert set(mask.unique().tolist()) <= {-1.0, 1.0}
        assert torch.equal(image[mask < 0], source[mask < 0])
        return source.mean(dim=(1, 2, 3), keepdim=True).expand(-1, 3, *x.shape[2:])


def sampled(scans, options, seed=0):
    stack = slice_stack.SliceStack(scans, "changed", "cpu")
    model = slice_task.SliceModel(Oracle(), 1.0, torch.device("cpu"), "float32", options)
    return stack, diffusion25d.predict(model, stack, torch.arange(len(stack)), seed)


def scan(values, changed_from=4):
    data = np.repeat(np.array(values, np.float32), 64).reshape(len(values), 8, 8)
    mask = np.zeros(data.shape, bool)
    mask[:, changed_from:] = True
    frame = working_grid.WorkingGrid("RAS", np.zeros(3), np.ones(3), data.shape, 1)
    return _slices.Slices(data, mask, data, frame, 1.0, 1.0)


@given(st.sets(st.integers(1, 40), min_size=1), st.integers(0, 20))
def test_the_triples_of_a_step_cover_every_slice_and_those_of_runs_seldom_twice(numbers, step):
    centres = torch.tensor(sorted(numbers))
    spread = torch.tensor([-1, 0, 1])
    slices = torch.unique(centres[:, None] + spread)
    chosen = diffusion25d.tiling(slices, centres, step)
    assert torch.equal(chosen, torch.unique(chosen))
    covered = centres[chosen][:, None] + spread
    assert torch.equal(torch.unique(covered), slices)
    runs = 1 + int((centres.diff() > 1).sum())
    assert len(chosen) <= len(centres) / 3 + 2 * runs


def test_steps_take_the_triples_in_turns_and_the_last_one_all(monkeypatch):
    seen = []

    def denoised(model, image, source, mask, place, time):
        seen.append(sorted(place.tolist()))
        return torch.zeros_like(image)

    monkeypatch.setattr(diffusion25d, "denoised", denoised)
    _, images = sampled([scan([0.5] * 12)], {**TINY, "sampling_steps": 4})
    assert [len(places) for places in seen] == [5, 5, 6, 12]
    assert set(seen[0]) | set(seen[1]) | set(seen[2]) == set(seen[3])
    assert (images[:, 0, 4:] == 0).all()


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_known_voxels_stay_and_overlapping_triples_are_averaged(batch):
    options = {**TINY, "reface_batch": batch}
    stack, images = sampled([scan([-1.0, 0.5, 0.25]), scan([0.125, 0.125])], options)
    known = ~stack.masks(torch.arange(len(stack)))
    assert torch.equal(images[known], stack.sources(torch.arange(len(stack)))[known])
    # What the triples around slices 0, 1, 2 say, with air (-1) beyond the scan.
    says = [(-1 - 1 + 0.5) / 3, (-1 + 0.5 + 0.25) / 3, (0.5 + 0.25 - 1) / 3]
    expected = [(says[0] + says[1]) / 2, sum(says) / 3, (says[1] + says[2]) / 2]
    filled = images[:, 0, 4:].mean(dim=(1, 2))
    assert torch.allclose(filled[:3], torch.tensor(expected), atol=1e-5)
    other = (-1 + 0.125 + 0.125) / 3
    assert torch.allclose(filled[3:], torch.tensor([other, other]), atol=1e-5)


def test_loss_counts_changed_voxels_only():
    both = scan([0.1, 0.2, 0.3])
    # Without a network's answer (its last layer starts at zero) the loss is the
    # mean square of the target in the changed voxels of all three slices.
    stack = slice_stack.SliceStack([both], "changed", "cpu")
    options = {**TINY, "size": 8, "augment": 0.0, "accelerate": "none"}
    task = diffusion25d.Diffusion(
        diffusion25d.SLICEWISE, stack, stack, options, 0, torch.device("cpu"), "float32"
    )
    loss = task.step(torch.tensor([1]), torch.Generator().manual_seed(0))["squared"]
    assert float(loss) == pytest.approx((0.1**2 + 0.2**2 + 0.3**2) / 3, rel=1e-3)


def test_triples_of_slices_are_augmented_alike():
    y = torch.full((2, 3, 32, 32), -1.0)
    y[:, :, 10:20, 12:24] = torch.tensor([-0.5, 0.0, 0.5])[:, None, None]
    generator = torch.Generator().manual_seed(2)
    x2, y2, m2 = slice_stack.augment(y, y, y > -0.9, 0.1, True, generator)
    assert x2.shape == y2.shape == m2.shape == y.shape
    assert torch.equal(x2, y2)
    assert not torch.equal(y2, y)
    assert ((y2 > -0.75) == m2).float().mean() > 0.95


# ------------------------------------------------------- training, refacing


def test_interrupted_training_gives_the_same_bytes(pairs, trained, tmp_path, monkeypatch):
    def train():
        diffusion25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, TINY, seed=3)

    interrupt(train, monkeypatch, loop, "save_state", 1)
    torch.manual_seed(99)
    train()
    assert_same_files(tmp_path, trained, [*FILES, "samples/epoch-0003.npy"])


def test_training_beats_the_defaced_image(pairs, tmp_path):
    options = {**TINY, "epochs": 3, "decay_epochs": 2, "steps_per_epoch": 20, "augment": 0.0}
    diffusion25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, options, seed=0)
    card = json.loads((tmp_path / "card.json").read_text())
    got = card["picked"]["validation"]["val_l1_changed"]
    assert got < 0.7 * card["validation_baselines"]["defaced"]["val_l1_changed"]


def test_a_scan_has_one_result_and_another_scan_another_noise(trained):
    _, defaced, changed = ball(4)
    model = diffusion25d.METHOD.load(trained, TINY)
    first = diffusion25d.METHOD.run(model, defaced, changed, TINY)
    torch.manual_seed(5)
    again = diffusion25d.METHOD.run(model, defaced, changed, TINY)
    assert first.shape == SHAPE
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    seeds = {slicewise.content_seed(ball(n)[1].data) for n in range(3)}
    assert len(seeds) == 3


def test_sampling_steps_may_change_after_training_and_the_network_may_not(trained):
    more = {**TINY, "sampling_steps": 6}
    assert diffusion25d.METHOD.load(trained, more).options["sampling_steps"] == 6
    assert "sampling_steps" in diffusion25d.METHOD.applied
    with pytest.raises(ValueError, match="patch 4 not 2"):
        diffusion25d.METHOD.load(trained, {**TINY, "patch": 2})


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_network_keeps_the_slices_size(patch):
    net = diffusion25d.network({**TINY, "patch": patch})
    out = net(torch.zeros(2, 9, 16, 16), torch.tensor([3, 999]))
    assert out.shape == (2, 3, 16, 16)
    assert methods.choose("refacers", "diffusion25d").method is diffusion25d.METHOD
