"""What site, sex and age give away by themselves: a control that sees no picture.

One row per set of attributes that the control ``knows``; it picks at random among the people of the
gallery who have them all in common with the person asked for.  ``choice`` and ``rank1_matched``
are in galleries matched as in the table ``privacy``, ``choice_unmatched`` and ``rank1`` among
everybody; ``*_low`` and ``*_high``: intervals over people, each for itself.  Of the ``n`` people of
the gallery all that is asked is known of ``n_known``.  The last row knows all that is known of
anybody.  A control: it takes part in no family of tests and in no worst case.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import chance, percent
from refacebench.results import words
from refacebench.results.cells import with_interval
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Printed, Result, View
from refacebench.statistics import galleries
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import bounded_mean
from refacebench.statistics.protocol import MATCHED, Protocol
from refacebench.vocabulary import OK

#: What the control knows, one row each; one more for all that is known, where that is none of them.
KNOWN = (("site",), ("sex",), ("age",), ("site", "sex"), MATCHED)


def compute(
    gallery: pd.DataFrame,
    queries: pd.DataFrame,
    protocol: Protocol,
    criteria: Criteria | None = None,
) -> pd.DataFrame:
    """Return the table.

    Parameters
    ----------
    gallery, queries : pandas.DataFrame
        The manifests of enrolment and of all attacks.
    """
    criteria = criteria or Criteria()
    people = galleries.people_of(gallery, queries)
    there = np.unique(gallery.loc[gallery["status"] == OK, "participant"].astype(str))
    like = galleries.likeness(people, there, protocol)
    everything = Protocol(match=MATCHED, age_band_years=protocol.age_band_years)
    known = tuple(galleries.likeness(people, there, everything).names)
    asked = KNOWN if known in KNOWN or len(known) < 2 else (*KNOWN, known)
    return RESULT.frame([_row(knows, people, there, like, protocol, criteria) for knows in asked])


def _row(
    knows: tuple[str, ...],
    people: pd.DataFrame,
    there: np.ndarray,
    like: galleries.Likeness,
    protocol: Protocol,
    criteria: Criteria,
) -> dict[str, Any]:
    asked = Protocol(match=knows, age_band_years=protocol.age_band_years)
    known = galleries.likeness(people, there, asked)
    row = {
        "knows": ", ".join(galleries.WORDS[name] for name in knows),
        "n": len(there),
        "n_options": protocol.options,
        "choice_chance": 1 / protocol.options,
        "note": "",
    }
    missing = [galleries.WORDS[name] for name in knows if name not in known.names]
    if missing or len(there) < 2:
        what = f"{' and '.join(missing)} not known of anybody" if missing else "nobody else"
        return {**row, "n_known": 0, "note": what}
    t = galleries.among(len(there))
    levels = galleries.narrowed(t, like)
    values = galleries.control_values(t, like, known, protocol.options)
    return {
        **row,
        "n_known": int((known.codes >= 0).all(axis=1).sum()),
        "chance": 1 / len(there),
        "rank1_matched_chance": float((1 / galleries.nearest(levels).size).mean()),
        **galleries.matched_on(t, levels, like, protocol.options),
        **{key: v for name, each in values.items() for key, v in _mean(name, each, criteria)},
    }


def _mean(name: str, values: np.ndarray, criteria: Criteria) -> list[tuple[str, float]]:
    """Return the mean over people with the ends of its interval."""
    known = values[np.isfinite(values)]
    low, high = bounded_mean(known, level=criteria.level, seed=criteria.seed)
    mean = float(known.mean()) if len(known) else np.nan
    return [(name, mean), (f"{name}_low", low), (f"{name}_high", high)]


def caption(view: View) -> str:
    """Return the caption: what the control does, in a sentence, and how people are matched."""
    table = view.tables["privacy_galleries"]
    return words.join(
        "What site, sex and age give away without any picture: a control, which is never taken "
        "for the strongest attack and belongs to no family of tests.",
        line(table),
        "People like them: the others of the same site, sex and age band where there are enough, "
        "else of the same site and sex, else of the same site, else anybody; those who are alike "
        "are always among the choices. Where something is not known of a person, the others are "
        "not matched on it.",
        _matched(table),
        _higher(table),
        f"Intervals: {100 * view.criteria.level:g} %, small-sample bounds over the people, for "
        f"this gallery; {words.EACH}.",
    )


def line(table: pd.DataFrame) -> str:
    """Return in plain words what is told by site, sex and age alone, or that they are not known."""
    known = table[table["choice_unmatched"].notna()]
    if known.empty:
        return _without_choice(table)
    most = known.iloc[-1]
    several = round(1 / most["choice_chance"])
    fewer = known[(known["knows"] == _LESS) & (known["knows"] != most["knows"])]
    above = round(most["choice"], 2) > round(most["choice_chance"], 2)
    others, they = (f"other {several - 1} are", "they") if several > 2 else ("other is", "it")
    row = fewer.iloc[-1] if len(fewer) else None
    return words.join(
        f"Knowing only {_alone(most['knows'])}, and without any image, one picks the right person "
        f"for {percent(most['choice'])} % of people{_ends(most)} when the {others} as like the "
        f"person as this cohort allows (for {percent(most['choice_unmatched'])} % when {they} may "
        f"be anybody; chance {chance(most['choice_chance'])} %).",
        COUNTED if above else "",
        ""
        if row is None
        else f"Knowing only {_alone(row['knows'])}, it would be {percent(row['choice'])} %"
        f"{_ends(row)} ({percent(row['choice_unmatched'])} % when {they} may be anybody).",
    )


def _without_choice(table: pd.DataFrame) -> str:
    """Return the same where nobody can be picked from several: nothing is known, or too few are."""
    known = table[table["rank1"].notna()]
    if len(known):
        most = known.iloc[-1]
        alike = round(most["rank1"], 6) <= round(most["chance"], 6)
        return words.join(
            f"There are too few people for a choice among {most['n_options']:.0f}. Knowing only "
            f"{_alone(most['knows'])}, and without any image, one names the right person first for "
            f"{percent(most['rank1'])} % of people{_ends(most, 'rank1')}, among all (chance "
            f"{chance(most['chance'])} %).",
            "It tells nobody apart: as far as it is known, all people here are alike."
            if alike
            else COUNTED,
        )
    unknown = table["note"].str.contains("not known")[table["knows"].isin(("site", "sex"))]
    if unknown.empty or not unknown.all():
        return ""
    return (
        "Neither site nor sex is known of anybody here, so nobody could be matched: an attack "
        "that sees only the scanner may look as if it knew faces."
    )


def _ends(row: pd.Series, rate: str = "choice") -> str:
    """Return in brackets the interval of a rate, and of how many people."""
    low, high = row[f"{rate}_low"], row[f"{rate}_high"]
    ends = f"{percent(low)} to {percent(high)} %, " if pd.notna(low) else ""
    return f" ({ends}{row['n']:.0f} people)"


#: What follows for an attack where people can be told apart without a picture.
COUNTED = (
    "An attack that is right no more often than that may rest on these and not on the face. The "
    "verdicts count it all the same, because people are identified. A table of participants with "
    "these columns, shared beside the scans, gives away as much, whatever the defacer."
)


def alone(table: pd.DataFrame | None, measure: str) -> tuple[str, float]:
    """Return all that is known of people without a picture, and the rate that this alone reaches.

    Parameters
    ----------
    table : pandas.DataFrame or None
        This result's.
    measure : str
        ``choice`` or ``rank1``.
    """
    known = table[table["choice_unmatched"].notna()] if table is not None and len(table) else None
    if known is None or known.empty:
        return "", np.nan
    return _alone(known["knows"].iloc[-1]), float(known[measure].iloc[-1])


def _alone(knows: str) -> str:
    """Return what is known, as the subject of a sentence.

    >>> _alone("site, sex, age band")
    'site, sex and age'
    """
    return _and(knows).replace("age band", "age")


def _and(knows: str) -> str:
    """Join names as a sentence does.

    >>> _and("site, sex, age band")
    'site, sex and age band'
    """
    return " and ".join(knows.rsplit(", ", 1))


#: The row that stands beside the strongest one.
_LESS = "site, sex"


def _matched(table: pd.DataFrame) -> str:
    texts = table.get("matched_on", pd.Series(dtype=str)).dropna()
    if texts.empty:
        return ""
    return f"Here, {words.matched(texts.iloc[0])}."


def _higher(table: pd.DataFrame) -> str:
    """Return why a rate among people alike can be the higher one, where one is."""
    if not (table["choice"] > table["choice_unmatched"]).any():
        return ""
    return (
        "A rate can be higher among people like them than among everybody: where few are of the "
        "same site, these few are always chosen from, and may all differ from the person in sex "
        "or age."
    )


def printed(view: View) -> Printed:
    """Return one row per set of attributes that are known."""
    table = view.rows("privacy_galleries")
    table = table[table["choice_unmatched"].notna() | table["rank1"].notna()]
    several = int(table["n_options"].iloc[0]) if len(table) else 0
    columns = ["What is known", "n", f"picked from {several} among everybody (%)",
               f"picked from {several} like them (%)", "named first among all (%)"]  # fmt: skip
    rows = [
        [
            str(row["knows"]),
            str(int(row["n_known"])),
            *(
                with_interval(row, name, f"{name}_low", f"{name}_high", 0, scale=100)
                for name in ("choice_unmatched", "choice", "rank1")
            ),
        ]
        for _, row in table.iterrows()
    ]
    return columns, rows


RESULT = Result(
    "privacy_galleries",
    about=__doc__,
    job=ATTACKS,
    columns="""
        knows n n_known chance rank1 rank1_low rank1_high
        rank1_matched_chance rank1_matched rank1_matched_low rank1_matched_high
        n_options choice_chance choice choice_low choice_high
        choice_unmatched choice_unmatched_low choice_unmatched_high n_matched matched_on note
    """,
    texts="knows",
    compute=lambda given, _: compute(given.gallery, given.queries, given.protocol, given.criteria),
    caption=caption,
    latex="""
        knows n_known rank1 rank1_low rank1_high choice choice_low choice_high
        choice_unmatched choice_unmatched_low choice_unmatched_high
    """,
    heading=HEADING,
    secondary=True,
    order=145,
    printed=printed,
)
