"""What the grown cohorts share: a base head, a person's deformation of it, and a scan.

A :class:`Head` is built once (``base``) and kept in one file; a scan is grown
from it in three steps: :func:`anatomy` (the person, the same in all sessions),
:func:`view` (the session's pose and the site's grid) and :func:`acquire`
(contrast, receive field, noise).  Files are read and written only by
:func:`save`, :func:`load` and :func:`write_scan`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from refacebench import bids, files
from refacebench.datasets import _fields
from refacebench.datasets._fields import Frame
from refacebench.datasets._people import PUSHES, Person, Site, random_of
from refacebench.head import registration
from refacebench.head.labels import is_brain, is_grey
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.vocabulary import TRUTH

#: Distance of the nodes of all deformation fields.
FRAME_MM = 4.0
#: Air that a scan shows around the head: sides, front and back, above.
MARGIN_MM = 16.0
#: Distance of the points at which volumes are measured for the ageing tables.
CALIBRATION_MM = 2.0
#: Determinant below which a deformation is held to be nearly folded, and is weakened.  Ventricles
#: that triple their volume stretch the thin septum between them tenfold: that is no fold.
LEAST_JACOBIAN = 0.01


@dataclass(frozen=True)
class Head:
    """A base head and all that is needed to make people from it.

    Attributes
    ----------
    image : numpy.ndarray
        What a scan is sampled from: brightness (white matter = 1000), or classes.
    labels : numpy.ndarray of uint8
        Reference labels on the same grid (:data:`refacebench.vocabulary.TRUTH`).
    to_voxel : numpy.ndarray
        4 x 4, head mm -> voxels of the two arrays.
    box : numpy.ndarray
        Voxel coordinates of the base at the outer corners of a scan's field of view, (2, 3).
    low, step, shape : numpy.ndarray
        The :class:`Frame` of the fields.
    points : numpy.ndarray
        Landmarks of :data:`PUSHES` in head mm, shape (n, 3).
    keep : numpy.ndarray
        Share of a push that is let through: 1 in the face, little in the brain.
    skin, ventricles, cortex : numpy.ndarray
        Fields of thicker soft tissue, of wider ventricles, of a deeper cortex.
    blends : numpy.ndarray
        Velocities towards other heads, shape (n, 3, nx, ny, nz).
    ventricle_table, cortex_table : numpy.ndarray
        Rows of (factor of the field, logarithm of the volume it makes).
    """

    image: np.ndarray
    labels: np.ndarray
    to_voxel: np.ndarray
    box: np.ndarray
    low: np.ndarray
    step: np.ndarray
    shape: np.ndarray
    points: np.ndarray
    keep: np.ndarray
    skin: np.ndarray
    ventricles: np.ndarray
    cortex: np.ndarray
    blends: np.ndarray
    ventricle_table: np.ndarray
    cortex_table: np.ndarray

    @property
    def frame(self) -> Frame:
        """The grid of the fields."""
        return Frame(self.low, float(self.step), tuple(int(n) for n in self.shape))


def save(head: Head, path: Path) -> None:
    """Write a head as one uncompressed ``.npz``, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = files.temporary_name(path)
    np.savez(part, **{f.name: getattr(head, f.name) for f in fields(Head)})
    os.replace(part, path)


