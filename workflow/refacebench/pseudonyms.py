"""Pseudonyms: what stands in shared files in place of the ids of participants and sessions.

With ``pseudonyms: true`` in the config a run's tables, figures, page, summary and cards name
nobody: ``sub-01_ses-2024`` is ``p-3f9a0c77d1_s-81be05a2c4`` there, the same in all of them.
The name is a keyed hash (HMAC-SHA256), so that nobody without the key can try ids out.  The
key is made once and lies with the table of who is who in ``results/pseudonyms``, which only
its owner can open.  Records, manifests, logs and derivatives keep the ids.

Nothing that makes a result knows of this: the few places where shared files are written ask
for :func:`active`.  A process learns that pseudonyms are wanted from its environment, which
jobs inherit (:func:`switch`).

Reads the key and the lists of scans in ``results/plan``; :func:`make_key` and
:func:`write_mapping` write to ``results/pseudonyms``.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath

import pandas as pd

from refacebench import files, manifest, reasons

FOLDER = Path("results/pseudonyms")
KEY = "key"
MAPPING = "mapping.tsv"
#: A file that jobs depend on: it holds a digest of the key, and is made again with a new one.
MADE = "made.txt"
#: The variable of a process that is to use pseudonyms: the folder of the key.
VARIABLE = "REFACEBENCH_PSEUDONYMS"
#: Hexadecimal digits of a pseudonym: two of 10,000 people share one with a chance of 1 in 22,000.
DIGITS = 10


class KeyGone(Exception):
    """The key that earlier files were made with is gone."""


#: Columns that hold ids, whatever these look like.
ID_COLUMNS = ("participant", "session", "scan")

_ENDING = r"\.(?:nii\.gz|nii|json|tsv|mgz|img|hdr|npz|npy)\b"
_PART = r"[A-Za-z0-9+-]+(?:\.\d[A-Za-z0-9+-]*)*"
#: An id as it stands in a text, with what belongs to it: ``sub-1/ses-2/anat/sub-1_ses-2_T1w.nii``.
_ID = re.compile(rf"(?<![A-Za-z0-9])sub-{_PART}(?:[/_]{_PART})*(?:{_ENDING})?", re.IGNORECASE)
_SESSION = re.compile(r"(?<![A-Za-z0-9])ses-[A-Za-z0-9+-]+", re.IGNORECASE)
#: What may follow a participant and a session and tells nothing.
_PLAIN = re.compile(rf"(?:anat)?(?:T1w)?(?:{_ENDING})?")


class Pseudonyms:
    """The pseudonyms of one key.

    Parameters
    ----------
    key : bytes
    scans : iterable of mapping
        The scans of a run: ``participant``, ``session``, ``scan`` and ``path``.  An id that
        looks like a word (``sub-groups``) is taken for one if it is none of theirs.
    """

    def __init__(self, key: bytes, scans: Iterable[Mapping] = ()):
        self._key = key
        self._known: set[str] = set()
        names: dict[str, str] = {}
        for row in scans:
            self._known |= {str(row["participant"]).lower(), str(row["session"]).lower()}
            path = str(row.get("path") or "")
            for name in (path and reasons.in_dataset(path), PurePath(path).name):
                # Others are found in a text by their form.
                if name and not _ID.fullmatch(name):
                    names[name] = self.scan(str(row["scan"])) + "_" + self._hash("f", name)
        self._names = dict(sorted(names.items(), key=lambda item: -len(item[0])))

    def _hash(self, kind: str, *words: str) -> str:
        text = json.dumps([kind, *words]).encode()
        return f"{kind}-{hmac.new(self._key, text, hashlib.sha256).hexdigest()[:DIGITS]}"

    def participant(self, name: str) -> str:
        """Return the pseudonym of a participant; empty stays empty."""
        return self._hash("p", name) if name else name

    def session(self, name: str, participant: str = "") -> str:
        """Return the pseudonym of a participant's session.

        The same label of two people gives two pseudonyms: a label may be a date, and that two
        people were scanned on one day is nobody's business.
        """
        return self._hash("s", participant, name) if name else name

    def scan(self, scan: str) -> str:
        """Return the pseudonym of a scan's id, or of the path of a file of it."""
        parts = [part for part in re.split("[/_]", scan) if part]
        subject = next((part for part in parts if part.lower().startswith("sub-")), "")
        if not subject:
            return self._hash("f", scan) if scan else scan
        session = next((part for part in parts if part.lower().startswith("ses-")), "")
        ending = re.search(rf"{_ENDING}$", scan)
        end = ending.group() if ending else ""
        # The label of a file without a suffix may run into the ending.
        subject, session = subject.removesuffix(end), session.removesuffix(end)
        rest = [part for part in parts if not part.lower().startswith(("sub-", "ses-"))]
        found = [self.participant(subject), self.session(session, subject)]
        if not _PLAIN.fullmatch("".join(rest)):
            return "_".join(filter(None, [*found, self._hash("f", *rest)])) + end
        tail = ["_".join(part for part in rest if part != "anat")]
        return "_".join(filter(None, [*found, *tail])) + ("" if rest else end)

    def text(self, text: str, participant: str = "") -> str:
        """Return a text with pseudonyms for all ids in it, and for the names of their files.

        Parameters
        ----------
        participant : str
            Whose sessions are meant where a label stands alone.
        """
        for name, pseudonym in self._names.items():
            text = text.replace(name, pseudonym)
        text = _ID.sub(lambda hit: self._found(hit.group()), text)
        return _SESSION.sub(
            lambda hit: (
                self.session(hit.group(), participant) if self._is_id(hit.group()) else hit.group()
            ),
            text,
        )

    def _found(self, found: str) -> str:
        return self.scan(found) if self._is_id(re.split("[/_]", found)[0]) else found

    def _is_id(self, name: str) -> bool:
        return name.lower() in self._known or any(char.isdigit() for char in name)

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with pseudonyms, where it names scans in another order.

        Rows are sorted by their pseudonyms within a variant: their places would else say which
        is the first, the second, ... of the ids.
        """
        ids = [name for name in ID_COLUMNS if name in table]
        if "participant" in table:
            people = table["participant"].fillna("").astype(str)
        else:
            people = pd.Series("", index=table.index)
        made = table.copy()
        for name in table.columns:
            if table[name].dtype.kind not in "biufc":
                made[name] = [
                    self._cell(name, value, person)
                    for value, person in zip(table[name], people, strict=True)
                ]
        if not ids:
            return made
        order = pd.DataFrame({name: made[name].astype(str) for name in reversed(ids)})
        if "variant" in made:
            order.insert(0, "variant", pd.factorize(made["variant"])[0])
        return made.loc[order.sort_values(list(order), kind="stable").index]

    def _cell(self, column: str, value: object, participant: str) -> object:
        if not isinstance(value, str):
            return value
        if column == "participant":
            return self.participant(value)
        if column == "session":
            return self.session(value, participant)
        return self.scan(value) if column == "scan" else self.text(value, participant)

    def figure(self, figure) -> None:
        """Put pseudonyms in a figure's texts."""
        from matplotlib.text import Text

        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                # Labels at ticks are made anew whenever the figure is drawn.
                for formatter in (axis.get_major_formatter(), axis.get_minor_formatter()):
                    formatter.format_ticks = self._each(formatter.format_ticks)
        for text in figure.findobj(Text):
            text.set_text(self.text(text.get_text()))

    def _each(self, make: Callable[..., list[str]]) -> Callable[..., list[str]]:
        return lambda places: [self.text(label) for label in make(places)]


