"""How often attackers name the person behind a scan, one row per variant, attacker and setting.

How people are counted, ties, tests and intervals: :mod:`~refacebench.statistics.attacks`.
``rank1``, ``rank_k`` and ``choice`` are of all participants, those without a score
counted as not named; ``*_completers`` are of the ``n_completers`` with a score, and so are the
tests.  ``n_failed`` counts queries.  ``n_matched`` queries had distractors that were all alike on
something, ``matched_on`` says how many on what; how people are matched:
:mod:`~refacebench.statistics.galleries`.  ``n_expected`` participants were planned, ``shortfall``
says why there are fewer, or fewer queries or people in the gallery.

``measure`` is the primary one: ``p`` tests its ``*_completers`` against chance, ``p_holm`` is
corrected over the ``family_size`` tests of a ``family`` and setting.  ``above_chance_at_most`` is
the one-sided upper bound of its rate less chance, ``within_margin`` 1 where that is less than
``margin_points``.  ``critical`` is the smallest observed rate that would have passed the test,
``detectable`` the smallest true rate that it finds with the wanted power (for a choice: as if each
participant made one pick, so that it is an upper bound); ``rank1_critical`` and
``rank1_detectable`` are those of rank 1 and its test ``p_rank1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, number, percent
from refacebench.plot.recognised import draw, has_choice
from refacebench.results import words
from refacebench.results.cells import by_variant, with_interval
from refacebench.results.result import ATTACKS, Figure, Heading, Printed, Result, View
from refacebench.statistics import galleries
from refacebench.statistics.attack_tables import main_rows, main_setting, settings
from refacebench.statistics.attacks import Evaluation
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.losses import explained
from refacebench.vocabulary import BLACK, BLURRED

#: What stands beside all that was measured of recognisability.
MEASURED = (
    "Recognisability was measured with the attacks that are named here and no others. A rate at "
    "chance level does not prove safety: a stronger attack may succeed."
)
#: The measures that may be primary, in words.
MEASURES = {"choice": "the choice among several pictures", "rank1": "rank 1 (named first)"}
HEADING = Heading(
    "privacy",
    "Recognisability",
    "Does an attacker who owns originals of known people name the person?",
    order=100,
)


def compute(
    evaluations: Sequence[Evaluation], gallery: pd.DataFrame, queries: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per setting, attacker and variant.

    Parameters
    ----------
    evaluations : sequence of Evaluation
    gallery, queries : pandas.DataFrame
        The manifests of enrolment and of all attacks.
    """
    return explained(RESULT.frame([e.row for e in evaluations]), gallery, queries)


def caption(view: View) -> str:
    """Return the caption of the identification rates."""
    table = view.tables["privacy"]
    if table.empty or table["rank1"].isna().all():
        return "How often attackers name the person: no attack was scored."
    return words.folded(
        "How often each attacker names the person behind a scan. "
        f"{words.marks_of_settings(table)} Right of the dashed line it does better than chance; a "
        "star says that a test shows it. No star does not mean safe: read how far the interval "
        "reaches.",
        "Query: a scan of the variant. Gallery: one original of every participant of the test "
        "split "
        f"({_galleries(table)}). {_panels(table)}",
        "Marks and tests cover the participants who could be compared; a scan that a "
        "method failed on is not counted as protected. Where no face was found the scan is "
        "compared all the same.",
        words.missing_people(table),
        _tests(table, view.criteria),
        _resplits(table),
        f"Intervals: {100 * view.criteria.level:g} %, small-sample bounds of the rates (Gaffke's, "
        f"which are Clopper-Pearson's for plain hits), {words.EACH}.",
    )


def _panels(table: pd.DataFrame) -> str:
    """Return what the rates of the panels are, by their titles; of those that are there."""
    options = int(table["n_options"].iloc[0])
    return words.join(
        f"Panels 'picked from {options}' (chance {100 / options:.0f} %): over all sets of other "
        f"people{_matching(table)}."
        if has_choice(table)
        else "",
        f"Panels 'named first': among all (chance {_chances(table)}).",
    )


def is_matched(table: pd.DataFrame) -> bool:
    """Tell whether any choice had distractors of the same site, sex or age band."""
    told = table.get("matched_on", pd.Series(dtype=str)).fillna("")
    return bool(((told != "") & ~told.str.match(f"{galleries.NOTHING}: [0-9]+$")).any())


def _matching(table: pd.DataFrame) -> str:
    """Return how distractors were matched, as a part of a sentence."""
    if not is_matched(table):
        return " (nothing was known or asked to match people on)"
    return " of the same site, sex and age band as far as there are enough such people"


def _within(table: pd.DataFrame) -> str:
    """Return within what people swapped identities; empty for among all."""
    told = [text for text in table["swapped_within"].dropna().unique() if text]
    return f" with others of the same {', or of the same '.join(told)}" if told else ""


