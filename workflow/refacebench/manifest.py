"""Manifests, and the loop that turns a batch of scans into one.

A manifest is a TSV with one row a scan.  :func:`run_batch` calls a function
for each scan of a batch in a process of its own, so that a scan that fails,
hangs or takes the process down becomes a row with a reason and nothing else.
A finished scan leaves a record beside the manifest; a rerun skips it when the
record's key still matches and its files are there in full.  A scan that a method
failed on leaves one, too.  Not so a failure that may pass by itself, of memory or of
a full disk: such a scan is tried again.  Failed scans are listed in a small file of
their own (:func:`note_failures`), from which the next run learns that there is
something to try.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from . import environment, reasons
from .images import replacing

#: Columns that every manifest has, in this order; a stage adds its own behind them.
COLUMNS = [
    *("dataset", "participant", "session", "scan", "split", "role", "site", "age", "sex"),
    *("variant", "path", "status", "stage", "reason", "seconds", "peak_mb"),
    *("engine", "method", "version", "key"),
]

OK, EXCLUDED, FAILED = "ok", "excluded", "failed"
#: Of a scan that a method was not run on because its program is not on this machine.
UNAVAILABLE = "unavailable"

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?inf")


#: The reason of a scan whose file is no longer the one that was checked.
CHANGED = "the file changed after it was checked; run again to start over with the new one"


class ScanExcluded(Exception):
    """Raised for a scan that must be left out; the message is the reason."""


class ScanFailed(RuntimeError):
    """Raised for a scan that a method failed on; the message is the whole reason."""


class ScanInterrupted(ScanFailed):
    """Raised where something outside ended the work on a scan: another try may succeed."""


def may_pass(error: BaseException | None) -> bool:
    """Tell whether a failure lies in the circumstances, so that another try may succeed.

    Memory, disk, quota, permissions, a server that does not answer, a program that was
    killed: yes.  What a method says of a scan: no.

    >>> may_pass(OSError(28, "No space left on device")), may_pass(ValueError("no brain"))
    (True, False)
    """
    if error is None or isinstance(error, gzip.BadGzipFile):  # an OSError, but of the content
        return False
    passing = (MemoryError, OSError, subprocess.TimeoutExpired, ScanInterrupted)
    # Without an import of torch, whose error on a GPU this is.
    full_gpu = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, passing) or full_gpu or may_pass(error.__cause__)


def read(path: str | Path) -> pd.DataFrame:
    """Read a manifest; identifiers and versions stay text, so ``01`` and ``1.10`` keep zeros."""
    return _numbers(pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False))


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Turn columns that hold nothing but numbers into numbers, those that name things aside."""
    numeric = ("age", "seconds", "peak_mb")
    for name in table.columns:
        if name in numeric:
            table[name] = numbers(table[name])
        elif name not in COLUMNS and not name.endswith(("_version", "_engine", "_path")):
            filled = table[name] != ""
            found = numbers(table[name])
            if filled.any() and found[filled].notna().all():
                table[name] = found
    return table


def numbers(texts: pd.Series) -> pd.Series:
    """Return texts as numbers, NaN where a text is none; integers if all are.

    ``pandas.to_numeric`` must not see such texts: what looks like a number with an
    exponent of many digits, as one checksum in a few hundred does, crashes its parser.

    >>> numbers(pd.Series(["2.5", "", "1e-3", "6e158439314234cf"])).tolist()
    [2.5, nan, 0.001, nan]
    """
    if len(texts) and texts.map(lambda text: bool(_INTEGER.fullmatch(text))).all():
        return texts.map(int)
    return texts.map(lambda text: float(text) if _NUMBER.fullmatch(text) else float("nan"))


def read_many(paths) -> pd.DataFrame:
    """Read several manifests into one table."""
    return pd.concat([read(path) for path in paths], ignore_index=True)


def write_text(text: str, path: str | Path) -> None:
    """Write a text file, all or nothing."""
    with replacing(path) as part:
        part.write_text(text)


