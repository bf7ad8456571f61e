"""How doubtful a de-identified scan is, and why, in plain words: the rule behind lists of scans.

Each check gives a number in units of its own limit, so that 1 is just at the limit:

``face``     share of the original's face surface that is left / ``thresholds.face_left``;
``ears``     the same of the ears / ``thresholds.ears_left``; only where ears count (below 1);
``brain``    brain removed or replaced / what the verdict allows: below the mask's outer rim
             ``thresholds.brain_removed_share``, in all ``thresholds.brain_rim_share`` (the larger);
``truth``    2 where true labels, if there are any, show that face is left or brain was lost;
``volume``   largest change of grey matter, white matter, CSF or TIV, over all segmenters /
             ``thresholds.volume_change_pct``;
``attack``   1 where one attacker names the person before everybody else, 0.5 more for each other
             attacker that does; those that look at no face do not count;
``air``      1 where something was written far from the head;
``header``   0.5 where the scan's file came with a warning;
``stage``    3 where a later stage failed on the image;
``lost``     10 where there is no usable image because something failed.

The doubt of a scan is the largest of these, and scans are sorted by it, then by the sum.  A scan
that was left out before any method saw it has no doubt: there is nothing to look at.  Classes:
``fails a check`` from 1 on, ``close`` from 0.5 on, ``clear`` below; ``no image``.

Pure functions of tables and rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from refacebench.metrics.verdict import thresholds
from refacebench.results.findings import FAILURES, true_failure
from refacebench.results.scan_warnings import of_scan
from refacebench.results.volume_tests import CHANGED_IF_ANY
from refacebench.statistics.cohort import compared
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import EXCLUDED, OK, ON_IMAGES, ORIGINAL, UNAVAILABLE

#: Raise it when the rule changes.
VERSION = "2"
FAILS, CLOSE, CLEAR, NO_IMAGE = CLASSES = ("fails a check", "close", "clear", "no image")
PARTS = ("face", "ears", "brain", "truth", "volume", "attack", "air", "header", "stage", "lost")
#: From which doubt on a scan is close to a limit.
CLOSE_FROM = 0.5
_LOST, _STAGE, _TRUTH, _HEADER, _FURTHER_ATTACKER = 10.0, 3.0, 2.0, 0.5, 0.5
_VOLUMES = {"gm": "grey matter", "wm": "white matter", "csf": "CSF", "tiv": "TIV"}
_FACE = ("nose", "eyes", "mouth", "chin")
_WARNINGS = {
    "orientation_unknown": "The header does not say which side is left.",
    "sides_disagree": "The header contradicts itself on which side is left.",
    "forms_disagree": "The header gives two places for the image.",
    "values_missing": "Some voxels of the original hold no number.",
    "air_shifted": "Air lies far from zero in the original.",
}


@dataclass(frozen=True)
class Doubt:
    """What the rule says of one scan of one variant.

    Attributes
    ----------
    parts : mapping of str to float
        Of :data:`PARTS`, those above zero.
    why : tuple of str
        Sentences, the most serious first; never empty.
    kind : str
        One of :data:`CLASSES`.
    """

    parts: Mapping[str, float]
    why: tuple[str, ...]
    kind: str

    @property
    def score(self) -> float:
        """The largest part."""
        return max(self.parts.values(), default=0.0)

    @property
    def total(self) -> float:
        """The sum of the parts, which decides between scans of the same doubt."""
        return sum(self.parts.values())


def of(
    row: Mapping[str, Any],
    limits: Mapping[str, float],
    volume_limit_pct: float,
    named_by: Mapping[str, int] | None = None,
) -> Doubt:
    """Judge one row.

    Parameters
    ----------
    row : mapping
        Of :func:`table`: the measures of a scan and variant, ``worst_volume`` and
        ``worst_change_pct``.
    limits : mapping
        All thresholds of :mod:`refacebench.metrics.verdict`.
    volume_limit_pct : float
        The change of a volume from which on a scan counts as changed.
    named_by : mapping of str to int, optional
        Attackers that name the person first, and among how many people.
    """
    seen = is_seen(row)
    if not seen and row["status"] == EXCLUDED:
        return Doubt({}, (_excluded(row),), NO_IMAGE)
    if not seen:
        return Doubt({"lost": _LOST}, (_failed(row),), NO_IMAGE)
    found = [
        *_face(row, limits),
        *_brain(row, limits),
        *_truth(row),
        _volume(row, volume_limit_pct),
        _attack(named_by or {}),
        _air(row),
        *((("header", _HEADER, _WARNINGS[name])) for name in of_scan(row)),
        _later(row),
    ]
    parts: dict[str, float] = {}
    for name, value, _ in found:
        if value > 0:
            parts[name] = max(value, parts.get(name, 0.0))
    told = [item for item in found if item[1] >= CLOSE_FROM]
    why = [text for _, _, text in sorted(told, key=lambda item: -item[1])] or [_quiet(row)]
    score = max(parts.values(), default=0.0)
    kind = FAILS if score >= 1 else CLOSE if score >= CLOSE_FROM else CLEAR
    return Doubt(parts, (*why, *_notes(row, limits)), kind)


def is_seen(row: Mapping[str, Any]) -> bool:
    """Tell whether there is an image to look at: measured, or lost on the way after it was made."""
    made = row["status"] == OK or row.get("stage") in ON_IMAGES
    return made and row.get("quality") != "crash"


def _number(row: Mapping[str, Any], name: str) -> float:
    value = pd.to_numeric(row.get(name, np.nan), errors="coerce")
    return float(value) if pd.notna(value) else np.nan


_Found = tuple[str, float, str]


def _face(row: Mapping[str, Any], limits: Mapping[str, float]) -> list[_Found]:
    """Return what is left of the face, and of the ears where they count."""
    left, ears = _number(row, "face_left"), _number(row, "face_left_ears")
    found: list[_Found] = []
    if left == left:
        shares = {part: _number(row, f"face_left_{part}") for part in _FACE}
        shares = {part: share for part, share in shares.items() if share == share}
        most = max(shares, key=lambda part: shares[part]) if shares else ""
        text = f"{100 * left:.0f} % of the face surface is left (limit {_pct(limits['face_left'])})"
        if most and shares[most] > left:
            text += f", most of it at the {most} ({100 * shares[most]:.0f} %)"
        found.append(("face", left / limits["face_left"], text + "."))
    if ears == ears and limits["ears_left"] < 1:
        limit = limits["ears_left"]
        text = f"{100 * ears:.0f} % of the ears is left (limit {_pct(limit)})."
        found.append(("ears", ears / limit if limit else np.inf, text))
    return found


def _brain(row: Mapping[str, Any], limits: Mapping[str, float]) -> list[_Found]:
    size = _number(row, "brain_voxels")
    lost = sum(np.nan_to_num(_number(row, f"brain_{n}")) for n in ("removed", "replaced"))
    if not size > 0 or not lost > 0:
        return []
    core = _number(row, "brain_core_lost")
    deep = (lost if core != core else core) / size
    found = [
        ("brain", deep / limits["brain_removed_share"], _cut(deep, limits, "brain_removed_share")),
        ("brain", lost / size / limits["brain_rim_share"], _cut(lost / size, limits)),
    ]
    return [max(found, key=lambda item: item[1])]


def _cut(share: float, limits: Mapping[str, float], name: str = "brain_rim_share") -> str:
    where = "" if name == "brain_rim_share" else " below its outer rim"
    return (
        f"{100 * share:.2g} % of the brain mask is removed or replaced{where} "
        f"(limit {_pct(limits[name])})."
    )


def _truth(row: Mapping[str, Any]) -> list[_Found]:
    """Return what true labels show, whether a check found it or not."""
    shown = [name for name in FAILURES if _number(row, f"truth_{name}") == 1]
    told = [true_failure(row["variant"], name, "was kept", "was lost") for name in shown]
    return [("truth", _TRUTH, f"By the true labels {text}.") for text in told]


def _volume(row: Mapping[str, Any], limit_pct: float) -> _Found:
    change = _number(row, "worst_change_pct")
    if change != change:
        return ("volume", 0.0, "")
    name = _VOLUMES.get(row["worst_volume"], row["worst_volume"])
    how = "more" if change > 0 else "less"
    text = f"{name[0].upper()}{name[1:]} measures {abs(change):.1f} % {how} than in the original"
    return ("volume", abs(change) / limit_pct, f"{text} (limit {limit_pct:g} %).")


def _attack(named_by: Mapping[str, int]) -> _Found:
    if not named_by:
        return ("attack", 0.0, "")
    who, people = " and ".join(named_by), max(named_by.values())
    text = (
        f"Attacker{'s' if len(named_by) > 1 else ''} {who}: named this person first among {people}"
    )
    text += f" people (a guess does that once in {people})."
    return ("attack", 1 + _FURTHER_ATTACKER * (len(named_by) - 1), text)


def _air(row: Mapping[str, Any]) -> _Found:
    odd = _number(row, "odd_voxels")
    text = f"Something was written far from the head ({odd:.0f} voxels)."
    return ("air", 1.0 if odd > 0 else 0.0, text)


def _later(row: Mapping[str, Any]) -> _Found:
    if row["status"] == OK:
        return ("stage", 0.0, "")
    return ("stage", _STAGE, f"On this image {_stage(row)} failed: {_reason(row)}")


def _failed(row: Mapping[str, Any]) -> str:
    if row.get("quality") == "crash":
        return "The output is no usable image: it is constant or holds no numbers."
    return f"There is no image, {_stage(row)} failed: {_reason(row)}"


def _stage(row: Mapping[str, Any]) -> str:
    return f"the stage '{row['stage']}'" if row.get("stage") else "a stage"


def _excluded(row: Mapping[str, Any]) -> str:
    return f"There is no image, the scan was left out: {_reason(row)}"


def _reason(row: Mapping[str, Any]) -> str:
    text = str(row.get("reason") or "no reason was given").strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _quiet(row: Mapping[str, Any]) -> str:
    if row.get("quality") == "no_face":
        return "The scan came without a face; nothing else stands out."
    return "Nothing stands out."


def _notes(row: Mapping[str, Any], limits: Mapping[str, float]) -> list[str]:
    """Return what is worth knowing though the rule makes nothing of it."""
    ears = _number(row, "face_left_ears")
    if limits["ears_left"] >= 1 and ears >= 0.5:
        return ["Ears are left, which this run does not count as a failure."]
    return []


def _pct(share: float) -> str:
    return f"{100 * share:g} %"


# a whole cohort -----------------------------------------------------------------------------


def table(
    measurements: pd.DataFrame,
    criteria: Criteria,
    limits: Mapping[str, float] | None = None,
    hits: Mapping[tuple[str, str], Mapping[str, int]] | None = None,
) -> pd.DataFrame:
    """Return all compared scans of all variants, the most doubtful first.

    Parameters
    ----------
    measurements : pandas.DataFrame
        The measurement table.
    criteria : Criteria
    limits : mapping, optional
        The config's ``thresholds``.
    hits : mapping, optional
        Attackers that name the person first, and among how many, by (variant, scan).

    Returns
    -------
    pandas.DataFrame
        One row per scan and variant but the original and those of missing programs: its row of
        the measurement table with ``worst_volume``, ``worst_segmenter``, ``worst_change_pct``,
        ``doubt``, ``total``, ``kind``, ``parts`` (a dict) and ``why`` (a tuple of sentences).
    """
    chosen = {k: v for k, v in (limits or {}).items() if k != "volume_change_pct"}
    limits = thresholds(chosen)
    rows = compared(measurements, criteria)
    rows = rows[~rows["status"].isin([UNAVAILABLE])]
    rows = rows.merge(_worst(rows), on=["scan", "variant"], how="left")
    rows = rows[rows["variant"] != ORIGINAL]
    # One row per scan and variant, the one that got furthest.
    order = np.argsort(rows["status"].to_numpy() != OK, kind="stable")
    rows = rows.iloc[order].drop_duplicates(["scan", "variant"]).reset_index(drop=True)
    hits = hits or {}
    found = [
        of(row, limits, criteria.threshold_pct, hits.get((row["variant"], row["scan"])))
        for row in rows.to_dict("records")
    ]
    rows = rows.assign(
        doubt=[one.score for one in found],
        total=[one.total for one in found],
        kind=[one.kind for one in found],
        parts=[dict(one.parts) for one in found],
        why=[one.why for one in found],
    )
    by = ["doubt", "total", "variant", "scan"]
    return rows.sort_values(by, ascending=[False, False, True, True], ignore_index=True)


def _worst(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the volume that changed most in each scan and variant, over all segmenters."""
    names = [f"vol_{name}" for name in CHANGED_IF_ANY if f"vol_{name}" in rows]
    columns = ["worst_volume", "worst_segmenter", "worst_change_pct"]
    ok = rows[(rows["status"] == OK) & (rows["segmenter"].fillna("") != "")]
    ok = ok[["scan", "variant", "segmenter", *names]].copy()
    ok[names] = ok[names].apply(pd.to_numeric, errors="coerce")
    before = ok[ok["variant"] == ORIGINAL].drop(columns="variant")
    long = ok.merge(before, on=["scan", "segmenter"], suffixes=("", "_before"))
    parts = [
        pd.DataFrame(
            {
                "scan": long["scan"],
                "variant": long["variant"],
                "worst_volume": name.removeprefix("vol_"),
                "worst_segmenter": long["segmenter"],
                "worst_change_pct": 100 * (long[name] / long[f"{name}_before"] - 1),
            }
        )
        for name in names
    ]
    if not parts:
        return pd.DataFrame(columns=["scan", "variant", *columns])
    changes = pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)
    changes = changes.dropna(subset="worst_change_pct")
    order = np.argsort(-changes["worst_change_pct"].abs().to_numpy(), kind="stable")
    return changes.iloc[order].drop_duplicates(["scan", "variant"])
