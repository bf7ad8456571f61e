"""The loop that turns a batch of scans into a manifest.

:func:`run_batch` calls a function
for each scan of a batch in a process of its own, so that a scan that fails,
hangs or takes the process down becomes a row with a reason and nothing else.
A finished scan leaves a record beside the manifest; a rerun skips it when the
record's key still matches and its files are there in full, or were until they had been
measured (:mod:`refacebench.run.dropped`).  A scan that a method
failed on leaves one, too.  Not so a failure that may pass by itself, of memory or of
a full disk: such a scan is tried again.  Failed scans are listed in a small file of
their own (:func:`refacebench.manifest.note_failures`), from which the next run learns that there is
something to try.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from refacebench import manifest, reasons
from refacebench.contracts import ScanInterrupted
from refacebench.files import checksum, key_of, write_text
from refacebench.programs import process
from refacebench.reasons import WORDS, one_line
from refacebench.run import dropped, records
from refacebench.run.sandbox import AGAIN, STARVED, Work, in_child, in_process
from refacebench.run.stage import Stage
from refacebench.vocabulary import FAILED, NOT_WRITTEN, OK

#: The files that a row's result depends on.
Inputs = Callable[[dict[str, Any]], list[Any]]
#: The reason of a scan whose file is no longer the one that was checked.
CHANGED = "the file changed after it was checked; run again to start over with the new one"
#: The reason of a scan that needs a file which was deleted, as the config's ``keep`` says.
DROPPED = (
    "an image that this needs was deleted after it was measured (`keep` in the config); "
    "run the same command again, which says how to make it again"
)


class MoreMemoryNeeded(Exception):
    """Scans ended for want of memory, and the job can be started again with more."""


def run_batch(
    stage: Stage,
    rows: pd.DataFrame,
    work: Work,
    out: str | Path,
    *,
    method: str,
    version: str,
    engine: str = "native",
    params: Mapping[str, Any] | None = None,
    inputs: Inputs = lambda row: [row["path"]],
    timeout: float = 3600.0,
    isolate: bool = True,
    preload: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Run one function over the scans of a batch and write the manifest.

    Parameters
    ----------
    stage : Stage
        What the work reads and adds.
    rows : pandas.DataFrame
        The incoming manifest.  Rows whose status is not ``ok`` pass through.
    work : callable
        Takes the declared part of a row as a dict (its new key included) and returns the columns
        that it adds (``path`` among them when it writes an image).  Names that end in ``_path``
        or equal ``path`` are files that must exist for a later skip.
    out : str or Path
        The manifest.  Records go to a folder of the same name without suffix, and
        failures of this stage to :func:`failures_path`.
    method, version, engine, params
        By what it is done; all of it is in the key, with the stage's name.
    inputs : callable
        The files that a row's result depends on.
    timeout : float
        Seconds after which a scan is given up.
    isolate : bool
        Run each scan in a forked process.  Off only for GPU work, which
        cannot be forked.
    preload : tuple of str
        Heavy packages that every scan needs: imported once, before forking.

    Returns
    -------
    pandas.DataFrame
        The manifest that was written.

    Raises
    ------
    StageError
        If there is work to do and the rows lack a column that the stage reads.
    MoreMemoryNeeded
        If scans ended for want of memory and the job is started again with more: no manifest
        is written then, and what is done stays done.
    """
    if (rows["status"] == OK).any():
        stage.check_rows(rows.columns)
    for package in preload:
        importlib.import_module(package)
    out = Path(out)
    out.with_suffix("").mkdir(parents=True, exist_ok=True)
    parts: dict[str, Any] = {
        "stage": stage.name,
        "method": method,
        "version": version,
        "engine": engine,
    }
    parts |= {"params": dict(params or {})}

    def checked(row: dict[str, Any]) -> dict[str, Any]:
        result = work(stage.seen(row))
        stage.check_result(result)
        return result

    results, total, starved = [], 0, 0
    failures: dict[bool, dict[str, str]] = {True: {}, False: {}}
    todo = rows.to_dict("records")
    for number, row in enumerate(todo, start=1):
        if row["status"] == OK:
            source = row
            row, again = _one_scan(row, checked, out, parts, inputs, timeout, isolate)
            starved += bool(row.pop(STARVED, False))
            row["reason"] = row["reason"] and reasons.clean(row["reason"], source)
            failed = row["status"] in (FAILED, NOT_WRITTEN) and row["stage"] == stage.name
            total += failed or row["status"] == OK
            if failed:
                failures[again][row["scan"]] = row["reason"]
            print(
                f"{stage.name} {method} {number}/{len(todo)} {row['scan']}: {row['status']}"
                + (f" ({row['reason']})" if row["reason"] else "")
                + f", {float(row['seconds']):.1f} s",
                file=sys.stderr,
                flush=True,
            )
        results.append(row)
    if starved and process.may_get_more_memory():
        raise MoreMemoryNeeded(
            f"{starved} of {len(todo)} scans ran out of memory; the job is started again with more"
        )
    table = pd.DataFrame(results, columns=None if results else rows.columns)
    first = [name for name in manifest.COLUMNS if name in table]
    table = table[first + [name for name in table if name not in first]]
    manifest.note_failures(out, failures[True], failures[False], total)
    manifest.write(table, out)
    return table


