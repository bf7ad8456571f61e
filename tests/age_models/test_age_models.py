"""Age models that see images: what they are shown, what they learn, and what they never see."""

import json

import numpy as np
import pytest

from refacebench import contracts
from refacebench.age_models import _input, sfcn, voxels
from refacebench.checking import heads
from refacebench.checking.age_models import head
from refacebench.head import pose
from refacebench.image import nifti

COARSE = {"voxel_mm": 8.0}
#: A network that trains in a second.
SMALL = {
    **{"voxel_mm": 12.0, "channels": [4, 8, 8], "epochs": 10, "decay_epochs": 0, "batch": 4},
    **{"steps_per_epoch": 4, "bin_years": 5.0, "sigma_years": 5.0, "dropout": 0.1},
    **{"optimiser": "adam", "shift_voxels": 0, "folds": 0, "min_train": 3, "device": "cpu"},
    **{"precision": "float32"},
}


def seen(volume, brain, name, voxel_mm=8.0):
    return _input.prepare(volume, brain, {"input": name, "voxel_mm": voxel_mm})


@pytest.fixture(scope="module")
def scan():
    volume, brain, _ = heads.head(3)
    return volume, brain


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    found = []
    for number in range(14):
        age = 20.0 + 60.0 * ((5 * number) % 14) / 13
        volume, brain = head(number, age)
        paths = [str(folder / f"sub-{number:02d}_{name}.nii.gz") for name in ("T1w", "mask")]
        nifti.write(volume, paths[0])
        nifti.write(volume.with_data(brain.astype(np.uint8)), paths[1])
        found.append(contracts.Aged(f"sub-{number:02d}", f"sub-{number:02d}", age, *paths))
    return found


# what they are shown -------------------------------------------------------------------------


def test_a_model_of_the_brain_sees_no_face_and_one_of_the_face_no_brain(scan):
    volume, brain = scan
    rng = np.random.default_rng(0)
    other = volume.with_data(np.where(brain, volume.data, rng.uniform(0, 99, volume.shape)))
    one, two = (seen(v, brain, "brain", 4.0) for v in (volume, other))
    ratio = one[one > 0.1] / two[one > 0.1]
    assert ratio.size > 10_000
    # Only what the 99th percentile of all counts as air may differ, and so the mean.
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-4)
    other = volume.with_data(np.where(brain, rng.uniform(0, 99, volume.shape), volume.data))
    one, two = (seen(v, brain, "face", 4.0) for v in (volume, other))
    ratio = one[one > 0.1] / two[one > 0.1]
    assert ratio.size > 10_000
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-4)
    assert (seen(volume, brain, "head", 4.0) != seen(other, brain, "head", 4.0)).mean() > 0.05


def test_the_hole_in_the_face_does_not_show_whose_brain_it_was(scan):
    volume, brain = scan
    hidden = _input._hidden(8.0)
    shown = seen(volume, brain, "face")
    assert (shown[hidden] == 0).all()
    own = nifti.resample(
        nifti.Volume(
            brain.astype(np.float32),
            pose.fit(volume.with_data(brain), field=volume).matrix @ volume.affine,
        ),
        _input._grid("face", 8.0),
    ).data
    assert (own[~hidden] > 0.5).mean() < 0.01


@pytest.mark.parametrize("codes", ["LAS", "PIR"])
def test_orientation_and_units_of_the_scan_do_not_matter(scan, codes):
    volume, brain = scan
    turned, mask = (nifti.reorient(volume.with_data(data), codes) for data in (volume.data, brain))
    for name in ("brain", "face"):
        one = seen(volume, brain, name)
        two = seen(turned.with_data(7 * turned.data), mask.data > 0, name)
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_an_image_without_anything_to_see_is_a_reason(scan):
    volume, brain = scan
    stripped = volume.with_data(np.where(brain, volume.data, 0))
    with pytest.raises(contracts.ScanExcluded, match="shows no face"):
        seen(stripped, brain, "face")
    with pytest.raises(ValueError, match="no brain was found"):
        seen(volume, brain & False, "brain")


def test_folds_keep_people_together():
    people = [contracts.Aged(f"s{n}", f"p{n // 2}", 40.0 + n, "", "") for n in range(14)]
    found = _input.folds(people, 3, seed=1)
    assert sorted(np.concatenate(found)) == list(range(14))
    whose = [{people[n].participant for n in fold} for fold in found]
    assert sum(map(len, whose)) == 7


