"""From scans to slices and back: the data side of the 2-D refacers.

A scan is brought to anatomical axes with the slices first, scaled by one
number, and resampled to square slices of a fixed size that hang from the
vertex and the back of the head, which no defacer removes: so the place of the
head in the slice tells nothing about the face.  Everything that a refacer does
to a new scan here uses the defaced scan alone.  Touches no files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from refacebench.image.nifti import Volume, axis_codes, reorient
from refacebench.training.loop import home

#: Array axes (slices, rows, columns) of a slice plane, as anatomical directions.
PLANES = {"sagittal": "RAS", "coronal": "ARS", "axial": "SRA"}
#: Air between the head and the slice's upper and posterior edge, in millimetres.
MARGIN_MM = 6.0
#: A plane belongs to the head if it has this share of the fullest plane's head voxels.
EDGE_SHARE = 0.02
#: Slices to either side of the middle one and the millimetres between them that
#: Abramian & Eklund (2019) train on: 21 a scan.
SPACED_EACH_SIDE, SPACED_MM = 10, 5.0
#: Of a voxel in a :class:`Stack`: two intensities in half precision and a mask.
BYTES = 5


@dataclass(frozen=True)
class Frame:
    """Where the slices of a scan lie.

    Attributes
    ----------
    codes : str
        Orientation of the axes, slices first.
    start, step : numpy.ndarray
        Voxel index of the first working position and the distance between
        two of them, in voxels of the reoriented scan, shape (3,).
    shape : tuple of int
        Slices, rows, columns.
    middle : int
        The slice in the middle of the head.
    voxel_mm : float
        Distance between slices, rows and columns in millimetres.
    """

    codes: str
    start: np.ndarray
    step: np.ndarray
    shape: tuple[int, int, int]
    middle: int
    voxel_mm: float = 1.0


@dataclass(frozen=True)
class Slices:
    """A scan as slices, intensities scaled to -1 (air) .. 1.

    Attributes
    ----------
    source : numpy.ndarray
        The defaced scan, shape (slices, rows, columns).
    changed : numpy.ndarray of bool
        Positions that defacing changed.
    target : numpy.ndarray or None
        The original scan, where it is known (training).
    frame : Frame
        Where they lie.
    scale : float
        The intensity that a 1 in the target, and so in a prediction, stands for.
    covered : float
        Share of the head that defacing changed, as the original shows it, that
        lies within the slices; NaN without the original.
    ratio : float
        ``scale`` over the same percentile of the defaced scan.
    gain : float
        The intensity that became 1 in ``source``, over ``scale``.
    numbers : numpy.ndarray or None
        Which of the frame's slices these are, ascending; None: all of them.
    """

    source: np.ndarray
    changed: np.ndarray
    target: np.ndarray | None
    frame: Frame
    scale: float
    covered: float
    ratio: float = 1.0
    gain: float = 1.0
    numbers: np.ndarray | None = None

    def offsets(self) -> np.ndarray:
        """Return how many slices each one is away from the middle of the head."""
        numbers = np.arange(len(self.source)) if self.numbers is None else self.numbers
        return numbers - self.frame.middle

    def kept(self) -> np.ndarray:
        """Return the source in the units of the target."""
        if self.gain == 1:
            return self.source.copy()
        return np.clip((self.source + 1) * self.gain, 0, 2) - 1


def head_threshold(values: np.ndarray) -> float:
    """Return half of Otsu's threshold, below which a voxel counts as air.

    Raises
    ------
    ValueError
        If the image is constant.
    """
    from skimage.filters import threshold_otsu

    low, high = np.percentile(values, (0, 99.5))
    high = high if high > low else values.max()
    if not high > low:
        raise ValueError("the image is constant: there is no head in it")
    return float(low + 0.5 * (threshold_otsu(np.clip(values, low, high)) - low))


def head_extent(head: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last plane of the head along each axis."""
    extent = []
    for axis in range(3):
        counts = head.sum(axis=tuple(a for a in range(3) if a != axis))
        planes = np.flatnonzero(counts > EDGE_SHARE * counts.max())
        extent.append((int(planes[0]), int(planes[-1])))
    return extent


