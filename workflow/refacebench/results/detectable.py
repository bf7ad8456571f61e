"""What tests could have found, in words: said wherever something was not shown to differ."""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.results import words
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.paired import minimum_detectable
from refacebench.statistics.power import detectable_share


def shifts(n: pd.Series, sd: pd.Series, size: int, criteria: Criteria) -> list[float]:
    """Return the smallest shift that each test of a family would probably have found.

    Parameters
    ----------
    n, sd : pandas.Series
        Participants and standard deviation of their differences, one a test.
    size : int
        Tests in the family.
    """
    level = criteria.alpha / max(size, 1)
    return [
        minimum_detectable(people, spread, level, criteria.power)
        for people, spread in zip(n, sd, strict=True)
    ]


def missed(found: pd.Series, what: str, unit: str, criteria: Criteria) -> str:
    """Return how large a shift had to be to be found; empty where nothing was tested.

    >>> missed(pd.Series([1.0, 1.5, 2.0]), "a mean shift", "years", Criteria())
    'Not shown to differ is not equal: a mean shift below 1.5 years (median over rows) would \
probably have been missed (80 % power at level 0.05 / number of tests, if differences are normal).'
    """
    found = found.dropna()
    if found.empty:
        return ""
    finite = found[np.isfinite(found)]
    if finite.empty:
        return (
            f"With so few participants {what}, however large, could not pass the correction: that "
            "none is significant says nothing here."
        )
    hopeless = len(found) - len(finite)
    return (
        f"Not shown to differ is not equal: {what} below {finite.median():.2g} {unit} (median over "
        f"rows) would probably have been missed ({100 * criteria.power:g} % power at level "
        f"{criteria.alpha:g} / number of tests, if differences are normal)"
        + (f"; in {words.plural(hopeless, 'row')} even the largest one." if hopeless else ".")
    )


def unseen(people: float, what: str, criteria: Criteria) -> str:
    """Return how rare something may be and still not be seen once; empty without participants.

    >>> unseen(13, "Such a change", Criteria())
    'Such a change that happens to fewer than 12 % of people would often not show in even one of \
13 participants (in more than 20 % of studies).'
    """
    if not people > 0:
        return ""
    share = 100 * detectable_share(int(people), criteria.power)
    return (
        f"{what} that happens to fewer than {share:.2g} % of people would often not show in even "
        f"one of {words.plural(int(people), 'participant')} (in more than "
        f"{100 * (1 - criteria.power):.3g} % of studies)."
    )
