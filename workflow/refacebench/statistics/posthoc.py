"""Several methods on the same participants: Friedman's test, and all pairs of methods.

Pure functions of a table with one row per participant and one column per method.  A missing value
is a participant on whom the method failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from refacebench.statistics import paired
from refacebench.statistics.shifts import ends, pair_means
from refacebench.statistics.summaries import median, spread

#: A method that failed on more than this share of the participants is left out of Friedman's
#: test of completers: it asks for participants on whom no method failed.
MOST_MISSING = 0.25


@dataclass(frozen=True)
class Friedman:
    """Friedman's test.

    Attributes
    ----------
    n, methods : int
        Participants and methods in it.
    statistic, p : float
        NaN for fewer than three methods or two participants.
    left_out : tuple of str
        The methods that failed too often to be in it.
    """

    n: int
    methods: int
    statistic: float
    p: float
    left_out: tuple[str, ...] = ()


def friedman(values: pd.DataFrame) -> Friedman:
    """Return Friedman's test over the participants whom every method went through.

    Methods that failed on more than :data:`MOST_MISSING` of the participants are left out and
    named: one method that fails on everybody would leave nobody to test the others on.

    References
    ----------
    Friedman 1937, J Am Stat Assoc 32, 675-701.
    """
    missing = values.isna().mean()
    left_out = tuple(str(name) for name in values.columns[missing > MOST_MISSING])
    complete = values.drop(columns=list(left_out)).dropna()
    return _friedman(complete, left_out)


def friedman_of_everybody(values: pd.DataFrame, low_is_good: bool = True) -> Friedman:
    """Return Friedman's test in which a failure ranks behind every value (failures tie)."""
    worst = np.inf if low_is_good else -np.inf
    return _friedman(values.fillna(worst))


def _friedman(values: pd.DataFrame, left_out: tuple[str, ...] = ()) -> Friedman:
    from scipy import stats

    n, methods = values.shape
    if methods < 3 or n < 2:
        return Friedman(n, methods, np.nan, np.nan, left_out)
    ranks = stats.rankdata(np.round(values.to_numpy(float), paired.DECIMALS), axis=1)
    if (ranks == ranks[:, :1]).all():  # all methods alike in everyone: SciPy divides by zero
        return Friedman(n, methods, 0.0, 1.0, left_out)
    found = stats.friedmanchisquare(*ranks.T)
    return Friedman(n, methods, float(found.statistic), float(found.pvalue), left_out)


def pairwise(
    values: pd.DataFrame,
    *,
    level: float = 0.95,
    zero_method: str = "pratt",
    low_is_good: bool = True,
) -> pd.DataFrame:
    """Return the paired comparison of every two methods.

    Signed-rank tests with Holm's correction over all pairs, and the Hodges-Lehmann difference.

    Parameters
    ----------
    values : pandas.DataFrame
        One row per participant, one column per method.
    low_is_good : bool
        Whether small values are good; a failure counts as worse than all.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``first``, ``second``; ``n``, participants whom both went through;
        ``difference``, first minus second, and the standard deviation ``sd`` of the
        participants', with ``low`` and ``high`` of the single pair and ``low_joint`` and
        ``high_joint``, which all pairs hold at once (Bonferroni); ``p``, ``p_holm``; ``n_all``,
        ``p_all``, ``p_all_holm``: with failures.
    """
    couples = list(combinations(values.columns, 2))
    at_once = 1 - (1 - level) / max(len(couples), 1)
    rows = []
    for one, other in couples:
        first, second = values[one].to_numpy(float), values[other].to_numpy(float)
        differences = first - second
        everybody = with_failures(first, second, low_is_good)
        means = pair_means(differences)
        (low, high), (low_joint, high_joint) = ends(means, level), ends(means, at_once)
        rows.append(
            {
                "first": one,
                "second": other,
                "n": int(np.isfinite(differences).sum()),
                "difference": median(means),
                "sd": spread(differences),
                "low": low,
                "high": high,
                "low_joint": low_joint,
                "high_joint": high_joint,
                "p": paired.wilcoxon(differences, zero_method)[1],
                "n_all": len(everybody),
                "p_all": paired.wilcoxon(everybody, zero_method)[1],
            }
        )
    table = pd.DataFrame(rows)
    for name in ("p", "p_all") if rows else ():
        table[f"{name}_holm"] = paired.correct(table[name], "holm")
    return table


def with_failures(first, second, low_is_good: bool = True) -> np.ndarray:
    """Return differences to rank: a failure of one is a larger difference than any other.

    Failures of both are no difference.  The sizes of such differences mean nothing, their
    order does.

    >>> with_failures([1.0, np.nan, np.nan], [3.0, 5.0, np.nan])
    array([-2.,  3.,  0.])
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    differences = first - second
    known = np.isfinite(differences)
    beyond = (np.abs(differences[known]).max() if known.any() else 0.0) + 1.0
    lost = np.isnan(first).astype(float) - np.isnan(second).astype(float)
    return np.where(known, differences, beyond * lost * (1 if low_is_good else -1))
