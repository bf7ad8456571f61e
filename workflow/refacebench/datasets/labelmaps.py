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
download), writes one file per map into ``base``'s folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import bids
from refacebench.contracts import Dataset, Option
from refacebench.datasets import _anatomy, _base, _blends, _fields, _paint, _people, _scanner
from refacebench.datasets._download import download, sources
from refacebench.datasets._freesurfer import to_truth
from refacebench.datasets._paint import Paint, check_priors, read_paint
from refacebench.head.labels import is_brain
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

VERSION = "1.3"
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

#: What no scan shows at a map's lower end: little, where maps are cut below the nose.
NECK_MM = 2.0


def index(options: Mapping, seed: int) -> pd.DataFrame:
    """Return one row per scan; see :class:`refacebench.contracts.Dataset`.

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
        check_priors(_prior_folder(options))
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
        heads.append(_anatomy.with_ageing(head) if options["ages"] else head)
        painted.append(paint.level[head.image])
    if count > len(maps):
        heads = _with_blends(heads, painted)
    for path, head in zip(maps, heads, strict=False):
        _base.save(head, _base_path(folder, path.name))


def grow(row: Mapping, options: Mapping, seed: int, folder: str | Path, out: str | Path) -> dict:
    """Make one scan and its truth; see :class:`refacebench.contracts.Dataset`.

    Returns
    -------
    dict
        ``path``, ``truth_path`` and ``truth_vol_<name>`` in ml.
    """
    maps = _map_names(options)
    number = int(bids.entities(row["scan"])["sub"].lstrip("m")) - 1
    head = _base.load(_base_path(folder, maps[number % len(maps)]))
    paint = read_paint(_prior_folder(options))
    site = _people.site_of(row, options)
    person = _person(row, options, seed, len(head.blends), number < len(maps))
    # A map's own person keeps the map's shape: no random field either.
    still = {"face_amplitude": 0.0, "head_amplitude": 0.0, "brain_amplitude": 0.0}
    shape = {**options, **still} if number < len(maps) else options
    seen, scan, labels = _scanner.scan(
        head,
        person,
        row,
        site,
        shape,
        seed,
        lambda seen: _paint.signal(head, seen, paint, row, options, seed),
    )
    written = _scanner.write_scan(row, seen.grid, scan, labels, site, Path(out))
    return written | _scanner.volumes(head, seen)


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
        raise ValueError(f"ages: {options['ages']!r} must be empty or 'simulated'")
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


def _base_path(folder: str | Path, name: str) -> Path:
    return Path(folder) / f"{name.removesuffix('.nii.gz')}.npz"


def prepare(path: Path, paint: Paint) -> _base.BaseHead:
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
    box = geometry.box_around(labels > 0, (3, 3, 3))
    truth = to_truth(labels[box]) if box else labels[:0]
    if box is None or not is_brain(truth).any():
        raise ValueError(f"{path}: no FreeSurfer brain label in it; is it a label map?")
    volume = geometry.crop(volume.with_data(labels), box)
    place = np.zeros(int(paint.labels.max()) + 1, np.uint8)
    place[paint.labels] = np.arange(len(paint.labels))
    image = place[volume.data]
    picture = volume.with_data(paint.level[image])
    rigid, points, _ = _base.head_frame(picture, truth > 0, is_brain(truth))
    return _base.build(volume.with_data(image), truth, rigid, points, NECK_MM)


def _with_blends(heads: list[_base.BaseHead], painted: list[np.ndarray]) -> list[_base.BaseHead]:
    """Give every head the velocities towards all others, through the first as a hub.

    From head j to head i the velocity is, to first order, that from the hub to
    i less that from the hub to j.
    """
    hub = heads[0]
    towards = [np.zeros((3, *hub.frame.shape), np.float32)]
    for head, picture in zip(heads[1:], painted[1:], strict=True):
        affine = np.linalg.inv(head.to_voxel)
        # Both are in head mm already: that is the start.
        other = Volume(picture, affine)
        towards.append(_blends.blend_towards(hub, painted[0], other, np.eye(4)))
    result = []
    for j, head in enumerate(heads):
        nodes = _fields.node_points(head.frame)
        fields = [v - towards[j] for i, v in enumerate(towards) if i != j]
        blends = [_fields.sample(field, hub.frame, nodes) for field in fields]
        result.append(replace(head, blends=np.stack(blends)) if blends else head)
    return result


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
        "with T1w intensity priors; its reference labels are the maps themselves. Thresholds of "
        "the checks of face and brain were chosen on nine of these maps, so that on people who "
        "are these maps the checks look better than they are."
    ),
    sources=("https://doi.org/10.1016/j.media.2023.102789", "https://github.com/BBillot/SynthSeg"),
    licence="the label maps: Apache-2.0",
)
