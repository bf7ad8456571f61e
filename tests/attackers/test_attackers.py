"""Attackers on made-up heads: the same person comes first, black pictures give nothing away."""

import importlib
import json

import numpy as np
import pandas as pd
import pytest

from refacebench import vocabulary
from refacebench.attackers import surface
from refacebench.contracts import AttackFailed, Context, Enrolled
from refacebench.head import matrices, rendering
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.run import methods
from refacebench.stages import attack, enrol

OPTIONS = {"pixels": 64, "views": 2, "lights": 1, "voxel_mm": 4.0}
NAMES = methods.available("attackers")
PEOPLE = 7
#: Enrolled once for all tests.
GALLERIES = {}


def head(rng, person):
    """An ellipsoid with a nose, a brow and a chin whose sizes and places are the person's."""
    low, high, voxel = np.array([-105, -125, -160]), np.array([105, 145, 115]), 4.0
    shape = ((high - low) / voxel).astype(int) + 1
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = low
    place = (
        np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) * voxel + low
    )
    own = np.random.default_rng([7, person])

    def blob(center, axes):
        radius = np.sqrt((((place - center) / axes) ** 2).sum(axis=-1))
        return np.clip((1 - radius) * min(axes) / voxel + 0.5, 0, 1)

    data = blob([0, -10, -5], np.array([72, 92, 88]) * own.uniform(0.94, 1.06, 3))
    parts = [
        ([0, 88, -60], [16, 22, 24]),
        ([0, 76, -22], [44, 16, 10]),
        ([0, 70, -112], [26, 24, 16]),
    ]
    parts += [([side * 38, 66, -62], [18, 18, 18]) for side in (-1, 1)]
    for center, axes in parts:
        moved = np.array(center) + own.uniform(-7, 7, 3) * [center[0] != 0, 1, 1]
        data = np.maximum(data, blob(moved, np.array(axes) * own.uniform(0.7, 1.3, 3)))
    shift = rng.normal(0, 1.0, 3)
    affine[:3, 3] += shift
    noise = np.abs(rng.normal(0, 3, shape))
    brain = blob([0, -10, 5], np.array([62, 80, 62]) * own.uniform(0.92, 1.08, 3)) > 0.5
    return Volume((100 * data + noise).astype(np.float32), affine), brain


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Render manifests and brain masks of two sessions of seven people, and faceless scans."""
    folder = tmp_path_factory.mktemp("heads")
    rng = np.random.default_rng(3)
    rows, brains = [], []
    matrices.write_matrix(np.eye(4), folder / "pose.json")
    for person in range(PEOPLE):
        for session in (1, 2):
            volume, brain = head(rng, person)
            scan = f"sub-{person}_ses-{session}"
            nifti.write(volume.with_data(brain.astype(np.uint8)), folder / f"{scan}.nii.gz")
            brains.append(
                {"scan": scan, "status": "ok", "brainseg_path": str(folder / f"{scan}.nii.gz")}
            )
            for variant in ("original", "faceless")[: 3 - session]:
                data = volume.data.copy()
                if variant == "faceless":
                    data[:, 48:, :38] = 0
                path = folder / variant / f"{scan}.npz"
                rendering.write(rendering.render(volume.with_data(data), np.eye(4), OPTIONS), path)
                rows.append(
                    {
                        "scan": scan,
                        "participant": f"sub-{person}",
                        "session": f"ses-{session}",
                        "variant": variant,
                        "views_path": str(path),
                        "template_path": str(folder / "pose.json"),
                        "status": "ok",
                        "reason": "",
                    }
                )
    return pd.DataFrame(rows), pd.DataFrame(brains)


def options_of(name, **given):
    small = {
        "siamese": {"resplits": 2, "train_share": 0.6, "min_train": 3, "steps": 25, "pixels": 32},
        "face_recognition": {"views": 1, "detect_pixels": 0},
    }
    return methods.choose("attackers", name, {**small.get(name, {}), **given}).options


def run(name, cohort, folder, variant="original", control="", rows=None, **given):
    """Attack the first sessions of a variant; returns the attack's arrays."""
    module = importlib.import_module(f"refacebench.attackers.{name}")
    options = options_of(name, **given)
    if module.METHOD.missing(options):
        pytest.skip(module.METHOD.missing(options))
    table, brains = cohort
    masks = brains if module.METHOD.brains else None
    key = (name, json.dumps(options, sort_keys=True))
    if key not in GALLERIES:
        originals = table[table["variant"] == "original"]
        GALLERIES[key], _ = enrol.enrol(module.METHOD, enrol.subjects(originals, masks)[0], options)
    gallery = GALLERIES[key]
    if rows is None:
        rows = table[(table["variant"] == variant) & (table["session"] == "ses-1")]
    people, lost = enrol.subjects(rows, masks, control)
    queries, unfit = enrol.enrol(module.METHOD, people, options)
    context = Context(1, folder / name / (control or variant))
    return attack.compare(module.METHOD, rows, queries, gallery, options, context, lost | unfit)[0]


