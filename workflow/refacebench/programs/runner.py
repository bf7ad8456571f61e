"""Run external programs on a scan.

The only place that starts a defacing or segmenting program.  Nothing here goes through a
shell.  A program sees copies under plain names (``input.nii.gz``) in a private
temporary folder, its working directory, so that neither its own scripts meet a
name from the data nor can it harm the data.  Only that folder is written to; it
is deleted afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import resource
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from refacebench import environment
from refacebench.contracts import Defaced, PreparedScan, ScanFailed, ScanInterrupted
from refacebench.head import values as numbers
from refacebench.image import nifti
from refacebench.image.nifti import Volume
from refacebench.programs import tree
from refacebench.programs.catalogue import (
    DERIVATIONS,
    DERIVED,
    Program,
    container_of,
    placeholders_in,
)
from refacebench.programs.presence import INSIDE, Call, command_of
from refacebench.programs.process import die_with_parent, log

#: Two grids are one where no corner of the field of view moves by more than this (mm).
SAME_GRID_MM = 0.1
#: An output that claims more voxels than this, and than 27 times the scan's, is not read: it
#: might fill the memory.
MOST_VOXELS = 512**3


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


def deface(program: Program, scan: PreparedScan) -> Defaced:
    """Run a program on a scan.

    Raises
    ------
    RuntimeError
        If it cannot start, fails, takes too long, or writes no output or one on
        another grid; the message says where its own words are.
    """
    with finished(program, scan.path, scan.brain_path) as written:
        overwritten = np.zeros(scan.volume.shape, bool)
        if program.mask:
            overwritten = on_grid(program, written(program.mask), scan.volume, order=0) > 0
        made = on_grid(program, written(program.output), scan.volume)
    if program.output_is not in ("keep", "remove"):
        # The program read the file; the scan was read by the rule for all scans.
        used = numbers.Usable(scan.volume, scan.offset, scan.missing)
        made = numbers.like(scan.volume.with_data(made), used).data
    return _result(program, made, overwritten, scan.volume.data)


@contextlib.contextmanager
def finished(
    program: Program, path: Path, brain_path: Path | None = None, *, folders: bool = True
) -> Iterator[Callable[[str], Path]]:
    """Run a program to its end; in the block, its private folder is still there.

    Parameters
    ----------
    path : Path
        The image's file.
    brain_path : Path, optional
        A brain mask's, for programs that may be given one.
    folders : bool
        Whether the folders of its output are made for it: some programs refuse to write into
        one that is there.

    Yields
    ------
    callable
        From a name or pattern to the one file of it that the program wrote.

    Raises
    ------
    RuntimeError
        As :func:`deface`.
    """
    with tempfile.TemporaryDirectory(prefix="deface-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        values = _lay_out(program, Path(path), brain_path, folder)
        for name in (program.output, program.mask) if folders else ():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        call = command_of(program, folder, program.command, **values)
        before = set(folder.rglob("*"))
        _run(program, call, folder)
        yield lambda wanted: _written(program, folder, wanted, before)


def _lay_out(program: Program, path: Path, brain_path: Path | None, folder: Path) -> dict[str, str]:
    """Copy what the program reads into its folder; return the placeholders' values."""
    inside = Path(INSIDE) if program.container else folder
    values = {"input": str(inside / _copy_input(program, path, folder))}
    used = {name for text in program.command for name in placeholders_in(text)}
    used |= {name for text in program.environment.values() for name in placeholders_in(text)}
    if "brain_mask" in used and brain_path is not None:
        place = "brain_mask" + _suffix(brain_path)
        shutil.copyfile(brain_path, folder / place)
        values["brain_mask"] = str(inside / place)
    for name, source in program.files.items():
        if source.startswith(DERIVED):
            volume = DERIVATIONS[source.removeprefix(DERIVED)]()
            nifti.write(volume, folder / f"{name}.nii.gz")
            values[name] = str(inside / f"{name}.nii.gz")
    values["output"] = str(inside / program.output)
    values["mask"] = str(inside / (program.mask or "mask.nii.gz"))
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


def _time_left(program: Program) -> tuple[float | None, str]:
    """Return the seconds that a program may take, and the key that allows more.

    Its own limit, or the batch's alarm.
    """
    left = [(program.timeout, "timeout of its entry")] if program.timeout else []
    alarm = signal.getitimer(signal.ITIMER_REAL)[0]
    if alarm > 0:
        # Before the alarm, which would end this process and leave the program running.
        left.append((max(0.1, alarm - min(5.0, 0.1 * alarm)), "scan_timeout_s in the config"))
    return min(left) if left else (None, "")


#: Bytes at the end of what a program said that are kept.
_WORDS_KEPT = 20_000


def _tail(log: Path) -> str:
    """Return the end of what a program said; it may have said more than memory holds."""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - _WORDS_KEPT))
        return source.read().decode(errors="replace")


