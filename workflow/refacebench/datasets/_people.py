"""Who takes part in a grown cohort, at which sites, and how people differ from one another.

Names and numbers only: nothing here opens an image.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from refacebench import vocabulary
from refacebench.contracts import Option

#: Options that all grown cohorts share.
OPTIONS = {
    "sessions": Option(2, "Sessions a participant.", least=1),
    "cohort": Option(1, "Number of the cohort: another number, other people.", least=1),
    "voxel_mm": Option(2.0, "Voxel size of the scans.", unit="mm", least=0.5, most=6),
    "sites": Option(
        ["siteA", "siteB", "siteC"],
        "Names of the sites; names with properties (voxel, axes, dtype, white, gamma, noise, bias) "
        "make scanners of your own.",
        kind=list,
    ),
    "age_range": Option([20, 80], "Youngest and oldest age.", unit="years"),
    "face_amplitude": Option(1.0, "How much faces differ; 1 as people do."),
    "head_amplitude": Option(1.0, "How much heads differ in size and proportions; 1 as people do."),
    "brain_amplitude": Option(1.0, "How much brains differ at random; 1 as people do."),
    "blend_amplitude": Option(1.0, "How far people are blended towards other heads."),
    "ventricle_rate": Option(
        0.02, "How much the ventricles grow, as a share of their size.", unit="per year"
    ),
    "ventricle_spread": Option(0.2, "How much ventricles of one age differ (standard deviation)."),
    "cortex_rate": Option(
        -0.0025, "How much the cortex grows, as a share of its size.", unit="per year"
    ),
    "cortex_spread": Option(0.03, "How much cortices of one age differ (standard deviation)."),
    "rotation_deg": Option(
        3.0, "How much the pose of a session is turned (standard deviation).", unit="degrees"
    ),
    "shift_mm": Option(
        3.0, "How much the pose of a session is shifted (standard deviation).", unit="mm"
    ),
    "noise": Option(1.0, "Factor of the sites' noise."),
    "bias": Option(1.0, "Factor of the sites' receive fields."),
}


@dataclass(frozen=True)
class Site:
    """One scanner and its protocol.

    Attributes
    ----------
    name : str
        As in the manifests.
    voxel : tuple of float
        Voxel edges (left-right, back-front, down-up) in multiples of ``voxel_mm``.
    axes : str
        Orientation of the stored array, for example ``LIA``.
    dtype : str
        Stored data type.
    white : float
        Brightness of white matter in stored units.
    gamma : float
        Exponent of the site's contrast curve.
    noise : float
        Standard deviation of the receiver's noise, as a share of ``white``.
    bias : float
        Standard deviation of the logarithm of the receive field.
    """

    name: str
    voxel: tuple[float, float, float] = (1.0, 1.0, 1.0)
    axes: str = "RAS"
    dtype: str = "int16"
    white: float = 800.0
    gamma: float = 1.0
    noise: float = 0.02
    bias: float = 0.12


#: Sites that differ as sites do: voxel size, orientation, data type, contrast, noise.
SITES = (
    Site("siteA"),
    Site("siteB", (1.0, 1.0, 1.1), "LIA", "uint8", 105.0, 0.94, 0.025, 0.15),
    Site("siteC", (1.1, 1.1, 1.1), "LAS", "float32", 430.5, 1.06, 0.03, 0.10),
)


def sites(options: Mapping) -> list[Site]:
    """Return the sites of the options: names take the built-in sites' properties in turn.

    Raises
    ------
    ValueError
        If there is no site, a name occurs twice, or a property is unknown or impossible.
    """
    known = {f.name for f in fields(Site)}
    found = []
    for number, entry in enumerate(options["sites"]):
        entry = {"name": entry} if isinstance(entry, str) else dict(entry)
        unknown = sorted(set(entry) - known)
        if unknown or "name" not in entry:
            what = f"unknown key {', '.join(map(repr, unknown))}" if unknown else "no name"
            raise ValueError(f"sites.{number}: {what} (known: {', '.join(sorted(known))})")
        if "voxel" in entry:
            entry["voxel"] = tuple(float(v) for v in np.broadcast_to(entry["voxel"], 3))
        found.append(_checked(replace(SITES[number % len(SITES)], **entry)))
    names = [site.name for site in found]
    if not names or len(set(names)) < len(names):
        raise ValueError("sites: give at least one site, each with its own name")
    return found


def _checked(site: Site) -> Site:
    if (
        sorted("LR" if c in "LR" else "PA" if c in "PA" else "IS" for c in site.axes)
        != [
            "IS",
            "LR",
            "PA",
        ]
        or len(set(site.axes)) < 3
    ):
        raise ValueError(f"sites: {site.name}: axes '{site.axes}' are no orientation like LIA")
    if site.dtype not in ("uint8", "int16", "uint16", "float32"):
        raise ValueError(
            f"sites: {site.name}: dtype '{site.dtype}' (known: uint8, int16, uint16, float32)"
        )
    if min(site.voxel) <= 0 or min(site.white, site.gamma) <= 0 or min(site.noise, site.bias) < 0:
        raise ValueError(f"sites: {site.name}: voxel, white and gamma must be above zero")
    return site


def check(options: Mapping) -> None:
    """Check the options that all grown cohorts share.

    Raises
    ------
    ValueError
        With one sentence that names the option.
    """
    for name in ("participants", "sessions"):
        value = options[name]
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name}: {value!r} must be a whole number above zero")
    if not 0.5 <= float(options["voxel_mm"]) <= 6:
        raise ValueError(f"voxel_mm: {options['voxel_mm']} is not between 0.5 and 6")
    low, high = options["age_range"]
    if not 0 < low <= high:
        raise ValueError(f"age_range: {options['age_range']} is not [youngest, oldest]")
    sites(options)


def random_of(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of a thing with a name: the same on every machine and in any order."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def index(options: Mapping, seed: int, prefix: str, with_age: bool) -> pd.DataFrame:
    """Return one row per scan; see the contract of ``index`` in :mod:`refacebench.datasets`.

    Ages are spread evenly over ``age_range`` (one draw in each of as many equal
    intervals as there are people) and dealt to people, sexes and sites at random.

    Parameters
    ----------
    prefix : str
        Letter before the numbers in the participants' labels.
    with_age : bool
        Whether people have an age; otherwise it is NaN.
    """
    check(options)
    cohort, n = int(options["cohort"]), int(options["participants"])
    # People are drawn by their labels, which name the cohort from the second one on.
    rng = random_of(seed, "index", *([str(cohort)] if cohort > 1 else []))
    label = f"sub-c{cohort}{prefix}" if cohort > 1 else f"sub-{prefix}"
    low, high = options["age_range"]
    ages = low + (high - low) * (rng.permutation(n) + rng.random(n)) / n
    where = sites(options)
    site = rng.permutation([where[i % len(where)].name for i in range(n)])
    sex = rng.permutation(["F" if i % 2 else "M" for i in range(n)])
    width = max(3, len(str(n)))
    rows = []
    for i in range(n):
        participant = f"{label}{i + 1:0{width}d}"
        for session in range(1, int(options["sessions"]) + 1):
            rows.append(
                {
                    "participant": participant,
                    "session": f"ses-{session}",
                    "scan": f"{participant}_ses-{session}",
                    "path": "",
                    "site": str(site[i]),
                    "age": round(float(ages[i]), 1) if with_age else np.nan,
                    "sex": str(sex[i]),
                    "status": vocabulary.OK,
                    "reason": "",
                }
            )
    return pd.DataFrame(rows).sort_values("scan", ignore_index=True)


@dataclass(frozen=True)
class Push:
    """A way in which faces differ: tissue around a landmark moves along a direction.

    Attributes
    ----------
    point : tuple of float
        The landmark in the mean head's millimetres (see
        :mod:`refacebench.head.template`); the right one of a pair.
    sigma : tuple of float
        Reach along x, y, z, mm.
    direction : tuple of float
        Direction of the movement (x of a pair: away from the middle).
    mm : float
        Standard deviation of the movement among people.
    """

    point: tuple[float, float, float]
    sigma: tuple[float, float, float]
    direction: tuple[float, float, float]
    mm: float

    @property
    def paired(self) -> bool:
        """Whether the landmark has a twin on the other side."""
        return self.point[0] != 0


#: Landmarks were placed by hand on the mean head; amplitudes are near the
#: standard deviations of adults' facial dimensions (Farkas, Anthropometry of
#: the Head and Face, 1994: 2 to 5 mm).
PUSHES = {
    "nose length": Push((0, 114, -70), (12, 18, 14), (0, 1.0, -0.2), 1.8),
    "nose tip height": Push((0, 114, -70), (10, 14, 12), (0, 0, 1.0), 2.2),
    "nose bridge": Push((0, 104, -50), (9, 13, 13), (0, 1.0, 0), 2.0),
    "nose width": Push((15, 102, -74), (8, 12, 10), (1.0, 0, 0), 1.6),
    "brow": Push((24, 94, -18), (20, 16, 10), (0, 1.0, 0), 2.2),
    "forehead": Push((0, 90, 15), (42, 28, 26), (0, 1.0, 0), 3.0),
    "eye depth": Push((32, 86, -38), (14, 18, 10), (0, 1.0, 0), 1.8),
    "eye distance": Push((32, 84, -38), (15, 20, 14), (1.0, 0, 0), 1.6),
    "cheekbone": Push((46, 78, -62), (16, 18, 14), (0.8, 0.6, 0), 2.6),
    "cheek": Push((44, 72, -92), (17, 22, 18), (0.8, 0.6, 0), 3.2),
    "face width": Push((64, 48, -55), (16, 26, 22), (1.0, 0, 0), 2.6),
    "jaw width": Push((54, 30, -112), (18, 28, 24), (1.0, 0, 0), 3.6),
    "lips": Push((0, 106, -99), (20, 14, 10), (0, 1.0, 0), 2.0),
    "mouth height": Push((0, 104, -98), (24, 20, 12), (0, 0, 1.0), 1.8),
    "mouth width": Push((23, 98, -99), (11, 16, 12), (1.0, 0, 0), 1.8),
    "chin": Push((0, 102, -132), (20, 18, 16), (0, 1.0, 0), 3.4),
    "chin width": Push((18, 98, -134), (14, 18, 16), (1.0, 0, 0), 2.2),
    "lower face": Push((0, 92, -132), (52, 55, 34), (0, 0, -1.0), 4.0),
    "neck": Push((50, -10, -130), (25, 40, 34), (1.0, 0, 0), 3.0),
    "ears": Push((78, 6, -50), (10, 14, 20), (1.0, 0, 0), 1.8),
}


@dataclass(frozen=True)
class Person:
    """The numbers that make a person's anatomy from a base head.

    Attributes
    ----------
    proportions : numpy.ndarray
        Scale of the head along x, y, z.
    pushes : numpy.ndarray
        Millimetres of each of :data:`PUSHES`.
    fat : float
        Thickness, mm, that the soft tissue of face and neck gains.
    blends : numpy.ndarray
        Share of the way towards each of the other heads.
    ventricles, cortex : float
        Logarithm of the volume of lateral ventricles and of grey matter over
        the base's.
    """

    proportions: np.ndarray
    pushes: np.ndarray
    fat: float
    blends: np.ndarray
    ventricles: float
    cortex: float


def draw_person(
    rng: np.random.Generator,
    options: Mapping,
    n_blends: int,
    sex: str,
    years: float,
    size: float = 0.0,
) -> Person:
    """Draw a person.

    Parameters
    ----------
    years : float
        Age less the age that the base head stands for; NaN draws no ageing at all.
    size : float
        Mean logarithm of people's scale over the base head's.

    Notes
    -----
    Men's heads are 3.5 % longer than women's in every direction on average,
    with larger noses, brows and chins (half a standard deviation).  The
    lateral ventricles grow by ``ventricle_rate`` a year (2 to 3 % in adults)
    and grey matter shrinks by ``-cortex_rate`` a year (0.2 to 0.3 %), each with
    a spread among people of the same age, so that age cannot be read exactly.
    The face does not age.
    """
    man = 0.5 if sex == "M" else -0.5 if sex == "F" else 0.0
    head = float(options["head_amplitude"])
    size = size + 0.025 * rng.standard_normal() + 0.035 * man
    axes = rng.normal(0.0, 0.022, 3)
    proportions = np.exp(head * (size + axes - axes.mean()))
    # A limit at 2 standard deviations: nobody is a caricature.
    units = np.clip(rng.standard_normal(len(PUSHES)), -2.0, 2.0)
    units += 0.5 * man * np.isin(list(PUSHES), ["nose length", "brow", "chin", "jaw width"])
    pushes = float(options["face_amplitude"]) * units * [p.mm for p in PUSHES.values()]
    fat = float(options["face_amplitude"]) * float(np.clip(rng.normal(0.0, 1.4), -2.0, 3.0))
    blends = float(options["blend_amplitude"]) * np.clip(rng.normal(0.2, 0.35, n_blends), -0.4, 0.8)
    blends /= max(1.0, np.abs(blends).sum())
    ageing = rng.standard_normal(2)
    if np.isnan(years):
        return Person(proportions, pushes, fat, blends, 0.0, 0.0)
    ventricles = options["ventricle_rate"] * years + options["ventricle_spread"] * ageing[0]
    cortex = options["cortex_rate"] * years + options["cortex_spread"] * ageing[1]
    return Person(proportions, pushes, fat, blends, float(ventricles), float(cortex))


def site_of(row: Mapping, options: Mapping) -> Site:
    """Return the site of a scan's row.

    Raises
    ------
    ValueError
        If the options have no such site.
    """
    for site in sites(options):
        if site.name == row["site"]:
            return site
    raise ValueError(f"{row['scan']}: site '{row['site']}' is not among the dataset's sites")
