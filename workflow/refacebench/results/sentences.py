"""What the tables say of a method, in words: the only place that words a verdict on one.

A text on a method says what is known, how sure that is, and what is not known; the rules for it
stand in :mod:`~refacebench.results.findings`.  Values in, text out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from refacebench.plot.numbers import change, number, of, percent, with_ends
from refacebench.plot.volumes import region_label
from refacebench.results.attack_found import Attack, Tables, worst_attacks
from refacebench.results.findings import (
    NOT_MEASURED,
    NOT_SHOWN_TO_WORK,
    Check,
    MethodFinding,
    all_judged,
    of_judged,
    true_failure,
)
from refacebench.results.volumes_found import Volumes
from refacebench.results.words import listed, plural
from refacebench.statistics.attack_tables import (
    SETTING_WORDS,
    is_control,
    main_rows,
    main_setting,
)
from refacebench.vocabulary import split_variant


@dataclass(frozen=True)
class Told:
    """What is said of a method, point by point, without full stops.

    Attributes
    ----------
    known : list of str
        What was found, the worst first.
    sure, unknown : list of str
        How far the checks can be trusted; what a reader might think is known, and is not.
    """

    known: list[str]
    sure: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def groups(self) -> list[tuple[str, list[str]]]:
        """The points as sentences, under their headings; groups without points are left out."""
        named = [("Found", self.known), ("How sure", self.sure), ("Not known", self.unknown)]
        return [(name, [f"{_capital(p)}." for p in points]) for name, points in named if points]


def told(found: MethodFinding) -> Told:
    """Return what is known of a method, how sure that is, and what is not known.

    An attack that beats it comes first, and what true labels say went wrong before that.
    """
    if not found.available:
        return Told(["unavailable on the machine of this run, so nothing of it was measured"])
    if found.unrated == found.n:
        return Told([f"not judged; {attack(found)}"])
    if found.failed:
        nothing = f"no usable output in any of {found.n} scans, so nothing was judged"
        return Told([f"{nothing}, and {NOT_MEASURED}"])
    return Told(_known(found), _sure(found), _unknown(found))


def line(found: MethodFinding) -> str:
    """Return the same in one line, true if it is quoted alone."""
    what = told(found)
    first, *more = what.known
    parts = [first, *map(_capital, more)]
    parts += [f"How sure: {'; '.join(what.sure)}"] if what.sure else []
    parts += [f"Not known: {'; '.join(what.unknown)}"] if what.unknown else []
    return f"{found.variant}: {'. '.join(parts)}."


def _known(found: MethodFinding) -> list[str]:
    """Return what was measured, the worst first."""
    face = f"original face surface removed in {of(*found.face)} scans"
    if _missed(found, "failure_1"):
        face = f"the automatic check alone took the face for removed in {of(*found.face)} scans"
    face += _ears(found)
    brain = f"no voxel of the brain mask removed or changed in {of(*found.brain)}"
    brain += " outputs" if found.brain[1] < found.n else ""
    if found.brain[0] < found.brain[1]:
        brain += f", too many (Failure II) in {of(found.cut, found.brain[1])}"
    parts = [*overlooked(found), *_odd(found)]
    worst = found.attack
    if worst is not None and worst.beats:
        parts += [attack(found), *_without_a_face(found)]
    if found.easier is not None:
        easier = found.easier
        parts.append(
            "an attack beats it in the easier comparison with the very same scan: attacker "
            f"{easier.attacker} {easier.does} in {easier.interval}, {easier.way}"
            f"{_by_the_test(easier)}"
        )
    if found.spared:
        parts += [face, *_true_brain(found)]
    else:
        parts += [face] if _untrue(found) else [face, brain]
    if found.crashed:
        counted = ", which no attack could be made on" if worst else ""
        parts.append(f"no usable output in {of(found.crashed, found.n)} scans{counted}")
    if found.unrated:
        parts.append(f"the automatic checks could not judge {of(found.unrated, found.n)} scans")
    if worst is not None and not worst.beats and worst.within == 1 and not found.weak:
        parts.append(attack(found))
    return [*parts, *_science(found)]


def _without_a_face(found: MethodFinding) -> list[str]:
    """Return that an attack may rest on something other than the face, where that reaches more.

    People are identified all the same, which is what the verdict is about.
    """
    knows, rate = found.alone
    if found.attack is None or not rate >= found.attack.rate:
        return []
    return [
        f"{knows} alone, without any image, reach {percent(rate)} %, so this attack may rest on "
        "them and not on the face; it counts all the same, because people are identified"
    ]


def same_attack(found: MethodFinding) -> str:
    """Return why rows of one defacer have the same worst attack; empty where they have not."""
    if not found.shared or found.attack is None:
        return ""
    how = "take the new face off again" if split_variant(found.variant)[1] else "put a face back"
    return f"the same one as on {listed(found.shared)}, since an attacker may first {how}"


def _ears(found: MethodFinding) -> str:
    """Return in how many scans ears are left: they may count for nothing in the check's verdict."""
    return f" (ears left in {of(*found.ears)})" if found.ears[0] else ""


