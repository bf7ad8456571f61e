"""afni_refacer: zero the face, or put a shell of an average face in its place.

The operation of AFNI's ``@afni_refacer_run`` (Cox & Taylor): a signed shell in
a template's space is brought to the scan by an affine of 9 parameters.  Negative
= air before the face, 0 = keep, positive = a replacement face.  ``deface`` keeps
what has shell 0 and sets all else to zero; ``reface`` writes shell x mean(input in the
shell) / mean(shell) where it is positive, zero where it is negative, and blurs
lightly inside the shell (FWHM 2.67 mm); ``reface_plus`` has the skull in its shell as well.

What is this project's own: AFNI's shells are not used.  The shell is built at run time
from the mean head, continued below its field of view
(:mod:`refacebench.head.region`): a layer under its surface within face and
ears, with the tissue of a sharp head in that shape (:mod:`refacebench.head.sharp`).  The shared
registration has 12 parameters; ``dof: 9`` takes the translation, rotation and three scales that
are nearest to it at nose, lips, chin, eyes, brows and ears; ``dof: 12`` takes it as it is.
"""

from __future__ import annotations

import numpy as np

from refacebench.contracts import Defaced, Defacer, Option, PreparedScan
from refacebench.defacers._options import PROTECT_MARGIN, ears, upper
from refacebench.head import region, space
from refacebench.head.shell import signed_shell
from refacebench.image import geometry
from refacebench.image.nifti import Volume

VERSION = "4"
MODES = ("deface", "reface", "reface_plus")
OPTIONS = {
    "mode": Option(
        "deface",
        "Deface sets the face to zero, reface puts the average face's shell in its place, "
        "reface_plus puts its skull there as well.",
        choices=MODES,
    ),
    "ears": ears(True),
    "upper": upper("brow"),
    "dof": Option(
        9,
        "Parameters of the shell's registration: 9 as the program has them, or the shared "
        "registration's 12.",
        choices=(9, 12),
    ),
    "protect_margin_mm": PROTECT_MARGIN,
}
#: Full width at half maximum of the blur inside the shell.
FWHM_MM = 2.67
#: Where 9 parameters are fitted to 12: nose, lips, chin, eyes, brows, ears; template mm.
LANDMARKS = np.array(
    [
        (0, 114, -70),
        (0, 102, -98),
        (0, 92, -130),
        (-33, 92, -38),
        (30, 92, -38),
        (-25, 97, -10),
        (25, 97, -10),
        (-76, -10, -45),
        (70, -10, -45),
    ],
    float,
)


def check(options: dict) -> None:
    """Check the options.

    Raises
    ------
    ValueError
        If one of them is not known.
    """
    region.check("afni_refacer", options)
    if options["mode"] not in MODES:
        raise ValueError(f"afni_refacer: mode: {options['mode']!r} is none of {', '.join(MODES)}")
    if options["dof"] not in (9, 12):
        raise ValueError(f"afni_refacer: dof: {options['dof']!r} must be 9 or 12")


def title(options: dict) -> str:
    """Return the line that says what an entry is; two modes may take part."""
    return f"afni_refacer ({options['mode']})"


def prepare(options: dict) -> None:
    """Build the shell once for all scans of a batch."""
    signed_shell(options["mode"], options["upper"], options["ears"])


def deface(scan: PreparedScan, options: dict) -> Defaced:
    """Set the face to zero, or replace it by the shell.

    Raises
    ------
    ValueError
        For an unknown option, if the face lies outside the field of view, or if
        there is no signal under the shell to scale the shell by.
    """
    check(options)
    region.require_face("afni_refacer", scan.volume, scan.to_template, scan.head)
    matrix = nine_parameters(scan.to_template) if options["dof"] == 9 else scan.to_template
    shell = signed_shell(options["mode"], options["upper"], options["ears"])
    where, share = region.place(
        shell.with_data((shell.data != 0).astype(np.float32)), scan.volume, matrix
    )
    values = np.zeros(scan.volume.shape, np.float32)
    changed = np.zeros_like(scan.volume.data, bool)
    changed[where] = share > 0.5
    if options["mode"] != "deface":
        part = geometry.crop(scan.volume, where)
        face = _positive_part(shell, part, matrix)
        positive = changed[where] & (face > 0)
        values[where] = _replacement(part.data, face, positive, part.spacing)
    return Defaced(values, changed)


def _positive_part(shell: Volume, part: Volume, matrix: np.ndarray) -> np.ndarray:
    """Return the shell's replacement face on a part of the scan, 0 where there is none.

    The face's extent and its intensity are interpolated apart: between a face's
    intensity and the -1 of air a mean has no sense.
    """
    positive = (shell.data > 0).astype(np.float32)
    solid = space.warp_to_scan(shell.with_data(positive), part, matrix)
    face = space.warp_to_scan(shell.with_data(shell.data * positive), part, matrix)
    return np.where(solid > 0.5, face / np.maximum(solid, 1e-6), 0)


def _replacement(data, face, positive, spacing) -> np.ndarray:
    """Return the scaled, lightly blurred shell; zero where it is not positive."""
    from scipy.ndimage import gaussian_filter

    level = float(data[positive].mean()) if positive.any() else 0.0
    if not level > 0:
        raise ValueError("afni_refacer: there is no signal under the shell to scale the shell by")
    scaled = np.where(positive, face * (level / float(face[positive].mean())), 0)
    sigma = FWHM_MM / np.sqrt(8 * np.log(2)) / spacing
    weight = gaussian_filter(positive.astype(np.float32), sigma)
    blurred = gaussian_filter(scaled.astype(np.float32), sigma) / np.maximum(weight, 1e-6)
    return np.where(positive, blurred, 0).astype(np.float32)


def nine_parameters(matrix: np.ndarray, points: np.ndarray = LANDMARKS) -> np.ndarray:
    """Return the scan-to-template matrix of translation, rotation and three scales next to a given.

    The template is stretched along its own axes, then rotated and shifted; the
    sum of squared distances in the scan between where this and where ``matrix``
    puts ``points`` is least (rotation and scales in turn).

    Parameters
    ----------
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm.
    points : numpy.ndarray
        Shape (n, 3), template mm, not all in one plane.

    >>> np.allclose(nine_parameters(np.diag([1.1, 0.9, 1.0, 1.0])), np.diag([1.1, 0.9, 1.0, 1.0]))
    True
    """
    to_scan = np.linalg.inv(matrix)
    target, middle = to_scan[:3, :3], points.mean(axis=0)
    spread = np.cov(points.T, bias=True)
    scales = np.linalg.norm(target, axis=0)
    for _ in range(200):
        u, _, vt = np.linalg.svd(target @ spread * scales)
        # No mirror image, should the points and the matrix ask for one.
        rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
        scales = np.diag(rotation.T @ target @ spread) / np.diag(spread)
    result = np.eye(4)
    result[:3, :3] = rotation * scales
    result[:3, 3] = target @ middle + to_scan[:3, 3] - result[:3, :3] @ middle
    return np.linalg.inv(result)


METHOD = Defacer(
    version=VERSION,
    title=title,
    options=OPTIONS,
    run=deface,
    check=check,
    prepare=prepare,
    sources=("https://afni.nimh.nih.gov/pub/dist/doc/htmldoc/tutorials/refacer/refacer_run.html",),
)
