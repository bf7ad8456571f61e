"""ADNI as LONI's archive unpacks it, with TADPOLE's or ADNIMERGE's table of visits.

Images lie in ``<PTID>/<series>/<date and time>/<image id>/*.nii``, for example
``002_S_0295/MPRAGE/2006-04-18_08_20_30.0/I45108/ADNI_002_S_0295_..._I45108.nii``.  A scan's
session is its date.  The table (``PTID``, ``RID``, ``VISCODE``, ``EXAMDATE``, ``AGE``,
``PTGENDER``, ``DX``) gives the age at baseline, to which the days since are added, and the
diagnosis of the visit nearest to the scan, of those within ``visit_within_days``.

Images that ADNI has processed itself (GradWarp, B1, N3, Scaled) are left out where the scan that
they were made of is there.  ``quality`` names ADNI's table of image quality: what it calls
unusable is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench.contracts import Dataset, Option
from refacebench.datasets import _study
from refacebench.datasets._study import Scan
from refacebench.tables import NAN, Unusable, read_rows

OPTIONS = {
    **_study.OPTIONS,
    "table": Option(
        None,
        "TADPOLE_D1_D2.csv or ADNIMERGE.csv; none for that file in the folder or beside it.",
        kind=str,
    ),
    "diagnosis": Option(
        [],
        "Only scans with one of these diagnoses at their visit, [CN, MCI, AD] for example; all by "
        "default.",
        kind=list,
    ),
    "visit_within_days": Option(
        180.0, "How far the visit may lie whose diagnosis a scan gets.", unit="days", least=0
    ),
    "quality": Option(
        None, "ADNI's table of image quality (LONI_IMAGE, SERIES_QUALITY).", kind=str
    ),
}
_PERSON = re.compile(r"\d{3}_S_\d{4,5}")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)_.*")
_IMAGE = re.compile(r"I\d+")
_T1 = re.compile(r"mp[ _-]*r(age)?(?![a-z])|spgr|(^|[^a-z])t1([^a-z]|$)", re.IGNORECASE)
_PROCESSED = re.compile(r"gradwarp|n3|scaled|b1_correction|mask|_br_(?!raw)", re.IGNORECASE)
_WHAT = "<PTID>/<series>/<date>/<image id>/*.nii, 002_S_0295/MPRAGE/... for example"
#: What tables call one diagnosis; of a change of it the later one counts.
_DIAGNOSES = {"nl": "CN", "cn": "CN", "smc": "CN", "dementia": "AD", "ad": "AD", "mci": "MCI",
              "emci": "MCI", "lmci": "MCI"}  # fmt: skip


def index(options: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """List the T1w scans of ADNI; see :class:`refacebench.contracts.Dataset`.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder or the table of visits is missing or is another one.
    """
    root = _study.folder(options, _WHAT)
    found = _scans(root)
    if not found:
        raise FileNotFoundError(f"{root} holds no {_WHAT}; is it what LONI's archive unpacked?")
    people = _people(root, options["table"])
    unusable = _unusable(options["quality"])
    wanted = {diagnosis(str(name)) for name in options["diagnosis"]}
    for scan in found:
        scan.facts = {**_facts(people.get(scan.participant, []), scan.day, options), **scan.facts}
        told = scan.facts.get("diagnosis", "")
        if scan.label in unusable and not scan.reason:
            quality = Path(options["quality"]).name
            scan.reason = f"excluded by {quality}: quality {unusable[scan.label]}"
        if wanted and told not in wanted and not scan.reason:
            asked = ", ".join(sorted(wanted))
            scan.reason = f"not taken: its diagnosis is {told or 'not known'}, asked for is {asked}"
    _without_processed(found)
    return _study.listed(found, options)


def diagnosis(text: str) -> str:
    """Return a diagnosis in one spelling: CN, MCI or AD; of a change the later one.

    >>> diagnosis("MCI to Dementia"), diagnosis("NL"), diagnosis("LMCI"), diagnosis("")
    ('AD', 'CN', 'MCI', '')
    """
    last = text.strip().rpartition(" to ")[2]
    return _DIAGNOSES.get(last.lower(), last)


def _scans(root: Path) -> list[Scan]:
    found: list[Scan] = []
    with_dicoms: set[tuple[str, ...]] = set()
    for place, name in _study.files(root):
        at = next((i for i, part in enumerate(place) if _PERSON.fullmatch(part)), None)
        if at is None or len(place) < at + 3:
            continue
        person, series = place[at], place[at + 1]
        when = next(filter(None, (_TIME.fullmatch(part) for part in place[at:])), None)
        if when is None or not _T1.search(series.replace("_", " ")):
            continue
        if name.lower().endswith(".dcm"):
            with_dicoms.add(place)
            continue
        if not re.search(r"\.nii(\.gz)?$", name):
            continue
        found.append(_scan(root.joinpath(*place, name), person, series, when, place))
    for place in sorted(with_dicoms):
        at = next(i for i, part in enumerate(place) if _PERSON.fullmatch(part))
        when = next(filter(None, (_TIME.fullmatch(part) for part in place[at:])))
        scan = _scan(root.joinpath(*place), place[at], place[at + 1], when, place)
        scan.path, scan.reason = "", "its folder holds DICOM files; convert them, dcm2niix does"
        found.append(scan)
    return found


def _scan(path: Path, person: str, series: str, when: re.Match, place: tuple[str, ...]) -> Scan:
    date = f"{when[1]}{when[2]}{when[3]}"
    try:
        day, reason = float(datetime.strptime(date, "%Y%m%d").toordinal()), ""
    except ValueError:
        day, reason = NAN, f"its folder '{when[0]}' is not a date"
    image = next((part for part in reversed(place) if _IMAGE.fullmatch(part)), "")
    image = image or (re.findall(r"I\d+", path.name) or [""])[-1]
    made = bool(_PROCESSED.search(f"{series} {path.name}"))
    return Scan(
        *(_study.label(person, "sub-"), f"ses-{date}", str(path), image),
        reason=reason or (_study.fault(path) if path.is_file() or path.is_symlink() else ""),
        day=day,
        facts={"site": person[:3], "processed": made},
    )


def _without_processed(found: list[Scan]) -> None:
    """Leave out what ADNI made of scans that are there themselves."""
    raw = {
        (scan.participant, scan.session)
        for scan in found
        if not scan.facts["processed"] and not scan.reason
    }
    for scan in found:
        if scan.facts["processed"] and (scan.participant, scan.session) in raw:
            scan.reason = scan.reason or "processed by ADNI; the session's raw scan is used"


def _people(root: Path, given: str | None) -> dict[str, list[dict]]:
    rows = _study.table(
        root,
        given,
        ("*TADPOLE_D1_D2*.csv", "*ADNIMERGE*.csv"),
        ("ptid", "examdate", "age"),
    )
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(_study.label(row["ptid"], "sub-"), []).append(row)
    return found


def _day(text: str) -> float:
    """Return the day of a date as ADNI's tables write it; NaN for none.

    >>> _day("2006-04-18") - _day("4/17/2006")
    1.0
    """
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y"):
        try:
            return float(datetime.strptime(text.strip(), form).toordinal())
        except ValueError:
            continue
    return NAN


def _facts(rows: list[dict], day: float, options: Mapping[str, Any]) -> dict[str, Any]:
    if not rows:
        note = "the table of visits does not list the participant"
        return {"age": NAN, "age_note": note, "sex": "", "diagnosis": ""}
    dated = [(_day(row["examdate"]), row) for row in rows]
    dated = sorted(((d, row) for d, row in dated if not math.isnan(d)), key=lambda pair: pair[0])
    baseline = [d for d, row in dated if row.get("viscode", "").lower() in ("bl", "sc")]
    start = baseline[0] if baseline else dated[0][0] if dated else NAN
    age, note = _study.ages(rows, "age")
    at_scan = _study.later(age, day - start) if not math.isnan(age + day + start) else NAN
    note = note or "no table gives the date of the baseline or of the scan"
    near = [
        (abs(d - day), diagnosis(_study.first(row, "dx", "dx_bl")))
        for d, row in dated
        if abs(d - day) <= options["visit_within_days"] and _study.first(row, "dx", "dx_bl")
    ]
    return {
        "age": at_scan,
        "age_note": note if math.isnan(at_scan) else "",
        "sex": _study.sex(_study.agreed(rows, "ptgender", "gender", "sex")),
        "diagnosis": min(near, key=lambda pair: pair[0])[1] if near else "",
    }


def _unusable(given: str | None) -> dict[str, str]:
    """Return the images that ADNI's quality table calls unusable, by their id."""
    if not given:
        return {}
    try:
        rows = read_rows(given, "loni_image")
    except Unusable as problem:
        raise ValueError(f"quality: {Path(given).parent}: {problem}") from None
    found: dict[str, str] = {}
    for row in rows:
        quality = _study.first(row, "series_quality", "quality", "passfail")
        if quality.lower().startswith("fail") or quality.removesuffix(".0") == "4":
            found["I" + row["loni_image"].lstrip("Ii").removesuffix(".0")] = quality
    return found


METHOD = Dataset(
    version="1",
    title="ADNI, as downloaded from LONI",
    options=OPTIONS,
    index=index,
    sources=("https://adni.loni.usc.edu", "https://arxiv.org/abs/1805.03909"),
    licence="ADNI data use agreement",
)
