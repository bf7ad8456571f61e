"""What a data steward may do with each method's output: a verdict by a rule declared beforehand.

The rule has two numbers, keys of the config's ``decision``, and is printed with the verdicts:

do not share
    More than ``failures_pct`` percent of the scans kept their face or lost brain, by a check or by
    true labels where the check missed it; something was written far from the head; or an attack
    recognises people by more than ``far_above_chance_points`` percentage points above chance, even
    at the low end of its interval.
registered access only
    An attack does better than chance, be it with the very same scan to compare with.  That speaks
    against sharing with anybody; it does not show that sharing under an agreement is safe.
not enough data to say
    No attack was made; attacks are not shown to do better than chance even on the originals; it is
    not shown that every attack stays within the margin above chance; so few scans were checked that
    more failures than allowed cannot be ruled out (upper 95 % bound, exact); or no check could see
    a loss of brain, and volumes are shown to change by more than their margin, or were not
    measured.
go
    None of these.

How far above chance an attack is counts for attacks that have another session of the person; where
nobody has one, for those that have the very same scan.

Pure functions: what the tables hold in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refacebench.plot.numbers import chance, of, percent
from refacebench.results import findings
from refacebench.results.attack_found import Attack
from refacebench.results.findings import Check, MethodFinding
from refacebench.results.result import View
from refacebench.results.words import plural
from refacebench.statistics import planning
from refacebench.statistics.attack_tables import DIRECT, is_landmark
from refacebench.statistics.intervals import clopper_pearson

GO, REGISTERED, NO = "go", "registered access only", "do not share"
UNKNOWN = "not enough data to say"
#: What each means; the more is shown against a method, the further down.
VERDICTS = {
    GO: "by everything measured here, fit to be shared",
    UNKNOWN: "shown neither fit nor unfit: too few people, or too little was measured",
    REGISTERED: (
        "an attack recognises people: not for open sharing; whether an agreement that users sign "
        "is enough is not shown either"
    ),
    NO: "faces left, brain lost, marks far from the head, or an attack far above chance",
}
#: The colours in which the page and the figures show them.
COLOURS = {GO: "#1a7f37", REGISTERED: "#b35900", UNKNOWN: "#767676", NO: "#b00020"}
#: With so much power a study should show that attacks at chance are near it.
POWER = 0.8
#: Which attacks are held to the numbers of the rule.
SETTING = (
    "How far above chance an attack is counts for attacks that have another session of the person; "
    "where nobody has one, for those that have the very same scan."
)


@dataclass(frozen=True)
class Rule:
    """The numbers of the rule; see the module."""

    failures_pct: float = 5.0
    far_above_chance_points: float = 20.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Rule:
        """Return the rule of a workflow's config."""
        return cls(**(config.get("decision") or {}))

    @property
    def points(self) -> dict[str, str]:
        """What leads to each verdict, in words, the first that holds."""
        return {
            NO: (
                f"more than {self.failures_pct:g} % of the scans kept their face or lost brain, "
                "something was written far from the head, or an attack is more than "
                f"{self.far_above_chance_points:g} points above chance even at the low end of its "
                "interval"
            ),
            REGISTERED: (
                "an attack does better than chance, even if only with the very same scan to "
                "compare with"
            ),
            UNKNOWN: (
                "it is not shown that every attack stays within the margin above chance; so few "
                "scans were checked that more failures than allowed cannot be ruled out; or no "
                "check could see a loss of brain, and volumes are shown to change by more than "
                "their margin or were not measured"
            ),
            GO: "none of these",
        }

    @property
    def words(self) -> str:
        """The rule in words."""
        points = [f"{said[:1].upper()}{said[1:]}: {when}." for said, when in self.points.items()]
        return f"The rule was fixed in the config before the run. {' '.join(points)} {SETTING}"


class Reason(NamedTuple):
    """Why a method has its verdict: in a few words that methods may share, and with the numbers."""

    short: str
    full: str


def verdict(found: MethodFinding, rule: Rule) -> tuple[str, str]:
    """Return the verdict on a method and the reason for it, in a few words."""
    said, reasons = _reasons(found, rule)
    return said, "; ".join(reason.full for reason in reasons)


def because(found: MethodFinding, rule: Rule) -> str:
    """Return the reason for a method's verdict, without numbers."""
    return " and ".join(dict.fromkeys(reason.short for reason in _reasons(found, rule)[1]))


def _reasons(found: MethodFinding, rule: Rule) -> tuple[str, list[Reason]]:
    if against := _against(found, rule):
        return NO, against
    if attacked := _attacked(found, rule):
        return REGISTERED, [attacked]
    if missing := _missing(found, rule):
        return UNKNOWN, [Reason(text, text) for text in missing]
    return GO, [Reason("", _good(found))]


