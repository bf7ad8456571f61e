"""Where a run writes: below the folder where it was started, or in one that the config names.

With ``results: runs/mine`` everything is written below ``runs/mine``.  The folders and files that
a config names are looked for beside it, then where the run was started, in any case.

Reads which of them exist; remembers the start in the environment, which jobs inherit.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: The variable that holds the folder where the run was started.
START = "REFACEBENCH_START"
#: Keys whose texts are files or folders even without a slash.
_PATHS = (
    *("path", "file", "files", "folder", "priors", "weights", "license", "version_file", "program"),
    *("answers", "cases"),
)


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


def located(
    config: Mapping[str, Any], beside: Iterable[str | Path] = (), absolute: bool = False
) -> dict[str, Any]:
    """Return a config whose texts that name an existing file or folder do so from here.

    What a relative path names lies beside the config file; if nothing does, where the run was
    started.

    Parameters
    ----------
    beside : iterable of str or Path
        The config files.
    absolute : bool
        Write out whole paths: for a run whose work is done in another folder.
    """
    folders = _folders(beside)

    def at(_: str, text: str) -> str:
        found = next((place for folder in folders if os.path.exists(place := folder / text)), None)
        if found is None or (not absolute and os.path.exists(text) and found.samefile(text)):
            return text
        if absolute:
            return os.path.abspath(found)
        near = os.path.relpath(found)
        # Without a slash a command is looked for elsewhere.
        return near if "/" in near else f"./{near}"

    return _changed(config, at)


def twice(config: Mapping[str, Any], beside: Iterable[str | Path]) -> list[str]:
    """Return a sentence for each path of a config that lies both beside it and at the start."""
    *folders, here = _folders(beside)
    found = []

    def look(where: str, text: str) -> str:
        there = [folder / text for folder in (*folders, here) if os.path.exists(folder / text)]
        others = [place for place in there[1:] if not place.samefile(there[0])]
        if others:
            found.append(
                f"{where}: there is a '{text}' beside the config and another one where the run "
                f"starts; {os.path.abspath(there[0])} is taken, not {os.path.abspath(others[0])}."
            )
        return text

    _changed(config, look)
    return found


def _folders(beside: Iterable[str | Path]) -> list[Path]:
    """Return where paths are looked for: beside config files, and where the run was started."""
    at = Path(os.environ.get(START, os.getcwd()))
    return list(dict.fromkeys([*((at / path).parent for path in beside), at]))


def _changed(value: Any, change: Callable[[str, str], str], key: str = "", where: str = "") -> Any:
    """Return a config with a change to each text that may be a relative path.

    A text without a slash is only taken for one under a key that is for paths: a method may be
    called like a folder.
    """
    if isinstance(value, Mapping):
        inner = key if key == "files" else ""
        return {
            k: _changed(part, change, inner or str(k), f"{where}.{k}".strip("."))
            for k, part in value.items()
        }
    if isinstance(value, list):
        return [_changed(part, change, key, where) for part in value]
    if where == "results" or not isinstance(value, str) or not value or "$" in value:
        return value
    named = ("/" in value or key in _PATHS) and not os.path.isabs(value)
    return change(where, value) if named else value


def here() -> str:
    """Return where a run with a folder of its own has written; empty for others."""
    at = os.environ.get(START)
    return os.getcwd() if at and Path(at).resolve() != Path.cwd().resolve() else ""
