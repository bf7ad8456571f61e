"""The summary: does it say what the tables say, and no more?"""

import numpy as np
import pandas as pd
import pytest

from reading import SETTINGS
from refacebench.plot.style import look_of
from refacebench.report.summary import (
    REMINDER,
    UTILITY_TESTS,
    shorten,
    summary_lines,
    utility_ranking,
)
from refacebench.results import catalogue
from refacebench.results.method_pairs import _label
from refacebench.results.result import View
from refacebench.results.volume_tests import out_of_reach, smallest_p
from refacebench.vocabulary import REGIONS


def hand_tables():
    """Return small tables whose summary can be written down by hand."""
    flow = [
        ("s1", "p1", "original", "measure", "ok", ""),
        ("s2", "p2", "original", "measure", "ok", ""),
        ("s3", "p3", "original", "inventory", "excluded", "no face"),
        ("s4", "p4", "original", "segment", "not_used", "train split, serves to fit models"),
        ("s5", "p1", "original", "measure", "ok", "not compared: rescan"),
        ("s1", "p1", "a", "measure", "ok", ""),
        ("s2", "p2", "a", "deface", "failed", "no result"),
        ("s3", "p3", "a", "inventory", "excluded", "no face"),
    ]
    columns = ["scan", "participant", "variant", "stage", "status", "reason"]
    quality = [
        ("a", 15, 0, 12, 15, 15, 15),
        ("b", 15, 0, 15, 15, 15, 15),
        ("a+m", 15, 0, 15, 15, 15, 15),
    ]
    dice = {"null": 0.997, "a": 0.95, "a+m": 0.97, "b": 0.99}
    overlap = [
        (v, "s", part, "dice", 15, d, d, d - 0.005, d + 0.005)
        for v, d in dice.items()
        for part in ("brain", "vcsf", "wm", "gm")
    ]
    changes = {"null": (0.1, 0.9), "a": (-3.0, 0.001), "a+m": (-1.0, 0.9), "b": (2.0, 0.9)}
    volumes = [
        (v, "s", region, 15, change, p if i < 11 else 0.9, p, p, 0.0, 2.0, 18 * 4)
        for v, (change, p) in changes.items()
        for i, region in enumerate(REGIONS)
    ]
    ages = [
        ("original", "s", np.nan, np.nan, np.nan, np.nan, np.nan, 1.5),
        ("a", "s", 0.8, 0.02, 1.4, 0.01, 1.1, 1.5),
        ("a+m", "s", -0.9, -1.6, -0.2, 0.2, 1.0, 1.5),
        ("b", "s", 0.1, -0.2, 0.4, 0.9, 0.4, 1.5),
    ]
    return {
        "flow": pd.DataFrame(flow, columns=columns),
        "quality": pd.DataFrame(
            quality,
            columns=[
                "variant",
                "n",
                "crash",
                "face_removed",
                "n_face",
                "brain_unchanged",
                "n_brain",
            ],
        ),
        "overlap": pd.DataFrame(
            overlap,
            columns=[
                "variant",
                "segmenter",
                "structure",
                "measure",
                "n",
                "mean",
                "mean_all",
                "low_all",
                "high_all",
            ],
        ),
        "volumes": pd.DataFrame(
            volumes,
            columns=[
                "variant",
                "segmenter",
                "region",
                "n",
                "median_change_pct",
                "p_holm",
                "p",
                "p_bh",
                "equivalent",
                "mde_pct",
                "family_size",
            ],
        ),
        "brainage": pd.DataFrame(
            ages,
            columns=[
                "variant",
                "segmenter",
                "shift",
                "shift_low",
                "shift_high",
                "p_holm",
                "shift_abs",
                "rescan_shift_abs",
            ],
        ),
    }


