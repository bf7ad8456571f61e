"""Views and depth maps of known shapes; the camera, the light, the controls."""

import numpy as np
import pytest

from refacebench.head import camera, rendering, surface, template
from refacebench.head.surface import CENTER
from refacebench.image.nifti import Volume
from refacebench.run import configuration

SMALL = {"pixels": 48, "views": 1, "lights": 1, "voxel_mm": 3.0}
#: Otsu's threshold itself lies in the middle of a soft edge, half of it (the default) outside.
EXACT = {**SMALL, "threshold": 1.0}


def grid(voxel=3.0, low=(-110, -120, -160), high=(110, 150, 120)):
    shape = [int((b - a) / voxel) + 1 for a, b in zip(low, high, strict=True)]
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = low
    return Volume(np.zeros(shape, np.float32), affine)


def distance_to(volume, center):
    place = [
        volume.affine[a, a] * np.arange(n) + volume.affine[a, 3]
        for a, n in zip(range(3), volume.shape, strict=True)
    ]
    x, y, z = np.meshgrid(*place, indexing="ij")
    return np.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)


def ball(radius=70.0, center=CENTER, level=100.0, voxel=3.0, noise=0.0):
    """A ball with a soft edge (one voxel of partial volume)."""
    volume = grid(voxel)
    inside = np.clip((radius - distance_to(volume, center)) / voxel + 0.5, 0, 1)
    rng = np.random.default_rng(0)
    data = level * inside + noise * np.abs(rng.normal(size=volume.shape))
    return volume.with_data(data.astype(np.float32))


def test_the_depth_map_of_a_ball_is_the_ball():
    seen = rendering.render(ball(70.0), np.eye(4), {**EXACT, "views": 9})
    right, up = camera.pixel_grid(48, 125.0)
    inside = right**2 + up**2 < 60.0**2
    expected = np.sqrt(np.maximum(70.0**2 - right**2 - up**2, 0))
    for depth in seen.depth:  # a ball looks the same from everywhere
        assert np.abs(depth - expected)[inside].max() < 0.8
        assert np.isnan(depth[right**2 + up**2 > 74.0**2]).all()


def test_finer_voxels_come_closer():
    errors = []
    for voxel in (4.0, 2.0):
        seen = rendering.render(ball(70.0, voxel=2.0), np.eye(4), {**EXACT, "voxel_mm": voxel})
        errors.append(abs(float(seen.depth[0, 23:25, 23:25].mean()) - 70.0))
    assert errors[1] < 0.4
    assert errors[1] <= errors[0] + 0.05


def test_right_of_the_picture_is_the_persons_left_and_the_top_is_up():
    volume = ball(60.0)
    bump = np.clip((15 - distance_to(volume, CENTER + [-60, 0, 40])) / 3 + 0.5, 0, 1)
    volume = volume.with_data(np.maximum(volume.data, 100 * bump.astype(np.float32)))
    depth = rendering.render(volume, np.eye(4), SMALL).depth[0]
    there = np.isfinite(depth)
    assert there[:24, 24:].sum() > there[:24, :24].sum() + 10
    assert there[:24, 24:].sum() > there[24:, 24:].sum() + 10


def test_a_camera_to_the_persons_left_sees_the_left():
    axes = camera.camera((90.0, 0.0))
    np.testing.assert_allclose(axes[2], [-1, 0, 0], atol=1e-12)
    for angles in camera.VIEWS:
        axes = camera.camera(angles)
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        # Right x up = towards the camera: a picture, not its mirror image.
        np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-12)


def test_points_are_projected_to_the_pixel_that_shows_them():
    place = camera.project(CENTER[None], (25.0, 12.0), 48, 125.0)
    np.testing.assert_allclose(place, [[23.5, 23.5]])
    left_up = camera.project((CENTER + [-125, 0, 125])[None], (0.0, 0.0), 48, 125.0)
    np.testing.assert_allclose(left_up, [[47.5, -0.5]])


def test_lambert_by_hand():
    normals = np.full((1, 2, 3), np.nan)
    normals[0, 0] = [0, 1, 0]
    picture = camera.shade(normals, (0.0, 0.0), (0.0, 60.0))
    lit = camera.AMBIENT + (1 - camera.AMBIENT) * 0.5
    assert picture[0, 0] == round(255 * lit)
    assert picture[0, 1] == camera.GROUND


def test_the_light_from_above_lights_the_top():
    seen = rendering.render(ball(), np.eye(4), {**SMALL, "lights": 4})
    view = seen.views[0, 3].astype(float)  # from 50 degrees above
    assert camera.LIGHTS[3][1] == 50
    assert view[12:16, 20:28].mean() > view[32:36, 20:28].mean() + 30


@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0])
def test_the_surface_does_not_depend_on_the_unit_of_intensity(scale):
    volume = ball(noise=4.0)
    first = rendering.render(volume, np.eye(4), SMALL).depth
    other = rendering.render(volume.with_data(volume.data * scale), np.eye(4), SMALL).depth
    np.testing.assert_allclose(first, other, atol=0.05)


