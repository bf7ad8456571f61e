"""T1w intensities of label maps: the priors of SynthSeg, and how they paint a view.

Reads the priors' files; touches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refacebench.datasets import _fields, _people, _scanner

#: Files of the priors' folder.
PRIOR_FILES = {
    "labels": "generation_labels.npy",
    "classes": "generation_classes_contrast_specific.npy",
    "means": "prior_means_t1.npy",
    "stds": "prior_stds_t1.npy",
}
#: FreeSurfer label of the cerebral white matter: its brightness is the unit of the paint.
WHITE = 2
#: Most that a class's texture may vary, as a share of its level.  Outside the brain a class joins
#: tissues (fat and muscle, say) and its prior is wider than any one tissue; as texture it would
#: roughen the skin in a way that names the person without any anatomy.
MOST_TEXTURE = 0.3
#: Standard deviation of a class's level between scans of one site, over that between sites.
SCAN_SPREAD = 0.2


def check_priors(folder: Path) -> None:
    """Raise FileNotFoundError if a file of the priors is missing."""
    missing = [name for name in PRIOR_FILES.values() if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder}: no {', '.join(missing)}; put SynthSeg's data/labels_classes_priors "
            "there, or name its place in the option priors"
        )


@dataclass(frozen=True)
class Paint:
    """T1w intensities of the labels, white matter = 1; index = place in ``labels``.

    Attributes
    ----------
    labels : numpy.ndarray of int
        FreeSurfer and extra-cerebral labels.
    classes : numpy.ndarray of int
        Class of each label; labels of a class share their intensity.
    level, texture : numpy.ndarray of float32
        Mean and within-class standard deviation of each label.
    spread : numpy.ndarray of float32
        Standard deviation of the mean between scans.
    """

    labels: np.ndarray
    classes: np.ndarray
    level: np.ndarray
    texture: np.ndarray
    spread: np.ndarray


def read_paint(folder: Path) -> Paint:
    """Read the T1w priors of SynthSeg.

    ``prior_means_t1`` and ``prior_stds_t1`` have a row of means and a row of
    standard deviations, one column per class: the normal distributions of a
    class's mean and of its standard deviation.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the files do not fit one another.
    """
    check_priors(folder)
    part = {key: np.load(folder / name) for key, name in PRIOR_FILES.items()}
    labels, classes = part["labels"].astype(int), part["classes"].astype(int)
    means, stds = part["means"], part["stds"]
    if (
        classes.shape != labels.shape
        or means.shape != stds.shape
        or len(means) != 2
        or classes.max() >= means.shape[1]
        or WHITE not in labels
    ):
        raise ValueError(f"{folder}: labels, classes and priors do not fit one another")
    white = float(means[0, classes[labels == WHITE][0]])
    air = labels == 0
    level, spread, texture = (
        np.where(air, 0, row[classes] / white).astype(np.float32)
        for row in (means[0], means[1], stds[0])
    )
    texture = np.minimum(texture, MOST_TEXTURE * level)
    return Paint(labels, classes, level, texture, spread)


def signal(head, seen, paint, row, options, seed) -> np.ndarray:
    """Paint a view: class means with exact partial volumes, and the person's texture."""
    spread = float(options["contrast_spread"])
    shift = _levels(_people.random_of(seed, "contrast", row["site"]), paint)
    shift = shift + SCAN_SPREAD * _levels(_people.random_of(seed, "contrast", row["scan"]), paint)
    levels = np.maximum(0, paint.level + spread * shift * paint.spread).astype(np.float32)
    textures = (float(options["texture"]) * paint.texture).astype(np.float32)
    mean = np.zeros(seen.grid.shape, np.float32)
    rough = np.zeros(seen.grid.shape, np.float32)
    for indices in _scanner.subvoxels(seen.voxels, 2):
        places = _scanner.gather(head.image, indices)
        mean += levels[places]
        rough += textures[places]
    rng = _people.random_of(seed, "texture", row["participant"])
    grain = rng.standard_normal(head.frame.shape).astype(np.float32)
    # Linear interpolation between nodes averages: 1.5 brings the deviation back to about 1.
    grain = 1.5 * _fields.sample(grain, head.frame, seen.points)
    return (mean + rough * grain) / 8


def _levels(rng: np.random.Generator, paint: Paint) -> np.ndarray:
    """Draw one standard normal number a class; white matter, the unit, keeps its level."""
    draws = np.clip(rng.standard_normal(int(paint.classes.max()) + 1), -2, 2)
    draws[paint.classes[paint.labels == WHITE]] = 0.0
    return draws[paint.classes]
