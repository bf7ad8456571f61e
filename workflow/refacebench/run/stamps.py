"""Notice that a scan's file was replaced or repaired, without reading the files that were not.

A stamp is a file's size and times.  It stands in the batch lists, so that a batch whose
files changed is checked again.  Where only the times changed (a folder was copied, a file
touched) the file is read once: with the checksum that the inventory saw, it keeps its stamp.
Reads files' facts, the lists and manifests of earlier runs; writes nothing.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from refacebench import files, manifest


class Stamps(NamedTuple):
    """The stamps of a dataset's scans.

    Attributes
    ----------
    listed : dict of str to str
        By scan, for the batch lists.
    settled : dict of str to str
        By scan: what the files' facts are now, where the list keeps an earlier stamp
        because the content is the same.
    """

    listed: dict[str, str]
    settled: dict[str, str]


def stamp(path: str) -> str:
    """Return size, time of change and time of the entry's change of a file; empty without one."""
    try:
        facts = os.stat(path)
    except OSError:
        return ""
    return f"{facts.st_size}.{facts.st_mtime_ns}.{facts.st_ctime_ns}"


def of_row(row: Mapping[str, Any]) -> str:
    """Return the stamp of a scan, with those of its companions behind it."""
    paths = [row["path"], *(found["path"] for found in manifest.companions(row))]
    return ";".join(stamp(path) if path else "" for path in paths)


def find(
    table: pd.DataFrame,
    before: Stamps,
    checksums: Callable[[], Mapping[str, str]],
) -> Stamps:
    """Return the stamps of a dataset's scans.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan, with ``scan``, ``path`` and, where there are any, ``companions``.
    before : Stamps
        Those of the last run; empty ones if there was none.
    checksums : callable
        Returns the checksums that the inventory saw, by scan.  Called only if
        the facts of a file that was listed before changed, but not its size.
    """
    listed, settled, unsure = {}, {}, {}
    for row in table.to_dict("records"):
        scan, now = row["scan"], of_row(row)
        was = before.listed.get(scan, now)
        if before.settled.get(scan) == now:
            listed[scan], settled[scan] = was, now
            continue
        listed[scan] = now
        if was != now and _may_be_the_same(was, now):
            unsure[scan] = (row["path"], was)
    for scan in _unchanged(unsure, checksums() if unsure else {}):
        settled[scan], listed[scan] = listed[scan], unsure[scan][1]
    return Stamps(listed, settled)


def _may_be_the_same(was: str, now: str) -> bool:
    """Tell whether only the times of a scan's own file differ between two stamps."""
    (old, *others), (new, *companions) = was.split(";"), now.split(";")
    size = new.partition(".")[0]
    return bool(size) and size == old.partition(".")[0] and others == companions


def _unchanged(unsure: Mapping[str, tuple[str, str]], checksums: Mapping[str, str]) -> list[str]:
    """Return the scans whose file still has the checksum that the inventory saw."""

    def same(scan: str) -> bool:
        try:
            return files.checksum(unsure[scan][0]) == checksums[scan]
        except OSError:
            return False

    known = [scan for scan in unsure if checksums.get(scan)]
    # Threads: most of the time goes into waiting for a file server.
    with ThreadPoolExecutor(4) as pool:
        return [scan for scan, found in zip(known, pool.map(same, known), strict=True) if found]


def saved(folder: str | Path) -> Stamps:
    """Return the stamps in the batch lists of the last run, and what was settled beside them."""
    listed = {row["scan"]: row["stamp"] for row in _rows(folder) if row.get("stamp")}
    path = Path(folder) / "settled.json"
    return Stamps(listed, json.loads(path.read_text()) if path.is_file() else {})


def checked(folder: str | Path) -> dict[str, str]:
    """Return the checksums in a dataset's inventory, by scan."""
    return {row["scan"]: row["checksum"] for row in _rows(folder) if row.get("checksum")}


def _rows(folder: str | Path) -> Iterator[dict[str, str]]:
    """Yield the rows of all tables of a folder; with pandas a thousand of them take seconds."""
    for path in sorted(Path(folder).glob("*.tsv")):
        with path.open(newline="") as handle:
            yield from csv.DictReader(handle, delimiter="\t")
