"""Looks for pictures of heads in files that are to be shared, for tests.

Curves and dots are drawn in flat colours; a photograph, a rendering or a slice has areas of
greys that change little by little.
"""

import io

import numpy as np
from PIL import Image

from refacebench.attackers import face_recognition


def shaded(picture):
    """Return where a picture (rows, columns, 3) has such areas."""
    from scipy import ndimage

    grey = picture.astype(float).mean(axis=2)
    neutral = np.ptp(picture.astype(int), axis=2) <= 4
    across, down = np.abs(np.gradient(grey))
    step = np.maximum(across, down)
    smooth = neutral & (grey > 25) & (grey < 235) & (step > 0.4) & (step < 14)
    return ndimage.uniform_filter(smooth.astype(np.float32), 9) > 0.5


def boxes(picture, least=48):
    """Return the parts of a picture that hold such areas, the largest first."""
    from scipy import ndimage

    labels, _ = ndimage.label(ndimage.binary_dilation(shaded(picture), iterations=6))
    found = [b for b in ndimage.find_objects(labels) if min(s.stop - s.start for s in b) >= least]
    return sorted(found, key=lambda b: -np.prod([s.stop - s.start for s in b]))


def picture(content):
    """Return the pixels of a PNG and what it says of itself."""
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image.convert("RGB")), image.info.get("Description", "")


def face_score(part):
    """Return dlib's score of the likeliest face in part of a picture; NaN without dlib."""
    if face_recognition.missing({}):
        return np.nan
    size = max(part.shape[:2])
    square = np.full((size, size), 255, np.uint8)
    square[: part.shape[0], : part.shape[1]] = part.mean(axis=2)
    small = Image.fromarray(square).resize((192, 192))
    return face_recognition.detection(np.asarray(small), 192)
