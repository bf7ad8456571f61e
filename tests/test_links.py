"""Nothing is written, emptied or opened through a link below results; no foreign code is loaded."""

import os
import stat

import numpy as np
import pytest

from refacebench import faces, files
from refacebench.attackers import face_recognition
from refacebench.head import extraction
from refacebench.plot import style
from refacebench.run import log


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A folder of somebody else's, and a run beside it."""
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    (home / "notes.txt").write_text("mine")
    (tmp_path / "results").mkdir()
    return home


def untouched(home):
    return (
        (home / "notes.txt").read_text() == "mine"
        and [p.name for p in home.iterdir()] == ["notes.txt"]
        and stat.S_IMODE(home.stat().st_mode) == 0o755
    )


WRITERS = {
    "text": lambda path: files.write_text("x", path),
    "arrays": lambda path: files.save_arrays(path, {"a": np.zeros(2)}),
    "figure": lambda path: style.save(style.message_figure("x"), path.with_suffix("")),
    "log": log.start,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("absolute", [False, True])
def test_no_writer_follows_a_linked_folder(foreign, kind, absolute):
    os.symlink(foreign, "results/tables")
    path = (foreign.parent if absolute else foreign.parent.relative_to(os.getcwd())) / (
        "results/tables/deep/notes.png"
    )
    with pytest.raises(OSError, match="a symbolic link, through which nothing is written"):
        WRITERS[kind](path)
    assert untouched(foreign)


def test_a_log_that_is_a_link_is_not_overwritten(foreign):
    os.mkdir("results/logs")
    os.symlink(foreign / "notes.txt", "results/logs/page.log")
    with pytest.raises(OSError, match="page.log"):
        log.start("results/logs/page.log")
    assert untouched(foreign)


def test_a_link_under_the_temporary_name_is_not_followed(foreign):
    """Its name is easily guessed: it has the number of the process."""
    path = foreign.parent / "elsewhere.txt"
    os.symlink(foreign / "notes.txt", files.temporary_name(path))
    files.write_text("new", path)
    assert path.read_text() == "new"
    assert not path.is_symlink()
    assert untouched(foreign)


@pytest.mark.parametrize("linked", ["results/scratch", "results/scratch/deface"])
def test_scratch_is_neither_emptied_nor_used_behind_a_link(foreign, linked):
    (foreign.parent / linked).parent.mkdir(exist_ok=True)
    os.symlink(foreign, linked)
    with pytest.raises(OSError, match="scratch"), log.scratch("results/scratch/deface"):
        pass
    assert untouched(foreign)


def test_a_foreign_folder_is_not_closed(foreign):
    os.symlink(foreign, "results/render")
    with pytest.raises(OSError, match="render"):
        faces.protect("results/render")
    assert untouched(foreign)


def test_results_itself_may_lie_elsewhere(foreign):
    """Output on another disk is common; so is a link above the run, or data behind links."""
    os.rmdir("results")
    os.mkdir("disk")
    os.symlink("disk", "results")
    files.write_text("x", "results/tables/a.tsv")
    assert (foreign.parent / "disk/tables/a.tsv").read_text() == "x"
    os.symlink(foreign.parent, foreign.parent / "way")
    files.write_text("y", foreign.parent / "way/results/tables/b.tsv")
    files.write_text("z", foreign.parent / "way/c.tsv")
    assert (foreign.parent / "c.tsv").read_text() == "z"


def test_files_keep_the_rights_that_the_user_gives_new_ones(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text("x", tmp_path / "a.txt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_only_the_released_networks_are_loaded(tmp_path, monkeypatch):
    """TorchScript runs code when it is loaded, so that it is not loaded to see what it is."""
    import torch

    loaded = []
    monkeypatch.setattr(torch.jit, "load", lambda *args, **more: loaded.append(args))
    content = extraction._weights("model.pt").read_bytes()
    other = tmp_path / "model.pt"
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr(extraction, "_weights", lambda name: other)
    with pytest.raises(ValueError, match=r"model.pt: not the released file.*pip install"):
        extraction.load_brain_extractor.__wrapped__()
    assert not loaded


def test_the_face_networks_are_the_released_ones(tmp_path, monkeypatch):
    pytest.importorskip("dlib")
    if face_recognition.missing({}):
        pytest.skip("face_recognition_models is not installed")
    for name in face_recognition.NETWORKS:
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(face_recognition, "_models", lambda: tmp_path)
    with pytest.raises(ValueError, match="mmod_human_face_detector.dat: not the released file"):
        face_recognition._networks.__wrapped__()