def load(path: Path) -> Head:
    """Read a head.

    Raises
    ------
    FileNotFoundError
        If ``base`` was not run for this folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the base head is missing; run the base step first")
    with np.load(path) as file:
        return Head(**{f.name: file[f.name] for f in fields(Head)})


def head_frame(volume: Volume, head: np.ndarray, brain: np.ndarray) -> tuple:
    """Return where the head is: scan mm -> head mm, and the landmarks in head mm.

    Head mm are the scan's millimetres turned and shifted like the mean head
    (the rigid part of the affine that registers the scan to it), so that x = 0
    is the midsagittal plane.

    Returns
    -------
    tuple
        4 x 4 matrix scan mm -> head mm; landmarks of :data:`PUSHES`, shape
        (n, 3); 4 x 4 matrix mean head's mm -> head mm.
    """
    affine = registration.register(volume, head, brain)
    left, scales, right = np.linalg.svd(affine[:3, :3])
    rotation = left @ right
    middle = np.linalg.inv(affine) @ [*_MIDDLE, 1.0]
    rigid = np.eye(4)
    rigid[:3, :3] = rotation
    rigid[:3, 3] = -rotation @ middle[:3]
    points = np.array([push.point for push in PUSHES.values()], float)
    # The mean head's own midsagittal plane is not exactly x = 0.
    points[points[:, 0] == 0, 0] = _MIDDLE[0]
    to_head = rigid @ np.linalg.inv(affine)
    points = points @ to_head[:3, :3].T + to_head[:3, 3]
    points[[push.point[0] == 0 for push in PUSHES.values()], 0] = 0.0
    return rigid, points, to_head


#: A point of the mean head's midsagittal plane at mid-brain: the origin of head mm.
_MIDDLE = np.array([-1.5, 0.0, 0.0])


def build(
    volume: Volume,
    labels: np.ndarray,
    rigid: np.ndarray,
    points: np.ndarray,
    neck_mm: float,
) -> Head:
    """Make a head from an image, its reference labels and its place.

    Parameters
    ----------
    volume : Volume
        Image that scans are sampled from.
    labels : numpy.ndarray of uint8
        Reference labels on the same grid, 5 = head that is not brain.
    rigid, points : numpy.ndarray
        The first two results of :func:`head_frame`.
    neck_mm : float
        What no scan shows at the base's lower end, so that a tilted or smaller
        head has some neck left there.

    Returns
    -------
    Head
        Without blends, and with empty tables (see :func:`calibrate`).
    """
    to_voxel = np.linalg.inv(rigid @ volume.affine)
    box = _field_of_view(labels > 0, volume.spacing, neck_mm)
    frame = _frame(volume.shape, to_voxel)
    soft = {
        name: _on_frame(mask, to_voxel, frame)
        for name, mask in {
            "head": labels > 0,
            "brain": is_brain(labels),
            "ventricles": labels == TRUTH["vcsf"],
            "tissue": is_tissue(labels) | (labels == TRUTH["vcsf"]),
        }.items()
    }
    from scipy.ndimage import gaussian_filter

    brain = gaussian_filter(soft["brain"], 4.0 / frame.step)
    below = 1 / (1 + np.exp((frame.axes()[2] + 20.0) / 8.0))  # face and neck, not scalp
    empty = np.zeros((2, 2), np.float32)
    return Head(
        image=volume.data,
        labels=labels.astype(np.uint8),
        to_voxel=to_voxel,
        box=box,
        low=frame.low,
        step=np.array(frame.step),
        shape=np.array(frame.shape),
        points=points,
        keep=(1 - 0.85 * np.clip(brain, 0, 1)).astype(np.float32),
        skin=-_fields.outward(soft["head"], 7.0, frame.step) * below.astype(np.float32),
        ventricles=-_fields.outward(soft["ventricles"], 8.0, frame.step),
        # The skull must not follow: the field fades outside the brain.
        cortex=_fields.outward(soft["tissue"], 4.0, frame.step) * np.clip(brain * 2, 0, 1),
        blends=np.zeros((0, 3, *frame.shape), np.float32),
        ventricle_table=empty,
        cortex_table=empty,
    )


def is_tissue(labels: np.ndarray) -> np.ndarray:
    """Return where reference labels say grey or white matter."""
    return (labels == TRUTH["gm"]) | (labels == TRUTH["wm"]) | (labels > 10)


def _field_of_view(head: np.ndarray, spacing: np.ndarray, neck_mm: float) -> np.ndarray:
    """Return the box of a scan: the head and a margin of air, but less neck than there is."""
    box = np.zeros((2, 3))
    for axis in range(3):
        planes = np.flatnonzero(head.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = MARGIN_MM / spacing[axis]
        box[:, axis] = planes[0] - margin, planes[-1] + margin
        if axis == 2:
            box[0, 2] = planes[0] + neck_mm / spacing[2]
    return box


def _frame(shape: tuple[int, int, int], to_voxel: np.ndarray) -> Frame:
    """Return the frame that covers the base's arrays."""
    to_head = np.linalg.inv(to_voxel)
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.array(shape)[:, None] - 1)
    corners = to_head[:3, :3] @ corners + to_head[:3, 3:]
    return Frame.around(corners.min(axis=1), corners.max(axis=1), FRAME_MM)


