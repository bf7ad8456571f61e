"""A cohort painted from whole-head label maps: real head shapes with exact truth.

Each map is one real person's head: FreeSurfer brain labels and classes outside
the brain, as in the training maps of SynthSeg (Billot et al., Medical Image
Analysis 2023; Apache-2.0), whose intensity priors for T1w paint it.  Every
voxel of a scan averages the classes of 2 x 2 x 2 points in it, which gives exact
partial volumes; each person has a texture of their own, each site a contrast
of its own, each scan its pose, receive field and noise.

The first people are the maps as they are, one each.  ``participants`` beyond
the number of maps are made from them in turn, deformed and blended as in
:mod:`refacebench.datasets.demo`.  The maps come without ages, so that people
have none (NaN) unless the option ``ages: simulated`` draws them; a simulated
age moves ventricles and cortex of a map, whose own stay under it.

What to know: skin and skull are flat in the paint, so that skull stripping and
faces look simpler than in a real scan; some maps are cut below the nose, as
their scans were.  Optic chiasm and everything outside the brain count as
``other_head``; cavities that the maps leave empty (air in nose and sinuses)
are background.  Reads the option's ``folder`` (and fills it, if asked to
download), writes one file a map into ``base``'s folder.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import bids, files
from refacebench.contracts import Dataset, Option
from refacebench.datasets import _growth, _people
from refacebench.head.labels import is_brain
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume
from refacebench.vocabulary import TRUTH, TRUTH_REGIONS

VERSION = "1.1"
OPTIONS = {
    **_people.OPTIONS,
    "participants": Option(None, "People in the cohort; none for one a map.", kind=int, least=1),
    "folder": Option("", "Folder of the label maps.", kind=str),
    "priors": Option(
        None,
        "Folder of the intensity priors; none for labels_classes_priors in the maps' folder.",
        kind=str,
    ),
    "download": Option(False, "Whether maps and priors are downloaded into their folder."),
    "ages": Option(None, "Empty, or simulated: people get ages, and brains of that age.", kind=str),
    "base_age": Option(50.0, "The age that a map's brain stands for.", unit="years"),
    "texture": Option(
        0.35, "Share of the priors' spread within a class that a person's texture takes."
    ),
    "contrast_spread": Option(
        0.3, "Share of the priors' spread between scans that a site's contrast takes."
    ),
}

#: Where the maps and priors come from, with their SHA-256.
SOURCES = Path(__file__).with_name("labelmap_urls.tsv")
#: Files of the priors' folder.
PRIOR_FILES = {
    "labels": "generation_labels.npy",
    "classes": "generation_classes_contrast_specific.npy",
    "means": "prior_means_t1.npy",
    "stds": "prior_stds_t1.npy",
}
#: FreeSurfer label of the cerebral white matter: its brightness is the unit of the paint.
WHITE = 2
#: FreeSurfer labels of the brain by what they are in :data:`refacebench.vocabulary.TRUTH`.  25 and
#: 57 are white matter lesions, 28 and 60 ventral diencephalon, 30 and 62 perivascular spaces,
#: 72 the fifth ventricle, 136, 137, 163 and 164 choroid plexus and walls in the ventricles
#: (SynthSeg's own table gives them to the ventricles).
FREESURFER = {
    "wm": (2, 41, 7, 46, 25, 57, 28, 60),
    "gm": (3, 42, 8, 47, 26, 58),
    "vcsf": (4, 43, 5, 44, 14, 15, 72, 136, 137, 163, 164),
    "csf": (24, 30, 62),
}
#: FreeSurfer labels of the structures that are regions of their own.
FREESURFER_REGIONS = {
    "thalamus_left": 10,
    "thalamus_right": 49,
    "caudate_left": 11,
    "caudate_right": 50,
    "putamen_left": 12,
    "putamen_right": 51,
    "pallidum_left": 13,
    "pallidum_right": 52,
    "hippocampus_left": 17,
    "hippocampus_right": 53,
    "amygdala_left": 18,
    "amygdala_right": 54,
    "brainstem": 16,
}
#: Most that a class's texture may vary, as a share of its level.  Outside the brain a class joins
#: tissues (fat and muscle, say) and its prior is wider than any one tissue; as texture it would
#: roughen the skin in a way that names the person without any anatomy.
MOST_TEXTURE = 0.3
#: What no scan shows at a map's lower end: little, where maps are cut below the nose.
NECK_MM = 2.0
#: Standard deviation of a class's level between scans of one site, over that between sites.
SCAN_SPREAD = 0.2


def index(options: Mapping, seed: int) -> pd.DataFrame:
    """Return one row a scan; see :class:`refacebench.contracts.Dataset`.

    Raises
    ------
    FileNotFoundError
        If priors are missing that are not to be downloaded.
    ValueError
        If an option is impossible or the folder has no label map.
    """
    _check(options)
    count = options["participants"] or len(_map_names(options))
    if not options["download"] or _prior_folder(options) != _own_priors(options):
        _check_priors(_prior_folder(options))
    return _people.index(
        {**options, "participants": count}, seed, "m", with_age=options["ages"] == "simulated"
    )


def base(options: Mapping, seed: int, folder: str | Path) -> None:
    """Prepare every label map that takes part: ``<folder>/<map>.npz``.

    Raises
    ------
    FileNotFoundError, ValueError
        If maps or priors are missing, or hold what they should not.
    """
    _check(options)
    if options["download"]:
        download(options["folder"])
    maps = [Path(options["folder"]) / name for name in _map_names(options)]
    count = options["participants"] or len(maps)
    paint = read_paint(_prior_folder(options))
    heads, painted = [], []
    for path in maps[:count]:
        head = prepare(path, paint)
        heads.append(_growth.with_ageing(head) if options["ages"] else head)
        painted.append(paint.level[head.image])
    if count > len(maps):
        heads = _with_blends(heads, painted)
    for path, head in zip(maps, heads, strict=False):
        _growth.save(head, _base_path(folder, path.name))


def grow(row: Mapping, options: Mapping, seed: int, folder: str | Path, out: str | Path) -> dict:
    """Make one scan and its truth; see :class:`refacebench.contracts.Dataset`.

    Returns
    -------
    dict
        ``path`` and ``truth_path``.
    """
    maps = _map_names(options)
    number = int(bids.entities(row["scan"])["sub"].lstrip("m")) - 1
    head = _growth.load(_base_path(folder, maps[number % len(maps)]))
    paint = read_paint(_prior_folder(options))
    site = _people.site_of(row, options)
    person = _person(row, options, seed, len(head.blends), number < len(maps))
    # A map's own person keeps the map's shape: no random field either.
    still = {"face_amplitude": 0.0, "head_amplitude": 0.0, "brain_amplitude": 0.0}
    shape = {**options, **still} if number < len(maps) else options
    seen, scan, labels = _growth.scan(
        head,
        person,
        row,
        site,
        shape,
        seed,
        lambda seen: _signal(head, seen, paint, row, options, seed),
    )
    return _growth.write_scan(row, seen.grid, scan, labels, site, Path(out))


def _person(row, options, seed, n_blends, own) -> _people.Person:
    years = float(row["age"]) - float(options["base_age"]) if options["ages"] else np.nan
    rng = _people.random_of(seed, "person", row["participant"])
    person = _people.draw_person(rng, options, n_blends, row["sex"], years)
    if not own:
        return person
    return replace(
        person,
        proportions=np.ones(3),
        pushes=np.zeros_like(person.pushes),
        fat=0.0,
        blends=np.zeros_like(person.blends),
    )


def check(options: Mapping) -> None:
    """Check the options without looking for the maps.

    Raises
    ------
    ValueError
        With one sentence that names the option.
    """
    if options["ages"] not in (None, "simulated"):
        raise ValueError(f"ages: {options['ages']!r} is neither empty nor 'simulated'")
    _people.check(options)


def _check(options: Mapping) -> None:
    check(options)
    if not options["folder"]:
        raise ValueError("folder: the label maps' folder must be given (see labelmap_urls.tsv)")


def _map_names(options: Mapping) -> list[str]:
    """Return the label maps' file names in order: those there, and those to be downloaded."""
    folder = Path(options["folder"])
    found = {path.name for path in folder.glob("*.nii.gz")} if folder.is_dir() else set()
    if options["download"]:
        found |= {name for name in sources()["file"] if name.endswith(".nii.gz")}
    if not found:
        raise ValueError(
            f"folder: {folder} holds no label map (*.nii.gz); put SynthSeg's "
            "data/training_label_maps there or set download: true"
        )
    return sorted(found)


