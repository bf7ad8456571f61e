"""Refacing benchmark: which way of hiding a face protects, and what it costs.

The library behind the workflow.  No module here knows Snakemake, so that all
of it can be used from a notebook.  Imports are kept light: heavy packages
(antspyx, torch, statsmodels, seaborn) are imported inside the functions that
need them.
"""

from __future__ import annotations

import re
from pathlib import Path


def _version(root: Path) -> str:
    """Return the version of the checkout in a folder; without one, that of the installed package.

    The checkout comes first: an older release may be installed beside it.
    """
    try:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = dict(re.findall(r'^(name|version) = "([^"]+)"$', text, re.M))
    if found.get("name") == "refacebench" and "version" in found:
        return found["version"]
    from importlib import metadata

    try:
        return metadata.version("refacebench")
    except metadata.PackageNotFoundError:
        return "unknown"


#: The version that cards, ``dataset_description.json`` and the report's page name.
__version__ = _version(Path(__file__).parents[2])
