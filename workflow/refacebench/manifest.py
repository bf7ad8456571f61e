"""Manifests, and the loop that turns a batch of scans into one.

A manifest is a TSV with one row a scan.  :func:`run_batch` calls a function
for each scan of a batch in a process of its own, so that a scan that fails,
hangs or takes the process down becomes a row with a reason and nothing else.
A finished scan leaves a record beside the manifest; a rerun skips it when the
record's key still matches.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from . import reasons
from .images import temporary_name

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


class ScanExcluded(Exception):
    """Raised for a scan that must be left out; the message is the reason."""


class ScanFailed(RuntimeError):
    """Raised for a scan that a method failed on; the message is the whole reason."""


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
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(path)
    part.write_text(text)
    os.replace(part, path)


def to_text(table: pd.DataFrame) -> str:
    """Return a table as TSV with numbers in a fixed format."""
    return table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as TSV, all or nothing."""
    write_text(to_text(table), path)


def checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def make_key(parts: Mapping, inputs) -> str:
    """Return a key of 16 hex digits for a method, its parameters and its input files."""
    document = {"parts": parts, "inputs": [checksum(path) for path in inputs]}
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
        The manifest.  Records go to a folder of the same name without suffix.
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
    results = []
    todo = rows.to_dict("records")
    for number, row in enumerate(todo, start=1):
        if row["status"] == OK:
            source, row = row, _one_scan(row, work, records, parts, inputs, timeout, isolate)
            row["reason"] = row["reason"] and reasons.clean(row["reason"], source)
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
    write(table, out)
    return table


def _one_scan(row, work, records, parts, inputs, timeout, isolate) -> dict:
    """Return the row of one scan, from its record when that still holds."""
    record_path = records / f"{row['scan']}.json"
    base = {k: parts[k] for k in ("stage", "method", "version", "engine")}
    try:
        key = make_key({**parts, "scan": row["scan"]}, inputs(row))
    except OSError as error:
        return _failed(row, base, f"input cannot be read: {error}", 0.0)
    record = _read_record(record_path)
    if record is not None and record["key"] == key and _files_exist(record["result"]):
        result = record["result"]
        return {**row, **base, **result, "key": key, **_stage_columns(base, result)}
    row = {**row, "key": key}
    start = time.monotonic()
    runner = _in_child if isolate else _in_process
    result, peak_mb = runner(work, row, timeout)
    seconds = round(time.monotonic() - start, 3)
    result = {"status": OK, "reason": "", **result, "seconds": seconds, "peak_mb": peak_mb}
    if result["status"] == OK:
        document = {"key": key, **parts, "inputs": [str(p) for p in inputs(row)], "result": result}
        write_text(json.dumps(document, indent=1, sort_keys=True, default=float), record_path)
        # Read back, so that a fresh row and a resumed one are the same numbers.
        result = _read_record(record_path)["result"]
    return {**row, **base, **result, "key": key, **_stage_columns(base, result)}


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
    status = {"status": FAILED, "reason": one_line(reason), "seconds": seconds, "peak_mb": 0.0}
    return {**row, **base, **status, "key": ""}


#: Characters of an error that are kept until its paths are shortened: half a path is none.
_WORDS = 5000


def one_line(text: object, limit: int = 300) -> str:
    r"""Fold a message to one line without tabs, fit for a TSV cell.

    >>> one_line("a\n\tb")
    'a b'
    """
    return " ".join(str(text).split())[:limit]


def _read_record(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _files_exist(result: Mapping) -> bool:
    names = [k for k in result if k == "path" or k.endswith("_path")]
    return all(os.path.exists(result[k]) for k in names if result[k])


def _attempt(work, row) -> dict:
    try:
        return work(dict(row))
    except ScanExcluded as reason:
        return {"status": EXCLUDED, "reason": one_line(reason, _WORDS)}
    except ScanFailed as reason:
        return {"status": FAILED, "reason": one_line(reason, _WORDS)}
    except MemoryError:
        return {"status": FAILED, "reason": "out of memory"}
    except Exception as error:  # any failure of a scan is a row, see the module's docstring
        traceback.print_exc()
        return {"status": FAILED, "reason": one_line(f"{type(error).__name__}: {error}", _WORDS)}


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
    if answer:
        return json.loads(answer), peak_mb
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        reason = {
            signal.SIGALRM: f"no result after {timeout:g} s",
            signal.SIGKILL: "killed (out of memory?)",
        }.get(number, f"the process died of signal {number}")
    else:
        reason = f"the process ended without a result (exit {os.WEXITSTATUS(status)})"
    return {"status": FAILED, "reason": reason}, peak_mb


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
