"""What the process of a started program is told, and where a reader finds what it said.

Touches the process that it is called in, and nothing else.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

#: The log that this process's output goes to; empty for none.
_log = ""
#: Megabytes that the work on a scan may take in this process's job; 0 for no limit.
_memory_mb = 0.0
_tries_left = 0


def die_with_parent(how: int = signal.SIGKILL) -> None:
    """Ask Linux to send this process a signal when its parent ends; elsewhere do nothing."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(how))


def limit_memory(megabytes: float | None, tries_left: int = 0) -> None:
    """Say how much memory the job of this process asked for; the work on a scan is held to it.

    And how often the job may still be started again with more.
    """
    global _memory_mb, _tries_left
    _memory_mb, _tries_left = float(megabytes or 0), int(tries_left)


def memory_limit_mb() -> float:
    """Return how many megabytes the work on a scan may take; 0 for no limit."""
    return _memory_mb


def may_get_more_memory() -> bool:
    """Tell whether this job is started again, with more memory, if it fails now."""
    return _tries_left > 0


def keep_output_in(log: str | Path) -> None:
    """Say which log this process's output goes to from now on."""
    global _log
    _log = str(log)


def log() -> str:
    """Return this job's log as a reader of a table finds it: below ``results``; empty in no job."""
    head, found, below = f"/{_log}".rpartition("/results/")
    return below if found else Path(_log).name
