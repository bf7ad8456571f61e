"""Refacer pix2pix25d: the networks' published size, training, resuming, refacing."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from balls import SHAPE, ball
from trainings import FILES, assert_bomb_is_refused, assert_same_files, interrupt

torch = pytest.importorskip("torch")

from refacebench.contracts import TrainingFailed  # noqa: E402
from refacebench.image import nifti  # noqa: E402
from refacebench.refacers import cyclegan2d, diffusion25d, pix2pix25d  # noqa: E402
from refacebench.report import models  # noqa: E402
from refacebench.run import methods  # noqa: E402
from refacebench.training import loop, outputs, slice_task, spill  # noqa: E402
from refacebench.training import slices as _slices  # noqa: E402

SLICEWISE = {m.SLICEWISE.name: m.SLICEWISE for m in (cyclegan2d, diffusion25d, pix2pix25d)}
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


def test_memory_of_a_paper_size_training_is_that_of_its_slices():
    """50 scans of 21 slices: 256 x 256 pixels of 5 bytes, twice; with neighbours three times."""
    scans = 50
    alone = 2 * scans * 21 * 256 * 256 * 5 / 1e6
    assert cyclegan2d.METHOD.memory_mb(cyclegan2d.METHOD.defaults, scans) == round(8000 + alone)
    spaced = {**pix2pix25d.METHOD.defaults, "slices": "spaced"}
    assert pix2pix25d.METHOD.memory_mb(spaced, scans) == round(8000 + 3 * alone)
    every = pix2pix25d.METHOD.memory_mb(pix2pix25d.METHOD.defaults, scans)
    assert every == round(8000 + 2 * scans * 220 * 256 * 256 * 5 / 1e6)


# ----------------------------------------------------------------- training


def test_with_its_slices_in_files_a_training_gives_the_same_model(
    trained, pairs, tmp_path, monkeypatch
):
    monkeypatch.setattr(spill, "BOUND_MB", 0)
    made, empty = [], spill.empty
    monkeypatch.setattr(spill, "empty", lambda *a: made.append(empty(*a)) or made[-1])
    pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, TINY, seed=3)
    assert len(made) == 8, "a store and three tensors of each split"
    for name in ("model.safetensors", "curves.tsv"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_training_beats_the_defaced_image(pairs, tmp_path):
    options = {**TINY, "epochs": 10, "decay_epochs": 5, "steps_per_epoch": 10}
    options |= {"learning_rate": 2e-3, "augment": 0.0}
    pix2pix25d.METHOD.train(pairs[:3], pairs[3:4], tmp_path, options, seed=0)
    card = json.loads((tmp_path / "card.json").read_text())
    rows = [line.split("\t") for line in (tmp_path / "curves.tsv").read_text().splitlines()]
    losses = "train_g_gan train_g_l1 train_d val_l1 val_l1_changed"
    assert rows[0] == ["epoch", "step", *losses.split(), "picked"]
    assert float(rows[-1][3]) < 0.5 * float(rows[1][3])
    assert models.by_validation(card)
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


@pytest.mark.parametrize("name", ["cyclegan2d", "diffusion25d", "pix2pix25d"])
def test_changes_beyond_the_slices_are_an_error_with_a_reason(name):
    """Such a scan would come back as it is and be taken for a refaced one."""
    if name == "diffusion25d":
        pytest.importorskip("monai")
    method = methods.declared("refacers", name)
    small = {"size": 16, "voxel_mm": 4.0, "filters": 16, "composite": True, "device": "cpu"}
    options = {**method.defaults, **small, "slices": "all"}
    network = SLICEWISE[name].network(options).eval()
    model = slice_task.SliceModel(network, 1.0, torch.device("cpu"), "float32", options)
    _, defaced, _ = ball(4)
    changed = np.zeros(SHAPE, bool)
    changed[:, :, 0] = True  # 16 pixels of 4 mm reach down from the vertex, the neck is below
    with pytest.raises(ValueError, match="none of the 672 voxels.*raise voxel_mm or size"):
        method.run(model, defaced, changed, options)
    # Where nothing changed there is nothing to do.
    same = method.run(model, defaced, np.zeros(SHAPE, bool), options)
    assert np.array_equal(same, defaced.data)


def test_a_split_without_slices_is_said_so(pairs, tmp_path):
    blank = []
    for number, pair in enumerate(pairs[3:4]):
        path = tmp_path / f"nothing{number}.nii.gz"
        image = nifti.read(pair.defaced)
        nifti.write(image.with_data(np.zeros(image.shape, bool)), str(path))
        blank.append(dataclasses.replace(pair, changed=str(path)))
    with pytest.raises(TrainingFailed, match="validation scans have no slice"):
        pix2pix25d.METHOD.train(pairs[:3], blank, tmp_path / "model", TINY, seed=3)
