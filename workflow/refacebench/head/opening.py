"""Open a scan's file by its header first: what that claims is checked before it is unpacked.

A few megabytes of a packed file can hold many gigabytes of nothing, and a header may put
the voxels anywhere.  Reads one file and writes nothing.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import nibabel as nib
import numpy as np

from refacebench import files, reasons

#: Bytes of a header and of the shortest space before the voxels, by the number it begins with.
_SIZES = {348: 352, 540: 544}
#: The mark of one file, and of a pair, likewise.
_MAGIC = {348: (b"n+1\0", b"ni1\0"), 540: (b"n+2\0\r\n\032\n", b"ni2\0\r\n\032\n")}
#: Bytes behind the voxels that are read through to reach the archive's own check sum.
_TAIL = 1 << 20


class Unfit(Exception):
    """A scan cannot be used; the message is the reason."""


class Opened(NamedTuple):
    """An image in memory, and the voxel edges as its header's ``pixdim`` has them, mm."""

    image: nib.Nifti1Image
    edges: np.ndarray


def open_scan(path: Path, limits: Mapping[str, Any]) -> Opened:
    """Read a file in full, so that a damaged archive is noticed by its own check sum.

    Parameters
    ----------
    path : Path
        A ``.nii`` or ``.nii.gz`` file.
    limits : mapping
        ``file_mb``: the most that a file may unpack to.

    Raises
    ------
    Unfit
        If it is no NIfTI image, or claims what it has not or what cannot be.
    """
    _check_file(path)
    with path.open("rb") as handle:
        packed = _packed(handle.read(100), path)
        handle.seek(0)
        try:
            if packed:
                with gzip.open(handle, "rb") as unpacking:
                    return _read(unpacking, packed, limits)
            return _read(handle, packed, limits)
        except (EOFError, zlib.error) as error:
            raise Unfit(f"truncated or damaged gzip file ({error}); copy it again") from None
        except gzip.BadGzipFile as error:
            trailing = "Not a gzipped file" in str(error)
            raise Unfit(
                "the gzip data end before the file does, and something else follows; unpack it "
                "and compress it again"
                if trailing
                else f"truncated or damaged gzip file ({error}); copy it again"
            ) from None


def _check_file(path: Path) -> None:
    if os.path.islink(path) and not path.exists():
        raise Unfit("a link to a file that is not there: `datalad get` brings one of DataLad's")
    if not path.is_file():
        raise Unfit("no such file" if not path.exists() else "not a file")
    if path.stat().st_size == 0:
        raise Unfit("the file is empty")


def _packed(start: bytes, path: Path) -> bool:
    if bring := files.pointer(start):
        # DataLad is told which file, Git LFS brings all.
        bring = bring.replace("datalad get`", f"datalad get {reasons.in_dataset(path)}`")
        raise Unfit(f"a pointer to the image, not the image itself: {bring} brings it")
    packed = start[:2] == b"\x1f\x8b"
    if packed != (path.suffix == ".gz"):
        raise Unfit(
            "its name ends in .gz but it is not a gzip file"
            if not packed
            else "it is a gzip file whose name does not end in .gz"
        )
    return packed


def _read(source: BinaryIO | gzip.GzipFile, packed: bool, limits: Mapping[str, Any]) -> Opened:
    """Read header and voxels, no more than the header claims, and the rest in small pieces."""
    start = source.read(max(_SIZES))
    header = _header(start)
    claimed = _claimed_bytes(header)
    most = float(limits["file_mb"]) * 2**20
    if claimed > most:
        raise Unfit(
            f"its header claims {claimed / 2**20:.0f} MB; at most {limits['file_mb']:g} MB are "
            "plausible (checks: file_mb)"
        )
    content = start + source.read(max(0, claimed - len(start)))
    if len(content) < claimed:
        where = "once unpacked " if packed else ""
        raise Unfit(
            f"its voxels cannot be read, truncated? It has {len(content)} bytes {where}and its "
            f"header claims {claimed}"
        )
    if packed:
        _read_to_the_end(source, claimed, most)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    try:
        return Opened(kind.from_bytes(content), np.array(header["pixdim"][1:4], float))
    except MemoryError:
        raise  # says nothing of the file
    except Exception as error:  # nibabel raises half a dozen kinds here
        raise Unfit(f"not a NIfTI image ({reasons.one_line(error, 120)})") from None


def _read_to_the_end(source: BinaryIO | gzip.GzipFile, claimed: int, most: float) -> None:
    """Read what follows the voxels: an archive's check sum stands at its end."""
    behind, block = 0, source.read(_TAIL)
    while block:
        behind += len(block)
        if claimed + behind > most:
            raise Unfit(
                f"its header claims {claimed / 2**20:.0f} MB, but it unpacks to more than "
                f"{most / 2**20:.0f} MB (checks: file_mb)"
            )
        block = source.read(_TAIL)


def _header(start: bytes) -> nib.Nifti1Header | nib.Nifti2Header:
    """Return the header as it stands in the file, unchecked but for what it is."""
    found = [
        (size, order)
        for order in ("little", "big")
        for size in _SIZES
        if int.from_bytes(start[:4], order) == size
    ]
    if not found:
        raise Unfit("not a NIfTI image (no NIfTI header)")
    size, order = found[0]
    if len(start) < size:
        raise Unfit("not a NIfTI image (the file ends within the header: truncated?)")
    kind = nib.Nifti1Header if size == 348 else nib.Nifti2Header
    header = kind(start[:size], endianness="<" if order == "little" else ">", check=False)
    # As bytes: NumPy strips zeros from the end.
    at = 344 if size == 348 else 4
    single, pair = _MAGIC[size]
    magic = start[at : at + len(single)]
    if magic == pair:
        raise Unfit("not a NIfTI image in one file: a header of a pair (.hdr and .img)")
    if magic != single:
        raise Unfit("not a NIfTI image (the header lacks the mark of the format)")
    return header


def _claimed_bytes(header: nib.Nifti1Header) -> int:
    """Return how long a header says that its file is."""
    axes, dims = int(header["dim"][0]), [int(n) for n in header["dim"][1:]]
    if not 1 <= axes <= 7 or min(dims[:axes]) < 1:
        shown = " x ".join(str(n) for n in dims[: max(1, min(axes, 7))])
        raise Unfit(f"the header's dimensions are impossible ({axes} axes: {shown})")
    offset = float(header["vox_offset"])
    least = _SIZES[int(header["sizeof_hdr"])]
    if not np.isfinite(offset) or offset != int(offset) or offset < least:
        raise Unfit(
            f"the header says that the voxels begin at byte {offset:g}, within the header itself "
            f"(vox_offset; {least} is the least)"
        )
    try:
        width = header.get_data_dtype().itemsize
    except Exception:  # nibabel has an error of its own
        raise Unfit("not a NIfTI image (its data type is not known)") from None
    return int(offset) + int(np.prod(np.array(dims[:axes], dtype=object))) * width
