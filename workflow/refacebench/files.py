"""Whole files or none: atomic writes, checksums, keys, arrays, YAML, JSON that may be missing.

Writes where it is told to, but never through a symbolic link below a folder ``results``
(:func:`refuse_links`); knows nothing of scans.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: How a file begins whose content a tool has not brought yet, and what brings it.
_POINTERS = {"/annex/objects/": "`datalad get`", "version https://git-lfs": "`git lfs pull`"}


def pointer(content: bytes | str) -> str:
    """Return the command that brings a file's content, if what is there only stands for it.

    git-annex (DataLad) and Git LFS write a line of text in the place of a large file.

    >>> pointer(b"version https://git-lfs.github.com/spec/v1"), pointer("participant_id")
    ('`git lfs pull`', '')
    """
    text = content if isinstance(content, str) else content[:100].decode("latin-1")
    return next((how for start, how in _POINTERS.items() if text.startswith(start)), "")


def mend_link(path: str | Path, place: str = "") -> str:
    """Say what to do about a link to a file that is not there.

    Parameters
    ----------
    place : str
        Where it lies in the data set; the file's name without.
    """
    annexed = "annex/objects/" in os.readlink(path)
    what = place or Path(path).name
    return f"`datalad get {what}` brings it" if annexed else "mend or remove the link"


def write_text(text: str, path: str | Path) -> None:
    """Write a text file, all or nothing."""
    with replacing(path) as part:
        part.write_text(text)


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or a device, which may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "not a file", str(path))
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_expected(path: str | Path, sha256: str, remedy: str) -> bytes:
    """Return the content of a file that may run code when it is used, if it is the expected one.

    The content and not the file is to be used: nobody can change it in between.

    Parameters
    ----------
    sha256 : str
        Of the file as its authors released it.
    remedy : str
        What to do with another one.

    Raises
    ------
    ValueError
        If it is another file.
    """
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path}: not the released file, and it is not loaded (SHA-256 {found[:12]}..., "
            f"expected {sha256[:12]}...); {remedy}"
        )
    return content


def make_key(parts: Mapping, inputs) -> str:
    """Return a key of 16 hex digits for a method, its parameters and its input files."""
    return key_of(parts, [checksum(path) for path in inputs])


def key_of(parts: Mapping, checksums: list[str]) -> str:
    """Return the key of a method, its parameters and the checksums of its input files.

    It begins with a letter: readers of tables take hexadecimal digits with one ``e`` for a number.
    """
    document = {"parts": parts, "inputs": checksums}
    text = json.dumps(document, sort_keys=True, default=str)
    return "k" + hashlib.sha256(text.encode()).hexdigest()[:16]


def read_json(path: Path) -> dict | None:
    """Return a JSON file's document; None where there is none that can be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not YAML: one sentence, with the file and, where it is known, the line.
    """
    import yaml

    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not YAML: it is not text in UTF-8") from None
    except yaml.YAMLError as error:
        raise ValueError(_not_yaml(path, error)) from None


def _not_yaml(path: str | Path, error: Any) -> str:
    """Return a YAML parser's error, which has several lines, as one sentence."""
    mark, begun = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
    place = f"{path}, line {mark.line + 1}" if mark else str(path)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    said = " ".join(said.split()).replace("'<stream end>'", "the end of the file")
    said = re.sub(r"'?<([a-z ]+)>'?", r"a \1", said)
    if "'\\t'" in said:
        said += "; indent with spaces, not with tabs"
    if begun and begun.line != (mark or begun).line:
        said += f"; look from line {begun.line + 1} on"
    return f"{place} is not valid YAML: {said}"


def packaged(package: str, *parts: str) -> Path | None:
    """Find a file inside an installed package, which is not imported.

    Parameters
    ----------
    package : str
        Its import name.
    *parts : str
        Folders and the file's name below the package's folder.

    Returns
    -------
    Path or None
        None if the package or the file is not there.

    >>> packaged("numpy", "no such file.nii") is None
    True
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *parts)
        if path.is_file():
            return path
    return None


def temporary_name(path: str | Path) -> Path:
    """Return a name in the same folder that nothing else uses, with the same ending.

    >>> temporary_name("a/sub-1_T1w.nii.gz").name.endswith("sub-1_T1w.nii.gz")
    True
    """
    path = Path(path)
    return path.with_name(f".part-{os.getpid()}-{path.name}")


#: The folder of a run's output; it may be a link itself, nothing in it may be one.
RESULTS = "results"


def refuse_links(path: str | Path) -> None:
    """Refuse a place below a folder ``results`` that is reached through a symbolic link.

    Whoever can put a link there (a program that works on a scan, a copied folder) could else
    make a run overwrite, delete or open files elsewhere.

    Raises
    ------
    OSError
        If the place itself, or a folder between it and ``results``, is a link.
    """
    path = Path(path).absolute()
    for root in (Path.cwd() / RESULTS, *path.parents):
        if root.name == RESULTS and root in path.parents:
            break
    else:
        return
    for here in (path, *path.parents):
        if here == root:
            return
        if here.is_symlink():
            why = "a symbolic link, through which nothing is written; remove it and run again"
            raise OSError(errno.ELOOP, why, str(here))


def _new_file(path: Path) -> None:
    """Make an empty file, whatever lies under its name, so that writers follow no link."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))


@contextlib.contextmanager
def replacing(path: str | Path):
    """Give the name of an empty file to write to, and rename it when all is written.

    What a failure (a full disk, for example) leaves half written is deleted.

    Raises
    ------
    OSError
        If the place is reached through a link, see :func:`refuse_links`.
    """
    path = Path(path)
    refuse_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(path)
    try:
        _new_file(part)
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def remove_parts(folder: str | Path) -> int:
    """Delete what killed processes left half written below a folder; return how many files.

    Those of a process that lives are left.  Call it where nothing else runs in the folder.
    """
    removed = 0
    for home, _, names in os.walk(folder):
        for name in names:
            found = re.match(r"\.part-(\d+)-", name)
            if found and not _lives(int(found[1])):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(home, name))
                    removed += 1
    return removed


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a compressed ``.npz``, all or nothing; the same arrays, the same bytes."""
    with replacing(path) as part, open(part, "wb") as handle:
        np.savez_compressed(handle, **dict[str, Any](arrays))


def kept_arrays(path: Path, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict:
    """Return arrays from a file whose key matches; else make and write them."""
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as found:
                if str(found["key"]) == key:
                    return {name: found[name] for name in found.files if name != "key"}
        except (OSError, ValueError, KeyError):
            pass  # damaged or of another format: made again
    arrays = dict(make())
    save_arrays(path, {**arrays, "key": np.array(key)})
    return arrays
