"""How automatic checks judged face and brain of every variant.

Scans in each class; ``unrated``: ok but without a class; engine and version of the defacer;
``face_removed`` of ``n_face`` scans are no Failure I, in ``brain_unchanged`` of ``n_brain``
outputs no voxel of the brain mask differs; brain voxels removed and changed;
``scans_with_odd_voxels``: something was written far from the head, where nothing belongs
(:mod:`refacebench.metrics.hidden`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from refacebench.metrics.verdict import CLASSES, THRESHOLDS
from refacebench.plot.numbers import NO_VALUE, number
from refacebench.plot.quality_bars import FACE_ALONE, Missed, draw
from refacebench.results import findings, missing, sentences, words
from refacebench.results.cells import by_variant, with_interval
from refacebench.results.result import STATISTICS, Figure, Heading, Printed, Result, Tables, View
from refacebench.statistics.cohort import each, images, measure
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import share
from refacebench.statistics.summaries import joined, largest, median
from refacebench.vocabulary import OK

HEADING = Heading(
    "quality",
    "Face surface and brain mask",
    "Was the original's face surface removed, and the brain mask left as it was? Whether "
    "anybody can be recognised is another question.",
    order=200,
)


def compute(
    measurements: pd.DataFrame, criteria: Criteria, variants: Sequence[str]
) -> pd.DataFrame:
    """Return how many scans fall into which quality class, of all scans with an original.

    No class rests on a segmentation, so that an original that could not be segmented counts too.
    A scan without an output (the variant failed before it was judged) is a
    crash.  A scan that is ``ok`` but has no class is ``unrated``, and so is one
    that only the segmenter failed on, unless its image was judged all the same.

    ``success_share`` is of ``n_with_face``: what came without a face says nothing
    of a defacer.  ``n_face``, ``face_removed``, ``n_brain`` and ``brain_unchanged``
    are those of :func:`judged`.

    Raises
    ------
    ValueError
        If a row has a class that :mod:`refacebench.metrics.verdict` does not know.
    """
    rows = []
    for segmenter, variant, table in each(images(measurements), criteria, variants):
        if variant == "original":
            continue
        classes = _quality_classes(table)
        counts = {name: int((classes == name).sum()) for name in (*CLASSES, "unrated")}
        face = classes != "no_face"
        # An image that only the segmenter failed on was looked at all the same.
        looked_at = table.assign(ok=_measured(table) | classes.isin(set(CLASSES) - {"crash"}))
        success = share(classes[face] == "success", table.loc[face, "participant"], criteria.level)
        rows.append(
            {
                "variant": variant,
                "segmenter": segmenter,
                "engine": joined(table, "defacer_engine"),
                "version": joined(table, "defacer_version"),
                "n": len(table),
                "n_with_face": int(face.sum()),
                **counts,
                **dict(zip(("success_share", "success_low", "success_high"), success, strict=True)),
                **judged(looked_at, classes),
                **_brain_counts(looked_at),
            }
        )
    return RESULT.frame(rows)


def _quality_classes(table: pd.DataFrame) -> pd.Series:
    if "quality" in table:
        given = table["quality"].fillna("").astype(str)
    else:
        given = pd.Series("", index=table.index)
    unknown = sorted(set(given) - {"", *CLASSES})
    if unknown:
        raise ValueError(f"unknown quality class {unknown[0]!r} (known: {', '.join(CLASSES)})")
    later = table["stage"] == "segment" if "stage" in table else False
    return given.mask(given == "", np.where(_measured(table) | later, "unrated", "crash"))


def _measured(table: pd.DataFrame) -> pd.Series:
    """Tell which scans went through; the others may have an image all the same."""
    return table["status"] == OK


def _brain_counts(table: pd.DataFrame) -> dict[str, Any]:
    removed, changed = measure(table, "brain_removed"), measure(table, "brain_changed")
    percent = removed / measure(table, "brain_voxels").replace(0, np.nan) * 100
    return {
        "face_left_median": median(measure(table, "face_left")),
        "brain_removed_median": median(removed),
        "brain_removed_max": largest(removed),
        "brain_removed_max_pct": largest(percent),
        "brain_changed_median": median(changed),
        "brain_changed_max": largest(changed),
        "scans_with_brain_loss": int((removed > 0).sum()),
        "scans_with_brain_change": int((changed > 0).sum()),
        "scans_identical": int((measure(table, "changed_voxels") == 0).sum()),
        "scans_with_odd_voxels": int((measure(table, "odd_voxels") > 0).sum()),
    }


def judged(table: pd.DataFrame, classes: pd.Series) -> dict[str, Any]:
    """Return in how many scans face and brain came out as they should, and out of how many.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per scan with ``ok``, ``face_left`` and ``brain_changed``.
    classes : pandas.Series
        The quality class of each row.

    Returns
    -------
    dict
        ``n_face``, scans that came with a face, a failed one among them;
        ``face_removed``, those that are no Failure I; ``n_brain``, outputs
        whose brain was compared with the original's; ``brain_unchanged``,
        those in which not one voxel of the brain mask is another one.
    """
    # A scan that came without a face and lost brain is a Failure II, but has no face to lose.
    faceless = (classes == "no_face") | (
        (classes == "failure_2") & measure(table, "face_left").isna()
    )
    changed = measure(table, "brain_changed")
    return {
        "n_face": int((~faceless).sum()),
        "face_removed": int((classes.isin(("success", "failure_2")) & ~faceless).sum()),
        "n_brain": int(changed.notna().sum()),
        "brain_unchanged": int((changed == 0).sum()),
    }


def caption(view: View) -> str:
    """Return the caption of the quality classes."""
    table = view.tables["quality"]
    limit = {**THRESHOLDS, **view.thresholds}
    n = int(table["n"].max()) if len(table) else 0
    return words.folded(
        f"What automatic checks found on {words.plural(n, 'scan')} per variant: is the original's "
        "face surface gone, and is the brain mask whole? Each bar is all scans of a variant, in "
        "parts by what was found. 'Neither failure' does not mean that nobody can be recognised.",
        "Classes after Gao et al. 2023. Failure I: more than "
        f"{100 * limit['face_left']:g} % of the original's own face surface is left (another face "
        "in its place does not count as left)"
        f"{_ears(limit)}. Failure II: more than "
        f"{100 * limit['brain_removed_share']:g} % of the brain mask is removed or replaced below "
        f"its outer {limit['brain_rim_mm']:g} mm, or more than "
        f"{100 * limit['brain_rim_share']:g} % in all. Untouched: a Failure I in which "
        f"{100 * limit['untouched']:g} % of the face surface or more is as it was. No face: the "
        "scan came without one. A scan without a usable output is a crash ('no output'). Neither "
        "failure (class 'success'): no more than that; it does not say that nobody can be "
        "recognised. Its share is of the scans that came with a face, crashes among them. Not "
        "testable: the method spares the very brain mask by which it is judged, so that only true "
        "labels can show a loss; of such a method 'neither failure' speaks of the face alone "
        "(dotted). Hatched: by the true labels there is a failure that the check missed; pale, in "
        "such a row: the true labels give no answer.",
        missing.unsegmented(view),
        words.shares(view.criteria),
        _worst(view.tables),
    )


def _worst(tables: Tables) -> str:
    """Return what the strongest attack beside the checks is, or that there was none."""
    if tables.get("tradeoff") is None or tables["tradeoff"].empty:
        return "Whether people can be recognised was not measured."
    return "Strongest attack: over all attackers, also after a face was put back."


def _ears(limit: Mapping[str, Any]) -> str:
    """Return whether ears count towards a Failure I."""
    if limit["ears_left"] >= 1:
        return "; ears do not count"
    return f" or more than {100 * limit['ears_left']:g} % of that of the ears"


def missed_by_checks(tables: Tables) -> dict[str, Missed]:
    """Return by variant what the check missed that missed most by the true labels, if any did."""
    found = {}
    for name in dict.fromkeys(tables["quality"]["variant"]):
        known = [check for check in findings.finding(tables, name).checks.values() if check]
        worst = max(known, key=lambda check: check.missed, default=None)
        if worst is not None and worst.missed:
            found[name] = Missed(worst.missed, worst.judged, worst.unjudged)
    return found


def brain_not_testable(tables: Tables) -> list[str]:
    """Return the variants that spare the very mask by which their brain is judged."""
    names = dict.fromkeys(tables["quality"]["variant"])
    return [name for name in names if findings.finding(tables, name).spared]


#: What can go wrong with a scan, and how its column is called.
FAULTS = {
    "failure_1": "Failure I", "failure_2": "Failure II", "failure_1+2": "Failures I and II",
    "untouched": "Untouched", "no_face": "No face", "crash": "No output",
}  # fmt: skip


def printed(view: View) -> Printed:
    """Return one row per variant, with what the checks cannot see and the strongest attack.

    Classes in which there is no scan at all have no column.
    """
    table, look = view.rows("quality"), view.look
    classes = {name: title for name, title in FAULTS.items() if (table[name] > 0).any()}
    columns = ["Variant", "Face surface removed", "Brain mask unchanged", "By true labels",
               "Strongest attack", "Neither failure", *classes.values(), "Face left (median)",
               "Brain voxels removed (most)"]  # fmt: skip
    rows = []
    for label, mine in by_variant(table, look):
        row = mine.iloc[0]
        found = findings.finding(view.tables, row["variant"])
        counts = [str(int(row[c])) if pd.notna(row[c]) else NO_VALUE for c in classes]
        success = with_interval(row, "success_share", "success_low", "success_high", 0, scale=100)
        neither = (
            f"{int(row['success'])}/{int(row['n_with_face'])}: {success.replace(' [', ' % [')}"
        )
        left = number(100 * row["face_left_median"], 0)
        removed = number(row["brain_removed_max"], 0)
        if pd.notna(row["brain_removed_max_pct"]) and row["brain_removed_max"] > 0:
            removed += f" ({row['brain_removed_max_pct']:.2g} %)"
        if found.spared:
            neither, removed = f"{neither} ({FACE_ALONE})", findings.NOT_TESTABLE
        if untrue := sentences.overlooked(found):
            # A share that the true labels contradict is printed as a count, beside what they say.
            neither = (
                f"{int(row['success'])}/{int(row['n_with_face'])} by the checks alone; "
                f"{'; '.join(untrue)}"
            )
        left = left if left == NO_VALUE else f"{left} %"
        rows.append([label, *findings.cells(found), neither, *counts, left, removed])
    return columns, rows


RESULT = Result(
    "quality",
    about=__doc__,
    job=STATISTICS,
    reads="quality",
    columns="""
        variant segmenter engine version n n_with_face
        success failure_1 failure_2 failure_1+2 untouched no_face crash unrated
        success_share success_low success_high
        n_face face_removed n_brain brain_unchanged face_left_median
        brain_removed_median brain_removed_max brain_removed_max_pct
        brain_changed_median brain_changed_max scans_with_brain_loss scans_with_brain_change
        scans_identical scans_with_odd_voxels
    """,
    compute=lambda given, _: compute(given.measurements, given.criteria, given.variants),
    caption=caption,
    latex="""
        variant segmenter engine version n n_with_face success failure_1 failure_2 failure_1+2 crash
        success_low success_high
    """,
    heading=HEADING,
    order=200,
    printed=printed,
    figures=[
        Figure(
            "quality",
            "Stacked bars: share of scans in each class of the automatic checks, one bar per "
            "variant.",
            lambda view: draw(
                view.rows("quality"),
                view.look,
                level=view.criteria.level,
                missed=missed_by_checks(view.tables),
                spared=brain_not_testable(view.tables),
            ),
            title="Checks of face and brain",
        )
    ],
)