def _missed(found: MethodFinding, failure: str) -> int:
    """Return in how many scans true labels show a failure that the automatic check missed."""
    truth = found.checks.get(failure)
    return truth.missed if truth else 0


def _untrue(found: MethodFinding) -> bool:
    """Tell whether brain was lost that the check's mask misses: its praise would mislead."""
    return bool(_missed(found, "failure_2") and found.brain[0] == found.brain[1])


def _true_brain(found: MethodFinding) -> list[str]:
    """Return that no brain was lost by the true labels, where there are any: they alone can tell.

    A loss stands first among all that is known (:func:`overlooked`).
    """
    truth = found.checks.get("failure_2")
    if truth is None or truth.failed:
        return []
    return [f"by the true labels no brain was lost ({all_judged(truth)})"]


def _science(found: MethodFinding) -> list[str]:
    """Return what became of the volumes and of predicted age."""
    parts = []
    v = found.volumes
    if v is not None:
        parts += [_changed(v), _within(v)]
    if found.age_shift is not None:
        parts.append(_aged(found, found.age_shift))
    return parts


def _aged(found: MethodFinding, moved: tuple[float, float, float]) -> str:
    """Return whether predicted age is shown to change, and by how much it moved."""
    shift, low, high = with_ends(*moved, 1, True)
    by = f"by {shift} years on average, {low} to {high}"
    if found.age_changed is None:
        return f"predicted age moved {by}"
    if found.age_changed:
        return f"predicted age is shown to change ({by})"
    apart = moved[1] * moved[2] > 0
    decides = "; the test decides, which allows for the number of methods" if apart else ""
    return f"predicted age is not shown to change ({by}{decides})"


def _changed(v: Volumes) -> str:
    """Return how many volumes are shown to change at all, and which one most."""
    of_all = f"of {plural(v.tested, 'volume')}"
    if not v.differ:
        largest = f"{region_label(v.largest)} {change(v.change)}"
        return f"0 {of_all} are shown to change (the largest median change of any: {largest})"
    most = "most: " if v.differ > 1 else ""
    largest = f"{most}{region_label(v.most_changed)}, {change(v.its_change)}"
    return f"{v.differ} {of_all} {_are(v.differ)} shown to change ({largest})"


