"""BIDS derivatives: where outputs lie and what describes them.

Writes ``dataset_description.json`` and sidecars under ``results/derivatives``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from . import __version__, manifest


def describe(root: str | Path, variant: str) -> None:
    """Write the ``dataset_description.json`` of one variant's derivatives."""
    document = {
        "Name": f"Refacing benchmark: {variant}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "refacebench", "Version": __version__}],
    }
    manifest.write_text(
        json.dumps(document, indent=1) + "\n", Path(root) / "dataset_description.json"
    )


def write_sidecar(image: str | Path, facts: Mapping) -> None:
    """Write the JSON beside an image: what made it, from what, with which key."""
    path = Path(re.sub(r"\.nii(\.gz)?$", ".json", str(image)))
    manifest.write_text(json.dumps(dict(facts), indent=1, sort_keys=True, default=str) + "\n", path)


def label(name: str) -> str:
    """Return a method's name as a BIDS label (letters and digits only).

    >>> label("deepbet_atlas")
    'deepbetatlas'
    """
    return re.sub(r"[^A-Za-z0-9]", "", name)
