"""The contract of a refacer: one module, named as in the config.

A module ``refacers/<name>.py`` defines

``VERSION : str`` and ``OPTIONS : dict``
    As for defacers.  The option ``composite``, where a method has it, tells the
    caller what becomes of the model's output, see :func:`taken`.
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
    ``volume`` : the defaced scan as :class:`refacebench.image.nifti.Volume`, native
    orientation, scan units.  ``changed`` : boolean array, the voxels that
    defacing changed.  Returns new intensities on the same grid and in the same
    units; the caller takes the voxels of :func:`taken`.

and may define

``APPLIED : tuple of str``
    Options that only ``load`` and ``reface`` heed.  A config entry with
    ``model: <other entry>`` applies the model that the other entry trains and
    may change these.

``memory_mb(options, scans) -> int``
    The megabytes that a training on so many scans asks of a cluster's scheduler;
    without it :data:`MEMORY_MB`.

Keys of a config entry that concern no method: ``defacers`` (on whose output it
is trained), ``sites`` (training and validation scans of these sites only) and
``model``.
"""

from __future__ import annotations
