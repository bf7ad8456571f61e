"""From manifests to an attack's file: who is compared with whom, and what came of it.

Reads manifests and renderings, writes ``.npz`` files without pickled objects.  What became of
each scan goes into manifests of its own (:func:`record`), one row a scan like those of any stage.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from refacebench import reasons, vocabulary
from refacebench.contracts import Attacker, AttackFailed, Context, Enrolled, Scores, Subject
from refacebench.head import rendering
from refacebench.run import sandbox

_IDS = ("scan", "participant", "session")
#: What manifests of enrolment and attack keep of a render manifest's rows.
_KEPT = (
    *("dataset", "participant", "session", "scan", "split", "role", "site", "age", "sex"),
    *("variant", "status", "stage", "reason"),
)


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
    masks_ = {}
    if brains is not None and "brainseg_path" in brains:
        usable = brains[brains["status"] == vocabulary.OK]
        masks_ = dict(zip(usable["scan"], usable["brainseg_path"], strict=True))
    found, lost = [], {}
    for row in rows.sort_values("scan", kind="stable").to_dict("records"):
        if row["status"] != vocabulary.OK:
            lost[row["scan"]] = row["reason"] or row["status"]
            continue
        found.append(
            Subject(
                *(row[name] for name in _IDS),
                views_path=row["views_path"],
                control=control,
                blur_mm=blur_mm,
                template_path=row.get("template_path", ""),
                brain_path="" if control else masks_.get(row["scan"], ""),
            )
        )
    return found, lost


def enrol(
    attacker: Attacker,
    people: Sequence[Subject],
    options: Mapping,
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
            if subject.scan in places:
                row = places[subject.scan]
                found = {name: values[row] for name, values in known.features.items()}
            else:
                found = {k: np.asarray(v) for k, v in attacker.enrol(subject, options).items()}
        except Exception as error:  # any failure of a scan is a reason, never a crash
            if not isinstance(error, ValueError):
                traceback.print_exc()
            lost[subject.scan] = reasons.clean(error)
            if again is not None and sandbox.may_pass(error):
                again[subject.scan] = lost[subject.scan]
            continue
        kept.append(subject)
        features.append(found)
    return _stack(kept, features), lost


def _stack(kept: Sequence[Subject], features: Sequence[Mapping]) -> Enrolled:
    ids = {name: np.array([getattr(s, name) for s in kept], dtype=str) for name in _IDS}
    names = list(features[0]) if features else []
    return Enrolled(**ids, features={n: np.stack([f[n] for f in features]) for n in names})


def save_enrolled(enrolled: Enrolled, lost: Mapping[str, str], path: str | Path) -> None:
    """Write what an attacker keeps of the gallery."""
    arrays = {f"feature_{name}": values for name, values in enrolled.features.items()}
    arrays |= {name: getattr(enrolled, name) for name in _IDS}
    rendering.save_arrays(path, {**arrays, "lost": np.array(json.dumps(dict(lost)))})


def load_enrolled(path: str | Path) -> tuple[Enrolled, dict[str, str]]:
    """Read what :func:`save_enrolled` wrote; executes no code from the file."""
    with np.load(path, allow_pickle=False) as found:
        features = {
            name.removeprefix("feature_"): found[name]
            for name in found.files
            if name.startswith("feature_")
        }
        ids = {name: found[name] for name in _IDS}
        return Enrolled(**ids, features=features), json.loads(str(found["lost"]))


def attack(
    attacker: Attacker,
    rows: pd.DataFrame,
    queries: Enrolled,
    gallery: Enrolled,
    options: Mapping,
    context: Context,
    lost: Mapping[str, str],
    again: dict[str, str] | None = None,
) -> tuple[dict[str, np.ndarray], str]:
    """Compare all queries with the whole gallery.

    Parameters
    ----------
    rows : pandas.DataFrame
        The queries' rows, those without a rendering included: each stays a row.
    lost : mapping
        Reason by scan, for those that were not enrolled.
    again : dict, optional
        Gets the reason of an attack that failed and may succeed at another try.

    Returns
    -------
    dict of str to numpy.ndarray
        As :func:`save_attack` describes, without ``meta``.
    str
        What the attacker was trained on, in words.
    """
    rows = rows.sort_values("scan", kind="stable").reset_index(drop=True)
    names = rows["scan"].to_numpy(dtype=str)
    place = {scan: n for n, scan in enumerate(names)}
    at = np.array([place[scan] for scan in queries.scan], dtype=int)
    reason = np.array([lost.get(scan, "") for scan in names], dtype=str)
    scores = Scores(np.full((0, len(gallery)), np.nan))
    why = ""
    if not len(gallery):
        why = "the gallery is empty: no original could be enrolled"
    elif len(queries):
        scores, why = _score(attacker, queries, gallery, options, context, again)
    if why:
        print(f"no attack: {why}", file=sys.stderr, flush=True)
        reason = np.array([r or why for r in reason], dtype=str)
        scores, at = Scores(np.full((0, len(gallery)), np.nan)), at[:0]
    result = _scattered(scores, at, len(names))
    if scores.resplit is None:
        silent = ~np.isfinite(result["distance"]).any(axis=-1).reshape(-1, len(names)).any(axis=0)
        reason = np.where(silent & (reason == ""), "no distance to anyone in the gallery", reason)
    detected = np.ones(len(names), bool)
    if "detected" in queries.features and len(at):
        detected[:] = False
        detected[at] = queries.features["detected"]
    result |= {f"query_{n}": rows[n].to_numpy(dtype=str) for n in _IDS}
    result |= {f"gallery_{n}": getattr(gallery, n) for n in _IDS}
    return result | {"detected": detected, "query_reason": reason}, scores.trained_on


def _score(attacker, queries, gallery, options, context, again) -> tuple[Scores, str]:
    """Return the attacker's scores, or why there are none: a failed attack is no crash.

    Too little memory is one, since a second attempt of the job has more.  Another failure
    that may pass goes into ``again``.
    """
    try:
        return attacker.score(queries, gallery, options, context), ""
    except AttackFailed as error:
        return Scores(np.empty((0, len(gallery)))), reasons.clean(error)
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc()
        why = reasons.clean(f"{type(error).__name__}: {error}")
        if again is not None and sandbox.may_pass(error):
            again["attack"] = why
        return Scores(np.empty((0, len(gallery)))), why


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


def reasons_of(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return why queries of an attack have no score, by scan."""
    both = zip(arrays["query_scan"].tolist(), arrays["query_reason"].tolist(), strict=True)
    return {scan: reason for scan, reason in both if reason}


