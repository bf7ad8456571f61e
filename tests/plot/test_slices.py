"""Slices: what is shown of a face, and where."""

import numpy as np
import pytest
from PIL import Image

from factories import VARIANTS
from refacebench import faces
from refacebench.image.nifti import Volume, axis_codes, reorient
from refacebench.plot import slices, style


def head(nose_mm=0.0, dimple=False, spacing=2.0, seed=0):
    """Return an ellipsoid head in RAS with texture, a brain, and a nose on request."""
    shape = (90, 110, 100)
    grid = np.meshgrid(*[(np.arange(n) - n / 2) * spacing for n in shape], indexing="ij")
    x, y, z = grid
    inside = (x / 75) ** 2 + (y / 90) ** 2 + (z / 90) ** 2 < 1
    nose = (np.abs(x) < 9) & (np.abs(z + 25) < 11) & (y > 0) & (y < 85 + nose_mm)
    inside |= nose if nose_mm else False
    if dimple:
        inside &= ~((np.abs(x) < 5) & (np.abs(z + 60) < 5) & (y > 50))
    brain = (x / 60) ** 2 + ((y + 5) / 70) ** 2 + ((z - 20) / 55) ** 2 < 1
    texture = np.random.default_rng(seed).uniform(60, 140, shape)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [g.ravel()[0] for g in grid]
    return Volume((inside * texture).astype(np.float32), affine), brain


def shown(figure):
    """Return the images of a figure, in order, as drawn (rows upwards)."""
    return [axes.images[0].get_array().data for axes in figure.axes if axes.images]


LOOK = style.Look(("original", "null", "a"))


def test_private_slices_hold_nothing_but_brain_and_two_greys():
    volume, brain = head(nose_mm=20)
    figure = slices.draw(volume, {"a": volume}, brain, LOOK, faces="private")
    mask = Volume(brain.astype(np.uint8), volume.affine)
    places = slices.slice_places(brain, mask.spacing)
    from scipy.ndimage import distance_transform_edt

    masks = [np.take(brain, places[axis], axis).T for axis in range(3)]
    low, high = slices.grey_window(volume.data)
    originals = [np.take(volume.data, places[axis], axis).T for axis in range(3)]
    assert len(shown(figure)) == 6
    for image, own_mask, original in zip(shown(figure), masks * 2, originals * 2, strict=True):
        rim = distance_transform_edt(~own_mask, sampling=2.0) <= slices.BRAIN_RIM_MM
        outside = image[~rim]
        assert set(np.unique(outside)) <= {0.0, slices.SILHOUETTE_GREY}
        tissue = ~rim & (original > 0) & (image > 0)
        assert tissue.sum() > 200
        assert np.ptp(image[tissue]) == 0, "no intensity of the head survives"
        expected = np.clip((original - low) / (high - low), 0, 1)
        np.testing.assert_allclose(image[own_mask], expected[own_mask], atol=1e-6)


def profile(image):
    """Return the frontmost bright pixel of each row of a sagittal slice, in voxels."""
    return np.array([row.nonzero()[0].max() if row.any() else 0 for row in image > 0])


def test_private_silhouette_blunts_a_nose_and_loses_small_features():
    plain, brain = head()
    one = shown(slices.draw(plain, {}, brain, LOOK))[0]

    nose = head(nose_mm=20)[0]
    two = shown(slices.draw(nose, {}, brain, LOOK))[0]
    true_step = np.abs(np.diff(profile(nose.data[45].T)[20:80])).max()
    shown_step = np.abs(np.diff(profile(two)[20:80])).max()
    assert true_step >= 6
    assert shown_step <= 2, "no edge of the nose is left in the profile"
    moved = np.abs(profile(one) - profile(two)).max()
    assert moved <= 0.5 * np.abs(profile(plain.data[45].T) - profile(nose.data[45].T)).max()

    for other in (head(dimple=True)[0], head(seed=5)[0]):
        assert (np.abs(plain.data - other.data)[40:50] > 0).sum() > 100
        three = shown(slices.draw(other, {}, brain, LOOK))[0]
        assert np.abs(profile(one) - profile(three)).max() <= 1


