"""Reasons: what is said of a scan or a program that failed, fit to be shared.

Reasons stand in tables, figures and the report.  An error's own words may hold the
folder that the data lie in, with a name in it, the home of whoever runs this, a value of
an environment variable, or what stands in the image's header.  :func:`clean` takes
these out; where reasons enter rows it is called once
(:func:`refacebench.run.batch.run_batch`).

Reads the header of the scan that a reason is about, the names of this machine's home and
working folder, and nothing else.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from refacebench import environment

#: What stands for a folder, and for a header's text, that a reason names.
FOLDER = "[folder]"
HEADER_TEXT = "[text of the header]"
#: Of a session without an image of another contrast, which is nobody's failure.
NO_CONTRAST = "no {} image in the session"

#: A path in quotes ends where they do, whatever is in it.
_QUOTED = re.compile(r"([\"'])((?:~|\.{0,2}/)(?:(?!\1).)*)\1")
#: One without begins at a slash that is none of a word's, a relative path's or a web
#: address's.  Its folders may hold spaces, but one that ends with a space, or with the
#: ending of a file's name, was its last.
_BARE = re.compile(
    r"(?<![\w./~*])(?<!:(?=//))(?:~\w*|(?:\.{1,2}/)*\.{1,2})?"
    r"/(?:(?:(?:(?!\.[A-Za-z]\w{0,4}[\s,;)])[^/\n\"':])*[^/\n\"':\s])?/)*"
    r"[^\s/\"':;,()\[\]<>|]*"
)
#: Whoever reads a table may know these: they are the same on many machines.
_SYSTEM = ("/usr/", "/opt/", "/bin/", "/sbin/", "/lib", "/etc/", "/dev/", "/proc/")


def clean(text: object, row: Mapping | None = None, limit: int = 300) -> str:
    """Return a message as one line without private paths, hidden values or header texts.

    Parameters
    ----------
    text
        A message or an exception.
    row : mapping, optional
        The scan's row of a manifest: the folders of its files are known then, whatever
        characters are in their names, and its header is looked into.
    limit : int
        Characters that are kept.

    >>> clean("no file '/data/Doe, Jane/sub-1/anat/sub-1_T1w.nii.gz'")
    "no file 'sub-1/anat/sub-1_T1w.nii.gz'"
    >>> clean("see /opt/fsl/bin/flirt and https://example.org/a/b; 3/4 is n/a")
    'see flirt and https://example.org/a/b; 3/4 is n/a'
    """
    words = environment.scrub(str(text)).replace("file://", "")
    if not words.strip():
        return ""
    files = _files(row or {})
    for path in files:
        words = words.replace(path, shorten(path))
    for folder in _folders(files):
        words = re.sub(re.escape(folder) + r"/(?=[^\s\"'])", "", words).replace(folder, FOLDER)
    words = _QUOTED.sub(lambda hit: hit[1] + shorten(hit[2]) + hit[1], words)
    words = _BARE.sub(lambda hit: shorten(hit[0]), words)
    for found in _header(row or {}):
        words = re.sub(re.escape(found), HEADER_TEXT, words, flags=re.IGNORECASE)
    return " ".join(words.split())[:limit]


def in_dataset(path: str | Path) -> str:
    """Return a path from the participant's folder on: what lies above is nobody's business.

    >>> in_dataset("/data/Jane/sub-01/anat/sub-01_T1w.nii.gz"), in_dataset("/home/jane/a.nii")
    ('sub-01/anat/sub-01_T1w.nii.gz', 'a.nii')
    """
    parts = PurePath(path).parts
    starts = [n for n, part in enumerate(parts[:-1]) if part.startswith("sub-")]
    return "/".join(parts[starts[-1] :] if starts else parts[-1:])


def shorten(path: str) -> str:
    """Return a path as it may be shared: within its data set or our results, or the file's name.

    >>> shorten("/data/Jane Doe/sub-1/anat/sub-1_T1w.nii.gz"), shorten("/home/jane/my.sif")
    ('sub-1/anat/sub-1_T1w.nii.gz', 'my.sif')
    >>> shorten("/home/jane"), shorten("/opt/fsl/bin/flirt"), shorten("results/a/b.tsv")
    ('[folder]', 'flirt', 'results/a/b.tsv')
    """
    parts = PurePath(path).parts
    if any(part.startswith("sub-") for part in parts):
        return in_dataset(path)
    if parts[:1] == ("results",):
        return path
    here = f"{Path.cwd()}/"
    if path.startswith(f"{here}results/"):
        return path.removeprefix(here)
    name = parts[-1] if parts else ""
    if path.startswith(_SYSTEM) or "bin" in parts[-2:-1] or re.search(r"\.[A-Za-z]\w{0,4}$", name):
        return name
    return FOLDER if name.strip("/~.") else path


#: What is said where the option `path` of a data set names nothing.
NO_FOLDER = "path: there is no folder '{}'; change this to the folder of your data"


def meant(name: str, known: Iterable[str]) -> str:
    """Return a question after the known name that looks most like another one; or nothing.

    >>> meant("pydefac", ["pydeface", "quickshear"]), meant("x", ["pydeface"])
    ("; did you mean 'pydeface'?", '')
    """
    near = nearest(name, known)
    return f"; did you mean '{near}'?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that looks most like another one; empty if none does."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def without_paths(value: object) -> object:
    """Return a value, or what is nested in it, with its texts' absolute paths shortened.

    For what is written beside shared files: options of methods, for example.

    >>> without_paths({"weights": "/home/jane/w.h5", "sizes": (1, "a/b")})
    {'weights': 'w.h5', 'sizes': [1, 'a/b']}
    """
    if isinstance(value, Mapping):
        return {key: without_paths(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(part) for part in value]
    if isinstance(value, PurePath):
        value = str(value)
    if not isinstance(value, str):
        return value
    expanded = os.path.expanduser(value)
    whole = os.path.isabs(expanded) and (os.path.exists(expanded) or " " not in value)
    return shorten(expanded) if whole else _line_by_line(value)


def _line_by_line(text: str) -> str:
    return "\n".join(
        clean(line, limit=len(line)) if "/" in line else line for line in text.split("\n")
    )


def _files(row: Mapping) -> list[str]:
    """Return the names under which a row's files, those in results aside, may be spoken of."""
    named = [v for k, v in row.items() if k == "path" or k.endswith("_path")]
    given = [v for v in named if isinstance(v, str) and v and not v.startswith("results/")]
    spoken = {name for v in given for name in (v, os.path.abspath(v), os.path.realpath(v))}
    return sorted(spoken, key=len, reverse=True)