def _own_priors(options: Mapping) -> Path:
    """Return where the priors lie that come with the maps, and where they are downloaded to."""
    return Path(options["folder"]) / "labels_classes_priors"


def _prior_folder(options: Mapping) -> Path:
    return Path(options["priors"]) if options["priors"] else _own_priors(options)


def _check_priors(folder: Path) -> None:
    missing = [name for name in PRIOR_FILES.values() if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: no {', '.join(missing)}; put SynthSeg's data/labels_classes_priors "
            "there, or name its place in the option priors"
        )


def _base_path(folder: str | Path, name: str) -> Path:
    return Path(folder) / f"{name.removesuffix('.nii.gz')}.npz"


@dataclass(frozen=True)
class Paint:
    """T1w intensities of the labels, white matter = 1; index = place in ``labels``.

    Attributes
    ----------
    labels : numpy.ndarray of int
        FreeSurfer and extra-cerebral labels.
    classes : numpy.ndarray of int
        Class of each label; labels of a class share their intensity.
    level, texture : numpy.ndarray of float32
        Mean and within-class standard deviation of each label.
    spread : numpy.ndarray of float32
        Standard deviation of the mean between scans.
    """

    labels: np.ndarray
    classes: np.ndarray
    level: np.ndarray
    texture: np.ndarray
    spread: np.ndarray


