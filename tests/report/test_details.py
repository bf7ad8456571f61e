"""What a row of the table of verdicts opens is what the tables hold of that method."""

import numpy as np
import pandas as pd

from refacebench.plot.style import look_of
from refacebench.report import details
from refacebench.results.result import View

VOLUMES = pd.DataFrame(
    {
        "variant": "m",
        "segmenter": "s",
        "region": ["gm", "csf", "tiv", "wm", "brain"],
        "median_change_pct": [0.1, -3.0, 0.2, 0.0, 1.0],
        "low": [0.0, -4.0, -1, -0.1, 0.5],
        "high": [0.2, -2.0, 2, 0.1, 1.5],
        "low_joint": [0.0, -4.0, -2, -0.2, 0.5],
        "high_joint": [0.2, -2.1, 3, 0.2, 1.5],
        "margin_pct": 1.0,
        "p_holm": [0.01, 0.01, 0.5, 0.5, 0.01],
        "equivalent": [1.0, 0.0, 0.0, 1.0, 0.0],
    }
)


def view(**tables):
    quality = pd.DataFrame({"variant": ["m"], "n": [5]})
    return View({"quality": quality, **tables}, look=look_of({"quality": quality}))


def test_volumes_stand_by_their_change_each_in_one_group():
    table = details.volumes(view(volumes=VOLUMES), "m")
    assert [(row[0], row[3]) for row in table.rows] == [
        ("CSF", "changed by more than the margin"),
        ("brain", "changed, by how much is undecided"),
        ("GM", "within the margin, though changed"),
        ("TIV", "undecided"),
        ("WM", "within the margin"),
    ]
    assert table.rows[0][1] == "-3.00 % [-4.00, -2.00]"
    assert "'shown' allows for the number of tests and is stricter" in table.caption
    assert details.volumes(view(volumes=VOLUMES), "other") is None


def test_all_volumes_that_are_counted_as_changed_are_listed_however_small_the_change():
    """Those that are not shown to change may have changed more."""
    names = ["gm", "wm", "csf", "tiv", "brain", "vcsf", "hippocampus_left", "amygdala_left"]
    many = pd.DataFrame(
        {
            **{column: VOLUMES[column].iloc[0] for column in VOLUMES},
            "region": names,
            "median_change_pct": [0.1, 0.2, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            "p_holm": [0.01, 0.01, *[0.5] * 6],
        }
    )
    table = details.volumes(view(volumes=many), "m")
    assert len(table.rows) == details.MOST
    assert [row[0] for row in table.rows[:4]] == ["WM", "GM", "amygdala L", "hippocampus L"]
    assert table.caption.startswith(
        "All 2 volumes of 8 that are shown to change, then the 4 that change most of the others:"
    )
    table = details.volumes(view(volumes=many.assign(p_holm=0.01)), "m")
    assert len(table.rows) == len(names) > details.MOST
    nothing = details.volumes(view(volumes=many.assign(p_holm=0.5)), "m")
    assert nothing.caption.startswith("No volume of 8 is shown to change; the 6 that change most:")


def test_tissue_that_grows_where_brain_was_lost_is_explained():
    """Of m the brain grows (its interval lies above 0), the grey and white matter do not."""
    counts = {"made_by": "m", "failure": "failure_2", "n": 5, "n_not_judged": 0,
              "true_positive": 0, "true_negative": 0, "false_positive": 0}  # fmt: skip
    for lost in (5, 0):
        truth = pd.DataFrame([counts | {"false_negative": lost, "true_negative": 5 - lost}])
        given = view(volumes=VOLUMES, verdict_agreement=truth)
        caption = details.volumes(given, "m").caption
        assert ("That brain came out larger does not mean that no brain was lost" in caption) == (
            lost > 0
        )
    assert "came out larger" not in details.volumes(view(volumes=VOLUMES), "m").caption
    stripped = VOLUMES.assign(variant="skull_strip")
    assert "came out larger" in details.volumes(view(volumes=stripped), "skull_strip").caption


def test_attacks_that_first_put_a_face_back_count_for_the_defacer():
    rates = {"a": 0.3, "a+m": 0.6, "a+n": 0.5, "b": 0.9}
    privacy = pd.DataFrame(
        {
            "variant": list(rates),
            "attacker": "surface",
            "setting": "other_session",
            "measure": "choice",
            "choice_completers": list(rates.values()),
            "choice_completers_low": 0.1,
            "choice_completers_high": 0.95,
            "choice_chance": 0.2,
            "chance": 0.05,
            "p_holm": [0.5, 0.01, 0.06, 0.01],
        }
    )
    rows = details.attacks(view(privacy=privacy), "a").rows
    assert [(row[1], row[3], row[5]) for row in rows] == [
        ("the image as it is", "30 % [10, 95]", "not shown (p = 0.500)"),
        ("after m put a face back", "60 % [10, 95]", "yes (p = 0.010)"),
        ("after n put a face back", "50 % [10, 95]", "not shown (p = 0.060)"),
    ]
    assert {row[4] for row in rows} == {"20 %"}
    taken = [row[1] for row in details.attacks(view(privacy=privacy), "a+m").rows]
    assert taken == [
        "the image as it is", "after the new face was taken off", "after n put a face back"
    ]  # fmt: skip
    nobody = privacy.assign(choice_completers=np.nan)
    easier = privacy.assign(setting="same_scan")
    for gain, said in ((0.1, False), (-0.1, True)):
        other = easier.assign(choice_completers=privacy["choice_completers"] + gain)
        caption = details.attacks(view(privacy=pd.concat([privacy, other])), "a").caption
        assert ("it may come out lower by chance, as here" in caption) == said
    assert details.attacks(view(privacy=nobody), "a") is None


def test_failures_are_counted_by_reason_and_no_reason_is_dropped_in_silence():
    flow = pd.DataFrame(
        {
            "scan": [f"s{n}" for n in range(12)],
            "variant": ["m"] * 11 + ["other"],
            "stage": "deface",
            "status": ["failed"] * 9 + ["ok", "ok", "failed"],
            "reason": ["r0", "r0", *[f"r{n}" for n in range(1, 8)], "", "", "x"],
        }
    )
    table = details.failures(view(flow=flow), "m")
    assert table.rows[0] == ["deface", "failed", "2", "r0"]
    assert len(table.rows) == details.MOST
    assert "9 scans were lost" in table.caption
    assert "2 more reasons in the table flow" in table.caption
    assert details.failures(view(flow=flow[flow["status"] == "ok"]), "m") is None
