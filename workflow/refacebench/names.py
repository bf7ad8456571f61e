"""File names: BIDS entities in, BIDS derivative paths out.  Touches no disk."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

#: What the label of an entity may hold.  BIDS knows no hyphen there; many data sets do.
LABEL = r"[A-Za-z0-9+-]+"
#: Longest id of a scan.  A file name has 255 bytes at most, and a derivative adds up to 75.
LONGEST = 160


def safe(text: str) -> str:
    """Return a text with a plus sign for all that is no letter, digit, hyphen or plus.

    >>> safe("acq-1.5T"), safe("a b;c")
    ('acq-1+5T', 'a+b+c')
    """
    return re.sub(r"[^A-Za-z0-9+-]", "+", text)


def scan_id(participant: str, session: str, stem: str) -> str:
    """Return the name that identifies a scan: its folders, and the rest of its file's name.

    Participant and session are those of the folders, whatever the file says.  As
    they hold no underscore, :func:`folder` finds the same folders again.

    Parameters
    ----------
    participant, session : str
        ``sub-...``, and ``ses-...`` or empty.
    stem : str
        The file's name without ending, and without suffix where the id is to have none.

    >>> scan_id("sub-01", "ses-2", "sub-01_ses-2_run-1")
    'sub-01_ses-2_run-1'
    >>> scan_id("sub-01", "ses-2", "sub-01_acq-1.5T_T2w")
    'sub-01_ses-2_acq-1+5T_T2w'
    """
    rest = [part for part in stem.split("_") if part and not part.startswith(("sub-", "ses-"))]
    return "_".join([participant, *([session] if session else []), *map(safe, rest)])


def entities(scan: str) -> dict[str, str]:
    """Return the BIDS entities of a scan id; of an entity that comes twice the first one.

    >>> entities("sub-0001-A_ses-2")
    {'sub': '0001-A', 'ses': '2'}
    """
    found: dict[str, str] = {}
    for part in scan.split("_"):
        key, hyphen, label = part.partition("-")
        if hyphen:
            found.setdefault(key, label)
    return found


def folder(scan: str) -> Path:
    """Return ``sub-*/[ses-*/]anat`` of a scan.

    >>> folder("sub-01_ses-2").as_posix()
    'sub-01/ses-2/anat'
    """
    found = entities(scan)
    session = [f"ses-{found['ses']}"] if "ses" in found else []
    return Path(f"sub-{found['sub']}", *session, "anat")


def in_order(days: dict[str, float]) -> list[str]:
    """Return sessions in order: by their days where all are known, else by their labels.

    Parameters
    ----------
    days : dict of str to float
        Day of each session, counted from any day; NaN where it is not known.

    >>> nan = float("nan")
    >>> in_order({"ses-10": nan, "ses-2": 3.0})
    ['ses-2', 'ses-10']
    >>> in_order({"ses-post": 30.0, "ses-pre": 0.0})
    ['ses-pre', 'ses-post']
    """
    if any(math.isnan(day) for day in days.values()):
        days = dict.fromkeys(days, 0.0)
    return sorted(days, key=lambda session: (days[session], *_natural(session)))


def _natural(label: str) -> tuple:
    """Return a key that sorts ``ses-2`` before ``ses-10``."""
    parts = re.split(r"([0-9]+)", label)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], label


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