def robust_maximum(values: np.ndarray, head: np.ndarray, percentile: float) -> float:
    """Return a high percentile of the head's intensities.

    Raises
    ------
    ValueError
        If it is not positive.
    """
    scale = float(np.percentile(values[head], percentile)) if head.any() else 0.0
    if not scale > 0:
        raise ValueError("the image has no positive intensities in the head")
    return scale


def place(head: np.ndarray, spacing, plane: str, size: int, voxel_mm: float) -> Frame:
    """Return the frame of a scan whose axes are those of ``plane``.

    Parameters
    ----------
    head : numpy.ndarray of bool
        Head voxels of the defaced scan.
    spacing : array_like
        Voxel edges in millimetres, shape (3,).
    size : int
        Rows and columns of a slice.
    voxel_mm : float
        Distance between rows, columns and slices.
    """
    codes = PLANES[plane]
    step = voxel_mm / np.asarray(spacing, dtype=float)
    # Whole voxels, so that a scan of this voxel size is cropped and not interpolated.
    step = np.where(np.abs(step - 1) < 1e-3, 1.0, step)
    start, extent = np.zeros(3), head_extent(head)
    for axis, code in enumerate(codes):
        low, high = extent[axis]
        margin = MARGIN_MM / spacing[axis]
        if code == "A":
            start[axis] = np.round(low - margin)
        elif code == "S":
            start[axis] = np.round(high + margin) - (size - 1) * step[axis]
        else:
            start[axis] = np.round((low + high) / 2 - (size - 1) / 2 * step[axis])
    start[0] = 0.0  # every slice of the scan
    slices = int((head.shape[0] - 1) / step[0] + 1e-6) + 1
    middle = int(np.round(np.mean(extent[0]) / step[0]))
    return Frame(codes, start, step, (slices, size, size), middle, voxel_mm)


def weights(positions: np.ndarray, count: int, width: float, kernel: str) -> np.ndarray:
    """Return the matrix that interpolates samples at 0 .. count - 1 at positions.

    Parameters
    ----------
    positions : numpy.ndarray
        In samples; rows of positions outside the samples are zero.
    width : float
        Stretches the kernel; the distance between positions where that is
        more than one sample, so that fine structure does not alias.
    kernel : str
        ``linear`` or ``cubic`` (Keys 1981, a = -0.5).

    Returns
    -------
    numpy.ndarray
        float32, shape (positions, count); rows sum to one or zero.
    """
    distance = np.abs(positions[:, None] - np.arange(count)[None, :]) / max(1.0, width)
    if kernel == "linear":
        matrix = np.clip(1 - distance, 0, None)
    elif kernel == "cubic":
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        matrix = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    else:
        raise ValueError(f"interpolation '{kernel}': use linear or cubic")
    # Half a sample of grace: a border voxel's own extent.
    matrix *= ((positions > -0.5) & (positions < count - 0.5))[:, None]
    total = matrix.sum(axis=1, keepdims=True)
    return (matrix / np.where(total == 0, 1, total)).astype(np.float32)


def _apply(matrices, data: np.ndarray) -> np.ndarray:
    data = np.asarray(data, dtype=np.float32)
    for axis, matrix in enumerate(matrices):
        data = np.moveaxis(np.tensordot(matrix, data, axes=(1, axis)), 0, axis)
    return data


def to_slices(data: np.ndarray, frame: Frame) -> np.ndarray:
    """Resample a scan with the frame's axes onto its slices; zero outside the scan."""
    return _apply(
        [
            weights(first + step * np.arange(n), count, step, "linear")
            for first, step, n, count in zip(
                frame.start, frame.step, frame.shape, data.shape, strict=True
            )
        ],
        data,
    )