def _on_frame(array: np.ndarray, to_voxel: np.ndarray, frame: Frame) -> np.ndarray:
    """Average an array around each node; beyond its edge the edge's value holds."""
    from scipy.ndimage import map_coordinates

    coarse = geometry.coarse(Volume(array, np.linalg.inv(to_voxel)), frame.step)
    to_coarse = np.linalg.inv(coarse.affine)
    nodes = np.tensordot(to_coarse[:3, :3], _fields.node_points(frame), 1)
    nodes += to_coarse[:3, 3][:, None, None, None]
    return map_coordinates(coarse.data, nodes, output=np.float32, order=1, mode="nearest")


def velocity(head: Head, person: Person, options: Mapping, rng: np.random.Generator) -> np.ndarray:
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


def calibrate(head: Head, kind: str, factors) -> np.ndarray:
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
        raise ValueError(f"the base head has no {kind}: its labels cannot be right")
    rows = np.log(np.maximum(volumes[1:], 1.0) / volumes[0])
    return np.column_stack([factors, rows])


def anatomy(head: Head, person: Person, options: Mapping, rng: np.random.Generator) -> np.ndarray:
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


@dataclass(frozen=True)
class View:
    """A scan's grid and where each voxel lies in the base head.

    Attributes
    ----------
    grid : Volume
        RAS+ axes, empty.
    voxels : numpy.ndarray
        Coordinates in the base's arrays, shape (3, i, j, k), float32.
    points : numpy.ndarray
        The same in head mm, before the base's own matrix.
    """

    grid: Volume
    voxels: np.ndarray
    points: np.ndarray


