"""What a data steward may do with each method's output: a verdict by a rule declared beforehand.

The rule has two numbers, keys of the config's ``decision``, and is printed with the verdicts:

do not share
    More than ``failures_pct`` percent of the scans kept their face or lost brain, by a check or by
    true labels where the check missed it; something was written far from the head; or an attack
    recognises people by more than ``far_above_chance_points`` percentage points above chance, even
    at the low end of its interval.
registered access only
    An attack does better than chance, be it with the very same scan to compare with.
not enough data to say
    No attack was made; the attacks do not recognise even the originals; it is not shown that every
    attack stays within the margin above chance; so few scans were checked that more failures
    than allowed cannot be ruled out (upper 95 % bound, exact); or no check could see a loss of
    brain, and volumes change by more than their margin, or were not measured.
go
    None of these.

How far above chance an attack is counts for attacks that have another session of the person; where
nobody has one, for those that have the very same scan.

Pure functions: what the tables hold in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refacebench.plot.numbers import NO_VALUE, chance, number, of, percent, with_ends
from refacebench.plot.privacy_utility import CORRECTED
from refacebench.plot.volumes import region_label
from refacebench.results import findings, sentences, words
from refacebench.results.findings import MethodFinding, Tables
from refacebench.results.result import Printed, View
from refacebench.results.words import plural
from refacebench.statistics import planning
from refacebench.statistics.attack_tables import is_control, is_landmark
from refacebench.statistics.intervals import clopper_pearson
from refacebench.vocabulary import NULL, TOTAL

GO, REGISTERED, NO = "go", "registered access only", "do not share"
UNKNOWN = "not enough data to say"
#: From the best to the worst, with what each means.
VERDICTS = {
    GO: "by everything measured here, fit to be shared",
    REGISTERED: "an attack recognises people: only under an agreement that users sign",
    UNKNOWN: "shown neither fit nor unfit: too few people, or too little was measured",
    NO: "faces left, brain lost, marks far from the head, or an attack far above chance",
}
#: The colours in which the page and the figures show them.
COLOURS = {GO: "#1a7f37", REGISTERED: "#b35900", UNKNOWN: "#767676", NO: "#b00020"}
#: With so much power a study should show that attacks at chance are near it.
POWER = 0.8
#: The column that a table has where the strongest attack has another session of the person.
SAME = "With the same scan"
#: What decides; everything else about a method stands in what its row opens (:func:`facts`).
COLUMNS = [
    "Method", "Verdict", "Why", "Face surface removed", "Brain mask untouched", "Strongest attack",
    SAME, "Volumes", "Predicted age",
]  # fmt: skip
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
                "check could see a loss of brain, and volumes change by more than their margin or "
                "were not measured"
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
        return [Reason(*["there is no usable output"] * 2)]
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
            reasons.append(Reason(short, _true(found.variant, failure, truth)))
    if found.odd:
        odd = f"written far from the head in {of(found.odd, found.n)}"
        reasons.append(Reason("something was written far from the head", odd))
    worst = found.attack
    if worst and worst.beats and worst.low - worst.chance > rule.far_above_chance_points / 100:
        far = f"{_right(worst)}, more than {rule.far_above_chance_points:g}"
        reasons.append(Reason("an attack is far above chance", far))
    return reasons


def _true(variant: str, failure: str, truth: findings.Check) -> str:
    """Return in how many scans true labels show a failure, of those with a verdict by them."""
    said = findings.true_failure(variant, failure)
    return f"by the true labels {said} in {findings.of_judged(truth, truth.failed)}"


def _right(worst: findings.Attack) -> str:
    """Return what an attack reaches, at least, and how far that is above chance."""
    points = 100 * (worst.low - worst.chance)
    return (
        f"an attack does better than chance: right in {percent(worst.rate)} % as observed and in "
        f"at least {percent(worst.low)} %: {points:.0f} points above chance"
    )


def _attacked(found: MethodFinding, rule: Rule) -> Reason | None:
    """Return that an attack does better than chance, the one with another session first."""
    worst, better = found.attack, "does better than chance"
    if worst is not None and found.beaten:
        needed = f"more than {rule.far_above_chance_points:g} are needed for '{NO}'"
        full = _by_the_test(worst, f"an attack {better}") or f"{_right(worst)}, {needed}"
        return Reason(f"an attack {better}", full)
    if found.easier is None:
        return None
    easier, who = found.easier, f"an attack that has the very same scan {better}"
    full = _by_the_test(easier, who) or (
        f"{who}: right in {percent(easier.rate)} % as observed and in at least "
        f"{percent(easier.low)} % (chance {chance(easier.chance)} %)"
    )
    return Reason(who, full)


def _by_the_test(attack: findings.Attack, who: str) -> str:
    """Return that the exact test decides, where an interval holds chance; empty where not."""
    if attack.low > attack.chance:
        return ""
    return (
        f"{who} ({percent(attack.rate)} % as observed) by the exact test, which decides, "
        f"although {attack.disagreement}"
    )


def _missing(found: MethodFinding, rule: Rule) -> list[str]:
    if not found.available:
        return ["not run on this machine"]
    reasons = []
    worst = found.attack
    if worst is None:
        reasons.append("no attack was made on it")
    elif found.weak:
        reasons.append("the attacks do not recognise even the originals")
    elif worst.within != 1:
        if np.isfinite(worst.above):
            reasons.append(
                "no attack is shown to do better than chance, but up to "
                f"{_above(worst)} points above chance are possible ({_where(found)}one-sided)"
            )
        else:
            reasons.append("how far above chance attacks may be is not known")
    removed, faces = found.face
    if not faces:
        return [*reasons, "no face was judged"]
    counts = {"failure_1": (faces - removed, faces)}
    if not found.spared and found.brain[1]:
        counts["failure_2"] = (found.cut, found.brain[1])
    most = {
        what: max(_possible(found, failure, counts.get(failure)))
        for failure, what in {"failure_1": "faces left", "failure_2": "brain lost"}.items()
    }
    told = [
        f"{what} in up to {percent(share)} %"
        for what, share in most.items()
        if share > rule.failures_pct / 100
    ]
    if told:
        reasons.append(f"{' and '.join(told)} of scans are possible (one-sided)")
    return [*reasons, *_unseen(found)]


def _possible(found: MethodFinding, failure: str, counted: tuple[int, int] | None) -> list[float]:
    """Return how many scans may have failed, as a share: by a check, and by true labels."""
    truth = found.checks.get(failure)
    told = [counted] if counted else []
    told += [(truth.failed, truth.judged)] if truth else []
    return [0.0, *(clopper_pearson(failed, scans, 0.9)[1] for failed, scans in told)]


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
            f"{v.beyond} of {plural(v.tested, 'volume')} change by more than the margin"
        ]
    return []


def _above(attack: findings.Attack) -> str:
    return f"{100 * max(attack.above, 0):.0f}"


def _where(found: MethodFinding) -> str:
    """Return which setting a bound is of, and the bound of the easier one where there is one."""
    worst, same = found.attack, found.same
    if worst is None or not worst.setting:
        return ""
    other = f"; same scan: {_above(same)}" if same and np.isfinite(same.above) else ""
    return f"{worst.setting.replace('_', ' ')}{other}; "


def printed(view: View, rule: Rule, alpha: float = 0.05) -> Printed:
    """Return the columns and rows of the table; no rows where nothing was judged.

    Parameters
    ----------
    view : View
        With ``look``, in whose order the methods stand.
    """
    found = [findings.finding(view.tables, name, alpha) for name in judged(view)]
    both = any(method.same for method in found)
    columns = [name for name in COLUMNS if both or name != SAME]
    return columns, [_row(view, method, rule, both) for method in found]


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


def _row(view: View, found: MethodFinding, rule: Rule, both: bool) -> list[str]:
    said, why = verdict(found, rule)
    return [
        view.look.label(found.variant) + (", a control" if is_control(found.variant) else ""),
        said,
        why,
        _face(found),
        _brain(found),
        _attack(found),
        *([_same(found)] if both else []),
        _volumes(found),
        _age(found),
    ]


def facts(
    view: View, variant: str, methods: Mapping[str, Mapping[str, Any]], alpha: float = 0.05
) -> list[tuple[str, str]]:
    """Return what else there is to know of a method, by name; without what is not known.

    Parameters
    ----------
    methods : mapping
        By the name of a defacer or refacer: ``engine`` and ``licence``.
    """
    found = findings.finding(view.tables, variant, alpha)
    told = [
        ("Strongest attack", sentences.same_attack(found) or NO_VALUE),
        ("No usable output", f"{of(found.crashed, found.n)} scans" if found.n else NO_VALUE),
        ("People to show chance", _needed(found, view.criteria.level)),
        ("Time for one scan", _seconds(view.tables, variant)),
        *((key.capitalize(), _of_methods(variant, methods, key)) for key in ("engine", "licence")),
    ]
    return [(name, text) for name, text in told if text != NO_VALUE]


def control_line(view: View, alpha: float = 0.05) -> str:
    """Return why the null control has no verdict, and what it shows; empty where it was not run."""
    quality = view.rows("quality")
    if quality.empty or NULL not in set(quality["variant"]):
        return ""
    found = findings.finding(view.tables, NULL, alpha)
    removed, faces = found.face
    parts = [f"its face was left in {of(faces - removed, faces)} scans"] if faces else []
    if found.attack is not None:
        parts.append(f"the strongest attack is right in {found.attack.interval}")
    if found.volumes is not None:
        v = found.volumes
        largest = f"{number(v.change, 1, True)} % ({region_label(v.largest)})"
        parts.append(f"the largest median change of any volume is {largest}")
    if found.age_shift is not None:
        parts.append(f"predicted age moves by {number(found.age_shift[0], 1, True)} years")
    shown = f" Here {words.listed(parts)}." if parts else ""
    return (
        "The null control has no row, because it is no method but the original with invisible "
        "noise outside the brain. A method that does nothing would look like it, and no attack "
        f"should fail on it.{shown}"
    )


def _face(found: MethodFinding) -> str:
    """Return in how many scans the face's surface was removed, and what true labels say."""
    if not found.face[1]:
        return NO_VALUE
    truth = found.checks.get("failure_1")
    missed = f"; {_true(found.variant, 'failure_1', truth)}" if truth and truth.missed else ""
    return of(*found.face) + missed


