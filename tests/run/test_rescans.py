"""Rescans are declared: without a declaration a later session makes no margin and no yardstick."""

import numpy as np
import pandas as pd
import pytest

import factories
from factories import make_tables
from reading import caption
from refacebench import files
from refacebench.plot.style import look_of
from refacebench.report import summary as summary_module
from refacebench.report.limits import limitations
from refacebench.results.flow import StageManifest, follow, scan_numbers, without_age
from refacebench.results.volume_tests import FAMILIES
from refacebench.run import mistakes, plan
from refacebench.statistics.criteria import Criteria
from running import ROOT, bids, job_counts, snakemake

SETTINGS = Criteria(n_boot=100)


def scans(folder, **entry):
    config = {
        "seed": 1,
        "batch_size": 50,
        "splits": {"train": 0, "validation": 0, "test": 1},
        "datasets": {"mine": {"type": "bids", "path": str(folder), **entry}},
        "defacers": {},
    }
    return plan.scans(config, "mine")


def roles(table):
    """Return role and repeated session by scan."""
    columns = zip(table["role"], table["rescan_of"], strict=True)
    return dict(zip(table["scan"].str.removeprefix("sub-00_"), columns, strict=True))


@pytest.fixture
def four(tmp_path):
    """One participant: scan, rescan after a week, both again three years later."""
    bids(tmp_path, 1, ("1", "2", "3", "4"))
    days = "ses-1\t0\nses-2\t7\nses-3\t1096\nses-4\t1120\n"
    (tmp_path / "sub-00" / "sub-00_sessions.tsv").write_text("session_id\tdays\n" + days)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-00\t40\n")
    return tmp_path


def test_nothing_is_a_rescan_by_itself(four):
    alone = ("measured", "")
    assert set(roles(scans(four)).values()) == {alone}
    found = roles(scans(four, sessions_measured=1))
    later = dict.fromkeys(("ses-2", "ses-3", "ses-4"), ("followup", ""))
    assert found == {"ses-1": alone, **later}


@pytest.mark.parametrize(
    "declared",
    [{"rescan_sessions": ["ses-2", 4]}, {"rescan_max_days": 30}, {"rescan_max_days": 24}],
)
def test_a_rescan_repeats_the_session_before_it(four, declared):
    assert roles(scans(four, **declared)) == {
        "ses-1": ("measured", ""),
        "ses-2": ("measured", "ses-1"),
        "ses-3": ("measured", ""),
        "ses-4": ("measured", "ses-3"),
    }
    # Of a session that nobody segments nothing can be a yardstick.
    assert roles(scans(four, sessions_measured=1, **declared)) == {
        "ses-1": ("measured", ""),
        "ses-2": ("rescan", "ses-1"),
        "ses-3": ("followup", ""),
        "ses-4": ("followup", "ses-3"),
    }


def test_days_count_to_the_last(four):
    found = roles(scans(four, rescan_max_days=23))
    assert [name for name, (_, repeats) in found.items() if repeats] == ["ses-2"]


def test_rescans_in_a_row_repeat_the_first(four):
    found = roles(scans(four, rescan_sessions=["2", "3"]))
    assert [found[f"ses-{n}"][1] for n in (1, 2, 3, 4)] == ["", "ses-1", "ses-1", ""]


def test_a_session_without_a_date_is_no_rescan_by_days(tmp_path, capsys):
    bids(tmp_path, 2, ("1", "2"))
    table = scans(tmp_path, rescan_max_days=10_000)
    assert (table["rescan_of"] == "").all()
    assert "rescan_max_days" in capsys.readouterr().err


def test_ages_of_rescans_and_follow_ups(tmp_path):
    bids(tmp_path, 1, ("1", "2", "3"))
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-00\t40\n")
    table = scans(tmp_path, rescan_sessions=["ses-2"])
    assert table["age"].tolist()[:2] == [40, 40]
    assert np.isnan(table["age"].iloc[2])
    assert table["age_note"].tolist()[:2] == ["", ""]
    flow = follow(table, [], ["original"])
    reason = without_age(table, flow.assign(status="ok"))["reason"]
    assert reason.tolist() == [f"{table['age_note'].iloc[2]}, so not in the brain-age results"]
    assert "later session" in reason.iloc[0]


