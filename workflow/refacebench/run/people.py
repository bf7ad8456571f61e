"""Age and sex of the people behind the scans: told to results, never to the work on images.

They stand in one table beside a dataset's batch lists, ``people.tsv``, and not in the lists
and manifests: a corrected age makes no image again.  Whoever needs them joins them to the
rows of a manifest (:func:`known`).
Reads that table; writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from refacebench import manifest

#: The file in a dataset's folder of lists.
FILE = "people.tsv"


def of(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a dataset's index knows of people: a row per scan."""
    names = [name for name in manifest.OF_PEOPLE if name in table]
    return table[["scan", *names]]


def without(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of scans without what is known of people."""
    return table.drop(columns=[name for name in manifest.OF_PEOPLE if name in table])


def read(path: str | Path) -> pd.DataFrame:
    """Read ``people.tsv``."""
    return manifest.read(path)


def known(table: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a manifest with age and sex behind the site.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows with ``scan``.
    people : pandas.DataFrame
        As of :func:`read`; a scan that it does not have is of unknown age and sex.
    """
    table = without(table).copy()  # in one piece: pandas warns of inserting into many
    place = table.columns.get_loc("site") + 1 if "site" in table else len(table.columns)
    if people["scan"].duplicated().any():
        raise ValueError("people: a scan is listed twice")
    by_scan = people.set_index("scan")
    for name in manifest.OF_PEOPLE:
        if name in by_scan:
            found = table["scan"].map(by_scan[name])
            table.insert(int(place), name, found if name == "age" else found.fillna(""))
            place += 1
    return table


def digest(text: str, scans: Collection[str] | None = None) -> str:
    """Return what changes with the people behind some scans, or behind all.

    Parameters
    ----------
    text : str
        What ``people.tsv`` holds.
    scans : collection of str, optional
    """
    lines = text.splitlines()
    kept = [line for line in lines if scans is None or line.split("\t", 1)[0] in scans]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:12]