def ranks(found):
    """Return the expected rank of the person's other session, and how many there were."""
    distance = found["distance"] if found["distance"].ndim == 3 else found["distance"][None]
    result = []
    for part in distance:
        for n, row in enumerate(part):
            here = (found["gallery_session"] != found["query_session"][n]) & np.isfinite(row)
            own = here & (found["gallery_participant"] == found["query_participant"][n])
            if own.any():
                x = row[own][0]
                ties = (row[here] == x).sum() - 1
                result.append((1 + (row[here] < x).sum() + ties / 2, here.sum()))
    return np.array(result)


@pytest.mark.parametrize("name", ["surface", "head_shape"])
def test_the_same_person_comes_first(name, cohort, tmp_path):
    found = ranks(run(name, cohort, tmp_path))
    assert len(found) == PEOPLE
    assert (found[:, 0] == 1).all()


@pytest.mark.parametrize("name", ["face_recognition", "siamese"])
def test_learned_attackers_are_far_better_than_chance(name, cohort, tmp_path):
    found = ranks(run(name, cohort, tmp_path))
    assert (found[:, 0] == 1).mean() >= 0.8
    assert len(found) == (PEOPLE if name == "face_recognition" else 6)


@pytest.mark.parametrize("name", NAMES)
def test_black_pictures_give_nobody_away(name, cohort, tmp_path):
    found = run(name, cohort, tmp_path, control="black")
    # Every query looks the same: the gallery is ranked in one order for all of them, in
    # which each participant has one place.
    place, count = ranks(found).T
    assert place.mean() == pytest.approx((count.mean() + 1) / 2)
    one_order = np.atleast_3d(found["distance"].T).T
    spread = np.nanmax(one_order, axis=1) - np.nanmin(one_order, axis=1)
    assert np.nanmax(spread) < 1e-5
    assert (found["query_reason"] == "").all()


