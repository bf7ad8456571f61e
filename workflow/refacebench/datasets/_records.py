"""What a BIDS folder's tables say of its people: age, sex, site, and when sessions were.

Reads ``participants.tsv``, ``*_sessions.tsv`` and ``*_scans.tsv`` and what stands
beside them.  No table stops anything: one that cannot be used becomes a sentence.
"""

from __future__ import annotations

import codecs
import csv
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from refacebench import bids
from refacebench.files import pointer

NAN = float("nan")
#: No person is older; what says so is no age in years.
OLDEST = 130.0
DAYS_PER_YEAR = 365.25
#: How many of a unit of age make a year, by the unit's first letters.
_UNITS = {"year": 1.0, "month": 12.0, "week": DAYS_PER_YEAR / 7, "day": DAYS_PER_YEAR}
#: Columns of ``*_sessions.tsv`` with the days between a session and the first one.
DAYS = ("days", "interval", "interval_days", "days_since_baseline", "days_from_baseline")


class Unusable(Exception):
    """A table that cannot be used; the message is a sentence that names the file."""


def read_rows(path: str | Path, key: str) -> list[dict[str, str]]:
    """Read a table as text: rows of cells by lower-case column name.

    Understood are UTF-8 and UTF-16 with or without a mark, Latin-1, any ends of
    lines, tabs (or, where the first line has none, semicolons or commas), rows that
    are too short or too long, blank ones, and cells in quotes.

    Parameters
    ----------
    key : str
        A column that the table must have.

    Raises
    ------
    Unusable
        If the file is missing, cannot be read, is empty or lacks the column.
    """
    name = Path(path).name
    text = decoded(_content(path)).replace("\0", "")
    if bring := pointer(text):
        raise Unusable(f"{name} is only a pointer to its content: {bring} brings it")
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    if not lines:
        raise Unusable(f"{name} is empty")
    split = _splitter(lines[0])
    header = [cell.lower() for cell in split(lines[0])]
    if key not in header:
        raise Unusable(f"{name} has no column '{key}' in its first line")
    rows = []
    for line in lines[1:]:
        # Backwards, so that of two columns of one name the first one counts.
        row = dict(list(zip(header, split(line), strict=False))[::-1])
        if any(row.values()):
            rows.append({**dict.fromkeys(header, ""), **row})
    return rows


def _content(path: str | Path) -> bytes:
    name = Path(path).name
    if os.path.islink(path) and not os.path.exists(path):
        raise Unusable(f"{name} is a link to a file that is not here: `datalad get` it")
    if not os.path.lexists(path):
        raise Unusable(f"there is no {name}")
    if not os.path.isfile(path):
        raise Unusable(f"{name} is no file")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Unusable(f"{name} cannot be read ({error.strerror})") from None


def decoded(raw: bytes) -> str:
    """Return the text of a file whose encoding nobody tells.

    >>> decoded("contrôle".encode("latin-1")), decoded("ä".encode("utf-16"))
    ('contrôle', 'ä')
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    for codec, zeros in (("utf-16-le", raw[1:200:2]), ("utf-16-be", raw[:200:2])):
        if len(zeros) > 3 and zeros.count(0) > 0.7 * len(zeros):
            return raw.decode(codec, errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _splitter(header: str):
    """Return a function that splits a line into cells, by what separates the first one's."""
    delimiter = next((d for d in "\t;," if d in header), "\t")

    def split(line: str) -> list[str]:
        if delimiter == "\t":  # a quote means nothing in BIDS, but spreadsheets write it
            return [_unquoted(cell.strip()) for cell in line.split("\t")]
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]

    return split


def _unquoted(cell: str) -> str:
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"').strip() if quoted else cell


def parse_age(text: str, units_per_year: float = 1.0) -> float:
    """Return an age in years, NaN where there is none; ``89+`` and ``>89`` count as 89.

    Understood are decimal commas and DICOM's ``034Y`` too.  A number below 0 or above
    :data:`OLDEST` is none.

    >>> parse_age("34.5"), parse_age("89+"), parse_age("n/a"), parse_age("1e999")
    (34.5, 89.0, nan, nan)
    >>> parse_age("34,5"), parse_age("018M"), parse_age("18", 12.0), parse_age("18-38")
    (34.5, 1.5, 1.5, nan)
    """
    text = text.strip().lstrip(">≥=").rstrip("+").strip()
    dicom = re.fullmatch(r"(\d{3})([DWMY])", text)
    if dicom:
        letters = {unit[0].upper(): per_year for unit, per_year in _UNITS.items()}
        text, units_per_year = dicom[1], letters[dicom[2]]
    try:
        age = float(re.sub(r"^(\d+),(\d+)$", r"\1.\2", text)) / units_per_year
    except ValueError:
        return NAN
    return age if 0 <= age <= OLDEST else NAN


