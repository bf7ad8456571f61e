"""What every script of the workflow does first: its log and its threads.

Touches the job's log file, the process's standard streams and its environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


class _Tee:
    """A text stream that writes to several others."""

    def __init__(self, *streams):
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self.streams:
            stream.flush()

    def fileno(self) -> int:
        return self.streams[0].fileno()


def start(log: str | Path) -> None:
    """Send the process's output to its log; Python's own messages to the terminal too.

    Compiled libraries write straight to the file descriptors: their noise ends
    in the log alone.
    """
    # ITK's results differ in the last digits with the number of its threads.
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(2), "w", buffering=1)
    handle = open(log, "w", buffering=1)  # noqa: SIM115 - lives as long as the process
    os.dup2(handle.fileno(), 1)
    os.dup2(handle.fileno(), 2)
    sys.stdout = handle
    sys.stderr = _Tee(handle, terminal)
