"""Boxes in a row with arrows between them: the way of a scan through a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refacebench.plot.style import FAINT, INK, WIDTH, new_figure, styled, wrapped

#: What stands in a box: its heading and the names below it.
Box = tuple[str, Sequence[str]]
_GAP, _LETTERS = 0.25, 20


@styled
def draw(
    boxes: Sequence[Box],
    below: tuple[str, Sequence[str], int] | None = None,
    skips: Sequence[tuple[int, int]] = (),
) -> Any:
    """Draw boxes from left to right; a box without names is left out if others have some.

    Parameters
    ----------
    boxes : sequence of (str, sequence of str)
        The first and the last are always drawn.
    below : (str, sequence of str, int), optional
        A box below the row and the box that it follows.
    skips : sequence of (int, int)
        Arrows that pass over boxes, by the boxes' places in ``boxes``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    kept = [i for i, (_, names) in enumerate(boxes) if names or i in (0, len(boxes) - 1)]
    place = {number: x for x, number in enumerate(kept)}
    tallest = max([len(_text(boxes[i]).splitlines()) for i in kept])
    figure = new_figure(WIDTH, 1.5 + 0.16 * tallest + (1.0 if below and below[1] else 0.0))
    axes = figure.add_subplot()
    axes.set_axis_off()
    for number in kept:
        _box(axes, place[number] * (1 + _GAP), 0.0, _text(boxes[number]))
    for first, second in zip(kept, kept[1:], strict=False):
        _arrow(axes, (place[first] * (1 + _GAP) + 0.5, 0), (place[second] * (1 + _GAP) - 0.5, 0))
    for first, second in skips:
        if first in place and second in place and place[second] > place[first] + 1:
            start, end = ((place[i] * (1 + _GAP), 0.5) for i in (first, second))
            _arrow(axes, start, end, bend=-0.22)
    low = -0.75
    if below and below[1]:
        at = max((i for i in kept if i <= below[2]), default=0)
        x = place[at] * (1 + _GAP)
        _box(axes, x, -1.3, _text((below[0], below[1])))
        _arrow(axes, (x, -0.5), (x, -0.8))
        low = -1.9
    axes.set_xlim(-0.6, (len(kept) - 1) * (1 + _GAP) + 0.6)
    axes.set_ylim(low, 1.25)
    return figure


def _text(box: Box) -> str:
    heading, names = box
    return "\n".join([wrapped(heading, _LETTERS), *(wrapped(n, _LETTERS) for n in names)])


def _box(axes: Any, x: float, y: float, text: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x - 0.5, y - 0.5), 1, 1, boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#f5f7fa", edgecolor=FAINT, linewidth=1.0,
        )
    )  # fmt: skip
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color=INK, linespacing=1.35)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0):
    axes.annotate("", end, start, arrowprops={
        "arrowstyle": "-|>", "color": INK, "linewidth": 1.1, "shrinkA": 1, "shrinkB": 1,
        "connectionstyle": f"arc3,rad={bend}"})  # fmt: skip
