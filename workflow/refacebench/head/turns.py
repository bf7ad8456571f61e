"""How a head lies that no registration finds as its header says: turned upside down, for example.

Asked where a scan was given up, to say what is wrong with it; nothing is put right by itself,
for left and right would be a guess.  Arrays in, words out.
"""

from __future__ import annotations

import numpy as np

from refacebench.head import extraction, masks, pose, registration
from refacebench.head.framing import head_window
from refacebench.image import geometry
from refacebench.image.nifti import Volume, reorient

#: Voxel edge at which it is looked for.
_MM = 2.5
#: What is wrong with a head that is upright once its header's axes are turned so.
TURNS = {
    "the head is turned upside down": np.diag([1.0, -1.0, -1.0]),
    "front and back are exchanged": np.diag([-1.0, -1.0, 1.0]),
    "top and bottom are exchanged": np.diag([-1.0, 1.0, -1.0]),
}


def explanation(volume: Volume) -> str:
    """Return how a head lies, where it is found upright with other axes; empty if it is not.

    Parameters
    ----------
    volume : Volume
        Intensities, air near zero.
    """
    small = geometry.coarse(reorient(volume), _MM)
    center = (small.affine @ [*(np.array(small.shape) - 1) / 2, 1.0])[:3]
    for words, rotation in TURNS.items():
        turned = _turned(small, rotation, center)
        if _likeness(turned) >= pose.GOOD_SHAPE and _registers(turned):
            return f"{words}: put its header right"
    return ""


def _turned(volume: Volume, rotation: np.ndarray, center: np.ndarray) -> Volume:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = center - rotation @ center
    return reorient(Volume(volume.data, matrix @ volume.affine))


def _likeness(volume: Volume) -> float:
    """Return how much what the locating network finds has the shape of a brain."""
    try:
        window, air = head_window(volume)
        found, _ = extraction.locate(volume.with_data(volume.data - np.float32(air)), window)
    except ValueError:
        return 0.0
    return 0.0 if found is None else pose.fit(found, field=volume).dice


def _registers(volume: Volume) -> bool:
    try:
        registration.register(volume, masks.head_mask(volume), schedule="quick")
    except ValueError:
        return False
    return True
