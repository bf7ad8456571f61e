"""What site, sex and age give away by themselves: a control that sees no picture.

One row a set of attributes that the control ``knows``; it picks at random among the people of the
gallery who have them all in common with the person asked for.  ``choice`` and ``rank1_matched``
are in galleries matched as in the table ``privacy``, ``choice_unmatched`` and ``rank1`` among
everybody.  Of the ``n`` people of the gallery all that is asked is known of ``n_known``.  A
control: it takes part in no family of tests and in no worst case.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import chance, percent
from refacebench.results import words
from refacebench.results.privacy import HEADING
from refacebench.results.result import ATTACKS, Printed, Result, View
from refacebench.statistics import galleries
from refacebench.statistics.protocol import MATCHED, Protocol
from refacebench.vocabulary import OK

#: What the control knows, one row each.
KNOWN = (("site",), ("sex",), ("age",), ("site", "sex"), MATCHED)


def compute(gallery: pd.DataFrame, queries: pd.DataFrame, protocol: Protocol) -> pd.DataFrame:
    """Return the table.

    Parameters
    ----------
    gallery, queries : pandas.DataFrame
        The manifests of enrolment and of all attacks.
    """
    people = galleries.people_of(gallery, queries)
    there = np.unique(gallery.loc[gallery["status"] == OK, "participant"].astype(str))
    like = galleries.likeness(people, there, protocol)
    return RESULT.frame([_row(knows, people, there, like, protocol) for knows in KNOWN])


def _row(
    knows: tuple[str, ...],
    people: pd.DataFrame,
    there: np.ndarray,
    like: galleries.Likeness,
    protocol: Protocol,
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
        **{name: _mean(found) for name, found in values.items()},
    }


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def caption(view: View) -> str:
    """Return the caption: what the control does, in a sentence, and how people are matched."""
    table = view.tables["privacy_galleries"]
    return words.join(
        "What site, sex and age give away without any picture: a control, part of no worst case "
        "and of no family of tests.",
        line(table),
        _matched(table),
        "Among people like them: distractors of the same site, sex and age band where there are "
        "enough, else of the same site and sex, else of the same site; those who are alike always "
        "take part. What is not known of a person is not asked of their distractors.",
    )


def line(table: pd.DataFrame) -> str:
    """Return in a sentence what site and sex give away; that they are not known, else."""
    known = table[table["choice_unmatched"].notna() & table["knows"].isin(_LINES)]
    if known.empty:
        return (
            "Neither site nor sex is known of anybody here, so nobody could be matched: an attack "
            "that sees only the scanner may look as if it knew faces."
            if table["note"].str.contains("not known").any()
            else ""
        )
    row = known.iloc[-1]
    return (
        f"An attacker that sees only {row['knows'].replace(', ', ' and ')} picks the person out of "
        f"{int(row['n_options'])} in {percent(row['choice_unmatched'])} % among everybody, and in "
        f"{percent(row['choice'])} % among people like them (chance "
        f"{chance(row['choice_chance'])} %)."
    )


#: Rows that the sentence is of, the last one that has numbers.
_LINES = ("sex", "site", "site, sex")


def _matched(table: pd.DataFrame) -> str:
    texts = table.get("matched_on", pd.Series(dtype=str)).dropna()
    if texts.empty:
        return ""
    return f"What the distractors of so many people have in common with them: {texts.iloc[0]}."


def printed(view: View) -> Printed:
    """Return one row a set of attributes that are known."""
    table = view.rows("privacy_galleries")
    table = table[table["choice_unmatched"].notna() | table["rank1"].notna()]
    several = int(table["n_options"].iloc[0]) if len(table) else 0
    columns = ["It knows", "n", f"picked from {several} among everybody (%)",
               f"picked from {several} like them (%)", "named first among all (%)"]  # fmt: skip
    rows = [
        [
            str(row["knows"]),
            str(int(row["n_known"])),
            percent(row["choice_unmatched"]),
            percent(row["choice"]),
            percent(row["rank1"]),
        ]
        for _, row in table.iterrows()
    ]
    return columns, rows


RESULT = Result(
    "privacy_galleries",
    about=__doc__,
    job=ATTACKS,
    columns="""
        knows n n_known chance rank1 rank1_matched_chance rank1_matched
        n_options choice_chance choice choice_unmatched n_matched matched_on note
    """,
    texts="knows",
    compute=lambda given, _: compute(given.gallery, given.queries, given.protocol),
    caption=caption,
    heading=HEADING,
    order=145,
    printed=printed,
)
