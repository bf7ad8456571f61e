"""A BIDS folder of links to the scans of any data set, for other software.  Copies no image."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd

from refacebench import bids, files, manifest
from refacebench.vocabulary import OK

_PERSON = ("participant_id", "age", "sex", "site")


def write(scans: pd.DataFrame, out: str | Path, name: str) -> int:
    """Make a BIDS folder of links to the usable scans and their companions.

    Links are relative, so that a folder can be moved with the data set in it.  What is there
    already stays, and a link whose image has another place now is made anew.

    Parameters
    ----------
    scans : pandas.DataFrame
        Of a data set's ``index``.
    out : str or Path
    name : str
        Of the data set, for ``dataset_description.json``.

    Returns
    -------
    int
        Number of images that are linked.

    Raises
    ------
    FileExistsError
        If something that is no link is in the way.
    """
    out, made = Path(out), 0
    rows = scans[scans["status"] == OK].to_dict("records")
    for row in rows:
        _link(row["path"], out / bids.folder(row["scan"]) / f"{row['scan']}_T1w")
        companions = [one for one in manifest.companions(row) if not one["reason"]]
        for one in companions:
            _link(one["path"], out / bids.folder(row["scan"]) / one["name"])
        made += 1 + len(companions)
    first = {row["participant"]: row for row in reversed(rows)}
    people = [_line(row["participant"], row["age"], row["sex"], row["site"]) for row in rows
              if first[row["participant"]] is row]  # fmt: skip
    files.write_text("\n".join(["\t".join(_PERSON), *people]) + "\n", out / "participants.tsv")
    sessions: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["session"]:
            mine = sessions.setdefault(row["participant"], {})
            mine.setdefault(row["session"], _line(row["session"], row["age"]))
    for who, lines in sessions.items():
        text = "\n".join(["session_id\tage", *lines.values()]) + "\n"
        files.write_text(text, out / who / f"{who}_sessions.tsv")
    about = {"Name": f"{name}: links to the images", "BIDSVersion": "1.10.0"}
    files.write_text(json.dumps(about) + "\n", out / "dataset_description.json")
    return made


def _link(path: str, place: Path) -> None:
    ending = ".nii.gz" if path.endswith(".gz") else ".nii"
    link = place.with_name(place.name + ending)
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(os.path.abspath(path), os.path.realpath(link.parent))
    if link.is_symlink() and os.readlink(link) != target:
        link.unlink()
    if link.is_symlink():
        return
    if link.exists():
        raise FileExistsError(f"{link} is an image of its own, no link; name another folder")
    os.symlink(target, link)


def _line(*cells) -> str:
    return "\t".join(_cell(cell) for cell in cells)


def _cell(value) -> str:
    if isinstance(value, float):
        return f"{value:g}" if value == value else "n/a"
    return str(value or "n/a")
