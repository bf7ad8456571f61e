"""Run one function on one scan so that whatever happens to it becomes a row.

In a forked process, which a scan cannot take down the batch with, or in this one where that
is impossible (GPU work).  Touches no file.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from refacebench.contracts import ScanExcluded, ScanFailed, ScanInterrupted
from refacebench.programs.process import die_with_parent
from refacebench.reasons import WORDS, one_line
from refacebench.vocabulary import EXCLUDED, FAILED

#: What is done to a scan: a row in, the columns that are added out.
Work = Callable[[dict[str, Any]], dict[str, Any]]
#: Of a failed scan's result, on its way from the process that worked on it: another try may help.
AGAIN = " again"


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
    except ScanFailed as reason:
        again = may_pass(reason)
        return {"status": FAILED, "reason": one_line(reason, WORDS), AGAIN: again}
    except MemoryError:
        return {"status": FAILED, "reason": "out of memory", AGAIN: True}
    except Exception as error:  # any failure of a scan is a row, see the module's docstring
        traceback.print_exc()
        named = one_line(f"{type(error).__name__}: {error}", WORDS)
        return {"status": FAILED, "reason": named, AGAIN: may_pass(error)}


def in_process(work: Work, row: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], float]:
    """Run in this process: for GPU work, which cannot be forked."""
    result = _attempt(work, row)
    return result, _megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def in_child(work: Work, row: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], float]:
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
        known: dict[int, str] = {
            signal.SIGALRM: f"no result after {timeout:g} s",
            signal.SIGKILL: "killed (out of memory?)",
        }
        reason = known.get(number, f"the process died of signal {number}")
    else:
        reason = f"the process ended without a result (exit {os.WEXITSTATUS(status)})"
    return {"status": FAILED, "reason": reason, AGAIN: True}, peak_mb


def _child(
    work: Work, row: Mapping[str, Any], timeout: float, read_end: int, write_end: int
) -> None:
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


def _megabytes(ru_maxrss: int) -> float:
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return round(ru_maxrss / scale, 1)
