"""Where a run reads and writes: beside its config, and below a prefix if it is another's module.

A workflow that uses this one as a Snakemake module may give it a ``prefix``, which Snakemake puts
before the paths of all rules.  Everything else here knows only ``results/...``, so that the work is
done *inside* the prefix, as if it were the folder of the run.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from refacebench.run import place

#: Set by the Snakefile, for jobs: the absolute path of the prefix.
VARIABLE = "REFACEBENCH_PREFIX"
#: Options that are files or folders, in the entries of data sets and methods.
PATHS = (
    *("path", "file", "files", "folder", "priors", "weights", "license", "version_file", "program"),
    "answers",
)
#: Parts of a config whose entries have such options.
_KINDS = ("datasets", "defacers", "refacers", "segmenters", "attackers", "age_models")


def located(
    config: Mapping[str, Any], beside: Iterable[str | Path], absolute: bool = False
) -> dict[str, Any]:
    """Return a config whose relative paths can be used from the folder of the run.

    A path that is not there, but lies beside the config file, is taken from there.

    Parameters
    ----------
    beside : iterable of str or Path
        The config files.
    absolute : bool
        Write out whole paths: for a run whose work is done in another folder.
    """
    # Where the run was started, should it have gone elsewhere since.
    start = Path(os.environ.get(place.START, os.getcwd()))
    folders = [(start / path).parent for path in beside]

    def at(value: Any) -> Any:
        if not isinstance(value, str) or not value or os.path.isabs(value) or "$" in value:
            return value
        if not os.path.exists(value):
            for folder in folders:
                if (folder / value).exists():
                    found = str(folder / value)
                    return found if absolute else os.path.relpath(found)
        return os.path.abspath(value) if absolute and os.path.exists(value) else value

    def entry(given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = {k: at(v) if k in PATHS else v for k, v in given.items()}
        if isinstance(given.get("files"), Mapping):
            found["files"] = {name: at(value) for name, value in given["files"].items()}
        return found

    return {
        kind: {name: entry(one) for name, one in part.items()}
        if kind in _KINDS and isinstance(part, Mapping)
        else part
        for kind, part in config.items()
    }


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    """Work in a folder for a while; in an empty one where it is not there yet.

    Parameters
    ----------
    folder : str
        Absolute, as this may be used within itself; empty for the present one.
    """
    if not folder:
        yield
        return
    before = os.getcwd()
    with contextlib.ExitStack() as stack:
        if not os.path.isdir(folder):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.chdir(folder)
        stack.callback(os.chdir, before)
        yield


class Inside:
    """An object whose methods work in a folder.

    Parameters
    ----------
    within
        The object.
    folder : str
        As of :func:`inside`.
    """

    def __init__(self, within: Any, folder: str):
        self._within, self._folder = within, folder

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._within, name)
        if not callable(found):
            return found

        def called(*given: Any, **named: Any) -> Any:
            with inside(self._folder):
                return found(*given, **named)

        return called


def job(snakemake: Any) -> Any:
    """Return a job as its script sees it, in the folder of the run, where it then works.

    Parameters
    ----------
    snakemake
        What Snakemake gives to a script.
    """
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        return snakemake
    prefix = os.path.relpath(folder) + os.sep
    # Parameters, some of which are made from the paths, are a copy at each look.
    parts = {name: getattr(snakemake, name) for name in ("input", "output", "log", "params")}
    for part in parts.values():
        _strip(part, prefix)
    os.chdir(folder)
    others = {name: getattr(snakemake, name) for name in ("wildcards", "resources", "threads")}
    return SimpleNamespace(**parts, **others)


def _strip(part: Any, prefix: str) -> None:
    """Take the prefix from all paths of a job's list, in their order and under their names."""
    for name, value in list(vars(part).items()):
        if isinstance(value, str):
            setattr(part, name, value.removeprefix(prefix))
        elif isinstance(value, list) and hasattr(value, "_names"):
            _strip(value, prefix)
    for number, value in enumerate(part):
        if isinstance(value, str):
            part[number] = value.removeprefix(prefix)
