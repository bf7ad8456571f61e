"""Measures that other software has made already, of originals and of variants: no image at all.

A group that has run FreeSurfer, SynthSeg, SIENAX or MRIQC on original and de-identified scans
names the folders or tables (:mod:`refacebench.datasets._readings` says which are understood)::

    type: measures
    files:
      original: /data/freesurfer/original
      pydeface: /data/freesurfer/pydeface

or one table that has all of it, ``files: measures.tsv``.  Volumes of the same structures get the
names of :mod:`refacebench.vocabulary` (``measure_names.tsv``), all else stays under its own.  The
measures go straight to the statistics.

Scans are rows as everywhere: one without measures of the original is excluded, one that a
variant has no measures of counts as failed there, each with its reason.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from refacebench import bids
from refacebench.contracts import Dataset, Option
from refacebench.datasets import _readings, _records, _structures
from refacebench.datasets._readings import ORIGINAL, Reading
from refacebench.tables import NAN, Unusable, parse_age, prefixed
from refacebench.vocabulary import EXCLUDED, OK

VERSION = "2"
OPTIONS = {
    "files": Option(
        None,
        "A table or folder that says which variant each measure is of, or a list of such; or a "
        "table or folder (or a list) for each variant by its name, `original` among them.",
        kind=(str, list, dict),
    ),
    "columns": Option(
        {},
        "What a table of your own calls its columns, {participant: sub, variant: defaced} for "
        f"example. Known are {', '.join(_readings.ALIASES)}.",
    ),
    "variants": Option(
        {},
        "New names of variants, by what the table calls them: {'0': original, '1': pydeface}.",
    ),
    "software": Option(
        None,
        "The program whose names of measures a table of your own has, where that is one of these; "
        "table for your own names, also where it looks like MRIQC's.",
        choices=(*_readings.SOFTWARE,),
        kind=str,
    ),
    "unit": Option(
        "ml",
        "Unit of volumes in a table of your own that has no column for it.",
        choices=("ml", "mm3"),
    ),
    "repeats": Option(
        _readings.REFUSE,
        "What becomes of a scan whose measure stands twice with different values in a table with a "
        "row a measure: refuse excludes it and says so, first keeps the first one.",
        choices=_readings.REPEATS,
    ),
    "how_to_get": Option(
        "",
        "How to get the files; said where one of them is missing.",
    ),
    "made_up": Option(
        False,
        "Whether the measures are made up, to try a run: then all figures and the page say so.",
    ),
    "participants": Option(
        None,
        "A table participants.tsv (participant_id, age, sex, site), where the measures' own table "
        "does not say it.",
        kind=str,
    ),
}
#: Millilitres between which the middle volume of a head lies.
_HEAD_ML = (200.0, 5000.0)


def check(options: Mapping[str, Any]) -> None:
    """Check the options without opening a file.

    Raises
    ------
    ValueError
        With one sentence that names the option.
    """
    given = options["files"]
    if not given:
        raise ValueError("files: a table or folder of measures is needed, or one for each variant")
    if isinstance(given, Mapping) and ORIGINAL not in map(str, given):
        raise ValueError(
            f"files: measures of the originals are needed under the name '{ORIGINAL}' "
            f"(there are: {', '.join(map(str, given))})"
        )
    unknown = sorted(set(options["columns"]) - set(_readings.ALIASES))
    if unknown:
        known = ", ".join(_readings.ALIASES)
        raise ValueError(f"columns: unknown key '{unknown[0]}' (known: {known})")


def _sources(given: Any) -> Iterable[tuple[str, str]]:
    """Yield variant (or nothing) and path of each file or folder."""
    by_variant = given if isinstance(given, Mapping) else {"": given}
    for variant, paths in by_variant.items():
        for path in paths if isinstance(paths, list | tuple) else [paths]:
            yield str(variant), str(path)


def _name(variant: str) -> str:
    """Return a variant's name as a folder may have it.

    >>> _name("mri_reface 0.3"), _name("pydeface+pix2pix")
    ('mri_reface_0.3', 'pydeface+pix2pix')
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", variant.strip()).strip("_.+-")


