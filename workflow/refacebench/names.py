"""File names: BIDS entities in, BIDS derivative paths out.  Touches no disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_ENTITY = re.compile(r"(?:^|_)([a-z]+)-([A-Za-z0-9+]+)")


def scan_id(path: str | Path) -> str:
    """Return the name that identifies a T1w scan: its BIDS stem without suffix.

    >>> scan_id("sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz")
    'sub-01_ses-2_run-1'
    """
    return re.sub(r"_T1w\.nii(\.gz)?$", "", Path(path).name)


def entities(scan: str) -> dict[str, str]:
    """Return the BIDS entities of a scan id.

    >>> entities("sub-01_ses-2")
    {'sub': '01', 'ses': '2'}
    """
    return dict(_ENTITY.findall(scan))


def folder(scan: str) -> Path:
    """Return ``sub-*/[ses-*/]anat`` of a scan.

    >>> folder("sub-01_ses-2").as_posix()
    'sub-01/ses-2/anat'
    """
    found = entities(scan)
    session = [f"ses-{found['ses']}"] if "ses" in found else []
    return Path(f"sub-{found['sub']}", *session, "anat")


def derivative(root: str | Path, scan: str, suffix: str, desc: str = "") -> Path:
    """Return the path of a derivative of a scan.

    Parameters
    ----------
    root : str or Path
        ``results/derivatives/{dataset}/{variant}``.
    suffix : str
        What the file is, for example ``T1w``, ``mask`` or ``dseg``.
    desc : str
        The ``desc`` entity, letters and digits only.

    >>> derivative("d", "sub-01", "T1w", "defaced").as_posix()
    'd/sub-01/anat/sub-01_desc-defaced_T1w.nii.gz'
    """
    label = f"_desc-{desc}" if desc else ""
    return Path(root) / folder(scan) / f"{scan}{label}_{suffix}.nii.gz"


def nonlinear(matrix_path: str | Path) -> Path:
    """Return where the non-linear part of a registration lies: beside its affine part.

    >>> nonlinear("d/sub-1_from-T1w_to-template_mode-image_xfm.json").name
    'sub-1_from-T1w_to-template_mode-image_desc-nonlinear_xfm.nii.gz'
    """
    path = Path(matrix_path)
    return path.with_name(path.name.removesuffix("_xfm.json") + "_desc-nonlinear_xfm.nii.gz")


def in_dataset(path: str | Path) -> str:
    """Return a path from the participant's folder on: what lies above is nobody's business.

    >>> in_dataset("/data/Jane/sub-01/anat/sub-01_T1w.nii.gz"), in_dataset("/home/jane/a.nii")
    ('sub-01/anat/sub-01_T1w.nii.gz', 'a.nii')
    """
    parts = Path(path).parts
    starts = [n for n, part in enumerate(parts[:-1]) if part.startswith("sub-")]
    return "/".join(parts[starts[-1] :] if starts else parts[-1:])


def split_variant(variant: str) -> tuple[str, str | None]:
    """Return the defacer and the refacer of a variant.

    >>> split_variant("pydeface+pix2pix25d"), split_variant("original")
    (('pydeface', 'pix2pix25d'), ('original', None))
    """
    defacer, _, refacer = variant.partition("+")
    return defacer, refacer or None


class Place(NamedTuple):
    """What a manifest's path says of it; empty where the stage has no such part."""

    stage: str
    dataset: str
    segmenter: str
    variant: str


def manifest_place(path: str | Path) -> Place:
    """Take apart ``results/{stage}/{dataset}/[{segmenter}/][{variant}/]{batch}.tsv``.

    >>> manifest_place("results/measure/demo/deepbet_atlas/null/test-measured-000.tsv")[2:]
    ('deepbet_atlas', 'null')
    >>> manifest_place("results/deface/demo/quickshear/test-measured-000.tsv")[2:]
    ('', 'quickshear')
    """
    parts = Path(path).parts
    start = len(parts) - 1 - parts[::-1].index("results")
    stage, dataset, *middle = parts[start + 1 : -1]
    segmenter, variant = ["", "", *middle][-2:]
    return Place(stage, dataset, segmenter, variant)
