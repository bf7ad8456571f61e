"""Many whole heads in memory, on the device where they fit, and their augmentation.

Touches no file but those of :mod:`refacebench.training.spill`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from refacebench.training import spill
from refacebench.training.devices import home, send
from refacebench.training.whole_heads import BYTES, WholeHead


class HeadStack:
    """Prepared scans in memory, on the device where they fit.

    Parameters
    ----------
    heads : list of WholeHead
        All with a target, or none.
    device : torch.device
    in_files : bool
        Hold them in files (:mod:`refacebench.training.spill`), not on the device.
    """

    def __init__(self, heads: list[WholeHead], device, in_files: bool = False):

        self.device = torch.device(device)
        size = BYTES * sum(h.hull.size for h in heads)
        place = torch.device("cpu") if in_files else home(size, self.device)

        def join(name, dtype):
            if in_files:
                return torch.from_numpy(_written([getattr(h, name) for h in heads], dtype))
            volumes = [torch.from_numpy(getattr(h, name))[None].to(dtype) for h in heads]
            return torch.stack(volumes).to(place)

        self.hull, self.brain = join("hull", torch.bool), join("brain", torch.bool)
        self.tissue = join("tissue", torch.float16)
        known = all(h.target is not None for h in heads)
        self.target = join("target", torch.float16) if known else None

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self.hull)

    def get(self, items):
        """Return hull, brain, tissue and target as float32, (items, 1, size, size, size)."""
        items = send(items, self.hull.device)
        parts = (self.hull, self.brain, self.tissue, self.target)
        return [None if p is None else send(p[items], self.device).float() for p in parts]


def _written(volumes: list[np.ndarray], dtype: torch.dtype) -> np.ndarray:
    """Return volumes as one array in a file, with an axis for channels, one at a time."""
    kind = torch.empty(0, dtype=dtype).numpy().dtype
    joined = spill.empty((len(volumes), 1, *volumes[0].shape), kind)
    for place, volume in zip(joined, volumes, strict=True):
        place[0] = volume
    return joined


def move(parts, strength: float, mirror: bool, generator):
    """Turn, shift, scale and mirror heads; what belongs together moves alike.

    Parameters
    ----------
    parts : list of torch.Tensor
        Hull, brain, tissue, target, each (items, 1, size, size, size).
    strength : float
        Standard deviations: of the rotation in radians, of the logarithm of the
        scale along each axis, and of the shift as a share of half the grid.
    mirror : bool
        Left to right, in half of the heads.
    generator : torch.Generator
        On the CPU, so that a draw is the same on every device.
    """
    if mirror:
        flip = torch.rand(len(parts[0]), 1, 1, 1, 1, generator=generator) < 0.5
        flip = send(flip, parts[0].device)
        parts = [torch.where(flip, part.flip(2), part) for part in parts]
    if not strength:
        return parts
    draw = torch.randn(len(parts[0]), 9, generator=generator).clamp(-2, 2) * strength
    theta = torch.zeros(len(draw), 3, 4)
    turn = torch.zeros(len(draw), 3, 3)
    for number, (a, b) in enumerate(((0, 1), (0, 2), (1, 2))):
        turn[:, a, b], turn[:, b, a] = draw[:, number], -draw[:, number]
    theta[:, :, :3] = torch.linalg.matrix_exp(turn) * draw[:, None, 3:6].exp()
    theta[:, :, 3] = draw[:, 6:9] / 2
    stack = torch.cat(parts, 1)
    field = affine_grid(send(theta, stack.device), list(stack.shape), align_corners=False)
    hull, share, tissue, target = grid_sample(stack, field, align_corners=False).split(1, 1)
    hull, brain = (hull > 0.5).float(), (share > 0.5).float()
    # As in prepare: the mean over what is brain, so that it does not fade at the rim.
    tissue = tissue / share.clamp(min=0.5) * brain
    return [torch.maximum(hull, brain), brain, tissue, torch.where(brain > 0, tissue, target)]