def _brain(found: MethodFinding) -> str:
    """Return in how many outputs the brain mask is as it was, and what true labels say.

    Where the method spares the mask that judges it, the count would say nothing.
    """
    if not found.brain[1]:
        return NO_VALUE
    truth = found.checks.get("failure_2")
    said = findings.NOT_TESTABLE if found.spared else of(*found.brain)
    if truth and (truth.missed or found.spared):
        said += f"; {_true(found.variant, 'failure_2', truth)}"
    return said


def _attack(found: MethodFinding) -> str:
    worst = found.attack
    if worst is None or found.failed:
        return "not measured"
    how_many = f"strongest of {worst.attacks}" if worst.attacks > 1 else "the only attack"
    return f"{worst.short}; chance {chance(worst.chance)}\u00a0%; {how_many}"


def _same(found: MethodFinding) -> str:
    """Return what the strongest attack reaches that has the very same scan."""
    return "not measured" if found.same is None or found.failed else found.same.short


def _needed(found: MethodFinding, level: float) -> str:
    """Return how many people show that all attacks on a method are near chance, in words."""
    people = needed(found, level)
    if not people or found.attack is None:
        return NO_VALUE
    attacks = found.attack.attacks
    return f"{people} people" + (f" ({attacks} attacks)" if attacks > 1 else "")


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