def units_per_year(path: str | Path) -> float:
    """Return in how many of a year ages are given, by a table's JSON; years if it is silent."""
    try:
        document = json.loads(decoded(Path(path).read_bytes()))
        entries = {key.lower(): value for key, value in document.items()}
        unit = str(entries["age"]["Units"]).lower()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 1.0
    return next((per_year for name, per_year in _UNITS.items() if unit.startswith(name)), 1.0)


@dataclass(frozen=True)
class People:
    """What ``participants.tsv`` says.

    Attributes
    ----------
    facts : dict of str to dict
        ``age`` (years), ``sex``, ``site`` and ``note`` (why there is no age) by participant.
    session_ages : dict of str to dict
        Years by session, by participant, where the table has a row a session.
    problem : str
        Why the table cannot be used at all; empty if it can.
    """

    facts: dict[str, dict] = field(default_factory=dict)
    session_ages: dict[str, dict[str, float]] = field(default_factory=dict)
    problem: str = ""

    def of(self, participant: str) -> dict:
        """Return the facts of a participant, listed or not."""
        note = self.problem or "participants.tsv does not list the participant"
        return self.facts.get(participant, {"age": NAN, "sex": "", "site": "", "note": note})


def read_people(root: str | Path, folders: Iterable[str] = ()) -> People:
    """Read ``participants.tsv``.

    Parameters
    ----------
    folders : iterable of str
        The participants' folders: a bare number such as 1 is ``sub-01`` where that is
        the only folder of this number, for spreadsheets drop zeros.
    """
    path = Path(root) / "participants.tsv"
    try:
        rows = read_rows(path, "participant_id")
    except Unusable as problem:
        return People(problem=str(problem))
    known, numbers = set(folders), _numbers(folders)
    per_year = units_per_year(path.with_suffix(".json"))
    said: dict[str, list[dict]] = {}
    session_ages: dict[str, dict[str, float]] = {}
    for row in rows:
        if not row["participant_id"]:
            continue
        participant = _identity(row["participant_id"], known, numbers)
        age = parse_age(row.get("age", ""), per_year)
        if row.get("session_id"):
            if not math.isnan(age):
                session = prefixed(row["session_id"], "ses-")
                session_ages.setdefault(participant, {})[session] = age
            age = NAN
        site = row.get("site", row.get("scanner", ""))
        sex = row.get("sex", row.get("gender", ""))
        said.setdefault(participant, []).append({"age": age, "sex": sex, "site": site})
    return People({name: _one(found) for name, found in said.items()}, session_ages)


def prefixed(label: str, prefix: str) -> str:
    """Return a label with its prefix, whether it came with it or not.

    >>> prefixed("2", "ses-"), prefixed("Ses-2", "ses-")
    ('ses-2', 'ses-2')
    """
    bare = label[len(prefix) :] if label.lower().startswith(prefix) else label
    return prefix + bare


