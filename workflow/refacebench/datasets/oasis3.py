"""OASIS-3 as it is downloaded under its agreement: folders of sessions, or its BIDS form.

Understood are ``OAS30001_MR_d0129/anat2/NIFTI/*_T1w.nii.gz`` (also without ``NIFTI``) and
``sub-OAS30001/ses-d0129/anat/*_T1w.nii.gz``.  The session says how many days after entry it was
(``d0129``), so that the age at it is ``AgeatEntry`` of ``OASIS3_demographics.csv`` and those days.
Sessions without any T1w image are rows with a reason, PET and CT sessions are none.

``quality`` names OASIS's table of FreeSurfer results: sessions that its column ``FS QC Status``
calls failed or quarantined are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import bids
from refacebench.contracts import Dataset, Option
from refacebench.datasets import _study
from refacebench.datasets._study import Scan
from refacebench.tables import NAN, Unusable, read_rows

OPTIONS = {
    **_study.OPTIONS,
    "table": Option(
        None,
        "OASIS3_demographics.csv; none for that file in the folder or beside it.",
        kind=str,
    ),
    "quality": Option(
        None, "OASIS's table of FreeSurfer results, by whose QC sessions are left out.", kind=str
    ),
}
_SESSION = re.compile(r"(OAS\d{5})_MR_(d\d{4,5})", re.IGNORECASE)
_BIDS = re.compile(r"sub-(OAS\d{5})_(?:ses|sess)-(d\d{4,5})", re.IGNORECASE)
_T1W = re.compile(r".*_T1w\.nii(\.gz)?", re.IGNORECASE)
_BAD = ("fail", "quarantine")
_WHAT = "OAS3*_MR_d*/anat*/NIFTI/*_T1w.nii.gz or sub-OAS3*/ses-d*/anat/*_T1w.nii.gz"


def index(options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """List the T1w scans of OASIS-3; see :class:`refacebench.contracts.Dataset`.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder or the table of ages is missing or is another one.
    """
    root = _study.folder(options, _WHAT)
    found = _scans(root)
    if not found:
        raise FileNotFoundError(f"{root} holds no {_WHAT}; is it the folder of OASIS-3?")
    people = _people(root, options["table"])
    failed = _failed(options["quality"])
    for scan in found:
        scan.facts = _facts(people.get(scan.participant, []), scan.day)
        key = (scan.participant, scan.session)
        if key in failed and not scan.reason:
            scan.reason = f"excluded by {Path(options['quality']).name}: FS QC Status {failed[key]}"
    return _study.listed(found, options)


def _scans(root: Path) -> list[Scan]:
    found: list[Scan] = []
    others: dict[tuple[str, str], set[str]] = {}
    for place, name in _study.files(root):
        named = next(filter(None, (_SESSION.fullmatch(part) for part in place)), None)
        named = named or _BIDS.match(name)
        if named is None:
            continue
        who, when = f"sub-{named[1].upper()}", f"ses-{named[2].lower()}"
        if not _T1W.fullmatch(name):
            anatomy = any(part.startswith("anat") for part in place)
            if anatomy and re.search(r"\.nii(\.gz)?$", name):
                others.setdefault((who, when), set()).add(_suffix(name))
            continue
        path = root.joinpath(*place, name)
        reason = _study.fault(path) or _foreign(name, who, when)
        day = float(when.removeprefix("ses-d"))
        found.append(Scan(who, when, str(path), _label(place, name), reason, day))
    with_t1w = {(scan.participant, scan.session) for scan in found}
    for key, suffixes in others.items():
        if key not in with_t1w:
            reason = f"no T1w image in the session, only {', '.join(sorted(suffixes)[:4])}"
            found.append(Scan(*key, reason=reason, day=float(key[1].removeprefix("ses-d"))))
    return found


def _suffix(name: str) -> str:
    return re.sub(r"\.nii(\.gz)?$", "", name).rpartition("_")[2]


def _foreign(name: str, who: str, when: str) -> str:
    """Return what is wrong with a file whose name says another session than its folder."""
    own = _BIDS.match(name)
    if own and (f"sub-{own[1].upper()}", f"ses-{own[2].lower()}") != (who, when):
        return f"foreign file: its name says {own[0]}, its folder {who}_{when}"
    return ""


def _label(place: tuple[str, ...], name: str) -> str:
    """Return what else names a scan in its session: the entities of its name, or its folder."""
    known = bids.entities(re.sub(r"\.nii(\.gz)?$", "", name))
    rest = [f"{k}-{v}" for k, v in known.items() if k not in ("sub", "ses", "sess")]
    scanned = next((part for part in place if re.fullmatch(r"anat\d+", part)), "")
    return "_".join(rest) or (f"acq-{scanned}" if scanned else "")


def _people(root: Path, given: str | None) -> dict[str, list[dict]]:
    rows = _study.table(
        root,
        given,
        ("*OASIS3*demographics*.csv", "*emographics*.csv", "participants.tsv"),
        ("oasisid|subject|participant_id|subject_id", "ageatentry|age_at_entry|age"),
    )
    found: dict[str, list[dict]] = {}
    for row in rows:
        name = _study.first(row, "oasisid", "subject", "participant_id", "subject_id")
        found.setdefault(_study.label(name, "sub-"), []).append(row)
    return found


def _facts(rows: list[dict], day: float) -> dict[str, Any]:
    column = next((c for c in ("ageatentry", "age_at_entry", "age") if rows and c in rows[0]), "")
    entry, note = _study.ages(rows, column)
    age = _study.later(entry, day) if entry == entry else NAN
    if not rows:
        note = "the table of ages does not list the participant"
    sex = _study.sex(_study.agreed(rows, "gender", "sex", "m/f"))
    return {"age": age, "sex": sex, "age_note": note if age != age else ""}


def _failed(given: str | None) -> dict[tuple[str, str], str]:
    """Return the sessions that failed OASIS's check of FreeSurfer, with the status."""
    if not given:
        return {}
    found: dict[tuple[str, str], str] = {}
    try:
        rows = read_rows(given, "fs qc status")
    except Unusable as problem:
        raise ValueError(f"quality: {Path(given).parent}: {problem}") from None
    for row in rows:
        named = next(filter(None, (_SESSION.search(text) for text in row.values())), None)
        status = row["fs qc status"]
        if named and any(word in status.lower() for word in _BAD):
            found[f"sub-{named[1].upper()}", f"ses-{named[2].lower()}"] = status
    return found


METHOD = Dataset(
    version="1",
    title="OASIS-3, as downloaded",
    options=OPTIONS,
    index=index,
    sources=("https://sites.wustl.edu/oasisbrains/", "https://doi.org/10.1101/2019.12.13.19014902"),
    licence="OASIS data use agreement",
)
