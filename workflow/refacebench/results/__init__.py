"""The results of a run, one file each: how a table is made, said, drawn and printed.

A module of this folder exports a :class:`~refacebench.results.result.Result` as ``RESULT``.  It
declares the columns of a table, how they are computed, the caption, the figures, and the
section of the page that they stand in.  :mod:`refacebench.results.catalogue` finds them; the
rules, the LaTeX tables, the page and the reference of the columns go through its list.  A new
result is one new file here.

Input of most results is the *measurement table*: the manifests of the measure stage
of all variants (:func:`refacebench.statistics.cohort.assemble`), one row per scan
x variant x segmenter, with these columns behind the manifest's own
(:data:`refacebench.manifest.COLUMNS`):

``segmenter``; ``vol_<name>`` in ml for ``vocabulary.GLOBALS`` and ``REGIONS``;
``dice_<s>``, ``iou_<s>`` for s in brain, vcsf, wm, gm (against the original's
segmentation); ``truth_dice_<s>`` and the columns of
:data:`refacebench.metrics.truth.COLUMNS` (against true labels, where there are any);
``corr_front``, ``corr_full``, ``ssim_front``, ``ssim_full``;
``brain_voxels``, ``brain_removed``, ``brain_changed``, ``changed_voxels``;
``face_left`` (share of the face region that is still there) and
``face_left_<part>``; ``face_shown_<part>`` of refaced variants; ``quality``
(success, failure_1, failure_2, failure_1+2, untouched, no_face, crash);
``defacer_engine``, ``defacer_version``; ``<step>_seconds`` and ``<step>_peak_mb`` of
prepare, deface and reface.

Rows of ``variant == "original"`` are the reference; rows with ``role ==
"rescan"`` are originals of another session, declared as a rescan, of the same participants
and serve only as the scan-rescan yardstick; originals of ``split == "train"`` serve only
to fit the brain-age model.  A row whose ``status`` is not ``ok`` counts against its
variant in the "all scans" results; it has no measures but those that need no segmentation,
where there is an image.  A scan whose original was not measured is in no denominator; the
``flow`` table says why.  What no segmenter touches (similarity, face, verdict of the checks,
times) counts every image that there is, also where a brain could not be segmented
(:func:`refacebench.statistics.cohort.images`).

Conventions of every table:

- ``n`` counts participants with a value (the unit of means, medians and tests; a participant's
  sessions are averaged first), ``n_scans`` their scans, ``n_failed`` the scans that the
  original has and the variant has not.  In ``quality``, ``flow_counts`` and ``runtime`` ``n``
  counts scans.
- Columns of completers leave failed scans out; ``*_all`` and ``share_over`` count them
  against the variant.
- ``low`` and ``high`` (and ``<name>_low``, ``<name>_high``) are 95 % intervals over
  participants, each by itself (:mod:`refacebench.statistics.intervals`,
  ``docs/validation/intervals.md``); those of shares count fewer scans where participants have
  several.
- ``mde_*``, ``*_mde`` and ``*detectable`` are what a test would have found with the wanted power.
- ``*_share`` and ``share_*`` lie in 0..1, ``*_pct`` in percent.
- ``note`` begins with ``unavailable:`` in the rows of a variant whose program is missing; there
  ``n`` is 0, nothing is counted as failed and no test joins a family.
- Nothing measured gives NaN in the row, not a missing row and no exception.
"""

#: Raise it when a table changes for the same measurements.
VERSION = "15"
