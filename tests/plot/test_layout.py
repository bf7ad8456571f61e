"""Nothing lies on anything else in a figure."""

import numpy as np
import pandas as pd

import layout
from factories import make_tables, measurements
from refacebench import vocabulary
from refacebench.faces import MESSAGE_ONLY
from refacebench.plot import curves, style
from refacebench.results import catalogue
from refacebench.results.result import View
from refacebench.statistics.criteria import Criteria

SEVERAL = ("original", "null", "afni_refacer", "quickshear", "cpgan_hull+diffusion25d")


def test_nothing_lies_on_anything_else_in_the_saved_figures(tmp_path):
    measures = measurements(5, SEVERAL, n_train=4)
    close = measures["variant"] == "null"
    measures.loc[close, "dice_vcsf"] = 0.9997
    measures.loc[~close, "dice_vcsf"] *= 0.8
    measures["brainage"] = measures["age"]
    measures["brainage_raw"] = measures["age"] + np.random.default_rng(3).normal(
        0, 3, len(measures)
    )
    tables = make_tables(measures, Criteria(n_boot=20))
    drawn = catalogue.draw(
        View(tables, look=style.look_of(tables), measures=measures), ["deepbet_gmm"]
    )
    del drawn["truth"]  # drawn as the overlap is
    found = {n: layout.faults(f, tmp_path, vocabulary.SYNTHETIC_NOTE) for n, f in drawn.items()}
    assert not {name: faults for name, faults in found.items() if faults}


def test_the_curve_of_a_training_does_not_run_through_its_legend(tmp_path):
    table = pd.DataFrame({"epoch": [1, 2, 3], "train_d": [3.0, 3, 3], "val_l1": [0.4, 0.3, 0.3]})
    figure = curves.draw(table.assign(picked=[0, 0, 1]), "pydeface+pix2pix25d")
    assert not layout.faults(figure, tmp_path, vocabulary.SYNTHETIC_NOTE)


def test_the_layout_checks_find_what_they_look_for(tmp_path):
    def figure():
        made = style.new_figure()
        axes = made.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        return made, axes

    made, axes = figure()
    axes.text(0.5, 0.5, "one")
    axes.text(0.51, 0.5, "two")
    assert layout.faults(made, tmp_path) == ["'one' lies on 'two'"]
    made, axes = figure()
    axes.text(0.5, 0.5, "-0.0 %", va="center")
    axes.axhline(0.5)
    assert layout.faults(made, tmp_path) == [
        "negative zero: '-0.0 %'",
        "'-0.0 %' is struck through",
    ]
    made, axes = figure()
    axes.plot([2], [0.5], marker="o")
    axes.set_xlim(0, 1)
    assert layout.faults(made, tmp_path) == ["a mark of '' is out of view"]


def test_one_point_is_no_curve():
    """A split whose loss was measured once is a sentence, and no panel."""
    table = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_l1": [0.3, 0.2, 0.1], "val_l1_changed": [np.nan, np.nan, 0.05],
         "picked": [0, 0, 1]}
    )  # fmt: skip
    figure = curves.draw(table, "d+m")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["d+m: training split"]
    once = "alidation loss was measured only after epoch 3 (0.05)."
    assert figure.texts[0].get_text() == f"V{once}"
    alone = curves.draw(table.drop(columns="train_l1"), "d+m")
    assert alone.get_label() == MESSAGE_ONLY
    assert alone.axes[0].texts[0].get_text() == f"d+m: v{once}"
    several = curves.draw(table.assign(val_l1=[np.nan, np.nan, 0.1]), "d+m")
    assert "(L1, removed voxels 0.05, L1, whole frame 0.1)" in several.texts[0].get_text()


def test_a_sentence_in_place_of_a_figure_can_be_read_from_its_file(tmp_path):
    style.save(style.message_figure("Nothing was refaced."), tmp_path / "x")
    assert style.message_of(tmp_path / "x.png") == "Nothing was refaced."
    table = pd.DataFrame({"epoch": [1, 2], "train_l1": [0.3, 0.2], "picked": [0, 1]})
    style.save(curves.draw(table), tmp_path / "y")
    assert style.message_of(tmp_path / "y.png") == ""
