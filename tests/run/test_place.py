"""A run with a folder of its own finds what the config names and leaves other folders alone."""

import pytest

from refacebench.run import place
from running import bids, job_counts, snakemake


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # As the first call would set it; so it is taken back after the test.
    monkeypatch.setenv(place.START, str(tmp_path))
    for name in ("data/bids", "quickshear", "answers"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine.py").write_text("")
    return tmp_path


def test_paths_start_where_the_run_was_started_and_names_stay_names(here, monkeypatch):
    config = {
        "results": "runs/a",
        "datasets": {"mine": {"type": "bids", "path": "data/bids"}},
        "defacers": {
            "quickshear": {"method": "quickshear"},
            "own": {"file": "mine.py", "files": {"atlas": "mine.py", "other": "gone/x"}},
            "tool": {"command": ["tool", "{input}", "data/bids", "mine.py"], "license": "/etc/x"},
        },
        "privacy": {"kit": {"answers": "answers"}},
    }
    found = place.from_start(config)
    assert found["results"] == "runs/a"
    assert found["datasets"]["mine"] == {"type": "bids", "path": str(here / "data/bids")}
    assert found["defacers"]["quickshear"] == {"method": "quickshear"}
    assert found["defacers"]["own"] == {
        "file": str(here / "mine.py"),
        "files": {"atlas": str(here / "mine.py"), "other": "gone/x"},
    }
    assert found["defacers"]["tool"]["command"] == [
        "tool", "{input}", str(here / "data/bids"), "mine.py"
    ]  # fmt: skip
    assert found["privacy"]["kit"]["answers"] == str(here / "answers")
    assert place.of("runs/a") == str(here / "runs/a")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert place.of("runs/a") == str(here / "runs/a"), "a job starts elsewhere"
    assert place.from_start(found) == found


def test_two_configs_write_to_two_folders(tmp_path):
    bids(tmp_path / "bids", 3)
    (tmp_path / "work").mkdir()
    work = tmp_path / "work"
    config = {
        "datasets": {"mine": {"type": "bids", "path": "bids"}},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"quickshear": {}},
    }
    (work / "bids").symlink_to(tmp_path / "bids")
    target = "results/inventory/mine/test-measured-000.tsv"
    for name in ("runs/a", "runs/b"):
        planned = snakemake_here(work, "-n", config={**config, "results": name})
        assert job_counts(planned)["inventory"] == 1
        assert not (work / name).exists(), "a dry run writes nothing"
        made = snakemake_here(work, target, config={**config, "results": name})
        assert made.returncode == 0, made.stderr[-3000:]
        assert (work / name / target).is_file()
    assert not (work / "results").exists()
    again = snakemake_here(work, "-n", target, config={**config, "results": "runs/a"})
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_command_line_has_the_last_word_on_the_folder_and_says_so(tmp_path):
    config = {"datasets": {"mine": bids(tmp_path / "bids", 3)}, "defacers": {"quickshear": {}}}
    planned = snakemake(tmp_path, "-n", config={**config, "results": "runs/a"})
    said = [line for line in planned.stderr.splitlines() if "`--directory " in line]
    assert len(said) == 1
    assert "`results: runs/a`" in said[0]
    assert said[0].endswith(f"everything is written below {tmp_path}/results.")
    assert not (tmp_path / "runs").exists()


def snakemake_here(folder, *arguments, config):
    """Run Snakemake as a user does who does not say --directory."""
    return snakemake(folder, *arguments, config=config, directory=False)