def view(
    head: Head,
    displacement: np.ndarray,
    proportions: np.ndarray,
    site: Site,
    options: Mapping,
    rng: np.random.Generator,
) -> View:
    """Put the person into the scanner: a small rigid pose, and the site's grid."""
    spacing = np.array(site.voxel) * float(options["voxel_mm"])
    to_head = np.linalg.inv(head.to_voxel)
    base_spacing = np.linalg.norm(to_head[:3, :3], axis=0)
    size = (head.box[1] - head.box[0]) * base_spacing
    shape = tuple(int(n) for n in np.ceil(size / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    pose = _pose(rng, options["rotation_deg"], options["shift_mm"])
    # Without a pose the scan's axes are those of the base: it was scanned like that.
    center = np.diag([*(1 / base_spacing), 1.0])
    center[:3, 3] = head.box.mean(axis=0)
    shrink = np.diag([*(1 / proportions), 1.0])
    shrink[:3, 3] = (1 - 1 / proportions) * (to_head @ center)[:3, 3]
    to_head = (shrink @ to_head @ center @ pose @ affine).astype(np.float32)
    ijk = np.indices(shape, dtype=np.float32)
    points = np.tensordot(to_head[:3, :3], ijk, 1) + to_head[:3, 3][:, None, None, None]
    points += _fields.sample(displacement, head.frame, points)
    matrix = head.to_voxel.astype(np.float32)
    voxels = np.tensordot(matrix[:3, :3], points, 1) + matrix[:3, 3][:, None, None, None]
    return View(Volume(np.zeros(shape, np.float32), affine), voxels, points)


def _pose(rng: np.random.Generator, degrees: float, shift_mm: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    angles = np.clip(rng.standard_normal(3), -2, 2) * degrees
    pose[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    pose[:3, 3] = np.clip(rng.standard_normal(3), -2, 2) * shift_mm
    return pose


def subvoxels(voxels: np.ndarray, n: int):
    """Yield the base's voxel indices of n^3 points spread over each voxel of a view.

    Neighbouring voxels say which way a step in the scan goes in the base.
    """
    steps = [np.gradient(voxels, axis=a + 1) for a in range(3)]
    offsets = (np.arange(n) + 0.5) / n - 0.5
    for a in offsets:
        for b in offsets:
            for c in offsets:
                points = voxels + (a * steps[0] + b * steps[1] + c * steps[2]).astype(np.float32)
                yield np.rint(points).astype(np.int32)


def gather(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Look up voxels; an index beyond the edge takes the edge's value."""
    flat = np.zeros(indices.shape[1:], np.int64)
    for axis in range(3):
        flat *= array.shape[axis]
        flat += np.clip(indices[axis], 0, array.shape[axis] - 1)
    return array.reshape(-1)[flat]


def truth(head: Head, seen: View, n: int = 3) -> np.ndarray:
    """Return the reference labels of a scan: the label that most of each voxel holds.

    Each voxel in and around the brain is cut into n^3 parts; each part takes
    the base's label at the place where the deformation puts it.  No label is
    ever interpolated.  Elsewhere, at the skin, the voxel's centre decides.
    An odd n has the centre among its parts, which keeps volumes unbiased.
    """
    labels = gather(head.labels, np.rint(seen.voxels).astype(np.int32))
    box = _box_around(is_brain(labels), 2)
    part = seen.voxels[(slice(None), *box)]
    codes = np.unique(head.labels)
    place = np.zeros(256, np.uint8)
    place[codes] = np.arange(len(codes))
    compact = place[head.labels]
    votes = np.zeros((len(codes), part[0].size), np.uint8)
    every = np.arange(part[0].size)
    for indices in subvoxels(part, n):
        votes[gather(compact, indices).ravel(), every] += 1
    labels[box] = codes[votes.argmax(axis=0)].reshape(part.shape[1:])
    return labels


def _box_around(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    from scipy.ndimage import find_objects

    box = find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(0, s.start - margin), s.stop + margin) for s in box)


def acquire(
    clean: np.ndarray, site: Site, options: Mapping, rng: np.random.Generator
) -> np.ndarray:
    """Make a magnitude image from the signal: contrast, receive field, noise.

    Parameters
    ----------
    clean : numpy.ndarray
        Signal with white matter at 1.

    Returns
    -------
    numpy.ndarray
        float32 in the site's units, not negative (Rician noise).
    """
    gamma = site.gamma * np.exp(0.015 * rng.standard_normal())
    gain = np.exp(0.03 * rng.standard_normal())
    field = np.exp(site.bias * options["bias"] * _fields.low_order(rng, clean.shape))
    signal = np.power(np.maximum(clean, 0), np.float32(gamma)) * field
    sigma = np.float32(site.noise * options["noise"])
    real = signal + sigma * rng.standard_normal(clean.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(clean.shape, dtype=np.float32)
    return (site.white * gain * np.sqrt(real**2 + imaginary**2)).astype(np.float32)


def write_scan(
    row: Mapping, grid: Volume, scan: np.ndarray, labels: np.ndarray, site: Site, out: Path
) -> dict:
    """Write a scan and its reference labels in the site's orientation and data type."""
    path = bids.derivative(out, row["scan"], "T1w")
    truth_path = bids.derivative(out, row["scan"], "dseg", "truth")
    nifti.write(nifti.reorient(grid.with_data(labels), site.axes), truth_path, dtype=np.uint8)
    nifti.write(nifti.reorient(grid.with_data(scan), site.axes), path, dtype=site.dtype)
    return {"path": str(path), "truth_path": str(truth_path)}


def scan(
    head: Head,
    person: Person,
    row: Mapping,
    site: Site,
    options: Mapping,
    seed: int,
    signal: Callable[[View], np.ndarray],
) -> tuple[View, np.ndarray, np.ndarray]:
    """Grow one scan; the person's own randomness does not depend on the session.

    Parameters
    ----------
    signal : callable
        From a view to the signal with white matter at 1.

    Returns
    -------
    tuple
        The view, the scan in the site's units, the reference labels.
    """
    displacement = anatomy(head, person, options, random_of(seed, "shape", row["participant"]))
    session = random_of(seed, "session", row["scan"])
    seen = view(head, displacement, person.proportions, site, options, session)
    image = acquire(signal(seen), site, options, session)
    return seen, image, truth(head, seen)


def with_ageing(head: Head) -> Head:
    """Return the head with its tables filled, so that people of any age can be made from it."""
    return replace(
        head,
        ventricle_table=calibrate(head, "ventricles", (-12, -6, -3, 3, 6, 12, 20, 30)),
        cortex_table=calibrate(head, "cortex", (-2, -1, 1, 2, 4, 8)),
    )


def blend_towards(head: Head, image: np.ndarray, moving: Volume, to_head: np.ndarray) -> np.ndarray:
    """Return the velocity that carries the base's shape to another head's.

    The other head is registered affinely (that part is thrown away: whole-head
    proportions are drawn for each person) and then by SyN; the velocity is the
    logarithm of SyN's own part, faded out where the other image has no data.

    Parameters
    ----------
    image : numpy.ndarray
        The base's brightness, on the grid of its labels.
    moving : Volume
        The other head.
    to_head : numpy.ndarray
        4 x 4, the other's mm -> head mm, good enough as a start.
    """
    import tempfile

    import ants
    import nibabel as nib
    from scipy.ndimage import gaussian_filter

    frame = head.frame
    target = Volume(_clipped(_on_frame(image, head.to_voxel, frame)), frame.affine)
    other = geometry.coarse(nifti.reorient(moving), frame.step)
    other = Volume(_clipped(other.data), to_head @ other.affine)
    with tempfile.TemporaryDirectory() as folder:
        common = {"fixed": nifti.to_ants(target), "moving": nifti.to_ants(other)}
        affine = ants.registration(
            **common,
            type_of_transform="AffineFast",
            initial_transform="Identity",
            outprefix=f"{folder}/affine_",
            random_seed=1,
        )["fwdtransforms"][-1]
        found = ants.registration(
            **common,
            type_of_transform="SyNOnly",
            initial_transform=affine,
            outprefix=f"{folder}/syn_",
            reg_iterations=(40, 20, 5),
            flow_sigma=3,
            total_sigma=0.5,
            random_seed=1,
        )
        there = _warp_field(nib.load(next(f for f in found["fwdtransforms"] if "Warp" in f)))
        back = _warp_field(nib.load(next(f for f in found["invtransforms"] if "Inverse" in f)))
        seen = ants.apply_transforms(
            fixed=common["fixed"],
            moving=nifti.to_ants(other.with_data(np.ones(other.shape, np.float32))),
            transformlist=[affine],
            interpolator="linear",
        ).numpy()
    # From the new head to the base is the way back.
    velocity = _fields.velocity_of_warp(back, there)
    known = gaussian_filter((seen > 0.99).astype(np.float32), 10.0 / frame.step)
    known = np.clip(2 * known - 1, 0, 1)
    smooth = np.stack([gaussian_filter(part * known, 4.0 / frame.step) for part in velocity])
    return (0.8 * smooth + 0.2 * _fields.mirror(smooth)).astype(np.float32)


def _clipped(data: np.ndarray) -> np.ndarray:
    data = np.asarray(data, np.float32)
    return np.clip(data / np.percentile(data[data > 0], 98), 0, 1)


def _warp_field(image) -> np.ndarray:
    """Return an ITK displacement field (LPS) as (3, i, j, k) in RAS+ mm."""
    field = np.moveaxis(np.asarray(image.dataobj, np.float32)[:, :, :, 0], -1, 0)
    return field * np.array([-1, -1, 1], np.float32)[:, None, None, None]
