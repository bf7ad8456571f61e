r"""Result tables as LaTeX, and the captions that say what a table is made of.

The output needs the packages ``booktabs`` and, for tables of more than
:data:`LONG` rows, ``longtable``.  Same table, same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..manifest import OK, write_text
from .cohort import compared
from .flow import summary
from .settings import Settings

#: Rows above which a table may break over pages.
LONG = 40
#: What is printed of tables that are too wide for a page; the TSV has the rest.
_PRINTED = {
    "quality": """
        variant segmenter engine version n success failure_1 failure_2 failure_1+2 crash
        success_low success_high
    """,
    "overlap": "variant segmenter structure measure n n_failed mean low high mean_all",
    "volumes": """
        variant region n n_failed median_change_pct low high p_holm p_bh rank_biserial
        share_over margin_pct p_tost_holm mde_pct
    """,
    "volumes_over": """
        selected_by variant region n n_failed median_change_pct low high p_holm p_bh rank_biserial
    """,
    "brainage": """
        variant segmenter n n_failed mae shift shift_low shift_high p_holm shift_abs
        rescan_shift_abs mae_change
    """,
}
PRINTED = {name: tuple(text.split()) for name, text in _PRINTED.items()}

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{char: "\\" + char for char in "&%$#_{}"},
}
_SPECIAL = re.compile("|".join(re.escape(char) for char in _ESCAPES))


def escape(text: object) -> str:
    r"""Escape the characters that LaTeX gives a meaning.

    >>> escape("failure_1 & 50%")
    'failure\\_1 \\& 50\\%'
    """
    return _SPECIAL.sub(lambda hit: _ESCAPES[hit.group()], str(text))


def cell(value: object, column: str) -> str:
    """Return a value as LaTeX, rounded by what its column holds.

    >>> cell(0.00001, "p_holm"), cell(float("nan"), "mean"), cell(-1.234, "mde_pct")
    ('$<$0.001', '--', '$-$1.23')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "--"
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, (int, np.integer)):
        return str(value)
    number = float(value)
    if math.isinf(number):
        return r"$\infty$" if number > 0 else r"$-\infty$"
    if _is_p(column) and 0 <= number < 0.001:
        return "$<$0.001"
    text = f"{abs(number):.{_decimals(column, number)}f}"
    return f"$-${text}" if number < 0 and text.strip("0.") else text


def _is_p(column: str) -> bool:
    return column == "p" or column.startswith("p_")


def _decimals(column: str, number: float) -> int:
    if column in ("n", "family_size", "equivalent") or column.startswith("n_"):
        return 0
    if column.endswith("_pct"):
        return 2
    if column.endswith(("_ml", "_median", "_max", "seconds")) or column == "W":
        return 1
    return 0 if number.is_integer() and abs(number) > 1 else 3


