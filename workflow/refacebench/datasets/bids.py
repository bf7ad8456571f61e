"""Datasets that exist: any BIDS folder with T1w images and a participants.tsv.

Reads folder names and one table; opens no image and writes nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd

from .. import names
from ..manifest import EXCLUDED, OK

VERSION = "1"
OPTIONS = {"path": None}
SYNTHETIC = False

_T1W = re.compile(r"_T1w\.nii(\.gz)?$")
_NO_AGE = {"", "n/a", "na", "nan", "none"}


def index(options: dict, seed: int) -> pd.DataFrame:
    """List the T1w scans of a BIDS folder; see the contract in ``datasets``.

    A participant without any T1w image, or one that only participants.tsv
    knows, becomes a row with status ``excluded``.

    Raises
    ------
    FileNotFoundError
        If the folder is missing or holds no ``sub-*`` folder.
    """
    root = Path(options["path"] or "")
    if not options["path"] or not root.is_dir():
        raise FileNotFoundError(f"no folder '{options['path']}' (key 'path' of the dataset)")
    people = read_participants(root)
    rows = []
    for subject in _folders(root, "sub-"):
        rows += _scans_of(root, subject) or [_without_scan(subject, "no T1w image in its folder")]
    if not rows:
        raise FileNotFoundError(f"{root} holds no sub-* folder, so it is no BIDS folder")
    for missing in sorted(set(people) - {row["participant"] for row in rows}):
        rows.append(_without_scan(missing, "in participants.tsv but has no folder"))
    unknown = {"age": float("nan"), "sex": "", "site": ""}
    table = pd.DataFrame([{**row, **people.get(row["participant"], unknown)} for row in rows])
    return table.sort_values("scan", kind="stable", ignore_index=True)


def _folders(parent: str | Path, prefix: str) -> list[str]:
    with os.scandir(parent) as entries:
        return sorted(e.name for e in entries if e.name.startswith(prefix) and e.is_dir())


def _scans_of(root: Path, subject: str) -> list[dict]:
    """Return the rows of one subject; sessions are optional in BIDS."""
    home = os.path.join(root, subject)
    rows = []
    for session in _folders(home, "ses-") or [""]:
        anat = os.path.join(home, session, "anat") if session else os.path.join(home, "anat")
        if not os.path.isdir(anat):
            continue
        for file in sorted(f for f in os.listdir(anat) if _T1W.search(f)):
            rows.append(
                {
                    "participant": subject,
                    "session": session,
                    "scan": names.scan_id(file),
                    "path": os.path.join(anat, file),
                    "status": OK,
                    "reason": "",
                }
            )
    return _mark_twins(rows)


def _mark_twins(rows: list[dict]) -> list[dict]:
    """Give a scan that lies there both as .nii and .nii.gz one row that says so."""
    kept: dict[str, dict] = {}
    for row in rows:
        if row["scan"] in kept:
            kept[row["scan"]] |= {
                "status": EXCLUDED,
                "reason": "the scan exists both as .nii and as .nii.gz; keep one",
            }
        else:
            kept[row["scan"]] = row
    return list(kept.values())


def _without_scan(subject: str, reason: str) -> dict:
    return {
        "participant": subject,
        "session": "",
        "scan": subject,
        "path": "",
        "status": EXCLUDED,
        "reason": reason,
    }


def read_participants(root: str | Path) -> dict[str, dict]:
    """Return age (years, NaN where unknown), sex and site by participant.

    A missing participants.tsv gives an empty dict: the scans still take part,
    but without ages there is no brain age for them.
    """
    path = Path(root) / "participants.tsv"
    if not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if "participant_id" not in table:
        raise ValueError(f"{path} has no column 'participant_id'")
    people = {}
    for row in table.to_dict("records"):
        identity = row["participant_id"].strip()
        identity = identity if identity.startswith("sub-") else f"sub-{identity}"
        people[identity] = {
            "age": parse_age(row.get("age", "")),
            "sex": row.get("sex", "").strip(),
            "site": row.get("site", row.get("scanner", "")).strip(),
        }
    return people


def parse_age(text: str) -> float:
    """Return an age in years, NaN where there is none; ``89+`` counts as 89.

    >>> parse_age("34.5"), parse_age("89+"), parse_age("n/a")
    (34.5, 89.0, nan)
    """
    text = text.strip().lower().rstrip("+")
    try:
        return float("nan") if text in _NO_AGE else float(text)
    except ValueError:
        return float("nan")