def test_summary_by_hand():
    assert summary_lines(hand_tables()) == [
        "Scans: 5 scans of 4 participants went in; 1 left out, 2 compared, 2 used for training, "
        "validation or as rescans; at least one method failed on 1 of those compared.",
        "How far the checks of face and brain can be trusted is unknown: the data set has no true "
        "labels to hold them against.",
        "a: original face surface removed in 12 of 15 scans. No voxel of the brain mask removed "
        "or changed in 15 of 15. 11 of 17 volumes are shown to change (most: thalamus L, -3.0 %). "
        "Of 17 volumes 0 are shown to stay within the margin of equivalence, 0 to change by more "
        "than it; 17 are open. Predicted age is shown to change (by +0.80 years "
        "on average, +0.02 to +1.40). How "
        "sure: neither check was held against true labels. Not known: whether people can be "
        "recognised, which was not measured; for 17 of 17 volumes 15 people are too few to tell "
        "whether they stay within the margin.",
        "a+m: original face surface removed in 15 of 15 scans. No voxel of the brain mask removed "
        "or changed in 15 of 15. 0 of 17 volumes are shown to change (the largest "
        "median change of any: "
        "thalamus L -1.0 %). "
        "Of 17 volumes 0 are shown to stay within the margin of equivalence, 0 to change by more "
        "than it; 17 are open. Predicted age is not shown to change (by -0.9 years "
        "on average, -1.6 to -0.2; the test decides, which allows for the number of methods). How "
        "sure: neither check was held against true labels. Not known: whether people can be "
        "recognised, which was not measured; for 17 of 17 volumes 15 people are too few to tell "
        "whether they stay within the margin.",
        "b: original face surface removed in 15 of 15 scans. No voxel of the brain mask removed "
        "or changed in 15 of 15. 0 of 17 volumes are shown to change (the largest "
        "median change of any: "
        "thalamus L +2.0 %). "
        "Of 17 volumes 0 are shown to stay within the margin of equivalence, 0 to change by more "
        "than it; 17 are open. Predicted age is not shown to change (by +0.1 years "
        "on average, -0.2 to +0.4). How "
        "sure: neither check was held against true labels. Not known: whether people can be "
        "recognised, which was not measured; for 17 of 17 volumes 15 people are too few to tell "
        "whether they stay within the margin.",
        "Overlap (mean brain Dice with the original's segmentation): null control 0.997; defaced "
        "0.950 (a) to 0.990 (b); refaced 0.970 (a+m); mean higher after refacing in 1 of 1 pairs.",
        "Volumes (regions of 17 that differ from the original, after correction for the number "
        "of tests): null control 0; "
        "a 11, 0 after m; b 0. Brain age: shown to change after a (+0.80 years, interval +0.02 to "
        "+1.40); largest mean shift after a+m (-0.90 years, interval -1.60 to -0.20); "
        "mean absolute shift up to 1.10, between two scans of one person 1.50.",
        "Utility alone, which is no recommendation: by mean rank over 3 measures (Dice, "
        "volumes, brain age) of 3 variants, the first is b (verdict: not enough data to "
        "say; face surface removed in 15 of 15 scans; whether "
        "people can be recognised was not measured). Whether it is ahead by more than chance was "
        "not tested. Whether people can be recognised was not measured. This report shows what "
        "became of the surface of the face, of the brain mask, and of volumes and predicted age.",
    ]


def test_ranking_by_hand():
    table = utility_ranking(hand_tables(), "s")
    assert list(table.index) == ["b", "a+m", "a"]
    # b: best Dice, second in volumes (2 % against 1 % of a+m), best in age.
    assert table["mean_rank"].tolist() == pytest.approx([4 / 3, 5 / 3, 3.0])
    assert table["volume_change_pct"].tolist() == pytest.approx([2.0, 1.0, 3.0])


