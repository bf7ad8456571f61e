"""Photograph-like views and depth maps of the surface of a head.

The surface is found by :mod:`refacebench.head.surface` and looked at by
:mod:`refacebench.head.camera`; here is what one rendering holds, which options it has,
how a control's picture is made from it, and its file: ``.npz`` without pickled objects.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from refacebench import files
from refacebench.head import template
from refacebench.head.camera import LIGHTS, REACH_MM, VIEWS, look, shade
from refacebench.head.surface import Field, surface_field, trace
from refacebench.image.nifti import Volume
from refacebench.vocabulary import PICTURE_CONTROLS

#: Raise it when a rendering changes; it is part of every key.
VERSION = "4"

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
        camera from the plane through :data:`refacebench.head.surface.CENTER`; NaN where
        there is none.
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
    chosen = {name: options[name] for name in ("voxel_mm", "smooth_mm", "threshold")}
    field = surface_field(volume, matrix, **chosen)
    pixels, half = int(options["pixels"]), float(options["half_field_mm"])
    depths, views = [], []
    for angles in VIEWS[: options["views"]]:
        depth, normals = look(field, angles, pixels, half)
        depths.append(depth)
        views.append([shade(normals, angles, light) for light in LIGHTS[: options["lights"]]])
    return Rendering(np.array(views), np.array(depths), _vault(field), 2 * half / pixels)


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
    files.save_arrays(
        path,
        {
            "views": rendering.views,
            "depth": rendering.depth.astype(np.float16),
            "vault": rendering.vault.astype(np.float16),
            "pixel_mm": np.asarray(np.float64(rendering.pixel_mm)),
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
