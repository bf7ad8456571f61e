"""The contract of a dataset type: one module, named by ``type`` in the config.

A module ``datasets/<type>.py`` defines ``VERSION``, ``OPTIONS`` and

``index(options, seed) -> pandas.DataFrame``
    One row a scan, from names alone (no image is opened, so that thousands of
    scans take seconds): ``participant`` (``sub-...``), ``session`` (``ses-...``
    or empty), ``scan`` (see :func:`refacebench.names.scan_id`), ``path`` (empty
    for a scan that is yet to be grown), ``site``, ``age`` (years or NaN),
    ``sex``, ``status`` and ``reason``.  Sorted by scan.

A dataset that is grown at run time (``SYNTHETIC = True``) also defines

``base(options, seed, folder) -> None``
    What all its scans share (base head, deformations to other heads), written
    into ``folder``.
``grow(row, options, seed, folder, out) -> dict``
    Makes the scan of one row: writes ``<out>/<sub>/[ses]/anat/<scan>_T1w.nii.gz``
    and, in the same place, ``<scan>_desc-truth_dseg.nii.gz`` (labels, see
    :data:`TRUTH`) and returns ``path`` and ``truth_path``.
"""

#: Label values of a ``desc-truth_dseg`` image: the tissue classes, ventricular
#: CSF apart, then 10 + the 1-based place in ``segmenters.REGIONS`` for the
#: subcortical structures (their tissue class is that of the segmentation's
#: convention: thalamus, caudate, putamen, pallidum, hippocampus and amygdala
#: are grey, the brainstem is white).
TRUTH = {"csf": 1, "gm": 2, "wm": 3, "vcsf": 4, "other_head": 5}
