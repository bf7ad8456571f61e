"""How many participants it takes to say something of privacy, and how many there are.

One row per statement and way of asking: ``chance`` of one pick; ``margin_points``, or the true
``rate`` that is to be found; ``people_80`` and ``people_90``, the participants needed for a power
of 80 and 90 % (:mod:`~refacebench.statistics.planning`: exact binomial, one pick a participant);
``people``, the most that any attack on a method could compare.  ``reachable_points``: the smallest
margin that so many can show with 80 %.  Empty ``people_80``: no number of people is enough, or
more than 100 000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, percent
from refacebench.plot.numbers import chance as chance_words
from refacebench.results import words
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Printed, Result, View
from refacebench.statistics import planning
from refacebench.statistics.attack_tests import METHODS
from refacebench.statistics.attacks import Evaluation
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.protocol import Protocol
from refacebench.vocabulary import SETTINGS

#: What is to be shown.
WITHIN, ABOVE, NOBODY = "not above chance", "above chance", "nobody identified"
#: Galleries beside the one at hand.
GALLERIES = (20, 100, 1000)
#: Powers, by column.
POWERS = {"people_80": 0.8, "people_90": 0.9}
#: True rates that are to be found, in points above chance.
GAINS = (10, 20)


def compute(results: Sequence[Evaluation], protocol: Protocol, criteria: Criteria) -> pd.DataFrame:
    """Return the table ``sample_size``; no rows where no method was attacked."""
    rows = [r.row for r in results if r.row["family"] == METHODS and r.row["n_completers"] > 0]
    main = next((s for s in SETTINGS if any(row["setting"] == s for row in rows)), None)
    rows = [row for row in rows if row["setting"] == main]
    if not rows:
        return RESULT.frame([])
    people = int(max(row["n_completers"] for row in rows))
    mine = int(round(max(row["n_gallery"] for row in rows)))
    asked = {f"picked from {protocol.options}": 1 / protocol.options}
    asked |= {f"named first among {n}": 1 / n for n in dict.fromkeys((mine, *GALLERIES)) if n > 1}
    made = _rows(asked, protocol.margin_points / 100, people, criteria.level)
    return RESULT.frame([{**row, "level": criteria.level, "people": people} for row in made])


def _rows(
    asked: Mapping[str, float], margin: float, people: int, level: float
) -> Iterator[dict[str, Any]]:
    """Yield the rows; ``asked`` has chance by the way of asking, those at hand first."""
    points = {"margin_points": 100 * margin}
    for what, chance in asked.items():
        reach = 100 * planning.margin_within(people, chance, level)
        found = _people(planning.people_within, chance, margin, level)
        yield {"statement": WITHIN, "asked": what, "chance": chance, **points,
               "reachable_points": reach, **found}  # fmt: skip
    nobody = planning.nobody(margin, level)
    yield {"statement": NOBODY, **points, **dict.fromkeys(POWERS, nobody)}
    for what, chance in list(asked.items())[:2]:
        for rate in (chance + gain / 100 for gain in GAINS):
            found = _people(planning.people_above, chance, rate, level)
            yield {"statement": ABOVE, "asked": what, "chance": chance, "rate": rate, **found}


def _people(planned: Callable[..., int], *given: float) -> dict[str, float]:
    """Return how many it takes for each power; NaN where no number is enough."""
    found = {}
    for name, power in POWERS.items():
        try:
            found[name] = float(planned(*given, power))
        except ValueError:
            found[name] = np.nan
    return found


def caption(view: View) -> str:
    """Return the caption of the numbers of participants."""
    table = view.rows("sample_size")
    if table.empty:
        return "Participants needed: no method was attacked."
    first = table.iloc[0]
    return words.join(
        "How many people have to be attacked. To show that an attack is near chance: the upper "
        f"bound of its rate ({100 * first['level']:g} %, one-sided, exact binomial) must lie less "
        f"than {first['margin_points']:g} points above chance; the numbers say how many people "
        "that takes if the attack is truly at chance. To find an attack: so many people, and the "
        "exact test finds it with the power at the top of the column.",
        "People to attack and people to choose from are not the same: a gallery may hold 1000 "
        "people of whom only a few are looked up. In a larger gallery chance is smaller, so that "
        "fewer people have to be looked up.",
        f"Nobody identified: with {_whole(table, NOBODY)} people and not one identified the rate "
        f"is below {first['margin_points']:g} %.",
        f"In this run attacks compared at most {int(first['people'])} people (by one attack on "
        "one method). Smallest margin: what so many people can show with a power of 80 %.",
        "One pick for each person is assumed. The pipeline averages over all sets of distractors, "
        "which is steadier, so that the numbers are on the safe side. "
        "All of it holds for one attack; where all of several must be within the margin, more "
        "people are needed: the row of a method in the table of verdicts opens to its own number "
        "(or see `refacebench sample-size --attacks`).",
    )


def _whole(table: pd.DataFrame, statement: str) -> int:
    return int(table.loc[table["statement"] == statement, "people_80"].iloc[0])


def printed(view: View) -> Printed:
    """Return a row per statement."""
    columns = ["To show", "People to attack (power 80 %)", "(power 90 %)", "You have",
               "Smallest margin you can show"]  # fmt: skip
    rows = [
        [
            _statement(row),
            *(number(row[name], 0) for name in POWERS),
            str(int(row["people"])),
            f"{number(row['reachable_points'], 0)} points"
            if pd.notna(row["reachable_points"])
            else NO_VALUE,
        ]
        for _, row in view.rows("sample_size").iterrows()
    ]
    return columns, rows


def _statement(row: pd.Series) -> str:
    """Return what a row is about, in words."""
    if row["statement"] == NOBODY:
        return f"nobody is identified: the rate is below {row['margin_points']:g} %"
    asked = str(row["asked"])
    asked += " pictures" if asked.startswith("picked") else " people in the gallery"
    if row["statement"] == WITHIN:
        most = chance_words(row["chance"] + row["margin_points"] / 100)
        return f"{asked}: right in less than {most} % (chance {chance_words(row['chance'])} %)"
    return f"{asked}: to find an attack that is right in {percent(row['rate'])} %"


RESULT = Result(
    "sample_size",
    about=__doc__,
    job=ATTACKS,
    columns="""
        statement asked chance margin_points rate level people_80 people_90 people
        reachable_points
    """,
    texts="statement asked",
    compute=lambda given, _: compute(given.evaluations, given.protocol, given.criteria),
    caption=caption,
    latex="statement asked chance margin_points rate people_80 people_90 people reachable_points",
    heading=HEADING,
    secondary=True,
    order=155,
    printed=printed,
)
