"""Look for external programs, ask their versions, and make their commands ready to run.

Nothing here goes through a shell.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refacebench import environment
from refacebench.programs.catalogue import (
    DERIVED,
    IN_CONTAINER,
    Program,
    container_of,
    placeholders_in,
    specifier,
    unset,
)

#: Where the private folder appears inside a container.
INSIDE = "/data"
#: Seconds that a program gets to say its version.
VERSION_TIMEOUT = 120.0


def search_path(program: Program) -> str:
    """Return the PATH that a program is looked for and run with.

    The folder of this Python comes last: command lines of pip's packages lie there,
    although a workflow that is started by its full name does not have it on its PATH.
    """
    folders = [os.path.expandvars(os.path.expanduser(folder)) for folder in program.path]
    own = str(Path(sys.executable).parent)
    return os.pathsep.join([*folders, os.environ.get("PATH", os.defpath), own])


def which(program: Program, name: str) -> str | None:
    """Return the full name of an executable, or None."""
    found = shutil.which(os.path.expandvars(name), path=search_path(program))
    return os.path.abspath(found) if found else None


def missing(program: Program) -> str:
    """Return what is missing to run a program on this machine and where to get it.

    Returns
    -------
    str
        One sentence without a full stop; empty if nothing is missing.
    """
    lacks = _lacks(program)
    if not lacks and program.versions:
        found = version(program)
        if not _suits(found, program.versions):
            lacks = [f"version {found or 'unknown'} is there, {program.versions} is needed"]
    if not lacks:
        return ""
    where = f"; get it at {program.page}" if program.page else ""
    terms = f" (licence: {program.terms})" if program.page and program.terms else ""
    return f"{program.name} cannot run here: {', '.join(lacks)}{where}{terms}"


def _suits(found: str, versions: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return specifier(versions).contains(Version(found.split(" ")[0]), prereleases=True)
    except InvalidVersion:
        return False


def _lacks(program: Program) -> list[str]:
    lacks = [f"the variable {name} (of environment:) is not set" for name in unset(program)]
    if program.container:
        lacks += _lacks_container(program)
    else:
        wanted = dict.fromkeys((program.command[0], *program.programs))
        lacks += [f"no program {name} on the PATH" for name in wanted if not which(program, name)]
        lacks += [
            f"the variable {name} is not set"
            for name in program.variables
            if not (os.environ.get(name) or program.environment.get(name))
        ]
    for name, value in program.files.items():
        if not value:
            lacks.append(f"no file is given under files: {name}")
        elif not value.startswith((DERIVED, IN_CONTAINER)) and not expanded(value).is_file():
            lacks.append(f"no file {value}")
    needs_license = any("license" in placeholders_in(text) for text in program.command)
    if program.license and not expanded(program.license).is_file():
        lacks.append(f"no license file {program.license}")
    elif needs_license and not program.license:
        lacks.append("no license file is given under license:")
    return lacks


def _lacks_container(program: Program) -> list[str]:
    engine, image = container_of(program)
    if not shutil.which(engine):
        return [f"no program {engine} on the PATH"]
    if engine in ("docker", "podman"):
        if not _image_id(engine, image):
            return [f"{engine} has no image {image}"]
    elif "://" not in image and not expanded(image).exists():
        return [f"no container image {image}"]
    return []


def expanded(path: str) -> Path:
    """Return a path with the variables and the home folder in it replaced."""
    return Path(os.path.expandvars(os.path.expanduser(path)))


def own_files(program: Program) -> list[Path]:
    """Return the files on this machine, the scan's aside, that a result depends on."""
    found = [v for v in program.files.values() if not v.startswith((DERIVED, IN_CONTAINER))]
    return [*program.described_in, *(expanded(value) for value in found if value)]


@functools.lru_cache(maxsize=64)
def _image_id(engine: str, image: str) -> str:
    """Return a short identifier of an image's content where that is cheap; else nothing."""
    if engine in ("docker", "podman"):
        command = [engine, "image", "inspect", "--format", "{{.Id}}", image]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=VERSION_TIMEOUT, check=False
            )
            if done.returncode == 0:
                return done.stdout.strip().removeprefix("sha256:")[:12]
        return ""
    path = expanded(image)
    if not path.is_file():
        return ""
    # Its head holds the image's own identifiers; the whole may have ten gigabytes.
    with path.open("rb") as handle:
        head = handle.read(1 << 20)
    return hashlib.sha256(head + str(path.stat().st_size).encode()).hexdigest()[:12]


def version(program: Program) -> str:
    """Return the version of the program that would run, with the container image's id.

    Empty where the program does not tell and the options do not say.
    """
    found = _told(program) or program.version
    if program.container:
        identity = _image_id(*container_of(program))
        if identity:
            found = f"{found} (image {identity})".strip()
    return found


def _told(program: Program) -> str:
    texts: list[Callable[[], str]] = []
    if program.version_command:
        texts.append(lambda: _says(program, program.version_command))
    if program.version_file and not program.container:
        texts.append(lambda: expanded(program.version_file).read_text(errors="replace")[:4096])
    if program.version_package and not program.container:
        texts.append(lambda: _package_version(program))
    for text in texts:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            hit = re.search(program.version_pattern, text())
            if hit:
                return environment.scrub(hit.group(hit.lastindex or 0).strip())
    return ""


