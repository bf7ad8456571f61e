"""Photograph-like views and depth maps of the surface of a head.

A scan is laid into the frame of the template head (rotation and shift only, so
that millimetres stay millimetres), turned into a smooth field that crosses 0.5
at the skin, and looked at by parallel rays that are marched to their first hit.
The camera and the lights are fixed; the threshold of the surface comes from
the image itself, for an attacker has nothing else.

Everything here is numpy and scipy on one core.  The module reads and writes
``.npz`` files without pickled objects and touches nothing else.

Coordinates "head mm" are RAS+ millimetres in the orientation of the template
head (:mod:`refacebench.head.template`), with :data:`CENTER` where the template has it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from refacebench import files
from refacebench.head import masks, matrices, registration, template
from refacebench.image import geometry, morphology, nifti
from refacebench.image.nifti import Volume
from refacebench.vocabulary import PICTURE_CONTROLS

#: Raise it when a rendering changes; it is part of every key.
VERSION = "2"

OPTIONS = {
    # Edge of the square views in pixels, and half of what they show in mm.
    "pixels": 128,
    "half_field_mm": 125.0,
    # The first so many of VIEWS, each under the first so many of LIGHTS: 81 pictures a
    # scan, as Schwarz et al. used.
    "views": 9,
    "lights": 9,
    # Voxels of the field that is looked at, and the Gaussian (sigma) that smooths it.
    "voxel_mm": 1.5,
    "smooth_mm": 1.0,
    # Place of the surface's threshold between air (0) and Otsu's threshold (1).
    "threshold": 0.5,
    # Gaussian (sigma) of the control whose picture is blurred.
    "blur_mm": 8.0,
}

#: What the cameras look at, in head mm: between the ears, at the height of the nose's root.
CENTER = np.array([0.0, 20.0, -30.0])
#: The part of space that is looked at, head mm (low, high).
BOX = np.array([[-105.0, -130.0, -165.0], [105.0, 145.0, 115.0]])
#: Half of the depth, in mm before and behind CENTER, in which a ray looks for the surface.
REACH_MM = 140.0
#: Where the camera stands: (degrees to the subject's left, degrees upwards), frontal first.
VIEWS = tuple((float(yaw), float(up)) for up in (0, 12, -12) for yaw in (0, 25, -25))
#: Where the light comes from, seen from the camera: (degrees to the right, degrees upwards).
LIGHTS = tuple((float(side), float(up)) for up in (20, 50, -10) for side in (0, 40, -40))
AMBIENT = 0.15
#: Grey of what is no head.
GROUND = 110
#: The free path of a ray is known in blocks of so many voxels.
_BLOCK = 2
#: Near the surface a ray goes on by so much of a voxel.
_STEP = np.float32(0.75)


@dataclass(frozen=True)
class Rendering:
    """What is seen of one head.

    Attributes
    ----------
    views : numpy.ndarray of uint8
        Pictures, shape (views, lights, pixels, pixels); row 0 is the top, and
        the right of the picture is the subject's left, as on a photograph.
    depth : numpy.ndarray of float32
        Shape (views, pixels, pixels): distance in mm of the surface towards the
        camera from the plane through :data:`CENTER`; NaN where there is none.
    vault : numpy.ndarray of float32
        Distance in mm of the surface of forehead and cranial vault from the
        template's brain centre along :func:`vault_directions`; NaN likewise.
    pixel_mm : float
        Edge of a pixel.
    """

    views: np.ndarray
    depth: np.ndarray
    vault: np.ndarray
    pixel_mm: float


@dataclass(frozen=True)
class Field:
    """A smooth inside-outside function on an isotropic grid of head mm: 1 inside, 0 outside."""

    data: np.ndarray
    origin: np.ndarray
    voxel_mm: float
    clearance: np.ndarray


def check_options(given: Mapping | None) -> dict:
    """Return all options, the config's over the defaults.

    Raises
    ------
    ValueError
        For an unknown option or one out of range.
    """
    unknown = sorted(set(given or {}) - set(OPTIONS))
    if unknown:
        raise ValueError(f"rendering: unknown {', '.join(unknown)} (known: {', '.join(OPTIONS)})")
    options = {**OPTIONS, **(given or {})}
    for name, most in (("views", len(VIEWS)), ("lights", len(LIGHTS))):
        if not 1 <= options[name] <= most:
            raise ValueError(f"rendering.{name}: 1 to {most} are possible")
    if options["pixels"] < 16 or options["voxel_mm"] <= 0 or options["half_field_mm"] <= 0:
        raise ValueError("rendering: pixels (16 or more), voxel_mm, half_field_mm must be positive")
    return options


def render(volume: Volume, matrix: np.ndarray, options: Mapping | None = None) -> Rendering:
    """Look at a head.

    Parameters
    ----------
    volume : Volume
        Any variant of a scan, any orientation and voxel size.
    matrix : numpy.ndarray
        4 x 4, the *original's* RAS+ mm -> template mm
        (:func:`refacebench.head.registration.register`): one camera for all variants of
        a scan.  It spares the attacker an alignment of his own and so is to his
        advantage.
    options : mapping, optional
        Any of :data:`OPTIONS`.

    Raises
    ------
    ValueError
        If the image is constant or shows no object within the field of view.
    """
    options = check_options(options)
    field = surface_field(volume, matrix, options)
    pixels, half = int(options["pixels"]), float(options["half_field_mm"])
    depths, views = [], []
    for angles in VIEWS[: options["views"]]:
        depth, normals = look(field, angles, pixels, half)
        depths.append(depth)
        views.append([shade(normals, angles, light) for light in LIGHTS[: options["lights"]]])
    return Rendering(np.array(views), np.array(depths), _vault(field), 2 * half / pixels)


def rigid(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation and shift, scan mm -> head mm, next to an affine to the template.

    The rotation is the orthogonal polar factor of the affine; what the affine
    brings to :data:`CENTER` stays there.  Size and proportions of the head are kept.

    >>> rigid(np.diag([2.0, 1.0, 1.0, 1.0]))[:3, :3]
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    left, _, right = np.linalg.svd(matrix[:3, :3])
    rotation = left @ right
    if np.linalg.det(rotation) < 0:
        raise ValueError("the matrix to the template mirrors the head")
    result = np.eye(4)
    result[:3, :3] = rotation
    here = np.linalg.solve(matrix, np.append(CENTER, 1.0))[:3]
    result[:3, 3] = CENTER - rotation @ here
    return result


def surface_field(volume: Volume, matrix: np.ndarray, options: Mapping | None = None) -> Field:
    """Return the field whose 0.5 is the skin (the largest object's surface).

    Intensities are divided by twice the threshold and clipped to 0..1, so that
    bright fat does not push the surface outwards; what the surface encloses is
    filled, other objects are taken away, and a Gaussian smooths the rest.

    Raises
    ------
    ValueError
        As :func:`render`.
    """
    from scipy import ndimage

    options = check_options(options)
    step = float(options["voxel_mm"])
    data = np.nan_to_num(np.asarray(volume.data, np.float32), posinf=0.0, neginf=0.0)
    volume = volume.with_data(data)
    # The air around what a defacer zeroed says nothing of the noise: coarse voxels have little.
    threshold = masks.air_threshold(
        geometry.coarse(volume, 2 * masks.HEAD_VOXEL_MM).data, options["threshold"]
    )
    grid = _head_grid(step)
    fine = geometry.coarse(volume, 2 / 3 * step)
    part = nifti.resample(Volume(fine.data, rigid(matrix) @ fine.affine), grid).data
    inside = np.clip(part / (2 * threshold), 0, 1)
    inside = ndimage.gaussian_filter(inside, 0.5 * options["smooth_mm"] / step, truncate=3)
    tissue = inside >= 0.5
    object_ = morphology.largest_component(tissue)
    if not object_.any():
        raise ValueError("nothing in the image is brighter than air: no surface to look at")
    solid = morphology.fill_holes(object_)
    inside[solid & ~tissue] = 1.0
    inside[~ndimage.binary_dilation(solid)] = 0.0
    inside = ndimage.gaussian_filter(inside, 0.866 * options["smooth_mm"] / step, truncate=3)
    return Field(inside, grid.affine[:3, 3], step, _clearance(inside >= 0.5))


def _head_grid(step: float) -> Volume:
    shape = np.ceil((BOX[1] - BOX[0]) / step).astype(int) + 1
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = BOX[0]
    return Volume(np.broadcast_to(np.float32(0), shape), affine)


def _clearance(solid: np.ndarray) -> np.ndarray:
    """Return how far, in voxels, any point of a block of voxels is from the object at least."""
    from scipy import ndimage

    padded = np.pad(solid, [(0, -n % _BLOCK) for n in solid.shape])
    split = [v for n in padded.shape for v in (n // _BLOCK, _BLOCK)]
    occupied = padded.reshape(split).any(axis=(1, 3, 5))
    far = _BLOCK * ndimage.distance_transform_edt(~occupied)
    # Half a block's diagonal at both ends, and the voxel over which interpolation reaches.
    return (far - np.sqrt(3) * (_BLOCK + 1)).astype(np.float32)


def camera(angles: tuple[float, float]) -> np.ndarray:
    """Return the camera's axes in head mm as rows: right of the picture, up, towards the camera.

    >>> camera((0.0, 0.0)).round(3) + 0
    array([[-1.,  0.,  0.],
           [ 0.,  0.,  1.],
           [ 0.,  1.,  0.]])
    """
    yaw, up = np.deg2rad(angles)
    towards = np.array([-np.sin(yaw) * np.cos(up), np.cos(yaw) * np.cos(up), np.sin(up)])
    right = np.array([-np.cos(yaw), -np.sin(yaw), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def pixel_grid(pixels: int, half_field_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of every pixel's centre in mm to the right and up, shape (pixels, pixels).

    >>> right, up = pixel_grid(2, 10.0)
    >>> right.tolist(), up.tolist()
    ([[-5.0, 5.0], [-5.0, 5.0]], [[5.0, 5.0], [-5.0, -5.0]])
    """
    place = (np.arange(pixels) + 0.5) * (2 * half_field_mm / pixels) - half_field_mm
    right, down = np.meshgrid(place, place)
    return right, -down


def project(points: np.ndarray, angles, pixels: int, half_field_mm: float) -> np.ndarray:
    """Return where points of head mm, shape (n, 3), lie in a view: (column, row) in pixels."""
    right, up, _ = camera(angles) @ (np.asarray(points, float) - CENTER).T
    scale = pixels / (2 * half_field_mm)
    return np.stack([(right + half_field_mm) * scale, (half_field_mm - up) * scale], axis=1) - 0.5


def look(field: Field, angles, pixels: int, half_field_mm: float):
    """Return a depth map and the normals of the surface, as one camera sees them.

    Returns
    -------
    depth : numpy.ndarray of float32
        Shape (pixels, pixels), see :class:`Rendering`.
    normals : numpy.ndarray of float32
        Shape (pixels, pixels, 3), head mm, outwards, length one; NaN where
        there is no surface.
    """
    axes = camera(angles)
    right, up = pixel_grid(pixels, half_field_mm)
    plane = CENTER + right.reshape(-1, 1) * axes[0] + up.reshape(-1, 1) * axes[1]
    start = plane + REACH_MM * axes[2]
    path = trace(field, start, np.broadcast_to(-axes[2], start.shape), 2 * REACH_MM)
    depth = (REACH_MM - path).astype(np.float32)
    normals = np.full((path.size, 3), np.nan, np.float32)
    hit = np.isfinite(path)
    normals[hit] = _normals(field, start[hit] - path[hit, None] * axes[2])
    shape = (pixels, pixels)
    return depth.reshape(shape), normals.reshape(*shape, 3)


def trace(field: Field, start: np.ndarray, direction: np.ndarray, length_mm: float) -> np.ndarray:
    """Return how far each ray goes to the surface, in mm; NaN for a ray that misses it.

    Rays go as far as is known to be free, then in steps of three quarters of a
    voxel, and the crossing is halved in five times (0.04 mm at 1.5 mm voxels).

    Parameters
    ----------
    start, direction : numpy.ndarray
        Shape (n, 3), head mm; directions have length one.
    """
    # In voxels from here on, so that a step is one multiplication and one sum.
    start = ((start - field.origin) / field.voxel_mm).astype(np.float32)
    direction = direction.astype(np.float32)
    length = np.float32(length_mm / field.voxel_mm)
    path = np.zeros(len(start), np.float32)
    found = np.full(len(start), np.nan, np.float32)
    active = np.arange(len(start))
    while active.size:
        points = start[active] + path[active, None] * direction[active]
        free = _free(field, points)
        near = np.flatnonzero(free < _STEP)
        inside = np.zeros(active.size, bool)
        inside[near] = _at(field, points[near]) >= 0.5
        found[active[inside]] = path[active[inside]]
        path[active] += np.maximum(free, _STEP)
        active = active[~inside & (path[active] <= length)]
    hit = np.flatnonzero(np.isfinite(found))
    found[hit] = _halve(field, start[hit], direction[hit], found[hit])
    return found * field.voxel_mm


def _free(field: Field, places: np.ndarray) -> np.ndarray:
    block = ((places + 0.5) / _BLOCK).astype(np.int32)
    block = np.clip(block, 0, np.array(field.clearance.shape, np.int32) - 1)
    return field.clearance[block[:, 0], block[:, 1], block[:, 2]]


def _halve(field: Field, start, direction, far) -> np.ndarray:
    near = np.maximum(far - _STEP, 0)
    for _ in range(5):
        middle = (near + far) / 2
        inside = _at(field, start + middle[:, None] * direction) >= 0.5
        near, far = np.where(inside, near, middle), np.where(inside, middle, far)
    return (near + far) / 2


def _at(field: Field, places: np.ndarray) -> np.ndarray:
    """Return the field at places in voxels, shape (n, 3); 0 outside its box."""
    from scipy.ndimage import map_coordinates

    return map_coordinates(field.data, places.T, order=1, mode="constant", prefilter=False)


def sample(field: Field, points: np.ndarray) -> np.ndarray:
    """Return the field at points of head mm, shape (n, 3); 0 outside its box."""
    return _at(field, (points - field.origin) / field.voxel_mm)


def _normals(field: Field, points: np.ndarray) -> np.ndarray:
    shift = field.voxel_mm * np.eye(3)
    slope = np.stack([sample(field, points - s) - sample(field, points + s) for s in shift], axis=1)
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return slope / np.maximum(length, 1e-6)


def shade(normals: np.ndarray, angles, light: tuple[float, float]) -> np.ndarray:
    """Return the picture of a matt surface under one far light (Lambert), uint8.

    Parameters
    ----------
    normals : numpy.ndarray
        Shape (pixels, pixels, 3), from :func:`look`.
    angles, light
        Entries of :data:`VIEWS` and :data:`LIGHTS`.
    """
    side, up = np.deg2rad(light)
    towards = np.array([np.sin(side) * np.cos(up), np.sin(up), np.cos(side) * np.cos(up)])
    lit = np.clip(normals @ (towards @ camera(angles)), 0, 1)
    picture = np.rint(255 * (AMBIENT + (1 - AMBIENT) * lit))
    return np.where(np.isfinite(picture), picture, GROUND).astype(np.uint8)


@functools.cache
def vault_directions() -> np.ndarray:
    """Return the directions in which the cranial vault is measured, shape (n, 3).

    400 directions spread evenly over the sphere (Fibonacci), without face,
    ears and neck: upwards, and backwards down to the occiput.
    """
    n = 400
    z = 1 - (2 * np.arange(n) + 1) / n
    turn = np.arange(n) * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - z**2)
    all_ = np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)
    kept = all_[(z > 0.25) | ((all_[:, 1] < -0.5) & (z > -0.15))]
    kept.flags.writeable = False
    return kept


