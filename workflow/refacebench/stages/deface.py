"""Run a defacer on a scan, keep the brain, write the result and check it.

The only place where a defaced image is written.  Reads the scan and the prepare
stage's derivatives, writes the two files that it is told to.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from refacebench import bids
from refacebench.contracts import Defaced, Defacer, PreparedScan, ScanNotWritten
from refacebench.head import matrices, values
from refacebench.image import nifti
from refacebench.image.geometry import box_around, grow
from refacebench.image.nifti import Volume
from refacebench.metrics.brain import brain_integrity, brain_level, matched, stripped
from refacebench.run import batch
from refacebench.run.methods import Chosen
from refacebench.run.stage import Stage

#: Columns with the files of a scan that its defaced image depends on.
PREPARED = ("path", "brain_path", "head_path", "template_path")

#: Begins the reason where the method did its part.
_NOT_WRITTEN = "the result could not be written, which is not the method's fault"

STAGE = Stage(
    "deface",
    follows=("prepare",),
    given={"variant": "the defacer"},
    reads=("scan", "original_path", *PREPARED),
    adds={
        "variant": "the defacer",
        "path": "the defaced image",
        "changed_path": "mask of the voxels that the method overwrote",
        "engine": "native, or official where the released program ran",
        "version": "of the program that ran; of the method where there is none",
        "brain_voxels": "voxels of the original's brain mask",
        "changed_voxels": "voxels of the image whose stored number is another one now",
        "brain_changed": "those of them in the brain mask",
        "brain_removed": "those of them in the brain mask that held tissue and are air now",
        "brain_rounded": "brain voxels that differ in the program's own output alone",
    },
)


def run(
    row: Mapping[str, Any],
    chosen: Chosen,
    out_folder: str | Path,
    *,
    version: str = "",
    seed: int = 0,
) -> dict[str, Any]:
    """Deface one scan: image, mask of changed voxels, sidecar.

    Parameters
    ----------
    row : mapping
        Of the prepare stage's manifest.
    chosen : Chosen
        The defacer.
    out_folder : str or Path
        Root of its derivatives.
    version : str
        What ran; by default the program behind the method, or the method.
    seed : int
        Of the run.

    Returns
    -------
    dict
        The columns of :data:`STAGE`, see :func:`apply`.
    """
    method, options = chosen.method, chosen.options
    image = bids.derivative(out_folder, row["scan"], "T1w", "defaced")
    mask = bids.derivative(out_folder, row["scan"], "mask", "changed")
    version = version or method.program_version(options) or chosen.version
    scan = prepared(row, seed)
    facts, written = _applied(scan, method, options, image, mask)
    bids.write_sidecar(
        image,
        [row["original_path"]],
        method=chosen.name,
        version=version,
        parameters=method.public(options),
        key=row.get("key", ""),
        Engine=chosen.engine,
        SkullStripped=stripped(written, scan.brain, scan.head),
    )
    paths = {"path": str(image), "changed_path": str(mask)}
    return {"variant": chosen.name, **paths, "version": version, **facts}


def run_batch(
    rows: pd.DataFrame,
    out: str | Path,
    chosen: Chosen,
    out_folder: str | Path,
    *,
    version: str,
    seed: int,
    timeout: float = 3600.0,
) -> pd.DataFrame:
    """Deface the scans of one batch and write the manifest."""
    method, options = chosen.method, chosen.options
    own = method.inputs(options)
    bids.describe(out_folder, chosen.name)
    method.prepare(options)
    program = method.program_version(options)
    ran = program or version
    return batch.run_batch(
        STAGE,
        rows.assign(variant=chosen.name),
        lambda row: run(row, chosen, out_folder, version=ran, seed=seed),
        out,
        method=chosen.name,
        version=version,
        engine=chosen.engine,
        params={**options, "seed": seed, "program": program, "headers": nifti.HEADER_VERSION},
        inputs=lambda row: [*(row[name] for name in PREPARED), *own],
        timeout=timeout,
        preload=("scipy.ndimage", *method.preload),
    )


def scan_seed(scan: str, seed: int = 0) -> int:
    """Return a seed of 31 bits for a scan, the same on every machine.

    >>> scan_seed("sub-01") == scan_seed("sub-01"), scan_seed("sub-01") == scan_seed("sub-02")
    (True, False)
    """
    digest = hashlib.sha256(f"{seed}:{scan}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def prepared(row: Mapping[str, Any], seed: int = 0) -> PreparedScan:
    """Read a scan and what the prepare stage found in it.

    Parameters
    ----------
    row : mapping
        A row of the prepare stage's manifest: ``scan``, ``path``,
        ``brain_path``, ``head_path`` and ``template_path``.
    seed : int
        The configuration's seed; the scan's own is made from both.

    Raises
    ------
    ValueError
        If a mask does not lie on the scan's grid.
    """
    read = values.read(row["path"])
    volume = read.volume
    return PreparedScan(
        volume=volume,
        brain=_mask_on(volume, row["brain_path"]),
        head=_mask_on(volume, row["head_path"]),
        to_template=matrices.read_matrix(row["template_path"]),
        path=Path(row["path"]),
        brain_path=Path(row["brain_path"]),
        seed=scan_seed(row["scan"], seed),
        warp_path=bids.nonlinear(row["template_path"]),
        offset=read.offset,
        missing=read.missing,
    )


def _mask_on(volume: Volume, path: str | Path) -> np.ndarray:
    mask = nifti.read_mask(path)
    if mask.shape != volume.shape:
        raise ValueError(f"{path}: mask of {mask.shape}, scan of {volume.shape}; run prepare again")
    return mask


def apply(
    scan: PreparedScan, method: Defacer, options: Mapping[str, Any], out_image: Path, out_mask: Path
) -> dict[str, Any]:
    """Deface one scan, write image and mask, and check what was written.

    A native method never gets at the brain: its voxels, and a margin of
    ``protect_margin_mm`` around them where the method has that option, are
    taken out of ``changed``.  An official program's output is taken as it is.
    The image has the scan's data type, scaling and grid; but an official output
    that would lose by that (it was rescaled, or runs over) is stored as float32.

    Parameters
    ----------
    scan : PreparedScan
    method : Defacer
    options : mapping
        All of the method's options.
    out_image, out_mask : Path
        The defaced scan, and the voxels that the method overwrote.

    Returns
    -------
    dict
        ``engine``; ``brain_voxels``; ``changed_voxels``, those whose stored
        number is another one now; ``brain_changed``,
        brain voxels whose stored number differs in the file;
        ``brain_removed``, those of them that held tissue and are air now
        (:func:`refacebench.metrics.brain.brain_integrity`);
        ``brain_rounded``, brain voxels that only differ in the program's own
        output, by less than the scan's data type resolves.

    Raises
    ------
    ValueError
        If the method returns arrays of another shape or values that are not finite.
    ScanNotWritten
        If the file cannot be written for another reason than the disk's, or if
        that of a native method differs from the scan in a protected
        voxel, or in a voxel outside the method's mask; the file is deleted.
    """
    return _applied(scan, method, options, out_image, out_mask)[0]


def _applied(
    scan: PreparedScan, method: Defacer, options: Mapping[str, Any], out_image: Path, out_mask: Path
) -> tuple[dict[str, Any], np.ndarray]:
    """Return what :func:`apply` does, and the numbers that stand in the file."""
    out_image, out_mask = Path(out_image), Path(out_mask)
    # A scan that came from elsewhere than :func:`prepared`; the file keeps what it has.
    if not np.isfinite(scan.volume.data).all():
        scan = replace(scan, volume=values.usable(scan.volume).volume)
    engine = method.engine_of(dict(options))
    result = _checked(method.run(scan, dict(options)), scan)
    changed = nifti.in_file_order(result.changed.astype(bool, copy=False))
    before = nifti.stored(scan.path)
    protected = np.zeros_like(scan.brain)
    if engine == "native":
        protected = protect(scan, float(options.get("protect_margin_mm", 0.0)))
    wanted = changed & ~protected
    try:
        if engine == "official" and not _fits(scan, result.values, wanted):
            old = nifti.read(scan.path).data
            new = result.values.astype(np.float64) + scan.offset
            written = np.where(wanted, new, old).astype(np.float32)
            nifti.write_values(scan.path, written, out_image)
            differs = wanted & (written != old)
            stored = nifti.stored(out_image)
        else:
            nifti.write_changed(
                scan.path, result.values, wanted, out_image, offset=scan.offset, before=before
            )
            stored = nifti.stored(out_image)
            differs = stored_difference(scan.path, out_image, before, stored)
    except OSError:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stdout)  # the log
        raise ScanNotWritten(f"{_NOT_WRITTEN}: {error}") from error
    if (differs & ~wanted).any():
        out_image.unlink()
        where = "the brain" if (differs & protected).any() else "voxels outside its mask"
        raise ScanNotWritten(f"{_NOT_WRITTEN}: the written file differs from the scan in {where}")
    # The voxels that the method overwrote, not those that differ: where air was zero
    # already the difference would draw the outline of the face that was there.
    nifti.write(scan.volume.with_data(wanted), out_mask)
    rounded = wanted & ~differs & scan.brain
    facts = {
        "engine": engine,
        "brain_voxels": int(np.count_nonzero(scan.brain)),
        "changed_voxels": int(np.count_nonzero(differs)),
        "brain_changed": int(np.count_nonzero(differs & scan.brain)),
        "brain_removed": _removed(scan, result.values, differs),
        "brain_rounded": int((result.values[rounded] != scan.volume.data[rounded]).sum()),
    }
    return facts, stored


def _removed(scan: PreparedScan, values: np.ndarray, differs: np.ndarray) -> int:
    # Nothing outside the brain's box has a part in it.
    box = box_around(scan.brain, (1, 1, 1)) or (slice(0, 0),) * 3
    before, brain = scan.volume.data[box], scan.brain[box]
    level = brain_level(before, brain)
    if not (differs[box] & brain).any():
        return 0
    now = np.where(differs[box], values[box], before)
    rescaled = matched(before, now, brain)
    return brain_integrity(before, now, brain, level, rescaled=rescaled)["brain_removed"]


def _fits(scan: PreparedScan, values: np.ndarray, wanted: np.ndarray) -> bool:
    in_file = values.astype(np.float64) + scan.offset if scan.offset else values
    return fits(scan.path, in_file, wanted & (values != 0))


def fits(path: str | Path, values: np.ndarray, changed: np.ndarray) -> bool:
    """Tell whether a scan's data type can hold other values without harm.

    It can if none of the changed values runs over, and rounding moves none by more
    than 1 % of the image's largest value (a program may have scaled it to 0..1).
    """
    image: Any = nib.load(path)
    dtype = image.get_data_dtype()
    if not np.issubdtype(dtype, np.integer) or not changed.any():
        return True
    slope, inter = nifti.scaling(image)
    stored = (values[changed].astype(np.float64) - inter) / slope
    error = np.abs(nifti.cast(stored, dtype).astype(np.float64) - stored).max()
    return bool(error * abs(slope) <= 0.01 * np.nanmax(np.abs(values)))


def _checked(result: Defaced, scan: PreparedScan) -> Defaced:
    for name in ("values", "changed"):
        shape = np.shape(getattr(result, name))
        if shape != scan.volume.shape:
            raise ValueError(f"the method's {name} have shape {shape}, not {scan.volume.shape}")
    finite = np.isfinite(result.values)
    if not finite.all() and not finite[result.changed.astype(bool)].all():
        raise ValueError("the method's output has values that are not finite")
    return result


def protect(scan: PreparedScan, margin_mm: float) -> np.ndarray:
    """Return the brain mask, grown by a margin in mm."""
    return grow(scan.brain, scan.volume.spacing, margin_mm)


def stored_difference(
    source: str | Path,
    written: str | Path,
    before: np.ndarray | None = None,
    after: np.ndarray | None = None,
) -> np.ndarray:
    """Return the voxels whose stored bits differ between two files of one data type.

    Parameters
    ----------
    before, after : numpy.ndarray, optional
        The numbers of the two files, if they were read before.

    Raises
    ------
    RuntimeError
        If data type or shape differ.
    """
    before = nifti.stored(source) if before is None else before
    after = nifti.stored(written) if after is None else after
    if before.dtype != after.dtype or before.shape != after.shape:
        raise RuntimeError(
            f"{written}: {after.dtype} {after.shape} where {source} has "
            f"{before.dtype} {before.shape}"
        )
    # Bits, not values: a NaN equals itself here and -0.0 is not 0.0.
    bits = f"u{before.dtype.itemsize}"
    one, other = (a.astype(a.dtype.newbyteorder("="), copy=False) for a in (before, after))
    return one.view(bits) != other.view(bits)
