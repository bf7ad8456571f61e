"""The verdict from true labels: where face and brain of a painted head really are.

On heads that were painted from labels it is known which voxel is brain and
where the skin ends.  From that alone this module says what is left of the face
and how much of the brain is lost, to hold the automatic verdict of
:mod:`.quality` against.  Arrays in, numbers out; nothing is read or written.

What the two verdicts share, and what not
-----------------------------------------
Nothing that the prepare stage estimated is used here: no brain mask, no head
mask, no registration to the template.

- *Brain*: the brain labels, without the CSF outside the ventricles.  A voxel is
  lost when it changed by more than half of its own value (automatic: fixed
  shares of the brain's median, inside deepbet's mask).
- *Surface*: what an onlooker sees.  Along each line from the front the first
  labelled voxel is skin; for the ears, along each line from either side.
- *Place of the parts*: a similarity transform from two landmarks of the labels
  (centre of the brain in the midsagittal plane, tip of the nose) and the axis
  between left and right deep grey structures.  In that frame the parts are the
  boxes of :data:`refacebench.head.face_parts.FACE_BOXES`: what counts as nose, eyes, mouth
  and chin is one definition, where they are is found independently.
- *Left*: the step from air to skin still stands at its true place, with at
  least half of its height, and in front of it there still is air; and so it
  does in most of the surface around (automatic: nearly all voxels of a
  neighbourhood hold the same values).
- Thresholds of the classes are shared: the question is whether the automatic
  masks and measures lead to the right side of them.

What it cannot tell: whether the reader would still recognise a face.  On heads
grown from a scan (type ``demo``) the labels were themselves made by programs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.head import face_parts, template
from refacebench.head.labels import is_brain
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.metrics import overlap
from refacebench.metrics.brain import matched
from refacebench.metrics.verdict import CLASSES, classify, is_usable
from refacebench.vocabulary import TRUTH, TRUTH_REGIONS

#: Tip of the nose of the mean head, template mm (its text in :mod:`refacebench.head.template`).
NOSE_TIP = np.array([-1.5, 116.0, -70.0])
#: x of the mean head's midsagittal plane, template mm.
MIDLINE = -1.5
#: Half width of the strip around the midsagittal plane in which the nose's tip is looked for.
STRIP_MM = 12.0
#: In the second look the tip lies at this height in template mm.
TIP_HEIGHT = (-95.0, -45.0)
#: Distance of nose and brain over that of the mean head, outside which there is no nose in view.
SCALE_RANGE = (0.8, 1.25)
#: A tip nearer than this to the view's lower end may be the cut through a nose, not its tip.
TIP_TO_EDGE_MM = 8.0
#: Depth over which skin and air are averaged on both sides of the surface.
STEP_MM = 2.0
#: Around a point this much of the surface is looked at, for single hits prove nothing: in a
#: face that was filled with noise a fifth of the steps seem to stand.
AROUND_MM = 5.0
#: Share of a step that must still stand, and of a brain voxel's value that may change.
HALF = 0.5
#: Surface points below which a part is not in view.
LEAST_POINTS = 25
#: A step lower than this share of the median one is no visible skin.
LEAST_STEP = 0.3


def brain_of(labels: np.ndarray) -> np.ndarray:
    """Return the true brain: all brain labels but the CSF outside the ventricles.

    Parameters
    ----------
    labels : numpy.ndarray of int
        A ``desc-truth_dseg`` image (:data:`refacebench.vocabulary.TRUTH`).
    """
    return ~np.isin(labels, (0, TRUTH["other_head"], TRUTH["csf"]))


def volumes(held: np.ndarray, voxel_ml: float) -> dict[str, float]:
    """Return the true volumes in ml from how many voxels each label holds.

    What each volume means is the segmenters' convention
    (:mod:`refacebench.segmenters.deepbet_atlas`).

    Parameters
    ----------
    held : numpy.ndarray
        Voxels, whole ones or shares of them, of label 0, 1, 2 ...; shape (labels,).

    Returns
    -------
    dict
        ``tiv``, ``brain``, ``gm``, ``wm``, ``csf``, ``vcsf`` and those
        :data:`refacebench.vocabulary.REGIONS` that are labelled at all.
    """
    labels = np.arange(len(held))
    masks = overlap.truth_structures(labels)
    masks |= {"tiv": is_brain(labels), "brain": masks["gm"] | masks["wm"]}
    masks["csf"] = masks["vcsf"] | (labels == TRUTH["csf"])
    masks |= {name: labels == label for name, label in TRUTH_REGIONS.items() if held[label:].any()}
    found = {name: float(held[mask].sum() * voxel_ml) for name, mask in masks.items()}
    return {name: ml for name, ml in found.items() if ml > 0 or name not in TRUTH_REGIONS}


def to_template(labels: Volume) -> np.ndarray | None:
    """Return where the head lies, from landmarks of its labels alone.

    Parameters
    ----------
    labels : Volume
        True labels, RAS+ axes.

    Returns
    -------
    numpy.ndarray or None
        4 x 4 similarity transform, the scan's RAS+ mm -> template mm; None if
        the labels have no left and right structures or no nose in view.
    """
    right = _side_axis(labels)
    brain = overlap.truth_structures(labels.data)["brain"]
    if right is None or not brain.any():
        return None
    axis, middle = right
    center = geometry.mask_center(brain, labels.affine)
    center = center - axis * ((center - middle) @ axis)
    skin = _points(labels, _skin(labels.data > 0))
    skin = skin[np.abs((skin - middle) @ axis) <= STRIP_MM]
    forward = _unit(np.array([0.0, 1.0, 0.0]) - axis * axis[1])
    below = skin[skin[:, 2] < center[2]]
    matrix = np.eye(4)
    for _ in range(3):
        if not len(below):
            return None
        tip = _tip(below, forward)
        tip = tip - axis * ((tip - middle) @ axis)
        matrix = _similarity(axis, center, tip)
        placed = skin @ matrix[:3, :3].T + matrix[:3, 3]
        below = skin[(placed[:, 2] > TIP_HEIGHT[0]) & (placed[:, 2] < TIP_HEIGHT[1])]
        forward = _unit(matrix[1, :3])
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    cut = tip[2] - skin[:, 2].min() < TIP_TO_EDGE_MM
    return matrix if SCALE_RANGE[0] <= 1 / scale <= SCALE_RANGE[1] and not cut else None


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _points(volume: Volume, mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask) @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def _side_axis(labels: Volume) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the unit vector to the right and a point of the midsagittal plane."""
    centers: dict[str, list[np.ndarray]] = {"left": [], "right": []}
    for name, label in TRUTH_REGIONS.items():
        side = name.rpartition("_")[2]
        mask = labels.data == label
        if side in centers and mask.any():
            centers[side].append(geometry.mask_center(mask, labels.affine))
    if not centers["left"] or len(centers["left"]) != len(centers["right"]):
        return None
    left, right = (np.mean(centers[side], axis=0) for side in ("left", "right"))
    return _unit(right - left), (left + right) / 2


