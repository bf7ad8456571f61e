"""A run with a folder of its own finds what the config names and leaves other folders alone."""

from pathlib import Path

import pytest
import yaml

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
    found = place.located(config, absolute=True)
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
    assert place.located(found, absolute=True) == found


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A config in a folder with files beside it; the run is started elsewhere."""
    home, here = tmp_path / "study", tmp_path / "run"
    for name in ("bids", "programs"):
        (home / name).mkdir(parents=True)
    for name in ("mine.py", "programs/own.yaml", "atlas.nii.gz", "demo"):
        (home / name).touch()
    here.mkdir()
    monkeypatch.chdir(here)
    config = {
        "seed": 1,
        "study": {"answers": {"file": "atlas.nii.gz"}},
        "datasets": {"d": {"type": "demo", "path": "bids"}, "e": {"path": "/data/bids"}},
        "defacers": {
            "mine": {"file": "mine.py"},
            "own": {"program": "programs/own.yaml", "files": {"atlas": "atlas.nii.gz"}},
            "named": {"program": "mideface", "title": "demo", "license": "$HOME/license"},
            "null": None,
        },
    }
    return config, home / "config.yaml"


def test_what_lies_beside_the_config_is_taken_from_there(beside):
    config, path = beside
    found = place.located(config, [path])
    assert found["datasets"]["d"] == {"type": "demo", "path": "../study/bids"}
    assert found["defacers"]["mine"] == {"file": "../study/mine.py"}
    own = found["defacers"]["own"]
    assert own == {
        "program": "../study/programs/own.yaml",
        "files": {"atlas": "../study/atlas.nii.gz"},
    }
    for kind, name in (("datasets", "e"), ("defacers", "named"), ("defacers", "null")):
        assert found[kind][name] == config[kind][name]


def test_what_lies_beside_the_config_goes_before_what_is_there_where_the_run_starts(beside):
    config, path = beside
    assert place.twice(config, [path]) == []
    config["defacers"]["own"]["files"]["mask"] = config["study"]["answers"]["file"] = "own/x.tsv"
    Path("own").mkdir()
    for name in ("bids", "own/x.tsv"):
        Path(name).touch()
    found = place.located(config, [path])
    assert found["datasets"]["d"]["path"] == "../study/bids"
    assert found["defacers"]["own"]["files"]["mask"] == "own/x.tsv", "there alone"
    whole = place.located(config, [path], absolute=True)
    assert whole["datasets"]["d"]["path"] == str(path.parent / "bids")
    assert whole["defacers"]["mine"]["file"] == str(path.parent / "mine.py")
    assert whole["study"]["answers"]["file"] == str(Path("own/x.tsv").resolve())
    assert place.twice(config, [path]) == [
        "datasets.d.path: there is a 'bids' beside the config and another one where the run "
        f"starts; {path.parent / 'bids'} is taken, not {Path('bids').resolve()}."
    ]


def test_one_folder_under_two_names_is_no_second_one(beside):
    config, path = beside
    Path("bids").symlink_to(path.parent / "bids")
    assert place.twice(config, [path]) == []
    assert place.located(config, [path])["datasets"]["d"]["path"] == "bids"


def test_a_command_beside_the_config_stays_a_path(beside, monkeypatch):
    """Of a command without a slash the shell would look elsewhere."""
    _, path = beside
    tool = {"defacers": {"t": {"command": ["programs/own.yaml", "{input}"]}}}
    monkeypatch.chdir(path.parent / "programs")
    found = place.located(tool, [path])["defacers"]["t"]["command"]
    assert found == ["./own.yaml", "{input}"]


@pytest.mark.parametrize("results", [{}, {"results": "runs/a"}])
def test_a_run_takes_what_lies_beside_its_config_and_says_where_else_it_is(tmp_path, results):
    """Three people beside the config, one where the run is started."""
    work, home = tmp_path / "work", tmp_path / "home"
    for folder, people in ((work, 1), (home, 3)):
        bids(folder / "bids", people)
    config = {
        "datasets": {"mine": {"type": "bids", "path": "bids"}},
        "splits": {"train": 0, "validation": 0, "test": 1},
        "defacers": {"quickshear": {}},
        **results,
    }
    (home / "c.yaml").write_text(yaml.safe_dump(config))
    target = "results/inventory/mine/test-measured-000.tsv"
    made = snakemake_here(work, target, "--configfile", "../home/c.yaml")
    assert made.returncode == 0, made.stderr[-3000:]
    written = work / results.get("results", "") / target
    assert len(written.read_text().splitlines()) == 1 + 3
    said = [line for line in made.stderr.splitlines() if "beside the config" in line]
    assert len(said) == 1, "once, and not again in each job"
    assert f"{home / 'bids'} is taken, not {work / 'bids'}." in said[0]


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


def snakemake_here(folder, *arguments, config=None):
    """Run Snakemake as a user does who does not say --directory."""
    return snakemake(folder, *arguments, config=config, directory=False)
