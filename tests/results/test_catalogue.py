"""The list of results: a new result is one file, and everything else follows from it."""

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

import factories
from factories import make_tables, measurements
from reading import SETTINGS, Page, context
from refacebench import results
from refacebench.plot.style import look_of
from refacebench.report import figures, page, tables
from refacebench.results import catalogue
from refacebench.results.result import FLOW, STATISTICS, Heading, Result, View

TRIAL = Path(__file__).with_name("trial_result.py")


@pytest.fixture
def grown(tmp_path, monkeypatch):
    """The folder of the results with one file more: a trial one."""
    shutil.copy(TRIAL, tmp_path / "site_counts.py")
    monkeypatch.setattr(results, "__path__", [*results.__path__, str(tmp_path)])
    catalogue.everything.cache_clear()
    yield
    catalogue.everything.cache_clear()


def test_a_new_result_is_one_file(grown, tmp_path):
    table = measurements(n_participants=4)
    made = make_tables(table, SETTINGS)
    counts = made["site_counts"].set_index(["variant", "site"])["n"]
    assert counts["pydeface", "north"] + counts["pydeface", "south"] == 3, "one scan failed"

    look = look_of(made)
    view = View(made, SETTINGS, look=look)
    tables.write(made, [tmp_path / "site_counts.tsv"], view, "Made up.")
    again = catalogue.read(tmp_path / "site_counts.tsv")
    assert list(again) == ["variant", "site", "n", "note"]
    printed = (tmp_path / "site_counts.tex").read_text()
    assert r"\caption{Made up. Scans that went through, by site" in printed

    assert "site_counts" in catalogue.tables(STATISTICS)
    assert "site_counts" in catalogue.figure_names(["deepbet_gmm"])
    drawn = catalogue.draw(view, ["deepbet_gmm"])["site_counts"]
    figures.write({"site_counts": drawn}, [tmp_path / "site_counts.png"])
    assert (tmp_path / "site_counts.svg").is_file()

    shown = {"site_counts": tmp_path / "site_counts.png"}
    html = page.build(context({**made, "site_counts": again}, shown))
    found = Page(html)
    assert ("h3", "Sites") in found.headings
    titles = [text for _, text in found.headings]
    assert titles.index("Similarity to the original image") < titles.index("Sites")
    assert ["pydeface (native)", "2", "1"] in found.rows
    assert 'alt="Bars: scans of each site, one bar per variant. demo."' in html
    assert "site_counts" in catalogue.reference()


def test_the_example_for_contributors_is_a_result(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    section = text.split("## Add a result")[1]
    (tmp_path / "touched.py").write_text(section.split("```python\n")[1].split("```")[0])
    monkeypatch.setattr(results, "__path__", [*results.__path__, str(tmp_path)])
    catalogue.everything.cache_clear()
    try:
        made = make_tables(measurements(n_participants=4), SETTINGS)
        touched = made["touched"].set_index("variant")
        assert touched.loc["original", "n_touched"] == 0
        assert touched.loc["pydeface", ["n", "n_touched"]].tolist() == [3, 3], "one scan failed"
        found = Page(page.build(context(made, {})))
        assert ["pydeface", "3/3"] in found.rows
    finally:
        catalogue.everything.cache_clear()
        del sys.modules["refacebench.results.touched"]


def test_nothing_of_the_trial_stays():
    assert "site_counts" not in catalogue.tables(STATISTICS)


def test_every_table_has_columns_a_caption_and_says_what_they_mean():
    for result in catalogue.everything():
        if result.columns:
            assert result.about.strip(), result.name
            assert len(set(result.columns)) == len(result.columns), result.name
        if result.in_latex and result.columns:
            assert result.caption, result.name
        for figure in result.figures:
            assert result.words(figure), figure.name
            assert figure.alt.endswith("."), figure.name


def test_tables_are_those_that_are_declared():
    made = factories.tables(3, n_train=0, n_rescans=0, n_boot=20)
    assert list(made) == [*catalogue.tables(FLOW), *catalogue.tables(STATISTICS)]
    assert {name: tuple(table) for name, table in made.items()} == {
        name: catalogue.find(name).columns for name in made
    }


def test_a_row_with_an_undeclared_column_is_an_error():
    with pytest.raises(ValueError, match="table truth has no columns surprise"):
        catalogue.find("truth").frame([{"variant": "a", "surprise": 1}])


def test_an_unavailable_variant_can_be_noted_in_every_table_of_variants():
    for result in catalogue.everything():
        if result.job in (STATISTICS, FLOW) and "variant" in result.columns:
            assert {"note", "reason"} & set(result.columns), result.name


def test_two_results_of_one_name_are_an_error(tmp_path, monkeypatch):
    shutil.copy(Path(results.__file__).with_name("truth.py"), tmp_path / "truth_again.py")
    monkeypatch.setattr(results, "__path__", [*results.__path__, str(tmp_path)])
    catalogue.everything.cache_clear()
    try:
        with pytest.raises(ValueError, match="two results have the name truth"):
            catalogue.everything()
    finally:
        catalogue.everything.cache_clear()


def test_results_that_wait_for_each_other_are_an_error(monkeypatch):
    circle = [
        Result(
            name, job="x", columns="n", compute=lambda given, made: pd.DataFrame(), needs=(need,)
        )
        for name, need in (("a", "b"), ("b", "a"))
    ]
    monkeypatch.setattr(catalogue, "everything", lambda: circle)
    with pytest.raises(ValueError, match="depend on each other in a circle: a, b"):
        catalogue.compute("x", None)


def test_sections_stand_in_their_order():
    order = [heading.id for heading, _ in catalogue.headings()]
    assert order == [
        *("study", "privacy", "quality", "agreement", "carried", "slices", "scan-warnings"),
        *("overlap", "volumes", "volume_agreement", "brainage", "comparisons", "truth"),
        *("other-measures", "similarity", "training", "runtime"),
    ]
    assert Heading("a", "A").order > max(heading.order for heading, _ in catalogue.headings())