def _tests(table: pd.DataFrame, criteria: Criteria) -> str:
    """Return what is tested, and which side says what."""
    first = table.loc[table["measure"].notna()].iloc[0]
    return (
        f"Tests, stars and verdicts are of {MEASURES[first['measure']]} alone: an exact test of "
        f"more than chance (people swap identities{_within(table)}), {words.ATTACKS_CORRECTED}. "
        "Not shown to be above chance is "
        "not safe: the last column of the table below says how far above it the rate may be "
        f"({100 * criteria.level:g} %, one-sided; {first['margin_points']:g} points are asked for)."
    )


def _galleries(table: pd.DataFrame) -> str:
    low, high = table["n_gallery"].min(), table["n_gallery"].max()
    if low == high:
        return f"{low:g} people"
    return f"{low:g} to {high:g} people, by attacker"


def _chances(table: pd.DataFrame) -> str:
    low, high = 100 * table["chance"].min(), 100 * table["chance"].max()
    return f"{low:.2g} %" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g} %"


def _resplits(table: pd.DataFrame) -> str:
    rows = table[table["n_resplits"] > 0]
    if rows.empty:
        return ""
    names = ", ".join(dict.fromkeys(rows["attacker"]))
    return (
        f"Trained attackers ({names}) are evaluated in {int(rows['n_resplits'].max())} resplits of "
        "the participants, on those that they were not trained on: smaller galleries, bands over "
        "the resplits."
    )


def is_measured(tables: Mapping[str, pd.DataFrame]) -> bool:
    """Tell whether any attack was scored."""
    table = tables.get("privacy")
    return table is not None and bool(len(table)) and bool(table["rank1"].notna().any())


def printed(view: View) -> Printed:
    """Return one row per variant, one column per attacker, in the setting that counts.

    The easier setting is named where a test shows more than chance in it alone.
    """
    everything, look, criteria = view.rows("privacy"), view.look, view.criteria
    table = main_rows(everything)
    easy = everything[everything["setting"] != main_setting(everything)]
    attackers = list(dict.fromkeys(table["attacker"]))
    first = "rank1_completers"
    name = "choice_completers" if has_choice(table) else first
    what = f"picked from {int(table['n_options'].iloc[0])}" if name != first else "named first"
    columns = ["Variant", "n (failed)", *[f"{a}: {what} (%)" for a in attackers],
               *[f"{a}: named first (%)" for a in attackers if name != first],
               "Above chance at most (points)"]  # fmt: skip
    bounds = _bounds(view)
    rows = []
    for label, mine in by_variant(table, look):
        by = mine.set_index("attacker")
        mine_easy = easy[easy["variant"] == mine["variant"].iloc[0]].set_index("attacker")
        cells = [
            _attack_cell(by, a, name, criteria) + _easier(by, mine_easy, a, name, criteria)
            for a in attackers
        ]
        if name != first:
            cells += [_attack_cell(by, a, first, criteria) for a in attackers]
        failed = int((mine["n"] - mine["n_completers"]).max())
        people = _of_planned(mine) + (f" ({failed})" if failed else "")
        rows.append([label, people, *cells, bounds.get(mine["variant"].iloc[0], NO_VALUE)])
    return columns, rows


def _bounds(view: View) -> dict[str, str]:
    """Return by variant how far above chance the worst attack may be, with the verdict."""
    table = view.rows("tradeoff")
    if table.empty:
        return {}
    table = main_rows(table).drop_duplicates("variant").dropna(subset=["above_chance_at_most"])
    return {
        row["variant"]: number(100 * max(row["above_chance_at_most"], 0.0), 0)
        + (f" (within {row['margin_points']:g})" if row["within_margin"] == 1 else "")
        for _, row in table.iterrows()
    }


def _of_planned(mine: pd.DataFrame) -> str:
    """Return the participants of some attacks, with the reasons where there should be more."""
    texts = words.shortfalls(mine)
    number = str(int(mine["n"].max()))
    return f"{number} ({'; '.join(texts)})" if texts else number


def _attack_cell(by: pd.DataFrame, attacker: str, name: str, criteria: Criteria) -> str:
    if attacker not in by.index:
        return NO_VALUE
    row = by.loc[attacker]
    text = with_interval(row, name, f"{name}_low", f"{name}_high", 0, scale=100)
    everybody = row.get("choice_unmatched_completers", np.nan)
    if name == "choice_completers" and is_matched(by) and np.isfinite(everybody):
        text += f"; all {percent(everybody)}"
    if name == f"{row['measure']}_completers" and row["p_holm"] < criteria.alpha:
        text = text.replace(" [", "* [", 1)
    if row["n_undetected"] > 0 and name != "rank1_completers":
        text += f"; no face {int(row['n_undetected'])}/{int(row['n_queries'])}"
    return text