def _tip(points: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Return the middle of the points that lie foremost (within 2 mm of the first)."""
    reach = points @ forward
    return points[reach >= reach.max() - 2.0].mean(axis=0)


def _similarity(axis: np.ndarray, center: np.ndarray, tip: np.ndarray) -> np.ndarray:
    """Return the transform that takes brain centre, nose tip and axis to the mean head's."""
    goal = template.BRAIN_CENTER.copy()
    goal[0] = MIDLINE
    there, here = NOSE_TIP - goal, tip - center
    scale = np.linalg.norm(there) / np.linalg.norm(here)
    right = np.array([1.0, 0.0, 0.0])
    frames = [
        np.column_stack([a, _unit(d), np.cross(a, _unit(d))])
        for a, d in ((right, there), (axis, here))
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = scale * frames[0] @ frames[1].T
    matrix[:3, 3] = goal - matrix[:3, :3] @ center
    return matrix


def _skin(head: np.ndarray) -> np.ndarray:
    """Return the first head voxel on each line from the front (RAS+ axes)."""
    return _first(head, axis=1, from_end=True)


def _first(head: np.ndarray, axis: int, from_end: bool) -> np.ndarray:
    """Return the first true voxel on each line along an axis, seen from one end."""
    seen = np.flip(head, axis) if from_end else head
    place = seen.argmax(axis)
    if from_end:
        place = head.shape[axis] - 1 - place
    mask = np.zeros(head.shape, bool)
    np.put_along_axis(mask, np.expand_dims(place, axis), True, axis)
    return mask & head


def face_left(
    labels: Volume, original: np.ndarray, variant: np.ndarray, matrix: np.ndarray
) -> dict[str, float]:
    """Return how much of the true surface of each part of the face still stands.

    Parameters
    ----------
    labels : Volume
        True labels, RAS+ axes.
    original, variant : numpy.ndarray
        Intensities on their grid, the variant's :func:`refacebench.metrics.brain.matched`.
    matrix : numpy.ndarray
        From :func:`to_template`.

    Returns
    -------
    dict
        ``face_left``, the mean over nose, eyes and the lower face (mouth and chin) as far as
        they are in view, and ``face_left_<part>``, ears too; NaN where there is nothing.
    """
    head = labels.data > 0
    front = _standing(head, labels, original, variant, matrix, 1, True, face_parts.FACE_BOXES)
    shares = {name: _share(found) for name, found in front.items()}
    sides = []
    for from_end, box in ((False, "ear_left"), (True, "ear_right")):
        boxes = {"ears": [face_parts.EAR_BOXES[box]]}
        found = _standing(head, labels, original, variant, matrix, 0, from_end, boxes)
        sides.append(found["ears"])
    lower = _share(np.concatenate([front[name] for name in face_parts.LOWER_FACE]))
    return {
        "face_left": face_parts.mean_share(shares, lower),
        **{f"face_left_{name}": share for name, share in shares.items()},
        "face_left_ears": _share(np.concatenate(sides)),
    }


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) >= LEAST_POINTS else float("nan")


def _standing(head, labels, original, variant, matrix, axis, from_end, boxes) -> dict:
    """Return, per part, for each of its surface points whether its step still stands."""
    surface = np.argwhere(_first(head, axis, from_end))
    outward = 1 if from_end else -1
    deep = max(1, round(STEP_MM / float(labels.spacing[axis])))
    # A point at the edge of the view has no air before it: it is no surface.
    ahead = surface[:, axis] + outward * deep
    surface = surface[(ahead >= 0) & (ahead < head.shape[axis])]
    before = _sides(original, surface, axis, outward, deep)
    now = _sides(variant, surface, axis, outward, deep)
    step = before[0] - before[1]
    visible = step > LEAST_STEP * np.median(step) if len(step) else np.zeros(0, bool)
    stands = (now[0] - now[1] >= HALF * step) & (now[1] <= before[1] + HALF * step)
    points = surface @ labels.affine[:3, :3].T + labels.affine[:3, 3]
    placed = points @ matrix[:3, :3].T + matrix[:3, 3]
    result, taken = {}, np.zeros(len(surface), bool)
    for name, parts in boxes.items():
        mine = np.zeros(len(surface), bool)
        for box in parts:
            low, high = np.array(box).T
            mine |= ((placed >= low) & (placed <= high)).all(axis=1)
        mine &= visible & ~taken
        taken |= mine
        result[name] = _mostly(stands, visible, points, mine)
    return result


def _mostly(
    stands: np.ndarray, visible: np.ndarray, points: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Return for each point asked for whether most of the visible surface around it stands."""
    from scipy.spatial import cKDTree

    if not asked.any():
        return np.zeros(0, bool)
    near = cKDTree(points[visible]).query_ball_point(points[asked], AROUND_MM)
    counts = np.array([len(own) for own in near])
    standing = stands[visible][np.concatenate(near).astype(int)]
    sums = np.bincount(np.repeat(np.arange(len(near)), counts), standing, len(near))
    return np.asarray(sums > HALF * counts)


def _sides(values, surface, axis, outward, deep) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of ``deep`` voxels inwards from each point on, and outwards before it."""
    means = []
    for steps in (-outward * np.arange(deep), outward * np.arange(1, deep + 1)):
        total = np.zeros(len(surface))
        for step in steps:
            index = surface.copy()
            index[:, axis] = np.clip(index[:, axis] + step, 0, values.shape[axis] - 1)
            total += values[tuple(index.T)]
        means.append(total / deep)
    return means[0], means[1]


def brain_lost(original: np.ndarray, variant: np.ndarray, brain: np.ndarray) -> int:
    """Return the number of brain voxels that changed by more than half of their own value.

    Parameters
    ----------
    original, variant : numpy.ndarray
        Intensities on one grid, the variant's :func:`refacebench.metrics.brain.matched`.
    brain : numpy.ndarray of bool
        :func:`brain_of` the true labels.
    """
    before = original[brain].astype(np.float64)
    return int(np.count_nonzero(np.abs(variant[brain] - before) > HALF * np.abs(before)))


#: Columns of :func:`judge`.
COLUMNS = (
    "truth_face_left",
    *(f"truth_face_left_{part}" for part in (*face_parts.FACE_BOXES, "ears")),
    "truth_brain_voxels",
    "truth_brain_changed",
    "truth_brain_lost",
    "truth_failure_1",
    "truth_failure_2",
    "truth_quality",
)


def judge(
    labels: Volume, original: np.ndarray, variant: np.ndarray, limits: Mapping | None = None
) -> dict:
    """Judge one variant of one scan by its true labels.

    Parameters
    ----------
    labels : Volume
        True labels, any orientation.
    original, variant : numpy.ndarray
        Intensities on their grid.
    limits : mapping, optional
        Thresholds, see :data:`refacebench.metrics.verdict.THRESHOLDS`.

    Returns
    -------
    dict
        :data:`COLUMNS`.  ``truth_face_left`` and its parts; ``truth_brain_voxels``,
        ``truth_brain_changed`` (any difference) and ``truth_brain_lost``;
        ``truth_failure_1`` and ``truth_failure_2`` (0 or 1, NaN where it cannot
        be told); ``truth_quality``, one of :data:`refacebench.metrics.verdict.CLASSES`, empty where
        the face could not be placed and the brain is whole.  For the original
        itself everything is left.
    """
    brain = brain_of(labels.data)
    usable = is_usable(variant)
    counts = {
        "truth_brain_voxels": int(np.count_nonzero(brain)),
        "truth_brain_changed": int(np.count_nonzero((original != variant) & brain)),
    }
    if not usable:
        variant = np.nan_to_num(variant, posinf=0.0, neginf=0.0)
    variant = matched(original, variant, brain)
    lost = brain_lost(original, variant, brain)
    names = [name.removeprefix("truth_") for name in COLUMNS]
    left = dict.fromkeys([name for name in names if name.startswith("face_left")], np.nan)
    upright, first, second = (
        nifti.reorient(labels.with_data(data)) for data in (labels.data, original, variant)
    )
    matrix = to_template(upright) if usable else None
    if matrix is not None:
        left = face_left(upright, first.data, second.data, matrix)
    verdict = classify(
        left["face_left"],
        {"brain_voxels": counts["truth_brain_voxels"], "brain_removed": lost, "brain_replaced": 0},
        usable=usable,
        ears_share=left["face_left_ears"],
        limits=limits,
    )
    first_kind, second_kind = failures(verdict)
    return {
        **{f"truth_{name}": value for name, value in left.items()},
        **counts,
        "truth_brain_lost": lost,
        "truth_failure_1": first_kind if matrix is not None else np.nan,
        "truth_failure_2": second_kind,
        "truth_quality": "" if matrix is None and verdict == "no_face" else verdict,
    }


def failures(verdict: str) -> tuple[float, float]:
    """Return whether a class is a Failure I, and a Failure II: 0, 1 or NaN for not judged.

    A face to which nothing was done is a Failure I too.

    >>> failures("untouched"), failures("failure_2"), failures("no_face")
    ((1.0, 0.0), (0.0, 1.0), (nan, 0.0))
    """
    if verdict not in CLASSES or verdict == "crash":
        return np.nan, np.nan
    first = np.nan if verdict == "no_face" else float(verdict in _FIRST)
    return first, float(verdict in ("failure_2", "failure_1+2"))


_FIRST = ("failure_1", "failure_1+2", "untouched")
