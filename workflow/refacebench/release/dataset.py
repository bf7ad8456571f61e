"""Write the data set: images under their own names, sidecars, tables, and what was done.

Everything goes into a new folder beside the wanted one, which gets its name at the very end: a
command that was stopped leaves no half data set that looks whole.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from refacebench import __version__, bids, files, tables
from refacebench.image import nifti
from refacebench.metrics.brain import stripped
from refacebench.release import columns, sidecars
from refacebench.release.scans import LeftOut, Released, session_of

BIDS_VERSION = "1.10.0"
#: What becomes of images of other kinds, whose faces nobody took.
OTHERS = ("leave", "link", "copy")
#: Columns that together may point to one person.
TELLING = ("age", "sex", "gender", "site", "handedness")
#: How a sidecar says who wrote the code that took the face.
ENGINES = {"native": "native code, not a released program", "official": "released program"}


@dataclass(frozen=True)
class Wishes:
    """What the user wants of the data set.

    Attributes
    ----------
    name : str
        Of the data set.
    variant : str
    keep, drop : collection of str
        Columns of tables that are kept, or left out, whatever the rule says.
    others : str
        One of :data:`OTHERS`.
    pseudonyms : bool
        Whether labels are pseudonyms, for the README.
    rename : callable
        Participant and session to the labels that they get.
    """

    name: str
    variant: str
    keep: Collection[str] = ()
    drop: Collection[str] = ()
    others: str = "leave"
    pseudonyms: bool = False
    rename: Callable[[str, str], tuple[str, str]] = lambda participant, session: (
        participant,
        session,
    )


@dataclass
class Written:
    """What was written: for the user, and for the data set's README."""

    images: int = 0
    participants: int = 0
    other_files: int = 0
    alone: int = 0
    columns_left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def write(
    images: Sequence[Released], left_out: Sequence[LeftOut], out: Path, wishes: Wishes
) -> Written:
    """Write the data set.

    Parameters
    ----------
    images : sequence of Released
        At least one.  All of one data set.
    left_out : sequence of LeftOut
        For the README's count.
    out : pathlib.Path
        A folder that does not exist yet, or is empty.

    Raises
    ------
    ValueError
        If two images would get one name.
    """
    part = out.with_name(f".{out.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        written = _fill(images, left_out, part, wishes)
        if out.exists():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return written


def _fill(
    images: Sequence[Released], left_out: Sequence[LeftOut], out: Path, wishes: Wishes
) -> Written:
    root = images[0].root
    written = Written(images=len(images))
    for number, image in enumerate(images, 1):
        place = out / renamed(image.within, wishes)
        place = place.with_name(re.sub(r"\.nii$", ".nii.gz", place.name))
        if place.exists():
            raise ValueError(f"two images would be named {place.relative_to(out)}")
        print(f"export {number}/{len(images)} {place.name}", flush=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.made, place)
        files.write_text(_json(_sidecar(image, wishes)), bids.sidecar_path(place))
    _inherited(images, root, out, wishes)
    if wishes.others != "leave":
        written.other_files = _other_files(images, root, out, wishes)
    written.participants = len({image.within.parts[0] for image in images})
    _people(images, root, out, wishes, written)
    _describe(root, out, wishes, written, left_out)
    return written


def renamed(within: Path, wishes: Wishes) -> Path:
    """Return a place in the data set with participant and session as they are to be called."""
    return Path(_relabelled(within.as_posix(), _changes(within, wishes)))


def _relabelled(value: Any, changes: Sequence[tuple[str, str]]) -> Any:
    """Return a text, or what is nested in it, with other labels of participant and session."""
    if isinstance(value, Mapping):
        return {key: _relabelled(part, changes) for key, part in value.items()}
    if isinstance(value, list):
        return [_relabelled(part, changes) for part in value]
    if isinstance(value, str):
        for old, new in changes:
            if old:
                value = re.sub(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])", new, value)
    return value


def _changes(within: Path, wishes: Wishes) -> list[tuple[str, str]]:
    """Return what a file's participant and session were called, and are."""
    own = within.parts[0], session_of(within)
    return list(zip(own, wishes.rename(*own), strict=True))


def numbered_sessions(
    images: Sequence[Released], always: bool = False
) -> dict[tuple[str, str], str]:
    """Return new labels of sessions where some are named by dates: ``ses-1``, ``ses-2``...

    Parameters
    ----------
    always : bool
        Number them whatever they are called.

    Returns
    -------
    dict of (str, str) to str
        By participant and session; empty where no label is a date.
    """
    found: dict[str, set[str]] = {}
    for image in images:
        found.setdefault(image.within.parts[0], set()).update({image.session} - {""})
    labels = {session.removeprefix("ses-") for sessions in found.values() for session in sessions}
    if not always and not any(map(columns.is_date, labels)):
        return {}
    return {
        (participant, session): f"ses-{number}"
        for participant, sessions in found.items()
        for number, session in enumerate(bids.in_order(dict.fromkeys(sessions, math.nan)), 1)
    }


