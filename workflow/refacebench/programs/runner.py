"""Look for external programs, ask their versions, run them on a scan.

The only place that starts a defacing program.  Nothing here goes through a
shell.  A program sees copies under plain names (``input.nii.gz``) in a private
temporary folder, its working directory, so that neither its own scripts meet a
name from the data nor can it harm the data.  Only that folder is written to; it
is deleted afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refacebench import environment
from refacebench.contracts import Defaced, PreparedScan, ScanFailed, ScanInterrupted
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.programs.catalogue import (
    DERIVATIONS,
    DERIVED,
    IN_CONTAINER,
    Program,
    container_of,
    placeholders_in,
    specifier,
    unset,
)
from refacebench.programs.process import die_with_parent, log

#: Two grids are one where no corner of the field of view moves by more than this (mm).
SAME_GRID_MM = 0.1
#: Where the private folder appears inside a container.
INSIDE = "/data"
#: Seconds that a program gets to say its version.
VERSION_TIMEOUT = 120.0


class ProgramFailed(ScanFailed):
    """A program gave no usable output.

    Its own words may name the person, a folder or a token: they are printed, which the
    log of the job keeps, and are no part of the message.

    Attributes
    ----------
    words : str
        The end of what the program said.
    """

    def __init__(self, message: str, words: str = ""):
        super().__init__(message)
        self.words = words


class ProgramInterrupted(ProgramFailed, ScanInterrupted):
    """Something outside ended a program: another try may succeed."""


# what is there ------------------------------------------------------------------------------


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
        elif not value.startswith((DERIVED, IN_CONTAINER)) and not _expanded(value).is_file():
            lacks.append(f"no file {value}")
    needs_license = any("license" in placeholders_in(text) for text in program.command)
    if program.license and not _expanded(program.license).is_file():
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
    elif "://" not in image and not _expanded(image).exists():
        return [f"no container image {image}"]
    return []


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(path)))


def own_files(program: Program) -> list[Path]:
    """Return the files on this machine, the scan's aside, that a result depends on."""
    found = [v for v in program.files.values() if not v.startswith((DERIVED, IN_CONTAINER))]
    return [*program.described_in, *(_expanded(value) for value in found if value)]


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
    path = _expanded(image)
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
        texts.append(lambda: _expanded(program.version_file).read_text(errors="replace")[:4096])
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
        call = _call(program, Path(folder), arguments)
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


# running ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
    """A command ready to run."""

    arguments: list[str]
    environment: dict[str, str]
    container: str = ""


def _call(program: Program, folder: Path, arguments: Sequence[str], **values: str) -> _Call:
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
            binds[str(_expanded(source).resolve())] = place
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
    return _Call([full, *command[1:]], variables)


def _in_container(program, folder: Path, command, own, binds) -> _Call:
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
        return _Call([*start, image, *command], variables, label)
    (folder / ".container").mkdir(exist_ok=True)
    start = [engine, "exec", "--cleanenv", "--contain", "--workdir", str(folder / ".container")]
    for source, target, mode in mounts:
        start += ["--bind", f"{source}:{target}:{mode}"]
    variables |= {f"{engine.upper()}ENV_{key}": value for key, value in own.items()}
    return _Call([*start, "--pwd", INSIDE, image, *command], variables)


def deface(program: Program, scan: PreparedScan) -> Defaced:
    """Run a program on a scan.

    Raises
    ------
    RuntimeError
        If it cannot start, fails, takes too long, or writes no output or one on
        another grid; the message says where its own words are.
    """
    with tempfile.TemporaryDirectory(prefix="deface-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        values = _lay_out(program, scan, folder)
        call = _call(program, folder, program.command, **values)
        before = set(folder.rglob("*"))
        _run(program, call, folder)
        output = _written(program, folder, program.output, before)
        overwritten = np.zeros(scan.volume.shape, bool)
        if program.mask:
            found = _written(program, folder, program.mask, before)
            overwritten = _on_grid(program, found, scan.volume, order=0) > 0
        defaced = _on_grid(program, output, scan.volume)
    return _result(program, defaced, overwritten, scan.volume.data)


def _lay_out(program: Program, scan: PreparedScan, folder: Path) -> dict[str, str]:
    """Copy what the program reads into its folder; return the placeholders' values."""
    inside = Path(INSIDE) if program.container else folder
    values = {"input": str(inside / _copy_input(program, scan.path, folder))}
    used = {name for text in program.command for name in placeholders_in(text)}
    used |= {name for text in program.environment.values() for name in placeholders_in(text)}
    if "brain_mask" in used:
        place = "brain_mask" + _suffix(scan.brain_path)
        shutil.copyfile(scan.brain_path, folder / place)
        values["brain_mask"] = str(inside / place)
    for name, source in program.files.items():
        if source.startswith(DERIVED):
            volume = DERIVATIONS[source.removeprefix(DERIVED)]()
            nifti.write(volume, folder / f"{name}.nii.gz")
            values[name] = str(inside / f"{name}.nii.gz")
    values["output"] = str(inside / program.output)
    values["mask"] = str(inside / (program.mask or "mask.nii.gz"))
    for name in (program.output, program.mask):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return values


def _suffix(path: Path) -> str:
    return ".nii.gz" if str(path).endswith(".gz") else ".nii"


def _copy_input(program: Program, path: Path, folder: Path) -> str:
    """Copy the scan under a plain name, in the format that the program reads."""
    wanted = program.input_format
    if wanted == "pair":
        _copy_as_pair(path, folder)
        return "input"
    suffix = _suffix(path) if wanted == "same" else f".{wanted}"
    target = folder / f"input{suffix}"
    if suffix == _suffix(path):
        shutil.copyfile(path, target)
    else:
        reading = gzip.open if _suffix(path) == ".nii.gz" else open
        writing = gzip.open if suffix == ".nii.gz" else open
        with reading(path, "rb") as source, writing(target, "wb") as sink:
            shutil.copyfileobj(source, sink)
    return target.name


def _copy_as_pair(path: Path, folder: Path) -> None:
    import nibabel as nib

    image = nib.load(path)
    plain = nifti.scaling(image) == (1, 0)
    data = np.asanyarray(image.dataobj) if plain else nifti.read(path).data
    header = nifti.clean_header(image.header)
    header.set_data_dtype(data.dtype)
    pair = nib.Nifti1Pair(data.reshape(data.shape[:3]), image.affine, header)
    pair.to_filename(str(folder / "input.img"))


def _time_left(program: Program) -> float | None:
    """Return the seconds that a program may take: its own limit and the batch's alarm."""
    left = [program.timeout] if program.timeout else []
    alarm = signal.getitimer(signal.ITIMER_REAL)[0]
    if alarm > 0:
        # Before the alarm, which would end this process and leave the program running.
        left.append(max(0.1, alarm - min(5.0, 0.1 * alarm)))
    return min(left) if left else None


def _run(program: Program, call: _Call, folder: Path) -> None:
    """Run a command to its end; it and all its children end with this process."""
    limit = _time_left(program)
    log = folder / ".log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            call.arguments,
            cwd=folder,
            env=call.environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise ScanInterrupted(f"{program.name}: no result after {limit:.0f} s") from None
        finally:
            _end(process, program, call)
    text = log.read_text(errors="replace")
    log.unlink()
    text = environment.scrub(text)[-20_000:]
    print(text, flush=True)
    if status:
        how = f"signal {-status}" if status < 0 else f"exit {status}"
        kind = ProgramInterrupted if _was_interrupted(status, text) else ProgramFailed
        raise kind(f"the program failed ({how}); its own words are {_place()}", text)


#: Words of the system, in what a program says, after which another try may succeed.
_OUTSIDE = tuple(
    os.strerror(number)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.ESTALE, errno.EIO, errno.EROFS)
)


