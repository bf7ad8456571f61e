"""The privacy transform of a head: nothing of the face is left in it."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from hollows import pair, person

torch = pytest.importorskip("torch")
from refacebench.head import hull as privacy  # noqa: E402
from refacebench.head import sampled_hull  # noqa: E402
from refacebench.image import convex_hull  # noqa: E402

SAMPLED = {"hull": "sampled", "rotations": 3, "triangles": 30}


@pytest.mark.parametrize("options", [{}, SAMPLED], ids=["exact", "sampled"])
def test_nothing_of_the_face_is_left(options):
    """Two heads with other faces but one hull and one brain give the same bits."""
    (one, head1, brain), (two, head2, _) = person(1), person(2)
    assert (head1 != head2).sum() > 30
    assert (one != two)[head1 & ~brain].mean() > 0.9
    assert np.array_equal(one[brain], two[brain])
    a, b = (
        privacy.transform(v, h, brain, (2, 2, 2), seed=4, **options)
        for v, h in ((one, head1), (two, head2))
    )
    for name in ("hull", "brain", "tissue"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert privacy.to_image(a).tobytes() == privacy.to_image(b).tobytes()


def test_the_written_files_of_two_faces_are_the_same_bytes(tmp_path):
    written = []
    for face in (1, 2):
        (tmp_path / str(face)).mkdir()
        made = pair(tmp_path / str(face), face=face)
        written.append(
            [gzip.decompress(Path(p).read_bytes()) for p in (made.defaced, made.changed)]
        )
    assert written[0] == written[1]


def test_another_hull_or_brain_gives_another_transform():
    values, head, brain = person(1)
    base = privacy.transform(values, head, brain, (2, 2, 2))
    larger = head.copy()
    larger[13:15, 29:31, 14] = True  # a longer nose
    assert (privacy.transform(values, larger, brain, (2, 2, 2)).hull != base.hull).any()
    brighter = np.where(brain, values + 1, values)
    assert (privacy.transform(brighter, head, brain, (2, 2, 2)).tissue != base.tissue).any()


def test_drawing_from_the_head_itself_shows_hollows():
    """Why ``surface: hull`` is the default: the paper's own draw depends on concavities."""
    (values, head1, brain), (_, head2, _) = person(1), person(2)
    one, two = (
        privacy.transform(values, h, brain, (2, 2, 2), seed=4, surface="head", **SAMPLED)
        for h in (head1, head2)
    )
    assert (one.hull != two.hull).any()


def test_sampled_hull_holds_the_drawn_head_and_is_drawn_anew_by_each_seed():
    _, head, brain = person(1)
    exact = convex_hull.convex_hull(head)
    one, again, other = (
        sampled_hull.sampled_hull(exact, (2, 2, 2), 8, 100, seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert 2 * (one & exact).sum() / (one.sum() + exact.sum()) > 0.9


def test_image_of_the_transform_is_read_back():
    values, head, brain = person(3)
    gamma = privacy.transform(values, head, brain, (2, 2, 2))
    back = privacy.from_image(np.rint(privacy.to_image(gamma)), ~brain)
    assert np.array_equal(back.hull, gamma.hull)
    assert np.array_equal(back.brain, brain)
    assert np.array_equal(back.tissue, np.rint(gamma.tissue))


def test_wrong_inputs_are_refused():
    values, head, brain = person(1)
    with pytest.raises(ValueError, match="brain mask is empty"):
        privacy.transform(values, head, np.zeros_like(brain), (2, 2, 2))
    with pytest.raises(ValueError, match="hull 'round'"):
        privacy.transform(values, head, brain, (2, 2, 2), hull="round")
    with pytest.raises(ValueError, match="not a hull image"):
        privacy.from_image(values, ~brain)
    with pytest.raises(ValueError, match="above zero"):
        privacy.to_image(privacy.transform(0 * values, head, brain, (2, 2, 2)))
