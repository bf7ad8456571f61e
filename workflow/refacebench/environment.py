"""Environment variables of external programs: their values never reach a file.

The config may give a program variables, ``environment: {TOKEN: abc}`` or, better,
``environment: {TOKEN: env:TOKEN}``: the value of a variable that is set where the run is
started.  Rules, records, reports and Snakemake's own notes get neither but a digest,
by which a changed value is noticed and old output made again.  The values themselves stay
in this process's environment, which jobs inherit (each job reads the config anew).

Touches nothing but ``os.environ``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Mapping

#: Variables of this process that hold the values, by their digest.
PREFIX = "REFACEBENCH_VALUE_"
#: What stands in a text in place of a value.
MASK = "[value of an environment variable]"
#: Shorter values are found in any text by chance, and are no tokens: nobody looks for them.
LEAST_LENGTH = 6

_NAMED = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?: \(digest ([0-9a-f]{12})\))?")
_GIVEN = re.compile(r"hidden \(digest ([0-9a-f]{12})\)")
#: Work for each guess at a value that somebody knows the digest of.
_ROUNDS = 50_000


@functools.lru_cache(maxsize=256)
def digest(name: str, value: str) -> str:
    """Return 12 hex digits that change with the value and do not give it away."""
    salt = f"refacebench:{name}".encode()
    return hashlib.pbkdf2_hmac("sha256", os.fsencode(value), salt, _ROUNDS).hex()[:12]


def hide(entry: Mapping) -> dict:
    """Return a config's entry in which digests stand for the values of its ``environment``.

    One that was hidden before stays as it is.

    >>> hidden = hide({"environment": {"TOKEN": "abc"}, "threads": 2})
    >>> hidden["threads"], "abc" in str(hidden), reveal(hidden["environment"]["TOKEN"])
    (2, False, 'abc')
    """
    given = entry.get("environment")
    if not isinstance(given, Mapping):
        return dict(entry)
    return {**entry, "environment": {name: _hidden(str(name), v) for name, v in given.items()}}


def hide_all(config: Mapping) -> dict:
    """Return a config with :func:`hide` applied to all entries of all kinds of methods.

    >>> hide_all({"seed": 1, "defacers": {"a": {"environment": {"X": None}}, "null": None}})
    {'seed': 1, 'defacers': {'a': {'environment': {'X': ''}}, 'null': None}}
    """
    return {
        kind: {n: hide(e) if isinstance(e, Mapping) else e for n, e in entries.items()}
        if isinstance(entries, Mapping)
        else entries
        for kind, entries in config.items()
    }


def _hidden(name: str, value: object) -> str:
    text = "" if value is None else str(value)
    named = _NAMED.fullmatch(text)
    if not text or _GIVEN.fullmatch(text) or named and named.group(2):
        return text
    if named and named.group(1) not in os.environ:
        return text
    plain = os.environ[named.group(1)] if named else text
    mark = digest(name, plain)
    os.environ[PREFIX + mark] = plain
    return f"env:{named.group(1)} (digest {mark})" if named else f"hidden (digest {mark})"


def reveal(text: str) -> str | None:
    """Return the value that a config's text stands for; None where its variable is not set.

    A text that stands for nothing else is returned as it is.  Braces in the value of a
    named variable are doubled: they are no placeholders.
    """
    named, given = _NAMED.fullmatch(text), _GIVEN.fullmatch(text)
    if named:
        value = os.environ.get(named.group(1))
        if value is None and named.group(2):
            value = os.environ.get(PREFIX + named.group(2))
        return None if value is None else value.replace("{", "{{").replace("}", "}}")
    return os.environ.get(PREFIX + given.group(1)) if given else text


def source(text: str) -> str:
    """Return the variable that a text takes its value from; empty if none is named.

    >>> source("env:TOKEN"), source("abc")
    ('TOKEN', '')
    """
    named = _NAMED.fullmatch(text)
    return named.group(1) if named else ""


def of_programs() -> dict[str, str]:
    """Return this process's environment without the hidden values."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def is_hidden(value: str) -> bool:
    """Tell whether :func:`hide` has put a digest in this value's place."""
    return len(value) >= LEAST_LENGTH and value in _values()


def scrub(text: str) -> str:
    """Return a text without the hidden values."""
    for value in sorted(_values(), key=len, reverse=True):
        if len(value) >= LEAST_LENGTH:
            text = text.replace(value, MASK)
    return text


def _values() -> set[str]:
    """Return the hidden values, as they stand in the config and as programs get them."""
    given = {value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return given | {value.replace("{{", "{").replace("}}", "}") for value in given}