def read_paint(folder: Path) -> Paint:
    """Read the T1w priors of SynthSeg.

    ``prior_means_t1`` and ``prior_stds_t1`` have a row of means and a row of
    standard deviations, one column a class: the normal distributions of a
    class's mean and of its standard deviation.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the files do not fit one another.
    """
    _check_priors(folder)
    part = {key: np.load(folder / name) for key, name in PRIOR_FILES.items()}
    labels, classes = part["labels"].astype(int), part["classes"].astype(int)
    means, stds = part["means"], part["stds"]
    if (
        classes.shape != labels.shape
        or means.shape != stds.shape
        or len(means) != 2
        or classes.max() >= means.shape[1]
        or WHITE not in labels
    ):
        raise ValueError(f"{folder}: labels, classes and priors do not fit one another")
    white = float(means[0, classes[labels == WHITE][0]])
    air = labels == 0
    level, spread, texture = (
        np.where(air, 0, row[classes] / white).astype(np.float32)
        for row in (means[0], means[1], stds[0])
    )
    texture = np.minimum(texture, MOST_TEXTURE * level)
    return Paint(labels, classes, level, texture, spread)


def to_truth(labels: np.ndarray) -> np.ndarray:
    """Translate FreeSurfer and extra-cerebral labels (RAS+ axes) into our truth codes.

    CSF (24) below the lowest voxel of brainstem and cerebellum is the spinal
    canal's and becomes ``other_head``.

    >>> to_truth(np.array([0, 2, 3, 10, 507])).tolist()
    [0, 3, 2, 11, 5]
    """
    table = np.full(int(labels.max()) + 1, TRUTH["other_head"], np.uint8)
    table[0] = 0
    codes = {label: TRUTH[name] for name, group in FREESURFER.items() for label in group}
    codes |= {label: TRUTH_REGIONS[name] for name, label in FREESURFER_REGIONS.items()}
    for label, code in codes.items():
        if label < len(table):
            table[label] = code
    truth = table[labels]
    if labels.ndim == 3:
        lowest = np.flatnonzero(np.isin(labels, (7, 8, 16, 46, 47)).any(axis=(0, 1)))
        if lowest.size:
            canal = truth[:, :, : lowest[0]]
            canal[labels[:, :, : lowest[0]] == 24] = TRUTH["other_head"]
    return truth


def prepare(path: Path, paint: Paint) -> _growth.Head:
    """Make a head from a label map; its ``image`` holds places in ``paint.labels``.

    Raises
    ------
    ValueError
        If the map holds labels without a prior, or no brain.
    """
    volume = nifti.reorient(nifti.read(path, dtype=None))
    labels = np.rint(volume.data).astype(np.int32)
    unknown = np.setdiff1d(np.unique(labels), paint.labels)
    if unknown.size:
        raise ValueError(f"{path}: label {unknown[0]} has no intensity prior; is it a label map?")
    seen = np.argwhere(labels > 0)
    low = np.maximum(0, seen.min(axis=0) - 3)
    box = tuple(slice(a, b + 4) for a, b in zip(low, seen.max(axis=0), strict=True))
    volume = geometry.crop(volume.with_data(labels), box)
    truth = to_truth(volume.data)
    if not is_brain(truth).any():
        raise ValueError(f"{path}: no FreeSurfer brain label in it; is it a label map?")
    place = np.zeros(int(paint.labels.max()) + 1, np.uint8)
    place[paint.labels] = np.arange(len(paint.labels))
    image = place[volume.data]
    picture = volume.with_data(paint.level[image])
    rigid, points, _ = _growth.head_frame(picture, truth > 0, is_brain(truth))
    return _growth.build(volume.with_data(image), truth, rigid, points, NECK_MM)


