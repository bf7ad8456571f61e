"""The processes that a process started, however they hide: to end all of them, and weigh them.

A child that opens a session of its own, or whose parent ends, leaves its group; it stays
below the process that asked to adopt orphans (:func:`adopt_orphans`), and it carries the
environment that it was started with.  Reads ``/proc`` (Linux; elsewhere nothing is found)
and ends processes of this user; touches no file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

#: Variable of a program's environment that names the call that it belongs to.
MARK = "REFACEBENCH_CALL"
#: Seconds in which what is ended has to be gone; a process in the kernel's hands may take longer.
GRACE_S = 10.0


def adopt_orphans() -> None:
    """Ask Linux to make this process the parent of descendants whose own parent ends."""
    if sys.platform == "linux":
        import ctypes

        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _parents() -> dict[int, int]:
    """Return the parent of each living process; those that only wait to be collected aside."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    # The name in brackets may hold anything.
                    fields = Path("/proc", name, "stat").read_text("latin-1").rpartition(")")[2]
                    state, parent = fields.split()[:2]
                    if state not in ("Z", "X"):
                        found[int(name)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    """Return the living processes below one, itself not among them."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents().items():
        children.setdefault(parent, []).append(process)
    found, new = set(), [root]
    while new:
        new = [child for parent in new for child in children.get(parent, []) if child not in found]
        found.update(new)
    return found


def marked(mark: str) -> set[int]:
    """Return the living processes that were started with ``MARK=mark`` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for process in _parents():
        with contextlib.suppress(OSError):
            if wanted in Path("/proc", str(process), "environ").read_bytes().split(b"\0"):
                found.add(process)
    return found


def end(root: int | None = None, mark: str = "") -> bool:
    """End all processes below one, and those that carry a mark, until none is left.

    Parameters
    ----------
    root : int, optional
        Lives on itself.
    mark : str
        See :func:`marked`; empty for none.

    Returns
    -------
    bool
        Whether all are gone.
    """
    deadline = time.monotonic() + GRACE_S
    while True:
        left = (descendants(root) if root else set()) | (marked(mark) if mark else set())
        left.discard(os.getpid())
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if not left:
            return True
        if time.monotonic() > deadline:
            return False
        # What was ended has to be collected before it is counted as gone; one that was
        # starting another one just then left a child that the next round finds.
        time.sleep(0.01)


def memory_mb(processes: set[int]) -> float:
    """Return the memory that processes hold, in megabytes; files that they read do not count."""
    kilobytes = 0
    for process in processes:
        with contextlib.suppress(OSError, ValueError):
            status = Path("/proc", str(process), "status").read_text("latin-1")
            for line in status.splitlines():
                if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:")):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024
