"""A variant whose program is missing: a line in every table, in no denominator."""

import numpy as np
import pandas as pd
import pytest

import factories
from factories import TABLE_COLUMNS, make_tables
from reading import caption
from refacebench.plot.style import look_of
from refacebench.report import latex
from refacebench.report.page import build
from refacebench.report.summary import summary_lines
from refacebench.results import catalogue, words
from refacebench.results.flow import absent_manifests
from refacebench.results.result import View
from refacebench.statistics import unavailable
from refacebench.statistics.criteria import Criteria

GONE = {"mideface": "no program mideface", "mideface+pix2pix25d": "no program mideface"}
SETTINGS = Criteria(n_boot=50)
SEGMENTERS = ["deepbet_gmm"]


@pytest.fixture(scope="module")
def both():
    """The same measurements with and without the two variants."""
    table, models = factories.with_brainage(factories.measurements())
    inventory, stages = factories.manifests(table)
    added = unavailable.rows(table, GONE)
    given = {"inventory": inventory, "brainage_models": models}
    order = [*factories.VARIANTS, *GONE]
    joined = pd.concat([table, added], ignore_index=True)
    more = [*stages, *absent_manifests(added)]
    return (
        make_tables(table, SETTINGS, manifests=stages, **given),
        make_tables(joined, SETTINGS, variants=order, manifests=more, **given),
    )


def of(table, variant="mideface"):
    return table[table["variant"] == variant]


def test_every_table_of_variants_has_its_line_and_says_why(both):
    for name, table in both[1].items():
        if "variant" not in table or table.empty:
            continue
        for variant in GONE:
            rows = of(table, variant)
            assert len(rows), name
            if name == "flow":
                compared = (rows["split"] == "test") & (rows["role"] == "measured")
                scans = rows[compared & (rows["scan"] != "sub-999")]
                assert (scans["status"] == "unavailable").all()
                assert (scans["reason"] == "unavailable: no program mideface").all()
                assert (scans["stage"] == "deface").all()
                others = rows[~compared & (rows["scan"] != "sub-999")]
                assert set(others["status"]) == {"not_used"}
            else:
                assert (rows["note"] == "unavailable: no program mideface").all(), name


def test_all_other_lines_are_what_they_were(both):
    for name, before in both[0].items():
        after = both[1][name]
        if "variant" in after:
            after = after[~after["variant"].isin(list(GONE))].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            before.reset_index(drop=True), after, check_dtype=False, obj=name
        )


def test_it_counts_nothing(both):
    quality = of(both[1]["quality"]).iloc[0]
    assert quality["engine"] == "unavailable"
    assert quality["n"] == quality["crash"] == quality["unrated"] == 0
    assert np.isnan(quality["success_share"])
    for name in ("overlap", "volumes", "changes", "similarity", "truth", "brainage"):
        rows = of(both[1][name])
        assert (rows[["n", "n_scans", "n_failed"]] == 0).all(axis=None), name
    assert of(both[1]["volumes"])["p"].isna().all()
    row = of(both[1]["flow_counts"]).set_index("stage").loc["deface"]
    assert row["n_unavailable"] == row["n_in"] > 0
    assert row["n_ok"] == row["n_failed"] == 0
    counts = both[1]["flow_counts"]
    ends = counts[["n_ok", "n_excluded", "n_failed", "n_unavailable"]].sum(axis=1)
    assert (ends == counts["n_in"]).all()


def test_an_excluded_original_is_excluded_here_too(both):
    row = of(both[1]["flow"]).set_index("scan").loc["sub-999"]
    assert (row["status"], row["stage"]) == ("excluded", "prepare")


def test_captions_and_summary_name_it_once_and_count_without_it(both):
    for name in TABLE_COLUMNS:
        if name not in both[0]:
            continue
        before, after = (caption(name, tables, SETTINGS) for tables in both)
        said = after.replace(before.rstrip("."), "")
        assert before.rstrip(".") in after or "unavailable" in said.lower(), name
    assert words.alone(View(both[1], SETTINGS)).endswith(
        "Unavailable on the machine of this run, so without numbers: mideface."
    )
    before, after = (summary_lines(tables, SETTINGS) for tables in both)
    gone = [name for name in look_of(both[1]).order if name.startswith("mideface")]
    lines = [
        f"{name}: unavailable on the machine of this run, so nothing of it was measured."
        for name in gone
    ]
    assert [text for text in after if text not in lines] == before
    assert [text for text in after if text in lines] == lines


def test_figures_and_report_show_the_line(both, tmp_path):
    tables = both[1]
    look = look_of(tables, ["pydeface", "quickshear", "mideface"])
    assert look.label("mideface") == "mideface (unavailable)"
    drawn = catalogue.draw(View(tables, look=look), SEGMENTERS)
    for name in ("quality", "overlap", "volumes_globals"):
        texts = [text.get_text() for axes in drawn[name].axes for text in axes.texts]
        assert "unavailable" in texts, name
    page = build(
        {
            "title": "t",
            "datasets": [
                {
                    "name": "demo",
                    "faces": "private",
                    "tables": tables,
                    "figures": {},
                    "criteria": SETTINGS,
                    "config": {"segmenters": dict.fromkeys(SEGMENTERS, {})},
                    "methods": [
                        {"kind": "defacer", "name": "mideface", "title": "MiDeFace",
                         "engine": "unavailable", "version": "", "reason": "no program mideface"}
                    ],
                }
            ],
        }
    )  # fmt: skip
    assert "mideface (unavailable)" in page
    assert "unavailable: no program mideface" in page


def test_printed_tables_have_a_note_only_where_there_is_one(both):
    for tables, there in zip(both, (False, True), strict=True):
        path_free = latex.to_latex(latex.printable(tables["similarity"]), "caption")
        assert ("no program mideface" in path_free) == there
