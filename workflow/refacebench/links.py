"""A BIDS folder of links to the scans of any data set, for other software.  Copies no image."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import bids, files, manifest
from refacebench.vocabulary import OK

#: What names of folders of links hold: by it they are known again.
_MARK = "links to the"
_ABOUT = "dataset_description.json"
_README = """Links to the images of another folder, made by the Refacing benchmark.

They are the originals: they show faces. Do not share this folder. Keep other files elsewhere:
the next `refacebench link` takes away what is not in the data any more.
"""


def write(scans: pd.DataFrame, out: str | Path, name: str) -> int:
    """Make a BIDS folder of links to the usable scans and their companions.

    Links are relative, so that a folder can be moved with the data set in it.  In a folder of
    links that is there already, those that are no longer wanted are taken away.

    Parameters
    ----------
    scans : pandas.DataFrame
        Of a data set's ``index``.
    out : str or Path
        New, empty, or a folder that this has made.
    name : str
        Of the data set, for ``dataset_description.json``.

    Returns
    -------
    int
        Number of images that are linked.

    Raises
    ------
    FileExistsError
        If the folder holds anything else.
    """
    out = Path(out)
    _check(out)
    about = {"Name": f"{name}: {_MARK} images", "BIDSVersion": "1.10.0"}
    files.write_text(json.dumps(about) + "\n", out / _ABOUT)
    files.write_text(_README, out / "README")
    rows = scans[scans["status"] == OK].to_dict("records")
    wanted = {}
    for row in rows:
        home = out / bids.folder(row["scan"])
        wanted[home / f"{row['scan']}_T1w{_ending(row['path'])}"] = row["path"]
        for one in manifest.companions(row):
            if not one["reason"]:
                wanted[home / f"{one['name']}{_ending(one['path'])}"] = one["path"]
    _clear(out, set(wanted))
    for place, path in wanted.items():
        _link(path, place)
    _write_tables(rows, out)
    return len(wanted)


def _check(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    told: Any = files.read_json(out / _ABOUT) or {}
    if _MARK not in str(told.get("Name", "")):
        raise FileExistsError(f"{out} is not empty and no folder of links; name a new folder")


def _clear(out: Path, wanted: set[Path]) -> None:
    """Take away links and tables of people and sessions that are wanted no more."""
    for folder in sorted(out.glob("sub-*")):
        for path in sorted(folder.rglob("*"), reverse=True):
            stale = path.is_symlink() and path not in wanted
            if stale or path.name == f"{folder.name}_sessions.tsv":
                path.unlink()
            elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
        if not any(folder.iterdir()):
            folder.rmdir()


def _write_tables(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    people: dict[str, str] = {}
    sessions: dict[str, dict[str, str]] = {}
    for row in rows:
        who, session = row["participant"], row["session"]
        people.setdefault(who, _line(who, row["age"], row["sex"], row["site"]))
        if session:
            sessions.setdefault(who, {}).setdefault(session, _line(session, row["age"]))
    text = "\n".join([_line("participant_id", "age", "sex", "site"), *people.values()])
    files.write_text(text + "\n", out / "participants.tsv")
    for who, lines in sessions.items():
        text = "\n".join([_line("session_id", "age"), *lines.values()])
        files.write_text(text + "\n", out / who / f"{who}_sessions.tsv")


def _ending(path: str) -> str:
    return ".nii.gz" if path.endswith(".gz") else ".nii"


def _link(path: str, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(os.path.abspath(path), os.path.realpath(link.parent))
    if link.is_symlink() and os.readlink(link) != target:
        link.unlink()
    if link.is_symlink():
        return
    if link.exists():
        raise FileExistsError(f"{link} is an image of its own, no link; name a new folder")
    os.symlink(target, link)


def _line(*cells) -> str:
    return "\t".join(_cell(cell) for cell in cells)


def _cell(value) -> str:
    if isinstance(value, float):
        return f"{value:g}" if value == value else "n/a"
    return str(value or "n/a")
