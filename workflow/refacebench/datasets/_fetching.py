"""A public data set's files: which are missing, bringing them, unpacking.

Addresses stand in one table a data set: ``file``, ``unpack`` (the folder that an archive is
unpacked into; empty for a file that stays as it is), ``holds`` (what is in it), ``algorithm`` and
``checksum`` (empty where none is published), ``url`` and ``note``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path

import pandas as pd

from refacebench.datasets._download import bring


def addresses(table: str | Path) -> pd.DataFrame:
    """Return a table of addresses as text."""
    return pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)


def missing(table: str | Path, root: str | Path) -> str:
    """Return the names of files that are neither there nor unpacked; empty if all are."""
    return ", ".join(e.file for e in addresses(table).itertuples() if not _is_there(e, Path(root)))


def _is_there(entry, root: Path) -> bool:
    if not entry.unpack:
        stem = Path(entry.file).stem
        return any((root / f"{stem}{end}").is_file() for end in (".xls", ".csv", ".tsv"))
    places = [root, root / entry.unpack, root / Path(entry.file).stem]
    return any(any(place.glob(entry.holds)) for place in places)


def fetch(table: str | Path, root: str | Path, timeout: float = 60.0) -> None:
    """Bring all files that are missing and unpack archives, which are deleted then.

    Raises
    ------
    ConnectionError, ValueError
        If a file cannot be fetched, or is not the expected one.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    for entry in addresses(table).itertuples():
        if _is_there(entry, root):
            continue
        path = root / entry.file
        if not path.is_file():
            print(f"downloading {entry.url}", file=sys.stderr)
            if not entry.checksum:
                print(
                    f"{entry.file}: no checksum is published; only its length is checked",
                    file=sys.stderr,
                )
            bring(entry.url, path, entry.algorithm, entry.checksum, timeout)
        if entry.unpack:
            unpack(path, root / entry.unpack)
            path.unlink()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a new folder, all or nothing.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                _unpack_one(packed, member, part)
    except (tarfile.TarError, EOFError, OSError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ValueError(
            f"{archive}: cannot be unpacked ({error}); delete it and run again"
        ) from None
    os.replace(part, folder)


def _unpack_one(packed: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a file of an archive; `extractall` is safe from Python 3.11.4 on alone."""
    path = folder / member.name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"{member.name} lies outside of its folder")
    if member.isdir():
        return
    content = packed.extractfile(member) if member.isfile() else None
    if content is None:
        raise tarfile.TarError(f"{member.name} is no plain file")
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, open(path, "wb") as out:
        shutil.copyfileobj(content, out)
