"""What the tables say of a method, in words: the only place that gives a verdict on one.

Summary, tables and notes all take their words from here, so that no two of them
disagree.  The rules:

- What was measured is said, not what it might mean: a face surface was removed,
  a brain mask was left as it was.
- The blind spot of an automatic check stands beside it: how often true labels
  agree; that nobody checked where there are none; and that a method which spares
  the very mask by which it is judged cannot fail by that judge.
- An attack that does better than chance (exact test, column ``beaten``) comes
  first, and nothing good is said of the method before it.
- "Not shown to be better than chance" is never said without how far above chance it may be.

Pure functions: result tables in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, chance, of, percent
from refacebench.results.verdict_agreement import ALL
from refacebench.statistics.attack_tables import (
    DIRECT,
    SETTING_WORDS,
    TAKEN_OFF,
    main_rows,
    main_setting,
)
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import split_variant

Tables = Mapping[str, pd.DataFrame]
#: Released programs that are handed the mask that judges them, and cut around it.
HANDED_THE_MASK = ("quickshear",)
#: Said wherever no attack was made, or none on this method.
NOT_MEASURED = "whether people can be recognised was not measured"


@dataclass(frozen=True)
class Attack:
    """The worst attack on a variant, of the table ``tradeoff``."""

    attacker: str
    route: str
    measure: str
    rate: float
    low: float
    high: float
    chance: float
    beaten: float
    above: float
    margin: float
    within: float

    @property
    def beats(self) -> bool:
        """Whether it does better than chance, by the exact test."""
        return self.beaten == 1

    @property
    def other_side(self) -> str:
        """How far above chance the worst attack may be; empty where that is not known."""
        if not np.isfinite(self.above):
            return ""
        points = 100 * max(self.above, 0.0)
        if self.within == 1:
            return f"all are shown to be less than {self.margin:g} points above it"
        return (
            f"but up to {points:.0f} points above it cannot be ruled out (less than "
            f"{self.margin:g} is asked for)"
        )

    @property
    def interval(self) -> str:
        """The rate with its interval and chance."""
        return (
            f"{percent(self.rate)} % ({percent(self.low)} to {percent(self.high)} %, "
            f"chance {chance(self.chance)} %)"
        )

    @property
    def does(self) -> str:
        """What the rate counts."""
        if self.measure == "rank1":
            return "names the person"
        return f"picks the person out of {round(1 / self.chance)}"

    @property
    def way(self) -> str:
        """How the attack came to the face."""
        if self.route == DIRECT:
            return "on the image as it is"
        if self.route == TAKEN_OFF:
            return "after the new face was taken off"
        return f"after {self.route} put a face back"


@dataclass(frozen=True)
class Check:
    """How an automatic check fared by true labels: a row of ``verdict_agreement``."""

    found: int
    missed: int
    cleared: int
    accused: int

    @property
    def n(self) -> int:
        """All scans with both verdicts."""
        return self.found + self.missed + self.cleared + self.accused

    @property
    def right(self) -> int:
        """Those in which they agree."""
        return self.found + self.cleared


@dataclass(frozen=True)
class MethodFinding:
    """What the tables hold on one variant.

    Attributes
    ----------
    variant : str
    available, attacked : bool
        Whether its program was there; whether any attack was scored at all.
    n, crashed, unrated : int
        Scans, those without a usable output, and those that were not judged.
    face, brain : tuple of int
        Scans whose original face surface was removed, of those with a face;
        outputs with not one voxel of the brain mask changed, of all outputs.
    cut : int
        Outputs with a Failure II: more of the brain lost than the thresholds allow.
    odd : int
        Outputs in which something was written far from the head, where nothing belongs.
    spared : bool
        The method is kept off the mask that judges it, so that it cannot fail.
    checks : mapping of str to Check or None
        By ``failure_1`` (the face) and ``failure_2`` (the brain).
    attack : Attack or None
    weak : bool
        The attacks do not recognise even the originals.
    """

    variant: str
    available: bool
    n: int
    crashed: int
    unrated: int
    face: tuple[int, int]
    brain: tuple[int, int]
    cut: int
    odd: int
    spared: bool
    checks: Mapping[str, Check | None]
    attacked: bool
    attack: Attack | None
    weak: bool

    @property
    def failed(self) -> bool:
        """Whether there is not one usable output."""
        return self.available and self.n > 0 and self.crashed == self.n

    @property
    def beaten(self) -> bool:
        """Whether an attack does better than chance."""
        return self.attack is not None and self.attack.beats and not self.failed


def finding(tables: Tables, variant: str) -> MethodFinding:
    """Return what the tables hold on a variant; zeros and None where they hold nothing."""
    quality = _rows(tables, "quality", variant)
    row = quality.iloc[0] if len(quality) else pd.Series(dtype=object)
    attacks = _attacks(tables)
    return MethodFinding(
        variant,
        available=quality.empty or len(present(quality)) > 0,
        n=_count(row, "n"),
        crashed=_count(row, "crash"),
        unrated=_count(row, "unrated"),
        face=(_count(row, "face_removed"), _count(row, "n_face")),
        brain=(_count(row, "brain_unchanged"), _count(row, "n_brain")),
        cut=_count(row, "failure_2") + _count(row, "failure_1+2"),
        odd=_count(row, "scans_with_odd_voxels"),
        spared=_is_spared(tables, variant),
        checks={name: _check(tables, variant, name) for name in ("failure_1", "failure_2")},
        attacked=bool(attacks),
        attack=attacks.get(variant),
        weak="original" in attacks and not attacks["original"].beats,
    )


def _rows(tables: Tables, name: str, variant: str, column: str = "variant") -> pd.DataFrame:
    table = tables.get(name)
    if table is None or table.empty:
        return pd.DataFrame()
    return table[table[column] == variant]


def _count(row: pd.Series, name: str) -> int:
    value = row.get(name, np.nan)
    return int(value) if pd.notna(value) else 0


def _is_spared(tables: Tables, variant: str) -> bool:
    """Tell whether nothing in the variant's making could touch the mask that judges it.

    Our own methods are kept off the brain mask of the original, by which the brain
    is judged.  A model whose whole output is taken is not: it shows in the counts.
    """
    for name in dict.fromkeys((split_variant(variant)[0], variant)):
        rows = _rows(tables, "quality", name)
        if rows.empty:
            return False
        row = rows.iloc[0]
        if row.get("engine") != "native" and name not in HANDED_THE_MASK:
            return False
        if not _count(row, "n_brain") or _count(row, "brain_unchanged") < _count(row, "n_brain"):
            return False
    return True


def _check(tables: Tables, variant: str, failure: str) -> Check | None:
    rows = _rows(tables, "verdict_agreement", variant, "made_by")
    rows = rows[rows["failure"] == failure] if len(rows) else rows
    if rows.empty:
        return None
    names = ("true_positive", "false_negative", "true_negative", "false_positive")
    check = Check(*(_count(rows.iloc[0], name) for name in names))
    return check if check.n else None


def _attacks(tables: Tables) -> dict[str, Attack]:
    """Return the worst attack on each variant in the setting that counts."""
    table = tables.get("tradeoff")
    if table is None or table.empty:
        return {}
    table = main_rows(table).drop_duplicates("variant").dropna(subset=["identification"])
    # As that attack reached it, so that other tables have the same number; the interval allows
    # for the choice of the worst.
    columns = ("worst_attacker", "worst_route", "measure", "worst_rate", "low", "high", "chance")
    verdicts = ("beaten", "above_chance_at_most", "margin_points", "within_margin")
    return {
        row["variant"]: Attack(*(row[c] for c in (*columns, *verdicts)))
        for _, row in table.iterrows()
    }


# sentences ----------------------------------------------------------------------------------


def line(found: MethodFinding) -> str:
    """Return one line on a method: an attack that beats it first, then what was measured.

    Without a full stop too many, and true if it is quoted alone.
    """
    name = found.variant
    if not found.available:
        return f"{name}: unavailable on the machine of this run, so nothing of it was measured."
    if found.unrated == found.n:
        return f"{name}: not judged; {attack(found)}."
    if found.failed:
        return (
            f"{name}: no usable output in any of {found.n} scans, so nothing was judged, and "
            f"{NOT_MEASURED}."
        )
    parts = [*_measured(found)]
    if found.crashed:
        no_output = f"no usable output in {of(found.crashed, found.n)} scans"
        counted = ", which no attack could be made on" if found.attack else ""
        parts.append(no_output + counted)
    if found.unrated:
        parts.append(f"{of(found.unrated, found.n)} scans were not judged")
    parts.insert(0 if found.beaten else len(parts), attack(found))
    parts = [*_overlooked(found), *_odd(found), *parts]
    return f"{name}: {'. '.join([parts[0], *map(_capital, parts[1:])])}."


def _overlooked(found: MethodFinding) -> list[str]:
    """Return what true labels say went wrong without a check's notice: that comes first."""
    words = {"failure_1": "part of the face was kept", "failure_2": "brain was lost"}
    return [
        f"by the true labels {words[name]} in {of(check.found + check.missed, check.n)} scans, "
        f"which the automatic check saw in {check.found}"
        for name, check in found.checks.items()
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


def _measured(found: MethodFinding) -> list[str]:
    """Return what was measured of face and brain, each with the blind spot of its check."""
    unchecked = not any(found.checks.values())
    notes = {"failure_1": [], "failure_2": [_SPARED] if found.spared else []}
    if not unchecked:
        for failure, words in notes.items():
            words.append(_agreement(found.checks[failure], failure))
    face = f"original face surface removed in {of(*found.face)} scans"
    brain = f"no voxel of the brain mask removed or changed in {of(*found.brain)}"
    brain += " outputs" if found.brain[1] < found.n else ""
    if found.brain[0] < found.brain[1]:
        brain += f", too many (Failure II) in {of(found.cut, found.brain[1])}"
    parts = [
        f"{text} ({'; '.join(words)})" if words else text
        for text, words in ((face, notes["failure_1"]), (brain, notes["failure_2"]))
    ]
    if unchecked:
        parts.append("neither was checked against true labels")
    return parts


_SPARED = "cannot fail: it spares the mask that judges it"
#: What a scan with such a failure did, by its true labels.
_FAILED = {"failure_1": "kept a face", "failure_2": "lost brain"}


def _agreement(check: Check | None, failure: str) -> str:
    """Return how often true labels agree with a check, and what it got wrong."""
    if check is None:
        return "not checked against true labels"
    text = f"true labels agree in {of(check.right, check.n)}"
    wrong = []
    if check.missed:
        failed = check.found + check.missed
        wrong.append(f"{failed} {_FAILED[failure]}, of which the check found {check.found}")
    if check.accused:
        wrong.append(f"the check accused {check.accused} wrongly")
    return f"{text}: {', '.join(wrong)}" if wrong else text


def attack(found: MethodFinding) -> str:
    """Return what the worst attack does to a method, without a full stop."""
    worst = found.attack
    if not found.attacked:
        return NOT_MEASURED
    if worst is None:
        return f"{NOT_MEASURED} for it"
    who = f"attacker {worst.attacker} {worst.does} in {worst.interval}, {worst.way}"
    if worst.beats:
        cautious = worst.low <= worst.chance
        how = (
            " by the exact test, though the interval of the worst holds chance" if cautious else ""
        )
        return f"an attack beats it{how}: {who}"
    if found.weak:
        return f"the attacks do not recognise even the originals, so they say nothing of it: {who}"
    shown = ", ".join(
        text for text in ("no attack is shown to do better than chance", worst.other_side) if text
    )
    # The test is corrected over all attacks on all methods, the interval is not: say so.
    close = ", whose own interval lies above chance" if worst.low > worst.chance else ""
    return f"{shown}; the worst{close}: {who}"


def short(found: MethodFinding) -> str:
    """Return the same in a few words, for a place that names a method for something else."""
    if not found.available:
        return "unavailable"
    if found.failed:
        return "no usable output"
    face = f"face surface removed in {of(*found.face)} scans"
    worst = found.attack
    if worst is None:
        return f"{face}; {attack(found)}"
    if worst.beats:
        return f"an attack beats it: {worst.interval}; {face}"
    return f"{face}; the worst attack: {worst.interval}"


def checks_line(tables: Tables) -> str:
    """Return how far the two automatic checks can be trusted, over all variants together."""
    face, brain = (_check(tables, ALL, name) for name in ("failure_1", "failure_2"))
    if face is None and brain is None:
        return (
            "How far the checks of face and brain can be trusted is unknown: the data set has no "
            "true labels to hold them against."
        )
    parts = [
        f"the check of the {what} found {c.found} of {c.found + c.missed} {kind}"
        f"{_made_by(tables, name)} and wrongly accused {c.accused} of {c.cleared + c.accused} "
        "others"
        for what, kind, name, c in (
            ("face", "scans with a face left in", "failure_1", face),
            ("brain", "scans that lost brain", "failure_2", brain),
        )
        if c is not None
    ]
    return f"How far the checks can be trusted (true labels, all variants): {'; '.join(parts)}."


def _made_by(tables: Tables, failure: str) -> str:
    """Return in brackets whose scans truly failed: a check is only as tried as these are varied."""
    table = tables["verdict_agreement"]
    rows = table[(table["failure"] == failure) & (table["made_by"] != ALL)]
    failed = rows["true_positive"].fillna(0) + rows["false_negative"].fillna(0) > 0
    names = list(dict.fromkeys(rows.loc[failed, "made_by"]))
    return f" (of {', '.join(names)})" if 0 < len(names) <= 4 else ""


def originals_line(tables: Tables, level: float = 0.95) -> str:
    """Return what the worst attack reaches where nothing was hidden; empty without attacks."""
    worst = _attacks(tables).get("original")
    if worst is None:
        return ""
    text = (
        f"Attacks ({SETTING_WORDS[main_setting(tables['tradeoff'])]}; {100 * level:g} % intervals, "
        "which allow for the number of attacks tried): on the untouched "
        f"originals attacker {worst.attacker} {worst.does} in {worst.interval}"
    )
    if not worst.beats:
        text += ", no better than chance: so that it fails on other variants means nothing"
    return f"{text}."


# cells --------------------------------------------------------------------------------------


def cells(found: MethodFinding) -> list[str]:
    """Return face surface removed, brain mask unchanged, agreement of true labels, worst attack."""
    if not found.available:
        return ["unavailable", *[NO_VALUE] * 3]
    face = "{}/{}".format(*found.face)
    brain = "{}/{}".format(*found.brain) + (" (cannot fail)" if found.spared else "")
    return [face, brain, _labels_cell(found), _attack_cell(found)]


def _labels_cell(found: MethodFinding) -> str:
    known = {"face": found.checks["failure_1"], "brain": found.checks["failure_2"]}
    # No-break spaces: the column is narrow.
    parts = [f"{name}\u00a0{check.right}/{check.n}" for name, check in known.items() if check]
    return ", ".join(parts) if parts else "not checked"


def _attack_cell(found: MethodFinding) -> str:
    worst = found.attack
    if found.failed or worst is None:
        return "not measured"
    rate = f"{percent(worst.rate)}\u00a0% [{percent(worst.low)}, {percent(worst.high)}]"
    if worst.beats:
        return f"beats it: {rate}"
    if worst.within == 1:
        return f"within {worst.margin:g} points of chance: {rate}"
    return f"not shown above chance: {rate}"
