"""BIDS derivatives: where outputs lie and what describes them.

Writes ``dataset_description.json`` and sidecars under ``results/derivatives``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import __version__, manifest, names, reasons


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
        "Sources": [source_name(source, image) for source in sources],
        "SourceSHA256": manifest.checksum(sources[0]),
        "Method": method,
        "MethodVersion": version,
        "Parameters": reasons.without_paths(parameters),
        "Key": key,
        **further,
    }
    path = Path(re.sub(r"\.nii(\.gz)?$", ".json", str(image)))
    manifest.write_text(json.dumps(facts, indent=1, sort_keys=True, default=str) + "\n", path)


def source_name(source: str | Path, image: str | Path) -> str:
    """Return how the sidecar of an image names a file that the image was made from.

    That is relative to the data set of the file, or, where both lie in derivatives of one
    data set, to those of the image: no folder of this machine is in it.

    >>> made = "results/derivatives/d/a+m/sub-1/anat/sub-1_desc-refaced_T1w.nii.gz"
    >>> source_name("results/derivatives/d/a/sub-1/anat/sub-1_desc-defaced_T1w.nii.gz", made)
    '../a/sub-1/anat/sub-1_desc-defaced_T1w.nii.gz'
    >>> source_name("/data/jane/bids/sub-1/anat/sub-1_T1w.nii.gz", made)
    'sub-1/anat/sub-1_T1w.nii.gz'
    """
    within = names.in_dataset(source)
    home, ours = (Path(str(path).removesuffix(names.in_dataset(path))) for path in (source, image))
    beside = home.parent == ours.parent and home != ours
    return f"../{home.name}/{within}" if beside else within


def label(name: str) -> str:
    """Return a method's name as a BIDS label (letters and digits only).

    >>> label("deepbet_atlas")
    'deepbetatlas'
    """
    return re.sub(r"[^A-Za-z0-9]", "", name)
