"""What the data sets of known studies share: from files that were found to the table of scans.

Each study's own module knows its layout and its tables.  Reads names of files and the tables that
it is told to; opens no image and writes nothing.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import bids, reasons
from refacebench.contracts import Option
from refacebench.datasets import _layout
from refacebench.files import mend_link
from refacebench.tables import DAYS_PER_YEAR, NAN, OLDEST, Unusable, parse_age, prefixed, read_rows
from refacebench.vocabulary import EXCLUDED, OK

#: Options that these data sets share.
OPTIONS = {
    "path": Option(None, "The folder as it was downloaded.", kind=str),
    "exclude": Option(
        None,
        "A table of what to leave out (quality, consent): participant_id and, where not all of a "
        "participant is meant, session_id; the column reason says why.",
        kind=str,
    ),
    "one_scan_per_session": Option(
        True,
        "Measure one T1w scan of each session, the first by name that can be used; the others are "
        "listed as excluded.",
    ),
}
_SPARE = "the session's scan is {} (one_scan_per_session)"
#: Cells that say nothing, in small letters.
NOTHING = ("", "n/a", "na", "nan", "none", "null", "unknown", "-", ".", "-4")


@dataclass
class Scan:
    """A scan, or what should have been one.

    Attributes
    ----------
    participant, session : str
        ``sub-...``, and ``ses-...`` or empty.
    path : str
        The image; empty where there is none.
    label : str
        What else names it in its session, ``run-2`` for example.
    reason : str
        Why it is left out; empty for one that is not.
    day : float
        Of its session, counted from any day; or NaN.
    facts : dict
        ``site``, ``age``, ``sex``, ``age_note``, ``diagnosis``.
    """

    participant: str
    session: str = ""
    path: str = ""
    label: str = ""
    reason: str = ""
    day: float = NAN
    facts: dict[str, Any] = field(default_factory=dict)


def folder(options: Mapping[str, Any], what: str) -> Path:
    """Return the folder of a data set.

    Raises
    ------
    FileNotFoundError
        If it is missing; says what should lie there.
    """
    given = options["path"]
    if not given or not os.path.isdir(given):
        raise FileNotFoundError(f"{reasons.NO_FOLDER.format(given)}, which should hold {what}")
    return Path(given)


def files(root: Path, deepest: int = 7) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield folders (from the root) and name of every file below a folder, hidden ones aside."""
    for home, inside, names in os.walk(root):
        place = Path(home).relative_to(root).parts
        inside[:] = sorted(n for n in inside if not n.startswith(".")) * (len(place) < deepest)
        for name in sorted(names):
            if not name.startswith("."):
                yield place, name


def fault(path: Path) -> str:
    """Return why a file that has the right name cannot be a scan; empty for one that may be."""
    if os.path.islink(path) and not os.path.exists(path):
        return f"no such file: it is a link to content that is not here; {mend_link(path)}"
    if not os.path.isfile(path):
        return "not a file"
    if not str(path).isprintable():
        return "its path holds characters that cannot be printed; rename it"
    return "" if os.path.getsize(path) else "the file is empty; download it again"


def table(root: Path, given: str | None, names: Iterable[str], keys: Iterable[str]) -> list[dict]:
    """Return the rows of a study's table.

    Parameters
    ----------
    given : str or None
        The user's path; None to look in the folder and the one above it.
    names : iterable of str
        Patterns of what the study calls the file.
    keys : iterable of str
        Columns that it must have, in small letters; of each group ``a|b`` one.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none or it cannot be read: one sentence.
    """
    path = Path(given) if given else _find(root, names)
    if path is None or not os.path.lexists(path):
        raise FileNotFoundError(
            f"there is no table {given or ' or '.join(names)} in {root}; it has the ages. Put it "
            "there, or name its place under the dataset's key 'table'"
        )
    wanted = [key.split("|") for key in keys]
    for first in wanted[0]:
        try:
            rows = read_rows(path, first)
            break
        except Unusable as problem:
            said = problem
    else:
        raise ValueError(f"table: {path.parent}: {said}")
    for group in wanted[1:]:
        if rows and not any(key in rows[0] for key in group):
            raise ValueError(f"table: {path} has no column '{group[0]}' in its first line")
    return rows


def _find(root: Path, names: Iterable[str]) -> Path | None:
    for home in (root, root.parent):
        for name in names:
            for path in sorted(home.glob(name)):
                return path
    return None


def first(row: Mapping[str, str], *names: str) -> str:
    """Return the first of some columns that says anything."""
    return next((row[n] for n in names if row.get(n, "").lower() not in NOTHING), "")