# what they learn -------------------------------------------------------------------------------


def test_ridge_on_voxels_learns_a_planted_age_and_lists_what_it_said(people, tmp_path):
    options = {**voxels.METHOD.defaults, **COARSE, "input": "head"}
    voxels.train(people[:11], [], tmp_path, options, 1)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["out_of_fold"]["r2"] > 0.5
    assert card["out_of_fold"]["scans"]["scan"] == [p.scan for p in people[:11]]
    model = voxels.load(tmp_path, options)
    found = [
        voxels.run(model, nifti.read(p.path), nifti.read_mask(p.brain_path), options)
        for p in people[11:]
    ]
    assert np.abs(np.array(found) - [p.age for p in people[11:]]).mean() < 10


def test_ridge_is_that_of_sklearn():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features, age = rng.normal(size=(9, 40)), rng.uniform(20, 80, 9)
    model = voxels._fit(features, age, 0.3)
    rest = features - features.mean(axis=0)
    other = Ridge(alpha=0.3 * (rest**2).sum()).fit(rest, age)
    new = rng.normal(size=(3, 40))
    np.testing.assert_allclose(
        voxels._predict(model, new), other.predict(new - features.mean(axis=0))
    )


def test_the_network_learns_a_planted_age_and_goes_on_to_the_same_bytes(people, tmp_path):
    options = {**sfcn.METHOD.defaults, **SMALL, "input": "head", "epochs": 30}
    sides = people[:10], people[10:]
    sfcn.train(*sides, tmp_path / "one", options, 1)
    card = json.loads((tmp_path / "one/card.json").read_text())
    mean = np.mean([p.age for p in people[:10]])
    nothing = np.abs([p.age - mean for p in people[10:]]).mean()
    assert card["picked"]["validation"]["val_mae"] < 0.7 * nothing
    assert card["out_of_fold"] == {}
    assert "not cross-validated" in card["note"]
    model = sfcn.load(tmp_path / "one", options)
    again = [
        sfcn.run(model, nifti.read(p.path), nifti.read_mask(p.brain_path), options)
        for p in people[10:]
    ]
    off = np.abs(np.array(again) - [p.age for p in people[10:]]).mean()
    assert off == pytest.approx(card["picked"]["validation"]["val_mae"], abs=1e-3)


def test_a_killed_training_goes_on_and_leaves_the_same_model(people, tmp_path, monkeypatch):
    options = {**sfcn.METHOD.defaults, **SMALL, "epochs": 3, "folds": 2}
    sides = people[:6], people[6:8]
    sfcn.train(*sides, tmp_path / "whole", options, 1)
    from refacebench.training import loop, state

    calls = []

    def dying(*given):
        calls.append(1)
        state.save_state(*given)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        sfcn.train(*sides, tmp_path / "killed", options, 1)
    monkeypatch.setattr(loop, "save_state", state.save_state)
    sfcn.train(*sides, tmp_path / "killed", options, 1)
    for name in ("model.safetensors", "card.json", "curves.tsv"):
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "killed"))
        assert one == two, name
    assert not (tmp_path / "killed/folds").exists()
    scans = json.loads((tmp_path / "whole/card.json").read_text())["out_of_fold"]["scans"]
    assert scans["scan"] == [p.scan for p in people[:6]]


def test_a_network_that_pools_its_input_away_is_refused():
    options = {**sfcn.METHOD.defaults, "voxel_mm": 8.0}
    with pytest.raises(ValueError, match="6 blocks do not fit a box of 20 x 24 x 22"):
        sfcn.check(options)
    sfcn.check({**options, "channels": [8, 8, 8]})


def test_soft_labels_and_bins():
    from refacebench.training import sfcn as network

    middles = network.centers(np.array([30.2, 60.0]), 1.0)
    assert (middles[0], middles[-1]) == (25.5, 64.5)
    labels = network.soft_labels(np.array([40.5, 41.0]), middles, 1.0)
    np.testing.assert_allclose(labels.sum(axis=1), 1)
    np.testing.assert_allclose(labels @ middles, [40.5, 41.0])
    assert middles[labels[0].argmax()] == 40.5
