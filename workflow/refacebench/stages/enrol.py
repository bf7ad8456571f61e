"""Let an attacker look at scans: from render manifests to what it keeps of each.

Reads manifests and renderings, writes ``.npz`` files without pickled objects.  What became of
each scan goes into manifests of its own (:func:`record`), one row per scan like those of any stage.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import files, manifest, reasons, vocabulary
from refacebench.contracts import Attacker, Enrolled, Subject
from refacebench.head import rendering
from refacebench.run import sandbox
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage

#: Who is enrolled.
IDS = ("scan", "participant", "session")
#: What manifests of enrolment and attack keep of a render manifest's rows.
_KEPT = (
    *("dataset", "participant", "session", "scan", "split", "role", "site"),
    *("variant", "status", "stage", "reason"),
)

STAGE = Stage(
    "enrol",
    follows=("render", "segment"),
    reads=(*IDS, "views_path"),
    # The second of the manifests of brain masks.
    may_read=("template_path", "brainseg_path"),
)


def run(
    gallery: Iterable[str | Path],
    brains: Iterable[str | Path] | None,
    chosen: Chosen,
    out: str | Path,
    ledger: str | Path,
    *,
    version: str,
) -> None:
    """Enrol each original of the gallery; one that cannot be enrolled is named with its reason.

    Parameters
    ----------
    gallery, brains : iterable of str or Path
        Manifests of the originals' renderings, and of their brain masks where they are wanted.
    chosen : Chosen
        The attacker.
    out, ledger : str or Path
        What it keeps of the gallery, and the manifest of what became of each scan.
    version : str
        The attacker's.
    """
    rows = manifest.read_many(gallery)
    people, lost = subjects(rows, read_brains(brains))
    reason = reasons.clean(chosen.method.missing(chosen.options))
    again: dict[str, str] = {}
    if reason:
        enrolled, unfit = Enrolled.empty(), {person.scan: reason for person in people}
    else:
        enrolled, unfit = enrol(chosen.method, people, chosen.options, again=again)
    for scan, why in (lost | unfit).items():
        print(f"not enrolled: {scan} ({why})", file=sys.stderr)
    save_enrolled(enrolled, lost | unfit, out)
    who = {"attacker": chosen.name, "version": version, "unavailable": reason}
    manifest.write(record(rows, STAGE.name, at(STAGE.name, unfit), **who), ledger)
    manifest.note_failures(out, again, {}, len(people))


def read_brains(paths: Iterable[str | Path] | None) -> pd.DataFrame | None:
    """Read the manifests of brain masks; None where there are none."""
    paths = list(paths or ())
    return manifest.read_many(paths) if paths else None


def subjects(
    rows: pd.DataFrame,
    brains: pd.DataFrame | None = None,
    control: str = "",
    blur_mm: float = rendering.OPTIONS["blur_mm"],
) -> tuple[list[Subject], dict[str, str]]:
    """Turn render manifests into subjects.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of render manifests, one a scan.
    brains : pandas.DataFrame, optional
        The segmentations of the same images, for attackers that want brain masks.
    control, blur_mm
        As in :class:`refacebench.contracts.Subject`.

    Returns
    -------
    list of Subject
        In the order of the scans' names; rows that failed earlier are left out.
    dict
        Reason by scan, for those.
    """
    if (rows["status"] == vocabulary.OK).any():
        STAGE.check_rows(rows.columns)
    masks = {}
    if brains is not None and "brainseg_path" in brains:
        usable = brains[brains["status"] == vocabulary.OK]
        masks = dict(zip(usable["scan"], usable["brainseg_path"], strict=True))
    found, lost = [], {}
    for row in rows.sort_values("scan", kind="stable").to_dict("records"):
        if row["status"] != vocabulary.OK:
            lost[row["scan"]] = row["reason"] or row["status"]
            continue
        found.append(
            Subject(
                scan=row["scan"],
                participant=row["participant"],
                session=row["session"],
                views_path=row["views_path"],
                control=control,
                blur_mm=blur_mm,
                template_path=row.get("template_path", ""),
                brain_path="" if control else masks.get(row["scan"], ""),
            )
        )
    return found, lost


def enrol(
    attacker: Attacker,
    people: Sequence[Subject],
    options: Mapping[str, Any],
    known: Enrolled | None = None,
    again: dict[str, str] | None = None,
) -> tuple[Enrolled, dict[str, str]]:
    """Let an attacker look at each scan; a scan that gives it nothing becomes a reason.

    Parameters
    ----------
    known : Enrolled, optional
        Scans that the attacker has looked at already (the gallery, when the
        originals themselves are the queries).
    again : dict, optional
        Gets the reasons of scans that another try may succeed with, by scan.
    """
    places = {} if known is None else {scan: n for n, scan in enumerate(known.scan)}
    kept, features, lost = [], [], {}
    for subject in people:
        try:
            if known is not None and subject.scan in places:
                row = places[subject.scan]
                found = {name: values[row] for name, values in known.features.items()}
            else:
                found = {
                    k: np.asarray(v) for k, v in attacker.enrol(subject, dict(options)).items()
                }
        except Exception as error:  # any failure of a scan is a reason, never a crash
            if not isinstance(error, ValueError):
                traceback.print_exc(file=sys.stdout)  # the log
            lost[subject.scan] = reasons.clean(error)
            if again is not None and sandbox.may_pass(error):
                again[subject.scan] = lost[subject.scan]
            continue
        kept.append(subject)
        features.append(found)
    return _stack(kept, features), lost


def _stack(kept: Sequence[Subject], features: Sequence[Mapping[str, Any]]) -> Enrolled:
    ids = {name: np.array([getattr(s, name) for s in kept], dtype=str) for name in IDS}
    names = list(features[0]) if features else []
    return Enrolled(**ids, features={n: np.stack([f[n] for f in features]) for n in names})


def save_enrolled(enrolled: Enrolled, lost: Mapping[str, str], path: str | Path) -> None:
    """Write what an attacker keeps of the gallery."""
    arrays = {f"feature_{name}": values for name, values in enrolled.features.items()}
    arrays |= {name: getattr(enrolled, name) for name in IDS}
    files.save_arrays(path, {**arrays, "lost": np.array(json.dumps(dict(lost)))})


def load_enrolled(path: str | Path) -> tuple[Enrolled, dict[str, str]]:
    """Read what :func:`save_enrolled` wrote; executes no code from the file."""
    with np.load(path, allow_pickle=False) as found:
        features = {
            name.removeprefix("feature_"): found[name]
            for name in found.files
            if name.startswith("feature_")
        }
        ids = {name: found[name] for name in IDS}
        return Enrolled(**ids, features=features), json.loads(str(found["lost"]))


def record(
    rows: pd.DataFrame,
    stage: str,
    failed: Mapping[str, tuple[str, str]],
    *,
    attacker: str,
    version: str = "",
    variant: str = "",
    unavailable: str = "",
) -> pd.DataFrame:
    """Return an attacker's manifest: what became of each scan of a render manifest.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of render manifests; those that are not ``ok`` stay as they are.
    stage : str
        The stage that the others passed.
    failed : mapping
        Stage and reason, by scan, of those that did not.
    variant : str
        In place of the rows' own: a control's pictures are made from the original's.
    unavailable : str
        Why the attacker did not run at all.
    """
    kept = []
    for row in rows.sort_values("scan", kind="stable").to_dict("records"):
        line = {name: row[name] for name in _KEPT if name in row}
        if row["status"] == vocabulary.OK:
            end = (vocabulary.OK, stage, "")
            if unavailable:
                end = (vocabulary.UNAVAILABLE, stage, unavailable)
            elif row["scan"] in failed:
                end = (vocabulary.FAILED, *failed[row["scan"]])
            line |= dict(zip(("status", "stage", "reason"), end, strict=True))
        kept.append(line | ({"variant": variant} if variant else {}))
    table = pd.DataFrame(kept, columns=[c for c in _KEPT if c in rows] if not kept else None)
    return table.assign(method=attacker, version=str(version))


def at(stage: str, reasons: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the stage with each scan's reason, as :func:`record` wants it."""
    return {scan: (stage, reason) for scan, reason in reasons.items()}
