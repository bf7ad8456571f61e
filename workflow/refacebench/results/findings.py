"""What the tables hold on a method, and its verdict in the cells of the page's table.

Summary, tables and notes all take their numbers from here and their words from
:mod:`~refacebench.results.sentences`, so that no two of them disagree.  The rules:

- What was measured is said, not what it might mean: a face surface was removed,
  a brain mask was left as it was.
- The blind spot of an automatic check stands beside it: how often true labels
  agree; that nobody checked where there are none; and that a method which spares
  the very mask by which it is judged cannot fail by that judge.
- An attack that does better than chance (exact test, column ``beaten``) comes
  first, and nothing good is said of the method before it.
- "Not shown to be better than chance" is never said without how far above chance it may be.

Pure functions: result tables in, values and text out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE, of
from refacebench.results import privacy_galleries
from refacebench.results.attack_found import (
    Attack,
    Tables,
    count,
    on_the_same_scan,
    worst_attacks,
)
from refacebench.results.volumes_found import Volumes, volumes_of
from refacebench.results.words import plural
from refacebench.statistics.unavailable import present
from refacebench.vocabulary import split_variant

#: Released programs that are handed the mask that judges them, and cut around it.
HANDED_THE_MASK = ("quickshear",)
#: Said wherever no attack was made, or none on this method.
NOT_MEASURED = "whether people can be recognised was not measured"
#: Said of attacks that prove nothing: they fail on originals, or people are too few to tell.
NOT_SHOWN_TO_WORK = "the attacks are not shown to do better than chance even on the originals"
#: In place of a count by a check of the brain that a method cannot fail.
NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Check:
    """How an automatic check fared by true labels: a row of ``verdict_agreement``."""

    found: int
    missed: int
    cleared: int
    accused: int
    unjudged: int = 0

    @property
    def judged(self) -> int:
        """Scans with both verdicts."""
        return self.found + self.missed + self.cleared + self.accused

    @property
    def n(self) -> int:
        """All scans: those with both verdicts, and those that could not be judged."""
        return self.judged + self.unjudged

    @property
    def failed(self) -> int:
        """Scans that failed by their true labels."""
        return self.found + self.missed

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
        The attacks are not shown to do better than chance even on the originals: they fail there,
        or the people are too few to tell.
    easier : Attack or None
        That on the very same scan, where it beats the method and the one that counts does not.
    same : Attack or None
        The worst one on the very same scan, where that is not the setting that counts.
    shared : tuple of str
        Variants of the same defacer on which the worst attack is the same one: it may first put a
        face back, or take one off that was put there.
    alone : (str, float)
        What is known of people without a picture ("site, sex and age"), and how often that alone
        picks the right person, by the measure of the worst attack; not a number if not known.
    volumes : Volumes or None
        By the first segmenter.
    age_shift : tuple of float or None
        Mean shift of predicted age in years with its interval, by the first segmenter.
    age_changed : bool or None
        Whether a test shows that predicted age changes; None where it was not tested.
    ears : tuple of int
        Scans in which ears are left, of those that have them in view and were judged.
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
    easier: Attack | None = None
    volumes: Volumes | None = None
    age_shift: tuple[float, float, float] | None = None
    age_changed: bool | None = None
    ears: tuple[int, int] = (0, 0)
    same: Attack | None = None
    shared: tuple[str, ...] = ()
    alone: tuple[str, float] = ("", np.nan)

    @property
    def failed(self) -> bool:
        """Whether there is not one usable output."""
        return self.available and self.n > 0 and self.crashed == self.n

    @property
    def beaten(self) -> bool:
        """Whether an attack does better than chance."""
        return self.attack is not None and self.attack.beats and not self.failed


def finding(tables: Tables, variant: str, alpha: float = 0.05) -> MethodFinding:
    """Return what the tables hold on a variant; zeros and None where they hold nothing."""
    quality = _rows(tables, "quality", variant)
    row = quality.iloc[0] if len(quality) else pd.Series(dtype=object)
    attacks = worst_attacks(tables)
    worst, same = attacks.get(variant), on_the_same_scan(tables, variant)
    return MethodFinding(
        variant,
        available=quality.empty or len(present(quality)) > 0,
        n=count(row, "n"),
        crashed=count(row, "crash"),
        unrated=count(row, "unrated"),
        face=(count(row, "face_removed"), count(row, "n_face")),
        brain=(count(row, "brain_unchanged"), count(row, "n_brain")),
        cut=count(row, "failure_2") + count(row, "failure_1+2"),
        odd=count(row, "scans_with_odd_voxels"),
        spared=_is_spared(tables, variant),
        checks={name: check_of(tables, variant, name) for name in FAILURES},
        attacked=bool(attacks),
        attack=worst,
        weak="original" in attacks and not attacks["original"].beats,
        easier=same if worst and not worst.beats and same and same.beats else None,
        volumes=volumes_of(_of_first_segmenter(tables, "volumes", variant), alpha),
        age_shift=_age_shift(tables, variant),
        age_changed=_age_changed(tables, variant, alpha),
        ears=_ears(tables, variant),
        same=same,
        shared=_shared(attacks, variant),
        alone=privacy_galleries.alone(
            tables.get("privacy_galleries"), worst.measure if worst else "choice"
        ),
    )


def _shared(attacks: Mapping[str, Attack], variant: str) -> tuple[str, ...]:
    """Return the other variants of a defacer on which the worst attack reaches the same."""
    mine = attacks.get(variant)
    if mine is None:
        return ()
    reached = (mine.attacker, mine.rate, mine.corrected, mine.low, mine.high)
    return tuple(
        name
        for name, other in attacks.items()
        if name != variant
        and split_variant(name)[0] == split_variant(variant)[0]
        and (other.attacker, other.rate, other.corrected, other.low, other.high) == reached
    )


def _of_first_segmenter(tables: Tables, name: str, variant: str) -> pd.DataFrame:
    rows = _rows(tables, name, variant)
    if rows.empty or "segmenter" not in rows:
        return rows
    return rows[rows["segmenter"] == tables[name]["segmenter"].iloc[0]]


def _age_shift(tables: Tables, variant: str) -> tuple[float, float, float] | None:
    rows = _of_first_segmenter(tables, "brainage", variant)
    if rows.empty or not np.isfinite(rows["shift"].iloc[0]):
        return None
    row = rows.iloc[0]
    return float(row["shift"]), float(row["shift_low"]), float(row["shift_high"])


def _age_changed(tables: Tables, variant: str, alpha: float) -> bool | None:
    rows = _of_first_segmenter(tables, "brainage", variant)
    p = rows["p_holm"].iloc[0] if len(rows) and "p_holm" in rows else np.nan
    return bool(p < alpha) if np.isfinite(p) else None


def _ears(tables: Tables, variant: str) -> tuple[int, int]:
    rows = _rows(tables, "face_parts", variant)
    rows = rows[rows["part"] == "ears"] if len(rows) else rows
    row = rows.iloc[0] if len(rows) else pd.Series(dtype=object)
    return count(row, "n_left"), count(row, "n")


def _rows(tables: Tables, name: str, variant: str, column: str = "variant") -> pd.DataFrame:
    table = tables.get(name)
    if table is None or table.empty:
        return pd.DataFrame()
    return table[table[column] == variant]


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
        if not count(row, "n_brain") or count(row, "brain_unchanged") < count(row, "n_brain"):
            return False
    return True


def check_of(tables: Tables, variant: str, failure: str) -> Check | None:
    """Return how a check (``failure_1`` or ``failure_2``) fared on a variant's scans."""
    rows = _rows(tables, "verdict_agreement", variant, "made_by")
    rows = rows[rows["failure"] == failure] if len(rows) else rows
    if rows.empty:
        return None
    names = ("true_positive", "false_negative", "true_negative", "false_positive", "n_not_judged")
    check = Check(*(count(rows.iloc[0], name) for name in names))
    return check if check.judged else None