def to_text(table: pd.DataFrame) -> str:
    """Return a table as TSV with numbers in a fixed format."""
    return table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as TSV, all or nothing."""
    write_text(to_text(table), path)


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or a device, which may never end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "not a file", str(path))
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def make_key(parts: Mapping, inputs) -> str:
    """Return a key of 16 hex digits for a method, its parameters and its input files."""
    return _key_of(parts, [checksum(path) for path in inputs])


def _key_of(parts: Mapping, checksums: list[str]) -> str:
    document = {"parts": parts, "inputs": checksums}
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def failures_path(out: str | Path) -> Path:
    """Return where the failures of a stage's output are listed: in a file beside it.

    >>> failures_path("results/deface/d/null/test-measured-000.tsv").name
    'test-measured-000.failures.json'
    """
    return Path(out).with_suffix(".failures.json")


def note_failures(
    out: str | Path, again: Mapping[str, str], final: Mapping[str, str], total: int
) -> None:
    """List what failed in the stage that makes an output; no file where nothing did.

    Parameters
    ----------
    out : str or Path
        The output, a manifest in most stages.
    again, final : mapping of str to str
        Reason by scan, of failures that may pass and of the others.
    total : int
        How many scans the stage worked on; excluded ones do not count.
    """
    path = failures_path(out)
    if again or final:
        document = {"again": dict(again), "final": dict(final), "total": total}
        write_text(json.dumps(document, indent=1) + "\n", path)
    else:
        path.unlink(missing_ok=True)


def read_failures(out: str | Path) -> dict:
    """Return what :func:`note_failures` wrote; nothing failed where there is no such file."""
    nothing = {"again": {}, "final": {}, "total": 0}
    return {**nothing, **(_read_record(failures_path(out)) or {})}


def forget_failures(out: str | Path) -> None:
    """Delete the records of a stage's failed scans, so that all of them are tried again."""
    for scan in read_failures(out)["final"]:
        (Path(out).with_suffix("") / f"{scan}.json").unlink(missing_ok=True)


