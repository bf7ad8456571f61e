"""The page's table of verdicts: its columns, a row per method, and what a row opens.

Pure functions: what the tables hold in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refacebench.plot.numbers import NO_VALUE, chance, change, number, of, with_ends
from refacebench.plot.privacy_utility import CORRECTED
from refacebench.plot.volumes import region_label
from refacebench.results import findings, sentences, words
from refacebench.results.attack_found import Tables
from refacebench.results.decisions import POWER, Rule, judged, needed, true_labels, verdict
from refacebench.results.findings import MethodFinding
from refacebench.results.result import Printed, View
from refacebench.statistics.attack_tables import is_control
from refacebench.vocabulary import NULL, TOTAL

#: The column that a table has where the strongest attack has another session of the person.
SAME = "With the same scan"
#: The column that is left out where it says one thing in all rows (:func:`brain_line`).
BRAIN = "Brain mask untouched"
#: What decides; everything else about a method stands in what its row opens (:func:`facts`).
COLUMNS = [
    "Method", "Verdict", "Why", "Face surface removed", BRAIN, "Strongest attack", SAME, "Volumes",
    "Predicted age",
]  # fmt: skip
#: What is shown beside it on request, to sort and filter by; without those that say nothing.
MORE = ["No usable output", "Seconds per scan", "People to show chance", "Engine", "Licence"]


def printed(
    view: View,
    rule: Rule,
    alpha: float = 0.05,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
) -> Printed:
    """Return the columns and rows of the table; no rows where nothing was judged.

    Parameters
    ----------
    view : View
        With ``look``, in whose order the methods stand.
    methods : mapping
        As for :func:`facts`.
    """
    found = _judged(view, alpha)
    rows = [_row(view, method, rule, methods or {}) for method in found]
    left_out = {name for name in MORE if all(row[name] == NO_VALUE for row in rows)}
    left_out |= set() if any(method.same for method in found) else {SAME}
    left_out |= {BRAIN} if _brain_alike(found) else set()
    columns = [name for name in (*COLUMNS, *MORE) if name not in left_out]
    return columns, [[row[name] for name in columns] for row in rows]


def _judged(view: View, alpha: float) -> list[MethodFinding]:
    return [findings.finding(view.tables, name, alpha) for name in judged(view)]


def _row(
    view: View, found: MethodFinding, rule: Rule, methods: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return all cells of a method, by column."""
    said, why = verdict(found, rule)
    name = found.variant
    return {
        "Method": view.look.label(name) + (", a control" if is_control(name) else ""),
        "Verdict": said,
        "Why": why,
        "Face surface removed": _face(found),
        BRAIN: _brain(found),
        "Strongest attack": _attack(found),
        SAME: _same(found),
        "Volumes": _volumes(found),
        "Predicted age": _age(found),
        "No usable output": of(found.crashed, found.n) if found.n else NO_VALUE,
        "Seconds per scan": _own_seconds(view.tables, name),
        "People to show chance": str(needed(found, view.criteria.level) or NO_VALUE),
        "Engine": _of_methods(name, methods, "engine"),
        "Licence": _of_methods(name, methods, "licence"),
    }


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
        largest = f"{change(v.change)} ({region_label(v.largest)})"
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
    parts = [of(*found.face)]
    if found.ears[0]:
        parts.append(f"ears left in {of(*found.ears)}")
    if truth and truth.missed:
        parts.append(f"true labels: {true_labels(found.variant, 'failure_1', truth)}")
    return "; ".join(parts)


def _brain(found: MethodFinding) -> str:
    """Return in how many outputs the brain mask is as it was, and what true labels say.

    Where the method spares the mask that judges it, the count would say nothing.
    """
    if not found.brain[1]:
        return NO_VALUE
    truth = found.checks.get("failure_2")
    said = findings.NOT_TESTABLE if found.spared else of(*found.brain)
    if truth and (truth.missed or found.spared):
        said += f"; true labels: {true_labels(found.variant, 'failure_2', truth)}"
    return said