def _folders(files: Iterable[str]) -> list[str]:
    """Return the folders above data sets, and this machine's home, the deepest first."""
    found = {os.path.expanduser("~")}
    for path in files:
        root = PurePath(path.removesuffix(in_dataset(path)))
        found |= {str(folder) for folder in (root, *root.parents)}
    # A single short name may be a word of the message.
    return sorted((f for f in found if f.count("/") > 1 or f.startswith("..")), key=len)[::-1]


def _header(row: Mapping) -> list[str]:
    """Return what stands as text in the headers of the scan that a row is about."""
    found: set[str] = set()
    for path in dict.fromkeys(str(row.get(name) or "") for name in ("path", "original_path")):
        if os.path.isfile(path):
            found |= set(header_texts(path))
    return sorted(found, key=len, reverse=True)


def header_texts(path: str | Path, least: int = 4) -> list[str]:
    """Return what stands as text in an image's header and its extensions; empty if unreadable.

    Parameters
    ----------
    least : int
        Characters of the shortest text that is returned.
    """
    import nibabel as nib

    try:
        header: Any = nib.load(path).header
        raw = [header[name].item() for name in header if header[name].dtype.kind == "S"]
        raw += [extension.get_content() for extension in getattr(header, "extensions", ())]
    except Exception:  # a damaged file: nibabel raises half a dozen kinds
        return []
    found = []
    for content in raw:
        text = content.decode("latin-1") if isinstance(content, bytes) else str(content)
        parts = [text, *re.split(r"[\x00-\x1f^=;|,\"]+", text)]
        found += [part.strip() for part in parts if len(part.strip()) >= least]
    return list(dict.fromkeys(found))


#: Characters of an error that are kept until its paths are shortened: half a path is none.
WORDS = 5000


def one_line(text: object, limit: int = 300) -> str:
    r"""Fold a message to one line without tabs and hidden values, fit for a TSV cell.

    >>> one_line("a\n\tb")
    'a b'
    """
    return " ".join(environment.scrub(str(text)).split())[:limit]
