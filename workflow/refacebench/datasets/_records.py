"""What a BIDS folder's tables say of its people: age, sex, site, and when sessions were.

Reads ``participants.tsv``, ``*_sessions.tsv`` and ``*_scans.tsv`` and what stands
beside them.  No table stops anything: one that cannot be used becomes a sentence.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from refacebench import bids
from refacebench.tables import (
    DAYS_PER_YEAR,
    NAN,
    OLDEST,
    Unusable,
    parse_age,
    prefixed,
    read_rows,
    units_per_year,
)

#: Columns of ``*_sessions.tsv`` with the days between a session and the first one.
DAYS = ("days", "interval", "interval_days", "days_since_baseline", "days_from_baseline")


@dataclass(frozen=True)
class People:
    """What ``participants.tsv`` says.

    Attributes
    ----------
    facts : dict of str to dict
        ``age`` (years), ``sex``, ``site`` and ``note`` (why there is no age) by participant.
    session_ages : dict of str to dict
        Years by session, by participant, where the table has a row per session.
    problem : str
        Why the table cannot be used at all; empty if it can.
    odd : str
        What was not understood in it, counted, in a few words; empty if all was.
    """

    facts: dict[str, dict] = field(default_factory=dict)
    session_ages: dict[str, dict[str, float]] = field(default_factory=dict)
    problem: str = ""
    odd: str = ""

    def of(self, participant: str) -> dict:
        """Return the facts of a participant, listed or not."""
        note = self.problem or "participants.tsv does not list the participant"
        return self.facts.get(participant, {"age": NAN, "sex": "", "site": "", "note": note})


def read_people(
    root: str | Path, folders: Iterable[str] = (), name: str = "participants.tsv"
) -> People:
    """Read ``participants.tsv``, or a table like it.

    Parameters
    ----------
    folders : iterable of str
        The participants' folders: a bare number such as 1 is ``sub-01`` where that is
        the only folder of this number, for spreadsheets drop zeros.
    name : str
        Of the file.
    """
    path = Path(root) / name
    try:
        rows = read_rows(path, "participant_id")
    except Unusable as problem:
        return People(problem=str(problem))
    known, numbers = set(folders), _numbers(folders)
    per_year = units_per_year(path.with_suffix(".json"))
    odd: Counter[str] = Counter()
    said: dict[str, list[dict]] = {}
    session_ages: dict[str, dict[str, float]] = {}
    for row in rows:
        if not row["participant_id"]:
            odd["rows without participant_id"] += 1
            continue
        participant = _identity(row["participant_id"], known, numbers)
        age = parse_age(row.get("age", ""), per_year)
        odd["ages"] += math.isnan(age) and row.get("age", "").lower() not in _NOTHING
        if row.get("session_id"):
            if not math.isnan(age):
                session = prefixed(row["session_id"], "ses-")
                session_ages.setdefault(participant, {})[session] = age
            age = NAN
        site = row.get("site", row.get("scanner", ""))
        sex = row.get("sex", row.get("gender", ""))
        said.setdefault(participant, []).append({"age": age, "sex": sex, "site": site})
    for name in ("age", "sex", "site"):
        odd[f"participants with several rows that differ in {name}"] = sum(
            len(_values(found, name)) > 1 for found in said.values()
        )
    facts = {name: _one(found) for name, found in said.items()}
    return People(facts, session_ages, odd=_counted(odd, rows))


#: Cells that say nothing, in small letters.
_NOTHING = ("", "n/a", "na", "nan", "none", "null", "unknown", "-", ".")


def _values(rows: list[dict], name: str) -> set:
    """Return the values that a participant's rows give for one thing."""
    if name == "age":
        return {row["age"] for row in rows if not math.isnan(row["age"])}
    return {row[name] for row in rows if row[name].lower() not in _NOTHING}


def _counted(odd: Mapping[str, int], rows: list[dict]) -> str:
    parts = [f"{what} ({count})" for what, count in odd.items() if count]
    if rows and "age" not in rows[0]:
        like = [name for name in rows[0] if "age" in re.split(r"[^a-z]+", name)]
        parts.append("no column is called 'age'" + (f" ({like[0]} is not read)" if like else ""))
    return ", ".join(parts)


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
        values = _values(rows, name)
        facts[name] = values.pop() if len(values) == 1 else "" if values else rows[0][name]
    ages = _values(rows, "age")
    note = "no usable age in participants.tsv"
    if len(ages) > 1:
        note = "participants.tsv lists the participant twice, with different ages"
    age = ages.pop() if len(ages) == 1 else NAN
    return {**facts, "age": age, "note": note if math.isnan(age) else ""}


