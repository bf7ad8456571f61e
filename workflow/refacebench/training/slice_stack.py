"""The slices of many scans in memory, on the device where they fit, and their augmentation.

Touches no file.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from refacebench.training import spill
from refacebench.training.devices import home, send
from refacebench.training.slices import BYTES, Slices, selected


class SliceStack:
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
    in_files : bool
        Hold the slices in files (:mod:`refacebench.training.spill`), not on the device.
    """

    def __init__(
        self,
        scans: list[Slices],
        which: str,
        device,
        mask_channel: bool = False,
        in_files: bool = False,
    ):
        self.in_files = in_files
        self.mask_channel = mask_channel
        self.device = torch.device(device)
        voxels = sum(s.source.size for s in scans)
        self.home = torch.device("cpu") if in_files else home(voxels * BYTES, self.device)
        self.source = self._join([s.source for s in scans], -1.0, torch.float16)
        self.changed = self._join([s.changed for s in scans], False, torch.bool)
        known = all(s.target is not None for s in scans)
        self.target = self._join([s.target for s in scans], -1.0, torch.float16) if known else None
        self.centres, self.offset = self._index(scans, which)

    def _join(self, volumes, fill, dtype) -> torch.Tensor:
        # One empty slice between scans is the neighbour of the outermost slices.
        gap = np.full((1, *volumes[0].shape[1:]), fill, dtype=volumes[0].dtype)
        parts = [gap] + [part for volume in volumes for part in (volume, gap)]
        if self.in_files:
            return torch.from_numpy(self._written(parts, dtype))
        return torch.from_numpy(np.concatenate(parts)).to(dtype).to(self.home)

    def _written(self, parts, dtype) -> np.ndarray:
        """Return parts as one array in a file, one part in memory at a time."""
        shape = (sum(map(len, parts)), *parts[0].shape[1:])
        joined = spill.empty(shape, torch.empty(0, dtype=dtype).numpy().dtype)
        first = 0
        for part in parts:
            joined[first : first + len(part)] = torch.from_numpy(np.array(part)).to(dtype).numpy()
            first += len(part)
        return joined

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
        return send(data[send(places, data.device)], self.device)

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
        return self.at(name, self.centres[items][:, None] + torch.tensor([-1, 0, 1])).float()

    def sources(self, items: torch.Tensor) -> torch.Tensor:
        """Return the defaced slices alone, float32 (items, 1, rows, columns)."""
        return self.at("source", self.centres[items]).float()[:, None]

    def targets(self, items: torch.Tensor) -> torch.Tensor:
        """Return the original slices, float32 (items, 1, rows, columns)."""
        return self.at("target", self.centres[items]).float()[:, None]

    def masks(self, items: torch.Tensor) -> torch.Tensor:
        """Return the changed masks, boolean (items, 1, rows, columns)."""
        return self.at("changed", self.centres[items])[:, None]


def augment(x, y, m, strength: float, mirror: bool, generator: torch.Generator):
    """Move, turn, scale and mirror slices alike, and change their brightness.

    Parameters
    ----------
    x, y, m : torch.Tensor
        Inputs, targets and masks as a :class:`SliceStack` gives them; targets and
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
        swap = torch.rand(count, generator=generator) < 0.5
        swap = send(swap, x.device)[:, None, None, None]
        x, y, m = (_swapped(t, swap) for t in (x, y, m))
    if not strength:
        return x, y, m
    draw = torch.randn(count, 6, generator=generator).clamp(-2, 2) * strength
    turn, grow, wide, gain = draw[:, 0], draw[:, 1], draw[:, 2] / 2, draw[:, 5].exp()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = turn.cos() * (grow + wide).exp(), -turn.sin()
    theta[:, 1, 0], theta[:, 1, 1] = turn.sin(), turn.cos() * (grow - wide).exp()
    theta[:, :, 2] = draw[:, 3:5]
    theta, gain = send(theta, x.device), send(gain, x.device)[:, None, None, None]
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