def _with_blends(heads: list[_growth.Head], painted: list[np.ndarray]) -> list[_growth.Head]:
    """Give every head the velocities towards all others, through the first as a hub.

    From head j to head i the velocity is, to first order, that from the hub to
    i less that from the hub to j.
    """
    from refacebench.datasets import _fields

    hub = heads[0]
    towards = [np.zeros((3, *hub.frame.shape), np.float32)]
    for head, picture in zip(heads[1:], painted[1:], strict=True):
        affine = np.linalg.inv(head.to_voxel)
        # Both are in head mm already: that is the start.
        other = Volume(picture, affine)
        towards.append(_growth.blend_towards(hub, painted[0], other, np.eye(4)))
    result = []
    for j, head in enumerate(heads):
        nodes = _fields.node_points(head.frame)
        fields = [v - towards[j] for i, v in enumerate(towards) if i != j]
        blends = [_fields.sample(field, hub.frame, nodes) for field in fields]
        result.append(replace(head, blends=np.stack(blends)) if blends else head)
    return result


def _signal(head, seen, paint, row, options, seed) -> np.ndarray:
    """Paint a view: class means with exact partial volumes, and the person's texture."""
    from refacebench.datasets import _fields

    spread = float(options["contrast_spread"])
    shift = _levels(_people.random_of(seed, "contrast", row["site"]), paint)
    shift = shift + SCAN_SPREAD * _levels(_people.random_of(seed, "contrast", row["scan"]), paint)
    levels = np.maximum(0, paint.level + spread * shift * paint.spread).astype(np.float32)
    textures = (float(options["texture"]) * paint.texture).astype(np.float32)
    mean = np.zeros(seen.grid.shape, np.float32)
    rough = np.zeros(seen.grid.shape, np.float32)
    for indices in _growth.subvoxels(seen.voxels, 2):
        places = _growth.gather(head.image, indices)
        mean += levels[places]
        rough += textures[places]
    rng = _people.random_of(seed, "texture", row["participant"])
    grain = rng.standard_normal(head.frame.shape).astype(np.float32)
    # Linear interpolation between nodes averages: 1.5 brings the deviation back to about 1.
    grain = 1.5 * _fields.sample(grain, head.frame, seen.points)
    return (mean + rough * grain) / 8


def _levels(rng: np.random.Generator, paint: Paint) -> np.ndarray:
    """Draw one standard normal number a class; white matter, the unit, keeps its level."""
    draws = np.clip(rng.standard_normal(int(paint.classes.max()) + 1), -2, 2)
    draws[paint.classes[paint.labels == WHITE]] = 0.0
    return draws[paint.classes]


def sources() -> pd.DataFrame:
    """Return the table of files that :func:`download` brings: file, sha256, url."""
    return pd.read_csv(SOURCES, sep="\t", dtype=str)


def download(folder: str | Path, table: pd.DataFrame | None = None, timeout: float = 60.0) -> None:
    """Bring the label maps and priors into a folder; files that are right already stay.

    Each file is checked against its SHA-256 before it gets its name.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        Columns file, sha256, url; by default :func:`sources`.

    Raises
    ------
    ConnectionError
        If a file cannot be fetched.
    ValueError
        If what came is not the expected file.
    """
    for entry in (sources() if table is None else table).itertuples():
        path = Path(folder) / entry.file
        if path.is_file() and files.checksum(path) == entry.sha256:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = files.temporary_name(path)
        try:
            with urllib.request.urlopen(entry.url, timeout=timeout) as answer:
                part.write_bytes(answer.read())
            if files.checksum(part) != entry.sha256:
                raise ValueError(
                    f"{entry.url}: not the file whose SHA-256 is {entry.sha256}; "
                    f"put the right one at {path} by hand"
                )
            os.replace(part, path)
        except (urllib.error.URLError, TimeoutError) as error:
            raise ConnectionError(
                f"{entry.url}: cannot be fetched ({error}); put it at {path} by hand"
            ) from None
        finally:
            part.unlink(missing_ok=True)


METHOD = Dataset(
    version=VERSION,
    title="synthetic cohort painted from label maps of real heads",
    options=OPTIONS,
    index=index,
    base=base,
    grow=grow,
    check=check,
    statement=(
        "Synthetic cohort painted from label maps of real heads (BBillot/SynthSeg, Apache-2.0) "
        "with T1w intensity priors; its reference labels are the maps themselves."
    ),
    sources=("https://doi.org/10.1016/j.media.2023.102789", "https://github.com/BBillot/SynthSeg"),
    licence="the label maps: Apache-2.0",
)
