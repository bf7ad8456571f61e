"""Rows of dots show what the table says."""

import numpy as np
import pandas as pd
import pytest

from drawing import marks, row_labels
from refacebench.plot import dots, overlap, volumes
from refacebench.plot.style import Look
from refacebench.results import brainage
from refacebench.statistics.criteria import Criteria

SETTINGS = Criteria(n_boot=50)


def test_overlap_marks_stand_at_the_means_of_the_table(cohort, look):
    table = cohort[1]["overlap"]
    figure = overlap.draw(table, look, cohort[0])
    assert row_labels(figure)[0] == "null control", "the original itself is no row"
    for axes, structure in zip(figure.axes, overlap.STRUCTURES, strict=True):
        rows = table[(table["structure"] == structure) & (table["measure"] == "dice")]
        rows = rows.set_index("variant")["mean"]
        assert marks(axes, "o") == [rows[v] for v in ("null", "pydeface", "quickshear")]
        refaced = [v for v in look.order if "+" in v]
        assert marks(axes, "D") == [rows[v] for v in refaced]


def overlaps(**means):
    """Return a table of four structures, the means of three variants each."""
    rows = [
        {"variant": variant, "segmenter": "s", "structure": structure, "measure": "dice", "n": 9,
         "mean": mean, "low": mean - 0.1 * (1 - mean), "high": mean + 0.1 * (1 - mean)}
        for structure, three in means.items()
        for variant, mean in zip(("null", "a", "b"), three, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_panels_of_overlap_have_one_scale_and_few_level_ticks_where_that_can_be_read():
    table = overlaps(
        brain=(0.9998, 0.998, 0.987), vcsf=(0.9995, 0.996, 0.7), wm=(0.999, 0.995, 0.96),
        gm=(0.999, 0.996, 0.9),
    )  # fmt: skip
    figure = overlap.draw(table, Look(("null", "a", "b")))
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert all("stretched near 1" in axes.get_xlabel() for axes in figure.axes)
    figure.canvas.draw()
    for axes in figure.axes:
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent() for label in labels]
        assert 3 <= len(boxes) <= 6
        assert {label.get_rotation() for label in labels} == {0.0}
        assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False)), "none on another"


def test_panels_of_overlap_that_one_scale_would_squeeze_have_their_own_and_say_so():
    table = overlaps(
        brain=(0.92, 0.921, 0.922), vcsf=(0.9, 0.7, 0.5), wm=(0.9, 0.8, 0.7), gm=(0.9, 0.8, 0.7)
    )
    figure = overlap.draw(table, Look(("null", "a", "b")))
    brain, fluid = figure.axes[:2]
    assert np.ptp(brain.get_xlim()) < 0.2 * np.ptp(fluid.get_xlim())
    assert "own scale" in figure.legends[0].get_texts()[-1].get_text()


def test_a_control_far_from_the_truth_is_written_and_leaves_the_others_their_room():
    means = {"original": 0.87, "a": 0.868, "b": 0.871, "skull_strip": 0.6}
    rows = [
        {"variant": v, "segmenter": "s", "structure": "gm", "mean": m, "low": m - 0.01,
         "high": m + 0.01, "n": 12, "n_scans": 12, "n_failed": 0}
        for v, m in means.items()
    ]  # fmt: skip
    panel = overlap.draw(pd.DataFrame(rows), Look(tuple(means)), prefix="truth_").axes[0]
    assert panel.get_xlim()[0] > 0.84
    assert "0.60 [0.59, 0.61]" in [text.get_text() for text in panel.texts]


def test_points_are_the_compared_scans_only(cohort, look):
    figure = overlap.draw(cohort[1]["truth"], look, cohort[0], prefix="truth_")
    clouds = [line for line in figure.axes[0].lines if line.get_markersize() < 4]
    drawn = sum(len(line.get_xdata()) for line in clouds)
    measures = cohort[0]
    compared = (measures["split"] == "test") & (measures["role"] != "rescan")
    assert drawn == int((compared & (measures["status"] == "ok")).sum())


def test_a_measure_that_no_scan_has_leaves_its_panel_empty(cohort, look):
    """It comes back from a manifest as a column of empty texts."""
    empty = cohort[0].assign(dice_wm="")
    figure = overlap.draw(cohort[1]["overlap"], look, empty)
    clouds = [
        sum(len(line.get_xdata()) for line in axes.lines if line.get_markersize() < 4)
        for axes in figure.axes
    ]
    assert [cloud > 0 for cloud in clouds] == [s != "wm" for s in overlap.STRUCTURES]


