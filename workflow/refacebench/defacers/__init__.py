"""The contract of a defacer: one module, named as in the config.

A module ``defacers/<name>.py`` defines

``VERSION : str``
    Raise it when the output changes; it is part of every key.
``OPTIONS : dict``
    Option names and their defaults.  A config entry may override them and
    may have no others.
``deface(scan, options) -> Defaced``
    ``scan`` : :class:`PreparedScan`.  ``options`` : dict.  Raise an exception
    with a clear message when the method cannot work on this scan: it becomes
    the row's reason.

and may define

``ENGINE : str`` or ``engine(options) -> str``
    ``"native"`` (default) for our implementation of a published method,
    ``"official"`` only when the released program itself runs.
``TITLE : str`` or ``title(options) -> str``
    A line for tables and the report.
``check(options)``
    Raise ValueError with one sentence for options that cannot be right.
``missing(options) -> str``
    What this machine lacks to run the method, and where to get it; empty if
    nothing.  Asked once, before anything runs; the option ``on_missing`` (stop or
    skip) decides what follows.
``version(options) -> str``
    The version of the external program that really runs; empty if there is none.
``inputs(options) -> list of Path``
    Files beside the scan's that the result depends on.
``public(options) -> dict``
    The options as the derivatives' sidecars may show them.
``prepare(options)``, ``PRELOAD : tuple of str``
    Called, and packages imported, once a batch before the first scan.

A native defacer need not care for the brain, the data type or the grid: the
caller takes only the voxels of ``changed``, never a voxel of the (native
defacers') protected brain, and writes them in the scan's own data type.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..images import Volume


@dataclass(frozen=True)
class PreparedScan:
    """A scan and what the prepare stage found in it; all on the scan's own grid.

    Attributes
    ----------
    volume : Volume
        Float32 intensities in the scan's units, any orientation.
    brain : numpy.ndarray of bool
        Brain mask of the original.
    head : numpy.ndarray of bool
        Head mask (everything that is not air, holes filled).
    to_template : numpy.ndarray
        4 x 4 affine from the scan's RAS+ millimetres to those of the template
        head (:func:`refacebench.templates.mean_head`), registered once a scan
        and shared by all defacers.
    path : Path
        The scan's file, for external programs.
    brain_path : Path
        The brain mask's file, likewise.
    seed : int
        For methods that draw random numbers; differs from scan to scan.
    warp_path : Path or None
        Where the scan's non-linear registration is kept for all defacers that want one
        (:func:`refacebench.defacers._warp.field`).
    """

    volume: Volume
    brain: np.ndarray
    head: np.ndarray
    to_template: np.ndarray
    path: Path
    brain_path: Path
    seed: int = 0
    warp_path: Path | None = None


@dataclass(frozen=True)
class Defaced:
    """What a defacer returns.

    Attributes
    ----------
    values : numpy.ndarray
        New intensities, scan units, the scan's grid.  Only ``values[changed]``
        is used.
    changed : numpy.ndarray of bool
        The voxels that the method wants to change.
    """

    values: np.ndarray
    changed: np.ndarray


def engine_of(module, options: dict) -> str:
    """Return ``native`` or ``official`` for a defacer module and its options."""
    chosen = getattr(module, "engine", None)
    return chosen(options) if chosen else getattr(module, "ENGINE", "native")


def version_of(module, options: dict) -> str:
    """Return the version of the external program behind a method; empty if there is none."""
    return module.version(options) if hasattr(module, "version") else ""


def title_of(module, options: dict) -> str:
    """Return the line that says what a method is."""
    return module.title(options) if hasattr(module, "title") else getattr(module, "TITLE", "")
