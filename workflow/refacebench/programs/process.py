"""What the process of a started program is told, and where a reader finds what it said.

Touches the process that it is called in, and nothing else.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

#: The log that this process's output goes to; empty for none.
_log = ""


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed; elsewhere do nothing."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def keep_output_in(log: str | Path) -> None:
    """Say which log this process's output goes to from now on."""
    global _log
    _log = str(log)


def log() -> str:
    """Return this job's log as a reader of a table finds it: below ``results``; empty in no job."""
    head, found, below = f"/{_log}".rpartition("/results/")
    return below if found else Path(_log).name
