"""Check whether a file is a scan of a head that can be worked with.

Reads one file and writes nothing.  :func:`check_scan` refuses what later
stages cannot use, with one reason, and returns what it saw otherwise.

What it cannot tell: the contrast (T1w or not), the side (left and right
swapped in the header), whose head it is, whether the brain is all there (the
prepare stage looks for the brain and registers the head), nor a phantom or a
body part that is as large, as surrounded by air and as varied inside as a head.
A skull-stripped brain passes here; the prepare stage finds that it has no face.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from refacebench import files, reasons
from refacebench.head import masks, values
from refacebench.head.opening import Opened, Unfit, open_scan
from refacebench.head.values import Usable
from refacebench.image import geometry, nifti
from refacebench.image.nifti import Volume

#: Raise it when a scan is judged in another way.
VERSION = "2"

#: Defaults; the config's ``checks`` may override any.
LIMITS = {
    # Voxel edges, field of view (mm, from-to) and voxels along every axis.
    "voxel_mm": (0.3, 8.0),
    "fov_mm": (100.0, 500.0),
    "min_voxels": 16,
    # Largest cosine between two axes that should be perpendicular.
    "max_shear": 0.02,
    # The head mask's volume (with neck and shoulders) and its extent along every axis.
    "head_litres": (1.0, 9.0),
    "head_extent_mm": (90.0, 350.0),
    # The median outside the head is below this share of the median inside.
    "max_air": 0.6,
    # Standard deviation inside the head after a 12 mm high-pass, in medians: heads, even
    # skull-stripped or averaged ones, have 0.15 to 0.5; liquid phantoms and boxes 0.02.
    "min_structure": 0.08,
    # The outermost slice cuts the object when its area exceeds this share of the largest.
    "cut_share": 0.4,
    # Most that a file may unpack to.
    "file_mb": 2000.0,
    # Largest share of the head whose voxels hold NaN or infinity; in the air any may.
    "missing_in_head": 0.001,
    # Largest share of the head that is far darker than the air.
    "below_air": 0.01,
    # Of the prepare stage: volume of the brain, and the share of it outside the field of view.
    "brain_ml": (600.0, 2500.0),
    "brain_cut": 0.1,
}
#: Those of the prepare stage.
OF_BRAINS = ("brain_ml", "brain_cut")

#: sform and qform disagree where they put a corner of the field of view farther apart than this.
FORMS_APART_MM = 2.0
#: Voxel edge at which the head is looked at.
_COARSE_MM = 4.0
#: A gap of missing numbers within the head: how far either side may be (the chin is further from
#: the shoulders), and the largest, as a share of the head.
_WIDEST_GAP_MM, _LARGEST_GAP = 24.0, 0.01


def check_scan(path: str | Path, limits: Mapping | None = None) -> dict:
    """Check one scan.

    Parameters
    ----------
    path : str or Path
        A ``.nii`` or ``.nii.gz`` file.
    limits : mapping, optional
        Any of :data:`LIMITS`.

    Returns
    -------
    dict
        ``shape`` and ``spacing`` (as ``256x256x176``, mm), ``axis_codes``,
        ``dtype`` (stored), ``head_ml``, ``checksum`` (SHA-256 of the file),
        ``missing_voxels`` and ``air_level`` (:mod:`refacebench.head.values`),
        and warnings, 0 or 1: ``orientation_unknown`` (the header has
        neither an sform nor a qform, so that left and right are a guess),
        ``forms_disagree`` (it has both and they differ: programs that read the
        other one see another place or orientation) and ``sides_disagree`` (they
        differ in what is left and right).

    Raises
    ------
    Unfit
        With the reason, if the scan cannot be used.
    ValueError
        If a limit is not known.
    """
    unknown = sorted(set(limits or {}) - set(LIMITS))
    if unknown:
        raise ValueError(f"limits: unknown {', '.join(unknown)} (known: {', '.join(LIMITS)})")
    limits = {**LIMITS, **(limits or {})}
    path = Path(path)
    try:
        opened = open_scan(path, limits)
        image = opened.image
        _check_header(opened, limits)
        used = values.usable(Volume(_numbers(image), np.asarray(image.affine, dtype=float)))
        volume = used.volume
        head_ml = check_head(volume, limits, used)
    except Unfit as reason:
        raise Unfit(f"{path.name}: {reason}") from None
    return {
        "shape": "x".join(str(n) for n in volume.shape),
        "spacing": "x".join(f"{s:.4g}" for s in volume.spacing),
        "axis_codes": nifti.axis_codes(volume.affine),
        "dtype": str(image.get_data_dtype()),
        "head_ml": round(head_ml, 1),
        "checksum": files.checksum(path),
        "missing_voxels": 0 if used.missing is None else int(used.missing.sum()),
        "air_level": used.offset,
        **_orientation_warnings(opened),
    }


def _check_header(opened: Opened, limits: Mapping) -> None:
    image, shape = opened.image, opened.image.shape
    if len(shape) > 3 and np.prod(shape[3:]) > 1:
        raise Unfit(f"{len(shape)}-D image with {np.prod(shape[3:])} volumes; one is needed")
    if len(shape) < 3 or 1 in shape[:3]:
        raise Unfit(f"not 3-D: {'x'.join(str(n) for n in shape)} voxels")
    dtype = image.get_data_dtype()
    if dtype.names or not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)):
        raise Unfit(f"voxels of type {dtype} are not intensities (a colour or complex image)")
    if not (np.isfinite(opened.edges) & (opened.edges != 0)).all():
        sizes = " x ".join(f"{e:.3g}" for e in opened.edges)
        raise Unfit(f"the header gives voxels of {sizes} mm (pixdim): their size is not known")
    affine = np.asarray(image.affine, dtype=float)
    _check_affine(affine, limits)
    _check_size(np.array(shape[:3]), np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), limits)


def _check_affine(affine: np.ndarray, limits: Mapping) -> None:
    if not np.isfinite(affine).all():
        raise Unfit("the header's affine holds NaN or infinity")
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not (spacing > 0).all():
        raise Unfit("the header's affine is singular: it gives an axis no direction")
    axes = affine[:3, :3] / spacing
    if abs(np.linalg.det(axes)) < 1e-3:
        raise Unfit("the header's affine is singular: two axes point the same way")
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > limits["max_shear"]:
        raise Unfit(
            f"the header's affine is sheared (cosine {shear:.3f} between two axes, at "
            f"most {limits['max_shear']:g}; checks: max_shear)"
        )


def _check_size(shape: np.ndarray, spacing: np.ndarray, limits: Mapping) -> None:
    low, high = limits["voxel_mm"]
    if spacing.min() < low or spacing.max() > high:
        sizes = " x ".join(f"{s:.3g}" for s in spacing)
        raise Unfit(
            f"voxels of {sizes} mm; {low:g} to {high:g} mm are plausible (checks: voxel_mm)"
        )
    if shape.min() < limits["min_voxels"]:
        raise Unfit(
            f"only {shape.min()} voxels along an axis (at least {limits['min_voxels']}; checks: "
            "min_voxels)"
        )
    low, high = limits["fov_mm"]
    fov = shape * spacing
    if fov.min() < low or fov.max() > high:
        sizes = " x ".join(f"{s:.0f}" for s in fov)
        raise Unfit(
            f"field of view of {sizes} mm; {low:g} to {high:g} mm are plausible (checks: fov_mm)"
        )


def _numbers(image: nib.Nifti1Image) -> np.ndarray:
    try:
        data = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (OSError, ValueError, EOFError) as error:
        raise Unfit(
            f"its voxels cannot be read, truncated? ({reasons.one_line(error, 120)})"
        ) from None
    data = data.reshape(data.shape[:3])
    finite = data[np.isfinite(data)]
    if finite.size == 0:
        raise Unfit("all voxels are NaN or infinite")
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        raise Unfit("all voxels are zero" if low == 0 else f"all voxels are {low:g}")
    return data


def _orientation_warnings(opened: Opened) -> dict[str, int]:
    header = opened.image.header
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    both = sform is not None and qform is not None
    grid = opened.image.shape[:3]
    apart = nifti.apart_mm(sform, qform, grid) if both else 0.0
    sides = both and np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    return {
        "orientation_unknown": int(sform_code == 0 and qform_code == 0),
        "forms_disagree": int(apart > FORMS_APART_MM),
        "sides_disagree": int(sides),
    }


def check_head(volume: Volume, limits: Mapping, used: Usable | None = None) -> float:
    """Check that a volume shows something like a head.

    A head is an object of one to nine litres, surrounded by air, that leaves
    the field of view on one side at most of each axis (a torso, a limb or a
    neck leaves on two), and that is varied inside.  Looked at in voxels of
    about 4 mm.

    Parameters
    ----------
    volume : Volume
        Intensities, any orientation.
    limits : mapping
        All of :data:`LIMITS`.
    used : Usable, optional
        How the volume's numbers came about.

    Returns
    -------
    float
        Volume of the head mask in ml.

    Raises
    ------
    Unfit
        With the reason, if it does not.
    """
    small = geometry.coarse(volume, _COARSE_MM)
    try:
        head = masks.head_mask(small)
    except ValueError as error:
        raise Unfit(f"not a head: {error}") from None
    _check_missing(volume, small, head, limits, used)
    _check_polarity(small)
    litres = float(head.sum()) * small.voxel_ml / 1000.0
    low, high = limits["head_litres"]
    if not low <= litres <= high:
        raise Unfit(
            f"not a head: {litres:.2f} litres in front of air, not {low:g} to {high:g} (checks: "
            "head_litres)"
        )
    _check_surroundings(small, head, limits)
    _check_extent(small, head, limits)
    _check_dark(small, head, limits)
    structure = interior_structure(small, head)
    if structure < limits["min_structure"]:
        raise Unfit(
            f"not a head: nearly uniform inside ({structure:.3f}, at least "
            f"{limits['min_structure']:g}; checks: min_structure), a phantom?"
        )
    return 1000.0 * litres


def _check_polarity(small: Volume) -> None:
    """Refuse an image whose border is evenly brighter than its middle."""
    border = np.ones(small.shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    middle = tuple(slice(n // 3, n - n // 3) for n in small.shape)
    around, inside = np.median(small.data[border]), np.median(small.data[middle])
    uneven = np.median(np.abs(small.data[border] - around))
    low, high = np.percentile(small.data, [1, 99])
    spread = high - low
    brightest = high - around < 0.25 * spread
    if around - inside > 0.25 * spread and uneven < 0.1 * spread and brightest:
        raise Unfit(
            f"not a head: what lies around it is brighter ({around:.3g}) than what lies inside "
            f"({inside:.3g}); is the image inverted?"
        )


def between(lost: np.ndarray, head: np.ndarray, most: int) -> np.ndarray:
    """Return the lost voxels that have the head on both sides along an axis, not far away.

    Slices that are missing in the middle are no part of the head mask, which ends at them.

    Parameters
    ----------
    lost, head : numpy.ndarray of bool
        On one grid.
    most : int
        Voxels that either side may be away.
    """
    found = np.zeros_like(lost)
    for axis in range(3):
        sides = []
        for step in (1, -1):
            reached = np.zeros_like(lost)
            for _ in range(most):
                before = np.roll(head | reached, step, axis)
                edge = [slice(None)] * 3
                edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
                before[tuple(edge)] = False
                reached |= lost & before
            sides.append(reached)
        found |= sides[0] & sides[1]
    return found


def _check_missing(volume: Volume, small: Volume, head: np.ndarray, limits: Mapping, used) -> None:
    """Refuse a head with holes in its numbers, or with slices that hold none."""
    from scipy.ndimage import binary_erosion

    inner = binary_erosion(head, iterations=2)
    if used is None or used.missing is None or not inner.any():
        return
    lost = geometry.coarse(volume.with_data(used.missing), _COARSE_MM).data
    share = float(lost[inner].mean())
    # Not the head mask: that is the larger part where a gap goes right through.
    tissue = small.data > masks.air_threshold(small.data)
    gap = between(lost > 0.5, tissue, int(_WIDEST_GAP_MM / _COARSE_MM)).sum() / head.sum()
    if share > limits["missing_in_head"] or gap > _LARGEST_GAP:
        lost_pct = 100 * max(share, float(gap))
        raise Unfit(
            f"{lost_pct:.2g} % of the head's voxels are NaN or infinite (checks: missing_in_head)"
        )


def _check_dark(small: Volume, head: np.ndarray, limits: Mapping) -> None:
    """Refuse a head with tissue that is darker than air."""
    air, noise, otsu = masks.levels(small.data)
    dark = small.data < air - max(0.25 * (otsu - air), 5 * noise)
    share = float(dark[head].mean())
    if share > limits["below_air"]:
        raise Unfit(
            f"{100 * share:.0f} % of the head are far darker than the air around it: unsigned "
            "numbers written as signed ones, a phase image, or z-scores within a mask? (checks: "
            "below_air)"
        )


def _check_surroundings(small: Volume, head: np.ndarray, limits: Mapping) -> None:
    inside = float(np.median(small.data[head]))
    outside = float(np.median(small.data[~head])) if not head.all() else inside
    if not outside < limits["max_air"] * inside:
        raise Unfit(
            f"not a head: no air around it, or only noise (air has {outside:.3g}, the head "
            f"{inside:.3g}; checks: max_air)"
        )
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        area = head.sum(axis=others)
        if min(area[0], area[-1]) > limits["cut_share"] * area.max():
            code = nifti.axis_codes(small.affine)[axis]
            name = {"L": "left-right", "R": "left-right", "A": "front-back", "P": "front-back"}
            raise Unfit(
                "not a whole head: it leaves the field of view on both sides "
                f"({name.get(code, 'top-bottom')}); checks: cut_share"
            )


def _check_extent(small: Volume, head: np.ndarray, limits: Mapping) -> None:
    low, high = limits["head_extent_mm"]
    hits = [head.any(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    extent = [
        (np.flatnonzero(h)[-1] - np.flatnonzero(h)[0] + 1) * s
        for h, s in zip(hits, small.spacing, strict=True)
    ]
    if min(extent) < low or max(extent) > high:
        sizes = " x ".join(f"{e:.0f}" for e in extent)
        raise Unfit(
            f"not a head: the object measures {sizes} mm ({low:g} to {high:g} mm; checks: "
            "head_extent_mm)"
        )


def interior_structure(volume: Volume, mask: np.ndarray) -> float:
    """Return how varied an object is inside: 12 mm high-pass, SD in medians.

    A slow change of intensity (receive coil) does not count.
    """
    from scipy.ndimage import binary_erosion, gaussian_filter

    inner = binary_erosion(mask, iterations=2, border_value=1)
    if not inner.any():
        return 0.0
    sigma = 12.0 / volume.spacing
    weight = gaussian_filter(mask.astype(np.float32), sigma)
    smooth = gaussian_filter(volume.data * mask, sigma) / np.maximum(weight, 1e-3)
    median = float(np.median(volume.data[inner]))
    return float((volume.data - smooth)[inner].std() / median) if median > 0 else 0.0
