"""Folders with faces are closed, whatever the umask and whatever was there."""

import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from refacebench import faces
from refacebench.programs import process as jobs

ROOT = Path(__file__).parents[1]


def mode(folder):
    return stat.S_IMODE(Path(folder).stat().st_mode)


def png(path, label=None):
    """Write a black pixel that says of itself whether it shows a face."""
    note = PngInfo()
    if label is not None:
        note.add_text("Description", label)
    Image.new("L", (1, 1)).save(path, pnginfo=note)
    return path


def test_only_public_faces_are_shown():
    settings = ("public", "private", "Public", "", None, "publicly")
    assert [faces.may_show(setting) for setting in settings] == [True] + 5 * [False]
    assert [faces.label(setting) for setting in settings] == [faces.SHOWN] + 5 * [faces.HIDDEN]
    assert faces.may_show_average("public", 1)
    assert [faces.may_show_average("private", n) for n in (0, 9, 10)] == [False, False, True]


@pytest.mark.parametrize("label", [None, "", faces.SHOWN, "faces hidden"])
def test_a_figure_that_does_not_say_that_faces_are_hidden_is_refused(tmp_path, label):
    path = png(tmp_path / "slices.png", label)
    faces.check_figure(path, "public")
    with pytest.raises(ValueError, match="slices.png: .* this figure shows faces"):
        faces.check_figure(path, "private")


@pytest.mark.parametrize("label", [faces.HIDDEN, faces.MESSAGE_ONLY])
def test_a_figure_without_faces_is_taken(tmp_path, label):
    faces.check_figure(png(tmp_path / "slices.png", label), "private")


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077, 0o177])
def test_a_folder_is_closed_whatever_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        faces.protect(tmp_path / "render")
    finally:
        os.umask(before)
    assert mode(tmp_path / "render") == 0o700
    assert "recognise" in (tmp_path / "render" / faces.README).read_text()


def test_what_an_earlier_run_left_open_is_closed_and_what_its_owner_opened_is_not(tmp_path):
    results = tmp_path / "results"
    samples = results / "train" / "mine" / "a+m" / "samples"
    for folder in (results / "derivatives" / "mine", samples):
        folder.mkdir(parents=True)
    for folder in (results / "derivatives", samples):
        folder.chmod(0o755)
    faces.protect_existing(results)
    assert mode(results / "derivatives") == mode(samples) == 0o700
    assert not (results / "render").exists()
    (results / "derivatives").chmod(0o750)
    faces.protect_existing(results)
    faces.protect(results / "derivatives")
    assert mode(results / "derivatives") == 0o750


def test_a_job_closes_the_folders_it_writes_to_before_it_starts(tmp_path):
    faces.protect_for(tmp_path / "results/logs/deface/mine/a/test-measured-000.log")
    assert {p.name for p in (tmp_path / "results").iterdir()} == {"derivatives", "scratch"}
    faces.protect_for(tmp_path / "results/logs/costs.log")
    faces.protect_for(tmp_path / "elsewhere.log")
    assert {p.name for p in (tmp_path / "results").iterdir()} == {"derivatives", "scratch"}


def test_samples_of_a_training_are_closed(tmp_path):
    from refacebench.training import outputs

    class Task:
        def samples(self):
            return np.zeros((1, 2, 2), np.float32)

        def references(self):
            return {"original": np.zeros((1, 2, 2), np.float32)}

    outputs.write_samples(tmp_path / "samples", Task(), 1)
    assert mode(tmp_path / "samples") == 0o700
    assert (tmp_path / "samples" / faces.README).is_file()


def test_every_rule_that_writes_to_such_a_folder_is_known():
    """By the paths in the rules: a new rule without an entry would write into an open folder."""
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            writes = rule.partition("output:")[2]
            folders = set(re.findall(r'"results/(\w+)/', writes)) & set(faces.FOLDERS)
            log = re.search(r'"results/logs/(\w+)', writes)
            if folders:
                assert folders <= set(faces.STAGES[log[1]]), rule.splitlines()[0]


def test_the_documentation_names_these_folders():
    text = (ROOT / "docs/data.md").read_text()
    section = text[text.index("## Faces") :].partition("\n\n## ")[0]
    for name in faces.FOLDERS:
        assert f"{name}`" in section, name


def test_the_log_is_named_as_a_reader_finds_it(monkeypatch):
    for given, told in {
        "results/logs/deface/mine/a/b.log": "logs/deface/mine/a/b.log",
        "/x/results/y/results/logs/page.log": "logs/page.log",
        "b.log": "b.log",
        "": "",
    }.items():
        monkeypatch.setattr(jobs, "_log", given)
        assert jobs.log() == told
