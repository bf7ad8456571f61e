"""Refacing benchmark: which way of hiding a face protects, and what it costs.

The library behind the workflow.  No module here knows Snakemake, so that all
of it can be used from a notebook.  Imports are kept light: heavy packages
(antspyx, torch, statsmodels, seaborn) are imported inside the functions that
need them.
"""

from __future__ import annotations

import os
import tomllib
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def _version(root: Path) -> str:
    """Return the version of the checkout in a folder; without one, that of the installed package.

    The checkout comes first: an installation from it knows only the version of that day.
    """
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        project = {}
    if project.get("name") == "refacebench" and "version" in project:
        return str(project["version"])
    try:
        return metadata.version("refacebench")
    except metadata.PackageNotFoundError:
        return "unknown"


def _check_checkout(root: Path, wanted: str | None) -> None:
    """Raise an ImportError in a job whose environment was made for another checkout."""
    if wanted and root != Path(wanted).resolve():
        raise ImportError(
            f"The workflow in {wanted} found the package of {root}. The environment was made for "
            "that: make one of this checkout's own (`make install`; with conda, another "
            "--conda-prefix)."
        )


#: The version that cards, ``dataset_description.json`` and the report's page name.
__version__ = _version(_ROOT)

_check_checkout(_ROOT, os.environ.get("REFACEBENCH_CHECKOUT"))