def test_without_the_face_the_surface_attack_fails_and_the_head_shape_does_not(cohort, tmp_path):
    surface_ranks = ranks(run("surface", cohort, tmp_path, "faceless"))[:, 0]
    shape_ranks = ranks(run("head_shape", cohort, tmp_path, "faceless"))[:, 0]
    assert (surface_ranks == 1).mean() < 0.6
    assert (shape_ranks == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_scan_stays_a_row_with_its_reason(name, cohort, tmp_path):
    rows = cohort[0][
        (cohort[0]["variant"] == "original") & (cohort[0]["session"] == "ses-1")
    ].copy()
    rows.iloc[0, rows.columns.get_indexer(["status", "reason"])] = ["failed", "no result after 9 s"]
    rows.iloc[1, rows.columns.get_loc("views_path")] = str(tmp_path / "gone.npz")
    given = {"min_train": 2, "train_share": 0.5} if name == "siamese" else {}
    found = run(name, cohort, tmp_path, rows=rows, **given)
    assert list(found["query_scan"]) == sorted(rows["scan"])
    assert found["query_reason"][0] == "no result after 9 s"
    assert "gone.npz" in found["query_reason"][1]
    assert np.isnan(found["distance"][..., :2, :]).all()
    assert np.isfinite(found["distance"][..., 2:, :]).any()


def depth_of(cohort, scan="sub-0_ses-1"):
    path = cohort[0].set_index(["variant", "scan"]).loc[("original", scan), "views_path"]
    seen = rendering.read(path)
    return seen.depth[0], seen.pixel_mm


def test_a_shifted_and_turned_face_is_laid_back(cohort):
    depth, pixel = depth_of(cohort)
    other, _ = depth_of(cohort, "sub-1_ses-1")
    moved = np.roll(depth, (1, 2), axis=(0, 1)) + 4.0  # up to 8 mm
    targets = np.stack([depth, other])
    slopes = surface.normals(targets, pixel)
    options = surface.METHOD.defaults
    still = surface.compare(depth, targets, slopes, pixel, options)
    apart = surface.compare(moved, targets, slopes, pixel, {**options, "rounds": 0})
    laid = surface.compare(moved, targets, slopes, pixel, options)
    assert still[0] < 0.01
    assert apart[0] > 3
    assert laid[0] < 0.15 * apart[0]
    assert laid[0] < 0.5 * laid[1]


def test_surface_distances_by_hand():
    plane = np.zeros((64, 64), np.float32)
    pixel = 250 / 64
    slopes = surface.normals(plane[None], pixel)
    np.testing.assert_allclose(slopes[0, 5, 5], [0, 0, 1], atol=1e-6)
    options = {**surface.METHOD.defaults, "rounds": 0}
    near = surface.compare(plane - 3, plane[None], slopes, pixel, options)
    assert near[0] == pytest.approx(3.0)
    far = surface.compare(plane - 30, plane[None], slopes, pixel, options)
    assert far[0] == options["cap_mm"]
    half = plane.copy()
    half[:, 32:] = np.nan
    missing = surface.compare(half, plane[None], slopes, pixel, options)
    assert missing[0] == pytest.approx(options["cap_mm"] / 2, rel=0.1)
    tilted = np.tile(-pixel * np.arange(64, dtype=np.float32), (64, 1))[None]
    slope = surface.normals(tilted, pixel)
    np.testing.assert_allclose(slope[0, 9, 9], np.array([1, 0, 1]) / np.sqrt(2), atol=1e-5)


def test_the_face_region_is_a_face():
    face = surface.face_pixels(128, 250 / 128)
    assert (face == face[:, ::-1]).mean() > 0.99  # symmetric
    area = face.sum() * (250 / 128) ** 2
    corners = surface.FACE
    shoelace = 0.5 * abs(
        np.dot(corners[:, 0], np.roll(corners[:, 1], 1))
        - np.dot(corners[:, 1], np.roll(corners[:, 0], 1))
    )
    assert area == pytest.approx(shoelace, rel=0.03)


def test_the_average_face_is_told_from_the_true_one(cohort, tmp_path):
    found = run("surface", cohort, tmp_path)
    assert found["query_true_mm"].max() < 0.01
    assert found["query_average_mm"].min() > 0.5
    blank = run("surface", cohort, tmp_path, "faceless")
    assert (blank["query_true_mm"] > found["query_average_mm"]).all()
    assert blank["changed_mm"].shape == (64, 64)
    face, brow = (
        np.nanmean(blank["changed_mm"][rows, 28:36]) for rows in (slice(38, 44), slice(10, 20))
    )
    assert 10 >= face > 5 > 0.5 > brow, "nothing is farther away than the cap"
    assert blank["cap_mm"] == 10.0


def test_the_map_of_distances_and_their_mean_are_one_thing(cohort, tmp_path):
    """By pixel and as a mean over the face: registered, capped, missing surface at the cap."""
    found = run("surface", cohort, tmp_path, "faceless")
    size = len(found["changed_mm"])
    face = surface.face_pixels(size, 250 / size) & np.isfinite(found["changed_mm"])
    assert found["changed_mm"][face].mean() == pytest.approx(
        found["query_true_mm"].mean(), rel=0.02
    )
    assert np.nanmax(found["changed_mm"]) <= found["cap_mm"]


def test_an_outline_is_the_same_after_a_shift_and_not_after_growth():
    from refacebench.attackers import head_shape

    way = head_shape.directions()
    ball = np.full((1, len(way)), 70.0)
    shifted = ball + way @ [3.0, -2.0, 1.0]
    assert head_shape.outline_distance(shifted, ball, way)[0, 0] == pytest.approx(0, abs=1e-6)
    assert head_shape.outline_distance(ball + 2, ball, way)[0, 0] == pytest.approx(2.0)


def test_the_brain_of_a_known_ellipsoid():
    from refacebench.attackers import head_shape

    n = 70
    place = (np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1) - 34.5) * 3
    inside = ((place / [60, 80, 66]) ** 2).sum(axis=-1) < 1
    affine = np.diag([3.0, 3, 3, 1])
    radius, features = head_shape.brain_outline(Volume(inside, affine), np.eye(4), 8)
    way = head_shape.directions()
    truth = 1 / np.sqrt(((way / [60, 80, 66]) ** 2).sum(axis=1))
    assert np.sqrt(((radius - truth) ** 2).mean()) < 0.6
    assert features[0] == pytest.approx(4 / 3 * np.pi * 6.0 * 8.0 * 6.6, rel=0.01)
    np.testing.assert_allclose(features[2:], [120, 160, 132], rtol=0.02)


