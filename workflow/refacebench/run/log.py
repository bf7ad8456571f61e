"""What every script of the workflow does first: its log, its threads, folders with faces.

Touches the job's log file and the record beside it, the process's standard streams and its
environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from refacebench import environment, faces, files
from refacebench.programs import process
from refacebench.run import usage


class _Tee:
    """A text stream that writes to one or more others, without hidden values."""

    def __init__(self, *streams: TextIO):
        self.streams = streams

    def write(self, text: str) -> int:
        shown = environment.scrub(text)
        for stream in self.streams:
            stream.write(shown)
        return len(text)

    def flush(self) -> None:
        for stream in self.streams:
            stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.streams[0], name)


@contextlib.contextmanager
def scratch(folder: str | Path) -> Iterator[None]:
    """Keep all temporary files in a folder of the job, emptied before and deleted after it.

    What a killed job left behind holds faces: here the next run removes it, in the
    system's own folder nobody would.  A path with characters that programs'
    own scripts trip over (spaces, quotes) is not used; the system's folder is then.
    """
    folder = Path(folder).absolute()
    if not re.fullmatch(r"[A-Za-z0-9_./+=@,~-]+", str(folder)):
        yield
        return
    files.refuse_links(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def start(log: str | Path, resources: Mapping[str, Any] | None = None) -> None:
    """Send the process's output to its log; Python's own messages to the terminal too.

    The work on each scan is held to the memory that the job asked for (``mem_mb`` of its
    resources), if it is given.  What the job took is written beside the log when it ends
    (:mod:`refacebench.run.usage`).

    Compiled libraries write straight to the file descriptors: their noise ends
    in the log alone.
    """
    files.refuse_links(log)
    process.keep_output_in(log)
    asked = resources or {}
    process.limit_memory(asked.get("mem_mb"), asked.get("tries_left", 0))
    faces.protect_for(log)
    # ITK's results differ in the last digits with the number of its threads.
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    usage.record_at_exit(log)
    terminal = os.fdopen(os.dup(2), "w", buffering=1)
    handle = open(log, "w", buffering=1)  # noqa: SIM115 - lives as long as the process
    os.dup2(handle.fileno(), 1)
    os.dup2(handle.fileno(), 2)
    sys.stdout = _Tee(handle)
    sys.stderr = _Tee(handle, terminal)
