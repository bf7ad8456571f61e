"""Volumes in memory and NIfTI files on disk.

Every other module handles arrays; reading, writing, orientation and the
exchange with antspyx live here and nowhere else.  This module may write files
(always under a temporary name that is then renamed) and touches nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.openers import Opener

from refacebench import lazy
from refacebench.files import replacing

# antspyx takes long to load.
itk = lazy.load("refacebench.image.itk")

#: Version of what stands in the headers of the images that are written.
HEADER_VERSION = "2"
#: Free-text header fields in which scanners and converters leave names and dates.
FREE_TEXT_FIELDS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
#: All that is kept of a scan's header: where the image lies and how its numbers are stored.
#: The fields left out hold text, dates or a scanner's own numbers, or nothing of use here.
KEPT_FIELDS = ("dim_info", "dim", "datatype", "bitpix", "pixdim", "xyzt_units")
#: The two ways to say where the image lies, by the field that tells whether one is used.
PLACES = {
    "qform_code": (
        *("quatern_b", "quatern_c", "quatern_d"),
        *("qoffset_x", "qoffset_y", "qoffset_z"),
    ),
    "sform_code": ("srow_x", "srow_y", "srow_z"),
}


@dataclass(frozen=True)
class Volume:
    """A 3-D image with its place in space.

    Attributes
    ----------
    data : numpy.ndarray
        Intensities or labels, shape (i, j, k).
    affine : numpy.ndarray
        4 x 4 matrix from voxel indices to RAS+ millimetres.
    """

    data: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each array axis."""
        return self.data.shape

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edge lengths in millimetres, shape (3,)."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def with_data(self, data: np.ndarray) -> Volume:
        """Return the same grid with other values."""
        if data.shape[:3] != self.data.shape[:3]:
            raise ValueError(f"grid is {self.data.shape}, new data are {data.shape}")
        return replace(self, data=data)


def read(path: str | Path, dtype=np.float32) -> Volume:
    """Read a 3-D NIfTI file with its scaling applied.

    Parameters
    ----------
    path : str or Path
        A ``.nii`` or ``.nii.gz`` file.
    dtype : numpy dtype or None
        Type of the returned array; ``None`` keeps the stored one (labels).

    Raises
    ------
    ValueError
        If the image is not 3-D (a trailing axis of length one is dropped).
    """
    image: Any = nib.load(path)
    data = np.asanyarray(image.dataobj) if dtype is None else image.get_fdata(dtype=dtype)
    data = _without_last_axes(data)
    if data.ndim != 3:
        raise ValueError(f"{path}: {data.ndim}-D image where a 3-D one is needed")
    return Volume(data, np.asarray(image.affine, dtype=float))


def claimed_voxels(path: str | Path) -> int:
    """Return how many numbers a file says that it holds, by its header alone."""
    image: Any = nib.load(path)
    return int(np.prod(np.array(image.shape, dtype=object)))


def _without_last_axes(data: np.ndarray) -> np.ndarray:
    """Drop trailing axes of length one behind the third."""
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    return data


def stored(path: str | Path) -> np.ndarray:
    """Return the numbers of a NIfTI file as they are stored, without scaling, 3-D."""
    image: Any = nib.load(path)
    return _without_last_axes(np.asanyarray(image.dataobj.get_unscaled()))