def _vault(field: Field) -> np.ndarray:
    """Return the head's radius in each direction of the vault, looked at from outside."""
    outwards = vault_directions()
    start = template.BRAIN_CENTER + REACH_MM * outwards
    return (REACH_MM - trace(field, start, -outwards, REACH_MM)).astype(np.float32)


def control(rendering: Rendering, name: str, blur_mm: float = OPTIONS["blur_mm"]) -> Rendering:
    """Turn the rendering of an original into a control's.

    Parameters
    ----------
    name : str
        ``blurred`` : pictures and depth maps under a Gaussian of ``blur_mm``.
        ``black`` : black pictures, and no surface anywhere.
    """
    nothing = np.full_like(rendering.vault, np.nan)
    if name == "black":
        return replace(
            rendering,
            views=np.zeros_like(rendering.views),
            depth=np.full_like(rendering.depth, np.nan),
            vault=nothing,
        )
    if name != "blurred":
        raise ValueError(f"no control '{name}' (there are: {', '.join(PICTURE_CONTROLS)})")
    sigma = blur_mm / rendering.pixel_mm
    return replace(
        rendering,
        views=_blur_views(rendering.views, sigma),
        depth=_blur_depth(rendering.depth, sigma),
        vault=nothing,
    )


def _blur_views(views: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(views.astype(np.float32), (0, 0, sigma, sigma), mode="nearest")
    return np.rint(smooth).astype(np.uint8)


def _blur_depth(depth: np.ndarray, sigma: float) -> np.ndarray:
    """Average over the surface alone; the outline is where half of the weight is head."""
    from scipy.ndimage import gaussian_filter

    there = np.isfinite(depth)
    sigmas = (0, sigma, sigma)
    weight = gaussian_filter(there.astype(np.float32), sigmas, mode="nearest")
    total = gaussian_filter(np.where(there, depth, 0), sigmas, mode="nearest")
    return np.where(weight >= 0.5, total / np.maximum(weight, 0.5), np.nan).astype(np.float32)


def write(rendering: Rendering, path: str | Path) -> None:
    """Write a rendering, all or nothing; depth is stored to 0.06 mm (float16)."""
    save_arrays(
        path,
        {
            "views": rendering.views,
            "depth": rendering.depth.astype(np.float16),
            "vault": rendering.vault.astype(np.float16),
            "pixel_mm": np.float64(rendering.pixel_mm),
        },
    )


def read(path: str | Path) -> Rendering:
    """Read what :func:`write` wrote; executes no code from the file."""
    with np.load(path, allow_pickle=False) as found:
        return Rendering(
            found["views"],
            found["depth"].astype(np.float32),
            found["vault"].astype(np.float32),
            float(found["pixel_mm"]),
        )


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a compressed ``.npz``, all or nothing; the same arrays, the same bytes."""
    with files.replacing(path) as part, open(part, "wb") as handle:
        np.savez_compressed(handle, **arrays)


def render_row(row: Mapping, out_folder: str | Path, options: Mapping) -> dict:
    """Render the image of a manifest row and write the result.

    Parameters
    ----------
    row : mapping
        ``path`` (the variant's image), ``scan``, and ``template_path`` (the original's
        matrix).  A rescan has none, for only its picture is needed: its pose is registered
        here, quickly (thoroughly where that fails, see
        :func:`refacebench.head.registration.register`), and written beside the rendering.
    out_folder : str or Path
        Gets ``<scan>.npz``.

    Returns
    -------
    dict
        ``views_path``, ``template_path``, and ``surface_share``: the share of the frontal
        view's pixels that show a surface.
    """
    path = Path(out_folder) / f"{row['scan']}.npz"
    volume = nifti.read(row["path"])
    matrix_path = row.get("template_path") or path.with_name(f"{row['scan']}_pose.json")
    if not row.get("template_path"):
        head = masks.head_mask(volume)
        matrices.write_matrix(registration.register(volume, head, schedule="quick"), matrix_path)
    seen = render(volume, matrices.read_matrix(matrix_path), options)
    write(seen, path)
    share = float(np.isfinite(seen.depth[0]).mean())
    return {
        "views_path": str(path),
        "template_path": str(matrix_path),
        "surface_share": round(share, 5),
    }
