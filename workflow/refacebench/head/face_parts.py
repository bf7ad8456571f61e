"""The parts of the face: where they lie in the template's space, where on a scan, and if at all.

Landmarks are boxes in the template's space, placed by hand on the mean head.  Arrays in,
arrays out.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from refacebench.head.average import extended_mean_head
from refacebench.head.space import bounding_box, inside_box
from refacebench.head.template import mean_head, mean_head_mask
from refacebench.image.geometry import coarse, crop, grow
from refacebench.image.nifti import Volume

#: Labels of :func:`face_region`.
FACE_LABELS = {"nose": 1, "eyes": 2, "mouth": 3, "chin": 5}
#: Label of the ears in :func:`face_region`: a part of its own, not one of the face.
EAR_LABEL = 4
#: Parts that count as one, the lower face, where parts are averaged: many scans end between them.
LOWER_FACE = ("mouth", "chin")
#: Boxes (x, y, z from-to in template mm) of the parts of the face, placed by hand on the
#: mean head: x to the right, y forwards, z upwards.  Later boxes do not overwrite earlier ones.
FACE_BOXES = {
    "nose": [((-20.0, 20.0), (90.0, 150.0), (-84.0, -30.0))],
    "eyes": [
        ((-56.0, -12.0), (66.0, 150.0), (-54.0, -22.0)),
        ((12.0, 53.0), (66.0, 150.0), (-54.0, -22.0)),
    ],
    # The groove under the lower lip lies between mouth and chin.
    "mouth": [((-40.0, 40.0), (72.0, 150.0), (-112.0, -84.0))],
    "chin": [((-40.0, 40.0), (72.0, 150.0), (-165.0, -112.0))],
}
#: Boxes of the outer ears, as :data:`FACE_BOXES`, with a few millimetres of the skin behind them;
#: left is the person's own left (negative x).  The mean head's midline lies at x = -4 there.
EAR_BOXES = {
    "ear_left": ((-110.0, -66.0), (-45.0, 20.0), (-82.0, -14.0)),
    "ear_right": ((60.0, 104.0), (-45.0, 20.0), (-82.0, -14.0)),
}
#: The face is this layer under the head's surface.
FACE_DEPTH_MM = 20.0


def face_region(volume: Volume, head: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Label the parts of the face on a scan's grid.

    The parts are boxes in template space (:data:`FACE_BOXES`), intersected with
    the scan's own head to a depth of :data:`FACE_DEPTH_MM` under its surface.
    The forehead is left out: no defacer takes it away.  Note that pydeface's
    mask leaves the upper half of the eyes by design.

    Parameters
    ----------
    volume : Volume
        The scan, for its grid.
    head : numpy.ndarray of bool
        Head mask of the *original* scan.
    matrix : numpy.ndarray
        4 x 4, the scan's RAS+ mm -> template mm.

    Returns
    -------
    numpy.ndarray of uint8
        0 elsewhere, 1 nose, 2 eyes (lids, eyeballs' front, orbital rims),
        3 mouth, 5 chin, 4 ears (:data:`EAR_BOXES`).  A part outside the field of
        view has no voxels.
    """
    labels = np.zeros(volume.shape, np.uint8)
    face = [(box, FACE_LABELS[name]) for name, part in FACE_BOXES.items() for box in part]
    # Face and ears lie far apart: depths are needed around each alone.
    for boxes in (face, *([(box, EAR_LABEL)] for box in EAR_BOXES.values())):
        region = bounding_box(volume, matrix, [box for box, _ in boxes], FACE_DEPTH_MM + 5.0)
        if any(s.start >= s.stop for s in region):
            continue
        layer = head[region] & grow(~head[region], volume.spacing, FACE_DEPTH_MM)
        part, own = crop(volume, region), labels[region]
        for box, label in boxes:
            own[layer & (own == 0) & inside_box(part, matrix, box)] = label
    return labels


def mean_share(shares: Mapping[str, float], lower: float) -> float:
    """Return the mean over the parts of a face that are in view, the lower face as one.

    Parameters
    ----------
    shares : mapping of str to float
        By part, in 0..1; NaN for one that is not in view.  Only parts of the face itself.
    lower : float
        The share of the lower face (:data:`LOWER_FACE`).

    >>> round(mean_share({"nose": 0.1, "eyes": np.nan, "mouth": 0.9, "chin": 0.0}, 0.5), 3)
    0.3
    """
    counted = [*(share for name, share in shares.items() if name not in LOWER_FACE), lower]
    known = [share for share in counted if np.isfinite(share)]
    return float(np.mean(known)) if known else np.nan


def load() -> None:
    """Read what all scans share, once a process and before it forks."""
    _average_face()


@functools.cache
def _average_face() -> tuple[np.ndarray, np.ndarray]:
    """Return points of an average face, (n, 3) in template mm, about 2 mm apart; their labels.

    They are the mean head's, but for the chin: that lies below the mean head's field of view and
    is the extended mean head's.
    """
    mean = coarse(mean_head().with_data(mean_head_mask().astype(np.float32)), 2.0)
    chin = FACE_LABELS["chin"]
    points, labels = [], []
    for head, below in ((mean, False), (extended_mean_head()[1], True)):
        face = face_region(head, head.data > 0.5, np.eye(4))
        wanted = np.argwhere((face == chin) if below else (face > 0) & (face != chin))
        points.append(wanted @ head.affine[:3, :3].T + head.affine[:3, 3])
        labels.append(face[tuple(wanted.T)])
    return np.concatenate(points), np.concatenate(labels)


def face_present(volume: Volume, head: np.ndarray, matrix: np.ndarray) -> dict[str, float]:
    """Return, per part, how much of an average face the scan's head fills.

    The average face is laid on the scan; the share of it inside the
    scan's head mask is near 1 for a complete face, and far lower where the
    scan had been defaced before or the face lies outside the field of view.

    Returns
    -------
    dict of str to float
        For each of :data:`FACE_LABELS`, a share in 0..1.
    """
    points, kinds = _average_face()
    to_scan = np.linalg.inv(matrix @ volume.affine)
    voxels = np.rint(points @ to_scan[:3, :3].T + to_scan[:3, 3]).astype(int)
    inside = ((voxels >= 0) & (voxels < np.array(volume.shape))).all(axis=1)
    hit = np.zeros(len(points), bool)
    hit[inside] = head[tuple(voxels[inside].T)]
    return {name: float(hit[kinds == label].mean()) for name, label in FACE_LABELS.items()}