def start_of(path: Path, most: int = 10_000_000) -> str:
    """Return a text file that a program wrote, or the first of its bytes: no table is longer."""
    with path.open("rb") as source:
        return source.read(most).decode(errors="replace")


def _held(program: Program) -> None:
    """Hold this process, and what it starts, to its parent's life and to a size of files."""
    die_with_parent()
    if program.largest_file_mb:
        most = int(program.largest_file_mb * 2**20)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))


def _too_large(program: Program, folder: Path) -> bool:
    """Tell whether a program wrote a file up to its limit: where it ended with another word."""
    most = int(program.largest_file_mb * 2**20)
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return most > 0 and any(size >= most for size in sizes)


def _run(program: Program, call: Call, folder: Path) -> None:
    """Run a command to its end; it and all its children end with this process."""
    limit, key = _time_left(program)
    log, mark = folder / ".log", secrets.token_hex(8)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            call.arguments,
            cwd=folder,
            # A mark of its own: one that is there already finds other calls of the scan, too.
            env={**call.environment, tree.MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _held(program),
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise ScanInterrupted(
                f"{program.name}: no result after {limit:.0f} s; allow more with {key}"
            ) from None
        finally:
            _end(process, program, call, mark)
    text = environment.scrub(_tail(log))
    log.unlink()
    print(text, flush=True)
    if status == -signal.SIGXFSZ or (status and _too_large(program, folder)):
        raise ProgramFailed(
            f"the program wrote a file of more than {program.largest_file_mb:g} MB "
            "(largest_file_mb of its entry)",
            text,
        )
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


def _end(process, program: Program, call: Call, mark: str) -> None:
    """End what is left of a program: all that it started, wherever it hides, and its container."""
    if call.container and process.poll() is None:
        engine = container_of(program)[0]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([engine, "kill", call.container], capture_output=True, timeout=30)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    tree.end(process.pid if process.poll() is None else None, mark)
    process.wait()


def _written(program: Program, folder: Path, name: str, before: set[Path]) -> Path:
    """Return the one file of a name or pattern that was not there before the program ran."""
    # A link out of the folder is no output: outside a container it leads to other files.
    home = folder.resolve()
    found = sorted(
        path
        for path in folder.glob(name)
        if path not in before and path.is_file() and path.resolve().is_relative_to(home)
    )
    if len(found) == 1:
        return found[0]
    if found:
        raise RuntimeError(f"the program wrote {len(found)} files {name}, expected one")
    others = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p not in before)
    others = [other for other in others if not other.startswith(".")]
    # A program may name files after what it finds in a header: only the log says how.
    told = f"{program.name} wrote: {', '.join(others[:20]) or 'nothing'}"
    print(told, flush=True)
    where = f"what it wrote is listed {_place()}"
    raise ProgramFailed(f"the program ended without writing {name}; {where}", told)


def on_grid(program: Program, path: Path, like: Volume, order: int = 1) -> np.ndarray:
    """Read an output on the scan's grid; an array whose axes are in another order is put right.

    Raises
    ------
    RuntimeError
        If it cannot be read, or lies on another grid and that is not allowed.
    """
    try:
        claimed = nifti.claimed_voxels(path)
        if claimed > max(MOST_VOXELS, 27 * like.data.size):
            raise ProgramFailed(
                f"the program's output is said to have {claimed / 1e6:.0f} million voxels, the "
                f"scan has {like.data.size / 1e6:.1f} million: it was not read"
            )
        volume = nifti.read(path)
    except (MemoryError, ProgramFailed):
        raise
    except Exception as error:  # nibabel raises half a dozen kinds here
        print(f"{path}: {error}", flush=True)
        why = f"the program's output cannot be read; why is {_place()}"
        raise ProgramFailed(why, str(error)) from None
    if program.trust_voxels and volume.shape == like.shape:
        return volume.data
    turned = nifti.reorient(volume, nifti.axis_codes(like.affine))
    same = turned.shape == like.shape
    if same and nifti.apart_mm(turned.affine, like.affine, like.shape) <= SAME_GRID_MM:
        return turned.data
    if program.allow_regrid:
        return nifti.resample(volume, like, order=order).data
    raise RuntimeError(
        f"{program.name} wrote {'x'.join(map(str, volume.shape))} voxels, which is not the "
        f"scan's grid ({'x'.join(map(str, like.shape))}); allow_regrid: true resamples it"
    )


def _result(program: Program, values, overwritten, data) -> Defaced:
    if program.output_is == "keep":
        weight = values / (values.max() if values.max() > 1 else 1)
        overwritten = overwritten | (weight < 1)
        values = data * np.clip(weight, 0, 1)
    elif program.output_is == "remove":
        overwritten = overwritten | (values > 0)
        values = np.where(values > 0, 0, data)
    return Defaced(values, overwritten | (values != data))
