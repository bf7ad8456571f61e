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
