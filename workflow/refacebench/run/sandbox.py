"""Run one function on one scan so that whatever happens to it becomes a row.

In a forked process, which a scan cannot take down the batch with, or in this one where that
is impossible (GPU work).  Touches no file.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import json
import os
import resource
import secrets
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from refacebench.contracts import ScanExcluded, ScanFailed, ScanInterrupted, ScanNotWritten
from refacebench.programs import process, tree
from refacebench.reasons import WORDS, one_line
from refacebench.vocabulary import EXCLUDED, FAILED, NOT_WRITTEN

#: What is done to a scan: a row in, the columns that are added out.
Work = Callable[[dict[str, Any]], dict[str, Any]]
#: Of a failed scan's result, on its way from the process that worked on it: another try may help.
AGAIN = " again"
#: And: it ended for want of memory, as far as can be told.
STARVED = " starved"
#: Seconds between two looks at what the work on a scan takes.
LOOK_S = 0.2
#: Seconds that a scan's own alarm may be late.
LATE_S = 2.0
#: Modules that the work on a scan imported in its own process; once they are imported here, all
#: that fork later have them: up to two seconds a scan.  And those for which that was tried.
_missed: set[str] = set()
_tried: set[str] = set()
OUT_OF_MEMORY = "out of memory: give the job more, mem_mb in --set-resources or the profile"
OUT_OF_TIME = (
    "no result after {:g} s; allow more with scan_timeout_s in the config, for a program "
    "also by its timeout"
)


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


def _attempt(work: Work, row: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return work(dict(row))
    except ScanExcluded as reason:
        return {"status": EXCLUDED, "reason": one_line(reason, WORDS)}
    except ScanNotWritten as reason:
        return {"status": NOT_WRITTEN, "reason": one_line(reason, WORDS), AGAIN: True}
    except ScanFailed as reason:
        again = may_pass(reason)
        return {"status": FAILED, "reason": one_line(reason, WORDS), AGAIN: again}
    except MemoryError:
        return {"status": FAILED, "reason": OUT_OF_MEMORY, AGAIN: True, STARVED: True}
    except Exception as error:  # any failure of a scan is a row, see the module's docstring
        traceback.print_exc(file=sys.stdout)  # the log; the terminal gets the row's sentence
        named = one_line(f"{type(error).__name__}: {error}", WORDS)
        return {"status": FAILED, "reason": named, AGAIN: may_pass(error)}


def in_process(
    work: Work, row: Mapping[str, Any], timeout: float, stage: str = ""
) -> tuple[dict[str, Any], float]:
    """Run in this process: for GPU work, which cannot be forked."""
    result = _attempt(work, row)
    return result, _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def in_child(
    work: Work, row: Mapping[str, Any], timeout: float, stage: str = ""
) -> tuple[dict[str, Any], float]:
    """Run in a forked child, which cannot take the batch down with it.

    Between the two stands a keeper: a process that becomes the parent of all that the
    work leaves behind and ends it, also if this process is killed; that ends the work
    when its time is over or it takes more memory than the job has.

    Returns
    -------
    dict
        The result, or the failure.
    float
        Peak memory of the largest process, MB.
    """
    mark = secrets.token_hex(8)
    _import_missed()
    read_end, write_end = os.pipe()
    sys.stderr.flush()
    sys.stdout.flush()
    keeper = os.fork()
    if keeper == 0:
        os.close(read_end)
        _keep(work, row, timeout, stage, mark, write_end)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            answer = pipe.read()
    finally:
        _, status = os.waitpid(keeper, 0)
        if status:  # the keeper itself was killed
            tree.end(mark=mark)
    with contextlib.suppress(ValueError):  # no answer, or one that was cut off
        result, peak_mb, imported = json.loads(answer)
        _missed.update(imported)
        return result, peak_mb
    return _ended(status, timeout), 0.0


def _import_missed() -> None:
    """Import what the work on earlier scans had to import by itself."""
    for name in sorted(_missed - _tried):
        # What cannot be imported here is the work's own, which knows where it has it from.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    _tried.update(_missed)


def _ended(status: int, timeout: float) -> dict[str, Any]:
    """Return the failure of a process that ended without an answer."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number:
        known: dict[int, str] = {
            signal.SIGALRM: OUT_OF_TIME.format(timeout),
            signal.SIGKILL: "killed, perhaps because memory ran out (mem_mb of the job)",
        }
        reason = known.get(number, f"the process died of signal {number}")
    else:
        reason = f"the process ended without a result (exit {os.WEXITSTATUS(status)})"
    return {"status": FAILED, "reason": reason, AGAIN: True, STARVED: number == signal.SIGKILL}


