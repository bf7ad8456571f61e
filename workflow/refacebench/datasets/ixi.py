"""IXI: nearly 600 healthy people at three hospitals in London, free to download.

``path`` is a folder with the unpacked T1 images (``IXI002-Guys-0828-T1.nii.gz``) and the
spreadsheet ``IXI.xls``: one that the user has, or one that ``download: true`` fills.  Sites are in
the names of files (Guys, HH, IOP).  The spreadsheet has several rows of some people and no age of
others: an age counts where a person's rows agree on it.  People without an image, and images
without a person, are rows with their reasons.

Downloading is a step of its own, as nobody knows the scans before: the first run brings archive
and spreadsheet (:mod:`refacebench.datasets._fetching`), the same command again runs the study.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import links
from refacebench.contracts import Dataset, Option
from refacebench.datasets import _fetching, _sheet, _study
from refacebench.datasets._study import Scan
from refacebench.tables import Unusable

#: Where archive and spreadsheet come from.
SOURCES = Path(__file__).with_name("ixi_urls.tsv")
OPTIONS = {
    **{k: v for k, v in _study.OPTIONS.items() if k != "one_scan_per_session"},
    "download": Option(
        False, "Whether the T1 images and the spreadsheet are downloaded into the folder (4.8 GB)."
    ),
    "table": Option(
        None, "The spreadsheet; none for IXI.xls (or .csv, .tsv) in the folder.", kind=str
    ),
}
_IMAGE = re.compile(r"(IXI\d{3})-([A-Za-z]+)-(\d+)-T1\.nii(\.gz)?")
_LIKE = re.compile(r"IXI.*T1.*\.nii(\.gz)?", re.IGNORECASE)
_WHAT = "IXI*-T1.nii.gz"
SITES = ("Guys", "HH", "IOP")
#: Nobody in IXI is younger; 0 stands for no age.
_YOUNGEST = 5.0


def index(options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """List the T1w scans of IXI; see :class:`refacebench.contracts.Dataset`.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder or the spreadsheet is missing or is another one.
    """
    root = _study.folder(options, f"{_WHAT} and IXI.xls")
    found = _scans(root)
    if not found:
        raise FileNotFoundError(
            f"{root} holds no {_WHAT}; unpack IXI-T1.tar there, or set download: true"
        )
    people = _people(root, options["table"])
    for scan in found:
        scan.facts = {**_facts(people.get(scan.participant, [])), **scan.facts}
    seen = {scan.participant for scan in found}
    for who in sorted(set(people) - seen):
        reason = "in IXI's spreadsheet but has no T1 image"
        found.append(Scan(who, reason=reason, facts=_facts(people[who])))
    return _study.listed(found, options)


def _scans(root: Path) -> list[Scan]:
    found = []
    for place, name in _study.files(root, deepest=2):
        if place[:1] == ("bids",) or not _LIKE.fullmatch(name):
            continue
        path, match = root.joinpath(*place, name), _IMAGE.fullmatch(name)
        if match is None:
            who = re.match(r"IXI\d{3}", name)
            reason = f"its name '{name}' is not like IXI002-Guys-0828-T1.nii.gz; rename it"
            found.append(Scan(f"sub-{who[0]}" if who else "sub-IXI", "", str(path), "", reason))
            continue
        reason = _study.fault(path)
        if match[2] not in SITES:
            reason = reason or f"its site '{match[2]}' is none of {', '.join(SITES)}"
        facts = {"site": match[2]}
        found.append(Scan(f"sub-{match[1]}", "", str(path), "", reason, facts=facts))
    return found


def _people(root: Path, given: str | None) -> dict[str, list[dict[str, str]]]:
    names = ("IXI.xls", "IXI.csv", "IXI.tsv")
    paths = [Path(given)] if given else [home / n for home in (root, root.parent) for n in names]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"there is no {given or 'IXI.xls'} in {root}; it has the ages. Put it there (saved as "
            "CSV is fine), or set download: true"
        )
    try:
        rows = _sheet.rows(path, "ixi_id")
    except Unusable as problem:
        raise ValueError(f"table: {path.parent}: {problem}") from None
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        number = re.fullmatch(r"(?:IXI)?0*(\d{1,3})(?:\.0)?", row["ixi_id"])
        if number:
            found.setdefault(f"sub-IXI{int(number[1]):03d}", []).append(row)
    return found


def _facts(rows: list[dict[str, str]]) -> dict[str, Any]:
    age, note = _study.ages(rows, "age", least=_YOUNGEST)
    column = next((name for name in (rows[0] if rows else ()) if name.startswith("sex")), "sex")
    if not rows:
        note = "IXI's spreadsheet does not list the participant"
    sex = _study.sex(_study.agreed(rows, column))
    return {"age": age, "age_note": note, "sex": sex}


def to_fetch(options: Mapping[str, Any]) -> str:
    """Return what is yet to be downloaded; empty if nothing is, or if it is not wanted."""
    return _fetching.missing(SOURCES, options["path"]) if options["download"] else ""


def fetch(options: Mapping[str, Any]) -> None:
    """Download and unpack images and spreadsheet, and link them into a BIDS folder."""
    root = Path(options["path"])
    _fetching.fetch(SOURCES, root)
    links.write(index(options, 0), root / "bids", "IXI")


def check(options: Mapping[str, Any]) -> None:
    """Check the options without looking for files.

    Raises
    ------
    ValueError
        If there is no folder to download into.
    """
    if options["download"] and not options["path"]:
        raise ValueError("path: the folder that the data are downloaded into must be given")


METHOD = Dataset(
    version="1",
    title="IXI, T1w images",
    options=OPTIONS,
    index=index,
    check=check,
    fetch=fetch,
    to_fetch=to_fetch,
    sources=("https://brain-development.org/ixi-dataset/",),
    licence="CC BY-SA 3.0",
)
