"""The contract of a segmenter: one module, named as in the config.

A module ``segmenters/<name>.py`` defines

``VERSION : str`` and ``OPTIONS : dict``
    As for defacers; ``ENGINE`` or ``engine(options)`` likewise.
``segment(volume, options, source) -> Segmentation``
    ``volume`` : :class:`refacebench.image.nifti.Volume`, float32, any orientation.
    ``source`` : path of the file, for external programs.  Sees nothing but
    this one image: carrying anything over from the original scan would hide
    the effect that the benchmark measures.

and may define ``prepare(options, folder)``, called once a batch before the
first scan (loads templates and network weights that all scans share); what is
costly to build may be kept in ``folder`` for other batches; and ``PRELOAD``,
names of heavy packages to import once a batch.
"""

from __future__ import annotations