def from_slices(slices: np.ndarray, frame: Frame, shape, kernel: str) -> np.ndarray:
    """Resample slices back onto the scan's grid (the frame's axes); zero outside them."""
    return _apply(
        [
            weights((np.arange(n) - first) / step, count, 1 / step, kernel)
            for first, step, n, count in zip(
                frame.start, frame.step, shape, frame.shape, strict=True
            )
        ],
        slices,
    )


def covered(frame: Frame, shape) -> np.ndarray:
    """Return the voxels (boolean, ``shape``) that lie within the slices."""
    inside = [
        (position > -0.5) & (position < count - 0.5)
        for position, count in (
            ((np.arange(n) - first) / step, count)
            for first, step, n, count in zip(
                frame.start, frame.step, shape, frame.shape, strict=True
            )
        )
    ]
    return inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]


def scaled(data: np.ndarray, scale: float) -> np.ndarray:
    """Map 0 .. scale to -1 .. 1 and clip."""
    return np.clip(data / scale, 0, 1) * 2 - 1


def prepare(
    defaced: Volume,
    changed: np.ndarray,
    original: Volume | None,
    *,
    plane: str,
    size: int,
    voxel_mm: float,
    percentile: float,
    scale_by: str = "defaced",
    ratio: float = 1.0,
) -> Slices:
    """Cut a scan into slices.

    Parameters
    ----------
    defaced, original : Volume
        On one grid, any orientation.  Without the original there is no target.
    changed : numpy.ndarray of bool
        On that grid.
    percentile : float
        The intensity that becomes 1 is this percentile of the head's voxels.
    scale_by : str
        Of which scan: ``defaced`` or ``original`` scales both, ``own`` each by
        itself.
    ratio : float
        Without the original, the defaced scan's percentile times this stands
        for the original's.

    Raises
    ------
    ValueError
        If an option is not known, or the image is empty.
    """
    if plane not in PLANES:
        raise ValueError(f"plane '{plane}': use one of {', '.join(PLANES)}")
    codes = PLANES[plane]
    work = reorient(defaced, codes)
    mask = reorient(Volume(changed, defaced.affine), codes).data
    head = work.data > head_threshold(work.data)
    frame = place(head, work.spacing, plane, size, voxel_mm)
    own = robust_maximum(work.data, head, percentile)
    scale = own * ratio
    truth, inside = None, np.nan
    if original is not None:
        truth = reorient(original, codes).data
        head = truth > head_threshold(truth)
        scale = own if scale_by == "defaced" else robust_maximum(truth, head, percentile)
        lost = mask & head
        inside = covered(frame, work.shape)[lost].mean() if lost.any() else 1.0
    base = scale if scale_by == "original" else own
    return Slices(
        source=scaled(to_slices(work.data, frame), base),
        changed=to_slices(mask, frame) > 0.25,
        target=None if truth is None else scaled(to_slices(truth, frame), scale),
        frame=frame,
        scale=scale,
        covered=float(inside),
        ratio=scale / own,
        gain=base / scale,
    )


def trimmed(scan: Slices, which: str, reach: int) -> Slices:
    """Return a scan with no more slices than training needs: hundreds of them are held at once.

    Parameters
    ----------
    which : str
        The slices that train, see :class:`Stack`.
    reach : int
        How many neighbours to either side a network sees with a slice.
    """
    chosen = np.flatnonzero(selected(scan, which))
    near = np.unique(chosen[:, None] + np.arange(-reach, reach + 1))
    near = near[(near >= 0) & (near < len(scan.source))]
    return replace(
        scan,
        source=scan.source[near],
        changed=scan.changed[near],
        target=None if scan.target is None else scan.target[near],
        numbers=scan.offsets()[near] + scan.frame.middle,
    )


