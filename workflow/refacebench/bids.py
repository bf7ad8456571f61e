"""File names: BIDS entities in, BIDS derivative paths out.  Touches no disk."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from refacebench import __version__, files, reasons

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
    """Return the BIDS entities of a scan id; the first one of an entity that occurs twice.

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


def split_suffix(name: str) -> tuple[str, str]:
    """Return the entities and the suffix of a file's name.

    >>> split_suffix("sub-1_acq-x_FLAIR")
    ('sub-1_acq-x', 'FLAIR')
    """
    stem, _, suffix = name.rpartition("_")
    return stem, suffix


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


#: What BIDS URIs call the data set that a run reads. Where it lies is nobody's business.
RAW, RAW_LINK = "raw", "urn:refacebench:raw"
_README = """Derivatives of the Refacing benchmark: {name}.

`Sources` in the sidecars are BIDS URIs. `bids:{raw}:` is the data set that the run read,
`bids:NAME:` are the derivatives of another variant, beside this folder. Files `*_xfm.txt` are ITK
transforms (LPS millimetres), to be applied to the image that `from-` names; the JSON beside each
holds the same registration as a matrix in RAS millimetres. `*_dseg.tsv` in this folder name the
labels of the images with the same `desc`.
"""


def describe(root: str | Path, variant: str) -> None:
    """Write what describes one variant's derivatives: a BIDS description, a README, exceptions."""
    defacer, plus, _ = variant.partition("+")
    links = {RAW: RAW_LINK, **({defacer: f"../{defacer}"} if plus else {})}
    document = {
        "Name": f"Refacing benchmark: {variant}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "refacebench", "Version": __version__}],
        "DatasetLinks": links,
    }
    files.write_text(json.dumps(document, indent=1) + "\n", Path(root) / "dataset_description.json")
    files.write_text(_README.format(name=variant, raw=RAW), Path(root) / "README")
    # BIDS has no place for transforms yet; tools that write them do the same.
    files.write_text("*_xfm.*\n", Path(root) / ".bidsignore")


def name_labels(root: str | Path, desc: str, labels: Mapping[str, int]) -> None:
    """Write the table that names the labels of all ``dseg`` images with a ``desc``.

    Parameters
    ----------
    root : str or Path
        Of a variant's derivatives.
    labels : mapping of str to int
    """
    rows = sorted({"background": 0, **labels}.items(), key=lambda row: row[1])
    lines = ["index\tname", *(f"{value}\t{name}" for name, value in rows)]
    files.write_text("\n".join(lines) + "\n", Path(root) / f"desc-{desc}_dseg.tsv")


def write_sidecar(
    image: str | Path,
    sources: Sequence[str | Path],
    *,
    method: str,
    version: str,
    parameters: Mapping,
    key: str,
    **further: str | bool,
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
    **further : str or bool
        More facts, under the names that they get in the file.
    """
    facts = {
        "Sources": [source_name(source, image) for source in sources],
        "SourceSHA256": files.checksum(sources[0]),
        "Method": method,
        "MethodVersion": version,
        "Parameters": reasons.without_paths(parameters),
        "Key": key,
        **further,
    }
    path = sidecar_path(image)
    files.write_text(json.dumps(facts, indent=1, sort_keys=True, default=str) + "\n", path)


def sidecar_path(image: str | Path) -> Path:
    """Return where the JSON of an image lies.

    >>> sidecar_path("a/sub-1_T1w.nii.gz").as_posix(), sidecar_path("b.nii").as_posix()
    ('a/sub-1_T1w.json', 'b.json')
    """
    return Path(re.sub(r"\.nii(\.gz)?$", ".json", str(image)))


def source_name(source: str | Path, image: str | Path) -> str:
    """Return the BIDS URI by which a sidecar names a file that its image was made from.

    Data sets have the names of :func:`describe`: no folder of this machine is in a URI.

    >>> made = "results/derivatives/d/a+m/sub-1/anat/sub-1_desc-refaced_T1w.nii.gz"
    >>> source_name("results/derivatives/d/a/sub-1/anat/sub-1_desc-defaced_T1w.nii.gz", made)
    'bids:a:sub-1/anat/sub-1_desc-defaced_T1w.nii.gz'
    >>> source_name("results/derivatives/d/a+m/sub-1/anat/sub-1_T1w.nii.gz", made)
    'bids::sub-1/anat/sub-1_T1w.nii.gz'
    >>> source_name("/data/jane/bids/sub-1/anat/sub-1_T1w.nii.gz", made)
    'bids:raw:sub-1/anat/sub-1_T1w.nii.gz'
    """
    within = reasons.in_dataset(source)
    home, ours = (
        Path(str(path).removesuffix(reasons.in_dataset(path))) for path in (source, image)
    )
    if home == ours:
        return f"bids::{within}"
    return f"bids:{home.name if home.parent == ours.parent else RAW}:{within}"


def label(name: str) -> str:
    """Return a method's name as a BIDS label (letters and digits only).

    >>> label("deepbet_atlas")
    'deepbetatlas'
    """
    return re.sub(r"[^A-Za-z0-9]", "", name)
