"""The contract of a refacer: one module, named as in the config.

A module ``refacers/<name>.py`` defines

``VERSION : str`` and ``OPTIONS : dict``
    As for defacers.
``train(train, validation, out, options, seed) -> None``
    ``train`` and ``validation`` : lists of :class:`Pair`.  Writes into the
    folder ``out``: ``model.safetensors`` (picked on validation), ``card.json``
    (data, splits, options, seed, versions, picked step) and ``curves.tsv``
    (one row an epoch: epoch, step, split-wise losses).  Whatever it keeps to
    go on after an interruption lies in ``out`` too, as safetensors and JSON.
    An interrupted and resumed training gives the same model.  Raises
    :class:`TrainingFailed` when no usable model comes out (it diverged, too few
    scans); every scan of the variant then becomes a row with that reason.
``load(folder, options) -> model``
    Reads what ``train`` wrote; executes no code from the file.
``reface(model, volume, changed, options) -> numpy.ndarray``
    ``volume`` : the defaced scan as :class:`refacebench.images.Volume`, native
    orientation, scan units.  ``changed`` : boolean array, the voxels that
    defacing changed.  Returns new intensities on the same grid and in the same
    units; the caller copies every voxel outside ``changed`` back from the
    defaced scan (compositing as in Huelnhagen et al.).
"""

from __future__ import annotations

from dataclasses import dataclass


class TrainingFailed(RuntimeError):
    """No usable model came out of a training; the message says why."""


@dataclass(frozen=True)
class Pair:
    """Paths of one training scan: the original, its defaced twin, what changed."""

    scan: str
    original: str
    defaced: str
    changed: str
    brain: str
