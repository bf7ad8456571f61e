"""Receiver operating characteristic of an attacker: pairs that are accepted below a threshold."""

from __future__ import annotations

import numpy as np

from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import clopper_pearson, quantiles, resample_counts, wider
from refacebench.statistics.trials import Trials

#: Participants x resamples that are held at once.
_CHUNK = 200


class Roc:
    """Accepting pairs below a threshold: true accepts against false accepts.

    Every participant weighs the same, as does every trial of a participant and
    every other of a trial.  The curve has its corners at the distances of
    matches, which suffices: between them only false accepts grow.

    Parameters
    ----------
    t : Trials
        Of one resplit; those without a score are left out.
    """

    def __init__(self, t: Trials):
        t = t.only(t.scored)
        self.people, person = np.unique(t.participant, return_inverse=True)
        self.corners = np.unique(t.match)
        self.n_pairs = int(np.isfinite(t.others).sum())
        shape = (len(self.people), len(self.corners))
        self.parts = {name: np.zeros(shape) for name in ("fa_lt", "fa_le", "ta_lt", "ta_le")}
        weight = 1.0 / np.bincount(person)[person]
        for i, p in enumerate(person):
            others = np.sort(t.others[i][np.isfinite(t.others[i])])
            below = np.searchsorted(others, self.corners, side="left") / len(others)
            self.parts["fa_lt"][p] += weight[i] * below
            up_to = np.searchsorted(others, self.corners, side="right") / len(others)
            self.parts["fa_le"][p] += weight[i] * up_to
            self.parts["ta_lt"][p] += weight[i] * (t.match[i] < self.corners)
            self.parts["ta_le"][p] += weight[i] * (t.match[i] <= self.corners)

    def path(self, counts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return false and true accepts at all corners, shape (n_resamples, n_corners).

        Parameters
        ----------
        counts : numpy.ndarray, optional
            How often each participant is drawn, shape (n_resamples, n_people).
        """
        if counts is None:
            counts = np.ones((1, len(self.people)))
        total = counts.sum(axis=1, keepdims=True)
        mixed = {name: counts @ part / total for name, part in self.parts.items()}
        paths = []
        for kind in ("fa", "ta"):
            path = np.zeros((len(counts), 2 * len(self.corners) + 2))
            path[:, 1:-1:2], path[:, 2:-1:2] = mixed[f"{kind}_lt"], mixed[f"{kind}_le"]
            path[:, -1] = 1.0
            paths.append(path)
        return paths[0], paths[1]


def roc_area(false: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the area under each curve: the probability that a match is closer than another."""
    return (np.diff(false, axis=1) * (true[:, 1:] + true[:, :-1]) / 2).sum(axis=1)


def equal_error_rate(false: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return where false accepts equal false rejects, linear between corners."""
    gap = false + true - 1.0  # rises from -1 to 1
    after = np.argmax(gap >= 0, axis=1)
    rows = np.arange(len(gap))
    low, high = gap[rows, after - 1], gap[rows, after]
    part = -low / (high - low)
    return false[rows, after - 1] + part * (false[rows, after] - false[rows, after - 1])


def true_accepts(false: np.ndarray, true: np.ndarray, level: float) -> np.ndarray:
    """Return the share of true accepts at a share of false ones, linear between corners."""
    rows = np.arange(len(false))
    before = (false <= level + 1e-12).sum(axis=1) - 1
    after = np.minimum(before + 1, false.shape[1] - 1)
    width = false[rows, after] - false[rows, before]
    part = np.divide(level - false[rows, before], width, out=np.zeros(len(rows)), where=width > 0)
    return true[rows, before] + np.clip(part, 0, 1) * (true[rows, after] - true[rows, before])


def of_resplits(t: Trials) -> list[Roc]:
    """Return the curve of each resplit; distances of different resplits are never pooled."""
    return [
        Roc(t.only(t.resplit == number))
        for number in np.unique(t.resplit)
        if t.scored[t.resplit == number].any()
    ]


#: As how many participants each one counts in a number that all pairs have a part in (area, equal
#: error rate): where pairs are alike, their variance is 2/3 of that of as many single hits.
OF_PAIRS = 1.5


def interval(
    value: float, replicates: np.ndarray, people: float, level: float
) -> tuple[float, float]:
    """Return the interval of a number between 0 and 1 that is read off a curve.

    The percentile bootstrap over participants, widened to the Clopper-Pearson interval of so
    many ``people``: the bootstrap is too short in small samples, and has no width where all are
    right or all wrong.
    """
    return wider(quantiles(replicates, level), clopper_pearson(value * people, people, level))


def resampled(roc: Roc, statistics, criteria: Criteria) -> np.ndarray:
    """Return statistics of the resampled curves, shape (n_statistics, n_boot)."""
    counts = resample_counts(len(roc.people), criteria.n_boot, criteria.seed)
    parts = []
    for start in range(0, len(counts), _CHUNK):
        path = roc.path(counts[start : start + _CHUNK])
        parts.append([statistic(*path) for statistic in statistics])
    return np.concatenate(parts, axis=1)
