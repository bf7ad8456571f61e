"""What a job took by the kernel's count, written beside its log when it ends.

Snakemake's own ``cpu_time`` is looked at now and then and misses what ended in between: nearly all
of a job whose scans have processes of their own.  The kernel adds up every process that was waited
for, with all that it had waited for itself.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from refacebench.files import read_json, write_text

#: Takes the place of ``.log`` in the name of a job's log.
ENDING = ".usage.json"


def taken() -> dict[str, float]:
    """Return what this process and the processes that it waited for took so far.

    Returns
    -------
    dict
        ``own_cpu_s`` and ``scans_cpu_s``: seconds of CPU, user and system, of this process and
        of its children with theirs; ``peak_mb``: memory of the largest of all.
    """
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    peaks = (_own_peak_kb() or own.ru_maxrss, children.ru_maxrss)
    return {
        "own_cpu_s": round(own.ru_utime + own.ru_stime, 3),
        "scans_cpu_s": round(children.ru_utime + children.ru_stime, 3),
        "peak_mb": round(max(peaks) / scale, 1),
    }


def _own_peak_kb() -> int:
    """Return the most memory of this program (kB); 0 where the system does not say.

    The kernel's count for a process begins with what its parent had when it was started: a small
    job of a large Snakemake would seem as large as that.
    """
    try:
        with open("/proc/self/status") as facts:
            return next(int(line.split()[1]) for line in facts if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


def place(log: str | Path) -> Path:
    """Return where the record of the job with this log lies.

    >>> str(place("results/logs/costs.log"))
    'results/logs/costs.usage.json'
    """
    log = Path(log)
    return log.with_name(log.name.removesuffix(".log") + ENDING)


def record_at_exit(log: str | Path) -> None:
    """Write the record when this process ends, however it ends short of being killed.

    A record of an earlier try is removed: it is not this one's.
    """
    path, process = place(log).absolute(), os.getpid()
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)

    def write() -> None:
        if os.getpid() == process:  # and not a process that it forked
            with contextlib.suppress(OSError):
                write_text(json.dumps(taken()), path)

    atexit.register(write)


def read(log: str | Path) -> dict[str, Any]:
    """Return the record of the job with this log; an empty one if there is none."""
    return read_json(place(log)) or {}