def _numbers(folders: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in folders:
        if re.fullmatch(r"sub-[0-9]+", name):
            found.setdefault(int(name[4:]), []).append(name)
    return found


def _identity(text: str, known: set[str], numbers: Mapping[int, list[str]]) -> str:
    participant = prefixed(text, "sub-")
    if participant not in known and re.fullmatch(r"[0-9]{1,18}", text):
        same = numbers.get(int(text), [])
        return same[0] if len(same) == 1 else participant
    return participant


def _one(rows: list[dict]) -> dict:
    """Join the rows of a participant; what they disagree on is not known."""
    facts = {}
    for name in ("sex", "site"):
        values = {row[name] for row in rows} - {"", "n/a"}
        facts[name] = values.pop() if len(values) == 1 else "" if values else rows[0][name]
    ages = {row["age"] for row in rows if not math.isnan(row["age"])}
    note = "no usable age in participants.tsv"
    if len(ages) > 1:
        note = "participants.tsv lists the participant twice, with different ages"
    age = ages.pop() if len(ages) == 1 else NAN
    return {**facts, "age": age, "note": note if math.isnan(age) else ""}


@dataclass(frozen=True)
class Visit:
    """What is known of one session: age in years, and day, counted from any day; or NaN."""

    age: float = NAN
    day: float = NAN


def read_visits(root: str | Path, subject: str, files: Mapping[str, list[str]]) -> dict[str, Visit]:
    """Return age and day of a participant's sessions.

    Days come from ``*_sessions.tsv`` (``acq_time``, else one of :data:`DAYS`) or from the
    ``acq_time`` of the scans in ``*_scans.tsv``: from the one that knows most
    sessions, and never mixed.  Only differences mean anything: dates may be shifted.

    Parameters
    ----------
    files : mapping of str to list of str
        The names of the T1w images of each session (``ses-...``).
    """
    home = Path(root) / subject
    rows: dict[str, dict[str, str]] = {}
    for row in _rows_if_any(home / f"{subject}_sessions.tsv", "session_id"):
        rows.setdefault(prefixed(row["session_id"], "ses-"), row)
    per_year = units_per_year(Path(root) / "sessions.json")
    written = {s: row.get("acq_time", "") for s, row in rows.items() if s in files}
    sources = [_days_of_times(written), _days_of_column(rows, files)]
    best = max(sources, key=_count)
    if 1 < len(files) > _count(best):
        scanned = {
            s: _scan_time(_rows_if_any(home / s / f"{subject}_{s}_scans.tsv", "filename"), own)
            for s, own in files.items()
        }
        best = max((best, _days_of_times(scanned)), key=_count)
    return {
        s: Visit(parse_age(rows.get(s, {}).get("age", ""), per_year), best.get(s, NAN))
        for s in files
    }


def _rows_if_any(path: Path, key: str) -> list[dict[str, str]]:
    try:
        return read_rows(path, key)
    except Unusable:
        return []


def _count(days: Mapping[str, float]) -> int:
    return sum(not math.isnan(day) for day in days.values())


def _days_of_column(rows: Mapping[str, Mapping], sessions: Iterable[str]) -> dict[str, float]:
    """Return the day of each session from its row; the first one may leave its 0 out."""
    days = {session: _days(rows.get(session, {})) for session in sessions}
    first = bids.in_order(dict.fromkeys(days, NAN))[:1]
    if _count(days) and math.isnan(days[first[0]]):
        days[first[0]] = 0.0
    return days


def _days(row: Mapping[str, str]) -> float:
    """Return the days since the first session that a row gives."""
    for name in DAYS:
        try:
            day = float(row.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(day):
            return day
    return NAN


def _days_of_times(times: Mapping[str, str]) -> dict[str, float]:
    """Return the day of each session from its ``acq_time``.

    Nobody is scanned twice at once: sessions with the very same time carry a made-up
    or a coarse one (the first of January, say), which tells nothing.

    >>> found = _days_of_times({"a": "1843-01-01T08:00:00", "b": "1843-01-03", "c": "n/a"})
    >>> found["b"] - found["a"], found["c"]
    (2.0, nan)
    >>> _days_of_times({"a": "1900-01-01", "b": "1900-01-01"})
    {'a': nan, 'b': nan}
    """
    parsed = {session: _parse_time(text) for session, text in times.items()}
    often = [time for time in parsed.values() if time is not None]
    return {
        session: NAN if time is None or often.count(time) > 1 else float(time.toordinal())
        for session, time in parsed.items()
    }


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    except ValueError:
        return None


def _order(time: str) -> datetime:
    """Order texts that are times; every one here can be read."""
    found = _parse_time(time)
    if found is None:
        raise ValueError(f"'{time}' is no time")
    return found


def _scan_time(rows: list[dict[str, str]], files: list[str]) -> str:
    """Return when a session's T1w images were made, the first of them; else any of its files."""
    times = [(Path(row["filename"]).name, row.get("acq_time", "")) for row in rows]
    times = [(name, time) for name, time in times if _parse_time(time)]
    own = [time for name, time in times if name in files]
    return min(own or [time for _, time in times], default="", key=_order)
