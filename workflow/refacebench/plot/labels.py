"""Places for labels beside points, so that no label lies on a line, a mark or another label.

Geometry of rectangles alone, in any unit; draws nothing.  Every label has the same set of places
to choose from, near ones first, and takes the first that is free; the same input gives the same
places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

#: Left, bottom, right, top.
Box = tuple[float, float, float, float]
#: Both ends of a line.
Segment = tuple[float, float, float, float]

#: How far from its point a label may stand, in units of its own height, and in what directions.
_STEPS = (0.55, 0.8, 1.1, 1.5, 2.0, 2.6, 3.3, 4.2, 5.2, 6.5, 8.0, 10.0, 12.5, 15.0)
_DIRECTIONS = tuple(np.deg2rad(a) for a in (20, -20, 55, -55, 0, 160, -160, 125, -125, 90, -90, 180,
                                            35, -35, 75, -75, 105, -105, 145, -145))  # fmt: skip


@dataclass
class Taken:
    """What labels must keep clear of."""

    boxes: list[Box] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def hits(self, box: Box) -> int:
        """Return how many boxes and lines a box touches."""
        return sum(overlap(box, other) for other in self.boxes) + sum(
            crosses(line, box) for line in self.segments
        )


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    taken: Taken,
    pad: float = 2.0,
) -> list[Box]:
    """Return a box for each label, beside its point.

    Parameters
    ----------
    points : sequence of (x, y)
        What is labelled.
    sizes : sequence of (width, height)
        Of the labels.
    frame : tuple
        No label reaches over it.
    taken : Taken
        Boxes of marks and other texts, and lines.  Placed labels and their leaders are added.
    pad : float
        Free space around each label.

    Returns
    -------
    list of tuple
        Left, bottom, right, top.  Where there is no free place the one that touches least.
    """
    found: dict[int, Box] = {}
    # From the top, so that leaders fan out and do not cross.
    for index in sorted(range(len(points)), key=lambda i: (-points[i][1], points[i][0])):
        best, fewest = None, np.inf
        for box in _candidates(points[index], sizes[index], frame):
            wide = (box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad)
            line = leader(points[index], box)
            hits = taken.hits(wide) + sum(crosses(line, other) for other in found.values())
            if hits < fewest:
                best, fewest = box, hits
            if not hits:
                break
        if best is None:
            x, y = points[index]
            best = (x, y, x + sizes[index][0], y + sizes[index][1])
        found[index] = best
        taken.boxes.append(best)
        taken.segments.append(leader(points[index], best))
    return [found[i] for i in range(len(points))]


def _candidates(point, size, frame: Box) -> Iterator[Box]:
    """Yield the places around a point that lie in the frame, near ones first."""
    width, height = size
    for step in _STEPS:
        for angle in _DIRECTIONS:
            x = point[0] + np.cos(angle) * step * height
            y = point[1] + np.sin(angle) * step * height
            # The side of the box that faces the point is at that distance.
            side = np.cos(angle)
            left = x if side > 0.15 else x - width if side < -0.15 else x - width / 2
            rise = np.sin(angle)
            bottom = y if rise > 0.5 else y - height if rise < -0.5 else y - height / 2
            box = (left, bottom, left + width, bottom + height)
            inside = box[0] >= frame[0] and box[1] >= frame[1]
            if inside and box[2] <= frame[2] and box[3] <= frame[3]:
                yield box


def leader(point, box: Box) -> Segment:
    """Return the line from a label's nearest edge to its point."""
    x = min(max(point[0], box[0]), box[2])
    y = min(max(point[1], box[1]), box[3])
    return (x, y, point[0], point[1])


def overlap(one: Box, two: Box) -> bool:
    """Tell whether two boxes share any area.

    >>> overlap((0, 0, 2, 2), (1, 1, 3, 3)), overlap((0, 0, 1, 1), (1, 0, 2, 1))
    (True, False)
    """
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def crosses(line: Segment, box: Box) -> bool:
    """Tell whether a line runs through the inside of a box (Liang and Barsky 1984).

    >>> crosses((0, 0, 4, 4), (1, 1, 2, 2)), crosses((0, 3, 4, 3), (1, 1, 2, 2))
    (True, False)
    """
    x, y, dx, dy = line[0], line[1], line[2] - line[0], line[3] - line[1]
    enter, leave = 0.0, 1.0
    for step, near, far in ((dx, box[0] - x, box[2] - x), (dy, box[1] - y, box[3] - y)):
        if step == 0:
            if near >= 0 or far <= 0:
                return False
            continue
        first, last = sorted((near / step, far / step))
        enter, leave = max(enter, first), min(leave, last)
    return enter < leave
