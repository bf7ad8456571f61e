"""The stages: what happens to one scan on its way, one file per stage.

Each file has ``STAGE``, the columns that it reads and adds (:mod:`refacebench.run.stage`), and
``run``, the work itself; ``run_batch``, where there are batches, is what its rule does:

``grow`` (synthetic cohorts) -> ``inventory`` -> ``prepare`` -> ``deface`` -> ``train``,
``reface`` -> ``segment`` -> ``measure``; of the same images ``render`` -> ``enrol`` ->
``attack``; beside ``deface`` for other contrasts ``align`` -> ``carry``.

In a notebook a stage works on any mapping with the columns that it reads:

.. code-block:: python

    row = {"scan": "sub-1", "path": "sub-1_T1w.nii.gz", "original_path": "sub-1_T1w.nii.gz"}
    row |= prepare.run(row, "out/original")
    row |= deface.run(row, methods.choose("defacers", "quickshear"), "out/quickshear")
"""
