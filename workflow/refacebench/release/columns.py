"""Which columns of a table of people may be given away, and in what form.

The rule, column by column; the first that applies holds:

1. Columns that the user names are left out, or kept as they are.
2. A column whose name says that it identifies (names, birth, addresses, numbers of records) or
   holds remarks is left out, and so is one with times and dates in it.
3. Ages above 89 become 89, in any column of ages.
4. Numbers are kept, but whole numbers of five digits or more that differ from person to person
   are left out: they look like numbers of records.
5. Words are kept if they are a few short ones that come again; anything else is free text.

Empty cells become ``n/a``, as BIDS has it.  Touches no files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

#: HIPAA's Safe Harbor rule (45 CFR 164.514) counts all ages above this as one; so does BIDS.
OLDEST_SHOWN = 89
#: A column of words has at most so many different ones, each at most so long.
MOST_WORDS, LONGEST_WORD = 12, 40
MISSING = "n/a"

_IDENTIFIES = re.compile(
    r"(^|_)(name|names|firstname|lastname|surname|initials|birth|birthday|birthdate|dob|mrn|ssn|"
    r"nhs|id|uid|guid|rid|e?mail|phone|telephone|address|street|city|postcode|zip|zipcode|"
    r"physician|operator|referrer|accession|file|filename|path|folder)(_|$)"
)
_REMARKS = re.compile(r"(^|_)(comments?|notes?|remarks?|description|text|free)(_|$)")
_AGE = re.compile(r"(^|_)ages?(_|$)")
_AGE_VALUE = re.compile(r"[<>=≥~ ]*(\d+(?:[.,]\d+)?) *(?:\+|y|yrs?|years?)?", re.IGNORECASE)
_DATE = re.compile(
    r"(19|20)\d\d[-/.]\d{1,2}([-/.]\d{1,2}|$)|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})\b"
    r"|\b\d{1,2}[- ]?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- ]?\d{2,4}"
    r"|\d{1,2}:\d\d(:\d\d)?",
    re.IGNORECASE,
)
_COMPACT_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_NOTHING = {"", "n/a", "na", "nan", "none", "null", "unknown", "."}


def is_date(text: str) -> bool:
    """Tell whether a text holds a date or a time of the day.

    >>> [is_date(t) for t in ("2019-03-12", "12.3.2019", "20190312", "mprage 3.0", "1.5")]
    [True, True, True, False, False]
    """
    return bool(_DATE.search(text) or _COMPACT_DATE.fullmatch(text.strip()))


def is_age(name: str) -> bool:
    """Tell whether a column is one of ages.

    >>> is_age("age_at_scan"), is_age("stage")
    (True, False)
    """
    return bool(_AGE.search(name.lower()))


def capped(age: str) -> str:
    """Return an age that may be shown: 89 for all above, and for ``89+``.

    >>> [capped(age) for age in ("93.5", "89+", "> 89", "64,5", "n/a")]
    ['89', '89', '89', '64.5', 'n/a']
    """
    if age.strip().lower() in _NOTHING:
        return MISSING
    found = _AGE_VALUE.fullmatch(age.strip())
    if not found:
        return MISSING  # an age in words may say more than a number
    number = found[1].replace(",", ".")
    return str(OLDEST_SHOWN) if float(number) > OLDEST_SHOWN else number


def reason_against(name: str, values: Sequence[str]) -> str:
    """Return why a column is left out, or nothing.

    Parameters
    ----------
    name : str
        Of the column.
    values : sequence of str
        Its cells.

    >>> reason_against("diagnosis", ["AD", "CN", "AD"])
    ''
    >>> reason_against("seen", ["fine", "fell off the bed twice", ""])
    'free text'
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()
    there = [value.strip() for value in values if value.strip().lower() not in _NOTHING]
    if _IDENTIFIES.search(words):
        return "its name says that it identifies people or files"
    if _REMARKS.search(words):
        return "its name says that it holds remarks"
    if any(map(is_date, there)):
        return "dates or times"
    if _AGE.search(words):
        return ""
    if all(map(_NUMBER.fullmatch, there)):
        return _against_numbers(there)
    return _against_words(there)


def _against_numbers(values: Sequence[str]) -> str:
    long = [value for value in values if value.isdigit() and len(value) >= 5]
    several = len(values) > 1 and len(set(values)) == len(values)
    return "looks like numbers of records" if several and len(long) == len(values) else ""


def _against_words(values: Sequence[str]) -> str:
    different = set(values)
    if any(len(value) > LONGEST_WORD or value.count(" ") > 2 for value in different):
        return "free text"
    if len(different) > MOST_WORDS:
        return "free text"
    if len(different) == len(values) > 2:
        return "a word of its own for each person"
    return ""


def clean(
    rows: Sequence[Mapping[str, str]],
    key: str,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return a table as it may be given away, and why columns were left out.

    Parameters
    ----------
    rows : sequence of mapping
        Cells by column.
    key : str
        The column that names the row; it is kept as it is.
    keep, drop : collection of str
        Columns that are kept as they are, or left out, whatever the rule says.

    Returns
    -------
    rows : list of dict
    left_out : dict of str to str
        Reasons by column.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row if name != key))
    values = {name: [row.get(name, "") for row in rows] for name in columns}
    reasons = {name: reason_against(name, values[name]) for name in columns}
    reasons |= dict.fromkeys((name for name in columns if name in keep), "")
    reasons |= dict.fromkeys((name for name in columns if name in drop), "as asked")
    kept = [name for name in columns if not reasons[name]]
    ages = {name for name in kept if is_age(name) and name not in keep}
    cleaned = [
        {key: row[key]} | {name: _cell(row.get(name, ""), name in ages) for name in kept}
        for row in rows
    ]
    return cleaned, {name: why for name, why in reasons.items() if why}


def _cell(value: str, age: bool) -> str:
    if age:
        return capped(value)
    text = value.strip()
    return MISSING if text.lower() in _NOTHING else text


def alone(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> int:
    """Count the rows that no other one equals in all of some columns, ages in whole years.

    >>> alone([{"age": "30.2", "sex": "F"}, {"age": "30.9", "sex": "F"}, {"age": "31"}], ["age"])
    1
    """
    shown = Counter(tuple(row.get(name, "").split(".")[0] for name in columns) for row in rows)
    return sum(count == 1 for count in shown.values())
