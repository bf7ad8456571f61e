"""Kirby 21: two scans each of 21 healthy people within hours, a reference for scan-rescan noise.

The images are ``KKI2009-01-MPRAGE.nii[.gz]`` to ``-42-``; which two of them are of one person only
the table that comes with them says (one row per scan: the scan's number, the person's id, age and
sex).  Scans of one person become ``ses-1`` and ``ses-2``: with ``rescan_sessions: [ses-2]`` and
``sessions_measured: 1`` the second serves as the rescan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench.contracts import Dataset, Option
from refacebench.datasets import _study
from refacebench.datasets._study import Scan

OPTIONS = {
    **_study.OPTIONS,
    "table": Option(
        None,
        "The table of scans as CSV or TSV; none for one called *KKI2009*.csv or *Kirby*.csv in the "
        "folder or beside it.",
        kind=str,
    ),
}
_IMAGE = re.compile(r"KKI2009-(\d{1,2})-MPRAGE\.nii(\.gz)?", re.IGNORECASE)
_SCAN = re.compile(r"(?:KKI2009-)?0*(\d{1,2})(?:\.0)?", re.IGNORECASE)
_WHAT = "KKI2009-*-MPRAGE.nii[.gz]"
_SUBJECT = ("subject_id", "subject id", "subject", "subjectid", "participant_id", "id")
_NUMBER = ("scan", "scan_id", "scan id", "kki2009", "kki2009_id", "mprage", "visit_id", "visit id",
           "file")  # fmt: skip
_VISIT = ("session", "session_id", "visit_number", "visit", "scan_order")


def index(options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """List the scans of Kirby 21; see :class:`refacebench.contracts.Dataset`.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder or the table of scans is missing or is another one.
    """
    root = _study.folder(options, _WHAT)
    images = [
        (int(match[1]), root.joinpath(*place, name))
        for place, name in _study.files(root, deepest=3)
        if (match := _IMAGE.fullmatch(name))
    ]
    if not images:
        raise FileNotFoundError(f"{root} holds no {_WHAT}; is it the folder of Kirby 21?")
    table = _scan_table(root, options["table"])
    found, seen = [], set()
    for number, path in sorted(images):
        row = table.get(number)
        reason = _study.fault(path)
        if row is None:
            reason = reason or "the table does not say whose scan it is"
        who = row["participant"] if row else f"sub-KKI{number:02d}"
        when = row["session"] if row else ""
        seen.add(number)
        found.append(Scan(who, when, str(path), "", reason, facts=row["facts"] if row else {}))
    found += [
        Scan(row["participant"], row["session"], "", "", f"no KKI2009-{number:02d}-MPRAGE image",
             facts=row["facts"])
        for number, row in table.items()
        if number not in seen
    ]  # fmt: skip
    return _study.listed(found, options)


def _scan_table(root: Path, given: str | None) -> dict[int, dict[str, Any]]:
    """Return whose each scan is, by its number; sessions in the order of the table's visits."""
    rows = _study.table(
        root,
        given,
        ("*KKI2009*.csv", "*KKI2009*.tsv", "*irby*.csv", "*irby*.tsv"),
        ("|".join(_SUBJECT), "|".join(_NUMBER)),
    )
    people: dict[str, list[tuple[str, int, dict]]] = {}
    for row in rows:
        match = _SCAN.match(_study.first(row, *_NUMBER))
        name = _study.first(row, *_SUBJECT)
        if match and name:
            order = _study.first(row, *(c for c in _VISIT if c not in _NUMBER))
            people.setdefault(_study.label(name, "sub-"), []).append((order, int(match[1]), row))
    found: dict[int, dict[str, Any]] = {}
    for who, scans in people.items():
        age, note = _study.ages([row for _, _, row in scans], "age")
        sex = _study.sex(_study.agreed([row for _, _, row in scans], "sex", "gender"))
        facts = {"age": age, "age_note": note, "sex": sex}
        # A row that stands twice in the table is one scan all the same.
        numbers = dict.fromkeys(number for _, number, _ in sorted(scans, key=lambda s: s[:2]))
        for place, number in enumerate(numbers, start=1):
            found[number] = {"participant": who, "session": f"ses-{place}", "facts": facts}
    if not found:
        raise ValueError(
            "table: no row names a scan (KKI2009-01 or 1) and a person; columns are "
            f"{', '.join(rows[0]) if rows else 'missing'}"
        )
    return found


METHOD = Dataset(
    version="1",
    title="Kirby 21, scan and rescan",
    options=OPTIONS,
    index=index,
    sources=("https://doi.org/10.1016/j.neuroimage.2010.11.047",),
    licence="open, see https://www.nitrc.org/projects/multimodal",
)
