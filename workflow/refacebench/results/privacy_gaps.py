"""How much more often people are identified behind one method than behind another.

One row per setting, pair of methods (no controls) and attacker, of the primary measure and the
``n`` participants who could be compared behind both.  ``rate`` (behind ``variant``) and
``other_rate`` (behind ``other``) are how often people are identified, as observed;
``above_chance`` and ``other_above_chance`` the same less the attack's chance.  ``gap`` is how much
more often people are identified behind ``variant``, which is the one that is identified more: for
one attacker the difference of the rates, for the ``worst case`` that of the rates above chance;
with interval (:mod:`~refacebench.statistics.gaps`).
``attacker`` is ``worst case`` for the gap between the worst attacks, over all attackers but those
that look at no face, and all routes; rates are there those of the attack that looks worst, and the
interval allows for its choice.  A refaced method has the worst case of its
defacer, so that each defacer stands there once, for all of its methods.  ``p_holm`` is corrected
over all pairs of one setting and attacker (``family_size``); intervals are not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import p_value, with_ends
from refacebench.results import sentences, words
from refacebench.results.privacy import HEADING, MEASURES
from refacebench.results.result import ATTACKS, Printed, Result, View
from refacebench.statistics import paired
from refacebench.statistics.attack_tables import is_control, main_rows, main_setting
from refacebench.statistics.attack_tests import CHANCES
from refacebench.statistics.attacks import Evaluation
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.gaps import Gap, Reached, looks_worst, paired_gap, worst_gap
from refacebench.statistics.protocol import Protocol
from refacebench.statistics.routes import completers, declared_measure
from refacebench.vocabulary import SETTINGS, split_contrast, split_variant

#: What stands for all attackers and routes together.
WORST = "worst case"
#: So many pairs are printed on the page.
MOST_PRINTED = 8
#: How refacers are called that follow CP-GAN.
CPGAN = "cpgan"


def compute(
    results: Sequence[Evaluation],
    protocol: Protocol,
    criteria: Criteria,
    floors: Collection[str] = (),
) -> pd.DataFrame:
    """Return the table ``privacy_gaps``; ``floors`` names the attackers that look at no face."""
    measure = declared_measure(results, protocol)
    rows: list[dict[str, Any]] = []
    for setting in SETTINGS:
        mine = [r for r in results if r.row["setting"] == setting]
        faces = [r for r in mine if r.row["attacker"] not in floors] or mine
        methods = list(dict.fromkeys(r.row["variant"] for r in mine))
        methods = [v for v in methods if not is_control(v) and not split_contrast(v)[1]]
        parts = {WORST: list(_worst(faces, methods, measure, criteria))}
        for attacker in dict.fromkeys(r.row["attacker"] for r in mine):
            attacks = {r.row["variant"]: r for r in mine if r.row["attacker"] == attacker}
            parts[attacker] = list(_single(attacks, methods, measure, criteria))
        for attacker, found in parts.items():
            corrected = paired.correct([row["p"] for row in found], "holm")
            shared = {"setting": setting, "attacker": attacker, "measure": measure}
            size = int(np.isfinite(corrected).sum())
            rows += [
                {**shared, **row, "p_holm": float(p), "family_size": size}
                for row, p in zip(found, corrected, strict=True)
            ]
    return RESULT.frame(rows)


def _worst(
    results: Sequence[Evaluation], methods: Sequence[str], measure: str, criteria: Criteria
) -> Iterator[dict[str, Any]]:
    """Return the gaps between worst cases, of which each defacer has one."""
    names: dict[str, str] = {}
    for variant in methods:
        defacer = split_variant(variant)[0]
        names[defacer] = variant if variant == defacer else names.get(defacer, variant)
    routes = {variant: completers(results, variant, measure) for variant in names.values()}
    routes = {variant: found for variant, found in routes.items() if found.rates.size}
    for a, b in combinations(routes, 2):
        both = routes[a].rates.index.intersection(routes[b].rates.index)
        rates = [
            looks_worst(Reached(found.rates.loc[both], found.chances))
            for found in (routes[a], routes[b])
        ]
        yield _row(a, b, rates, worst_gap(routes[a], routes[b], criteria))


def _single(
    attacks: dict[str, Evaluation], methods: Sequence[str], measure: str, criteria: Criteria
) -> Iterator[dict[str, Any]]:
    """Return the gaps of one attacker, on the variants as they are."""
    values = {v: attacks[v].persons.get(measure) for v in methods if v in attacks}
    known = {v: s.dropna() for v, s in values.items() if s is not None and s.notna().any()}
    for a, b in combinations(known, 2):
        both = known[a].index.intersection(known[b].index)
        if len(both):
            means = {v: float(known[v].loc[both].mean()) for v in (a, b)}
            rates = [(m, m - float(attacks[v].row[CHANCES[measure]])) for v, m in means.items()]
            yield _row(a, b, rates, paired_gap(known[a], known[b], criteria))


def _row(first: str, second: str, rates: Sequence[tuple[float, float]], gap: Gap) -> dict[str, Any]:
    """Return a row, the method that is identified more in front.

    ``rates``: of both, as they are and less chance.
    """
    if gap.gap < 0:
        first, second, rates = second, first, rates[::-1]
        gap = gap._replace(gap=-gap.gap, low=-gap.high, high=-gap.low)
    return {
        "variant": first,
        "other": second,
        "rate": rates[0][0],
        "other_rate": rates[1][0],
        "above_chance": rates[0][1],
        "other_above_chance": rates[1][1],
        **gap._asdict(),
    }


def both_ways(table: pd.DataFrame) -> pd.DataFrame:
    """Return each pair twice, in both orders, so that the gap behind ``variant`` has a sign.

    >>> pair = {"variant": "a", "other": "b", "rate": 0.5, "other_rate": 0.2, "above_chance": 0.3,
    ...         "other_above_chance": 0.0, "gap": 0.3, "low": 0.1, "high": 0.4}
    >>> found = both_ways(pd.DataFrame([pair])).set_index("variant").loc["b"]
    >>> [float(found[name]) for name in ("rate", "gap", "low", "high")]
    [0.2, -0.3, -0.4, -0.1]
    """
    other = {name: f"other_{name}" for name in ("rate", "above_chance")} | {"variant": "other"}
    turned = table.rename(columns=other | {new: old for old, new in other.items()})
    ends = {name: -table[old] for name, old in (("gap", "gap"), ("low", "high"), ("high", "low"))}
    return pd.concat([table, turned[list(table)].assign(**ends)], ignore_index=True)


def caption(view: View) -> str:
    """Return the caption of the gaps."""
    table = view.rows("privacy_gaps")
    if table.empty:
        return "Gaps between methods: no two methods were attacked on the same participants."
    shown = shown_gaps(table, view.criteria)
    measure = MEASURES[table["measure"].iloc[0]]
    pairs = words.plural(len(shown), "pair")
    count = f"{pairs} of methods {'is' if len(shown) == 1 else 'are'} shown to differ"
    count = "no two methods are shown to differ" if shown.empty else count
    return words.folded(
        "How many percentage points more people are identified behind one method than behind the "
        "other, by the strongest attack on each. In these data "
        f"{count}.{_no_difference(_main(table), shown, view)}",
        sentences.unequal_attacks(view.tables, _main(table)[["variant", "other"]].stack().unique()),
        f"Measure: {measure}, the same participants behind both. Shown to differ: paired test of "
        "the strongest attack, Holm "
        f"p < {view.criteria.alpha:g} over all pairs, no controls among them.",
        f"Intervals: {100 * view.criteria.level:g} %, small-sample bounds of paired differences, "
        "allowing for the number of attacks but not for the number of pairs.",
        _published(table),
    )


def _published(table: pd.DataFrame) -> str:
    """Return what the authors of CP-GAN found, where it ran here; else nothing."""
    variants = table[["variant", "other"]].stack()
    if not any(str(split_variant(name)[1] or "").startswith(CPGAN) for name in variants):
        return ""
    return (
        "Published elsewhere, on other data: people, picked from five, were identified 17 to 25 "
        "points more often behind other methods than behind CP-GAN (Van der Goten 2021)."
    )


def _no_difference(pairs: pd.DataFrame, shown: pd.DataFrame, view: View) -> str:
    """Return that one verdict less is no difference, where a pair not shown to differ has one."""
    planes = view.rows("tradeoff")
    if planes.empty:
        return ""
    planes = main_rows(planes).drop_duplicates("variant").set_index("variant")
    beaten = pd.to_numeric(planes["beaten"], errors="coerce")
    rest = pairs.drop(shown.index)
    first, second = (beaten.reindex(rest[name]).to_numpy() for name in ("variant", "other"))
    if not (np.abs(first - second) == 1).any():
        return ""
    return " That an attack beats one and not the other does not show that they differ."


def shown_gaps(table: pd.DataFrame, criteria: Criteria) -> pd.DataFrame:
    """Return the pairs that are shown to differ in their worst case, in the setting that counts."""
    return _main(table).loc[lambda rows: rows["p_holm"] < criteria.alpha]


def _main(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table["attacker"] == WORST]
    return rows[rows["setting"] == main_setting(rows)]


def printed(view: View) -> Printed:
    """Return the pairs with the strongest evidence of a gap, in the setting that counts."""
    columns = ["More identified", "Less identified", "n", "Gap (points)", "p (Holm)"]
    table = view.rows("privacy_gaps")
    rows = _main(table) if len(table) else table
    if rows.empty:
        return columns, []
    rows = rows.sort_values(["p", "gap"], ascending=[True, False], kind="stable")
    label = view.look.label
    cells = []
    for _, row in rows.head(MOST_PRINTED).iterrows():
        gap, low, high = (100 * row[c] for c in ("gap", "low", "high"))
        cells.append(
            [
                label(row["variant"]),
                label(row["other"]),
                str(int(row["n"])),
                "{} [{}, {}]".format(*with_ends(gap, low, high, digits=0)),
                p_value(row["p_holm"]),
            ]
        )
    left = len(rows) - len(cells)
    if left > 0:
        cells.append([f"{left} more in the full table", "", "", "", ""])
    return columns, cells


RESULT = Result(
    "privacy_gaps",
    about=__doc__,
    empty="no two methods were attacked on the same people",
    job=ATTACKS,
    columns="""
        setting attacker variant other measure n rate other_rate above_chance other_above_chance
        gap low high p p_holm family_size
    """,
    texts="other",
    compute=lambda given, _: compute(
        given.all_attacks, given.protocol, given.criteria, given.floors
    ),
    caption=caption,
    latex="""
        setting attacker variant other n rate other_rate above_chance other_above_chance
        gap low high p_holm
    """,
    heading=HEADING,
    secondary=True,
    order=115,
    printed=printed,
)
