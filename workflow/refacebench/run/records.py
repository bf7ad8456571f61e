"""The records of finished scans, beside a stage's manifest: a file each, or packed, one for all.

A stage writes a file for each scan as soon as it is done.  Of batches that nothing works on any
more they can be packed (:func:`pack`): large studies have millions.  A file of its own holds
against the pack.

Reads, writes and deletes these files and no others.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refacebench import files, manifest

_PACK = ".records.json"


def place(out: str | Path, scan: str) -> Path:
    """Return where a stage writes the record of a scan.

    >>> place("results/deface/d/null/test-measured-000.tsv", "sub-1").as_posix()
    'results/deface/d/null/test-measured-000/sub-1.json'
    """
    return Path(out).with_suffix("") / f"{scan}.json"


def read(out: str | Path, scan: str) -> dict[str, Any] | None:
    """Return the record of a scan; None where there is none that can be read."""
    return files.read_json(place(out, scan)) or _packed(out).get(scan)


def scans(out: str | Path) -> set[str]:
    """Return the scans that have a record."""
    return {*_packed(out), *(path.stem for path in _single(out))}


def everything(out: str | Path) -> dict[str, dict[str, Any]]:
    """Return all records of a batch, by scan."""
    own = {path.stem: files.read_json(path) for path in _single(out)}
    return {**_packed(out), **{scan: found for scan, found in own.items() if found}}


def pack(out: str | Path) -> None:
    """Put the records of a batch into one file; a killed one leaves both, and loses nothing."""
    singles = _single(out)
    if not singles:
        return
    _write(out, everything(out))
    for path in singles:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's file is in it
        os.rmdir(Path(out).with_suffix(""))


def forget(out: str | Path, scan: str) -> None:
    """Delete the record of a scan."""
    place(out, scan).unlink(missing_ok=True)
    packed = _packed(out)
    if packed.pop(scan, None):
        _write(out, packed)


def forget_failures(out: str | Path) -> None:
    """Delete the records of a stage's failed scans, so that all of them are tried again."""
    for scan in manifest.read_failures(out)["final"]:
        forget(out, scan)


def _single(out: str | Path) -> list[Path]:
    return sorted(Path(out).with_suffix("").glob("[!.]*.json"))


def _packed(out: str | Path) -> dict[str, dict[str, Any]]:
    return files.read_json(Path(out).with_suffix(_PACK)) or {}


def _write(out: str | Path, records: Mapping[str, Any]) -> None:
    files.write_text(json.dumps(records, sort_keys=True) + "\n", Path(out).with_suffix(_PACK))
