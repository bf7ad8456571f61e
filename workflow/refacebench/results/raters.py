"""How often human raters picked the right one of several pictures, by variant and setting.

``sd`` is the standard deviation of the raters' own rates; missing for a single rater.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from refacebench.results import words
from refacebench.results.result import RATERS, Result, View
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import clopper_pearson, quantiles, wider


def compute(answers: pd.DataFrame, key: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Return the table ``raters``: how often the right option was picked, by variant and setting.

    Raters and persons are drawn at once in every resample, and a person's
    questions stay together (the pigeonhole bootstrap of Owen 2007, Ann Appl
    Stat 1, 386-411), since answers of one rater resemble each other, and so do
    those about one person.  Widened to the Clopper-Pearson interval over
    persons, whose rates count as fractions.

    Raises
    ------
    ValueError
        If an answer is to a question that the key does not have.
    """
    table = answers.merge(key, on="question", how="left", validate="many_to_one")
    if len(table) and table["variant"].isna().any():
        raise ValueError("answers to questions that the key does not have")
    table["hit"] = (table["choice"] == table["right"]).astype(float)
    choices = sum(name.startswith("option_") for name in key)
    rows = []
    for variant, setting in key[["variant", "setting"]].drop_duplicates().to_numpy():
        mine = table[(table["variant"] == variant) & (table["setting"] == setting)]
        asked = key[(key["variant"] == variant) & (key["setting"] == setting)]
        low, high = _interval(mine, criteria)
        chance = 1.0 / choices
        rows.append(
            {
                "variant": variant,
                "setting": setting,
                "n_raters": mine["rater"].nunique(),
                "n_asked": len(asked),
                "n_questions": mine["question"].nunique(),
                "n_participants": mine["participant"].nunique(),
                "n_answers": len(mine),
                "n_right": int(mine["hit"].sum()),
                "rate": float(mine["hit"].mean()) if len(mine) else np.nan,
                "sd": mine.groupby("rater")["hit"].mean().std(ddof=1),
                "low": low,
                "high": high,
                "chance": chance,
                "above_chance": float(low > chance) if np.isfinite(low) else np.nan,
            }
        )
    return RESULT.frame(rows)


def _interval(table: pd.DataFrame, criteria: Criteria) -> tuple[float, float]:
    if table.empty:
        return (np.nan, np.nan)
    persons = table.groupby("participant")["hit"].mean()
    exact = clopper_pearson(float(persons.sum()), len(persons), criteria.level)
    return wider(_bootstrap(table, criteria), exact)


def _bootstrap(table: pd.DataFrame, criteria: Criteria) -> tuple[float, float]:
    """Return the pigeonhole bootstrap's interval; of one rater, over persons alone."""
    cells = table.pivot_table("hit", "rater", "participant", aggfunc=["sum", "count"])
    hits, counts = (cells[name].fillna(0.0).to_numpy() for name in ("sum", "count"))
    rng = np.random.default_rng(criteria.seed)
    raters, persons = (_draws(n, criteria.n_boot, rng) for n in hits.shape)
    right, asked = (((raters @ part) * persons).sum(axis=1) for part in (hits, counts))
    drawn = asked > 0
    if not drawn.any() or max(hits.shape) < 2:
        return (np.nan, np.nan)
    return quantiles(right[drawn] / asked[drawn], criteria.level)


def _draws(n: int, n_boot: int, rng: np.random.Generator) -> np.ndarray:
    if n == 1:
        return np.ones((n_boot, 1))
    return rng.multinomial(n, np.full(n, 1 / n), size=n_boot).astype(float)


def caption(view: View) -> str:
    """Return the caption of the human raters' rates."""
    return (
        "How often human raters picked the right one of several pictures of a variant, shown one "
        f"original. Intervals: {100 * view.criteria.level:g} %, bootstrap over raters and "
        f"participants at once ({view.criteria.n_boot} resamples, "
        f"seed {view.criteria.seed}), widened to Clopper-Pearson's over participants; "
        f"{words.EACH}. sd: standard deviation between raters."
    )


RESULT = Result(
    "raters",
    about=__doc__,
    job=RATERS,
    columns="""
        variant setting n_asked n_raters n_questions n_participants n_answers n_right
        rate sd low high chance above_chance
    """,
    compute=lambda given, _: compute(given.answers, given.key, given.criteria),
    caption=caption,
    order=170,
)