def ages(rows: Iterable[Mapping[str, str]], column: str, least: float = 0.0) -> tuple[float, str]:
    """Return the age that a person's rows agree on, or NaN and why there is none.

    Rows without an age say nothing; ages that differ are none.

    >>> ages([{"age": "34.5"}, {"age": ""}, {"age": "34.5"}], "age")
    (34.5, '')
    >>> ages([{"age": "34"}, {"age": "51"}], "age")
    (nan, 'several rows with different ages')
    """
    found = {parse_age(row.get(column, "")) for row in rows}
    found = {age for age in found if not math.isnan(age) and age >= least}
    if len(found) == 1:
        return found.pop(), ""
    return NAN, "several rows with different ages" if found else "no usable age in the table"


def agreed(rows: Iterable[Mapping[str, str]], *columns: str) -> str:
    """Return what a person's rows agree on in the first of some columns; else nothing."""
    said = {first(row, *columns) for row in rows} - {""}
    return said.pop() if len(said) == 1 else ""


def later(age: float, days: float) -> float:
    """Return the age so many days later; NaN where that is no age.

    >>> later(60.0, 365.25)
    61.0
    """
    found = age + days / DAYS_PER_YEAR
    return round(found, 3) if 0 <= found <= OLDEST else NAN


def sex(text: str) -> str:
    """Return M or F for what studies write: 1 is male and 2 female.

    >>> sex("2"), sex("Male"), sex("f"), sex("3")
    ('F', 'M', 'F', '')
    """
    return {"1": "M", "m": "M", "male": "M", "2": "F", "f": "F", "female": "F"}.get(
        text.strip().lower().removesuffix(".0"), ""
    )


def exclusions(given: str | None) -> Callable[[Scan], str]:
    """Return a function that tells why the user's table leaves a scan out.

    Raises
    ------
    ValueError
        If the table cannot be used.
    """
    if not given:
        return lambda scan: ""
    try:
        rows = read_rows(given, "participant_id")
    except Unusable as problem:
        raise ValueError(f"exclude: {Path(given).parent}: {problem}") from None
    why: dict[tuple[str, str], str] = {}
    for row in rows:
        session = row.get("session_id", "")
        key = (
            label(row["participant_id"], "sub-"),
            label(session, "ses-") if session else "",
        )
        why[key] = row.get("reason", "") or "left out"

    def reason(scan: Scan) -> str:
        for session in (scan.session, ""):
            if (scan.participant, session) in why:
                return f"excluded by {Path(given).name}: {why[scan.participant, session]}"
        return ""

    return reason


def label(text: str, prefix: str) -> str:
    """Return an id of letters and digits with its prefix, as BIDS has it.

    >>> label("002_S_0295", "sub-"), label("sub-OAS30001", "sub-")
    ('sub-002S0295', 'sub-OAS30001')
    """
    return prefix + re.sub(r"[^A-Za-z0-9]", "", prefixed(text.strip(), prefix)[len(prefix) :])


def listed(found: list[Scan], options: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table of scans; see :class:`refacebench.contracts.Dataset`.

    Two scans of one id are none: the second one is left out as a duplicate.
    """
    leave_out = exclusions(options.get("exclude"))
    taken: dict[str, str] = {}
    rows = []
    for scan in sorted(found, key=lambda s: (bool(s.reason), s.participant, s.session, s.path)):
        reason = scan.reason or leave_out(scan)
        scan_id = bids.scan_id(scan.participant, scan.session, scan.label)
        if scan_id in taken:
            reason = reason or f"a duplicate of {Path(taken[scan_id]).name}, which has the same id"
            scan_id += f"+{_layout.digest(scan.path + scan.reason)}"
        taken[scan_id] = scan.path
        rows.append(
            {
                "participant": scan.participant,
                "session": scan.session,
                "scan": scan_id,
                "path": scan.path,
                **{name: scan.facts.get(name, "") for name in ("site", "sex", "age_note")},
                "age": scan.facts.get("age", NAN),
                "days": scan.day,
                "status": EXCLUDED if reason else OK,
                "reason": reason,
                **{k: scan.facts[k] for k in ("diagnosis",) if k in scan.facts},
            }
        )
    made = pd.DataFrame(rows)
    start = made.groupby("participant")["days"].transform("min")
    made["days"] = made["days"] - start
    if options.get("one_scan_per_session"):
        made["spare"] = _spare(made)
    return made.sort_values("scan", kind="stable", ignore_index=True)


def _spare(made: pd.DataFrame) -> pd.Series:
    """Say of the scans of sessions with several usable ones that another one may stand for them."""
    usable = made[made["status"] == OK]
    count = Counter(zip(usable["participant"], usable["session"], strict=True))
    several = [
        status == OK and count[who, when] > 1
        for who, when, status in zip(
            made["participant"], made["session"], made["status"], strict=True
        )
    ]
    return pd.Series([_SPARE if many else "" for many in several], index=made.index)
