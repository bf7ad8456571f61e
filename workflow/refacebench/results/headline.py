"""The answer in two sentences: what may be shared, and what the data leave open.

What is not decided is never called the best, nor without fault: beside it stands how often the
strongest attack was right, and whether the data tell the methods apart.

Pure functions: what the tables hold in, text out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from refacebench.plot.numbers import chance, percent
from refacebench.results import findings, sentences
from refacebench.results.attack_found import Attack, Tables
from refacebench.results.decisions import (
    GO,
    NO,
    POWER,
    REGISTERED,
    UNKNOWN,
    VERDICTS,
    Rule,
    because,
    needed,
    recognised,
    verdict,
)
from refacebench.results.findings import MethodFinding
from refacebench.results.privacy_gaps import shown_gaps
from refacebench.results.words import listed
from refacebench.statistics.attack_tables import is_control, is_landmark
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import split_variant


def lines(
    tables: Tables, variants: Iterable[str], rule: Rule, criteria: Criteria | None = None
) -> list[str]:
    """Return the answer, and what the data leave open; nothing where nothing was judged."""
    parts, left_open = told(tables, variants, rule, criteria)
    return [" ".join(parts), *left_open] if parts else []


def told(
    tables: Tables, variants: Iterable[str], rule: Rule, criteria: Criteria | None = None
) -> tuple[list[str], list[str]]:
    """Return the sentences of the answer, and what the data leave open; both may be empty."""
    if "quality" not in tables or tables["quality"].empty:
        return [], []
    criteria = criteria or Criteria()
    alpha = criteria.alpha
    found = [findings.finding(tables, v, alpha) for v in variants if not is_landmark(v)]
    if not found:
        return [], []
    unequal = sentences.unequal_attacks(tables, [method.variant for method in found])
    left_open = open_line(undecided(found, rule), tables.get("privacy_gaps"), alpha)
    return answer(found, rule, criteria.level), [*left_open, *filter(None, [unequal])]


def undecided(found: Iterable[MethodFinding], rule: Rule) -> list[MethodFinding]:
    """Return the methods of which all was measured that the rule asks for, and yet nothing shown.

    No attack on them is shown to do better than chance, nor are all shown to stay near it.
    """
    return [
        method
        for method in found
        if verdict(method, rule)[0] == UNKNOWN
        and method.attack is not None
        and method.attack.within != 1
        and _is_tried(method)
    ]


def answer(found: Iterable[MethodFinding], rule: Rule, level: float = 0.95) -> list[str]:
    """Return sentences that answer what may be shared: in short, then method by method."""
    found = list(found)
    named: dict[str, list[MethodFinding]] = {said: [] for said in VERDICTS}
    for method in found:
        named[verdict(method, rule)[0]].append(method)
    unclear = undecided(found, rule)
    few = [m for m in named[UNKNOWN] if _is_tried(m) and m not in unclear]
    rest = [m for m in named[UNKNOWN] if m not in unclear and m not in few]
    open_to_all = _names(named[GO])
    first = f"{open_to_all}: fit for open sharing" if open_to_all else (
        "no method here is shown to be fit for open sharing")  # fmt: skip
    people = max((m.attack.people for m in unclear if m.attack), default=0)
    parts = [
        f"By the rule in the config, {first}",
        unclear
        and f"{_names(unclear)}: not enough data to say ({people} people); no attack is "
        "shown to do better than chance, nor is it shown that all stay near it"
        f"{_to_show_it(unclear, level)}",
        few
        and f"{_names(few)}: not enough data to say; attacks are shown to stay near chance, but so "
        "few scans were checked that more failures than allowed cannot be ruled out",
        rest and f"{_names(rest)}: too little was measured to say",
        *_with_reasons(named, REGISTERED, rule),
        *_with_reasons(named, NO, rule),
    ]
    return [f"{part}." for part in parts if part]


def _with_reasons(named: Mapping[str, Sequence[MethodFinding]], said: str, rule: Rule) -> list[str]:
    """Return a verdict on methods with what led to it, those with the same reason together."""
    reasons: dict[str, list[MethodFinding]] = {}
    for method in named[said]:
        reasons.setdefault(because(method, rule), []).append(method)
    return [
        f"{_names(methods)}: {said}, because {why}{_reached(methods) if said == REGISTERED else ''}"
        for why, methods in reasons.items()
    ]


def _reached(methods: Iterable[MethodFinding]) -> str:
    """Return in brackets for how many people the attacks were right that recognise people."""
    found = [(method, attack) for method in methods if (attack := recognised(method)) is not None]
    alike = len({percent(attack.rate) for _, attack in found}) == 1
    if alike:
        return f" (right for {percent(found[0][1].rate)} % of people as observed)"
    return f" (right for {_rates(found)}, as observed)" if found else ""


def _to_show_it(unclear: Iterable[MethodFinding], level: float) -> str:
    """Return how many people could show that attacks stay near chance; empty if not known."""
    people = {needed(method, level) for method in unclear} - {0}
    if not people:
        return ""
    least, most = min(people), max(people)
    many = f"{least}" if least == most else f"{least} to {most}"
    power = f"{100 * POWER:.0f} %"
    return f"; if all are at chance, it takes about {many} people to show that (power {power})"


def open_line(
    unclear: Sequence[MethodFinding], gaps: pd.DataFrame | None, alpha: float
) -> list[str]:
    """Return how often the strongest attack was right on the methods that are not decided.

    Parameters
    ----------
    unclear : sequence of MethodFinding
        Of :func:`undecided`.
    gaps : pandas.DataFrame or None
        The table ``privacy_gaps``: whether the data tell them apart.
    alpha : float
    """
    found = [(method, method.attack) for method in unclear if method.attack is not None]
    if not found:
        return []
    chances = {chance(attack.chance) for _, attack in found}
    by_chance = f"chance {chances.pop()} %; " if len(chances) == 1 else ""
    shared = f" ({by_chance}intervals: corrected for the number of attacks)"
    same = [(method, method.same) for method in unclear if method.same is not None]
    begin = (
        "The strongest attack that has another session of the person was right, as observed, for"
        if same
        else "The strongest attack was right, as observed, for"
    )
    told = _rates(found, each_chance=not by_chance, ends=True)
    many = len({split_variant(method.variant)[0] for method in unclear}) > 1
    apart = f" {_apart(unclear, gaps, alpha)}" if many else ""
    easier = f" {_with_the_same_scan(found, same)}" if same else ""
    return [f"{begin} {told}{shared}.{apart}{easier}"]


def _rates(
    found: Iterable[tuple[MethodFinding, Attack]], each_chance: bool = False, ends: bool = False
) -> str:
    """Return the observed rates, with ``ends`` and their intervals, methods with the same together.

    By method, in their order: a sorted list would look like a ranking.
    """
    rates: dict[tuple[str, str], list[MethodFinding]] = {}
    for method, attack in found:
        interval = f"{percent(attack.low)} to {percent(attack.high)} %" if ends else ""
        own = f"chance {chance(attack.chance)} %" if each_chance else ""
        told = "; ".join(filter(None, [interval, own]))
        rate = percent(attack.rate), f" ({told})" if told else ""
        rates.setdefault(rate, []).append(method)
    said: list[str] = []
    for (number, told), methods in rates.items():
        people = "" if said else " of people"
        said.append(f"{number} %{people}{told} on {_names(methods)}")
    return listed(said)


def _with_the_same_scan(
    found: Sequence[tuple[MethodFinding, Attack]], same: Sequence[tuple[MethodFinding, Attack]]
) -> str:
    """Return the rates of the easier setting, and that they stand the other way round if so."""
    easier = {method.variant: attack.rate for method, attack in same}
    rates = [(a.rate, easier[m.variant]) for m, a in found if m.variant in easier]
    turned = any((a - b) * (x - y) < 0 for (a, x), (b, y) in combinations(rates, 2))
    order = "; the order of the methods changes, so neither is a ranking" if turned else ""
    told = _rates(same, ends=True)
    return f"The strongest that has the very same scan was right for {told}{order}."


def _apart(unclear: Sequence[MethodFinding], gaps: pd.DataFrame | None, alpha: float) -> str:
    """Return which of the methods the data tell apart by their strongest attacks."""
    if gaps is None or gaps.empty:
        return "Whether that differs between them was not tested."
    pairs = shown_gaps(gaps, Criteria(alpha=alpha))
    names = {method.variant for method in unclear}
    pairs = pairs[pairs["variant"].isin(names) & pairs["other"].isin(names)]
    if pairs.empty:
        differ = "they are not" if len(names) == 2 else "no two are"
        return f"The data do not tell these apart: {differ} shown to differ."
    told = listed(
        [f"more people on {a} than on {b}" for a, b in pairs[["variant", "other"]].values]
    )
    return f"It is shown to identify {told}; the data do not tell the others apart."


def _is_tried(found: MethodFinding) -> bool:
    """Tell whether all was measured that the rule asks for, so that only people are missing."""
    bounded = found.attack is not None and np.isfinite(found.attack.above)
    return found.available and bounded and not found.weak and found.face[1] > 0


def _names(methods: Iterable[MethodFinding]) -> str:
    """Return the names of methods, those with and without a new face as one; empty for none."""
    left = [method.variant for method in methods]
    parts = []
    for name in left:
        defacer, refacer = split_variant(name)
        kin = [other for other in left if split_variant(other)[0] == defacer]
        if defacer in left and refacer:
            continue
        also = " (with or without a new face)" if not refacer and len(kin) > 1 else ""
        parts.append(f"{name}{also}{' (a control)' if is_control(name) else ''}")
    return listed(parts)
