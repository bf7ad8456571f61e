"""Any external program as a defacer, by config alone.

.. code-block:: yaml

    defacers:
      mideface: {program: mideface, license: /opt/freesurfer/license.txt, on_missing: skip}
      my_tool:
        command: [my_tool, --in, "{input}", --out, "{output}"]
        version_command: [my_tool, --version]

``program`` names a description in ``refacebench/programs`` or a file like those there;
further options override it.  What every option means stands at
:class:`refacebench.programs.catalogue.Program`.  The engine is always
``official``: the program's output is taken as it is and checked.
"""

from __future__ import annotations

from pathlib import Path

from refacebench import reasons
from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import ON_MISSING
from refacebench.programs import catalogue, presence, runner

VERSION = "1"
OPTIONS = {
    "program": Option(None, "A name of the catalogue, or a .yaml file of your own.", kind=str),
    "on_missing": ON_MISSING,
    **catalogue.OPTIONS,
}


def check(options: dict) -> None:
    """Check the options without looking for the program.

    Raises
    ------
    ValueError
        With one sentence that names the option.
    """
    catalogue.describe(options)


def title(options: dict) -> str:
    """Return a line for tables and the report."""
    if not (options.get("command") or options.get("program")):
        return "any external program"
    program = catalogue.describe(options)
    return program.title or program.name


def missing(options: dict) -> str:
    """Return what is missing on this machine, and where to get it; empty if nothing is."""
    return presence.missing(catalogue.describe(options))


def version(options: dict) -> str:
    """Return the version of the program that runs; empty where it does not tell."""
    return presence.version(catalogue.describe(options))


def inputs(options: dict) -> list[Path]:
    """Return the files beside the scan's that a result depends on."""
    return presence.own_files(catalogue.describe(options))


def public(options: dict) -> dict:
    """Return the options as a sidecar may show them: no values of variables, no folders."""
    shown = {name: value for name, value in options.items() if value is not None}
    if shown.get("environment"):
        shown["environment"] = sorted(shown["environment"])
    return {name: reasons.without_paths(value) for name, value in shown.items()}


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Run the program on one scan.

    Raises
    ------
    RuntimeError
        If it cannot start, fails, takes too long, or writes no usable output.
    """
    return runner.deface(catalogue.describe(options), scan)


METHOD = Defacer(
    version=VERSION,
    title=title,
    engine="official",
    options=OPTIONS,
    run=deface,
    check=check,
    missing=missing,
    program_version=version,
    inputs=inputs,
    public=public,
    sources=("refacebench/programs",),
    licence="that of the program",
)
