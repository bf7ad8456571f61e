"""Datasets that exist: any BIDS folder with T1w images and a participants.tsv.

Only T1w images are scans, which are defaced and measured.  With the option
``carry`` the other images of a session are its *companions*: they take no part
in any measurement, but each defacer's mask of changed voxels is carried over to
them (:mod:`refacebench.stages.carry`).

A scan's id is made of its folders' participant and session and of the rest of its
file's name (:func:`refacebench.bids.scan_id`), so that no two scans share one.
Whatever looks like a T1w image and cannot be a scan is a row with a reason.

Reads names of files and folders and the data set's tables; opens no image and
writes nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from refacebench import bids, reasons
from refacebench.contracts import Dataset, Option
from refacebench.datasets import _choice, _layout, _records
from refacebench.datasets._layout import Image
from refacebench.tables import NAN, parse_age
from refacebench.vocabulary import EXCLUDED, OK

__all__ = ["index", "parse_age"]

VERSION = "3"
OPTIONS = {
    "path": Option(None, "The folder.", kind=str),
    "carry": Option(
        [],
        "BIDS suffixes of further images of a session, [T2w, FLAIR] for example, that the masks of "
        "its first T1w scan are carried over to; with T1w among them later T1w images of a session "
        "are such companions and no scans of their own.",
        kind=(list, type(None)),
    ),
    "carry_margin_mm": Option(
        1.0,
        "By how much a carried mask grows, to cover what the alignment leaves (the brain stays "
        "protected).",
        unit="mm",
    ),
    "select": Option(
        {},
        "Which T1w images are scans, by entities of their names: {acquisition: mprage, run: 1}. "
        "A label may be a list, [mprage, null] for example; null is an image without the entity. "
        "What is not selected is listed as excluded.",
    ),
    "one_scan_per_session": Option(
        False,
        "Measure one T1w scan of each session, the first by name that can be used; the others are "
        "listed as excluded.",
    ),
}

_SUFFIX = "T1w"


def index(options: dict, seed: int) -> pd.DataFrame:
    """List the T1w scans of a BIDS folder; see :class:`refacebench.contracts.Dataset`.

    A participant without any T1w image, one that only participants.tsv knows, and
    every T1w image that cannot be used becomes a row with status ``excluded``.
    With ``carry`` the table has a column ``companions``: JSON, a list of
    :func:`companions_of`.  All T1w scans of a session have them, for which one is the
    first that can be used shows when the images are opened
    (:mod:`refacebench.run.spares`).

    Raises
    ------
    FileNotFoundError
        If the folder is missing or holds no ``sub-*`` folder.
    ValueError
        If ``carry`` is not a list of BIDS suffixes, the margin is negative, or ``select``
        names no entities.
    """
    wish = _Wish.of(options)
    root = str(options["path"] or "")
    if not root or not os.path.isdir(root):
        raise FileNotFoundError(reasons.NO_FOLDER.format(options["path"]))
    subjects, loose, troubles = _layout.subjects(root)
    if not subjects and not troubles:
        raise FileNotFoundError(f"{root} holds no sub-* folder, so it is not a BIDS folder")
    people = _records.read_people(root, subjects)
    if people.problem:
        print(f"WARNING: {root}: {people.problem}, so no age is known", file=sys.stderr)
    if people.odd:
        said = f"participants.tsv: not understood: {people.odd}"
        print(f"WARNING: {root}: {said}", file=sys.stderr)
    rows = [
        _row(i, f"'{_layout.shown(i.file)}' lies in no folder sub-*")
        for i in loose
        if _layout.is_of(i, _SUFFIX)
    ]
    rows += [_trouble(trouble) for trouble in troubles]
    ignored = _layout.bidsignore(root)
    problems: list[str] = []
    for subject in subjects:
        rows += _Subject(root, subject, wish, ignored, problems).rows(people)
    _say_not_fetched(root, rows)
    if problems:
        said = f"{len(problems)} tables of sessions or scans are not used; the first: {problems[0]}"
        print(f"WARNING: {root}: {said}", file=sys.stderr)
    listed = {row["participant"] for row in rows}
    for name in sorted(people.facts):
        if safe_id(name) not in listed:
            rows.append(_without_scan(name, "in participants.tsv but has no folder"))
    # Usable scans have their ids for certain; what is left out takes one that is free.
    rows.sort(key=lambda row: row["status"] != OK)
    table = pd.DataFrame(_with_own_ids(rows))
    unknown = {"site": "", "sex": "", "age": NAN, "age_note": "", "days": NAN}
    table = table.assign(**{c: d for c, d in unknown.items() if c not in table}).fillna(unknown)
    if "spare" in table:
        table["spare"] = table["spare"].fillna("")
    if wish.carry:
        table["companions"] = table["companions"].fillna("[]") if "companions" in table else "[]"
    return table.drop(columns="place").sort_values("scan", kind="stable", ignore_index=True)


def _say_not_fetched(root: str, rows: list[dict]) -> None:
    """Say in one sentence how to bring the images of a DataLad data set that are only links."""
    links = [row for row in rows if "`datalad get " in row["reason"]]
    if links:
        total = sum(bool(row["path"]) for row in rows)
        print(
            f"WARNING: {root}: {len(links)} of {total} T1w images are only links, as DataLad makes "
            "them: `datalad get sub-*` in that folder brings their content (each excluded row "
            "names its own)",
            file=sys.stderr,
        )


def _suffixes(options: Mapping) -> list[str]:
    """Return the suffixes of the option ``carry``, checked."""
    carry = options.get("carry") or []
    if not isinstance(carry, list) or not all(
        isinstance(suffix, str) and re.fullmatch(r"[A-Za-z0-9]+", suffix) for suffix in carry
    ):
        raise ValueError(f"carry: {carry!r} is not a list of BIDS suffixes such as [T2w, FLAIR]")
    margin = options.get("carry_margin_mm", 0.0)
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not margin >= 0:
        raise ValueError(f"carry_margin_mm: {margin!r} is not a number of millimetres")
    return list(dict.fromkeys(carry))


@dataclass(frozen=True)
class _Wish:
    """What the options ask for, checked."""

    carry: list[str]
    chosen: _choice.Wanted
    one_scan: bool

    @classmethod
    def of(cls, options: Mapping) -> _Wish:
        """Return what options ask for, or raise a ValueError."""
        chosen = _choice.wanted(options.get("select") or {})
        return cls(_suffixes(options), chosen, bool(options.get("one_scan_per_session")))

    @property
    def spare(self) -> str:
        """Why another scan of a session is left out, ``{}`` for the first one's id; or nothing."""
        if _SUFFIX in self.carry:
            return "carried along with {} (carry: T1w)"
        return "the session's scan is {} (one_scan_per_session)" if self.one_scan else ""