# sidecars -----------------------------------------------------------------------------------


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _sidecar(image: Released, wishes: Wishes) -> dict[str, Any]:
    own = files.read_json(bids.sidecar_path(image.source)) or {}
    own = _relabelled(own, _changes(image.within, wishes))
    return sidecars.of_image(own, _method(image, wishes), _is_stripped(image))


def _method(image: Released, wishes: Wishes) -> str:
    row = image.row
    how = ENGINES.get(str(row["engine"]), str(row["engine"]))
    return f"{wishes.variant} (version {row['version']}, {how}), by refacebench {__version__}"


def _is_stripped(image: Released) -> bool:
    """Tell whether nothing but the brain is left; of a companion, in its T1w scan."""
    masks = [Path(str(image.row.get(name) or "-")) for name in ("brain_path", "head_path")]
    if not all(path.is_file() for path in masks):
        return False
    data = nifti.read(image.made).data
    brain, head = (nifti.read(path).data > 0.5 for path in masks)
    if brain.shape != data.shape or head.shape != data.shape:
        return False
    return stripped(data, brain, head)


def _inherited(images: Sequence[Released], root: Path, out: Path, wishes: Wishes) -> None:
    """Copy sidecars that hold for several images: those above the images' own folders."""
    suffixes = {bids.split_suffix(re.sub(r"\.nii(\.gz)?$", "", i.source.name))[1] for i in images}
    folders = {root} | {root / i.within.parts[0] for i in images}
    folders |= {root / i.within.parent.parent for i in images}
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        if bids.split_suffix(path.stem)[1] in suffixes:
            within = path.relative_to(root)
            place = out / (renamed(within, wishes) if len(within.parts) > 1 else within)
            files.write_text(_json(sidecars.clean(files.read_json(path) or {})), place)


# other files --------------------------------------------------------------------------------


def _other_files(images: Sequence[Released], root: Path, out: Path, wishes: Wishes) -> int:
    """Link or copy files of other kinds (func, dwi...), never another one of ``anat``."""
    count = 0
    sessions = sorted({image.within.parent.parent for image in images})
    for folder in sessions:
        for kind in sorted(path for path in (root / folder).iterdir() if path.is_dir()):
            if kind.name == "anat" or kind.name.startswith(("ses-", ".")):
                continue
            for path in sorted(path for path in kind.rglob("*") if path.is_file()):
                place = out / renamed(path.relative_to(root), wishes)
                place.parent.mkdir(parents=True, exist_ok=True)
                if path.suffix == ".json":
                    within = path.relative_to(root)
                    document = _relabelled(files.read_json(path) or {}, _changes(within, wishes))
                    files.write_text(_json(sidecars.clean(document)), place)
                elif wishes.others == "link":
                    place.symlink_to(path.resolve())
                else:
                    shutil.copyfile(path, place)
                count += 1
    return count


# tables -------------------------------------------------------------------------------------


def _people(
    images: Sequence[Released], root: Path, out: Path, wishes: Wishes, written: Written
) -> None:
    """Write participants.tsv and each participant's sessions, for those who are there."""
    subjects = list(dict.fromkeys(image.within.parts[0] for image in images))
    rows = _rows(root / "participants.tsv", "participant_id", written)
    by_label = {tables.prefixed(row["participant_id"], "sub-"): row for row in rows}
    present = [
        {**by_label.get(subject, {}), "participant_id": wishes.rename(subject, "")[0]}
        for subject in subjects
    ]
    present.sort(key=lambda row: row["participant_id"])
    cleaned = _table(present, "participant_id", out / "participants.tsv", wishes, written)
    _columns_json(root / "participants.json", cleaned, out / "participants.json")
    telling = [name for name in TELLING if name in cleaned[0]]
    written.alone = columns.alone(cleaned, telling) if telling else 0
    sessions: dict[str, set[str]] = {subject: set() for subject in subjects}
    for image in images:
        sessions[image.within.parts[0]].add(image.session)
    for subject, there in sessions.items():
        _sessions(subject, there, root, out, wishes, written)


def _sessions(
    subject: str, there: set[str], root: Path, out: Path, wishes: Wishes, written: Written
) -> None:
    """Write one participant's sessions, of those that are there."""
    rows = _rows(root / subject / f"{subject}_sessions.tsv", "session_id", written)
    rows = [row | {"session_id": tables.prefixed(row["session_id"], "ses-")} for row in rows]
    rows = [
        row | {"session_id": wishes.rename(subject, row["session_id"])[1]}
        for row in rows
        if row["session_id"] in there
    ]
    if rows:
        label = wishes.rename(subject, "")[0]
        place = out / label / f"{label}_sessions.tsv"
        cleaned = _table(rows, "session_id", place, wishes, written)
        _columns_json(root / "sessions.json", cleaned, out / "sessions.json")