def scaling(image) -> tuple[float, float]:
    """Return slope and intercept of a loaded image: value = slope * stored number + intercept."""
    slope = getattr(image.dataobj, "slope", 1.0) or 1.0
    return slope, getattr(image.dataobj, "inter", 0.0) or 0.0


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask as a boolean array on its own grid."""
    return read(path, dtype=None).data > 0


def _save(image: nib.Nifti1Image, path: str | Path) -> None:
    with replacing(path) as part:
        nib.save(image, part)


def write(volume: Volume, path: str | Path, dtype=None) -> None:
    """Write a volume made by us (segmentation, mask, synthetic scan), all or nothing."""
    data = volume.data
    if data.dtype == bool:
        data = data.astype(np.uint8)
    if dtype is not None:
        data = cast(data, np.dtype(dtype))
    image = nib.Nifti1Image(in_file_order(data), volume.affine)
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    image.header.set_xyzt_units("mm")
    _save(image, path)


def finite(data: np.ndarray) -> np.ndarray:
    """Return numbers as float32, with zero for NaN and infinity; not a copy where nothing is."""
    data = np.asarray(data, dtype=np.float32)
    if np.isfinite(data).all():
        return data
    return np.nan_to_num(data, posinf=0.0, neginf=0.0)


def in_file_order(data: np.ndarray) -> np.ndarray:
    """Return an array with its first axis fastest in memory, as a file has it.

    Part by part: a part of both orders fits into the processor's cache.
    """
    if data.flags.f_contiguous:
        return data
    ordered = np.empty(data.shape, data.dtype, order="F")
    step = 16
    for i in range(0, data.shape[0], step):
        for k in range(0, data.shape[-1], step):
            ordered[i : i + step, ..., k : k + step] = data[i : i + step, ..., k : k + step]
    return ordered


def cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round and clip real numbers into an integer type; floats are only converted.

    >>> cast(np.array([-3.2, 1.6, 300.0]), np.dtype(np.uint8))
    array([  0,   2, 255], dtype=uint8)
    """
    dtype = np.dtype(dtype)
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(values.dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)


def write_changed(
    source: str | Path,
    values: np.ndarray,
    changed: np.ndarray,
    path: str | Path,
    offset: float = 0.0,
    before: np.ndarray | None = None,
) -> np.ndarray:
    """Write a copy of a scan in which only some voxels have new values.

    The stored numbers of all other voxels, the data type, the scaling and the
    grid are those of ``source``; free text in the header is cleared.

    Parameters
    ----------
    source : str or Path
        The scan whose file is the model.
    values : numpy.ndarray
        New intensities in the scan's own (scaled) units, on its grid.
    changed : numpy.ndarray of bool
        Voxels that take the new values.
    path : str or Path
        The file to write.
    offset : float
        Is added to the new intensities.
    before : numpy.ndarray, optional
        The scan's numbers as :func:`stored` reads them, if that was done before.

    Returns
    -------
    numpy.ndarray of bool
        Voxels whose stored number really is another one now.
    """
    image: Any = nib.load(source)
    slope, inter = scaling(image)
    before = stored(source) if before is None else before
    # Arrays of a file have the first axis fastest: so voxels are gone through.
    after, where = before.T.copy(), in_file_order(changed).T
    fresh = (np.asarray(values).T[where].astype(np.float64) + offset - inter) / slope
    after[where] = cast(fresh, before.dtype)
    after = after.T
    _save_stored(after.reshape(image.shape), clean_header(image.header), slope, inter, path)
    return after != before


def write_values(source: str | Path, values: np.ndarray, path: str | Path) -> None:
    """Write an image as float32 on a scan's grid, with its header but for type and free text.

    For values that the scan's own data type cannot hold; see :func:`write_changed`.
    """
    image: Any = nib.load(source)
    header = clean_header(image.header)
    header.set_data_dtype(np.float32)
    _save_stored(np.asarray(values, np.float32).reshape(image.shape), header, 1.0, 0.0, path)


def _save_stored(stored, header, slope, inter, path) -> None:
    """Write stored numbers as they are; nibabel's own writer would choose a new scaling."""
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    header["scl_slope"], header["scl_inter"] = slope, inter
    with replacing(path) as part, Opener(str(part), "wb") as handle:
        handle.write(header.binaryblock)
        handle.write(b"\0\0\0\0")  # no extensions follow
        handle.write(np.asarray(stored, dtype=header.get_data_dtype()).tobytes(order="F"))


def clean_header(header: nib.Nifti1Header) -> nib.Nifti1Header:
    """Return a NIfTI-1 header with the grid and data type of another one, and nothing else.

    Extensions, free text, the intent and every field that nothing here needs are left
    behind, and so is what stands in bytes that the format does not use.
    """
    # Both versions of the format have these fields; nibabel's conversion complains aloud.
    nifti = isinstance(header, nib.Nifti1Header | nib.Nifti2Header)
    source = header if nifti else nib.Nifti1Header.from_header(header)
    clean = nib.Nifti1Header(endianness=header.endianness)
    used = [name for code, names in PLACES.items() if source[code] for name in (code, *names)]
    for field in (*KEPT_FIELDS, *used):
        clean[field] = source[field]
    axes = int(source["dim"][0])
    clean["dim"][1 + axes :] = 1
    clean["pixdim"][4:] = 1
    return clean


