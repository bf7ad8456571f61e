"""One person's deformation of a base head: pushes, shape, fat, age.  Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from refacebench.datasets import _fields
from refacebench.datasets._base import BaseHead
from refacebench.datasets._people import PUSHES, Person
from refacebench.head.labels import is_brain, is_grey
from refacebench.vocabulary import TRUTH

#: Distance of the points at which volumes are measured for the ageing tables.
CALIBRATION_MM = 2.0
#: Determinant below which a deformation is held to be nearly folded, and is weakened.  Ventricles
#: that triple their volume stretch the thin septum between them tenfold: that is no fold.
LEAST_JACOBIAN = 0.01


def velocity(
    head: BaseHead, person: Person, options: Mapping, rng: np.random.Generator
) -> np.ndarray:
    """Return a person's velocity field: pushes, random shape, fat, blends, ageing."""
    frame = head.frame
    total = np.zeros((3, *frame.shape), np.float32)
    for push, point, mm in zip(PUSHES.values(), head.points, person.pushes, strict=True):
        direction = np.array(push.direction) * mm
        total += _fields.push(frame, point, push.sigma, direction, push.paired)
    face = options["face_amplitude"]
    total += (1.0 * face) * _fields.random_velocity(rng, frame, 14.0, 0.9)
    total += person.fat * head.skin
    total *= head.keep
    total += (2.0 * options["head_amplitude"]) * _fields.random_velocity(rng, frame, 34.0, 0.85)
    inner = (1 - head.keep) / 0.85
    total += (
        (0.8 * options["brain_amplitude"]) * inner * _fields.random_velocity(rng, frame, 10.0, 0.5)
    )
    for share, blend in zip(person.blends, head.blends, strict=True):
        total += np.float32(share) * blend
    if person.ventricles or person.cortex:
        total += _factor(person.ventricles, head.ventricle_table) * head.ventricles
        total += _factor(person.cortex, head.cortex_table) * head.cortex
    return total


def _factor(target: float, table: np.ndarray) -> np.float32:
    """Return the factor of a field that changes a volume by a logarithm; the table's ends hold."""
    order = np.argsort(table[:, 1])
    return np.float32(np.interp(target, table[order, 1], table[order, 0]))


def calibrate(head: BaseHead, kind: str, factors) -> np.ndarray:
    """Measure what an ageing field does to the volume that it is meant to change.

    Parameters
    ----------
    kind : str
        ``ventricles`` (volume of label 4) or ``cortex`` (grey matter).
    factors : sequence of float
        Factors of the field.

    Returns
    -------
    numpy.ndarray
        Rows of (factor, logarithm of the volume over the base's).
    """
    from scipy.ndimage import map_coordinates

    frame = head.frame
    field = getattr(head, kind)
    mask = head.labels == TRUTH["vcsf"] if kind == "ventricles" else is_grey(head.labels)
    mask = mask.astype(np.float32)
    spacing = 1 / np.linalg.norm(head.to_voxel[:3, :3], axis=1)
    stride = np.maximum(1, np.round(CALIBRATION_MM / spacing)).astype(int)
    brain = is_brain(head.labels)[tuple(slice(None, None, n) for n in stride)]
    brain = np.argwhere(brain) * stride
    to_head = np.linalg.inv(head.to_voxel)
    points = (brain @ to_head[:3, :3].T + to_head[:3, 3]).T.astype(np.float32)
    volumes = []
    for factor in (0.0, *factors):
        moved = points + _fields.sample(_fields.flow(factor * field, frame), frame, points)
        voxels = head.to_voxel[:3, :3] @ moved + head.to_voxel[:3, 3:]
        volumes.append(float(map_coordinates(mask, voxels, order=1).sum(dtype=float)))
    if volumes[0] == 0:
        raise ValueError(f"the base head has no {kind}: its labels must be wrong")
    rows = np.log(np.maximum(volumes[1:], 1.0) / volumes[0])
    return np.column_stack([factors, rows])


def anatomy(
    head: BaseHead, person: Person, options: Mapping, rng: np.random.Generator
) -> np.ndarray:
    """Return a person's displacement field: new head -> base head, before proportions.

    A field that comes near folding is weakened in steps of a tenth.

    Raises
    ------
    ValueError
        If it would have to be weakened beyond recognition.
    """
    field = velocity(head, person, options, rng)
    for _ in range(12):
        displacement = _fields.flow(field, head.frame)
        if _fields.jacobian(displacement, head.frame).min() > LEAST_JACOBIAN:
            return displacement
        field *= 0.9
    raise ValueError("the deformation folds; lower face_amplitude, head_amplitude or the blends")


def with_ageing(head: BaseHead) -> BaseHead:
    """Return the head with its tables filled, so that people of any age can be made from it."""
    return replace(
        head,
        ventricle_table=calibrate(head, "ventricles", (-12, -6, -3, 3, 6, 12, 20, 30)),
        cortex_table=calibrate(head, "cortex", (-2, -1, 1, 2, 4, 8)),
    )
