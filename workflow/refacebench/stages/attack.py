"""Let an attacker compare the scans of a variant with its gallery.

Reads manifests and renderings, writes ``.npz`` files without pickled objects, and, beside each,
a manifest of what became of the scans (:func:`refacebench.stages.enrol.record`).
"""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from refacebench import files, manifest, reasons
from refacebench.contracts import Attacker, AttackFailed, Context, Enrolled, Scores
from refacebench.run import sandbox
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage
from refacebench.stages.enrol import (
    IDS,
    at,
    enrol,
    load_enrolled,
    read_brains,
    record,
    subjects,
)
from refacebench.vocabulary import ORIGINAL, PICTURE_CONTROLS

#: The train split's scans of an attacked variant, and their originals.
Sides = tuple[Enrolled | None, Enrolled | None]

STAGE = Stage(
    "attack",
    follows=("enrol", "render", "segment"),
    reads=(*IDS, "views_path"),
    # The second of the manifests of brain masks.
    may_read=("template_path", "brainseg_path"),
)


@dataclass(frozen=True)
class Given:
    """What an attack is made from: files of earlier stages.

    Attributes
    ----------
    gallery : str or Path
        What the attacker keeps of the originals.
    originals, queries : iterable of str or Path
        Manifests of the renderings of the gallery and of the attacked variant.
    brains : iterable of str or Path
        Manifests of the queries' brain masks, where the attacker wants them.
    trained : iterable of str or Path
        Manifests of the train split's renderings, where it is trained on them.
    """

    gallery: str | Path
    originals: Iterable[str | Path]
    queries: Iterable[str | Path]
    brains: Iterable[str | Path] | None = None
    trained: Iterable[str | Path] | None = None


def run(
    given: Given,
    chosen: Chosen,
    target: str,
    out: str | Path,
    ledger: str | Path,
    *,
    folder: str | Path,
    blur_mm: float,
    seed: int,
    version: str,
    threads: int = 1,
) -> None:
    """Enrol the queries, score them, and write the attack and what became of each scan.

    Parameters
    ----------
    given : Given
        Files of earlier stages.
    chosen : Chosen
        The attacker.
    target : str
        The variant or control that it is set on.
    out, ledger : str or Path
        The attack (:func:`save_attack`), and the manifest of what became of each scan.
    folder : str or Path
        What an interrupted attack goes on from.
    blur_mm : float
        Width of the blurred control.
    seed : int
        Of the run.
    version : str
        The attacker's.
    threads : int
        That the attacker may use; the result does not depend on their number.
    """
    method, options = chosen.method, chosen.options
    control = target if target in PICTURE_CONTROLS else ""
    rows = manifest.read_many(given.queries)
    who = {"attacker": chosen.name, "version": version}
    missing = reasons.clean(method.missing(options))
    meta = {**who, "options": options, "variant": target, "trained_on": "", "unavailable": missing}
    if missing:
        print(f"WARNING: no attack by {chosen.name}: {missing}", file=sys.stderr, flush=True)
        gallery = manifest.read_many(given.originals)
        save_attack(unavailable(rows, gallery, missing), meta, out)
        table = record(rows, STAGE.name, {}, variant=control, unavailable=missing, **who)
        manifest.write(table, ledger)
        return
    people, lost = subjects(rows, read_brains(given.brains), control, blur_mm)
    gallery, _ = load_enrolled(given.gallery)
    known = gallery if target == ORIGINAL else None
    again: dict[str, str] = {}
    queries, unfit = enrol(method, people, options, known, again)
    sides, notes = training(chosen, given.trained, target, control, blur_mm)
    context = Context(seed, Path(folder), *sides, threads=threads if method.parallel else 1)
    arrays, meta["trained_on"] = compare(
        method, rows, queries, gallery, options, context, lost | unfit, again
    )
    save_attack(arrays, meta, out)
    failed = at("attack", reasons_of(arrays)) | at("enrol", unfit)
    parts = [record(rows, STAGE.name, failed, variant=control, **who)]
    for side, why, shown in notes:
        parts.append(record(side, "enrol", at("enrol", why), variant=shown, **who))
    manifest.write(pd.concat(parts, ignore_index=True), ledger)
    manifest.note_failures(out, again, {}, len(people))
    shutil.rmtree(context.unfinished, ignore_errors=True)


def training(
    chosen: Chosen, paths: Iterable[str | Path] | None, target: str, control: str, blur_mm: float
) -> tuple[Sides, list[tuple[pd.DataFrame, dict[str, str], str]]]:
    """Return the train split's scans of the variant and their originals, enrolled.

    Beside them the rows of each side with the reasons of those that were not enrolled.
    """
    paths = list(paths or ())
    if not paths:
        return (None, None), []
    rows = manifest.read_many(paths)
    originals = rows[rows["variant"] == ORIGINAL]
    attacked = originals if control else rows[rows["variant"] == target]
    sides, notes = [], []
    for side, shown in ((attacked, control), (originals, "")):
        people, _ = subjects(side, control=shown, blur_mm=blur_mm)
        enrolled, unfit = enrol(chosen.method, people, chosen.options)
        sides.append(enrolled)
        notes.append((side, unfit, shown))
    return (sides[0], sides[1]), notes


def compare(
    attacker: Attacker,
    rows: pd.DataFrame,
    queries: Enrolled,
    gallery: Enrolled,
    options: Mapping[str, Any],
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
    result |= {f"query_{n}": rows[n].to_numpy(dtype=str) for n in IDS}
    result |= {f"gallery_{n}": getattr(gallery, n) for n in IDS}
    return result | {"detected": detected, "query_reason": reason}, scores.trained_on


def _score(
    attacker: Attacker,
    queries: Enrolled,
    gallery: Enrolled,
    options: Mapping[str, Any],
    context: Context,
    again: dict[str, str] | None,
) -> tuple[Scores, str]:
    """Return the attacker's scores, or why there are none: a failed attack is no crash.

    Too little memory is one, since a second attempt of the job has more.  Another failure
    that may pass goes into ``again``.
    """
    try:
        return attacker.score(queries, gallery, dict(options), context), ""
    except AttackFailed as error:
        return Scores(np.empty((0, len(gallery)))), reasons.clean(error)
    except MemoryError:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stdout)  # the log
        why = reasons.clean(f"{type(error).__name__}: {error}")
        if again is not None and sandbox.may_pass(error):
            again["attack"] = why
        return Scores(np.empty((0, len(gallery)))), why


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


def unavailable(rows: pd.DataFrame, gallery: pd.DataFrame, reason: str) -> dict[str, Any]:
    """Return the arrays of an attack that could not be run at all."""
    rows = rows.sort_values("scan", kind="stable")
    gallery = gallery.sort_values("scan", kind="stable")
    ids = {f"query_{n}": rows[n].to_numpy(dtype=str) for n in IDS}
    ids |= {f"gallery_{n}": gallery[n].to_numpy(dtype=str) for n in IDS}
    return {
        **ids,
        "distance": np.full((len(rows), len(gallery)), np.nan, np.float32),
        "detected": np.ones(len(rows), bool),
        "query_reason": np.array([reason] * len(rows), dtype=str),
    }


def save_attack(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], path: str | Path
) -> None:
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
    files.save_arrays(path, {**arrays, "meta": np.array(text)})


def load_attack(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`save_attack` wrote: arrays, and ``meta`` as a dict."""
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    return arrays, json.loads(str(arrays.pop("meta")))