def to_latex(table: pd.DataFrame, caption: str, label: str = "") -> str:
    """Return a table as LaTeX with booktabs rules and its caption above.

    Numbers are right-aligned, text is left-aligned.  A column that begins a
    row with the value of the row above stays in: rows must be readable alone.
    """
    columns = list(table.columns)
    align = "".join("r" if pd.api.types.is_numeric_dtype(table[c]) else "l" for c in columns)
    head = " & ".join(escape(c.replace("_", " ")) for c in columns) + r" \\"
    body = [
        " & ".join(cell(value, c) for c, value in zip(columns, row, strict=True)) + r" \\"
        for row in table.itertuples(index=False, name=None)
    ]
    title = rf"\caption{{{escape(caption)}}}" + (rf"\label{{tab:{label}}}" if label else "")
    if len(body) > LONG:
        lines = [
            r"\begin{longtable}{" + align + "}",
            title + r" \\",
            *[r"\toprule", head, r"\midrule", r"\endfirsthead"],
            *[r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"],
            *body,
            r"\end{longtable}",
        ]
    else:
        lines = [
            *[r"\begin{table}", r"\centering", title, r"\begin{tabular}{" + align + "}"],
            *[r"\toprule", head, r"\midrule", *body, r"\bottomrule"],
            *[r"\end{tabular}", r"\end{table}"],
        ]
    return "\n".join(lines) + "\n"


def write_latex(
    table: pd.DataFrame,
    caption: str,
    path: str | Path,
    columns: Sequence[str] | None = None,
    label: str = "",
) -> None:
    """Write a table as LaTeX, all or nothing.

    Parameters
    ----------
    caption : str
        Plain text; it is escaped.
    columns : sequence of str, optional
        What to print (:data:`PRINTED`); all by default.
    """
    shown = table if columns is None else table[[c for c in columns if c in table]]
    write_text(to_latex(shown, caption, label), path)


def captions(
    tables: Mapping[str, pd.DataFrame], measurements: pd.DataFrame, settings: Settings
) -> dict[str, str]:
    """Return a caption for each table: what it shows, of how many, corrected how, run by what."""
    who = _who(tables["flow"], measurements, settings)
    engines = _engines(tables.get("quality"))
    interval = (
        f"Intervals: {settings.level:.0%}, percentile bootstrap over participants "
        f"({settings.n_boot} resamples, seed {settings.seed})."
    )
    wilson = (
        f"Interval of shares: {settings.level:.0%} Wilson, widened for repeated scans of a "
        "participant."
    )
    tests = _tests(settings)
    text = {
        "flow": "Where each scan ended, for each variant. " + summary(tables["flow"]),
        "flow_counts": "Scans that entered and left each stage. " + summary(tables["flow"]),
        "quality": f"Quality classes. {who} A failed scan counts as a crash. {wilson} {engines}",
        "overlap": f"Overlap with the segmentation of the original. {who} In mean_all a failed "
        f"scan counts as 0; the other columns are of completers. {interval} {engines}",
        "volumes": f"Volumes against the original. {who} {tests} {_family(tables, 'volumes')} "
        f"{_margin(tables)} Share over: scans that changed by more than "
        f"{settings.threshold_pct:g} %, failed scans counted in. {interval} {wilson} {engines}",
        "volumes_over": "Volumes against the original, only scans in which defacing (selected_by) "
        f"changed grey, white, CSF or TIV by more than {settings.threshold_pct:g} %. "
        "Selected by outcome: the defacer's own tests are biased towards a difference. "
        f"{tests} {_family(tables, 'volumes_over')} {interval} {engines}",
        "changes": f"Scans in which grey, white, CSF or TIV changed by more than "
        f"{settings.threshold_pct:g} %. {who} In share_over failed scans count as changed. "
        f"{wilson} {engines}",
        "repeatability": "Absolute difference between two sessions of a participant, in percent "
        f"of their mean. {_margin(tables)} {interval}",
        "brainage": f"Predicted brain age. {who} MAE is that of uncorrected predictions; shift is "
        "variant minus original, in corrected years; rescan_shift_abs is what a second session "
        "of the same participants does. R2 and MAE of the model are out-of-fold by participant, "
        "before correction. Wilcoxon signed-rank, Holm over the variants of a segmenter. "
        f"{interval} {engines}",
        "similarity": f"Similarity to the original image, completers. {who} {interval} {engines}",
        "runtime": f"Wall seconds and peak memory a scan. {engines}",
        "truth": f"Dice with true labels, completers. {who} {interval} {engines}",
    }
    return {name: " ".join(text[name].split()) for name in tables if name in text}


def _who(flow: pd.DataFrame, measurements: pd.DataFrame, settings: Settings) -> str:
    rows = compared(measurements, settings)
    used = rows[(rows["variant"] == "original") & (rows["status"] == OK)]
    return (
        f"{used['participant'].nunique()} participants with {used['scan'].nunique()} scans; "
        f"of {flow['scan'].nunique()} scans in the data set, "
        f"{flow['scan'].nunique() - used['scan'].nunique()} are not compared (other splits, "
        "rescans, excluded or failed originals)."
    )


def _tests(settings: Settings) -> str:
    return (
        f"Wilcoxon signed-rank on participants' mean differences (zeros: {settings.zero_method}), "
        "matched rank-biserial correlation; two one-sided signed-rank tests for equivalence; "
        f"minimum detectable change at {settings.power:.0%} power and alpha "
        f"{settings.alpha:g} / family size."
    )


def _family(tables: Mapping[str, pd.DataFrame], name: str) -> str:
    if name not in tables or tables[name].empty:
        return ""
    table = tables[name]
    sizes = table[table["family"] == "regions"].groupby("segmenter", sort=False)["family_size"]
    sizes = ", ".join(f"{segmenter} {int(n)}" for segmenter, n in sizes.first().items())
    return (
        "Holm (and Benjamini-Hochberg) over one segmenter's 17 regions and TIV x all variants "
        f"({sizes} tests); the other globals are a family of their own."
    )


def _margin(tables: Mapping[str, pd.DataFrame]) -> str:
    table = tables.get("repeatability")
    if table is None or table.empty:
        return ""
    rescan = table[table["margin_source"] == "rescan"]
    config = table[table["margin_source"] == "config"]
    parts = []
    if len(rescan):
        parts.append(
            f"Equivalence margin: each region's mean scan-rescan difference (up to "
            f"{int(rescan['n'].max())} participants)."
        )
    if len(config):
        parts.append(
            f"Equivalence margin{' elsewhere' if parts else ''}: "
            f"{config['margin_pct'].iloc[0]:g} % (config; too few rescans)."
        )
    return " ".join(parts)


def _engines(quality: pd.DataFrame | None) -> str:
    """Return which program each defacer was: ours or the released one, with its version."""
    if quality is None or quality.empty:
        return ""
    rows = quality[~quality["variant"].str.contains("+", regex=False)]
    rows = rows[rows["engine"] != ""].drop_duplicates("variant")
    named = [f"{row.variant} {row.engine} {row.version}".strip() for row in rows.itertuples()]
    return f"Engines: {', '.join(named)}." if named else ""
