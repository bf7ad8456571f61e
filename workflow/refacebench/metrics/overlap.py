"""Overlap of segmentations: Dice and intersection over union.

Arrays in, numbers out; nothing is read or written here.  The cut into the four
structures that are compared (whole brain, ventricular CSF, white matter, grey
matter) follows table 1 of Van der Goten et al. 2021 (CP-GAN).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refacebench.head.labels import is_brain, is_grey
from refacebench.vocabulary import DSEG, TRUTH, TRUTH_REGIONS

#: What is compared, in the order of every table.
STRUCTURES = ("brain", "vcsf", "wm", "gm")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient 2 |A and B| / (|A| + |B|) of two masks.

    Parameters
    ----------
    a, b : numpy.ndarray of bool
        Masks of one shape.

    Returns
    -------
    float
        0 to 1; 0 when exactly one mask is empty; NaN when both are, because
        two absent structures say nothing about agreement.

    Raises
    ------
    ValueError
        If the masks differ in shape.

    >>> dice(np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool))
    0.5
    """
    both, size_a, size_b = _counts(a, b)
    return 2.0 * both / (size_a + size_b) if size_a + size_b else float("nan")


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union (Jaccard index) of two masks.

    Empty masks are treated as by :func:`dice`; the two are tied by
    ``iou = dice / (2 - dice)``.
    """
    both, size_a, size_b = _counts(a, b)
    union = size_a + size_b - both
    return both / union if union else float("nan")


def _counts(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int]:
    if a.shape != b.shape:
        raise ValueError(f"masks of shapes {a.shape} and {b.shape} cannot be compared")
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    return int(np.count_nonzero(a & b)), int(np.count_nonzero(a)), int(np.count_nonzero(b))


def structures(dseg: np.ndarray, brain: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mask of each of :data:`STRUCTURES` of one segmentation.

    Parameters
    ----------
    dseg : numpy.ndarray of int
        Tissue labels, see :data:`refacebench.vocabulary.DSEG`.
    brain : numpy.ndarray of bool
        The segmenter's brain mask on the same grid.
    """
    if dseg.shape != brain.shape:
        raise ValueError(f"labels have shape {dseg.shape}, the brain mask has {brain.shape}")
    masks = {name: dseg == DSEG[name] for name in STRUCTURES if name != "brain"}
    return {"brain": np.asarray(brain, dtype=bool), **masks}


def truth_structures(truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mask of each of :data:`STRUCTURES` of true labels.

    Parameters
    ----------
    truth : numpy.ndarray of int
        A ``desc-truth_dseg`` image, see :data:`refacebench.vocabulary.TRUTH`.
        The subcortical structures belong to grey matter, the brainstem to white.
        The brain is all of them and the CSF.
    """
    return {
        "brain": is_brain(truth),
        "vcsf": truth == TRUTH["vcsf"],
        "wm": (truth == TRUTH["wm"]) | (truth == TRUTH_REGIONS["brainstem"]),
        "gm": is_grey(truth),
    }


def overlaps(
    a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], prefix: str = ""
) -> dict[str, float]:
    """Return ``dice_<s>`` and ``iou_<s>`` for every structure that both have.

    Parameters
    ----------
    a, b : mapping of str to numpy.ndarray of bool
        Masks by name, as :func:`structures` returns them.
    prefix : str
        Put before each name, for example ``"truth_"``.
    """
    shared = [name for name in STRUCTURES if name in a and name in b]
    scores = {f"{prefix}dice_{name}": dice(a[name], b[name]) for name in shared}
    return {**scores, **{f"{prefix}iou_{name}": iou(a[name], b[name]) for name in shared}}