def _good(found: MethodFinding) -> str:
    """Return what is shown of a method that nothing speaks against, and no more than that."""
    which = "that has another session of the person " if found.same else ""
    few = "no more scans than the rule allows"
    brain = f"{few} kept their face or lost brain"
    if _blind(found):
        brain = (
            f"{few} kept their face; whether brain was lost was not testable, but no volume is "
            "shown to change by more than its margin"
        )
    return f"every attack {which}is shown to stay near chance, and {brain}"


def _blind(found: MethodFinding) -> bool:
    """Tell whether no loss of brain could be seen: a check that is spared, and no true labels."""
    return found.spared and not found.checks.get("failure_2")


def _against(found: MethodFinding, rule: Rule) -> list[Reason]:
    if found.failed:
        nothing = "there is no usable output"
        return [Reason(nothing, nothing)]
    removed, faces = found.face
    kept, most = faces - removed, rule.failures_pct / 100
    reasons = []
    if faces and kept / faces > most:
        reasons.append(Reason("faces were left", f"face left in {of(kept, faces)} scans"))
    if found.brain[1] and found.cut / found.brain[1] > most:
        reasons.append(Reason("brain was lost", f"brain cut in {of(found.cut, found.brain[1])}"))
    for failure, truth in found.checks.items():
        if truth and truth.missed and truth.failed / truth.judged > most:
            short = findings.true_failure(found.variant, failure, "was kept", "was lost")
            reasons.append(
                Reason(f"by the true labels {short}", by_true_labels(found.variant, failure, truth))
            )
    if found.odd:
        odd = f"written far from the head in {of(found.odd, found.n)}"
        reasons.append(Reason("something was written far from the head", odd))
    worst = found.attack
    if worst and worst.beats and worst.low - worst.chance > rule.far_above_chance_points / 100:
        far = f"{_right(worst)}, more than {rule.far_above_chance_points:g}"
        reasons.append(Reason("an attack is far above chance", far))
    return reasons


def by_true_labels(variant: str, failure: str, truth: findings.Check) -> str:
    """Return in how many scans true labels show a failure, of those with a verdict by them."""
    return f"by the true labels {true_labels(variant, failure, truth)}"


def true_labels(variant: str, failure: str, truth: findings.Check) -> str:
    """Return the same without saying that it is by true labels.

    >>> true_labels("d", "failure_2", Check(0, 1, 12, 0))
    'brain lost in 1 of 13 scans'
    >>> true_labels("d", "failure_2", Check(0, 0, 13, 0))
    'no brain lost (13 scans)'
    """
    said = findings.true_failure(variant, failure)
    if truth.failed:
        return f"{said} in {findings.of_judged(truth, truth.failed)}"
    return f"no {said} ({findings.all_judged(truth)})"


def _right(worst: Attack) -> str:
    """Return what an attack reaches, at least, and how far that is above chance."""
    points = 100 * (worst.low - worst.chance)
    return (
        f"an attack does better than chance{_route(worst)}: right for {percent(worst.rate)} % of "
        f"people as observed and for at least {percent(worst.low)} %, {points:.0f} points above "
        "chance"
    )


def _route(attack: Attack) -> str:
    """Return how an attack came to the face, where that is not the image as it is."""
    return "" if attack.route == DIRECT else f", {attack.way}"


def _attacked(found: MethodFinding, rule: Rule) -> Reason | None:
    """Return that an attack does better than chance, the one with another session first."""
    worst, better = found.attack, "does better than chance"
    if worst is not None and found.beaten:
        who = f"an attack {better}{_route(worst)}"
        full = _by_the_test(worst, who) or _right(worst)
        return Reason(who, f"{full}; {_how_far(worst, rule)}")
    if found.easier is None:
        return None
    easier = found.easier
    who = f"an attack that has the very same scan {better}{_route(easier)}"
    full = _by_the_test(easier, who) or (
        f"{who}: right for {percent(easier.rate)} % of people as observed and for at least "
        f"{percent(easier.low)} % (chance {chance(easier.chance)} %)"
    )
    return Reason(who, full)


def _how_far(worst: Attack, rule: Rule) -> str:
    """Return what separates an attack from one that is far above chance, and who can tell."""
    most = rule.far_above_chance_points
    told = f"at more than {most:g} points it would be '{NO}'"
    if np.isfinite(worst.above) and 100 * worst.above > most:
        few = f"{worst.people} people are too few" if worst.people else "the people are too few"
        told += f", which {few} to rule out (up to {_above(worst)} points are possible)"
    return told


