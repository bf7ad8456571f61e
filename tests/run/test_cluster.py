"""What is asked of Slurm before a run, with programs that answer as Slurm does."""

from types import SimpleNamespace

import pytest

from refacebench.run import cluster
from refacebench.run.mistakes import ConfigError

CONFIG = """Configuration data as of 2026-01-01T00:00:00
AccountingStorageEnforce = none
AccountingStorageType   = accounting_storage/{}
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Programs that print what they are told to."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    (tmp_path / "bin").mkdir()

    def say(program, text, code=0):
        (tmp_path / program).write_text(text)
        path = tmp_path / "bin" / program
        path.write_text(f'#!/bin/sh\ncat "{tmp_path / program}"\nexit {code}\n')
        path.chmod(0o755)

    say("squeue", "")
    return say


@pytest.mark.parametrize(
    ("kind", "given", "then"),
    [
        ("none", "sacct", "squeue"),
        ("slurmdbd", "sacct", "sacct"),
        ("none", "squeue", "squeue"),
    ],
)
def test_states_are_asked_of_squeue_where_no_accounts_are_kept(slurm, kind, given, then, tmp_path):
    slurm("scontrol", CONFIG.format(kind))
    settings = SimpleNamespace(status_command=given, no_account=False)
    told = cluster.use(settings, tmp_path)
    assert settings.status_command == then
    assert bool(told) == settings.no_account == (given != then)


@pytest.mark.parametrize("answer", [("", 1), ("nothing like a config", 0)])
def test_without_an_answer_nothing_is_changed(slurm, answer, tmp_path):
    slurm("scontrol", *answer)
    settings = SimpleNamespace(status_command="sacct")
    assert cluster.use(settings, tmp_path) == []
    assert settings.status_command == "sacct"


def test_jobs_of_a_killed_run_in_the_same_folder_stop_a_new_one(slurm, tmp_path):
    slurm("scontrol", CONFIG.format("slurmdbd"))
    here, link = tmp_path / "study", tmp_path / "link"
    here.mkdir()
    link.symlink_to(here)
    lines = [
        f"11\taaaa\trule_deface_wildcards_x\t{link}",
        f"12\taaaa\trule_prepare\t{here}",
        f"13\tbbbb\trule_prepare\t{tmp_path}",  # another folder
        f"14\tcccc\t(null)\t{here}",  # not Snakemake's
        "15\tdddd",
    ]
    slurm("squeue", "\n".join(lines) + "\n")
    assert cluster.jobs_of(here) == [("11", "aaaa"), ("12", "aaaa")]
    settings = SimpleNamespace(status_command="squeue")
    with pytest.raises(ConfigError, match=r"2 jobs of an earlier run.*scancel --me --name aaaa$"):
        cluster.use(settings, here)
    assert cluster.use(settings, tmp_path / "elsewhere") == []


def test_jobs_inherit_how_often_they_may_be_started_again(monkeypatch):
    monkeypatch.delenv("REFACEBENCH_RETRIES", raising=False)
    assert cluster.tries_left(1) == 0
    assert [cluster.tries_left(attempt, 2) for attempt in (1, 2, 3, 4)] == [2, 1, 0, 0]
    assert [cluster.tries_left(attempt) for attempt in (1, 3)] == [2, 0]
