"""A person in a scanner: pose and grid, contrast, receive field, noise, and the true labels.

A scan is grown in three steps: the person's anatomy (the same in all sessions),
:func:`view` (the session's pose and the site's grid) and :func:`acquire`.  Only
:func:`write_scan` touches files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refacebench import bids
from refacebench.datasets import _fields
from refacebench.datasets._anatomy import anatomy
from refacebench.datasets._base import BaseHead
from refacebench.datasets._people import Person, Site, random_of
from refacebench.head.labels import is_brain
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.metrics.truth import volumes as true_volumes


@dataclass(frozen=True)
class ScannerView:
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
    head: BaseHead,
    displacement: np.ndarray,
    proportions: np.ndarray,
    site: Site,
    options: Mapping,
    rng: np.random.Generator,
) -> ScannerView:
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
    return ScannerView(Volume(np.zeros(shape, np.float32), affine), voxels, points)


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


def truth(head: BaseHead, seen: ScannerView, n: int = 3) -> np.ndarray:
    """Return the reference labels of a scan: the label that most of each voxel holds.

    Each voxel in and around the brain is cut into n^3 parts; each part takes
    the base's label at the place where the deformation puts it.  No label is
    ever interpolated.  Elsewhere, at the skin, the voxel's centre decides.
    An odd n has the centre among its parts, which keeps volumes unbiased.
    """
    labels = gather(head.labels, np.rint(seen.voxels).astype(np.int32))
    box = geometry.box_around(is_brain(labels), (2, 2, 2)) or (slice(0, 0),) * 3
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


def volumes(head: BaseHead, seen: ScannerView, n: int = 3) -> dict[str, float]:
    """Return the true volumes of a scan as columns of its row, from parts of voxels.

    Whole voxels of the labels would do for the brain, but not for a nucleus of 1 ml at 2 mm: the
    same one counts a few percent more or less, wherever the grid happens to lie.
    """
    labels = gather(head.labels, np.rint(seen.voxels).astype(np.int32))
    box = geometry.box_around(is_brain(labels), (2, 2, 2)) or (slice(0, 0),) * 3
    held = np.zeros(256)
    for indices in subvoxels(seen.voxels[(slice(None), *box)], n):
        held += np.bincount(gather(head.labels, indices).ravel(), minlength=256)
    found = true_volumes(held / n**3, seen.grid.voxel_ml)
    return {f"truth_vol_{name}": ml for name, ml in found.items()}


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
    head: BaseHead,
    person: Person,
    row: Mapping,
    site: Site,
    options: Mapping,
    seed: int,
    signal: Callable[[ScannerView], np.ndarray],
) -> tuple[ScannerView, np.ndarray, np.ndarray]:
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
