"""Phrases that captions share, made from the tables and the criteria, never typed.

Plain text; whoever prints a caption escapes it for its format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from refacebench.results.result import View, of_segmenter
from refacebench.statistics import galleries
from refacebench.statistics.attack_tables import settings
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.losses import of_scans
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import SAME_SCAN

#: Of results on scans that were picked by what defacing did to them.
PICKED = (
    "Scans that are picked because they are far off tend to be nearer when they are measured "
    "again, whatever was done to them (regression to the mean): after defacing the tests are "
    "biased towards a difference, after refacing away from it."
)


def plural(number: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "scan"), plural(3, "scan")
    ('1 scan', '3 scans')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(parts: Sequence[str]) -> str:
    """Return a list as a sentence has it.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def cohort(table: pd.DataFrame) -> str:
    """Return how many participants and scans a table rests on at most, and how many failed."""
    if table.empty or "n" not in table or not table["n"].max() > 0:
        return "No scan was measured."
    text = f"Up to {plural(int(table['n'].max()), 'participant')}"
    if "n_scans" in table:
        text += f" ({plural(int(table['n_scans'].max()), 'scan')})"
    text += " per row"
    failed = int(table["n_failed"].max()) if "n_failed" in table else 0
    if failed:
        text += f", at most {failed} failed"
    return text + "."


def left_out(view: View) -> str:
    """Return how many scans of the data set are not compared; empty where the flow is unknown.

    Compared are the scans whose original was measured: those that were
    measured in a variant and those that failed in it.  Some of the others are compared by what
    needs no segmentation.
    """
    everything = view.tables.get("flow") if view.scans is None else view.scans
    changed = view.tables.get("changes")
    if everything is None or changed is None or everything.empty or changed.empty:
        return ""
    changed = present(of_segmenter(changed, view.segmenter))
    everything = of_scans(everything)
    total, people = everything["scan"].nunique(), everything["participant"].nunique()
    left = total - (changed["n_scans"] + changed["n_failed"])
    if left.empty:
        return ""
    low, high = int(left.min()), int(left.max())
    quality = of_segmenter(view.tables.get("quality", pd.DataFrame()), view.segmenter)
    seen = int(quality["n"].max()) - (total - low) if len(quality) else 0
    number = f"{low}" if low == high else f"{low} to {high}, by segmenter,"
    return (
        f"Of {plural(total, 'scan')} of {plural(people, 'participant')} in "
        f"the data set, {number} are not compared (other splits, later sessions, excluded or "
        f"failed originals{_all_the_same(seen)})."
    )


def _all_the_same(number: int) -> str:
    """Say of how many unsegmented originals the images are compared all the same, if of any."""
    if number <= 0:
        return ""
    those = f"{number} of these {'is' if number == 1 else 'are'}"
    return f"; where no segmentation is needed, {those} compared all the same"


def alone(view: View) -> str:
    """Return what a caption has to say where it stands without the page (LaTeX).

    The page says once, in its own sections, which scans are not compared and which engine and
    version stands behind each defacer.
    """
    return join(left_out(view), engines(view.tables.get("quality")))


def matched(told: str) -> str:
    """Return what the others are like from whom a person is picked, from a cell of ``matched_on``.

    >>> matched("sex: 2; nothing: 8")
    '2 people were compared only with others of the same sex; for 8, none of the others matched'
    """
    parts: list[str] = []
    like = {
        galleries.SOME: "only some of the others matched",
        galleries.NOTHING: "none of the others matched",
    }
    for part in filter(None, told.split("; ")):
        what, count = part.rsplit(": ", 1)
        people = "" if parts else " person" if count == "1" else " people"
        if what in like:
            parts.append(f"for {count}{people}, {like[what]}")
        else:
            same = listed(what.split(", "))
            were = "was" if count == "1" else "were"
            parts.append(f"{count}{people} {were} compared only with others of the same {same}")
    return "; ".join(parts)


def marks_of_settings(table: pd.DataFrame) -> str:
    """Return what an attack has to compare with, and which marks of a figure that are.

    Parameters
    ----------
    table : pandas.DataFrame
        Attacks, with their ``setting``.
    """
    found = settings(table)
    if len(found) > 1:
        return (
            "Filled marks: it knows the person from another session; hollow ones: from the very "
            "same scan, which is easier."
        )
    if found == [SAME_SCAN]:
        return (
            "It knows the person from the very same scan, which is easier than from another "
            "session; no other session could be compared here."
        )
    return "It knows the person from another session."


#: What the tests of attacks are corrected for, wherever a star or a verdict is printed.
ATTACKS_CORRECTED = (
    "Holm-corrected over all attacks on all methods together (attacks on controls, and attacks "
    "that have the very same scan, are corrected separately)"
)
#: Said of every interval that holds for itself alone.
EACH = "each on its own, not adjusted for multiple comparisons"
#: Participants below which the interval of a mean may miss what is rare.
FEW = 30


