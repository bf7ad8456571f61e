"""Figures of the results show what their tables say."""

import numpy as np
import pandas as pd
import pytest

from drawing import marks
from factories import TABLE_COLUMNS
from refacebench.metrics.verdict import CLASSES
from refacebench.plot import curves, dots, overlap, quality_bars, style, volumes
from refacebench.plot.quality_bars import Missed
from refacebench.results import (
    brainage,
    catalogue,
    face_parts,
    privacy_curves,
    quality,
    runtime,
    similarity,
)
from refacebench.results.result import View
from refacebench.statistics.criteria import Criteria
from refacebench.vocabulary import TIMED

SETTINGS = Criteria(n_boot=50)


def test_brain_age_band_is_the_rescan_shift_and_the_original_has_no_shift(cohort, look):
    table = cohort[1]["brainage"]
    figure = brainage.draw(table, look)
    shift, size, error = figure.axes
    assert size.patches[0].get_width() == pytest.approx(table["rescan_shift_abs"].iloc[0])
    assert len(marks(shift, "o")) == 3
    assert len(marks(error, "o")) == 4
    rows = table.set_index("variant")
    assert marks(shift, "o")[0] == rows.loc["null", "shift"]


def test_similarity_has_a_point_of_every_image(cohort, look):
    """Also of one whose brain no segmenter found, and of two segmenters' rows one."""
    measures, table = cohort[0], cohort[1]["similarity"]

    def points(rows):
        figure = similarity.draw(table, look, rows)
        lines = [line for panel in figure.axes for line in panel.lines]
        return sum(len(line.get_xdata()) for line in lines if line.get_markersize() == 2.6)

    whole = points(measures)
    cut = measures.copy()
    image = (cut["variant"] == "null") & (cut["status"] == "ok")
    cut.loc[cut.index[image][0], ["status", "stage"]] = ["failed", "segment"]
    assert points(cut) == whole
    cut.loc[cut.index[image][0], "stage"] = "deface"
    assert points(cut) == whole - 4, "one in each of four panels"
    assert points(pd.concat([cut, measures.assign(segmenter="other")])) == whole


def test_similarity_shows_the_mean_of_each_site(cohort, look):
    table = cohort[1]["similarity"]
    figure = similarity.draw(table, look, cohort[0])
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == [
        "Correlation, front half",
        "Correlation, full frame",
        "SSIM, front half",
        "SSIM, full frame",
    ]
    rows = table[(table["measure"] == "corr") & (table["region"] == "front")]
    for marker, site in (("o", "north"), ("s", "south")):
        means = rows[rows["site"] == site].set_index("variant")["mean"]
        assert marks(figure.axes[0], marker) == [means[v] for v in look.order if v != "original"]


def test_quality_bars_add_up_to_all_scans(cohort, look):
    axes = quality_bars.draw(cohort[1]["quality"], look).axes[0]
    ends = {}
    for patch in axes.patches:
        middle = round(patch.get_y() + patch.get_height() / 2, 3)
        ends[middle] = max(ends.get(middle, 0), patch.get_x() + patch.get_width())
    rows = cohort[1]["quality"]["variant"].unique()
    assert "null" in rows
    assert len(ends) == len(rows), "every row of the table below it has a bar"
    assert list(ends.values()) == pytest.approx([100.0] * len(rows))


def test_quality_classes_that_do_not_add_up_are_an_error():
    row = pd.Series({"variant": "a", "n": 5, "success": 4, "failure_1": 2})
    with pytest.raises(ValueError, match="add up to 6, n is 5"):
        quality_bars.class_counts(row)


def test_runtime_bars_are_the_means_laid_end_to_end(cohort, look):
    table = cohort[1]["runtime"]
    time = runtime.draw(table, look).axes[0]
    assert "no scan went through" in [t.get_text() for t in time.texts]
    table = table[table["n"] > 0]
    time = runtime.draw(table, look).axes[0]
    variants = look.sort(table["variant"])
    places = dots.positions(variants)
    for variant in variants:
        rows = table[table["variant"] == variant].set_index("step")
        bars = [
            p for p in time.patches if abs(p.get_y() + p.get_height() / 2 - places[variant]) < 0.1
        ]
        steps = [s for s in TIMED if s in rows.index]
        assert [p.get_width() for p in bars] == pytest.approx(list(rows.loc[steps, "seconds_mean"]))
        ends = [p.get_x() + p.get_width() for p in bars]
        assert [p.get_x() for p in bars] == pytest.approx([0.0, *ends[:-1]])
        total = rows.loc["total", "seconds_mean"]
        assert ends[-1] == pytest.approx(total)
        assert f"mean {total:.1f} s" in [t.get_text() for t in time.texts], "it is not the slowest"