def readings(options: Mapping[str, Any]) -> list[Reading]:
    """Return all readings, each with the name of its variant.

    Raises
    ------
    ValueError
        If a file cannot be used, or there is no original.
    """
    check(options)
    renamed = {str(key): str(name) for key, name in options["variants"].items()}
    found: list[Reading] = []
    for variant, path in _sources(options["files"]):
        try:
            here = _readings.read(path, options["columns"], options["repeats"])
        except Unusable as problem:
            folder = "" if str(path) in str(problem) else f"{Path(path).parent}: "
            if options["how_to_get"] and not Path(path).exists():
                raise ValueError(f"files: {path} is missing. {options['how_to_get']}") from None
            raise ValueError(f"files: {folder}{problem}") from None
        for one in here:
            said = variant or one.variant
            if not said:
                raise ValueError(
                    f"files: {path} does not say which variant its measures are of; name it: "
                    "files: {original: ..., pydeface: ...}, or columns: {variant: ...}"
                )
            one.variant = _name(renamed.get(said, said))
            if one.software in (_readings.TABLE, _readings.MRIQC) and options["software"]:
                one.software = options["software"]
        if not here:
            raise ValueError(f"files: {path} holds no measures")
        found += here
    names = list(dict.fromkeys(one.variant for one in found))
    if ORIGINAL not in names:
        raise ValueError(
            f"files: none of the variants ({', '.join(names)}) is called '{ORIGINAL}'; say which "
            f"one it is: variants: {{'{names[0]}': {ORIGINAL}}}"
        )
    _check_heads(found, options)
    return found


def _check_heads(found: list[Reading], options: Mapping[str, Any]) -> None:
    """Check that whole-brain volumes are plausible millilitres: a wrong unit changes no percent.

    Raises
    ------
    ValueError
        If they are not.
    """
    for name in ("tiv", "brain"):
        values = [
            volumes[f"vol_{name}"]
            for one in found
            if one.variant == ORIGINAL
            for volumes in [_split(one, options)]
            if not math.isnan(volumes.get(f"vol_{name}", NAN))
        ]
        if values and not _HEAD_ML[0] <= median(values) <= _HEAD_ML[1]:
            raise ValueError(
                f"files: '{name}' is {median(values):g} ml in the median original, which no head "
                f"has; say which unit the table uses (unit: mm3, or a column 'unit')"
            )


def _split(one: Reading, options: Mapping[str, Any]) -> dict[str, float]:
    if one.software == _readings.SIENAX:
        return {f"vol_{name}": value for name, value in one.values.items()}
    return _structures.split(one.values, one.software, one.units, options["unit"])


def measures(options: Mapping[str, Any]) -> pd.DataFrame:
    """Return all measures, one a row; see :class:`refacebench.contracts.Dataset`."""
    rows = []
    for key, parts in _by_scan(readings(options)).items():
        values, reason = _joined(parts, options)
        names = dict(zip(("scan", "variant", "segmenter"), key, strict=True))
        if reason:
            rows.append({**names, "name": "", "value": NAN, "reason": reason})
        else:
            rows += [{**names, "name": n, "value": v, "reason": ""} for n, v in values.items()]
    return pd.DataFrame(rows, columns=["scan", "variant", "segmenter", "name", "value", "reason"])


_Key = tuple[str, str, str]


def _by_scan(found: list[Reading]) -> dict[_Key, list[Reading]]:
    """Return readings by scan, variant and program; of aseg and aparc tables there are several."""
    grouped: dict[_Key, list[Reading]] = {}
    for one in found:
        grouped.setdefault((one.scan, one.variant, one.software), []).append(one)
    return grouped


