"""Measures that other software wrote: one reading a scan and source, in the software's own names.

Understood are a FreeSurfer ``SUBJECTS_DIR`` (``<subject>/stats/aseg.stats``, ``?h.aparc.stats``),
the tables of ``asegstats2table`` and ``aparcstats2table``, SynthSeg's ``--vol`` table, MRIQC's
group table, a folder of SIENAX's ``report.sienax``, and any other table: a *tidy* one with the
columns of measure and value, or a wide one whose columns of numbers are measures.

Reads what it is told to and writes nothing.  A file that a program did not finish becomes a
reading with a reason.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from refacebench import bids
from refacebench.programs import labelling
from refacebench.tables import Unusable, decoded, numbered_rows, prefixed, written_columns

FREESURFER, SYNTHSEG, MRIQC, SIENAX, TABLE = "freesurfer", "synthseg", "mriqc", "sienax", "table"
SOFTWARE = (FREESURFER, SYNTHSEG, MRIQC, SIENAX, TABLE)
ORIGINAL = "original"
#: What becomes of a scan whose measure stands twice with different values.
REFUSE, FIRST = "refuse", "first"
REPEATS = (REFUSE, FIRST)
#: What the columns of identity are called, in small letters, the usual name first.
ALIASES = {
    "participant": ("participant_id", "participant", "subject", "subject_id", "sub"),
    "scan": ("scan", "scan_id", "bids_name", "image", "file", "filename"),
    "session": ("session_id", "session", "ses", "visit"),
    "variant": ("variant", "method", "defacer", "condition"),
    "measure": ("measure", "metric", "structure", "region", "name"),
    "value": ("value", "volume"),
    "unit": ("unit", "units"),
    "age": ("age",),
    "sex": ("sex", "gender"),
    "site": ("site", "scanner"),
}
#: Columns of numbers that measure nothing of a brain.
_NO_MEASURES = ("index", "unnamed: 0", "")
_NOTHING = ("", "n/a", "na", "nan", "none", "null", "-", ".")


@dataclass
class Reading:
    """What one source says of one scan.

    Attributes
    ----------
    participant, session, scan : str
        Ids as everywhere: ``sub-...``, ``ses-...`` or empty, :func:`refacebench.bids.scan_id`.
    variant : str
        Empty where the source does not say it.
    software : str
        One of :data:`SOFTWARE`.
    values : dict of str to float
        By the software's own names.
    file : str
        Where they stand.
    reason : str
        Why they cannot be used; empty if they can.
    units : dict of str to str
        Of the measures whose unit is told.
    facts : dict of str to str
        ``age``, ``sex`` and ``site``, as written.
    repeats : str
        One of :data:`REPEATS`: what becomes of a value that stands twice.
    """

    participant: str
    session: str
    scan: str
    variant: str
    software: str
    file: str
    values: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    units: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    repeats: str = REFUSE

    def add(self, name: str, value: float, unit: str = "") -> None:
        """Add a measure; one that is there with another value makes the reading unusable."""
        if self.repeats == FIRST and name in self.values:
            return
        if name in self.values and not _same(self.values[name], value):
            self.reason = self.reason or f"'{name}' stands twice with different values"
        self.values.setdefault(name, value)
        if unit:
            self.units[name] = unit


def _same(first: float, second: float) -> bool:
    return first == second or (math.isnan(first) and math.isnan(second))


def who(text: str) -> tuple[str, str, str]:
    """Return participant, session and scan id of a scan by its name or its folder's.

    >>> who("sub-01_ses-2_T1w.nii.gz"), who("OAS30001_MR_d0129")
    (('sub-01', 'ses-2', 'sub-01_ses-2'), ('sub-OAS30001+MR+d0129', '', 'sub-OAS30001+MR+d0129'))
    """
    stem = re.sub(r"\.(nii(\.gz)?|mgz)$", "", Path(text.strip()).name)
    found = bids.entities(stem)
    if not stem.startswith("sub-"):
        participant = f"sub-{bids.safe(stem)}"
        return participant, "", participant
    participant = f"sub-{bids.safe(found['sub'])}"
    session = f"ses-{bids.safe(found['ses'])}" if "ses" in found else ""
    rest = "_".join(part for part in stem.split("_") if "-" in part)
    return participant, session, bids.scan_id(participant, session, rest)


def read(
    path: str | Path, columns: Mapping[str, str] | None = None, repeats: str = REFUSE
) -> list[Reading]:
    """Return what a file or folder says.

    Parameters
    ----------
    columns : mapping of str to str
        What a user's table calls the columns of :data:`ALIASES`.
    repeats : str
        One of :data:`REPEATS`; for tables with a row per measure.

    Raises
    ------
    Unusable
        If it cannot be read or is none of what is understood; one sentence.
    """
    path = Path(path)
    if path.is_dir():
        return list(_folder(path))
    given = {key: str(name).lower() for key, name in (columns or {}).items()}
    written = written_columns(path)
    first = next(iter(written), "")
    if first.startswith("measure:") or re.fullmatch(r"[lr]h\.[\w.-]+\.\w+", first):
        return list(_wide(path, {"scan": first}, FREESURFER, written))
    if first == "subject" and "total intracranial" in written:
        return list(_wide(path, {"scan": first}, SYNTHSEG, written))
    software = MRIQC if "bids_name" in written and {"cjv", "efc"} & set(written) else TABLE
    found = _identity(path, given, written)
    if "measure" in found and "value" in found:
        return list(_tidy(path, found, software, repeats))
    return list(_wide(path, {k: v for k, v in found.items() if k != "value"}, software, written))


def _identity(path: Path, given: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """Return which column says what; those that a user names count, then the usual names."""
    for key, name in given.items():
        if name not in written:
            raise Unusable(f"{path.name} has no column '{name}' (columns: {key})")
    found = dict(given)
    for key, names in ALIASES.items():
        here = [name for name in names if name in written and name not in found.values()]
        if key not in found and here:
            found[key] = here[0]
    if "participant" in given and "scan" not in given:
        found.pop("scan", None)
    if not {"participant", "scan"} & set(found):
        raise Unusable(
            f"{path.name} has no column that says whose measures these are, 'participant_id' or "
            "'scan' for example; name it under columns: {participant: ...}"
        )
    return found


def _who(row: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, str, str] | None:
    said = {key: row.get(found.get(key, ""), "") for key in ("participant", "session", "scan")}
    if said["scan"]:
        participant, session, scan = who(said["scan"])
        if said["participant"]:
            participant = bids.safe(prefixed(said["participant"], "sub-"))
        if said["session"] and not session:
            session = bids.safe(prefixed(said["session"], "ses-"))
        return participant, session, bids.scan_id(participant, session, scan)
    if not said["participant"]:
        return None
    participant = bids.safe(prefixed(said["participant"], "sub-"))
    session = bids.safe(prefixed(said["session"], "ses-")) if said["session"] else ""
    return participant, session, bids.scan_id(participant, session, "")


def _facts(row: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    return {key: row[found[key]] for key in ("age", "sex", "site") if key in found}


def number(text: str) -> float:
    """Return a cell's number, NaN where there is none; decimal commas are understood.

    >>> number("1.5"), number("1,5"), number("n/a")
    (1.5, 1.5, nan)
    """
    try:
        value = float(re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", text.strip()))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _tidy(path: Path, found: Mapping[str, str], software: str, repeats: str) -> Iterator[Reading]:
    """Read a table with one row per measure."""
    made: dict[tuple[str, str], Reading] = {}
    for _, row in numbered_rows(path, [found["measure"], found["value"]]):
        name, whom = row[found["measure"]], _who(row, found)
        if whom is None or not name:
            continue
        variant = row.get(found.get("variant", ""), "")
        key = (whom[2], variant)
        if key not in made:
            made[key] = Reading(*whom, variant, software, str(path), facts=_facts(row, found))
            made[key].repeats = repeats
        made[key].add(name, number(row[found["value"]]), row.get(found.get("unit", ""), ""))
    yield from made.values()


def _wide(
    path: Path, found: Mapping[str, str], software: str, written: Mapping[str, str]
) -> Iterator[Reading]:
    """Read a table with one row per scan; columns of numbers are measures."""
    rows = [row for _, row in numbered_rows(path, list(found.values()))]
    taken = (*found.values(), *_NO_MEASURES)
    others = [name for name in written if name not in taken]
    if "scan" not in found or "participant" not in found:
        # Another name of the scan is no measure of it.
        others = [n for n in others if n not in (*ALIASES["scan"], *ALIASES["participant"])]
    names = [name for name in others if _is_numeric(row[name] for row in rows)]
    made: dict[tuple[str, str], Reading] = {}
    for row in rows:
        whom = _who(row, found)
        if whom is None:
            continue
        variant = row.get(found.get("variant", ""), "")
        new = (whom[2], variant) not in made
        reading = made.setdefault(
            (whom[2], variant),
            Reading(*whom, variant, software, str(path), facts=_facts(row, found)),
        )
        for name in names:
            value = number(row[name])
            if new or not math.isnan(value):
                reading.add(written[name], value)
    yield from made.values()


def _is_numeric(cells: Iterator[str]) -> bool:
    filled = [cell for cell in cells if cell.lower() not in _NOTHING]
    return bool(filled) and all(not math.isnan(number(cell)) for cell in filled)


# folders ------------------------------------------------------------------------------------


def _folder(path: Path) -> Iterator[Reading]:
    """Read a folder of FreeSurfer's subjects or of SIENAX's reports."""
    inside = sorted(entry for entry in path.iterdir() if entry.is_dir())
    subjects = [entry for entry in inside if _is_subject(entry)]
    reports = [entry for entry in inside if os.path.lexists(entry / "report.sienax")]
    if not subjects and not reports:
        raise Unusable(
            f"{path} holds neither FreeSurfer's subjects (<subject>/stats/aseg.stats) nor SIENAX's "
            "results (<scan>/report.sienax); give one of these folders, or a table"
        )
    for entry in subjects:
        yield _freesurfer(entry)
    for entry in reports:
        yield _sienax(entry)


def _is_subject(entry: Path) -> bool:
    """Tell whether a folder is a subject that FreeSurfer worked on, finished or not."""
    if entry.name.startswith("fsaverage") or entry.name.endswith("_average"):
        return False
    return (entry / "stats").is_dir() or ((entry / "mri").is_dir() and (entry / "scripts").is_dir())


def _freesurfer(entry: Path) -> Reading:
    name = entry.name.split(".long.")[0]
    reading = Reading(*who(name), "", FREESURFER, str(entry / "stats"))
    try:
        for key, value in _stats(entry / "stats" / "aseg.stats"):
            reading.add(key, value)
    except Unusable as problem:
        reading.reason = f"{problem} (did recon-all finish?)"
        return reading
    for side in ("lh", "rh"):
        path = entry / "stats" / f"{side}.aparc.stats"
        if not path.exists():
            continue
        try:
            for key, value in _stats(path):
                if key.partition("_")[0] == side:
                    reading.add(key, value)
        except Unusable as problem:
            reading.reason = f"{problem} (did recon-all finish?)"
    return reading


#: What a column of ``?h.aparc.stats`` is called in the tables that FreeSurfer makes of it.
_SURFACE = {"GrayVol": "volume", "ThickAvg": "thickness", "SurfArea": "area"}


def _stats(path: Path) -> Iterator[tuple[str, float]]:
    """Yield names and values of a FreeSurfer table of statistics.

    Raises
    ------
    Unusable
        If the file is missing or holds no table.
    """
    if not path.is_file():
        raise Unusable(f"there is no {path.parent.name}/{path.name}")
    side, header, rows = path.name[:2], [], 0
    for line in decoded(path.read_bytes()).splitlines():
        if line.startswith("# Measure "):
            cells = [cell.strip() for cell in line.removeprefix("# Measure ").split(",")]
            if len(cells) >= 4:
                yield (cells[0] if cells[1] == "eTIV" else cells[1]), number(cells[-2])
        elif line.startswith("# ColHeaders"):
            header = line.split()[2:]
        elif line.strip() and not line.startswith("#") and header:
            row = dict(zip(header, line.split(), strict=False))
            rows += 1
            if "Volume_mm3" in row:
                yield row.get("StructName", ""), number(row["Volume_mm3"])
            for column, kind in _SURFACE.items():
                if column in row:
                    yield f"{side}_{row['StructName']}_{kind}", number(row[column])
    if not rows:
        raise Unusable(f"{path.parent.name}/{path.name} holds no table")


def _sienax(entry: Path) -> Reading:
    """Read a report of SIENAX: unnormalised volumes, and TIV by its scaling, in millilitres."""
    reading = Reading(*who(entry.name.removesuffix("_sienax")), "", SIENAX, str(entry))
    text = decoded((entry / "report.sienax").read_bytes())
    for name, measure in labelling.describe({"program": SIENAX}).measures.items():
        try:
            reading.add(name, measure.read(text))
        except (RuntimeError, ZeroDivisionError):
            reading.reason = f"report.sienax has no {name} (did SIENAX finish?)"
    return reading