def recognised(found: MethodFinding) -> Attack | None:
    """Return the attack that is shown to do better than chance; the harder setting first."""
    return found.attack if found.beaten else found.easier


def _by_the_test(attack: Attack, who: str) -> str:
    """Return that the exact test decides, where an interval holds chance; empty where not."""
    if attack.low > attack.chance:
        return ""
    return (
        f"{who} ({percent(attack.rate)} % as observed) by the exact test, which decides, "
        f"although {attack.disagreement}"
    )


def _missing(found: MethodFinding, rule: Rule) -> list[str]:
    """Return why the numbers cannot clear a method, although nothing is shown against it."""
    if not found.available:
        return ["not run on this machine"]
    reasons = _attacks_missing(found)
    removed, faces = found.face
    if not faces:
        return [*reasons, "no face was judged"]
    left = [(faces - removed, faces)]
    lost = [] if found.spared or not found.brain[1] else [(found.cut, found.brain[1])]
    most = {
        "faces left": _possible(left, found.checks.get("failure_1")),
        "brain lost": _possible(lost, found.checks.get("failure_2")),
    }
    told = [
        f"{what} in up to {percent(share)} % of scans ({scans} judged)"
        for what, (share, scans) in most.items()
        if share > rule.failures_pct / 100
    ]
    if told:
        reasons.append(f"{' and '.join(told)} are possible (one-sided)")
    return [*reasons, *_unseen(found)]


def _attacks_missing(found: MethodFinding) -> list[str]:
    """Return why attacks cannot clear a method."""
    worst = found.attack
    if worst is None:
        return ["no attack was made on it"]
    if found.weak:
        return [findings.NOT_SHOWN_TO_WORK]
    if worst.within == 1:
        return []
    if not np.isfinite(worst.above):
        return ["how far above chance attacks may be is not known"]
    return [
        "no attack is shown to do better than chance, but up to "
        f"{_above(worst)} points above chance are possible ({_where(found)}one-sided)"
    ]


def _possible(counted: list[tuple[int, int]], truth: Check | None) -> tuple[float, int]:
    """Return the share of scans that may have failed at most, and of how many scans that is.

    By a check and by true labels: the worse of the two.
    """
    told = [*counted, *([(truth.failed, truth.judged)] if truth else [])]
    bounds = [(float(clopper_pearson(failed, n, 0.9)[1]), n) for failed, n in told]
    return max(bounds, default=(0.0, 0))


def _unseen(found: MethodFinding) -> list[str]:
    """Return that brain may be lost, where no check could see it and volumes do not deny it."""
    if not _blind(found):
        return []
    v = found.volumes
    if v is None:
        return ["whether brain was lost was not testable, and no volumes were compared"]
    if v.beyond:
        return [
            "whether brain was lost was not testable, and "
            f"{v.beyond} of {plural(v.tested, 'volume')} are shown to change by more than the "
            "margin"
        ]
    return []


def _above(attack: Attack) -> str:
    return f"{100 * max(attack.above, 0):.0f}"


def _where(found: MethodFinding) -> str:
    """Return which setting a bound is of, and the bound of the easier one where there is one."""
    worst, same = found.attack, found.same
    if worst is None or not worst.setting:
        return ""
    other = f"; same scan: {_above(same)}" if same and np.isfinite(same.above) else ""
    return f"{worst.setting.replace('_', ' ')}{other}; "


def verdicts(view: View) -> dict[str, tuple[str, str]]:
    """Return the verdict on each judged method, and its colour; for figures."""
    rule = Rule.from_config({"decision": view.decision})
    found = {
        name: findings.finding(view.tables, name, view.criteria.alpha) for name in judged(view)
    }
    said = {name: verdict(method, rule)[0] for name, method in found.items()}
    return {name: (text, COLOURS[text]) for name, text in said.items()}


def judged(view: View) -> list[str]:
    """Return the methods that get a verdict, in the order of the table; none without checks."""
    quality = view.rows("quality")
    if quality.empty:
        return []
    return [v for v in view.look.sort(quality["variant"]) if not is_landmark(v)]


def needed(found: MethodFinding, level: float) -> int:
    """Return how many people show that all attacks on a method are near chance, if they are.

    0 where that is not known, or no number is enough.
    """
    worst = found.attack
    if worst is None or found.failed or not np.isfinite(worst.margin):
        return 0
    power = planning.power_of_each(POWER, worst.attacks)
    try:
        return planning.people_within(float(worst.chance), worst.margin / 100, level, power)
    except ValueError:  # no number is enough
        return 0