def session_ages(
    told: Mapping[str, float], days: Mapping[str, float], baseline: float
) -> dict[str, tuple[float, str]]:
    """Return age in years and, where there is none, why, for each session of a participant.

    Parameters
    ----------
    told : mapping of str to float
        Years that a table gives for the session itself; NaN elsewhere.
    days : mapping of str to float
        Day of each session, counted from any day; NaN where it is not known.
    baseline : float
        Years in ``participants.tsv``: those at the first session.

    >>> nan = float("nan")
    >>> session_ages({"ses-1": nan, "ses-2": nan}, {"ses-1": 7.0, "ses-2": 372.25}, 40.0)
    {'ses-1': (40.0, ''), 'ses-2': (41.0, '')}
    """
    order = bids.in_order(dict(days))
    known = dict(told)
    for first in order[:1]:
        known[first] = baseline if math.isnan(known[first]) else known[first]
    dated = [s for s in order if not math.isnan(known[s]) and not math.isnan(days[s])]
    found = {}
    for session in order:
        age, note = known[session], ""
        if math.isnan(age) and dated:
            age = known[dated[0]] + (days[session] - days[dated[0]]) / DAYS_PER_YEAR
            age = age if 0 <= age <= OLDEST else NAN
        if math.isnan(age) and session != order[0]:
            note = "a later session of unknown age: no table gives its date or the age at it"
        found[session] = (round(age, 3), note)
    return found


@dataclass(frozen=True)
class Visit:
    """What is known of one session: age in years, and day, counted from any day; or NaN."""

    age: float = NAN
    day: float = NAN


def read_visits(
    root: str | Path,
    subject: str,
    files: Mapping[str, list[str]],
    problems: list[str] | None = None,
) -> dict[str, Visit]:
    """Return age and day of a participant's sessions.

    Days come from ``*_sessions.tsv`` (``acq_time``, else one of :data:`DAYS`) or from the
    ``acq_time`` of the scans in ``*_scans.tsv``: from the one that knows most
    sessions, and never mixed.  Only differences mean anything: dates may be shifted.

    Parameters
    ----------
    files : mapping of str to list of str
        The names of the T1w images of each session (``ses-...``).
    problems : list of str, optional
        Gets a sentence for each table that is there and cannot be used.
    """
    home = Path(root) / subject
    rows: dict[str, dict[str, str]] = {}
    for row in _rows_if_any(home / f"{subject}_sessions.tsv", "session_id", problems):
        rows.setdefault(prefixed(row["session_id"], "ses-"), row)
    per_year = units_per_year(Path(root) / "sessions.json")
    written = {s: row.get("acq_time", "") for s, row in rows.items() if s in files}
    sources = [_days_of_times(written), _days_of_column(rows, files)]
    best = max(sources, key=_count)
    if 1 < len(files) > _count(best):
        scanned = {
            s: _scan_time(
                _rows_if_any(home / s / f"{subject}_{s}_scans.tsv", "filename", problems), own
            )
            for s, own in files.items()
        }
        best = max((best, _days_of_times(scanned)), key=_count)
    return {
        s: Visit(parse_age(rows.get(s, {}).get("age", ""), per_year), best.get(s, NAN))
        for s in files
    }


def _rows_if_any(path: Path, key: str, problems: list[str] | None) -> list[dict[str, str]]:
    try:
        return read_rows(path, key)
    except Unusable as problem:
        if problems is not None and os.path.lexists(path):
            problems.append(str(problem))
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
        raise ValueError(f"'{time}' is not a time")
    return found


def _scan_time(rows: list[dict[str, str]], files: list[str]) -> str:
    """Return when a session's T1w images were made, the first of them; else any of its files."""
    times = [(Path(row["filename"]).name, row.get("acq_time", "")) for row in rows]
    times = [(name, time) for name, time in times if _parse_time(time)]
    own = [time for name, time in times if name in files]
    return min(own or [time for _, time in times], default="", key=_order)