def _volumes(found: MethodFinding) -> str:
    v = found.volumes
    if v is None:
        return NO_VALUE
    counts = f"{v.equivalent} within, {v.beyond} beyond, {v.open} open"
    most = f"{number(v.change, 1, True)} % ({region_label(v.largest)})"
    return f"{most}; of {v.tested}: {counts}"


def _age(found: MethodFinding) -> str:
    if found.age_shift is None:
        return NO_VALUE
    shift, low, high = with_ends(*found.age_shift, 1, True)
    return f"{shift} y [{low}, {high}]"


def _seconds(tables: Tables, variant: str) -> str:
    table = tables.get("runtime")
    if table is None or table.empty:
        return NO_VALUE
    rows = table[table["variant"] == variant].set_index("step")["seconds_mean"]
    total = rows.get(TOTAL, np.nan)
    if not np.isfinite(total):
        return NO_VALUE
    shared = rows.get("prepare", np.nan)
    if not np.isfinite(shared):
        return f"{number(total, 1)} s on average"
    return (
        f"{number(total - shared, 1)} s of its own on average, after {number(shared, 1)} s of "
        "preparation that all methods share"
    )


def _of_methods(variant: str, methods: Mapping[str, Mapping[str, Any]], key: str) -> str:
    found = [str(methods[name].get(key) or "") for name in variant.split("+") if name in methods]
    return "; ".join(dict.fromkeys(filter(None, found))) or NO_VALUE


#: What the columns say, for those who open it.
EXPLAINED = {
    "Face surface removed": "scans whose original face surface is gone, of those that had a face.",
    "Brain mask untouched": (
        "outputs in which not one voxel of the brain mask was removed or changed. Not testable: "
        "the method itself spares that mask, so the check could not fail; brain that the mask "
        "misses may be lost, which only true labels can tell."
    ),
    "Strongest attack": (
        "how often it picks the right person, as observed and "
        f"{CORRECTED}, since the strongest of several attacks looks good by chance too (the "
        "interval is of the corrected rate). Where an interval and the exact test disagree, the "
        "test decides. An attacker may first put a face back, where the run has a model for that, "
        "or take off one that was put there: the cell says of how many attacks this one is the "
        "strongest, and more attacks find more."
    ),
    "With the same scan": (
        "the same where the attacker has the very same scan. That is easier, though with few "
        "people it may come out lower by chance."
    ),
    "Volumes": (
        "the largest median change of any volume; how many are shown to stay within their margin "
        "of equivalence, to leave it (beyond), or neither (open)."
    ),
    "Predicted age": "the mean shift of the predicted age, in years.",
    "People to show chance (when a row is opened)": (
        "how many people it takes to show that each of so many attacks on the method stays within "
        f"the margin, if all of them are at chance (power {100 * POWER:.0f} %)."
    ),
}
#: Said below it.
CLOSING = (
    "A verdict holds for the attacks tried here and for data like these. Intervals, in brackets, "
    "are two-sided; bounds of what is possible are one-sided (both 95 %)."
)


def explained(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return what each of a table's columns says, and what is said of a row that is opened."""
    return [(c, text) for c, text in EXPLAINED.items() if c in columns or c.startswith("People")]