@pytest.mark.parametrize(
    "entry",
    [
        {"rescan_sessions": "ses-2"},
        {"rescan_sessions": ["a b"]},
        {"rescan_sessions": [1.5]},
        {"rescan_max_days": "soon"},
        {"rescan_max_days": -1},
    ],
)
def test_the_schema_refuses_a_wrong_declaration(entry):
    schema = files.read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    good = {"rescan_sessions": ["ses-2", 3, "04"], "rescan_max_days": 0.5}
    assert not mistakes.against({"datasets": {"mine": {"type": "bids", **good}}}, schema)
    (wrong,) = mistakes.against({"datasets": {"mine": {"type": "bids", **entry}}}, schema)
    (said,) = wrong.said
    assert next(iter(entry)) in said


def test_a_session_that_is_not_there_is_one_sentence_at_the_dry_run(tmp_path):
    mine = {**bids(tmp_path / "b", 2, ("1", "2")), "rescan_sessions": ["ses-9"]}
    run = snakemake(tmp_path, "-n", config={"datasets": {"mine": mine}, "defacers": {}})
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert "no scan has the session 'ses-9' (there are: ses-1, ses-2)" in said
    assert "Traceback" not in said


def test_follow_ups_are_looked_at_by_attackers_and_segmented_by_nobody(tmp_path):
    mine = {**bids(tmp_path / "b", 4, ("1", "2", "3")), "sessions_measured": 1}
    config = {
        "datasets": {"mine": mine},
        "splits": {"train": 1, "validation": 0, "test": 1},
        "defacers": {"quickshear": {}},
    }
    bare = job_counts(snakemake(tmp_path, "-n", config=config))
    # original and quickshear of the test split, and the originals that brain age is fitted on.
    assert (bare["inventory"], bare["segment"], bare["measure"]) == (2, 3, 2)
    config["datasets"]["mine"] = {**mine, "rescan_sessions": ["ses-2"]}
    declared = job_counts(snakemake(tmp_path, "-n", config=config))
    assert (declared["inventory"], declared["segment"]) == (3, 4)
    config["attackers"] = {"surface": {}}
    attacked = job_counts(snakemake(tmp_path, "-n", config=config))
    # Gallery: originals of ses-1, ses-2, ses-3; queries: quickshear and the control.
    assert (attacked["inventory"], attacked["render"]) == (4, 3 + 2)
    assert attacked["segment"] == declared["segment"] + 1  # the control skull_strip


# the example: atrophy as a margin ---------------------------------------------------------------

#: A year's loss, and what the defacer adds to every volume.
ATROPHY, YEARS, INFLATION = 0.012, 3, 1.02


def measured(table, gap_years, seed=0):
    """Return a measurement table of a plan's scans: atrophy, noise of 0.5 %, one bad defacer."""
    rng = np.random.default_rng(seed)
    rows = []
    sizes = {name: rng.normal(1, 0.1) for name in table["participant"].unique()}
    for scan in table[table["role"].isin(("measured", "rescan"))].to_dict("records"):
        later = scan["session"] != "ses-1"
        shrunk = (1 - ATROPHY) ** (gap_years * later)
        true = {
            name: 100 * sizes[scan["participant"]] * shrunk * (1 + rng.normal(0, 0.005))
            for name in FAMILIES
        }
        variants = {"original": 1.0, "null": 1.0, "inflating": INFLATION}
        for variant, factor in (
            variants.items() if scan["role"] == "measured" else [("original", 1)]
        ):
            noise = {k: rng.normal(0, 0.002) if variant != "original" else 0.0 for k in true}
            volumes = {f"vol_{k}": v * factor * (1 + noise[k]) for k, v in true.items()}
            facts = {"variant": variant, "segmenter": "s", "status": "ok", "stage": "measure"}
            rows.append({**scan, **facts, **volumes})
    return pd.DataFrame(rows)