def _one_scan(
    row: dict[str, Any],
    work: Work,
    out: Path,
    parts: Mapping[str, Any],
    inputs: Inputs,
    timeout: float,
    isolate: bool,
) -> tuple[dict[str, Any], bool]:
    """Return the row of one scan, from its record when that still holds.

    And whether to try it again at the next run, if it failed.
    """
    base = {k: parts[k] for k in ("stage", "method", "version", "engine")}
    try:
        given = [str(path) for path in inputs(row)]
        before = _state(given)
        checksums = [dropped.checksum(path) for path in given]
    except OSError as error:
        return _failed(row, base, f"input cannot be read: {error}", 0.0), True
    original = dict(zip(given, checksums, strict=True)).get(str(row.get("original_path")))
    if original and is_another(row.get("checksum"), original):
        return _failed(row, base, CHANGED, 0.0), True
    key = key_of({**parts, "scan": row["scan"]}, checksums)
    record = records.read(out, row["scan"])
    # Earlier releases wrote keys without the letter.
    lost: list[str] = []
    kept: dict[str, Any] = {}
    if record is not None and record["key"] in (key, key[1:]) and _files_are_whole(record):
        result, key = record["result"], record["key"]
        kept = {**row, **base, **result, "key": key, **_stage_columns(base, result)}
        if row["scan"] in dropped.wanted(out):
            lost = [path for path in dropped.of_columns(result) if not os.path.exists(path)]
        if not lost:
            return kept, False
    gone = [note for note in map(dropped.find, given) if note]
    if gone and not kept:
        reason = next((note.reason for note in gone if note.reason), "")
        return _failed(row, base, reason or DROPPED, 0.0), not reason
    row = {**row, "key": key}
    start = time.monotonic()
    runner = in_child if isolate else in_process
    result, peak_mb = runner(work, row, timeout, parts["stage"])
    if lost and _is_made_again(out, lost, result):
        return kept, False
    if result.get("status", OK) == OK and _state(given) != before:
        result = {"status": FAILED, "reason": CHANGED, AGAIN: True}
    seconds = round(time.monotonic() - start, 3)
    result = {"status": OK, "reason": "", **result, "seconds": seconds, "peak_mb": peak_mb}
    # An exclusion is found anew, a failure that may pass is tried again.
    own = result.get("stage", base["stage"]) == base["stage"]
    if result["status"] == OK or (result["status"] == FAILED and own and not result.get(AGAIN)):
        result.pop(AGAIN, None)
        result.pop(STARVED, None)
        document = {"key": key, **parts, "inputs": given, "result": result}
        result = _recorded(document, records.place(out, row["scan"]))
    again = result.pop(AGAIN, False)
    return {**row, **base, **result, "key": key, **_stage_columns(base, result)}, again


def _is_made_again(out: Path, lost: list[str], result: Mapping[str, Any]) -> bool:
    """Tell whether a record holds on, as its deleted files are the same again or cannot be had.

    Other files than before, of a program that never does the same twice, are another result.
    """
    if result.get("status", OK) != OK:
        why = f"an image that was deleted could not be made again: {result.get('reason', '')}"
        dropped.could_not(out, lost, one_line(why, WORDS))
        return True
    notes = dropped.read(out)
    same = all(os.path.exists(p) and checksum(p) == notes[p].sha256 for p in lost if p in notes)
    dropped.forget(out, lost)
    return same


def _recorded(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write the record of a finished scan; return its result, a failure if that is impossible.

    Read back, so that a fresh row and a resumed one are the same numbers.
    """
    result = document["result"]
    named = dropped.of_columns(result)
    document["sizes"] = {p: os.path.getsize(p) for p in named if os.path.exists(p)}
    try:
        write_text(json.dumps(document, indent=1, sort_keys=True, default=float), path)
        return json.loads(path.read_text())["result"]
    except OSError as error:
        reason = one_line(f"{type(error).__name__}: {error}", WORDS)
        kept = {name: result[name] for name in ("seconds", "peak_mb")}
        return {"status": FAILED, "reason": reason, **kept, AGAIN: True}


def _state(paths: Iterable[str]) -> list[tuple[int, int] | None]:
    """Return size and time of files, None for one that is gone, to see whether they change."""
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            facts = os.stat(path)
            found.append((facts.st_size, facts.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def is_another(checked: object, found: str) -> bool:
    """Tell whether a file's checksum is not the one that the inventory saw, if it saw one."""
    return isinstance(checked, str) and checked not in ("", found)


def check_originals(rows: Iterable[Mapping[str, Any]]) -> None:
    """Check that original scans are still those that the inventory saw.

    For work on many scans at once; :func:`run_batch` checks scan by scan.

    Raises
    ------
    ScanInterrupted
        If one is not, so that the next run starts over with the new file.
    """
    for row in rows:
        checked = row.get("checksum", "")
        if checked and is_another(checked, checksum(row["original_path"])):
            raise ScanInterrupted(f"{row['scan']}: {CHANGED}")


def _stage_columns(base: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what later stages still want to know of this one, under its name."""
    stage = base["stage"]
    return {
        f"{stage}_seconds": result["seconds"],
        f"{stage}_peak_mb": result["peak_mb"],
        f"{stage}_engine": result.get("engine", base["engine"]),
        f"{stage}_version": result.get("version", base["version"]),
    }


def _failed(
    row: Mapping[str, Any], base: Mapping[str, Any], reason: str, seconds: float
) -> dict[str, Any]:
    reason = one_line(reason, WORDS)
    status = {"status": FAILED, "reason": reason, "seconds": seconds, "peak_mb": 0.0}
    return {**row, **base, **status, "key": ""}


def _files_are_whole(record: Mapping[str, Any]) -> bool:
    """Tell whether the files of a finished scan are there, or noted as deleted, none cut short."""
    sizes = record.get("sizes", {})

    def whole(path: str) -> bool:
        if os.path.exists(path):
            size = os.path.getsize(path)
        elif note := dropped.find(path):
            size = note.size
        else:
            return False
        return bool(sizes.get(path, size) == size)

    return all(map(whole, dropped.of_columns(record["result"])))
