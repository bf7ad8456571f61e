"""Descriptions of external programs: their options, their catalogue, their templates.

A program is described by the options of :mod:`refacebench.defacers.command`;
ready-made descriptions are the files ``programs/<name>.yaml``, one a program.
:mod:`refacebench.programs.presence` looks for programs,
:mod:`refacebench.programs.runner` runs them; this module only
reads the description's file.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter

import numpy as np

from refacebench import environment, files
from refacebench.contracts import Option
from refacebench.head import region, template
from refacebench.head.shell import signed_shell
from refacebench.image.nifti import Volume

CATALOGUE = Path(__file__).parent
ENGINES = ("apptainer", "singularity", "docker", "podman")
#: Placeholders of a command, beside the names under ``files``.
PLACEHOLDERS = ("input", "output", "mask", "brain_mask", "threads", "license", "folder")
#: What a program may be given in place of the scan's own file format.
INPUT_FORMATS = ("same", "nii", "nii.gz", "pair")
#: What its output is: the image itself, a mask of what stays, or a mask of what goes.
OUTPUTS = ("image", "keep", "remove")
#: A file with this prefix lies inside the container.
IN_CONTAINER = "container:"
#: A file with this prefix is made at run time from the project's template head.
DERIVED = "derived:"


class ProgramError(ValueError):
    """A program's description is wrong; the message says what to change."""


@dataclass(frozen=True)
class Program:
    """An external program; the attributes are the options of the method ``command``.

    Attributes
    ----------
    name, described_in
        What messages call it, and the file of the catalogue; no options.
    title, page, terms, notes, tested : str
        What it is; where to get it; its licence; what differs between its versions;
        the version with which its description was run here (empty: with none).
    command : tuple of str
        Arguments with placeholders in braces; a doubled brace is a plain one.
    container : str
        ``engine:image``, engine one of :data:`ENGINES`; empty for none.
    path : tuple of str
        Folders that are searched before the PATH.
    environment : dict of str to str
        Variables, with placeholders; one whose placeholder has no value is left out.
        ``env:NAME`` is the value of the variable ``NAME`` where the run is started: the way
        to hand a token over.  No value is written to any file, see
        :mod:`refacebench.environment`.
    license : str
        A license file.
    files : dict of str to str
        Further files by placeholder: a path (variables such as ``$FREESURFER_HOME`` are
        replaced), ``container:/path`` inside the image, or ``derived:<name>``
        (:data:`DERIVATIONS`).
    values : dict of str to str
        Further placeholders that are plain text.
    programs, variables : tuple of str
        Other programs and environment variables that must be there.
    input_format : str
        One of :data:`INPUT_FORMATS`; ``pair`` is a NIfTI pair ``input.hdr``, ``input.img``.
    output, mask : str
        Names in the working directory, ``*`` allowed where the program chooses them.
        ``mask`` (optional): voxels that the program overwrote.
    output_is : str
        One of :data:`OUTPUTS`.
    trust_voxels : bool
        The output's header is not believed: its array has the input's order.
    allow_regrid : bool
        An output on another grid is resampled (linear) instead of refused.
    threads : int
    timeout : float
        Seconds; 0 for the batch's own limit.
    largest_file_mb : float
        A program that writes a larger file is ended; 0 for no limit.
    version : str
        The version, where the program cannot tell; otherwise what it tells first matches
        ``version_pattern`` in the output of ``version_command``, or in ``version_file``, or is
        that of the Python package ``version_package`` beside the program.
    versions : str
        Which versions will do, for example ``>=0.3``.
    """

    name: str = ""
    described_in: tuple[Path, ...] = ()
    title: str = ""
    page: str = ""
    terms: str = ""
    notes: str = ""
    tested: str = ""
    command: tuple[str, ...] = ()
    container: str = ""
    path: tuple[str, ...] = ()
    environment: dict = field(default_factory=dict)
    license: str = ""
    files: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    input_format: str = "same"
    output: str = "output.nii.gz"
    mask: str = ""
    output_is: str = "image"
    trust_voxels: bool = False
    allow_regrid: bool = False
    threads: int = 1
    timeout: float = 0.0
    largest_file_mb: float = 2000.0
    version: str = ""
    version_command: tuple[str, ...] = ()
    version_pattern: str = r"(\d+(?:\.\d+)+)"
    version_file: str = ""
    version_package: str = ""
    versions: str = ""


