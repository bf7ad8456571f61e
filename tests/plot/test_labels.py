"""Places of labels: clear of lines, marks and each other, and the same every time."""

import numpy as np
import pytest

from refacebench.plot import labels

FRAME = (0.0, 0.0, 900.0, 450.0)


def crowd(count, seed):
    """Return points in a heap, their labels' sizes, and the lines of their intervals."""
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in rng.uniform((250, 60), (550, 250), (count, 2))]
    sizes = [(float(w), 26.0) for w in rng.uniform(70, 200, count)]
    lines = []
    for x, y in points:
        lines += [(x - 60, y, x + 90, y), (x, y - 50, x, y + 80)]
    marks = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    return points, sizes, lines, marks


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (2, 1), (6, 2), (12, 3)])
def test_no_label_touches_a_line_a_mark_or_another_label(count, seed):
    points, sizes, lines, marks = crowd(count, seed)
    boxes = labels.place(points, sizes, FRAME, labels.Taken(list(marks), list(lines)))
    for index, box in enumerate(boxes):
        assert (box[2] - box[0], box[3] - box[1]) == pytest.approx(sizes[index])
        assert FRAME[0] <= box[0]
        assert box[2] <= FRAME[2]
        assert FRAME[1] <= box[1]
        assert box[3] <= FRAME[3]
        assert not any(labels.crosses(line, box) for line in lines)
        assert not any(labels.overlap(mark, box) for mark in marks)
        assert not any(labels.overlap(other, box) for other in boxes[:index])
        leads = [labels.leader(p, b) for p, b in zip(points, boxes, strict=True)]
        assert not any(labels.crosses(lead, box) for lead in leads)
    again = labels.place(points, sizes, FRAME, labels.Taken(list(marks), list(lines)))
    assert again == boxes


def test_two_people_at_one_place_have_two_labels():
    boxes = labels.place([(300, 200)] * 2, [(80, 20)] * 2, FRAME, labels.Taken())
    assert not labels.overlap(*boxes)


def test_a_label_without_a_free_place_is_still_placed():
    taken = labels.Taken([FRAME])
    (box,) = labels.place([(300, 200)], [(80, 20)], FRAME, taken)
    assert (box[2] - box[0], box[3] - box[1]) == (80, 20)
    (box,) = labels.place([(300, 200)], [(2000, 20)], FRAME, labels.Taken())
    assert box[2] - box[0] == 2000, "wider than the frame"


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ((0, 5, 20, 5), True),
        ((0, 0, 20, 20), True),
        ((0, 12, 20, 12), False),
        ((0, 10, 20, 10), False),  # along the edge
        ((6, 6, 7, 7), True),
        ((0, 0, 4, 4), False),
        ((8, -5, 8, 40), True),
    ],
)
def test_whether_a_line_crosses_a_box(line, hit):
    assert labels.crosses(line, (5, 3, 10, 10)) == hit
    assert labels.crosses((*line[2:], *line[:2]), (5, 3, 10, 10)) == hit
