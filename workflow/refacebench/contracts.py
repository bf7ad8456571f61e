"""What each kind of method is: the values that its file declares, what it gets and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from refacebench.head import rendering
from refacebench.image.nifti import Volume


class ScanExcluded(Exception):
    """Raised for a scan that must be left out; the message is the reason."""


class ScanFailed(RuntimeError):
    """Raised for a scan that a method failed on; the message is the whole reason."""


class ScanInterrupted(ScanFailed):
    """Raised where something outside ended the work on a scan: another try may succeed."""


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


@dataclass(frozen=True)
class PreparedScan:
    """A scan and what the prepare stage found in it; all on the scan's own grid.

    Attributes
    ----------
    volume : Volume
        Float32 intensities in the scan's units, any orientation.
    brain : numpy.ndarray of bool
        Brain mask of the original.
    head : numpy.ndarray of bool
        Head mask (everything that is not air, holes filled).
    to_template : numpy.ndarray
        4 x 4 affine from the scan's RAS+ millimetres to those of the template
        head (:func:`refacebench.head.template.mean_head`), registered once a scan
        and shared by all defacers.
    path : Path
        The scan's file, for external programs.
    brain_path : Path
        The brain mask's file, likewise.
    seed : int
        For methods that draw random numbers; differs from scan to scan.
    warp_path : Path or None
        Where the scan's non-linear registration is kept for all defacers that want one
        (:func:`refacebench.head.warp.field`).
    """

    volume: Volume
    brain: np.ndarray
    head: np.ndarray
    to_template: np.ndarray
    path: Path
    brain_path: Path
    seed: int = 0
    warp_path: Path | None = None


@dataclass(frozen=True)
class Defaced:
    """What a defacer returns.

    Attributes
    ----------
    values : numpy.ndarray
        New intensities, scan units, the scan's grid.  Only ``values[changed]``
        is used.
    changed : numpy.ndarray of bool
        The voxels that the method wants to change.
    """

    values: np.ndarray
    changed: np.ndarray


#: What a training asks of a cluster's scheduler where the method does not say, megabytes.
MEMORY_MB = 16000


class TrainingFailed(RuntimeError):
    """No usable model came out of a training; the message says why."""


@dataclass(frozen=True)
class Pair:
    """Paths of one training scan: the original, its defaced twin, what changed."""

    scan: str
    original: str
    defaced: str
    changed: str
    brain: str
    site: str = ""


def taken(changed: np.ndarray, options: dict) -> np.ndarray:
    """Return the voxels that take a model's values; all others stay the defaced scan's.

    Parameters
    ----------
    changed : numpy.ndarray of bool
        Voxels that defacing changed.
    options : dict
        With ``composite`` true (and for a method without that option) those
        voxels alone: what defacing kept is copied back, as Huelnhagen et al.
        do.  With ``composite`` false every voxel: the model's whole output, as
        Abramian & Eklund show it; the brain then is the model's too.
    """
    return changed if options.get("composite", True) else np.ones_like(changed)


@dataclass(frozen=True)
class Subject:
    """One scan as an attacker may see it.

    Attributes
    ----------
    scan, participant, session : str
        Who and when; for the bookkeeping, never for :func:`enrol`.
    views_path : str
        The rendering (:mod:`refacebench.head.rendering`).
    control : str
        Name of the control that the rendering is turned into; empty for none.
    blur_mm : float
        Width of the blurred control.
    template_path, brain_path : str
        Matrix to the template; brain mask found in this very image, empty if
        there is none.
    """

    scan: str
    participant: str
    session: str
    views_path: str
    control: str = ""
    blur_mm: float = rendering.OPTIONS["blur_mm"]
    template_path: str = ""
    brain_path: str = ""

    def rendering(self) -> rendering.Rendering:
        """Read the rendering; a control's is made from it."""
        found = rendering.read(self.views_path)
        return rendering.control(found, self.control, self.blur_mm) if self.control else found


@dataclass(frozen=True)
class Enrolled:
    """What an attacker keeps of several scans.

    Attributes
    ----------
    scan, participant, session : numpy.ndarray of str
        Shape (n,).
    features : dict of str to numpy.ndarray
        The entries of ``enrol``, stacked along the first axis.
    """

    scan: np.ndarray
    participant: np.ndarray
    session: np.ndarray
    features: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.scan)

    @classmethod
    def empty(cls) -> Enrolled:
        """Return what is kept of no scan at all."""
        return cls(*(np.array([], dtype=str) for _ in range(3)), {})

    def take(self, rows: np.ndarray) -> Enrolled:
        """Return some of the scans, by index or boolean mask."""
        return Enrolled(
            self.scan[rows],
            self.participant[rows],
            self.session[rows],
            {name: values[rows] for name, values in self.features.items()},
        )


@dataclass(frozen=True)
class Context:
    """What else an attacker gets.

    Attributes
    ----------
    seed : int
        Of the run.
    folder : Path
        His own for this variant, for what he needs to go on after an interruption.
    trained_variant, trained_originals : Enrolled or None
        The train split's scans of the variant and originals, all sessions (if he wants them).
    """

    seed: int
    folder: Path
    trained_variant: Enrolled | None = None
    trained_originals: Enrolled | None = None


@dataclass(frozen=True)
class Scores:
    """What an attacker says of all queries.

    Attributes
    ----------
    distance : numpy.ndarray
        Shape (queries, gallery), or (resplits, queries, gallery): small is
        similar.  NaN where the two were not compared.
    resplit : numpy.ndarray of bool, optional
        Shape (resplits, queries): the query is in the resplit's evaluation part.
    extra : dict
        More arrays to be kept with the attack, whose first axis, where the name starts with
        ``query_``, runs over the queries.
    trained_on : str
        In words; empty for an attacker who is not trained here.
    """

    distance: np.ndarray
    resplit: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    trained_on: str = ""


class AttackFailed(RuntimeError):
    """The attacker cannot be run on this variant; the message says why."""


class NotEnoughTraining(ValueError):
    """No model can be fitted on these scans; the message says why."""