def test_curves_mark_the_picked_epoch():
    table = pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "step": [5, 10, 15],
            "train_d": [3.0, 2.0, 1.0],
            "val_l1": [0.4, 0.2, 0.3],
            "val_l1_changed": [np.nan] * 3,
            "picked": [0, 1, 0],
        }
    )
    figure = curves.draw(table, "pydeface + pix2pix25d")
    train, validation = figure.axes
    assert [t.get_text() for t in validation.get_legend().get_texts()] == [
        "L1, whole frame",
        "used: epoch 2, best on validation",
    ]
    last = curves.draw(table, turn="round", by_validation=False)
    assert "used: round 2, the last" in named(last.axes[0])
    assert list(train.lines[0].get_ydata()) == [3.0, 2.0, 1.0]
    assert list(validation.lines[-1].get_xdata()) == [2, 2]


@pytest.mark.parametrize("name", ["overlap", "truth", "volumes", "brainage", "similarity"])
def test_empty_tables_give_a_figure_that_says_so(name, look):
    empty = pd.DataFrame(columns=TABLE_COLUMNS[name])
    draw = {
        "overlap": overlap.draw,
        "truth": overlap.draw,
        "volumes": volumes.draw,
        "brainage": brainage.draw,
        "similarity": similarity.draw,
    }[name]
    assert "o " in draw(empty, look).axes[0].texts[0].get_text()


def test_all_figures_are_those_that_the_names_announce(cohort, look):
    drawn = catalogue.draw(View(cohort[1], look=look, measures=cohort[0]), ["deepbet_gmm"])
    assert sorted(drawn) == sorted(catalogue.figure_names(["deepbet_gmm"]))
    assert catalogue.figure_names(["a", "b"])[-1] == "other_measures-b"


@pytest.mark.parametrize("count", [3, 25])
def test_three_to_twenty_five_variants_have_room(count):
    names = [f"defacer_{i}" for i in range(8)]
    every = ["original", "null"] + [v for d in names for v in (d, f"{d}+m1", f"{d}+m2")]
    shown = tuple(every[:count])
    rows = [
        {"variant": v, "segmenter": "s", "structure": part, "measure": "dice", "n": 9,
         "n_failed": 0, "mean": 0.9 + 0.003 * i, "low": 0.89, "high": 0.98}
        for i, v in enumerate(shown) for part in overlap.STRUCTURES
    ]  # fmt: skip
    figure = overlap.draw(pd.DataFrame(rows), style.Look(shown))
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert len(boxes) == count - 1
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(above[0] >= below[1] for below, above in zip(tops, tops[1:], strict=False))


def test_rows_of_one_defacer_stand_together():
    places = dots.positions(["original", "null", "a", "a+m", "b"])
    steps = np.diff(list(places.values()))
    assert list(np.round(steps, 6)) == [1.0, 1.0 + dots.GAP, 1.0, 1.0 + dots.GAP]


def shown(figure):
    """Return the images of a figure, in order, as drawn (rows upwards)."""
    return [axes.images[0].get_array().data for axes in figure.axes if axes.images]


def parts(figure):
    """Return width, fill and hatch of the parts of bars by the middle of their row."""
    found = {}
    for patch in figure.axes[0].patches:
        middle = round(patch.get_y() + patch.get_height() / 2, 3)
        look = (patch.get_facecolor(), patch.get_hatch())
        found.setdefault(middle, []).append((round(patch.get_width(), 3), look))
    return found


def judged_by(missed):
    row = {"variant": "pydeface", "engine": "native", "n": 13, "n_with_face": 13,
           **dict.fromkeys([*CLASSES, "unrated"], 0), "success_share": 1.0, "success_low": 0.75,
           "success_high": 1.0}  # fmt: skip
    table = pd.DataFrame([row | {"success": 13}])
    look = style.look_of({"quality": table})
    return quality_bars.draw(table, look, missed={"pydeface": missed} if missed else {})


def test_what_the_checks_missed_by_the_true_labels_is_hatched_and_the_unjudged_stand_apart():
    """Of 13 scans without a found failure, 2 of the 12 that were judged have one."""
    figure = judged_by(Missed(2, 12, 1))
    (bar,) = parts(figure).values()
    assert [width for width, _ in bar] == pytest.approx([1000 / 13, 100 / 13, 200 / 13], abs=1e-3)
    assert len({look for _, look in bar}) == 3
    assert bar[2][1][1] == "////"
    assert "missed 2 of 12, 1 not judged" in [t.get_text() for t in figure.axes[0].texts]
    wanted = ["success", "unjudged", "missed"]
    assert named(figure) == [quality_bars.NAMES[name] for name in wanted]
    all_judged = judged_by(Missed(13, 13, 0))
    assert "missed 13 of 13" in [t.get_text() for t in all_judged.axes[0].texts]
    assert named(all_judged) == [quality_bars.NAMES["missed"]]
    assert named(judged_by(None)) == [quality_bars.NAMES["success"]]


