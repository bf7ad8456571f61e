"""Which image files lie in a BIDS folder, and what keeps one from being a scan.

Reads names of files and folders, and ``.bidsignore``; opens no image.  Nothing
that looks like an image of the wanted kind is passed over in silence: it is
listed, and :func:`fault` says in a sentence what is wrong with it.

That is why no BIDS library does this.  They answer which files have valid names, and
what has none is left out or listed like the rest, without a word.  Tried were
bids2table 2.3.1 (stops at one name that is no UTF-8; brings pyarrow), ancpBIDS 0.4.10
(lists files of other folders, of other subjects and of dead links as scans) and PyBIDS
0.22 (stops at one empty JSON file).  5,000 scans took them 5.9 s, 3.7 s and 34 s (without
metadata), and take 1.8 s here.
``tests/datasets/test_library.py`` compares the entities read here with ancpBIDS's.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from refacebench import bids
from refacebench.files import mend_link

#: Endings of files that later stages can read.
NIFTI = ("nii", "nii.gz")
#: Endings of images that nothing here reads.
_OTHER = (
    *("hdr", "img", "hdr.gz", "img.gz", "mgz", "mgh", "mgh.gz", "mnc", "mnc.gz", "dcm", "ima"),
    *("nrrd", "nhdr", "mha", "mhd", "brik", "brik.gz", "head"),
    *(f"nii.{packed}" for packed in ("bz2", "xz", "zst", "zip", "z", "gz.gz")),
)
_IMAGE = re.compile(
    rf"(.*?)\.({'|'.join(re.escape(e) for e in sorted((*NIFTI, *_OTHER), key=len, reverse=True))})",
    re.IGNORECASE | re.DOTALL,
)
#: Folders that are a participant's, or meant to be: ``sub-01``, ``Sub-01``, ``sub_a``, ``sub01``.
_LIKE_A_PARTICIPANT = re.compile(r"sub([-_ ]|[0-9])", re.IGNORECASE)
#: Entities that only derivatives have.
_DERIVED = ("space", "desc", "res", "den", "label")
#: Folders that are one recording.
_RECORDINGS = (".ds", ".zarr", ".mefd", ".mff")
#: How deep images are looked for below a participant's folder.
_DEEPEST = 5


@dataclass(frozen=True)
class Image:
    """An image file.

    Attributes
    ----------
    folders : tuple of str
        Those that it lies in, from the data set's: ``("sub-01", "ses-1", "anat")``.
    file, stem, ending : str
        ``sub-01_ses-1_T1w.nii.gz``, ``sub-01_ses-1_T1w``, ``nii.gz``.
    """

    folders: tuple[str, ...]
    file: str
    stem: str
    ending: str

    @property
    def place(self) -> str:
        """The file's path relative to the data set."""
        return "/".join((*self.folders, self.file))

    def path(self, root: str) -> str:
        """Return the file's path."""
        return os.path.join(root, *self.folders, self.file)


@dataclass(frozen=True)
class Trouble:
    """A folder that cannot be looked into, and why."""

    folders: tuple[str, ...]
    reason: str


def shown(text: str) -> str:
    r"""Return a name as it can be printed: what cannot is written as an escape.

    >>> shown("sub-n\nl"), shown("sub-a\udcff")
    ('sub-n\\nl', 'sub-a\\xff')
    """
    return "".join(
        c
        if c.isprintable()
        else f"\\x{ord(c) - 0xDC00:02x}"
        if 0xDC80 <= ord(c) <= 0xDCFF
        else c.encode("unicode_escape").decode()
        for c in text
    )


def image_of(folders: tuple[str, ...], file: str) -> Image | None:
    """Return a file as an image by its ending; None for others and for hidden files."""
    found = None if file.startswith(".") else _IMAGE.fullmatch(file)
    return Image(folders, file, found[1], found[2]) if found else None


def is_of(image: Image, suffix: str) -> bool:
    """Tell whether an image has a suffix such as ``T1w``, capitals and more words aside.

    >>> [is_of(Image((), f"{s}.nii", s, "nii"), "T1w") for s in ("a_t1W", "T1w_new", "space-T1w_x")]
    [True, True, False]
    """
    return suffix.lower() in (word.strip(" .") for word in image.stem.lower().split("_"))


