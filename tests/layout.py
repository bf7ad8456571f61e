"""Where the artists of a figure lie: which texts overlap, are struck through, or say -0."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.text import Text

from refacebench.plot import style

#: Boxes may share this many pixels: a glyph does not fill its box.
SLACK = 2.0
#: The rows' own lines, which carry the eye to a text.
ROW_LINE = "#efefef"


class _Probe(Artist):
    """Looks at all other artists at the moment at which they are drawn into the file."""

    def draw(self, renderer):
        self.faults = _faults(self.figure, renderer)


def faults(figure, folder, note: str = "") -> list[str]:
    """Save a figure and return what is wrong with its texts in the file; nothing for a good one.

    Saving crops, and cropping may move artists: what lies where is known only then.
    """
    probe = _Probe()
    probe.set_zorder(1e6)
    probe.set_in_layout(False)
    figure.add_artist(probe)
    style.save(figure, folder / "figure", note)
    return probe.faults


def _faults(figure, renderer) -> list[str]:
    texts, legends = list(seen(figure, renderer)), _legend_texts(figure)
    found = [
        f"{text.get_text()!r} lies on {other.get_text()!r}"
        for (text, box), (other, its) in combinations(texts, 2)
        if _apart(box, its) < -SLACK
    ]
    found += [f"negative zero: {t.get_text()!r}" for t, _ in texts if _negative_zero(t.get_text())]
    found += [f"{t.get_text()!r} is struck through" for t, box in texts if _struck(t, box, legends)]
    found += [f"{t.get_text()!r} is cut" for t, box in texts if _cut(box, figure)]
    for axes in figure.axes:
        found += [f"a mark of {axes.get_title('left')!r} is out of view"] * _marks_out(axes)
    return found


def _marks_out(axes) -> bool:
    """Tell whether a panel has marks that it does not show."""
    for line in axes.lines:
        if line.get_marker() in ("None", "", None) or not line.get_visible():
            continue
        places = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
        box = axes.bbox
        inside = (places > [box.x0 - 1, box.y0 - 1]) & (places < [box.x1 + 1, box.y1 + 1])
        if not inside[np.isfinite(places).all(axis=1)].all():
            return True
    return False


def _cut(box: np.ndarray, figure) -> bool:
    """Tell whether a text reaches over the edge of the picture."""
    low, high = box.min(axis=0), box.max(axis=0)
    return bool((low < -SLACK).any() or (high > [*figure.bbox.size] + np.array(SLACK)).any())


def seen(figure, renderer):
    """Yield every text that is drawn, with the corners of its box in pixels, shape (4, 2)."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not axes.axison or not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
            if not axes.axison:
                hidden |= {axis.label, axis.get_offset_text()}
    for text in figure.findobj(Text):
        if text in hidden or not text.get_visible() or not text.get_text().strip():
            continue
        box = _corners(text, renderer)
        if np.ptp(box, axis=0).min() > 0:
            yield text, box


def _corners(text, renderer) -> np.ndarray:
    """Return the corners of a text's box, turned as the text is."""
    turned = text.get_window_extent(renderer)
    angle = text.get_rotation()
    text.set_rotation(0)
    level = text.get_window_extent(renderer)
    text.set_rotation(angle)
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [level.width / 2, level.height / 2]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    # The middle of a turned rectangle is that of the box around it.
    middle = [(turned.x0 + turned.x1) / 2, (turned.y0 + turned.y1) / 2]
    return half @ np.array([[cos, sin], [-sin, cos]]) + middle


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    """Return how far two rectangles are apart along the best of their axes; below 0: they overlap.

    Rectangles are four corners each; two that do not overlap have an edge of one of them
    as their divide (separating axis theorem).
    """
    gaps = []
    for box in (one, two):
        for edge in (box[1] - box[0], box[3] - box[0]):
            along = edge / np.hypot(*edge)
            a, b = one @ along, two @ along
            gaps.append(max(a.min(), b.min()) - min(a.max(), b.max()))
    return max(gaps)


def _negative_zero(text: str) -> bool:
    hits = re.findall(r"(?<![\w.])[-\u2212]0(?:\.0*)?(?![\d.])", text)
    return bool(hits)


def _legend_texts(figure) -> dict:
    """Return the panel of each text of a panel's legend; None for a legend on white paper."""
    found = {}
    for axes in figure.axes:
        legend = axes.get_legend()
        for text in legend.get_texts() if legend else ():
            found[text] = None if legend.get_frame_on() else axes
    return found


def _struck(text, box, legends) -> bool:
    """Tell whether a line of its panel runs through a text that has no paper behind it."""
    axes = legends.get(text, text.axes)
    if axes is None or text.get_bbox_patch() is not None:
        return False
    for line in axes.lines:
        if line.get_color() == ROW_LINE or line.get_linestyle() in ("None", "none", ""):
            continue
        points = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
        for start, end in zip(points[:-1], points[1:], strict=True):
            along = start + (end - start) * np.linspace(0, 1, 60)[:, None]
            low, high = box.min(axis=0) + SLACK, box.max(axis=0) - SLACK
            if ((along > low) & (along < high)).all(axis=1).any():
                return True
    return False