def test_public_slices_show_the_image_and_the_figure_says_which_it_is(tmp_path):
    volume, brain = head(nose_mm=20)
    public = slices.draw(volume, {}, brain, LOOK, faces="public")
    low, high = slices.grey_window(volume.data)
    sagittal = slices.slice_places(brain, [2] * 3)[0]
    expected = np.clip((volume.data[sagittal] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(shown(public)[0], expected.T, atol=1e-6)
    for kind in ("public", "private", "anything"):
        figure = slices.draw(volume, {}, brain, LOOK, faces=kind)
        path = style.save(figure, tmp_path / kind)[0]
        with Image.open(path) as image:
            assert image.info["Description"] == (faces.SHOWN if kind == "public" else faces.HIDDEN)


def test_faces_are_private_unless_said_otherwise():
    volume, brain = head()
    assert slices.draw(volume, {}, brain, LOOK).get_label() == faces.HIDDEN


def test_slices_do_not_depend_on_the_orientation_of_the_array():
    volume, brain = head(nose_mm=20)
    mask = Volume(brain.astype(np.uint8), volume.affine)
    turned, turned_mask = reorient(volume, "LIA"), reorient(mask, "LIA")
    assert axis_codes(turned.affine) == "LIA"
    one = shown(slices.draw(volume, {}, brain, LOOK))
    two = shown(slices.draw(turned, {}, turned_mask.data > 0, LOOK))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_anisotropic_voxels_keep_their_aspect():
    volume, brain = head()
    thick = Volume(volume.data[:, :, ::2], volume.affine @ np.diag([1.0, 1, 2, 1]))
    figure = slices.draw(thick, {}, brain[:, :, ::2], LOOK)
    panels = [axes for axes in figure.axes if axes.images]
    for axes, size in zip(panels, [(220, 200), (180, 200), (180, 220)], strict=True):
        left, right, low, high = axes.images[0].get_extent()
        assert (right - left, high - low) == pytest.approx(size), "in mm"
        assert axes.get_aspect() == 1


def test_all_panels_are_black_squares_of_one_size_with_their_sides(tmp_path):
    volume, brain = head(nose_mm=20)
    turned = {v: np.full((40, 40), 0.5) for v in ("original", "a")}
    figure = slices.draw(volume, {"a": volume}, brain, LOOK, faces="public", pictures=turned)
    style.save(figure, tmp_path / "slices")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 8
    boxes = [axes.get_window_extent() for axes in panels]
    assert np.ptp([box.width for box in boxes]) < 1.5
    assert np.ptp([box.height for box in boxes]) < 1.5
    assert np.ptp([box.y0 for box in boxes]) < 1.5, "aligned"
    sides = [[t.get_text() for t in axes.texts] for axes in panels]
    assert sides == 2 * [["P", "A"], ["L", "R"], ["L", "R"], []]
    with Image.open(tmp_path / "slices.png") as image:
        pixels = np.asarray(image.convert("L"))
    row = pixels[int(pixels.shape[0] * 0.5)]
    assert (row == 255).mean() < 0.06, "no white half"


def test_left_of_a_panel_is_the_left_of_the_participant():
    volume, brain = head()
    data = volume.data.copy()
    data[:30] = 0  # RAS: low indices are on the left
    figure = slices.draw(volume.with_data(data), {}, brain, LOOK, faces="public")
    for axes in [axes for axes in figure.axes if axes.images][1:]:
        image = axes.images[0].get_array().data
        assert image[:, :30].max() == 0
        assert image[:, 31:].max() > 0


def test_no_picture_of_a_private_face_is_drawn():
    volume, brain = head(nose_mm=20)
    face = {"original": np.ones((9, 9))}
    for kind in ("private", "anything"):
        figure = slices.draw(volume, {}, brain, LOOK, faces=kind, pictures=face)
        assert len(shown(figure)) == 3
    assert len(shown(slices.draw(volume, {}, brain, LOOK, faces="public", pictures=face))) == 4


def test_slice_places_by_hand():
    brain = np.zeros((21, 60, 50), bool)
    brain[5:16, 0:60, 30:45] = True  # back and front at 0 and 59, base at 30
    brain[5:16, 0:30, 10:30] = True  # the cerebellum reaches lower and must not count
    places = slices.slice_places(brain, [1, 1, 1])
    assert places == (10, round(59 - 0.35 * 59), 30 - int(slices.EYES_BELOW_MM))


@pytest.mark.parametrize("what", ["variant", "brain", "empty"])
def test_slices_on_another_grid_are_an_error(what):
    volume, brain = head()
    variants = {"a": Volume(volume.data[1:], volume.affine)} if what == "variant" else {}
    mask = {"brain": brain[1:], "empty": np.zeros_like(brain)}.get(what, brain)
    with pytest.raises(ValueError, match="grid|empty"):
        slices.draw(volume, variants, mask, LOOK)


def test_variants_of_the_factory_are_all_known_to_the_look(look):
    assert set(look.order) == set(VARIANTS)


def test_a_refaced_variant_beside_its_kin_is_named_by_its_refacer():
    volume, brain = head()
    look = style.Look(("original", "a", "a+m", "b+m"))
    figure = slices.draw(volume, dict.fromkeys(("a", "a+m", "b+m"), volume), brain, look)
    titles = [t for t in (axes.get_title("left") for axes in figure.axes) if t]
    assert titles == ["original", "a", "a + m", "b + m"], "in full at the beginning of a row"