@dataclass(frozen=True)
class _Subject:
    """One participant's folder."""

    root: str
    name: str
    wish: _Wish
    ignored: Callable[[str], bool]
    problems: list[str]

    def rows(self, people: _records.People) -> list[dict]:
        """Return the rows of all T1w images, or one that says why there is none."""
        images, troubles, sessions = _layout.below(self.root, self.name)
        folders: dict[tuple[str, ...], list[Image]] = {}
        for image in images:
            folders.setdefault(image.folders, []).append(image)
        # Sessions first: whether a folder beside them is used depends on them.
        rows: list[dict] = []
        for place in sorted(folders, key=lambda f: (_layout.session_of(f) == "", f)):
            in_session = any(row["status"] == OK and row["session"] for row in rows)
            rows += self._folder_rows(place, folders[place], in_session)
        rows += [_trouble(trouble) for trouble in troubles]
        if not rows:
            rows = [_without_scan(self.name, self._nothing(images))]
        return self._with_ages(rows, sessions, people)

    def _nothing(self, images: list[Image]) -> str:
        """Say that there is no T1w image, and what there is."""
        reason = "no T1w image in its folder"
        if any(_layout.is_of(image, "UNIT1") for image in images):
            return f"{reason}, only UNIT1 (of MP2RAGE), whose noise around the head is no air"
        if images:
            others = sorted({_layout.shown(image.stem).rsplit("_", 1)[-1] for image in images})
            return f"{reason}, only {', '.join(others[:4])}{', ...' if others[4:] else ''}"
        if not os.listdir(os.path.join(self.root, self.name)):
            reason += ", which is empty (a DataLad subdataset that is not installed?)"
        return reason

    def _folder_rows(self, place, images: list[Image], in_session: bool) -> list[dict]:
        """Return the rows of one folder's T1w images; the first usable one has companions."""
        found = [(i, self._fault(i)) for i in images if _layout.is_of(i, _SUFFIX)]
        if in_session and not _layout.session_of(place):
            # It may be a copy of a session's scan: as a session of its own it would be
            # recognised by itself, and what session's age is it?
            beside = "it lies beside folders ses-* with T1w images: which session is it of?"
            found = [(image, reason or beside) for image, reason in found]
        scans = _one_id_one_scan(found)
        rows = [_row(image, reason, self.root) for image, reason in scans]
        if place[-1] != "anat":
            return rows
        usable = [row for row in rows if row["status"] == OK]
        if len(usable) > 1 and self.wish.spare:
            for row in usable:
                row["spare"] = self.wish.spare
        if not self.wish.carry:
            return rows
        for row, (image, _) in zip(rows, scans, strict=True):
            if row["status"] == OK:
                row["companions"] = json.dumps(self._companions(image, images))
        return rows if usable else _lost(rows, scans, place, self._companions(None, images))

    def _fault(self, image: Image) -> str:
        fault = _layout.fault(image, _SUFFIX, self.root, self.ignored)
        return fault or _choice.unwanted(image, self.wish.chosen)

    def _companions(self, lead: Image | None, images: list[Image]) -> list[dict]:
        others = [image for image in images if image != lead]
        return companions_of(lead, others, self.wish.carry, self.root)

    def _with_ages(self, rows, sessions: list[str], people: _records.People) -> list[dict]:
        """Add site, sex, and each session's age and day."""
        facts = people.of(self.name)
        own = people.session_ages.get(self.name, {})
        files: dict[str, list[str]] = {session: [] for session in sessions}
        for row in rows:
            if row["session"] in files and row["path"]:
                files[row["session"]].append(os.path.basename(row["path"]))
        visits = _records.read_visits(self.root, self.name, files, self.problems) if files else {}
        days = {session: visit.day for session, visit in visits.items()}
        told = {session: own.get(session, visit.age) for session, visit in visits.items()}
        ages = _records.session_ages(told, days, facts["age"])
        start = min((day for day in days.values() if not math.isnan(day)), default=NAN)
        for row in rows:
            # A scan outside the sessions is the participant's only one.
            age, note = ages.get(row["session"], (facts["age"], ""))
            row |= {"site": facts["site"], "sex": facts["sex"], "age": age}
            row |= {"age_note": note or facts["note"] if math.isnan(age) else ""}
            row |= {"days": days.get(row["session"], NAN) - start}
        return rows