def test_a_method_whose_brain_cannot_be_tested_is_said_to_pass_for_the_face_alone(cohort, look):
    table = cohort[1]["quality"]
    figure = quality_bars.draw(table, look, spared=["quickshear"])
    places = dots.positions(look.sort(table["variant"]))
    beside = {t.get_position()[1]: t.get_text() for t in figure.axes[0].texts}
    alone = {y for y, text in beside.items() if text.endswith(quality_bars.FACE_ALONE)}
    assert alone == {places["quickshear"]}
    assert quality_bars.NAMES["alone"] in named(figure)
    bars = parts(figure)
    assert bars[round(places["quickshear"], 3)][0][1] != bars[round(places["pydeface"], 3)][0][1]
    assert quality_bars.NAMES["alone"] not in named(quality_bars.draw(table, look))


def test_the_figure_of_checks_says_of_each_method_what_its_table_says():
    row = {"variant": "skull_strip", "engine": "native", "n": 5, "n_brain": 5, "brain_unchanged": 5}
    other = row | {"variant": "command", "engine": "official"}
    found = pd.DataFrame([row, row | {"variant": "pydeface"}, other])
    assert quality.brain_not_testable({"quality": found}) == ["skull_strip", "pydeface"]
    assert quality.missed_by_checks({"quality": found}) == {}
    counts = {"true_positive": 0, "false_positive": 0, "n_not_judged": 1}
    truth = pd.DataFrame(
        [
            {"made_by": "pydeface", "failure": f"failure_{i}", "false_negative": i,
             "true_negative": 4 - i, **counts}
            for i in (1, 2)
        ]
    )  # fmt: skip
    told = quality.missed_by_checks({"quality": found, "verdict_agreement": truth})
    assert told == {"pydeface": Missed(2, 4, 1)}, "the check that missed most"


def test_each_defacer_has_a_panel_with_its_bands_and_each_figure_its_own_caption():
    rows = pd.DataFrame(
        [
            {"variant": v, "attacker": "x", "setting": "other_session", "curve": curve, "x": x,
             "y": x, "low": x / 2, "high": (1 + x) / 2, "band_low": np.nan, "band_high": np.nan}
            for v in ("original", "null", "a", "a+m", "b")
            for curve in ("top_alpha", "roc") for x in (0.0, 0.5, 1.0)
        ]
    )  # fmt: skip
    look = style.look_of({"t": rows})
    figure = privacy_curves.draw(rows, look, setting="other_session")
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title("left") for axes in panels] == ["controls", "a", "b"]
    # Bands of a defacer and its refaced scans, never of all on each other; the original's curve
    # and chance stand in each panel.
    assert [len(axes.collections) for axes in panels] == [0, 2, 1]
    assert [len(axes.lines) for axes in panels] == [3, 4, 3]
    for axes in panels:
        assert list(axes.lines[0].get_ydata()) == [0, 100], "chance, in percent as all else"
    assert named(figure) == ["original", "null control", "defaced", "refaced", "interval, defaced",
                             "interval, refaced", "chance"]  # fmt: skip
    bands = panels[1].collections
    assert [bool(band.get_hatch()) for band in bands] == [False, True], "told apart in one colour"
    view = View({"privacy_curves": rows}, SETTINGS)
    curves_, roc = privacy_curves.caption(view), privacy_curves.caption_roc(view)
    assert curves_ != roc
    assert all("not adjusted for many comparisons" in text for text in (curves_, roc))
    assert "ROC" in roc
    assert "ROC" not in curves_
    # Of a large gallery it says that not all distances are exact.
    for gallery, told in ((1000, False), (1001, True)):
        table = pd.DataFrame({"attacker": ["surface"], "n_gallery": [gallery]})
        text = privacy_curves.caption_roc(
            View({"privacy_curves": rows, "privacy": table}, SETTINGS)
        )
        assert ("its ROC curve is an approximation" in text) == told


def test_no_two_lines_of_a_panel_of_curves_are_told_apart_by_colour_alone():
    names = ("original", "null", "blurred", "black", "a", "a+m", "a+k")
    rows = pd.DataFrame(
        [
            {"variant": v, "attacker": "x", "setting": "other_session", "curve": "roc", "x": x,
             "y": x, **dict.fromkeys(("low", "high", "band_low", "band_high"), np.nan)}
            for v in names for x in (0.0, 1.0)
        ]
    )  # fmt: skip
    figure = privacy_curves.draw(
        rows, style.look_of({"t": rows}), setting="other_session", curve="roc"
    )
    legend = figure.legends[0]
    for lines in [legend.get_lines(), *(axes.lines for axes in figure.axes if axes.axison)]:
        looks = [(str(line._unscaled_dash_pattern), line.get_linewidth()) for line in lines]
        assert len(set(looks)) == len(looks)
    assert {"refaced by m", "refaced by k"} <= set(named(figure))