def restore(slices: np.ndarray, cut: Slices, like: Volume, kernel: str) -> np.ndarray:
    """Bring predicted slices back to a scan's own grid and units.

    Voxels that no slice covers keep the values of ``like``, the defaced scan.
    """
    work = reorient(like, cut.frame.codes)
    values = (from_slices(slices, cut.frame, work.shape, kernel) + 1) / 2
    values = np.clip(values, 0, 1) * cut.scale
    values = np.where(covered(cut.frame, work.shape), values, work.data).astype(np.float32)
    return reorient(Volume(values, work.affine), axis_codes(like.affine)).data


class Stack:
    """The slices of many scans in one tensor, with their neighbours within reach.

    Parameters
    ----------
    scans : list of Slices
        All with a target, or none.
    which : str
        ``all`` slices, those with some ``head``, those where something was
        ``changed``, or the 21 ``spaced`` ones of Abramian & Eklund.
    device : torch.device
        Where slices are wanted.  The tensors (float16) live there too, or in the
        computer's memory where they do not fit.
    mask_channel : bool
        Give the changed mask to the network as a fourth channel.
    """

    def __init__(self, scans: list[Slices], which: str, device, mask_channel: bool = False):
        self.mask_channel = mask_channel
        self.device = torch.device(device)
        voxels = sum(s.source.size for s in scans)
        self.home = home(voxels * BYTES, self.device)
        self.source = self._join([s.source for s in scans], -1.0, torch.float16)
        self.changed = self._join([s.changed for s in scans], False, torch.bool)
        known = all(s.target is not None for s in scans)
        self.target = self._join([s.target for s in scans], -1.0, torch.float16) if known else None
        self.centres, self.offset = self._index(scans, which)

    def _join(self, volumes, fill, dtype) -> torch.Tensor:
        # One empty slice between scans is the neighbour of the outermost slices.
        gap = np.full((1, *volumes[0].shape[1:]), fill, dtype=volumes[0].dtype)
        parts = [gap] + [part for volume in volumes for part in (volume, gap)]
        return torch.from_numpy(np.concatenate(parts)).to(dtype).to(self.home)

    def _index(self, scans, which):
        centres, offset, first = [], [], 1
        for scan in scans:
            chosen = np.flatnonzero(selected(scan, which))
            centres.append(chosen + first)
            offset.append(scan.offsets()[chosen])
            first += len(scan.source) + 1
        return [torch.from_numpy(np.concatenate(p)) for p in (centres, offset)]

    def __len__(self) -> int:
        """Return the number of slices that can be drawn."""
        return len(self.centres)

    def at(self, name: str, places: torch.Tensor) -> torch.Tensor:
        """Return ``source``, ``target`` or ``changed`` at places of the tensor, on the device."""
        data = getattr(self, name)
        return data[places.to(data.device)].to(self.device)

    def inputs(self, items: torch.Tensor) -> torch.Tensor:
        """Return network inputs, float32 (items, 3 or 4, rows, columns)."""
        channels = self.triples("source", items)
        if self.mask_channel:
            channels = torch.cat([channels, self.masks(items).float() * 2 - 1], 1)
        return channels

    def triples(self, name: str, items: torch.Tensor) -> torch.Tensor:
        """Return slices of ``source``, ``target`` or ``changed`` with both neighbours.

        Float32 (items, 3, rows, columns); a mask is 0 or 1.
        """
        centres = self.centres[items]
        return torch.stack([self.at(name, centres + step).float() for step in (-1, 0, 1)], 1)

    def sources(self, items: torch.Tensor) -> torch.Tensor:
        """Return the defaced slices alone, float32 (items, 1, rows, columns)."""
        return self.at("source", self.centres[items]).float()[:, None]

    def targets(self, items: torch.Tensor) -> torch.Tensor:
        """Return the original slices, float32 (items, 1, rows, columns)."""
        return self.at("target", self.centres[items]).float()[:, None]

    def masks(self, items: torch.Tensor) -> torch.Tensor:
        """Return the changed masks, boolean (items, 1, rows, columns)."""
        return self.at("changed", self.centres[items])[:, None]