def _says(program: Program, arguments: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="deface-", ignore_cleanup_errors=True) as folder:
        call = command_of(program, Path(folder), arguments)
        done = subprocess.run(
            call.arguments,
            cwd=folder,
            env=call.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT,
            check=False,
        )
    return done.stdout[:100_000]


def _package_version(program: Program) -> str:
    """Return the version of a Python package as the program's own interpreter sees it."""
    script = which(program, program.command[0])
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    interpreter = _interpreter(script) if script else ""
    done = subprocess.run(
        [interpreter or sys.executable, "-c", code, program.version_package],
        env=environment.of_programs(),
        capture_output=True,
        text=True,
        timeout=VERSION_TIMEOUT,
        check=False,
    )
    return done.stdout


def _interpreter(script: str) -> str:
    """Return the Python that a console script names in its first lines; empty if none."""
    with open(script, "rb") as handle:
        head = handle.read(1024)
    hit = re.search(rb"^#!\s*(\S*python[\d.]*)\s*$", head, re.M) or re.search(
        rb"'''exec'\s+\"?([^\"\n]*?python[\d.]*)\"?\s", head
    )
    name = os.fsdecode(hit.group(1)) if hit else ""
    return name if name and os.access(name, os.X_OK) else ""


@dataclass(frozen=True)
class Call:
    """A command ready to run."""

    arguments: list[str]
    environment: dict[str, str]
    container: str = ""


def command_of(program: Program, folder: Path, arguments: Sequence[str], **values: str) -> Call:
    """Put values into a command, and the command into its container.

    Parameters
    ----------
    folder : Path
        The private folder.
    values : str
        Placeholders with names in the folder (``input.nii.gz``) or plain values.
    """
    inside = Path(INSIDE) if program.container else folder
    known = {**program.values, "threads": str(program.threads), "folder": str(inside), **values}
    binds = {}
    for name, source in (*program.files.items(), ("license", program.license)):
        if source.startswith(IN_CONTAINER):
            known[name] = source.removeprefix(IN_CONTAINER)
        elif source and not source.startswith(DERIVED):
            place = f"{name}{''.join(Path(source).suffixes)}"
            binds[str(expanded(source).resolve())] = place
            known[name] = str(inside / place)
    missing_license = {"license": ""} if "license" not in known else {}
    command = [part.format_map(known | missing_license) for part in arguments]
    if unset(program):
        raise RuntimeError(f"the variable {unset(program)[0]} (of environment:) is not set")
    own = {
        key: text.format_map(known)
        for key, text in program.environment.items()
        if all(name in known for name in placeholders_in(text))
    }
    count = str(program.threads)
    limits = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "MKL_NUM_THREADS")
    own = {**dict.fromkeys(limits, count), "TMPDIR": str(inside), **own}
    if program.container:
        return _in_container(program, folder, command, own, binds)
    for source, place in binds.items():
        with contextlib.suppress(FileExistsError):
            (folder / place).symlink_to(source)
    full = which(program, command[0])
    if full is None:
        raise RuntimeError(missing(program) or f"no program {command[0]} on the PATH")
    variables = {**environment.of_programs(), "PATH": search_path(program), **own}
    return Call([full, *command[1:]], variables)


def _in_container(program, folder: Path, command, own, binds) -> Call:
    """Wrap a command: the private folder is the only one that the container can write to."""
    engine, image = container_of(program)
    mounts = [(str(folder), INSIDE, "rw")]
    mounts += [(source, f"{INSIDE}/{place}", "ro") for source, place in binds.items()]
    for source, _, _ in mounts:
        if re.search(r"[:,\"\n]", source):
            raise RuntimeError(f"{engine} cannot mount {source!r}: a colon, comma or quote in it")
    variables = environment.of_programs()
    if engine in ("docker", "podman"):
        label = f"refacebench-{uuid.uuid4().hex[:12]}"
        start = [engine, "run", "--rm", "--name", label, "--network", "none"]
        start += ["--user", f"{os.getuid()}:{os.getgid()}", "--workdir", INSIDE]
        for source, target, mode in mounts:
            start += ["--volume", f"{source}:{target}:{mode}"]
        for key, value in own.items():
            # Anybody on this machine may read the arguments of a running program.
            hidden = environment.is_hidden(value)
            start += ["--env", key if hidden else f"{key}={value}"]
            variables |= {key: value} if hidden else {}
        return Call([*start, image, *command], variables, label)
    (folder / ".container").mkdir(exist_ok=True)
    start = [engine, "exec", "--cleanenv", "--contain", "--workdir", str(folder / ".container")]
    for source, target, mode in mounts:
        start += ["--bind", f"{source}:{target}:{mode}"]
    variables |= {f"{engine.upper()}ENV_{key}": value for key, value in own.items()}
    return Call([*start, "--pwd", INSIDE, image, *command], variables)