def results(folder, gap_years, **entry):
    rows = measured(scans(folder, **entry), gap_years)
    made = make_tables(rows, SETTINGS)
    return made, made["volumes"].set_index("variant")


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("follow-ups")
    bids(folder, 60, ("1", "2"))
    return folder


@pytest.mark.parametrize("sessions", ["all", 1])
def test_three_years_of_atrophy_are_no_margin(cohort_folder, sessions):
    made, volumes = results(cohort_folder, YEARS, sessions_measured=sessions)
    margins = made["repeatability"]
    assert set(margins["margin_source"]) == {"config"}
    assert set(margins["n"]) == {0}
    assert set(margins["margin_pct"]) == {SETTINGS.equivalence_margin_pct}
    assert (volumes.loc["inflating", "equivalent"] == 0).all()
    assert (volumes.loc["null", "equivalent"] == 1).all()
    # Were the follow-ups taken for rescans, the defacer would pass everywhere.
    assert 100 * (1 - (1 - ATROPHY) ** YEARS) > 100 * (INFLATION - 1) + 1


@pytest.mark.parametrize("sessions", ["all", 1])
def test_declared_rescans_make_the_margin_as_before(cohort_folder, sessions):
    entry = {"sessions_measured": sessions, "rescan_sessions": ["ses-2"]}
    made, volumes = results(cohort_folder, 0, **entry)
    margins = made["repeatability"]
    assert set(margins["margin_source"]) == {"rescan"}
    assert set(margins["n"]) == {60}
    # Two draws of 0.5 % noise: their difference has a mean size of 0.5 % x 2 / sqrt(pi).
    assert margins["mean_abs_pct"].mean() == pytest.approx(0.5 * 2 / np.sqrt(np.pi), rel=0.1)
    assert (margins["margin_pct"] < margins["mean_abs_pct"]).all()
    assert (volumes.loc["inflating", "equivalent"] == 0).all()
    assert (volumes.loc["null", "equivalent"] == 1).all()


def test_texts_say_which_margin_and_why(cohort_folder):
    criteria = Criteria(n_boot=100, equivalence_margin_pct=1.5)
    rows = measured(scans(cohort_folder, sessions_measured=1), YEARS)
    made = make_tables(rows, criteria)
    for name in ("volumes", "repeatability"):
        text = caption(name, made, criteria)
        assert "margin of 1.5 %, a setting, as no participant has a declared rescan" in text
        assert "mean scan-rescan difference" not in text
    limits = " ".join(limitations(made, criteria, "", look_of(made)))
    assert "1.5 %, a setting, as no participant has a declared rescan" in limits
    few = factories.tables(n_rescans=3)
    text = caption("volumes", few, Criteria(n_boot=100))
    assert "for want of enough rescans (3 participants, 5 are needed)" in text
    enough = factories.tables(n_rescans=6)
    assert "a setting" not in caption("volumes", enough, Criteria(n_boot=100))
    limits = " ".join(limitations(enough, SETTINGS, "", look_of(enough)))
    assert "tested for equivalence within" not in limits


def test_the_flow_says_what_follow_ups_are_for(cohort_folder):
    table = scans(cohort_folder, sessions_measured=1)
    inventory = table.assign(stage="inventory")
    done = table[table["role"] == "measured"].assign(stage="measure")
    stages = [StageManifest("measure", v, done.assign(variant=v)) for v in ("original", "a")]
    found = follow(inventory, stages)
    later = found[found["role"] == "followup"]
    assert len(later) == 2 * 60
    assert set(later["status"]) == {"not_used"}
    assert later["reason"].str.contains("no declared rescan").all()
    assert "60 used for training, validation or as later sessions" in summary_module._scans_line(
        {"flow": found}
    )
    numbers = scan_numbers(found)
    assert (numbers["compared"], numbers["other"], numbers["left_out"]) == (60, 60, 0)
