"""Slices in files train like slices in memory."""

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from refacebench.refacers import cpgan3d, pix2pix25d, prior3d  # noqa: E402
from refacebench.training import cpgan, head_prior, spill  # noqa: E402
from refacebench.training.head_stack import HeadStack  # noqa: E402
from refacebench.training.slice_stack import SliceStack  # noqa: E402
from refacebench.training.slices import Slices  # noqa: E402
from refacebench.training.whole_heads import WholeHead  # noqa: E402
from refacebench.training.working_grid import WorkingGrid  # noqa: E402


def scans():
    rng = np.random.default_rng(1)
    found = []
    for count in (4, 6):
        source, target = rng.uniform(-1, 1, (2, count, 8, 8)).astype(np.float16)
        changed = rng.random((count, 8, 8)) > 0.7
        frame = WorkingGrid.__new__(WorkingGrid)
        object.__setattr__(frame, "middle", 2)
        found.append(Slices(source, changed, target, frame, 1.0, 1.0))
    return found


def test_a_stack_in_files_gives_the_same_slices():
    memory, files = (
        SliceStack(scans(), "changed", "cpu", mask_channel=True, in_files=f) for f in (False, True)
    )
    items = torch.tensor([0, 3, 7])
    for name in ("source", "changed", "target"):
        assert getattr(files, name).dtype == getattr(memory, name).dtype
        assert torch.equal(getattr(files, name), getattr(memory, name))
    assert torch.equal(files.inputs(items), memory.inputs(items))


def test_many_arrays_in_few_files_that_have_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(spill.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spill.Store, "SIZE", 5000)
    hold, rng = spill.Store(), np.random.default_rng(2)
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    given = [rng.normal(size=(3, 5, 7)).astype(np.float16) for _ in range(100)]
    given += [rng.random((9, 1000)) > 0.5, np.zeros((0, 4), np.float16)]
    held = [hold(values) for values in given]
    for values, copy in zip(given, held, strict=True):
        assert copy.dtype == values.dtype
        np.testing.assert_array_equal(copy, values)
    assert not list(tmp_path.iterdir())
    if opened is not None:
        assert len(os.listdir("/proc/self/fd")) - opened < 10


def test_thousands_of_scans_ask_for_no_more_memory_than_the_bound():
    method, options = pix2pix25d.METHOD, pix2pix25d.METHOD.defaults
    assert method.memory_mb(options, 10_000) == spill.BOUND_MB == 16_000
    few = method.memory_mb(options, 20)
    assert 8000 < few < spill.BOUND_MB
    assert not spill.is_large(few)


def heads(count=3):
    rng = np.random.default_rng(5)
    found = []
    for _ in range(count):
        tissue, target = rng.uniform(0, 1, (2, 8, 8, 8)).astype(np.float16)
        brain = rng.random((8, 8, 8)) > 0.7
        hull = brain | (rng.random((8, 8, 8)) > 0.5)
        frame = WorkingGrid.__new__(WorkingGrid)
        found.append(WholeHead(hull, brain, tissue, target, frame, 1.0, 1.0, 0.0))
    return found


def test_whole_heads_in_files_are_the_same_heads():
    memory, files = (HeadStack(heads(), "cpu", in_files=f) for f in (False, True))
    for one, other in zip(memory.get(torch.tensor([2, 0])), files.get(torch.tensor([2, 0])),
                          strict=True):  # fmt: skip
        assert torch.equal(one, other)
    assert len(files) == 3


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_counted_median_is_the_sorted_one(count):
    given = heads(count)
    values = torch.cat([torch.from_numpy(h.target[h.hull & ~h.brain]).float() for h in given])
    assert cpgan.median_in_hull(given) == float(values.median())


@pytest.mark.parametrize("method", [cpgan3d.METHOD, prior3d.METHOD], ids=("cpgan3d", "prior3d"))
def test_other_trainings_ask_for_no_more_than_the_bound_either(method):
    options = method.defaults
    assert method.memory_mb(options, 5000) == spill.BOUND_MB
    assert method.memory_mb(options, 20) < method.memory_mb(options, 100) < spill.BOUND_MB


def test_people_of_a_large_cohort_are_taken_evenly_and_of_a_small_one_all():
    options = prior3d.METHOD.defaults
    few, held = prior3d.fitting(range(60), range(20), options)
    assert (few, held) == (list(range(60)), list(range(20)))
    many, held = prior3d.fitting(range(3000), range(500), options)
    assert len(held) == spill.VALIDATED
    assert len(many) > 1000
    shape_mb = 4 * 4 * 3 * np.prod(head_prior.box(head_prior.COARSE_MM).shape) / 1e6
    held_mb = prior3d.BASE_MB + shape_mb * np.array([len(many), len(many) + 1])
    assert held_mb[0] <= spill.BOUND_MB < held_mb[1]
    steps = np.diff(many)
    assert many[0] == 0
    assert steps.max() - steps.min() <= 1