def test_resplits_never_evaluate_whom_they_trained_on(cohort, tmp_path):
    found = run("siamese", cohort, tmp_path)
    assert found["distance"].shape == (2, PEOPLE, 2 * PEOPLE)
    assert found["resplit"].shape == (2, PEOPLE)
    assert (found["resplit"].sum(axis=1) == 3).all()  # 4 of 7 to train
    for part, inside in zip(found["distance"], found["resplit"] > 0, strict=True):
        people = set(found["query_participant"][inside])
        assert np.isnan(part[~inside]).all()
        columns = np.isin(found["gallery_participant"], list(people))
        assert np.isfinite(part[inside][:, columns]).all()
        assert np.isnan(part[:, ~columns]).all()


def test_fewer_resplits_where_their_distances_would_not_fit(cohort, tmp_path, monkeypatch):
    from refacebench.attackers import siamese

    whole = run("siamese", cohort, tmp_path / "a", resplits=2, steps=2)
    monkeypatch.setattr(siamese, "MOST_DISTANCES", 2 * PEOPLE * 2 * PEOPLE + 1)
    found = run("siamese", cohort, tmp_path / "b", resplits=5, steps=2)
    assert found["distance"].shape[0] == len(found["resplit"]) == 2
    # The first ones of those that were asked for.
    np.testing.assert_array_equal(found["distance"], whole["distance"])


def test_an_interrupted_attack_goes_on_and_is_the_same(cohort, tmp_path):
    first = run("siamese", cohort, tmp_path)["distance"]
    kept = sorted((tmp_path / "siamese" / "original").glob("resplit-*.npz"))
    assert len(kept) == 2
    kept[1].unlink()
    stamp = kept[0].stat().st_mtime_ns
    np.testing.assert_array_equal(run("siamese", cohort, tmp_path)["distance"], first)
    assert kept[0].stat().st_mtime_ns == stamp
    # Another training is not taken for this one.
    other = run("siamese", cohort, tmp_path, steps=26)["distance"]
    assert not np.array_equal(other, first, equal_nan=True)


def test_too_few_people_are_said_so(cohort, tmp_path):
    found = run("siamese", cohort, tmp_path, min_train=30)
    assert np.isnan(found["distance"]).all() or found["distance"].shape[0] == 0
    assert all("min_train" in reason for reason in found["query_reason"])


def test_train_split_people_must_not_be_attacked(cohort, tmp_path):
    from refacebench.attackers import siamese

    table = cohort[0]
    options = options_of("siamese", source="train")
    rows = table[table["variant"] == "original"]
    everybody, _ = enrol.enrol(siamese.METHOD, enrol.subjects(rows)[0], options)
    context = Context(1, tmp_path, everybody, everybody)
    with pytest.raises(AttackFailed, match="both trained on and attacked"):
        siamese.score(everybody, everybody, options, context)
    trained = np.isin(everybody.participant, ["sub-0", "sub-1", "sub-2", "sub-3"])
    context = Context(1, tmp_path, everybody.take(trained), everybody.take(trained))
    tested = everybody.take(~trained)
    found = siamese.score(tested, tested, options, context)
    assert found.resplit is None
    assert found.distance.shape == (6, 6)
    assert "4 participants" in found.trained_on


