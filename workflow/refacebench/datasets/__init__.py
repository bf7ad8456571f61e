"""The contract of a dataset type: one module, named by ``type`` in the config.

A module ``datasets/<type>.py`` defines ``VERSION``, ``OPTIONS`` and

``index(options, seed) -> pandas.DataFrame``
    One row a scan, from names alone (no image is opened, so that thousands of
    scans take seconds): ``participant`` (``sub-...``), ``session`` (``ses-...``
    or empty), ``scan`` (see :func:`refacebench.bids.scan_id`; no two rows have the
    same), ``path`` (empty for a scan that is yet to be grown), ``site``, ``age`` (years
    at the session, or NaN), ``sex``, ``status`` and ``reason``.  Sorted by scan.
    Where they are known: ``days`` (between the session and the participant's
    first one) and ``age_note`` (why there is no age).

A dataset that is grown at run time (``SYNTHETIC = True``) also defines

``base(options, seed, folder) -> None``
    What all its scans share (base head, deformations to other heads), written
    into ``folder``.
``grow(row, options, seed, folder, out) -> dict``
    Makes the scan of one row: writes ``<out>/<sub>/[ses]/anat/<scan>_T1w.nii.gz``
    and, in the same place, ``<scan>_desc-truth_dseg.nii.gz`` (labels, see
    :data:`TRUTH`) and returns ``path`` and ``truth_path``.
"""

from __future__ import annotations