def subjects(root: str) -> tuple[list[str], list[Image], list[Trouble]]:
    """Return the folders ``sub-*``, images beside them, and folders of which nothing is read."""
    folders, loose, troubles = [], [], []
    for entry in _entries(root):
        image = image_of((), entry.name)
        if image is not None:
            loose.append(image)
        elif not _LIKE_A_PARTICIPANT.match(entry.name):
            continue
        elif entry.is_symlink() and not os.path.exists(entry.path):
            troubles.append(Trouble((entry.name,), "its folder is a link that leads nowhere"))
        elif not _is_folder(entry, True):
            continue
        elif not entry.name.startswith("sub-"):
            reason = "the name of its folder must begin with 'sub-' in small letters"
            troubles.append(Trouble((entry.name,), reason))
        else:
            folders.append(entry.name)
    return folders, loose, troubles


def below(root: str, subject: str) -> tuple[list[Image], list[Trouble], list[str]]:
    """Return all images below a participant's folder, what could not be read, and the sessions.

    Links to folders are followed where BIDS wants a folder (``ses-*``, ``anat``) and
    nowhere else, so that a link to a folder above does not lead round and round.
    """
    images, troubles, sessions = [], [], []
    todo: list[tuple[str, ...]] = [(subject,)]
    while todo:
        folders = todo.pop()
        try:
            entries = _entries(os.path.join(root, *folders))
        except OSError as error:
            if _expected(folders):
                reason = f"its folder cannot be read ({error.strerror})"
                troubles.append(Trouble(folders, reason))
            continue
        for entry in entries:
            image = image_of(folders, entry.name)
            inner = (*folders, entry.name)
            if image is not None:
                images.append(image)
            elif entry.name.startswith(".") or entry.name.endswith(_RECORDINGS):
                continue
            elif entry.is_symlink() and _expected(inner) and not os.path.exists(entry.path):
                reason = f"its folder '{shown(entry.name)}' is a link that leads nowhere"
                troubles.append(Trouble(inner, reason))
            elif len(inner) <= _DEEPEST and _is_folder(entry, _expected(inner)):
                todo.append(inner)
                if len(inner) == 2 and entry.name.startswith("ses-"):
                    sessions.append(entry.name)
    return images, troubles, sorted(sessions)


def _entries(folder: str) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def _expected(folders: tuple[str, ...]) -> bool:
    """Tell whether BIDS has images of the head in or below a folder."""
    inner = folders[1:]
    if inner and inner[0].startswith("ses-"):
        inner = inner[1:]
    return inner in ((), ("anat",))


def session_of(folders: tuple[str, ...]) -> str:
    """Return the session that folders name; empty if they name none.

    >>> session_of(("sub-1", "ses-2", "anat")), session_of(("sub-1", "anat"))
    ('ses-2', '')
    """
    return folders[1] if len(folders) > 1 and folders[1].startswith("ses-") else ""


def name_of(image: Image, suffix: str = "") -> str:
    """Return an image's id by its folders and its name, without the suffix if that is given."""
    stem = image.stem[: -len(suffix)] if suffix else image.stem
    return bids.scan_id(image.folders[0], session_of(image.folders), stem)


def fault(image: Image, suffix: str, root: str, ignored: Callable[[str], bool]) -> str:
    """Return what keeps an image from being used, in a sentence; empty for a usable one.

    Parameters
    ----------
    suffix : str
        What its name must end in, ``T1w`` for example.
    ignored : callable
        Of :func:`bidsignore`.
    """
    checks = (_folder_fault, _form_fault, _owner_fault, _kind_fault)
    for reason in (check(image, suffix) for check in checks):
        if reason:
            return reason
    path = image.path(root)
    if os.path.islink(path) and not os.path.exists(path):
        mend = mend_link(path, image.place)
        return f"no such file: it is a link to content that is not here; {mend}"
    if os.path.exists(path) and not os.path.isfile(path):
        return f"not a file but a {'directory' if os.path.isdir(path) else 'pipe or a device'}"
    longest = max(len(name_of(image)), len(image.stem))
    if longest > bids.LONGEST:
        return f"its name has {longest} characters; shorten it to {bids.LONGEST}"
    return ".bidsignore leaves it out" if ignored(image.place) else ""