def shares(criteria: Criteria) -> str:
    """Return how the intervals of shares were made."""
    return (
        f"Shares: {100 * criteria.level:g} % Clopper-Pearson intervals (exact), widened where a "
        f"participant has several sessions; {EACH}."
    )


def intervals(criteria: Criteria, table: pd.DataFrame | None = None) -> str:
    """Return how the intervals of means were made, with a warning where participants are few.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        Rows with their number of participants ``n``.
    """
    return join(
        f"Intervals of means: {100 * criteria.level:g} %, {EACH} (Student's, made longer on "
        "the side of a long tail).",
        _few(table),
    )


def _few(table: pd.DataFrame | None) -> str:
    if table is None or table.empty or not 0 < table["n"].max() < FEW:
        return ""
    return (
        f"With fewer than {FEW} participants they may miss the mean where one participant in ten "
        "is far off and none of these is in the sample."
    )


def medians(criteria: Criteria) -> str:
    """Return how the intervals of medians of volumes were made."""
    return (
        f"Intervals of medians: {100 * criteria.level:g} %, exact (order statistics), none for "
        f"fewer than {_fewest(criteria.level)} participants; {EACH}."
    )


def _fewest(level: float) -> int:
    """Return the smallest sample whose range holds the median with a probability."""
    return next(n for n in range(2, 1000) if 2 * 0.5**n <= 1 - level)


def resampled(criteria: Criteria) -> str:
    """Return how the intervals of what is read off a curve were made."""
    return (
        f"Intervals of the ROC: {100 * criteria.level:g} %, percentile bootstrap over "
        f"participants ({criteria.n_boot} resamples, seed {criteria.seed}), widened to "
        f"Clopper-Pearson's; {EACH}."
    )


#: What becomes of participants without any difference in a signed-rank test.
_ZEROS = {
    "pratt": "Pratt's method: participants without any difference are ranked and then left out",
    "wilcox": "participants without any difference are left out",
    "zsplit": "half of the participants without any difference count for either side",
}


def zeros(criteria: Criteria) -> str:
    """Return what signed-rank tests make of participants without any difference."""
    return _ZEROS[criteria.zero_method]


def engines(table: pd.DataFrame | None) -> str:
    """Return which engine and version stands behind each defacer of the quality table."""
    if table is None or table.empty:
        return ""
    rows = table.drop_duplicates("variant")
    rows = rows[~rows["variant"].str.contains("+", regex=False)]
    named = []
    for _, row in present(rows).iterrows():
        engine, version = text(row.get("engine")), text(row.get("version"))
        if engine and row["variant"] != "null":
            named.append(f"{row['variant']} {engine} {version}".strip())
    said = (
        "Engines (native: our own code, not the released program; official: the released "
        f"program): {'; '.join(named)}."
    )
    return join(said if named else "", missing_programs(rows))


def missing_programs(table: pd.DataFrame) -> str:
    """Return which variants are lines without numbers because their programs are missing."""
    there = set(present(table)["variant"])
    names = [name for name in dict.fromkeys(table["variant"]) if name not in there]
    if not names:
        return ""
    return f"Unavailable on the machine of this run, so without numbers: {', '.join(names)}."


def text(value: Any) -> str:
    """Return a cell of text; empty for none."""
    return "" if value is None or pd.isna(value) else str(value)


def join(*parts: str) -> str:
    """Join sentences; empty ones are left out."""
    return " ".join(part for part in parts if part)


def folded(short: str, *details: str) -> str:
    """Return a caption: what everybody reads, then, as a paragraph of its own, the details.

    The page folds the details away; where there is no folding they follow.
    """
    more = join(*details)
    return f"{short}\n\n{more}" if more else short


def shortfalls(table: pd.DataFrame) -> list[str]:
    """Return why attacks rest on fewer people or scans than planned, each text once."""
    if "shortfall" not in table:
        return []
    return [text for text in dict.fromkeys(table["shortfall"].fillna("")) if text]


def missing_people(table: pd.DataFrame) -> str:
    """Return the shortfalls as a sentence; empty for none."""
    texts = shortfalls(table)
    if not texts:
        return ""
    more = f"; {len(texts) - 5} more in the table" if len(texts) > 5 else ""
    return f"Fewer than planned: {'; '.join(texts[:5])}{more}."


def numbers(view: View) -> str:
    """Return the caption of a page's table that stands below its figure."""
    return (
        f"The numbers in the figure. {brackets(view)}. n: participants; in round brackets: scans "
        "that failed."
    )


def brackets(view: View) -> str:
    """Return what stands in the brackets of such a table."""
    return f"In [brackets]: {100 * view.criteria.level:g} % intervals, {EACH}"
