"""Example slices of one scan in all its variants, and a picture of its face.

Privacy: unless a dataset's faces are public, everything outside the dilated
brain is replaced by the flat silhouette of a heavily smoothed head, in the
original as well as in every variant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.faces import label, may_show
from refacebench.image.nifti import Volume, grid, reorient, resample
from refacebench.plot.style import INK, WIDTH, Look, new_figure, styled
from refacebench.vocabulary import split_variant

#: Standard deviation of the smoothing that takes a profile out of a silhouette, in mm.
SILHOUETTE_MM = 14.0
#: Voxels of the grid on which that is done.
_COARSE_MM = 4.0
#: Grey of the silhouette; brain and its rim are drawn as they are.
SILHOUETTE_GREY = 0.30
#: How far beyond the brain mask the image is shown, in mm.
BRAIN_RIM_MM = 3.0
#: How far below the frontal lobe the eyes lie, in mm.
EYES_BELOW_MM = 7.0
_WINDOW = (0.5, 99.5)
#: Variants side by side: each has three slices and a picture.
_ACROSS = 2
#: The axes of the slices that are shown, in RAS: sagittal, coronal, axial; and what is seen
#: at the left and at the right edge of each.
_AXES = (0, 1, 2)
_SIDES = {0: ("P", "A"), 1: ("L", "R"), 2: ("L", "R")}
#: Where in the brain the coronal slice lies, from its front (0) to its back (1).
_CORONAL = 0.35


@styled
def draw(
    original: Volume,
    variants: Mapping[str, Volume],
    brain: np.ndarray,
    look: Look,
    *,
    faces: str = "private",
    title: str = "",
    pictures: Mapping[str, np.ndarray] | None = None,
):
    """Draw a mid-sagittal, a coronal and an eye-level axial slice of every variant.

    Parameters
    ----------
    original : Volume
        The scan as it was acquired, any orientation.
    variants : mapping of str to Volume
        Other variants of that scan on the same grid (``original`` itself may
        be among them).
    brain : numpy.ndarray of bool
        Brain mask of the original, same grid.
    look : Look
        Order and names of the variants.
    faces : str
        The dataset's; where they may not be shown, all that lies outside the brain is hidden.
    title : str
        Above the figure.
    pictures : mapping of str to numpy.ndarray, optional
        Renderings of the head's surface by variant, 0 to 1, row 0 on top; left out where faces
        may not be shown.

    Returns
    -------
    matplotlib.figure.Figure
        Images are in RAS orientation, left of the participant on the left,
        nose to the right in the sagittal slices, and share one grey scale.  All panels are
        squares of the same size in mm, on black.

    Raises
    ------
    ValueError
        If a variant or the brain mask is on another grid, or the mask is empty.
    """
    everything = {"original": original, **variants}
    for name, volume in everything.items():
        if volume.shape != original.shape or not np.allclose(
            volume.affine, original.affine, atol=1e-3
        ):
            raise ValueError(f"variant '{name}' is not on the grid of its original")
    if brain.shape != original.shape:
        raise ValueError(f"brain mask {brain.shape} is not on the scan's grid {original.shape}")
    if not brain.any():
        raise ValueError("the brain mask is empty")
    mask = reorient(original.with_data(brain.astype(np.uint8)), "RAS")
    places = slice_places(mask.data > 0, mask.spacing)
    window = grey_window(original.data)
    order = look.sort(everything)
    tiles = {
        name: _tiles(reorient(everything[name], "RAS"), mask, places, window, faces)
        for name in order
    }
    shown = dict(pictures or {}) if may_show(faces) else {}
    figure = _compose(order, tiles, shown, mask, look, title)
    figure.set_label(label(faces))
    return figure


def slice_places(brain: np.ndarray, spacing: np.ndarray) -> tuple[int, int, int]:
    """Return the sagittal index of the midline, a coronal one and the axial index of the eyes.

    Parameters
    ----------
    brain : numpy.ndarray of bool
        Brain mask, RAS orientation.
    spacing : array_like
        Voxel edges in mm.

    Returns
    -------
    tuple of int
        The midline is the centre of the brain from left to right; the coronal slice lies in
        front of the brain's middle; the eyes lie a fixed way below the lowest voxel of the
        brain's foremost sixth.
    """
    where = np.argwhere(brain)
    sagittal = int(round(where[:, 0].mean()))
    back, front = where[:, 1].min(), where[:, 1].max()
    frontal = where[where[:, 1] > front - (front - back) / 6]
    axial = frontal[:, 2].min() - EYES_BELOW_MM / spacing[2]
    coronal = int(round(front - _CORONAL * (front - back)))
    return sagittal, coronal, int(np.clip(round(axial), 0, brain.shape[2] - 1))


def grey_window(values: np.ndarray) -> tuple[float, float]:
    """Return the intensities that are drawn black and white."""
    low, high = np.percentile(values[np.isfinite(values)], _WINDOW)
    return float(low), float(high if high > low else low + 1.0)


def head_share(volume: Volume, brain: np.ndarray, window: tuple[float, float]) -> Volume:
    """Return how much of the neighbourhood of each place is head, on a coarse grid.

    Smoothing runs over all three dimensions: over a slice alone a nose would
    keep its profile, in space it is thin and goes.
    """
    from scipy.ndimage import gaussian_filter

    low, high = window
    head = (np.nan_to_num(volume.data) > low + 0.1 * (high - low)) | brain
    coarse = resample(
        volume.with_data(head.astype(np.float32)), grid(volume.shape, volume.affine, _COARSE_MM)
    )
    share = gaussian_filter(coarse.data, SILHOUETTE_MM / coarse.spacing, mode="nearest")
    return coarse.with_data(share)


def hide_outside(image: np.ndarray, brain: np.ndarray, share: np.ndarray, spacing) -> np.ndarray:
    """Return a slice with all that lies outside the brain as a flat silhouette.

    Parameters
    ----------
    image : numpy.ndarray
        A slice, 0 (black) to 1 (white).
    brain : numpy.ndarray of bool
        Brain mask of that slice.
    share : numpy.ndarray
        :func:`head_share` in that slice.
    spacing : sequence of float
        Pixel edges in mm.

    Returns
    -------
    numpy.ndarray
        Inside the dilated brain the slice itself; outside nothing but 0 or
        :data:`SILHOUETTE_GREY`: no intensity survives, and the outline is that
        of the smoothed head, cut at one half (a smoothed image that is not cut
        could be sharpened again).
    """
    from scipy.ndimage import distance_transform_edt

    hidden = np.where(share > 0.5, SILHOUETTE_GREY, 0.0)
    if brain.any():
        shown = distance_transform_edt(~brain, sampling=spacing) <= BRAIN_RIM_MM
        hidden = np.where(shown, image, hidden)
    return hidden


def _tiles(volume: Volume, mask: Volume, places, window, faces) -> list[np.ndarray]:
    """Return the slices of a variant, 0..1, rows along the first axis of each."""
    low, high = window
    share = head_share(volume, mask.data > 0, window) if not may_show(faces) else None
    tiles = []
    for axis, place in zip(_AXES, places, strict=True):
        image = np.take(volume.data, place, axis)
        image = np.clip((np.nan_to_num(image) - low) / (high - low), 0.0, 1.0)
        if share is not None:
            fraction = resample(share, plane(volume, axis, place)).data.squeeze(axis)
            brain = np.take(mask.data, place, axis) > 0
            image = hide_outside(image, brain, fraction, np.delete(volume.spacing, axis))
        tiles.append(image)
    return tiles


def plane(volume: Volume, axis: int, place: int) -> Volume:
    """Return the empty one-voxel-thick grid of a slice."""
    shape = tuple(1 if i == axis else n for i, n in enumerate(volume.shape))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * place
    return Volume(np.zeros(shape, dtype=np.float32), affine)


def _compose(order, tiles, pictures, mask: Volume, look, title):
    """Lay the panels of all variants out on black squares of one size in mm."""
    spacing = mask.spacing
    per = len(_AXES) + bool(pictures)
    across = min(_ACROSS, len(order))
    rows = [order[i : i + across] for i in range(0, len(order), across)]
    edge = WIDTH / (_ACROSS * per)
    figure = new_figure(edge * per * across, (edge + 0.24) * len(rows) + 0.26 + 0.3 * bool(title))
    axes = figure.subplots(len(rows), per * across, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    middle, reach = _view(mask)
    for line, names in zip(axes, rows, strict=False):
        for place, name in enumerate(names):
            panels = line[per * place : per * (place + 1)]
            for panel, axis, image in zip(panels, _AXES, tiles[name], strict=False):
                _show(panel, image, np.delete(spacing, axis), np.delete(middle, axis), reach)
                _sides(panel, _SIDES[axis])
            if pictures:
                _picture(panels[-1], pictures.get(name))
            # A refaced variant beside its kin is named by its refacer.
            before = split_variant(names[place - 1])[0] if place else None
            heading = look.label(name, full=split_variant(name)[0] != before)
            panels[0].set_title(heading, loc="left", fontsize=8, color=INK, pad=3)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.01, hspace=0.01)
    if title:
        figure.suptitle(title, fontsize=9.5, x=0.01, ha="left")
    key = "L, R: left and right of the participant; P, A: back and front."
    if pictures:
        key += " Pictures: the surface of the head, seen a little from the side."
    figure.supxlabel(key, fontsize=8, x=0.01, ha="left")
    return figure


def _view(mask: Volume) -> tuple[np.ndarray, float]:
    """Return the middle of the image in mm from its corner, and half of its longest edge."""
    size = np.asarray(mask.shape) * mask.spacing
    return size / 2, float(size.max() / 2)


def _show(axes, image: np.ndarray, spacing, middle, reach: float) -> None:
    """Draw a slice to scale in the middle of a black square."""
    extent = (0, image.shape[0] * spacing[0], 0, image.shape[1] * spacing[1])
    _black(axes)
    axes.imshow(image.T, cmap="gray", vmin=0.0, vmax=1.0, origin="lower", extent=extent,
                aspect="equal", interpolation="nearest")  # fmt: skip
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)


def _black(axes) -> None:
    """Put black behind a panel whose axes are off."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor="black",
                             linewidth=0, zorder=-1))  # fmt: skip


def _sides(axes, names: tuple[str, str]) -> None:
    for x, align, name in ((0.03, "left", names[0]), (0.97, "right", names[1])):
        axes.text(x, 0.97, name, transform=axes.transAxes, color="white", fontsize=7, ha=align,
                  va="top")  # fmt: skip


def _picture(axes, image: np.ndarray | None) -> None:
    """Draw the rendering of a head; a sentence where no surface was found."""
    _black(axes)
    if image is None:
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.text(0.5, 0.5, "no surface\nto show", color="white", fontsize=7, ha="center",
                  va="center")  # fmt: skip
        return
    axes.imshow(image, cmap="gray", vmin=0.0, vmax=1.0, interpolation="bilinear")
