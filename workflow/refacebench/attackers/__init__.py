"""The contract of an attacker: one module, named as in the config.

An attacker owns a gallery: originals of known people.  He is given a query, a
scan of a variant, and says how far each gallery scan is from it.  A module
``attackers/<name>.py`` defines

``VERSION : str`` and ``OPTIONS : dict``
    As for defacers.
``enrol(subject, options) -> dict of str to numpy.ndarray``
    What the attacker keeps of one scan (:class:`Subject`); each entry has the
    same shape for all scans.  An entry ``detected`` (bool) says whether a face
    was found.  Raises ``ValueError`` with a clear message when the scan gives
    him nothing: it becomes the query's reason.
``score(queries, gallery, options, context) -> Scores``
    ``queries``, ``gallery`` : :class:`Enrolled`.  ``context`` : :class:`Context`.

and may define

``TITLE : str``
    A line for tables and the report.
``missing(options) -> str``
    What has to be installed before it can run; empty when nothing has.
``training(options) -> bool``
    Whether it wants renderings of the train split, originals and the variant's
    (then those participants' scans are defaced and refaced too).
``BRAINS = True``
    It wants the brain mask that the first segmenter found *in the variant's own
    image* (:attr:`Subject.brain_path`).
``FLOOR = True``
    It looks at no face: what it reaches is a floor under every defacer, shown
    beside the worst case and not counted in it.
``CONTROLS : tuple of str``
    Which of :data:`refacebench.rendering.CONTROLS` it can be given; default all.

An attack ends in ``results/attack/{dataset}/{attacker}/{variant}.npz``; see
:func:`refacebench.attackers._run.save_attack` for what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import rendering


@dataclass(frozen=True)
class Subject:
    """One scan as an attacker may see it.

    Attributes
    ----------
    scan, participant, session : str
        Who and when; for the bookkeeping, never for :func:`enrol`.
    views_path : str
        The rendering (:mod:`refacebench.rendering`).
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