def _easier(
    by: pd.DataFrame, easy: pd.DataFrame, attacker: str, name: str, criteria: Criteria
) -> str:
    """Return what an attacker reaches with the very same scan, if only that beats chance."""
    if attacker not in by.index or attacker not in easy.index:
        return ""
    row = easy.loc[attacker]
    if name != f"{row['measure']}_completers" or not row["p_holm"] < criteria.alpha:
        return ""
    if by.loc[attacker, "p_holm"] < criteria.alpha:
        return ""
    return f"; same scan {percent(row[name])}*"


def _all(view: View) -> str:
    """Return what stands behind "all" in a cell; nothing where nobody was matched."""
    if not is_matched(view.rows("privacy")):
        return ""
    return (
        "The pictures to choose from are of people of the same site, sex and age band where there "
        "are enough; 'all': of anybody."
    )


def _controls(table: pd.DataFrame) -> str:
    """Return what the pictures of controls are for, of those that were attacked."""
    there = set(table["variant"])
    return words.join(
        "Blurred pictures are a control: little more than the true outline of the head is left in "
        "them, and they show how far an attack gets with that. A method that changes the outline "
        "too can do better."
        if BLURRED in there
        else "",
        "Black pictures are a control on which no attack may do better than chance, or the test "
        "leaks."
        if BLACK in there
        else "",
    )


def _same_scan(table: pd.DataFrame) -> str:
    """Return when a cell names the easier comparison; nothing where there is no other."""
    if len(settings(table)) < 2:
        return ""
    return (
        "'Same scan' is named only where nothing but the easier comparison with the very same "
        "scan does better than chance. "
    )


def _numbers(view: View) -> str:
    """Return the caption of the page's table below the figure."""
    return (
        f"The numbers in the figure, in percent. {words.brackets(view)}. n: participants; in round "
        "brackets those whom an attacker could not compare, who are in none of its rates. "
        f"{words.join(_all(view), _controls(view.rows('privacy')))} 'No face': scans on which the "
        "attacker found none. *: more often than "
        f"chance by an exact test of the primary measure at p < {view.criteria.alpha:g}, "
        f"{words.ATTACKS_CORRECTED}. {_same_scan(view.rows('privacy'))}"
        "No star does not mean safe: the last column says how far above chance the strongest "
        f"attack may be, a face put back first included ({100 * view.criteria.level:g} %, "
        "one-sided)."
    )


RESULT = Result(
    "privacy",
    about=__doc__,
    job=ATTACKS,
    columns="""
        variant attacker version trained_on setting
        n n_expected n_completers n_queries n_failed n_no_match n_gallery n_resplits
        n_undetected undetected_share undetected_low undetected_high
        chance rank1 rank1_low rank1_high rank1_band_low rank1_band_high
        rank1_completers rank1_completers_low rank1_completers_high
        rank1_detected p_rank1 rank1_critical rank1_detectable
        rank1_matched_chance rank1_matched rank1_matched_low rank1_matched_high
        rank1_matched_completers rank1_matched_completers_low rank1_matched_completers_high
        p_rank1_matched
        k chance_k rank_k rank_k_low rank_k_high
        rank_k_completers rank_k_completers_low rank_k_completers_high
        n_options choice_chance choice choice_low choice_high choice_band_low choice_band_high
        choice_completers choice_completers_low choice_completers_high
        n_matched matched_on swapped_within
        choice_unmatched choice_unmatched_low choice_unmatched_high
        choice_unmatched_completers choice_unmatched_completers_low
        choice_unmatched_completers_high
        choice_reverse choice_reverse_low choice_reverse_high
        choice_reverse_unmatched choice_reverse_unmatched_low choice_reverse_unmatched_high
        site_sex_choice site_sex_choice_unmatched site_sex_rank1 site_sex_rank1_matched
        measure family family_size p p_holm critical detectable
        above_chance_at_most margin_points within_margin
        median_rank area area_low area_high area_band_low area_band_high p_area p_area_holm
        n_impostor roc_area roc_area_low roc_area_high roc_area_band_low roc_area_band_high
        eer eer_low eer_high eer_band_low eer_band_high
        false_accept verified verified_low verified_high verified_band_low verified_band_high
        shortfall note
    """,
    compute=lambda given, _: compute(given.evaluations, given.gallery, given.queries),
    caption=caption,
    latex="""
        variant attacker setting n n_failed n_gallery n_undetected chance
        rank1_completers rank1_completers_low rank1_completers_high
        choice_completers choice_completers_low choice_completers_high
        choice_unmatched_completers n_matched measure p_holm above_chance_at_most area eer verified
    """,
    heading=HEADING,
    order=110,
    printed=printed,
    numbers=_numbers,
    figures=[
        Figure(
            "privacy",
            "Dots with intervals: share of participants identified by each attacker, one row per "
            "variant, chance as a line.",
            lambda view: draw(view.rows("privacy"), view.look, alpha=view.criteria.alpha),
            title="People identified",
        )
    ],
)
