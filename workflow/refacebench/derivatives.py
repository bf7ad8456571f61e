"""BIDS derivatives: where outputs lie and what describes them.

Writes ``dataset_description.json`` and sidecars under ``results/derivatives``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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


def write_sidecar(
    image: str | Path,
    sources: Sequence[str | Path],
    *,
    method: str,
    version: str,
    parameters: Mapping,
    key: str,
    **further: str,
) -> None:
    """Write the JSON beside an image: what made it, from what, with which key.

    Parameters
    ----------
    sources : sequence of str or Path
        The files that the image was made from; that of the image itself, whose
        checksum is noted, first.
    method, version : str
        What made it.
    parameters : mapping
        The method's options.
    key : str
        Of the manifest's row.
    **further : str
        More facts, under the names that they get in the file.
    """
    facts = {
        "Sources": list(sources),
        "SourceSHA256": manifest.checksum(sources[0]),
        "Method": method,
        "MethodVersion": version,
        "Parameters": parameters,
        "Key": key,
        **further,
    }
    path = Path(re.sub(r"\.nii(\.gz)?$", ".json", str(image)))
    manifest.write_text(json.dumps(facts, indent=1, sort_keys=True, default=str) + "\n", path)


def label(name: str) -> str:
    """Return a method's name as a BIDS label (letters and digits only).

    >>> label("deepbet_atlas")
    'deepbetatlas'
    """
    return re.sub(r"[^A-Za-z0-9]", "", name)