def pairs(**better):
    """The tests of b, a+m and a against each other; `better` names winners by measure."""
    rows = [
        {"segmenter": "s", "measure": measure, "first": first, "second": second, "p": 0.5,
         "better": better.get(measure, {}).get((first, second), "")}
        for measure in ("dice_brain", "regional_change", "age_shift", "tiv")
        for first, second in (("a", "a+m"), ("a", "b"), ("a+m", "b"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_lead_says_what_the_tests_of_the_pairs_show():
    """Not what intervals of single methods look like: they overlap where paired tests differ."""
    tables = hand_tables()
    tables["overlap"] = tables["overlap"].assign(low_all=0.9, high_all=1.0)
    won = {("a", "b"): "b", ("a+m", "b"): "b"}
    lost = {("a", "b"): "a", ("a", "a+m"): "a"}
    shown = pairs(dice_brain=won, regional_change=lost)
    text = summary_lines({**tables, "method_pairs": shown})[-1]
    assert (
        "Tests of pairs against the 2 other methods show it to be better than 2 in brain Dice, "
        "worse than 1 in the mean change of regions and show no difference in brain age (corrected"
        in text
    )
    assert "overlap" not in text
    untested = shown.assign(p=np.nan)
    assert "was not tested" in summary_lines({**tables, "method_pairs": untested})[-1]


def test_summary_and_table_of_pairs_count_the_same(tables):
    """The counts are those of the page's table of pairs."""
    line = summary_lines(tables, SETTINGS)[-1]
    first = line.split(" variants, the first is ")[1].split(" (")[0]
    view = View(tables, SETTINGS, look=look_of(tables))
    columns, rows = catalogue.find("method_pairs").printed(view)
    row = next(r for r in rows if r[0] == view.look.label(first))
    for measure, words in UTILITY_TESTS.items():
        own = tables["method_pairs"]
        if own.loc[own["measure"] == measure, "p"].isna().all():
            continue
        cell = row[columns.index(_label(measure))].split(" (")[0]
        if cell == "no difference shown":
            assert words in line.split("show no difference ")[1]
        else:
            assert f"{cell} {words}" in line


def test_a_control_that_comes_first_was_not_tested():
    tables = {name: table.replace("b", "skull_strip") for name, table in hand_tables().items()}
    text = summary_lines({**tables, "method_pairs": pairs()})[-1]
    assert "As a control it takes no part in the tests of pairs" in text


def test_a_measure_that_some_variant_lacks_does_not_rank():
    tables = hand_tables()
    ages = tables["brainage"][tables["brainage"]["variant"] != "b"]
    table = utility_ranking({**tables, "brainage": ages}, "s")
    assert table.attrs["measures"] == ["Dice", "volumes"]
    line = summary_lines({**tables, "brainage": ages})[-1]
    assert "by mean rank over 2 measures (Dice, volumes) of 3 variants" in line


def test_nothing_is_claimed_where_nothing_was_measured():
    lines = summary_lines({})
    assert len(lines) == 5
    assert lines[1:3] == ["Methods: not judged.", "Overlap: not measured."]
    assert lines[3] == "Volumes: not measured. Brain age: not measured."
    assert "none is named first" in lines[4]
    assert lines[4].endswith(REMINDER)


def test_too_few_participants_are_no_evidence_of_equality():
    tables = hand_tables()
    few = tables["volumes"].assign(n=8, p_holm=1.0)
    line = summary_lines({**tables, "volumes": few})[-2]
    assert "no regional difference could pass" in line
    some = tables["volumes"].copy()
    some.loc[some["variant"] == "b", "n"] = 8
    assert "b 0 (n too small)" in summary_lines({**tables, "volumes": some})[-2]


@pytest.mark.parametrize(("n", "reach"), [(10, False), (11, True)])
def test_reach_of_the_correction_is_that_of_scipy_and_holm(n, reach):
    from scipy.stats import wilcoxon
    from statsmodels.stats.multitest import multipletests

    family = 17 * 2
    smallest = wilcoxon(np.arange(1.0, n + 1)).pvalue
    assert smallest_p(n) == pytest.approx(smallest)
    p = np.r_[smallest, np.ones(family - 1)]
    assert multipletests(p, method="holm")[0][0] == reach
    table = pd.DataFrame({"variant": "a", "region": REGIONS, "n": n, "family_size": family})
    assert (out_of_reach(table, 0.05) == []) == reach


def test_long_lists_keep_both_ends():
    assert shorten(list("abcdefgh")) == "a, b, c, ... 2 more ..., f, g, h"


def test_summary_of_a_full_run_has_a_line_a_method_and_five_more(tables):
    lines = summary_lines(tables, SETTINGS)
    assert len(lines) == 5 + 4  # two defacers, each of them refaced too
    assert all("nan" not in line.lower() for line in lines)
