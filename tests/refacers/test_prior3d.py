"""Refacer prior3d: a face comes back, from what was kept and the training people alone."""

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("torch")

from refacebench.checking import heads  # noqa: E402
from refacebench.contracts import Pair, TrainingFailed  # noqa: E402
from refacebench.image import nifti  # noqa: E402
from refacebench.image.nifti import Volume  # noqa: E402
from refacebench.refacers import prior3d  # noqa: E402
from refacebench.report import models
from refacebench.training import head_prior, pairs, spill  # noqa: E402

SMALL = {**prior3d.METHOD.defaults, "voxel_mm": 4.0, "rounds": 1}


@pytest.fixture(scope="module", autouse=True)
def few_iterations():
    """Made-up heads hardly differ: a fifth of the registration's work will do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_prior, "LEVELS", ((0.5, 15), (1.0, 4)))
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Made-up heads without their lower front."""
    folder = tmp_path_factory.mktemp("heads")
    return [pair(folder, person) for person in range(4)]


def pair(folder, person):
    original, brain, head = heads.head(person, voxel_mm=5.0)
    y, z = (original.affine[a, 3] + 5.0 * np.arange(original.shape[a]) for a in (1, 2))
    changed = ((y > 40)[:, None] & (z < 0)[None]) & ~brain
    images = {"original": original, "defaced": original.with_data(original.data * ~changed)}
    images |= {"changed": original.with_data(changed), "brain": original.with_data(brain)}
    paths = {name: folder / f"{person}_{name}.nii.gz" for name in images}
    for name, image in images.items():
        nifti.write(image, paths[name])
    return Pair(f"sub-{person}", **{name: str(path) for name, path in paths.items()})


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    prior3d.METHOD.train(people[:2], people[2:3], out, SMALL, seed=1)
    return out


@pytest.fixture(scope="module")
def refaced(people, trained):
    defaced, changed = nifti.read(people[3].defaced), nifti.read_mask(people[3].changed)
    model = prior3d.METHOD.load(trained, SMALL)
    return defaced, changed, model, prior3d.METHOD.run(model, defaced, changed, SMALL)


def test_the_face_of_a_new_person_comes_back(people, refaced):
    """Nearer to the original than half of what defacing took away; the rest is the scan itself."""
    defaced, changed, _, found = refaced
    original = nifti.read(people[3].original).data
    assert changed.sum() > 1000
    before, after = (np.abs(x - original)[changed].mean() for x in (defaced.data, found))
    assert after < 0.5 * before
    np.testing.assert_array_equal(found[~changed], defaced.data[~changed])


def test_what_stands_in_the_hole_is_not_read(refaced):
    defaced, changed, model, found = refaced
    for value in (-50.0, 1000.0, np.nan):
        other = defaced.with_data(np.where(changed, value, defaced.data).astype(np.float32))
        again = prior3d.METHOD.run(model, other, changed, SMALL)
        np.testing.assert_array_equal(again[changed], found[changed])


def test_a_scan_in_another_orientation_gets_the_same_face(refaced):
    defaced, changed, model, found = refaced
    turned = nifti.reorient(defaced, "LSA")
    mask = nifti.reorient(Volume(changed, defaced.affine), "LSA").data
    again = turned.with_data(prior3d.METHOD.run(model, turned, mask, SMALL))
    again = nifti.reorient(again, nifti.axis_codes(defaced.affine)).data
    np.testing.assert_allclose(again, found, atol=0.02 * found.max())


def test_the_same_people_give_the_same_bytes_whoever_validates(people, trained, tmp_path):
    """Trained again with another validation person, of whom nothing is learnt."""
    prior3d.METHOD.train(people[:2], people[3:], tmp_path, SMALL, seed=1)
    weights = [(f / "model.safetensors").read_bytes() for f in (tmp_path, trained)]
    assert weights[0] == weights[1]
    card = json.loads((tmp_path / "card.json").read_text())
    first = json.loads((trained / "card.json").read_text())
    assert card["law"] == first["law"]
    assert not models.by_validation(card), "the last round is used, whatever validation says"
    assert card["law"]["reach"] in prior3d.REACHES
    assert card["law"]["examples"] in prior3d.EXAMPLES
    assert card["data"]["train"] == [p.scan for p in people[:2]]


def test_heads_in_files_give_the_same_model(people, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "BOUND_MB", prior3d.whole_mb(SMALL, 3) - 1)
    assert prior3d.in_files(SMALL, 3)
    prior3d.METHOD.train(people[:2], people[2:3], tmp_path, SMALL, seed=1)
    for name in ("model.safetensors", "card.json"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.slow
def test_a_person_more_takes_no_more_memory_than_is_asked_for(people, monkeypatch):
    monkeypatch.setattr(prior3d, "LEFT_OUT", 1)
    read = pairs.read(people, prior3d._prepared(SMALL, np.asarray), ())[0]
    heads_read, peaks = list(read.values()), []
    for count in (2, 4):
        tracemalloc.start()
        prior3d.learn(heads_read[:count], heads_read[:1], {**SMALL, "components": 2})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 2 <= 1.05 * prior3d._shape_bytes()


def test_a_model_of_another_voxel_size_is_refused(trained):
    with pytest.raises(ValueError, match="other options"):
        prior3d.METHOD.load(trained, {**SMALL, "voxel_mm": 2.0})


def test_no_usable_scan_is_a_reason(people, tmp_path):
    blank = Volume(np.zeros((30, 30, 30), np.float32), np.eye(4))
    nifti.write(blank, tmp_path / "blank.nii.gz")
    lost = dataclasses.replace(people[0], original=tmp_path / "blank.nii.gz")
    with pytest.raises(TrainingFailed, match="0 usable training"):
        prior3d.METHOD.train([lost], people[2:3], tmp_path, SMALL, seed=1)
    assert not (tmp_path / "model.safetensors").exists()


def test_examples_count_where_they_tell_and_smoothness_reaches_where_nothing_else_does():
    """One wild pattern in all people, more or less of it; or smooth shapes of each one's own."""
    rng = np.random.default_rng(0)
    small = np.ones(head_prior.box(4.0).shape, np.float32)
    kept = np.ones(small.shape, bool)
    kept[:, 50:] = False  # the front

    def picked(shapes):
        seen = {
            i: prior3d.Observed(kept, np.ones_like(kept), shape / np.float32(4))
            for i, shape in enumerate(shapes)
        }
        return prior3d._law(seen, shapes, [], small)

    pattern = rng.normal(size=(3, *small.shape)).astype(np.float32)
    found = picked([np.float32(amount) * pattern for amount in (-3, 2, 4, -2)])
    assert found.examples == max(prior3d.EXAMPLES)
    places = np.indices(small.shape).reshape(3, -1) / 10.0  # 4 mm voxels: waves of 40 mm a radian

    def waves():
        parts = [(rng.normal(size=(3, 3)), rng.uniform(0, 2 * np.pi, (3, 1))) for _ in range(2)]
        shape = sum(2 * np.sin(turn @ places + phase) for turn, phase in parts)
        return shape.reshape(pattern.shape).astype(np.float32)

    found = picked([waves() for _ in range(4)])
    assert min(prior3d.REACHES) < found.reach < max(prior3d.REACHES)
    assert found.examples < max(prior3d.EXAMPLES)