def _was_interrupted(status: int, text: str) -> bool:
    """Tell whether something outside ended a program: a signal, or the system's refusal.

    A shell or a container says that its child was ended by signal n with 128 + n.

    >>> _was_interrupted(-9, ""), _was_interrupted(137, "Killed"), _was_interrupted(1, "no brain")
    (True, True, False)
    """
    signalled = status < 0 or 128 < status < 128 + signal.NSIG
    return signalled or any(words in text for words in _OUTSIDE)


def _place() -> str:
    """Return where the reader of a table finds what a program said."""
    return f"in {log()}" if log() else "in the output of this process"


def _end(process, program: Program, call: _Call) -> None:
    """End what is left of a program: its whole session, and its container."""
    if call.container and process.poll() is None:
        engine = container_of(program)[0]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([engine, "kill", call.container], capture_output=True, timeout=30)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _written(program: Program, folder: Path, name: str, before: set[Path]) -> Path:
    """Return the one file of a name or pattern that was not there before the program ran."""
    found = sorted(path for path in folder.glob(name) if path not in before and path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        raise RuntimeError(f"the program wrote {len(found)} files {name}, one is expected")
    others = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p not in before)
    others = [other for other in others if not other.startswith(".")]
    # A program may name files after what it finds in a header: only the log says how.
    told = f"{program.name} wrote: {', '.join(others[:20]) or 'nothing'}"
    print(told, flush=True)
    where = f"what it wrote is listed {_place()}"
    raise ProgramFailed(f"the program ended without an output {name}; {where}", told)


def _on_grid(program: Program, path: Path, like: Volume, order: int = 1) -> np.ndarray:
    """Read an output on the scan's grid; an array whose axes are in another order is put right.

    Raises
    ------
    RuntimeError
        If it cannot be read, or lies on another grid and that is not allowed.
    """
    try:
        volume = nifti.read(path)
    except Exception as error:  # nibabel raises half a dozen kinds here
        print(f"{path}: {error}", flush=True)
        why = f"the program's output cannot be read; why is {_place()}"
        raise ProgramFailed(why, str(error)) from None
    if program.trust_voxels and volume.shape == like.shape:
        return volume.data
    turned = nifti.reorient(volume, nifti.axis_codes(like.affine))
    if turned.shape == like.shape and _apart_mm(turned, like) <= SAME_GRID_MM:
        return turned.data
    if program.allow_regrid:
        return nifti.resample(volume, like, order=order).data
    raise RuntimeError(
        f"{program.name} wrote {'x'.join(map(str, volume.shape))} voxels on another grid than the "
        f"scan's {'x'.join(map(str, like.shape))}; allow_regrid: true resamples it"
    )


def _apart_mm(one: Volume, other: Volume) -> float:
    """Return how far the corners of two grids of one shape are apart at most."""
    ends = [(0, n - 1) for n in other.shape]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = (one.affine - other.affine) @ corners
    return float(np.linalg.norm(apart[:3], axis=0).max())


def _result(program: Program, values, overwritten, data) -> Defaced:
    if program.output_is == "keep":
        weight = values / (values.max() if values.max() > 1 else 1)
        overwritten = overwritten | (weight < 1)
        values = data * np.clip(weight, 0, 1)
    elif program.output_is == "remove":
        overwritten = overwritten | (values > 0)
        values = np.where(values > 0, 0, data)
    return Defaced(values, overwritten | (values != data))
