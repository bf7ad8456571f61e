"""What memory jobs ask for."""

import functools

import nibabel as nib
import numpy as np
import pytest

from planning import planned, scans
from refacebench import files
from refacebench.run import estimate, memory
from refacebench.run.memory import Asking

BATCH = "test-measured-000"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return the run of a config: four people with one scan of a million voxels each."""
    monkeypatch.chdir(tmp_path)
    return functools.partial(planned, tmp_path, scans(tmp_path))


@pytest.fixture
def peaks(monkeypatch):
    """Round peaks: 1000 MB and 100 MB for each million voxels."""
    peak = estimate.Cost(0, 0, 1000, 100)
    for stage in list(estimate.COSTS):
        monkeypatch.setitem(estimate.COSTS, stage, peak)


def test_memory_follows_the_voxels_of_the_largest_scan(run, peaks, tmp_path):
    asked = Asking(run())
    # 1.5 times the peak of a scan of one million voxels, in steps of 100 MB.
    assert asked.mb("segment", "mine", BATCH, "deepbet_atlas") == 1700
    large = nib.Nifti1Image(np.zeros((200, 200, 200), np.uint8), np.eye(4))
    nib.save(large, next((tmp_path / "bids4").rglob("*.nii.gz")))
    asked = Asking(run())
    assert asked.mb("segment", "mine", BATCH, "deepbet_atlas") == 2700


def test_the_inventory_knows_the_voxels_of_all_scans(run, peaks):
    table = "scan\tshape\nsub-1\t100x100x100\nsub-2\t\nsub-3\t100x200x300\n"
    files.write_text(table, f"results/inventory/mine/{BATCH}.tsv")
    assert Asking(run()).mb("measure", "mine", BATCH) == 1.5 * 1600


def test_of_a_batch_that_failed_as_a_whole_the_headers_still_tell(run, peaks):
    files.write_text("scan\tshape\nsub-1\t\n", f"results/inventory/mine/{BATCH}.tsv")
    assert Asking(run()).mb("measure", "mine", BATCH) == 1700


def test_a_cohort_that_is_grown_asks_by_its_voxels_and_its_type(run, monkeypatch):
    monkeypatch.setitem(estimate.COSTS, "grow", estimate.Cost(0, 0, 0, 100))
    monkeypatch.setitem(estimate.COSTS, "grow/demo", estimate.Cost(0, 0, 0, 200))
    grown = run(datasets={"made": {"type": "demo", "participants": 4, "voxel_mm": 1.0}})
    expected = 1.5 * 200 * estimate.SYNTHETIC_MVOX
    assert Asking(grown).mb("grow", "made", BATCH) == pytest.approx(expected, abs=memory.STEP_MB)


def test_methods_that_nobody_has_measured_ask_for_a_fixed_amount(run, peaks, tmp_path):
    segmenters = {"deepbet_atlas": {}, "own": {"command": ["cp", "{input}", "{output}"],
                                               "labels": {"like": "freesurfer"}}}  # fmt: skip
    asked = Asking(run(segmenters=segmenters))
    assert asked.mb("segment", "mine", BATCH, "own") == memory.FIXED_MB["segment"]
    assert asked.mb("segment", "mine", BATCH, "deepbet_atlas") == 1700
    defacers = {"mine": {"method": "quickshear"}, "cpgan_hull": {}}
    asked = Asking(run(defacers=defacers))
    assert asked.mb("deface", "mine", BATCH, "mine") == 1700
    assert asked.mb("deface", "mine", BATCH, "cpgan_hull") == memory.FIXED_MB["deface"]


def test_little_is_asked_for_but_never_less_than_python_needs(run, monkeypatch):
    monkeypatch.setitem(estimate.COSTS, "render", estimate.Cost(0, 0, 10, 0))
    assert Asking(run()).mb("render", "mine", BATCH) == memory.FLOOR_MB
