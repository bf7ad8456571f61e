"""Any external program as a segmenter, by config alone.

.. code-block:: yaml

    segmenters:
      synthseg: {program: synthseg, on_missing: skip}
      mine:
        command: [my_tool, "{input}", "{output}"]
        labels: {like: freesurfer}
        measures: {tiv: {file: volumes.csv, column: total intracranial}}

``program`` names a description in ``refacebench/programs/segmenters`` or a file like those there;
further options override it.  What every option means stands at
:class:`refacebench.programs.catalogue.Program`, what ``labels`` and ``measures`` hold at
:mod:`refacebench.programs.labelling`.  The engine is always ``official``.
"""

from __future__ import annotations

from pathlib import Path

from refacebench.contracts import Option, Segmentation, Segmenter
from refacebench.image.nifti import Volume
from refacebench.programs import labelling, presence

VERSION = "1"
OPTIONS = {
    "program": Option(None, "A name of the catalogue, or a .yaml file of your own.", kind=str),
    "on_missing": Option(
        "stop",
        "Whether a run stops at its start where the program or its files are missing, or goes on "
        "without this segmenter.",
        choices=("stop", "skip"),
    ),
    **labelling.OPTIONS,
}


def check(options: dict) -> None:
    """Check the options without looking for the program.

    Raises
    ------
    ValueError
        With one sentence that names the option.
    """
    labelling.describe(options)


def title(options: dict) -> str:
    """Return a line for tables and the report."""
    if not (options.get("command") or options.get("program")):
        return "any external program"
    program = labelling.describe(options).program
    return program.title or program.name


def missing(options: dict) -> str:
    """Return what is missing on this machine, and where to get it; empty if nothing is."""
    return presence.missing(labelling.describe(options).program)


def version(options: dict) -> str:
    """Return the version of the program that runs; empty where it does not tell."""
    return presence.version(labelling.describe(options).program)


def inputs(options: dict) -> list[Path]:
    """Return the files beside the image's that a result depends on."""
    return presence.own_files(labelling.describe(options).program)


def segment(volume: Volume, options: dict, source: Path) -> Segmentation:
    """Run the program on one image.

    Raises
    ------
    RuntimeError
        If it cannot start, fails, takes too long, or writes no usable output.
    """
    return labelling.segment(labelling.describe(options), volume, Path(source))


METHOD = Segmenter(
    version=VERSION,
    title=title,
    engine="official",
    options=OPTIONS,
    run=segment,
    check=check,
    missing=missing,
    program_version=version,
    inputs=inputs,
    sources=("refacebench/programs/segmenters",),
    licence="that of the program",
)
