"""Where a run writes: below the folder where it was started, or in one that the config names.

With ``results: runs/mine`` everything is written below ``runs/mine``, and the folders and files
that the config names are looked for from where the run was started, as ever.

Reads which of them exist; remembers the start in the environment, which jobs inherit.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: The variable that holds the folder where the run was started.
START = "REFACEBENCH_START"
#: Keys whose texts are files or folders even without a slash.
_PATHS = ("path", "file", "files", "license", "answers", "program", "weights", "cases")


def start() -> Path:
    """Return the folder where the run was started: also in a job, which starts elsewhere."""
    return Path(os.environ.setdefault(START, os.getcwd()))


def of(folder: str) -> str:
    """Return the folder that the config names, from where the run was started.

    Snakemake makes it as soon as it knows of it, and its own folder in it.  If nothing else comes
    to lie there, as in a dry run, both are taken away again when this process ends.
    """
    found = start() / folder
    made = [place for place in (found, *found.parents) if not place.exists()]
    if made:
        atexit.register(_take_away, made)
    return str(found)


def _take_away(folders: Sequence[Path]) -> None:
    """Delete folders, the innermost first, up to one that holds something."""
    with contextlib.suppress(OSError):
        own = folders[0] / ".snakemake"
        # What Snakemake remembers of the times of files; anything else was made by jobs.
        if all(p.parent.name == "iocache" for p in own.rglob("*") if not p.is_dir()):
            shutil.rmtree(own, ignore_errors=True)
        for folder in folders:
            folder.rmdir()


def overruled(folder: str, directory: str | Path) -> str:
    """Return what is said where the command line names another folder than the config."""
    return (
        f"`--directory {directory}` takes the place of `results: {folder}` in the config: "
        f"everything is written below {Path(directory) / 'results'}."
    )


def from_start(value: Any, key: str = "") -> Any:
    """Return a config whose texts that name an existing file or folder do so from anywhere.

    A text without a slash is only taken for one under a key that is for paths: a method may be
    called like a folder.
    """
    if isinstance(value, Mapping):
        inner = key if key == "files" else ""
        return {k: from_start(part, inner or str(k)) for k, part in value.items()}
    if isinstance(value, list):
        return [from_start(part, key) for part in value]
    if key == "results" or not isinstance(value, str) or not value or os.path.isabs(value):
        return value
    if ("/" in value or key in _PATHS) and os.path.exists(start() / value):
        return str(start() / value)
    return value


def here() -> str:
    """Return where a run with a folder of its own has written; empty for others."""
    at = os.environ.get(START)
    return os.getcwd() if at and Path(at).resolve() != Path.cwd().resolve() else ""