class _Unchanged(Pseudonyms):
    """What stands for pseudonyms where none are wanted."""

    def __init__(self) -> None:
        super().__init__(b"")

    def scan(self, scan: str) -> str:
        return scan

    def text(self, text: str, participant: str = "") -> str:
        return text

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        return table

    def figure(self, figure) -> None:
        pass


# the run's own ------------------------------------------------------------------------------


def switch(wanted: bool, folder: str | Path = FOLDER) -> None:
    """Say whether this process, and the jobs that it starts, use pseudonyms.

    Raises
    ------
    KeyGone
        If the key that earlier files were made with is gone.
    """
    os.environ.pop(VARIABLE, None)
    if not wanted:
        return
    folder = Path(folder).absolute()
    if (folder / MADE).exists() and not (folder / KEY).exists():
        raise KeyGone(
            f"pseudonyms: the key {FOLDER / KEY} is gone. Put it back, or delete the folder "
            f"{FOLDER}: then a new key is made, all shared files are made again, and nobody can "
            "say any more who was meant in those that were shared before"
        )
    os.environ[VARIABLE] = str(folder)


def active() -> Pseudonyms:
    """Return the pseudonyms of this process; ones that change nothing where none are wanted.

    Raises
    ------
    OSError
        If they are wanted and the key cannot be read: better no file than one with names.
    """
    folder = os.environ.get(VARIABLE, "")
    return _of(Path(folder), _stamp(Path(folder))) if folder else _Unchanged()


def _stamp(folder: Path) -> tuple[int, ...]:
    lists = sorted((folder.parent / "plan").glob("*/*.tsv"))
    return tuple(os.stat(path).st_mtime_ns for path in (folder / KEY, *lists))


@functools.lru_cache(maxsize=4)
def _of(folder: Path, stamp: tuple[int, ...]) -> Pseudonyms:
    return Pseudonyms(read_key(folder), planned(folder.parent / "plan"))


def read_key(folder: str | Path = FOLDER) -> bytes:
    """Return the key of a folder."""
    return bytes.fromhex((Path(folder) / KEY).read_text().split()[0])


def planned(plan: str | Path) -> Iterator[dict[str, str]]:
    """Yield the scans in the lists of a run, with their dataset."""
    for path in (path for home in sorted(Path(plan).glob("*")) for path in manifest.lists(home)):
        with path.open(newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                yield {"dataset": path.parent.name, **row}


def make_key(folder: str | Path = FOLDER) -> str:
    """Make the key if there is none, readable for its owner alone; return what it is known by."""
    path = Path(folder) / KEY
    files.refuse_links(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.is_file():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as sink:
            sink.write(secrets.token_hex(32) + "\n")
    return hashlib.sha256(b"known by" + read_key(folder)).hexdigest()[:12]


def write_mapping(folder: str | Path = FOLDER) -> None:
    """Write who is who beside the key, where pseudonyms are wanted and there is a key."""
    folder = Path(folder)
    if not os.environ.get(VARIABLE) or not (folder / KEY).is_file():
        return
    made = Pseudonyms(read_key(folder))
    rows = [
        {
            **{name: row[name] for name in ("dataset", *ID_COLUMNS)},
            "participant_pseudonym": made.participant(row["participant"]),
            "session_pseudonym": made.session(row["session"], row["participant"]),
            "scan_pseudonym": made.scan(row["scan"]),
        }
        for row in planned(folder.parent / "plan")
    ]
    table = pd.DataFrame(rows).to_csv(sep="\t", index=False, lineterminator="\n")
    path = folder / MAPPING
    if not path.is_file() or path.read_text() != table:
        files.write_text(table, path)
        path.chmod(0o600)
