"""The contract of a segmenter: one module, named as in the config.

A module ``segmenters/<name>.py`` defines

``VERSION : str`` and ``OPTIONS : dict``
    As for defacers; ``ENGINE`` or ``engine(options)`` likewise.
``segment(volume, options, source) -> Segmentation``
    ``volume`` : :class:`refacebench.images.Volume`, float32, any orientation.
    ``source`` : path of the file, for external programs.  Sees nothing but
    this one image: carrying anything over from the original scan would hide
    the effect that the benchmark measures.

and may define ``prepare(options, folder)``, called once a batch before the
first scan (loads templates and network weights that all scans share); what is
costly to build may be kept in ``folder`` for other batches; and ``PRELOAD``,
names of heavy packages to import once a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Values of ``Segmentation.tissue``.
TISSUES = {"csf": 1, "gm": 2, "wm": 3}
#: Values of a ``dseg`` image of ours.  CSF outside the ventricles is 1; all CSF is 1 or 4.
DSEG = {**TISSUES, "vcsf": 4}

#: The 17 regions whose volumes are compared, in the order of every table.
#: Values of ``Segmentation.regions`` are 1 .. 17 in this order.
REGIONS = (
    "thalamus_left",
    "thalamus_right",
    "caudate_left",
    "caudate_right",
    "putamen_left",
    "putamen_right",
    "pallidum_left",
    "pallidum_right",
    "hippocampus_left",
    "hippocampus_right",
    "amygdala_left",
    "amygdala_right",
    "brainstem",
    "frontal",
    "parietal",
    "temporal",
    "occipital",
)

#: Whole-brain measures beside the regions, in the order of every table.
GLOBALS = ("tiv", "brain", "gm", "wm", "csf", "vcsf")


@dataclass(frozen=True)
class Segmentation:
    """What a segmenter returns, on the image's own grid.

    Attributes
    ----------
    brain : numpy.ndarray of bool
        Brain mask.
    tissue : numpy.ndarray of uint8
        0 background, 1 CSF, 2 grey matter, 3 white matter (most likely class).
    vcsf : numpy.ndarray of bool
        Ventricular CSF.
    regions : numpy.ndarray of uint8
        0 or the 1-based place in :data:`REGIONS`.
    volumes : dict of str to float
        Millilitres, from partial volumes where the method has them: one entry
        for each of :data:`GLOBALS` and :data:`REGIONS`.
    quality : dict of str to float
        Anything that helps to judge the result (optional).
    """

    brain: np.ndarray
    tissue: np.ndarray
    vcsf: np.ndarray
    regions: np.ndarray
    volumes: dict[str, float]
    quality: dict[str, float] = field(default_factory=dict)