def _rows(path: Path, key: str, written: Written) -> list[dict[str, str]]:
    """Read a table; one that is not there, or cannot be read, has no rows."""
    if not path.exists():
        return []
    try:
        return tables.read_rows(path, key)
    except tables.Unusable as reason:
        note = f"{reason}: nothing of it is in the data set"
        if note not in written.notes:
            written.notes.append(note)
        return []


def _table(
    rows: list[dict[str, str]], key: str, out: Path, wishes: Wishes, written: Written
) -> list[dict[str, str]]:
    cleaned, left_out = columns.clean(rows, key, wishes.keep, wishes.drop)
    names = list(cleaned[0])
    lines = ["\t".join(names), *("\t".join(row[name] for name in names) for row in cleaned)]
    files.write_text("\n".join(lines) + "\n", out)
    written.columns_left_out |= {
        f"column {name} ({key.removesuffix('_id')}s)": why for name, why in left_out.items()
    }
    return cleaned


def _columns_json(source: Path, rows: Sequence[Mapping[str, str]], out: Path) -> None:
    """Write what a table's columns mean: what the user's file says of those that are left."""
    told = {name.lower(): text for name, text in (files.read_json(source) or {}).items()}
    meanings = {
        name: told[name]
        if isinstance(told.get(name), dict)
        else {"Description": f"{name}, as it was"}
        for name in list(rows[0])[1:]
    }
    for name in meanings:
        if columns.is_age(name):
            entry = dict(meanings.get(name, {"Description": "Age", "Units": "year"}))
            entry["Description"] = (
                f"{entry.get('Description', 'Age')} (ages above 89 are given as 89)"
            )
            meanings[name] = entry
    if meanings:
        files.write_text(_json(sidecars.clean(meanings)), out)


# what was done ------------------------------------------------------------------------------


def _describe(
    root: Path, out: Path, wishes: Wishes, written: Written, left_out: Sequence[LeftOut]
) -> None:
    given = files.read_json(root / "dataset_description.json") or {}
    document = {"Name": wishes.name, "BIDSVersion": BIDS_VERSION, **sidecars.clean(given)}
    document["Name"] = f"{document['Name']} (faces removed)"
    document["DatasetType"] = "raw"
    made = {
        "Name": "refacebench",
        "Version": __version__,
        "Description": f"faces: {wishes.variant}",
    }
    earlier = given.get("GeneratedBy")
    # An entry that says no more than the new one (a cohort that this software grew) stands once.
    kept = [e for e in (earlier if isinstance(earlier, list) else []) if not _says(made, e)]
    document["GeneratedBy"] = [*kept, made]
    files.write_text(_json(document), out / "dataset_description.json")
    today = date.today().isoformat()
    entry = f"1.0.0 {today}\n  - Faces removed from all images of anat/ with {wishes.variant}.\n"
    files.write_text(entry + _text(root / "CHANGES", "\n"), out / "CHANGES")
    files.write_text(readme(wishes, written, len(left_out)), out / "README")
    ignored = root / ".bidsignore"
    if ignored.is_file():
        shutil.copyfile(ignored, out / ".bidsignore")


def _says(entry: Mapping, other: object) -> bool:
    """Tell whether an entry of ``GeneratedBy`` says all that another one does."""
    return isinstance(other, Mapping) and other.items() <= entry.items()


def _text(path: Path, before: str = "") -> str:
    return before + path.read_text(errors="replace") if path.is_file() else ""


def readme(wishes: Wishes, written: Written, left_out: int) -> str:
    """Return the data set's README."""
    lines = [
        f"# {wishes.name}, faces removed",
        "",
        f"{written.images} images of {written.participants} participants. The faces in all images "
        f"of anat/ were removed with {wishes.variant} (refacebench {__version__}); each image's "
        "JSON file says how (DeidentificationMethod).",
        "",
        f"{left_out} further images of the original data set are not here: they could not be used, "
        "did not pass the check of face or brain, or were not processed.",
        "",
        "What was changed besides:",
        "",
        *(["- Participants have pseudonyms."] if wishes.pseudonyms else []),
        "- Image headers keep the grid and how numbers are stored, and nothing else.",
        "- JSON files keep all but names, dates, comments and numbers that lead to an archive.",
        "- Ages above 89 are given as 89. Times and dates are left out, and there are no "
        "*_scans.tsv files.",
    ]
    lines += [f"- Left out: {name}: {why}." for name, why in written.columns_left_out.items()]
    if wishes.others != "leave":
        lines.append(
            f"- {written.other_files} files of other kinds than anat are as they were: no face was "
            "removed from them."
        )
    lines += [
        "",
        "A missing face makes it hard to recognise a person, not impossible. Do not try to "
        "identify anyone in these data.",
        "",
    ]
    return "\n".join(lines)