def _joined(parts: list[Reading], options: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    """Return a scan's measures from all sources of one program, or why there are none."""
    whole = Reading("", "", "", "", parts[0].software, parts[0].file)
    for one in parts:
        if one.reason:
            return {}, one.reason
        for name, value in one.values.items():
            whole.add(name, value, one.units.get(name, ""))
    if whole.reason:
        files = " and ".join(dict.fromkeys(Path(one.file).name for one in parts))
        return {}, f"{whole.reason} ({files})"
    found = _split(whole, options)
    if all(math.isnan(value) for value in found.values()):
        return {}, "no number among its measures"
    return found, ""


def index(options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """List the scans of which there are measures; see :class:`refacebench.contracts.Dataset`.

    Raises
    ------
    ValueError
        If a file cannot be used.
    """
    found = readings(options)
    grouped = _by_scan(found)
    names = {
        "variants": " ".join(dict.fromkeys([ORIGINAL, *(one.variant for one in found)])),
        "segmenters": " ".join(dict.fromkeys(one.software for one in found)),
    }
    by_scan: dict[str, list[Reading]] = {}
    for one in found:
        by_scan.setdefault(one.scan, []).append(one)
    people = _people(options, by_scan)
    rows = []
    for scan, mine in by_scan.items():
        own = {
            software: _joined(grouped[scan, ORIGINAL, software], options)
            for software in dict.fromkeys(one.software for one in mine)
            if (scan, ORIGINAL, software) in grouped
        }
        reason = _lost(mine, own)
        first = next((one for one in mine if one.variant == ORIGINAL), mine[0])
        rows.append(
            {
                "participant": first.participant,
                "session": first.session,
                "scan": scan,
                "path": first.file,
                **_facts(mine, people),
                "status": EXCLUDED if reason else OK,
                "reason": reason,
                **names,
                "measured": _digest(mine),
            }
        )
    return pd.DataFrame(rows).sort_values("scan", ignore_index=True)


def _lost(mine: list[Reading], own: Mapping[str, tuple[dict[str, float], str]]) -> str:
    """Return why there is no original to compare with; empty where there is one."""
    if not own:
        seen = ", ".join(dict.fromkeys(one.variant for one in mine))
        return f"no measures of the original, only of {seen}"
    said = [reason for _, reason in own.values()]
    return "; ".join(dict.fromkeys(said)) if all(said) else ""


def _digest(mine: list[Reading]) -> str:
    """Return what changes with any measure of a scan."""
    said = [
        f"{one.variant} {one.software} {one.reason} {sorted(one.values.items())} "
        f"{sorted(one.units.items())}"
        for one in mine
    ]
    return "m" + hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def _people(options: Mapping[str, Any], scans: Iterable[str]) -> _records.People | None:
    given = options["participants"]
    if not given:
        return None
    known = {f"sub-{bids.entities(scan)['sub']}" for scan in scans}
    people = _records.read_people(Path(given).parent, known, Path(given).name)
    if people.problem:
        raise ValueError(f"participants: {Path(given).parent}: {people.problem}")
    if people.odd:
        print(f"WARNING: {given}: not understood: {people.odd}", file=sys.stderr)
    return people


def _facts(mine: list[Reading], people: _records.People | None) -> dict[str, Any]:
    """Return age, sex and site of a scan: what its own rows say, else the participants' table."""
    said: dict[str, str] = {}
    for one in mine:
        for key, text in one.facts.items():
            if text.lower() not in ("", "n/a", "nan", "na"):
                said.setdefault(key, text)
    age = parse_age(said.get("age", ""))
    facts = people.of(prefixed(mine[0].participant, "sub-")) if people else {}
    if math.isnan(age):
        age = facts.get("age", NAN)
    note = facts.get("note") or "no table gives the age at the session"
    return {
        "site": said.get("site") or facts.get("site", ""),
        "age": age,
        "sex": said.get("sex") or facts.get("sex", ""),
        "age_note": note if math.isnan(age) else "",
    }


METHOD = Dataset(
    version=VERSION,
    title="measures that other software made",
    options=OPTIONS,
    index=index,
    measures=measures,
    check=check,
)
