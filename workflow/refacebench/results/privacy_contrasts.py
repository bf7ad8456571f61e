"""How often attackers name the person behind images of other contrasts (T2w, FLAIR).

One row per setting, attacker, variant and contrast, of images that lost the face by the mask of
their session's T1w scan (``carry``), and of the same images as they were (variant ``original``):
an attack that is not shown to recognise those proves nothing.  Empty unless the dataset has
``carry``.

The query is the image of the other contrast; the gallery holds T1w originals, those that the
attacks on T1w scans are made with: in the setting ``other_session`` of another session, in
``same_scan`` of the same session.  Attackers that look at the head's surface are asked, unless they
are trained on the train split.  Columns are those of the table ``privacy``, and so are the tests:
they are corrected together with those on T1w scans.  These attacks are routes of the table
``tradeoff``: where one of them is the strongest on a method, the verdict rests on it.  ``n_failed``
queries had no score (``shortfall`` says why); sessions without such an image have no query.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from refacebench.plot.numbers import NO_VALUE, percent
from refacebench.results import privacy, words
from refacebench.results.carried import HEADING
from refacebench.results.cells import by_variant, with_interval
from refacebench.results.result import ATTACKS, Printed, Result, View
from refacebench.statistics.attack_tables import SETTING_WORDS
from refacebench.statistics.attacks import Evaluation
from refacebench.vocabulary import split_contrast


def compute(
    evaluations: Sequence[Evaluation], gallery: pd.DataFrame, queries: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per setting, attacker, variant and contrast; no rows without companions.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Their variants are named ``pydeface@T2w``.
    gallery, queries : pandas.DataFrame
        The manifests of enrolment and of all attacks.
    """
    if not evaluations:
        return RESULT.frame([])
    table = privacy.compute(evaluations, gallery, queries)
    names = [split_contrast(name) for name in table["variant"]]
    table = table.assign(variant=[v for v, _ in names], contrast=[c for _, c in names])
    mine = table.reindex(columns=list(RESULT.columns))
    return RESULT.frame(mine.to_dict("records"))


def caption(view: View) -> str:
    """Return the caption of the attacks on other contrasts."""
    table = view.tables["privacy_contrasts"]
    if table.empty:
        return "Attacks on other contrasts of a session: there were none to attack."
    contrasts = ", ".join(dict.fromkeys(table["contrast"]))
    return words.join(
        f"How often attackers name the person behind the other images of a session ({contrasts}), "
        "as a percentage of the participants who could be compared, with the interval.",
        "The query is the image of the other contrast, defaced by its T1w scan's mask or as it was "
        "(original). It is compared with T1w originals of all participants, from another session "
        "or from the same one; no gallery holds images of other contrasts. Only attackers that "
        "look at the surface of the head are asked.",
        "*: more often than chance (exact test of the primary measure, corrected over these and "
        f"all other attacks; Holm p < {view.criteria.alpha:g}). Where the originals are not "
        "recognised, the attack says nothing about a method.",
        "People are only as safe as in the weakest image of them: the strongest attack on a "
        "method, and its verdict, include these.",
        words.missing_people(table),
    )


def printed(view: View) -> Printed:
    """Return one row per variant, contrast, attacker and setting."""
    table, alpha = view.rows("privacy_contrasts"), view.criteria.alpha
    columns = ["Variant", "Contrast", "Attacker", "Compared with", "n (failed)", "Right (%)",
               "Chance (%)", "Named first (%)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, view.look):
        for _, row in mine.iterrows():
            rows.append(
                [
                    label,
                    str(row["contrast"]),
                    str(row["attacker"]),
                    _COMPARED.get(row["setting"], SETTING_WORDS.get(row["setting"], "")),
                    f"{int(row['n_completers'])} ({int(row['n_failed'])})",
                    _rate(row, str(row["measure"])) + ("*" if row["p_holm"] < alpha else ""),
                    percent(row["choice_chance" if row["measure"] == "choice" else "chance"]),
                    _rate(row, "rank1"),
                ]
            )
    return columns, rows


#: What a query is compared with, by setting.
_COMPARED = {"other_session": "T1w of another session", "same_scan": "T1w of the same session"}


def _rate(row: pd.Series, measure: str) -> str:
    name = f"{measure}_completers"
    if name not in row:
        return NO_VALUE
    return with_interval(row, name, f"{name}_low", f"{name}_high", 0, scale=100)


RESULT = Result(
    "privacy_contrasts",
    about=__doc__,
    job=ATTACKS,
    columns="""
        variant contrast attacker version trained_on setting
        n n_expected n_completers n_queries n_failed n_no_match n_gallery n_resplits
        n_undetected undetected_share undetected_low undetected_high
        chance rank1 rank1_low rank1_high
        rank1_completers rank1_completers_low rank1_completers_high p_rank1
        n_options choice_chance choice choice_low choice_high
        choice_completers choice_completers_low choice_completers_high
        n_matched matched_on swapped_within
        choice_unmatched choice_unmatched_low choice_unmatched_high
        choice_unmatched_completers choice_unmatched_completers_low
        choice_unmatched_completers_high
        measure family family_size p p_holm critical detectable
        above_chance_at_most margin_points within_margin
        shortfall note
    """,
    compute=lambda given, _: compute(given.contrasts, given.gallery, given.queries),
    caption=caption,
    latex="""
        variant contrast attacker setting n n_failed n_gallery
        choice_completers choice_completers_low choice_completers_high choice_chance
        rank1_completers chance measure p_holm above_chance_at_most
    """,
    heading=HEADING,
    order=410,
    printed=printed,
)