def _one_id_one_scan(found: list[tuple[Image, str]]) -> list[tuple[Image, str]]:
    """Leave out images that would get one id; an image in two formats stays one entry."""
    same: dict[str, list[Image]] = {}
    for image, reason in found:
        if not reason:
            same.setdefault(_layout.name_of(image), []).append(image)
    kept, pairs = [], set()
    for image, reason in found:
        others = [] if reason else same[_layout.name_of(image)]
        stems = {other.stem for other in others}
        if len(others) > 1 and len(stems) == 1:
            if image != others[0]:
                continue
            reason = "the image exists both as .nii and as .nii.gz; keep one"
        elif len(others) > 1:
            places = " and ".join(other.place for other in others)
            reason = f"{places} would get the same id; rename one"
        elif image.ending.lower().startswith(("hdr", "img")):
            if image.stem in pairs:
                continue  # the other half of a pair
            pairs.add(image.stem)
        kept.append((image, reason))
    return kept


def _lost(rows, scans, place, found: list[dict]) -> list[dict]:
    """Say which images of a session without a usable T1w scan keep their faces."""
    # Without a T1w scan there is no mask: its images must not vanish without a word.
    seen = {_layout.name_of(image) for image, _ in scans}
    left = [c["name"] for c in found if c["path"] and c["name"] not in seen]
    if not left:
        return rows
    lost = "not de-identified: " + ", ".join(
        f"{name} (no T1w scan to carry it along with)" for name in left
    )
    if rows:
        rows[0]["reason"] += f"; {lost}"
        return rows
    session = _layout.session_of(place)
    return [_without_scan(place[0], f"no T1w image in the session; {lost}", session)]


