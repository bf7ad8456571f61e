"""Order, names and colours of variants, and saved figures."""

import matplotlib.colors as mcolors
import pandas as pd
import pytest

from refacebench import faces, manifest
from refacebench.plot import overlap, style
from refacebench.results import catalogue
from refacebench.results.result import View


def test_order_is_controls_then_each_defacer_with_its_refaced_variants():
    mixed = ["b+m", "a", "null", "b", "a+m", "original", "a"]
    assert style.order_variants(mixed) == ("original", "null", "a", "a+m", "b", "b+m")
    assert style.order_variants(mixed, ["b", "a"])[2:] == ("b", "b+m", "a", "a+m")


def test_a_variant_keeps_its_colour_whichever_table_it_stands_in(cohort, look):
    alone = look.sort(["quickshear"])
    assert look.colour(alone[0]) == look.colour("quickshear+pix2pix25d") == style.HUES[1]
    assert look.mark("quickshear") != look.mark("quickshear+pix2pix25d")


def test_colours_of_the_first_dozen_defacers_differ_from_each_other_and_the_controls():
    names = [f"d{i:02d}" for i in range(len(style.HUES))]
    look = style.Look(style.order_variants(["original", "null", *names]))
    colours = {mcolors.to_hex(look.colour(v)) for v in look.order}
    assert len(colours) == len(names) + 2


def test_labels_name_the_engine():
    look = style.Look(("original", "null", "a", "a+m"), {"a": "official"})
    assert look.row_labels(["null", "a", "a+m"]) == ["null control", "a (official)", "+ m"]
    assert look.row_labels(["a+m"]) == ["a (official) + m"], "without its defacer above, in full"


def test_an_unknown_variant_is_an_error(look):
    with pytest.raises(KeyError, match="nobody"):
        look.sort(["nobody"])


def test_a_table_read_without_its_null_control_is_an_error(cohort, tmp_path):
    path = tmp_path / "overlap.tsv"
    manifest.write(cohort[1]["overlap"], path)
    careless = pd.read_csv(path, sep="\t")
    with pytest.raises(ValueError, match="table overlap: a row without a variant"):
        style.look_of({"overlap": careless})
    assert "null" in style.look_of({"overlap": catalogue.read(path)}).order


def test_figures_of_tables_that_were_written_and_read_are_the_same(cohort, look, tmp_path):
    tables = {}
    for name, table in cohort[1].items():
        manifest.write(table, tmp_path / f"{name}.tsv")
        tables[name] = catalogue.read(tmp_path / f"{name}.tsv")
    assert style.look_of(tables) == look
    before = catalogue.draw(View(cohort[1], look=look), ["deepbet_gmm"])
    after = catalogue.draw(View(tables, look=look), ["deepbet_gmm"])
    for name in before:
        old, new = before[name].axes[0], after[name].axes[0]
        assert [t.get_text() for t in old.texts] == [t.get_text() for t in new.texts]
        assert [len(line.get_xdata()) for line in old.lines] == [
            len(line.get_xdata()) for line in new.lines
        ]


def test_a_segmenter_without_any_row_gives_a_message_not_a_crash(cohort, look):
    drawn = catalogue.draw(View(cohort[1], look=look), ["deepbet_gmm", "other"])
    assert drawn["overlap-other"].get_label() == faces.MESSAGE_ONLY


def test_the_same_figure_gives_the_same_bytes_without_date_or_program(cohort, look, tmp_path):
    bytes_of = []
    for place in ("a", "b"):
        figure = overlap.draw(cohort[1]["overlap"], look, cohort[0])
        paths = style.save(figure, tmp_path / place / "overlap")
        bytes_of.append([path.read_bytes() for path in paths])
    assert bytes_of[0] == bytes_of[1]
    png, svg = bytes_of[0]
    assert b"matplotlib" not in png.lower()
    assert b"<dc:date>" not in svg
    assert b"Matplotlib v" not in svg
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["overlap.png", "overlap.svg"]


def test_drawing_leaves_the_callers_settings_alone(cohort, look):
    import matplotlib

    with matplotlib.rc_context({"font.size": 31.0}):
        figure = overlap.draw(cohort[1]["overlap"], look)
        assert matplotlib.rcParams["font.size"] == 31.0
    assert figure.axes[0].xaxis.label.get_fontsize() == style.RC["axes.labelsize"]


def drawn():
    figure = style.new_figure(style.WIDTH, 3.0)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1])
    axes.set_title("a title", fontsize=9.6)
    return figure


@pytest.mark.parametrize("width_mm", [120.0, 180.0, 400.0])
def test_a_figure_for_a_paper_has_its_width_and_letters_that_can_be_read(tmp_path, width_mm):
    figure, again = drawn(), drawn()
    ticks = figure.axes[0].get_xticklabels()[0].get_fontsize()
    first = style.save_for_paper(figure, tmp_path / "a", width_mm)
    second = style.save_for_paper(again, tmp_path / "b", width_mm)
    assert [p.suffix for p in first] == [".pdf", ".svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert b"/CreationDate" not in first[0].read_bytes()
    assert figure.get_size_inches()[0] == pytest.approx(width_mm / 25.4)
    # No larger than they were, never below three quarters of it; ticks made at drawing as well.
    factor = min(1.0, max(0.75, width_mm / 25.4 / style.WIDTH))
    assert figure.axes[0].title.get_fontsize() == pytest.approx(9.6 * factor)
    figure.axes[0].set_xlim(0, 500)
    figure.draw_without_rendering()
    sizes = [label.get_fontsize() for label in figure.axes[0].get_xticklabels()]
    assert sizes == pytest.approx([ticks * factor] * len(sizes))