def _folder_fault(image: Image, suffix: str) -> str:
    place = image.folders
    for name in place[:2] if session_of(place) else place[:1]:
        if not re.fullmatch(f"(sub|ses)-{bids.LABEL}", name):
            return (
                f"the folder name '{shown(name)}' holds more than letters, digits, + and - after "
                "its first hyphen; rename it"
            )
    if place[1 + bool(session_of(place)) :] != ("anat",):
        return f"it lies in '{shown('/'.join(place))}', not in sub-*/anat or sub-*/ses-*/anat"
    return ""


def _form_fault(image: Image, suffix: str) -> str:
    if not image.file.isprintable():
        return (
            f"its name '{shown(image.file)}' holds characters that cannot be printed (a line "
            "break, a tab, bytes that are not UTF-8); rename it"
        )
    ending = image.ending.lower()
    if ending not in NIFTI:
        return f"'{image.file}' is not a NIfTI file; convert it to .nii.gz"
    if ending != image.ending or not image.stem.endswith(suffix):
        return f"the name '{image.file}' must end in '{suffix}.{ending}', capitals as here"
    return ""


def _owner_fault(image: Image, suffix: str) -> str:
    """Say whose folder it is if the file's name says that it is another's."""
    subject, session = image.folders[0], session_of(image.folders)
    parts = image.stem.split("_")
    if not parts[0].startswith("sub-"):
        return f"the name '{image.file}' does not begin with '{subject}_'"
    for key, own in (("sub-", subject), ("ses-", session)):
        for part in parts:
            if part.startswith(key) and part != own:
                return (
                    f"foreign file: its name says {part}, its folder "
                    f"{own or 'no session'} ({'/'.join(image.folders)})"
                )
    return ""


def _kind_fault(image: Image, suffix: str) -> str:
    derived = sorted(set(bids.entities(image.stem)) & set(_DERIVED))
    if derived:
        return f"its name says that it is a derivative ({derived[0]}-) and no raw scan"
    part = bids.entities(image.stem).get("part", "mag")
    if part != "mag":
        return f"its name says that it holds no magnitudes (part-{part}); only part-mag is used"
    return ""


def bidsignore(root: str) -> Callable[[str], bool]:
    """Return a function that tells whether ``.bidsignore`` leaves out a path.

    The rules are those of ``.gitignore``; paths are relative to the data set.
    """
    path = os.path.join(root, ".bidsignore")
    if not os.path.isfile(path):  # a pipe would never end
        return lambda path: False
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip() for line in file]
    except OSError:
        return lambda path: False
    rules = [
        (not line.startswith("!"), _pattern(line.removeprefix("!")))
        for line in lines
        if line.strip("/! ") and not line.startswith("#")
    ]

    def ignored(path: str) -> bool:
        verdict = False
        for leaves_out, pattern in rules:
            if pattern.fullmatch(path):
                verdict = leaves_out
        return verdict

    return ignored


_WILD = {
    **{"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*", "**": ".*"},
    **{"*": "[^/]*", "?": "[^/]"},
}


def _pattern(line: str) -> re.Pattern:
    """Translate a line of ``.gitignore``; it matches what lies below a folder too.

    >>> [bool(_pattern("sub-9/").fullmatch(p)) for p in ("sub-9/anat/x.nii", "a/sub-9/x", "sub-9")]
    [True, True, False]
    >>> [bool(_pattern("/x*/**/y.nii").fullmatch(p)) for p in ("x1/y.nii", "x/a/b/y.nii", "a/x/y")]
    [True, True, False]
    """
    anchored = "/" in line[:-1]
    body, below_only = line.strip("/"), line.endswith("/")
    text = ""
    for token in re.findall(r"/\*\*/|\*\*/|/\*\*|\*\*|\*|\?|\[[^\]/]+\]|.", body, re.DOTALL):
        if token.startswith("[") and len(token) > 1:
            inner = re.sub(r"([\\\[])", r"\\\1", token[1:-1])
            text += "[" + re.sub("^!", "^", inner) + "]"
        else:
            text += _WILD.get(token, re.escape(token))
    start = "" if anchored else "(?:.*/)?"
    try:
        return re.compile(f"{start}{text}" + ("/.*" if below_only else "(?:/.*)?"), re.DOTALL)
    except re.error:
        return re.compile(re.escape(body), re.DOTALL)


def digest(text: str) -> str:
    """Return six characters that stand for a name."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]