def apart_mm(one: np.ndarray, other: np.ndarray, shape) -> float:
    """Return how far two affines put the corners of a grid apart, at most."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    return float(np.linalg.norm(((one - other) @ corners)[:3], axis=0).max())


def axis_codes(affine: np.ndarray) -> str:
    """Return the orientation of the array axes, for example ``"RAS"``."""
    return "".join(nib.aff2axcodes(affine))


def reorient(volume: Volume, codes: str = "RAS") -> Volume:
    """Flip and swap axes so that they point along ``codes``; no value is interpolated.

    >>> v = Volume(np.arange(6.0).reshape(1, 2, 3), np.diag([-1.0, 1, 1, 1]))
    >>> axis_codes(reorient(v, "RAS").affine)
    'RAS'
    """
    view = oriented(volume, codes)
    return Volume(np.ascontiguousarray(view.data), view.affine)


def oriented(volume: Volume, codes: str = "RAS") -> Volume:
    """Return the same as :func:`reorient`, as a view: for who needs a few slices only."""
    start = nib.io_orientation(volume.affine)
    end = nib.orientations.axcodes2ornt(codes)
    transform = nib.orientations.ornt_transform(start, end)
    data = nib.orientations.apply_orientation(volume.data, transform)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(transform, volume.data.shape)
    return Volume(data, affine)


def reorient_like(volume: Volume, reference: Volume) -> Volume:
    """Bring a reoriented volume back to the axes of the volume that it came from.

    Raises
    ------
    ValueError
        If the two do not lie on the same grid.
    """
    back = oriented(volume, axis_codes(reference.affine))
    if back.shape != reference.shape or not np.allclose(back.affine, reference.affine, atol=1e-3):
        raise ValueError("the two volumes are not on the same grid")
    return Volume(in_file_order(back.data), reference.affine)


_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def to_ants(volume: Volume):
    """Return an ``ants.ANTsImage`` (float32) that occupies the same space.

    Unless the environment says otherwise, ITK gets one thread from here on:
    registrations differ from run to run with more.
    """
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    spacing = volume.spacing
    direction = _RAS_TO_LPS @ (volume.affine[:3, :3] / spacing)
    origin = _RAS_TO_LPS @ volume.affine[:3, 3]
    return itk.ants.from_numpy(
        np.ascontiguousarray(volume.data, dtype=np.float32),
        origin=[float(v) for v in origin],
        spacing=[float(v) for v in spacing],
        direction=direction,
    )


def from_ants(image) -> Volume:
    """Return the :class:`Volume` of an ``ants.ANTsImage``."""
    affine = np.eye(4)
    affine[:3, :3] = _RAS_TO_LPS @ (np.asarray(image.direction) * np.asarray(image.spacing))
    affine[:3, 3] = _RAS_TO_LPS @ np.asarray(image.origin)
    return Volume(image.numpy(), affine)


def resample(
    volume: Volume, like: Volume, order: int = 1, cval: float = 0.0, mode: str = "constant"
) -> Volume:
    """Resample a volume onto the grid of another one (no smoothing, no registration).

    Parameters
    ----------
    order : int
        0 for labels, 1 for linear, 3 for cubic.
    cval, mode
        What lies outside the field of view (``scipy.ndimage.affine_transform``).
    """
    from scipy.ndimage import affine_transform

    matrix = np.linalg.inv(volume.affine) @ like.affine
    data = affine_transform(
        volume.data.astype(np.float32) if order else volume.data,
        matrix[:3, :3],
        matrix[:3, 3],
        output_shape=like.shape,
        order=order,
        cval=cval,
        mode=mode,
    )
    return Volume(data, like.affine)


def grid(shape: tuple[int, int, int], affine: np.ndarray, voxel_mm: float) -> Volume:
    """Return an empty isotropic grid that covers the same box at another voxel size."""
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    factor = voxel_mm / spacing
    size = tuple(int(n) for n in np.maximum(1, np.round(np.asarray(shape) / factor)))
    scaled = affine.copy()
    scaled[:3, :3] = affine[:3, :3] * factor
    # The first voxel's outer corner stays where it was.
    scaled[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((factor - 1) / 2)
    return Volume(np.zeros(size, dtype=np.float32), scaled)