def test_siamese_computes_where_it_is_told_to(monkeypatch):
    torch = pytest.importorskip("torch")
    from refacebench.attackers import siamese
    from refacebench.contracts import Enrolled

    who = np.array(["sub-0", "sub-1", "sub-2"])
    pictures = np.random.default_rng(0).uniform(-1, 1, (3, 1, 2, 16, 16)).astype(np.float16)
    side = Enrolled(who, who, who, {"pictures": pictures})
    small = {"pixels": 16, "filters": 4, "steps": 3}

    def weights(**given):
        network = siamese.train(side, side, who, options_of("siamese", **small, **given), [1, 6])
        return torch.cat([w.detach().flatten() for w in network.parameters()])

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch.equal(weights(), weights(device="auto"))
    with pytest.raises(ValueError, match="no CUDA device here; use auto or cpu"):
        weights(device="cuda")
    # A device without numbers: where they would have gone.
    with pytest.raises(NotImplementedError, match="meta"):
        weights(device="meta")


def test_the_triplet_loss_by_hand():
    torch = pytest.importorskip("torch")
    from refacebench.attackers import siamese

    first = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    second = torch.tensor([[3.0, 0.0], [10.0, 4.0]])
    # Own pairs 3 and 4; across sqrt(100 + 16) and 7.
    far, near = np.sqrt(116), 7.0
    down = (max(0, 3 - far + 5) + max(0, 4 - near + 5)) / 2
    across = (max(0, 4 - far + 5) + max(0, 3 - near + 5)) / 2
    loss = siamese.triplet_loss(first, second, 5.0)
    assert float(loss) == pytest.approx((down + across) / 2, abs=1e-4)


def test_detected_is_false_where_there_is_no_face(cohort, tmp_path):
    found = run("face_recognition", cohort, tmp_path, control="black")
    assert not found["detected"].any()
    assert run("surface", cohort, tmp_path, control="black")["detected"].all()


def test_an_attack_and_a_gallery_come_back_from_their_files(cohort, tmp_path):
    found = run("siamese", cohort, tmp_path)
    attack.save_attack(found, {"attacker": "siamese", "options": {"steps": 25}}, tmp_path / "a.npz")
    arrays, meta = attack.load_attack(tmp_path / "a.npz")
    assert meta["options"] == {"steps": 25}
    assert arrays["distance"].dtype == np.float32
    assert arrays["resplit"].dtype == np.int16
    for name, values in found.items():
        np.testing.assert_array_equal(arrays[name], values)
    enrolled = Enrolled(*(np.array(["a", "b"]) for _ in range(3)), {"x": np.eye(2)})
    enrol.save_enrolled(enrolled, {"c": "no image"}, tmp_path / "g.npz")
    back, lost = enrol.load_enrolled(tmp_path / "g.npz")
    assert lost == {"c": "no image"}
    assert list(back.scan) == ["a", "b"]
    np.testing.assert_array_equal(back.features["x"], np.eye(2))


def test_an_unavailable_attacker_keeps_every_row(cohort):
    table = cohort[0]
    arrays = attack.unavailable(
        table[table["session"] == "ses-1"].iloc[:3], table.iloc[:4], "no dlib"
    )
    assert arrays["distance"].shape == (3, 4)
    assert set(arrays["query_reason"]) == {"no dlib"}


def test_without_the_weights_it_says_what_to_install(monkeypatch):
    from refacebench.attackers import face_recognition

    monkeypatch.setattr(face_recognition, "_models", lambda: None)
    message = face_recognition.missing({})
    assert "face_recognition_models" in message
    assert "requirements-faces.txt" in message


def test_every_attacker_keeps_the_contract():
    assert set(NAMES) == {"surface", "head_shape", "face_recognition", "siamese"}
    for name in NAMES:
        method = methods.choose("attackers", name).method
        assert method.title
        assert set(method.controls) <= set(vocabulary.PICTURE_CONTROLS)