def _within(v: Volumes) -> str:
    """Return how many volumes stay within their margin, leave it, or neither: they add up."""
    return (
        f"of {plural(v.tested, 'volume')} {v.equivalent} {_are(v.equivalent)} shown to stay within "
        f"the margin of equivalence, {v.beyond} to change by more than it; {v.open} "
        f"{_are(v.open)} open"
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _sure(found: MethodFinding) -> list[str]:
    """Return how far the checks of face and brain can be trusted on this method."""
    parts = [_blind(found)] if found.spared else []
    if not any(found.checks.values()):
        return [*parts, "neither check was held against true labels"]
    checks = {"face": "failure_1"} | ({} if found.spared else {"brain": "failure_2"})
    return [
        *(
            f"the check of the {what} {_agreement(found.checks[failure])}"
            for what, failure in checks.items()
        ),
        *parts,
    ]


def _blind(found: MethodFinding) -> str:
    """Return that the check of the brain cannot fail on a method, and what can tell."""
    told = "the true labels can tell (above)"
    return (
        "whether brain was cut is not testable by the automatic check, because the method spares "
        "the very mask by which the check judges; "
        f"{told if found.checks.get('failure_2') else 'only true labels can tell'}"
    )


def _unknown(found: MethodFinding) -> list[str]:
    """Return what a reader might think is known, and is not."""
    parts, worst, v = [], found.attack, found.volumes
    if worst is None:
        whose = " for it" if found.attacked else ""
        parts.append(f"whether people can be recognised, which was not measured{whose}")
    elif not worst.beats and (worst.within != 1 or found.weak):
        parts.append(f"whether attacks can recognise people: {attack(found)}")
    else:
        parts.append("what a stronger attack would reach")
    if v is not None and v.open:
        low, high = (number(margin, 1) for margin in v.margins)
        margin = f" of {low} %" if low == high else f" of {low} to {high} %"
        few = f"{v.people} people are" if v.people else "the people are"
        parts.append(
            f"for {v.open} of {plural(v.tested, 'volume')} {few} too few to tell whether "
            f"{'it stays' if v.open == 1 else 'they stay'} within the margin"
            f"{margin if np.isfinite(v.margins).all() else ''}"
        )
    return parts


def overlooked(found: MethodFinding) -> list[str]:
    """Return what true labels say went wrong without a check's notice: that comes first."""
    return [
        f"by the true labels {true_failure(found.variant, name, 'was kept', 'was lost')} in "
        f"{of_judged(check, check.failed)}"
        + ("" if blind else f", {check.found or 'none'} of which the automatic check found")
        for name, check in found.checks.items()
        for blind in [found.spared and name == "failure_2"]
        if check and check.missed
    ]


def _odd(found: MethodFinding) -> list[str]:
    """Return that something stands where nothing belongs; it may name the person."""
    if not found.odd:
        return []
    return [
        f"something was written far from the head in {of(found.odd, found.brain[1])} outputs, "
        "which may tell whose scan it is: look at these voxels"
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _agreement(check: Check | None) -> str:
    """Return how often true labels agree with a check, and what it got wrong."""
    if check is None:
        return "was not held against true labels"
    text = f"agrees with the true labels in {of(check.right, check.judged)} scans"
    wrong = []
    if check.missed:
        wrong.append(f"{check.failed} failed by the labels, of which it found {check.found}")
    if check.accused:
        wrong.append(f"it raised a false alarm in {check.accused}")
    if check.unjudged:
        wrong.append(
            f"{check.unjudged} more could not be compared, as the check or the labels gave no "
            "answer"
        )
    return f"{text}: {', '.join(wrong)}" if wrong else text


def attack(found: MethodFinding) -> str:
    """Return what the worst attack does to a method, without a full stop."""
    worst = found.attack
    if not found.attacked:
        return NOT_MEASURED
    if worst is None:
        return f"{NOT_MEASURED} for it"
    who = (
        f"attacker {worst.attacker} {worst.does} in {worst.interval}, {worst.way}{_blindly(worst)}"
    )
    if worst.beats:
        return f"an attack beats it: {who}{_by_the_test(worst)}"
    if found.weak:
        return f"{NOT_SHOWN_TO_WORK}, so they say nothing of it: {who}"
    # With the very same scan one is: the line has said so.
    which = "no attack that has another session" if found.easier else "no attack"
    shown = ", ".join(
        text for text in (f"{which} is shown to do better than chance", worst.other_side) if text
    )
    # The test is corrected over all attacks on all methods, the intervals are not: say so.
    doubt = worst.disagreement
    decides = (
        f". The exact test decides, which is corrected for all attacks on methods, although {doubt}"
        if doubt
        else ""
    )
    return f"{shown}; the strongest: {who}{decides}"


def _by_the_test(attack: Attack) -> str:
    """Return that the test decides where an interval of an attack that beats a method doubts it."""
    doubt = attack.disagreement
    return f". That is by the exact test, which decides, although {doubt}" if doubt else ""


def _blindly(worst: Attack) -> str:
    """Return that an attacker found no face where it looked for one; it compares all the same."""
    if not worst.unseen[0]:
        return ""
    return (
        f" (though it found no face in {of(*worst.unseen)} scans; it then compares whatever is in "
        "the picture)"
    )


def short(found: MethodFinding) -> str:
    """Return the same in a few words, for a place that names a method for something else."""
    if not found.available:
        return "unavailable"
    if found.failed:
        return "no usable output"
    face = "; ".join(overlooked(found)) or f"face surface removed in {of(*found.face)} scans"
    worst = found.attack
    if worst is None:
        return f"{face}; {attack(found)}"
    if worst.beats:
        return f"an attack beats it: {worst.interval}; {face}"
    if found.easier is not None:
        return f"an attack that has the very same scan beats it: {found.easier.interval}; {face}"
    return f"{face}; the strongest attack: {worst.interval}"


def unequal_attacks(tables: Tables, variants: Iterable[str]) -> str:
    """Return that methods met different numbers of attacks; empty where all met as many.

    A sentence for every place that sets methods side by side by their strongest attack.
    """
    table = tables.get("tradeoff")
    if table is None or table.empty or "n_routes" not in table:
        return ""
    numbers = main_rows(table).drop_duplicates("variant").set_index("variant")["n_routes"]
    met: dict[int, list[str]] = {}
    for name in variants:
        if numbers.get(name, 0) > 0 and not is_control(name):
            met.setdefault(int(numbers[name]), []).append(name)
    if len(met) < 2:
        return ""
    told = listed([f"{plural(n, 'attack')} on {listed(met[n])}" for n in sorted(met, reverse=True)])
    return (
        f"The methods did not all meet the same attacks: {told}. Where a model can put a face back "
        "or other images are shared along with a scan, there are more ways to attack. More attacks "
        "find more, so a method that met fewer may come out ahead only because less was tried on "
        "it."
    )


def originals_line(tables: Tables, level: float = 0.95) -> str:
    """Return what the worst attack reaches where nothing was hidden; empty without attacks."""
    worst = worst_attacks(tables).get("original")
    if worst is None:
        return ""
    text = (
        f"Attacks ({SETTING_WORDS[main_setting(tables['tradeoff'])]}; two-sided "
        f"{100 * level:g} % intervals, which allow for the number of attacks tried): on the "
        f"untouched originals attacker {worst.attacker} {worst.does} in {worst.interval}"
    )
    if not worst.beats:
        text += (
            ", not shown to be better than chance: that it fails on other variants means nothing"
        )
    return f"{text}."
