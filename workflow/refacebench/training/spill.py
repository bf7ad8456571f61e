"""Training data that memory is too small for: arrays in files that have no name.

A large cohort's slices take hundreds of gigabytes.  Beyond :data:`BOUND_MB` they lie in files of
the training's scratch folder, of which the system keeps in memory what is in use.  The numbers
are the same.  A file without a name is gone when its process ends, however it ends: no picture of
a head stays behind.

Touches nothing but such files, in ``tempfile``'s folder.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

#: Memory that a training asks for at most, in megabytes.
BOUND_MB = 16_000
#: Validation scans of a training that cannot hold all in memory.
VALIDATED = 40


def is_large(megabytes: float) -> bool:
    """Return whether data that would take so much memory belong in files."""
    return megabytes > BOUND_MB


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array to be filled, in a file."""
    if 0 in shape:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as handle:  # the mapping outlives it
        return np.memmap(handle, dtype, "w+", shape=shape)


class Store:
    """Takes many arrays into few files: a process may have about a thousand open."""

    #: Bytes of a file, which grows on disk only as it is filled.
    SIZE = 1 << 32

    def __init__(self) -> None:
        self._room = np.empty(0, np.uint8)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return an array's copy in a file."""
        size = -(-values.nbytes // 64) * 64
        if len(self._room) < size:
            self._room = empty((max(self.SIZE, size),), np.uint8)
        found = np.asarray(self._room[: values.nbytes]).view(values.dtype).reshape(values.shape)
        found[...] = values
        self._room = self._room[size:]
        return found
