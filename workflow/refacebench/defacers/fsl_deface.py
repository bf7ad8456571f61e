"""fsl_deface: zero everything under an affinely placed, generous mask of face and ears.

The operation of FSL's program (Almagro et al., UK Biobank pipeline, NeuroImage
166:400-424 (2018), and the released script): an affine registration to a
template, a mask drawn on a template with a big field of view, resampled to the scan;
every voxel that the interpolated mask touches is set to zero.

What is this project's own: FSL's mask is under a non-commercial licence and is not
used.  The mask is the region of :mod:`refacebench.head.region`, made at run time: the
face from ear to ear up to the upper orbital rim, past the chin but in front of
the neck, and both ears.  The registration is the shared one, to the mean head.
FSL's program does not look at the brain; here the caller keeps its voxels as
they are, so that the brain that the released program cut in 37 of 179 scans
(Gao et al. 2023) stays by construction.
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, PreparedScan
from refacebench.defacers._options import PROTECT_MARGIN, ears, upper
from refacebench.head import region
from refacebench.image import geometry

VERSION = "1"
OPTIONS = {
    "ears": ears(True),
    "upper": upper("eyes"),
    "protect_margin_mm": PROTECT_MARGIN,
}
#: Half the support of linear interpolation between the voxels of a mask of 1 mm.
TOUCH_MM = 1.0


def check(options: dict) -> None:
    """Check the options ``upper`` and ``ears``.

    Raises
    ------
    ValueError
        If one of them is not known.
    """
    region.check("fsl_deface", options)


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Set face and ears to zero.

    Raises
    ------
    ValueError
        For an unknown option, or if the face lies outside the field of view.
    """
    check(options)
    region.require_face("fsl_deface", scan.volume, scan.to_template, scan.head)
    regions = region.face(options["upper"]) + (region.ears() if options["ears"] else ())
    changed = np.zeros_like(scan.volume.data, bool)
    for body in regions:
        where = region.box(scan.volume, scan.to_template, [body], TOUCH_MM + 1.0)
        part = geometry.crop(scan.volume, where)
        changed[where] |= region.distance(part, scan.to_template, [body]) < TOUCH_MM
    return Defaced(np.zeros(scan.volume.shape, np.float32), changed)


METHOD = Defacer(
    version=VERSION,
    title="fsl_deface (mask with ears)",
    options=OPTIONS,
    run=deface,
    check=check,
    sources=("https://doi.org/10.1016/j.neuroimage.2017.10.034",),
)