def run_batch(
    rows: pd.DataFrame,
    work: Callable[[dict], dict],
    out: str | Path,
    *,
    stage: str,
    method: str,
    version: str,
    engine: str = "native",
    params: Mapping | None = None,
    inputs: Callable[[dict], list] = lambda row: [row["path"]],
    timeout: float = 3600.0,
    isolate: bool = True,
    preload: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Run one function over the scans of a batch and write the manifest.

    Parameters
    ----------
    rows : pandas.DataFrame
        The incoming manifest.  Rows whose status is not ``ok`` pass through.
    work : callable
        Takes a row as a dict (its new key included) and returns the columns that it sets (``path``
        among them when it writes an image).  Names that end in ``_path`` or
        equal ``path`` are files that must exist for a later skip.
    out : str or Path
        The manifest.  Records go to a folder of the same name without suffix, and
        failures of this stage to :func:`failures_path`.
    stage, method, version, engine, params
        What is done, by what; all of it is in the key.
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
    """
    for package in preload:
        importlib.import_module(package)
    out = Path(out)
    records = out.with_suffix("")
    records.mkdir(parents=True, exist_ok=True)
    parts = {"stage": stage, "method": method, "version": version, "engine": engine}
    parts["params"] = dict(params or {})
    results, total = [], 0
    failures = {True: {}, False: {}}
    todo = rows.to_dict("records")
    for number, row in enumerate(todo, start=1):
        if row["status"] == OK:
            source = row
            row, again = _one_scan(row, work, records, parts, inputs, timeout, isolate)
            row["reason"] = row["reason"] and reasons.clean(row["reason"], source)
            failed = row["status"] == FAILED and row["stage"] == stage
            total += failed or row["status"] == OK
            if failed:
                failures[again][row["scan"]] = row["reason"]
            print(
                f"{stage} {method} {number}/{len(todo)} {row['scan']}: {row['status']}"
                + (f" ({row['reason']})" if row["reason"] else "")
                + f", {float(row['seconds']):.1f} s",
                file=sys.stderr,
                flush=True,
            )
        results.append(row)
    table = pd.DataFrame(results, columns=None if results else rows.columns)
    first = [name for name in COLUMNS if name in table]
    table = table[first + [name for name in table if name not in first]]
    note_failures(out, failures[True], failures[False], total)
    write(table, out)
    return table


def _one_scan(row, work, records, parts, inputs, timeout, isolate) -> tuple[dict, bool]:
    """Return the row of one scan, from its record when that still holds.

    And whether to try it again at the next run, if it failed.
    """
    record_path = records / f"{row['scan']}.json"
    base = {k: parts[k] for k in ("stage", "method", "version", "engine")}
    try:
        given = [str(path) for path in inputs(row)]
        before = _state(given)
        checksums = [checksum(path) for path in given]
    except OSError as error:
        return _failed(row, base, f"input cannot be read: {error}", 0.0), True
    original = dict(zip(given, checksums, strict=True)).get(str(row.get("original_path")))
    if original and is_another(row.get("checksum"), original):
        return _failed(row, base, CHANGED, 0.0), True
    key = _key_of({**parts, "scan": row["scan"]}, checksums)
    record = _read_record(record_path)
    if record is not None and record["key"] == key and _files_are_whole(record):
        result = record["result"]
        return {**row, **base, **result, "key": key, **_stage_columns(base, result)}, False
    row = {**row, "key": key}
    start = time.monotonic()
    runner = _in_child if isolate else _in_process
    result, peak_mb = runner(work, row, timeout)
    if result.get("status", OK) == OK and _state(given) != before:
        result = {"status": FAILED, "reason": CHANGED, _AGAIN: True}
    seconds = round(time.monotonic() - start, 3)
    result = {"status": OK, "reason": "", **result, "seconds": seconds, "peak_mb": peak_mb}
    # An exclusion is found anew, a failure that may pass is tried again.
    own = result.get("stage", base["stage"]) == base["stage"]
    if result["status"] == OK or (result["status"] == FAILED and own and not result.get(_AGAIN)):
        result.pop(_AGAIN, None)
        document = {"key": key, **parts, "inputs": given, "result": result}
        result = _recorded(document, record_path)
    again = result.pop(_AGAIN, False)
    return {**row, **base, **result, "key": key, **_stage_columns(base, result)}, again


#: Of a failed scan's result, on its way from the process that worked on it: another try may help.
_AGAIN = " again"


def _recorded(document: dict, path: Path) -> dict:
    """Write the record of a finished scan; return its result, a failure if that is impossible.

    Read back, so that a fresh row and a resumed one are the same numbers.
    """
    result = document["result"]
    document["sizes"] = {p: os.path.getsize(p) for p in _files(result) if os.path.exists(p)}
    try:
        write_text(json.dumps(document, indent=1, sort_keys=True, default=float), path)
        return json.loads(path.read_text())["result"]
    except OSError as error:
        reason = one_line(f"{type(error).__name__}: {error}", _WORDS)
        kept = {name: result[name] for name in ("seconds", "peak_mb")}
        return {"status": FAILED, "reason": reason, **kept, _AGAIN: True}


def _state(paths) -> list:
    """Return size and time of files, None for one that is gone, to see whether they change."""
    found = []
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


def _stage_columns(base: Mapping, result: Mapping) -> dict:
    """Return what later stages still want to know of this one, under its name."""
    stage = base["stage"]
    return {
        f"{stage}_seconds": result["seconds"],
        f"{stage}_peak_mb": result["peak_mb"],
        f"{stage}_engine": result.get("engine", base["engine"]),
        f"{stage}_version": result.get("version", base["version"]),
    }


def _failed(row, base, reason, seconds) -> dict:
    reason = one_line(reason, _WORDS)
    status = {"status": FAILED, "reason": reason, "seconds": seconds, "peak_mb": 0.0}
    return {**row, **base, **status, "key": ""}


#: Characters of an error that are kept until its paths are shortened: half a path is none.
_WORDS = 5000


def one_line(text: object, limit: int = 300) -> str:
    r"""Fold a message to one line without tabs and hidden values, fit for a TSV cell.

    >>> one_line("a\n\tb")
    'a b'
    """
    return " ".join(environment.scrub(str(text)).split())[:limit]


def _read_record(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _files(result: Mapping) -> list[str]:
    """Return the files that a row names."""
    return [v for k, v in result.items() if (k == "path" or k.endswith("_path")) and v]


def _files_are_whole(record: Mapping) -> bool:
    """Tell whether the files of a finished scan are there, none of them cut short."""
    sizes = record.get("sizes", {})
    return all(
        os.path.exists(path) and sizes.get(path, os.path.getsize(path)) == os.path.getsize(path)
        for path in _files(record["result"])
    )


def _attempt(work, row) -> dict:
    try:
        return work(dict(row))
    except ScanExcluded as reason:
        return {"status": EXCLUDED, "reason": one_line(reason, _WORDS)}
    except ScanFailed as reason:
        again = may_pass(reason)
        return {"status": FAILED, "reason": one_line(reason, _WORDS), _AGAIN: again}
    except MemoryError:
        return {"status": FAILED, "reason": "out of memory", _AGAIN: True}
    except Exception as error:  # any failure of a scan is a row, see the module's docstring
        traceback.print_exc()
        named = one_line(f"{type(error).__name__}: {error}", _WORDS)
        return {"status": FAILED, "reason": named, _AGAIN: may_pass(error)}


def _in_process(work, row, timeout) -> tuple[dict, float]:
    result = _attempt(work, row)
    return result, _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _in_child(work, row, timeout) -> tuple[dict, float]:
    """Run in a forked child, which cannot take the batch down with it."""
    read_end, write_end = os.pipe()
    sys.stderr.flush()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _child(work, row, timeout, read_end, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    peak_mb = _megabytes(usage.ru_maxrss)
    with contextlib.suppress(ValueError):  # no answer, or one that was cut off
        return json.loads(answer), peak_mb
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        reason = {
            signal.SIGALRM: f"no result after {timeout:g} s",
            signal.SIGKILL: "killed (out of memory?)",
        }.get(number, f"the process died of signal {number}")
    else:
        reason = f"the process ended without a result (exit {os.WEXITSTATUS(status)})"
    return {"status": FAILED, "reason": reason, _AGAIN: True}, peak_mb


def _child(work, row, timeout, read_end, write_end) -> None:
    code = 1
    try:
        os.close(read_end)
        die_with_parent()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        answer = json.dumps(_attempt(work, row), default=float).encode()
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(answer)
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed; elsewhere do nothing."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _megabytes(ru_maxrss: int) -> float:
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return round(ru_maxrss / scale, 1)
