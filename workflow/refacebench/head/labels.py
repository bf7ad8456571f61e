"""What the true labels of a head say of a voxel.  Touches no file."""

from __future__ import annotations

import numpy as np

from refacebench.vocabulary import TRUTH, TRUTH_REGIONS


def is_brain(labels: np.ndarray) -> np.ndarray:
    """Return where true labels say brain, its CSF included."""
    return (labels > 0) & (labels != TRUTH["other_head"])


def is_grey(labels: np.ndarray) -> np.ndarray:
    """Return where true labels say grey matter (all structures but the brainstem)."""
    structure = (labels > 10) & (labels != TRUTH_REGIONS["brainstem"])
    return (labels == TRUTH["gm"]) | structure