def _keep(
    work: Work,
    row: Mapping[str, Any],
    timeout: float,
    stage: str,
    mark: str,
    answer_to: int,
) -> None:
    """Start the work, watch it, end all that it started, and hand its result on."""
    # Whatever ends the group of the job must leave this process to clear up.
    os.setsid()
    code = 1

    def leave(*_: object) -> None:
        tree.end(os.getpid(), mark)
        os._exit(1)

    try:
        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.die_with_parent(signal.SIGTERM)
        tree.adopt_orphans()
        read_end, write_end = os.pipe()
        worker = os.fork()
        if worker == 0:
            os.close(read_end)
            os.close(answer_to)
            os.environ[tree.MARK] = mark
            _child(work, row, timeout, write_end)
        os.close(write_end)
        found = _watched(worker, read_end, timeout, stage)
        if not tree.end(os.getpid(), mark):
            print("a process that the work on this scan started could not be ended", flush=True)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        with os.fdopen(answer_to, "wb") as pipe:
            pipe.write(json.dumps(found).encode())
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        tree.end(os.getpid(), mark)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _watched(
    worker: int, read_end: int, timeout: float, stage: str
) -> tuple[dict[str, Any], float, list[str]]:
    """Wait for the work's end; return its result, peak memory (MB) and what it imported."""
    limit = process.memory_limit_mb()
    answer, stopped, starved = _Answer(read_end), "", False
    deadline = time.monotonic() + timeout + LATE_S
    looked = time.monotonic()
    done = 0
    while not done:
        # What the work left running may hold the pipe open: its end is not waited for.
        answer.wait(LOOK_S)
        done, status, usage = os.wait4(worker, os.WNOHANG)
        now = time.monotonic()
        if done or now - looked < LOOK_S:
            continue
        looked = now
        if not stopped and now > deadline:
            stopped = OUT_OF_TIME.format(timeout)
        elif not stopped and limit and tree.memory_mb(tree.descendants(os.getpid())) > limit:
            stopped, starved = _too_large(limit, stage), True
        if stopped:
            tree.end(os.getpid())
    answer.wait(0)
    peak_mb = _megabytes(usage.ru_maxrss)
    if stopped:
        return {"status": FAILED, "reason": stopped, AGAIN: True, STARVED: starved}, peak_mb, []
    with contextlib.suppress(ValueError):
        result, imported = json.loads(answer.text)
        return result, peak_mb, imported
    return _ended(status, timeout), peak_mb, []


class _Answer:
    """What comes through a pipe, also where nobody closes its other end."""

    def __init__(self, pipe: int):
        os.set_blocking(pipe, False)
        self._pipe, self._open, self.text = pipe, True, b""

    def wait(self, seconds: float) -> None:
        """Read what there is, or comes within some seconds; a closed pipe is looked at shortly."""
        if not self._open:
            time.sleep(min(seconds, 0.005))
            return
        select.select([self._pipe], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._open:
                block = os.read(self._pipe, 1 << 16)
                self._open = bool(block)
                self.text += block


def _too_large(limit: float, stage: str) -> str:
    advice = f" (--set-resources {stage}:mem_mb={2 * limit:.0f})" if stage else ""
    return f"needed more than {limit:.0f} MB of memory; give the job more{advice}"


def _child(work: Work, row: Mapping[str, Any], timeout: float, write_end: int) -> None:
    code = 1
    try:
        process.die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        before = set(sys.modules)
        result = _attempt(work, row)
        imported = sorted(set(sys.modules) - before)
        answer = json.dumps([result, imported], default=float).encode()
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(answer)
        code = 0
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)


def _megabytes(ru_maxrss: int) -> float:
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return round(ru_maxrss / scale, 1)
