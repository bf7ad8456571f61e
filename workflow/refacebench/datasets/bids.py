"""Datasets that exist: any BIDS folder with T1w images and a participants.tsv.

Only T1w images are scans, which are defaced and measured.  With the option
``carry`` the other images of a session are its *companions*: they take no part
in any measurement, but each defacer's mask of changed voxels is carried over to
them (:mod:`refacebench.carry`).

Reads folder names and one table; opens no image and writes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from .. import names
from ..manifest import EXCLUDED, OK

VERSION = "1"
#: path: the folder; carry: BIDS suffixes of further images of a session that the masks of its
#: first T1w scan are carried over to, for example [T2w, FLAIR]; with T1w among them later T1w
#: images of a session are such companions and no scans of their own; carry_margin_mm: by how much
#: a carried mask grows, to cover what the alignment leaves (the brain stays protected).
OPTIONS = {"path": None, "carry": [], "carry_margin_mm": 1.0}
SYNTHETIC = False

_T1W = re.compile(r"_T1w\.nii(\.gz)?$")
#: No person is older; what says so is no age in years.
OLDEST = 130.0


def index(options: dict, seed: int) -> pd.DataFrame:
    """List the T1w scans of a BIDS folder; see the contract in ``datasets``.

    A participant without any T1w image, or one that only participants.tsv
    knows, becomes a row with status ``excluded``.  With ``carry`` the table has
    a column ``companions``: JSON, a list of :func:`companions_of`, filled for the
    first T1w scan of each session and empty for others.

    Raises
    ------
    FileNotFoundError
        If the folder is missing or holds no ``sub-*`` folder.
    ValueError
        If ``carry`` is no list of BIDS suffixes, or the margin is negative.
    """
    carry = _suffixes(options)
    root = Path(options["path"] or "")
    if not options["path"] or not root.is_dir():
        raise FileNotFoundError(f"no folder '{options['path']}' (key 'path' of the dataset)")
    people = read_participants(root)
    rows = []
    for subject in _folders(root, "sub-"):
        rows += _scans_of(root, subject, carry) or [
            _without_scan(subject, "no T1w image in its folder")
        ]
    if not rows:
        raise FileNotFoundError(f"{root} holds no sub-* folder, so it is no BIDS folder")
    for missing in sorted(set(people) - {row["participant"] for row in rows}):
        rows.append(_without_scan(missing, "in participants.tsv but has no folder"))
    unknown = {"age": float("nan"), "sex": "", "site": ""}
    table = pd.DataFrame([{**row, **people.get(row["participant"], unknown)} for row in rows])
    if carry:
        table["companions"] = table["companions"].fillna("[]") if "companions" in table else "[]"
    return table.sort_values("scan", kind="stable", ignore_index=True)


def _suffixes(options: Mapping) -> list[str]:
    """Return the suffixes of the option ``carry``, checked."""
    carry = options.get("carry") or []
    if not isinstance(carry, list) or not all(
        isinstance(suffix, str) and re.fullmatch(r"[A-Za-z0-9]+", suffix) for suffix in carry
    ):
        raise ValueError(f"carry: {carry!r} is no list of BIDS suffixes such as [T2w, FLAIR]")
    margin = options.get("carry_margin_mm", 0.0)
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not margin >= 0:
        raise ValueError(f"carry_margin_mm: {margin!r} is no number of millimetres")
    return list(dict.fromkeys(carry))


def _folders(parent: str | Path, prefix: str) -> list[str]:
    with os.scandir(parent) as entries:
        return sorted(e.name for e in entries if e.name.startswith(prefix) and e.is_dir())


def _scans_of(root: Path, subject: str, carry: list[str]) -> list[dict]:
    """Return the rows of one subject; sessions are optional in BIDS."""
    home = os.path.join(root, subject)
    rows = []
    for session in _folders(home, "ses-") or [""]:
        anat = os.path.join(home, session, "anat") if session else os.path.join(home, "anat")
        if not os.path.isdir(anat):
            continue
        files = sorted(os.listdir(anat))
        scans = [
            {
                "participant": subject,
                "session": session,
                "scan": names.scan_id(file),
                "path": os.path.join(anat, file),
                "status": OK,
                "reason": "",
            }
            for file in files
            if _T1W.search(file)
        ]
        rows += _with_companions(_mark_twins(scans), subject, session, anat, files, carry)
    return rows


def _with_companions(rows, subject, session, anat, files, carry) -> list[dict]:
    """Give the first usable scan of a session its companions; see ``OPTIONS``."""
    if not carry:
        return rows
    usable = [row for row in rows if row["status"] == OK]
    found = companions_of(usable[0]["scan"] if usable else "", anat, files, carry)
    if usable:
        usable[0]["companions"] = json.dumps(found)
        for row in usable[1:]:
            if "T1w" in carry:
                lead = usable[0]["scan"]
                row |= {"status": EXCLUDED, "reason": f"carried along with {lead} (carry: T1w)"}
        return rows
    # Without a T1w scan there is no mask: its images must not vanish without a word.
    left = [f"{c['name']} (no T1w scan to carry it along with)" for c in found if c["path"]]
    if left and not rows:
        scan = "_".join(part for part in (subject, session) if part)
        reason = "no T1w image in the session; not de-identified: " + ", ".join(left)
        return [{**_without_scan(subject, reason), "session": session, "scan": scan}]
    return rows


def companions_of(lead: str, anat: str, files: list[str], carry: list[str]) -> list[dict]:
    """List the images of a session that the masks of its first T1w scan are carried over to.

    Parameters
    ----------
    lead : str
        The T1w scan's id; empty if there is none.
    anat : str
        The session's folder.
    files : list of str
        The names in it, sorted.
    carry : list of str
        BIDS suffixes.

    Returns
    -------
    list of dict
        ``contrast`` (the suffix), ``name`` (the file's stem), ``path`` (empty if
        there is no usable one) and ``reason`` (why not).  A contrast that the
        session lacks is an entry too, except further T1w images.
    """
    found = []
    for contrast in carry:
        ending = re.compile(rf"_{contrast}\.nii(\.gz)?$")
        stems: dict[str, list[str]] = {}
        for file in files:
            if ending.search(file) and names.scan_id(file) != lead:
                stems.setdefault(re.sub(r"\.nii(\.gz)?$", "", file), []).append(file)
        for stem, same in stems.items():
            entry = {"contrast": contrast, "name": stem, "path": os.path.join(anat, same[0])}
            reason = "it exists both as .nii and as .nii.gz; keep one" if len(same) > 1 else ""
            found.append({**entry, "path": "" if reason else entry["path"], "reason": reason})
        if not stems and contrast != "T1w":
            name = f"{lead}_{contrast}"
            reason = f"no {contrast} image in the session"
            found.append({"contrast": contrast, "name": name, "path": "", "reason": reason})
    return found


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

    A number below 0 or above :data:`OLDEST` is none.

    >>> parse_age("34.5"), parse_age("89+"), parse_age("n/a"), parse_age("1e999")
    (34.5, 89.0, nan, nan)
    """
    try:
        age = float(text.strip().rstrip("+"))
    except ValueError:
        return float("nan")
    return age if 0 <= age <= OLDEST else float("nan")
