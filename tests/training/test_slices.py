"""Slices: cut, trimmed, stacked, moved, put back."""

import dataclasses

import numpy as np
import pytest

from balls import ball

torch = pytest.importorskip("torch")
from refacebench.training import devices, slice_stack, working_grid  # noqa: E402
from refacebench.training import slices as _slices  # noqa: E402


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
