"""A cohort grows, or is corrected, after a run: only what depends on that runs again."""

import shutil

import pytest

from refacebench.run import plan, training_sets
from reruns import ATTACKS, CONFIG, FIGURES, FLOW, MEASURES, PAGE, TABLES, counted, touch
from running import bids, job_counts, snakemake

PEOPLE = 12
#: One batch of the test split in five variants, and the attacks on all of it.
ONE_TEST_BATCH = {
    **{"inventory": 1, "prepare": 1, "deface": 3, "reface": 1, "segment": 5, "measure": 5},
    **{"render": 5, "enrol": 2, "attack": 13, "slices": 1},
}
BIRTHS = {f"sub-{i:02d}": (20 + 5 * i, "M" if i % 2 else "F") for i in range(PEOPLE)}


def write_people(home, people):
    rows = [f"{name}\t{age}\t{sex}\n" for name, (age, sex) in sorted(people.items())]
    (home / "bids/participants.tsv").write_text("participant_id\tage\tsex\n" + "".join(rows))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run whose files are all there and empty, its config and its splits.

    Each test leaves it as it was; the last ones cannot.
    """
    home = tmp_path_factory.mktemp("growing")
    config = {
        "datasets": {"mine": bids(home / "bids", PEOPLE, sessions=("1",))},
        **CONFIG,
        "seed": 1,
    }
    write_people(home, BIRTHS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        lists = plan.load(config, "mine", True)
        lists.write()
        found = training_sets.decide("mine", lists, [], False)
        plan.write_json(found.scans, lists.folder / training_sets.FILE)
    touch(home, config)
    splits = {}
    for name, split in (line.split("\t") for line in table_of(home).read_text().splitlines()[3:]):
        splits.setdefault(split, []).append(name)
    return home, config, splits


def table_of(home):
    return home / "results/plan/mine/splits.tsv"


def image(home, name, session="ses-1"):
    return home / "bids" / name / session / "anat" / f"{name}_{session}_T1w.nii.gz"


def add(home, name, split="", session="ses-1"):
    """Add a scan, to a split of the user's choice."""
    image(home, name, session).parent.mkdir(parents=True)
    image(home, name, session).write_bytes(b"")
    if split:
        table_of(home).write_text(table_of(home).read_text() + f"{name}\t{split}\n")


def test_who_joins_is_worked_on_alone_and_trains_nothing(finished):
    home, config, splits = finished
    assert counted(home, config) == {}
    before = table_of(home).read_text()
    add(home, "sub-90", "test")
    assert counted(home, config) == ONE_TEST_BATCH | TABLES | PAGE
    add(home, "sub-91", "train")
    add(home, "sub-92", "validation")
    run = snakemake(home, "-n", config=config)
    assert job_counts(run) == ONE_TEST_BATCH | TABLES | PAGE
    assert "2 scans joined the train and validation split after the models" in run.stderr
    assert "sub-91_ses-1, sub-92_ses-1" in run.stderr
    found = counted(home, config, "--config", "retrain=true")
    # A new batch in each of the three splits; what is refaced by another model is made anew.
    assert (found["train"], found["inventory"], found["reface"]) == (1, 3, 3)
    for name in ("sub-90", "sub-91", "sub-92"):
        shutil.rmtree(home / "bids" / name)
    table_of(home).write_text(before)


def test_a_corrected_age_or_sex_makes_no_image_and_trains_nothing_again(finished):
    home, config, splits = finished
    everyone = MEASURES | FLOW | ATTACKS | FIGURES | PAGE
    someone = splits["test"][0]
    write_people(home, BIRTHS | {someone: (61.5, "O")})
    assert counted(home, config) == everyone
    # The model of brain age is fitted on the train split: seconds.
    someone = splits["train"][0]
    write_people(home, BIRTHS | {someone: (61.5, BIRTHS[someone][1])})
    assert counted(home, config) == everyone | {"brain_age": 1}
    write_people(home, BIRTHS)


def test_another_session_is_worked_on_alone(finished):
    home, config, splits = finished
    name = splits["test"][0]
    add(home, name, session="ses-2")
    assert counted(home, config) == ONE_TEST_BATCH | TABLES | PAGE
    shutil.rmtree(home / "bids" / name / "ses-2")


@pytest.mark.parametrize("stage", ["deface", "render"])
def test_a_job_that_was_killed_is_done_again_although_all_that_follows_is_there(
    finished, stage, tmp_path
):
    home, config, _ = finished
    out = home / f"results/{stage}/mine/mask_face/test-measured-000.tsv"
    shutil.move(out, tmp_path / "kept")
    log = home / f"results/logs/{stage}/mine/mask_face/test-measured-000.log"
    log.unlink(missing_ok=True)
    # No job began: nothing needs it.
    assert counted(home, config) == {}
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("killed")
    assert counted(home, config)[stage] == 1
    # Pictures are not missed that were deleted since, with the faces.
    mark = home / "results/plan/forgotten.txt"
    mark.write_text("")
    assert counted(home, config).get(stage) == (None if stage == "render" else 1)
    shutil.move(tmp_path / "kept", out)
    mark.unlink()


def test_who_is_removed_takes_the_batch_along_and_no_other(finished):
    home, config, splits = finished
    name = splits["test"][0]
    image(home, name).unlink()
    assert counted(home, config) == ONE_TEST_BATCH | TABLES | PAGE


def test_a_training_set_that_changes_is_named_and_asked_for(finished):
    home, config, splits = finished
    moved, replaced, removed = splits["train"][:3]

    def said():
        run = snakemake(home, "-n", config=config)
        assert run.returncode != 0
        assert "--config retrain=true" in run.stdout + run.stderr
        return run.stdout + run.stderr

    before = table_of(home).read_text()
    table_of(home).write_text(before.replace(f"{moved}\ttrain", f"{moved}\ttest"))
    assert f"{moved}_ses-1 (no longer among them)" in said()
    table_of(home).write_text(before)
    image(home, replaced).write_bytes(b"another file")
    assert f"{replaced}_ses-1 (another file)" in said()
    image(home, removed).unlink()
    assert f"{removed}_ses-1 (no longer among them); {replaced}_ses-1 (another file)" in said()
    assert counted(home, config, "--config", "retrain=true")["train"] == 1
