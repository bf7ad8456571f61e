"""From measurements to tables: pure functions, tables in, tables out.

Input everywhere is the *measurement table*: the manifests of the measure stage
of all variants (:func:`refacebench.statistics.cohort.assemble`), one row a scan
x variant x segmenter, with these columns behind the manifest's own
(:data:`refacebench.manifest.COLUMNS`):

``segmenter``; ``vol_<name>`` in ml for ``segmenters.GLOBALS`` and ``REGIONS``;
``dice_<s>``, ``iou_<s>`` for s in brain, vcsf, wm, gm (against the original's
segmentation); ``truth_dice_<s>`` and the columns of
:data:`refacebench.metrics.truth.COLUMNS` (against true labels, where there are any);
``corr_front``, ``corr_full``, ``ssim_front``, ``ssim_full``;
``brain_voxels``, ``brain_removed``, ``brain_changed``, ``changed_voxels``;
``face_left`` (share of the face region that is still there) and
``face_left_<part>``; ``quality``
(success, failure_1, failure_2, failure_1+2, untouched, no_face, crash);
``defacer_engine``, ``defacer_version``; ``<step>_seconds`` and ``<step>_peak_mb`` of
prepare, deface and reface.

Rows of ``variant == "original"`` are the reference; rows with ``role ==
"rescan"`` are originals of another session, declared as a rescan, of the same participants
and serve only as the scan-rescan yardstick; originals of ``split == "train"`` serve only
to fit the brain-age model.  A row whose ``status`` is not ``ok`` has no measures
and counts against its variant in the "all scans" results.  A scan whose original
was not measured is in no denominator; the ``flow`` table says why.

Output tables, written to ``results/tables/{dataset}/``, columns in
:data:`refacebench.statistics.columns.TABLES`:

``flow``          one row a scan of the inventory and variant: ``stage`` that stopped it
                  or the last one that it passed, ``status`` (ok, excluded, failed,
                  unavailable = the defacer's program is not on this machine,
                  not_used = left out on purpose, missing = lost), ``reason``.  These rows
                  end in inventory ... measure.  Beside them stand rows of scans that were
                  lost elsewhere, whose measures may be whole: stage brainage (no age), and
                  render, enrol and attack (lost on the way to the attacks, in a variant, a
                  control, or as an original of another session; ``reason`` names the attacker)
``flow_counts``   scans that entered and left each stage of a variant; render, enrol and attack
                  begin with the variant's image again, and a scan that any attacker lost is
                  lost.  Companions of a scan are counted in ``carried``
``quality``       scans in each class; ``unrated``: ok but without a class; engine and
                  version of the defacer; ``face_removed`` of ``n_face`` scans are no
                  Failure I, in ``brain_unchanged`` of ``n_brain`` outputs no voxel of the
                  brain mask differs; brain voxels removed and changed
``overlap``       structure x measure (dice, iou): completers, and ``*_all`` with failed
                  scans as 0
``volumes``       region x variant: paired tests, see below
``volumes_over``  the same on the scans that the defacer ``selected_by`` changed by more
                  than the threshold
``changes``       share of scans with a change above ``threshold_pct`` in gm, wm, csf or tiv
``repeatability`` scan-rescan difference of each volume and the margin made from it
``brainage``      error and shift of predicted age
``similarity``    measure (corr, ssim) x region (front, full) x site, ``all`` pools sites
``runtime``       seconds and MB of each step that makes a variant (prepare, deface, reface) and
                  of all together (``total``), a scan; ``seconds_mean`` adds up
``truth``         Dice with true labels, only where truth exists
``face_parts``    scans in which nose, eyes, mouth or ears are left, by variant
``verdict_agreement`` sensitivity and specificity of the automatic verdict against the one from
                  true labels; empty without truth
``carried``       what became of the other images of a session (T2w, FLAIR), by contrast;
                  empty unless the dataset has ``carry``

``note`` begins with ``unavailable:`` in the rows of a variant whose program is
missing; there ``n`` is 0, nothing is counted as failed and no test joins a family.

``n`` counts participants (the unit of means, medians and tests; a participant's
sessions are averaged first), ``n_scans`` their scans, ``n_failed`` the scans that
the original has and the variant has not.  In ``quality``, ``flow_counts`` and
``runtime`` ``n`` counts scans.  ``low`` and ``high`` (and ``<name>_low``,
``<name>_high``) are 95 % intervals: participant bootstrap for means, medians
and effect sizes, Wilson for shares, with the effective number of scans where
participants have several.  ``*_share`` and ``share_*`` lie in 0..1, ``*_pct``
in percent.  ``share_over`` counts failed scans as changed, ``share_over_completers``
leaves them out, ``n_over`` counts the completers that changed.

``volumes``: ``median_change_pct`` has its interval in ``low`` and ``high``, and in
``low_joint`` and ``high_joint`` one that all volumes of a variant hold at once (exact for the
median, Bonferroni; missing where there are too few participants for it);
``W``, ``p`` and ``rank_biserial`` are those of the differences in ml (Wilcoxon
signed-rank, ``n_zero`` participants without any); ``p_holm`` and ``p_bh`` are
corrected within ``family``: ``regions`` = 17 regions and TIV x all variants but
the original, of one segmenter (``family_size`` tests), ``globals`` = the other
whole-brain volumes, likewise.  ``p_tost`` is that of two one-sided signed-rank
tests of the percent changes against ``margin_pct`` (``margin_source``: rescan or
config); ``equivalent`` is 1 if ``p_tost_holm`` is below alpha, else 0.
``mde_pct`` is the shift that would have been detected with the wanted power at
alpha / family size; ``inf`` where so few participants cannot reach that level.

``brainage``: ``mae`` is that of predictions *before* the age-bias correction
(the correction uses the age and would flatter any model); ``shift`` is
predicted(variant) - predicted(original) in corrected years, ``shift_abs`` the
mean of its absolute values, ``rescan_shift_abs`` the same between two sessions
of a person; ``gap`` is corrected prediction - age; ``mae_change`` is against the
original on the same scans; ``r2_train_cv`` and ``mae_train_cv`` are out-of-fold
by participant, uncorrected; ``note`` says why there is no model.

Where attackers are configured, from their scores (:mod:`~refacebench.statistics.scores`):

``privacy``           one row a variant, attacker and setting; how people are counted,
                      ties, tests and intervals: :mod:`~refacebench.statistics.privacy`;
                      ``n_expected`` participants were planned, ``shortfall`` says why there
                      are fewer, or fewer queries or people in the gallery
``privacy_curves``    points of the CMC, top-alpha and ROC curves, with bootstrap intervals
                      (``low``, ``high``) or ranges over resplits (``band_*``)
``privacy_warnings``  what the controls say; read it first
``privacy_likeness``  distance to the true face against that of the average face
                      (:mod:`~refacebench.statistics.likeness`)
``tradeoff``          the worst case over attackers and reconstructions against the largest
                      change of a volume, Pareto front (:mod:`~refacebench.statistics.tradeoff`)
``raters``            rates of human raters, where answers were collected
                      (:mod:`refacebench.raters`)

``privacy``: ``rank1``, ``rank_k`` and ``choice`` are of all participants, those without a score
counted as not named; ``*_completers`` are of the ``n_completers`` with a score, and so are the
tests.  ``n_failed`` counts queries.

``tradeoff``: ``identification`` is how often the worst attack identifies ``n_completers``
participants, picked on some and judged on others; ``low`` and ``high`` hold the true worst case,
whatever the number of ``n_routes``, so that ``low`` above ``chance`` says that an attack beats
chance.  ``worst_attacker`` and ``worst_route`` name the attack that looks worst and
``worst_rate`` is what it reached, too high on average.  ``p`` tests whether any route is above
chance (:mod:`~refacebench.statistics.worst`), ``p_holm`` is corrected over a setting's variants.
``n_failed`` counts participants without any score on the variant; ``identification_all``
counts them as identified.  ``volume_change_pct`` is the largest absolute median change over
all volumes, that of ``worst_volume``.  ``comparable`` is 0 where half or more failed; such a
variant has no ``rank``.  Variants that nothing separates share a ``rank``; ``pareto`` is 1 for
rank 1, else 0, and missing for controls.
"""

#: Raise it when a table changes for the same measurements.
VERSION = "6"