#: Of the face, and of the brain.
FAILURES = ("failure_1", "failure_2")


def true_failure(variant: str, failure: str, kept: str = "kept", lost: str = "lost") -> str:
    """Return what true labels show on a scan that failed.

    By them a face is left where its surface stands in its true place: a new face that was put
    exactly there is as good as the old one to an attacker.

    >>> true_failure("d", "failure_1", "was kept"), true_failure("d+m", "failure_1")
    ('part of the face was kept', 'part of the face kept or restored')
    """
    if failure == "failure_2":
        return f"brain {lost}"
    back = " or restored" if split_variant(variant)[1] else ""
    return f"part of the face {kept}{back}"


def of_judged(check: Check, scans: int) -> str:
    """Return so many scans of those that could be held against true labels.

    >>> of_judged(Check(1, 1, 10, 0, 1), 2)
    '2 of 12 scans (1 more could not be judged)'
    """
    more = f" ({check.unjudged} more could not be judged)" if check.unjudged else ""
    return f"{of(scans, check.judged)} scans{more}"


def all_judged(check: Check) -> str:
    """Return how many scans could be held against true labels.

    >>> all_judged(Check(0, 0, 12, 0, 1))
    '12 scans; 1 more could not be judged'
    """
    more = f"; {check.unjudged} more could not be judged" if check.unjudged else ""
    return f"{plural(check.judged, 'scan')}{more}"


# cells --------------------------------------------------------------------------------------


def cells(found: MethodFinding) -> list[str]:
    """Return face surface removed, brain mask unchanged, agreement of true labels, worst attack."""
    if not found.available:
        return ["unavailable", *[NO_VALUE] * 3]
    face = "{}/{}".format(*found.face)
    if found.ears[0]:
        face += "; ears left in\u00a0{}/{}".format(*found.ears)
    brain = NOT_TESTABLE if found.spared else "{}/{}".format(*found.brain)
    return [face, brain, _labels_cell(found), _attack_cell(found)]


def _labels_cell(found: MethodFinding) -> str:
    """Return on how many scans true labels agree with the checks.

    A check that cannot fail has nothing to agree with: there stands what the labels say.
    """
    known = {"face": found.checks["failure_1"], "brain": found.checks["failure_2"]}
    # No-break spaces: the column is narrow.
    parts = []
    for name, check in known.items():
        if check is None:
            continue
        if name == "brain" and found.spared:
            parts.append(f"brain lost in\u00a0{check.failed}/{check.judged}")
            continue
        part = f"check of {name} right in\u00a0{check.right}/{check.judged}"
        part += f" ({check.unjudged}\u00a0more not compared)" if check.unjudged else ""
        parts.append(part)
    return ", ".join(parts) if parts else "not checked"


def _attack_cell(found: MethodFinding) -> str:
    worst = found.attack
    if found.failed or worst is None:
        return "not measured"
    if worst.beats:
        return f"beats it: {worst.short}"
    if worst.within == 1:
        return f"within {worst.margin:g} points of chance: {worst.short}"
    return f"not shown above chance: {worst.short}"
