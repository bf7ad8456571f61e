"""Scans that a study's tests of volumes leave out, by defacer and by why.

Counted are the scans whose original was measured: ``n_brain_cut`` lost brain (Failure II),
``n_face_left`` kept a part of the face (Failure I, or untouched), ``n_no_output`` have no usable
output; a scan may be both cut and left.  ``n_excluded`` of ``n_scans`` are left out by what the
config's ``study: exclude`` names (``excluded_for``), ``n_kept`` are tested.  What a defacer is left
out for counts for the refacing models that work on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from refacebench.results import words
from refacebench.results.result import STUDY, Printed, Result, View
from refacebench.results.study import HEADING
from refacebench.statistics.cohort import pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import NULL, ORIGINAL

#: By what a config calls them, the verdicts that exclude a scan; no output is no verdict.
KINDS = {
    "brain_cut": ("failure_2", "failure_1+2"),
    "face_left": ("failure_1", "failure_1+2", "untouched"),
    "no_output": ("crash",),
}


def failed(table: pd.DataFrame, kind: str) -> pd.Series:
    """Tell of each pair of scans whether the defacer failed in one way.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`refacebench.statistics.cohort.pairs`.
    kind : str
        A key of :data:`KINDS`.
    """
    quality = table["quality"] if "quality" in table else pd.Series("", index=table.index)
    found = quality.fillna("").isin(KINDS[kind])
    return found | ~table["ok"] if kind == "no_output" else found


def excluded(
    measurements: pd.DataFrame,
    segmenter: str,
    defacer: str,
    criteria: Criteria,
    asked: Collection[str],
) -> set[str]:
    """Return the scans that are left out for a defacer; none for the control that keeps faces."""
    if defacer == NULL:
        return set()
    table = pairs(measurements, segmenter, defacer, criteria)
    return {scan for kind in asked for scan in table["scan"][failed(table, kind)]}


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    asked: Collection[str],
) -> pd.DataFrame:
    """Return the counts of each defacer, by the first segmenter that ran."""
    rows = []
    for segmenter in segmenters_of(measurements)[:1]:
        for variant in variants:
            if variant in (ORIGINAL, NULL) or "+" in variant:
                continue
            table = pairs(measurements, segmenter, variant, criteria)
            if table.empty:
                continue
            out = excluded(measurements, segmenter, variant, criteria, asked)
            rows.append(
                {
                    "variant": variant,
                    "n": table["participant"].nunique(),
                    "n_scans": len(table),
                    **{f"n_{kind}": int(failed(table, kind).sum()) for kind in KINDS},
                    "n_excluded": len(out),
                    "n_kept": len(table) - len(out),
                    "excluded_for": " ".join(asked),
                }
            )
    return RESULT.frame(rows)


_WORDS = {
    "brain_cut": "the brain was cut",
    "face_left": "the face was left",
    "no_output": "there was no output",
}


def caption(view: View) -> str:
    """Return the caption of the excluded scans."""
    table = view.rows("exclusions")
    if table.empty:
        return "No scan was judged."
    asked = table["excluded_for"].fillna("").iloc[0].split()
    if not asked:
        return "Scans that could be left out of the tests below; the config leaves out none."
    return words.join(
        f"Scans left out of the tests below, because {_listed([_WORDS[k] for k in asked])}.",
        "Scans are left out for what the defacer did to them, so these tests are only of scans "
        "that went well. All other tables keep every scan.",
    )


def _listed(parts: Sequence[str]) -> str:
    return " or ".join(parts)


def printed(view: View) -> Printed:
    """Return one row per defacer."""
    table = view.rows("exclusions")
    columns = ["Defacer", "Scans", "Brain cut", "Face left", "No output", "Left out", "Tested"]
    names = ("n_scans", *(f"n_{kind}" for kind in KINDS), "n_excluded", "n_kept")
    return columns, [
        [view.look.label(row["variant"]), *(str(int(row[name])) for name in names)]
        for _, row in table.iterrows()
    ]


RESULT = Result(
    "exclusions",
    about=__doc__,
    job=STUDY,
    reads="quality",
    columns="""
        variant n n_scans n_brain_cut n_face_left n_no_output n_excluded n_kept excluded_for
    """,
    texts="excluded_for",
    compute=lambda given, _: compute(
        given.measurements, given.criteria, given.variants, given.study.get("exclude") or ()
    ),
    caption=caption,
    heading=HEADING,
    order=10,
    printed=printed,
)