def test_a_control_among_the_parts_of_the_face_is_hollow(cohort, look):
    table = cohort[1]["face_parts"].replace({"variant": {"quickshear": "skull_strip"}})
    figure = face_parts.draw(table, style.look_of({"t": table}))
    rows = figure.axes[0]
    marks_ = [line for line in rows.lines if line.get_marker() == "o"]
    hollow = {line.get_ydata()[0] for line in marks_ if line.get_markerfacecolor() == "white"}
    variants = style.look_of({"t": table}).sort(table["variant"])
    assert {"null", "pydeface", "skull_strip"} <= set(variants), "as in the table below it"
    places = dots.positions(variants)
    assert {line.get_ydata()[0] for line in marks_} == {
        places[name] for name in variants if "+" not in name
    }
    assert hollow == {places["null"], places["skull_strip"]}


def named(drawn):
    """Return what the legend of a figure, or of a panel, says."""
    legend = drawn.get_legend() if hasattr(drawn, "get_legend") else next(iter(drawn.legends), None)
    return [text.get_text() for text in legend.get_texts()] if legend else []


def test_one_slow_method_sets_no_scale_and_its_time_is_written(cohort, look):
    table = cohort[1]["runtime"]
    table = table[table["n"] > 0].copy()
    plain = runtime.draw(table, look)
    table.loc[table["variant"] == "quickshear", ["seconds_mean", "seconds_max"]] *= 50
    figure = runtime.draw(table, look)
    time = figure.axes[0]
    assert time.get_xlim()[1] == pytest.approx(plain.axes[0].get_xlim()[1], rel=0.5)
    total = table[(table["variant"] == "quickshear") & (table["step"] == "total")]
    assert f"mean {total['seconds_mean'].iloc[0]:.1f} s" in [t.get_text() for t in time.texts]
    assert "beyond the axis: mean is written" in named(figure)
    assert "beyond the axis: mean is written" not in named(plain)


def test_legends_of_volumes_name_what_is_drawn_and_nothing_else(cohort, look):
    table = cohort[1]["volumes"].assign(p_holm=0.9, equivalent=0.0)
    assert named(volumes.draw(table, look)) == []
    starred = table.assign(p_holm=np.where(table["region"] == "tiv", 0.01, 0.9))
    assert [text[:7] for text in named(volumes.draw(starred, look))] == ["differs"]
    framed = table.assign(equivalent=1.0)
    assert [text[:6] for text in named(volumes.draw(framed, look))] == ["framed"]
    gone = table.assign(median_change_pct=np.nan)
    assert [text[:7] for text in named(volumes.draw(gone, look))] == ["hatched"]
    told = " ".join(named(volumes.draw_globals(table, look)))
    assert "not shown to differ" in told
    assert "differs from" not in told
    assert "beyond the axis" not in told


def test_the_null_control_is_a_line_in_every_panel_of_the_overlap(cohort, look):
    table = cohort[1]["overlap"]
    figure = overlap.draw(table, look)
    for axes, part in zip(figure.axes, overlap.STRUCTURES, strict=True):
        rows = table[(table["structure"] == part) & (table["measure"] == "dice")]
        null = rows.set_index("variant").loc["null", "mean"]
        lines = [line for line in axes.lines if list(line.get_xdata()) == [null, null]]
        assert len(lines) >= 1, part
        low, high = axes.get_xlim()
        assert low < null <= high
    assert "mean of the null control" in named(figure)
    without = overlap.draw(table[table["variant"] != "null"], look)
    assert "mean of the null control" not in named(without)


def test_one_poor_overlap_leaves_the_others_apart(cohort, look):
    """All are good, but one lies so far from 1 that the others would be one heap."""
    table = cohort[1]["overlap"].copy()
    where = table["structure"] == "wm"
    table.loc[where, "mean"] = np.linspace(0.9985, 0.9995, where.sum())
    table.loc[where & (table["variant"] == "quickshear"), "mean"] = 0.975
    axes = overlap.draw(table, look).axes[list(overlap.STRUCTURES).index("wm")]
    assert "stretched" in axes.get_xlabel()
    ends = axes.transAxes.inverted().transform(axes.transData.transform([(0.9985, 0), (0.9995, 0)]))
    assert ends[1, 0] - ends[0, 0] > 0.15
