"""From measurements to tables: pure functions, tables in, tables out.

Input everywhere is the *measurement table*: the manifests of the measure stage
of all variants, one row a scan x variant x segmenter, with these columns
behind the manifest's own (:data:`refacebench.manifest.COLUMNS`):

``segmenter``; ``vol_<name>`` in ml for ``segmenters.GLOBALS`` and ``REGIONS``;
``dice_<s>``, ``iou_<s>`` for s in brain, vcsf, wm, gm (against the original's
segmentation); ``truth_dice_<s>`` (against true labels, where there are any);
``corr_front``, ``corr_full``, ``ssim_front``, ``ssim_full``;
``brain_voxels``, ``brain_removed``, ``brain_changed``, ``changed_voxels``;
``face_left`` (share of the face region that is still there); ``quality``
(success, failure_1, failure_2, failure_1+2, untouched, no_face, crash);
``defacer_engine``, ``defacer_version``; ``deface_seconds``, ``reface_seconds``,
``deface_peak_mb``, ``reface_peak_mb``.

Rows of ``variant == "original"`` are the reference; rows with ``role ==
"rescan"`` are originals of another session of the same participants and serve
only as the scan-rescan yardstick.  A row whose ``status`` is not ``ok`` has no
measures and counts against its variant in the "all scans" results.

Output tables, written to ``results/tables/{dataset}/``:

``flow``        dataset scan participant session split role variant stage status reason
``quality``     variant segmenter engine version n success failure_1 failure_2
                untouched no_face crash success_share success_low success_high face_left_median
                brain_removed_median brain_removed_max brain_changed_median
                brain_changed_max scans_with_brain_loss
``overlap``     variant segmenter structure measure n n_failed mean sd median low high mean_all
``volumes``     variant segmenter region n n_failed median_original_ml median_variant_ml
                median_change_pct low high W p p_holm p_bh rank_biserial rb_low
                rb_high share_over share_over_low share_over_high margin_pct p_tost p_tost_holm
                equivalent mde_pct family_size
``brainage``    variant segmenter n n_failed mae mae_low mae_high shift shift_low shift_high
                shift_sd p p_holm mae_change rescan_shift_abs r2_train_cv n_train
``similarity``  variant site measure (corr, ssim) region (front, full) n n_failed mean sd low high
``runtime``     variant step engine n seconds_median seconds_max peak_mb_median peak_mb_max
``truth``       variant segmenter structure n mean sd low high (only where truth exists)

``low`` and ``high`` are 95 % intervals (participant bootstrap for means and
medians, Wilson for shares).  ``*_share`` and ``share_*`` lie in 0..1, ``*_pct``
in percent.
"""
