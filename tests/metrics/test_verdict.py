"""The verdict from true labels, its agreement with the automatic one, ears, and crashes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from factories import measurements
from refacebench.head import face_parts, matrices, space
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import truth
from refacebench.metrics.brain import brain_integrity
from refacebench.metrics.face import face_left
from refacebench.metrics.verdict import classify
from refacebench.results.face_parts import compute as face_parts_table
from refacebench.results.face_shown import compute as face_shown_table
from refacebench.results.quality import compute as quality_table
from refacebench.results.verdict_agreement import compute as verdict_agreement_table
from refacebench.stages import measure
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import REGIONS, TRUTH

PARTS = ("nose", "eyes", "mouth", "chin")
SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


class Painted:
    """A head of ellipsoids in template mm, 3 mm voxels: labels, and an image painted from them."""

    def __init__(self, lowest=-165.0, nose=116.0):
        self.affine = np.diag([3.0, 3.0, 3.0, 1.0])
        self.affine[:3, 3] = (-105.0, -120.0, lowest)
        shape = (70, 90, int((120 - lowest) / 3))
        x, y, z = (space.template_axis(Volume(np.zeros(shape), self.affine), np.eye(4), a)
                   for a in range(3))  # fmt: skip
        x = x - truth.MIDLINE
        head = (x / 78) ** 2 + (y / 95) ** 2 + ((z + 20) / 120) ** 2 < 1
        head |= (np.abs(x) < 60) & (y > 0) & (y < 85) & (z < -20)  # jaws, down to the view's end
        tip = nose - 0.9 * np.maximum(0, np.abs(z + 70) - 3) - 1.2 * np.maximum(0, np.abs(x) - 4)
        head |= (y > 40) & (y < tip)
        head |= (np.abs(x) < 96) & (np.abs(y + 12) < 14) & (np.abs(z + 48) < 22)  # ears
        brain = (x / 64) ** 2 + ((y + 3.3) / 76) ** 2 + ((z - 4.2) / 58) ** 2 < 1
        inner = (x / 60) ** 2 + ((y + 3.3) / 72) ** 2 + ((z - 4.2) / 54) ** 2 < 1
        labels = np.where(head, TRUTH["other_head"], 0).astype(np.uint8)
        labels[brain] = TRUTH["csf"]
        labels[inner] = TRUTH["gm"]
        deep = (np.abs(y) < 15) & (np.abs(z - 5) < 12)
        labels[deep & (np.abs(x + 14) < 8)] = 11 + REGIONS.index("thalamus_left")
        labels[deep & (np.abs(x - 14) < 8)] = 11 + REGIONS.index("thalamus_right")
        self.labels = Volume(labels, self.affine)
        rng = np.random.default_rng(0)
        signal = np.select([labels == 0, labels == 5, labels == 1], [0.0, 80.0, 30.0], 100.0)
        self.data = (signal + np.abs(rng.normal(0, 2, shape))).astype(np.float32)
        self.brain = truth.brain_of(labels)

    def without(self, *parts, values=0.0):
        """Return the image with parts of the face set to other values, the air before them too."""
        data = self.data.copy()
        where = self.boxes(parts) & ~self.boxes(set(PARTS) - set(parts)) & ~self.brain
        data[where] = np.broadcast_to(values, data.shape)[where]
        return data

    def boxes(self, parts):
        """Return the boxes of parts, with the air before them and a little more depth."""
        found = np.zeros(self.data.shape, bool)
        for part in parts:
            for x, (y, _), z in face_parts.FACE_BOXES[part]:
                found |= space.inside_box(self.labels, np.eye(4), (x, (y - 10, 200), z))
        return found

    def judge(self, variant, **options):
        return truth.judge(self.labels, self.data, variant, **options)


@pytest.fixture(scope="module")
def painted():
    return Painted()


# the frame ----------------------------------------------------------------------------------


def test_the_frame_is_found_from_labels_alone(painted):
    matrix = truth.to_template(painted.labels)
    assert np.linalg.norm((matrix @ [*truth.NOSE_TIP, 1])[:3] - truth.NOSE_TIP) < 5
    eyes = matrix @ [30, 85, -38, 1]
    assert np.linalg.norm(eyes[:3] - (30, 85, -38)) < 5


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_the_verdict_does_not_depend_on_pose_and_axes(painted, codes):
    pose = np.eye(4)
    turn = np.radians(6.0)
    pose[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    pose[:3, 3] = (20, -30, 40)
    turned = [
        nifti.reorient(Volume(data, pose @ painted.affine), codes)
        for data in (painted.labels.data, painted.data, painted.without("nose", "eyes"))
    ]
    straight = painted.judge(painted.without("nose", "eyes"))
    found = truth.judge(turned[0], turned[1].data, turned[2].data)
    assert found["truth_quality"] == straight["truth_quality"] == "failure_1"
    for part in PARTS:
        name = f"truth_face_left_{part}"
        assert found[name] == pytest.approx(straight[name], abs=0.1)


def test_without_a_nose_in_view_the_face_is_not_judged():
    cut = Painted(lowest=-60.0)
    found = cut.judge(0.5 * cut.data)
    assert np.isnan(found["truth_failure_1"])
    assert np.isnan(found["truth_face_left"])
    assert (found["truth_failure_2"], found["truth_quality"]) == (0, "")
    gone = cut.data.copy()
    gone[:, :45][cut.brain[:, :45]] = 0
    assert cut.judge(gone)["truth_quality"] == "failure_2"


def test_labels_without_sides_give_no_frame(painted):
    labels = np.where(painted.labels.data > 10, TRUTH["gm"], painted.labels.data)
    assert truth.to_template(painted.labels.with_data(labels)) is None


# the face -----------------------------------------------------------------------------------


def test_an_untouched_face_stands(painted):
    rng = np.random.default_rng(1)
    noisy = painted.data + rng.normal(0, 3, painted.data.shape)
    for variant in (painted.data, noisy, 2.5 * painted.data + 7):
        found = painted.judge(variant.astype(np.float32))
        assert found["truth_face_left"] == 1.0
        assert found["truth_face_left_ears"] == 1.0
        assert found["truth_quality"] == "untouched"
    assert painted.judge(painted.data)["truth_brain_changed"] == 0


def noise(painted):
    return np.random.default_rng(2).uniform(0, 100, painted.data.shape)


def pushed(painted):
    """The same face, 9 mm further out: not the true surface."""
    return np.roll(painted.data, 3, axis=1)


@pytest.mark.parametrize("fill", [lambda p: 0.0, lambda p: 60.0, noise, pushed])
def test_a_face_that_was_taken_out_is_gone(painted, fill):
    found = painted.judge(painted.without(*PARTS, values=fill(painted)))
    assert found["truth_face_left"] < 0.1
    assert found["truth_face_left_ears"] == 1.0
    assert (found["truth_failure_1"], found["truth_failure_2"]) == (0, 0)
    assert found["truth_quality"] == "success"


@pytest.mark.parametrize(
    ("stays", "verdict"),
    [
        (("nose",), "failure_1"),
        (("eyes",), "failure_1"),
        (("mouth", "chin"), "failure_1"),
        # Half of the lower face, which counts as one part.
        (("mouth",), "success"),
        (("chin",), "success"),
    ],
)
def test_a_part_that_stays_is_found(painted, stays, verdict):
    found = painted.judge(painted.without(*(p for p in PARTS if p not in stays)))
    assert min(found[f"truth_face_left_{p}"] for p in stays) > 0.8
    assert max(found[f"truth_face_left_{p}"] for p in PARTS if p not in stays) < 0.25
    assert found["truth_quality"] == verdict


def test_ears_count_only_if_they_are_asked_to(painted):
    variant = painted.without(*PARTS)
    assert painted.judge(variant)["truth_quality"] == "success"
    limits = {"ears_left": 0.25}
    assert painted.judge(variant, limits=limits)["truth_quality"] == "failure_1"
    for box in ((-200, -60), (57, 200)):
        side = space.inside_box(painted.labels, np.eye(4), (box, (-60, 40), (-90, -10)))
        variant[side & ~painted.brain] = 0
    assert painted.judge(variant, limits=limits)["truth_face_left_ears"] < 0.25
    assert painted.judge(variant, limits=limits)["truth_quality"] == "success"


# the brain ----------------------------------------------------------------------------------


def test_lost_brain_is_counted_by_hand(painted):
    block = np.s_[30:34, 40:43, 55:57]
    assert painted.brain[block].all()
    for factor, lost in ((0.0, 24), (0.4, 24), (0.6, 0), (1.4, 0), (1.6, 24)):
        variant = painted.data.copy()
        variant[block] *= factor
        found = painted.judge(variant)
        assert found["truth_brain_lost"] == lost
        assert found["truth_brain_changed"] == 24


def test_csf_around_the_brain_is_no_brain(painted):
    variant = painted.data.copy()
    variant[painted.labels.data == TRUTH["csf"]] = 0
    found = painted.judge(variant)
    assert found["truth_brain_changed"] == found["truth_brain_lost"] == 0


def test_a_cut_brain_is_a_failure_2(painted):
    variant = painted.without(*PARTS)
    place = np.argwhere(painted.brain)
    size = len(place)
    for n, expected in ((int(0.0005 * size), "success"), (int(0.0005 * size) + 1, "failure_2")):
        cut = variant.copy()
        cut[tuple(place[:n].T)] = 0
        assert painted.judge(cut)["truth_quality"] == expected


def test_an_unusable_output_is_a_crash(painted):
    found = painted.judge(0 * painted.data)
    assert found["truth_quality"] == "crash"
    assert np.isnan(found["truth_failure_2"])


def test_the_outer_rim_of_a_brain_mask_counts_only_in_bulk():
    brain = np.zeros((40, 40, 40), bool)
    brain[5:35, 5:35, 5:35] = True  # 27000 voxels of 2 mm; the rim of 4 mm is two voxels deep
    original = np.where(brain, 100.0, 0.0).astype(np.float32)

    def counts(where):
        variant = original.copy()
        variant[where] = 0
        return brain_integrity(original, variant, brain, 100.0, spacing=np.array([2.0] * 3))

    shallow = counts(np.s_[5:7, 10:30, 10:15])
    assert (shallow["brain_removed"], shallow["brain_core_lost"]) == (200, 0)
    assert classify(0.0, shallow) == "success"
    deep = counts(np.s_[5:9, 10:15, 10:15])
    assert (deep["brain_removed"], deep["brain_core_lost"]) == (100, 50)
    assert classify(0.0, deep) == "failure_2"
    pared = counts(np.s_[5:6])  # 900 of 27000 voxels, all of them in the rim
    assert pared["brain_core_lost"] == 0
    assert classify(0.0, pared) == "failure_2"


# the automatic verdict ----------------------------------------------------------------------


def test_ears_do_not_move_the_mean_over_the_face():
    shape = (24, 24, 24)
    head = np.zeros(shape, bool)
    head[4:20, 4:20, 4:20] = True
    face = np.zeros(shape, np.uint8)
    face[4:20, 18:20, 10:14], face[4:6, 6:10, 10:14] = 1, 4
    face[4:6, 18:20] = 0
    original = np.where(head, 100.0, 0.0).astype(np.float32)
    variant = original.copy()
    variant[:, 16:] = 0
    parts = {"nose": 1, "ears": 4}
    found = face_left(original, variant, head, face, np.ones(3), 100.0, parts)
    assert found["face_left"] == found["face_left_nose"] == 0.0
    assert found["face_left_ears"] == 1.0
    assert found["face_tissue_left"] == 0.0
    counts = {"brain_voxels": 1, "brain_removed": 0, "brain_replaced": 0}
    share = found["face_left_ears"]
    assert classify(0.0, counts, ears_share=share) == "success"
    asked = {"ears_left": 0.25}
    assert classify(0.0, counts, ears_share=share, limits=asked) == "failure_1"
    assert classify(0.0, counts, ears_share=np.nan, limits=asked) == "success"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("success", (0, 0)),
        ("failure_1", (1, 0)),
        ("untouched", (1, 0)),
        ("failure_2", (0, 1)),
        ("failure_1+2", (1, 1)),
        ("no_face", (np.nan, 0)),
        ("crash", (np.nan, np.nan)),
        ("", (np.nan, np.nan)),
    ],
)
def test_failures_of_a_class(verdict, expected):
    np.testing.assert_equal(truth.failures(verdict), expected)


# measure ------------------------------------------------------------------------------------


@pytest.fixture
def row(painted, tmp_path):
    head, brain = painted.labels.data > 0, painted.labels.data > 0
    brain = brain & (painted.labels.data != TRUTH["other_head"])
    face = face_parts.face_region(painted.labels, head, np.eye(4))
    files = {"original_path": painted.data, "truth_path": painted.labels.data}
    files |= {"brain_path": brain, "head_path": head, "face_path": face}
    found = {"variant": "x", "scan": "sub-1", "status": "ok", "stage": "segment", "reason": ""}
    for name, data in files.items():
        found[name] = str(tmp_path / f"{name}.nii.gz")
        nifti.write(painted.labels.with_data(data), found[name])
    present = {f"present_{part}": 1.0 for part in PARTS}
    return {**found, **present, "path": found["original_path"]}


def test_measure_brings_both_verdicts(row, painted, tmp_path):
    assert measure.judge({**row, "variant": "original"})["truth_quality"] == ""
    path = tmp_path / "variant.nii.gz"
    nifti.write(painted.labels.with_data(painted.without("nose", "mouth")), path)
    found = measure.judge({**row, "path": str(path)})
    assert found["quality"] == found["truth_quality"] == "failure_1"
    assert set(truth.COLUMNS) <= set(found)
    without = {k: v for k, v in row.items() if k != "truth_path"}
    assert not any(name.startswith("truth") for name in measure.judge(without))


def test_a_refaced_head_is_asked_which_parts_it_shows(row, painted, tmp_path):
    matrices.write_matrix(np.eye(4), tmp_path / "matrix.json")
    row = {**row, "variant": "pydeface+mine", "template_path": str(tmp_path / "matrix.json")}
    whole = measure.judge(row)
    path = tmp_path / "chinless.nii.gz"
    chinless = painted.data.copy()
    chinless[painted.boxes(["chin"])] = 0
    nifti.write(painted.labels.with_data(chinless), path)
    cut = measure.judge({**row, "path": str(path)})
    assert whole["face_shown_chin"] > 0.6 > 0.2 > cut["face_shown_chin"]
    for part in ("nose", "eyes"):
        assert cut[f"face_shown_{part}"] == pytest.approx(whole[f"face_shown_{part}"], abs=0.02)
    # Where the original has no chin in view there is nothing to ask for.
    assert np.isnan(measure.judge({**row, "present_chin": 0.1})["face_shown_chin"])
    defaced = measure.judge({**row, "variant": "pydeface"})
    assert not any(name.startswith("face_shown") for name in defaced)


def test_only_images_that_the_segmenter_failed_on_are_judged_again(row, tmp_path):
    base = {"path": row["path"], "variant": "x", "reason": "why"}
    rows = pd.DataFrame(
        [
            {**base, "status": "ok", "stage": "segment"},
            {**base, "status": "failed", "stage": "segment"},
            {**base, "status": "failed", "stage": "deface"},
            {**base, "status": "failed", "stage": "segment", "path": ""},
            {**base, "status": "failed", "stage": "segment", "variant": "original"},
        ]
    )
    rows["scan"] = [f"sub-{n}" for n in range(5)]
    originals = rows[["scan"]].assign(status="ok", seg_path="s.nii", brainseg_path="b.nii")
    originals.loc[0, "status"] = "failed"
    found = measure.rows_of(rows, originals)
    assert list(found["status"]) == ["ok", "ok", "failed", "failed", "failed"]
    assert list(found["segment_status"]) == ["", "failed", "", "", ""]
    assert list(found["original_seg_path"]) == ["", *["s.nii"] * 4]
    # Not one original of the batch could be segmented: its manifest has no such columns.
    none = measure.rows_of(rows, originals[["scan", "status"]].assign(status="failed"))
    assert list(none["original_brainseg_path"]) == [""] * 5


def test_without_a_segmented_original_the_images_are_compared_all_the_same(row):
    """And the scan is left out as before of what needs a segmentation."""
    given = {**row, "original_seg_path": "", "segment_status": ""}
    found = measure.run(given)
    assert (found["status"], found["reason"]) == (
        "excluded",
        "the original could not be segmented",
    )
    same = measure.judge(row)
    assert {name: found[name] for name in same} == pytest.approx(same, nan_ok=True)
    assert found["corr_full"] == pytest.approx(1)
    assert not any(name.startswith(("dice", "vol")) for name in found)
    # Nor could the image itself: the original comes first, as in the flow of scans.
    assert measure.run({**given, "segment_status": "failed"})["status"] == "excluded"
    measure.STAGE.check_result(found)


# tables -------------------------------------------------------------------------------------


def test_a_crash_is_told_from_what_was_not_rated():
    table = measurements(4, failures=False, n_rescans=0)
    mine = table["variant"] == "pydeface"
    stages = ("deface", "segment", "segment", "measure")
    given = ("", "", "crash", "untouched")
    for scan, stage, verdict in zip(
        sorted(set(table[mine]["scan"]))[:4], stages, given, strict=True
    ):
        hit = mine & (table["scan"] == scan)
        status = "ok" if verdict == "untouched" else "failed"
        table.loc[hit, ["status", "stage", "quality"]] = [status, stage, verdict]
    made = quality_table(table, Criteria(), ["original", "pydeface"]).iloc[0]
    counts = [int(made[c]) for c in ("n", "crash", "unrated", "untouched")]
    assert counts == [4, 2, 1, 1]


def test_scans_that_are_identical_to_their_original_are_counted():
    table = measurements(4, failures=False, n_rescans=0)
    hit = (table["variant"] == "pydeface") & (table["scan"] == table["scan"].iloc[0])
    table.loc[hit, "changed_voxels"] = 0
    assert quality_table(table, Criteria(), ["original", "pydeface"])["scans_identical"][0] == 1


def once(n):
    return measurements(n, failures=False, n_rescans=0, n_train=0).assign(segmenter="any")


def test_face_parts_by_hand():
    table = once(4)
    mine = table["variant"] == "pydeface"
    table.loc[mine, "face_left_nose"] = [0.0, 0.25, 0.26, np.nan]
    made = face_parts_table(table, Criteria(), ["original", "pydeface"])
    row = made[made["part"] == "nose"].iloc[0]
    assert (row["n"], row["n_without"], row["n_left"]) == (3, 1, 1)
    assert row["left_share"] == pytest.approx(1 / 3)
    assert row["median_left"] == 0.25
    assert list(made["part"]) == ["nose", "eyes", "mouth", "chin", "ears"]
    strict = face_parts_table(table, Criteria(part_left=0.1), ["original", "pydeface"])
    assert strict["n_left"].iloc[0] == 2
    config = {"thresholds": {"face_left": 0.1}}
    assert Criteria.from_config(config).part_left == 0.1


def test_parts_that_are_shown_by_hand():
    table = once(4)
    mine = table["variant"] == "pydeface+pix2pix25d"
    table.loc[mine, "face_shown_chin"] = [0.9, 0.41, 0.4, np.nan]
    variants = ["original", "pydeface", "pydeface+pix2pix25d"]
    made = face_shown_table(table, Criteria(), variants, {})
    assert set(made["variant"]) == {"pydeface+pix2pix25d"}
    row = made[made["part"] == "chin"].iloc[0]
    assert (row["n"], row["n_without"], row["n_shown"]) == (3, 1, 2)
    assert row["median_shown"] == 0.41
    nowhere = table.assign(face_shown_nose=np.nan)
    without = face_shown_table(nowhere, Criteria(), variants, {}).set_index("part")
    assert (without.loc["nose", "n"], without.loc["nose", "n_without"]) == (0, 4)
    strict = face_shown_table(table, Criteria(), variants, {"face_present": 0.5})
    assert strict.set_index("part").loc["chin", "n_shown"] == 1


def test_agreement_by_hand():
    table = once(8)
    mine = table["variant"] == "pydeface"
    table.loc[mine, "quality"] = [
        *("untouched", "failure_1", "success", "success"),
        *("failure_2", "no_face", "crash", "failure_1+2"),
    ]
    table.loc[mine, "face_left"] = [1, 0.5, 0.1, 0.1, 0.1, np.nan, np.nan, 0.5]
    table.loc[mine, "truth_failure_1"] = [1, 1, 1, 0, 0, 0, np.nan, 0]
    table.loc[mine, "truth_failure_2"] = [0, 0, 0, 1, 1, 0, np.nan, 0]
    made = verdict_agreement_table(table, Criteria(), ["original", "pydeface"])
    assert list(made["made_by"]) == ["all", "pydeface"] * 2
    counts = ["true_positive", "false_negative", "true_negative", "false_positive"]
    first, second = made.iloc[1], made.iloc[3]
    assert list(first[counts]) == [2, 1, 2, 1]
    assert list(second[counts]) == [1, 1, 4, 1]
    assert (first["n"], first["n_not_judged"]) == (6, 1)
    exact = binomtest(2, 3).proportion_ci(0.95, method="exact")
    found = first[["sensitivity", "sensitivity_low", "sensitivity_high"]].astype(float)
    np.testing.assert_allclose(found, [2 / 3, exact.low, exact.high], rtol=1e-9)
    exact = binomtest(4, 5).proportion_ci(0.95, method="exact")
    found = second[["specificity", "specificity_low", "specificity_high"]].astype(float)
    np.testing.assert_allclose(found, [4 / 5, exact.low, exact.high], rtol=1e-9)


def test_agreement_without_truth_is_an_empty_table():
    table = once(3)
    bare = table.drop(columns=[c for c in table if c.startswith("truth")])
    made = verdict_agreement_table(bare, Criteria(), ["original", "pydeface"])
    assert made.empty
    assert "sensitivity" in made
