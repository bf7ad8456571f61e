"""What an age model sees of an image: brain, whole head, or the head without the brain.

The brain mask found in the image is laid on the template's brain by turning, shifting and
scaling it (:mod:`refacebench.head.pose`): that needs no face, and nothing of the original scan.
Arrays in, arrays out; reads images and masks of training scans.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from refacebench import reasons
from refacebench.contracts import Aged, NotEnoughTraining, Option, ScanExcluded
from refacebench.head import pose, values
from refacebench.image import nifti
from refacebench.image.geometry import coarse, grow
from refacebench.image.nifti import Volume

#: Boxes in template (ICBM152) millimetres, from and to.
_BOXES = {
    "brain": ((-80.0, -115.0, -85.0), (80.0, 81.0, 91.0)),
    "head": ((-96.0, -131.0, -133.0), (96.0, 125.0, 107.0)),
}
_BOXES["face"] = _BOXES["head"]
INPUTS = tuple(_BOXES)
#: So far around the template's brain nothing is shown to a model that sees no brain.
_HIDDEN_MM = 10.0
#: Brighter than this many times the mean is all the same.
_BRIGHTEST = 4.0
#: Fewer voxels than this share of the box show nothing.
_LEAST_SHARE = 0.005

OPTIONS = {
    "input": Option(
        "brain",
        "What the model sees: the brain alone, the whole head, or the head without the brain "
        "(face), which is a control.",
        choices=INPUTS,
    ),
    "voxel_mm": Option(2.0, "Voxel size of what it sees.", unit="mm", least=0.5),
}


def prepare(volume: Volume, brain: np.ndarray, options: Mapping) -> np.ndarray:
    """Return what a model sees of an image.

    Parameters
    ----------
    volume : Volume
        Any orientation, scan units.
    brain : numpy.ndarray of bool
        The brain found in it.
    options : dict
        ``input`` and ``voxel_mm``.

    Returns
    -------
    numpy.ndarray of float32
        The template's axes; 0 where nothing is shown, 1 the mean of what is no air.

    Raises
    ------
    ScanExcluded
        If the image shows nothing there: a bare brain has no face to look at.
    ValueError
        If the mask is empty.
    """
    if not brain.any():
        raise ValueError("no brain was found in the image, by which it would be laid on a template")
    # Averaged over blocks below: the order of the axes must not decide which voxels go together.
    volume, mask = (
        nifti.reorient(volume.with_data(data), "RAS")
        for data in (volume.data, brain.astype(np.float32))
    )
    found = mask.data > 0.5
    matrix = pose.fit(mask.with_data(found), field=volume).matrix
    target = _grid(options["input"], options["voxel_mm"])
    # Hidden voxels are taken out before anything is averaged.
    visible = {"brain": found, "head": np.ones_like(found), "face": ~found}[options["input"]]
    seen = np.maximum(_on(volume.with_data(volume.data * visible), matrix, target), 0)
    if options["input"] == "brain":
        seen[_on(mask, matrix, target) <= 0.5] = 0
    elif options["input"] == "face":
        seen[_hidden(options["voxel_mm"])] = 0
    bright = seen > 0.1 * float(np.percentile(volume.data, 99))
    if bright.mean() < _LEAST_SHARE:
        raise ScanExcluded(f"the image shows no {options['input']}, so its age cannot be predicted")
    return np.clip(seen / float(seen[bright].mean()), 0, _BRIGHTEST).astype(np.float32)


def box_shape(name: str, voxel_mm: float) -> tuple[int, int, int]:
    """Return the number of voxels of what a model sees."""
    low, high = (np.array(end) for end in _BOXES[name])
    i, j, k = (int(n) for n in np.round((high - low) / voxel_mm))
    return i, j, k


def _grid(name: str, voxel_mm: float) -> Volume:
    low = np.array(_BOXES[name][0])
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = low + voxel_mm / 2
    return Volume(np.zeros(box_shape(name, voxel_mm), np.float32), affine)


def _on(volume: Volume, matrix: np.ndarray, target: Volume) -> np.ndarray:
    """Bring an image to a grid of the template; averaged first where the grid is coarser."""
    found = coarse(volume, float(target.spacing.mean()))
    return nifti.resample(Volume(found.data, matrix @ found.affine), target).data


@functools.lru_cache(maxsize=2)
def _hidden(voxel_mm: float) -> np.ndarray:
    """Return the template's brain and a margin: the same place for everybody.

    A hole of the person's own brain's shape would show it.
    """
    target, brain = _grid("face", voxel_mm), pose.template_brain()
    inside = nifti.resample(brain.with_data(brain.data.astype(np.float32)), target).data > 0.5
    return grow(inside, target.spacing, _HIDDEN_MM)


def read(people: Sequence[Aged], options: Mapping) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what the model sees of each scan that can be used, by scan; and why others cannot."""
    ready, left_out = {}, {}
    for person in people:
        try:
            volume, brain = values.read(person.path).volume, nifti.read_mask(person.brain_path)
            ready[person.scan] = prepare(volume, brain, options)
        except (OSError, ValueError, ScanExcluded) as error:
            warnings.warn(f"{person.scan} is left out of training: {error}", stacklevel=2)
            left_out[person.scan] = reasons.clean(error, {"path": person.path})
    return ready, left_out


def check(people: Sequence[Aged], least: int, what: str) -> None:
    """Check that there are enough people of different ages.

    Raises
    ------
    NotEnoughTraining
    """
    found = len({person.participant for person in people})
    if found < max(least, 3):
        raise NotEnoughTraining(
            f"{what}: {found} training participants with an age and a brain mask, {max(least, 3)} "
            "needed (min_train)"
        )
    if len({person.age for person in people}) == 1:
        raise NotEnoughTraining(f"{what}: all training participants have the same age")


def folds(people: Sequence[Aged], count: int, seed: int) -> list[np.ndarray]:
    """Return the indices of each fold's scans; a participant is in one fold."""
    names = np.array([person.participant for person in people])
    unique = np.unique(names)
    order = np.random.default_rng(seed).permutation(len(unique))
    place = dict(zip(unique[order], np.arange(len(unique)) % min(count, len(unique)), strict=True))
    fold = np.array([place[name] for name in names])
    return [np.flatnonzero(fold == number) for number in np.unique(fold)]


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of what the model sees of all scans."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(name.encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
