"""Files that were deleted when everything had measured them: what is still known of each.

A *note* has a file's checksum and size.  Notes lie beside the manifest of the stage that made the
files.  With them the key of whatever was made from a deleted file can still be worked out: a rerun
finds all records in order and has nothing to do.

Deletes what :func:`drop` is told to, below ``derivatives`` and ``render`` alone.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from refacebench import bids, files
from refacebench.run import records
from refacebench.vocabulary import OK

#: Scans whose deleted files are to be made again, by the manifest of the stage that makes them.
WANTED = "results/plan/wanted.json"
#: Folders whose files may be deleted.
_FOLDERS = ("derivatives", "render")
_ENDING = ".dropped.json"


class Note(NamedTuple):
    """What is known of a deleted file.

    Attributes
    ----------
    sha256 : str
    size : int
        Bytes.
    reason : str
        Why it could not be made again; empty where nobody has tried, or it could.
    """

    sha256: str
    size: int
    reason: str = ""


def notes_path(out: str | Path) -> Path:
    """Return where the notes lie on files that a manifest names.

    >>> notes_path("results/deface/d/null/test-measured-000.tsv").name
    'test-measured-000.dropped.json'
    """
    return Path(out).with_suffix(_ENDING)


def read(out: str | Path) -> dict[str, Note]:
    """Return the notes on files that a stage made, by path."""
    found = files.read_json(notes_path(out)) or {}
    return {path: Note(*note) for path, note in found.items()}


def write(out: str | Path, notes: dict[str, Note]) -> None:
    """Write the notes on a stage's files; no file where there are none."""
    if notes:
        files.write_text(json.dumps(notes, indent=0, sort_keys=True) + "\n", notes_path(out))
    else:
        notes_path(out).unlink(missing_ok=True)
    _of_variant.cache_clear()


def drop(out: str | Path, columns: Collection[str], spared: Collection[str] = ()) -> int:
    """Delete the files that finished scans of a batch name in some columns; return how many.

    First come the notes: whatever ends this in between, no file is gone without one.

    Parameters
    ----------
    out : str or Path
        The manifest of the stage that made them.
    columns : collection of str
        ``*`` for all.
    spared : collection of str
        Scans whose files stay.
    """
    notes, gone = read(out), []
    for scan, record in records.everything(out).items():
        if scan in spared or record["result"].get("status", OK) != OK:
            continue
        for file in of_columns(record["result"], columns):
            if os.path.isfile(file) and _may_go(file):
                notes[file] = Note(files.checksum(file), os.path.getsize(file))
                gone.append(file)
    write(out, notes)
    for file in gone:
        files.refuse_links(file)
        os.unlink(file)
    return len(gone)


def drop_sidecars(out: str | Path) -> None:
    """Delete the sidecars of images that are gone; whoever makes an image writes its sidecar."""
    for path in read(out):
        if not os.path.exists(path):
            bids.sidecar_path(path).unlink(missing_ok=True)


def of_columns(result: Mapping[str, Any], columns: Collection[str] = ("*",)) -> list[str]:
    """Return the files that a scan's row names, in some columns or in all.

    >>> of_columns({"path": "a", "seg_path": "b", "seconds": 1}, ["seg_path"])
    ['b']
    """
    return [
        value
        for name, value in result.items()
        if (name == "path" or name.endswith("_path"))
        and value
        and (name in columns or "*" in columns)
    ]


def _may_go(path: str) -> bool:
    """Tell whether a file lies where stages write; the scans themselves never do."""
    parts = Path(path).parts
    return any(
        one == files.RESULTS and two in _FOLDERS for one, two in zip(parts, parts[1:], strict=False)
    ) and not os.path.islink(path)


def find(path: str | Path) -> Note | None:
    """Return the note on a file that is gone; None for one that is there or was never noted."""
    if os.path.exists(path):
        return None
    parts = Path(path).parts
    for place in range(len(parts) - 3, 0, -1):
        if parts[place - 1] == files.RESULTS and parts[place] in _FOLDERS:
            root = Path(*parts[:place])
            return _of_variant(root, parts[place], *parts[place + 1 : place + 3]).get(str(path))
    return None


@functools.lru_cache(64)
def _of_variant(root: Path, folder: str, dataset: str, variant: str) -> dict[str, Note]:
    """Return the notes on all files of a variant."""
    if folder == "render":
        homes = [root / "render" / dataset / variant]
    else:
        homes = [root / stage / dataset / variant for stage in ("deface", "reface")]
        homes += sorted((root / "segment" / dataset).glob(f"*/{variant}"))
    found: dict[str, Note] = {}
    for home in homes:
        for path in sorted(home.glob(f"*{_ENDING}")):
            found |= read(path.with_name(path.name.removesuffix(_ENDING) + ".tsv"))
    return found


def there(path: str | Path) -> bool:
    """Tell whether a file is there, or was until it was measured."""
    return os.path.isfile(path) or find(path) is not None


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file, of a deleted one as it was.

    Raises
    ------
    OSError
        As :func:`refacebench.files.checksum`.
    """
    note = find(path)
    return note.sha256 if note else files.checksum(path)


def forget(out: str | Path, paths: Iterable[str]) -> None:
    """Take away the notes on files that are there again."""
    paths = set(paths)
    write(out, {path: note for path, note in read(out).items() if path not in paths})


def could_not(out: str | Path, paths: Iterable[str], reason: str) -> None:
    """Note why files could not be made again, so that nobody waits for them."""
    notes = read(out)
    for path in paths:
        if path in notes:
            notes[path] = notes[path]._replace(reason=reason)
    write(out, notes)


def wanted(out: str | Path) -> frozenset[str]:
    """Return the scans whose deleted files a stage is to make again."""
    return frozenset((files.read_json(Path(WANTED)) or {}).get(str(out), ()))


def of_scans(out: str | Path) -> dict[str, set[str]]:
    """Return the files that a stage made of each scan of a batch, by the scan's id."""
    every = records.everything(out).items()
    return {scan: set(of_columns(record["result"])) for scan, record in every}
