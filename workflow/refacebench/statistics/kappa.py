"""Agreement of two raters beyond chance: Cohen's kappa, with the participant as the unit.

Pure functions of labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refacebench.statistics.intervals import NO_INTERVAL, clopper_pearson


class Kappa(NamedTuple):
    """Cohen's kappa of two raters.

    Attributes
    ----------
    n : int
        Scans that both rated.
    agreement : float
        Share of them with the same rating.
    kappa, low, high : float
        NaN where both raters gave one and the same rating to everything: then nothing is left
        that could agree beyond chance.
    """

    n: int
    agreement: float
    kappa: float
    low: float
    high: float


def cohen(first, second, participants, level: float = 0.95) -> Kappa:
    """Return Cohen's kappa with an interval.

    The interval is that of the delta method (for one scan a participant the large-sample variance
    of Fleiss, Cohen & Everitt 1969), with participants as clusters and Student's quantile, widened
    to what Clopper & Pearson's interval of the share of agreement allows: where raters hardly ever
    disagree the former has no width.

    Parameters
    ----------
    first, second : sequence of str
        The two raters' ratings of the same scans.
    participants : sequence of str
        Whose scans these are.
    level : float
        Two-sided coverage.

    References
    ----------
    Cohen 1960, Educ Psychol Meas 20, 37-46; Fleiss, Cohen & Everitt 1969, Psychol Bull 72,
    323-327.
    """
    from scipy.stats import t

    labels, codes = np.unique(np.array([*first, *second], dtype=str), return_inverse=True)
    n = len(codes) // 2
    if n == 0:
        return Kappa(0, np.nan, np.nan, *NO_INTERVAL)
    one, other = codes[:n], codes[n:]
    same = (one == other).astype(float)
    row, column = (np.bincount(codes, minlength=len(labels)) / n for codes in (one, other))
    observed, expected = float(same.mean()), float(row @ column)
    if np.isclose(expected, 1.0):
        return Kappa(n, observed, np.nan, *NO_INTERVAL)
    kappa = (observed - expected) / (1 - expected)
    # Each scan's part in the first derivative of kappa.
    chance = column[one] + row[other]
    influence = (same - observed) / (1 - expected)
    influence -= (1 - observed) / (1 - expected) ** 2 * (chance - 2 * expected)
    _, person = np.unique(np.asarray(participants, dtype=str), return_inverse=True)
    sums = np.bincount(person, weights=influence)
    people = len(sums)
    if people < 2:
        return Kappa(n, observed, kappa, *NO_INTERVAL)
    spread = np.sqrt(people / (people - 1) * (sums**2).sum()) / n
    half = float(t.isf((1 - level) / 2, people - 1)) * spread
    shares = np.bincount(person, weights=same) / np.bincount(person)
    exact = clopper_pearson(float(shares.sum()), people, level)
    mapped = [(share - expected) / (1 - expected) for share in exact]
    low, high = min(kappa - half, mapped[0]), max(kappa + half, mapped[1])
    return Kappa(n, observed, float(kappa), max(-1.0, low), min(1.0, high))