def selected(scan: Slices, which: str) -> np.ndarray:
    """Return which slices of a scan are used, see :class:`Stack`."""
    changed = scan.changed.any(axis=(1, 2))
    if which == "changed":
        return changed
    if which == "all":
        return np.ones(len(changed), dtype=bool)
    if which == "head":
        return changed | ((scan.source > -0.8).mean(axis=(1, 2)) > 0.005)
    if which == "spaced":
        distances = SPACED_MM * np.arange(-SPACED_EACH_SIDE, SPACED_EACH_SIDE + 1)
        wanted = np.round(distances / scan.frame.voxel_mm).astype(int)
        return np.isin(scan.offsets(), wanted)
    raise ValueError(f"slices '{which}': use all, head, changed or spaced")


def augment(x, y, m, strength: float, mirror: bool, generator: torch.Generator):
    """Move, turn, scale and mirror slices alike, and change their brightness.

    Parameters
    ----------
    x, y, m : torch.Tensor
        Inputs, targets and masks as a :class:`Stack` gives them; targets and
        masks may be triples, too.
    strength : float
        Standard deviations: of the scale, of the rotation in radians, of the
        shift as a share of half the slice, and of the brightness.
    mirror : bool
        Swap the two neighbours in half of the items: for sagittal slices that
        is the head mirrored left to right.
    generator : torch.Generator
        On the CPU, so that a draw is the same on every device.
    """
    count = len(x)
    if mirror:
        swap = (torch.rand(count, generator=generator) < 0.5).to(x.device)[:, None, None, None]
        x, y, m = (_swapped(t, swap) for t in (x, y, m))
    if not strength:
        return x, y, m
    draw = torch.randn(count, 6, generator=generator).clamp(-2, 2) * strength
    turn, grow, wide, gain = draw[:, 0], draw[:, 1], draw[:, 2] / 2, draw[:, 5].exp()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = turn.cos() * (grow + wide).exp(), -turn.sin()
    theta[:, 1, 0], theta[:, 1, 1] = turn.sin(), turn.cos() * (grow - wide).exp()
    theta[:, :, 2] = draw[:, 3:5]
    theta, gain = theta.to(x.device), gain.to(x.device)[:, None, None, None]
    field = functional.affine_grid(theta, list(x.shape), align_corners=False)
    # Air is -1: moved up by one, so that the zeros beyond the border are air.
    stack = torch.cat([x + 1, y + 1, m.float()], 1)
    moved = functional.grid_sample(stack, field, align_corners=False)
    x, y, m = moved.split([x.shape[1], y.shape[1], m.shape[1]], 1)
    m = m > 0.5
    light = torch.cat([x[:, :3] * gain, x[:, 3:]], 1)
    return light.clamp(max=2) - 1, (y * gain).clamp(max=2) - 1, m


def _swapped(t: torch.Tensor, swap: torch.Tensor) -> torch.Tensor:
    if t.shape[1] < 3:
        return t
    return torch.cat([torch.where(swap, t[:, [2, 1, 0]], t[:, :3]), t[:, 3:]], 1)


def mean_head(scans: list[Slices]) -> dict[int, np.ndarray]:
    """Return the average target slice at each distance from the middle slice.

    The baseline that a refacer must beat: it knows where the head is, from the
    defaced scan, and nothing about whose it is.  Of trimmed scans what is left of them.
    """
    sums: dict[int, list] = {}
    for scan in scans:
        for offset, image in zip(scan.offsets().tolist(), scan.target, strict=True):
            entry = sums.setdefault(offset, [0, np.zeros(image.shape)])
            entry[0] += 1
            entry[1] = entry[1] + image
    return {offset: (total / n).astype(np.float32) for offset, (n, total) in sums.items()}