_MEANINGS = {
    "title": "What it is, for tables and the report.",
    "page": "Where to get it.",
    "terms": "Its licence.",
    "notes": "What differs between its versions.",
    "tested": "The version with which its description was run here.",
    "command": "Its command line; placeholders stand in braces, a doubled brace is a plain one.",
    "container": f"Container that it runs in, engine:image; engines: {', '.join(ENGINES)}.",
    "path": "Folders that are searched before the PATH.",
    "environment": "Environment variables; env:NAME takes the value of NAME where the run starts.",
    "license": "A license file.",
    "files": "Further files by placeholder: a path, container:/path, or derived:name.",
    "values": "Further placeholders that are plain text.",
    "programs": "Other programs that must be there.",
    "variables": "Environment variables that must be there.",
    "input_format": f"The format in which it gets the scan: {', '.join(INPUT_FORMATS)}.",
    "output": "Name of its output in the working directory; * where the program chooses it.",
    "mask": "Name of its mask of overwritten voxels, likewise; empty for none.",
    "output_is": f"What its output is: {', '.join(OUTPUTS)} (a mask of what stays, or goes).",
    "trust_voxels": "Whether its output's header is not believed: its array has the input's order.",
    "allow_regrid": "Whether an output on another grid is resampled instead of refused.",
    "threads": "Threads that it may use.",
    "timeout": "Seconds that it may take; 0 for the batch's own limit.",
    "largest_file_mb": "Megabytes of the largest file that it may write; 0 for no limit.",
    "version": "Its version, where it cannot tell.",
    "version_command": "Command line that tells its version.",
    "version_pattern": "Regular expression that finds the version in what it tells.",
    "version_file": "File that tells its version.",
    "version_package": "Python package beside the program that has its version.",
    "versions": "Which versions will do, for example >=0.3.",
}
#: All options; None stands for "not given", :func:`describe` says what a value may be.
OPTIONS = {name: Option(None, meaning, kind=object) for name, meaning in _MEANINGS.items()}
_LISTS = ("command", "path", "programs", "variables", "version_command")
_MAPPINGS = ("environment", "files", "values")
_FLAGS = ("trust_voxels", "allow_regrid")


# descriptions -------------------------------------------------------------------------------


def catalogue(folder: Path = CATALOGUE) -> list[str]:
    """Return the names of the ready-made descriptions."""
    return sorted(path.name.removesuffix(".yaml") for path in folder.glob("*.yaml"))


def describe(options: Mapping, folder: Path = CATALOGUE, besides: Collection[str] = ()) -> Program:
    """Return the program that options describe.

    Parameters
    ----------
    options : mapping
        :data:`OPTIONS`, None or missing where not given, and ``program``: a name of the
        catalogue or the path of a file like those in it, whose options these override.
    folder : Path
        The catalogue.
    besides : collection of str
        Further options, of which this function knows nothing.

    Raises
    ------
    ProgramError
        If there is no such program or an option is wrong.
    """
    name = options.get("program") or ""
    path = catalogue_file(str(name), folder) if name else None
    given = {k: v for k, v in read(path).items() if k not in besides} if path else {}
    if path and path.parent != folder:  # a file of the user's may hold a token too
        given = environment.hide(given)
    own = {k: v for k, v in options.items() if k in OPTIONS and v is not None}
    for key in _MAPPINGS:
        if isinstance(given.get(key), Mapping) and isinstance(own.get(key), Mapping):
            own[key] = {**given[key], **own[key]}
    given |= own
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise ProgramError(f"program {name}: unknown option {', '.join(map(repr, unknown))}")
    converted = {key: _converted(key, value) for key, value in given.items()}
    program = Program(**converted)
    label = path.stem if path and path.suffix in (".yaml", ".yml") else ""
    label = label or Path((program.command or ("",))[0]).name
    program = replace(program, name=label, described_in=(path,) if path else ())
    _check(program)
    return program


def catalogue_file(name: str, folder: Path = CATALOGUE) -> Path:
    """Return the file of a description: of the catalogue, or the user's.

    Raises
    ------
    ProgramError
        If there is none.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if "/" in name and not name.endswith((".yaml", ".yml")) or not path.is_file():
        known = ", ".join(catalogue(folder))
        raise ProgramError(
            f"program: there is no '{name}'; there are: {known}; or give the path of a .yaml file "
            "of your own"
        )
    return path


def read(path: Path) -> Mapping:
    """Return what a file of options holds.

    Raises
    ------
    ProgramError
        If it holds none.
    """
    try:
        found = files.read_yaml(path)
    except (OSError, ValueError) as error:
        raise ProgramError(f"program: {error}") from None
    if not isinstance(found, Mapping):
        raise ProgramError(f"program: {path} holds no options")
    return found


def _converted(key: str, value):
    """Return an option's value in the type that :class:`Program` has."""
    if key in _LISTS:
        if isinstance(value, str):
            try:
                value = shlex.split(value)
            except ValueError as error:
                raise ProgramError(f"{key}: {error} in {value!r}") from None
        if not isinstance(value, Sequence):
            raise ProgramError(f"{key}: must be a list of arguments or one line of text")
        return tuple(str(part) for part in value)
    if key in _MAPPINGS:
        if not isinstance(value, Mapping):
            shown = "" if key == "environment" else f", not {value!r}"
            raise ProgramError(f"{key}: must be names with their values{shown}")
        texts = {str(k): "" if v is None else str(v) for k, v in value.items()}
        return {k: _revealed(v) for k, v in texts.items()} if key == "environment" else texts
    if key in _FLAGS:
        if not isinstance(value, bool):
            raise ProgramError(f"{key}: {value!r} must be true or false")
        return value
    if key in ("threads", "timeout", "largest_file_mb"):
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ProgramError(f"{key}: {value!r} is not a positive number")
        return max(1, int(value)) if key == "threads" else float(value)
    if isinstance(value, Mapping | list):
        raise ProgramError(f"{key}: must be text, not {value!r}")
    return str(value).strip()


