"""All sagittal slices of one scan that its similarity is measured on, variants below each other.

Privacy: as in :mod:`refacebench.plot.slices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refacebench.faces import label, may_show
from refacebench.image.nifti import Volume, reorient, resample
from refacebench.plot.slices import grey_window, head_share, hide_outside, plane
from refacebench.plot.style import INK, WIDTH, new_figure, styled

#: Slices stand in so many blocks below each other, in each a row per volume.
BLOCKS = 2


@styled
def draw(
    volumes: Mapping[str, Volume],
    brain: np.ndarray,
    places: Sequence[int],
    *,
    faces: str = "private",
    title: str = "",
) -> Any:
    """Draw the same slices of every volume, in blocks with a row each.

    Parameters
    ----------
    volumes : mapping of str to Volume
        By what is written beside the row, the original first; all on one grid.
    brain : numpy.ndarray of bool
        Brain mask of the original, same grid.
    places : sequence of int
        Slices along the axis from left to right, in RAS orientation.
    faces : str
        The dataset's; where they may not be shown, all that lies outside the brain is hidden.
    title : str
        Above the figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    original = next(iter(volumes.values()))
    window = grey_window(original.data)
    mask = reorient(original.with_data(brain.astype(np.uint8)), "RAS")
    spacing = mask.spacing[1:]
    height = mask.shape[2] * spacing[1] / (mask.shape[1] * spacing[0])
    across = -(-len(places) // BLOCKS)
    wide, rows = (WIDTH - 0.7) / across, BLOCKS * len(volumes)
    figure = new_figure(WIDTH, rows * wide * height + 0.5)
    panels = figure.subplots(rows, across, squeeze=False)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set_visible(False)
    for number, (name, volume) in enumerate(volumes.items()):
        images = _images(reorient(volume, "RAS"), mask, places, window, faces)
        for place, image in enumerate(images):
            line = panels[number + len(volumes) * (place // across)]
            line[0].set_ylabel(name, fontsize=8, color=INK)
            line[place % across].imshow(
                image.T, cmap="gray", vmin=0.0, vmax=1.0, origin="lower",
                aspect=spacing[1] / spacing[0], interpolation="nearest",
            )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.005, h_pad=0.005, wspace=0.0, hspace=0.0)
    if title:
        figure.suptitle(title, fontsize=9.5, x=0.01, ha="left")
    figure.set_label(label(faces))
    return figure


def _images(
    volume: Volume, mask: Volume, places: Sequence[int], window: tuple[float, float], faces: str
) -> list[np.ndarray]:
    low, high = window
    share = None if may_show(faces) else head_share(volume, mask.data > 0, window)
    images = []
    for place in places:
        image = np.clip((np.nan_to_num(volume.data[place]) - low) / (high - low), 0.0, 1.0)
        if share is not None:
            fraction = resample(share, plane(volume, 0, place)).data.squeeze(0)
            image = hide_outside(image, mask.data[place] > 0, fraction, volume.spacing[1:])
        images.append(image)
    return images
