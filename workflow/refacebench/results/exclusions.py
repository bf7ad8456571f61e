"""Scans that a study's tests of volumes leave out, by defacer and by why.

Counted are the scans whose original was measured: ``n_brain_cut`` lost brain (Failure II),
``n_face_left`` kept a part of the face (Failure I, or untouched), ``n_no_output`` have no usable
output; a scan may be both cut and left.  ``brain_cut_share`` and ``face_left_share`` are of the
``n_with_face`` scans that came with a face, those without an output or whose brain could not be
segmented among them.  ``n_excluded`` of ``n_scans`` are left out by what the config's
``study: exclude`` names (``excluded_for``), ``n_kept`` are tested.  What a defacer is left out for
counts for the refacing models that work on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pandas as pd

from refacebench.results import findings, words
from refacebench.results.result import STUDY, Printed, Result, Tables, View
from refacebench.results.study import HEADING
from refacebench.statistics.cohort import images, pairs, segmenters_of
from refacebench.statistics.criteria import Criteria
from refacebench.statistics.intervals import share
from refacebench.vocabulary import NULL, ORIGINAL, split_variant

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
    found = _verdicts(table).isin(KINDS[kind])
    return found | ~table["ok"] if kind == "no_output" else found


def _verdicts(table: pd.DataFrame) -> pd.Series:
    if "quality" not in table:
        return pd.Series("", index=table.index)
    return table["quality"].fillna("")


def _shares(table: pd.DataFrame, level: float) -> dict[str, float]:
    """Return the shares of scans that were cut or left, of those that came with a face."""
    faced = table[_verdicts(table) != "no_face"]
    found: dict[str, float] = {"n_with_face": len(faced)}
    for kind in ("brain_cut", "face_left"):
        value = share(failed(faced, kind), faced["participant"], level)
        names = (f"{kind}_share", f"{kind}_low", f"{kind}_high")
        found |= dict(zip(names, value, strict=True))
    return found


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


def kept(
    measurements: pd.DataFrame,
    segmenter: str,
    variant: str,
    criteria: Criteria,
    asked: Collection[str],
) -> pd.DataFrame:
    """Return a variant's pairs of scans without those that are left out for its defacer."""
    defacer = split_variant(variant)[0]
    out = excluded(measurements, segmenter, defacer, criteria, asked)
    table = pairs(measurements, segmenter, variant, criteria)
    return table[~table["scan"].isin(out)].reset_index(drop=True)


def compute(
    measurements: pd.DataFrame,
    criteria: Criteria,
    variants: Sequence[str],
    asked: Collection[str],
) -> pd.DataFrame:
    """Return the counts of each defacer, by the first segmenter that ran."""
    rows, seen = [], images(measurements)
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
                    **_shares(pairs(seen, segmenter, variant, criteria), criteria.level),
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
    asked = asked_of(view)
    spared = any(findings.finding(view.tables, v).spared for v in table["variant"])
    blind = (
        "Not testable: the method spares the very brain mask by which it is judged."
        if spared
        else ""
    )
    if not asked:
        return words.join(
            "Scans that could be left out of the tests below; the config leaves out none.", blind
        )
    return words.join(
        f"Scans left out of the tests below, because {_listed([_WORDS[k] for k in asked])}.",
        "Scans are left out for what the defacer did to them, so these tests are only of scans "
        "that went well. What is said of scans that changed follows the same choice here; all "
        "tables outside this section keep every scan.",
        blind,
    )


def of_study(compute: Callable[..., pd.DataFrame]) -> Callable[[Any, Tables], pd.DataFrame]:
    """Return how a result is made of a study: without the scans that its config leaves out."""
    return lambda given, _: compute(
        given.measurements, given.criteria, given.variants, given.study.get("exclude") or ()
    )


def left_out(view: View) -> str:
    """Return that scans are left out, where any are, for the captions of what follows."""
    return "Scans that the study leaves out (above) are not among them." if asked_of(view) else ""


def asked_of(view: View) -> list[str]:
    """Return what the study leaves scans out for, as its table says."""
    told = view.rows("exclusions").get("excluded_for", pd.Series(dtype=str)).fillna("")
    return str(told.iloc[0]).split() if len(told) else []


def _listed(parts: Sequence[str]) -> str:
    return " or ".join(parts)


def printed(view: View) -> Printed:
    """Return one row per defacer."""
    table = view.rows("exclusions")
    columns = ["Defacer", "Scans", "Brain cut", "Face left", "No output", "Left out", "Tested"]
    names = ("n_scans", *(f"n_{kind}" for kind in KINDS), "n_excluded", "n_kept")
    rows = []
    for row in table.to_dict("records"):
        counts = {name: str(int(row[name])) for name in names}
        if findings.finding(view.tables, row["variant"]).spared:
            counts["n_brain_cut"] = findings.NOT_TESTABLE
        rows.append([view.look.label(row["variant"]), *counts.values()])
    return columns, rows


RESULT = Result(
    "exclusions",
    about=__doc__,
    job=STUDY,
    reads="quality",
    columns="""
        variant n n_scans n_with_face n_brain_cut n_face_left n_no_output
        brain_cut_share brain_cut_low brain_cut_high face_left_share face_left_low face_left_high
        n_excluded n_kept excluded_for
    """,
    texts="excluded_for",
    compute=of_study(compute),
    caption=caption,
    heading=HEADING,
    order=10,
    printed=printed,
)