def companions_of(
    lead: Image | None, images: Iterable[Image], carry: list[str], root: str
) -> list[dict]:
    """List the images of a session that the masks of its first T1w scan are carried over to.

    Parameters
    ----------
    lead : Image or None
        The T1w scan, if there is a usable one.
    images : iterable of Image
        The others of its folder, in order.
    carry : list of str
        BIDS suffixes.
    root : str
        The data set's folder.

    Returns
    -------
    list of dict
        ``contrast`` (the suffix), ``name`` (its id, see :mod:`refacebench.bids`),
        ``path`` (empty if there is no usable one) and ``reason`` (why not).  A contrast
        that the session lacks is an entry too, except further T1w images.
    """
    found = []
    for contrast in carry:
        mine = [image for image in images if _layout.is_of(image, contrast)]
        # What .bidsignore leaves out of the data set shows a face all the same.
        judged = [(i, _layout.fault(i, contrast, root, lambda path: False)) for i in mine]
        taken = {_layout.name_of(image) for image, reason in judged if not reason}
        for image, reason in _one_id_one_scan(judged):
            name = _layout.name_of(image)
            if reason and name in taken:
                name = f"{name[: bids.LONGEST]}+{_layout.digest(image.place)}"
            taken.add(name)
            path = "" if reason else image.path(root)
            found.append({"contrast": contrast, "name": name, "path": path, "reason": reason})
        if not mine and contrast != _SUFFIX and lead is not None:
            name = f"{_layout.name_of(lead, _SUFFIX)}_{contrast}"
            reason = reasons.NO_CONTRAST.format(contrast)
            found.append({"contrast": contrast, "name": name, "path": "", "reason": reason})
    return found


def _row(image: Image, reason: str, root: str = "") -> dict:
    """Return the row of an image, usable (without a reason) or not."""
    session = _layout.session_of(image.folders)
    ends = image.stem.lower().endswith(_SUFFIX.lower())
    stem = image.stem[: -len(_SUFFIX)] if ends else image.stem
    if reason and image.folders and not stem.startswith(f"{image.folders[0]}_"):
        # Its name says nothing of its folder, or of another one: all of it is kept.
        stem = bids.safe(stem.strip("_"))
    participant, scan = _ids(image.folders, session, stem)
    return {
        "participant": participant,
        "session": bids.safe(session),
        "scan": scan,
        "path": image.path(root) if root and image.place.isprintable() else "",
        "status": EXCLUDED if reason else OK,
        "reason": reason,
        "place": image.place,
    }


def _ids(folders: tuple[str, ...], session: str, stem: str) -> tuple[str, str]:
    """Return the ids of participant and scan; safe ones also for folders that are not."""
    if not folders:
        participant = f"sub-{bids.entities(stem).get('sub', '')}"
        if not re.fullmatch(f"sub-{bids.LABEL}", participant):
            participant = f"sub-+{_layout.digest(stem)}"
    else:
        participant = safe_id(folders[0])
    return participant, bids.scan_id(participant, bids.safe(session), stem)


def safe_id(name: str) -> str:
    """Return a participant's id, changed where it holds what no id may, and still its own.

    >>> safe_id("sub-01"), safe_id("sub-a b")
    ('sub-01', 'sub-a+b+15ceb7')
    """
    if re.fullmatch(f"[Ss][Uu][Bb]-{bids.LABEL}", name) and len(name) <= bids.LONGEST:
        return name
    return f"{bids.safe(name)[:60]}+{_layout.digest(name)}"


def _trouble(trouble: _layout.Trouble) -> dict:
    session = _layout.session_of(trouble.folders)
    return _without_scan(trouble.folders[0], trouble.reason, session)


def _without_scan(subject: str, reason: str, session: str = "") -> dict:
    participant = safe_id(subject)
    return {
        "participant": participant,
        "session": bids.safe(session),
        "scan": bids.scan_id(participant, bids.safe(session), ""),
        "path": "",
        "status": EXCLUDED,
        "reason": reason,
        "place": f"{subject}/{session}/{reason}",
    }


def _with_own_ids(rows: list[dict]) -> list[dict]:
    """Give every row an id of its own, those that come first the one that they have."""
    taken: set[str] = set()
    for row in rows:
        if row["scan"] in taken or len(row["scan"]) > bids.LONGEST:
            row["scan"] = f"{row['scan'][:100]}+{_layout.digest(row['place'])}"
        taken.add(row["scan"])
    return rows


METHOD = Dataset(
    version=VERSION,
    title="a BIDS folder",
    options=OPTIONS,
    index=index,
    check=_Wish.of,
    sources=("https://bids-specification.readthedocs.io",),
)
