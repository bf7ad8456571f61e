"""Validation slices of a refacing model over the epochs of its training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.faces import SHOWN, may_show
from refacebench.plot.style import INK, WIDTH, message_figure, new_figure, styled

HIDDEN = "The data set's faces are private: samples of the training are not shown."


@styled
def draw(samples: Mapping[str, np.ndarray], picked: int, faces: str = "private", title: str = ""):
    """Draw defaced slices, what the model made of them epoch by epoch, and the originals.

    Parameters
    ----------
    samples : mapping of str to numpy.ndarray
        ``defaced``, ``original`` and ``epoch-0001`` ..., each uint8 of shape
        (slices, rows, columns); rows and columns in increasing anatomical order.  Slices in which
        the defacer changed nothing are left out.
    picked : int
        The epoch whose weights were kept.
    faces : str
        The dataset's; where they may not be shown, the figure is a sentence.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not may_show(faces):
        return message_figure(f"{title}: {HIDDEN}" if title else HIDDEN)
    epochs = sorted(name for name in samples if name.startswith("epoch-"))
    columns = ["defaced", *epochs, "original"]
    if not epochs or any(name not in samples for name in columns):
        return message_figure("No samples were recorded.")
    shown = _changed(samples["defaced"], samples["original"])
    count = len(shown)
    figure = new_figure(WIDTH, WIDTH / len(columns) * count + 0.5)
    axes = figure.subplots(count, len(columns), squeeze=False)
    for column, name in enumerate(columns):
        for row, place in enumerate(shown):
            panel = axes[row, column]
            panel.set_axis_off()
            panel.imshow(samples[name][place].T, cmap="gray", vmin=0, vmax=255, origin="lower",
                         interpolation="nearest")  # fmt: skip
        axes[0, column].set_title(_heading(name, picked), fontsize=8, color=INK, pad=3)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    if title:
        figure.suptitle(title, fontsize=9.5, x=0.01, ha="left")
    figure.set_label(SHOWN)
    return figure


#: Share of a slice's pixels that must differ for a defacer to have changed something in it.
_CHANGED = 0.002


def _changed(defaced: np.ndarray, original: np.ndarray) -> list[int]:
    """Return the slices in which the defacer changed something; all where it did so in none.

    A slice through the side of a head has no face to put back.
    """
    apart = np.abs(defaced.astype(int) - original.astype(int)) > 8
    found = [n for n, slice_ in enumerate(apart) if slice_.mean() > _CHANGED]
    return found or list(range(len(original)))


def _heading(name: str, picked: int) -> str:
    if not name.startswith("epoch-"):
        return name
    epoch = int(name.removeprefix("epoch-"))
    return f"epoch {epoch}, used" if epoch == picked else f"epoch {epoch}"