def test_noise_and_objects_apart_do_not_show():
    clean = rendering.render(ball(), np.eye(4), SMALL).depth[0]
    volume = ball(noise=6.0)
    speck = distance_to(volume, CENTER + [0, 100, 0]) < 10
    volume.data[speck] = 90.0
    noisy = rendering.render(volume, np.eye(4), SMALL).depth[0]
    assert (np.isfinite(clean) != np.isfinite(noisy)).sum() < 40
    assert np.abs(clean - noisy)[16:32, 16:32].max() < 1.0


def test_a_hollow_object_looks_like_a_full_one():
    volume = ball()
    hollow = volume.data.copy()
    hollow[distance_to(volume, CENTER) < 55] = 0
    full = rendering.render(volume, np.eye(4), SMALL).depth
    np.testing.assert_allclose(
        rendering.render(volume.with_data(hollow), np.eye(4), SMALL).depth, full, atol=1.0
    )


def test_the_grid_of_the_scan_does_not_matter():
    volume = ball(center=CENTER + [10, 5, -8])
    flipped = Volume(volume.data[::-1].transpose(2, 0, 1).copy(), np.eye(4))
    affine = volume.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 3] = volume.affine[:3, 3] + volume.affine[:3, 0] * (volume.shape[0] - 1)
    affine[:, 1] *= -1
    flipped = Volume(flipped.data, affine)
    np.testing.assert_allclose(
        rendering.render(volume, np.eye(4), SMALL).depth,
        rendering.render(flipped, np.eye(4), SMALL).depth,
        atol=1e-3,
    )


def test_the_pose_is_undone_but_the_size_is_kept():
    from scipy.spatial.transform import Rotation

    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", [10, -6, 8], degrees=True).as_matrix()
    motion[:3, 3] = [5, -9, 12]
    volume = ball(60.0, center=CENTER + [20, 0, 0])
    moved = Volume(volume.data, np.linalg.inv(motion) @ volume.affine)
    scaled = np.diag([1.2, 1.2, 1.2, 1.0]) @ motion
    still = rendering.render(volume, np.eye(4), SMALL).depth
    np.testing.assert_allclose(rendering.render(moved, motion, SMALL).depth, still, atol=0.05)
    pose = surface.rigid(scaled)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    here = np.linalg.solve(scaled, np.append(CENTER, 1))
    np.testing.assert_allclose(pose @ here, scaled @ here)


def test_a_mirroring_matrix_is_refused():
    with pytest.raises(ValueError, match="mirrors"):
        surface.rigid(np.diag([-1.0, 1, 1, 1]))


def test_an_empty_image_is_a_clear_error():
    with pytest.raises(ValueError, match="constant"):
        rendering.render(grid(), np.eye(4), SMALL)


def test_the_vault_of_a_ball_round_the_brain_is_its_radius():
    seen = rendering.render(ball(80.0, center=template.BRAIN_CENTER), np.eye(4), EXACT)
    assert np.abs(seen.vault - 80).max() < 0.8
    directions = rendering.vault_directions()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert not ((directions[:, 1] > 0.5) & (directions[:, 2] < 0.2)).any()  # no face


def test_controls():
    seen = rendering.render(ball(), np.eye(4), SMALL)
    black = rendering.control(seen, "black")
    assert not black.views.any()
    assert np.isnan(black.depth).all()
    assert np.isnan(black.vault).all()
    blurred = rendering.control(seen, "blurred", 10.0)
    assert blurred.views.std() < seen.views.std()
    assert abs(int(blurred.views.mean()) - int(seen.views.mean())) <= 3
    assert np.isfinite(blurred.depth[0, 24, 24])
    with pytest.raises(ValueError, match="no control"):
        rendering.control(seen, "grey")


def test_files_keep_what_is_seen_and_are_the_same_bytes(tmp_path):
    seen = rendering.render(ball(), np.eye(4), SMALL)
    for name in "ab":
        rendering.write(seen, tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = rendering.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.views, seen.views)
    np.testing.assert_allclose(back.depth, seen.depth, atol=0.04)
    assert back.pixel_mm == seen.pixel_mm == 250 / 48
    again = rendering.render(ball(), np.eye(4), SMALL)
    np.testing.assert_array_equal(again.views, seen.views)


@pytest.mark.parametrize(
    ("options", "word"),
    [({"views": 10}, "views"), ({"lights": 0}, "lights"), ({"pixel": 64}, "unknown pixel")],
)
def test_wrong_options_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        rendering.check_options(options)


def test_a_defacer_cannot_have_the_name_of_a_control():
    with pytest.raises(configuration.ConfigError, match="'black' is the name of a control"):
        configuration._check_names({"defacers": {"quickshear": {}, "black": {}}})
