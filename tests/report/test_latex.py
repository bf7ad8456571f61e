"""Result tables as LaTeX."""

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from refacebench.report import latex, wording
from refacebench.report.tables import write as write_tables
from refacebench.results import catalogue
from refacebench.results.result import View

everything = {result.name: result for result in catalogue.everything()}


def test_latex_escapes_and_is_the_same_twice(tmp_path):
    table = pd.DataFrame(
        {
            "variant": ["a_b", "c&d%"],
            "n": [3, 1],
            "p_holm": [1e-5, 0.25],
            "mde_pct": [np.inf, -1.234],
            "mean": [np.nan, -0.00001],
        }
    )
    latex.write_latex(table, "50 % of x_y", tmp_path / "a.tex", label="t")
    latex.write_latex(table, "50 % of x_y", tmp_path / "b.tex", label="t")
    text = (tmp_path / "a.tex").read_text()
    assert text == (tmp_path / "b.tex").read_text()
    assert r"\caption{50 \% of x\_y}\label{tab:t}" in text
    assert r"a\_b & 3 & $<$0.001 & $\infty$ & -- \\" in text
    assert r"c\&d\% & 1 & 0.250 & $-$1.23 & 0.000 \\" in text
    assert r"\begin{tabular}{lrrrr}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1


def _without_caption(name):
    """Return a result whose caption needs no whole table."""
    return replace(everything[name], caption=lambda view: f"Of {name}.")


def test_tables_are_written_with_their_captions_and_points_of_figures_are_not_printed(
    tmp_path, monkeypatch
):
    tables = {
        "runtime": pd.DataFrame({"n": [3]}),
        "overlap": pd.DataFrame({"variant": ["a"], "unprinted": [1]}),
        "privacy_curves": pd.DataFrame({"x": [1]}),
    }
    paths = [tmp_path / f"{name}.tsv" for name in tables]
    monkeypatch.setattr(catalogue, "find", _without_caption)
    write_tables(tables, paths, View(tables), "Synthetic.")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "overlap.tex",
        "overlap.tsv",
        "privacy_curves.tsv",
        "runtime.tex",
        "runtime.tsv",
    ]
    assert (tmp_path / "overlap.tsv").read_text() == "variant\tunprinted\na\t1\n"
    assert (
        r"\caption{Synthetic. Of runtime.}\label{tab:runtime}"
        in (tmp_path / "runtime.tex").read_text()
    )
    assert "unprinted" not in (tmp_path / "overlap.tex").read_text()


def test_long_tables_break_over_pages():
    text = latex.to_latex(pd.DataFrame({"n": range(latex.LONG + 1)}), "long")
    assert r"\begin{longtable}" in text
    assert text.count(r" \\") == latex.LONG + 1 + 3  # rows, caption, two heads


@given(st.text(max_size=30))
def test_escaped_text_has_no_bare_special_character(text):
    escaped = latex.escape(text)
    for good in (r"\&", r"\%", r"\$", r"\#", r"\_", r"\{", r"\}"):
        escaped = escaped.replace(good, "")
    escaped = escaped.replace(r"\textbackslash{}", "").replace(r"\textasciitilde{}", "")
    escaped = escaped.replace(r"\textasciicircum{}", "").replace(r"\textless{}", "")
    escaped = escaped.replace(r"\textgreater{}", "")
    assert not set(escaped) & set("\\&%$#_{}~^<>")


def test_printed_columns_exist():
    for result in catalogue.everything():
        assert set(result.latex) <= set(result.columns), result.name


def test_no_printed_table_has_a_raw_name_of_a_column():
    heads = {
        column: wording.head(column)
        for result in everything.values()
        if result.columns and result.in_latex
        for column in (result.latex or result.columns)
    }
    assert not [head for head in heads.values() if "_" in head or head.startswith("n ")]
    table = pd.DataFrame({"variant": ["null", "mask_face"], "measure": ["dice_brain", "tiv"]})
    text = latex.to_latex(table, "x")
    assert "null control & Dice of brain" in text
    assert r"mask\_face & TIV" in text, "the name of a method stays"
