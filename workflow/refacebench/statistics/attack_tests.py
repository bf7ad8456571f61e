"""Tests of one attack: whether it is better than chance, and whether it is shown not to be.

**Primary measure.**  One is declared (config ``privacy.measure``; rank 1 where a gallery is too
small for a choice), and stars and verdicts follow it alone.  Its test is exact: people swap
identities (:func:`~refacebench.statistics.swaps.null_rates`), so that nothing is taken as
independent, neither participants nor queries nor the gallery that they share.

**The other side.**  Not shown to be above chance is no evidence of safety.  So a one-sided upper
bound says how far above chance the rate may be, and ``within_margin`` whether that is less than
the margin (``privacy.margin_points``).

**Families** of Holm's correction, by setting: attacks on methods; those on controls, which would
shelter the methods behind tests of which the outcome is known; attackers that look at no face.

**Secondary tests**, from one trial a participant, the first by session that has a score, and with
participants taken as independent (:mod:`~refacebench.statistics.chance`): ``p_rank1``, the number
named first against a sum of Bernoulli variables with 1 / gallery size (binomial where galleries are
equal), and ``p_area``, the sum of ranks against a sum of uniform ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from refacebench.statistics.attack_tables import is_control
from refacebench.statistics.chance import poisson_binomial_tail, rank_sum_tail
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import bound
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.swaps import tail
from refacebench.statistics.trials import Trials, within

#: Where each measure's chance stands in a row of ``privacy``.
CHANCES = {"rank1": "chance", "choice": "choice_chance"}
#: Families of tests, by what is attacked or who attacks.
METHODS, CONTROLS, FLOOR = "methods", "controls", "looks at no face"


def family_of(row: Mapping, floors: Collection[str]) -> str:
    """Return the family of tests that an attack belongs to."""
    if row["attacker"] in floors:
        return FLOOR
    return CONTROLS if is_control(row["variant"]) else METHODS


def primary(
    measure: str,
    persons: pd.Series,
    row: dict,
    null: np.ndarray,
    protocol: Protocol,
    criteria: Criteria,
) -> dict:
    """Return the test of the primary measure, and how far above chance it may be."""
    values = persons.dropna().to_numpy()
    above = bound(values, 1 - criteria.level, upper=True, seed=criteria.seed)
    above -= row[CHANCES[measure]]
    return {
        "measure": measure,
        "p": tail(float(values.mean()), null),
        "above_chance_at_most": above,
        "margin_points": protocol.margin_points,
        "within_margin": float(100 * above < protocol.margin_points),
    }


def _first(t: Trials) -> pd.DataFrame:
    """Return one scored trial a participant and resplit, the first by session."""
    t = t.only(t.scored)
    return pd.DataFrame(
        {
            "person": t.participant,
            "resplit": t.resplit,
            "hit": within(t, 1),
            "chance": 1.0 / t.size,
            "rank": t.less + t.tied / 2 + 1,
            "size": t.size,
        }
    ).drop_duplicates(["person", "resplit"])


def secondary(t: Trials) -> dict:
    """Return the secondary tests against chance, of participants with a score.

    With resplits a participant's hit is its mean over the resplits, rounded
    down in sum; ranks are tested in the first resplit of each participant.
    """
    first = _first(t)
    people = first.groupby("person", sort=True)[["hit", "chance"]].mean()
    ranked = first.drop_duplicates("person")
    return {
        "p_rank1": poisson_binomial_tail(people["hit"].sum(), people["chance"]),
        "p_area": rank_sum_tail(ranked["rank"], ranked["size"]),
    }


def trial_chances(t: Trials) -> np.ndarray:
    """Return the chance of the test trial of each participant with a score."""
    return _first(t).groupby("person")["chance"].mean().to_numpy()