def _scattered(scores: Scores, at: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Put the rows of the queries that were compared among all rows."""
    shape = (*scores.distance.shape[:-2], count, scores.distance.shape[-1])
    distance = np.full(shape, np.nan, np.float32)
    distance[..., at, :] = scores.distance
    result = {"distance": distance}
    if scores.resplit is not None:
        result["resplit"] = np.zeros((len(scores.resplit), count), np.int16)
        result["resplit"][:, at] = scores.resplit
    for name, values in scores.extra.items():
        if name.startswith("query_"):
            spread = np.full((count, *values.shape[1:]), np.nan, np.float32)
            spread[at] = values
            values = spread
        result[name] = values
    return result


def unavailable(rows: pd.DataFrame, gallery: pd.DataFrame, reason: str) -> dict:
    """Return the arrays of an attack that could not be run at all."""
    rows = rows.sort_values("scan", kind="stable")
    gallery = gallery.sort_values("scan", kind="stable")
    ids = {f"query_{n}": rows[n].to_numpy(dtype=str) for n in _IDS}
    ids |= {f"gallery_{n}": gallery[n].to_numpy(dtype=str) for n in _IDS}
    return {
        **ids,
        "distance": np.full((len(rows), len(gallery)), np.nan, np.float32),
        "detected": np.ones(len(rows), bool),
        "query_reason": np.array([reason] * len(rows), dtype=str),
    }


def save_attack(arrays: Mapping[str, np.ndarray], meta: Mapping, path: str | Path) -> None:
    """Write an attack.

    Arrays of the file, none of them pickled:

    ``distance`` float32, (queries, gallery) or (resplits, queries, gallery)
        Small is similar.  NaN: not compared (the query has no rendering, or is
        in the training part of the resplit).
    ``query_scan``, ``query_participant``, ``query_session``, ``query_reason``
        Text, one a query; the reason says why a query has no scores at all.
    ``gallery_scan``, ``gallery_participant``, ``gallery_session``
        Text, one a gallery scan.
    ``detected`` bool, one a query
        A face was found in the query (True where the attacker does not look for one;
        False, too, for a query that he was never shown).
    ``resplit`` int16, (resplits, queries), absent without resplits
        1 where the query is in the resplit's evaluation part, 0 in its training part.
    ``meta``
        JSON: attacker, version, options, variant, trained_on, and ``unavailable``
        (why the attacker did not run; empty).

    and what the attacker adds (see his module).
    """
    text = json.dumps(dict(meta), sort_keys=True, default=str)
    rendering.save_arrays(path, {**arrays, "meta": np.array(text)})


def load_attack(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read what :func:`save_attack` wrote: arrays, and ``meta`` as a dict."""
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    return arrays, json.loads(str(arrays.pop("meta")))


def cached(path: Path, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict:
    """Return arrays from a file whose key matches; else make and write them."""
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as found:
                if str(found["key"]) == key:
                    return {name: found[name] for name in found.files if name != "key"}
        except (OSError, ValueError, KeyError):
            pass  # damaged or of another format: made again
    arrays = dict(make())
    rendering.save_arrays(path, {**arrays, "key": np.array(key)})
    return arrays