def _brain_alike(found: Sequence[MethodFinding]) -> bool:
    """Tell whether the check of the brain has one thing to say of all methods."""
    if all(method.spared for method in found):
        return True
    return len(found) > 1 and len({_brain(method) for method in found}) == 1


def brain_line(view: View, alpha: float = 0.05) -> str:
    """Return what the column of the brain mask would say in every row; empty where rows differ."""
    found = _judged(view, alpha)
    if not found or not _brain_alike(found):
        return ""
    if not all(method.spared for method in found):
        said = _brain(found[0])
        return "" if said == NO_VALUE else f"{BRAIN}, with every method: {said}."
    told: dict[str, list[str]] = {}
    for method in found:
        if truth := method.checks.get("failure_2"):
            labels = true_labels(method.variant, "failure_2", truth)
            told.setdefault(labels, []).append(view.look.label(method.variant))
    labels = "; ".join(f"{said} with {words.listed(names)}" for said, names in told.items())
    return (
        f"{BRAIN}: {findings.NOT_TESTABLE}, because every method here spares the very mask by "
        f"which the check judges. {f'True labels: {labels}.' if told else UNTOLD}"
    )


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


def _volumes(found: MethodFinding) -> str:
    v = found.volumes
    if v is None:
        return NO_VALUE
    counts = f"{v.equivalent} within, {v.beyond} beyond, {v.open} open"
    most = f"{change(v.change)} ({region_label(v.largest)})"
    return f"{most}; of {v.tested}: {counts}"


def _age(found: MethodFinding) -> str:
    if found.age_shift is None:
        return NO_VALUE
    shift, low, high = with_ends(*found.age_shift, 1, True)
    return f"{shift} y [{low}, {high}]"


def _times(tables: Tables, variant: str) -> tuple[float, float]:
    """Return the mean seconds for a scan in all, and those of the preparation that all share."""
    table = tables.get("runtime")
    if table is None or table.empty:
        return np.nan, np.nan
    rows = table[table["variant"] == variant].set_index("step")["seconds_mean"]
    return rows.get(TOTAL, np.nan), rows.get("prepare", np.nan)


def _own_seconds(tables: Tables, variant: str) -> str:
    """Return the mean seconds that a method itself takes for a scan."""
    total, shared = _times(tables, variant)
    return number(total - np.nan_to_num(shared), 1) if np.isfinite(total) else NO_VALUE


def _seconds(tables: Tables, variant: str) -> str:
    total, shared = _times(tables, variant)
    if not np.isfinite(total):
        return NO_VALUE
    if not np.isfinite(shared):
        return f"{number(total, 1)} s on average"
    return (
        f"{number(total - shared, 1)} s of its own on average, after {number(shared, 1)} s of "
        "preparation that all methods share"
    )


def _of_methods(variant: str, methods: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """Return what is declared of a variant's methods; each is named where they differ."""
    told = {
        name: str(methods[name].get(key) or "") for name in variant.split("+") if name in methods
    }
    known = [f"{name}: {text}" for name, text in told.items() if text]
    if len(set(told.values())) > 1:
        return ". ".join(known)
    return next(filter(None, told.values()), NO_VALUE)


#: Where no check could tell whether brain was cut.
UNTOLD = "Only true labels could tell, and there are none."
#: What the columns say, for those who open it.
EXPLAINED = {
    "Face surface removed": (
        "scans whose original face surface is gone, of those that had a face. Ears are no part of "
        "it and are counted apart."
    ),
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
    "No usable output": "scans for which the method gave no image that could be judged.",
    "Seconds per scan": (
        "the mean time of the method itself, without the preparation that all methods share."
    ),
    "People to show chance": (
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
    """Return what each of a table's columns says."""
    return [(c, text) for c, text in EXPLAINED.items() if c in columns]
