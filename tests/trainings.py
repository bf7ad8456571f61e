"""What tests of trained models share: interrupting, comparing, and files that run code."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

#: What every training leaves behind.
FILES = ("model.safetensors", "card.json", "curves.tsv")


def interrupt(train: Callable, monkeypatch, owner, name: str, call: int, done: bool = True):
    """Run a training and interrupt it at a call of a function that it uses.

    Parameters
    ----------
    train : callable
        The training, without arguments.
    owner, name
        Where the function is.
    call : int
        Which of its calls; the earlier ones are carried out.
    done : bool
        Whether the last one is carried out too before the interruption.
    """
    original, calls = getattr(owner, name), []

    def work_then_die(*args):
        calls.append(1)
        result = original(*args) if done or len(calls) < call else None
        if len(calls) == call:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, work_then_die)
        with pytest.raises(KeyboardInterrupt):
            train()


def assert_same_files(folder: Path, other: Path, names: Iterable[str]) -> None:
    """Assert that two folders hold the same bytes under some names."""
    for name in names:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self):
        return (self.witness.write_text, ("ran",))


def assert_bomb_is_refused(load: Callable, weights: Path, write: Callable | None = None) -> None:
    """Assert that loading a model whose weights are a pickle fails and runs nothing.

    Parameters
    ----------
    load : callable
        Loads the model, without arguments.
    weights : Path
        The file that is overwritten.
    write : callable, optional
        Writes an object into a file; plain pickle by default.
    """
    bomb = Bomb(weights.with_name("witness"))
    if write is None:
        weights.write_bytes(pickle.dumps(bomb))
    else:
        write(bomb, weights)
    with pytest.raises(Exception, match="(?i)header|deserializ"):
        load()
    assert not bomb.witness.exists()
