"""FreeSurfer labels, and those of heads around them, as the truth of this project.  Arrays only."""

from __future__ import annotations

import numpy as np

from refacebench.vocabulary import TRUTH, TRUTH_REGIONS

#: FreeSurfer labels of the brain by what they are in :data:`refacebench.vocabulary.TRUTH`.  25 and
#: 57 are white matter lesions, 28 and 60 ventral diencephalon, 30 and 62 perivascular spaces,
#: 72 the fifth ventricle, 136, 137, 163 and 164 choroid plexus and walls in the ventricles
#: (SynthSeg's own table gives them to the ventricles).
FREESURFER = {
    "wm": (2, 41, 7, 46, 25, 57, 28, 60),
    "gm": (3, 42, 8, 47, 26, 58),
    "vcsf": (4, 43, 5, 44, 14, 15, 72, 136, 137, 163, 164),
    "csf": (24, 30, 62),
}
#: FreeSurfer labels of the structures that are regions of their own.
FREESURFER_REGIONS = {
    "thalamus_left": 10,
    "thalamus_right": 49,
    "caudate_left": 11,
    "caudate_right": 50,
    "putamen_left": 12,
    "putamen_right": 51,
    "pallidum_left": 13,
    "pallidum_right": 52,
    "hippocampus_left": 17,
    "hippocampus_right": 53,
    "amygdala_left": 18,
    "amygdala_right": 54,
    "brainstem": 16,
}


def to_truth(labels: np.ndarray) -> np.ndarray:
    """Translate FreeSurfer and extra-cerebral labels (RAS+ axes) into our truth codes.

    CSF (24) below the lowest voxel of brainstem and cerebellum is the spinal
    canal's and becomes ``other_head``.

    >>> to_truth(np.array([0, 2, 3, 10, 507])).tolist()
    [0, 3, 2, 11, 5]
    """
    table = np.full(int(labels.max()) + 1, TRUTH["other_head"], np.uint8)
    table[0] = 0
    codes = {label: TRUTH[name] for name, group in FREESURFER.items() for label in group}
    codes |= {label: TRUTH_REGIONS[name] for name, label in FREESURFER_REGIONS.items()}
    for label, code in codes.items():
        if label < len(table):
            table[label] = code
    truth = table[labels]
    if labels.ndim == 3:
        lowest = np.flatnonzero(np.isin(labels, (7, 8, 16, 46, 47)).any(axis=(0, 1)))
        if lowest.size:
            canal = truth[:, :, : lowest[0]]
            canal[labels[:, :, : lowest[0]] == 24] = TRUTH["other_head"]
    return truth
