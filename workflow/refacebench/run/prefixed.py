"""Where a run writes that is another's module: below a prefix.

A workflow that uses this one as a Snakemake module may give it a ``prefix``, which Snakemake puts
before the paths of all rules.  Everything else here knows only ``results/...``, so that the work is
done *inside* the prefix, as if it were the folder of the run.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

#: Set by the Snakefile, for jobs: the absolute path of the prefix.
VARIABLE = "REFACEBENCH_PREFIX"


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
