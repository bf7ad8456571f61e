"""Tables that users wrote: any encoding, separator and number of cells; ages in any form.

Reads the tables that it is told to.  No table stops anything: one that cannot be used is a
sentence that names the file.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from refacebench.files import mend_link, pointer

NAN = float("nan")
#: No person is older; what says so is no age in years.
OLDEST = 130.0
DAYS_PER_YEAR = 365.25
#: How many of a unit of age make a year, by the unit's first letters.
_UNITS = {"year": 1.0, "month": 12.0, "week": DAYS_PER_YEAR / 7, "day": DAYS_PER_YEAR}


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
    return [row for _, row in numbered_rows(path, (key,))]


def numbered_rows(path: str | Path, keys: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a table as :func:`read_rows` does: each row with the number of its line.

    Parameters
    ----------
    keys : iterable of str
        Columns that the table must have.
    """
    name = Path(path).name
    text = decoded(_content(path)).replace("\0", "")
    if bring := pointer(text):
        raise Unusable(f"{name} is only a pointer to its content: {bring} brings it")
    every = enumerate(re.split(r"\r\n|\n|\r", text), start=1)
    lines = [(number, line) for number, line in every if line.strip()]
    if not lines:
        raise Unusable(f"{name} is empty")
    split = _splitter(lines[0][1])
    header = [cell.lower() for cell in split(lines[0][1])]
    missing = [key for key in keys if key not in header]
    if missing:
        raise Unusable(f"{name} has no column '{missing[0]}' in its first line")
    rows = []
    for number, line in lines[1:]:
        # Backwards, so that of two columns of one name the first one counts.
        row = dict(list(zip(header, split(line), strict=False))[::-1])
        if any(row.values()):
            rows.append((number, {**dict.fromkeys(header, ""), **row}))
    return rows


def written_columns(path: str | Path) -> dict[str, str]:
    """Return the names of a table's columns as they are written, by the same in small letters.

    Raises
    ------
    Unusable
        As :func:`read_rows`.
    """
    text = decoded(_content(path)).replace("\0", "")
    if bring := pointer(text):
        raise Unusable(f"{Path(path).name} is only a pointer to its content: {bring} brings it")
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    if not lines:
        raise Unusable(f"{Path(path).name} is empty")
    cells = _splitter(lines[0])(lines[0])
    found: dict[str, str] = {}
    for cell in cells:  # of two columns of one name the first one counts
        found.setdefault(cell.lower(), cell)
    return found


def _content(path: str | Path) -> bytes:
    name = Path(path).name
    if os.path.islink(path) and not os.path.exists(path):
        raise Unusable(f"{name} is a link to a file that is not here: {mend_link(path)}")
    if not os.path.lexists(path):
        raise Unusable(f"there is no {name}")
    if not os.path.isfile(path):
        raise Unusable(f"{name} is not a file")
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
        try:
            cells = next(csv.reader([line], delimiter=delimiter))
        except csv.Error:  # a cell longer than csv allows
            cells = line.split(delimiter)
        return [cell.strip() for cell in cells]

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
    if not os.path.isfile(path):  # a pipe would never end
        return 1.0
    try:
        document = json.loads(decoded(Path(path).read_bytes()))
        entries = {key.lower(): value for key, value in document.items()}
        unit = str(entries["age"]["Units"]).lower()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 1.0
    return next((per_year for name, per_year in _UNITS.items() if unit.startswith(name)), 1.0)


def prefixed(label: str, prefix: str) -> str:
    """Return a label with its prefix, whether it came with it or not.

    >>> prefixed("2", "ses-"), prefixed("Ses-2", "ses-")
    ('ses-2', 'ses-2')
    """
    bare = label[len(prefix) :] if label.lower().startswith(prefix) else label
    return prefix + bare
