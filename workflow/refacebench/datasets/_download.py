"""Bringing public files into a folder, each whole and right or not at all; and the label maps'.

A download that was interrupted goes on where it stopped, if the server can do that.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd

from refacebench import files

#: Where the maps and priors come from, with their SHA-256.
SOURCES = Path(__file__).with_name("labelmap_urls.tsv")
#: Bytes that are read at a time.
_BLOCK = 1 << 20
_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


def sources() -> pd.DataFrame:
    """Return the table of files that :func:`download` brings: file, sha256, url."""
    return pd.read_csv(SOURCES, sep="\t", dtype=str)


def download(folder: str | Path, table: pd.DataFrame | None = None, timeout: float = 60.0) -> None:
    """Bring the label maps and priors into a folder; files that are right already stay.

    Each file is checked against its SHA-256 before it gets its name.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        Columns file, sha256, url; by default :func:`sources`.

    Raises
    ------
    ConnectionError
        If a file cannot be fetched.
    ValueError
        If what came is not the expected file.
    """
    for entry in (sources() if table is None else table).itertuples():
        path = Path(folder) / entry.file
        if not (path.is_file() and files.checksum(path) == entry.sha256):
            bring(entry.url, path, "sha256", entry.sha256, timeout)


def bring(
    url: str, path: str | Path, algorithm: str = "", checksum: str = "", timeout: float = 60.0
) -> None:
    """Download one file, check it, and give it its name.

    What has come of it lies in ``<path>.part``, from where the next call goes on.

    Parameters
    ----------
    algorithm : str
        ``sha256`` or ``md5``; empty where no checksum is known: then only the length that the
        server told is checked.

    Raises
    ------
    ConnectionError
        If it cannot be fetched; what came so far stays.
    ValueError
        If what came is not the expected file; nothing stays.
    """
    path = Path(path)
    files.refuse_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        _append(url, part, timeout)
    except (OSError, http.client.HTTPException) as error:
        if part.is_file() and not part.stat().st_size:
            part.unlink()
        raise ConnectionError(_said(url, path, part, error)) from None
    if algorithm and _digest(part, algorithm) != checksum:
        part.unlink()
        raise ValueError(
            f"{url}: not the file whose {_NAMES[algorithm]} is {checksum}; put the right file at "
            f"{path} by hand"
        )
    os.replace(part, path)


def _append(url: str, part: Path, timeout: float) -> None:
    """Download what is missing of a file; all of it where the server cannot begin in the middle."""
    had = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url)  # noqa: S310
    if had:
        request.add_header("Range", f"bytes={had}-")
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)  # nosec B310
    except urllib.error.HTTPError as error:
        if error.code != 416 or not had:
            raise
        if error.headers.get("Content-Range", "").rpartition("/")[2] == str(had):
            return  # it is whole already
        part.unlink()
        _append(url, part, timeout)
        return
    with answer:
        goes_on = had and getattr(answer, "status", None) == 206
        length = answer.headers.get("Content-Length")
        whole = (had if goes_on else 0) + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as out:
            while block := answer.read(_BLOCK):
                out.write(block)
    if whole is not None and part.stat().st_size != whole:
        raise OSError(f"{part.stat().st_size} of {whole} bytes came")


def _digest(path: Path, algorithm: str) -> str:
    found = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _said(url: str, path: Path, part: Path, error: Exception) -> str:
    """Return what to do about a download that failed."""
    text = str(getattr(error, "reason", "") or error)
    kept = ""
    with contextlib.suppress(OSError):
        kept = f" {part.stat().st_size} bytes came and are kept; the same command goes on there."
    code = getattr(error, "code", None)
    if code == 407 or "407" in text or "proxy" in text.lower() or "tunnel" in text.lower():
        how = "the proxy refuses it: set http_proxy and https_proxy with name and password"
    elif code is not None:
        how = f"the server answers {code}: the address may have changed"
    else:
        how = "is there a network? Behind a proxy set http_proxy and https_proxy"
    return (
        f"{url}: cannot be fetched ({text}); {how}, or download it elsewhere and put it at {path} "
        f"by hand.{kept}"
    )