def _revealed(text: str) -> str:
    """Return what a config's text stands for; the text itself where its variable is not set."""
    found = environment.reveal(text)
    return text if found is None else found


def unset(program: Program) -> list[str]:
    """Return the variables that ``environment`` takes values from and that are not set."""
    return [name for name in map(environment.source, program.environment.values()) if name]


def _check(program: Program) -> None:
    """Check what can be checked without looking at the machine."""
    if not program.command or not program.command[0]:
        raise ProgramError("command: give the program's command line, or program: a known name")
    for key, value, words in (
        ("input_format", program.input_format, INPUT_FORMATS),
        ("output_is", program.output_is, OUTPUTS),
    ):
        if value not in words:
            raise ProgramError(f"{key}: {value!r} is none of {', '.join(words)}")
    for name in (*program.files, *program.values):
        if name in PLACEHOLDERS or name in program.files and name in program.values:
            raise ProgramError(f"files, values: '{name}' is already taken")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ProgramError(f"files, values: the name '{name}' may hold a-z, 0-9 and _")
    known = {*PLACEHOLDERS, *program.files, *program.values}
    for text in program.command:
        _names_in(text, known)
    for name, text in program.environment.items():
        try:
            _names_in(text, known)
        except ProgramError:  # without the value
            raise ProgramError(
                f"environment.{name}: a placeholder in it is unknown or has no end; double a "
                "brace that is meant as such"
            ) from None
    named = any("output" in placeholders_in(text) for text in program.command)
    if not named and program.output == Program.output:
        raise ProgramError(
            "command: it does not use {output}; add it, or name under output the file that it "
            "writes"
        )
    for name in (program.output, program.mask):
        if name and (name.startswith(("/", "-")) or ".." in Path(name).parts):
            raise ProgramError(f"output: {name!r} must be a name in the working directory")
    for name, value in program.files.items():
        if value.startswith(DERIVED) and value.removeprefix(DERIVED) not in DERIVATIONS:
            raise ProgramError(
                f"files.{name}: {value!r}; there are: "
                + ", ".join(f"{DERIVED}{known}" for known in DERIVATIONS)
            )
        if value.startswith(IN_CONTAINER) and not program.container:
            raise ProgramError(f"files.{name}: {value!r} needs a container")
    if program.container:
        container_of(program)
    try:
        re.compile(program.version_pattern)
    except re.error as error:
        raise ProgramError(f"version_pattern: {error}") from None
    if program.versions:
        specifier(program.versions)


def placeholders_in(text: str) -> list[str]:
    """Return the names in braces of a command's argument."""
    try:
        return [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ProgramError(f"{text!r}: {error}; double a literal brace") from None


def _names_in(text: str, known: set[str]) -> None:
    unknown = [name for name in placeholders_in(text) if name not in known]
    if unknown:
        raise ProgramError(
            f"{text!r}: unknown placeholder {{{unknown[0]}}} (known: "
            f"{', '.join('{' + name + '}' for name in sorted(known))})"
        )


def specifier(text: str):
    """Return a range of versions."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise ProgramError(f"versions: {text!r} is not a range such as '>=7.3, <8'") from None


def container_of(program: Program) -> tuple[str, str]:
    """Return engine and image of a container."""
    engine, _, image = program.container.partition(":")
    if engine in ENGINES and image:
        return engine, image
    if program.container.endswith((".sif", ".simg")):
        return ("apptainer" if shutil.which("apptainer") else "singularity"), program.container
    raise ProgramError(
        f"container: {program.container!r}; write engine:image, the engine one of "
        f"{', '.join(ENGINES)}"
    )


# files derived from the project's template head ---------------------------------------------


def _average_head() -> Volume:
    return region.average()[0]


def _shell() -> Volume:
    return signed_shell("reface", "brow", True)


def _weight() -> Volume:
    """Return 1 in the average head, 0 in its shell: a face must not steer its replacement."""
    head, solid = region.average()
    return head.with_data((solid & (_shell().data == 0)).astype(np.float32))


#: Images that a program's template options may name as ``derived:<name>``: pydeface's mean head
#: and face mask; the head continued below its field of view, and on the same grid a signed shell
#: (negative air, 0 keep, positive face with ears) and a registration weight.
DERIVATIONS: dict[str, Callable[[], Volume]] = {
    "mean_head": template.mean_head,
    "face_mask": template.face_mask,
    "average_head": _average_head,
    "shell": _shell,
    "weight": _weight,
}