def test_failed_scans_are_written_beside_n(cohort, look):
    figure = overlap.draw(cohort[1]["overlap"], look)
    texts = [t.get_text() for t in figure.axes[-1].texts]
    assert texts.count("11, 1 failed") == 3
    assert texts.count("12") == 2


def test_a_missing_value_is_said_not_drawn(cohort, look):
    table = cohort[1]["overlap"].copy()
    table.loc[table["variant"] == "pydeface", ["mean", "low", "high"]] = np.nan
    figure = overlap.draw(table, look)
    assert len(marks(figure.axes[0], "o")) == 2
    assert "no value" in [t.get_text() for t in figure.axes[0].texts]


def test_a_cohort_without_any_overlap_is_drawn(cohort, look):
    """As where the segmentation of every scan failed."""
    table = cohort[1]["overlap"].assign(mean=np.nan, low=np.nan, high=np.nan)
    figure = overlap.draw(table, look, cohort[0].assign(dice_brain="", dice_vcsf=""))
    assert [t.get_text() for t in figure.axes[0].texts].count("no value") > 1
    assert all(axes.get_xlim() == (0.0, 1.0) for axes in figure.axes[:2])


def test_poor_and_good_overlap_share_an_axis_that_is_stretched_near_one(cohort, look):
    table = cohort[1]["overlap"].copy()
    table.loc[table["variant"] == "pydeface", ["mean", "low", "high"]] = [0.5, 0.45, 0.55]
    axes = overlap.draw(table, look).axes[0]
    place = axes.transData.transform
    near, far = place((0.99, 0))[0] - place((0.95, 0))[0], place((0.6, 0))[0] - place((0.5, 0))[0]
    assert near > 3 * far
    assert "stretched" in axes.get_xlabel()
    assert axes.get_xlim()[0] <= 0.45


def test_no_row_of_the_named_segmenter_is_an_error(cohort, look):
    with pytest.raises(ValueError, match="no rows of segmenter 'other'"):
        overlap.draw(cohort[1]["overlap"], look, segmenter="other")


def test_one_row_far_out_is_written_at_the_edge_and_stretches_no_axis(cohort, look):
    """As skull stripping does to volumes: all others would be one heap at zero."""
    table = cohort[1]["volumes"].copy()
    mine = (table["variant"] == "quickshear") & (table["region"] == "csf")
    table.loc[mine, ["median_change_pct", "low", "high"]] = [-60.0, -66.0, -50.0]
    before = volumes.draw_globals(cohort[1]["volumes"], look)
    after = volumes.draw_globals(table, look)
    last = after.axes[3]
    assert "-60.0 [-66.0, -50.0]" in [t.get_text() for t in last.texts]
    arrows = [line for line in last.lines if line.get_marker() == "<"]
    assert len(arrows) == 1
    assert last.get_xlim()[0] > -20
    assert -60.0 not in marks(last, "o")
    assert not [line for axes in before.axes for line in axes.lines if line.get_marker() in "<>"]


def test_marks_at_the_end_of_an_axis_are_whole(cohort, look):
    """A mark at zero or one is not cut in half by the panel's edge."""
    figure = brainage.draw(cohort[1]["brainage"], look)
    drawn = [line for axes in figure.axes for line in axes.lines if line.get_marker() in ("o", "D")]
    assert drawn
    assert not any(line.get_clip_on() for line in drawn)


@pytest.mark.parametrize(
    ("rows", "far"),
    [
        ({"a": 1.0, "b": -1.2, "c": 30.0}, ["c"]),
        ({"a": 1.0, "b": -1.2, "c": 30.0, "d": -29.0}, ["c", "d"]),
        ({"a": 1.0, "b": 4.5, "c": 19.0}, ["c"]),
        ({"a": 1.0, "b": 3.0, "c": 11.0}, []),
        ({"a": 0.0, "b": 0.0, "c": 5.0}, []),
        ({"a": 30.0, "b": np.nan, "c": 1.0}, ["a"]),
        ({"a": 30.0, "b": 29.0, "c": 1.0}, []),
        ({"a": 3.0}, []),
    ],
)
def test_who_lies_far_out(rows, far):
    assert dots.far_out({name: (v, v, v) for name, v in rows.items()}) == far
