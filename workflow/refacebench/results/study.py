"""A published study's numbers and ours: one row per published value.

``ours`` (with its interval in ``ours_low``, ``ours_high``) is taken from ``column`` of the rows
``rows`` of our table ``table``, in the unit of ``published``; it is of ``n`` participants (checks
of face and brain: scans with a face; agreement of raters: pairs of ratings), and for rank 1 the
right one stands among the ``n_gallery`` people of a gallery.  The least or most of several methods
has the interval of the method that it is of, which does not allow for its having been picked.
``difference`` is ours less published.  It is missing where the people are synthetic: the row then
says which numbers a run on the real data compares.  ``source`` is where the published value
stands, ``differs`` what differs in how the two were made, ``note`` why there is no number, or what
it is of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from refacebench.plot.numbers import NO_VALUE
from refacebench.results import studied, words
from refacebench.results.result import STUDY, Heading, Printed, Result, Tables, View
from refacebench.results.studied import Studied

HEADING = Heading(
    "study",
    "The paper's tables and figures",
    "What did the paper report, and what is it here?",
    order=0,
)
#: Said of a row of a synthetic cohort.
SYNTHETIC = "synthetic people: not compared"
#: Rows on the page; all are in the file.
MOST = 60
#: One of what published values count.
_ONE = {"people": "person", "regions": "region", "scans": "scan"}


def compute(given: Studied, made: Tables) -> pd.DataFrame:
    """Return every published value of the study beside ours.

    Parameters
    ----------
    given : Studied
    made : mapping of str to pandas.DataFrame
        The other tables of the same study.
    """
    rows, tables = [], {**given.tables, **made}
    for asked in studied.of_study(given.study, given.dataset).to_dict("records"):
        ours = studied.value(tables, asked, given.criteria.alpha)
        difference = ours["ours"] - asked["published"]
        if given.synthetic:
            ours["note"] = "; ".join(filter(None, [ours["note"], SYNTHETIC]))
        rows.append(
            {
                "paper": given.study["title"],
                **{k: asked[k] for k in ("item", "quantity", "table", "rows", "column")},
                **ours,
                "published": asked["published"],
                "difference": np.nan if given.synthetic else difference,
                **{k: asked[k] for k in ("unit", "source", "differs")},
            }
        )
    return RESULT.frame(rows)


def is_synthetic(table: pd.DataFrame) -> bool:
    """Tell whether a table of this result is of synthetic people."""
    return bool(table["note"].fillna("").str.contains(SYNTHETIC, regex=False).any())


def caption(view: View) -> str:
    """Return the caption of the published values beside ours."""
    table = view.rows("study")
    if table.empty:
        return "The table of published values has none of this study."
    paper = table["paper"].iloc[0]
    if is_synthetic(table):
        return words.folded(
            f"The numbers of {paper}, and the same quantity here. The people here are synthetic: "
            "the table says what a run on the real data would compare, and no difference from "
            "the paper means anything. Names of sites are labels: no scan comes from there.",
            _below(view),
        )
    return words.folded(
        f"The numbers of {paper}, the same quantity here, and ours less theirs. Other people, "
        "other programs and other versions differ: read what differs before the difference.",
        _below(view),
    )


def _below(view: View) -> str:
    table = view.rows("study")
    rest = len(table) - MOST
    ranked = np.isfinite(table["n_gallery"].astype(float)).any()
    return words.join(
        f"Brackets: our {100 * view.criteria.level:g} % intervals, where the quantity has one; "
        "that of the least or most of several methods does not allow for its having been picked. "
        "n: participants (checks of face and brain: scans with a face; agreement of raters: pairs "
        "of ratings).",
        "Of a rate of people named first, n also says how many stand in the gallery: the more, "
        "the harder it is to be named first."
        if ranked
        else "",
        f"The file has {words.plural(rest, 'more row')}." if rest > 0 else "",
    )


def printed(view: View) -> Printed:
    """Return the published values beside ours."""
    table = view.rows("study").head(MOST)
    synthetic = is_synthetic(table) if len(table) else False
    columns = ["In the paper", "Quantity", "Here", "n", "Paper"]
    columns += ([] if synthetic else ["Here less paper"]) + ["What differs", "Source"]
    rows = []
    for row in table.to_dict("records"):
        cells = [_text(row["item"]), _text(row["quantity"]), _ours(row), _people(row)]
        cells.append(_number(row["published"], row["unit"]))
        if not synthetic:
            unit = "points" if row["unit"] == "%" else row["unit"]
            cells.append(_number(row["difference"], unit, signed=True))
        rows.append([*cells, _text(row["differs"]), _text(row["source"])])
    return columns, rows


def _ours(row: dict[str, Any]) -> str:
    said = _text(row["note"]).replace(SYNTHETIC, "").strip("; ")
    if not np.isfinite(float(row["ours"])):
        return said or NO_VALUE
    text = _number(row["ours"], row["unit"])
    if np.isfinite(float(row["ours_low"])):
        low, high = (_digits(row[name], row["unit"]) for name in ("ours_low", "ours_high"))
        text += f" [{low}, {high}]"
    return f"{text} ({said})" if said else text


def _people(row: dict[str, Any]) -> str:
    n, gallery = (float(row[name]) for name in ("n", "n_gallery"))
    if not (np.isfinite(n) and np.isfinite(float(row["ours"]))):
        return NO_VALUE
    return f"{n:g} (gallery: {gallery:g})" if np.isfinite(gallery) else f"{n:g}"


def _number(value: float, unit: Any, signed: bool = False) -> str:
    if not np.isfinite(float(value)):
        return NO_VALUE
    text, unit = _digits(value, unit, "+" if signed else ""), _text(unit)
    return f"{text} {_ONE.get(unit, unit) if abs(value) == 1 else unit}".strip()


def _digits(value: float, unit: Any, sign: str = "") -> str:
    return format(value + 0.0, sign + (".3g" if unit in ("%", "points") else ".4g"))


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


RESULT = Result(
    "study",
    about=__doc__,
    job=STUDY,
    columns="""
        paper item quantity table rows column ours ours_low ours_high n n_gallery published
        difference unit source differs note
    """,
    texts="paper item quantity table rows column unit source differs",
    needs=(
        *("study_cohort", "exclusions", "volumes_kept", "volumes_over_kept", "recovered"),
        *("privacy_reverse", "rater_effects", "rater_agreement"),
    ),
    compute=compute,
    caption=caption,
    latex="item quantity ours ours_low ours_high n n_gallery published difference unit",
    heading=HEADING,
    order=2,
    printed=printed,
)
