"""pydeface: multiply the scan by an affinely warped face mask.

Gulban, Nielson, Poldrack et al., pydeface 2.1.0 (MIT).  Engine ``official``
runs the released command, which needs FSL's ``flirt``; engine ``native`` applies
the package's own mask with this project's registration.
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan, defaults
from refacebench.defacers._options import ON_MISSING, PROTECT_MARGIN, ears, upper
from refacebench.head import region, space, template
from refacebench.image import geometry
from refacebench.programs import catalogue, presence, runner

VERSION = "1"
OPTIONS = {
    "engine": Option(
        "auto",
        "Official runs the released command, native this project's registration with the "
        "package's mask; auto takes the official one where FSL and the command are installed.",
        choices=("auto", "native", "official"),
    ),
    "protect_margin_mm": PROTECT_MARGIN,
    "upper": upper("own", more=("own",)),
    "ears": ears(False),
    "on_missing": ON_MISSING,
}
#: Voxels with a mask weight above this are left alone: it differs from 1 by rounding only.
FULL_WEIGHT = 0.999


def _program() -> catalogue.Program:
    return catalogue.describe({"program": "pydeface"})


def official_is_available() -> bool:
    """Tell whether the released command can run: ``pydeface``, ``fsl``, ``flirt``, ``FSLDIR``."""
    return not presence.missing(_program())


def check(options: dict) -> None:
    """Check the options ``engine``, ``upper`` and ``ears``.

    Raises
    ------
    ValueError
        If one of them is not known, or the engine official together with a native option.
    """
    if options["engine"] not in ("auto", "native", "official"):
        raise ValueError(
            f"pydeface: engine '{options['engine']}' is none of auto, native, official"
        )
    region.check("pydeface", {**defaults(OPTIONS), **options}, more=("own",))
    if options["engine"] == "official" and _asks_more(options):
        raise ValueError("pydeface: the options upper and ears need engine: native")


def _asks_more(options: dict) -> bool:
    """Tell whether the options ask for what only the native engine can do."""
    return options.get("upper", "own") != "own" or bool(options.get("ears", False))


def engine(options: dict) -> str:
    """Return the engine that will run; ``auto`` looks for the released command.

    Raises
    ------
    ValueError
        For an unknown engine, or for ``official`` without the programs that it needs.
    """
    check(options)
    if options["engine"] == "auto":
        plain = not _asks_more(options)
        return "official" if plain and official_is_available() else "native"
    lacks = missing(options)
    if lacks:
        raise ValueError(f"pydeface: {lacks}; or set engine: native")
    return options["engine"]


def missing(options: dict) -> str:
    """Return what the released command lacks here if that engine is asked for."""
    return presence.missing(_program()) if options["engine"] == "official" else ""


def version(options: dict) -> str:
    """Return the version of the released command where that is what runs."""
    return presence.version(_program()) if engine(options) == "official" else ""


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Remove the face as pydeface does.

    Native: the packaged mask (1 outside, 0 in the face's box) is resampled with
    trilinear interpolation and multiplied, without a threshold, with the scan.
    Beyond the template's field of view the mask goes on with its edge's values, so
    that a chin below it is removed and a neck is not.  With ``upper`` or ``ears`` the
    mask is cut off at a level, or joined with the project's own regions
    (:mod:`refacebench.head.region`), with an edge of 1 mm.

    Raises
    ------
    ValueError
        For an unknown option.
    RuntimeError
        If the released command fails.
    """
    if engine(options) == "official":
        return runner.deface(_program(), scan)
    weight = space.warp_to_scan(
        template.face_mask(), scan.volume, scan.to_template, order=1, mode="nearest"
    )
    weight = _adapted(weight, scan, options)
    changed = weight < FULL_WEIGHT
    return Defaced(scan.volume.data * np.clip(weight, 0, 1), changed)


def _adapted(weight: np.ndarray, scan: PreparedScan, options: dict) -> np.ndarray:
    """Return the mask's weight with the options ``upper`` and ``ears`` worked in."""
    options = {**defaults(OPTIONS), **options}
    if options["upper"] == "own" and not options["ears"]:
        return weight
    cut = 1 - np.clip(weight, 0, 1)

    def soft(where, regions):
        part = geometry.crop(scan.volume, where)
        return np.clip(0.5 - region.distance(part, scan.to_template, regions), 0, 1)

    added = region.ears() if options["ears"] else ()
    if options["upper"] != "own":
        if options["upper"] != "below_eyes":
            added = region.face(options["upper"]) + added
        where = geometry.box_within(cut > 0, scan.volume.spacing, 0.0)
        cut[where] *= soft(where, region.under(options["upper"]))
    for body in added:
        where = region.box(scan.volume, scan.to_template, [body], 2.0)
        cut[where] = np.maximum(cut[where], soft(where, [body]))
    return 1 - cut


def prepare(options: dict) -> None:
    """Read the template's mask once for all scans of a batch."""
    if engine(options) == "native":
        template.face_mask()


METHOD = Defacer(
    version=VERSION,
    title="pydeface",
    engine=engine,
    options=OPTIONS,
    run=deface,
    check=check,
    prepare=prepare,
    missing=missing,
    program_version=version,
    sources=("https://doi.org/10.5281/zenodo.3524401", "https://github.com/poldracklab/pydeface"),
    licence="pydeface, its template and its mask: MIT; FSL (official engine): non-commercial",
)
